"""Stopping rules and scores of trust on photographs: one run of each method on the same images, labels and folds
(chapters 9 and 10)."""

import numpy as np
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from helpers import checks
from helpers.data.datasets import load_two_class_dataset
from helpers.data.images import LabelledImages, class_index
from helpers.data.label_noise import add_label_noise
from helpers.entry import entry
from helpers.experiments.ranges import check_ranges
from helpers.experiments.real_images import image_run
from helpers.experiments.settings import setting
from helpers.reading.comparison import IN_SAMPLE, OUT_OF_SAMPLE, Stop, stops_to_compare
from helpers.reading.scores import (
    adjusted_confidence_scores,
    area_under_margin_scores,
    score_auc,
    score_confident_joint,
    self_confidence_scores,
)
from helpers.reading.selection import selection_auc
from helpers.reading.stopping import stop_at_plateau
from helpers.runtime import best_device
from helpers.training.cross_validation import out_of_fold

NEIGHBOURS = KNeighborsClassifier(15)
LINEAR = LogisticRegression(C=0.01, max_iter=5000)  # thousands of pixels: a strong penalty
GUESSES = (-0.1, -0.05, 0.05, 0.1)  # what a plateau rule is told beside the truth: this much more


@entry
def comparison_cell(flip_rate: float, seed: int, *, n_train: int = 2000, n_val: int = 600, folds: int = 5
                    ) -> list[dict]:
    """Rows of one run on the two classes of `load_two_class_dataset`: a cell of a sweep.

    Rows are of three kinds. "curve": the test error of the common run at each recorded epoch (for `blind`, which needs
    those of all seeds). "stop": the test error and the epoch at which a rule stops, with the labels that it reads.
    "score": how well a score ranks the noisy images (area under the ROC curve).

    Parameters
    ----------
    flip_rate, seed
        of the labels; the seed is also that of weights, batches and folds.
    n_train
        training images.
    n_val
        how many of them a validation rule holds out.
    folds
        of the scores out of sample.
    """
    check_ranges(flip_rate=flip_rate, seed=seed, n_train=n_train, n_val=n_val, folds=folds)
    checks.require(n_val >= 1, "n_val", n_val, "1 or more: a rule holds them out")
    data = load_two_class_dataset()
    data = add_label_noise(data.subset(min(checks.integer("n_train", n_train), data.n)), flip_rate, seed=seed)
    record, held_out = image_run(data, seed), image_run(data, seed, n_val=n_val)
    probabilities = _probabilities(data, seed, folds)
    rules = stops_to_compare(record, flip_rate, held_out)
    rules += [Stop(f"plateau, told {off:+g}", stop_at_plateau(record, np.clip(flip_rate + off, 0, 0.5)),
                   knows_rate=True)
              for off in GUESSES]
    observed = class_index(data.y_obs, data.n_classes)
    for name, p in probabilities.items():
        rate = 1 - np.trace(score_confident_joint(p, observed))
        rules.append(Stop(f"plateau, rate by {name}", stop_at_plateau(record, np.clip(rate, 0, 0.5))))
    rows = [{"kind": "curve", "method": "", "epoch": epoch, "value": error}
            for epoch, error in zip(record.times, record.fresh_error[0])]
    for rule in rules:
        own = record if rule.error is None else held_out
        rows.append({"kind": "stop", "method": rule.name, "epoch": own.times[rule.chosen[0]],
                     "value": own.fresh_error[0, rule.chosen[0]], "clean_labels": rule.clean_labels,
                     "noisy_labels": rule.noisy_labels, "knows_rate": rule.knows_rate})
    by_loss = selection_auc(record)[0]
    scores = {IN_SAMPLE: by_loss[stop_at_plateau(record, flip_rate)[0]], "loss at the last epoch": by_loss[-1],
              "area under the margin": score_auc(area_under_margin_scores(record), record.flipped)[0]}
    scores |= {name: _auc(self_confidence_scores(p, observed), data) for name, p in probabilities.items()}
    scores["confident learning"] = _auc(adjusted_confidence_scores(probabilities[OUT_OF_SAMPLE[0]], observed), data)
    return rows + [{"kind": "score", "method": name, "value": float(value)} for name, value in scores.items()]


def _probabilities(data: LabelledImages, seed: int, folds: int) -> dict[str, Float[np.ndarray, "n K"]]:
    chosen = setting("real_images", data)
    epochs = np.unique(np.linspace(2, chosen.recipe.epochs, 14).astype(int))
    network = out_of_fold(chosen.network, data, recipe=chosen.recipe, record_at=epochs, folds=folds, seed=seed,
                          device=best_device())
    others = [out_of_fold(model, data, folds=folds, seed=seed) for model in (NEIGHBOURS, LINEAR)]
    return dict(zip(OUT_OF_SAMPLE, [network, *others]))


def _auc(trust: Float[np.ndarray, " n"], data: LabelledImages) -> float:
    return score_auc(trust[None], data.flipped[None])[0]
