"""The numbers and titles that the book gives to its pages, statements, equations, figures, exercises and sections.

Counted from the sources as Sphinx counts them, so that a notebook outside the book can say "Theorem 3.2" too.
tools/book_extension.py compares them with Sphinx's own in every build.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import execution
import myst
import yaml

# Of sphinx-proof, each with a counter of its own.
KINDS = {"theorem", "lemma", "proposition", "corollary", "definition", "observation", "conjecture", "property",
         "remark", "example", "assumption", "axiom", "algorithm", "criterion", "notation"}


@dataclass(frozen=True)
class Target:
    """What can be referred to: "theorem", "3.2", its title, and the page it stands on ("nbs/03_stage_one")."""

    kind: str
    number: str
    title: str
    page: str


def pages(root=execution.ROOT):
    """{page: (chapter's number or "", title)} in the order of _toc.yml; parts that say `numbered` count chapters."""
    toc = yaml.safe_load((Path(root) / "_toc.yml").read_text("utf-8"))
    found, number = {toc["root"]: ("", title(toc["root"], root))}, 0
    for part in [toc, *toc.get("parts", [])]:
        for chapter in part.get("chapters", []):
            number += bool(part.get("numbered"))
            found[chapter["file"]] = str(number) if part.get("numbered") else "", title(chapter["file"], root)
    return found


def title(page, root=execution.ROOT):
    """The first heading of a page; its name where it has none."""
    heading = re.search(r"^# +(.*)$", _source(page, root), re.MULTILINE)
    return heading[1].strip() if heading else page


@cache  # a build asks for each page
def targets(root=execution.ROOT):
    """{label: Target} of everything labelled in the book, and {page: Target} of its pages."""
    found, counts = {}, Counter()
    for page, (chapter, name) in pages(root).items():
        found[page] = Target("page", chapter, name, page)
        for kind, label, text in _things(page, root):
            if kind != "section":
                counts[kind, chapter] += 1
            number = "" if kind == "section" else f"{chapter}.{counts[kind, chapter]}".lstrip(".")
            if label:
                found[label] = Target(kind, number, text, page)
    return found


def _source(page, root):
    return (Path(root) / f"{page}.md").read_text("utf-8")


def _things(page, root):
    """(kind, label, title) of what is numbered on a page, in order, and of the labelled sections."""
    for block in myst.walk(_source(page, root)):
        kind, figure = block.name.removeprefix("prf:"), block.options.get("mystnb", {}).get("figure", {})
        if "name" in figure:
            yield "figure", figure["name"], ""
        elif kind in KINDS | {"exercise", "equation", "section"}:
            yield kind, block.label, block.title
