"""The way in: what a hint allows, what a value becomes, and that all who look at a function still see it."""

import inspect
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

import bad_values
import numpy as np
import pandas as pd
import pytest
import torch
from cells import one, times
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from typing_extensions import TypeAliasType

from helpers import Record, theory
from helpers.entry import behind, entry
from helpers.intervals import share_interval
from helpers.streams import random_stream
from helpers.sweeps.cell_keys import store_keys
from helpers.sweeps.grid import sweep
from helpers.theory import limit_law


def taking(hint, **options):
    """A function of `x`, of which `hint` says what is allowed; it returns what it got."""
    def function(x):
        return x
    function.__annotations__["x"] = hint
    return entry(**options)(function)


# (hint, value, what the function gets)
KEPT = [
    (int, np.int64(3), 3), (float, np.float32(0.5), 0.5), (float, Fraction(1, 2), 0.5), (float, 2, 2.0),
    (bool, np.True_, True), (str, np.str_("a"), "a"), (Path, "a/b", Path("a/b")), (int | None, None, None),
    (int | float, 2, 2), (int | float, 2.5, 2.5), (bool | int, True, True), (Literal["a", "b"], "a", "a"),
    (Sequence[int], np.arange(2), [0, 1]), (Iterable[float], (1, 2), (1.0, 2.0)), (Iterable[int], {3}, [3]),
    (int | Iterable[int], np.int8(1), 1), (tuple[float, str], [1, "a"], (1.0, "a")),
    (Mapping[str, int], {"a": np.int64(1)}, {"a": 1}), (Callable, len, len)]


@pytest.mark.parametrize(("hint", "value", "found"), KEPT)
def test_what_is_allowed_becomes_a_value_of_python(hint, value, found):
    got = taking(hint)(value)
    assert got == found and type(got) is type(found)
    if isinstance(found, (list, tuple)):
        assert [type(item) for item in got] == [type(item) for item in found]


def test_an_alias_of_hints_allows_what_they_do():
    """From Python 3.12 on NumPy's ArrayLike is such an alias."""
    alias = TypeAliasType("Numbers", int | float | ArrayLike)
    for hint in (alias, alias | None):
        for value in (2, 2.5):
            assert taking(hint)(value) == value
        assert taking(hint)([1, 2]).shape == (2,)
        with pytest.raises(ValueError, match="an array of real numbers"):
            taking(hint)([1j])
    assert taking(alias | None)(None) is None


# (hint, value, what the error says)
REFUSED = [
    (int, True, "x=True: must be an integer"), (int, 2.0, "x=2.0: must be an integer"),
    (int, 10**400, "must be an integer from"), (float, np.nan, "x=nan: must be a finite number"),
    (float, 10**400, "must be a finite number"), (float, "1", "x='1': must be a finite number"),
    (bool, 1, "x=1: must be True or False"), (str, b"a", "x=b'a': must be a string"), (Path, "", "must be a path"),
    (int | None, "a", "x='a': must be None or an integer"), (Literal["a", "b"], "c", "must be one of 'a', 'b'"),
    (Sequence[int], [0, "a"], r"x\[1\]='a': must be an integer"), (Sequence[str], "ab", "must be several values"),
    (tuple[float, str], (1.0,), "must be 2 values"), (Mapping[str, int], {"a": 1.5}, r"x\['a'\]=1.5: must be an int"),
    (Callable, 3, "something to call"), (Record, 3, "x=3: must be a Record"),
    (ArrayLike, b"ab", "x=b'ab': must be an array of real numbers"), (ArrayLike, [1j], "an array of real numbers"),
    (ArrayLike, [[1], [1, 2]], "an array of real numbers"), (ArrayLike, [1, np.nan], "<1 non-finite values>"),
    (ArrayLike, True, "an array of real numbers"), (Int[np.ndarray, " n"], [1.0], "an array of integers"),
    (Float[np.ndarray, "n 2"], np.ones((3, 3)), r"x.shape=\(3, 3\): must be of shape \(n, 2\)"),
    (Bool[np.ndarray, " n"], [0, 1], "an array of True or False"), (Float[torch.Tensor, "n"], [1.0], "a tensor"),
    (Float[torch.Tensor, "n"], torch.tensor([1]), "a tensor of real")]


