"""The network, its gradient by hand, and the signal-noise decomposition (Han et al. 2025, sections 3 and 4)."""

import pytest
import torch
from hypothesis import given, strategies as st
from torch.nn import functional

from helpers import SignalNoise, TwoLayerCNN, decompose
from helpers.engine.network_decomposition import SIGNS, decomposition_steps

problems = st.builds(
    lambda n, extra, c, flips, orthogonal, noise_std, seed: SignalNoise(
        n, n + 1 + extra, n_snr2=c, flip_plus=flips[0], flip_minus=flips[1], orthogonal=orthogonal, noise_std=noise_std,
    ).sample(seed),
    st.integers(1, 10), st.integers(0, 30), st.floats(0.1, 10), st.tuples(st.floats(0, 0.49), st.floats(0, 0.49)),
    st.booleans(), st.floats(0.3, 3), st.integers(0, 2**31))
networks = st.tuples(st.integers(1, 4), st.floats(0.01, 1), st.integers(0, 2**31))  # m, init_std, seed


def loss_of(weight, sample):
    """Mean logistic loss of filters (2, m, d), written out from the paper's f, one patch and one filter at a time."""
    total = 0.0
    for xi, y, y_obs in zip(sample.xi, sample.y, sample.y_obs):
        f = 0.0
        for j, filters in zip((1, -1), weight):
            for w in filters:
                f = f + j * (torch.relu(w @ (y * sample.mu)) + torch.relu(w @ xi)) / len(filters)
        total = total + functional.softplus(-y_obs * f) / sample.n
    return total


def compose(gamma, rho, sample):
    """Weight changes with the given coefficients."""
    signs = torch.tensor(SIGNS, dtype=torch.float64)[:, None, None]
    signal = signs * gamma[..., None] * sample.mu / sample.mu.square().sum()
    return signal + rho @ (sample.xi / sample.xi.square().sum(1)[:, None])


def steps_of(weight, sample, lr):
    """decomposition_steps of explicit weights."""
    m = weight.shape[1]
    rate = torch.tensor([lr / (sample.n * m)], dtype=torch.float64)
    return decomposition_steps(weight @ sample.vectors.T, sample.y, sample.y_obs, rate)


def test_forward_is_the_formula_of_the_paper(sample):
    model = TwoLayerCNN(100, 3, 0.1, seed=0)
    f = model(sample.y[:, None] * sample.mu, sample.xi)
    by_hand = torch.stack([
        sum(j * (torch.relu(w @ (y * sample.mu)) + torch.relu(w @ xi)) / 3
            for j, filters in zip((1, -1), model.weight) for w in filters)
        for xi, y in zip(sample.xi, sample.y)])
    # Sums of 100 products in float64, in another order.
    assert torch.allclose(f, by_hand, rtol=0, atol=1e-13)
    stacked = torch.stack([sample.y[:, None] * sample.mu, sample.xi], 1)
    assert torch.equal(model(stacked), f) and torch.equal(model((sample.y[:, None] * sample.mu, sample.xi)), f)
    assert torch.allclose(model(stacked[0]), f[0], rtol=0, atol=1e-13)


def test_initial_weights_are_normal_with_init_std_and_fixed_by_the_seed():
    weight = TwoLayerCNN(2000, 20, 0.01, seed=4).weight.detach()
    assert weight.shape == (2, 20, 2000) and weight.dtype == torch.float64
    # 80,000 draws: the standard deviation's relative error is 1 / sqrt(160,000) = 0.0025; four of them.
    assert float(weight.std()) == pytest.approx(0.01, rel=0.01)
    assert torch.equal(weight, TwoLayerCNN(2000, 20, 0.01, seed=4).weight)
    assert torch.equal(weight, 2 * TwoLayerCNN(2000, 20, 0.005, seed=4).weight)
    assert not torch.equal(weight, TwoLayerCNN(2000, 20, 0.01, seed=5).weight)


@given(problems, networks, st.floats(0.01, 10))
def test_coefficient_steps_are_minus_lr_times_the_autograd_gradient(sample, network, lr):
    m, init_std, seed = network
    weight = TwoLayerCNN(sample.d, m, init_std, seed).weight
    loss = loss_of(weight, sample)
    (gradient,) = torch.autograd.grad(loss, weight)
    steps, margins = steps_of(weight.detach(), sample, lr)
    # Both are sums of n + 1 products in float64.
    atol = 1e-12 * (1 + lr * float(gradient.abs().max()))
    assert torch.allclose(steps @ sample.vectors, -lr * gradient, rtol=0, atol=atol)
    assert torch.allclose(functional.softplus(-margins).mean(), loss, rtol=1e-12)


