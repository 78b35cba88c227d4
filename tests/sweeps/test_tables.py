"""Recorded tables: the script that records them, how they are read, and how they were made."""

import dataclasses
import hashlib
import inspect
import itertools
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import record as recorder
from hypothesis import given, strategies as st

from helpers.data.datasets import load_digits
from helpers.experiments.phase_diagram import phase_cell
from helpers.runtime import CHECKPOINTS_VARIABLE, _fingerprint
from helpers.sweeps import tables
from helpers.sweeps.grid import sweep
from helpers.sweeps.tables import Table, TablePlan, load_table
from helpers.training import checkpoints
from helpers.training.loop import fit
from helpers.training.models import SmallCNN
from helpers.training.recipe import Recipe

SMALL = {"n": 20, "m": 3, "runs": 2, "s_end": 1.0}


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """One recording of four small cells, and the temporary folder that keeps it."""
    grid = {"flip_rate": [0.2], "n_snr2": [1.0, 4.0], "d_over_n": [5, 50]} | {k: [value] for k, value in SMALL.items()}
    monkeypatch.setattr(recorder, "TABLES", {"tiny": TablePlan(phase_cell, grid, "four cells")})
    return keep_in(tmp_path, monkeypatch)


def keep_in(folder, monkeypatch):
    monkeypatch.setattr(recorder, "RESULTS", folder / "results")
    monkeypatch.setattr(recorder, "STORE", folder / "store")
    return folder


def made(folder):
    return json.loads((folder / "results" / "tiny.json").read_text("utf-8"))


def test_recording_writes_the_sweep_and_how_it_was_made(tiny, capsys):
    folder = tiny
    assert recorder.main(["--check"]) == 1
    assert "missing" in capsys.readouterr().out and not (folder / "results").exists()
    assert recorder.main([]) == 0
    table = pd.read_csv(folder / "results" / "tiny.csv")
    expected = sweep(phase_cell, recorder.TABLES["tiny"].grid)
    pd.testing.assert_frame_equal(table, expected, rtol=10.0 ** (1 - tables.DIGITS), check_dtype=False)
    assert made(folder)["rows"] == made(folder)["cells_computed"] == 4 and made(folder)["cells_from_store"] == 0
    assert recorder.main(["--check"]) == 0 and "up to date" in capsys.readouterr().out
    before = (folder / "results" / "tiny.json").read_text()
    assert recorder.main([]) == 0  # nothing to do
    assert (folder / "results" / "tiny.json").read_text() == before


def test_recording_resumes_from_its_store(tiny):
    folder = tiny
    recording = recorder.TABLES["tiny"]
    sweep(phase_cell, recording.grid | {"n_snr2": [4.0]}, store=folder / "store" / "tiny")  # all that had finished
    recorder.main([])
    assert (made(folder)["cells_computed"], made(folder)["cells_from_store"]) == (2, 2)
    recorder.main(["--force"])
    assert (made(folder)["cells_computed"], made(folder)["cells_from_store"]) == (0, 4)


def test_recording_with_a_process_pool_gives_the_same_table(tiny, monkeypatch):
    folder = tiny
    recorder.main([])
    alone = (folder / "results" / "tiny.csv").read_bytes()
    pool = keep_in(folder / "pool", monkeypatch)
    assert recorder.main(["--workers", "2"]) == 0
    assert (pool / "results" / "tiny.csv").read_bytes() == alone and made(pool)["workers"] == 2


