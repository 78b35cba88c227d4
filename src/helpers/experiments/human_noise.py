"""Label noise as people make it (chapter 18): raters who look at the image, and controls that do not.

A rater's label of image i follows a law p_i over the K classes (`helpers.data.raters`); here networks are trained on
such labels.
"""

import os

import numpy as np
from jaxtyping import Shaped

from helpers import checks
from helpers.data.array_files import CIFAR10_CLASSES
from helpers.data.cifar10n import KINDS, add_cifar10n_labels, load_cifar10n
from helpers.data.datasets import CIFAR10_VARIABLE, load_cifar10
from helpers.data.images import LabelledImages, shrink_images
from helpers.data.label_noise import label_noise_transition
from helpers.data.raters import (
    KEEPS,
    joint_rater_mistakes,
    loosen_ratings,
    rater_class_means,
    rater_competitors,
    shuffled_rater_mistakes,
)
from helpers.data.subsets import hold_out
from helpers.entry import entry
from helpers.experiments.ranges import check_ranges
from helpers.experiments.settings import SETTINGS, small_cnn_setting
from helpers.reading.selection import select_small_loss, selection_auc, selection_quality
from helpers.reading.stopping import values_at_stop
from helpers.reading.times import crest_time_index
from helpers.record import Record, log_times
from helpers.runtime import best_device
from helpers.training.loop import fit
from helpers.training.losses import CrossEntropy, ELRLoss
from helpers.training.recipe import Recipe

LOSSES = {"cross-entropy": CrossEntropy(), "ELR": ELRLoss(strength=3.0, momentum=0.7)}
STEPS = (0.02, 0.05, 0.1, 0.2)  # step sizes among which `human_step_cell` lets one choose
STEP_SEED = 1000  # of the runs that choose: no seed of a run that is compared
# What the recording "human_steps" chose, by labels and loss.
CHOSEN_STEPS: dict[tuple[str, str], float] = {
    ("aggregate", "ELR"): 0.05, ("aggregate", "cross-entropy"): 0.05, ("random1", "ELR"): 0.05,
    ("random1", "cross-entropy"): 0.05, ("worst", "ELR"): 0.02, ("worst", "cross-entropy"): 0.05}
DIGITS = SETTINGS["human_noise", "small CNN", "ten digits", "quick"]  # the same in the other profile


@entry
def human_noise_summary(record: Record) -> dict[str, Shaped[np.ndarray, " runs"]]:
    """What the two stages left of each run on noisy labels, with its two test accuracies.

    "crest" is the recorded epoch of the crest (`helpers.reading.times.crest_time_index`). At the crest: "read truly"
    and "copied" (shares of the noisy samples), "AUC" of the losses, "caught" (share of the noisy samples among as many
    of largest loss), "loss gap" (mean noisy minus mean clean loss). "memorised" is the share of noisy samples that fit
    their observed label at the end, "best" and "last" are test accuracies.
    """
    top, noisy = crest_time_index(record), lambda values: record.mean_over(values, "noisy")
    gap = noisy(record.losses) - record.mean_over(record.losses, "clean")
    caught = [selection_quality(select_small_loss(loss, 1 - flipped.mean()), flipped).recall
              for loss, flipped in zip(values_at_stop(record.losses, top), record.flipped)]
    return {"crest": record.times[top], "read truly": values_at_stop(noisy(record.fits_true), top),
            "copied": values_at_stop(noisy(record.fits_observed), top),
            "AUC": values_at_stop(selection_auc(record), top),
            "caught": np.array(caught), "loss gap": values_at_stop(gap, top),
            "memorised": noisy(record.fits_observed)[:, -1],
            "best": 1 - record.fresh_error.min(1), "last": 1 - record.fresh_error[:, -1]}


@entry
def human_noise_run(data: LabelledImages, seed: int, *, width: int = DIGITS.width, recipe: Recipe = DIGITS.recipe,
                    n_val: int = 100) -> Record:
    """Record of one `SmallCNN` trained on `data`, whose last training images are held out for validation.

    Recorded are about twenty epochs on a logarithmic axis. The defaults are those of the digits.

    Parameters
    ----------
    data
        images with the labels that they have.
    seed
        of the weights and the batches.
    width
        of the network.
    recipe
        how to train it.
    n_val
        how many images are held out (`hold_out`).
    """
    check_ranges(seed=seed, width=width, n_val=n_val)
    checks.require(n_val >= 1, "n_val", n_val, "1 or more")
    held = hold_out(data, n_val)
    return fit(small_cnn_setting(width, recipe).network(held, seed), held, recipe, seed,
               record_at=log_times(recipe.epochs, count=20), n_val=n_val, device=best_device())


