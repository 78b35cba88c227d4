"""Chapter 9: rules that select samples by their losses, and what ranking by loss is worth in the end."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.integrate import solve_ivp
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from helpers import SignalNoise, descend
from helpers.data.images import load_digits
from helpers.data.label_noise import add_label_noise
from helpers.data.subsets import keep_samples
from helpers.engine.gram import inner_products
from helpers.experiments.real_images import image_runs
from helpers.experiments.settings import setting
from helpers.reading.selection import (
    LOG2,
    assess,
    best_quality,
    log2_threshold,
    loss_mixture,
    quality,
    ranking_auc,
    small_loss,
)
from helpers.record import Record
from helpers.theory.late_ranking import late_auc, late_losses
from helpers.theory.limit import limit_law
from helpers.theory.stage_one import stage_one_bounds
from helpers.training.loop import fit

N, M, D = 200, 20, 10**9


def problem(d=D, c=8.0, tau=0.2, n=N):
    return SignalNoise(n, d, n_snr2=c, flip_plus=tau, flip_minus=tau)


def small_record(margins, flipped):
    """A Record with these margins (runs, T, n) and wrong labels (runs, n)."""
    y = np.ones(np.shape(flipped))
    return Record(np.arange(np.shape(margins)[1]), y, np.where(flipped, -y, y), np.asarray(margins, float))


# --- perfect selection ---

@pytest.mark.parametrize("seed", range(6))
def test_cor_selection_bounds_every_loss(seed):
    """cor-selection, and with it prop-selection-paper: at T_1 clean losses < log 2 < noisy losses."""
    law, s1, steps, init = problem(tau=0.1), 0.05, 10, 1e-3 / D**0.5
    k = stage_one_bounds(law, inner_products(law, M, init, seed), s1)
    accept = k.signal_rate() - k.error_rate()
    reject = accept - k.active_share * k.noise_rate()
    assert accept > 0 and reject > 0, "the hypotheses are meant to hold here"
    run = descend(law, M, init, s1 / steps * N * M / D, steps, [seed], record_at=[steps], n_test=1)
    losses, noisy = run.losses[0, 0], run.flipped[0]
    clean_bound, noisy_bound = np.logaddexp(0, -s1 / 2 * accept), np.logaddexp(0, s1 / 2 * reject)
    assert losses[~noisy].max() <= clean_bound < LOG2 < noisy_bound <= losses[noisy].min()
    middle = (clean_bound + noisy_bound) / 2
    for kept in (log2_threshold(losses), losses <= middle, small_loss(losses, 1 - noisy.mean())):
        assert np.array_equal(kept, ~noisy)


# --- a misjudged noise rate ---

@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(2, 40), st.data())
def test_prop_small_loss_bounds_every_rule(n, data):
    """prop-small-loss: no mask of a given size beats the bound in any of the four; one is attained iff all are."""
    noisy = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    if noisy.all() or not noisy.any() or kept.all() or not kept.any():
        return  # shares in (0, 1)
    found, best = quality(kept, noisy), best_quality(noisy.mean(), 1 - kept.mean())
    at_best = [np.isclose(a, b, atol=1e-12) for a, b in zip(found, best)]
    for a, b, reached, sign in zip(found, best, at_best, (1, 1, 1, -1)):
        assert reached or sign * a < sign * b
    assert all(at_best) or not any(at_best)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 10**6))
def test_prop_small_loss_is_attained_exactly_by_a_perfect_ranking(clean, bad, seed):
    """prop-small-loss: at every drop share with a perfect ranking; not at tau' = tau-hat if two losses are swapped."""
    rng, n = np.random.default_rng(seed), clean + bad
    noisy = rng.permutation(np.arange(n) < bad)
    losses = rng.permutation(n) + 10.0 * n * noisy
    for drop in range(1, n):
        found, best = quality(small_loss(losses, 1 - drop / n), noisy), best_quality(bad / n, drop / n)
        np.testing.assert_allclose(found, best, atol=1e-12)
    worst, least = np.flatnonzero(~noisy)[losses[~noisy].argmax()], np.flatnonzero(noisy)[losses[noisy].argmin()]
    losses[[worst, least]] = losses[[least, worst]]
    assert quality(small_loss(losses, clean / n), noisy).recall < 1


