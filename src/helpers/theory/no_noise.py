"""Training without label noise: the constants of thm-no-noise (chapter 6) for one run on orthogonal vectors."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from helpers import checks
from helpers.engine.gram import InnerProducts
from helpers.engine.network_decomposition import SIGNS
from helpers.entry import entry
from helpers.record import Record
from helpers.theory.responses import about_runs, with_readings


@dataclass(frozen=True)
class NoNoise:
    """The constants of thm-no-noise for one run on orthogonal vectors without flips.

    Attributes
    ----------
    n_snr2, ratio
        c and n / d.
    turned
        s_0 = h t_0, when every filter sees its own class.
    initial
        beta.
    overshoot
        h c omega.
    shares
        smaller and larger class share.
    rates
        smallest and largest ``a_i = p_i |xi_i|^2 / (sigma^2 d)``.
    rest
        what does not grow with time in the bound on sigma Lip.
    offset
        the same in the bound on the mean.
    """

    n_snr2: float
    ratio: float
    turned: float
    initial: float
    overshoot: float
    shares: tuple[float, float]
    rates: tuple[float, float]
    rest: float
    offset: float

    @property
    def spread(self) -> float:
        """S: no accumulated derivative Gamma_i ever exceeds another's by more than this factor."""
        c, (few, many), (slow, fast) = self.n_snr2, self.shares, self.rates
        within = math.exp(2 * self.initial) * fast / slow
        start = c * many * self.turned + 3 * self.initial + max(self.initial, self.overshoot)
        return math.exp(start) * (c * many * within + fast) / (c * few / within + slow)

    @entry(gaps=("largest",))
    def exponent_root(self, largest: ArrayLike) -> Float[np.ndarray, "..."]:
        """Theta, for the largest Gamma_i at a time: the fresh error is at most exp(-Theta^2 / 2).

        At infinity it is the limit of late training; at 0, where nothing is claimed, 0.
        """
        c, (few, many), fast = self.n_snr2, self.shares, self.rates[1]
        root = math.sqrt(self.ratio)
        largest = np.asarray(largest, float)
        checks.require(bool((largest >= 0).all()), "largest", largest, "0 or more")
        share = np.divide(1.0, largest, out=np.full(largest.shape, np.inf), where=largest > 0)
        signal = c * few * (1 / self.spread - self.turned * share)
        mean = (root * (math.sqrt(many * fast) + many * math.sqrt(c)) + self.offset * share) / math.sqrt(2 * math.pi)
        scale = root * (math.sqrt(2 * many * fast) + 2 * many * math.sqrt(c)) + self.rest * share
        with np.errstate(invalid="ignore"):  # inf / inf at Gamma = 0, where nothing is claimed
            found = (signal - mean) / scale
        return np.where(largest > 0, np.maximum(found, 0), 0.0)


@entry
def no_noise_bounds(record: Record, products: InnerProducts, *, run: int = 0) -> NoNoise:
    """The constants of thm-no-noise for one run without flips.

    Parameters
    ----------
    record, run
        the runs, and which of them. Its early steps must be recorded, so that t_0 is found among them.
    products
        the inner products behind that run.
    """
    with_readings(about_runs(record, "noise_std", "d", "lr", "m"), "gamma", "active")
    checks.place("run", run, len(record.runs))
    n = len(products.y)
    checks.require(n == record.y.shape[1], "products", f"<of {n} samples>", f"of the {record.y.shape[1]} of the record")
    law = record.runs[run]
    checks.require(not record.flipped[run].any(), "record", "<a run with flips>", "without label noise")
    n, m, unit = len(products.y), record.config["m"], law["noise_std"] ** 2 * law["d"]
    squares = np.diag(products.gram.numpy())[1:] / unit
    aligned = np.array(SIGNS)[:, None] * products.responses[..., 0].numpy() + record.gamma[run]
    own = np.flatnonzero((aligned > 0).all((1, 2)))
    checks.require(len(own) > 0, "record", "<a filter never sees its own class>", "long enough")
    h, c = law["lr"] * unit / (n * m), n * float(products.gram[0, 0]) / unit
    classes = [float(np.mean(record.y[run] == side)) for side in SIGNS]
    rates, beta, root = record.active[run, 0] * squares, float(products.responses.abs().max()), math.sqrt(n / law["d"])
    start = products.weight_gram.numpy()
    lengths = np.sqrt(np.diag(start)).reshape(2, m).mean(1).max()
    left = beta + h * c * max(classes)  # of gamma, from before t_0
    crossed = (beta + h * squares.max()) / math.sqrt(squares.min())
    rest = root * (2 * left / math.sqrt(c) + math.sqrt(2) * crossed)
    rest += law["noise_std"] * math.sqrt(2 / m * np.linalg.eigvalsh(start)[-1])
    offset = root * (left / math.sqrt(c) + crossed) + law["noise_std"] * lengths
    return NoNoise(c, n / law["d"], h * float(record.times[own[0]]), beta, h * c * max(classes),
                   (min(classes), max(classes)), (float(rates.min()), float(rates.max())), rest, float(offset))