@entry
def cifar10n_cell(kind: str, keep: str, seed: int, *, n_train: int = 10_000, side: int = 16, width: int = 16,
                  epochs: int = 25, lr: float = 0.05, n_val: int = 1000) -> dict[str, float]:
    """One row of `human_noise_summary` for CIFAR-10N, from the files that SIGNAL_FIRST_CIFAR10 and
    SIGNAL_FIRST_CIFAR10N name.

    Parameters
    ----------
    kind
        which labels (`add_cifar10n_labels`).
    keep
        what stays of their tie to the image (`loosen_ratings`).
    seed
        of the run, and of the draw of n_train + n_val images, which is the same for all kinds.
    n_train, n_val
        images to train on, and held out.
    side
        16, with squares of 2 by 2 pixels averaged, or 32.
    width
        of the network.
    epochs, lr
        fields of the `Recipe`.

    Returns
    -------
    dict
        `human_noise_summary` with the realised "flip rate" and the test accuracy at the lowest error on the held-out
        observed labels ("noisy validation").
    """
    check_ranges(seed=seed, n_train=n_train, width=width, epochs=epochs, lr=lr, n_val=n_val)
    checks.one_of("kind", kind, KINDS)
    checks.one_of("side", side, (16, 32))
    checks.require(n_val >= 1, "n_val", n_val, "1 or more")
    checks.one_of("keep", keep, KEEPS)
    path = os.environ.get(CIFAR10_VARIABLE)
    checks.require(bool(path), CIFAR10_VARIABLE, path, "set to the files of CIFAR-10 (helpers.data.load_cifar10)")
    data = add_cifar10n_labels(load_cifar10(path), kind).subset(n_train + n_val, seed=seed)
    data = loosen_ratings(shrink_images(data, checks.one_of("side", side, (16, 32))), keep, seed)
    record = human_noise_run(data, seed, width=width, recipe=Recipe(epochs=epochs, lr=lr), n_val=n_val)
    stop = record.validation_observed_error.argmin(1)
    values = human_noise_summary(record) | {"flip rate": record.flipped.mean(1),
                                            "noisy validation": 1 - record.fresh_error[0, stop]}
    return {name: float(value[0]) for name, value in values.items()}


@entry
def human_loss_cell(kind: str, loss: str, seed: int, *, n_train: int = 10_000, side: int = 16, width: int = 16,
                    epochs: int = 25, lr: float | None = None, n_val: int = 1000) -> dict[str, float]:
    """One run on CIFAR-10N's labels with a loss of `LOSSES`, to the end and stopped on held-out labels.

    The runs of one seed and kind have the same images, labels, initial weights and batches whatever the loss.

    Parameters
    ----------
    kind, seed, n_train, side, width, epochs, n_val
        as of `cifar10n_cell`.
    loss
        "cross-entropy" or "ELR".
    lr
        step size; by default the one chosen for this setting (`CHOSEN_STEPS`), else 0.05.

    Returns
    -------
    dict
        Test accuracies "best" (in hindsight), "last" and "stopped", at the first recorded epoch of lowest error on the
        n_val held-out images with their observed labels; the epoch "stop"; of the noisy samples the shares "read truly
        stopped", "memorised stopped" and "memorised" at the end; "flip rate", "lr", "seconds".
    """
    check_ranges(seed=seed, n_train=n_train, width=width, epochs=epochs, lr=lr, n_val=n_val)
    checks.one_of("kind", kind, KINDS)
    checks.one_of("side", side, (16, 32))
    checks.require(n_val >= 1, "n_val", n_val, "1 or more")
    checks.one_of("loss", loss, LOSSES)
    lr = CHOSEN_STEPS.get((kind, loss), 0.05) if lr is None else lr
    record = _human_run(kind, loss, seed, n_train, side, width, epochs, lr, n_val)
    stop = record.validation_observed_error.argmin(1)
    noisy = {name: record.mean_over(getattr(record, f"fits_{name}"), "noisy") for name in ("true", "observed")}
    values = {"best": 1 - record.fresh_error.min(1), "last": 1 - record.fresh_error[:, -1],
              "stopped": 1 - values_at_stop(record.fresh_error, stop), "stop": record.times[stop],
              "read truly stopped": values_at_stop(noisy["true"], stop),
              "memorised stopped": values_at_stop(noisy["observed"], stop),
              "memorised": noisy["observed"][:, -1], "flip rate": record.flipped.mean(1)}
    return {name: float(value[0]) for name, value in values.items()} | {"lr": lr, "seconds": record.config["seconds"]}


