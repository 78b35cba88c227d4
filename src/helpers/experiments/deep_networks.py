"""The image experiment of Han et al. (2025) with two kinds of deep network: its runs and what is read off them
(chapter 13)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Shaped
from torch import nn

from helpers import checks
from helpers.data.datasets import load_two_class_dataset
from helpers.data.images import LabelledImages, class_index
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import ClassConditionalNoise, MatrixNoise
from helpers.data.subsets import hold_out
from helpers.entry import entry
from helpers.experiments.ranges import check_ranges
from helpers.experiments.settings import SIZES, TEN_WAY, setting, setting_epochs
from helpers.reading.comparison import stops_to_compare
from helpers.reading.selection import select_below_log2, selection_quality
from helpers.reading.stopping import values_at_stop
from helpers.reading.times import turning_time_index
from helpers.record import Record
from helpers.runtime import best_device, profile
from helpers.streams import random_stream
from helpers.training.batches import ImageBatches, standardise
from helpers.training.loop import fit, fit_side_by_side
from helpers.training.models import Dropout, scale_model_weights

NETWORKS = ("VGG", "ResNet")
WAYS = ("dropout off", "dropout on", "during the epoch")
STEPS = (0.005, 0.01, 0.02, 0.05)
# By network and flip rate the step of the recorded runs: of least error in the table deep_steps, of equals the smaller.
CHOSEN_STEPS = {("VGG", 0.0): 0.02, ("VGG", 0.1): 0.02, ("VGG", 0.2): 0.01, ("VGG", 0.4): 0.02,
                ("ResNet", 0.0): 0.01, ("ResNet", 0.1): 0.005, ("ResNet", 0.2): 0.01, ("ResNet", 0.4): 0.01}

# How many training images a profile can afford: (data.name, profile)
N_TRAIN = {("handwritten digits", "quick"): 500, ("handwritten digits", "full"): 500,
           ("CIFAR-10 images", "quick"): 1000, ("CIFAR-10 images", "full"): 10_000}


def deep_images() -> LabelledImages:
    """The two classes of `load_two_class_dataset`, with as many training images as the profile can afford."""
    data = load_two_class_dataset()
    return data.subset(min(data.n, N_TRAIN[data.name, profile()]))


@entry
def deep_run(data: LabelledImages, network: str, seed: int, *, init_scale: float = 1.0, size: str | None = None,
             model: nn.Module | None = None, n_val: int = 0,
             watch: Callable[[int, nn.Module], object] | None = None, log_training: bool = False, threads: int = 1,
             precision: str = "auto", **changes) -> Record:
    """Record of one network trained on `data` with the labels that it has.

    Parameters
    ----------
    data, network, size
        see `setting`, which makes the network and its recipe of them.
    seed
        of weights and batches.
    init_scale
        factor of all initial weights.
    model
        the network itself, where it is already built.
    n_val
        how many training images are held out for validation, with the labels that they have (`hold_out`).
    watch, log_training, threads, precision
        as of `fit`.
    changes
        fields of the `Recipe`.
    """
    check_ranges(seed=seed, init_scale=init_scale, n_val=n_val, threads=threads, precision=precision)
    chosen = setting("deep_networks", data, network=network, size=size)
    recipe = replace(chosen.recipe, **changes)
    if model is None:
        model = scale_model_weights(chosen.network(data, seed), init_scale)
    held = hold_out(data, n_val) if checks.integer("n_val", n_val, 0) else data
    return fit(model, held, recipe, seed, record_at=setting_epochs(recipe.epochs), n_val=n_val,
               log_training=log_training, device=best_device(), threads=threads, precision=precision, watch=watch)


@entry
def deep_runs(data: LabelledImages, network: str, noise: float | MatrixNoise, seeds: Iterable[int], **options
              ) -> Record:
    """Record of one `deep_run` for each seed, each with wrong labels of its own; `noise` as of `add_label_noise`."""
    check_ranges(seeds=seeds)
    return fit_side_by_side(lambda seed: deep_run(add_label_noise(data, noise, seed=seed), network, seed, **options),
                            seeds)


@entry
def deep_ten_way(data: LabelledImages) -> LabelledImages:
    """The same images and labels as classes 0 and 1 of ten, of which eight have no image.

    A network for them has the ten-way head of the released code (prop-ten-way).
    """
    checks.require(data.n_classes == 2, "data", data.name, "images of two classes")
    labels = {name: class_index(getattr(data, name), 2) for name in ("y", "y_obs", "y_test", "y_test_obs")}
    classes = (*data.classes, *(f"unused {k}" for k in range(2, 10)))
    return replace(data, name=data.name + TEN_WAY, classes=classes, **labels)


@entry
def deep_measured_three_ways(data: LabelledImages, network: str, noise: float | MatrixNoise, seeds: Sequence[int],
                             **options) -> tuple[Record, dict[str, Float[np.ndarray, "runs T n"]]]:
    """Runs in which "is this training image predicted as its observed label?" is asked in three ways.

    Parameters
    ----------
    data, network, noise, seeds
        as of `deep_runs`.
    options
        of the network's constructor.

    Returns
    -------
    Record
        Of the runs.
    dict
        By way, 1 for yes and 0 for no. "dropout off": after the epoch, as `fit` does. "dropout on": the same weights,
        one random mask for each image. "during the epoch": by the forward passes that training makes, each before its
        step, in training mode, which is what the released code of Han et al. (2025) logs; NaN before the first epoch.
    """
    check_ranges(seeds=seeds)
    found = {}

    def run(seed):
        noisy = add_label_noise(data, noise, seed=seed)
        model = setting("deep_networks", noisy, network=network).network(noisy, seed, **options)
        watcher = _Watcher(noisy, seed)
        record = deep_run(noisy, network, seed, model=model, watch=watcher.at_epoch, log_training=True)
        found[seed] = dict(zip(WAYS, (record.fits_observed[0], watcher.fits(), record.logged_fits[0])))
        return record

    record = fit_side_by_side(run, seeds)
    return record, {way: np.array([found[seed][way] for seed in seeds], float) for way in WAYS}


class _Watcher:
    """Collects what a network predicts at recorded epochs with dropout on."""

    def __init__(self, data: LabelledImages, seed: int):
        self.images = ImageBatches(standardise(data.x, data.x_test)[0], best_device())
        self.observed, self.seed = class_index(data.y_obs, data.n_classes), seed
        self.dropped = []

    def at_epoch(self, epoch: int, model: nn.Module) -> None:
        layers = [module for module in model.modules() if isinstance(module, Dropout)]
        before = [layer.generator for layer in layers]
        rng = random_stream(self.seed, f"dropout while measuring, epoch {epoch}")
        for layer in layers:
            layer.train().reseed(rng, best_device())
        with torch.no_grad():
            logits = torch.cat([model(part) for part in self.images.split(1000)])
        for layer, generator in zip(layers, before):
            layer.eval().generator = generator
        self.dropped.append(logits.argmax(1).cpu().numpy())

    def fits(self) -> Bool[np.ndarray, "T n"]:
        """Which images fit their observed label with dropout on."""
        return np.array(self.dropped) == self.observed


@entry
def deep_class_mean(record: Record, values: Shaped[np.ndarray, "runs T n"], label: int, which: str
                    ) -> Float[np.ndarray, "runs T"]:
    """Mean of `values` over the "clean" or "noisy" samples whose true label is `label`, -1 or 1.

    NaN for a run without such a sample.
    """
    checks.one_of("label", label, (-1, 1))
    checks.one_of("which", which, ("clean", "noisy"))
    fits = values.shape == record.margins.shape and values.dtype.kind in "biuf"
    checks.require(fits, "values.shape", values.shape, f"{record.margins.shape}, numbers")
    checks.require(bool(np.isfinite(values).all()), "values", values, "finite")
    chosen = ((record.y == label) & (record.flipped == (which == "noisy")))[:, None]
    count = np.broadcast_to(chosen.sum(-1), values.shape[:2]).astype(float)
    return np.divide((values * chosen).sum(-1), count, out=np.full(values.shape[:2], np.nan), where=count > 0)


def deep_epoch_table(record: Record, flip_rate: float, held_out: Record | None = None) -> pd.DataFrame:
    """Tidy DataFrame with a row for each run and recorded epoch: accuracies, losses, what log 2 selects, stops.

    Accuracies of clean and of noisy samples: clean, noisy_observed, noisy_true; of all: train_observed, train_true;
    test (true labels). Mean losses: clean_loss, noisy_loss. Of log 2: caught, lost, noise_left (shares of the noisy, of
    the clean and of the kept samples). The same in each row of a run: turning (epoch), best and last (test accuracy),
    best_epoch, and for each rule of `stops_to_compare`, told `flip_rate`, the epoch and the test accuracy; those that
    validate stop the runs `held_out`, and are missing without them.
    """
    test = 1 - record.fresh_error
    chosen = selection_quality(select_below_log2(record.losses), record.flipped[:, None])
    columns = {"clean": record.mean_over(record.fits_true, "clean"),
               "noisy_observed": record.mean_over(record.fits_observed, "noisy"),
               "noisy_true": record.mean_over(record.fits_true, "noisy"),
               "train_observed": record.mean_over(record.fits_observed),
               "train_true": record.mean_over(record.fits_true),
               "test": test, "clean_loss": record.mean_over(record.losses, "clean"),
               "noisy_loss": record.mean_over(record.losses, "noisy"),
               "caught": chosen.recall, "lost": chosen.lost, "noise_left": 1 - chosen.purity}
    runs = np.arange(len(test))
    fixed = {"best": test.max(1), "best_epoch": record.times[test.argmax(1)], "last": test[:, -1]}
    if record.flipped.any(1).all():
        fixed["turning"] = record.times[turning_time_index(record)]
    for rule in stops_to_compare(record, flip_rate, held_out):
        name = rule.name.replace(",", "").replace(" ", "_")
        error, times = (record.fresh_error, record.times) if rule.error is None else (rule.error, rule.times)
        fixed |= {f"{name}_epoch": times[rule.chosen], f"{name}_test": 1 - values_at_stop(error, rule.chosen)}
    table = {"run": np.repeat(runs, len(record.times)), "epoch": np.tile(record.times, len(runs))}
    table |= {name: values.ravel() for name, values in columns.items()}
    return pd.DataFrame(table | {name: np.repeat(values, len(record.times)) for name, values in fixed.items()})


def _noisy_images(noise: float | ClassConditionalNoise, n_train: int, seed: int) -> LabelledImages:
    data = load_two_class_dataset()
    return add_label_noise(data.subset(min(checks.integer("n_train", n_train), data.n)), noise, seed=seed)


@entry
def deep_step_cell(network: str, flip_rate: float, lr: float, *, seed: int = 100, n_train: int = 2000, n_val: int = 300,
                   size: str = "quick", precision: str = "auto") -> dict[str, float]:
    """How good a step size is, told by observed labels alone: the lowest error on those held out, and its epoch.

    Arguments are those of `deep_cell`; the seed is none of those whose runs are shown. A run that diverges has error 1.
    """
    check_ranges(flip_rate=flip_rate, lr=lr, seed=seed, n_train=n_train, n_val=n_val, precision=precision)
    checks.one_of("network", network, NETWORKS)
    checks.one_of("size", size, SIZES)
    checks.require(n_val >= 1, "n_val", n_val, "1 or more")
    try:
        record = deep_run(_noisy_images(flip_rate, n_train, seed), network, seed, size=size, n_val=n_val,
                          precision=precision, lr=lr)
    except FloatingPointError:
        return {"validation error": 1.0, "epoch": -1}
    error = record.validation_observed_error[0]
    return {"validation error": float(error.min()), "epoch": int(record.times[error.argmin()])}


@entry
def deep_cell(network: str, flip_rate: float, seed: int, *, flip_minus: float | None = None, n_train: int = 2000,
              n_val: int = 0, size: str = "full", init_scale: float = 1.0, ten: bool = False, lr: float | None = None,
              threads: int = 1, precision: str = "auto", **changes) -> pd.DataFrame:
    """Rows of `deep_epoch_table` of one run on the images of `load_two_class_dataset`: a cell of a sweep.

    Parameters
    ----------
    network, seed, size, init_scale, threads, precision
        as of `deep_run`.
    flip_rate
        of both classes, or of +1 only where `flip_minus` is that of -1.
    n_train
        training images.
    n_val
        how many of them a second run holds out, for the rules that validate.
    ten
        with the ten-way head.
    lr
        the step size; by default that of `CHOSEN_STEPS`, or of the setting where that has none.
    changes
        other fields of the `Recipe`, such as epochs or augment.
    """
    check_ranges(flip_rate=flip_rate, seed=seed, flip_minus=flip_minus, n_train=n_train, n_val=n_val,
                 init_scale=init_scale, lr=lr, threads=threads, precision=precision)
    checks.one_of("network", network, NETWORKS)
    checks.one_of("size", size, SIZES)
    noise = flip_rate if flip_minus is None else ClassConditionalNoise(flip_rate, flip_minus)
    data = _noisy_images(noise, n_train, seed)
    data = deep_ten_way(data) if ten else data
    lr = CHOSEN_STEPS.get((network, flip_rate)) if lr is None and size == "quick" else lr
    changes |= {} if lr is None else {"lr": lr}

    def run(held):
        return deep_run(data, network, seed, init_scale=init_scale, size=size, n_val=held, threads=threads,
                        precision=precision, **changes)

    record, held_out = run(0), run(n_val) if n_val else None
    rate = flip_rate if flip_minus is None else noise.rate
    seconds = record.config["seconds"] + (held_out.config["seconds"] if n_val else 0.0)
    lr = record.config["recipe"]["lr"]
    return deep_epoch_table(record, rate, held_out).drop(columns="run").assign(lr=lr, seconds=seconds)
