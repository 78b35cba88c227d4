"""Both sides of Condition 4.1 and of the book's bounds, at given sizes and on single draws."""

import dataclasses

import numpy as np
import pytest

from helpers import SignalNoise, descend
from helpers.engine.gram import inner_products
from helpers.theory.assumptions import conditions
from helpers.theory.concentration import deviations, good_event
from helpers.theory.loss_decay import convergence, likely_curvature
from helpers.theory.stage_one import StageOne, likely_stage_one, stage_one_bounds
from helpers.theory.stage_two import products_of

USUAL = SignalNoise(200, 2_000, n_snr2=8, flip_plus=0.1, flip_minus=0.1)


def table(problem, m=20, init_std=1e-3, h=0.1, delta=0.05):
    lr = h * problem.n * m / (problem.noise_std**2 * problem.d)
    return conditions(problem, m, init_std, lr, delta=delta)


def test_conditions_at_the_books_sizes():
    found = table(USUAL)
    reported = found.loc["Condition 4.1, as reported"]
    assert not reported.holds["d >= n^2 log(n/delta)"]
    assert reported.right["d >= n |mu|^2 / sigma^2"] == pytest.approx(8 * 2000)
    assert found.left["good event", "some noisy sample in each class"] == pytest.approx(10)
    limit = found.loc["limit law"]
    assert limit.left.iloc[0] == pytest.approx(6.4) and limit.left.iloc[1] == pytest.approx(4.8)
    assert limit.holds.iloc[:2].all()
    assert found.left["test error", "n |mu|^4 / (sigma^4 d) >= 1"] == pytest.approx(640)
    assert found.holds["step size", "1 >= h Xi"]
    assert found.right["step size", "1 >= h (1 + c)"] == pytest.approx(0.9)


def test_conditions_hold_far_enough_out():
    """Every row, at sizes where the theorems speak; none is unsatisfiable together with the others."""
    far = SignalNoise(40_000, 10**15, n_snr2=8.0, flip_plus=0.1, flip_minus=0.1)
    found = table(far, m=2_000, init_std=2e-4 / 10**7.5, h=1e-6)
    failing = [name for name, holds in found.holds.items() if not holds]
    # The third reading of the condition on d, n |mu|^2 / sigma^2, is c <= 1: against the two lines of the limit law.
    assert failing in ([], [("Condition 4.1, as reported", "d >= n |mu|^2 / sigma^2")]), failing


@pytest.mark.parametrize("orthogonal", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_stage_one_constants_of_a_draw_are_within_those_of_its_good_event(orthogonal, seed):
    problem = SignalNoise(200, 10**8, n_snr2=8, flip_plus=0.1, flip_minus=0.2, orthogonal=orthogonal)
    m, init_std, delta = 20, 0.03 / 10**4, 0.05
    event, products = good_event(problem, m, init_std, delta), inner_products(problem, m, init_std, seed)
    assert deviations(problem, products).within(event)  # with probability 0.95 a seed; these seeds are fixed
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
    drawn = [convergence(record, products_of(record), run=run).curvature for run in range(10)]
    bound = likely_curvature(problem, good_event(problem, 5, 1e-3, 0.05), delta=0.05)
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
    ({"lr": 1.0, "m": 0}, "m=0"), ({"lr": 1.0, "init_std": 0.0}, "init_std=0.0")])
def test_bad_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        conditions(USUAL, **({"m": 20, "init_std": 1e-3} | change))
