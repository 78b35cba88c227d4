"""Cross-entropy against early-learning regularisation on images: the runs of chapter 17 and the published table.

Every method is one of `elr_losses`: cross-entropy, cross-entropy with each ingredient that ELR+ adds, ELR, ELR+, and
ELR+ without each of its parts.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import nn

from helpers import checks
from helpers.data.datasets import CIFAR10_VARIABLE, load_ten_class_dataset
from helpers.data.images import LabelledImages, shrink_images
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import AsymmetricCIFAR10Noise, RatedNoise, SymmetricRedrawNoise
from helpers.data.subsets import hold_out
from helpers.entry import entry
from helpers.experiments.ranges import check_ranges
from helpers.experiments.settings import Setting, setting, setting_epochs, small_cnn_setting
from helpers.record import Record
from helpers.runtime import best_device
from helpers.training.elr_plus import RELEASED_EPOCHS, RELEASED_IMAGES, ELRPlus
from helpers.training.loop import fit, fit_side_by_side
from helpers.training.losses import CrossEntropy, ELRLoss
from helpers.training.models import ModelPair
from helpers.training.recipe import Recipe

AnyLoss = CrossEntropy | ELRLoss | ELRPlus
LOSSES = {"cross-entropy": CrossEntropy(), "ELR": ELRLoss(strength=3.0, momentum=0.7)}
INGREDIENTS = ("mixup", "averaged weights", "two networks")  # that ELR+ adds to ELR
METHODS = ("cross-entropy", *(f"cross-entropy with {name}" for name in INGREDIENTS), "ELR", "ELR+",
           "ELR+ without the term", *(f"ELR+ without {name}" for name in INGREDIENTS))
SYMMETRIC, ASYMMETRIC = {"strength": 3.0, "momentum": 0.7}, {"strength": 1.0, "momentum": 0.9}  # the paper's, CIFAR-10
NOISES = {f"symmetric {rate}": SymmetricRedrawNoise(rate) for rate in (0.2, 0.4, 0.6, 0.8)}
NOISES |= {"asymmetric 0.4": AsymmetricCIFAR10Noise(0.4)}
# The step size of each method, by noise: chosen_steps of the recorded table "elr_steps". After a new recording of it,
# write its choice here and record "elr" anew.
CHOSEN_STEPS = {"symmetric 0.4": dict.fromkeys(METHODS, 0.03) | dict.fromkeys(
    ("ELR+", "ELR+ without the term", *(f"ELR+ without {name}" for name in INGREDIENTS)), 0.1)}
PUBLISHED_DROP = 150 / 200  # of the epochs, after which the released ELR+ divides the step size by ten
HELD_OUT = 0.1  # share of the training images whose noisy labels serve for validation, as published
SECOND = 1000  # between the seeds of the two networks under ELR+
MARKS = (0, 1, 2, 3, 5, 8, 12, 16, 20, 25, 30, 40, 60, 80, 100, 120)  # epochs at which a run is measured
PUBLISHED = pd.DataFrame({"cross-entropy": [86.98, 81.88, 74.14, 53.82], "ELR": [91.16, 89.15, 86.12, 73.86]},
                         index=pd.Index([0.2, 0.4, 0.6, 0.8], name="nominal rate")).rename_axis(columns="loss")
# Their ablation: test accuracy at symmetric noise, by nominal rate; a row without the term is not in it.
PUBLISHED_PARTS = pd.DataFrame(
    {0.4: [90.83, 93.68, 92.95, 93.51, 93.04], 0.8: [72.54, 88.62, 80.13, 84.75, 87.23]},
    index=["ELR", "ELR+", *(f"ELR+ without {name}" for name in INGREDIENTS)]).rename_axis(columns="nominal rate")


def elr_losses(n: int, recipe: Recipe, *, strength: float = 3.0, momentum: float = 0.7) -> dict[str, AnyLoss]:
    """The loss of each of METHODS for n training samples under `recipe`, of which epochs and batch size count.

    Ramp and averaging are those of `ELRPlus.for_run`. Tested are the networks as they are, as in the authors' code,
    but for "cross-entropy with averaged weights", whose averaged weights serve nothing else.
    """
    plus = ELRPlus.for_run(n, epochs=recipe.epochs, batch_size=recipe.batch_size, strength=strength, momentum=momentum)
    plain = replace(plus, strength=0.0, mixup=0.0, networks=1)
    without = [{"mixup": 0.0}, {"average": 0.0, "ramp": 0}, {"networks": 1}]  # in the order of INGREDIENTS
    added = [{"mixup": plus.mixup}, {"tested": "averaged"}, {"networks": 2}]
    found = {"cross-entropy": CrossEntropy(), "ELR": ELRLoss(strength=strength, momentum=momentum), "ELR+": plus,
             "ELR+ without the term": replace(plus, strength=0.0)}
    found |= {f"cross-entropy with {name}": replace(plain, **change) for name, change in zip(INGREDIENTS, added)}
    found |= {f"ELR+ without {name}": replace(plus, **change) for name, change in zip(INGREDIENTS, without)}
    return {name: found[name] for name in METHODS}


def elr_run(data: LabelledImages, rate: float, loss: AnyLoss | str, seed: int, *, n_val: int = 0,
            **changes) -> Record:
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
        a loss, or one of METHODS, which stands for that of `elr_losses`. Where it asks for two networks, the second has
        initial weights of its own.
    seed
        of the noise, the weights and the batches.
    n_val
        so many training images are held out, with their noisy labels.
    changes
        fields of the `Recipe`.
    """
    chosen = setting("elr", data)
    noisy = add_label_noise(data, SymmetricRedrawNoise(rate), seed=seed)
    noisy = hold_out(noisy, n_val) if checks.integer("n_val", n_val, 0) else noisy
    recipe = replace(chosen.recipe, **changes)
    if isinstance(loss, str):
        loss = elr_losses(noisy.n, recipe)[checks.one_of("loss", loss, METHODS)]
    recipe = replace(recipe, loss=loss)
    return fit(_network(chosen, noisy, loss, seed), noisy, recipe, seed, n_val=n_val,
               record_at=setting_epochs(recipe.epochs, marks=MARKS), device=best_device())


