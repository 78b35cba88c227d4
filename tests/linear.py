"""What the tests of the linear model of chapter 16 measure and draw by."""

import numpy as np
from hypothesis import strategies as st

from helpers.engine.linear_mixture import descend_mixture


def powers(low, high):
    return st.floats(low, high).map(lambda x: 10**x)


def until(draw, lr, target, most=4000):
    """The run at every step up to the first T with <theta_T, v> >= target, and T."""
    run = descend_mixture(draw, lr, np.arange(most + 1))
    T = int(np.argmax(run.signal >= target))
    assert run.signal[T] >= target, "T is later than the run is long"
    return run, T


def rms(values, axis=-1):
    return np.sqrt((np.asarray(values) ** 2).mean(axis))
