"""The image experiment of Han et al. (2025) at its own size: VGG-11 as the released code builds it, on all training
images of two classes of CIFAR-10, with wrong labels and without (chapter 13).
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.ndimage import sobel
from scipy.stats import spearmanr
from torch import nn

from helpers import checks
from helpers.data.datasets import load_two_class_dataset
from helpers.data.images import LabelledImages, class_index
from helpers.data.label_noise import add_label_noise
from helpers.data.subsets import hold_out
from helpers.experiments.deep_networks import deep_ten_way
from helpers.experiments.settings import setting_epochs
from helpers.reading.attribution import attribution_effective_share, attribution_maps, attribution_net_share
from helpers.reading.selection import select_below_log2, selection_quality
from helpers.reading.stopping import TRAINING_ONLY, stop_at_plateau
from helpers.record import Record
from helpers.runtime import best_device
from helpers.streams import random_stream
from helpers.training.batches import standardise
from helpers.training.checkpoints import checkpoint_folder
from helpers.training.loop import fit
from helpers.training.models import vgg
from helpers.training.recipe import Recipe

# Batches of 60, 60 epochs, no weight decay and a constant step are the defaults of the released training script, whose
# default optimiser is Adam; the paper says SGD and no step. Momentum is ours: without it the small initial outputs
# keep the network on its first plateau for most of the epochs.
RECIPE = Recipe(epochs=60, lr=0.02, momentum=0.9, batch_size=60)
STEPS = (0.01, 0.02, 0.05)
CHOSEN_STEPS = {0.0: 0.01, 0.2: 0.01}  # by flip rate, the `chosen_step` of the recorded table paper_steps


def paper_images(flip_rate: float, seed: int, *, n_train: int = 10_000, n_outputs: int = 10) -> LabelledImages:
    """The training images with exactly round(flip_rate n) wrong labels, before a head of two logits or of ten."""
    data = load_two_class_dataset()
    data = data.subset(min(checks.integer("n_train", n_train), data.n))
    data = add_label_noise(data, flip_rate, seed=seed, draw="exact")
    return deep_ten_way(data) if checks.one_of("n_outputs", n_outputs, (2, 10)) == 10 else data


def paper_image_run(data: LabelledImages, seed: int, recipe: Recipe, *, width: int = 64, n_val: int = 0,
                    precision: str = "bfloat16", record_at: ArrayLike | None = None) -> tuple[Record, nn.Module]:
    """Record of one VGG-11 with the released initialisation, and the network at the end of the run.

    Parameters
    ----------
    data
        as from `paper_images`.
    seed
        of weights, batches and dropout.
    recipe
        how to train.
    width
        64 is VGG-11; less is for tests.
    n_val
        images held out of the training set for validation.
    precision, record_at
        as of `fit`; by default the epochs of `setting_epochs`.
    """
    record_at = setting_epochs(recipe.epochs) if record_at is None else record_at
    model = vgg(data.image_shape, data.n_classes, width=width, seed=seed, init="released")
    record = fit(model, hold_out(data, n_val) if n_val else data, recipe, seed, record_at=record_at, n_val=n_val,
                 log_training=True, device=best_device(), precision=precision, checkpoint=checkpoint_folder())
    return record, model


def paper_step_cell(lr: float, flip_rate: float, seed: int, *, epochs: int = 12, n_train: int = 4000,
                    n_val: int = 500, width: int = 64, precision: str = "bfloat16") -> dict[str, float]:
    """How good a step size is, told by observed labels alone, for `chosen_step`.

    Parameters
    ----------
    lr, flip_rate, seed
        of the run; the seed is none of those whose runs are shown.
    epochs, n_train, n_val, width, precision
        of the run; the n_val images are part of the n_train.

    Returns
    -------
    dict
        The lowest error on the held-out observed labels, looked at every third epoch, that epoch, and the seconds. A
        run that diverges has error 1.
    """
    recipe, data = replace(RECIPE, lr=lr, epochs=epochs), paper_images(flip_rate, seed, n_train=n_train)
    try:
        record, _ = paper_image_run(data, seed, recipe, width=width, n_val=n_val, precision=precision,
                                    record_at=sorted({*range(0, epochs, 3), epochs}))
    except FloatingPointError:
        return {"validation error": 1.0, "epoch": -1, "seconds": 0.0}
    error = record.validation_observed_error[0]
    return {"validation error": float(error.min()), "epoch": int(record.times[error.argmin()]),
            "seconds": record.config["seconds"]}


def chosen_step(flip_rate: float, steps: pd.DataFrame) -> float:
    """The step of lowest mean "validation error" at this rate in a table of `paper_step_cell`; of equals the larger."""
    errors = steps[steps.flip_rate == flip_rate].groupby("lr")["validation error"].mean()
    checks.require(len(errors) > 0, "flip_rate", flip_rate, f"one of {sorted(set(steps.flip_rate))}")
    return float(errors[::-1].idxmin())


def paper_image_cell(flip_rate: float, seed: int, *, n_outputs: int = 10, lr: float | None = None,
                     epochs: int = RECIPE.epochs, n_train: int = 10_000, width: int = 64, per_group: int = 100,
                     n_background: int = 20, noisy_rate: float = 0.2, precision: str = "bfloat16") -> list[dict]:
    """Rows of one run for a recorded table, one for each measured epoch.

    Parameters
    ----------
    flip_rate, seed, n_outputs, n_train
        as of `paper_images`.
    lr, epochs
        fields of the `Recipe`; by default the step in `CHOSEN_STEPS`.
    width, precision
        as of `paper_image_run`.
    per_group, n_background
        training images explained of each kind at the end, as in the released code, and clean ones behind them (100
        there).
    noisy_rate
        the rate whose wrong labels say which images are explained as noisy, also in a run without flips.

    Returns
    -------
    list
        Rows with the epoch. For "clean", "noisy" and "all" training samples: accuracy on observed labels "logged" (by
        the forward passes of the epoch, dropout on, as the released code does) and at fixed weights, the share read
        truly, and the mean loss. "test" accuracy; what log 2 catches, loses and leaves; the step at which each rule
        stops, and `explanations` of the last network, the same in each row of a run.
    """
    data = paper_images(flip_rate, seed, n_train=n_train, n_outputs=n_outputs)
    lr = CHOSEN_STEPS[checks.one_of("flip_rate", flip_rate, CHOSEN_STEPS)] if lr is None else lr
    recipe = replace(RECIPE, lr=lr, epochs=epochs)
    record, model = paper_image_run(data, seed, recipe, width=width, precision=precision)
    columns = {"test": 1 - record.fresh_error[0]}
    for which in ("clean", "noisy", "all"):
        for name, values in (("logged", record.logged_fits), ("fits", record.fits_observed),
                             ("true", record.fits_true), ("loss", record.losses)):
            columns[f"{which} {name}"] = record.mean_over(values, which)[0]
    chosen = selection_quality(select_below_log2(record.losses), record.flipped[:, None])
    columns |= {"caught": chosen.recall[0], "lost": chosen.lost[0], "noise left": 1 - chosen.purity[0]}
    stops = {"plateau": stop_at_plateau(record, flip_rate)} | {name: rule(record)
                                                               for name, rule in TRAINING_ONLY.items()}
    fixed = {f"stop, {name}": int(record.times[stop[0]]) for name, stop in stops.items()}
    groups = paper_images(noisy_rate, seed, n_train=n_train).flipped
    fixed |= explanations(model, data, groups, seed, per_group=per_group, n_background=n_background)
    fixed |= {"lr": lr, "seconds": record.config["seconds"]}
    return [{"epoch": int(epoch), **{name: float(values[k]) for name, values in columns.items()}, **fixed}
            for k, epoch in enumerate(record.times)]


def explanations(model: nn.Module, data: LabelledImages, noisy: Float[np.ndarray, " n"], seed: int, *,
                 per_group: int = 100, n_background: int = 20) -> dict[str, float]:
    """How messy the maps of training images are, toward their true class.

    The maps are expected gradients: DeepLIFT, which the released code uses, does not add up through max pooling.

    Parameters
    ----------
    model
        the network.
    data
        its training set.
    noisy
        mask of the images that count as noisy.
    seed
        of the choice of images.
    per_group, n_background
        how many images of each kind are explained, and how many clean ones stand behind them.

    Returns
    -------
    dict
        For "noisy" and "clean" images the means of `attribution_effective_share`, of `attribution_net_share`, and of
        `outline`, the rank correlation over the pixels between the absolute map and the edges of the image (Sobel).
    """
    rng, device = random_stream(seed, "images explained"), next(model.parameters()).device
    clean = rng.permutation(np.flatnonzero(~noisy))
    background, clean = np.split(clean, [checks.integer("n_background", n_background)])
    places = {"noisy": rng.permutation(np.flatnonzero(noisy))[:per_group], "clean": clean[:per_group]}
    x = standardise(data.x, data.x_test)[0]
    behind, y, found = torch.from_numpy(x[background]).to(device), class_index(data.y, data.n_classes), {}
    for group, chosen in places.items():
        maps = attribution_maps(model, torch.from_numpy(x[chosen]).to(device), behind, y[chosen],
                                method="integrated_gradients", steps=8)
        found |= {f"{group} effective share": float(np.nanmean(attribution_effective_share(maps))),
                  f"{group} net share": float(np.nanmean(attribution_net_share(maps))),
                  f"{group} outline": float(np.mean(outline(maps, data.x[chosen])))}
    return found


def outline(maps: Float[np.ndarray, "n height width"], images: Float[np.ndarray, "n channels height width"]
            ) -> Float[np.ndarray, " n"]:
    """Spearman's correlation, over the pixels of each image, of the absolute map with the strength of the edges."""
    grey = images.mean(1)
    edges = np.hypot(sobel(grey, axis=1), sobel(grey, axis=2))
    return np.array([spearmanr(np.abs(m).ravel(), e.ravel()).statistic for m, e in zip(maps, edges)])
