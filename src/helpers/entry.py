"""The one way in: a public function's arguments are checked, and made Python's, before it begins.

`entry` reads what is allowed off the type hints. What a type cannot say (ranges, how arrays fit together) the function
checks itself.
"""

import functools
import inspect
import math
import os
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from helpers import checks

Check = Callable[[object], object]  # takes an argument's value and returns the one to go on with
LARGEST = 2**63 - 1  # the largest integer that arrays hold
UNIONS = (typing.Union, types.UnionType)
NUMBERS = "biuf"  # kinds of dtype: bool, integers, real
KINDS = {"Float": ("f", "biuf"), "Int": ("iu", "iu"), "Bool": ("b", "b"), "Real": ("biuf", "biuf"),
         "Num": ("biuf", "biuf"), "Shaped": (None, None)}
WORDS = {"f": "real numbers", "biuf": "real numbers", "iu": "integers", "b": "True or False"}


def _unnamed(hint: object) -> object:
    """What the alias of a type stands for; from Python 3.12 on NumPy's ArrayLike is one."""
    return _unnamed(hint.__value__) if type(hint).__name__ == "TypeAliasType" else hint


ARRAY_LIKE = frozenset(typing.get_args(_unnamed(ArrayLike)))


class _Refused(Exception):
    """A value that a hint does not allow; it carries what is allowed, and the part of the argument that is wrong."""

    def __init__(self, allowed: str, value: object, part: str = "") -> None:
        super().__init__(allowed)
        self.allowed, self.value, self.part = allowed, value, part


def entry(function: Callable | None = None, /, *, gaps: Collection[str] = (), own: Collection[str] = ()) -> Callable:
    """Decorator of a public function or class: its arguments are checked against their type hints when it is called.

    NumPy's scalars become Python's, array-likes arrays, and paths Paths. Numbers must be finite. A bad value raises a
    ValueError that names argument, value and what is allowed.

    Parameters
    ----------
    function
        a function, a method, or a class, of which then the constructor is meant.
    gaps
        arguments in whose arrays NaN and infinities mean something and may stand.
    own
        arguments that the function checks itself, because it has more to say about them.
    """
    if function is None:
        return functools.partial(entry, gaps=gaps, own=own)
    if inspect.isclass(function):
        function.__init__ = entry(function.__init__, gaps=gaps, own=own)
        return function
    return _checked(function, frozenset(gaps), frozenset(own))


def _checked(function: Callable, gaps: frozenset[str], own: frozenset[str]) -> Callable:
    # At the first call, since hints may name classes that come later in the file.
    plan = functools.cache(functools.partial(_plan, function, gaps, own))

    @functools.wraps(function)
    def checked(*args: object, **options: object) -> object:
        positions, by_name = plan()
        given = [value if check is None else _apply(check, name, value)
                 for (name, check), value in zip(positions, args)]
        for name, value in options.items():
            if name in by_name:
                options[name] = _apply(by_name[name], name, value)
        return function(*given, *args[len(given):], **options)

    return checked


def _plan(function: Callable, gaps: frozenset[str], own: frozenset[str],
          ) -> tuple[list[tuple[str, Check | None]], dict[str, Check]]:
    """The arguments that may be given by place, in order, with their checks; and the checks by name."""
    hints = typing.get_type_hints(function)
    positions, by_name = [], {}
    for name, parameter in inspect.signature(function).parameters.items():
        check = _check(hints[name], name in gaps) if name in hints.keys() - own else None
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            positions.append((name, check))
        if check is not None and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            by_name[name] = check
    return positions, by_name


CHECKED = next(part for part in _checked.__code__.co_consts if getattr(part, "co_name", "") == "checked")


def behind(function: object) -> object:
    """The function that `entry` checks for, if this is such a check; else the same."""
    while getattr(function, "__code__", None) is CHECKED:
        function = function.__wrapped__
    return function


def _apply(check: Check, name: str, value: object) -> object:
    try:
        return check(value)
    except _Refused as refused:
        checks.require(False, name + refused.part, refused.value, refused.allowed)


