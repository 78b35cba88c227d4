"""Where and how a chapter runs: profile, device, versions."""

import hashlib
import os
import platform
import re
from importlib import metadata
from pathlib import Path

import torch

from helpers import checks

FOLDER = Path(__file__).parent  # of this package's source
PROFILE_VARIABLE = "SIGNAL_FIRST_PROFILE"
CHECKPOINTS_VARIABLE = "SIGNAL_FIRST_CHECKPOINTS"
# A forked process has torch's threads only in name and waits for them for ever. With one thread it needs no other; a
# pool of processes, one to a core, wants no more either.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def profile():
    """"quick" on a CPU and "full" on a GPU, unless the environment variable SIGNAL_FIRST_PROFILE says which."""
    chosen = os.environ.get(PROFILE_VARIABLE)
    if not chosen:
        return "full" if torch.cuda.is_available() else "quick"
    return checks.one_of(PROFILE_VARIABLE, chosen, ("quick", "full"))


def best_device():
    """"cuda" where there is one, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def cpu_name():
    """The CPU in words, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def provenance():
    """What made a result: profile, device in words, threads, versions, and a hash of this package's source."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else cpu_name()
    versions = {package: metadata.version(package) for package in ("torch", "numpy")}
    return {"profile": profile(), "device": name, "threads": torch.get_num_threads(),
            "python": platform.python_version(), **versions, "source": source_hash()}


def about_this_run():
    """`provenance` as a few short lines, for the top of a chapter."""
    made = provenance()
    return (f"{made['profile']} profile, {made['device']}, threads: {made['threads']}\n"
            f"Python {made['python']}, torch {made['torch']}, numpy {made['numpy']}, helpers {made['source']}")


def source_hash(module=None):
    """Twelve hex digits that change when any module of this package does.

    module : the name of a module, "training.loop" for helpers.training.loop: then only its source counts, and that of
        what it imports.
    """
    digest = hashlib.sha256()
    for path in sorted(FOLDER.rglob("*.py") if module is None else _reached(_file(module))):
        digest.update(path.relative_to(FOLDER).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _file(module):
    return FOLDER / f"{module.replace('.', '/')}.py"


def _reached(start):
    """The files of this package that `start` imports, directly or not, and itself."""
    found, queue = set(), [start]
    while queue:
        path = queue.pop()
        if path not in found:
            found.add(path)
            queue += _imported(path.read_text("utf-8"))
    return found


def _imported(text):
    """Files of this package named in import statements. By pattern: Python 3.11's `ast` fails in threads."""
    for package, names in re.findall(r"^\s*from helpers\b\.?([\w.]*) import (\([^)]*\)|.*)", text, re.MULTILINE):
        names = re.findall(r"\w+", re.sub(r"\bas \w+|#.*", "", names))
        for module in [package] if _file(package).exists() else [f"{package}.{name}".strip(".") for name in names]:
            # A name that a wing's __init__ offers may come from anywhere in the wing.
            yield from [_file(module)] if _file(module).exists() else (FOLDER / package.replace(".", "/")).rglob("*.py")
    yield from map(_file, re.findall(r"^\s*import helpers\.([\w.]+)", text, re.MULTILINE))
