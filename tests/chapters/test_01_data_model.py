"""Chapter 1: the data model and its concentration bounds.

Three kinds of checks. The failure probability that a proof adds up is compared with the exact laws (no simulation, no
slack). The bounds are compared with simulated frequencies, where a false constant shows. What is measured is computed
once more, by loops, from explicit vectors.
"""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from problems import PROBLEMS
from scipy import stats

from helpers import SignalNoise
from helpers.data.signal_noise import noise_dimension
from helpers.engine.gram import inner_products
from helpers.intervals import slope_and_standard_error
from helpers.theory import concentration
from helpers.theory.cross_talk import cross_talk_bounds

M, INIT_STD, DRAWS = 12, 0.01, 300
sizes = st.integers(1, 10**6)
probabilities = st.floats(1e-12, 0.999)
untimed = settings(deadline=None)  # a loaded machine is no failure


@pytest.fixture(scope="module", params=PROBLEMS, ids=lambda name: name.replace(" ", "-"))
def simulated(request):
    problem = PROBLEMS[request.param]
    return problem, concentration.simulate_concentration(problem, M, INIT_STD, range(DRAWS))


# The model

def test_def_signal_noise_labels_are_fair_and_flip_at_the_rate_of_their_class():
    problem = SignalNoise(10**5, 2, mu_norm=1.0, flip_plus=0.1, flip_minus=0.4)
    y, y_obs = problem.draw_labels(seed=0)
    for count, trials, rate in ((np.sum(y > 0), len(y), 0.5), (np.sum(y_obs[y > 0] < 0), np.sum(y > 0), 0.1),
                                (np.sum(y_obs[y < 0] > 0), np.sum(y < 0), 0.4)):
        assert stats.binomtest(int(count), int(trials), rate).pvalue > 1e-3  # one seed; a wrong rate gives 0


@pytest.mark.parametrize("orthogonal", [False, True])
def test_def_signal_noise_noise_is_gaussian_and_the_variant_has_none_along_mu(orthogonal):
    sample = SignalNoise(300, 500, mu_norm=2.0, noise_std=3.0, orthogonal=orthogonal).sample(seed=0)
    across = sample.xi[:, 1:].numpy().ravel() / 3.0
    assert stats.kstest(across, "norm").pvalue > 1e-3
    along = (sample.xi @ sample.mu).numpy() / 6.0
    assert np.all(along == 0) if orthogonal else stats.kstest(along, "norm").pvalue > 1e-3