def _check(hint: object, gaps: bool) -> Check | None:
    """The check of a hint; None where everything is allowed."""
    hint = _unnamed(hint)
    if hint is inspect.Parameter.empty or hint is object or isinstance(hint, typing.TypeVar) or hint is typing.Any:
        return None
    if hint in SIMPLE:
        return SIMPLE[hint]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in UNIONS:
        return _union(_members(inner), gaps)
    if hasattr(hint, "dim_str"):
        return functools.partial(_array, hint=hint, gaps=gaps)
    if origin is typing.Literal:
        return functools.partial(_choice, choices=inner)
    kind = origin or hint
    if kind is Callable:
        return _callable
    if kind is tuple and inner and inner[-1] is not ...:
        return functools.partial(_fixed, parts=[_check(part, gaps) for part in inner])
    if issubclass(kind, Mapping):
        return functools.partial(_mapping, kind=kind, parts=[_check(part, gaps) for part in inner])
    if inner and issubclass(kind, Iterable):
        return functools.partial(_several, part=_check(inner[0], gaps))
    return functools.partial(_instance, kind=kind)


def _whole(value: object) -> int:
    if type(value) is int and -LARGEST <= value <= LARGEST:
        return value
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise _Refused("an integer", value)
    if not -LARGEST <= value <= LARGEST:
        raise _Refused(f"an integer from {-LARGEST} to {LARGEST}", value)
    return int(value)


def _finite(value: object) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:  # an integer of more than 308 digits
        number = math.nan
    if not math.isfinite(number):
        raise _Refused("a finite number", value)
    return number


