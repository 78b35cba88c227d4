"""Keys of the store: functions that differ in any way a user can make them differ have different keys."""

import importlib.util
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cells import OFFSET, one, times
from hypothesis import HealthCheck, given, settings, strategies as st

from helpers.data.signal_noise import SignalNoise
from helpers.sweeps.cell_keys import store_keys
from helpers.sweeps.grid import sweep

# A user's two files; what stands in braces differs between two versions of them.
OWN = """import other
from other import Kind, Setting

SETTING = Setting()
OFFSET = {read}


def helper(x):
    return x * {called}


def own(x, power={default}):
    def inner(y):
        import other as later
        return y + {nested} + later.imported(x)
    found = inner(helper(x)) ** power + sum(OFFSET for _ in "a") + other.AMOUNT * other.reached(x)
    return found + Kind().value(SETTING.shifted(x))
"""
OTHER = """import dataclasses

import numpy as np

AMOUNT = {attribute}


def reached(x):
    return x + {reached}


def imported(x):
    return x - {imported}


class Base:
    scale = {inherited}
    weights = np.full(2, {array})


class Kind(Base):
    def value(self, x):
        return self.scale * x + int(self.weights.sum()) + {method}


@dataclasses.dataclass(frozen=True)
class Setting:
    by: int = 1

    def shifted(self, x):
        return x + self.by + {object}
"""
PARTS = ("read", "called", "default", "nested", "attribute", "reached", "imported", "inherited", "method", "array",
         "object")


def decorated(k, function):
    return times(k)(function)


def closed_over(k, function):
    return lambda x: function(x=x) + k


def around_a_partial(k, function):
    bound = partial(function, power=k)
    return lambda x: bound(x=x)


@dataclass(frozen=True)
class Shift:
    by: int

    def shifted(self, value):
        return value - self.by


def around_a_method(k, function):
    shifted = Shift(k).shifted
    return lambda x, power=1: shifted(function(x=x, power=power))


def with_an_array(k, function):
    weights = np.arange(3) + k
    return lambda x, power=1: function(x=x, power=power) * int(weights.sum())


def with_a_default(k, function):
    return lambda x, power=1, scale=k: scale * function(x=x, power=power)


few = st.integers(1, 3)
versions = st.fixed_dictionaries(dict.fromkeys(PARTS, few))
layers = st.lists(st.tuples(st.sampled_from([decorated, around_a_method, with_an_array, with_a_default]), few),
                  max_size=2)
lasts = st.none() | st.tuples(st.sampled_from([closed_over, around_a_partial, decorated]), few)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Function of a user's files in one version, loaded anew, with what was made around it and set after loading."""
    folder, old = tmp_path_factory.mktemp("own"), dict(sys.modules)

    def loaded(name, text):
        path = folder / f"{name}.py"
        path.write_text(text)
        sys.modules[name] = module = importlib.util.module_from_spec(
            importlib.util.spec_from_file_location(name, path))
        exec(compile(text, path, "exec"), vars(module))  # not from a .pyc, which is told by seconds
        return module

    def make(version, around=(), last=None, offset=None):
        loaded("other", OTHER.format(**version))
        module = loaded("own", OWN.format(**version))
        if offset is not None:
            module.OFFSET = offset
        function = module.own
        for layer, k in [*around, *([last] if last else [])]:
            function = layer(k, function)
        return function

    yield make
    for name in ("own", "other"):
        sys.modules.pop(name, None)
        if name in old:
            sys.modules[name] = old[name]


def key(function):
    return store_keys(function, [{"x": 2}])[0]


@given(recipe=st.tuples(versions, layers, lasts, st.none() | few), other=st.tuples(versions, layers, lasts,
                                                                                   st.none() | few))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equal_keys_mean_equal_source_and_equal_surroundings(made, recipe, other):
    keys = [key(made(*one)) for one in (recipe, other, recipe)]
    assert keys[0] == keys[2], "a key does not change when the same file is loaded again"

    def as_run(version, around, last, offset):  # OFFSET as it is, not as the file says
        return [version | {"read": offset or version["read"]}, around, last]
    assert (keys[0] == keys[1]) == (as_run(*recipe) == as_run(*other))


@given(version=versions, around=layers, last=lasts, part=st.sampled_from(PARTS))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_one_change_in_what_a_function_reaches_changes_its_key(made, version, around, last, part):
    edited = version | {part: version[part] + 1}
    assert key(made(version, around, last)) != key(made(edited, around, last))


