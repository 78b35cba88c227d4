"""What memorisation does, as numbers of a run: who is memorised, what bounds each test error, how fast the loss falls.

Notation of chapters 4 and 5: A_y is the signal response y f([y mu, 0]) of class y, N_i the noise response
y_obs_i f([0, xi_i]), so that a clean sample has the margin A + N_i and a noisy one N_i - A.
"""

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from scipy.special import expit, ndtr

from helpers import checks
from helpers.data.signal_noise import STRENGTHS, Sample, SignalNoise
from helpers.engine.gram import inner_products, moved_weight_gram
from helpers.engine.network import SIGNS


def signal_responses(record, *, opposite=False):
    """(runs, T, n) A_{y_i}: what the signal patch of sample i says for its true label; `opposite`: A_{-y_i}."""
    plus, minus = record.signal_response[..., :1], -record.signal_response[..., 1:]
    return np.where((record.y[:, None] > 0) ^ opposite, plus, minus)


def noise_responses(record):
    """(runs, T, n) N_i: what the noise patch of sample i says for its observed label."""
    return record.margins - (record.y * record.y_obs)[:, None] * signal_responses(record)


def reused_parts(record):
    """The four shares of test cases [y mu, xi_k] that are wrong, by name, each (runs, T): see thm-stage-two.

    Their sum is the reused error at zeta = 0, whatever the weights are.
    """
    own, noise, noisy = signal_responses(record), noise_responses(record), record.flipped[:, None]
    other = signal_responses(record, opposite=True)
    wrong = {"memorised noisy": noisy & (own - noise <= 0), "unfitted clean": ~noisy & (own + noise <= 0),
             "misleading clean": ~noisy & (other - noise <= 0), "misleading noisy": noisy & (other + noise <= 0)}
    return {name: cases.mean(-1) / 2 for name, cases in wrong.items()}


def fresh_error_bound(record):
    """(runs, T) the bound of prop-fresh-error on the fresh error, averaged over the two classes."""
    parts = [np.maximum(side * (record.signal_response[..., k] + record.noise_mean), 0) for k, side in enumerate(SIGNS)]
    return np.mean([np.exp(-(part / record.noise_scale) ** 2 / 2) for part in parts], axis=0)


def products_of(record):
    """The gram.InnerProducts behind each run of a Record whose data were drawn from a SignalNoise, drawn again."""
    laws = [SignalNoise(**{f.name: run[f.name] for f in fields(SignalNoise) if f.name not in STRENGTHS},
                        mu_norm=run["mu_norm"]) for run in record.runs]
    return [inner_products(law, record.config["m"], run["init_std"], run["seed"])
            for law, run in zip(laws, record.runs)]


def final_weight_gram(record, products):
    """(runs, 2m, 2m) inner products W W^T of the filters at the last recorded time (eq-weight-gram)."""
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


def output_moments(weight_gram):
    """Mean and standard deviation, each (runs,), of f on a noise patch N(0, I) given W W^T (runs, 2m, 2m); exact.

    By E relu(u) relu(v) = |u| |v| (sin a + (pi - a) cos a) / (2 pi) for centred Gaussians of standard deviations |u|,
    |v| at the angle a (Cho and Saul 2009), and E relu(u) = |u| / sqrt(2 pi).
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


def gaussian_fresh_error(record, products):
    """(runs,) the fresh error at the last time if f on fresh noise were Gaussian, with its exact mean and variance.

    An approximation, not a bound. The noise must not be projected off the signal.
    """
    checks.require(not any(run["orthogonal"] for run in record.runs), "record", "<orthogonal noise>", "of plain noise")
    mean, std = output_moments(final_weight_gram(record, products))
    noise_std = np.array([run["noise_std"] for run in record.runs])
    mean, std, last = noise_std * mean, noise_std * std, record.signal_response[:, -1]
    return np.mean([ndtr(-side * (last[:, k] + mean) / std) for k, side in enumerate(SIGNS)], axis=0)


def reused_error_bound(record, products, zetas):
    """(runs, len(zetas)) lower bound of the reused error at the last time, for zeta of these standard deviations.

    thm-stage-two: (1 / 2n) times the sum over memorised noisy samples, of margin z, of
    1 - exp(-(z / zeta - B)_+^2 / (2 L^2)), with B = max_j mean_r |w_{j,r}| / sqrt(2 pi), L = sqrt(2/m) ||W||.
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


