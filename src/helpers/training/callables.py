"""Losses, optimizers and augmentations of other people's making: called as `Recipe` says, and told apart.

`describe` puts a function or an object into words that change when what it does changes, as far as can be seen. They
stand in a Record, and a checkpoint made with other ones is refused.
"""

import copy
import dataclasses
import hashlib
import inspect
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from helpers import checks
from helpers.training.losses import Loss, Outputs, loss_logits

CALL = "loss(logits, labels), with logits (batch, K) and labels (batch,) in int64"
NAMED = ("index", "step")
LIBRARIES = {"torch", "torchvision", "numpy", "builtins", "functools", "abc", "typing", "dataclasses", "helpers"}


class OwnLoss(Loss):
    """A function or module (logits, labels) -> loss in the shape that `fit` asks for.

    Parameters
    ----------
    function
        as of `Recipe.loss`. It is copied, so that what one run leaves in it is not in the next.
    """

    def __init__(self, function: Callable[..., torch.Tensor]):
        super().__init__()
        self.function, self.step, self.named = copy.deepcopy(function), 0, check_loss(function)
        if isinstance(self.function, nn.Module):
            self.function.train()

    def forward(self, outputs: Outputs, labels: Int[torch.Tensor, " batch"], index: Int[torch.Tensor, " batch"]
                ) -> Float[torch.Tensor, ""]:
        """The mean loss; ValueError if the function fails or returns anything else."""
        given = {name: value for name, value in (("index", index), ("step", self.step)) if name in self.named}
        try:
            value = self.function(loss_logits(outputs), labels, **given)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise ValueError(f"recipe.loss={_short(self.function)}: must be a function called as {CALL}. It raised "
                             f"{type(error).__name__}: {error}") from error
        return self._mean(value, len(labels))

    def _mean(self, value: object, batch: int) -> Float[torch.Tensor, ""]:
        is_tensor = torch.is_tensor(value)
        found = f"a tensor of shape {tuple(value.shape)}" if is_tensor else type(value).__name__
        fits = is_tensor and tuple(value.shape) in ((), (batch,))
        checks.require(fits, "recipe.loss", f"<a function that returned {found}>",
                       f"one that returns a single number or one per sample, {batch} of them")
        checks.require(value.requires_grad, "recipe.loss", "<a function whose value does not depend on the logits>",
                       f"one that can be differentiated, called as {CALL}")
        return value.mean()

    def after_step(self, model: nn.Module) -> None:
        """Count the steps."""
        self.step += 1

    def get_extra_state(self) -> dict:
        """The count of steps, for checkpoints."""
        return {"step": self.step}

    def set_extra_state(self, state: dict) -> None:
        """Take up a count of steps."""
        self.step = state["step"]


def check_loss(function: object) -> tuple[str, ...]:
    """The names, of `index` and `step`, by which a loss of one's own asks for more. ValueError if it is none."""
    checks.require(callable(function) and not isinstance(function, type), "loss", function,
                   "CrossEntropy(), FreshFlipsLoss(...), ELRLoss(...), ELRPlus(...), or a function or torch module "
                   f"(an instance, not the class) called as {CALL}")
    if isinstance(function, nn.Module):
        trained = [name for name, value in function.named_parameters() if value.requires_grad]
        checks.require(not trained, "loss", f"<one with the parameters {', '.join(trained)}>",
                       "one without parameters that are trained: no optimizer would change them; register buffers")
    try:
        signature = inspect.signature(function.forward if isinstance(function, nn.Module) else function)
    except (TypeError, ValueError):  # a builtin that does not say
        return ()
    given = getattr(function, "keywords", {}) if isinstance(function, partial) else {}
    named = tuple(name for name in NAMED if name in signature.parameters and name not in given)
    try:
        signature.bind(None, None, **dict.fromkeys(named))
    except TypeError as error:
        raise ValueError(f"loss={_short(function)}: must be called as {CALL}, and by name index and step if it has "
                         f"such parameters; {error}") from error
    return named


def describe(thing: object) -> str:
    """A function, module or object in words that change with what decides its values, as far as can be seen.

    Seen are: qualified names; the byte code of functions and of the methods of classes that are no library's, with
    defaults and enclosed variables; the arguments of functools.partial; fields and attributes, with the content of
    arrays and of buffers. Not seen are global variables, files and other functions that a function reads, and the code
    of libraries (a Record keeps torch's version).
    """
    return _describe(thing, ())


