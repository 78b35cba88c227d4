"""Concentration of the data and of the initial weights: the bounds of chapter 1 as numbers, and what a draw does.

Every bound holds with probability at least 1 - delta over the data and the initial weights, with the constants written
out; the statement that a function evaluates is named in its docstring and proved in the chapter. Arguments: n samples,
dimension d, m filters of either sign, noise_std (sigma), mu_norm (``|mu|``), init_std (sigma_0). With noise projected
off the signal, pass d - 1 for d and read 0 for `signal_noise_concentration`.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from helpers import checks
from helpers.data.signal_noise import SignalNoise, noise_dimension
from helpers.engine.gram import InnerProducts, inner_products
from helpers.entry import entry

# Each lemma, and the deviations that it bounds.
LEMMAS = {"lem-norms": ("norms",), "lem-inner-products": ("inner_products",), "lem-signal-noise": ("signal_noise",),
          "lem-initial-responses": ("signal_responses", "noise_responses"), "lem-active-filters": ("active_filters",),
          "lem-counts": ("counts",)}


@entry
def norm_concentration(n: int, d: int, delta: float) -> float:
    """epsilon with ``| |xi_i|^2 / (sigma^2 d) - 1 | <= epsilon`` for all i (lem-norms, from lem-chi-square)."""
    x = math.log(2 * checks.integer("n", n) / _probability(delta)) / checks.integer("d", d)
    return 2 * math.sqrt(x) + 2 * x


def inner_product_concentration(n: int, d: int, noise_std: float, delta: float) -> float:
    """Bound on ``|<xi_i, xi_k>|`` for all i != k (lem-inner-products)."""
    longest = _longest_noise(n, d, noise_std, delta)
    return checks.positive("noise_std", noise_std) * longest * _gaussian_quantile(n * n, delta)


@entry
def signal_noise_concentration(n: int, noise_std: float, mu_norm: float, delta: float) -> float:
    """Bound on ``|<mu, xi_i>|`` for all i (lem-signal-noise)."""
    scale = checks.positive("mu_norm", mu_norm) * checks.positive("noise_std", noise_std)
    return scale * _gaussian_quantile(checks.integer("n", n), delta)


def signal_response_concentration(n: int, m: int, mu_norm: float, init_std: float, delta: float) -> float:
    """Bound on ``|<w_{j,r}(0), mu>|`` for both j and all r (lem-initial-responses)."""
    return checks.positive("mu_norm", mu_norm) * _response_per_length(n, m, init_std, delta)


def noise_response_concentration(n: int, d: int, m: int, noise_std: float, init_std: float, delta: float) -> float:
    """Bound on ``|<w_{j,r}(0), xi_i>|`` for both j, all r and all i (lem-initial-responses)."""
    return _longest_noise(n, d, noise_std, delta) * _response_per_length(n, m, init_std, delta)


def active_filter_concentration(n: int, m: int, delta: float) -> float:
    """Bound on ``|#{r : <w_{j,r}(0), v> > 0} - m/2|`` for both j, v = mu, xi_1, ..., xi_n (lem-active-filters)."""
    return _hoeffding(checks.integer("m", m), 2 * (checks.integer("n", n) + 1), delta)


def count_concentration(n: int, delta: float) -> float:
    """Bound on ``|count - its mean|`` for the six counts of lem-counts, see `_label_counts`."""
    return _hoeffding(checks.integer("n", n), 6, delta)


def _probability(delta: float) -> float:
    return checks.real("delta", delta, 0.0, 1.0, open_low=True, open_high=True)


def _gaussian_quantile(events: int, delta: float) -> float:
    """t with `events` standard normals all within [-t, t] but for probability delta (lem-gaussian-tail)."""
    return math.sqrt(2 * math.log(2 * events / _probability(delta)))


def _hoeffding(size: int, counts: int, delta: float) -> float:
    """t with `counts` sums of `size` indicators within t of their means but for probability delta (lem-hoeffding)."""
    return math.sqrt(size * math.log(2 * counts / _probability(delta)) / 2)


def _longest_noise(n: int, d: int, noise_std: float, delta: float) -> float:
    """Upper bound on all ``|xi_i|`` but for probability delta / 2: only the upper half of lem-norms is used."""
    return checks.positive("noise_std", noise_std) * math.sqrt(d * (1 + norm_concentration(n, d, delta)))


def _response_per_length(n: int, m: int, init_std: float, delta: float) -> float:
    """Bound on ``|<w, v>| / |v|`` over 2m filters and n + 1 vectors but for probability delta / 2."""
    responses = 2 * checks.integer("m", m) * (checks.integer("n", n) + 1)
    return checks.positive("init_std", init_std) * _gaussian_quantile(2 * responses, delta)


@dataclass(frozen=True)
class ConcentrationDeviations:
    """The largest deviations of one draw, or bounds on them.

    Attributes
    ----------
    norms
        max over i of ``| |xi_i|^2 / (sigma^2 d) - 1 |``.
    inner_products
        max over i != k of ``|<xi_i, xi_k>|``.
    signal_noise
        max over i of ``|<mu, xi_i>|``.
    signal_responses, noise_responses
        max over j, r (and i) of ``|<w_{j,r}(0), mu>|`` and ``|<w_{j,r}(0), xi_i>|``.
    active_filters
        max over j and v = mu, xi_1, ..., xi_n of ``|#{r : <w_{j,r}(0), v> > 0} - m/2|``.
    counts
        max over the six counts of lem-counts of ``|count - its mean|``.
    """

    norms: float
    inner_products: float
    signal_noise: float
    signal_responses: float
    noise_responses: float
    active_filters: float
    counts: float

    @entry
    def within(self, bounds: "ConcentrationDeviations") -> bool:
        """Whether no deviation exceeds its bound."""
        return all(getattr(self, field.name) <= getattr(bounds, field.name) for field in fields(self))


