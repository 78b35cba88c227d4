"""How fast the loss falls: the constants of thm-convergence (chapter 5), of one run and before any draw."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike

from helpers import checks
from helpers.data.signal_noise import SignalNoise
from helpers.engine.gram import InnerProducts
from helpers.engine.network_decomposition import SIGNS
from helpers.entry import entry
from helpers.record import Record
from helpers.theory.concentration import ConcentrationDeviations
from helpers.theory.responses import about_runs, with_readings


@dataclass(frozen=True)
class LossDecay:
    """The constants of thm-convergence for one run.

    Attributes
    ----------
    step
        h = eta sigma^2 d / (n m).
    curvature
        Xi, with h Xi <= 1 asked for.
    spread
        H, about the mean of 1 / p_i^2.
    initial
        beta, the largest initial response.
    shares
        p_i, the smallest share over time of the filters with j = y_obs_i that are active on xi_i.
    """

    step: float
    curvature: float
    spread: float
    initial: float
    shares: Float[np.ndarray, " n"]

    @property
    def holds(self) -> bool:
        """Whether the step is small enough and each sample always had an active filter of its own."""
        return bool(self.step * self.curvature <= 1 and self.shares.min() > 0)

    @entry
    def bound(self, s: ArrayLike) -> Float[np.ndarray, "..."] | float:
        """The bound on the smallest mean loss before the times s > 0, at the best epsilon."""
        s = np.asarray(s, float)
        checks.require(bool((s > 0).all()) and s.size > 0, "s", s, "positive")
        targets = np.geomspace(1e-9, 2, 800)
        work = self.spread * (np.log(2 / targets) + 4 * self.initial) ** 2
        return np.min(targets + work / s[..., None], axis=-1)

    @entry
    def time_to(self, loss: float) -> float:
        """The time s by which the mean loss has been at most `loss`: half of it for epsilon, half for the rest."""
        loss = checks.positive("loss", loss)
        return 2 * self.spread * (math.log(4 / loss) + 4 * self.initial) ** 2 / loss


@entry
def loss_decay_constants(record: Record, products: Sequence[InnerProducts], *, run: int = 0) -> LossDecay:
    """The constants of thm-convergence for one run of a Record.

    Parameters
    ----------
    record
        the runs. p_i is the smallest share at the *recorded* times, so record every step for a proof.
    products
        the inner products behind each run, e.g. from `inner_products_of_record`.
    run
        which of the runs.

    Examples
    --------
    When the mean loss has been at most 0.1, by the theorem:

    >>> from helpers import SignalNoise, descend
    >>> from helpers.theory import loss_decay_constants
    >>> from helpers.engine import inner_products_of_record
    >>> problem = SignalNoise(20, 400, n_snr2=4.0, flip_plus=0.1, flip_minus=0.1)
    >>> record = descend(problem, 10, 1e-3, 0.1, 50, 0, record_at=range(51))
    >>> found = loss_decay_constants(record, inner_products_of_record(record))
    >>> found.holds, round(found.time_to(0.1))
    (True, 1884)
    """
    with_readings(about_runs(record, "noise_std", "d", "lr", "m"), "active")
    checks.place("run", run, len(record.runs))
    checks.require(len(products) == len(record.runs), "products", f"<{len(products)}>", f"{len(record.runs)} of them")
    law, one = record.runs[run], products[run]
    n, m = len(one.y), record.config["m"]
    unit = law["noise_std"] ** 2 * law["d"]
    gram, y_obs = one.gram.numpy() / unit, one.y_obs.numpy()
    shares = record.active[run].min(0)
    inverse = np.linalg.inv(gram)[1:, 1:]
    # A sample without an active filter leaves the bound infinite.
    weights = np.divide(1.0, shares, out=np.full(n, np.inf), where=shares > 0)
    own = [np.where(y_obs == side, weights, 0.0) for side in SIGNS]
    spread = sum(u @ inverse @ u for u in own) / n if shares.min() > 0 else math.inf
    largest_class = max(np.mean(one.y.numpy() == side) for side in SIGNS) * n
    crossing = np.linalg.norm(gram[0, 1:])
    curvature = largest_class * gram[0, 0] + 2 * math.sqrt(largest_class) * crossing
    curvature += np.linalg.eigvalsh(gram[1:, 1:])[-1]
    return LossDecay(law["lr"] * unit / (n * m), float(curvature), float(spread),
                     float(torch.abs(one.responses).max()), shares)


def loss_decay_curvature(problem: SignalNoise, event: ConcentrationDeviations, *, delta: float) -> float:
    """Bound on Xi of thm-convergence: operator norm and length of Gaussian entries by their means plus a tail.

    ``E ||X|| <= sqrt(n) + sqrt(d)`` for n rows of d normals (Vershynin 2018, theorem 7.3.1), and the norm concentrates
    (lem-gaussian-concentration).

    Parameters
    ----------
    problem
        the distribution.
    event
        the bounds of the good event, from `good_event`, for the size of the larger class.
    delta
        the probability at which the bound may fail.
    """
    n, d, share = problem.n, problem.d, 0.5 + event.counts / problem.n
    long = math.sqrt(n) + math.sqrt(2 * math.log(4 / delta))
    along = 0.0 if problem.orthogonal else problem.mu_norm / problem.noise_std * long / d
    return share * problem.n_snr2 + 2 * math.sqrt(share * n) * along + (1 + long / math.sqrt(d)) ** 2