def _describe(thing: object, above: tuple[int, ...]) -> str:
    if id(thing) in above or len(above) > 20:
        return "..."
    inside = lambda part: _describe(part, (*above, id(thing)))  # noqa: E731
    if thing is None or isinstance(thing, (bool, int, float, complex, str, bytes, np.generic, torch.dtype)):
        return repr(thing)
    if isinstance(thing, (torch.Tensor, np.ndarray)):
        return _describe_array(thing)
    if isinstance(thing, (list, tuple)):
        return f"({', '.join(map(inside, thing))})"
    if isinstance(thing, (set, frozenset)):
        return f"{{{', '.join(sorted(map(inside, thing)))}}}"
    if isinstance(thing, dict):
        return f"{{{', '.join(f'{inside(key)}: {inside(value)}' for key, value in thing.items())}}}"
    if isinstance(thing, partial):
        return f"partial({', '.join(map(inside, (thing.func, *thing.args)))}{_named(thing.keywords, inside)})"
    if isinstance(thing, MethodType):
        return f"{inside(thing.__self__)}.{inside(thing.__func__)}"
    if isinstance(thing, FunctionType):
        return _describe_function(thing, inside)
    if isinstance(thing, (type, BuiltinFunctionType)):
        return _named_thing(thing) + (_methods(thing) if isinstance(thing, type) else "")
    return _describe_object(thing, inside)


def _describe_array(array: torch.Tensor | np.ndarray) -> str:
    values = array.detach().cpu() if torch.is_tensor(array) else array
    values = values.float().numpy() if torch.is_tensor(values) and values.dtype == torch.bfloat16 else np.asarray(
        values)
    content = repr(values.tolist()) if values.dtype == object else np.ascontiguousarray(values).tobytes()
    return f"<{array.dtype} {tuple(array.shape)} {_digest(content)}>"


def _describe_function(function: FunctionType, inside: Callable[[object], str]) -> str:
    if function.__module__.partition(".")[0] in LIBRARIES - {"helpers"}:
        return _named_thing(function)
    enclosed = {name: _content(cell) for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ())}
    own = {"defaults": function.__defaults__, "named": function.__kwdefaults__, "enclosed": enclosed}
    values = "".join(f"; {name} {inside(value)}" for name, value in own.items() if value)
    return f"{_named_thing(function)}[{_digest(_code(function.__code__))}{values}]"


def _content(cell: object) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None


def _describe_object(thing: object, inside: Callable[[object], str]) -> str:
    kind, values = type(thing), dict(getattr(thing, "__dict__", {}))
    if dataclasses.is_dataclass(thing):
        values |= {one.name: getattr(thing, one.name) for one in dataclasses.fields(thing)}
    if isinstance(thing, nn.Module):  # underscored are torch's own; `training` is set by the loop
        values = {name: value for name, value in values.items() if not name.startswith("_") and name != "training"}
        values |= dict(thing.named_children()) | dict(thing.named_buffers(recurse=False))
    return f"{_named_thing(kind)}{_methods(kind)}({_named(values, inside).removeprefix(', ')})"


def _named(values: dict, inside: Callable[[object], str]) -> str:
    return "".join(f", {name}={inside(value)}" for name, value in values.items())


def _named_thing(thing: object) -> str:
    return f"{getattr(thing, '__module__', None)}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"


def _methods(kind: type) -> str:
    """Of a class that is no library's, a digest of its methods, inherited ones too."""
    codes = [_code(value.__code__) for one in kind.__mro__ if one.__module__.partition(".")[0] not in LIBRARIES
             for _, value in sorted(vars(one).items()) if isinstance(value, FunctionType)]
    return f"[{_digest(repr(codes))}]" if codes else ""


def _code(code: CodeType) -> str:
    constants = [_code(one) if isinstance(one, CodeType) else sorted(map(repr, one)) if isinstance(one, frozenset)
                 else repr(one) for one in code.co_consts]
    return repr((code.co_code.hex(), constants, code.co_names, code.co_varnames))


def _digest(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:12]


def _short(function: object) -> str:
    return f"<{getattr(function, '__qualname__', None) or type(function).__qualname__}>"
