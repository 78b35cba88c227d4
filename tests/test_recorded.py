"""Reading recorded tables: what is there, what is not, and a line that says how a table was made."""

import numpy as np
import pandas as pd
import pytest
import record as recorder

from helpers.sweeps.tables import Table, load_table


def test_a_recording_comes_with_how_it_was_made():
    found = load_table("phase_dimensions")
    assert len(found.table) == found.made["rows"] and list(found.table.columns) == found.made["columns"]
    told = " ".join(str(found).split())
    assert max(map(len, str(found).splitlines())) <= 78
    for part in ("phase_dimensions", found.made["recorded"], found.made["made_by"]["device"], "min", "torch"):
        assert part in told


@pytest.mark.parametrize("name", recorder.TABLES)
def test_recording_is_whole_and_made_by_the_present_grid_and_arguments(name):
    """A table made by another grid, other default arguments, or cut short, fails here: `make record` makes it anew."""
    recording = recorder.TABLES[name]
    assert recorder.fault(name, recording, recorder.RESULTS) is None
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
