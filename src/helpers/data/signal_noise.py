"""The data model: a signal patch, a noise patch, and a label that may be flipped (Han et al. 2025, section 3).

A sample is ``x = [y mu, xi]`` with true label y uniform on {-1, +1}, a fixed signal mu and noise
``xi ~ N(0, noise_std^2 I_d)``. The observed label is -y with probability ``flip_plus`` (y = +1) or
``flip_minus`` (y = -1), and y otherwise. A training set may be balanced: n/2 samples of each true class.
"""

import dataclasses
import math
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np
import psutil
import torch
from jaxtyping import Bool, Float, Float64

from helpers import checks
from helpers.entry import entry
from helpers.streams import random_stream

STRENGTHS = ("n_snr2", "mu_norm", "snr")
LARGEST_D = 10**15  # integers up to here are exact in float64


@entry(own=("mu", "xi", "y", "y_obs", "xi_test", "y_test"))
@dataclass(frozen=True, eq=False)
class Sample:
    """n training samples as explicit vectors, on the CPU, and optional test samples. Anything array-like is taken.

    Attributes
    ----------
    mu
        the signal.
    xi
        the noise patches.
    y, y_obs
        true and observed labels, each -1 or +1.
    xi_test, y_test
        fresh noise patches and their true labels; n_test may be 0.
    distribution
        the SignalNoise this was drawn from; it tells what fresh test noise looks like.

    Raises
    ------
    ValueError
        If a shape is not that of the distribution, a label is not -1 or +1, or a number is not finite.
    """

    mu: Float64[torch.Tensor, " d"]
    xi: Float64[torch.Tensor, "n d"]
    y: Float64[torch.Tensor, " n"]
    y_obs: Float64[torch.Tensor, " n"]
    xi_test: Float64[torch.Tensor, "n_test d"]
    y_test: Float64[torch.Tensor, " n_test"]
    distribution: "SignalNoise"

    def __post_init__(self) -> None:
        for name, length in {"y": self.n, "y_obs": self.n, "y_test": None}.items():
            object.__setattr__(self, name, checks.labels(name, getattr(self, name), length))
        shapes = {"mu": (self.d,), "xi": (self.n, self.d), "xi_test": (len(self.y_test), self.d)}
        for name, shape in shapes.items():
            object.__setattr__(self, name, checks.vectors(name, getattr(self, name), *shape))

    @property
    def n(self) -> int:
        """Number of training samples."""
        return self.distribution.n

    @property
    def d(self) -> int:
        """Dimension of a patch."""
        return self.distribution.d

    @property
    def flipped(self) -> Bool[torch.Tensor, " n"]:
        """Which samples carry a wrong label."""
        return self.y != self.y_obs

    @property
    def vectors(self) -> Float64[torch.Tensor, "{self.n}+1 d"]:
        """The signal mu in row 0, the noise patches below. The weights move in the span of these rows."""
        return torch.cat([self.mu[None], self.xi])

    @cached_property
    def gram(self) -> Float64[torch.Tensor, "{self.n}+1 {self.n}+1"]:
        """Inner products of `vectors`, computed once."""
        return self.vectors @ self.vectors.T

    @cached_property
    def test_gram(self) -> Float64[torch.Tensor, "n_test {self.n}+1"]:
        """Inner products of the test patches with `vectors`, computed once."""
        return self.xi_test @ self.vectors.T

    @entry
    def keep(self, kept: Bool[np.ndarray, " n"]) -> "Sample":
        """The same data with those training samples only for which `kept` is True (see `keep_samples`)."""
        checks.require(kept.shape == (self.n,) and bool(kept.any()), "kept", kept, f"{self.n} values, some True")
        law = self.distribution.replace(n=int(kept.sum()), mu_norm=self.distribution.mu_norm, balanced=False)
        return dataclasses.replace(self, xi=self.xi[kept], y=self.y[kept], y_obs=self.y_obs[kept], distribution=law)


