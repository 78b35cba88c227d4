"""torchvision beside a torch of another build, and where there is none."""

import subprocess
import sys

import pytest

from helpers.data import torchvision_import


def test_torchvision_is_imported_by_its_users_only_and_then_works_beside_this_torch():
    """In a fresh interpreter: a chapter on digits must run where there is no torchvision and no pooch.

    The trick must come before torchvision's first import.
    """
    code = """
import sys, torch, helpers.data.datasets, helpers.training.loop, helpers.data.images
from helpers.data.torchvision_import import import_torchvision as get
helpers.data.datasets.load_digit_classes()
assert not {"torchvision", "pooch"} & set(sys.modules)
t = get()
assert get() is t
print(t.datasets.CIFAR10.__name__, tuple(t.models.vgg11(num_classes=1)(torch.zeros(1, 3, 32, 32)).shape))"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["CIFAR10", "(1,", "1)"], done.stderr


def test_operators_are_declared_only_where_the_compiled_library_does_not_load(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(torchvision_import, "_declare_operators", lambda: calls.append("declared"))
    monkeypatch.setattr(torchvision_import.torch.ops, "load_library", lambda path: calls.append(path))
    (tmp_path / "_C.so").touch()
    assert torchvision_import._compiled_library_loads(tmp_path) and calls == [str(tmp_path / "_C.so")]

    def refuse(path):
        raise OSError("built for another torch")

    monkeypatch.setattr(torchvision_import.torch.ops, "load_library", refuse)
    assert not torchvision_import._compiled_library_loads(tmp_path)
    for loads, expected in ((True, []), (False, ["declared"])):
        calls.clear()
        monkeypatch.setattr(torchvision_import, "_compiled_library_loads", lambda package, loads=loads: loads)
        torchvision_import.import_torchvision.__wrapped__()
        assert calls == expected


def test_without_torchvision_the_error_says_so(monkeypatch):
    monkeypatch.setattr(torchvision_import.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="torchvision is not installed"):
        torchvision_import.import_torchvision.__wrapped__()
