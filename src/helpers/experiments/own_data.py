"""Wrong labels in data of one's own (chapter 19): rankings, cleaning and flip rates on the same data and folds.

One run of a cell trains a network once with held-out *observed* labels, and classifiers out of fold; everything that is
compared reads these. cleanlab (Northcutt, Jiang and Chuang 2021) reads the network's probabilities out of fold, as its
documentation advises.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from sklearn import datasets
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import nn
from torch.nn.utils import skip_init

from helpers import checks
from helpers.data.cifar10n import add_cifar10n_labels
from helpers.data.datasets import CIFAR10_VARIABLE, load_cifar10, load_digit_classes
from helpers.data.images import LabelledImages, class_index, class_labels, shrink_images
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import InstanceDependentNoise, PairFlipNoise, SymmetricNoise
from helpers.data.subsets import hold_out, keep_samples
from helpers.entry import entry
from helpers.experiments.settings import small_cnn_setting
from helpers.practice.flip_rates import cautious_count, flip_rate_estimates
from helpers.practice.ranked_table import suspects
from helpers.reading.scores import area_under_margin_scores, score_auc
from helpers.record import Record
from helpers.runtime import best_device
from helpers.streams import random_stream
from helpers.training.cross_validation import out_of_fold
from helpers.training.loop import Recipe, fit

NETWORK, COMBINED, CLEANLAB = "network out of fold", "combined", "cleanlab (default)"
LOSS, AREA = "small loss at the stop", "area under the margin"
NEIGHBOURS, FOREST, LINEAR = "nearest neighbours out of fold", "random forest out of fold", "linear model out of fold"
SINGLES = (LOSS, NETWORK, NEIGHBOURS, FOREST, LINEAR, AREA)  # rankings by one score; LINEAR on tables
CLEANLAB_MEAN = "cleanlab (mean of the classifiers)"
KINDS = {"symmetric": SymmetricNoise, "pair": PairFlipNoise, "image-dependent": InstanceDependentNoise}
TABLES = {"wine": datasets.load_wine, "breast cancer": datasets.load_breast_cancer}
OWN_DATA = (*(f"digits, {kind}" for kind in KINDS), *(f"{name}, symmetric" for name in TABLES))
Make = Callable[[LabelledImages, int], nn.Module]


@dataclass(frozen=True)
class _Task:
    """Data whose last n_val test samples are held-out training samples; how to make and train a network; classifiers
    beside it."""

    data: LabelledImages
    n_val: int
    make: Make
    recipe: Recipe
    others: dict[str, BaseEstimator]


@entry
def own_data_cell(dataset: str, rate: float, seed: int, *, folds: int = 5, n_digits: int = 1200,
                  epochs: int = 20) -> list[dict]:
    """Rows of one comparison on scikit-learn's digits or on one of its tables, with labels that are wrong at random.

    A row's "part" is one of three, and "flip_rate" is the realised share of wrong labels in each. "ranking": "auc" of
    the wrong labels, and the "precision" among as many samples as there are wrong labels. "cleaning": the test "error"
    on true labels after so many samples were "changed", of which the share "changed_wrong" was wrong. "rate": an
    "estimate" of the flip rate with its interval from "low" to "high".

    Parameters
    ----------
    dataset
        one of `OWN_DATA`.
    rate
        of wrong labels, as the noise takes it.
    seed
        of the split, the labels, the weights, the batches and the folds.
    folds
        of everything that is out of fold.
    n_digits
        digits to train on, a tenth of them held out; of the tables two thirds are for training, a sixth of them held
        out.
    epochs
        of the digits' network; those of the tables have twice as many.
    """
    name, kind = checks.one_of("dataset", dataset, OWN_DATA).split(", ")
    noise = KINDS[kind](rate)
    checks.integer("folds", folds, 2)
    checks.integer("epochs", epochs, 2)
    checks.integer("n_digits", n_digits, 10)
    if name == "digits":
        data = add_label_noise(load_digit_classes(n_train=n_digits, seed=seed), noise, seed=seed)
        setting = small_cnn_setting(16, Recipe(epochs=epochs, lr=0.1))
        make, recipe, others = setting.network, setting.recipe, {}
        n_val = data.n // 10
    else:
        data = add_label_noise(_table_of_one_pixel_images(name, seed), noise, seed=seed)
        make, recipe = _table_network, Recipe(epochs=2 * epochs, lr=0.05, batch_size=20)
        others, n_val = {LINEAR: LogisticRegression(max_iter=2000)}, data.n // 6
    others = {NEIGHBOURS: KNeighborsClassifier(15),
              FOREST: RandomForestClassifier(100, min_samples_leaf=3, random_state=seed)} | others
    return _compared(_Task(hold_out(data, n_val), n_val, make, recipe, others), seed, folds)


@entry
def own_human_cell(kind: str, seed: int, *, n_train: int = 10_000, n_val: int = 1000, side: int = 16, width: int = 16,
                   epochs: int = 14, lr: float = 0.05, folds: int = 5) -> list[dict]:
    """Rows as of `own_data_cell` for labels that people gave to CIFAR-10 (SIGNAL_FIRST_CIFAR10N and _CIFAR10).

    Parameters
    ----------
    kind
        "aggregate" or "worst" (`add_cifar10n_labels`).
    seed
        of the draw of n_train + n_val images, and as of `own_data_cell`.
    n_train, n_val
        images to train on, and held out.
    side
        of the images, with squares of pixels averaged.
    width, epochs, lr
        of the network and its training.
    folds
        of everything that is out of fold.
    """
    checks.one_of("kind", kind, ("aggregate", "worst"))
    checks.require(checks.integer("side", side) in (4, 8, 16, 32), "side", side, "4, 8, 16 or 32")
    for name, value, least in (("n_train", n_train, 1), ("n_val", n_val, 1), ("width", width, 1), ("epochs", epochs, 2),
                               ("folds", folds, 2), ("seed", seed, 0)):
        checks.integer(name, value, least)
    checks.positive("lr", lr)
    path = os.environ.get(CIFAR10_VARIABLE)
    checks.require(bool(path), CIFAR10_VARIABLE, path, "set to the files of CIFAR-10 (helpers.data.load_cifar10)")
    data = add_cifar10n_labels(load_cifar10(path), kind).subset(n_train + n_val, seed=seed)
    setting = small_cnn_setting(width, Recipe(epochs=epochs, lr=lr))
    held, others = hold_out(shrink_images(data, side), n_val), {NEIGHBOURS: KNeighborsClassifier(15)}
    return _compared(_Task(held, n_val, setting.network, setting.recipe, others), seed, folds)


def _compared(task: _Task, seed: int, folds: int) -> list[dict]:
    record, stop = _trained(task, task.data, seed)
    epochs = np.unique(np.linspace(2, task.recipe.epochs, 10).astype(int))
    parts = {NETWORK: out_of_fold(task.make, task.data, recipe=task.recipe, record_at=epochs, folds=folds, seed=seed,
                                  device=best_device())}
    parts |= {name: out_of_fold(model, task.data, folds=folds, seed=seed) for name, model in task.others.items()}
    table = suspects(task.data, parts, record=record, network=NETWORK)
    rates = flip_rate_estimates(task.data, record=record, probabilities=parts[NETWORK], parts=parts, seed=seed)
    rows = _ranking_rows(task.data, record, stop, parts, table)
    rows += _cleaning_rows(task, record, stop, parts[NETWORK], table, rates, seed)
    rows += [{"part": "rate", "method": row.method, "estimate": row.estimate, "low": row.low, "high": row.high}
             for row in rates.itertuples()]
    shared = {"flip_rate": float(task.data.flipped.mean()), "samples": task.data.n,
              "seconds": record.config["seconds"]}
    return [row | shared for row in rows]


def _trained(task: _Task, data: LabelledImages, seed: int) -> tuple[Record, int]:
    """The record of a run of as many steps as on all of the task's data, and where held-out labels stop it."""
    recipe = replace(task.recipe, epochs=math.ceil(task.recipe.epochs * task.data.n / data.n))
    record = fit(task.make(data, seed), data, recipe, seed, record_at=list(range(recipe.epochs + 1)), n_val=task.n_val,
                 device=best_device())
    return record, int(record.validation_observed_error[0].argmin())