@entry
def elr_runs(data: LabelledImages, rate: float, loss: AnyLoss | str, seeds: Iterable[int], *, n_val: int = 0,
             **changes) -> Record:
    """Record of one `elr_run` for each seed; a seed has the same labels, weights and batches whatever the loss."""
    check_ranges(rate=rate, seeds=seeds, n_val=n_val)
    if isinstance(loss, str):
        checks.one_of("loss", loss, METHODS)
    return fit_side_by_side(lambda seed: elr_run(data, rate, loss, seed, n_val=n_val, **changes), seeds)


def _network(chosen: Setting, data: LabelledImages, loss: AnyLoss, seed: int) -> nn.Module:
    """The network of a setting, or the two that train together."""
    first = chosen.network(data, seed)
    two = isinstance(loss, ELRPlus) and loss.networks == 2
    return ModelPair(first, chosen.network(data, seed + SECOND)) if two else first


@entry
def elr_cell(loss: str, noise: str, seed: int, *, n_train: int = 20_000, side: int = 16, width: int = 32,
             epochs: int = 40, augment: bool = True, lr: float | None = None, precision: str = "auto") -> list[dict]:
    """Rows of one run on the ten classes of `load_ten_class_dataset` for a recorded table, one for each measured epoch.

    The recipe is the released one of ELR+ on CIFAR-10 (`elr_recipe`), on a `SmallCNN`.

    Parameters
    ----------
    loss
        one of METHODS; for asymmetric noise with the paper's strength and momentum for it.
    noise
        one of NOISES. Symmetric labels are redrawn from all classes.
    seed
        of the noise, the weights and the batches.
    n_train
        training images, of which the last tenth is held out from every method, with noisy labels.
    side
        images are shrunk to so many pixels a side.
    width
        of the network.
    epochs
        passes over the training images that are left.
    augment
        train on crops and mirror images, as published. Without them small networks memorise within these epochs.
    lr
        the first step size; by default that of CHOSEN_STEPS.
    precision
        as of `fit`.

    Returns
    -------
    list
        Rows with epoch, test accuracy on true labels, validation accuracy on the observed labels, the
        `elr_run_label_shares` of noisy and of clean samples, the realised flip rate, the step size and the seconds of
        the run.
    """
    check_ranges(seed=seed, n_train=n_train, side=side, width=width, epochs=epochs, lr=lr, precision=precision)
    checks.one_of("loss", loss, METHODS)
    checks.one_of("noise", noise, NOISES)
    noisy = add_label_noise(_small_images(n_train, side, os.environ.get(CIFAR10_VARIABLE)),
                            NOISES[checks.one_of("noise", noise, NOISES)], seed=seed)
    n_val = round(HELD_OUT * noisy.n)
    noisy, step = hold_out(noisy, n_val), lr or CHOSEN_STEPS[checks.one_of("noise", noise, CHOSEN_STEPS)][loss]
    recipe = replace(elr_recipe(epochs, step, side), augment=augment)
    recipe = replace(recipe, loss=_losses_for(NOISES[noise], noisy.n, recipe)[checks.one_of("loss", loss, METHODS)])
    record = fit(_network(small_cnn_setting(width, recipe), noisy, recipe.loss, seed), noisy, recipe, seed, n_val=n_val,
                 record_at=setting_epochs(epochs, marks=(0, 1, 2, 3, *range(4, epochs, 2))), device=best_device(),
                 precision=precision)
    columns = {"accuracy": 1 - record.fresh_error[0], "observed validation": 1 - record.validation_observed_error[0]}
    for which in ("noisy", "clean"):
        columns |= {f"{which} {name}": share[0] for name, share in elr_run_label_shares(record, which).items()}
    fixed = {"flip rate": float(record.flipped.mean()), "step": step, "seconds": record.config["seconds"]}
    return [{"epoch": int(epoch), **{name: float(values[k]) for name, values in columns.items()}, **fixed}
            for k, epoch in enumerate(record.times)]


