"""Chapter 10: what selecting samples by their losses can promise."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from problems import problem
from scipy.integrate import solve_ivp
from scipy.special import expit
from sklearn.neighbors import KNeighborsClassifier

from helpers import descend
from helpers.data.datasets import load_digits
from helpers.data.images import class_index
from helpers.data.label_noise import add_label_noise
from helpers.data.subsets import keep_samples
from helpers.engine.gram import inner_products
from helpers.experiments.real_images import image_runs
from helpers.experiments.settings import setting
from helpers.reading.scores import score_auc, self_confidence_scores
from helpers.reading.selection import (
    LOG2,
    best_selection_quality,
    select_below_log2,
    select_small_loss,
    selection_auc,
    selection_quality,
)
from helpers.reading.stopping import stop_at_plateau
from helpers.theory.late_ranking import late_ranking_losses
from helpers.theory.limit import limit_law
from helpers.theory.stage_one import stage_one_bounds
from helpers.training.cross_validation import out_of_fold
from helpers.training.loop import fit

N, M, D = 200, 20, 10**9


# --- perfect selection ---

@pytest.mark.statement("prop-selection-paper", "cor-selection")
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
    for kept in (select_below_log2(losses), losses <= middle, select_small_loss(losses, 1 - noisy.mean())):
        assert np.array_equal(kept, ~noisy)


# --- a misjudged noise rate ---

@pytest.mark.statement("prop-small-loss")
@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(2, 40), st.data())
def test_prop_small_loss_bounds_every_rule(n, data):
    """prop-small-loss: no mask of a given size beats the bound in any of the four; one is attained iff all are."""
    noisy = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    if noisy.all() or not noisy.any() or kept.all() or not kept.any():
        return  # shares in (0, 1)
    found, best = selection_quality(kept, noisy), best_selection_quality(noisy.mean(), 1 - kept.mean())
    at_best = [np.isclose(a, b, atol=1e-12) for a, b in zip(found, best)]
    for a, b, reached, sign in zip(found, best, at_best, (1, 1, 1, -1)):
        assert reached or sign * a < sign * b
    assert all(at_best) or not any(at_best)


@pytest.mark.statement("prop-small-loss")
@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 10**6))
def test_prop_small_loss_is_attained_exactly_by_a_perfect_ranking(clean, bad, seed):
    """prop-small-loss: at every drop share with a perfect ranking; not at tau' = tau-hat if two losses are swapped."""
    rng, n = np.random.default_rng(seed), clean + bad
    noisy = rng.permutation(np.arange(n) < bad)
    losses = rng.permutation(n) + 10.0 * n * noisy
    for drop in range(1, n):
        found = selection_quality(select_small_loss(losses, 1 - drop / n), noisy)
        best = best_selection_quality(bad / n, drop / n)
        np.testing.assert_allclose(found, best, atol=1e-12)
    worst, least = np.flatnonzero(~noisy)[losses[~noisy].argmax()], np.flatnonzero(noisy)[losses[noisy].argmin()]
    losses[[worst, least]] = losses[[least, worst]]
    assert selection_quality(select_small_loss(losses, clean / n), noisy).recall < 1


# --- the limit law and its end ---

@pytest.mark.statement("prop-late-ranking")
@pytest.mark.parametrize(("c", "tau"), [(8, 0.1), (8, 0.2), (2, 0.2), (1, 0.1), (0.5, 0.4), (20, 0.45)])
def test_prop_late_ranking_in_the_limit_law(c, tau):
    """prop-late-ranking: perfect ranking at all times, log 2 until T_mem, loss ratio kappa in the end."""
    law = limit_law(c, tau, np.geomspace(1e-3, 1e7, 500))
    losses = np.stack([law.clean_loss] * 6 + [law.noisy_loss] * 2, -1)
    noisy = np.arange(8) >= 6
    assert (law.noisy_loss > law.clean_loss).all()
    assert (select_small_loss(losses, 6 / 8) == ~noisy).all()
    kept, before = select_below_log2(losses), law.times < law.memorisation_time
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


@pytest.mark.statement("thm-unequal-shares")
@pytest.mark.parametrize(("c", "seed"), [(8.0, 0), (2.0, 1), (0.5, 2), (2.0, 3)])
def test_thm_unequal_shares_by_integration(c, seed):
    """thm-unequal-shares: s loss_i tends to the stated limits; errors vanish like log s / s."""
    rng, n, size = np.random.default_rng(seed), 30, 15
    flipped, shares = rng.random(size) < 0.3, rng.uniform(0.1, 1.0, size)
    flipped[:2] = True, False
    y = np.append(np.ones(size), -np.ones(n - size))  # the other class has no part in it
    y_obs, all_shares = y.copy(), np.append(shares, np.ones(n - size))
    y_obs[:size][flipped] = -1
    limits, kappas = late_ranking_losses(c, y, y_obs, all_shares)
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