def test_a_file_edited_but_not_loaded_again_is_another_function(made):
    """Else the numbers of the old code would stand under the key of the new one, and be believed after a restart."""
    version = dict.fromkeys(PARTS, 1)
    old, new = made(version), made(version | {"nested": 2})
    assert key(old) != key(new)


def test_what_is_installed_is_no_surrounding():
    def mean(x):
        return pytest.approx(np.mean([x]))

    assert store_keys(mean, [{"x": 1}])


def test_a_key_is_the_same_in_every_process(tmp_path):
    """Constant sets of words come in another order in each."""
    path = tmp_path / "sets.py"
    path.write_text("from helpers.sweeps.cell_keys import store_keys\n\n\ndef one(x):\n"
                    "    return x in {'a', 'b', 'c', 'd', 'e'}\n\n\nprint(store_keys(one, [{'x': 1}])[0])\n")
    said = {subprocess.run([sys.executable, path], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True,
                           text=True, check=True).stdout for seed in "01"}
    assert len(said) == 1


scalars = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=3))
plain_values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2) | st.tuples(inner), max_leaves=4)
arguments = st.dictionaries(st.sampled_from("abc"), plain_values, max_size=3)


@given(arguments, arguments)
def test_key_does_not_depend_on_order_and_differs_when_an_argument_does(first, second):
    (key,) = store_keys(one, [first])
    assert store_keys(one, [dict(reversed(first.items()))]) == [key]
    written = [repr([(name, values[name]) for name in sorted(values)]) for values in (first, second)]
    assert (store_keys(one, [second]) != [key]) == (written[0] != written[1])


@dataclass(frozen=True)
class Setting:
    width: int
    rate: float = 0.1


def test_key_tells_types_and_frozen_dataclasses_apart():
    distribution = SignalNoise(10, 100, n_snr2=1.0)
    values = [1, 1.0, True, "1", None, [1], (1,), [], Path("1"), Setting(1), Setting(1, 0.2), 0.0, -0.0, math.nan,
              distribution, distribution.replace(flip_plus=0.1), SignalNoise(10, 100, mu_norm=distribution.mu_norm)]
    assert len(set(store_keys(one, [{"x": value} for value in values]))) == len(values)
    assert store_keys(one, [{"x": np.float64(0.1)}]) == store_keys(one, [{"x": 0.1}])


def reads_offset(x):
    return sum([helper(x) for _ in range(1)])


def helper(x):
    return x + OFFSET


def test_key_counts_what_the_function_reads(monkeypatch):
    cell = [{"x": 1}]
    before = store_keys(reads_offset, cell)
    monkeypatch.setitem(globals(), "OFFSET", 2.0)  # read by a function that it calls, inside a comprehension
    assert store_keys(reads_offset, cell) != before
    monkeypatch.setitem(globals(), "OFFSET", 1.0)
    assert store_keys(reads_offset, cell) == before
    monkeypatch.setattr("helpers.sweeps.cell_keys.source_hash", lambda module: "edited")
    assert store_keys(reads_offset, cell) != before


def test_key_counts_closures_defaults_and_lambdas_apart():
    def adder(amount, scale=None):
        return lambda x, power=scale: x + amount

    twins = [adder(1), adder(2), adder(1, 3), adder({"a": np.arange(3)}["a"]), adder(np.arange(4)), adder({"a": 1})]
    twins += [lambda x: x, lambda x: x + 1, lambda x: x + 2, lambda x: [y for y in x], lambda x: [2 * y for y in x]]
    assert len({store_keys(twin, [{"x": 1}])[0] for twin in twins}) == len(twins)
    assert store_keys(adder(1), [{"x": 1}]) == store_keys(adder(1), [{"x": 1}])


def square(x):
    return x * x


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor * x


def test_a_wrapper_counts_as_much_as_what_it_wraps(tmp_path):
    """With one store: two decorators of one name, and the function itself."""
    found = [sweep(function, {"x": [1, 2]}, store=tmp_path).value.tolist()
             for function in (times(2)(square), times(3)(square), square, times(2)(square))]
    assert found == [[2, 8], [3, 12], [1, 4], [2, 8]]


def test_partials_and_bound_methods_around_a_function_count():
    def around(inner):
        return lambda x: inner(x)

    cell = [{"x": 1}]
    twins = [around(partial(pow, 2)), around(partial(pow, 3)), around(partial(square)), around(square),
             around([1, 2].count), around([1].count)]
    keys = [store_keys(twin, cell)[0] for twin in twins[:4]]
    assert len(set(keys[:3])) == 3 and keys[2] != keys[3]
    with pytest.raises(ValueError, match="function, which reads inner"):
        store_keys(around(Scaled(2)), cell)
