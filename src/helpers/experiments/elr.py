"""Cross-entropy against early-learning regularisation on images: the runs of chapter 17 and the published table."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import nn

from helpers import checks
from helpers.data.datasets import load_image_classes
from helpers.data.images import LabelledImages, shrunk
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import SymmetricRedraw
from helpers.experiments.settings import Setting, record_epochs, setting, small_cnn
from helpers.record import Record
from helpers.runtime import best_device
from helpers.training.elr_plus import ELRPlus
from helpers.training.loop import Recipe, fit, side_by_side
from helpers.training.losses import ELR, CrossEntropy
from helpers.training.models import Pair

LOSSES = {"cross-entropy": CrossEntropy(), "ELR": ELR(strength=3.0, momentum=0.7)}
SECOND = 1000  # between the seeds of the two networks under ELR+
MARKS = (0, 1, 2, 3, 5, 8, 12, 16, 20, 25, 30, 40, 60, 80, 100, 120)  # epochs at which a run is measured
PUBLISHED = pd.DataFrame({"cross-entropy": [86.98, 81.88, 74.14, 53.82], "ELR": [91.16, 89.15, 86.12, 73.86]},
                         index=pd.Index([0.2, 0.4, 0.6, 0.8], name="nominal rate")).rename_axis(columns="loss")


def elr_run(data: LabelledImages, rate: float, loss: CrossEntropy | ELR | ELRPlus, seed: int, **changes) -> Record:
    """Record of one run with symmetric noise in the paper's convention, labels redrawn from all classes.

    On CIFAR-10 in the full profile it is the paper's ResNet-34 with the paper's recipe; otherwise a `SmallCNN` that a
    CPU can train. Nothing is augmented.

    Parameters
    ----------
    data
        "ten digits" or "CIFAR-10".
    rate
        the nominal noise rate.
    loss
        under `ELRPlus` there are two networks, the second with initial weights of its own.
    seed
        of the noise, the weights and the batches.
    changes
        fields of the `Recipe`.
    """
    chosen = setting("elr", data)
    recipe = replace(chosen.recipe, loss=loss, **changes)
    noisy = add_label_noise(data, SymmetricRedraw(rate), seed=seed)
    return fit(_network(chosen, noisy, loss, seed), noisy, recipe, seed,
               record_at=record_epochs(recipe.epochs, marks=MARKS), device=best_device())


def elr_runs(data: LabelledImages, rate: float, loss: CrossEntropy | ELR | ELRPlus, seeds: Iterable[int], **changes
             ) -> Record:
    """Record of one `elr_run` for each seed; a seed has the same labels, weights and batches whatever the loss."""
    return side_by_side(lambda seed: elr_run(data, rate, loss, seed, **changes), seeds)


def _network(chosen: Setting, data: LabelledImages, loss: CrossEntropy | ELR | ELRPlus, seed: int) -> nn.Module:
    """The network of a setting, or the two that train together under ELR+."""
    first = chosen.network(data, seed)
    return Pair(first, chosen.network(data, seed + SECOND)) if isinstance(loss, ELRPlus) else first


def elr_cell(loss: str, rate: float, seed: int, *, n_train: int = 20_000, side: int | None = None, width: int = 32,
             epochs: int = 30, lr: float = 0.03, augment: bool = False, precision: str = "auto") -> list[dict]:
    """Rows of one run on the ten classes of `load_image_classes` for a recorded table, one for each measured epoch.

    Parameters
    ----------
    loss
        "cross-entropy", "ELR" or "ELR+"; the last averages weights over an epoch, about the paper's span, and ramps up
        over half of the steps, as there.
    rate, seed
        as of `elr_run`.
    n_train
        training images.
    side
        images are shrunk to so many pixels a side, by default not at all.
    width
        of the `SmallCNN`.
    epochs, lr, augment
        fields of the `Recipe`.
    precision
        as of `fit`.

    Returns
    -------
    list
        Rows with epoch, test accuracy, the `label_shares` of noisy and of clean samples, the realised flip rate and the
        seconds of the run.
    """
    data = load_image_classes()
    data = data.subset(min(checks.integer("n_train", n_train), data.n))
    noisy = add_label_noise(data if side is None else shrunk(data, side), SymmetricRedraw(rate), seed=seed)
    steps = -(-noisy.n // Recipe.batch_size)
    losses = LOSSES | {"ELR+": ELRPlus(strength=3.0, momentum=0.7, average=1 - 1 / steps, ramp=epochs * steps // 2)}
    recipe = Recipe(epochs=epochs, lr=lr, augment=augment, loss=losses[checks.one_of("loss", loss, losses)])
    record = fit(_network(small_cnn(width, recipe), noisy, recipe.loss, seed), noisy, recipe, seed,
                 record_at=record_epochs(epochs, marks=MARKS), device=best_device(), precision=precision)
    columns = {"accuracy": 1 - record.fresh_error[0]}
    for which in ("noisy", "clean"):
        columns |= {f"{which} {name}": share[0] for name, share in label_shares(record, which).items()}
    fixed = {"flip rate": float(record.flipped.mean()), "seconds": record.config["seconds"]}
    return [{"epoch": int(epoch), **{name: float(values[k]) for name, values in columns.items()}, **fixed}
            for k, epoch in enumerate(record.times)]


def label_shares(record: Record, which: str) -> dict[str, Float[np.ndarray, "runs T"]]:
    """Shares of the "noisy" or "clean" samples that the network reads as one label or the other.

    "observed" and "true" are the shares read as the observed and as the true label, "other" is that of samples read as
    a class that is neither. Of clean samples "observed" is not listed.
    """
    checks.one_of("which", which, ("noisy", "clean"))
    true = record.mean_over(record.fits_true, which)
    if which == "clean":
        return {"true": true, "other": 1 - true}
    observed = record.mean_over(record.fits_observed, which)
    return {"observed": observed, "true": true, "other": 1 - observed - true}
