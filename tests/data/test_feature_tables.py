"""Tables in text files: how they are read, what the samples and classes are called, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from helpers.data.feature_tables import load_csv
from helpers.data.label_noise import add_label_noise

FLOWERS = "length,width,kind\n1.4,0.2,setosa\n4.7,1.4,versicolor\n1.5,0.2,setosa\n6.0,2.5,virginica\n"


def table(folder, text, encoding="utf-8", name="flowers.csv"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def test_a_table_has_rows_of_features_names_of_lines_and_observed_labels(tmp_path):
    data = load_csv(table(tmp_path, FLOWERS), label="kind")
    assert data.name == "flowers" and data.classes == ("setosa", "versicolor", "virginica")
    np.testing.assert_array_equal(data.x, np.float32([[1.4, 0.2], [4.7, 1.4], [1.5, 0.2], [6, 2.5]]))
    assert data.y_obs.tolist() == [0, 1, 0, 2] and data.files == ("row 2", "row 3", "row 4", "row 5")
    assert data.noise == {"kind": "unknown", "source": "column kind"} and data.x_test is None
    true = load_csv(tmp_path / "flowers.csv", label="kind", labels_are="true", name="true")
    assert true.truth_known and true.noise == {} and true.name == "true"


@pytest.mark.parametrize("change", [
    lambda text: text.rstrip("\n"), lambda text: text.replace("\n", "\r\n"), lambda text: text.replace("\n", "\r"),
    lambda text: text.replace(",", ";"), lambda text: text.replace(",", "\t"), lambda text: text.replace(",", " , "),
    lambda text: "\ufeff" + text, lambda text: text + "\n\n", lambda text: text.replace("setosa", '"setosa"'),
    lambda text: text.replace("length", '"length"').replace("4.7", '"4.7"')])
def test_the_same_table_is_read_from_other_forms_of_text(tmp_path, change):
    data = load_csv(table(tmp_path, change(FLOWERS)), label="kind")
    assert data.classes == ("setosa", "versicolor", "virginica") and data.x.sum() == np.float32(17.9)
    assert data.files == ("row 2", "row 3", "row 4", "row 5")


def test_names_of_columns_and_classes_may_have_spaces_commas_and_other_alphabets(tmp_path):
    text = 'длина лепестка,"width, cm",class name\n1,2,"a, b"\n3,4,カエル\n5,6,"a ""b"""\n7,8,カエル\n'
    data = load_csv(table(tmp_path, text), label="class name", drop=["длина лепестка"])
    assert data.classes == ('a "b"', "a, b", "カエル") and data.x.ravel().tolist() == [2, 4, 6, 8]


def test_a_class_is_one_in_either_form_of_unicode(tmp_path):
    data = load_csv(table(tmp_path, "x,cafe\u0301\n1,caf\u00e9\n2,cafe\u0301\n3,tea\n"), label="caf\u00e9")
    assert data.classes == ("caf\u00e9", "tea") and data.y_obs.tolist() == [-1, -1, 1]


def test_a_comma_in_names_of_columns_does_not_hide_the_semicolons(tmp_path):
    data = load_csv(table(tmp_path, "length, cm;width, cm;kind\n1;2;a\n3;4;b\n5;6;a\n"), label="kind")
    assert data.x.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_the_row_is_the_line_of_the_file_behind_empty_lines_and_breaks_in_fields(tmp_path):
    text = 'x,kind\n\n1,"a\nb"\n2,c\n\n3,c\n'
    data = load_csv(table(tmp_path, text), label="kind")
    assert data.files == ("row 3", "row 5", "row 7") and data.classes == ("a\nb", "c")


@pytest.mark.parametrize(("labels", "classes"), [
    ("10 9 2 9", ("2", "9", "10")), ("1.5 -1 1.5 0", ("-1", "0", "1.5")), ("10 9 b 9", ("10", "9", "b")),
    ("inf b inf b", ("b", "inf"))])
def test_classes_are_in_the_order_of_size_if_all_are_numbers_else_of_the_alphabet(tmp_path, labels, classes):
    rows = "".join(f"{i},{label}\n" for i, label in enumerate(labels.split()))
    data = load_csv(table(tmp_path, f"x,kind\n{rows}"), label="kind")
    assert data.classes == classes


def test_columns_are_told_by_name_or_by_position(tmp_path):
    path = table(tmp_path, ",id,a,b,kind\n0,p1,1,5,u\n1,p2,2,6,v\n2,p3,3,7,u\n")
    for label in ("kind", 4, -1):
        data = load_csv(path, label=label, names="id", drop=(0, "b"))
        assert data.x.ravel().tolist() == [1, 2, 3] and data.files == ("p1", "p2", "p3")
        assert data.classes == ("u", "v")


def test_names_and_labels_stay_with_their_rows_when_a_test_set_is_drawn(tmp_path):
    rows = "".join(f"{i},name {i},{'even' if i % 2 == 0 else 'odd'}\n" for i in range(20))
    path = table(tmp_path, f"x,id,kind\n{rows}")
    data, again, other = (load_csv(path, label="kind", names="id", test_share=0.3, seed=seed) for seed in (0, 0, 1))
    assert data.n_test == 6 and data.n_test_known == 0 and np.bincount(data.y_test_obs > 0).tolist() == [3, 3]
    assert data.files == tuple(f"name {x:.0f}" for x in data.x[:, 0]) == again.files != other.files
    for x, y in ((data.x, data.y_obs), (data.x_test, data.y_test_obs)):
        assert np.array_equal(y, np.where(x[:, 0] % 2 == 0, -1, 1))  # "even" is before "odd"
    assert sorted([*data.x[:, 0], *data.x_test[:, 0]]) == list(range(20))
    assert load_csv(path, label="kind", names="id", test_share=0.3, labels_are="true").n_test_known == 6


