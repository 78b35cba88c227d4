"""Gradient descent on softmax cross-entropy for any `Scene`, and its variants: other activations, mini-batches,
label-noise gradient descent, early-learning regularisation. The book's own network and training is the special case of
two classes.

Output unit k has m filters and the logit f_k(x) = (1/m) sum_r sum_p phi(<w_{k,r}, x_p>) over the patches x_p of x. For
two classes softmax is the logistic function of F_{+1} - F_{-1} (units 0 and 1), so the loss is the book's. With
responses B = W V^T and the push q_k(v) of a vector v = sum over the samples that contain v of 1[y_obs = k] - softmax_k,

    S = (lr / (n m)) phi'(B) q,     B += S K,     C += S,

where q does not depend on the filter r: all that a filter adds is its own phi'. Exact, whatever the dimension.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from helpers import checks
from helpers.engine.elr_term import TERMS, moved_targets, slope_of_term
from helpers.engine.engine_state import DIVERGED, EngineDiverged
from helpers.engine.gram import gram_square_root, moved_weight_gram
from helpers.engine.scenes import Scene
from helpers.entry import entry
from helpers.record import Record, log_times
from helpers.runtime import provenance
from helpers.streams import random_stream

ACTIVATIONS = ("relu", "squared")
BATCHES = ("reshuffled", "independent")


@entry
@dataclass(frozen=True)
class Variant:
    """What differs from full-batch gradient descent with relu.

    Attributes
    ----------
    activation
        "relu", max(z, leak z); or "squared", max(z, 0)^2.
    leak
        slope in [0, 1] on negative inputs; with "relu" only.
    batch_size
        samples per step; None for all. It must divide n.
    batches
        "reshuffled": each epoch goes once through a new random order; "independent": each step draws its own.
    flip_rate
        label-noise gradient descent: each step flips each label anew with this probability.
    strength
        lambda >= 0, the weight of a term added to the loss of a sample with probabilities p and targets t: with `term`
        "elr" it is log(1 - <p, t>) (chapter 17), with "kl" the divergence of p from t. t starts at 0, and each step
        that sees the sample, before anything else, moves it to momentum t + (1 - momentum) p.
    momentum
        beta in [0, 1).
    clamp
        in the term p stands for p clamped to [clamp, 1 - clamp], no gradient passing outside; 0 for no clamp.
    """

    _: KW_ONLY
    activation: str = "relu"
    leak: float = 0.0
    batch_size: int | None = None
    batches: str = "reshuffled"
    flip_rate: float = 0.0
    strength: float = 0.0
    term: str = "elr"
    momentum: float = 0.7
    clamp: float = 0.0

    def __post_init__(self):
        if self.batch_size is not None:
            checks.integer("batch_size", self.batch_size)
        checks.one_of("activation", self.activation, ACTIVATIONS)
        checks.real("leak", self.leak, 0.0, 0.0 if self.activation == "squared" else 1.0)
        checks.one_of("batches", self.batches, BATCHES)
        checks.real("flip_rate", self.flip_rate, 0.0, 1.0)
        checks.real("strength", self.strength, 0.0)
        checks.one_of("term", self.term, TERMS)
        checks.real("momentum", self.momentum, 0.0, 1.0, open_high=True)
        checks.real("clamp", self.clamp, 0.0, 0.5, open_high=True)

    @entry
    def phi(self, z: torch.Tensor) -> torch.Tensor:
        """The activation."""
        if self.activation == "squared":
            return torch.relu(z).square()
        return torch.maximum(z, self.leak * z) if self.leak else torch.relu(z)

    @entry
    def slope(self, z: torch.Tensor) -> torch.Tensor:
        """Its derivative; at 0, where relu has none, the one from the left."""
        if self.activation == "squared":
            return 2 * torch.relu(z)
        positive = (z > 0).to(z)
        return positive + self.leak * (1 - positive) if self.leak else positive


@entry
def descend_variant(scenes: Iterable[Scene], lr: float | Iterable[float], steps: int, *,
                    record_at: ArrayLike | None = None, n_test: int = 1000,
                    **method: str | float | int | None) -> Record:
    """Train on one or more scenes of one shape, each a run, and return a Record.

    Two-class records have labels -1 and +1, and signal_response and gamma for the first signal vector; others have
    class indices and predictions. In both a margin refers to the scene's y_obs, whatever a step's own flips.

    Parameters
    ----------
    scenes
        Scenes with the same numbers of rows, samples, classes and filters.
    lr
        step size eta; a number, or one for each scene.
    steps
        gradient steps.
    record_at
        increasing steps in [0, steps]; log-spaced by default. The run ends at the last of them.
    n_test
        test draws behind each fresh error; 0 for none.
    method
        fields of `Variant`.

    Returns
    -------
    record
        the runs at the recorded steps.

    Raises
    ------
    ValueError
        on bad arguments.
    FloatingPointError
        if a run diverges: `EngineDiverged`, with the step and the run.

    Examples
    --------
    >>> from helpers.data import SignalNoise
    >>> from helpers.engine import descend_variant, several_class_scene
    >>> law = SignalNoise(40, 10_000, n_snr2=20.0, flip_plus=0.2, flip_minus=0.2)
    >>> scenes = [several_class_scene(law, 3, m=5, init_std=1e-5, seed=seed) for seed in range(2)]
    >>> record = descend_variant(scenes, lr=8e-4, steps=500, record_at=[10, 500], n_test=200)
    >>> record.mean_over(record.fits_true, "noisy").round(2)  # of two runs, at step 10 and 500
    array([[0.92, 0.  ],
           [1.  , 0.  ]])
    """
    method = Variant(**method)
    steps = checks.integer("steps", steps, 0)
    scenes = list(scenes)
    checks.require(len(scenes) > 0, "scenes", scenes, "one or more scenes")
    shapes = {(scene.responses.shape, scene.patches.shape, scene.contexts.shape) for scene in scenes}
    checks.require(len(shapes) == 1, "scenes", shapes, "of one shape")
    times = log_times(steps) if record_at is None else checks.increasing("record_at", record_at, steps)
    n_test = checks.integer("n_test", n_test, 0, 10**9)
    rates = [checks.positive("lr", one) for one in (lr if isinstance(lr, Iterable) else [lr] * len(scenes))]
    checks.require(len(rates) == len(scenes), "lr", lr, f"a number or {len(scenes)} of them, one a scene")
    start = time.perf_counter()
    engine = VariantEngine(scenes, rates, method)
    draws = _draw_tests(scenes, n_test)
    seen = []
    for step in times:
        for _ in range(int(step) - engine.step):
            engine.advance()
        seen.append(_measure(engine, draws))
    arrays = {name: np.stack([entry[name] for entry in seen], 1) for name in seen[0]}
    runs = [{**scene.about, "lr": rate} for scene, rate in zip(scenes, rates)]
    config = {"m": engine.m, "classes": engine.classes, **method.__dict__, "steps": steps,
              "seconds": time.perf_counter() - start, **provenance()}
    labels = {name: _labels(getattr(engine, name), engine.classes) for name in ("y", "y_obs")}
    return Record(times=times, **labels, **arrays, test_sizes={"fresh": n_test, "reused": 0}, runs=runs, config=config)


@entry
@dataclass(eq=False)
class VariantEngine:
    """A batch of runs on scenes, through inner products. Like an `Engine`, but it has K output units and takes one step
    at a time.

    Attributes
    ----------
    scenes
        of each run, all of one shape.
    rates
        the step size of each run.
    method
        what differs from full-batch gradient descent with relu.
    step
        gradient steps taken so far.
    """

    scenes: Sequence[Scene]
    rates: Sequence[float]
    method: Variant
    step: int = field(default=0, init=False)

    def __post_init__(self):
        checks.require(len(self.scenes) > 0, "scenes", self.scenes, "one or more scenes")
        fits = len(self.rates) == len(self.scenes) and min(self.rates) > 0
        checks.require(fits, "rates", self.rates, f"{len(self.scenes)} positive numbers, one per scene")
        self.gram = self._stacked("gram")
        self.start = self._stacked("responses")
        self.y = self._stacked("y")
        self.y_obs = self._stacked("y_obs")
        self.patches = self._stacked("patches")
        self.contexts = self._stacked("contexts")
        self.runs, self.classes, self.m, _ = self.start.shape
        self.n = self.y.shape[1]
        self.rate = torch.tensor(self.rates, dtype=torch.float64)[:, None, None] / (self.n * self.m)
        self.responses = self.start.clone()
        self.coefficients = torch.zeros_like(self.start)
        size = self.method.batch_size
        if size is not None:
            checks.integer("batch_size", size, 1, self.n)
            checks.require(self.n % size == 0, "batch_size", size, f"a divisor of n = {self.n}")
        seeds = [scene.about["seed"] for scene in self.scenes]
        self.batch_rngs, self.label_rngs = ([random_stream(seed, name) for seed in seeds]
                                            for name in ("mini-batches", "label-noise descent"))
        self.order = np.zeros((self.runs, self.n), np.int64)
        self.missing = torch.ones(self.runs, self.classes, self.n, dtype=torch.float64)  # 1 minus the targets

    def _stacked(self, name: str) -> torch.Tensor:
        return torch.stack([getattr(scene, name) for scene in self.scenes])

    def outputs(self) -> Float[torch.Tensor, "runs K R"]:
        """Mean over filters of phi(<w_{k,r}, v>): what each vector v adds to each logit."""
        return self.method.phi(self.responses).mean(2)

    @entry
    def logits(self, outputs: Float[torch.Tensor, "runs K R"],
               patches: Int[torch.Tensor, "runs N p"]) -> Float[torch.Tensor, "runs K N"]:
        """Logits of the N samples that consist of the rows `patches`."""
        wanted = self.start.shape[:2] + self.start.shape[3:]
        checks.require(outputs.shape == wanted, "outputs.shape", tuple(outputs.shape), f"{tuple(wanted)}")
        fits = len(patches) == self.runs and patches.numel() > 0
        checks.require(fits, "patches.shape", tuple(patches.shape), f"({self.runs}, N, p), not empty")
        inside = bool(((patches >= 0) & (patches < wanted[2])).all())
        checks.require(inside, "patches", patches, f"indices of rows, 0 to {wanted[2] - 1}")
        return self._logits(outputs, patches)

    def _logits(self, outputs: Float[torch.Tensor, "runs K R"],
                patches: Int[torch.Tensor, "runs N p"]) -> Float[torch.Tensor, "runs K N"]:
        runs, samples, p = patches.shape
        index = patches.reshape(runs, 1, samples * p).expand(-1, self.classes, -1)
        return outputs.gather(2, index).view(runs, self.classes, samples, p).sum(-1)

    def advance(self) -> None:
        """One gradient step in every run."""
        logits = self._logits(self.outputs(), self.patches)
        p = logits.softmax(1)
        weights = self._weights()[:, None, :]
        push = torch.nn.functional.one_hot(self._labels_now(), self.classes).mT - p
        if self.method.strength:
            moved = moved_targets(p, self.missing, self.method.momentum, clamp=self.method.clamp)
            self.missing = torch.where(weights > 0, moved, self.missing)
            push = push - self.method.strength * slope_of_term(p, self.missing, term=self.method.term,
                                                               clamp=self.method.clamp)
        push = self.rate * push * weights
        p = self.patches.shape[2]
        index = self.patches.reshape(self.runs, 1, -1).expand(-1, self.classes, -1)
        of_vector = torch.zeros(self.start.shape[0], self.classes, self.start.shape[3], dtype=torch.float64)
        of_vector.scatter_add_(2, index, push.repeat_interleave(p, 2))
        update = self.method.slope(self.responses) * of_vector[:, :, None, :]
        self.coefficients += update
        self.responses.flatten(1, 2).baddbmm_(update.flatten(1, 2), self.gram)
        self.step += 1

    def _labels_now(self) -> Int[torch.Tensor, "runs n"]:
        if self.method.flip_rate == 0:
            return self.y_obs
        flips = np.stack([rng.random(self.n) < self.method.flip_rate for rng in self.label_rngs])
        others = np.stack([rng.integers(1, self.classes, self.n) for rng in self.label_rngs])
        return (self.y_obs + torch.from_numpy(flips * others)) % self.classes

    def _weights(self) -> Float[torch.Tensor, "runs n"]:
        """Weight of each sample in this step: 1, or n / b for the b samples of a mini-batch."""
        size = self.method.batch_size
        if size is None:
            return torch.ones(self.runs, self.n, dtype=torch.float64)
        place = 0
        if self.method.batches == "reshuffled":
            place = self.step % (self.n // size)
        if place == 0:
            self.order = np.stack([rng.permutation(self.n) for rng in self.batch_rngs])
        weights = np.zeros((self.runs, self.n))
        np.put_along_axis(weights, self.order[:, place * size:(place + 1) * size], self.n / size, 1)
        return torch.from_numpy(weights)

    def weight_gram(self) -> Float[torch.Tensor, "runs filters filters"]:
        """W W^T now, of the K m filters."""
        filters = (x.flatten(1, 2) for x in (self.start, self.coefficients, self.responses))
        return moved_weight_gram(self._stacked("weight_gram"), *filters)


def _labels(index, classes):
    return np.where(index.numpy() == 0, 1.0, -1.0) if classes == 2 else index.numpy()


def _draw_tests(
        scenes: list[Scene], n_test: int,
) -> tuple[Float[torch.Tensor, "runs filters n_test"], Int[torch.Tensor, "runs n_test"]] | None:
    """Normals behind the filters' responses to fresh noise, and the numbers of contexts; None without fresh noise."""
    if n_test == 0 or any(scene.weight_gram is None for scene in scenes):
        return None
    rngs = [random_stream(scene.about["seed"], "test draws of variants") for scene in scenes]
    filters = len(scenes[0].weight_gram)
    contexts = len(scenes[0].contexts)
    normals = np.stack([rng.standard_normal((filters, n_test)) for rng in rngs])
    which = np.stack([rng.integers(contexts, size=n_test) for rng in rngs])
    return torch.from_numpy(normals), torch.from_numpy(which)


