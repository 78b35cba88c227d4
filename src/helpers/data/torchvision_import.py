"""torchvision beside a torch build that it was not compiled for, such as a CPU-only one.

torchvision declares shapes for compiled operators when it is imported, and stops with "operator torchvision::nms
does not exist" where its compiled library does not load. Data sets, transforms and classification models need none of
these operators, so their bare signatures are enough.
"""

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

import torch

OPERATORS = ("nms", "qnms")
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@cache
def import_torchvision() -> ModuleType:
    """Import torchvision and return the module; compiled operators and detection models may not work.

    Raises
    ------
    ImportError
        If there is no torchvision; it says what to install.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None:
        raise ImportError("torchvision is not installed: install the version that belongs to your torch")
    if not _compiled_library_loads(Path(spec.origin).parent):
        _declare_operators()
    return importlib.import_module("torchvision")


def _compiled_library_loads(package: Path) -> bool:
    """Whether torchvision's own operators can be had, by the same call that torchvision makes itself."""
    libraries = [path for pattern in ("_C.so", "_C.pyd", "_C.*.so") for path in package.glob(pattern)]
    try:
        for library in libraries:
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return bool(libraries)


def _declare_operators() -> None:
    """Declare those operators that torchvision looks for at import and nobody has defined."""
    missing = [name for name in OPERATORS if not hasattr(torch.ops.torchvision, name)]
    if missing:
        library = torch.library.Library("torchvision", "DEF")
        for name in missing:
            library.define(name + SIGNATURE)
        _declare_operators.library = library  # the operators go when the Library object does
