"""Runs on images whose network is explained twice, before it memorises wrong labels and after, and what that tells.

Each run has a control with true labels, from the same initial weights and with the same batches, and if wanted another
whose labels are flipped anew in each epoch, so that nothing can be memorised (chapter 14).
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from numpy.typing import ArrayLike
from torch import nn

from helpers import checks
from helpers.data.datasets import load_ten_class_dataset, load_two_class_dataset
from helpers.data.images import LabelledImages, class_index
from helpers.data.label_noise import add_label_noise
from helpers.entry import entry
from helpers.experiments.ranges import check_ranges
from helpers.experiments.settings import Setting, setting, small_cnn_setting, vgg_11_setting
from helpers.reading.attribution import (
    METHODS,
    attribution_effective_share,
    attribution_maps,
    attribution_net_share,
    attribution_turn,
    blend_top_pixels,
    rank_pixels,
    top_pixels,
)
from helpers.record import Record
from helpers.runtime import best_device
from helpers.streams import random_stream
from helpers.training.batches import standardise
from helpers.training.loop import fit
from helpers.training.losses import FreshFlipsLoss, loss_margins
from helpers.training.predictions import predicted_classes, predicted_outputs
from helpers.training.recipe import Recipe

GROUPS = ("noisy", "clean", "test")
MOMENTS = ("turn", "matched", "last", "control turn", "control last", "fresh turn", "fresh last")
BEFORE = {"matched": "turn", "last": "turn", "control last": "control turn", "fresh last": "fresh turn"}
KINDS = {"small": partial(small_cnn_setting, one_output=True),
         "vgg11": vgg_11_setting}  # of network: its Setting by width and recipe
LOADERS = {"two classes": load_two_class_dataset, "all classes": load_ten_class_dataset}


@dataclass(frozen=True, eq=False)
class ExplainedRun:
    """One run with wrong labels and its controls, explained at two epochs on the same n images.

    Attributes
    ----------
    x, pixels
        the images, standardised as in training, and in [0, 1].
    background
        clean training images that are not among them, standardised.
    group
        "noisy", "clean" (training images) or "test".
    y
        positions of the true classes.
    wrong
        the observed class of noisy images; for the others the class that symmetric label noise could have given them.
    models
        by moment: "turn", the recorded epoch at which the mean margin of all noisy training images is lowest; "last";
        "control turn" and "control last", the control at the same two epochs; and "matched", the recorded epoch after
        "turn" at which the weights have moved as far from it as the control's between its two, or most nearly so;
        "fresh turn" and "fresh last", the control with fresh flips at the first and the last of these epochs.
    maps
        by moment, attributions toward the *true* class.
    epochs
        by moment.
    record
        of the run with wrong labels.
    seed
        of all runs.
    """

    x: Float[torch.Tensor, "n channels height width"]
    pixels: Float[np.ndarray, "n channels height width"]
    background: Float[torch.Tensor, "b channels height width"]
    group: Shaped[np.ndarray, " n"]
    y: Int[np.ndarray, " n"]
    wrong: Int[np.ndarray, " n"]
    models: dict[str, nn.Module]
    maps: dict[str, Float[np.ndarray, "n height width"]]
    epochs: dict[str, int]
    record: Record
    seed: int

    @property
    def n_classes(self) -> int:
        """K, the number of classes."""
        return self.record.config["classes"]

    @entry
    def predicted(self, moment: str, x: Float[torch.Tensor, "some channels height width"] | None = None
                  ) -> Int[np.ndarray, " some"]:
        """Positions of the classes predicted for the images x, by default those explained."""
        self._require_moment("moment", moment)
        checks.require(x is None or len(x) > 0, "x.shape", np.shape(x), "(some, channels, height, width), not empty")
        return predicted_classes(predicted_outputs(self.models[moment], self.x if x is None else x,
                                                   n_classes=self.n_classes))

    @entry
    def margins(self, moment: str) -> Float[np.ndarray, " n"]:
        """Margins of the true classes; with one output, y f."""
        self._require_moment("moment", moment)
        f = predicted_outputs(self.models[moment], self.x, n_classes=self.n_classes).cpu()
        return loss_margins(f, torch.as_tensor(self.y)).numpy()

    @entry
    def moved(self, before: str, after: str) -> float:
        """Euclidean distance of all weights at two moments."""
        self._require_moment("before", before)
        self._require_moment("after", after)
        return _weight_distance(self.models[before], self.models[after])

    @entry
    def maps_toward(self, moment: str, classes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n height width"]:
        """Attributions toward `classes`; with two classes, those toward the true ones or their opposite."""
        self._require_moment("moment", moment)
        checks.require(classes.shape == self.y.shape, "classes.shape", classes.shape, f"{self.y.shape}, one per image")
        inside = bool(((classes >= 0) & (classes < self.n_classes)).all())
        checks.require(inside, "classes", classes, f"positions of classes, 0 to {self.n_classes - 1}")
        if self.n_classes == 2:
            return self.maps[moment] * np.where(classes == self.y, 1, -1)[:, None, None]
        return attribution_maps(self.models[moment], self.x, self.background, classes)

    def _require_moment(self, name: str, moment: str) -> None:
        checks.one_of(name, moment, self.models)

    def memorised(self) -> Bool[np.ndarray, " n"]:
        """Which are noisy images that the network reads truly at the turning point and as observed at the end."""
        return (self.group == "noisy") & (self.predicted("turn") == self.y) & (self.predicted("last") == self.wrong)

    def right(self) -> Bool[np.ndarray, " n"]:
        """Which images are read truly at both epochs."""
        return (self.predicted("turn") == self.y) & (self.predicted("last") == self.y)


@entry
def explained_run(data: LabelledImages, flip_rate: float, seed: int, *, per_group: int = 40, n_background: int = 20,
                  recipe: Recipe | None = None, width: int | None = None, record_at: ArrayLike | None = None,
                  method: str = "deep_shap", network: str = "small", fresh: bool = False) -> ExplainedRun:
    """A run on `data` with symmetric wrong labels at `flip_rate`, and its controls, all explained.

    Parameters
    ----------
    data
        images of two classes or more.
    flip_rate
        share of wrong labels.
    seed
        of labels, weights, batches and of the choice of images.
    per_group
        images explained of each group, all where there are fewer.
    n_background
        background images.
    recipe, width
        by default those of the standard runs (`image_run`), which must know the data then.
    record_at
        epochs among which the turning point is sought, the last of them the end (`fit`).
    method
        as of `attribution_maps`.
    network
        "small", a `SmallCNN`, or "vgg11", torchvision's without batch normalisation, as in the code of Han et al.
        (2025).
    fresh
        whether to run and explain the control with labels flipped anew in each epoch, too.
    """
    check_ranges(flip_rate=flip_rate, seed=seed, per_group=per_group, n_background=n_background, width=width)
    checks.one_of("network", network, KINDS)
    checks.one_of("method", method, METHODS)
    chosen, device = _setting(data, network, width, recipe), best_device()
    noisy = add_label_noise(data, flip_rate, seed=seed)
    watch, controls = _SinceTurn(noisy, device), {"control": (_Keep(), chosen.recipe.loss)}
    controls |= {"fresh": (_Keep(), FreshFlipsLoss(flip_rate))} if fresh else {}
    record = fit(chosen.network(data, seed), noisy, chosen.recipe, seed, record_at=record_at, device=device,
                 watch=watch)
    turn, last = watch.epoch, int(record.times[-1])
    for keep, loss in controls.values():
        fit(chosen.network(data, seed), data, replace(chosen.recipe, loss=loss), seed, record_at=sorted({turn, last}),
            device=device, watch=keep)
    kept = {name: keep for name, (keep, _) in controls.items()}
    far = _weight_distance(*(kept["control"].models[epoch] for epoch in (turn, last)))
    gaps = {epoch: abs(_weight_distance(watch.models[turn], model) - far) for epoch, model in watch.models.items()}
    epochs = {moment: turn if "turn" in moment else last for moment in MOMENTS if fresh or "fresh" not in moment}
    epochs["matched"] = min(gaps, key=gaps.get)
    models = {moment: kept.get(moment.split()[0], watch).models[epoch] for moment, epoch in epochs.items()}
    return _explain(noisy, models, epochs, record, seed, per_group, n_background, method, device)


def _weight_distance(a: nn.Module, b: nn.Module) -> float:
    """Euclidean distance between all weights of two networks of one kind."""
    pairs = zip(a.parameters(), b.parameters())
    return sum(float((p - q).detach().double().square().sum()) for p, q in pairs) ** 0.5


def _setting(data: LabelledImages, network: str, width: int | None, recipe: Recipe | None) -> Setting:
    """The Setting of a kind of network; its width and recipe are those of the standard runs where none is given."""
    kind = KINDS[checks.one_of("network", network, KINDS)]
    if width is None or recipe is None:
        standard = setting("real_images", data)
        width, recipe = width or standard.width, recipe or standard.recipe
    return kind(width, recipe)


class _Keep:
    """Watches a run and keeps every network."""

    def __init__(self):
        self.models = {}

    def __call__(self, epoch: int, model: nn.Module) -> None:
        self.models[int(epoch)] = copy.deepcopy(model)


class _SinceTurn(_Keep):
    """Watches a run and keeps the networks since the epoch of the lowest mean margin of the noisy images."""

    def __init__(self, data: LabelledImages, device: torch.device | str):
        super().__init__()
        checks.require(data.flipped.any(), "flip_rate", data.noise, "such that some label is wrong")
        x = torch.from_numpy(standardise(data.x, data.x_test)[0][data.flipped]).to(device)
        labels = torch.from_numpy(class_index(data.y_obs, data.n_classes)[data.flipped]).to(device)
        self.x, self.labels, self.k, self.margin, self.epoch = x, labels, data.n_classes, np.inf, None

    def __call__(self, epoch: int, model: nn.Module) -> None:
        margin = float(loss_margins(predicted_outputs(model, self.x, epoch=epoch, n_classes=self.k).cpu(),
                                    self.labels.cpu()).mean())
        if margin < self.margin:
            self.margin, self.epoch, self.models = margin, int(epoch), {}
        super().__call__(epoch, model)


def _explain(data: LabelledImages, models: dict[str, nn.Module], epochs: dict[str, int], record: Record, seed: int,
             per_group: int, n_background: int, method: str, device: torch.device | str) -> ExplainedRun:
    """Draw the images of each group and the background, and explain them at each moment."""
    rng, k = random_stream(seed, "images explained"), data.n_classes
    clean, noisy = (rng.permutation(np.flatnonzero(data.flipped == wrong)) for wrong in (False, True))
    test = rng.permutation(len(data.y_test))[:checks.integer("per_group", per_group)]
    background, clean = np.split(clean, [checks.integer("n_background", n_background)])
    train = np.concatenate([noisy[:per_group], clean[:per_group]])
    sizes = [len(noisy[:per_group]), len(clean[:per_group]), len(test)]
    x, x_test = standardise(data.x, data.x_test)
    images, base = (torch.from_numpy(part).to(device) for part in (np.concatenate([x[train], x_test[test]]),
                                                                   x[background]))
    y, y_obs = (class_index(np.concatenate([labels[train], data.y_test[test]]), k) for labels in (data.y, data.y_obs))
    wrong = np.where(y != y_obs, y_obs, (y + rng.integers(1, k, len(y))) % k)
    maps = {moment: attribution_maps(models[moment], images, base, y, method=method) for moment in models}
    return ExplainedRun(images, np.concatenate([data.x[train], data.x_test[test]]), base, np.repeat(GROUPS, sizes), y,
                        wrong, models, maps, epochs, record, int(seed))


@entry
def survival(run: ExplainedRun, moment: str, counts: Iterable[int], *, order: str = "largest", keep: bool = False
             ) -> Bool[np.ndarray, "counts n"]:
    """Is an image still predicted as before when so many of its pixels are deleted?

    A deleted pixel gets the value that it has in the mean background image.

    Parameters
    ----------
    run, moment
        which network says so.
    counts
        numbers of pixels, one row of the answer for each.
    order
        "largest", the pixels with the largest contributions to the predicted class first, or "random".
    keep
        instead, keep only so many pixels.
    """
    checks.one_of("order", order, ("largest", "random"))
    checks.one_of("moment", moment, run.models)
    counts = list(counts)
    checks.require(len(counts) > 0, "counts", counts, "one number or more")
    counts = [checks.integer("counts", count, 0, run.x[0, 0].numel()) for count in counts]
    before, mean, alive = run.predicted(moment), run.background.mean(0, keepdim=True), []
    places = rank_pixels(_random_maps(run, "deleted") if order == "random" else run.maps_toward(moment, before))
    for count in counts:
        first = top_pixels(places, count)
        alive.append(run.predicted(moment, blend_top_pixels(run.x, mean, first if keep else ~first)) == before)
    return np.array(alive)


@entry
def transplants(run: ExplainedRun, moment: str, count: int, *, order: str = "largest", donors: ArrayLike | None = None
                ) -> Float[np.ndarray, " n"]:
    """For each donor, the share of test images misread as its class `run.wrong` once they get `count` of its pixels.

    The recipients are the other explained test images of the donor's true class, those of them that are read truly.
    What is no donor, or has no recipient, gets NaN.

    Parameters
    ----------
    run, moment
        which network reads.
    count
        pixels that a recipient gets.
    order
        "largest", the pixels with the largest contributions to that class in the donor's map, or "random".
    donors
        a mask of the n images; by default the training images.
    """
    checks.one_of("order", order, ("largest", "random"))
    checks.one_of("moment", moment, run.models)
    count = checks.integer("count", count, 0, run.x[0, 0].numel())
    if donors is not None:
        donors = checks.mask("donors", donors)
        checks.require(donors.shape == run.y.shape, "donors.shape", donors.shape, f"{run.y.shape}, one per image")
    truly, donors = run.predicted(moment) == run.y, run.group != "test" if donors is None else np.asarray(donors)
    toward = _random_maps(run, "transplanted") if order == "random" else run.maps_toward(moment, run.wrong)
    first, shares = top_pixels(rank_pixels(toward), count), np.full(len(run.y), np.nan)
    for i in np.flatnonzero(donors):
        to = np.flatnonzero((run.group == "test") & truly & (run.y == run.y[i]) & (np.arange(len(run.y)) != i))
        if len(to):
            x = blend_top_pixels(run.x[i:i + 1].expand(len(to), -1, -1, -1), run.x[to],
                                 first[i:i + 1].repeat(len(to), 0))
            shares[i] = np.mean(run.predicted(moment, x) == run.wrong[i])
    return shares


def _random_maps(run: ExplainedRun, what: str) -> Float[np.ndarray, "n height width"]:
    return random_stream(run.seed, f"pixels {what}").random(run.maps["turn"].shape)


@entry
def explained_group_means(runs: Sequence[ExplainedRun], values: Callable[[ExplainedRun], ArrayLike]
                          ) -> dict[str, Float[np.ndarray, " runs"]]:
    """By group, the mean over its images of values(run), which gives one value for each image; NaNs are left out."""
    checks.require(len(runs) > 0, "runs", runs, "one run or more")
    found = [(run, np.asarray(values(run), float)) for run in runs]
    return {group: np.array([np.nanmean(v[run.group == group]) for run, v in found]) for group in GROUPS}


@entry
def attribution_cell(flip_rate: float, seed: int, *, data: str = "two classes", n_train: int | None = None,
                     per_group: int = 100, n_background: int = 100, deleted: float = 0.03, network: str = "small",
                     width: int | None = None, recipe: Recipe | None = None, method: str = "deep_shap") -> list[dict]:
    """One `explained_run` as rows of numbers for a sweep, one for each group of images.

    Parameters
    ----------
    flip_rate, seed, per_group, n_background, network, width, recipe, method
        as of `explained_run`. The released code of Han et al. (2025) explains 100 noisy and 100 clean training images,
        with 100 clean ones as background.
    data
        "two classes" (`load_two_class_dataset`) or "all classes" (`load_ten_class_dataset`).
    n_train
        training images, by default all.
    deleted
        share of the pixels deleted and transplanted.

    Returns
    -------
    list
        Rows with group, images, steady (noisy images that are memorised, others that are right at both epochs), pixels,
        epochs, distances the weights moved; signed and place (`attribution_turn` since the turning point, of the maps
        and of their absolute values) to four moments; at "turn" and "last" the shares read truly,
        `attribution_effective_share`, `attribution_net_share` and the share of steady images that survive; transplanted
        last, the mean share of test images misread. None where a group has no such image.
    """
    check_ranges(flip_rate=flip_rate, seed=seed, n_train=n_train, per_group=per_group, n_background=n_background,
                 deleted=deleted, width=width)
    checks.one_of("data", data, LOADERS)
    checks.one_of("network", network, KINDS)
    checks.one_of("method", method, METHODS)
    images = LOADERS[checks.one_of("data", data, LOADERS)]()
    images = images if n_train is None else images.subset(n_train)
    run = explained_run(images, flip_rate, seed, per_group=per_group, n_background=n_background, recipe=recipe,
                        width=width, method=method, network=network, fresh=True)
    count = max(round(deleted * run.maps["turn"][0].size), 1)
    steady = run.memorised() | (run.right() & (run.group != "noisy"))
    columns = {}
    for after, before in BEFORE.items():
        for kind in ("signed", "place"):
            columns[f"{kind} {after}"] = attribution_turn(run.maps[before], run.maps[after], kind=kind)
    for moment in ("turn", "last"):
        columns |= {f"true {moment}": run.predicted(moment) == run.y,
                    f"effective share {moment}": attribution_effective_share(run.maps[moment]),
                    f"net share {moment}": attribution_net_share(run.maps[moment]),
                    f"survives {moment}": np.where(steady, survival(run, moment, [count])[0], np.nan)}
    columns["survives random last"] = np.where(steady, survival(run, "last", [count], order="random")[0], np.nan)
    columns["transplanted last"] = transplants(run, "last", count, donors=steady)
    fixed = {"pixels": count, **{f"epoch {k}": run.epochs[k] for k in ("turn", "matched", "last")},
             **{f"moved {after}": run.moved(before, after) for after, before in BEFORE.items()}}
    rows = []
    for group in GROUPS:
        inside = run.group == group
        means = {name: float(np.nanmean(values[inside])) if (inside & ~np.isnan(values)).any() else None
                 for name, values in ((name, np.asarray(v, float)) for name, v in columns.items())}
        rows.append({"group": group, "images": int(inside.sum()), "steady": int((inside & steady).sum()),
                     **fixed, **means})
    return rows
