"""Files: downloads from a server on this machine, and writing in one piece."""

import hashlib
import os
import sys

import pytest
from web import closed_port

from helpers import files as downloads
from helpers.files import _sha256_of, fetch_file, remove_leftovers, write_atomically


def test_a_failure_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "kept"
    write_atomically(path, b"old")

    def fail(*_):
        raise OSError("disk full")

    for step in ("fsync", "replace"):
        monkeypatch.setattr(f"helpers.files.os.{step}", fail)
        with pytest.raises(OSError, match="disk full"):
            write_atomically(path, b"new")
        monkeypatch.undo()
        assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_written_file_can_be_read_by_whoever_may_read_its_neighbours(tmp_path):
    (tmp_path / "neighbour").write_bytes(b"")
    write_atomically(tmp_path / "file", b"content")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "neighbour").stat().st_mode


@pytest.mark.parametrize("name", ["a" * 255, "\N{SNOWMAN}" * 85])
def test_a_name_may_be_as_long_as_the_system_allows(tmp_path, name):
    write_atomically(tmp_path / name, b"content")
    assert (tmp_path / name).read_bytes() == b"content" and len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_process_left_half_written_goes_and_nothing_else(tmp_path):
    left, young, others = f".cell.json.{'0' * 32}", f".cell.json.{'1' * 32}", ["cell.json", ".hidden", f"a.{'0' * 32}"]
    for name in (left, young, *others):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (0, 0))
    os.utime(tmp_path / young)
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([young, *others])
    remove_leftovers(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"older=-1\.0"):
        remove_leftovers(tmp_path, older=-1)


def test_a_download_is_checked_and_done_once(server, tmp_path):
    folder, address = server
    (folder / "labels.bin").write_bytes(b"signal first" * 1000)
    good, path = _sha256_of(folder / "labels.bin"), tmp_path / "deep" / "down" / "labels.bin"
    assert fetch_file(f"{address}/labels.bin", good, path, progress=False) == path
    assert path.read_bytes() == b"signal first" * 1000 and [path] == list(path.parent.iterdir())
    (folder / "labels.bin").unlink()
    assert fetch_file(f"{address}/labels.bin", good, path, progress=False) == path  # no second download
    assert good == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["wrong.bin", "cut.bin", "none.bin"])
def test_a_wrong_cut_or_missing_file_leaves_nothing(server, tmp_path, name):
    folder, address = server
    content = b"signal first" * 1000
    for file in ("wrong.bin", "cut.bin"):
        (folder / file).write_bytes(content if file == "cut.bin" else content[:-1])
    target = tmp_path / "data" / name
    with pytest.raises(ValueError, match=rf"path=.*{name}.*SHA-256 checksum .*no network.*put it there"):
        fetch_file(f"{address}/{name}", hashlib.sha256(content).hexdigest(), target, progress=False)
    assert list(target.parent.iterdir()) == []


def test_without_pooch_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match="pip install pooch"):
        fetch_file("http://127.0.0.1/x", "0" * 64, tmp_path / "x")


def test_poochs_lines_are_off_only_during_the_download(tmp_path):
    import pooch

    level = pooch.get_logger().level
    with pytest.raises(ValueError):
        fetch_file(closed_port() + "/x", "0" * 64, tmp_path / "x", progress=False)
    assert pooch.get_logger().level == level and downloads.CHUNK > 0
