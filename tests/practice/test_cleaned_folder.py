"""A folder of images copied with changes: complete or not at all, nothing overwritten, everything else kept."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from helpers.practice.cleaned_folder import MANIFEST, check_target, write_cleaned_folder


def changed(*rows):
    """Changes from (file, observed, decision, label)."""
    table = pd.DataFrame(rows, columns=["file", "observed", "decision", "label"])
    return table.assign(sample=range(len(rows)), score=0.5)


def tree(folder):
    """{name: content} of all files but the list that `write_cleaned_folder` keeps of them."""
    return {file.relative_to(folder).as_posix(): file.read_text() for file in folder.rglob("*")
            if file.is_file() and file.name != MANIFEST}


@pytest.fixture
def photos(tmp_path):
    """A folder of "images", each with its own name as content."""
    folder = tmp_path / "photos"
    for name in ("cat/7.png", "cat/8.png", "cat/sub/9.png", "dog/7.png", "dog/note.txt", "readme.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def written(photos, *rows, **options):
    target = write_cleaned_folder(photos, changed(*rows), photos.parent / "cleaned", **options)
    found = tree(target)
    return found, {name: text for name, text in found.items() if not name.startswith("changes")}


def test_changes_are_applied_and_all_else_is_copied(photos):
    before = tree(photos)
    _, found = written(photos, ("cat/8.png", "cat", "relabel", "dog"), ("cat/sub/9.png", "cat", "relabel", "dog"),
                       ("dog/7.png", "dog", "drop", ""))
    assert found == {"cat/7.png": "cat/7.png", "dog/8.png": "cat/8.png", "dog/sub/9.png": "cat/sub/9.png",
                     "dog/note.txt": "dog/note.txt", "readme.md": "readme.md"}
    assert tree(photos) == before


def test_a_name_that_the_new_class_has_is_not_overwritten(photos):
    (photos / "dog/8.PNG").write_text("dog/8.PNG")
    (photos / "dog/7 (cat).png").write_text("dog/7 (cat).png")
    _, found = written(photos, ("cat/7.png", "cat", "relabel", "dog"), ("cat/8.png", "cat", "relabel", "dog"))
    assert found["dog/7 (cat 2).png"] == "cat/7.png" and found["dog/7.png"] == "dog/7.png"
    assert found["dog/8 (cat).png"] == "cat/8.png"  # 8.PNG and 8.png are one file on some systems


def test_two_images_that_change_places_do_not_meet(photos):
    _, found = written(photos, ("cat/7.png", "cat", "relabel", "dog"), ("dog/7.png", "dog", "relabel", "cat"))
    assert found["dog/7 (cat).png"] == "cat/7.png" and found["cat/7 (dog).png"] == "dog/7.png"


def test_the_list_of_changes_says_where_each_image_went(photos):
    target = write_cleaned_folder(photos, changed(("cat/7.png", "cat", "relabel", "dog"),
                                                  ("cat/8.png", "cat", "drop", "")), photos.parent / "cleaned")
    listed = pd.read_csv(target / "changes.csv", keep_default_na=False)
    assert listed[["file", "written"]].values.tolist() == [["cat/7.png", "dog/7 (cat).png"], ["cat/8.png", ""]]


def test_a_second_round_keeps_the_list_of_the_first(photos):
    first = write_cleaned_folder(photos, changed(("cat/8.png", "cat", "drop", "")), photos.parent / "one")
    second = write_cleaned_folder(first, changed(("cat/7.png", "cat", "drop", "")), photos.parent / "two")
    assert (second / "changes.csv").read_text() == (first / "changes.csv").read_text()
    assert "cat/7.png" in (second / "changes-2.csv").read_text()


def test_the_training_part_is_changed_and_the_test_part_copied(tmp_path):
    for name in ("train/cat/1.png", "train/cat/2.png", "train/dog/3.png", "test/cat/1.png", "test/dog/1.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    target = write_cleaned_folder(tmp_path / "data", changed(("train/cat/1.png", "cat", "relabel", "dog")),
                                  tmp_path / "cleaned")
    found = tree(target)
    assert found["train/dog/1.png"] == "train/cat/1.png" and found["test/cat/1.png"] == "test/cat/1.png"
    assert "train/cat/1.png" not in found


def test_what_systems_leave_behind_is_not_copied(photos):
    for name in (".DS_Store", "cat/Thumbs.db", ".git/config"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_text("")
    _, found = written(photos, ("cat/8.png", "cat", "drop", ""))
    assert set(found) == {"cat/7.png", "cat/sub/9.png", "dog/7.png", "dog/note.txt", "readme.md"}


def test_a_link_that_leads_back_is_followed_once(photos):
    (photos / "dog" / "all").symlink_to(photos, target_is_directory=True)
    _, found = written(photos, ("cat/8.png", "cat", "drop", ""))
    assert not any("all" in name for name in found)


@pytest.mark.parametrize(("row", "told"), [
    (("cat/1.png", "cat", "drop", ""), r"row 0='cat/1.png': must be a file below"),
    ((None, "cat", "drop", ""), "data with names of files"),
    (("cat/7.png", "dog", "drop", ""), "in the folder of its observed class, 'dog'"),
    (("cat/7.png", "cat", "relabel", "eel"), r"label='eel': must be one of 'cat', 'dog'"),
    (("cat/7.png", "cat", "relabel", "../dog"), "one of 'cat', 'dog'"),
    (("readme.md", "readme.md", "drop", ""), "in the folder of its observed class"),
    (("cat/7.png", "cat", "remove", ""), "'keep', 'drop'")])
def test_a_change_that_cannot_be_made_is_named_and_nothing_written(photos, row, told):
    with pytest.raises(ValueError, match=told):
        written(photos, row)
    assert sorted(path.name for path in photos.parent.iterdir()) == ["photos"]


def test_a_file_listed_twice_is_refused(photos):
    with pytest.raises(ValueError, match="listed once"):
        written(photos, *[("cat/7.png", "cat", "drop", "")] * 2)


def test_a_class_that_would_be_left_without_files_is_named(photos):
    (photos / "dog/note.txt").unlink()
    with pytest.raises(ValueError, match="no file is left in dog"):
        written(photos, ("dog/7.png", "dog", "drop", ""))


@pytest.mark.parametrize("inside", ["photos", "photos/cleaned", "."])
def test_a_target_in_the_source_or_around_it_is_refused(photos, inside):
    with pytest.raises(ValueError, match="a folder outside of"):
        check_target(photos.parent / inside, source=photos, overwrite=True)


def test_a_folder_with_files_is_refused_before_anything_is_read(photos):
    (photos.parent / "cleaned").mkdir()
    (photos.parent / "cleaned" / "thesis.tex").write_text("years of work")
    for options, told in (({}, "overwrite=True"), ({"overwrite": True}, "no other is overwritten")):
        with pytest.raises(ValueError, match=told):
            written(photos, ("no such file", "", "", ""), **options)
    assert (photos.parent / "cleaned" / "thesis.tex").exists()


def test_a_file_in_the_place_of_the_target_is_refused(photos):
    with pytest.raises(ValueError, match="there is a file"):
        check_target(photos / "readme.md")
    with pytest.raises(ValueError, match="can be written to"):
        check_target(photos / "readme.md" / "cleaned")


def test_an_empty_folder_and_one_written_before_may_be_written(photos):
    (photos.parent / "cleaned").mkdir()
    written(photos, ("cat/8.png", "cat", "drop", ""))
    found, _ = written(photos, ("cat/7.png", "cat", "drop", ""), overwrite=True)
    assert "cat/8.png" in found and "cat/7.png" not in found
    assert sorted(path.name for path in photos.parent.iterdir()) == ["cleaned", "photos"]


def test_an_interrupted_call_leaves_the_older_folder_and_nothing_else(photos, monkeypatch):
    found, _ = written(photos, ("cat/8.png", "cat", "drop", ""))
    monkeypatch.setattr(shutil, "copy2", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        written(photos, ("cat/7.png", "cat", "drop", ""), overwrite=True)
    assert tree(photos.parent / "cleaned") == found
    assert sorted(path.name for path in photos.parent.iterdir()) == ["cleaned", "photos"]


def test_a_source_that_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"source=.*missing there"):
        write_cleaned_folder(tmp_path / "none", changed(), Path(tmp_path / "cleaned"))


def test_nobody_elses_file_is_overwritten(photos):
    """A file that came into the folder later stays, and so does a folder that only has a file of that name."""
    target = photos.parent / "cleaned"
    written(photos, ("cat/8.png", "cat", "drop", ""))
    (target / "dog" / "thesis.txt").write_text("years")
    with pytest.raises(ValueError, match=r"'dog/thesis.txt'\] would be lost"):
        written(photos, ("cat/7.png", "cat", "drop", ""), overwrite=True)
    assert (target / "dog" / "thesis.txt").read_text() == "years"
    (target / MANIFEST).write_text("{")
    with pytest.raises(ValueError, match="must have a list of its files"):
        check_target(target, overwrite=True)
    (target / MANIFEST).unlink()
    with pytest.raises(ValueError, match="no other is overwritten"):
        check_target(target, overwrite=True)
