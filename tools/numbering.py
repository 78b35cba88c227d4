"""The numbers and titles that the book gives to its pages, statements, equations, figures, exercises and sections.

Counted from the sources as Sphinx counts them, so that a notebook outside the book can say "Theorem 3.2" too. Sphinx's
own would be there only after every chapter ran, since a figure is a cell's output, and with titles that are no MyST any
more. tools/book_extension.py compares the two in every build.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import execution
import myst
import yaml


@dataclass(frozen=True)
class Target:
    """What can be referred to: "theorem", "3.2", its title, and the page it stands on ("nbs/04_stage_one")."""

    kind: str
    number: str
    title: str
    page: str


def pages(root=execution.ROOT):
    """{page: (chapter's number or "", title)} in the order of _toc.yml; parts that say `numbered` count chapters.

    The pages behind a chapter (its `sections`) go on with the chapter's numbers.
    """
    toc = yaml.safe_load((Path(root) / "_toc.yml").read_text("utf-8"))
    found, number = {toc["root"]: ("", _title(toc["root"], root))}, 0
    for part in [toc, *toc.get("parts", [])]:
        for chapter in part.get("chapters", []):
            number += bool(part.get("numbered"))
            for page in [chapter, *chapter.get("sections", [])]:
                found[page["file"]] = str(number) if part.get("numbered") else "", _title(page["file"], root)
    return found


@cache  # a build asks for each page
def targets(root=execution.ROOT):
    """{label: Target} of everything labelled in the book, and {page: Target} of its pages."""
    found, counts = {}, Counter()
    for page, (chapter, name) in pages(root).items():
        found[page] = Target("page", "" if page.startswith("book/deeper/") else chapter, name, page)
        for block in _blocks(page, root):
            figure = block.options.get("mystnb", {}).get("figure", {})
            kind, label = block.statement or block.name, block.label
            if "name" in figure:
                kind, label = "figure", figure["name"]
            counted = block.statement or kind in ("figure", "equation", "exercise")
            counts[kind, chapter] += bool(counted)
            if label:
                number = f"{chapter}.{counts[kind, chapter]}".lstrip(".") if counted else ""
                found[label] = Target(kind, number, "" if kind == "figure" else block.title, page)
    return found


@cache
def _blocks(page, root):
    return tuple(myst.walk((Path(root) / f"{page}.md").read_text("utf-8")))


def _title(page, root):
    """The first heading of a page; its name where it has none."""
    return next((block.title for block in _blocks(page, root) if block.name == "section"), page)
