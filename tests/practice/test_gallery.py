"""The gallery: what it shows, that it needs nothing else, and in a browser its keys and its file of decisions."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from browsers import complaints
from PIL import Image
from suspect_tables import animals, ranked, rows

from helpers.practice.cleaning import clean_labels
from helpers.practice.decisions import read_decisions
from helpers.practice.fingerprint import fingerprint
from helpers.practice.gallery import write_gallery

ODD = ('<cat> & "co"', "собака", "it's, an eel")


def odd_animals():
    """Classes and files whose names hurt where they are not escaped."""
    data = animals(classes=ODD)
    files = tuple(f"{i} <b>&amp; \"ü\", 'x'.png" for i in range(data.n))
    return replace(data, name="<script>alert(1)</script>", files=files)


@pytest.fixture
def opened(browser, tmp_path):
    """opened(table, data): the gallery in a browser, its page and what the browser complains of."""
    pages = []

    def open_gallery(table, data, **options):
        path = write_gallery(table, data, tmp_path / "gallery.html")
        page = browser.new_context(viewport={"width": 390, "height": 800}, **options).new_page()
        faults = complaints(page)
        page.goto(path.as_uri())
        pages.append((page, faults))
        return page

    yield open_gallery
    for page, faults in pages:
        page.context.close()
        assert not faults


def saved(page, tmp_path):
    with page.expect_download() as download:
        page.get_by_role("button", name="Save").click()
    download.value.save_as(tmp_path / "decisions.csv")
    return tmp_path / "decisions.csv"


def test_cards_stand_in_the_order_of_the_table_and_no_more_than_asked_for(tmp_path):
    data = animals()
    text = write_gallery(ranked(data, [4, 0, 7]), data, tmp_path / "g.html", top=2).read_text()
    assert re.findall(r'data-sample="(\d+)"', text) == ["4", "0"]
    assert re.findall(r"observed <b>(\w+)</b> → suggested <b>(\w+)</b>", text) == [("dog", "eel"), ("cat", "dog")]


def test_evidence_is_shown_and_what_was_not_measured_said(tmp_path):
    data = animals()
    text = write_gallery(ranked(data, [4]), data, tmp_path / "g.html").read_text()
    facts = dict(re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", text))
    assert facts == {"score": "0.99", "loss at stop": "not measured", "confidence out of fold": "0.001"}


def test_the_page_asks_for_no_other_file(tmp_path):
    data = animals()
    text = write_gallery(ranked(data), data, tmp_path / "g.html").read_text()
    assert not re.findall(r"(?:src|href)=\"(?!data:)|https?://|@import|url\(", text)


def test_names_are_escaped(tmp_path):
    data = odd_animals()
    text = write_gallery(ranked(data), data, tmp_path / "g.html").read_text()
    assert "<script>alert" not in text and "<b>&amp; " not in text and "<cat>" not in text
    assert text.count("<article") == data.n


def test_pictures_are_the_images(tmp_path):
    x = np.zeros((3, 3, 4, 4))
    x[1, 0] = 1
    data = replace(animals(3), x=x)
    text = write_gallery(ranked(data, [1]), data, tmp_path / "g.html").read_text()
    picture = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", text)[1])))
    assert picture.size == (4, 4) and picture.getpixel((0, 0)) == (255, 0, 0)


def test_pictures_can_be_the_files_themselves(tmp_path):
    data = animals(3)
    for file in data.files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 32), "blue").save(tmp_path / file)
    text = write_gallery(ranked(data, [1]), data, tmp_path / "g.html", source=tmp_path, side=16).read_text()
    picture = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", text)[1])))
    assert picture.size == (32, 16) and picture.getpixel((3, 3)) == (0, 0, 255)
    (tmp_path / data.files[1]).write_text("no image")
    for broken in ("no image", None):
        if broken is None:
            (tmp_path / data.files[1]).unlink()
        with pytest.raises(ValueError, match=r"source=.*dog/1.png"):
            write_gallery(ranked(data, [1]), data, tmp_path / "g.html", source=tmp_path)


def test_features_are_shown_as_a_table_with_the_farthest_first(tmp_path):
    data = rows()
    x = data.x.copy()
    x[4, 6] = 50
    data = replace(data, x=x)
    text = write_gallery(ranked(data, [4]), data, tmp_path / "g.html").read_text()
    first = re.search(r'<th scope="row">(\d+)</th><td>([^<]+)</td><td>([^<]+)</td>', text)
    assert first.groups()[:2] == ("7", "50") and float(first[3]) == pytest.approx(x[data.y < 0, 6].mean(), abs=0.1)
    assert "and 3 more features" in text and "<img" not in text


@pytest.mark.parametrize(("options", "told"), [({"top": 0}, "top"), ({"side": 0}, "side"), ({"source": ""}, "source")])
def test_numbers_out_of_range_are_refused(tmp_path, options, told):
    with pytest.raises(ValueError, match=f"^{told}="):
        write_gallery(ranked(animals()), animals(), tmp_path / "g.html", **options)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_place_of_the_file_and_an_empty_table_are_refused(tmp_path):
    data = animals()
    with pytest.raises(ValueError, match="there is a folder"):
        write_gallery(ranked(data), data, tmp_path)
    with pytest.raises(ValueError, match="a suspect at least"):
        write_gallery(ranked(data, [4])[:0], data, tmp_path / "g.html")


def test_a_table_of_other_data_gives_no_gallery(tmp_path):
    data = animals(files=False)
    with pytest.raises(ValueError, match="made of other data"):
        write_gallery(ranked(data), data.keep(np.arange(data.n)[::-1]), tmp_path / "g.html")


def test_decisions_saved_in_the_browser_are_read_back(opened, tmp_path):
    data = odd_animals()
    page = opened(ranked(data, [4, 0, 7, 2, 3]), data)
    card = page.locator(".card").nth
    card(0).get_by_label("drop").check()
    card(1).get_by_label(re.compile("^keep")).check()
    card(2).get_by_label(re.compile("^relabel")).check()
    card(3).get_by_role("combobox").select_option(label=ODD[0])
    assert page.get_by_role("status").inner_text() == "4 of 5 decided"
    found = read_decisions(saved(page, tmp_path), data)
    assert found[["sample", "decision", "label"]].values.tolist() == [
        [4, "drop", ""], [0, "keep", ODD[0]], [7, "relabel", ODD[2]], [2, "relabel", ODD[0]]]
    assert found["file"].tolist() == [data.files[i] for i in (4, 0, 7, 2)] and found.attrs["data"] == fingerprint(data)
    cleaned, changes = clean_labels(data, found)
    assert cleaned.n == 8 and changes["sample"].tolist() == [4, 7, 2]


def test_the_gallery_can_be_used_by_keyboard_alone(opened, tmp_path):
    data = animals()
    page = opened(ranked(data, [4, 0, 7]), data)
    page.keyboard.press("Tab")  # the button
    page.keyboard.press("Tab")
    for key in "dnspk":
        page.keyboard.press(key)
    found = read_decisions(saved(page, tmp_path), data)
    assert found[["sample", "decision"]].values.tolist() == [[4, "drop"], [0, "keep"], [7, "relabel"]]


def test_another_class_that_was_not_chosen_is_no_decision(opened, tmp_path):
    data = animals()
    page = opened(ranked(data, [4, 0]), data)
    page.locator(".card").first.get_by_label("another:").check()
    assert page.get_by_role("status").inner_text() == "0 of 2 decided, 1 without the other class"
    assert len(read_decisions(saved(page, tmp_path), data)) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_is_wide_enough_in_light_and_dark(opened, scheme):
    data = rows()
    page = opened(ranked(data), data, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    colours = page.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    text, ground = (int(re.search(r"\d+", colour)[0]) for colour in colours)
    assert (text < ground) == (scheme == "light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("data", [animals(), rows()], ids=["images", "rows"])
def test_there_are_no_barriers(opened, scheme, data):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core").Axe()
    page = opened(ranked(data), data, color_scheme=scheme)
    page.locator("input").first.check()
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
    found = axe.run(page, options={"runOnly": {"type": "tag", "values": rules}}).response["violations"]
    assert not [(fault["id"], node["target"]) for fault in found for node in fault["nodes"]]