@entry
def human_step_cell(kind: str, loss: str, lr: float, *, n_train: int = 10_000, side: int = 16, width: int = 16,
                    epochs: int = 10, n_val: int = 1000, seed: int = STEP_SEED) -> dict[str, float]:
    """The lowest error on held-out observed labels of one short run, as `step_cell` has it for chapter 15."""
    check_ranges(seed=seed, n_train=n_train, width=width, epochs=epochs, lr=lr, n_val=n_val)
    checks.one_of("kind", kind, KINDS)
    checks.one_of("side", side, (16, 32))
    checks.require(n_val >= 1, "n_val", n_val, "1 or more")
    checks.one_of("loss", loss, LOSSES)
    try:
        record = _human_run(kind, loss, seed, n_train, side, width, epochs, lr, n_val)
    except FloatingPointError:
        return {"held_out_error": 1.0, "seconds": 0.0}
    return {"held_out_error": float(record.validation_observed_error.min()), "seconds": record.config["seconds"]}


def _human_run(kind: str, loss: str, seed: int, n_train: int, side: int, width: int, epochs: int, lr: float,
               n_val: int) -> Record:
    path = os.environ.get(CIFAR10_VARIABLE)
    checks.require(bool(path), CIFAR10_VARIABLE, path, "set to the files of CIFAR-10 (helpers.data.load_cifar10)")
    chosen = LOSSES[checks.one_of("loss", loss, LOSSES)]
    data = add_cifar10n_labels(load_cifar10(path), kind).subset(n_train + n_val, seed=seed)
    return human_noise_run(shrink_images(data, checks.one_of("side", side, (16, 32))), seed, width=width,
                           recipe=Recipe(epochs=epochs, lr=lr, loss=chosen), n_val=n_val)


@entry
def human_count_cell(labels: str, *, draws: int = 40, flows: int = 5) -> list[dict]:
    """Rows of counts on the labels of CIFAR-10N alone, without image or network (SIGNAL_FIRST_CIFAR10N names the file).

    Parameters
    ----------
    labels
        a label set (`add_cifar10n_labels`), or "three people" for what the three random ones share.
    draws
        permutations of each person's labels within the true classes (`shuffled_rater_mistakes`).
    flows
        how many of the largest entries beside the diagonal of the transition matrix.

    Returns
    -------
    list
        Rows with "statistic", its value for "people" and, for "three people", the mean and the standard deviation over
        the permutations, "permuted" and "sd"; NaN where nothing is permuted.
    """
    check_ranges(draws=draws, flows=flows)
    checks.one_of("labels", labels, ("three people", *KINDS))
    checks.require(draws >= 2, "draws", draws, "2 or more: their spread is told")
    file = load_cifar10n()
    true = file["clean_label"]
    if labels == "three people":
        three = np.stack([file[KINDS[f"random{k}"]] for k in (1, 2, 3)])
        counted, shuffled = joint_rater_mistakes(true, three), shuffled_rater_mistakes(true, three, draws=draws, seed=0)
        rows = [{"statistic": name, "people": value, "permuted": float(shuffled[name].mean()),
                 "sd": float(shuffled[name].std(ddof=1))} for name, value in counted.items()]
        right = np.prod([1 - rater_class_means(row != true, true)[true] for row in three], axis=0)
        return [*rows, {"statistic": "any wrong", "people": float((three != true).any(0).mean()),
                        "permuted": float(1 - right.mean()), "sd": np.nan}]
    matrix = label_noise_transition(true, file[KINDS[checks.one_of("labels", labels, KINDS)]], 10)[0]
    values = {"wrong": float((file[KINDS[labels]] != true).mean())}
    off = np.where(np.eye(10, dtype=bool), 0, matrix)
    for place in np.argsort(off, axis=None)[::-1][:flows]:
        a, b = np.unravel_index(place, off.shape)
        values[f"{CIFAR10_CLASSES[a]} to {CIFAR10_CLASSES[b]}"] = float(off[a, b])
    rivals, least = rater_competitors(matrix), int(matrix.diagonal().argmin())
    values |= {"wrong classes, mean": float(rivals.mean()), "wrong classes, least": float(rivals.min()),
               "wrong classes, most": float(rivals.max()),
               f"read truly, least ({CIFAR10_CLASSES[least]})": float(matrix[least, least])}
    return [{"statistic": name, "people": value, "permuted": np.nan, "sd": np.nan} for name, value in values.items()]