def _ranking_rows(data: LabelledImages, record: Record, stop: int, parts: dict[str, np.ndarray],
                  table: pd.DataFrame) -> list[dict]:
    labels, rows = class_index(data.y_obs, data.n_classes), np.arange(data.n)
    combined = table.sort_values("sample").score.to_numpy()
    trust = {LOSS: record.margins[0, stop], AREA: area_under_margin_scores(record)[0]}
    trust |= {name: p[rows, labels] for name, p in parts.items()}
    trust |= {CLEANLAB: _cleanlab_scores(labels, parts[NETWORK]),
              CLEANLAB_MEAN: _cleanlab_scores(labels, np.mean(list(parts.values()), axis=0)), COMBINED: -combined}
    wrong = int(data.flipped.sum())
    return [{"part": "ranking", "method": name, "auc": float(score_auc(score[None], data.flipped[None])[0]),
             "precision": float(data.flipped[np.argsort(score, kind="stable")[:wrong]].mean())}
            for name, score in trust.items()]


def _cleaning_rows(task: _Task, record: Record, stop: int, p: Float[np.ndarray, "n K"], table: pd.DataFrame,
                   rates: pd.DataFrame, seed: int) -> list[dict]:
    """Test errors without cleaning, and after each kind of it with a new network, stopped by the same held-out
    labels."""
    data, nothing = task.data, np.zeros(task.data.n, bool)
    rows = [_cleaning_row("trained to the end", record.fresh_error[0, -1], data, nothing),
            _cleaning_row("stopped, not retrained", record.fresh_error[0, stop], data, nothing)]
    likely, few = _first(table, int((table.score > 0.5).sum())), _first(table, cautious_count(rates, data.n))
    issues = _cleanlab_issues(class_index(data.y_obs, data.n_classes), p)
    suggested = np.array([data.classes.index(name) for name in table.sort_values("sample").suggested])
    relabelled = np.where(likely, class_labels(suggested, data.n_classes), data.y_obs)
    changes = {"combined dropped": (likely, keep_samples(data, ~likely)),
               "combined dropped, cautious": (few, keep_samples(data, ~few)),
               "combined relabelled": (likely, replace(data, y_obs=relabelled)),
               "cleanlab dropped": (issues, keep_samples(data, ~issues))}
    for name, (changed, cleaned) in changes.items():
        again, chosen = _trained(task, cleaned, seed)
        rows.append(_cleaning_row(name, again.fresh_error[0, chosen], data, changed))
    return rows


