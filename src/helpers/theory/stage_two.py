"""What memorisation does, as numbers of a run: who is memorised, and what bounds each test error.

Notation of chapters 5 and 6: A_y is the signal response y f([y mu, 0]) of class y, N_i the noise response
y_obs_i f([0, xi_i]), so that a clean sample has the margin A + N_i and a noisy one N_i - A.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from helpers import checks
from helpers.data.signal_noise import STRENGTHS, SignalNoise
from helpers.engine.gram import InnerProducts, inner_products, moved_weight_gram
from helpers.engine.network import SIGNS
from helpers.record import Record


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
    plus, minus = record.signal_response[..., :1], -record.signal_response[..., 1:]
    return np.where((record.y[:, None] > 0) ^ opposite, plus, minus)


def noise_responses(record: Record) -> Float[np.ndarray, "runs T n"]:
    """What the noise patch of sample i says for its observed label, N_i."""
    return record.margins - (record.y * record.y_obs)[:, None] * signal_responses(record)


def reused_parts(record: Record) -> dict[str, Float[np.ndarray, "runs T"]]:
    """The four shares of test cases [y mu, xi_k] that are wrong, by name (thm-stage-two).

    Their sum is the reused error at zeta = 0, whatever the weights are.
    """
    own, noise, noisy = signal_responses(record), noise_responses(record), record.flipped[:, None]
    other = signal_responses(record, opposite=True)
    wrong = {"memorised noisy": noisy & (own - noise <= 0), "unfitted clean": ~noisy & (own + noise <= 0),
             "misleading clean": ~noisy & (other - noise <= 0), "misleading noisy": noisy & (other + noise <= 0)}
    return {name: cases.mean(-1) / 2 for name, cases in wrong.items()}


def fresh_error_bound(record: Record) -> Float[np.ndarray, "runs T"]:
    """The bound of prop-fresh-error on the fresh error, averaged over the two classes."""
    parts = [np.maximum(side * (record.signal_response[..., k] + record.noise_mean), 0) for k, side in enumerate(SIGNS)]
    return np.mean([np.exp(-(part / record.noise_scale) ** 2 / 2) for part in parts], axis=0)


def products_of(record: Record) -> list[InnerProducts]:
    """The inner products behind each run of a Record whose data were drawn from a SignalNoise, drawn again."""
    names = [f.name for f in fields(SignalNoise) if f.name not in STRENGTHS]
    laws = [SignalNoise(**{name: run[name] for name in names if name in run},  # an older record lacks the newer names
                        mu_norm=run["mu_norm"]) for run in record.runs]
    return [inner_products(law, record.config["m"], run["init_std"], run["seed"])
            for law, run in zip(laws, record.runs)]


def final_weight_gram(record: Record, products: Sequence[InnerProducts]) -> Float[np.ndarray, "runs filters filters"]:
    """Inner products W W^T of all 2m filters at the last recorded time (eq-weight-gram).

    Parameters
    ----------
    record
        the runs, with their final coefficients.
    products
        the inner products behind each run, e.g. from `products_of`.
    """
    found = []
    for run, one in enumerate(products):
        squares = one.gram.diagonal().numpy()
        signal = np.array(SIGNS)[:, None] * record.gamma_final[run]
        change = np.concatenate([signal[..., None], record.rho_final[run]], -1) / squares
        change, start = (np.reshape(x, (-1, len(squares))) for x in (change, one.responses.numpy()))
        now = start + change @ one.gram.numpy()
        gram = moved_weight_gram(one.weight_gram.numpy(), start, change, now)
        found.append((gram + gram.T) / 2)
    return np.stack(found)


def output_moments(weight_gram: Float[np.ndarray, "runs filters filters"]
                   ) -> tuple[Float[np.ndarray, " runs"], Float[np.ndarray, " runs"]]:
    """Mean and standard deviation of f on a noise patch N(0, I), given W W^T; exact.

    By ``E relu(u) relu(v) = |u| |v| (sin a + (pi - a) cos a) / (2 pi)`` for centred Gaussians of standard deviations
    ``|u|`` and ``|v|`` at the angle a (Cho and Saul 2009), and ``E relu(u) = |u| / sqrt(2 pi)``.
    """
    gram = np.asarray(weight_gram, float)
    m = gram.shape[-1] // 2
    lengths = np.sqrt(np.maximum(np.diagonal(gram, axis1=-2, axis2=-1), 0))
    outer = lengths[:, :, None] * lengths[:, None, :]
    cosine = np.clip(np.divide(gram, outer, out=np.zeros_like(gram), where=outer > 0), -1, 1)
    angle = np.arccos(cosine)
    second = outer * (np.sin(angle) + (np.pi - angle) * cosine) / (2 * np.pi)
    votes = np.repeat(SIGNS, m) / m
    mean = lengths @ votes / math.sqrt(2 * np.pi)
    variance = np.einsum("i,rij,j->r", votes, second, votes) - mean**2
    return mean, np.sqrt(np.maximum(variance, 0))


def gaussian_fresh_error(record: Record, products: Sequence[InnerProducts]) -> Float[np.ndarray, " runs"]:
    """The fresh error at the last time if f on fresh noise were Gaussian, with its exact mean and variance.

    An approximation, not a bound. The noise must not be projected off the signal. Arguments as in `final_weight_gram`.
    """
    checks.require(not any(run["orthogonal"] for run in record.runs), "record", "<orthogonal noise>", "of plain noise")
    mean, std = output_moments(final_weight_gram(record, products))
    noise_std = np.array([run["noise_std"] for run in record.runs])
    mean, std, last = noise_std * mean, noise_std * std, record.signal_response[:, -1]
    return np.mean([ndtr(-side * (last[:, k] + mean) / std) for k, side in enumerate(SIGNS)], axis=0)


def reused_error_bound(record: Record, products: Sequence[InnerProducts],
                       zetas: Iterable[float]) -> Float[np.ndarray, "runs zetas"]:
    """Lower bound of the reused error at the last time, for each standard deviation zeta (thm-stage-two).

    It is (1 / 2n) times the sum over memorised noisy samples, of margin z, of 1 - exp(-(z / zeta - B)_+^2 / (2 L^2)),
    with ``B = max_j mean_r |w_{j,r}| / sqrt(2 pi)`` and ``L = sqrt(2/m) ||W||``.

    Parameters
    ----------
    record, products
        as in `final_weight_gram`.
    zetas
        standard deviations >= 0 of what is added to the reused patch.
    """
    gram = final_weight_gram(record, products)
    m = gram.shape[-1] // 2
    lengths = np.sqrt(np.diagonal(gram, axis1=-2, axis2=-1)).reshape(-1, 2, m)
    bias = lengths.mean(-1).max(-1)[:, None] / math.sqrt(2 * np.pi)
    lipschitz = np.sqrt(2 / m * np.linalg.eigvalsh(gram)[:, -1])[:, None]
    margins = np.where(record.flipped, record.margins[:, -1], 0.0)
    bounds = []
    for zeta in (checks.real("zetas", value, 0.0) for value in zetas):
        if zeta == 0:
            kept = (margins > 0).astype(float)
        else:
            kept = -np.expm1(-(np.maximum(margins / zeta - bias, 0) / lipschitz) ** 2 / 2)
        bounds.append(kept.mean(-1) / 2)
    return np.stack(bounds, -1)