@pytest.mark.statement("thm-unequal-shares")
def test_thm_unequal_shares_contains_the_limit_law():
    """With shares 1/2 and exact counts: eq-kappa-shares is kappa, and the law is that of def-limit-law."""
    n, c, tau = 200, 8.0, 0.1
    y, flipped = np.repeat([1.0, -1.0], n // 2), np.tile(np.arange(n // 2) < tau * n / 2, 2)
    limits, kappas = late_ranking_losses(c, y, np.where(flipped, -y, y), np.full(n, 0.5))
    law = limit_law(c, tau, [5.0, 1e6])
    assert kappas[1] == pytest.approx(law.kappa) and kappas[-1] == pytest.approx(law.kappa)
    assert 1e6 * law.clean_loss[1] == pytest.approx(limits[~flipped][0], rel=1e-3)
    assert 1e6 * law.noisy_loss[1] == pytest.approx(limits[flipped][0], rel=1e-3)
    losses, signal = unequal_law(c, n, flipped[: n // 2], np.full(n // 2, 0.5), 5.0)
    assert signal == pytest.approx(law.signal[0], abs=1e-6)
    np.testing.assert_allclose(losses, np.where(flipped[: n // 2], law.noisy_loss[0], law.clean_loss[0]), atol=1e-6)


@pytest.mark.statement("thm-unequal-shares")
def test_thm_unequal_shares_predicts_single_losses_of_gradient_descent():
    """d = 10^9, s = 300: each loss within 15% (the law's own distance from its limit is about 3%), 2 strengths."""
    for c in (2.0, 8.0):
        run = descend(problem(c=c, tau=0.2), M, 0.03 / D**0.5, 0.2 * N * M / D, 1500, range(2), record_at=[1500],
                      n_test=1)
        for y, y_obs, shares, losses in zip(run.y, run.y_obs, run.active[:, 0], run.losses[:, 0]):
            ratio = 300 * losses / late_ranking_losses(c, y, y_obs, shares)[0]
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
        late_ranking_losses(8.0, np.ones(15), np.where(flipped, -1, 1), shares)


@pytest.mark.statement("obs-selection-images")
def test_obs_selection_images():
    """obs-selection-images on 3 of the chapter's seeds: early ranking good, late poor, and what retraining gains."""
    data, seeds = load_digits(), range(3)
    record = image_runs(data, 0.2, seeds)
    stop = stop_at_plateau(record, 0.2)
    auc, x, rows = selection_auc(record), np.log(record.losses), np.arange(3)
    gap = record.mean_over(x, "noisy") - record.mean_over(x, "clean")
    assert auc[rows, stop].mean() > 0.9 and auc[:, -1].mean() < auc[rows, stop].mean() - 0.1
    assert gap[:, -1].mean() > gap[rows, stop].mean()
    standard = setting("real_images", data)

    def accuracy(masks):
        chosen = [keep_samples(add_label_noise(data, 0.2, seed=seed), kept) for kept, seed in zip(masks, seeds)]
        runs = [fit(standard.network(data, seed), part, standard.recipe, seed, record_at=[24])
                for part, seed in zip(chosen, seeds)]
        return np.mean([1 - run.fresh_error[0, -1] for run in runs])

    early, late = (accuracy(select_small_loss(record.losses[rows, k], 0.8)) for k in (stop, -np.ones(3, int)))
    everything, truth = 1 - record.fresh_error[:, list(record.times).index(24)].mean(), accuracy(~record.flipped)
    assert early > late + 0.03 and early - everything > (truth - everything) / 2
    observed = [class_index(add_label_noise(data, 0.2, seed=seed).y_obs, 2) for seed in seeds]
    held = [out_of_fold(KNeighborsClassifier(15), add_label_noise(data, 0.2, seed=seed), seed=seed) for seed in seeds]
    neighbours = score_auc([self_confidence_scores(p, y) for p, y in zip(held, observed)], record.flipped)
    assert neighbours.min() > 0.98 and (neighbours > auc[rows, stop]).all()
    stopped = 1 - record.fresh_error[rows, stop].mean()
    assert abs(early - stopped) < 0.03  # over ten seeds it gains about a point
