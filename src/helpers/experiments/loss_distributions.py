"""How far apart the losses of clean and of noisy samples lie over a run, and what a selection by loss can gain from it
(chapter 15, after the abstract of Lim, Han and Lee 2020): the chapter's runs.
"""

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from helpers import checks
from helpers.data.datasets import CIFAR10_VARIABLE, load_digit_classes, load_digits, load_mnist, load_ten_class_dataset
from helpers.data.images import LabelledImages, class_index
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import MatrixNoise, PairFlipNoise, SymmetricNoise
from helpers.data.subsets import hold_out
from helpers.entry import entry
from helpers.experiments.ranges import check_ranges
from helpers.experiments.settings import setting, setting_epochs
from helpers.reading.distances import loss_distances_over_time
from helpers.reading.selection import selection_purity_gain
from helpers.record import Record, concatenate_records
from helpers.runtime import best_device
from helpers.training.batches import standardise
from helpers.training.loop import fit, fit_side_by_side
from helpers.training.losses import loss_margins
from helpers.training.predictions import predicted_outputs

KINDS = {"symmetric": SymmetricNoise, "pair": PairFlipNoise}
MNIST_VARIABLE = "SIGNAL_FIRST_MNIST"
DATASETS = ("ten digits", "even or odd", "MNIST", "CIFAR-10")
HELD_OUT = 10  # one training image in so many is held out, with its observed label
STEPS = (0.01, 0.03, 0.1, 0.2)  # step sizes among which `step_cell` lets one choose
STEP_SEED = 1000  # of the runs that choose: no seed of a run that is compared
# What the recording "loss_steps" chose, by data set, kind and rate.
CHOSEN_STEPS: dict[tuple[str, str, float], float] = {
    ("CIFAR-10", "pair", 0.2): 0.03, ("CIFAR-10", "pair", 0.45): 0.1, ("CIFAR-10", "symmetric", 0.2): 0.03,
    ("CIFAR-10", "symmetric", 0.45): 0.01, ("MNIST", "pair", 0.2): 0.03, ("MNIST", "pair", 0.45): 0.03,
    ("MNIST", "symmetric", 0.2): 0.1, ("MNIST", "symmetric", 0.45): 0.1}


def loss_run(data: LabelledImages, noise: float | MatrixNoise, seed: int, *, n_val: int = 0, width: int | None = None,
             record_at: ArrayLike | None = None, precision: str = "auto", **changes) -> tuple[Record, Record]:
    """Records of one `SmallCNN` on `data` with wrong labels, on its training and on its test images.

    The test images' wrong labels are drawn afresh from the same noise, and no network has seen them: what the losses
    on them show is not memorised.

    Parameters
    ----------
    data
        images that `setting` knows: "ten digits", "handwritten digits", "MNIST" or "CIFAR-10".
    noise
        as of `add_label_noise`.
    seed
        of the labels, the weights and the batches.
    n_val
        how many training images are held out, with their observed labels, as a validation set (`hold_out`).
    width
        of the network; by default that of the setting.
    record_at, precision
        as of `fit`.
    changes
        fields of the `Recipe`.
    """
    chosen = setting("loss_distributions", data)
    recipe, noisy = replace(chosen.recipe, **changes), add_label_noise(data, noise, seed=seed)
    model = replace(chosen, width=width or chosen.width).network(data, seed)
    held = hold_out(noisy, n_val) if n_val else noisy
    x = torch.from_numpy(standardise(held.x, data.x_test)[1])
    labels, seen = torch.from_numpy(class_index(noisy.y_test_obs, data.n_classes)), []

    def watch(epoch: int, model: nn.Module) -> None:
        f = predicted_outputs(model, x.to(best_device()), epoch=epoch, n_classes=data.n_classes).cpu()
        seen.append((loss_margins(f, labels).numpy(), f.argmax(1).numpy() if f.ndim == 2 else None))

    record = fit(model, held, recipe, seed, n_val=n_val, record_at=record_at, device=best_device(),
                 precision=precision, watch=watch)
    found, predicted = zip(*seen)
    predictions = None if predicted[0] is None else np.array(predicted)[None]
    return record, Record(record.times, noisy.y_test[None], noisy.y_test_obs[None], np.array(found)[None],
                          predictions=predictions, runs=record.runs)


@entry
def loss_runs(data: LabelledImages, noise: float | MatrixNoise, seeds: Sequence[int], *, n_val: int = 0, **changes
              ) -> tuple[Record, Record]:
    """Records of `loss_run` on training and on test images, of one run for each seed."""
    check_ranges(seeds=seeds, n_val=n_val)
    tests = {}

    def run(seed):
        record, tests[seed] = loss_run(data, noise, seed, n_val=n_val, **changes)
        return record

    return fit_side_by_side(run, seeds), concatenate_records([tests[seed] for seed in seeds])


