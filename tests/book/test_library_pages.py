"""The pages of the library: each public name has its entry, and the chapters' code links to it."""

import importlib
import re

import execution
import pytest

SITE = execution.ROOT / "_build" / "html"
WINGS = ("data", "engine", "training", "theory", "reading", "practice", "experiments", "sweeps")
pytestmark = pytest.mark.site


@pytest.mark.parametrize("wing", WINGS)
def test_each_public_name_has_its_entry(wing):
    page = (SITE / "book" / "api" / f"{wing}.html").read_text("utf-8")
    missing = [name for name in importlib.import_module(f"helpers.{wing}").__all__
               if f'id="helpers.{wing}.{name}"' not in page]
    assert not missing


def test_signatures_say_array_like():
    pages = "".join(path.read_text("utf-8") for path in (SITE / "book" / "api").glob("*.html"))
    assert "ArrayLike" in pages and "_NestedSequence" not in pages


@pytest.mark.parametrize("chapter", sorted(path.stem for path in (execution.ROOT / "nbs").glob("*.md")))
def test_code_of_a_chapter_links_to_the_entries_of_what_it_imports(chapter):
    page = (SITE / "nbs" / f"{chapter}.html").read_text("utf-8")
    imported = set(re.findall(r"[A-Za-z_]\w*", " ".join(re.findall(
        r"^from helpers\.(?:" + "|".join(WINGS) + r") import (\([^)]*\)|.*)$",
        (execution.ROOT / "nbs" / f"{chapter}.md").read_text("utf-8"), re.MULTILINE)))) - {"as"}
    linked = set(re.findall(r'href="\.\./book/api/\w+\.html#helpers\.\w+\.(\w+)"', page))
    # Modules, such as `scenes`, are no entries; solutions may import what no cell of the page runs.
    names = {name for wing in WINGS for name in importlib.import_module(f"helpers.{wing}").__all__}
    assert linked and len((imported & names) - linked) <= len(imported) / 4, (imported & names) - linked