@entry
def concentration_bounds(problem: SignalNoise, m: int, init_std: float, delta: float) -> ConcentrationDeviations:
    """The bound of each lemma, every one with failure probability delta of its own."""
    n, d, sigma, mu_norm = problem.n, noise_dimension(problem), problem.noise_std, problem.mu_norm
    return ConcentrationDeviations(
        norms=norm_concentration(n, d, delta),
        inner_products=inner_product_concentration(n, d, sigma, delta),
        signal_noise=0.0 if problem.orthogonal else signal_noise_concentration(n, sigma, mu_norm, delta),
        signal_responses=signal_response_concentration(n, m, mu_norm, init_std, delta),
        noise_responses=noise_response_concentration(n, d, m, sigma, init_std, delta),
        active_filters=active_filter_concentration(n, m, delta),
        counts=count_concentration(n, delta))


@entry
def good_event(problem: SignalNoise, m: int, init_std: float, delta: float) -> ConcentrationDeviations:
    """The bounds that hold all together with probability at least 1 - delta (prop-good-event)."""
    return concentration_bounds(problem, m, init_std, _probability(delta) / len(LEMMAS))


def good_event_log(n: int, m: int, delta: float) -> float:
    """L = log(48 m (n + 1)^2 / delta), which exceeds every logarithm in prop-good-event."""
    return math.log(48 * checks.integer("m", m) * (checks.integer("n", n) + 1) ** 2 / _probability(delta))


def concentration_deviations(problem: SignalNoise, products: InnerProducts) -> ConcentrationDeviations:
    """The largest deviations in one draw from `problem`."""
    squares = products.gram[1:, 1:].diagonal()
    cross = products.gram[1:, 1:] - squares.diag()
    responses = products.responses.abs().amax((0, 1))
    active = (products.responses > 0).sum(1)
    counts = _label_counts(products.y, products.y_obs)
    means = expected_concentration_counts(problem)
    largest = (
        (squares / (problem.noise_std**2 * noise_dimension(problem)) - 1).abs().max(), cross.abs().max(),
        products.gram[0, 1:].abs().max(), responses[0], responses[1:].max(),
        (active - products.responses.shape[1] / 2).abs().max(), max(abs(counts[name] - means[name]) for name in counts))
    return ConcentrationDeviations(*map(float, largest))


def _label_counts(y: Float[np.ndarray | torch.Tensor, " n"],
                  y_obs: Float[np.ndarray | torch.Tensor, " n"]) -> dict[str, int]:
    """The six counts of lem-counts from true and observed labels: number of samples by name."""
    plus, noisy = y > 0, y != y_obs
    groups = {"clean_plus": plus & ~noisy, "clean_minus": ~plus & ~noisy, "noisy_plus": plus & noisy,
              "noisy_minus": ~plus & noisy, "plus": plus, "noisy": noisy}
    return {name: int(group.sum()) for name, group in groups.items()}


def expected_concentration_counts(problem: SignalNoise) -> dict[str, float]:
    """Means of the six counts of `_label_counts`."""
    half, plus, minus = problem.n / 2, problem.flip_plus, problem.flip_minus
    return {"clean_plus": half * (1 - plus), "clean_minus": half * (1 - minus), "noisy_plus": half * plus,
            "noisy_minus": half * minus, "plus": half, "noisy": half * (plus + minus)}


@entry
def simulate_concentration(problem: SignalNoise, m: int, init_std: float, seeds: Sequence[int]) -> pd.DataFrame:
    """The deviations of a draw for each seed, one per row, indexed by seed. Any d >= n + 1 costs the same."""
    checks.require(len(seeds) > 0, "seeds", seeds, "one seed or more")
    m, init_std = checks.integer("m", m), checks.positive("init_std", init_std)
    seeds = [checks.integer("seeds", seed, 0) for seed in seeds]
    with threadpool_limits(1):  # products this small lose more to waiting threads than they gain
        rows = [asdict(concentration_deviations(problem, inner_products(problem, m, init_std, seed))) for seed in seeds]
    return pd.DataFrame(rows, index=pd.Index(list(seeds), name="seed"),
                        columns=[f.name for f in fields(ConcentrationDeviations)])


@entry
def concentration_violations(simulated: pd.DataFrame, bounds: ConcentrationDeviations) -> dict[str, float]:
    """For each lemma the share of the rows of `simulate_concentration` in which a deviation exceeds its bound."""
    missing = [name for names in LEMMAS.values() for name in names if name not in simulated]
    checks.require(not missing and len(simulated) > 0, "simulated", simulated, f"what simulate_concentration gives; "
                   f"missing columns: {', '.join(missing) or 'none'}")
    exceeds = {lemma: [simulated[name] > getattr(bounds, name) for name in names] for lemma, names in LEMMAS.items()}
    return {lemma: float(pd.concat(columns, axis=1).any(axis=1).mean()) for lemma, columns in exceeds.items()}
