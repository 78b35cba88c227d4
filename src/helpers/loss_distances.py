"""How far apart the losses of clean and of noisy samples lie over a run, and what a selection by loss can gain from it
(chapter 14, after the abstract of Lim, Han and Lee 2020): distances, the losses of soft labels, the law of pair flips,
and the chapter's runs.
"""

import os
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.stats import wasserstein_distance
from sklearn.metrics import roc_auc_score

from helpers import checks, scenes
from helpers.datasets import load_digit_classes, load_image_classes, load_mnist
from helpers.fit import Recipe, fit, outputs, standardise
from helpers.image_runs import side_by_side
from helpers.images import CIFAR10_VARIABLE, class_index, load_digits
from helpers.label_noise import add_label_noise
from helpers.losses import margins
from helpers.models import SmallCNN
from helpers.noise_kinds import PairFlip, Symmetric, class_count, draw_classes
from helpers.record import Record, concatenate
from helpers.runtime import best_device
from helpers.selection import quality, small_loss
from helpers.signal_noise import random_stream

KINDS = {"symmetric": Symmetric, "pair": PairFlip}
MNIST_VARIABLE = "SIGNAL_FIRST_MNIST"
# data.name -> channels of the first convolution, and the recipe
SETTINGS = {"ten digits": (16, Recipe(epochs=40, lr=0.05)), "handwritten digits": (16, Recipe(epochs=40, lr=0.05)),
            "MNIST": (16, Recipe(epochs=40, lr=0.05)), "CIFAR-10": (32, Recipe(epochs=60, lr=0.03))}


class Distances(NamedTuple):
    """Distances between the losses of clean and of noisy samples, each (...,); all but `auc` are 0 for equal samples.

    ks : largest difference of the two distribution functions (Kolmogorov-Smirnov).
    auc : chance that a noisy sample has the larger loss, ties counting one half.
    w1, w1_log : mean distance that mass must travel to turn one into the other, of losses and of log losses.
    shape : ks of the log losses after the median of each group has been subtracted.
    """

    ks: np.ndarray
    auc: np.ndarray
    w1: np.ndarray
    w1_log: np.ndarray
    shape: np.ndarray


def loss_distances(losses, flipped):
    """Distances of positive `losses` (n,), of which `flipped` (n,) says which belong to noisy samples.

    All NaN if either group is empty. Raises ValueError for losses that are not positive and finite.
    """
    losses, flipped = checks.vectors("losses", losses, None).numpy(), np.asarray(flipped, bool)
    checks.require(flipped.shape == losses.shape, "flipped.shape", flipped.shape, f"{losses.shape}, as losses")
    checks.require(bool((losses > 0).all()), "losses", losses.min(initial=1.0), "positive")
    if flipped.all() or not flipped.any():
        return Distances(*[np.nan] * 5)
    clean, noisy = losses[~flipped], losses[flipped]
    logs = np.log(clean), np.log(noisy)
    return Distances(_ks(clean, noisy), roc_auc_score(flipped, losses), wasserstein_distance(clean, noisy),
                     wasserstein_distance(*logs), _ks(*(part - np.median(part) for part in logs)))


def distances_over_time(record):
    """Distances of arrays (runs, T): `loss_distances` of each run of a Record at each of its times."""
    runs = zip(record.losses, record.flipped)
    values = [[loss_distances(row, flipped) for row in losses] for losses, flipped in runs]
    return Distances(*np.moveaxis(np.array(values), -1, 0))


