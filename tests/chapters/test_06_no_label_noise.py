"""Chapter 6: what remains when no label is flipped."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import norm

from helpers import SignalNoise, descend
from helpers.engine.gram import inner_products, inner_products_of_record
from helpers.experiments.synthetic import synthetic_problem, synthetic_run
from helpers.reading.times import rescaled_times
from helpers.theory.error_bounds import fresh_error_bound
from helpers.theory.loss_decay import loss_decay_constants
from helpers.theory.no_noise import NoNoise, no_noise_bounds
from helpers.theory.orthogonal_draws import orthogonal_sample


def orthogonal_run(n, d, m, c, h, steps, init, seed, record_at=None, **options):
    """Record, and products, of a run on orthogonal vectors without flips; each step recorded by default."""
    sample = orthogonal_sample(SignalNoise(n, d, n_snr2=c), seed)
    at = np.arange(steps + 1) if record_at is None else record_at
    record = descend(sample, m, init / d**0.5, h * n * m / d, steps, [seed], record_at=at, n_test=1, **options)
    return record, inner_products(sample, m, init / d**0.5, seed)


@pytest.mark.statement("thm-no-noise")
@settings(max_examples=15, deadline=None)
@given(st.integers(4, 25), st.integers(1, 6), st.integers(1, 60), st.floats(0.2, 20), st.floats(0.01, 0.3),
       st.floats(1e-3, 1.0), st.integers(0, 10**6))
def test_thm_no_noise_gamma_grows_at_every_step(n, m, extra, c, h, init, seed):
    """thm-no-noise (1): on any data every gamma grows at each step, by at most h c / n sum g over all samples."""
    law = SignalNoise(n, n + extra, n_snr2=c)
    record = descend(law, m, init / law.d**0.5, h * n * m / law.d, 60, [seed], record_at=np.arange(61), n_test=1)
    growth, g = np.diff(record.gamma[0], axis=0), -record.loss_derivatives[0, :-1]
    by_class = np.stack([(g * (record.y[0] == side)).sum(1) for side in (1, -1)], 1) * h * c / n
    classes = [side for side in (0, 1) if (record.y[0] == (1, -1)[side]).any()]
    assert (growth >= 0).all() and (len(classes) == 1 or (growth > 0).all())
    gap = np.abs(growth[..., None] - by_class[:, None, None]).min(-1)  # the class that the filter sees
    assert gap.max() <= 1e-9 * max(1, by_class.max())


@pytest.mark.statement("thm-no-noise")
@settings(max_examples=15, deadline=None)
@given(st.integers(4, 25), st.integers(1, 6), st.integers(1, 60), st.floats(0.2, 20), st.floats(0.01, 0.3),
       st.floats(1e-3, 1.0), st.integers(0, 10**6))
def test_thm_no_noise_signal_response_never_falls(n, m, extra, c, h, init, seed):
    """thm-no-noise (2): with noise projected off the signal both A_y are non-decreasing."""
    law = SignalNoise(n, n + extra, n_snr2=c, orthogonal=True)
    record = descend(law, m, init / law.d**0.5, h * n * m / law.d, 60, [seed], record_at=np.arange(61), n_test=1)
    assert np.diff(record.signal_response[0] * [1, -1], axis=0).min() >= -1e-10


@pytest.mark.statement("thm-no-noise")
@settings(max_examples=12, deadline=None)
@given(st.integers(4, 25), st.integers(1, 6), st.floats(0.2, 20), st.floats(0.01, 0.3), st.floats(1e-3, 1.0),
       st.integers(0, 10**6))
def test_thm_no_noise_margins_never_fall_on_orthogonal_vectors(n, m, c, h, init, seed):
    """thm-no-noise (3): no margin falls, the loss decreases, and all are right once both A exceed beta."""
    record, products = orthogonal_run(n, n + 1, m, c, h, 60, init, seed)
    assert np.diff(record.margins[0], axis=0).min() >= -1e-10
    assert np.diff(record.losses[0].mean(-1)).max() < 0
    sure = (record.signal_response[0] * [1, -1]).min(1) > float(products.responses.abs().max())
    assert record.fits_true[0, sure].all()


@pytest.mark.statement("thm-convergence", "thm-no-noise")
def test_thm_no_noise_loss_converges():
    """thm-no-noise (3): the bound of thm-convergence with the shares at the start, n=100, m=20, s = 50."""
    record, products = orthogonal_run(100, 101, 20, 4.0, 0.1, 500, 1e-3, 0)
    found = loss_decay_constants(record, [products])
    assert found.holds and np.array_equal(found.shares, record.active[0, 0])
    assert record.losses[0, -1].mean() <= min(found.bound(50.0), 0.03)


@pytest.mark.statement("thm-no-noise")
@pytest.mark.parametrize(("n", "m", "c", "init", "h"), [(40, 60, 4.0, 1e-3, 0.02), (30, 40, 1.0, 0.05, 0.05),
                                                        (40, 60, 8.0, 0.2, 0.02)])
def test_thm_no_noise_spread_and_both_responses(n, m, c, init, h):
    """thm-no-noise (4), steps 2 and 3: the spread of the Gamma_i is at most S, and eq-both-responses, at each step."""
    for seed in range(2):
        record, products = orthogonal_run(n, n + 1, m, c, h, 300, init, seed)
        found = no_noise_bounds(record, products)
        assert h * np.exp(0.5) * (c * found.shares[0] + found.rates[1]) <= 4 and found.rates[0] > 0
        g = -record.loss_derivatives[0]
        gamma = h * np.vstack([np.zeros(n), np.cumsum(g, 0)[:-1]])
        assert (gamma[1:].max(1) <= found.spread * gamma[1:].min(1)).all()
        assert np.allclose(record.rho[0], record.active[0, 0] * gamma, atol=1e-9)
        for k, side in enumerate((1, -1)):
            own = gamma[:, record.y[0] == side].sum(1) * c / n
            response = record.signal_response[0, :, k] * side
            assert (response <= own + max(found.initial, found.overshoot) + 1e-9).all()
            assert (response >= own - c * found.shares[1] * found.turned - found.initial - 1e-9).all()


@pytest.mark.statement("prop-fresh-error", "thm-no-noise")
@pytest.mark.parametrize("c", [1.0, 4.0])
def test_thm_no_noise_bounds_the_weights_and_the_fresh_error(c):
    """thm-no-noise (4), step 4: sigma Lip and the mean as bounded, Theta below that of prop-fresh-error."""
    at = np.array([0, 1, 2, 3, 5, 20, 100, 400])
    record, products = orthogonal_run(40, 16_000, 150, c, 0.02, 400, 1e-3, 0, record_at=at)
    found = no_noise_bounds(record, products)
    largest = (record.rho[0] / record.active[0]).max(1)
    root, many, fast = np.sqrt(found.ratio), found.shares[1], found.rates[1]
    scale = root * (np.sqrt(2 * many * fast) + 2 * many * np.sqrt(c)) * largest + found.rest
    mean = root * (np.sqrt(many * fast) + many * np.sqrt(c)) * largest + found.offset
    assert (record.noise_scale[0] <= scale).all()
    assert (np.abs(record.noise_mean[0]) <= mean / np.sqrt(2 * np.pi)).all()
    theta = found.exponent_root(largest)
    own = np.flatnonzero(rescaled_times(record)[0] >= found.turned)
    assert (fresh_error_bound(record)[0, own] <= np.exp(-theta[own] ** 2 / 2) + 1e-12).all()
    assert theta[-1] > 1 and theta[-1] <= found.exponent_root(np.array(np.inf))


@pytest.mark.statement("thm-no-noise")
def test_thm_no_noise_constant_in_the_limit():
    """eq-no-noise-exponent: with S = 1, balanced classes and nothing left of the start, Theta^2 / 2 = c^2 d / (C n)."""
    c, ratio = 3.0, 1e-8
    ideal = NoNoise(c, ratio, 0.0, 0.0, 0.0, (0.5, 0.5), (0.5, 0.5), 0.0, 0.0)
    assert ideal.spread == 1
    late = ideal.exponent_root(np.array(np.inf)) ** 2 / 2
    assert np.isclose(late * ratio, c**2 / (8 * (0.5**0.5 + c**0.5) ** 2), rtol=1e-3)


@pytest.mark.statement("thm-no-noise-paper")
def test_thm_no_noise_paper_claims_hold_at_the_books_usual_sizes():
    """thm-no-noise-paper at n=200, d=2000, m=20, c=4, six seeds: measured. And the same seeds with flips differ."""
    def world(tau):
        law = SignalNoise(200, 2_000, n_snr2=4.0, flip_plus=tau, flip_minus=tau)
        return descend(law, 20, 1e-3, 0.1 * 200 * 20 / 2_000, 400, range(6), n_test=1_000)

    none, flips = world(0.0), world(0.2)
    later = rescaled_times(none)[0] >= 0.5
    assert none.fits_true[:, later].all() and none.losses[:, -1].mean(-1).max() < 0.03
    assert none.fresh_error[:, later].mean(0).max() < 0.002 and none.reused_error[:, -1].max() == 0
    assert none.reused_error[:, later].max() <= 0.005  # a patch or two of 200 at s = 0.5
    assert np.array_equal(none.y, flips.y) and flips.flipped.any()
    one, other = inner_products_of_record(none)[2], inner_products_of_record(flips)[2]
    assert (one.gram == other.gram).all() and (one.responses == other.responses).all()
    ratio = none.gamma[:, -1].mean((1, 2)) / none.rho[:, -1].mean(1)
    assert np.abs(ratio / 4 - 1).max() < 0.35  # c times rho, where classes are balanced and shares near 1/2
    assert (flips.gamma[:, -1].mean((1, 2)) < none.gamma[:, -1].mean((1, 2))).all()
    assert flips.reused_error[:, -1].mean() > 0.09


@pytest.mark.statement("thm-no-noise")
def test_thm_no_noise_fresh_exponent_grows_with_d_over_n():
    """From d/n = 2 to 6 at c = 1 the exponent of the fresh error triples, to within a factor 1.5."""
    laws = [SignalNoise(100, 100 * k, n_snr2=1.0) for k in (2, 6)]
    init, lr = [0.03 / law.d**0.5 for law in laws], [0.1 * 2_000 / law.d for law in laws]
    record = descend(laws, 20, init, lr, 300, range(6), record_at=[300], n_test=4_000)
    error = record.fresh_error[:, 0].reshape(2, -1).mean(1)
    u = norm.isf(error) ** 2 / 2
    assert 3 / 1.5 < u[1] / u[0] < 3 * 1.5


@pytest.mark.statement("lem-balance-paper")
def test_lem_balance_paper_ratio_is_one_over_the_active_share_so_far():
    """gamma over SNR^2 times the sum of mean rho, filters of sign +1, within 3% of 1/p at every step of 50 runs."""
    record = synthetic_run(range(50), m=10, flips=0.0, n_test=1)
    plus = record.y[:, None] > 0
    noise = 20 / 100 * np.where(plus, record.rho, 0).sum(-1)
    g = -record.loss_derivatives * plus
    share = np.cumsum(g * record.active, 1).sum(-1) / np.cumsum(g, 1).sum(-1)
    assert np.abs(record.gamma[:, 1:, 0].mean(-1) / noise[:, 1:] * share[:, :-1] - 1).max() < 0.03


def test_flips_change_the_observed_labels_of_the_papers_experiment_and_nothing_else():
    one, other = (inner_products(synthetic_problem(flips=rate), 10, 0.005, 0) for rate in (0.0, 0.1))
    assert all((getattr(one, name) == getattr(other, name)).all() for name in ("gram", "responses", "y"))
    assert not (one.y_obs == other.y_obs).all()
