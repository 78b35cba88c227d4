"""Chapter 2: what it states about the network, its gradient, the decomposition, and the exact reduced dynamics.

The formulas are written out here once more, filter by filter and sample by sample, in NumPy: slow, and with nothing
in common with the package but the definitions.
"""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy import stats

from helpers import Sample, SignalNoise, TwoLayerCNN, decompose, descend
from helpers.engine.gram import bartlett_gram_factor, inner_products

SIGNS = (1.0, -1.0)
ROUNDING = 1e-12  # relative to numbers of order one; sums of fewer than 1e3 terms, so 1e-13 is met with room
sizes = st.tuples(st.integers(1, 6), st.integers(0, 10), st.integers(1, 4), st.integers(0, 10**6))


def small_problem(n, extra, flips=0.4, **options):
    """A distribution with many flips in the smallest dimension that the decomposition allows, plus `extra`."""
    return SignalNoise(n, max(n + 1 + extra, 2), mu_norm=1.5, flip_plus=flips, flip_minus=flips, **options)


def relabelled(sample, y, y_obs):
    """The same vectors with other labels."""
    return Sample(sample.mu, sample.xi, y, y_obs, sample.xi_test, sample.y_test, sample.distribution)


def responses_by_hand(weight, sample):
    """<w, y_i mu> and <w, xi_i>, each (2, m, n)."""
    on_signal = np.einsum("jrd,d,i->jri", weight, sample.mu.numpy(), sample.y.numpy())
    return on_signal, np.einsum("jrd,id->jri", weight, sample.xi.numpy())


def loss_derivatives_by_hand(weight, sample):
    """l'_i = -1 / (1 + exp(y_obs_i f_i)), with f from the definition of the network (def-network)."""
    m, f = weight.shape[1], np.zeros(sample.n)
    for on_patch in responses_by_hand(weight, sample):
        for (index, j), r in itertools.product(enumerate(SIGNS), range(m)):
            f += j / m * np.maximum(on_patch[index, r], 0)
    return -1 / (1 + np.exp(sample.y_obs.numpy() * f))


def gradient_by_hand(weight, sample):
    """prop-gradient, sum by sum."""
    derivative = loss_derivatives_by_hand(weight, sample)
    on_signal, on_noise = responses_by_hand(weight, sample)
    gradient = np.zeros_like(weight)
    for (index, j), r, i in itertools.product(enumerate(SIGNS), range(weight.shape[1]), range(sample.n)):
        push = derivative[i] * float(sample.y_obs[i]) * j / (sample.n * weight.shape[1])
        if on_signal[index, r, i] > 0:
            gradient[index, r] += push * float(sample.y[i]) * sample.mu.numpy()
        if on_noise[index, r, i] > 0:
            gradient[index, r] += push * sample.xi[i].numpy()
    return gradient


def update_by_hand(weight, sample, lr):
    """prop-updates: the increments of gamma (2, m) and rho (2, m, n)."""
    n, m = sample.n, weight.shape[1]
    derivative = loss_derivatives_by_hand(weight, sample)
    on_signal, on_noise = responses_by_hand(weight, sample)
    flipped, y_obs = sample.flipped.numpy(), sample.y_obs.numpy()
    mu_square, xi_squares = float(sample.mu @ sample.mu), sample.xi.square().sum(1).numpy()
    gamma, rho = np.zeros((2, m)), np.zeros((2, m, n))
    for (index, j), r in itertools.product(enumerate(SIGNS), range(m)):
        seen = derivative * (on_signal[index, r] > 0)
        gamma[index, r] = -lr / (n * m) * mu_square * (seen[~flipped].sum() - seen[flipped].sum())
        rho[index, r] = -lr / (n * m) * xi_squares * j * y_obs * derivative * (on_noise[index, r] > 0)
    return gamma, rho