def _ks(a, b):
    """scipy.stats.ks_2samp's statistic; the p-value, which is not wanted here, takes most of its time."""
    values = np.concatenate([a, b])
    below = [np.searchsorted(np.sort(part), values, side="right") / len(part) for part in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def binned_tv(clean, noisy, edges):
    """Total variation of two samples after sorting them into the bins between `edges` (outermost bins open).

    Half the sum of the absolute differences of the shares. Without bins it would be 1 for any two samples that have no
    value in common; it can only grow if bins are split.
    """
    edges = np.concatenate([[-np.inf], np.sort(np.asarray(edges, float)), [np.inf]])
    shares = [np.histogram(part, edges)[0] / len(part) for part in (clean, noisy)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def purity_gain(record):
    """(runs, T) of the noise that is in the labels, the share that the small-loss rule removes: (purity - (1 - rate)) /
    rate, where it keeps the share 1 - rate and `rate` is the run's share of noisy samples.

    0 for a blind choice, 1 for a perfect one, at most the ks of the losses (prop-purity-ks). NaN without noisy samples.
    """
    gains = []
    for losses, flipped in zip(record.losses, record.flipped):
        rate = flipped.mean()
        purity = quality(small_loss(losses, 1 - rate), flipped).purity
        gains.append((purity - (1 - rate)) / rate if rate > 0 else np.full(len(losses), np.nan))
    return np.array(gains)


def loss_levels(noise, classes):
    """(clean, noisy): loss of a clean sample, and mean loss of a noisy one, if the network gives each sample the soft
    label T_y (prop-two-levels): means over equally frequent classes of -log T_yy and, given a flip, of -log T_yj.

    noise : a kind with a transition matrix. classes : as its `transition_matrix` takes them.
    """
    matrix = noise.transition_matrix(classes)
    own = np.diag(matrix)
    checks.require(bool((own > 0).all()), "noise", noise, "one that leaves every class some right labels")
    off = matrix * (1 - np.eye(len(matrix)))
    cost = -np.sum(off * np.log(np.where(off > 0, off, 1.0)))
    return float(-(own * np.log(own)).sum() / own.sum()), float(cost / off.sum()) if off.sum() > 0 else np.nan


class NextClassLaw(NamedTuple):
    """Logits (T,) of the true class and of the next one on a signal, and of the observed class on a clean and on a
    noisy sample's noise patch."""

    signal: np.ndarray
    leak: np.ndarray
    r_clean: np.ndarray
    r_noisy: np.ndarray
    classes: int

    @property
    def clean_margin(self):
        """(T,) true logit minus the log-sum-exp of the others, of clean samples."""
        return self.signal + self.r_clean - np.log(np.exp(self.leak) + self.classes - 2)

    @property
    def noisy_margin(self):
        """(T,) observed logit minus the log-sum-exp of the others, of noisy samples."""
        return self.leak + self.r_noisy - np.log(np.exp(self.signal) + self.classes - 2)


def next_class_law(n_snr2, flip_rate, classes, times):
    """The limit law of pair flips among K = `classes` >= 2 classes with orthogonal signals (prop-pair-law).

    n_snr2 : c. flip_rate : tau in (0, 1/2), not 1/K. times : (T,) increasing, from 0 or later, of
    s = eta sigma^2 d t / (n m). Raises ValueError, also where the leak would return to 0, at which the law ends.
    """
    c, k = checks.positive("n_snr2", n_snr2), checks.integer("classes", classes, 2)
    tau = checks.real("flip_rate", flip_rate, 0.0, 0.5, open_low=True, open_high=True)
    checks.require(tau * k != 1, "flip_rate", tau, "other than 1/K, where the leak has no sign")
    times, zeros = np.asarray(times, float), np.log(k - 2) if k > 2 else -np.inf  # K - 2 logits are 0

    def slopes(_, state):
        signal, leak, clean, noisy = state
        total_clean = np.logaddexp(np.logaddexp(signal + clean, leak), zeros)
        total_noisy = np.logaddexp(np.logaddexp(signal, leak + noisy), zeros)
        miss_clean, miss_noisy = -np.expm1(signal + clean - total_clean), -np.expm1(leak + noisy - total_noisy)
        gain = (1 - tau) * miss_clean - tau * np.exp(signal - total_noisy)
        gain_leak = tau * miss_noisy - (1 - tau) * np.exp(leak - total_clean)
        return c / (2 * k) * gain, (tau > 1 / k) * c / (2 * k) * gain_leak, miss_clean / 2, miss_noisy / 2

    states = solve_ivp(slopes, (0.0, times[-1]), np.zeros(4), t_eval=times, rtol=1e-9, atol=1e-12, method="LSODA").y
    checks.require(bool((states[1] >= 0).all()), "times", times[-1], "a time up to which the leak is not negative")
    return NextClassLaw(*states, k)


def next_class_lead(n_snr2, flip_rate, classes):
    """What has to exceed 1 for noisy samples of pair flips to be given their true label at first (prop-pair-law):
    c/K (1 - K tau / (K - 1)) where tau <= 1/K, as for symmetric flips, and c (1 - 2 tau) / (K - 1) beyond."""
    k = checks.integer("classes", classes, 2)
    lead = 1 - flip_rate - 1 / k - max(flip_rate - 1 / k, 0.0)
    return n_snr2 * lead / (k - 1)


def noisy_scene(problem, noise, classes, m, init_std, seed):
    """`scenes.several_classes` with observed labels from a kind of noise that has a transition matrix.

    The flip rates of `problem` (a SignalNoise) are not used.
    """
    scene = scenes.several_classes(problem, classes, m, init_std, seed)
    y = scene.y.numpy()
    rows = noise.transition_matrix(class_count(classes))[y]
    y_obs = draw_classes(rows, y, random_stream(seed, "labels of a noisy scene"))
    return replace(scene, y_obs=torch.from_numpy(y_obs), about=scene.about | {"noise": noise.kind, "rate": noise.rate})


def loss_run(data, noise, seed, n_val=0, width=None, **changes):
    """(train, test): Records of one SmallCNN on `data` with wrong labels, on its training and on its test images.

    The test images' wrong labels are drawn afresh from the same noise, and no network has seen them: what the losses
    on them show is not memorised. The seed is of the labels, the weights and the batches.

    width, changes : of SETTINGS by default; changes are fields of the Recipe.
    """
    standard, recipe = SETTINGS[data.name]
    recipe, noisy = replace(recipe, **changes), add_label_noise(data, noise, seed)
    model = SmallCNN(data.image_shape, width or standard, seed, n_outputs=1 if data.n_classes == 2 else data.n_classes)
    x = torch.from_numpy(standardise(data.x, data.x_test)[1])
    labels, seen = torch.from_numpy(class_index(noisy.y_test_obs, data.n_classes)), []

    def watch(epoch, model):
        f = outputs(model, x.to(best_device()), epoch, data.n_classes).cpu()
        seen.append((margins(f, labels).numpy(), f.argmax(1).numpy() if f.ndim == 2 else None))

    record = fit(model, noisy, recipe, seed, n_val=n_val, device=best_device(), watch=watch)
    found, predicted = zip(*seen)
    predictions = None if predicted[0] is None else np.array(predicted)[None]
    return record, Record(record.times, noisy.y_test[None], noisy.y_test_obs[None], np.array(found)[None],
                          predictions=predictions, runs=record.runs)


def loss_runs(data, noise, seeds, n_val=0, **changes):
    """(train, test) Records of `loss_run`, one run a seed."""
    tests = {}

    def run(seed):
        record, tests[seed] = loss_run(data, noise, seed, n_val, **changes)
        return record

    return side_by_side(run, seeds), concatenate([tests[seed] for seed in seeds])


def loss_cell(dataset, kind, rate, seed, n_train=0, epochs=0):
    """Rows of one run for a recorded table, one for each measured epoch: distances on training and on test images,
    purity gain, accuracies, loss levels.

    dataset : "ten digits", "even or odd", "MNIST" or "CIFAR-10"; the last two from the files that SIGNAL_FIRST_MNIST
    and SIGNAL_FIRST_CIFAR10 name. kind : "symmetric" or "pair". n_train, epochs : 0 for all images, the usual epochs.
    The last third of the test images is the validation set. Raises ValueError.
    """
    data = _load(checks.one_of("dataset", dataset, DATASETS))
    data = data.subset(n_train) if n_train else data
    noise = KINDS[checks.one_of("kind", kind, KINDS)](rate)
    train, test = loss_run(data, noise, seed, len(data.y_test) // 3, **({"epochs": epochs} if epochs else {}))
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
