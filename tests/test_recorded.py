"""Reading recorded tables: what is there, what is not, and a line that says how a table was made."""

import pytest

from helpers import recorded
from helpers.recorded import load_recorded


def test_a_recording_comes_with_how_it_was_made():
    found = load_recorded("phase_dimensions")
    assert len(found.table) == found.made["rows"] and list(found.table.columns) == found.made["columns"]
    told = str(found)
    for part in ("phase_dimensions", found.made["recorded"], found.made["made_by"]["device"], "min", "torch"):
        assert part in told


def test_without_results_there_is_none_and_a_wrong_name_is_named(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match=r"name='nonsense'.*phase_flips"):
        load_recorded("nonsense")
    monkeypatch.setattr(recorded, "PLACES", (tmp_path / "none",))
    assert load_recorded("phase_flips") is None
