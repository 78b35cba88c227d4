"""The image experiment of Han et al. (2025) with two kinds of deep network: settings, runs and what is read off them
(chapter 12)."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch

from helpers import checks
from helpers.data.images import class_index, load_images
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import ClassConditional
from helpers.reading.selection import log2_threshold, quality
from helpers.reading.stopping import all_stops, at
from helpers.reading.times import turning
from helpers.runtime import best_device, profile
from helpers.streams import random_stream
from helpers.training.batches import DeviceImages
from helpers.training.loop import Recipe, fit, side_by_side
from helpers.training.models import Dropout, PreActResNet, SmallVGG, scale_weights, vgg
from helpers.training.predictions import standardise

NETWORKS = ("VGG", "ResNet")
WAYS = ("dropout off", "dropout on", "during the epoch")


@dataclass(frozen=True)
class Setting:
    """What a network is called, how it is made and trained, and how many test images become validation images.

    make : make(image_shape, n_outputs, seed=...) builds it.
    """

    name: str
    make: object
    recipe: Recipe
    n_val: int


# (data, network, profile); digits have the same setting in both profiles.
_SMALL = {"VGG": Setting("VGG of 6 layers, width 12", SmallVGG, Recipe(epochs=25, lr=0.04, batch_size=50), 297),
          "ResNet": Setting("PreAct ResNet of 6 layers, width 8", partial(PreActResNet, blocks=(1, 1), width=8),
                            Recipe(epochs=25, lr=0.05, batch_size=100), 297)}
_NARROW = {"VGG": Setting("VGG-11, width 16", partial(vgg, width=16), Recipe(epochs=30, lr=0.02, batch_size=50), 500),
           "ResNet": Setting("PreAct ResNet of 8 layers, width 16", partial(PreActResNet, blocks=(1, 1, 1), width=16),
                             Recipe(epochs=20, lr=0.02, batch_size=50), 500)}
_WHOLE = {"VGG": Setting("VGG-11", vgg, Recipe(epochs=60, lr=0.02, batch_size=100), 500),
          "ResNet": Setting("PreAct ResNet-18", PreActResNet, Recipe(epochs=40, lr=0.02, batch_size=100), 500)}
SETTINGS = {("handwritten digits", "quick"): _SMALL, ("handwritten digits", "full"): _SMALL,
            ("CIFAR-10 images", "quick"): _NARROW, ("CIFAR-10 images", "full"): _WHOLE}
N_TRAIN = {("handwritten digits", "quick"): 500, ("handwritten digits", "full"): 500,
           ("CIFAR-10 images", "quick"): 1000, ("CIFAR-10 images", "full"): 10_000}
TEN_WAY = ", ten-way head"


def deep_images():
    """The two classes of `images.load_images`, with as many training images as the profile can afford (N_TRAIN)."""
    data = load_images()
    return data.subset(min(data.n, N_TRAIN[data.name, profile()]))


def setting(data, network, *, size=None):
    """The Setting of "VGG" or "ResNet" for `data`, or for the two classes that `data` puts before a ten-way head.

    size : "quick" or "full"; by default that of the profile.
    """
    checks.one_of("network", network, NETWORKS)
    key = data.name.removesuffix(TEN_WAY), checks.one_of("size", size or profile(), ("quick", "full"))
    checks.one_of("data.name, size", key, SETTINGS)
    return SETTINGS[key][network]


def build(data, network, seed, *, init_scale=1.0, size=None, **options):
    """The untrained network of a setting, with a logit for each class; all weights times `init_scale`.

    options : of the network's constructor, such as dropout for "VGG".
    """
    model = setting(data, network, size=size).make(data.image_shape, data.n_classes, seed=seed, **options)
    return scale_weights(model, init_scale)


def deep_run(data, network, seed, *, init_scale=1.0, size=None, model=None, watch=None, threads=1, precision="auto",
             **changes):
    """Record of one network trained on `data` with the labels that it has, with a validation set.

    network : "VGG" or "ResNet". seed : of weights and batches. init_scale, size : see `build`. model : the network
    itself, already built. watch, threads, precision : see fit.fit. changes : fields of the Recipe.
    """
    chosen = setting(data, network, size=size)
    recipe = replace(chosen.recipe, **changes)
    model = build(data, network, seed, init_scale=init_scale, size=size) if model is None else model
    return fit(model, data, recipe, seed, record_at=record_epochs(recipe.epochs), n_val=chosen.n_val,
               device=best_device(), threads=threads, precision=precision,
               watch=watch)


def deep_runs(data, network, noise, seeds, **options):
    """Record of one `deep_run` a seed, each with wrong labels of its own; noise : as for add_label_noise."""
    return side_by_side(lambda seed: deep_run(add_label_noise(data, noise, seed=seed), network, seed, **options), seeds)


def record_epochs(last):
    """Epochs 0 to `last` at which a run is measured: each at first, then farther and farther apart."""
    marks = [0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 150, 200]
    return sorted({epoch for epoch in marks if epoch < last} | {last})


def ten_way(data):
    """The same images and labels as classes 0 and 1 of ten, of which eight have no image: a network for them has the
    ten-way head of the released code."""
    checks.require(data.n_classes == 2, "data", data.name, "images of two classes")
    labels = {name: class_index(getattr(data, name), 2) for name in ("y", "y_obs", "y_test", "y_test_obs")}
    classes = (*data.classes, *(f"unused {k}" for k in range(2, 10)))
    return replace(data, name=data.name + TEN_WAY, classes=classes, **labels)


def measured_in_three_ways(data, network, noise, seeds, **options):
    """(Record, {way: (runs, T, n) 0 or 1}): is a training image predicted as its observed label, measured how?

    "dropout off": after the epoch, as `fit` does. "dropout on": the same weights, one random mask an image. "during the
    epoch": by the forward passes that training makes, each before its step, in training mode, which is what the
    released code of Han et al. (2025) logs; NaN before the first epoch. options : of the network's constructor.
    """
    found = {}

    def run(seed):
        noisy = add_label_noise(data, noise, seed=seed)
        model, watcher = build(noisy, network, seed, **options), _Watcher(noisy, seed)
        model.register_forward_hook(watcher.after_forward)
        record = deep_run(noisy, network, seed, model=model, watch=watcher.at_epoch)
        found[seed] = dict(zip(WAYS, (record.fits_observed[0], *watcher.fits(record.times))))
        return record

    record = side_by_side(run, seeds)
    return record, {way: np.array([found[seed][way] for seed in seeds], float) for way in WAYS}


class _Watcher:
    """Collects the predictions that a network makes in training mode and, at recorded epochs, with dropout on."""

    def __init__(self, data, seed):
        self.images = DeviceImages(standardise(data.x, data.x_test)[0], best_device())
        self.observed, self.seed = class_index(data.y_obs, data.n_classes), seed
        self.during, self.dropped = [], []

    def after_forward(self, model, inputs, logits):
        if model.training:
            self.during.append(logits.detach().argmax(1).cpu().numpy())

    def at_epoch(self, epoch, model):
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

    def fits(self, times):
        """(T, n) with dropout on, and (T, n) during the epochs that end at `times`."""
        n, orders = len(self.observed), random_stream(self.seed, "order of images")  # the stream of `fit`
        answers = np.concatenate(self.during).reshape(-1, n)
        during = np.full((times[-1] + 1, n), np.nan)
        for epoch, answer in enumerate(answers, 1):
            order = orders.permutation(n)
            during[epoch, order] = answer == self.observed[order]
        return np.array(self.dropped) == self.observed, during[times]


def mean_of_class(record, values, label, which):
    """(runs, T) mean of `values` (runs, T, n) over the "clean" or "noisy" samples whose true label is `label`, -1 or 1;
    NaN for a run without one."""
    checks.one_of("label", label, (-1, 1))
    checks.one_of("which", which, ("clean", "noisy"))
    chosen = ((record.y == label) & (record.flipped == (which == "noisy")))[:, None]
    count = np.broadcast_to(chosen.sum(-1), values.shape[:2]).astype(float)
    return np.divide((values * chosen).sum(-1), count, out=np.full(values.shape[:2], np.nan), where=count > 0)


def epoch_table(record, flip_rate):
    """Tidy DataFrame with a row for each run and recorded epoch: accuracies, losses, what log 2 selects, stops.

    Accuracies of clean and of noisy samples: clean, noisy_observed, noisy_true; of all: train_observed, train_true;
    test (true labels). Mean losses: clean_loss, noisy_loss. Of log 2: caught, lost, noise_left (shares of the noisy, of
    the clean and of the kept samples). The same in each row of a run: turning (epoch), best and last (test accuracy),
    best_epoch, and for each rule of `stopping.all_stops`, told `flip_rate`, the epoch and the test accuracy.
    """
    test = 1 - record.fresh_error
    chosen = quality(log2_threshold(record.losses), record.flipped[:, None])
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
        fixed["turning"] = record.times[turning(record)]
    for rule, stop in all_stops(record, flip_rate).items():
        name = rule.replace(",", "").replace(" ", "_")
        fixed |= {f"{name}_epoch": record.times[stop], f"{name}_test": at(test, stop)}
    table = {"run": np.repeat(runs, len(record.times)), "epoch": np.tile(record.times, len(runs))}
    table |= {name: values.ravel() for name, values in columns.items()}
    return pd.DataFrame(table | {name: np.repeat(values, len(record.times)) for name, values in fixed.items()})


def deep_cell(network, flip_rate, seed, *, flip_minus=None, n_train=2000, size="full", init_scale=1.0, ten=False,
              threads=1, precision="auto", **changes):
    """Rows of `epoch_table` of one run on `load_images()`: a cell of a sweep.

    flip_rate : of both classes, or of +1 only where flip_minus is that of -1. n_train : training images. size : whose
    settings, "quick" or "full". ten : with the ten-way head. threads, precision : see fit.fit. changes : fields of the
    Recipe, such as epochs, lr or augment.
    """
    noise = flip_rate if flip_minus is None else ClassConditional(flip_rate, flip_minus)
    data = load_images()
    data = add_label_noise(data.subset(min(checks.integer("n_train", n_train), data.n)), noise, seed=seed)
    record = deep_run(ten_way(data) if ten else data, network, seed, init_scale=init_scale, size=size, threads=threads,
                      precision=precision, **changes)
    rate = flip_rate if flip_minus is None else noise.rate
    return epoch_table(record, rate).drop(columns="run").assign(seconds=record.config["seconds"])