def test_recording_notices_what_is_out_of_date(tiny, monkeypatch):
    folder = tiny
    recorder.main([])
    recording, results = recorder.TABLES["tiny"], folder / "results"
    assert recorder.table_fault("tiny", recording, results) is None
    other = TablePlan(phase_cell, recording.grid | {"n_snr2": [1.0, 8.0]}, recording.about)
    assert "another grid" in recorder.table_fault("tiny", other, results)
    monkeypatch.setitem(inspect.unwrap(phase_cell).__kwdefaults__, "n", 100)
    shorter = TablePlan(phase_cell, {k: v for k, v in recording.grid.items() if k != "n"}, recording.about)
    assert "arguments" in recorder.table_fault("tiny", shorter, results)
    table = results / "tiny.csv"
    cut = "\n".join(table.read_text().splitlines()[:-1]) + "\n"
    table.write_text(cut)
    assert "tiny.csv is damaged" in recorder.table_fault("tiny", recording, results)
    (results / "tiny.json").write_text(json.dumps(made(folder) | {"sha256": tables._checksum(cut.encode())}))
    assert "3 rows, not 4" in recorder.table_fault("tiny", recording, results)
    (results / "tiny.json").write_text("{")
    assert "not readable" in recorder.table_fault("tiny", recording, results)
    (results / "tiny.json").unlink()
    assert "tiny.json is missing" in recorder.table_fault("tiny", recording, results)


def test_recording_says_which_files_it_read_and_keeps_their_cells_apart(tiny, monkeypatch, capsys):
    folder = tiny
    reading = dataclasses.replace(recorder.TABLES["tiny"], reads=("SOME_IMAGES",))
    monkeypatch.setitem(recorder.TABLES, "tiny", reading)
    monkeypatch.delenv("SOME_IMAGES", raising=False)
    assert recorder.main([]) == 1 and "left out; SOME_IMAGES=None" in capsys.readouterr().out
    assert not (folder / "results").exists()
    for content in (b"one", b"two"):
        (folder / "images.npz").write_bytes(content)
        monkeypatch.setenv("SOME_IMAGES", str(folder / "images.npz"))
        assert recorder.main(["--force", "--note", "shrunk"]) == 0
        digest = hashlib.sha256(content).hexdigest()
        assert made(folder)["files"] == {"SOME_IMAGES": f"images.npz, sha256 {digest[:16]}"}
        assert made(folder)["note"] == "shrunk" and made(folder)["cells_computed"] == 4
    recorder.main(["--force"])
    assert made(folder)["cells_from_store"] == 4
    monkeypatch.setenv("SOME_IMAGES", str(folder))
    assert recorder.table_files_read(reading) == {"SOME_IMAGES": folder.name}


@pytest.mark.parametrize("arguments", [["nonsense"], ["--workers", "0"]])
def test_recording_refuses_bad_arguments(arguments):
    with pytest.raises(SystemExit):
        recorder.main(arguments)


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=3), at_a_time=st.integers(1, 300))
def test_parts_of_a_grid_have_all_its_cells_in_portions(lengths, at_a_time):
    grid = {f"x{k}": list(range(length)) for k, length in enumerate(lengths)}
    parts = tables._parts(TablePlan(phase_cell, grid, "", at_a_time=at_a_time))
    assert [tuple(cell.values()) for part in parts for cell in part] == list(itertools.product(*grid.values()))
    assert all(len(part) == at_a_time for part in parts[:-1]) and 0 < len(parts[-1]) <= at_a_time


def test_recording_stops_at_its_deadline_and_goes_on_later(tiny, monkeypatch, capsys):
    folder = tiny
    monkeypatch.setitem(recorder.TABLES, "tiny", dataclasses.replace(recorder.TABLES["tiny"], at_a_time=3))
    clock = iter([0.0, 59.0, 61.0])  # the start, before the first part, before the second
    with monkeypatch.context() as patch:
        fake = SimpleNamespace(monotonic=lambda: next(clock), perf_counter=time.perf_counter)
        patch.setattr(recorder, "time", fake)
        patch.setattr(tables, "time", fake)
        assert recorder.main(["--minutes", "1"]) == 0
    assert "3 cells in the store" in capsys.readouterr().out and not (folder / "results").exists()
    recorder.main([])
    assert (made(folder)["cells_computed"], made(folder)["cells_from_store"]) == (1, 3)