def autograd(weight, sample):
    model = TwoLayerCNN(sample.d, weight.shape[1], 1.0, 0)
    model.weight.data = torch.from_numpy(weight.copy())
    margins = sample.y_obs * model(sample.y[:, None] * sample.mu, sample.xi)
    return torch.autograd.grad(torch.log1p(torch.exp(-margins)).mean(), model.weight)[0].numpy()


def trajectory(sample, m, init_std, lr, steps, seed):
    """Weights (steps + 1, 2, m, d) by gradient descent with autograd."""
    weights = [TwoLayerCNN(sample.d, m, init_std, seed).weight.detach().numpy()]
    for _ in range(steps):
        weights.append(weights[-1] - lr * autograd(weights[-1], sample))
    return np.stack(weights)


def coefficients(weights, sample):
    """gamma (T, 2, m) and rho (T, 2, m, n) along a trajectory, by the unique decomposition."""
    pairs = [decompose(weight, weights[0], sample) for weight in weights]
    return (torch.stack(part).numpy() for part in zip(*pairs))


@pytest.mark.statement("prop-gradient")
@settings(max_examples=30, deadline=None)
@given(sizes)
def test_def_network_and_prop_gradient_against_autograd(size):
    n, extra, m, seed = size
    sample = small_problem(n, extra).sample(seed)
    weight = TwoLayerCNN(sample.d, m, 1.0, seed).weight.detach().numpy()
    by_autograd = autograd(weight, sample)
    assert np.abs(gradient_by_hand(weight, sample) - by_autograd).max() <= ROUNDING * max(1, np.abs(by_autograd).max())


