"""The store of a sweep: files that are damaged, keys of cells, functions without a stable key."""

import json
import math
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path

import numpy as np
import pytest
from cells import OFFSET, one, same
from hypothesis import given, strategies as st

from helpers.data.signal_noise import SignalNoise
from helpers.sweeps.grid import sweep
from helpers.sweeps.store import StoreFileError, load_from_store, save_in_store, store_keys

DAMAGE = {"truncated": lambda text: text[:-7], "empty": lambda text: "", "zeros": lambda text: "\0" * len(text),
          "another cell's": lambda text: json.dumps(json.loads(text) | {"key": "0" * 32}),
          "another format": lambda text: json.dumps(json.loads(text) | {"format": "signal-first sweep 0"}),
          "no rows": lambda text: text.replace("rows", "lines"), "a list": lambda text: "[1, 2]",
          "not rows": lambda text: json.dumps(json.loads(text) | {"rows": [1.0]}),
          "binary": lambda text: "\udcff\udcfe"}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_store_file_is_refused_or_recomputed(tmp_path, damage):
    expected = sweep(one, {"x": [1, 2]}, store=tmp_path)
    path = tmp_path / f"{store_keys(one, [{'x': 2}])[0]}.json"
    whole = path.read_text()
    path.write_text(DAMAGE[damage](whole), errors="surrogateescape")
    with pytest.raises(StoreFileError, match=rf"{path.name}.*must be the whole.*Delete it, or .*damaged='recompute'"):
        sweep(one, {"x": [1, 2]}, store=tmp_path)
    same(sweep(one, {"x": [1, 2]}, store=tmp_path, damaged="recompute"), expected)
    assert path.read_text() == whole


def test_other_files_in_the_store_are_left_alone(tmp_path):
    (tmp_path / "notes.json").write_text("not a cell")
    assert len(sweep(one, {"x": [1]}, store=tmp_path)) == 1
    assert (tmp_path / "notes.json").read_text() == "not a cell"


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
    monkeypatch.setattr("helpers.sweeps.store.source_hash", lambda module: "edited")
    assert store_keys(reads_offset, cell) != before


def test_key_counts_closures_defaults_and_lambdas_apart():
    def adder(amount, scale=None):
        return lambda x, power=scale: x + amount

    twins = [adder(1), adder(2), adder(1, 3), adder({"a": np.arange(3)}["a"]), adder(np.arange(4)), adder({"a": 1})]
    twins += [lambda x: x, lambda x: x + 1, lambda x: x + 2, lambda x: [y for y in x], lambda x: [2 * y for y in x]]
    assert len({store_keys(twin, [{"x": 1}])[0] for twin in twins}) == len(twins)
    assert store_keys(adder(1), [{"x": 1}]) == store_keys(adder(1), [{"x": 1}])


def times(k):
    def decorate(function):
        @wraps(function)
        def wrapper(**arguments):
            return k * function(**arguments)
        return wrapper
    return decorate


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


def test_store_needs_a_function_with_a_stable_key(tmp_path):
    generator = np.random.default_rng(0)
    for function in (partial(pow, 2), lambda exp: generator.normal(), Scaled(2)):
        with pytest.raises(ValueError, match=r"^function"):
            sweep(function, {"exp": [4]}, store=tmp_path)


def test_store_file_is_plain_json(tmp_path):
    path = tmp_path / "key.json"
    save_in_store(path, [{"a": 0.1}])
    assert json.loads(path.read_text())["rows"] == [{"a": 0.1}]
    assert load_from_store(path, "error") == [{"a": 0.1}]
    assert load_from_store(tmp_path / "absent.json", "error") is None