def elr_recipe(epochs: int, lr: float, side: int) -> Recipe:
    """The released recipe of ELR+ for CIFAR-10, in shares of the epochs and of the image's side: weight decay, batches
    of 128, a tenth of the step size for the last quarter, crops of images padded by an eighth, mirror images."""
    return Recipe(epochs=epochs, lr=lr, weight_decay=5e-4, batch_size=128, milestones=(round(PUBLISHED_DROP * epochs),),
                  augment=True, padding=max(side // 8, 1))


@entry
def elr_scale(recorded: pd.DataFrame, made: dict, data: LabelledImages, *, n_val: int = 0) -> pd.DataFrame:
    """The published runs of ELR+, the recorded ones and those of `elr_run`, side by side.

    Parameters
    ----------
    recorded, made
        the recorded table "elr", and what its file says of how it was made.
    data, n_val
        as of `elr_run`.
    """
    check_ranges(n_val=n_val)
    for name in ("step", "seed"):
        checks.require(name in recorded, "recorded", list(recorded), f"the table elr, with a column {name}")
    checks.require({"grid", "arguments"} <= made.keys(), "made", made, "what the table elr's file says")
    chosen = setting("elr", data)
    one = {name: values[0] for name, values in made["grid"].items() if len(values) == 1}
    one = made["arguments"] | one
    recipe = replace(elr_recipe(one["epochs"], 0.1, one["side"]), augment=one["augment"])
    held = round(HELD_OUT * one["n_train"])
    steps = sorted(recorded.step.unique())
    columns = {
        "published, ELR+": ("PreAct ResNet-18", RELEASED_IMAGES, 5_000, 32, None,
                            elr_recipe(RELEASED_EPOCHS, 0.02, 32), "0.02"),
        "recorded here": (f"small CNN, width {one['width']}", one["n_train"] - held, held, one["side"],
                          recorded.seed.nunique(), recipe, " or ".join(f"{step:g}" for step in steps)),
        "on this page": (chosen.name, data.n - n_val, n_val, data.image_shape[1], None, chosen.recipe,
                         f"{chosen.recipe.lr:g}")}
    return pd.DataFrame({name: _scale(*values) for name, values in columns.items()})


def _scale(network: str, n: int, held: int, side: int, seeds: int | None, recipe: Recipe, step: str) -> dict[str, str]:
    """What one column of `elr_scale` says."""
    drop = f"; {recipe.decay:g} times it from epoch {recipe.milestones[0]}" if recipe.milestones else ""
    return {"network": network, "images": f"{n:,}", "held out, noisy labels": f"{held:,}", "side": str(side),
            "epochs": str(recipe.epochs), "steps": f"{recipe.epochs * -(-n // recipe.batch_size):,}",
            "step size": step + drop, "weight decay": f"{recipe.weight_decay:g}", "batch": str(recipe.batch_size),
            "crops and mirror images": "yes" if recipe.augment else "no", "seeds": "" if seeds is None else str(seeds)}


@entry
def chosen_steps(steps: pd.DataFrame) -> dict[str, dict[str, float]]:
    """By noise and method, the step size whose runs come to the lowest observed validation error at any recorded epoch.

    Errors are means over seeds; of equal ones the smallest step counts.

    Parameters
    ----------
    steps
        rows of `elr_cell` at several step sizes, on seeds of their own.
    """
    wanted = ["noise", "loss", "step", "seed", "observed validation"]
    known = len(steps) > 0 and set(wanted) <= set(steps)
    checks.require(known, "steps", list(steps), f"rows with the columns {wanted}")
    best = steps.groupby(["noise", "loss", "step", "seed"])["observed validation"].max()
    means = best.groupby(["noise", "loss", "step"]).mean().unstack()
    return {noise: rows.droplevel(0).idxmax(axis=1).to_dict() for noise, rows in means.groupby(level=0)}


def _losses_for(noise: RatedNoise, n: int, recipe: Recipe) -> dict[str, AnyLoss]:
    values = ASYMMETRIC if isinstance(noise, AsymmetricCIFAR10Noise) else SYMMETRIC
    return elr_losses(n, recipe, **values)


@lru_cache(maxsize=1)
def _small_images(n_train: int, side: int, path: str | None) -> LabelledImages:
    """`load_ten_class_dataset`, some of them, shrunk; `path` is what the variable says, so that another file counts."""
    data = load_ten_class_dataset()
    return shrink_images(data.subset(min(checks.integer("n_train", n_train), data.n)), side)


@entry
def elr_run_label_shares(record: Record, which: str) -> dict[str, Float[np.ndarray, "runs T"]]:
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