@dataclass(frozen=True)
class SignalNoise:
    """The distribution of n samples in dimension d, with exactly one of three signal strengths given.

    Parameters
    ----------
    n, d
        number of training samples, dimension of a patch.
    n_snr2
        n SNR^2 = ``n |mu|^2 / (noise_std^2 d)``, the paper's order-one quantity.
    mu_norm
        ``|mu|``, the length of the signal.
    snr
        SNR = ``|mu| / (noise_std sqrt(d))``.
    noise_std
        standard deviation of each noise coordinate.
    flip_plus, flip_minus
        probability in [0, 1/2) that the label of a y = +1 (y = -1) sample is flipped.
    orthogonal
        project the noise off the signal, a common variant.
    balanced
        draw exactly n/2 samples of each true class, in random order, and not a fair coin for each sample: the paper's
        assumption on its training set. The flips stay independent.

    Raises
    ------
    ValueError
        If not exactly one strength is given, anything is out of range, or n is odd and `balanced`.

    Examples
    --------
    All three strengths can be read, whichever was given:

    >>> from helpers import SignalNoise
    >>> law = SignalNoise(n=100, d=400, n_snr2=4.0, flip_plus=0.2)
    >>> law.snr, law.mu_norm
    (0.2, 4.0)
    >>> sample = law.sample(0)
    >>> sample.xi.shape, sample.flipped.sum().item()
    (torch.Size([100, 400]), 14)
    """

    n: int
    d: int
    _: KW_ONLY
    n_snr2: float | None = None
    mu_norm: float | None = None
    snr: float | None = None
    noise_std: float = 1.0
    flip_plus: float = 0.0
    flip_minus: float = 0.0
    orthogonal: bool = False
    balanced: bool = False

    def __post_init__(self) -> None:
        def set_field(name, value):
            object.__setattr__(self, name, value)  # the class is frozen

        set_field("n", checks.integer("n", self.n, 1, LARGEST_D))
        set_field("d", checks.integer("d", self.d, 2, LARGEST_D))
        set_field("noise_std", checks.positive("noise_std", self.noise_std))
        for name in ("flip_plus", "flip_minus"):
            set_field(name, checks.real(name, getattr(self, name), 0.0, 0.5, open_high=True))
        for name in ("orthogonal", "balanced"):
            set_field(name, bool(checks.one_of(name, getattr(self, name), (False, True))))
        checks.require(not (self.balanced and self.n % 2), "n", self.n, "even where the true classes are balanced")
        strengths = {name: getattr(self, name) for name in STRENGTHS}
        given = {name: value for name, value in strengths.items() if value is not None}
        if len(given) != 1:
            raise ValueError(f"{', '.join(STRENGTHS)}={tuple(strengths.values())}: exactly one must be given")
        ((name, value),) = given.items()
        value = checks.positive(name, value)
        unit = self.noise_std * math.sqrt(self.d)
        snr = {"snr": value, "mu_norm": value / unit, "n_snr2": math.sqrt(value / self.n)}[name]
        derived = {"snr": snr, "mu_norm": snr * unit, "n_snr2": self.n * snr * snr} | {name: value}
        for field, number in derived.items():
            checks.require(0 < number < math.inf, name, value, f"such that {field} is a positive finite number")
            set_field(field, number)
        set_field("_given", name)

    @entry
    def replace(self, **changes: object) -> "SignalNoise":
        """A copy with `changes`; the strength stays the one that was given, unless a new one is."""
        dropped = set(STRENGTHS) if changes.keys() & set(STRENGTHS) else set(STRENGTHS) - {self._given}
        kept = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in dropped}
        return SignalNoise(**(kept | changes))

    def draw_labels(self, seed: int) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
        """True and observed labels of the n training samples, each -1 or +1."""
        rng = random_stream(seed, "labels")
        if self.balanced:
            y = rng.permutation(np.repeat([-1.0, 1.0], self.n // 2))
        else:
            y = rng.choice([-1.0, 1.0], self.n)
        return y, self.flip(y, rng)

    @entry
    def flip(self, y: Float[np.ndarray, " n"], rng: np.random.Generator) -> Float[np.ndarray, " n"]:
        """Observed labels: each entry of `y` keeps its sign or, with its class's flip rate, changes it."""
        checks.require(bool((np.abs(y) == 1).all()), "y", y, "labels -1 or +1")
        flipped = rng.random(len(y)) < np.where(y > 0, self.flip_plus, self.flip_minus)
        return np.where(flipped, -y, y)

    def sample(self, seed: int, *, n_test: int = 0) -> Sample:
        """Draw a Sample of explicit vectors: (n + n_test) d numbers of 8 bytes, or MemoryError."""
        n_test = checks.integer("n_test", n_test, 0)
        need = 8 * (self.n + n_test) * self.d
        if need > psutil.virtual_memory().available:
            raise MemoryError(f"d={self.d}: explicit vectors need {need} bytes, more than is free; "
                              "descend on the distribution itself, which makes no vector of length d")
        mu = np.zeros(self.d)
        mu[0] = self.mu_norm
        y, y_obs = self.draw_labels(seed)
        y_test = random_stream(seed, "test labels").choice([-1.0, 1.0], n_test)
        noise = [self._noise(random_stream(seed, stream), size)
                 for stream, size in (("noise", self.n), ("test noise", n_test))]
        return Sample(mu, noise[0], y, y_obs, noise[1], y_test, distribution=self)

    def _noise(self, rng: np.random.Generator, size: int) -> Float64[np.ndarray, "size d"]:
        xi = self.noise_std * rng.standard_normal((size, self.d))
        if self.orthogonal:
            xi[:, 0] = 0.0  # mu points along the first axis
        return xi


def noise_dimension(problem: SignalNoise) -> int:
    """Dimension of the space that the noise fills: d, or d - 1 where it is projected off the signal."""
    return problem.d - int(problem.orthogonal)
