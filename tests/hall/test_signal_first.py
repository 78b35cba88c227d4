"""The library under its other name: the same objects, and an error that names another `helpers` in the way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"


def run(code, folder):
    """What a fresh Python in `folder` prints for `code`, and its errors."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(SOURCE)})
    return done.stdout.split(), done.stderr


def test_both_names_give_the_same_objects(tmp_path):
    found, errors = run("""
from signal_first.data.images import LabelledImages
from signal_first.data import load_folder
from signal_first import fit
import signal_first.training, signal_first.checks, signal_first as book
import helpers, helpers.data, helpers.data.images, helpers.training.loop, helpers.checks
assert load_folder is helpers.data.load_folder and fit is helpers.fit is helpers.training.loop.fit
assert LabelledImages is helpers.data.images.LabelledImages and book.checks is helpers.checks
assert book.training is helpers.training and book.data.images is helpers.data.images and book.fit is fit
assert helpers.data.__spec__.name == helpers.data.__name__ == "helpers.data" and set(book.__all__) <= set(dir(book))
print("same")""", tmp_path)
    assert found == ["same"], errors


@pytest.mark.parametrize("code", ["import signal_first.nothing", "from signal_first import nothing",
                                  "import signal_first.data.nothing"])
def test_what_the_library_does_not_have_the_other_name_does_not_have(tmp_path, code):
    _, errors = run(code, tmp_path)
    assert errors.splitlines()[-1].startswith(("ModuleNotFoundError", "ImportError", "AttributeError"))
    assert "nothing" in errors.splitlines()[-1]


@pytest.mark.parametrize("place", ["helpers.py", "helpers/__init__.py"])
@pytest.mark.parametrize("before", ["", "import helpers; "])
def test_another_helpers_in_the_way_is_named_and_not_run(tmp_path, place, before):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("print('ran')")
    found, errors = run(before + "import signal_first", tmp_path)
    last = errors.splitlines()[-1]
    assert last.startswith("ImportError") and "is in the way" in last and "another name" in last
    assert str(tmp_path / "helpers") in last and found == (["ran"] if before else [])


def test_a_folder_helpers_without_python_files_is_not_in_the_way(tmp_path):
    (tmp_path / "helpers").mkdir()
    found, errors = run("from signal_first.streams import random_stream; print('fine')", tmp_path)
    assert found == ["fine"], errors
