"""Where a sweep keeps its finished cells: the key of a cell, and one small JSON file for each."""

import dataclasses
import dis
import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from os import PathLike
from pathlib import Path, PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType

import numpy as np

from helpers import checks
from helpers.entry import behind, entry
from helpers.files import write_atomically
from helpers.runtime import source_hash

FORMAT = "signal-first sweep 2"
PLAIN = "None, a bool, int, float, str, path or numpy scalar, a list or tuple of such, or a frozen dataclass of such"
Cell = dict[str, object]  # the arguments of one call, by name
Scalar = bool | int | float | str | None
Row = dict[str, Scalar]  # a part of what the call returns


class StoreFileError(ValueError):
    """A file in the store that is not the whole, readable result of its cell."""


def store_keys(function: Callable, cells: Sequence[Cell]) -> list[str]:
    """The store's key of each cell: 32 hex digits of the function, the arguments and source of this package.

    Of this package the whole source counts; for a function of this package only its module's source, and that of the
    modules which that one imports, directly or not (see `source_hash`).

    The function itself counts with its name, its source, its defaults and the variables around it; of a decorated one
    both the wrapper and what it wraps. For a function from elsewhere also what it reads from its own module counts:
    plain values, arrays, and functions, which count likewise, as do partials and bound methods of plain objects.
    Classes, and modules other than those of this package, do not count.

    Raises
    ------
    ValueError
        If a source cannot be had, or the function reads data that has no stable key.
    """
    package, _, module = getattr(inspect.unwrap(function), "__module__", "").partition(".")
    shared = [FORMAT, source_hash((module or None) if package == "helpers" else None), _identity(function)]
    keys = [json.dumps([shared, {name: plain_for_store(name, value) for name, value in cell.items()}], sort_keys=True)
            for cell in cells]
    return [hashlib.sha256(key.encode()).hexdigest()[:32] for key in keys]


def plain_for_store(name: str, value: object) -> object:
    """`value` as JSON that tells its type, so that 1, 1.0, True and "1" differ. The argument's `name` is for errors."""
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) in (type(None), bool, int, float, str):
        return value
    if type(value) is list:
        return [plain_for_store(name, item) for item in value]
    if type(value) is tuple:
        return {"tuple": [plain_for_store(name, item) for item in value]}
    if isinstance(value, PurePath):
        return {"path": str(value)}
    frozen = dataclasses.is_dataclass(value) and not isinstance(value, type) and value.__dataclass_params__.frozen
    checks.require(frozen, name, value, PLAIN)
    attributes = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    attributes |= getattr(value, "__dict__", {})  # also what is not a field, e.g. which of several forms was given
    kind = type(value)
    return {f"{kind.__module__}.{kind.__qualname__}": {k: plain_for_store(name, v) for k, v in attributes.items()}}


def _identity(function: Callable) -> list:
    """Names, sources and surroundings of the function and of those that it reaches outside installed code, in order."""
    queue = _layers(function)
    plain_ones = all(isinstance(layer, FunctionType) for layer in queue)
    checks.require(plain_ones, "function", function, "a plain function, since a store is given")
    found, modules = {}, {layer.__module__ for layer in queue}
    while queue:
        current = queue.pop(0)
        if current in found:
            continue
        data = {}
        for name, value in sorted(_surroundings(current).items()):
            if isinstance(value, (type, ModuleType, BuiltinFunctionType)):
                continue
            if callable(value):
                functions, around = _parts(f"function, which reads {name}", value)
                queue += [one for one in functions if one.__module__ in modules]
                data |= {f"{name}, {k}": part for k, part in enumerate(around)}
            else:
                data[name] = _data(f"function, which reads {name}", value)
        found[current] = [current.__module__, current.__qualname__, _source(current), data]
    return list(found.values())


def _layers(function: Callable) -> list[Callable]:
    """A decorated function: the wrapper, and what it wraps; the check of its arguments by `entry` is none."""
    layers = [behind(function)]
    while hasattr(layers[-1], "__wrapped__"):
        layers.append(behind(layers[-1].__wrapped__))
    return layers


def _parts(name: str, value: Callable) -> tuple[list[FunctionType], list]:
    """The plain functions in something callable, and the data that it holds beside them."""
    if isinstance(value, partial):
        functions, around = _parts(name, value.func)
        return functions, [*around, _data(name, list(value.args)), _data(name, sorted(value.keywords.items()))]
    if isinstance(value, MethodType):
        functions, around = _parts(name, value.__func__)
        return functions, around if isinstance(value.__self__, type) else [*around, _data(name, value.__self__)]
    layers = _layers(value)
    checks.require(all(isinstance(one, FunctionType) or not hasattr(one, "__dict__") for one in layers), name, value,
                   "a function, a class or plain data: another object that can be called has no stable key")
    return [one for one in layers if isinstance(one, FunctionType)], []


def _surroundings(function: FunctionType) -> dict[str, object]:
    """Closure, defaults and globals that a function reads, by name; no globals of `helpers`, whose source counts."""
    parameters = inspect.signature(function).parameters.items()
    defaults = {name: parameter.default for name, parameter in parameters if parameter.default is not parameter.empty}
    closure = dict(zip(function.__code__.co_freevars, (cell.cell_contents for cell in function.__closure__ or ())))
    loads = {step.argval for code in _codes(function.__code__) for step in dis.get_instructions(code)
             if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    known = {} if function.__module__.startswith("helpers.") else function.__globals__
    return {name: known[name] for name in loads & known.keys()} | closure | defaults


def _data(name: str, value: object) -> object:
    """Like `plain_for_store`, for what a function reads: dicts and arrays have keys too."""
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, np.ndarray) and value.dtype != object:
        value = [value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    return plain_for_store(name, value)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and those inside it, e.g. of comprehensions and inner functions."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _source(function: FunctionType) -> str:
    """Source text; for a lambda also its bytecode, since the source has whole lines and two may share one."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError) as error:
        raise ValueError(f"function={function!r}: must be one whose source can be read, "
                         "since a store is given") from error
    if function.__name__ == "<lambda>":
        codes = _codes(function.__code__)
        source += repr([(code.co_code.hex(), code.co_names, [c for c in code.co_consts if not isinstance(c, CodeType)])
                        for code in codes])
    return source


def save_in_store(path: Path, rows: list[Row]) -> None:
    """Write the rows of a cell to `path`, whose stem is the cell's key."""
    content = {"format": FORMAT, "key": path.stem, "rows": rows}
    write_atomically(path, json.dumps(content | {"sha256": _checksum(rows)}).encode())


def _checksum(rows: list[Row]) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def load_from_store(path: Path, damaged: str) -> list[Row] | None:
    """Rows of a stored cell, or None where it must be computed. JSON writes a float as repr does: exactly.

    A file that is not whole, or not this cell's, raises StoreFileError; with damaged="recompute" it counts as absent.
    """
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT or content["key"] != path.stem:
            raise ValueError("another format, or another cell's")
        if content["sha256"] != _checksum(content["rows"]):
            raise ValueError("the rows do not have their checksum")
        return [dict(row) for row in content["rows"]]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        if damaged == "recompute":
            return None
        raise StoreFileError(f"store file {str(path)!r}: must be the whole result of its cell; {type(error).__name__}: "
                             f"{error}. Delete it, or call sweep with damaged='recompute'") from error


@entry
def stored_cells(store: str | PathLike) -> int:
    """How many finished cells a store holds."""
    return sum(1 for _ in checks.path("store", store).rglob("*.json"))
