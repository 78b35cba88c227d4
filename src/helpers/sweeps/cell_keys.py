"""The key of a cell in a store: it changes with whatever the numbers of the cell may depend on."""

import dataclasses
import dis
import hashlib
import importlib
import inspect
import json
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType

import numpy as np

from helpers import checks
from helpers.entry import behind
from helpers.runtime import FOLDER, source_hash
from helpers.sweeps.store import FORMAT, Cell

PLAIN = "None, a bool, int, float, str, path or numpy scalar, a list or tuple of such, or a frozen dataclass of such"
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))


def store_keys(function: Callable, cells: Sequence[Cell]) -> list[str]:
    """The store's key of each cell: 32 hex digits of the function, the arguments and source of this package.

    Of this package the whole source counts; for a function of this package only its module's source, and that of the
    modules which that one imports, directly or not (see `source_hash`).

    The function itself counts with its name, its source, its bytecode (so another version of Python computes anew), its
    defaults and the variables around it; of a decorated one both the wrapper and what it wraps. Of what it reads, in
    its own module or in others that are not installed, plain values, arrays, functions, partials, bound methods and
    classes count likewise, and of a module the attributes that it uses. Installed packages do not count.

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
    found = {}
    while queue:
        current = queue.pop(0)
        if current in found:
            continue
        data = {}
        for name, value in sorted(_surroundings(current).items()):
            functions, data[name] = _reached(f"function, which reads {name}", value)
            queue += [one for one in functions if _is_own(one.__code__.co_filename)]
        found[current] = [current.__module__, current.__qualname__, _source(current), data]
    return list(found.values())


def _is_own(file: str | None) -> bool:
    """Whether code of this file is the user's: not installed, not of this package, and not made up by a library."""
    if not file or file.startswith("<"):
        return bool(file) and file.startswith(("<ipython", "<stdin"))
    path = Path(file)
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    return not installed and not any(path.is_relative_to(folder) for folder in (STANDARD_LIBRARY, FOLDER))


def _is_own_module(name: str | None) -> bool:
    return name == "__main__" or _is_own(getattr(sys.modules.get(name), "__file__", None))


def _reached(name: str, value: object) -> tuple[list[FunctionType], object]:
    """The plain functions in what a function reads, those of an object's class too, and the data in it."""
    if isinstance(value, (ModuleType, BuiltinFunctionType)):
        return [], None
    if isinstance(value, type):
        return _in_class(value)
    if callable(value):
        return _parts(name, value)
    methods, around = _in_class(type(value))
    return methods, [_data(name, value), around]


def _in_class(kind: type) -> tuple[list[FunctionType], object]:
    """The methods of a class and of those that it is made from, and its plain attributes."""
    functions, around = [], []
    for one in kind.__mro__:
        if not _is_own_module(one.__module__):
            continue
        for key, value in vars(one).items():
            value = getattr(value, "fget", getattr(value, "__func__", value))  # of a property, of a class method
            if isinstance(value, FunctionType):
                functions += [layer for layer in _layers(value) if isinstance(layer, FunctionType)]
            elif not key.startswith("__"):
                with suppress(ValueError):  # what has no stable key, such as a field's descriptor
                    around.append([one.__qualname__, key, _data(key, value)])
    return functions, around


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
    found = {name: known[name] for name in loads & known.keys()} | closure | defaults
    if known:
        found |= {f"import {name}": module for name, module in _imported(function).items()}
    for name, value in list(found.items()):
        found |= _attributes(name, value, {name for code in _codes(function.__code__) for name in code.co_names})
    return found


def _imported(function: FunctionType) -> dict[str, ModuleType]:
    """The modules that a function imports when it runs."""
    found, package = {}, function.__globals__.get("__package__") or ""
    for code in _codes(function.__code__):
        steps = list(dis.get_instructions(code))
        for k, step in enumerate(steps):
            if step.opname == "IMPORT_NAME":
                name = "." * steps[k - 2].argval + step.argval
                with suppress(ImportError):  # then the function will say so
                    found[name] = importlib.import_module(name, package)
    return found


def _attributes(name: str, value: object, used: set[str]) -> dict[str, object]:
    """Of a user's module, the attributes whose names a function uses, by what it may call them."""
    if not isinstance(value, ModuleType) or not _is_own_module(value.__name__):
        return {}
    found = {f"{name}.{key}": vars(value)[key] for key in used & vars(value).keys()}
    for key, inner in list(found.items()):
        found |= _attributes(key, inner, used - {key.rpartition(".")[2]})
    return found


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
    """Source text and bytecode: two lambdas may share a line, and a file may have been edited since it was imported."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError) as error:
        raise ValueError(f"function={function!r}: must be one whose source can be read, "
                         "since a store is given") from error
    return source + repr([(code.co_code.hex(), code.co_names, _constant(code.co_consts))
                          for code in _codes(function.__code__)])


def _constant(value: object) -> str:
    """A constant of bytecode in words: sets in an order of their own, and code left to `_codes`."""
    if isinstance(value, (tuple, frozenset)):
        inner = [_constant(one) for one in value]
        return repr(inner if isinstance(value, tuple) else ("set", sorted(inner)))
    return "code" if isinstance(value, CodeType) else repr(value)
