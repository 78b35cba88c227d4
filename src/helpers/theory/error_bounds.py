"""What memorisation does to the test errors (chapter 5): their parts and their bounds, as numbers of a run.

The responses A_y and N_i are those of `helpers.theory.responses`.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from helpers import checks
from helpers.engine.gram import InnerProducts, final_weight_gram
from helpers.engine.network_decomposition import SIGNS
from helpers.entry import entry
from helpers.record import Record
from helpers.theory.responses import about_runs, noise_responses, signal_responses, with_readings


@entry
def reused_error_parts(record: Record) -> dict[str, Float[np.ndarray, "runs T"]]:
    """The four shares of test cases [y mu, xi_k] that are wrong, by name (thm-stage-two).

    Their sum is the reused error at zeta = 0, whatever the weights are.
    """
    with_readings(record, "signal_response")
    own, noise, noisy = signal_responses(record), noise_responses(record), record.flipped[:, None]
    other = signal_responses(record, opposite=True)
    wrong = {"memorised noisy": noisy & (own - noise <= 0), "unfitted clean": ~noisy & (own + noise <= 0),
             "misleading clean": ~noisy & (other - noise <= 0), "misleading noisy": noisy & (other + noise <= 0)}
    return {name: cases.mean(-1) / 2 for name, cases in wrong.items()}


@entry
def fresh_error_bound(record: Record) -> Float[np.ndarray, "runs T"]:
    """The bound of prop-fresh-error on the fresh error, averaged over the two classes."""
    with_readings(record, "signal_response", "noise_mean", "noise_scale")
    parts = [np.maximum(side * (record.signal_response[..., k] + record.noise_mean), 0) for k, side in enumerate(SIGNS)]
    return np.mean([np.exp(-(part / record.noise_scale) ** 2 / 2) for part in parts], axis=0)


def _output_moments(weight_gram: Float[np.ndarray, "runs filters filters"]
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


@entry
def gaussian_fresh_error(record: Record, products: Sequence[InnerProducts]) -> Float[np.ndarray, " runs"]:
    """The fresh error at the last time if f on fresh noise were Gaussian, with its exact mean and variance.

    An approximation, not a bound. The noise must not be projected off the signal. Arguments as in `final_weight_gram`.
    """
    with_readings(about_runs(record, "orthogonal", "noise_std"), "signal_response")
    checks.require(not any(run["orthogonal"] for run in record.runs), "record", "<orthogonal noise>", "of plain noise")
    _one_per_run(products, record)
    mean, std = _output_moments(final_weight_gram(record, products))
    noise_std = np.array([run["noise_std"] for run in record.runs])
    mean, std, last = noise_std * mean, noise_std * std, record.signal_response[:, -1]
    return np.mean([ndtr(-side * (last[:, k] + mean) / std) for k, side in enumerate(SIGNS)], axis=0)


def _one_per_run(products: Sequence[InnerProducts], record: Record) -> None:
    checks.require(len(products) == len(record.runs), "products", f"<{len(products)}>", f"{len(record.runs)} of them")


@entry
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
    checks.require(len(zetas) > 0, "zetas", zetas, "one number or more")
    _one_per_run(products, record)
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
