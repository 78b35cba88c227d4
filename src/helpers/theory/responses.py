"""The responses to a sample's two patches: what each says for a label.

Notation of chapters 5 and 6: A_y is the signal response y f([y mu, 0]) of class y, N_i the noise response
y_obs_i f([0, xi_i]), so that a clean sample has the margin A + N_i and a noisy one N_i - A.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from helpers import checks
from helpers.engine.gram import InnerProducts
from helpers.entry import entry
from helpers.record import Record


def with_readings(record: Record, *names: str) -> Record:
    """`record` if it has these arrays."""
    missing = [name for name in names if getattr(record, name) is None]
    checks.require(not missing, "record", record, f"one of the signal-noise world, with {', '.join(missing)}")
    return record


def about_runs(record: Record, *names: str) -> Record:
    """`record` if each of its runs tells these numbers of its problem, as those of descend do."""
    known = all(set(names) - {"m"} <= run.keys() for run in record.runs) and ("m" not in names or "m" in record.config)
    checks.require(known, "record", record, f"one of the signal-noise world, whose runs tell {', '.join(names)}")
    return record


def labels_of_samples(y: ArrayLike, y_obs: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """True and observed labels of the same samples, each -1 or +1."""
    y, y_obs = np.asarray(y), np.asarray(y_obs)
    for name, labels in (("y", y), ("y_obs", y_obs)):
        checks.sampled(name, labels)
        checks.require(bool((np.abs(labels) == 1).all()), name, labels, "labels -1 or +1")
    checks.require(y.shape == y_obs.shape, "y_obs.shape", y_obs.shape, f"{y.shape}, as y")
    return y, y_obs


@entry
def signal_responses(record: Record, *, opposite: bool = False) -> Float[np.ndarray, "runs T n"]:
    """What the signal patch of sample i says for its true label, A_{y_i}; `opposite` for A_{-y_i}.

    Examples
    --------
    Early on the signal patch of every noisy sample says more than its noise patch, so that the sample is given its true
    label; later the noise patch says more:

    >>> from helpers import SignalNoise, descend
    >>> from helpers.theory import noise_responses, signal_responses
    >>> problem = SignalNoise(50, 10**6, n_snr2=8.0, flip_plus=0.2, flip_minus=0.2)
    >>> record = descend(problem, 10, 1e-5, 5e-5, 400, 0, record_at=[20, 400])
    >>> ahead = signal_responses(record) > noise_responses(record)
    >>> record.mean_over(ahead, "noisy")
    array([[1., 0.]])
    """
    with_readings(record, "signal_response")
    plus, minus = record.signal_response[..., :1], -record.signal_response[..., 1:]
    return np.where((record.y[:, None] > 0) ^ opposite, plus, minus)


@entry
def noise_responses(record: Record) -> Float[np.ndarray, "runs T n"]:
    """What the noise patch of sample i says for its observed label, N_i."""
    return record.margins - (record.y * record.y_obs)[:, None] * signal_responses(record)


def own_responses(products: InnerProducts) -> Float[np.ndarray, "m n"]:
    """The initial responses <w_{j,r}(0), xi_i> of the filters with j = y_obs_i."""
    plus, minus = products.responses[..., 1:].numpy()
    return np.where(products.y_obs.numpy() > 0, plus, minus)
