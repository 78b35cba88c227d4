"""Whether the signal stays ahead to the end: the condition of prop-signal-stays, for runs on orthogonal vectors."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from helpers import checks
from helpers.engine.gram import InnerProducts
from helpers.engine.network_decomposition import SIGNS
from helpers.entry import entry
from helpers.record import Record
from helpers.theory.responses import about_runs, noise_responses, own_responses, with_readings


@dataclass(frozen=True)
class SignalLead:
    """The condition of prop-signal-stays in one run on orthogonal vectors, from a recorded step t0 on.

    Attributes
    ----------
    level
        theta.
    signal
        A_y(t0) of the classes +1 and -1, to exceed theta.
    ratio
        the smallest, over classes and later steps, of the sum over clean samples of g(X_i) to that over noisy ones, to
        be at least e^(2 theta).
    silent
        whether no filter with j = -y_obs_i is active on xi_i at t0.
    largest_step
        the larger of h c omega and all h a_i, to be at most 4.
    """

    level: float
    signal: Float[np.ndarray, " 2"]
    ratio: float
    silent: bool
    largest_step: float

    @property
    def holds(self) -> bool:
        """Whether the proposition applies, for the steps that were followed."""
        ahead = self.signal.min() > self.level and self.ratio >= math.exp(2 * self.level)
        return bool(ahead and self.silent and self.largest_step <= 4)


@entry
def signal_lead_barrier(record: Record, products: InnerProducts, start: int, steps: int, *, run: int = 0) -> SignalLead:
    """Barrier of one run at the recorded time number `start`, followed for `steps` more steps.

    It never looks at the run after `start`: the X_i are scalar recursions.

    Parameters
    ----------
    record, run
        the runs, and which of them.
    products
        the inner products behind that run, of orthogonal vectors.
    start, steps
        index into the recorded times, and gradient steps.
    """
    with_readings(about_runs(record, "noise_std", "d", "lr", "m"), "gamma", "rho", "active", "signal_response")
    checks.place("run", run, len(record.runs))
    checks.place("start", start, len(record.times))
    steps = checks.integer("steps", steps, 0, 10**7)
    n = len(products.y)
    checks.require(n == record.y.shape[1], "products", f"<of {n} samples>", f"of the {record.y.shape[1]} of the record")
    one, law = products, record.runs[run]
    gram, unit = one.gram.numpy(), law["noise_std"] ** 2 * law["d"]
    off = np.abs(gram - np.diag(np.diag(gram))).max()
    checks.require(off <= 1e-9 * unit, "products.gram", f"<inner products up to {off:.3g}>", "of orthogonal vectors")
    gamma = record.gamma[run, start]
    aligned = np.array(SIGNS)[:, None] * one.responses[..., 0].numpy() + gamma  # j <w, mu>
    signal = record.signal_response[run, start] * SIGNS
    level = float((signal - np.minimum(gamma, aligned).min(1)).max())
    step = law["lr"] / (len(one.y) * record.config["m"])
    rate = step * np.diag(gram)[1:] * record.active[run, start]
    responses, y, noisy = noise_responses(record)[run, start], record.y[run], record.flipped[run]
    # What the filters of the observed label say; all else in the noise response comes from the others.
    own = np.maximum(own_responses(one), 0).mean(0) + record.rho[run, start]
    silent = np.allclose(responses, own, rtol=0, atol=1e-10)
    largest_class = max((y == side).sum() for side in SIGNS)
    largest_step = max(step * gram[0, 0] * largest_class, rate.max())
    ratio = math.inf
    for _ in range(steps):
        weights = expit(-responses)
        for side in SIGNS:
            wrong = weights[noisy & (y == side)].sum()
            if wrong > 0:
                ratio = min(ratio, weights[~noisy & (y == side)].sum() / wrong)
        responses = responses + rate * weights
    return SignalLead(level, signal, float(ratio), silent, float(largest_step))
