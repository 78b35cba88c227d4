"""The constants of Stage I: what is refused, and that no condition is dropped."""

import dataclasses

import numpy as np
import pytest
from problems import problem

from helpers import descend
from helpers.engine.gram import inner_products
from helpers.reading.times import turning_times
from helpers.theory.stage_one import stage_one_bounds

M = 20


def test_stages_reject_what_they_cannot_read():
    record = descend(problem(d=2_000, tau=0.0), M, 1e-3, 0.2, 5, [0], n_test=1)
    with pytest.raises(ValueError, match="noisy"):
        turning_times(record)
    with pytest.raises(ValueError, match="s1=0"):
        stage_one_bounds(problem(), inner_products(problem(), M, 1e-9, 0), 0)


def test_conditions_reject_nothing_silently():
    """Each constant of StageOne is a finite number and margin_bound grows with s1."""
    law = problem()
    products = inner_products(law, M, 1e-9, 0)
    values = dataclasses.astuple(stage_one_bounds(law, products, 0.1))
    assert np.all(np.isfinite(values))
    assert stage_one_bounds(law, products, 0.2).margin_bound > stage_one_bounds(law, products, 0.1).margin_bound
