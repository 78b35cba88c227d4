"""The three test errors (fresh noise, reused noise, observed labels) against simulation with the network itself."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from helpers import SignalNoise, TwoLayerCNN, descend
from helpers.engine.gram import gram_square_root, inner_products
from helpers.engine.network_decomposition import SIGNS
from helpers.engine.observables import _noise_covariance, draw_observables
from helpers.engine.reduced import CompiledReducedEngine

CPU = torch.device("cpu")
SETTINGS = {"m": 4, "init_std": 0.05, "lr": 0.3, "steps": 80, "record_at": [0, 5, 80]}
DRAWS = 20_000
Z = 4.5  # deviations allowed between two Monte-Carlo rates: 7e-6 by chance on a fresh seed; the seeds are fixed


def trained(sample, record, seed):
    """The network at the end of a recorded run: initial weights plus the recorded coefficients."""
    model = TwoLayerCNN(sample.d, record.config["m"], SETTINGS["init_std"], seed)
    gamma, rho = (torch.from_numpy(getattr(record, name)[0]) for name in ("gamma_final", "rho_final"))
    signs = torch.tensor(SIGNS, dtype=torch.float64)[:, None, None]
    change = signs * gamma[..., None] * sample.mu / sample.mu.square().sum()
    change = change + rho @ (sample.xi / sample.xi.square().sum(1)[:, None])
    model.weight.data += change
    return model


def wrong(model, sample, y, xi):
    """Share of errors of `model` on patches (y mu, xi)."""
    with torch.no_grad():
        return float((y * model(y[:, None] * sample.mu, xi) <= 0).double().mean())


def deviations(p, q, draws=DRAWS):
    """Distance of two rates, each of `draws` draws, in standard deviations."""
    middle = (p + q) / 2
    return abs(p - q) / np.sqrt(2 * middle * (1 - middle) / draws)


@pytest.fixture(params=[False, True], ids=["plain", "orthogonal"])
def weak(request):
    """A sample whose signal is so weak that there are errors to count."""
    law = SignalNoise(20, 60, n_snr2=1.0, flip_plus=0.2, flip_minus=0.2, noise_std=1.5, orthogonal=request.param)
    return law.sample(3)


def normals(*shape, seed):
    return torch.from_numpy(np.random.default_rng([99, seed]).standard_normal(shape))


def labels(count, seed):
    return torch.from_numpy(np.random.default_rng([98, seed]).choice([-1.0, 1.0], count))


@pytest.mark.parametrize("engine", ["reduced", "explicit"])
def test_fresh_error_has_the_law_of_explicit_test_vectors(weak, engine):
    record = descend(weak, **SETTINGS, seeds=1, n_test=DRAWS, engine=engine)
    xi = weak.distribution.noise_std * normals(DRAWS, weak.d, seed=1)
    if weak.distribution.orthogonal:
        xi[:, 0] = 0  # mu points along the first axis
    rate = wrong(trained(weak, record, 1), weak, labels(DRAWS, 1), xi)
    assert 0.05 < rate < 0.45 and deviations(record.fresh_error[0, -1], rate) < Z


def test_responses_to_fresh_noise_have_the_covariance_of_the_filters():
    """Plain: sigma^2 W W^T. Orthogonal: sigma^2 W P W^T with P the projection off mu."""
    for orthogonal in (False, True):
        law = SignalNoise(10, 50, n_snr2=3.0, orthogonal=orthogonal, noise_std=2.0)
        drawn = law.sample(0)
        engine = CompiledReducedEngine([inner_products(drawn, 3, 0.2, 5)], [0.5], CPU, torch.float64)
        engine.advance(20)
        state = engine.state()
        signs = torch.tensor(SIGNS, dtype=torch.float64)[:, None, None]
        start = TwoLayerCNN(50, 3, 0.2, 5).weight.detach()
        change = signs * state.gamma[0][..., None] * drawn.mu / drawn.mu.square().sum()
        weight = (start + change + state.rho[0] @ (drawn.xi / drawn.xi.square().sum(1)[:, None])).flatten(0, 1)
        if orthogonal:
            weight = weight - (weight @ drawn.mu)[:, None] * drawn.mu / drawn.mu.square().sum()
        draws = draw_observables([drawn], [0], 3, 10, 0, 0.0, CPU, torch.float64)
        root = gram_square_root(_noise_covariance(state, draws))[0]
        # Products of 50 terms of size up to ten, in another order.
        torch.testing.assert_close(root @ root.T, weight @ weight.T, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_singular_covariance_of_the_filters_has_a_square_root_too(dtype):
    """Fewer dimensions than filters, so that the Cholesky factorisation fails: any other root will do."""
    law = SignalNoise(3, 5, n_snr2=3.0, orthogonal=True)
    products = [inner_products(law, 8, 0.2, seed) for seed in range(4)]
    engine = CompiledReducedEngine(products, [0.5] * 4, CPU, dtype)
    engine.advance(5)
    draws = draw_observables([law] * 4, range(4), 8, 10, 0, 0.0, CPU, dtype)
    state = engine.state()
    on_signal = state.responses[..., 0].flatten(1) / law.mu_norm
    covariance = state.weight_gram - on_signal[:, :, None] * on_signal[:, None, :]
    values = torch.linalg.eigvalsh(covariance)
    assert bool(((values > 1e-4 * values[:, -1:]).sum(1) == 4).all())  # d - 1 of the 16
    root = gram_square_root(_noise_covariance(state, draws))
    # Rounding of the covariance: 1e-16 or 6e-8 of its size; negative eigenvalues of that size are set to zero.
    atol = 200 * torch.finfo(dtype).eps * float(covariance.abs().max())
    torch.testing.assert_close(root @ root.mT, covariance, rtol=0, atol=atol)
    record = descend(law, 8, 0.2, 0.5, 20, seeds=range(3), dtype=dtype)
    assert np.isfinite(record.fresh_error).all()


def test_fewer_dimensions_than_filters_still_give_the_error_of_explicit_test_vectors():
    drawn = SignalNoise(3, 5, n_snr2=0.3, flip_plus=0.3, flip_minus=0.3).sample(2)
    settings = SETTINGS | {"m": 8}
    record = descend(drawn, **settings, seeds=1, n_test=DRAWS)
    rate = wrong(trained(drawn, record, 1), drawn, labels(DRAWS, 2), normals(DRAWS, 5, seed=2))
    assert 0.02 < rate < 0.5 and deviations(record.fresh_error[0, -1], rate) < Z


@given(st.integers(1, 15), st.integers(0, 20), st.floats(0.1, 5), st.booleans(), st.integers(0, 2**31))
def test_reused_error_at_zeta_0_is_the_enumeration_of_patches_and_labels(n, extra, c, orthogonal, seed):
    law = SignalNoise(n, n + 1 + extra, n_snr2=c, flip_plus=0.2, flip_minus=0.4, orthogonal=orthogonal)
    drawn = law.sample(seed)
    record = descend(drawn, **SETTINGS, seeds=seed, n_test=5)
    model = trained(drawn, record, seed)
    rates = [wrong(model, drawn, label * torch.ones(n, dtype=torch.float64), drawn.xi) for label in (1, -1)]
    assert record.reused_error[0, -1] == pytest.approx(np.mean(rates), abs=1e-12)
    assert record.test_sizes["reused"] == 0
    assert np.array_equal(record.interval("reused")[..., 0], record.reused_error)  # exact: no interval


def test_reused_error_with_zeta_has_the_law_of_a_training_patch_plus_noise(weak):
    weak, zeta = weak.distribution.replace(n_snr2=5.0).sample(3), 1.5
    record = descend(weak, **SETTINGS, seeds=1, n_test=DRAWS, zeta=zeta)
    assert record.test_sizes["reused"] == DRAWS
    extra = zeta * normals(DRAWS, weak.d, seed=3)
    if weak.distribution.orthogonal:
        extra[:, 0] = 0
    patch = torch.from_numpy(np.random.default_rng(3).integers(weak.n, size=DRAWS))
    rate = wrong(trained(weak, record, 1), weak, labels(DRAWS, 3), weak.xi[patch] + extra)
    plain = descend(weak, **SETTINGS, seeds=1).reused_error[0, -1]
    assert 0.02 < rate < 0.6 and deviations(record.reused_error[0, -1], rate) < Z
    assert deviations(record.reused_error[0, -1], plain) > Z  # zeta is seen


def test_reused_error_tends_to_the_exact_one_as_zeta_vanishes(weak):
    weak = weak.distribution.replace(n_snr2=5.0).sample(3)
    tiny, exact = (descend(weak, **SETTINGS, seeds=1, n_test=DRAWS, zeta=zeta) for zeta in (1e-9, 0.0))
    p = exact.reused_error[0, -1]
    assert 0.02 < p < 0.6
    assert abs(tiny.reused_error[0, -1] - p) < Z * np.sqrt(p * (1 - p) / DRAWS)


@pytest.mark.parametrize(("plus", "minus"), [(0.0, 0.0), (0.2, 0.2), (0.05, 0.4)])
def test_observed_error_is_tau_plus_1_minus_2_tau_times_the_fresh_error(plus, minus):
    """With unequal rates the mean of the two; errors are spread evenly over the labels at this size only roughly."""
    law = SignalNoise(40, 400, n_snr2=2.0, flip_plus=plus, flip_minus=minus)
    record = descend(law, 4, 0.05, 0.3, 80, seeds=range(4), n_test=DRAWS, record_at=[80])
    tau, fresh = (plus + minus) / 2, record.fresh_error[:, 0]
    expected = tau + (1 - 2 * tau) * fresh
    # Both are measured on the same draws: what is left is the flips' own scatter, and for unequal rates the errors'
    # imbalance between the labels, at most |tau_+ - tau_-| times the fresh error.
    allowed = Z * np.sqrt((tau * (1 - tau) + 1e-12) / DRAWS) + abs(plus - minus) * fresh
    assert (np.abs(record.observed_error[:, 0] - expected) <= allowed).all()
    if tau == 0:
        assert np.array_equal(record.observed_error, record.fresh_error)


def test_fresh_error_of_one_run_moves_smoothly_because_its_draws_are_kept(law):
    """The same draws at all times: a step that hardly moves the weights hardly moves the error."""
    record = descend(law, 3, 0.05, 1e-9, 2, seeds=0, record_at=[0, 1, 2])
    assert np.ptp(record.fresh_error) == 0 and 0.2 < record.fresh_error[0, 0] < 0.8


def test_an_output_of_zero_counts_as_an_error(law):
    record = descend(law, 2, 0.0, 0.1, 1, seeds=0)
    assert record.fresh_error.min() == record.reused_error.min() == record.observed_error.min() == 1.0


def test_recorded_summaries_are_those_of_the_coefficients(sample):
    record = descend(sample, **SETTINGS, seeds=[1, 2])
    rho, y_obs = record.rho_final, record.y_obs
    own = np.where((y_obs > 0)[:, None], rho[:, 0], rho[:, 1])
    cross = np.where((y_obs > 0)[:, None], rho[:, 1], rho[:, 0])
    for name, values in {"rho": own.mean(1), "rho_max": own.max(1), "rho_cross": cross.mean(1),
                         "rho_cross_min": cross.min(1)}.items():
        np.testing.assert_allclose(getattr(record, name)[:, -1], values, rtol=0, atol=1e-14, err_msg=name)
    np.testing.assert_array_equal(record.gamma[:, -1], record.gamma_final)
    model = TwoLayerCNN(sample.d, 4, SETTINGS["init_std"], 2)
    with torch.no_grad():
        active = (model.weight @ sample.xi.T > 0).double().mean(1)
        sides = [float(model(side * sample.mu[None, None])) for side in SIGNS]
    expected = torch.where(sample.y_obs > 0, active[0], active[1])
    np.testing.assert_allclose(record.active[1, 0], expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(record.signal_response[1, 0], sides, rtol=0, atol=1e-14)


@pytest.mark.statement("prop-fresh-error")
def test_prop_fresh_error_noise_mean_and_scale_are_those_of_the_network(weak):
    """prop-fresh-error: the mean of f on fresh noise, and a bound on the length of its gradient there."""
    record = descend(weak, **SETTINGS, seeds=1)
    model, law = trained(weak, record, 1), weak.distribution
    xi = law.noise_std * normals(DRAWS, weak.d, seed=3)
    if law.orthogonal:
        xi[:, 0] = 0
    xi.requires_grad_(True)
    f = model._of_patch(xi)
    (gradient,) = torch.autograd.grad(f.sum(), xi)
    f = f.detach()
    if law.orthogonal:
        gradient = gradient - gradient[:, :1] * torch.eye(weak.d, dtype=gradient.dtype)[:1]
    error = float(f.std()) / DRAWS**0.5
    assert abs(float(f.mean()) - record.noise_mean[0, -1]) < Z * error
    longest, scale = law.noise_std * float(gradient.norm(dim=1).max()), record.noise_scale[0, -1]
    # A bound, and not an idle one: random patches come within a factor of two of it at ten filters or so.
    assert 0.4 * scale < longest <= scale * (1 + 1e-12)


def test_validation_draws_are_fresh_and_leave_the_test_draws_alone():
    law = SignalNoise(20, 60, n_snr2=1.0, flip_plus=0.2, flip_minus=0.4, noise_std=1.5)
    alone, both = (descend(law, **SETTINGS, seeds=range(3), n_val=n_val) for n_val in (0, DRAWS))
    for name in ("fresh_error", "reused_error", "observed_error"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(both, name))
    assert alone.validation_error is None and both.test_sizes["validation"] == DRAWS
    tests = descend(law, **SETTINGS, seeds=range(3), n_test=DRAWS)
    for name, other in (("validation_error", "fresh_error"), ("validation_observed_error", "observed_error")):
        ours, theirs = getattr(both, name)[:, -1], getattr(tests, other)[:, -1]
        assert np.all(deviations(ours, theirs) < Z) and np.any(ours != theirs)
        assert both.interval(name.removesuffix("_error")).shape == (3, 3, 2)
    with pytest.raises(ValueError, match="n_val=5"):
        descend(law.sample(0, n_test=3), **SETTINGS, seeds=0, n_val=5)
