"""Names under which the book's search finds statements and exercises: the title as one types it, and "Theorem 3.2"."""

import re

import numbering
from docutils import nodes


class search_title(nodes.title):
    """A title that the search finds and the page does not show."""


def skip(translator, node):
    raise nodes.SkipNode


def give(app, doctree, docname):
    """Rename the titles of a page for Sphinx's index; what the page shows does not change."""
    if app.builder.format != "html":
        return
    counted = numbering.targets(app.srcdir)
    for title in list(doctree.findall(nodes.title)):
        if target := counted.get(title.parent.get("label")):
            words = "".join(part.astext() for part in title.children if not list(part.findall(nodes.reference)))
            typed = re.sub(r"\\[,;!]|[\\{}]", "", words).replace("\u2019", "'").replace("<", "&lt;")
            name = re.sub(r"^ \((.*?),? ?\)$", r"\1", typed)
            title.astext = lambda name=name: name
            title.parent += search_title("", f"{target.kind.title()} {target.number}")