def _measure(engine, draws):
    """The per-time entries of a Record, runs first."""
    outputs = engine.outputs()
    logits = engine._logits(outputs, engine.patches)
    margins = _margins(logits, engine.y_obs)
    bad = ~(margins.abs().mean(1) <= DIVERGED)
    if bad.any():
        raise EngineDiverged(engine.step, int(bad.int().argmax()))
    own = engine.y_obs[:, None, None, :].expand(-1, 1, engine.m, -1)
    noise = slice(engine.start.shape[3] - engine.n, None)
    squares = engine.gram.diagonal(dim1=1, dim2=2)[:, None, None, :]
    rho = (engine.coefficients * squares)[..., noise].gather(1, own)[:, 0]
    active = engine.responses[..., noise].gather(1, own)[:, 0] > 0
    values = {"margins": margins, "rho": rho.mean(1), "rho_max": rho.amax(1), "active": active.double().mean(1)}
    values["reused_error"] = _reused_error(engine, outputs, noise)
    if draws is not None:
        values["fresh_error"] = _fresh_error(engine, outputs, *draws)
    if engine.classes == 2:
        signs = torch.tensor([1.0, -1.0])[:, None]
        both = engine.coefficients * squares
        values["signal_response"] = outputs[:, 0, :2] - outputs[:, 1, :2]
        values["gamma"] = signs * (both[..., 0] - both[..., 1])
    else:
        values["predictions"] = logits.argmax(1)
    return {name: value.numpy() for name, value in values.items()}