def test_best_quality_is_the_written_formula():
    t, d = np.meshgrid(np.linspace(0.05, 0.95, 19), np.linspace(0.05, 0.95, 19))
    formula = (np.minimum(1, t / d), np.minimum(1, d / t), np.minimum(1, (1 - t) / (1 - d)),
               np.maximum(0, (d - t) / (1 - t)))
    found = best_quality(t, d)
    for value, wanted in zip((found.precision, found.recall, found.purity, found.lost), formula):
        np.testing.assert_allclose(value, wanted, atol=1e-12)
    with pytest.raises(ValueError, match="drop_share"):
        best_quality(0.2, 1.2)


# --- the limit law and its end ---

@pytest.mark.parametrize(("c", "tau"), [(8, 0.1), (8, 0.2), (2, 0.2), (1, 0.1), (0.5, 0.4), (20, 0.45)])
def test_prop_late_ranking_in_the_limit_law(c, tau):
    """prop-late-ranking: perfect ranking at all times, log 2 until T_mem, loss ratio kappa in the end."""
    law = limit_law(c, tau, np.geomspace(1e-3, 1e7, 500))
    losses = np.stack([law.clean_loss] * 6 + [law.noisy_loss] * 2, -1)
    noisy = np.arange(8) >= 6
    assert (law.noisy_loss > law.clean_loss).all()
    assert (small_loss(losses, 6 / 8) == ~noisy).all()
    kept, before = log2_threshold(losses), law.times < law.memorisation_time
    assert kept[:, ~noisy].all() and (kept[:, noisy] == ~before[:, None]).all()
    assert (law.memorisation_time > 0) == (c * (1 - 2 * tau) > 1)
    assert law.noisy_loss[-1] / law.clean_loss[-1] == pytest.approx(law.kappa, rel=1e-3)


def unequal_law(c, n, flipped, shares, end):
    """(losses (N,), A) of the law with unequal shares of one class at the time `end`, integrated in log time."""
    sign = np.where(flipped, -1.0, 1.0)

    def slopes(x, state):
        g = expit(-(sign * state[0] + state[1:]))
        return np.exp(x) * np.append(c / n * (sign * g).sum(), shares * g)

    state = solve_ivp(slopes, (0.0, np.log1p(end)), np.zeros(len(shares) + 1), method="LSODA", rtol=1e-9,
                      atol=1e-10).y[:, -1]
    return np.logaddexp(0, -(sign * state[0] + state[1:])), state[0]


@pytest.mark.parametrize(("c", "seed"), [(8.0, 0), (2.0, 1), (0.5, 2), (2.0, 3)])
def test_thm_unequal_shares_by_integration(c, seed):
    """thm-unequal-shares: s loss_i tends to the stated limits; errors vanish like log s / s."""
    rng, n, size = np.random.default_rng(seed), 30, 15
    flipped, shares = rng.random(size) < 0.3, rng.uniform(0.1, 1.0, size)
    flipped[:2] = True, False
    y = np.append(np.ones(size), -np.ones(n - size))  # the other class has no part in it
    y_obs, all_shares = y.copy(), np.append(shares, np.ones(n - size))
    y_obs[:size][flipped] = -1
    limits, kappas = late_losses(c, y, y_obs, all_shares)
    limits = limits[:size]
    inverse = [np.sum(1 / shares[flipped == side]) for side in (False, True)]
    assert kappas[1] == pytest.approx((1 + 2 * c / n * inverse[0]) / (1 + 2 * c / n * inverse[1]))
    errors = []
    for end in (1e3, 1e5):
        losses, _ = unequal_law(c, n, flipped, shares, end)
        errors.append(np.abs(end * losses / limits - 1).max())
    assert errors[1] < 5e-3 and errors[1] < errors[0] / 10
    ahead = np.subtract.outer(losses[flipped], losses[~flipped]) > 0
    assert np.array_equal(ahead, np.subtract.outer(shares[flipped], kappas[1] * shares[~flipped]) < 0)


