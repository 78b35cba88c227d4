"""Attributions: how much each pixel, or each group of pixels, contributes to what a network says of an image.

Exact Shapley values of a few players, Captum's approximations of those of all pixels (chapter 14), and measures of how
two maps of the same image differ.
"""

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from torch import nn

from helpers import checks
from helpers.entry import entry
from helpers.streams import random_stream

METHODS = ("deep_shap", "integrated_gradients", "occlusion", "shapley_sampling")
PAIRS = 500  # pairs of an image and a background image that go through the network at a time: faster than more, or less
MOST_PLAYERS = 20


def import_captum() -> ModuleType:
    """captum.attr. Its import takes seconds, so that nothing else here imports it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # from tqdm, in a notebook without widgets
        import captum.attr
    return captum.attr


@entry
def shapley_values(values: ArrayLike) -> Float[np.ndarray, "... p"]:
    """Shapley values of p players from the worth of each of the 2^p coalitions (Shapley 1953; eq-shapley).

    Parameters
    ----------
    values
        of shape (..., 2^p). Player i is in a coalition if bit i of its index is set. Raises ValueError if the last axis
        is no power of two, or p > 20.

    Examples
    --------
    >>> from helpers.reading import shapley_values
    >>> shapley_values([0, 1, 2, 4])  # alone the players are worth 1 and 2, together 4: they share the gain of 1
    array([1.5, 2.5])
    """
    values = np.asarray(values, float)
    checks.require(values.size > 0, "values.shape", values.shape, "not empty")
    p = int(values.shape[-1]).bit_length() - 1 if values.ndim else -1
    fits = p >= 1 and values.shape[-1] == 2**p and p <= MOST_PLAYERS
    checks.require(fits, "values.shape", values.shape, f"(..., 2**p) with p from 1 to {MOST_PLAYERS}")
    coalitions = np.arange(2**p)
    sizes = np.bitwise_count(coalitions)
    weights = np.array([1 / (p * math.comb(p - 1, size)) for size in range(p)])  # of a coalition without the player
    shares = []
    for i in range(p):
        without = coalitions[(coalitions >> i) & 1 == 0]
        gained = values[..., without | (1 << i)] - values[..., without]
        shares.append((gained * weights[sizes[without]]).sum(-1))
    return np.stack(shares, -1)


@entry
def coalition_worths(f: Callable[[torch.Tensor], torch.Tensor], x: Float[torch.Tensor, "..."],
                     background: Float[torch.Tensor, "b ..."],
                     groups: ArrayLike | torch.Tensor) -> Float[np.ndarray, " coalitions"]:
    """The worth v(S) of each of the 2^p coalitions S of p groups of pixels.

    It is the mean of f over the background images into which the pixels of S are copied from x (eq-game).

    Parameters
    ----------
    f
        maps a batch of images to a number for each.
    x
        one image.
    background
        b images of the same shape.
    groups
        integers 0 to p - 1, broadcast to x: which player owns a pixel.
    """
    checks.require(x.numel() > 0, "x.shape", tuple(x.shape), "that of one image, not empty")
    fits = background.shape[1:] == x.shape and len(background) > 0
    checks.require(fits, "background.shape", tuple(background.shape), f"(b, {x.shape})")
    groups = torch.as_tensor(groups, device=x.device)
    checks.require(not groups.is_floating_point() and not groups.is_complex() and groups.numel() > 0, "groups",
                   groups, "integers, the number of each pixel's player")
    checks.broadcast("groups", groups, tuple(x.shape), grow=False)
    groups = groups.expand(x.shape)
    p = int(groups.max()) + 1
    checks.require(int(groups.min()) >= 0 and p <= MOST_PLAYERS, "groups", f"<{int(groups.min())} to {p - 1}>",
                   f"integers from 0 to at most {MOST_PLAYERS - 1}")
    total = torch.zeros(2**p, dtype=torch.float64)
    with torch.no_grad():
        for part in torch.arange(2**p, device=x.device).split(1000):
            there = ((part[(...,) + (None,) * x.ndim] >> groups) & 1).bool()
            for b in background:
                total[part.cpu()] += f(torch.where(there, x, b)).double().cpu()
    return (total / len(background)).numpy()


@entry
def attribution_blocks(image_shape: Sequence[int], side: int) -> Int[torch.Tensor, "height width"]:
    """The number of the side-by-side block that holds a pixel, row by row."""
    side = checks.integer("side", side)
    checks.require(len(image_shape) >= 2, "image_shape", image_shape, "(..., height, width)")
    height, width = (checks.integer("image_shape", size, 1, 10**5) for size in image_shape[-2:])
    checks.require(height % side == width % side == 0, "side", side, f"a divisor of {height} and {width}")
    rows = torch.arange(height) // side
    columns = torch.arange(width) // side
    return rows[:, None] * (width // side) + columns


class AttributionScore(nn.Module):
    """What is explained: f of a network with one output; of K logits, each logit minus the mean of the others.

    The latter has a column for each class; with two logits its second column is their difference, the f of a network
    with one output. Adding a number to all logits changes neither the probabilities nor the score.
    """

    @entry
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).eval()
        for module in self.model.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False  # Captum's hooks need the input of a ReLU

    def forward(self, x: Float[torch.Tensor, "batch ..."]) -> Float[torch.Tensor, "batch ..."]:
        """The score of each image."""
        z = self.model(x)
        return z if z.ndim == 1 else (z - z.mean(1, keepdim=True)) * (z.shape[1] / (z.shape[1] - 1))


@entry
def attribution_maps(
        model: nn.Module, x: Float[torch.Tensor, "n channels height width"],
        background: Float[torch.Tensor, "b channels height width"], classes: ArrayLike, *, method: str = "deep_shap",
        side: int = 2, steps: int = 16, draws: int = 25, seed: int = 0,
) -> Float[np.ndarray, "n height width"]:
    """Contributions of the pixels of each image to the score of a class, channels summed; float64.

    The maps of deep_shap and integrated_gradients sum to the score minus its mean over the background, those of
    shapley_sampling to the score minus that of the background's mean image.

    Parameters
    ----------
    model
        with one output per image (positive for class 1) or K logits; taken in evaluation mode.
    x, background
        images on the model's device, standardised as in training.
    classes
        positions of the n classes explained, e.g. ``class_index(y, n_classes)``.
    method
        "deep_shap", DeepLIFT with the rescale rule, averaged over the background images (Lundberg and Lee 2017), for
        networks whose only nonlinearities are ReLU modules; "integrated_gradients", averaged over them too, that is
        expected gradients (Sundararajan et al. 2017; Erion et al. 2021), for any network; and two that replace blocks
        of side x side pixels by the background's mean image: "occlusion", one block at a time, and "shapley_sampling",
        in random orders (Strumbelj and Kononenko 2010). A block's value is spread evenly over its pixels.
    side
        of a block, in pixels.
    steps
        points on each path of integrated gradients (Gauss-Legendre).
    draws, seed
        how many random orders of the blocks, and their seed.

    Raises
    ------
    ValueError
        on bad arguments, and where the maps of deep_shap do not add up.
    """
    checks.one_of("method", method, METHODS)
    steps, draws = checks.integer("steps", steps, 1, 10**4), checks.integer("draws", draws, 1, 10**6)
    side, seed = checks.integer("side", side), checks.integer("seed", seed, 0)
    checks.require(x.numel() > 0, "x.shape", tuple(x.shape), "(n, channels, height, width), not empty")
    checks.require(x.ndim == 4 and background.shape[1:] == x.shape[1:] and len(background) > 0, "background.shape",
                   tuple(background.shape), f"(b, {', '.join(map(str, x.shape[1:]))}), as x")
    wanted = np.asarray(classes)
    checks.require(wanted.dtype.kind in "iu", "classes", f"<{wanted.dtype}>", "integers, positions of classes")
    classes = torch.as_tensor(wanted, dtype=torch.int64, device=x.device)
    checks.require(classes.shape == x.shape[:1], "classes.shape", tuple(classes.shape), f"({len(x)},)")
    score = AttributionScore(model)
    with torch.no_grad():
        outputs = score(x[:1])
    several = outputs.ndim == 2
    k = outputs.shape[1] if several else 2
    checks.require(0 <= wanted.min() and wanted.max() < k, "classes", wanted, f"positions of classes, 0 to {k - 1}")
    targets = classes if several else None
    if method in ("deep_shap", "integrated_gradients"):
        maps = _along_paths(score, x, background, targets, method, steps)
    else:
        maps = _by_blocks(score, x, background, targets, method, side, draws, seed)
    maps = maps.detach().double().sum(1)
    if method == "deep_shap":
        _require_sums(score, x, background, targets, maps.sum((1, 2)))
    return (maps if several else maps * (2 * classes - 1)[:, None, None]).cpu().numpy()


def _require_sums(score, x, background, targets, sums):
    with torch.no_grad():
        gained = score(x).double()
        base = score(background).double().mean(0)
    gained = gained - base if targets is None else (gained - base).gather(1, targets[:, None])[:, 0]
    gap = float((sums - gained).abs().max() / gained.abs().max())
    checks.require(gap < 0.01, "model", f"<whose maps miss their sums by {gap:.2g}>", "without nonlinear functions "
                   "that Captum's DeepLIFT cannot trace (max pooling, torch.relu): take method='integrated_gradients'")


def _along_paths(score, x, background, targets, method, steps):
    captum = import_captum()
    explainer = captum.DeepLift(score) if method == "deep_shap" else captum.IntegratedGradients(score)
    options = {} if method == "deep_shap" else {"n_steps": steps, "internal_batch_size": PAIRS}
    b = len(background)
    size = max(PAIRS // b, 1)
    maps = []
    for first in range(0, len(x), size):
        part = x[first:first + size]
        pairs = part.repeat_interleave(b, 0).requires_grad_()
        others = background.repeat(len(part), 1, 1, 1)
        target = None if targets is None else targets[first:first + size].repeat_interleave(b)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Setting forward, backward hooks", UserWarning)  # on our own copy
            found = explainer.attribute(pairs, baselines=others, target=target, **options)
        maps.append(found.detach().reshape(len(part), b, *x.shape[1:]).mean(1))
    return torch.cat(maps)


def _by_blocks(score, x, background, targets, method, side, draws, seed):
    captum = import_captum()
    groups = attribution_blocks(x.shape, side).to(x.device).expand(1, *x.shape[1:]).contiguous()  # for Captum's view
    options = {"baselines": background.mean(0, keepdim=True), "target": targets, "feature_mask": groups}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(random_stream(seed, "orders of blocks").integers(2**63)))  # Captum draws from it
        if method == "occlusion":
            found = captum.FeatureAblation(score).attribute(x, **options)
        else:
            found = captum.ShapleyValueSampling(score).attribute(x, n_samples=draws, **options)
    return found / (side**2 * x.shape[1])


@entry
def attribution_turn(before: ArrayLike, after: ArrayLike, *, kind: str = "signed") -> Float[np.ndarray, " n"]:
    """How far maps have turned: one minus the cosine of the angle between the two maps of each image.

    Parameters
    ----------
    before, after
        the maps of n images, of one shape. A zero map gives NaN.
    kind
        "signed", from 0 (the same map, up to scale) to 2 (its opposite); "place", of the maps' absolute values: from 0
        (the same pixels in the same proportions, whatever the signs) to 1 (no pixel in common).
    """
    checks.one_of("kind", kind, ("signed", "place"))
    a, b = (_flat(name, maps) for name, maps in (("before", before), ("after", after)))
    checks.require(a.shape == b.shape, "after.shape", np.shape(after), f"{np.shape(before)}")
    if kind == "place":
        a, b = np.abs(a), np.abs(b)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return 1 - np.divide((a * b).sum(1), lengths, out=np.full(len(a), np.nan), where=lengths > 0)


@entry
def attribution_effective_share(maps: ArrayLike) -> Float[np.ndarray, " n"]:
    """Share of the pixels that a map rests on: ``(sum |phi|)^2 / (pixels sum phi^2)``, 1 if all weigh the same."""
    flat = np.abs(_flat("maps", maps))
    squares = (flat**2).sum(1) * flat.shape[1]
    return np.divide(flat.sum(1) ** 2, squares, out=np.full(len(flat), np.nan), where=squares > 0)


@entry
def attribution_net_share(maps: ArrayLike) -> Float[np.ndarray, " n"]:
    """``|sum phi| / sum |phi|``: 1 if no two contributions of a map cancel, 0 if they all do."""
    flat = _flat("maps", maps)
    total = np.abs(flat).sum(1)
    return np.divide(np.abs(flat.sum(1)), total, out=np.full(len(flat), np.nan), where=total > 0)


@entry
def attribution_share_inside(maps: ArrayLike, inside: ArrayLike) -> Float[np.ndarray, " n"]:
    """Share of the absolute contributions on the pixels of the masks `inside`, one per image."""
    flat = np.abs(_flat("maps", maps))
    chosen = _flat("inside", checks.mask("inside", inside))
    checks.require(chosen.shape == flat.shape, "inside.shape", np.shape(inside), f"{np.shape(maps)}, as maps")
    total = flat.sum(1)
    return np.divide((flat * chosen).sum(1), total, out=np.full(len(flat), np.nan), where=total > 0)


@entry
def rank_pixels(maps: ArrayLike) -> Int[np.ndarray, "n pixels"]:
    """Positions of the pixels, the largest contribution first."""
    return np.argsort(-_flat("maps", maps), axis=1, kind="stable")


@entry
def top_pixels(order: Int[np.ndarray, "n pixels"], count: int) -> Bool[np.ndarray, "n pixels"]:
    """Mask of the first `count` pixels of each row of `order`, which `rank_pixels` makes."""
    rows = order.size > 0 and bool((np.sort(order, 1) == np.arange(order.shape[1])).all())
    checks.require(rows, "order", order, "rows of positions, each of all pixels once")
    count = checks.integer("count", count, 0, order.shape[1])
    chosen = np.zeros(order.shape, bool)
    np.put_along_axis(chosen, order[:, :count], True, axis=1)
    return chosen


@entry
def blend_top_pixels(x: Float[torch.Tensor, "n channels height width"], others: Float[torch.Tensor, "..."],
                     chosen: Bool[np.ndarray, "n pixels"]) -> Float[torch.Tensor, "n channels height width"]:
    """Images with the pixels `chosen` from x and the rest from `others`, all channels of a pixel together.

    `others` may have any shape that broadcasts to that of x.
    """
    pixels = x.shape[2] * x.shape[3]
    checks.require(x.numel() > 0, "x.shape", tuple(x.shape), "(n, channels, height, width), not empty")
    checks.require(chosen.shape == (len(x), pixels), "chosen.shape", chosen.shape, f"({len(x)}, {pixels})")
    checks.broadcast("others", others, tuple(x.shape), grow=False)
    there = torch.as_tensor(np.ascontiguousarray(chosen), device=x.device).reshape(len(x), 1, *x.shape[2:])
    return torch.where(there, x, others)


def _flat(name: str, maps: ArrayLike) -> Float[np.ndarray, "n pixels"]:
    maps = np.asarray(maps, float)
    checks.require(maps.ndim >= 2 and maps.size > 0, f"{name}.shape", maps.shape, "(n, ...), one map per image")
    return maps.reshape(len(maps), -1)


@entry
def attribution_controls(values: ArrayLike, among: ArrayLike) -> Int[np.ndarray, " values"]:
    """For each of `values` the position in `among` of the nearest value, its control; repeats are allowed."""
    values, among = np.asarray(values, float), np.asarray(among, float)
    checks.sampled("values", values, 0)
    checks.sampled("among", among)
    return np.abs(values[:, None] - among).argmin(1)
