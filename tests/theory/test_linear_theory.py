"""Early learning in a linear model: what is refused, and what a bound is made of."""

import pytest

from helpers.engine.linear_mixture import draw_mixture, mixture
from helpers.theory.linear_limits import cover_probability, law_of_run, separability_threshold
from helpers.theory.linear_theory import (
    EarlyLearning,
    MixtureConstants,
    early_learning,
    likely_constants,
    limit_constants,
    measured_constants,
)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: measured_constants(draw_mixture(mixture(9, 5, 0.1, 0.0), 1.0, 0)), "draw.y_obs"),
    (lambda: measured_constants("draw"), "draw='draw'"),
    (lambda: early_learning(0.1), "constants=0.1: must be a MixtureConstants"),
    (lambda: likely_constants(mixture(10, 10, 0.1, 0.1), 1.0, 0.1), "problem.n=10"),
    (lambda: likely_constants(mixture(10, 10, 0.1, 0.1), 1.0, 1.0), "delta=1.0"),
    (lambda: likely_constants(mixture(10, 10, 0.1, 0.1).replace(flip_minus=0.3), 1.0, 0.1), "problem.flip_minus=0.3"),
    (lambda: limit_constants(0.0, 0.1, 0.2, 1.0), "ratio=0.0"),
    (lambda: limit_constants(1.0, 0.1, 0.5, 1.0), "flip_rate=0.5"),
    (lambda: separability_threshold(0.0, 0.2), "noise_std=0.0"),
    (lambda: cover_probability(0, 3), "n=0"),
    (lambda: law_of_run(draw_mixture(mixture(50, 500, 0.1, 0.2), 0.0, 0), 9.0, 3), "lr=9.0")])
def test_bounds_refuse(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_records_are_plain_numbers():
    assert isinstance(limit_constants(1.0, 0.1, 0.2, 1.0), MixtureConstants)
    assert isinstance(early_learning(limit_constants(1.0, 0.1, 0.2, 1.0)), EarlyLearning)