@pytest.mark.statement("lem-decomposition")
@pytest.mark.parametrize("orthogonal", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_lem_decomposition_is_unique_from_d_equal_n_plus_1_on(seed, orthogonal):
    """lem-decomposition: the n + 1 vectors have full rank at d = n + 1, and chosen coefficients come back."""
    n, m, rng = 20, 3, np.random.default_rng(seed)
    sample = small_problem(n, 0, orthogonal=orthogonal).sample(seed)
    units = sample.vectors / sample.vectors.norm(dim=1, keepdim=True)
    smallest = float(torch.linalg.svdvals(units)[-1])
    assert smallest > 1e-6  # a random square matrix of size 21: typically 1/21, below 1e-6 with chance of order 1e-5
    gamma, rho, start = rng.normal(size=(2, m)), rng.normal(size=(2, m, n)), rng.normal(size=(2, m, sample.d))
    weight = start.copy()
    for index, j in enumerate(SIGNS):
        weight[index] += j * np.outer(gamma[index], sample.mu / sample.mu.norm() ** 2)
        weight[index] += rho[index] @ (sample.xi / sample.xi.square().sum(1, keepdim=True)).numpy()
    found = decompose(weight, start, sample)
    tolerance = ROUNDING / smallest  # rounding is amplified by the condition number
    assert np.abs(found[0].numpy() - gamma).max() <= tolerance
    assert np.abs(found[1].numpy() - rho).max() <= tolerance


@pytest.mark.statement("lem-decomposition")
def test_lem_decomposition_training_stays_in_the_span():
    """Existence: what gradient descent adds to the weights has no part outside the span of mu and the noise."""
    sample = small_problem(10, 30).sample(1)
    weights = trajectory(sample, 3, 0.1, 0.5, 30, 1)
    basis = torch.linalg.qr(sample.vectors.T)[0].numpy()
    change = weights[-1] - weights[0]
    outside = change - change @ basis @ basis.T
    assert np.abs(change).max() > 0.1
    assert np.abs(outside).max() <= ROUNDING


@pytest.mark.statement("lem-decomposition")
def test_lem_decomposition_fails_below_d_equal_n_plus_1():
    """At d = n two different sets of coefficients give the same weights; the library refuses."""
    law = SignalNoise(5, 5, mu_norm=1.0)
    sample = law.sample(0)
    assert torch.linalg.matrix_rank(sample.vectors) < 6
    with pytest.raises(ValueError, match=r"d=5: must be >= n \+ 1 = 6"):
        decompose(torch.zeros(2, 1, 5), torch.zeros(2, 1, 5), sample)
    with pytest.raises(ValueError, match=r"d=5: must be >= n \+ 1 = 6"):
        descend(law, 1, 0.1, 0.1, 1, 0)


@pytest.mark.statement("prop-updates")
@settings(max_examples=20, deadline=None)
@given(sizes, st.booleans())
def test_prop_updates_against_decomposed_autograd(size, orthogonal):
    n, extra, m, seed = size
    sample = small_problem(n, extra + 5, orthogonal=orthogonal).sample(seed)
    weights = trajectory(sample, m, 0.3, 0.7, 3, seed)
    gamma, rho = coefficients(weights, sample)
    for t in range(3):
        d_gamma, d_rho = update_by_hand(weights[t], sample, 0.7)
        # The decomposition solves a system with the condition number of a few random vectors: below 1e3 at d >= n + 6.
        assert np.abs(gamma[t + 1] - gamma[t] - d_gamma).max() <= 1e3 * ROUNDING
        assert np.abs(rho[t + 1] - rho[t] - d_rho).max() <= 1e3 * ROUNDING


@pytest.mark.statement("prop-updates")
def test_prop_updates_check_notices_wrong_signs():
    """The check can fail: with the noisy sum added, or the sign of rho turned, the increments are far off."""
    sample = small_problem(6, 10).sample(3)
    assert 0 < sample.flipped.sum() < 6
    weights = trajectory(sample, 3, 0.3, 0.7, 1, 3)
    gamma, rho = coefficients(weights, sample)
    unflipped = relabelled(sample, sample.y_obs, sample.y_obs)
    assert np.abs(update_by_hand(weights[0], unflipped, 0.7)[0] - gamma[1]).max() > 1e-3
    assert np.abs(-update_by_hand(weights[0], sample, 0.7)[1] - rho[1]).max() > 1e-3


@pytest.mark.statement("prop-invariants")
@pytest.mark.parametrize("seed", range(4))
def test_prop_invariants_of_every_filter_sample_and_step(seed):
    """prop-invariants, parts 1 to 3, in a low dimension, where cross-talk is strong."""
    sample = SignalNoise(20, 30, n_snr2=4.0, flip_plus=0.3, flip_minus=0.1).sample(seed)
    m, lr = 4, 0.5
    weights = trajectory(sample, m, 0.05, lr, 40, seed)
    gamma, rho = coefficients(weights, sample)
    own = np.broadcast_to(np.array(SIGNS)[:, None, None] * sample.y_obs.numpy() > 0, rho[0].shape)
    slack = 1e-10  # the decomposition's rounding: condition number below 1e2, times 1e-12
    assert rho[:, own].min() >= -slack and rho[:, ~own].max() <= slack
    flipped, y = sample.flipped.numpy(), sample.y.numpy()
    for t in range(40):
        on_signal, on_noise = responses_by_hand(weights[t], sample)
        d_gamma, d_rho = gamma[t + 1] - gamma[t], rho[t + 1] - rho[t]
        assert np.abs(d_rho[on_noise <= 0]).max() <= slack, "moved while inactive"
        assert d_rho[own & (on_noise > 0)].min() > slack and d_rho[~own & (on_noise > 0)].max(initial=-1) < -slack
        size = -loss_derivatives_by_hand(weights[t], sample)
        for index, r in itertools.product((0, 1), range(m)):
            seen = on_signal[index, r] > 0
            assert len(set(y[seen])) == 1  # one class
            balance = size[seen & ~flipped].sum() - size[seen & flipped].sum()
            step = lr / (sample.n * m) * float(sample.mu @ sample.mu) * balance
            assert abs(d_gamma[index, r] - step) <= slack


@pytest.mark.statement("prop-invariants")
def test_prop_invariants_allow_gamma_to_fall():
    """The "only if" of part 3 has cases: where noisy samples outweigh the clean ones of a class, gamma falls."""
    sample = SignalNoise(8, 30, n_snr2=4.0).sample(0)
    turned = relabelled(sample, sample.y, -sample.y)
    gamma, _ = coefficients(trajectory(turned, 3, 0.05, 0.5, 5, 0), turned)
    assert (np.diff(gamma, axis=0) < 0).all()


@pytest.mark.statement("prop-invariants")
@pytest.mark.parametrize("seed", range(4))
def test_prop_invariants_with_orthogonal_vectors(seed):
    """prop-invariants, part 4: own filters keep their activation, the others lose it once, and rho is bounded."""
    n, d, m, lr = 12, 30, 5, 2.0
    law = SignalNoise(n, d, mu_norm=2.0, flip_plus=0.3, flip_minus=0.3)
    drawn = law.sample(seed)
    basis = torch.linalg.qr(drawn.vectors.T)[0].T * torch.linspace(1.0, 6.0, n + 1, dtype=torch.float64)[:, None]
    mu, xi = basis[-1], basis[:-1]
    sample = Sample(mu, xi, drawn.y, drawn.y_obs, drawn.xi_test, drawn.y_test, law)
    weights = trajectory(sample, m, 0.2, lr, 60, seed)
    _, rho = coefficients(weights, sample)
    active = np.stack([responses_by_hand(weight, sample)[1] > 0 for weight in weights])
    own = np.broadcast_to(np.array(SIGNS)[:, None, None] * sample.y_obs.numpy() > 0, rho[0].shape)
    assert (active[:, own] == active[0, own]).all()
    assert not (active[1:] & ~active[:-1])[:, ~own].any(), "reactivated"
    assert (active[0] & ~active[-1])[~own].any(), "no filter switched off: the run tests nothing"
    first = responses_by_hand(weights[0], sample)[1]
    bound = -np.maximum(first, 0) - lr * sample.xi.square().sum(1).numpy() / (n * m)
    assert (rho >= bound - 1e-12)[:, ~own].all()


@pytest.mark.statement("thm-reduced")
@pytest.mark.parametrize("seed", range(3))
def test_thm_reduced_runs_on_inner_products_alone(seed):
    """thm-reduced: replace the vectors by others with the same inner products, in another dimension: the same run.

    The statement without the package's reduced engine: two explicit runs, whose margins, gamma and rho must agree.
    """
    n, m = 10, 3
    sample = SignalNoise(n, 25, n_snr2=4.0, flip_plus=0.2, flip_minus=0.2).sample(seed)
    weights = trajectory(sample, m, 0.1, 1.0, 50, seed)
    # Isometric copies in 60 dimensions: multiply everything by 25 orthonormal rows.
    isometry = np.linalg.qr(np.random.default_rng(seed).standard_normal((60, 25)))[0].T
    law = SignalNoise(n, 60, mu_norm=sample.distribution.mu_norm)
    copy = Sample(sample.mu.numpy() @ isometry, sample.xi.numpy() @ isometry, sample.y, sample.y_obs,
                  np.empty((0, 60)), np.empty(0), law)
    copied = [weights[0] @ isometry]
    for _ in range(50):
        copied.append(copied[-1] - 1.0 * autograd(copied[-1], copy))
    for one, other in zip(coefficients(weights, sample), coefficients(np.stack(copied), copy)):
        assert np.abs(one).max() > 0.1
        assert np.abs(one - other).max() <= 1e-10  # 50 steps of rounding at 1e-15 to 1e-14 each


@pytest.mark.statement("lem-bartlett")
@pytest.mark.parametrize(("size", "degrees"), [(4, 6), (4, 4), (5, 3), (3, 10**9)])
def test_lem_bartlett_law_of_each_entry(size, degrees):
    """lem-bartlett: at most 12 KS tests a case, each at 1e-4: a false alarm for one seed in 200 or fewer."""
    rng = np.random.default_rng(7)
    draws = np.stack([bartlett_gram_factor(rng, size, degrees) for _ in range(2000)])
    rank = min(size, degrees)
    assert draws.shape == (2000, size, rank) and (np.triu(draws, 1) == 0).all()
    for i, k in itertools.product(range(size), range(rank)):
        if k < i:
            assert stats.kstest(draws[:, i, k], "norm").pvalue > 1e-4
        elif k == i:
            # At a billion degrees the chi-square cdf is evaluated through its normal limit, exact to 1e-4.
            law = stats.chi2(degrees - i).cdf if degrees < 1e6 else stats.norm(degrees, (2.0 * degrees) ** 0.5).cdf
            assert stats.kstest(draws[:, i, i] ** 2, law).pvalue > 1e-4


@pytest.mark.statement("lem-bartlett")
def test_lem_bartlett_against_gram_schmidt():
    """The triangular factor of explicit normal vectors has this law: two-sample KS tests entry by entry."""
    rng = np.random.default_rng(8)
    explicit = np.linalg.cholesky([x @ x.T for x in rng.standard_normal((2000, 4, 7))])
    drawn = np.stack([bartlett_gram_factor(rng, 4, 7) for _ in range(2000)])
    for i, k in itertools.product(range(4), range(4)):
        if k <= i:
            assert stats.ks_2samp(explicit[:, i, k], drawn[:, i, k], method="asymp").pvalue > 1e-4


@pytest.mark.statement("thm-wishart")
@pytest.mark.parametrize(("n", "d", "orthogonal"), [(3, 8, False), (3, 4, False), (3, 8, True)])
def test_thm_wishart_joint_law_of_small_inner_products(n, d, orthogonal):
    """thm-wishart: products that mix K, B(0) and W(0) W(0)^T have the law of explicit vectors, also at d = n + 1.

    Mixed statistics see the dependence between the three parts, which their marginal laws do not.
    """
    law, m = SignalNoise(n, d, mu_norm=1.3, noise_std=0.7, orthogonal=orthogonal), 1
    drawn = _mixed_statistics(inner_products(law, m, 0.5, seed) for seed in range(600))
    explicit = _mixed_statistics(inner_products(law.sample(seed), m, 0.5, seed) for seed in range(5000, 5600))
    for one, other in zip(drawn, explicit):
        # Seven statistics in three cases: a false alarm for one seed in 500.
        assert stats.ks_2samp(one, other, method="asymp").pvalue > 1e-4


def _mixed_statistics(many):
    rows = []
    for products in many:
        gram, flat, weight_gram = products.gram, products.responses.flatten(0, 1), products.weight_gram
        explained = flat @ torch.linalg.solve(gram, flat.T)  # the part of W W^T inside the span
        rest = weight_gram - explained
        rows.append([gram[1, 1], gram[1, 2], gram[0, 1], flat[0, 0] * gram[0, 1], flat[0, 1] * flat[1, 2] * gram[1, 2],
                     weight_gram[0, 1] * flat[0, 1] * flat[1, 1], rest.trace().clamp(min=1e-9).log()])
    return np.array(rows).T


@pytest.mark.statement("thm-wishart")
def test_thm_wishart_whole_runs_have_the_law_of_explicit_vectors():
    law, m, steps = SignalNoise(20, 100, n_snr2=4.0, flip_plus=0.2, flip_minus=0.2), 4, 30
    lr = 0.1 * m * law.n / law.d

    def outcome(records):
        seen = [(one.gamma[:, -1].mean((1, 2)), one.margins[:, -1].mean(1), one.rho[:, -1].max(1)) for one in records]
        return np.concatenate(seen, axis=1)

    drawn = outcome([descend(law, m, 0.01, lr, steps, range(120), record_at=[steps], n_test=1)])
    explicit = outcome([descend(law.sample(seed), m, 0.01, lr, steps, seed, record_at=[steps], n_test=1)
                        for seed in range(300, 420)])
    for one, other in zip(drawn, explicit):
        assert stats.ks_2samp(one, other, method="asymp").pvalue > 1e-3


@pytest.mark.statement("prop-test-error")
@pytest.mark.parametrize("orthogonal", [False, True])
def test_prop_test_error_in_2m_dimensions(orthogonal):
    """prop-test-error: the error of one run on 20,000 explicit vectors and on 20,000 draws of 2m responses agree.

    Two independent estimates of a rate near 0.1 differ by less than 4.5 standard errors of 0.003 (chance 1e-5).
    """
    n, m, count = 40, 5, 20_000
    law = SignalNoise(n, 80, n_snr2=2.0, flip_plus=0.2, flip_minus=0.2, orthogonal=orthogonal)
    common = dict(m=m, init_std=0.01, lr=0.1 * m * n / 80, steps=100, seeds=0, record_at=[100])
    explicit = descend(law.sample(0, n_test=count), **common).fresh_error[0, 0]
    gaussian = descend(law.sample(0), n_test=count, **common).fresh_error[0, 0]
    assert explicit > 0.01
    assert abs(explicit - gaussian) < 4.5 * np.sqrt(2 * explicit * (1 - explicit) / count)


@pytest.mark.statement("prop-test-error")
def test_prop_test_error_weight_gram_formula():
    """W W^T = W0 W0^T + C B0^T + B C^T, with C, B0, B formed from explicit weights."""
    sample = small_problem(10, 20).sample(0)
    weights = trajectory(sample, 3, 0.3, 0.5, 20, 0)
    gamma, rho = (part[-1] for part in coefficients(weights, sample))
    squares = sample.vectors.square().sum(1).numpy()
    start, now = weights[0].reshape(6, -1), weights[-1].reshape(6, -1)
    change = np.concatenate([np.array(SIGNS)[:, None, None] * gamma[..., None], rho], -1).reshape(6, -1) / squares
    vectors = sample.vectors.numpy()
    formula = start @ start.T + change @ (start @ vectors.T).T + now @ vectors.T @ change.T
    assert np.abs(change).max() > 0.01
    assert np.abs(formula - now @ now.T).max() <= 1e-10 * np.abs(now @ now.T).max()


@pytest.mark.statement("prop-dimension-free")
def test_prop_dimension_free_rescaled_data_give_the_same_run():
    """prop-dimension-free: vectors times a, lr over a^2, weights over a leave h, K / (sigma^2 d), B(0) and the run."""
    base = SignalNoise(15, 60, n_snr2=4.0, flip_plus=0.2, flip_minus=0.2)
    factor = 3.0
    scaled = base.replace(noise_std=factor)
    one = descend(base.sample(0), 4, 0.1, 0.5, 40, 0, n_test=1)
    other = descend(scaled.sample(0), 4, 0.1 / factor, 0.5 / factor**2, 40, 0, n_test=1)
    for name in ("margins", "gamma", "rho", "rho_cross"):
        assert np.abs(getattr(one, name) - getattr(other, name)).max() <= 1e-11  # 40 steps of rounding


@pytest.mark.statement("prop-dimension-free")
def test_prop_dimension_free_distance_to_the_limit_falls_like_one_over_root_d():
    """Entries of K / (sigma^2 d) off their limit: slope -1/2. Ten seeds of 66 entries: it scatters by 0.01."""
    dimensions, n = [10**k for k in range(3, 9)], 10
    limit = torch.eye(n + 1, dtype=torch.float64)
    sizes_by_dimension = []
    for d in dimensions:
        law = SignalNoise(n, d, n_snr2=4.0)
        limit[0, 0] = 4.0 / n
        gaps = [inner_products(law, 1, 1.0, seed).gram / d - limit for seed in range(10)]
        sizes_by_dimension.append(float(torch.stack(gaps).square().mean().sqrt()))
    slope = np.polyfit(np.log(dimensions), np.log(sizes_by_dimension), 1)[0]
    assert abs(slope + 0.5) < 0.04