def test_coefficient_steps_are_the_finite_differences_of_the_loss(sample):
    weight = TwoLayerCNN(100, 3, 0.1, seed=0).weight.detach()
    gradient = -steps_of(weight, sample, 1.0)[0] @ sample.vectors
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        direction = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        h = 1e-6
        slope = (loss_of(weight + h * direction, sample) - loss_of(weight - h * direction, sample)) / (2 * h)
        # Rounding of the loss, 1e-16, over h; the curvature's share is h^2. No activation is within h of its kink.
        assert float(slope) == pytest.approx(float((gradient * direction).sum()), abs=1e-8)


@given(problems, networks)
def test_coefficient_steps_are_the_update_rules_of_gamma_and_rho(sample, network):
    """gamma += -(eta/(nm)) |mu|^2 [sum_clean l' 1 - sum_noisy l' 1], rho_i += -(eta/(nm)) |xi_i|^2 j y_obs_i l'_i 1."""
    m, init_std, seed = network
    weight, lr = TwoLayerCNN(sample.d, m, init_std, seed).weight.detach(), 0.7
    steps, margins = steps_of(weight, sample, lr)
    derivative = -1 / (1 + torch.exp(margins))
    unit = lr / (sample.n * m)
    for k, j in enumerate((1, -1)):
        for r in range(m):
            w = weight[k, r]
            on_signal = (w @ (sample.y[:, None] * sample.mu).T > 0).double()
            clean, noisy = (derivative * on_signal * which for which in (~sample.flipped, sample.flipped))
            gamma = -unit * sample.mu.square().sum() * (clean.sum() - noisy.sum())
            rho = -unit * sample.xi.square().sum(1) * j * sample.y_obs * derivative * (sample.xi @ w > 0)
            # A handful of products and sums of n terms of this size.
            atol = 1e-13 * float(gamma.abs() + rho.abs().max() + 1)
            assert torch.allclose(j * sample.mu.square().sum() * steps[k, r, 0], gamma, rtol=0, atol=atol)
            assert torch.allclose(sample.xi.square().sum(1) * steps[k, r, 1:], rho, rtol=0, atol=atol)


@given(problems, st.integers(1, 4), st.integers(0, 2**31))
def test_decompose_undoes_compose_so_that_the_decomposition_is_unique(sample, m, seed):
    generator = torch.Generator().manual_seed(seed)
    gamma = torch.randn(2, m, generator=generator, dtype=torch.float64)
    rho = torch.randn(2, m, sample.n, generator=generator, dtype=torch.float64)
    start = TwoLayerCNN(sample.d, m, 0.1, seed).weight.detach()
    found_gamma, found_rho = decompose(start + compose(gamma, rho, sample), start, sample)
    # Rounding is amplified by the condition number of the unit vectors (d may be as low as n + 1), and by the ratio
    # of norms: coefficients are in units of 1 / |v|.
    units = sample.vectors / sample.vectors.norm(dim=1, keepdim=True)
    norms = sample.vectors.norm(dim=1)
    atol = 1e-13 * float(torch.linalg.cond(units) * norms.max() * (1 + 1 / norms.min()))
    assert torch.allclose(found_gamma, gamma, rtol=0, atol=atol)
    assert torch.allclose(found_rho, rho, rtol=0, atol=atol)


def test_gradient_descent_moves_the_weights_in_the_span_that_decompose_reads(sample):
    model = TwoLayerCNN(100, 3, 0.01, seed=1)
    start = model.weight.detach().clone()
    for _ in range(50):
        loss = functional.softplus(-sample.y_obs * model(sample.y[:, None] * sample.mu, sample.xi)).mean()
        (gradient,) = torch.autograd.grad(loss, model.weight)
        with torch.no_grad():
            model.weight -= 0.5 * gradient
    gamma, rho = decompose(model.weight, start, sample)
    assert gamma.shape == (2, 3) and rho.shape == (2, 3, 20) and float(gamma.abs().min()) > 0.1
    # Fifty updates of size one, each rounded at 1e-16.
    assert torch.allclose(start + compose(gamma, rho, sample), model.weight, rtol=0, atol=1e-13)


@pytest.mark.statement("lem-decomposition")
def test_decompose_refuses_weights_that_left_the_span(sample):
    """lem-decomposition: outside the span of mu and the noise patches there is none; rounding is forgiven."""
    start = TwoLayerCNN(sample.d, 2, 0.1, seed=0).weight.detach()
    inside = start + torch.ones(2, 2, len(sample.vectors), dtype=torch.float64) @ sample.vectors
    decompose(inside.float(), start.float(), sample)
    with pytest.raises(ValueError, match=r"weight=.*out of the span"):
        decompose(inside + 0.1 * torch.ones_like(start), start, sample)


def test_forward_refuses_patches_that_are_not_finite_or_not_alike(sample):
    model = TwoLayerCNN(sample.d, 2, 0.1, seed=0)
    broken = sample.xi.clone()
    broken[3, 5] = torch.nan
    with pytest.raises(ValueError, match=r"patch=.<1 non-finite values>"):
        model(sample.xi, broken)
    with pytest.raises(ValueError, match=r"patch\.shape"):
        model(sample.xi, sample.xi[:3])