def _cleaning_row(name: str, error: float, data: LabelledImages, changed: Bool[np.ndarray, " n"]) -> dict:
    share = float(data.flipped[changed].mean()) if changed.any() else np.nan
    return {"part": "cleaning", "method": name, "error": float(error), "changed": int(changed.sum()),
            "changed_wrong": share}


def _first(table: pd.DataFrame, count: int) -> Bool[np.ndarray, " n"]:
    """The `count` most suspect samples, as a mask in the order of the data."""
    return np.isin(np.arange(len(table)), table["sample"].to_numpy()[:count])


def _cleanlab_scores(labels: np.ndarray, p: Float[np.ndarray, "n K"]) -> Float[np.ndarray, " n"]:
    from cleanlab.rank import get_label_quality_scores

    return get_label_quality_scores(labels, p)


def _cleanlab_issues(labels: np.ndarray, p: Float[np.ndarray, "n K"]) -> Bool[np.ndarray, " n"]:
    from cleanlab.filter import find_label_issues

    return find_label_issues(labels, p, n_jobs=1)


def _table_of_one_pixel_images(name: str, seed: int) -> LabelledImages:
    """A table of scikit-learn's, split at random: each row an image of one pixel whose channels are the features.

    Features are scaled to [0, 1] by their range in the training rows, and cut off there in the test rows; images are
    standardised by channel, which here is feature by feature.
    """
    table = TABLES[name]()
    order = random_stream(seed, f"split of {name}").permutation(len(table.target))
    train, test = np.split(order, [2 * len(order) // 3])
    low, high = table.data[train].min(0), table.data[train].max(0)
    scaled = ((table.data - low) / (high - low)).clip(0, 1)[:, :, None, None]
    y, classes = class_labels(table.target, len(table.target_names)), tuple(map(str, table.target_names))
    return LabelledImages(name, classes, scaled[train], y[train], scaled[test], y[test])


def _table_network(data: LabelledImages, seed: int, *, width: int = 32) -> nn.Module:
    """One hidden layer, with initial weights as `SmallCNN` draws them at scale 1."""
    rng = random_stream(seed, "network for tables")
    layers = [skip_init(nn.Linear, data.x[0].size, width), skip_init(nn.Linear, width, data.n_classes)]
    with torch.no_grad():
        for layer in layers:
            scale = math.sqrt(2 / layer.in_features)
            layer.weight.copy_(torch.from_numpy(scale * rng.standard_normal(tuple(layer.weight.shape))))
            layer.bias.zero_()
    return nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1])
