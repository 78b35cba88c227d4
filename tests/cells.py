"""Functions that sweeps are tried on, and the comparison of two tables."""

from functools import wraps

import pandas as pd

OFFSET = 1.0


def same(first, second):
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def one(x):
    return x + OFFSET


def times(k):
    """A decorator that multiplies what a function returns."""
    def decorate(function):
        @wraps(function)
        def wrapper(**arguments):
            return k * function(**arguments)
        return wrapper
    return decorate


class Untravelled(Exception):
    """Its arguments are not those of its class, so that it cannot be unpickled."""

    def __init__(self, what, why):
        super().__init__(f"{what}: {why}")


def raises_what_cannot_travel(x):
    raise Untravelled("no", "way")
