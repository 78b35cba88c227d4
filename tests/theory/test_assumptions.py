"""Both sides of Condition 4.1 and of the book's bounds, at given sizes and on single draws."""

import dataclasses

import numpy as np
import pytest

from helpers import SignalNoise, descend
from helpers.engine.gram import inner_products, inner_products_of_record
from helpers.theory.assumptions import conditions, largest_init_std, longest_training
from helpers.theory.concentration import concentration_deviations, good_event
from helpers.theory.loss_decay import loss_decay_constants, loss_decay_curvature
from helpers.theory.stage_one import StageOne, likely_stage_one, stage_one_bounds

USUAL = SignalNoise(200, 2_000, n_snr2=8, flip_plus=0.1, flip_minus=0.1)


def table(problem, m=20, init_std=1e-3, h=0.1, delta=0.05, **options):
    lr = h * problem.n * m / (problem.noise_std**2 * problem.d)
    return conditions(problem, m, init_std, lr, delta=delta, **options)


def failing(found):
    return [name for name, holds in found.holds.items() if not holds]


def test_conditions_at_the_books_sizes():
    found = table(USUAL)
    assert [name[:2] for name in failing(found.loc["Condition 4.1"])] == ["2.", "2.", "6."]
    assert failing(found.loc["Kou et al., 2023"])
    assert found.left["good event", "some noisy sample in each class"] == pytest.approx(10)
    limit = found.loc["limit law"]
    assert limit.left.iloc[0] == pytest.approx(6.4) and limit.left.iloc[1] == pytest.approx(4.8)
    assert limit.holds.iloc[:2].all()
    assert found.left["test error", "n |mu|^4 / (sigma^4 d) >= 1"] == pytest.approx(640)
    assert found.holds["step size", "1 >= h Xi"]
    assert found.right["step size", "1 >= h (1 + c)"] == pytest.approx(0.9)


@pytest.mark.parametrize(("m", "first"), [(10, 9.9e4), (20, 1.06e5)])
def test_the_papers_own_run_fails_its_condition(m, first):
    """n = 100, d = 2000, |mu| = 20, eta = 0.1, delta = 0.05, C = 1: item 2, both halves, and item 6; no other."""
    law = SignalNoise(100, 2000, mu_norm=20.0, flip_plus=0.1, flip_minus=0.1, balanced=True)
    paper = conditions(law, m, largest_init_std(law, m, delta=0.05), 0.1, delta=0.05).loc["Condition 4.1"]
    assert failing(paper) == ["2. d >= C n^2 log(nm/delta) log(T*)^2", "2. d >= C n (|mu|/sigma) sqrt(log(n/delta))",
                              "6. n / (C sigma^2 d) >= eta"]
    longest = longest_training(law, m, 0.1)
    assert longest == pytest.approx(100 * m / (0.1 * 0.01 * 2000))
    wanted = paper.right[failing(paper)]
    assert wanted.iloc[0] / np.log(longest) ** 2 == pytest.approx(first, rel=0.005)
    assert wanted.iloc[1] == pytest.approx(5514, rel=1e-3)
    assert paper.left.iloc[-1] == 0.05 and paper.right.iloc[-1] == 0.1


def test_the_items_of_condition_4_1_are_those_of_the_paper():
    """Each side once more from its formula, at sizes that tell all symbols apart, with C = 3."""
    n, d, m, mu, sigma, std, lr, delta, eps, big = 60, 5000, 14, 7.0, 1.7, 1e-3, 0.02, 0.03, 0.2, 3.0
    law = SignalNoise(n, d, mu_norm=mu, noise_std=sigma, flip_plus=0.1, flip_minus=0.2)
    log, long = np.log, np.log(n * m / (lr * eps * sigma**2 * d))
    sides = [(n * mu**2 / (sigma**2 * d), 1 / big), (0.1, 2 / n), (d, big * n**2 * log(n * m / delta) * long**2),
             (d, big * n * mu / sigma * log(n / delta) ** 0.5), (m, big * log(n / delta)), (n, big * log(m / delta)),
             (mu**2 / sigma**2, big * log(n / delta)), (n**0.5 / sigma / d / big, std),
             (1 / mu / log(m / delta) ** 0.5 / big, std),
             (n**2 * m * log(n / delta) ** 0.5 / (sigma**2 * d**1.5) / big, lr), (n / (sigma**2 * d) / big, lr)]
    found = conditions(law, m, std, lr, delta=delta, eps=eps, constant=big)
    np.testing.assert_allclose(found.loc["Condition 4.1"][["left", "right"]], sides, rtol=1e-12)
    kou = found.loc["Kou et al., 2023"].iloc[0]
    assert (kou.left, kou.right) == pytest.approx((d, big * n * mu**2 / sigma**2 * long))
    largest = largest_init_std(law, m, delta=delta, constant=big)
    assert largest == pytest.approx(min(left for left, _ in sides[7:9]))
    without = conditions(law.replace(flip_plus=0, flip_minus=0), m, std, lr, delta=delta).loc["Condition 4.1"]
    assert len(without) == 10 and not any("tau" in name for name in without.index)  # Theorem 4.3


