"""The store of a sweep: files that are damaged, functions without a stable key."""

import json
import os
from functools import partial

import numpy as np
import pytest
from cells import one, same

from helpers.sweeps.cell_keys import store_keys
from helpers.sweeps.grid import sweep
from helpers.sweeps.store import StoreFileError, load_from_store, save_in_store

DAMAGE = {"truncated": lambda text: text[:-7], "empty": lambda text: "", "zeros": lambda text: "\0" * len(text),
          "another cell's": lambda text: json.dumps(json.loads(text) | {"key": "0" * 32}),
          "another format": lambda text: json.dumps(json.loads(text) | {"format": "signal-first sweep 0"}),
          "no rows": lambda text: text.replace("rows", "lines"), "a list": lambda text: "[1, 2]",
          "not rows": lambda text: json.dumps(json.loads(text) | {"rows": [1.0]}),
          "binary": lambda text: "\udcff\udcfe"}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_store_file_is_refused_or_recomputed(tmp_path, damage):
    expected = sweep(one, {"x": [1, 2]}, store=tmp_path)
    path = tmp_path / f"{store_keys(one, [{'x': 2}])[0]}.json"
    whole = path.read_text()
    path.write_text(DAMAGE[damage](whole), errors="surrogateescape")
    with pytest.raises(StoreFileError, match=rf"{path.name}.*must be the whole.*Delete it, or .*damaged='recompute'"):
        sweep(one, {"x": [1, 2]}, store=tmp_path)
    same(sweep(one, {"x": [1, 2]}, store=tmp_path, damaged="recompute"), expected)
    assert path.read_text() == whole


def test_other_files_in_the_store_are_left_alone(tmp_path):
    (tmp_path / "notes.json").write_text("not a cell")
    assert len(sweep(one, {"x": [1]}, store=tmp_path)) == 1
    assert (tmp_path / "notes.json").read_text() == "not a cell"


def test_what_a_killed_sweep_left_half_written_is_swept_up(tmp_path):
    left = tmp_path / f".key.json.{'0' * 32}"
    left.write_text("{")
    os.utime(left, (0, 0))
    sweep(one, {"x": [1]}, store=tmp_path)
    assert not left.exists() and len(list(tmp_path.iterdir())) == 1


class Callable:
    def __call__(self, exp):
        return exp


def test_store_needs_a_function_with_a_stable_key(tmp_path):
    generator = np.random.default_rng(0)
    for function in (partial(pow, 2), lambda exp: generator.normal(), Callable()):
        with pytest.raises(ValueError, match=r"^function"):
            sweep(function, {"exp": [4]}, store=tmp_path)


def test_store_file_is_plain_json(tmp_path):
    path = tmp_path / "key.json"
    save_in_store(path, [{"a": 0.1}])
    assert json.loads(path.read_text())["rows"] == [{"a": 0.1}]
    assert load_from_store(path, "error") == [{"a": 0.1}]
    assert load_from_store(tmp_path / "absent.json", "error") is None
