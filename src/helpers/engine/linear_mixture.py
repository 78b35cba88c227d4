"""Logistic regression on two Gaussian clouds with wrong labels, by gradient descent (chapter 16).

A sample is x = y v + sigma z in R^p with v of length 1 and z standard normal: the sum of the two patches of a
`SignalNoise` with mu = v (def-linear-mixture; Liu et al. 2020, section 3). The model is f(x) = <theta, x>, the loss the
mean of log(1 + exp(-y_obs f)). Gradient descent moves in the span of the x, which with v has k = min(p, n + 1)
dimensions: a run takes place in k coordinates, the first one along v, whatever p is. In the shapes k counts these
coordinates.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy.typing import ArrayLike
from scipy.optimize import linprog
from scipy.special import expit, ndtr

from helpers import checks
from helpers.data.signal_noise import SignalNoise
from helpers.engine.gram import bartlett_gram_factor
from helpers.entry import entry
from helpers.streams import random_stream


@entry
def mixture_problem(n: int, p: int, noise_std: float, flip_rate: float) -> SignalNoise:
    """The SignalNoise whose two patches, added, are the mixture of n samples in dimension p.

    Its signal has length 1; flip_rate = Delta / 2 in [0, 1/2), in the terms of Liu et al. 2020.
    """
    n, p = checks.integer("n", n), checks.integer("p", p, 2, 10**15)
    noise_std = checks.positive("noise_std", noise_std)
    flip_rate = checks.real("flip_rate", flip_rate, 0.0, 0.5, open_high=True)
    return SignalNoise(n, p, mu_norm=1.0, noise_std=noise_std, flip_plus=flip_rate, flip_minus=flip_rate)


@dataclass(frozen=True, eq=False)
class MixtureDraw:
    """One training set and one start, in coordinates of which the first is along v.

    Attributes
    ----------
    x
        the samples.
    y, y_obs
        true and observed labels, each -1 or +1.
    start
        the part of theta_0 in these coordinates.
    outside
        length of the part of theta_0 orthogonal to all of them; gradient descent never changes it.
    noise_std, p
        sigma and the dimension.
    """

    x: Float[np.ndarray, "n k"]
    y: Float[np.ndarray, " n"]
    y_obs: Float[np.ndarray, " n"]
    start: Float[np.ndarray, " k"]
    outside: float
    noise_std: float
    p: int

    @property
    def agree(self) -> Float[np.ndarray, " n"]:
        """+1 for clean, -1 for noisy samples, that is y y_obs."""
        return self.y * self.y_obs

    @property
    def noise(self) -> Float[np.ndarray, "n k"]:
        """sigma z, the samples without their signal."""
        noise = self.x.copy()
        noise[:, 0] -= self.y
        return noise

    @property
    def signed(self) -> Float[np.ndarray, "n k"]:
        """y_obs x; theta memorises sample i if its inner product with row i is positive."""
        return self.y_obs[:, None] * self.x


@entry
def draw_mixture(problem: SignalNoise, radius: float, seed: int) -> MixtureDraw:
    """Draw a training set and a start. The noise orthogonal to v enters through its Bartlett factor: p may be 10^15.

    Parameters
    ----------
    problem
        what `mixture_problem` makes. Raises ValueError for another signal length and for projected noise.
    radius
        theta_0 is uniform on the sphere of this radius >= 0.
    seed
        of data and start.
    """
    problem = checks.instance("problem", problem, SignalNoise)
    checks.require(problem.mu_norm == 1.0, "problem.mu_norm", problem.mu_norm, "1")
    checks.require(not problem.orthogonal, "problem.orthogonal", True, "False")
    radius, seed = checks.real("radius", radius, 0.0), checks.integer("seed", seed, 0)
    n, p = problem.n, problem.d
    y, y_obs = problem.draw_labels(seed)
    rng = random_stream(seed, "mixture noise")
    x = problem.noise_std * np.column_stack([rng.standard_normal(n), bartlett_gram_factor(rng, n, p - 1)])
    x[:, 0] += y
    rng = random_stream(seed, "mixture start")
    normal = rng.standard_normal(x.shape[1])
    rest = rng.chisquare(p - len(normal)) if p > len(normal) else 0.0
    unit = radius / math.sqrt(normal @ normal + rest)
    return MixtureDraw(x, y, y_obs, unit * normal, unit * math.sqrt(rest), problem.noise_std, p)


@dataclass(frozen=True, eq=False)
class MixtureCourse:
    """What a run of T recorded steps leaves behind.

    Attributes
    ----------
    times
        gradient steps.
    signal
        A = <theta, v>.
    noise_responses
        r_i = y_obs <theta, sigma z_i>, so that the margin is y y_obs A + r_i.
    length
        of theta.
    alignment, pull
        cosine of -grad L with v, and -<grad L, v>.
    draw
        the data and the start.
    """

    times: Int[np.ndarray, " T"]
    signal: Float[np.ndarray, " T"]
    noise_responses: Float[np.ndarray, "T n"]
    length: Float[np.ndarray, " T"]
    alignment: Float[np.ndarray, " T"]
    pull: Float[np.ndarray, " T"]
    draw: MixtureDraw

    @property
    def margins(self) -> Float[np.ndarray, "T n"]:
        """y_obs <theta, x_i>."""
        return self.draw.agree * self.signal[:, None] + self.noise_responses

    @property
    def squared_coefficients(self) -> Float[np.ndarray, "T n"]:
        """kappa_i^2 with kappa = tanh(<theta, x>/2) - y_obs, twice softmax minus label (prop-mixture-gradient)."""
        return 4 * expit(-self.margins) ** 2

    @property
    def test_accuracy(self) -> Float[np.ndarray, " T"]:
        """P(y <theta, x> > 0) on a fresh x with its true label, ``Phi(A / (sigma |theta|))``; 1/2 at theta = 0."""
        scale = self.draw.noise_std * self.length
        return ndtr(np.divide(self.signal, scale, out=np.zeros_like(scale), where=scale > 0))

    @entry
    def mean_over(self, values: Shaped[np.ndarray, "T n"], which: str) -> Float[np.ndarray, " T"]:
        """Mean of `values` over "clean" or "noisy" samples; NaN if there are none."""
        shape = self.noise_responses.shape
        numbers = values.shape == shape and values.dtype.kind in "biuf"
        checks.require(numbers, "values.shape", values.shape, f"{shape}, numbers at each time and of each sample")
        checks.require(bool(np.isfinite(values).all()), "values", values, "finite")
        chosen = self.draw.agree == (1 if checks.one_of("which", which, ("clean", "noisy")) == "clean" else -1)
        return values[:, chosen].mean(1) if chosen.any() else np.full(len(values), np.nan)

    @entry
    def read_truly(self, which: str) -> Float[np.ndarray, " T"]:
        """Share of "clean" or "noisy" training samples with y <theta, x> > 0."""
        return self.mean_over(self.draw.agree * self.margins > 0, which)

    @entry
    def memorised(self, which: str) -> Float[np.ndarray, " T"]:
        """Share of "clean" or "noisy" training samples with y_obs <theta, x> > 0."""
        return self.mean_over(self.margins > 0, which)


@entry
def descend_mixture(draw: MixtureDraw, lr: float, times: ArrayLike) -> MixtureCourse:
    """Gradient descent with step size `lr`, seen at the increasing steps `times`.

    Examples
    --------
    >>> from helpers.engine import descend_mixture, draw_mixture, mixture_problem
    >>> draw = draw_mixture(mixture_problem(100, 200, noise_std=0.3, flip_rate=0.2), radius=1e-3, seed=0)
    >>> course = descend_mixture(draw, lr=0.1, times=[10, 100, 1000])
    >>> course.memorised("noisy").round(2)
    array([0.  , 0.48, 1.  ])
    >>> course.test_accuracy.round(2)
    array([1.  , 0.97, 0.86])
    """
    draw = checks.instance("draw", draw, MixtureDraw)
    lr = checks.positive("lr", lr)
    times = checks.increasing("times", times, math.inf)
    votes = draw.signed
    theta = draw.start.copy()
    n = len(draw.y)
    wanted = set(times.tolist())
    rows = []
    for t in range(int(times[-1]) + 1):
        margins = votes @ theta
        descent = expit(-margins) @ votes / n  # -grad L (prop-mixture-gradient)
        if t in wanted:
            length = math.hypot(np.linalg.norm(theta), draw.outside)
            steepness = np.linalg.norm(descent)
            rows.append((theta[0], margins - draw.agree * theta[0], length, descent[0] / steepness, descent[0]))
        theta += lr * descent
    return MixtureCourse(times, *map(np.array, zip(*rows)), draw)


@entry
def separable_mixture(vectors: Float[np.ndarray, "n k"]) -> bool:
    """Whether some theta has <theta, row> > 0 for every row of `vectors`: a linear program.

    It maximises the smallest <theta, row> over the cube ``|theta_j| <= 1``, which is 0 where there is no such theta; an
    optimum up to 1e-7 counts as 0.
    """
    vectors = checks.vectors("vectors", vectors, None, None).numpy()
    checks.require(vectors.size > 0, "vectors.shape", vectors.shape, "(n, k), not empty")
    n, k = vectors.shape
    smallest = np.r_[np.zeros(k), -1.0]
    found = linprog(smallest, np.column_stack([-vectors, np.ones(n)]), np.zeros(n), bounds=[(-1, 1)] * k + [(0, None)])
    checks.require(found.success, "vectors", "<...>", f"a program that HiGHS can solve: {found.message}")
    return -found.fun > 1e-7
