"""The public entries, found by inspection: functions, constructors and methods that take arguments.

An entry's name is that of the function or class, or "Class.method".
"""

import importlib
import inspect
import typing
from pathlib import Path

import helpers

SOURCE = Path(helpers.__file__).parent
# Entries that are not called with bad values, with the reason.
LEFT_OUT = {
    **dict.fromkeys(("Dropout.forward", "ModelPair.forward", "PreActResNet.forward", "SmallCNN.forward",
                     "ImageBatches.batch", "Loss.of_model", "Loss.after_step", "Loss.tested"),
                    "is called for each batch, in a training loop, on what fit has checked"),
    "TensorBoardLog.begin": "needs TensorBoard, which need not be installed", "Loss": "is abstract",
    "AttributionScore.forward": "is called by torch, on what attribution_maps has checked",
    "TwoLayerCNN.output": "is for a training loop, on patches that forward has checked",
    "LabelledData": "is abstract", "MatrixNoise.transition_matrix": "is abstract",
    "Engine": "is abstract", "Engine.advance": "is abstract", "EngineDiverged": "is an error, made by the engine",
    "RecordFileError": "is an error, made by Record.load", "StoreFileError": "is an error, made by sweep",
    "SweepError": "is an error, made by sweep", "entry": "makes entries", "behind": "looks behind them"}


def modules(folder):
    return [".".join(path.relative_to(SOURCE.parent).with_suffix("").parts) for path in sorted(folder.glob("*.py"))
            if path.stem != "__init__"]


def contents(wing):
    """{name: value} of what a wing offers; of the hall, the functions and classes of its modules but for checks."""
    if wing != "hall":
        package = importlib.import_module(f"helpers.{wing}")
        return {name: getattr(package, name) for name in package.__all__}
    return {name: value for module in map(importlib.import_module, modules(SOURCE)) for name, value in
            vars(module).items() if not name.startswith("_") and module.__name__ != "helpers.checks"
            and getattr(value, "__module__", "") == module.__name__}


def entries(wing):
    """{name: function or class} of the entries of a wing, those left out among them."""
    found = {}
    for name, value in contents(wing).items():
        if inspect.isclass(value):
            if arguments(value):
                found[name] = value
            found |= {f"{name}.{key}": method for key, method in methods(value) if arguments(method)}
        elif inspect.isfunction(value) and arguments(value):
            found[name] = value
    return found


def methods(kind):
    for key, member in vars(kind).items():
        function = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        own = inspect.isfunction(function) and function.__qualname__ == f"{kind.__qualname__}.{key}"
        if own and not key.startswith("_") and inspect.unwrap(function).__module__ == kind.__module__:
            yield key, function


def arguments(function):
    """{name: hint} of what can be given, without `self`, and without **options, which have no names of their own."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # an exception's
        return {}
    target = inspect.unwrap(function.__init__ if inspect.isclass(function) else function)
    hints = typing.get_type_hints(target)
    return {one.name: hints.get(one.name, object) for one in parameters
            if one.name not in ("self", "cls") and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}


def is_result(value):
    """Whether a class only holds what a function found, and no reader makes one: a named tuple, data without checks."""
    if not inspect.isclass(value):
        return False
    checks = hasattr(value, "__post_init__") or hasattr(value.__init__, "__wrapped__")
    return hasattr(value, "_fields") or (hasattr(value, "__dataclass_fields__") and not checks)
