"""Early learning in a linear model: what is refused, and what a bound is made of."""

import pytest

from helpers.engine.linear_mixture import draw_mixture, mixture_problem
from helpers.theory.linear_theory import (
    LinearConstants,
    LinearEarlyLearning,
    likely_linear_constants,
    linear_cover_probability,
    linear_early_learning,
    linear_law_of_run,
    linear_limit_constants,
    linear_separability_threshold,
    measured_linear_constants,
)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: measured_linear_constants(draw_mixture(mixture_problem(9, 5, 0.1, 0.0), 1.0, 0)), "draw.y_obs"),
    (lambda: measured_linear_constants("draw"), "draw='draw'"),
    (lambda: linear_early_learning(0.1), "constants=0.1: must be a LinearConstants"),
    (lambda: likely_linear_constants(mixture_problem(10, 10, 0.1, 0.1), 1.0, 0.1), "problem.n=10"),
    (lambda: likely_linear_constants(mixture_problem(10, 10, 0.1, 0.1), 1.0, 1.0), "delta=1.0"),
    (lambda: likely_linear_constants(mixture_problem(10, 10, 0.1, 0.1).replace(flip_minus=0.3), 1.0, 0.1),
     "problem.flip_minus=0.3"),
    (lambda: linear_limit_constants(0.0, 0.1, 0.2, 1.0), "ratio=0.0"),
    (lambda: linear_limit_constants(1.0, 0.1, 0.5, 1.0), "flip_rate=0.5"),
    (lambda: linear_separability_threshold(0.0, 0.2), "noise_std=0.0"),
    (lambda: linear_cover_probability(0, 3), "n=0"),
    (lambda: linear_law_of_run(draw_mixture(mixture_problem(50, 500, 0.1, 0.2), 0.0, 0), 9.0, 3), "lr=9.0")])
def test_bounds_refuse(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_records_are_plain_numbers():
    assert isinstance(linear_limit_constants(1.0, 0.1, 0.2, 1.0), LinearConstants)
    assert isinstance(linear_early_learning(linear_limit_constants(1.0, 0.1, 0.2, 1.0)), LinearEarlyLearning)