@untimed
@given(st.integers(1, 10**4), st.integers(2, 10**9), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_def_snr_the_three_strengths_agree(n, d, mu_norm, noise_std):
    problem = SignalNoise(n, d, mu_norm=mu_norm, noise_std=noise_std)
    assert math.isclose(problem.snr, mu_norm / (noise_std * math.sqrt(d)), rel_tol=1e-12)
    assert math.isclose(problem.n_snr2, n * mu_norm**2 / (noise_std**2 * d), rel_tol=1e-12)
    for strength in ("snr", "n_snr2"):
        again = SignalNoise(n, d, noise_std=noise_std, **{strength: getattr(problem, strength)})
        assert math.isclose(again.mu_norm, mu_norm, rel_tol=1e-12)


@pytest.mark.parametrize(("d", "tolerance"), [(2000, 0.1), (10**8, 1e-3)])
def test_def_snr_energy_ratio_of_the_first_direction(d, tolerance):
    """Without flips the ratio is c d / chi2_d: the tolerance is three standard deviations, 3 sqrt(2 / d), or more."""
    draw = inner_products(SignalNoise(200, d, n_snr2=4), M, INIT_STD, seed=1)
    signal = 200**2 * draw.gram[0, 0]
    noise = draw.y_obs @ draw.gram[1:, 1:] @ draw.y_obs
    assert math.isclose(signal / noise, 4, rel_tol=tolerance)


# The tails, against the exact laws

@pytest.mark.statement("lem-gaussian-tail")
@untimed
@given(st.floats(0, 30))
def test_lem_gaussian_tail(t):
    assert 2 * stats.norm.sf(t) <= 2 * math.exp(-(t**2) / 2)


@pytest.mark.statement("lem-chi-square")
@untimed
@given(sizes, st.floats(1e-3, 600))
def test_lem_chi_square(d, x):
    law, spread = stats.chi2(d), 2 * math.sqrt(d * x)
    assert law.sf(d + spread + 2 * x) <= math.exp(-x) * (1 + 1e-6)  # SciPy's tails are good to fewer than 1e-6
    assert law.cdf(d - spread) <= math.exp(-x) * (1 + 1e-6)


@pytest.mark.statement("lem-hoeffding")
@untimed
@given(st.integers(1, 2000), st.floats(0.001, 0.999), probabilities)
def test_lem_hoeffding(size, p, delta):
    t = math.sqrt(size * math.log(2 / delta) / 2)
    assert two_sided_binomial(size, p, t) <= delta


def two_sided_binomial(size, p, t):
    """P(|S - size p| > t) for S binomial. The last bit of `size * p +- t` is given to the larger probability."""
    law, rounding = stats.binom(size, p), 1e-9 * max(size, 1)
    return law.sf(math.floor(size * p + t - rounding)) + law.cdf(math.ceil(size * p - t + rounding) - 1)


# The failure probability that each lemma's union bound adds up, with the exact tails

@pytest.mark.statement("lem-norms")
@untimed
@given(sizes, sizes, probabilities)
def test_lem_norms_union_bound(n, d, delta):
    epsilon, law = concentration.norm_concentration(n, d, delta), stats.chi2(d)
    above = n * law.sf(d * (1 + epsilon))
    assert above <= delta / 2 * (1 + 1e-6)
    assert above + n * law.cdf(d * (1 - epsilon)) <= delta * (1 + 1e-6)


@pytest.mark.statement("lem-norms")
@untimed
@given(sizes, probabilities)
def test_lem_norms_epsilon_is_at_most_a_half_from_24_log(n, delta):
    d = math.ceil(24 * math.log(2 * n / delta))
    assert concentration.norm_concentration(n, d, delta) <= 0.5


@pytest.mark.statement("lem-inner-products")
@untimed
@given(sizes, sizes, probabilities)
def test_lem_inner_products_union_bound(n, d, delta):
    """Half of delta pays for the normals Z_ik of n (n - 1) / 2 pairs, the other half for the upper norms."""
    bound = concentration.inner_product_concentration(n, d, 1.0, delta)
    longest = math.sqrt(d * (1 + concentration.norm_concentration(n, d, delta)))
    assert n * (n - 1) * stats.norm.sf(bound / longest) <= delta / 2
    assert n * stats.chi2(d).sf(longest**2) <= delta / 2 * (1 + 1e-6)


@pytest.mark.statement("lem-signal-noise")
@untimed
@given(sizes, probabilities)
def test_lem_signal_noise_union_bound(n, delta):
    assert 2 * n * stats.norm.sf(concentration.signal_noise_concentration(n, 3.0, 2.0, delta) / 6.0) <= delta


@pytest.mark.statement("lem-initial-responses")
@untimed
@given(sizes, sizes, st.integers(1, 10**4), probabilities)
def test_lem_initial_responses_union_bound(n, d, m, delta):
    t = concentration.signal_response_concentration(n, m, 2.0, 0.1, delta) / 0.2
    longest = 3.0 * math.sqrt(d * (1 + concentration.norm_concentration(n, d, delta)))
    on_noise = concentration.noise_response_concentration(n, d, m, 3.0, 0.1, delta)
    assert math.isclose(on_noise / (0.1 * longest), t, rel_tol=1e-12)
    assert 2 * m * (n + 1) * 2 * stats.norm.sf(t) <= delta / 2


@pytest.mark.statement("lem-active-filters")
@untimed
@given(st.integers(1, 10**4), st.integers(1, 500), probabilities)
def test_lem_active_filters_union_bound(n, m, delta):
    """lem-active-filters: 2 (n + 1) binomial counts."""
    bound = concentration.active_filter_concentration(n, m, delta)
    assert 2 * (n + 1) * two_sided_binomial(m, 0.5, bound) <= delta


@pytest.mark.statement("lem-counts")
@untimed
@given(st.integers(1, 3000), st.floats(0, 0.49), st.floats(0, 0.49), probabilities)
def test_lem_counts_union_bound(n, flip_plus, flip_minus, delta):
    bound = concentration.count_concentration(n, delta)
    means = concentration.expected_concentration_counts(SignalNoise(n, 2, snr=1.0, flip_plus=flip_plus,
                                                                    flip_minus=flip_minus))
    assert len(means) == 6
    assert sum(two_sided_binomial(n, mean / n, bound) for mean in means.values()) <= delta


# The bounds, against simulated frequencies

@pytest.mark.statement("lem-norms", "lem-counts")
@pytest.mark.parametrize("delta", [0.5, 0.05])
def test_each_lemma_is_violated_no_more_often_than_delta(simulated, delta):
    """lem-norms to lem-counts: three standard deviations of a binomial frequency are allowed on top of delta."""
    problem, table = simulated
    bounds = concentration.concentration_bounds(problem, M, INIT_STD, delta)
    frequency = concentration.concentration_violations(table, bounds)
    assert set(frequency) == set(concentration.LEMMAS)
    assert max(frequency.values()) <= delta + 3 * math.sqrt(delta * (1 - delta) / DRAWS), frequency


@pytest.mark.statement("lem-signal-noise")
def test_half_of_each_bound_is_violated_too_often(simulated):
    """The check above can fail: with constants half as large it does, for every lemma in every setting."""
    problem, table = simulated
    delta = 0.05
    bounds = concentration.concentration_bounds(problem, M, INIT_STD, delta)
    halves = concentration.ConcentrationDeviations(*(value / 2 for value in vars(bounds).values()))
    frequency = concentration.concentration_violations(table, halves)
    if problem.orthogonal:
        assert frequency.pop("lem-signal-noise") == 0  # both sides are exactly 0
    assert min(frequency.values()) > delta + 3 * math.sqrt(delta * (1 - delta) / DRAWS), frequency


@pytest.mark.statement("prop-good-event")
def test_prop_good_event_holds_together(simulated):
    """prop-good-event."""
    problem, table = simulated
    delta = 0.3  # large, so that a wrong split of delta would be seen; 3 sd allowed as above
    event = pd.Series(vars(concentration.good_event(problem, M, INIT_STD, delta)))
    assert (table <= event).all(axis=1).mean() >= 1 - delta - 3 * math.sqrt(delta * (1 - delta) / DRAWS)
    rows = (concentration.ConcentrationDeviations(*row) for row in table.itertuples(index=False))
    assert [row.within(concentration.ConcentrationDeviations(*event))
            for row in rows] == (table <= event).all(axis=1).tolist()


@pytest.mark.statement("prop-good-event")
@untimed
@given(st.integers(1, 1000), st.integers(2, 10**9), st.integers(1, 1000), probabilities)
def test_prop_good_event_is_what_the_chapter_displays(n, d, m, delta):
    """The six items of the proposition, written out from its display, and its last two claims."""
    problem = SignalNoise(n, d, mu_norm=3.0, noise_std=0.7)
    logs = [math.log(a / delta) for a in (12 * n, 12 * n**2, 48 * m * (n + 1), 24 * (n + 1), 72)]
    epsilon = 2 * math.sqrt(logs[0] / d) + 2 * logs[0] / d
    displayed = (epsilon, 0.7**2 * math.sqrt(2 * (1 + epsilon) * d * logs[1]), 3.0 * 0.7 * math.sqrt(2 * logs[0]),
                 0.1 * 3.0 * math.sqrt(2 * logs[2]), 0.1 * 0.7 * math.sqrt(2 * (1 + epsilon) * d * logs[2]),
                 math.sqrt(m * logs[3] / 2), math.sqrt(n * logs[4] / 2))
    event = concentration.good_event(problem, m, 0.1, delta)
    np.testing.assert_allclose(list(vars(event).values()), displayed, rtol=1e-10)
    largest = concentration.good_event_log(n, m, delta)
    assert max(logs) <= largest * (1 + 1e-12)
    assert d < 24 * largest or event.norms <= 0.5


@pytest.mark.statement("lem-cross-talk")
@untimed
@given(st.integers(1, 300), st.integers(0, 10**9), st.integers(1, 100), probabilities, st.booleans())
def test_lem_cross_talk_follows_from_the_good_event(n, extra, m, delta, orthogonal):
    """lem-cross-talk, with the worst inner products and the shortest norms that the event admits."""
    d = math.ceil(24 * concentration.good_event_log(n, m, delta)) + 1 + extra
    problem = SignalNoise(n, d, mu_norm=3.0, noise_std=0.7, orthogonal=orthogonal)
    event, bounds = concentration.good_event(problem, m, 0.1, delta), cross_talk_bounds(problem, m, delta)
    shortest = 0.7**2 * noise_dimension(problem) * (1 - event.norms)
    assert (n - 1) * event.inner_products / shortest <= bounds.noise_on_noise
    assert n * event.signal_noise / shortest <= bounds.noise_on_signal * (1 + 1e-12)
    assert event.signal_noise / 9.0 <= bounds.signal_on_noise * (1 + 1e-12)


@pytest.mark.statement("lem-cross-talk")
def test_lem_cross_talk_is_silent_in_low_dimension():
    with pytest.raises(ValueError, match="dimension of the noise=100: must be >= 24 Lambda"):
        cross_talk_bounds(SignalNoise(50, 100, n_snr2=1), M, 0.05)


# Exact laws behind the lemmas, and rates

@pytest.mark.statement("lem-norms", "lem-inner-products")
@pytest.mark.parametrize("explicit", [True, False])
def test_lem_norms_and_lem_inner_products_rest_on_exact_laws(explicit):
    """|xi|^2 is chi-square, Z = <xi_i, xi_k> / (sigma |xi_k|) standard normal and independent of |xi_k|."""
    problem = SignalNoise(40, 50, n_snr2=1, noise_std=2.0)
    sources = [problem.sample(seed) if explicit else problem for seed in range(50)]
    grams = [inner_products(source, M, INIT_STD, seed).gram[1:, 1:] for seed, source in enumerate(sources)]
    squares = np.concatenate([gram.diagonal() for gram in grams])
    assert stats.kstest(squares / 4, stats.chi2(50).cdf).pvalue > 1e-3
    lengths = np.concatenate([gram.diagonal()[1::2].sqrt() for gram in grams])
    z = np.concatenate([gram.diagonal(1)[::2] for gram in grams]) / (2 * lengths)  # disjoint pairs are independent
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert stats.spearmanr(abs(z), lengths).pvalue > 1e-3


@pytest.mark.statement("lem-norms", "lem-inner-products", "lem-signal-noise", "lem-initial-responses")
def test_deviations_fall_like_the_square_root_of_the_dimension():
    """lem-norms, lem-inner-products, lem-signal-noise: slope -1/2; lem-initial-responses: slope 0, in their own units.

    Medians over 15 seeds scatter by some 5%, over five decades: a slope error below 0.01. Allowed is 0.03, which also
    covers the higher-order terms at d = 300.
    """
    dims = np.array([300, 10**4, 10**6, 10**8])
    problems = [SignalNoise(100, int(d), n_snr2=3) for d in dims]
    medians = pd.DataFrame([concentration.simulate_concentration(problem, M, INIT_STD, range(15 * k,
                                                                                             15 * k + 15)).median()
                            for k, problem in enumerate(problems)])
    wanted = {"norms": (medians.norms, -0.5), "inner products": (medians.inner_products / dims, -0.5),
              "signal-noise": (medians.signal_noise / [problem.mu_norm**2 for problem in problems], -0.5),
              "responses": (medians.noise_responses / np.sqrt(dims), 0.0)}
    for name, (values, slope) in wanted.items():
        assert abs(slope_and_standard_error(dims, values.to_numpy())[0] - slope) < 0.03, name


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.integers(0, 100))
def test_vectors_are_independent_from_d_equal_n_plus_one(n, seed):
    """n + 1 vectors in dimension n + 1 have full rank (almost surely, and on every seed tried)."""
    vectors = SignalNoise(n, n + 1, n_snr2=1).sample(seed).vectors
    assert np.linalg.matrix_rank(vectors.numpy()) == n + 1


def test_marchenko_pastur_edges():
    """At n = 300 the extreme eigenvalues lie within O(n^(-2/3)), some 2%, of the limit; 5% is allowed."""
    noise = SignalNoise(300, 3000, n_snr2=1).sample(seed=0).xi.numpy()
    eigenvalues = np.linalg.eigvalsh(noise @ noise.T) / 3000
    edges = (1 - math.sqrt(0.1)) ** 2, (1 + math.sqrt(0.1)) ** 2
    np.testing.assert_allclose(eigenvalues[[0, -1]], edges, rtol=0.05)