def _truth(value: object) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise _Refused("True or False", value)
    return bool(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Refused("a string", value)
    return value if type(value) is str else str(value)


def _path(value: object) -> Path:
    try:
        return checks.path("path", value)
    except ValueError:
        raise _Refused("a path", value) from None


def _nothing(value: object) -> None:
    if value is not None:
        raise _Refused("None", value)


def _callable(value: object) -> object:
    if not callable(value):
        raise _Refused("something to call", value)
    return value


def _key(value: object) -> object:
    try:
        hash(value)
    except TypeError:
        raise _Refused("hashable", value) from None
    return value


def _choice(value: object, choices: tuple) -> object:
    if not any(type(value) is type(one) and value == one for one in choices):
        raise _Refused(f"one of {', '.join(map(repr, choices))}", value)
    return value


def _instance(value: object, kind: type) -> object:
    if not isinstance(value, kind):
        raise _Refused(f"a {kind.__name__}", value)
    return value


SIMPLE = {int: _whole, np.integer: _whole, float: _finite, np.floating: _finite, bool: _truth, str: _text, Path: _path,
          os.PathLike: _path, None: _nothing, type(None): _nothing, typing.Hashable: _key,
          str | os.PathLike: _path}


def _members(hints: Iterable) -> list:
    """The members of a union, with those of the unions that stand in it under a name."""
    unnamed = [_unnamed(one) for one in hints]
    return [inner for one in unnamed for inner in (typing.get_args(one) if typing.get_origin(one) in UNIONS else [one])]


def _union(members: list, gaps: bool) -> Check:
    """Any of several hints; those of ArrayLike count as one, and come last, so that nothing else becomes an array."""
    found = []
    rest = [one for one in members if one not in ARRAY_LIKE] if ARRAY_LIKE <= set(members) else members[:]
    if os.PathLike in rest:
        rest.remove(str)
    # The most special first: True is an integer to Python, and a whole number a real one.
    rest.sort(key=lambda one: [type(None), bool, int, one].index(one))
    found = [_check(one, gaps) for one in rest]
    if len(rest) < len(members) and ARRAY_LIKE <= set(members):
        found.append(functools.partial(_array_like, gaps=gaps))
    if len(found) == 1:
        return found[0]
    return functools.partial(_any_of, parts=found)


def _any_of(value: object, parts: list[Check]) -> object:
    allowed = []
    for part in parts:
        try:
            return value if part is None else part(value)
        except _Refused as refused:
            allowed.append(refused)
    # What went furthest into the value has most to say; else all that would do.
    deep = [one for one in allowed if one.value is not value]
    if deep:
        raise deep[0]
    raise _Refused(" or ".join(dict.fromkeys(one.allowed for one in allowed)), value)


def _part(check: Check | None, value: object, place: str) -> object:
    if check is None:
        return value
    try:
        return check(value)
    except _Refused as refused:
        raise _Refused(refused.allowed, refused.value, f"{place}{refused.part}") from None


def _several(value: object, part: Check | None) -> list | tuple:
    """The items of an iterable, each checked; a tuple stays one."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
        raise _Refused("several values, such as a list", value)
    if isinstance(value, torch.Tensor):
        value = value.tolist()
    items = [_part(part, item, f"[{k}]") for k, item in enumerate(value)]
    return tuple(items) if isinstance(value, tuple) else items


def _fixed(value: object, parts: list[Check | None]) -> tuple:
    if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != len(parts):
        raise _Refused(f"{len(parts)} values", value)
    return tuple(_part(part, item, f"[{k}]") for k, (part, item) in enumerate(zip(parts, value)))


def _mapping(value: object, kind: type, parts: list[Check | None]) -> Mapping:
    if not isinstance(value, kind):
        raise _Refused("a dict" if kind is dict else "a mapping, such as a dict", value)
    if not parts:
        return value
    return {_part(parts[0], key, "'s keys"): _part(parts[1], item, f"[{key!r}]") for key, item in value.items()}


def _array_like(value: object, gaps: bool) -> np.ndarray | pd.DataFrame | pd.Series:
    """Real numbers in any array-like, as an array; pandas keeps its names."""
    return _numbers(value, NUMBERS, gaps)


def _numbers(value: object, kinds: str, gaps: bool) -> object:
    array = _as_array(value)
    if array is None or array.dtype.kind not in kinds or (array.ndim == 0 and array.dtype.kind == "b"):
        raise _Refused(f"an array of {WORDS.get(kinds, 'real numbers')}", value)
    if not gaps and array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise _Refused(*("finite", f"<{bad} non-finite values>") if array.ndim else ("a finite number", value))
    return value if isinstance(value, (pd.DataFrame, pd.Series)) else array


def _as_array(value: object) -> np.ndarray | None:
    try:
        return np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
    except (TypeError, ValueError, RuntimeError, OverflowError):  # ragged, a dtype that NumPy has not
        return None


def _array(value: object, hint: type, gaps: bool) -> object:
    """An array of the hint's kind and number of axes."""
    strict, kinds = KINDS[hint.__name__.partition("[")[0].rstrip("0123456789") or "Shaped"]
    if hint.array_type is torch.Tensor:
        return _tensor(value, strict, hint.dim_str, gaps)
    array = _as_array(value) if kinds is None else _numbers(value, kinds, gaps)
    if array is None or not hasattr(array, "shape"):
        raise _Refused("an array", value)
    _fit(array.shape, hint.dim_str)
    return array


def _tensor(value: object, kinds: str | None, axes: str, gaps: bool) -> torch.Tensor:
    kind = _kind(value.dtype) if isinstance(value, torch.Tensor) else None
    if kind is None or (kinds is not None and kind not in kinds):
        raise _Refused(f"a tensor of {WORDS.get(kinds, 'numbers')}", value)
    if kind == "f" and not gaps and not bool(torch.isfinite(value).all()):
        raise _Refused("finite", f"<{int((~torch.isfinite(value)).sum())} non-finite values>")
    _fit(tuple(value.shape), axes)
    return value


def _kind(dtype: torch.dtype) -> str:
    return "c" if dtype.is_complex else "f" if dtype.is_floating_point else "b" if dtype is torch.bool else "i"


def _fit(shape: tuple[int, ...], axes: str) -> None:
    """Number of axes, and sizes that the hint states as numbers."""
    names = axes.split()
    if any(name == "..." or name.startswith("*") for name in names):
        valid = len(shape) >= len(names) - 1
    else:
        valid = len(shape) == len(names)
        valid = valid and all(not name.isdigit() or size == int(name) for name, size in zip(names, shape))
    if not valid:
        raise _Refused(f"of shape ({', '.join(names)})", shape, ".shape")
