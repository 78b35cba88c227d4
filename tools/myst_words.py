"""MyST in plain words: the book's Markdown as HTML that stands alone, with the names of what it refers to.

Slides have no other pages to point to. So a cross-reference becomes the title of what it points to, a citation its
authors and year, and a labelled equation bears its label, in words, in the place of a number.
"""

import html
import re
from functools import cache

import execution
import exercises
import myst
import numbering
import statements
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from plain_markdown import authors
from pybtex.database import parse_file

ROLE = re.compile(r"\{([a-z:]+)\}`(?:([^`<]*?)\s*<)?([^`>]+)>?`")
EQUATION = re.compile(r"\$\$\s*((?:(?!\$\$).)+?)\s*\$\$ \(([\w-]+)\)", re.DOTALL)


def equations_in(text):
    """Labels of the equations that a text displays."""
    return {block.label for block in myst.walk(text) if block.name == "equation"}


def equations_cited(text):
    """Labels of the equations that a text cites, in order, each once."""
    return list(dict.fromkeys(label for role, _, label in ROLE.findall(text) if role == "eq"))


@cache
def markdown():
    """Markdown to HTML, with formulas left to MathJax."""
    def formula(text, options):
        return html.escape(rf"\[{text}\]" if options["display_mode"] else rf"\({text}\)")
    return MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, allow_labels=False, renderer=formula)


@cache
def equations():
    """{label: TeX} of every labelled equation of the book."""
    return {block.label: block.text for page in statements.pages() for block in myst.walk(page.read_text("utf-8"))
            if block.name == "equation"}


@cache
def names():
    """{target: words} for cross-references: statements, exercises and chapters by title, works by author and year."""
    found = {}
    for label, target in numbering.targets().items():
        if target.title and target.kind not in ("equation", "figure", "section"):
            title = f"“{target.title.rstrip(exercises.STAR).strip()}”"
            found[label.rpartition("/")[2]] = f"exercise {title}" if target.kind == "exercise" else title
    works = parse_file(str(execution.ROOT / "book" / "references.bib")).entries
    return found | {key: f"{authors(entry)} ({entry.fields['year']})" for key, entry in works.items()}


def in_words(label):
    """A label without its kind: eq-three-conditions -> three conditions."""
    return label.partition("-")[2].replace("-", " ")


def plain(text):
    """MyST without roles: each cross-reference says in words what it points to."""
    def words(match):
        role, title, target = match[1], match[2], match[3].strip()
        if role == "eq":
            return f"({in_words(target)})"
        if role == "math":
            return f"${target}$"
        if role == "numref":
            return f"the figure “{in_words(target)}”"
        keys = [names().get(key.strip().rpartition("/")[2], key) for key in target.split(",")]
        return title or "; ".join(keys)
    return ROLE.sub(words, EQUATION.sub(lambda match: f"$$\n{tagged(*match.groups())}\n$$", text))


def tagged(tex, label):
    """A formula with its label, in words, in the place of a number."""
    return rf"{tex} \tag{{{in_words(label)}}}"


def rendered(text):
    """The HTML of a piece of MyST."""
    return markdown().render(plain(text))


def inline(text):
    """The HTML of a title."""
    return markdown().renderInline(plain(text))