def test_conditions_hold_far_enough_out():
    """Every row, at sizes where the theorems speak, but for two pairs that exclude each other.

    Item 5 wants initial responses at most as large as the cross-talk, the limit law larger ones; and the condition of
    Kou et al. is c <= 1 / log T*, against the two lines of the limit law.
    """
    far = SignalNoise(40_000, 10**15, n_snr2=8.0, flip_plus=0.1, flip_minus=0.1)
    kou = ("Kou et al., 2023", "d >= C n (|mu|/sigma)^2 log T*")
    larger = failing(table(far, m=2_000, init_std=2e-4 / 10**7.5, h=1e-6))
    assert larger == [("Condition 4.1", "5. sqrt(n) / (C sigma d) >= sigma_0"), kou]
    smaller = failing(table(far, m=2_000, init_std=0.9 * largest_init_std(far, 2_000, delta=0.05), h=1e-6))
    assert set(smaller) - {kou} <= {("limit law", "initial responses above the cross-talk"),
                                    ("Stage I theorem", "noisy samples given their true label")}, smaller


@pytest.mark.parametrize("orthogonal", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_stage_one_constants_of_a_draw_are_within_those_of_its_good_event(orthogonal, seed):
    problem = SignalNoise(200, 10**8, n_snr2=8, flip_plus=0.1, flip_minus=0.2, orthogonal=orthogonal)
    m, init_std, delta = 20, 0.03 / 10**4, 0.05
    event, products = good_event(problem, m, init_std, delta), inner_products(problem, m, init_std, seed)
    assert concentration_deviations(problem, products).within(event)  # with probability 0.95
    drawn = stage_one_bounds(problem, products, 0.05)
    bound = likely_stage_one(problem, m, init_std, event, delta=delta, s1=0.05)
    for field in dataclasses.fields(StageOne):
        ours, theirs = getattr(drawn, field.name), getattr(bound, field.name)
        slack = 1e-9 * abs(theirs)
        assert ours >= theirs - slack if field.name == "lead" else ours <= theirs + slack, field.name


@pytest.mark.statement("thm-convergence")
@pytest.mark.parametrize("orthogonal", [False, True])
@pytest.mark.parametrize(("n", "d"), [(200, 2_000), (50, 60), (100, 10**7)])
def test_the_curvature_of_a_draw_is_within_its_bound(n, d, orthogonal):
    """thm-convergence: Xi of ten draws, each within the bound (of failure probability 0.05), and not far below it."""
    problem = SignalNoise(n, d, n_snr2=8, flip_plus=0.1, flip_minus=0.2, orthogonal=orthogonal)
    record = descend(problem, 5, 1e-3, 0.01 * n * 5 / d, 1, range(10), n_test=1)
    drawn = [loss_decay_constants(record, inner_products_of_record(record), run=run).curvature for run in range(10)]
    bound = loss_decay_curvature(problem, good_event(problem, 5, 1e-3, 0.05), delta=0.05)
    assert 0.6 * bound < max(drawn) <= bound


@pytest.mark.statement("thm-stage-one")
def test_conditions_are_those_of_the_theorem_when_the_bounds_are_its_constants():
    """The rows named after thm-stage-one are StageOne's own, only with bounds for constants."""
    problem = SignalNoise(200, 10**9, n_snr2=8, flip_plus=0.1, flip_minus=0.1)
    found = table(problem, init_std=1e-3 / 10**4.5).loc["Stage I theorem"]
    event = good_event(problem, 20, 1e-3 / 10**4.5, 0.05)
    bounds = likely_stage_one(problem, 20, 1e-3 / 10**4.5, event, delta=0.05, s1=0.05)
    expected = bounds.to_frame().set_index("conclusion")
    np.testing.assert_allclose(found[["left", "right"]], expected[["left", "right"]])
    assert found.holds.tolist() == expected.holds.tolist()


@pytest.mark.parametrize(("change", "message"), [
    ({"lr": 0.0}, "lr=0.0"), ({"lr": 1.0, "delta": 2.0}, "delta=2.0"), ({"lr": 1.0, "s1": -1.0}, "s1=-1.0"),
    ({"lr": 1.0, "m": 0}, "m=0"), ({"lr": 1.0, "init_std": 0.0}, "init_std=0.0"),
    ({"lr": 1.0, "eps": 0.0}, "eps=0.0"), ({"lr": 1.0, "constant": 0}, "constant=0")])
def test_bad_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        conditions(USUAL, **({"m": 20, "init_std": 1e-3} | change))
