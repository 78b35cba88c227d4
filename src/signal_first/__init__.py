"""The library `helpers` under a second name, which says whose it is.

    from signal_first import fit
    from signal_first.data import load_folder

give the same objects as `helpers` and `helpers.data` do. Where a helpers.py of the reader's own is found before the
library, the import names that file.
"""

import importlib
import sys
from importlib import util
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

LIBRARY = Path(__file__).parents[1] / "helpers" / "__init__.py"


class _SameModules(MetaPathFinder, Loader):
    """Finds signal_first.x where helpers.x is, and gives that very module."""

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, rest = name.partition(".")
        real = rest and package == __name__ and util.find_spec(f"helpers.{rest}")
        return ModuleSpec(name, self, is_package=real.submodule_search_locations is not None) if real else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(f"helpers.{spec.name.partition('.')[2]}")
        spec.loader_state = module.__spec__  # the import system puts the new spec into the module
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = module.__spec__.loader_state


def _refuse_a_stranger() -> None:
    """ImportError where Python finds another `helpers` before that of this library."""
    loaded = sys.modules.get("helpers")
    if loaded is None:
        spec = util.find_spec("helpers")
        found = spec and (spec.origin or next(iter(spec.submodule_search_locations or ()), None))
    else:
        found = getattr(loaded, "__file__", None) or "a module without a file"
    if found is None or not LIBRARY.is_file():
        raise ImportError(f"signal_first is the library helpers, which is not at {LIBRARY}: install the package again")
    if Path(found).resolve() != LIBRARY.resolve():
        place = Path(found).parent if Path(found).name == "__init__.py" else Path(found)
        raise ImportError(f"{place} is in the way: the library behind signal_first is called helpers, too, and Python "
                          f"finds this one first. Give it another name, or start Python in another folder (the "
                          f"library: {LIBRARY.parent})")


_refuse_a_stranger()
if not any(type(finder).__name__ == _SameModules.__name__ for finder in sys.meta_path):
    sys.meta_path.insert(0, _SameModules())  # before the finder that would load a wing's modules a second time
_library = importlib.import_module("helpers")
__all__ = list(_library.__all__)


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_library, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