@pytest.mark.parametrize(("hint", "value", "said"), REFUSED)
def test_what_is_not_allowed_is_refused_with_name_value_and_what_is(hint, value, said):
    with pytest.raises(ValueError, match=said):
        taking(hint)(value)


def test_array_likes_become_arrays_and_pandas_keeps_its_names():
    got = taking(ArrayLike)([1, 2])
    assert isinstance(got, np.ndarray) and got.dtype == np.int64
    assert isinstance(taking(ArrayLike)(torch.ones(2)), np.ndarray)
    frame = pd.DataFrame({"a": [1.0]})
    assert taking(ArrayLike)(frame) is frame


def test_gaps_may_stand_where_they_mean_something_and_a_function_may_check_by_itself():
    assert np.isnan(taking(ArrayLike, gaps=("x",))([np.nan]))
    assert taking(int, own=("x",))("a") == "a"


@pytest.mark.parametrize("call", [
    lambda: share_interval(15, 10), lambda: theory.late_ranking_losses(-4.0, [1], [1], [0.5]),
    lambda: theory.multiclass_pair_law(-4.0, 0.1, 3, [1.0]), lambda: theory.multiclass_law(4.0, 1.5, 3, [1.0]),
    lambda: theory.elr_law(8.0, 0.1, 1.0, 1.0, [0.0, 2.0, 1.0]),
    lambda: theory.elr_law(8.0, 0.1, 1.0, 1.0, [0, np.nan]),
    lambda: theory.multiclass_pair_law(8.0, 0.1, 3, [0, np.nan]),
    lambda: theory.multiclass_pair_law(1e9, 0.1, 3, [1.0]),
    lambda: Record([0.5, np.inf], [[1]], [[1]], [[[1.0], [1.0]]]), lambda: Record([0], [[7.5]], [[1]], [[[1.0]]]),
    lambda: Record([0], [[1]], [[1]], [[[1.0]]], fresh_error=[[5.0]]),
    lambda: Record([0], [[1]], [[1]], [[[1.0]]], test_sizes={"fresh": -5})])
def test_what_was_accepted_or_hung_is_refused(call):
    with pytest.raises(ValueError, match="must be"):
        call()


def test_all_who_look_at_a_function_still_see_it():
    assert list(inspect.signature(limit_law).parameters) == ["n_snr2", "flip_rate", "times", "share"]
    assert "limit law of one class" in inspect.getdoc(limit_law) and "def limit_law" in inspect.getsource(limit_law)
    assert pickle.loads(pickle.dumps(limit_law)) is limit_law
    assert behind(limit_law) is limit_law.__wrapped__ and behind(one) is one
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'stream'"):
        random_stream(0)


def test_a_store_looks_through_the_check_and_not_through_a_readers_wrapper(tmp_path):
    share = entry(lambda kappa, m: kappa)  # of this module
    cell = [{"kappa": 2.0, "m": 3}]
    auc = theory.late_ranking_auc
    keys = [store_keys(function, cell) for function in (auc, times(2)(auc), times(3)(auc), share)]
    assert len({key[0] for key in keys}) == 4
    assert sweep(auc, {"kappa": [2.0], "m": [3]}, store=tmp_path).value[0] == auc(2.0, 3)


def test_nonsense_hangs_and_errors_without_the_argument_are_found(monkeypatch):
    def outcome(function):
        monkeypatch.setattr(bad_values, "call", lambda *_: function())
        return bad_values.outcome("hall", "f", "level", "nan")[0]

    def raises(error):
        raise error

    monkeypatch.setattr(bad_values, "SECONDS", 0.2)
    assert outcome(lambda: 1) == "accepted"
    assert outcome(lambda: raises(ValueError("level=nan: must be finite"))) == "clear"
    assert outcome(lambda: raises(ValueError("levels=nan"))) == "obscure"
    assert outcome(lambda: raises(AttributeError("level"))) == "obscure"

    def hang():
        while True:
            pass
    assert outcome(hang) == "hang"