def test_rows_that_are_the_same_may_have_different_labels(tmp_path):
    data = load_csv(table(tmp_path, "x,kind\n1,a\n1,a\n1,b\n"), label="kind")
    assert data.n == 3 and data.y_obs.tolist() == [-1, -1, 1]


def test_a_table_written_by_pandas_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(30, 3)).astype(np.float32)).assign(kind=rng.integers(0, 4, 30))
    frame.to_csv(tmp_path / "frame.csv", index=False)
    data = load_csv(tmp_path / "frame.csv", label="kind", labels_are="true")
    assert np.array_equal(data.x, frame[[0, 1, 2]].to_numpy()) and data.y.tolist() == frame.kind.tolist()
    noisy = add_label_noise(data, 0.3, seed=0)
    assert 0 < noisy.noise["realised_flip_rate"] == noisy.flipped.mean() and noisy.files == data.files


@pytest.mark.parametrize(("text", "message"), [
    (FLOWERS.replace("0.2,v", ",v").replace("1.4,versi", ",versi"), r"flowers.csv, row 3, column 'width'=''.*drop="),
    (FLOWERS.replace("4.7", "NA"), r"row 3, column 'length'='NA'.*leave out the row"),
    (FLOWERS.replace("versicolor", ""), r"row 3, column 'kind'=''"),
    (FLOWERS.replace("virginica", "NaN"), r"row 5, column 'kind'='NaN'.*another one"),
    (FLOWERS.replace("4.7", "long"), r"row 3, column 'length'='long'.*1 of 4 rows.*drop="),
    (FLOWERS.replace(",", ";").replace(".", ","), r"column 'length'='1,4'.*decimal comma"),
    (FLOWERS.replace("4.7", "inf"), r"row 3, column 'length'='inf'.*finite"),
    (FLOWERS.replace("4.7", "1e39"), r"row 3, column 'length'='1e39'.*finite"),
    (FLOWERS.replace("4.7", "True"), r"row 3, column 'length'='True'"),
    (FLOWERS.replace("versicolor", "setosa").replace("virginica", "setosa"), r"'kind'=\['setosa'\].*two classes"),
    ("x,kind\n1,3.1\n2,3.2\n3,3.3\n", r"column 'kind'='<3 different labels of 3 samples>'.*samples share"),
    ("x,kind\n1,1\n2,1.0\n3,2\n4,2\n", r"column 'kind'=\['1', '1.0'\].*one way"),
    (FLOWERS.replace("width", "length"), r"row 1=\['length'\].*each is another"),
    (FLOWERS.replace("4.7,", "4.7,5,"), r"row 3=.*3 fields.*comma inside a field needs double quotes"),
    (FLOWERS.replace("4.7,", ""), r"row 3=.*3 fields"),
    ("5.1,3.5,kind\n4,5,a\n6,7,b\n8,9,a\n", r"row 1=.*put a line of names above"),
    (",x,kind\n0,1,a\n1,2,b\n2,3,a\n", r"row 1=\[0\].*name them, or leave them out with drop="),
    ("length,kind\n", "rows below the names"), ("", "not empty"), (" \n\n", "not empty"),
    ("kind\na\nb\n", "comma, a semicolon or a tab.*begins with 'kind'"),
    ("a;b,kind\n1;2,3\n", "a table with one delimiter.*comma and semicolon"),
    (FLOWERS.replace("4.7", '"4.7'), "quotes that are closed"),
    (FLOWERS + 20 * "1,2,setosa\n" + '3,"4,setosa', "unexpected end of data")])
def test_what_a_table_must_not_hold_is_named_with_row_and_column(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load_csv(table(tmp_path, text), label="kind")


@pytest.mark.parametrize(("options", "message"), [
    ({"label": "sort"}, "label='sort'.*'length', 'width', 'kind'"), ({"label": 3}, "label=3"),
    ({"label": True}, "label=True"), ({"label": None}, "label=None"), ({"names": "sort"}, "names='sort'"),
    ({"names": "kind"}, "drop=.*label='kind'"), ({"drop": ("kind",)}, "drop="), ({"drop": ("sort",)}, "drop='sort'"),
    ({"drop": "width"}, "drop='width': must be several"), ({"drop": ("length", "width")}, "one of features is left"),
    ({"drop": ("length",), "names": "length"}, "names='length'"), ({"labels_are": "wrong"}, "labels_are='wrong'"),
    ({"test_share": 1.5}, "test_share=1.5"), ({"test_share": 0.1}, "test_share=0.1.*round"),
    ({"names": "width"}, r"row 4, column 'width'='0.2'.*row 2 has it")])
def test_options_that_do_not_fit_the_table_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        load_csv(table(tmp_path, FLOWERS), **({"label": "kind"} | options))


def test_files_that_are_no_text_are_refused(tmp_path):
    for path, message in ((tmp_path / "nowhere.csv", r"nowhere.csv.*missing"), (tmp_path, "missing"),
                          ("", "must be a path"),
                          (table(tmp_path, FLOWERS.replace("setosa", "é"), "latin-1", "latin.csv"), "UTF-8"),
                          (table(tmp_path, FLOWERS, "utf-16", "wide.csv"), "save it as CSV in UTF-8")):
        with pytest.raises(ValueError, match=message):
            load_csv(path, label="kind")
