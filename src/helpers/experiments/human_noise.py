"""Label noise as people make it (chapter 17): raters who look at the image, and controls that do not.

A rater's label of image i follows a law p_i over the K classes; q_i = 1 - p_i(y_i) is the chance of a mistake. Laws are
(n, K), `true` is (n,) positions 0 to K - 1, and `ratings` is (raters, n) of such positions, one row a rater.
"""

import os

import numpy as np

from helpers import checks
from helpers.data.cifar10n import human_labels
from helpers.data.datasets import load_cifar10
from helpers.data.images import CIFAR10_VARIABLE, shrunk
from helpers.data.raters import loosened
from helpers.data.subsets import hold_out
from helpers.reading.selection import quality, ranking_auc, small_loss
from helpers.reading.stopping import at
from helpers.reading.times import crest
from helpers.record import log_times
from helpers.runtime import best_device
from helpers.training.loop import Recipe, fit
from helpers.training.models import SmallCNN

WIDTH, RECIPE = 16, Recipe(epochs=25, lr=0.1)  # of the network on the digits


def summary(record):
    """{name: (runs,)} what the two stages left of a run on noisy labels, with its two test accuracies.

    At the crest: "read truly" and "copied" (shares of the noisy samples), "AUC" of the losses, "caught" (share of the
    noisy samples among as many of largest loss), "loss gap" (mean noisy minus mean clean loss). "memorised" is the
    share of noisy samples that fit their observed label at the end, "best" and "last" are test accuracies.
    """
    top, noisy = crest(record), lambda values: record.mean_over(values, "noisy")
    gap = noisy(record.losses) - record.mean_over(record.losses, "clean")
    caught = [quality(small_loss(loss, 1 - flipped.mean()), flipped).recall
              for loss, flipped in zip(at(record.losses, top), record.flipped)]
    return {"crest": record.times[top], "read truly": at(noisy(record.fits_true), top),
            "copied": at(noisy(record.fits_observed), top), "AUC": at(ranking_auc(record), top),
            "caught": np.array(caught), "loss gap": at(gap, top), "memorised": noisy(record.fits_observed)[:, -1],
            "best": 1 - record.fresh_error.min(1), "last": 1 - record.fresh_error[:, -1]}


def noise_run(data, seed, *, width=WIDTH, recipe=RECIPE, n_val=100):
    """Record of one SmallCNN trained on `data`, whose last n_val training images are held out (`hold_out`).

    Recorded are about twenty epochs on a logarithmic axis. The defaults are those of the digits.
    """
    held = hold_out(data, n_val)
    model = SmallCNN(held.image_shape, width=width, seed=seed, n_outputs=held.n_classes)
    return fit(model, held, recipe, seed, record_at=log_times(recipe.epochs, count=20), n_val=n_val,
               device=best_device())


def cifar10n_cell(kind, keep, seed, *, n_train=10_000, side=16, width=16, epochs=25, lr=0.05, n_val=1000):
    """One row of `summary` for CIFAR-10N: labels `kind` (human_labels), of whose tie to the image `keep` stays.

    n_train + n_val images are drawn by `seed`, the same ones for all kinds; side 16 averages squares of 2 by 2 pixels.
    Reads the files that SIGNAL_FIRST_CIFAR10 and SIGNAL_FIRST_CIFAR10N name. Adds the realised "flip rate", the
    "crest" in epochs, and the test accuracy at the lowest error on the n_val observed labels ("noisy validation").
    """
    path = os.environ.get(CIFAR10_VARIABLE)
    checks.require(bool(path), CIFAR10_VARIABLE, path, "set to the files of CIFAR-10 (helpers.datasets.load_cifar10)")
    data = human_labels(load_cifar10(path), kind).subset(n_train + n_val, seed=seed)
    data = loosened(shrunk(data, checks.one_of("side", side, (16, 32))), keep, seed)
    record = noise_run(data, seed, width=width, recipe=Recipe(epochs=epochs, lr=lr), n_val=n_val)
    stop = record.validation_observed_error.argmin(1)
    values = summary(record) | {"flip rate": record.flipped.mean(1),
                                "noisy validation": 1 - record.fresh_error[0, stop]}
    return {name: float(value[0]) for name, value in values.items()}
