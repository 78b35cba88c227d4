"""Validation of arguments where they enter: each error names the argument, its value and what is allowed."""

import math
import os
from collections.abc import Hashable, Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

Thing = TypeVar("Thing")


def require(condition: bool | np.bool_, argument: str, value: object, allowed: str) -> None:
    """Raise a ValueError saying that `argument` has `value` where only `allowed` will do."""
    if not condition:
        text = " ".join(repr(value).split())
        raise ValueError(f"{argument}={text if len(text) <= 300 else text[:300] + '...'}: must be {allowed}")


def instance(argument: str, value: object, kind: type[Thing]) -> Thing:
    """Return `value` if it is an instance of the class `kind`."""
    require(isinstance(value, kind), argument, value, f"a {kind.__name__}")
    return value


def integer(argument: str, value: object, minimum: int = 1, maximum: int | float = math.inf) -> int:
    """Return `value` as an int between `minimum` and `maximum` (bool is refused)."""
    valid = isinstance(value, Integral) and not isinstance(value, bool) and minimum <= value <= maximum
    require(valid, argument, value, f"an integer >= {minimum}" + (f" and <= {maximum}" if maximum < math.inf else ""))
    return int(value)


def real(argument: str, value: object, low: float = -math.inf, high: float = math.inf, *, open_low: bool = False,
         open_high: bool = False) -> float:
    """Return `value` as a finite float between `low` and `high`; an open end excludes its bound."""
    brackets = "(" if open_low or low == -math.inf else "[", ")" if open_high or high == math.inf else "]"
    allowed = f"a finite number in {brackets[0]}{low:g}, {high:g}{brackets[1]}"
    number = _number(value)
    valid = math.isfinite(number) and (number > low if open_low else number >= low)
    valid = valid and (number < high if open_high else number <= high)
    require(valid, argument, value, allowed)
    return number


def _number(value: object) -> float:
    """`value` as a float; NaN where it is no real number (bool is refused) or has more than 308 digits."""
    try:
        return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return math.nan


def positive(argument: str, value: object) -> float:
    """Return `value` as a finite float > 0."""
    return real(argument, value, 0.0, open_low=True)


def one_of(argument: str, value: Thing, choices: Iterable) -> Thing:
    """Return `value` if it is one of `choices`."""
    choices = tuple(choices)
    known = isinstance(value, Hashable) and value in choices
    require(known, argument, value, f"one of {', '.join(map(repr, choices))}")
    return value


def path(argument: str, value: object) -> Path:
    """Return `value` as a Path, with "~" for the home folder; "", which would be the current folder, is refused."""
    valid = isinstance(value, (str, os.PathLike)) and isinstance(os.fspath(value), str) and os.fspath(value) != ""
    require(valid, argument, value, "a path")
    return Path(value).expanduser()


def vectors(argument: str, value: object, *shape: int | None) -> Float64[torch.Tensor, "..."]:
    """Return `value` as a finite float64 CPU tensor of `shape`, where None stands for any length."""
    try:
        tensor = torch.as_tensor(value if torch.is_tensor(value) else np.asarray(value)).detach()  # floats as float64
    except (TypeError, ValueError, RuntimeError):  # strings, ragged lists, None
        tensor = None
    require(tensor is not None and not tensor.is_complex(), argument, value, "an array of real numbers")
    tensor = tensor.to("cpu", torch.float64)
    wanted = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
    fits = tensor.ndim == len(shape) and all(b in (None, a) for a, b in zip(tensor.shape, shape))
    require(fits, f"{argument}.shape", tuple(tensor.shape), wanted)
    bad = int((~torch.isfinite(tensor)).sum())
    require(bad == 0, argument, f"<{bad} non-finite values>", "finite")
    return tensor


def labels(argument: str, value: object, *shape: int | None) -> Float64[torch.Tensor, "..."]:
    """Return `value` as a float64 tensor of labels, each -1 or +1."""
    tensor = vectors(argument, value, *shape)
    strangers = sorted(set(tensor[tensor.abs() != 1].tolist()))
    require(not strangers, argument, strangers[:5], "labels -1 or +1")
    return tensor


def mask(argument: str, value: object) -> Bool[np.ndarray, "..."]:
    """Return `value` as an array of True and False, for which 1 and 0 may stand too."""
    try:
        array = np.asarray(value)
    except ValueError:  # ragged
        array = np.empty(0, object)
    valid = array.dtype.kind == "b" or (array.dtype.kind in "iuf" and bool(np.all((array == 0) | (array == 1))))
    require(valid, argument, value, "a mask, an array of True and False")
    return array.astype(bool)


def broadcast(argument: str, value: np.ndarray, shape: tuple[int, ...], *, grow: bool = True) -> np.ndarray:
    """Return `value` if it broadcasts with `shape`; to exactly that shape if it may not `grow` beyond it."""
    try:
        found = np.broadcast_shapes(value.shape, shape)
    except ValueError:
        found = None
    require(found is not None and (grow or found == tuple(shape)), f"{argument}.shape", value.shape,
            f"such that it broadcasts {'with' if grow else 'to'} {tuple(shape)}")
    return value


def place(argument: str, value: int, count: int) -> int:
    """Return `value` if it counts one of `count` things from 0."""
    require(0 <= value < count, argument, value, f"an index from 0 to {count - 1}")
    return value


def sampled(argument: str, value: np.ndarray, minimum: int = 1) -> np.ndarray:
    """Return `value` if it has one axis with `minimum` numbers or more."""
    require(value.ndim == 1 and len(value) >= minimum, f"{argument}.shape", value.shape, f"(n,), n >= {minimum}")
    return value


def labels_like(argument: str, value: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Return `value`, a tensor on whatever device, if it has this shape and its entries are -1 or +1."""
    require(tuple(value.shape) == tuple(shape), f"{argument}.shape", tuple(value.shape), f"{tuple(shape)}")
    require(bool((value.abs() == 1).all()), argument, value, "labels -1 or +1")
    return value


def device(argument: str, value: object) -> torch.device:
    """Return `value` as a torch.device that this machine has: the CPU, or a CUDA device."""
    try:
        found = torch.device(value)
    except (RuntimeError, TypeError):
        found = None
    here = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    allowed = f"one of {', '.join(map(repr, here))}" + (" or 'cuda'" if len(here) > 1 else " on this machine")
    name = found and (f"cuda:{found.index or 0}" if found.type == "cuda" else found.type)
    require(name in here, argument, value, allowed)
    return found


def named_device(argument: str, value: torch.device | str) -> torch.device:
    """A device that is given by name has to be on this machine; one that was made already, such as "meta", is kept."""
    return device(argument, value) if isinstance(value, str) else value


def increasing(argument: str, value: object, last: int) -> Int64[np.ndarray, " T"]:
    """Return `value` as an int64 array of strictly increasing steps between 0 and `last`."""
    try:
        steps = np.asarray(value)
    except ValueError:  # ragged
        steps = np.empty(0)
    valid = steps.ndim == 1 and steps.size > 0 and np.issubdtype(steps.dtype, np.integer)
    valid = valid and steps[0] >= 0 and steps[-1] <= last and bool(np.all(np.diff(steps) > 0))
    require(valid, argument, value, f"strictly increasing integers in [0, {last}]")
    return steps.astype(np.int64)