def test_thm_unequal_shares_contains_the_limit_law():
    """With shares 1/2 and exact counts: eq-kappa-shares is kappa, and the law is that of def-limit-law."""
    n, c, tau = 200, 8.0, 0.1
    y, flipped = np.repeat([1.0, -1.0], n // 2), np.tile(np.arange(n // 2) < tau * n / 2, 2)
    limits, kappas = late_losses(c, y, np.where(flipped, -y, y), np.full(n, 0.5))
    law = limit_law(c, tau, [5.0, 1e6])
    assert kappas[1] == pytest.approx(law.kappa) and kappas[-1] == pytest.approx(law.kappa)
    assert 1e6 * law.clean_loss[1] == pytest.approx(limits[~flipped][0], rel=1e-3)
    assert 1e6 * law.noisy_loss[1] == pytest.approx(limits[flipped][0], rel=1e-3)
    losses, signal = unequal_law(c, n, flipped[: n // 2], np.full(n // 2, 0.5), 5.0)
    assert signal == pytest.approx(law.signal[0], abs=1e-6)
    np.testing.assert_allclose(losses, np.where(flipped[: n // 2], law.noisy_loss[0], law.clean_loss[0]), atol=1e-6)


def test_thm_unequal_shares_predicts_single_losses_of_gradient_descent():
    """d = 10^9, s = 300: each loss within 15% (the law's own distance from its limit is about 3%), 2 strengths."""
    for c in (2.0, 8.0):
        run = descend(problem(c=c), M, 0.03 / D**0.5, 0.2 * N * M / D, 1500, range(2), record_at=[1500], n_test=1)
        for y, y_obs, shares, losses in zip(run.y, run.y_obs, run.active[:, 0], run.losses[:, 0]):
            ratio = 300 * losses / late_losses(c, y, y_obs, shares)[0]
            assert np.abs(np.log(ratio)).mean() < 0.06 and np.abs(np.log(ratio)).max() < 0.3


def test_a_dead_noisy_sample_ends_the_ranking():
    """The exercise on dead samples: A tends to log(N_c / N_n), or falls for ever, and kappa_p becomes 1 or less."""
    flipped = np.repeat([False, True], [12, 3])
    shares = np.where(np.isin(np.arange(15), [0, 1, 2, 14]), 0.0, 0.5)  # three clean ones and a noisy one
    losses, signal = unequal_law(8.0, 30, flipped, shares, 1e7)
    assert signal == pytest.approx(np.log(3), abs=0.01)
    assert losses[13] / losses[3] == pytest.approx(1.0, abs=0.02)
    shares[:3] = 0.5
    losses, signal = unequal_law(8.0, 30, flipped, shares, 1e5)
    assert signal < -3 and losses[13] < losses[3]
    with pytest.raises(ValueError, match="shares"):
        late_losses(8.0, np.ones(15), np.where(flipped, -1, 1), shares)


@pytest.mark.parametrize(("kappa", "m"), [(2.33, 5), (3.3, 20), (1.5, 20), (2.0, 4)])
def test_late_auc_by_simulation(kappa, m):
    """eq-late-auc: 400,000 pairs, of which an AUC estimate has a standard error below 0.0008."""
    rng = np.random.default_rng(m)
    noisy, clean = rng.binomial(m, 0.5, (2, 400_000))
    noisy, clean = noisy[(noisy > 0) & (clean > 0)], clean[(noisy > 0) & (clean > 0)]
    lead = kappa * clean - noisy
    assert late_auc(kappa, m) == pytest.approx(np.mean((lead > 0) + (lead == 0) / 2), abs=0.003)


def test_late_auc_is_gaussian_for_many_filters_and_one_half_without_a_gap():
    assert late_auc(1.0, 17) == pytest.approx(0.5)
    for kappa in (1.05, 1.1, 1.2):
        assert late_auc(kappa, 400) == pytest.approx(norm.cdf(np.log(kappa) * np.sqrt(200)), abs=0.01)


def test_late_auc_is_where_runs_end():
    """eq-late-auc at d = 10^9, c = 2, m = 20: 8 seeds to s = 100, where 0.9908 is predicted; lower at d = 2000."""
    ends = {}
    for d in (2000, D):
        run = descend(problem(d, c=2.0), M, 0.03 / d**0.5, 0.2 * N * M / d, 500, range(8), record_at=[500], n_test=1)
        ends[d] = ranking_auc(run).mean()
    assert ends[D] == pytest.approx(late_auc(limit_law(2.0, 0.2, [1.0]).kappa, M), abs=0.01)
    assert ends[2000] < ends[D] - 0.04


# --- rules, quality, ranking ---

def test_log2_threshold_keeps_what_is_fitted():
    run = descend(problem(2000), M, 1e-3, 0.2, 100, range(3), n_test=1)
    assert np.array_equal(log2_threshold(run.losses), run.fits_observed | (run.margins == 0))
    assert log2_threshold(LOG2) and not log2_threshold(np.nextafter(LOG2, 1))


def test_small_loss_keeps_exactly_its_share_and_breaks_ties_in_order():
    losses = np.random.default_rng(0).random((3, 4, 50))
    kept = small_loss(losses, 0.3)
    assert (kept.sum(-1) == 15).all()
    assert (np.where(kept, losses, -1).max(-1) < np.where(kept, 2, losses).min(-1)).all()
    assert np.array_equal(small_loss(np.ones(4), 0.5), [True, True, False, False])
    assert small_loss(losses, 1).all() and not small_loss(losses, 0).any()
    with pytest.raises(ValueError, match="keep_share"):
        small_loss(losses, 1.5)


@pytest.mark.parametrize("log", [False, True])
def test_mixture_finds_two_groups_whatever_their_scale(log):
    rng = np.random.default_rng(1)
    noisy = np.arange(200) < 50
    losses = np.exp(rng.normal(np.where(noisy, 0.0, -2.0), 0.2))
    for scale in (1e-6, 1.0, 1e3):
        kept = loss_mixture(np.stack([scale * losses, scale * losses[::-1]]), seed=3, log=log)
        assert np.array_equal(kept[0], ~noisy) and np.array_equal(kept[1], ~noisy[::-1])


def test_mixture_on_log_losses_fits_logarithms():
    """On overlapping groups the two differ: late in a run, logarithms keep about half, raw losses most samples."""
    run = descend(problem(2000), M, 1e-3, 0.2, 1000, range(3), record_at=[1000], n_test=1)
    losses = run.losses[:, 0]
    assert np.array_equal(loss_mixture(losses, log=True), loss_mixture(np.log(losses)))
    assert loss_mixture(losses, log=True).mean() < 0.75 < loss_mixture(losses).mean()


def test_mixture_on_overlapping_groups_is_reproducible_and_keeps_equal_losses():
    losses = np.exp(np.random.default_rng(2).normal(size=300))
    assert np.array_equal(loss_mixture(losses, seed=5), loss_mixture(losses, seed=5))
    assert 0 < loss_mixture(losses).mean() < 1
    assert loss_mixture(np.full(10, 0.3)).all()
    with pytest.raises(ValueError, match="losses"):
        loss_mixture(np.array([0.0, 1.0]), log=True)
    with pytest.raises(ValueError, match="losses"):
        loss_mixture(np.array([1.0]))


def test_quality_is_precision_and_recall_of_the_dropped():
    rng = np.random.default_rng(0)
    kept, noisy = rng.random((5, 30)) < 0.7, rng.random((5, 30)) < 0.3
    found = quality(kept, noisy)
    for i in range(5):
        precision, recall, _, _ = precision_recall_fscore_support(noisy[i], ~kept[i], average="binary")
        purity, kept_clean, _, _ = precision_recall_fscore_support(~noisy[i], kept[i], average="binary")
        assert np.allclose([q[i] for q in found], [precision, recall, purity, 1 - kept_clean])


def test_quality_of_nothing_dropped_nothing_kept_and_no_noise():
    none, every = np.zeros(4, bool), np.ones(4, bool)
    noisy = np.array([True, False, False, False])
    assert tuple(quality(every, noisy)) == (1, 0, 0.75, 0)
    assert tuple(quality(none, noisy)) == (0.25, 1, 1, 1)
    assert tuple(quality(every, none)) == (1, 1, 1, 0)


def test_assess_has_a_row_for_each_rule_run_and_time():
    record = small_record([[[2, 1, -1], [1, 2, 3]], [[3, -2, 1], [1, 1, -5]]], [[0, 0, 1], [0, 1, 0]])
    table = assess(record, {"log 2": log2_threshold, "two": lambda losses: small_loss(losses, 2 / 3)})
    assert len(table) == 8 and list(table.columns) == ["rule", "run", "time", "kept", *quality([1], [0])._fields]
    one = table.set_index(["rule", "run", "time"])
    assert one.loc["log 2", 0, 0].tolist() == pytest.approx([2 / 3, 1, 1, 1, 0])
    assert one.loc["log 2", 0, 1].tolist() == pytest.approx([1, 1, 0, 2 / 3, 0])
    assert one.loc["log 2", 1, 1].tolist() == pytest.approx([2 / 3, 0, 0, 0.5, 0.5])
    assert one.loc["two", 0, 1].tolist() == pytest.approx([2 / 3, 0, 0, 0.5, 0.5])


def test_ranking_auc_is_scikit_learns_ties_included():
    rng = np.random.default_rng(0)
    record = small_record(rng.integers(-3, 4, (4, 3, 40)), rng.random((4, 40)) < 0.3)
    wanted = [[roc_auc_score(f, -z) for z in rows] for f, rows in zip(record.flipped, record.margins)]
    np.testing.assert_allclose(ranking_auc(record), wanted, atol=1e-12)
    assert np.isnan(ranking_auc(small_record([[[1, 2]]], [[0, 0]]))).all()


# --- training on what was kept ---

def test_keep_samples_cuts_rows_and_keeps_the_signal():
    sample = problem(500, n=40).sample(3, n_test=7)
    kept = ~sample.flipped.numpy()
    cut = keep_samples(sample, kept)
    assert cut.n == kept.sum() and torch.equal(cut.mu, sample.mu) and len(cut.y_test) == 7
    assert cut.distribution.mu_norm == sample.distribution.mu_norm
    assert cut.distribution.n_snr2 == pytest.approx(8.0 * kept.mean())
    rows = np.flatnonzero(np.append(True, kept))
    torch.testing.assert_close(cut.gram, sample.gram[rows][:, rows])
    assert not cut.flipped.any()
    again = descend(cut, 4, 1e-3, 0.2, 5, 0)
    explicit = descend(cut, 4, 1e-3, 0.2, 5, 0, engine="explicit")
    np.testing.assert_allclose(again.margins, explicit.margins, atol=1e-12)
    whole = descend(keep_samples(sample, np.ones(40, bool)), 4, 1e-3, 0.2, 5, 0)
    np.testing.assert_allclose(whole.margins, descend(sample, 4, 1e-3, 0.2, 5, 0).margins, atol=1e-12)


def test_keep_samples_of_images_and_its_refusals():
    data = add_label_noise(load_digits(), 0.2, seed=0)
    cut = keep_samples(data, data.flipped)
    assert cut.n == data.flipped.sum() and cut.flipped.all() and len(cut.y_test) == len(data.y_test)
    assert np.array_equal(cut.x, data.x[data.flipped])
    for bad in (np.ones(3, bool), np.zeros(data.n, bool), np.ones(data.n)):
        with pytest.raises(ValueError, match="kept"):
            keep_samples(data, bad)
    with pytest.raises(ValueError, match="data"):
        keep_samples(problem(500, n=4), np.ones(4, bool))


def test_retraining_on_clean_samples_follows_the_law_at_the_smaller_strength():
    """eq-retraining: c' = c kept, tau' = 0. At d = 10^5 the signal response at s = 2 is the law's with c', not c."""
    law = problem(10**5, c=4.0, tau=0.3)
    sample = law.sample(0)
    kept = ~sample.flipped.numpy()
    cut = keep_samples(sample, kept)
    found = descend(cut, 50, 0.3 / 10**2.5, 0.05 * cut.n * 50 / 10**5, 40, 0, record_at=[40], n_test=1)
    new, old = (limit_law(c, 0.0, [2.0]).signal[0] for c in (4.0 * kept.mean(), 4.0))
    measured = np.abs(found.signal_response[0, 0]).mean()
    assert measured == pytest.approx(new, rel=0.05) and abs(measured - old) > 2 * abs(measured - new)


def test_obs_selection_images():
    """obs-selection-images on 3 of the chapter's seeds: early ranking good, late poor, and what retraining gains."""
    data, seeds = load_digits(), range(3)
    record = image_runs(data, 0.2, seeds)
    stop = (record.mean_over(record.fits_observed) >= 0.8).argmax(1)
    auc, x, rows = ranking_auc(record), np.log(record.losses), np.arange(3)
    gap = record.mean_over(x, "noisy") - record.mean_over(x, "clean")
    assert auc[rows, stop].mean() > 0.9 and auc[:, -1].mean() < auc[rows, stop].mean() - 0.1
    assert gap[:, -1].mean() > gap[rows, stop].mean()
    standard = setting("real_images", data)

    def accuracy(masks):
        chosen = [keep_samples(add_label_noise(data, 0.2, seed=seed), kept) for kept, seed in zip(masks, seeds)]
        runs = [fit(standard.network(data, seed), part, standard.recipe, seed, record_at=[24])
                for part, seed in zip(chosen, seeds)]
        return np.mean([1 - run.fresh_error[0, -1] for run in runs])

    early, late = (accuracy(small_loss(record.losses[rows, k], 0.8)) for k in (stop, -np.ones(3, int)))
    everything, truth = 1 - record.fresh_error[:, list(record.times).index(24)].mean(), accuracy(~record.flipped)
    assert early > late + 0.03 and early - everything > (truth - everything) / 2