def trained(seed, folder):
    """A cell that trains, and is killed at its first call, once a checkpoint is there."""
    data = load_digits().subset(60)
    if not (Path(folder) / "called").exists():
        (Path(folder) / "called").touch()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoints, "SECONDS", 0.0)
            fit(SmallCNN(data.image_shape, width=4), data, Recipe(epochs=3), seed, record_at=[3])
        raise KeyboardInterrupt
    model, epochs = SmallCNN(data.image_shape, width=4), []
    model.register_forward_hook(lambda module, *_: epochs.append(module.training))
    return {"error": float(fit(model, data, Recipe(epochs=3), seed, record_at=[3]).fresh_error[0, -1]),
            "trained": sum(epochs)}


def test_a_killed_training_run_of_a_recording_goes_on(monkeypatch, tmp_path):
    grid = {"seed": [0], "folder": [str(tmp_path)]}
    monkeypatch.setattr(recorder, "TABLES", {"tiny": TablePlan(trained, grid, "one run")})
    keep_in(tmp_path, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        recorder.main([])
    assert CHECKPOINTS_VARIABLE not in os.environ
    assert len(list((tmp_path / "store" / "tiny" / "checkpoints").iterdir())) == 1
    recorder.main([])
    assert pd.read_csv(tmp_path / "results" / "tiny.csv").trained.tolist() == [0]
    assert not (tmp_path / "store" / "tiny" / "checkpoints").exists()


def test_recording_names_the_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(recorder, "ROOT", tmp_path)
    assert recorder.commit() is None
    start = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    git = lambda *words: subprocess.run([*start, *words], check=True, capture_output=True)  # noqa: E731
    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    clean = recorder.commit()
    (tmp_path / "file").write_text("2")
    assert len(clean) == 12 and recorder.commit() == clean + "+"


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_damaged_table_is_never_believed(tiny, monkeypatch, kind):
    """A flipped bit, a file cut short, another table's: of the description, what decides its table."""
    folder = tiny / "results"
    recorder.main([])
    monkeypatch.setattr(tables, "PLACES", (folder,))
    path, plan = folder / f"tiny.{kind}", recorder.TABLES["tiny"]
    whole, right = path.read_bytes(), load_table("tiny")
    path.write_bytes(whole.replace(b"\n", b"\r\n"))  # as a checkout on Windows has it
    assert load_table("tiny").table.equals(right.table) and tables.table_fault("tiny", plan, folder) is None
    damaged = [whole[:k] + bytes([whole[k] ^ 1 << k % 8]) + whole[k + 1:] for k in range(len(whole))]
    for content in [*damaged, whole[:-1], whole + whole[-20:], b"", b"[" * 10**5]:
        path.write_bytes(content)
        try:
            found = load_table("tiny")
        except ValueError as error:
            assert "tiny.csv" in str(error) or "tiny.json" in str(error)
            assert tables.table_fault("tiny", plan, folder)
        else:  # a description has parts that say nothing of the table
            assert kind == "json" and found.table.equals(right.table)


def test_a_recording_comes_with_how_it_was_made():
    found = load_table("phase_dimensions")
    assert len(found.table) == found.made["rows"] and list(found.table.columns) == found.made["columns"]
    told = " ".join(str(found).split())
    assert max(map(len, str(found).splitlines())) <= 78
    for part in ("phase_dimensions", found.made["recorded"], found.made["made_by"]["device"], "min", "torch"):
        assert part in told


def test_a_table_by_older_code_says_so_until_it_is_verified(tiny, monkeypatch, capsys):
    folder = tiny
    recorder.main([])
    path = folder / "results" / "tiny.json"
    description = made(folder)
    assert "OUT OF DATE" not in str(Table("tiny", None, description))
    for wrong in (description | {"sources": description["sources"] | {"engine.reduced": "0" * 12}},
                  {key: value for key, value in description.items() if key not in ("module", "sources")}):
        path.write_text(json.dumps(wrong))
        assert recorder.main(["--check"]) == 1 and "other code of" in capsys.readouterr().out
        assert "OUT OF DATE" in str(Table("tiny", None, wrong))
        assert ("engine.reduced" if "sources" in wrong else "every module") in str(Table("tiny", None, wrong))
        assert recorder.main(["--verify"]) == 0 and made(folder) == description
    path.write_text(json.dumps({key: value for key, value in description.items() if key != "files"}))
    assert recorder.main(["--verify"]) == 0, "a table from before files were told"
    path.write_text(json.dumps(description))
    table = folder / "results" / "tiny.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], lines[1].rsplit(",", 1)[0] + ",0.123", *lines[2:], ""]))
    path.write_text(json.dumps(wrong))
    assert recorder.main(["--verify"]) == 1 and "tiny.csv is damaged" in capsys.readouterr().out
    wrong["sha256"] = tables._checksum(table.read_bytes())
    path.write_text(json.dumps(wrong))
    assert recorder.main(["--verify"]) == 1 and "other numbers" in capsys.readouterr().out and made(folder) == wrong


def test_what_cannot_be_compared_is_said_and_stays_as_it_is(tiny, monkeypatch, capsys):
    """No table yet, a damaged description, other files to read: none of them says anything of the code."""
    folder = tiny
    assert recorder.main(["--verify"]) == 1 and "tiny.json is missing" in capsys.readouterr().out
    recorder.main([])
    path = folder / "results" / "tiny.json"
    text = path.read_text()
    path.write_text("{")
    assert recorder.main(["--verify"]) == 1 and "not compared" in capsys.readouterr().out and path.read_text() == "{"
    path.write_text(text)
    recorder.TABLES["tiny"] = dataclasses.replace(recorder.TABLES["tiny"], reads=("SIGNAL_FIRST_TEST",))
    for named in ("", str(folder / "nowhere"), str(path)):
        monkeypatch.setenv("SIGNAL_FIRST_TEST", named)
        assert recorder.main(["--verify"]) == 1 and "not compared" in capsys.readouterr().out
    assert path.read_text() == text


def test_a_probe_stands_for_cells_that_take_hours(tiny, monkeypatch):
    folder = tiny
    recorder.TABLES["tiny"] = dataclasses.replace(recorder.TABLES["tiny"], probe={"n": 10})
    recorder.main([])
    assert made(folder)["probe"][0]["n"] == 10 and recorder.main(["--verify"]) == 0
    path, wrong = folder / "results" / "tiny.json", made(folder)
    wrong["probe"][0]["flipped"] += 1.0
    path.write_text(json.dumps(wrong))
    assert recorder.main(["--verify"]) == 1


def checkout(folder, change):
    """A copy of the package in which `change` = (old, new) of the phase diagram's source; its fingerprint."""
    shutil.copytree(recorder.ROOT / "src" / "helpers", folder / "src" / "helpers",
                    ignore=shutil.ignore_patterns("__pycache__"))
    module = folder / "src" / "helpers" / "experiments" / "phase_diagram.py"
    source = module.read_text("utf-8")
    assert change[0] in source
    module.write_text(source.replace(*change), "utf-8")
    return _fingerprint(module.read_text("utf-8"))


@pytest.mark.parametrize(("change", "said"), [
    (("_DRAWS = 30.0", "_DRAWS = 1 * 30.0"), "the same numbers"),
    (('"flipped": float', '"flipped": 1e-15 + float'), "other numbers"),
    (("    s_end = checks", "    s_end = unknown, checks"), "not compared; against"),
])
def test_a_table_from_another_cpu_is_verified_by_what_the_code_of_then_gives_here(tiny, capsys, change, said):
    """The table's own numbers tell nothing there: here they are others than any code gives."""
    recorder.TABLES["tiny"] = dataclasses.replace(recorder.TABLES["tiny"], probe={"n": 10})
    recorder.main([])
    description, path = made(tiny), tiny / "results" / "tiny.json"
    before = description["sources"] | {"experiments.phase_diagram": checkout(tiny / "before", change)}
    old = description | {"sources": before, "probe": [description["probe"][0] | {"flipped": 0.123}]}
    path.write_text(json.dumps(old))
    assert recorder.main(["--verify"]) == 1 and "other numbers" in capsys.readouterr().out
    status = recorder.main(["--verify", "--against", str(tiny / "before")])
    assert f"tiny: {said}" in capsys.readouterr().out
    assert (status, made(tiny)) == ((0, old | {"sources": description["sources"]}) if "same" in said else (1, old))


def test_only_a_checkout_of_the_code_that_made_a_table_verifies_it(tiny, capsys):
    recorder.main([])
    path = tiny / "results" / "tiny.json"
    old = made(tiny) | {"sources": made(tiny)["sources"] | {"engine.reduced": "0" * 12}}
    path.write_text(json.dumps(old))
    for folder, wanted in ((recorder.ROOT, "the code that made the table"), (tiny, "a checkout of this repository")):
        assert recorder.main(["--verify", "--against", str(folder)]) == 1
        assert wanted in capsys.readouterr().out and made(tiny) == old
    with pytest.raises(SystemExit):
        recorder.main(["--against", str(tiny)])


def test_fingerprints_of_code_are_blind_to_words():
    code = 'def f(x):\n    """What it does."""\n    return x + 1  # why\n'
    assert _fingerprint(code) == _fingerprint("def f(x):\n    return (x\n            + 1)")
    assert _fingerprint(code) != _fingerprint(code.replace("1", "2"))
    assert _fingerprint("x = 1") != _fingerprint("x = 1.0") and _fingerprint("x = '1'") != _fingerprint("x = 1")


@pytest.mark.parametrize("name", recorder.TABLES)
def test_recording_is_whole_and_made_by_the_present_grid_and_arguments(name):
    """A table made by another grid, other default arguments, or cut short, fails here: `make record` makes it anew."""
    recording = recorder.TABLES[name]
    if not (recorder.RESULTS / f"{name}.json").exists():
        root = recorder.ROOT
        shown = [page for page in (*root.glob("nbs/*.md"), *root.glob("book/**/*.md"))
                 if f'load_table("{name}")' in page.read_text("utf-8")]
        assert not shown
        pytest.skip("planned and not recorded yet: no page shows it")
    assert recorder.table_fault(name, recording, recorder.RESULTS) is None
    found = load_table(name)
    assert {argument: set(found.table[argument]) for argument in recording.grid} == {
        argument: set(values) for argument, values in recording.grid.items()}
    assert list(found.table.columns) == found.made["columns"]
    assert {"seconds", "workers", "recorded"} <= found.made.keys()
    assert {"device", "torch", "source"} <= found.made["made_by"].keys()
    assert set(found.made.get("files", {})) == set(recording.reads)
    assert (recorder.RESULTS / f"{name}.csv").stat().st_size < 300_000


def test_a_wrong_name_is_named():
    with pytest.raises(ValueError, match=r"name='nonsense'.*phase_flips"):
        load_table("nonsense")


def test_files_and_note_are_told():
    found = load_table("phase_dimensions")
    made = found.made | {"files": {"SOME_VARIABLE": "images.npz, sha256 00ff"}, "note": "shrunk"}
    told = str(Table(found.name, found.table, made))
    assert "Read images.npz, sha256 00ff." in told and "Note: shrunk." in told and "Note" not in str(found)


def test_curves_of_a_recording_are_runs_by_times_of_the_rows_asked_for():
    rows = [{"seed": s, "rate": r, "epoch": e, "test": 100 * s + 10 * e + r} for e in (3, 0, 1) for r in (0.2, 0.4)
            for s in (1, 0)]
    found = Table("made up", pd.DataFrame(rows), {})
    times, values = found.curves("test", rate=0.4)
    assert times.tolist() == [0, 1, 3]
    assert np.array_equal(values, [[0.4, 10.4, 30.4], [100.4, 110.4, 130.4]])
    with pytest.raises(ValueError, match=r"where=\{'rate': 0.3\}: must be one row"):
        found.curves("test", rate=0.3)
    with pytest.raises(ValueError, match="column='flip_rate'"):
        found.curves("test", flip_rate=0.4)
    with pytest.raises(ValueError, match="one row"):
        Table("made up", pd.DataFrame(rows[1:]), {}).curves("test", rate=0.2)
