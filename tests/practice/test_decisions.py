"""Files of decisions: read as programs for tables leave them, refused with the row where they are wrong."""

import pytest
from suspect_tables import animals

from helpers.practice.decisions import read_decisions
from helpers.practice.fingerprint import fingerprint

HEADER = "sample,file,observed,decision,label\n"


@pytest.fixture
def read(tmp_path):
    def read_text(text, data=None, encoding="utf-8"):
        path = tmp_path / "decisions.csv"
        path.write_bytes(text.encode(encoding))
        return read_decisions(path, data or animals())

    return read_text


def test_rows_are_found_by_file_whatever_their_number(read):
    found = read(HEADER + "0,dog/4.png,dog,relabel,eel\n5,cat/3.png,cat,drop,\n")
    assert found.values.tolist() == [[4, "dog/4.png", "dog", "relabel", "eel"], [3, "cat/3.png", "cat", "drop", ""]]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_what_a_program_for_tables_makes_of_the_file_is_read(read, separator):
    text = "\ufeff" + HEADER.replace("\n", "\r\n") + "4,dog/4.png,dog,drop,\r\n\r\n"
    assert read(text.replace(",", separator))["sample"].tolist() == [4]


def test_classes_that_look_like_numbers_stay_text(read):
    data = animals(classes=("01", "NA", "3"))
    assert read(HEADER + "0,01/0.png,01,relabel,NA\n", data)["label"].tolist() == ["NA"]


def test_decisions_on_other_data_without_files_are_refused(read):
    data = animals(files=False)
    other = animals(files=False, seed=1)
    text = HEADER.replace("label", "label,data") + f"4,,dog,drop,,{fingerprint(data)}\n"
    assert read(text, data)["sample"].tolist() == [4]
    with pytest.raises(ValueError, match=r"decisions.csv: table=.*made of other data"):
        read(text, other)


@pytest.mark.parametrize(("row", "told"), [
    ("4,dog/4.png,dog,remove,", r"decisions.csv, row 3, decision='remove': must be one of 'keep', 'drop', 'relabel'"),
    ("4,dog/4.png,dog,relabel,cow", r"decisions.csv, row 3, label, row 0='cow'.*cat, dog, eel"),
    ("four,dog/4.png,dog,drop,", r"decisions.csv, row 3, sample='four'"),
    ("4,dog/4.png,dog,drop", r"decisions.csv, row 3=.*5 entries"),
    ("4,cat/4.png,dog,drop,", r"decisions.csv: table=\['cat/4.png'\]"),
    ("4,dog/4.png,cat,drop,", r"decisions.csv: table\['observed'\], row 1='cat'")])
def test_a_wrong_entry_is_told_with_its_row(read, row, told):
    with pytest.raises(ValueError, match=told):
        read(HEADER + "0,cat/0.png,cat,keep,cat\n" + row + "\n")


def test_a_file_that_is_no_such_table_is_refused(read, tmp_path):
    for text, told in (("", "columns"), ("a,b\n", "columns"), (HEADER + '0,"cat', "CSV file in UTF-8")):
        with pytest.raises(ValueError, match=told):
            read(text)
    with pytest.raises(ValueError, match="in UTF-8"):
        read(HEADER + "0,café.png,cat,drop,\n", encoding="latin-1")
    with pytest.raises(ValueError, match="missing there"):
        read_decisions(tmp_path / "none.csv", animals())
