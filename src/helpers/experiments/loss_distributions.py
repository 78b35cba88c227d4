"""How far apart the losses of clean and of noisy samples lie over a run, and what a selection by loss can gain from it
(chapter 14, after the abstract of Lim, Han and Lee 2020): distances, the losses of soft labels, the law of pair flips,
and the chapter's runs.
"""

import os
from dataclasses import replace

import numpy as np
import torch

from helpers import checks
from helpers.data.datasets import load_digit_classes, load_image_classes, load_mnist
from helpers.data.images import CIFAR10_VARIABLE, class_index, load_digits
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import PairFlip, Symmetric
from helpers.reading.distances import distances_over_time, purity_gain
from helpers.record import Record, concatenate
from helpers.runtime import best_device
from helpers.training.loop import Recipe, fit, side_by_side
from helpers.training.losses import margins
from helpers.training.models import SmallCNN
from helpers.training.predictions import outputs, standardise

KINDS = {"symmetric": Symmetric, "pair": PairFlip}
MNIST_VARIABLE = "SIGNAL_FIRST_MNIST"
# data.name -> channels of the first convolution, and the recipe
SETTINGS = {"ten digits": (16, Recipe(epochs=40, lr=0.05)), "handwritten digits": (16, Recipe(epochs=40, lr=0.05)),
            "MNIST": (16, Recipe(epochs=40, lr=0.05)), "CIFAR-10": (32, Recipe(epochs=60, lr=0.03))}


def loss_run(data, noise, seed, *, n_val=0, width=None, **changes):
    """(train, test): Records of one SmallCNN on `data` with wrong labels, on its training and on its test images.

    The test images' wrong labels are drawn afresh from the same noise, and no network has seen them: what the losses
    on them show is not memorised. The seed is of the labels, the weights and the batches.

    width, changes : of SETTINGS by default; changes are fields of the Recipe.
    """
    standard, recipe = SETTINGS[data.name]
    recipe, noisy = replace(recipe, **changes), add_label_noise(data, noise, seed=seed)
    model = SmallCNN(data.image_shape, width=width or standard, seed=seed,
                     n_outputs=1 if data.n_classes == 2 else data.n_classes)
    x = torch.from_numpy(standardise(data.x, data.x_test)[1])
    labels, seen = torch.from_numpy(class_index(noisy.y_test_obs, data.n_classes)), []

    def watch(epoch, model):
        f = outputs(model, x.to(best_device()), epoch=epoch, n_classes=data.n_classes).cpu()
        seen.append((margins(f, labels).numpy(), f.argmax(1).numpy() if f.ndim == 2 else None))

    record = fit(model, noisy, recipe, seed, n_val=n_val, device=best_device(), watch=watch)
    found, predicted = zip(*seen)
    predictions = None if predicted[0] is None else np.array(predicted)[None]
    return record, Record(record.times, noisy.y_test[None], noisy.y_test_obs[None], np.array(found)[None],
                          predictions=predictions, runs=record.runs)


def loss_runs(data, noise, seeds, *, n_val=0, **changes):
    """(train, test) Records of `loss_run`, one run a seed."""
    tests = {}

    def run(seed):
        record, tests[seed] = loss_run(data, noise, seed, n_val=n_val, **changes)
        return record

    return side_by_side(run, seeds), concatenate([tests[seed] for seed in seeds])


def loss_cell(dataset, kind, rate, seed, *, n_train=0, epochs=0):
    """Rows of one run for a recorded table, one for each measured epoch: distances on training and on test images,
    purity gain, accuracies, loss levels.

    dataset : "ten digits", "even or odd", "MNIST" or "CIFAR-10"; the last two from the files that SIGNAL_FIRST_MNIST
    and SIGNAL_FIRST_CIFAR10 name. kind : "symmetric" or "pair". n_train, epochs : 0 for all images, the usual epochs.
    The last third of the test images is the validation set. Raises ValueError.
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


DATASETS = ("ten digits", "even or odd", "MNIST", "CIFAR-10")


def _load(dataset):
    if dataset == "ten digits":
        return load_digit_classes()
    if dataset == "even or odd":
        return load_digits()
    variable = {"MNIST": MNIST_VARIABLE, "CIFAR-10": CIFAR10_VARIABLE}[dataset]
    path = os.environ.get(variable)
    checks.require(bool(path), variable, path, f"the path of {dataset}'s files, as helpers.datasets reads them")
    return load_mnist(path) if dataset == "MNIST" else load_image_classes()
