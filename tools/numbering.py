"""The numbers and titles that the book gives to its pages, statements, equations, figures, exercises and sections.

Counted from the sources as Sphinx counts them, so that a notebook outside the book can say "Theorem 3.2" too: Sphinx's
own come after every chapter ran, with titles that are no MyST any more. Every build compares the two (book_extension).
"""

from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import execution
import myst
import yaml


class Target(NamedTuple):
    """What can be referred to: "theorem", "3.2", its title, and the page it stands on ("nbs/04_stage_one")."""

    kind: str
    number: str
    title: str
    page: str


@cache  # a build asks for each page
def targets(root=execution.ROOT):
    """{label: Target} of everything labelled in the book, and {page: Target} of its pages, in the order of _toc.yml."""
    toc = yaml.safe_load((Path(root) / "_toc.yml").read_text("utf-8"))
    parts, found, counts, number = [toc, *toc.get("parts", [])], {}, Counter(), 0
    every = [(page["file"], part.get("numbered", False), page is chapter) for part in parts
             for chapter in part.get("chapters", []) for page in (chapter, *chapter.get("sections", []))]
    for page, numbered, opens in [(toc["root"], False, True), *every]:  # pages behind a chapter go on with its numbers
        blocks = list(myst.walk((Path(root) / f"{page}.md").read_text("utf-8")))
        number += numbered and opens
        chapter = str(number) if numbered else ""
        title = next((it.title for it in blocks if it.name == "section"), page)
        found[page] = Target("page", chapter if opens else "", title, page)
        for block in blocks:
            figure = block.options.get("mystnb", {}).get("figure", {})
            kind, label = block.statement or block.name, block.label
            if "name" in figure:
                kind, label = "figure", figure["name"]
            counted = block.statement or kind in ("figure", "equation", "exercise")
            counts[kind, chapter] += bool(counted)
            if label:
                place = f"{chapter}.{counts[kind, chapter]}".lstrip(".") if counted else ""
                found[label] = Target(kind, place, "" if kind == "figure" else block.title, page)
    return found
