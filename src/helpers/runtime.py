"""Where and how a chapter runs: profile, device, versions."""

import ast
import hashlib
import os
import platform
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import torch

from helpers import checks
from helpers.entry import entry

FOLDER = Path(__file__).parent  # of this package's source
PROFILE_VARIABLE = "SIGNAL_FIRST_PROFILE"
CHECKPOINTS_VARIABLE = "SIGNAL_FIRST_CHECKPOINTS"
IMPORT = re.compile(r"^\s*(?:from helpers\b\.?([\w.]*) import (\((?:[^)#]|#.*)*\)|.*)|import helpers\b\.?([\w.]*))",
                    re.MULTILINE)
NO_NAME = re.compile(r"\bas \w+|#.*")  # among imported names
# A forked process has torch's threads only in name and waits for them for ever. With one thread it needs no other; a
# pool of processes, one to a core, wants no more either.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def profile() -> str:
    """"quick", unless the environment variable SIGNAL_FIRST_PROFILE says "full"."""
    return checks.one_of(PROFILE_VARIABLE, os.environ.get(PROFILE_VARIABLE) or "quick", ("quick", "full"))


def best_device() -> str:
    """"cuda" where there is one, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def cpu_name() -> str:
    """The CPU in words, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def provenance() -> dict[str, str | int]:
    """What made a result: profile, device in words, threads, versions, and a hash of this package's source."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else cpu_name()
    versions = {package: metadata.version(package) for package in ("torch", "numpy")}
    return {"profile": profile(), "device": name, "threads": torch.get_num_threads(),
            "python": platform.python_version(), **versions, "source": source_hash()}


def about_this_run() -> str:
    """`provenance` as a few short lines, for the top of a chapter."""
    made = provenance()
    return (f"{made['profile']} profile, {made['device']}, threads: {made['threads']}\n"
            f"Python {made['python']}, torch {made['torch']}, numpy {made['numpy']}, helpers {made['source']}")


@entry
def source_hash(module: str | None = None) -> str:
    """Twelve hex digits that change when any module of this package does, or one module and what it imports.

    Parameters
    ----------
    module
        the name of a module, "training.loop" for helpers.training.loop: then only its source counts, and that of the
        modules which it imports, directly or not. Of a name that is imported from a wing, not from its module (`from
        helpers.data import SignalNoise`), all modules of the wing count.
    """
    _require_module(module)
    digest = hashlib.sha256()
    for path in sorted(FOLDER.rglob("*.py") if module is None else _reached(module)):
        digest.update(path.relative_to(FOLDER).as_posix().encode() + path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:12]


@entry
def code_fingerprints(module: str | None) -> dict[str, str]:
    """Twelve hex digits of the code of `module` and of each module of this package that it imports, directly or not.

    None stands for all modules.

    They change with what the code does, not with comments, docstrings, layout or the version of Python.
    """
    _require_module(module)
    return {".".join(path.relative_to(FOLDER).with_suffix("").parts): _fingerprint(path.read_text("utf-8"))
            for path in sorted(FOLDER.rglob("*.py") if module is None else _reached(module))}


@entry
def is_module(name: str) -> bool:
    """Whether this package has a module or a wing of that name."""
    path = FOLDER.joinpath(*name.split("."))
    return name != "" and (path.with_suffix(".py").is_file() or path.is_dir())


def _require_module(module: str | None) -> None:
    there = module is None or is_module(module)
    checks.require(there, "module", module, "the name of a module of this package, such as 'training.loop'")


def _fingerprint(source: str) -> str:
    return hashlib.sha256(repr(_outline(ast.parse(source))).encode()).hexdigest()[:12]


def _outline(node: object) -> object:
    """A syntax tree as nested tuples, without docstrings and empty parts, in which versions of Python differ."""
    if isinstance(node, list):
        return tuple(_outline(part) for part in node)
    if not isinstance(node, ast.AST):
        return type(node).__name__, repr(node)
    parts = dict(ast.iter_fields(node))
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False):
        parts["body"] = parts["body"][1:]
    return type(node).__name__, *((name, _outline(part)) for name, part in parts.items() if part not in (None, []))


def _reached(module: str) -> set[Path]:
    """The file of `module`, and those of this package that it imports, directly or not."""
    found, queue = set(), _files(module)
    while queue:
        path = queue.pop()
        if path not in found:
            found.add(path)
            queue += [file for name in _imported(path.read_text("utf-8")) for file in _files(name)]
    return found


def _imported(text: str) -> Iterator[str]:
    """Dotted names of this package in import statements. By pattern: Python 3.11's `ast` fails in threads."""
    for package, names, whole in IMPORT.findall(text):
        yield from [f"{package}.{name}".strip(".") for name in re.findall(r"\w+", NO_NAME.sub("", names))] or [whole]


def _files(name: str) -> list[Path]:
    """The file of a module, or that of the module which defines a name; where only a wing is known, all its files."""
    path = FOLDER.joinpath(*name.split("."))
    for file in (path, path.parent):
        if file.with_suffix(".py").is_file():
            return [file.with_suffix(".py")]
    return list((path if path.is_dir() else path.parent).rglob("*.py"))