@entry
def loss_cell(dataset: str, kind: str, rate: float, seed: int, *, n_train: int = 0, n_test: int = 0, epochs: int = 0,
              lr: float | None = None, precision: str = "auto") -> list[dict]:
    """Rows of one run for a recorded table, one for each measured epoch.

    They hold distances on training and on test images, purity gain, accuracies and loss levels. One training image in
    ten is held out with its observed label; no true label is used for stopping.

    Parameters
    ----------
    dataset
        "ten digits", "even or odd", "MNIST" or "CIFAR-10"; the last two from the files that SIGNAL_FIRST_MNIST and
        SIGNAL_FIRST_CIFAR10 name.
    kind
        of noise, "symmetric" or "pair".
    rate
        of wrong labels.
    seed
        as of `loss_run`.
    n_train, n_test, epochs
        0 for all images, and for the usual epochs; those held out are among the n_train images.
    lr
        step size; by default the one chosen for this setting (`CHOSEN_STEPS`), else that of the recipe.
    precision
        as of `fit`.

    Returns
    -------
    list
        Rows; "images" were trained on, of "available" ones in the file.
    """
    check_ranges(rate=rate, seed=seed, n_test=n_test, lr=lr, precision=precision)
    n_train, epochs = checks.integer("n_train", n_train, 0), checks.integer("epochs", epochs, 0, 10**6)
    checks.one_of("dataset", dataset, DATASETS)
    checks.one_of("kind", kind, KINDS)
    lr = CHOSEN_STEPS.get((dataset, kind, rate)) if lr is None else lr
    train, test, available = _cell_run(dataset, kind, rate, seed, n_train, n_test, epochs, lr, precision)
    columns = {"epoch": train.times, "purity_gain": selection_purity_gain(train)[0],
               "accuracy": 1 - train.fresh_error[0],
               "validation_noisy": 1 - train.validation_observed_error[0],
               "observed_fitted": train.mean_over(train.fits_observed)[0]}
    for name, record in (("", train), ("test_", test)):
        found = loss_distances_over_time(record)
        columns |= {f"{name}{key}": value[0] for key, value in found._asdict().items()}
        for group, chosen in (("clean", ~record.flipped[0]), ("noisy", record.flipped[0])):
            columns[f"{name}{group}_loss"] = np.median(record.losses[0][:, chosen], axis=1)
    columns["clean_fitted"], columns["noisy_fitted"] = (train.mean_over(train.fits_observed, group)[0]
                                                        for group in ("clean", "noisy"))
    fixed = {"images": train.y.shape[1], "available": available, "lr": train.config["recipe"]["lr"],
             "seconds": train.config["seconds"]}
    return [dict(zip(columns, map(float, row))) | {"epoch": int(row[0])} | fixed for row in zip(*columns.values())]


@entry
def step_cell(dataset: str, kind: str, rate: float, lr: float, *, n_train: int = 10_000, epochs: int = 6,
              precision: str = "auto", seed: int = STEP_SEED) -> dict[str, float]:
    """The lowest error on held-out observed labels of one short run: of the `STEPS` the one of least error is taken.

    A run that diverges has the error 1. No true label is read, and the seed is none of those compared afterwards.

    Parameters
    ----------
    dataset, kind, rate, n_train, epochs, precision, seed
        as of `loss_cell`.
    lr
        step size.
    """
    check_ranges(rate=rate, seed=seed, n_train=n_train, epochs=epochs, lr=lr, precision=precision)
    checks.one_of("dataset", dataset, DATASETS)
    checks.one_of("kind", kind, KINDS)
    try:
        train, _, _ = _cell_run(dataset, kind, rate, seed, n_train, 1000, epochs, lr, precision)
    except FloatingPointError:
        return {"held_out_error": 1.0, "seconds": 0.0}
    return {"held_out_error": float(train.validation_observed_error.min()), "seconds": train.config["seconds"]}


def _cell_run(dataset: str, kind: str, rate: float, seed: int, n_train: int, n_test: int, epochs: int,
              lr: float | None, precision: str) -> tuple[Record, Record, int]:
    """The records of a cell's run, and how many training images the file has."""
    data = _load(checks.one_of("dataset", dataset, DATASETS))
    available = data.n
    data = data.subset(min(n_train, data.n)) if n_train else data
    if n_test:
        data = replace(data, **{name: getattr(data, name)[:n_test] for name in ("x_test", "y_test", "y_test_obs")})
    noise = KINDS[checks.one_of("kind", kind, KINDS)](rate)
    changes = {name: value for name, value in (("epochs", epochs), ("lr", lr)) if value}
    last = epochs or setting("loss_distributions", data).recipe.epochs
    record, test = loss_run(data, noise, seed, n_val=data.n // HELD_OUT, record_at=setting_epochs(last),
                            precision=precision, **changes)
    return record, test, available


def _load(dataset: str) -> LabelledImages:
    if dataset == "ten digits":
        return load_digit_classes()
    if dataset == "even or odd":
        return load_digits()
    variable = {"MNIST": MNIST_VARIABLE, "CIFAR-10": CIFAR10_VARIABLE}[dataset]
    path = os.environ.get(variable)
    checks.require(bool(path), variable, path, f"the path of {dataset}'s files, as helpers.data reads them")
    return load_mnist(path) if dataset == "MNIST" else load_ten_class_dataset()
