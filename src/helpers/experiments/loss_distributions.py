"""How far apart the losses of clean and of noisy samples lie over a run, and what a selection by loss can gain from it
(chapter 15, after the abstract of Lim, Han and Lee 2020): the chapter's runs.
"""

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from helpers import checks
from helpers.data.datasets import load_digit_classes, load_image_classes, load_mnist
from helpers.data.images import CIFAR10_VARIABLE, LabelledImages, class_index, load_digits
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import MatrixNoise, PairFlip, Symmetric
from helpers.experiments.settings import setting
from helpers.reading.distances import distances_over_time, purity_gain
from helpers.record import Record, concatenate
from helpers.runtime import best_device
from helpers.training.loop import fit, side_by_side
from helpers.training.losses import margins
from helpers.training.predictions import outputs, standardise

KINDS = {"symmetric": Symmetric, "pair": PairFlip}
MNIST_VARIABLE = "SIGNAL_FIRST_MNIST"
DATASETS = ("ten digits", "even or odd", "MNIST", "CIFAR-10")


def loss_run(data: LabelledImages, noise: float | MatrixNoise, seed: int, *, n_val: int = 0, width: int | None = None,
             **changes) -> tuple[Record, Record]:
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
        as of `fit`.
    width
        of the network; by default that of the setting.
    changes
        fields of the `Recipe`.
    """
    chosen = setting("loss_distributions", data)
    recipe, noisy = replace(chosen.recipe, **changes), add_label_noise(data, noise, seed=seed)
    model = replace(chosen, width=width or chosen.width).network(data, seed)
    x = torch.from_numpy(standardise(data.x, data.x_test)[1])
    labels, seen = torch.from_numpy(class_index(noisy.y_test_obs, data.n_classes)), []

    def watch(epoch: int, model: nn.Module) -> None:
        f = outputs(model, x.to(best_device()), epoch=epoch, n_classes=data.n_classes).cpu()
        seen.append((margins(f, labels).numpy(), f.argmax(1).numpy() if f.ndim == 2 else None))

    record = fit(model, noisy, recipe, seed, n_val=n_val, device=best_device(), watch=watch)
    found, predicted = zip(*seen)
    predictions = None if predicted[0] is None else np.array(predicted)[None]
    return record, Record(record.times, noisy.y_test[None], noisy.y_test_obs[None], np.array(found)[None],
                          predictions=predictions, runs=record.runs)


def loss_runs(data: LabelledImages, noise: float | MatrixNoise, seeds: Sequence[int], *, n_val: int = 0, **changes
              ) -> tuple[Record, Record]:
    """Records of `loss_run` on training and on test images, of one run for each seed."""
    tests = {}

    def run(seed):
        record, tests[seed] = loss_run(data, noise, seed, n_val=n_val, **changes)
        return record

    return side_by_side(run, seeds), concatenate([tests[seed] for seed in seeds])


def loss_cell(dataset: str, kind: str, rate: float, seed: int, *, n_train: int = 0, epochs: int = 0) -> list[dict]:
    """Rows of one run for a recorded table, one for each measured epoch.

    They hold distances on training and on test images, purity gain, accuracies and loss levels. The last third of the
    test images is the validation set.

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
    n_train, epochs
        0 for all images, and for the usual epochs.
    """
    data = _load(checks.one_of("dataset", dataset, DATASETS))
    data = data.subset(n_train) if n_train else data
    noise = KINDS[checks.one_of("kind", kind, KINDS)](rate)
    train, test = loss_run(data, noise, seed, n_val=len(data.y_test) // 3, **({"epochs": epochs} if epochs else {}))
    columns = {"epoch": train.times, "purity_gain": purity_gain(train)[0], "accuracy": 1 - train.fresh_error[0],
               "validation": 1 - train.validation_error[0], "validation_noisy": 1 - train.validation_observed_error[0]}
    for name, record in (("", train), ("test_", test)):
        found = distances_over_time(record)
        columns |= {f"{name}{key}": value[0] for key, value in found._asdict().items()}
        for group, chosen in (("clean", ~record.flipped[0]), ("noisy", record.flipped[0])):
            columns[f"{name}{group}_loss"] = np.median(record.losses[0][:, chosen], axis=1)
    columns["clean_fitted"], columns["noisy_fitted"] = (train.mean_over(train.fits_observed, group)[0]
                                                        for group in ("clean", "noisy"))
    return [dict(zip(columns, map(float, row))) | {"epoch": int(row[0]), "seconds": train.config["seconds"]}
            for row in zip(*columns.values())]


def _load(dataset: str) -> LabelledImages:
    if dataset == "ten digits":
        return load_digit_classes()
    if dataset == "even or odd":
        return load_digits()
    variable = {"MNIST": MNIST_VARIABLE, "CIFAR-10": CIFAR10_VARIABLE}[dataset]
    path = os.environ.get(variable)
    checks.require(bool(path), variable, path, f"the path of {dataset}'s files, as helpers.data reads them")
    return load_mnist(path) if dataset == "MNIST" else load_image_classes()