@dataclass(frozen=True)
class Convergence:
    """The constants of thm-convergence for one run.

    step : h = eta sigma^2 d / (n m). curvature : Xi, with h Xi <= 1 asked for. spread : H, about the mean of 1 / p_i^2.
    initial : beta, the largest initial response. shares : (n,) p_i, the smallest share over time of the filters with
    j = y_obs_i that are active on xi_i.
    """

    step: float
    curvature: float
    spread: float
    initial: float
    shares: np.ndarray

    @property
    def holds(self):
        """Whether the step is small enough and each sample always had an active filter of its own."""
        return self.step * self.curvature <= 1 and self.shares.min() > 0

    def bound(self, s):
        """The bound on the smallest mean loss before the time s > 0 (an array), at the best epsilon."""
        s = np.asarray(s, float)
        targets = np.geomspace(1e-9, 2, 800)
        work = self.spread * (np.log(2 / targets) + 4 * self.initial) ** 2
        return np.min(targets + work / s[..., None], axis=-1)

    def time_to(self, loss):
        """The time s by which the mean loss has been at most `loss`: half of it for epsilon, half for the rest."""
        return 2 * self.spread * (math.log(4 / loss) + 4 * self.initial) ** 2 / loss


def convergence(record, products, *, run=0):
    """Convergence of one run; p_i is the smallest share at the *recorded* times, so record every step for a proof."""
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
    return Convergence(law["lr"] * unit / (n * m), float(curvature), float(spread),
                       float(torch.abs(one.responses).max()), shares)


def orthogonal_sample(problem, seed):
    """A Sample with the labels of `problem` whose signal and noise patches are exactly orthogonal.

    Needs d >= n + 1. All patches have the length that they have on average, |xi_i|^2 = noise_std^2 d.
    """
    n, d = problem.n, problem.d
    checks.require(d >= n + 1, "problem.d", d, f">= n + 1 = {n + 1}")
    vectors = np.zeros((n + 1, d))
    vectors[np.arange(n + 1), np.arange(n + 1)] = problem.noise_std * math.sqrt(d)
    vectors[0, 0] = problem.mu_norm
    y, y_obs = problem.draw_labels(seed)
    return Sample(vectors[0], vectors[1:], y, y_obs, np.empty((0, d)), np.empty(0), problem)


@dataclass(frozen=True)
class Barrier:
    """The condition of prop-signal-stays in one run on orthogonal vectors, from a recorded step t0 on.

    level : theta; signal : (2,) A_y(t0), to exceed theta. ratio : the smallest, over classes and later steps, of the
    sum over clean samples of g(X_i) to that over noisy ones, to be at least e^(2 theta). silent : whether no filter
    with j = -y_obs_i is active at t0. largest_step : the larger of h c omega and all h a_i, to be at most 4.
    """

    level: float
    signal: np.ndarray
    ratio: float
    silent: bool
    largest_step: float

    @property
    def holds(self):
        """Whether the proposition applies, for the steps that were followed."""
        ahead = self.signal.min() > self.level and self.ratio >= math.exp(2 * self.level)
        return bool(ahead and self.silent and self.largest_step <= 4)


def signal_barrier(record, products, start, steps, *, run=0):
    """Barrier of `run` at the recorded time number `start`, followed for `steps` more steps.

    It never looks at the run after `start`: the X_i are scalar recursions.
    """
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
    own = np.where(record.y_obs[run] > 0, *one.responses[..., 1:].numpy())
    silent = np.allclose(responses, np.maximum(own, 0).mean(0) + record.rho[run, start], rtol=0, atol=1e-10)
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
    return Barrier(level, signal, float(ratio), silent, float(largest_step))