def _margins(logits: Float[torch.Tensor, "runs K N"],
             labels: Int[torch.Tensor, "runs N"]) -> Float[torch.Tensor, "runs N"]:
    """Logit of the label minus the log-sum-exp of the others; for two classes y_obs f."""
    own = labels[:, None, :]
    chosen = logits.gather(1, own)[:, 0]
    return chosen - logits.scatter(1, own, -torch.inf).logsumexp(1)


def _wrong(logits: Float[torch.Tensor, "runs K N"],
           labels: Int[torch.Tensor, "runs N"]) -> Float[torch.Tensor, " runs"]:
    """Share of samples whose label does not have the largest logit alone."""
    own = labels[:, None, :]
    return (logits.gather(1, own)[:, 0] <= logits.scatter(1, own, -torch.inf).amax(1)).double().mean(1)


def _context_labels(engine):
    return torch.stack([scene.context_labels for scene in engine.scenes])


def _reused_error(engine, outputs, noise):
    """Every training patch beside every context, exactly."""
    beside = engine._logits(outputs, engine.contexts)[:, :, :, None]
    logits = (beside + outputs[:, :, None, noise]).flatten(2)
    return _wrong(logits, _context_labels(engine).repeat_interleave(engine.n, 1))


def _fresh_error(engine, outputs, normals, which):
    covariance = engine.weight_gram()
    off = engine.scenes[0].orthogonal_to
    if off:
        along = engine.responses.flatten(1, 2)[..., off]
        squares = engine.gram.diagonal(dim1=1, dim2=2)[:, off]
        covariance = covariance - along / squares[:, None, :] @ along.mT
    covariance = (covariance + covariance.mT) / 2
    root = gram_square_root(covariance)
    noise_std = torch.tensor([scene.noise_std for scene in engine.scenes])[:, None, None]
    fresh = engine.method.phi(noise_std * root @ normals).unflatten(1, (engine.classes, engine.m)).mean(2)
    beside = engine._logits(outputs, engine.contexts)
    picked = beside.gather(2, which[:, None, :].expand(-1, engine.classes, -1))
    return _wrong(picked + fresh, _context_labels(engine).gather(1, which))
