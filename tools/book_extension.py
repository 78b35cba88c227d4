"""Sphinx extension of the book: what Jupyter Book leaves undone.

The sources hold no repository address. Where the environment tells it (tools/addresses.py), the pages get a repository,
an issue and a Colab button, else none. Pages are filled in while they are read: <!-- run-times --> becomes what this
build's chapters took, <!-- citation --> what CITATION.cff says, and <!-- live-page --> the laboratory's address.
"""

import os
import re
import shutil
from pathlib import Path

import numbering
import print_edition
import status
import yaml
from addresses import repository_url, site_url
from docutils import nodes
from numpy.typing import ArrayLike
from sphinx.util import logging
from sphinx.util.typing import stringify_annotation
from sphinx_codeautolink.extension.block import CodeBlockAnalyser

COLAB_BRANCH = "colab"  # where the publishing workflow pushes the notebooks of tools/colab.py
# What browsers and screen readers mind: font preloads, refused in a page opened from disk, where the style sheet does;
# the bibliography's roles, which are deprecated, or ask for children that its entries are not.
NAMELESS = '<summary><span class="toctree-toggle"'  # of the side bar's folds: a name for screen readers
MINDED = re.compile(r'<link rel="preload" as="font"[^>]*>\s*|(?<=<div) role="list"(?= class="citation-list")'
                    r'| role="doc-biblioentry"')


def add_repository(app, config):
    """Fill in the theme's options before the theme reads them."""
    config.ogp_site_name = config.html_title
    if not (url := repository_url(os.environ)):
        return
    config.html_theme_options.update(repository_url=url, repository_branch=COLAB_BRANCH, path_to_docs="",
                                     use_repository_button=True, use_issues_button=True)
    if site := site_url(os.environ):  # where the workflow puts the PDF, too
        config.ogp_site_url = f"{site}/"
        config.ogp_social_cards["enable"] = True  # a preview's picture needs an absolute address
        footer = config.html_theme_options.get("extra_footer", "")
        links = f'<a href="{site}/book/cite.html">Cite this book</a>. <a href="{site}/book.pdf">PDF</a>.'
        config.html_theme_options["extra_footer"] = f"{footer} {links}"


def citation(root):
    """The book as CITATION.cff has it, as a sentence and as BibTeX."""
    book = yaml.safe_load(Path(root, "CITATION.cff").read_text("utf-8"))["preferred-citation"]
    authors = " and ".join(f"{{{author['name']}}}" if "name" in author else
                           f"{author['family-names']}, {author['given-names']}" for author in book["authors"])
    plain = re.sub("[{}]", "", authors)
    fields = {"title": book["title"], "author": authors, "year": book["year"], "edition": book.get("edition")}
    bibtex = "".join(f"  {name:<7} = {{{value}}},\n" for name, value in fields.items() if value)
    return f"{plain} ({book['year']}). *{book['title']}*.\n\n```bibtex\n@book{{signal_first,\n{bibtex}}}\n```"


def live_page(root):
    """Where the laboratory is, for those who read about it on paper."""
    return f"<{site}/book/laboratory.html>" if (site := site_url(os.environ)) else "`book/laboratory.html`"


GENERATED = {"<!-- run-times -->": status.page, "<!-- citation -->": citation, "<!-- live-page -->": live_page}


def fill_in(app, docname, source):
    """Replace the marks of generated text in a page, which each build reads anew."""
    for mark, text in GENERATED.items():
        if mark in source[0]:
            source[0] = source[0].replace(mark, text(app.srcdir))
            app.env.note_reread()


def check_numbers(app, env):
    """Warn where tools/numbering.py, by which Colab's notebooks number things, disagrees with Sphinx."""
    counted = numbering.targets(app.srcdir)
    for page, kinds in env.toc_fignumbers.items():
        for name, numbers in [pair for kind in kinds.values() for pair in kind.items()]:
            label, number = name.removeprefix("equation-"), ".".join(map(str, numbers))
            if label in counted and counted[label].number != number:
                logging.getLogger(__name__).warning(
                    f"{page}: {label} is {number} here and {counted[label].number} in Colab; mend tools/numbering.py")


class search_title(nodes.substitution_definition, nodes.title):
    """A title for the search; as what defines a substitution, no page shows it."""


def name_for_search(app, doctree, docname):
    """Let the search find statements and exercises by the title as one types it, and as "Theorem 3.2"."""
    if app.builder.format != "html":
        return
    counted = numbering.targets(app.srcdir)
    for title in list(doctree.findall(nodes.title)):
        if target := counted.get(title.parent.get("label")):
            words = "".join(part.astext() for part in title.children if not list(part.findall(nodes.reference)))
            typed = re.sub(r"\\[,;!]|[\\{}]", "", words).replace("\u2019", "'").replace("<", "&lt;")
            name = re.sub(r"^ \((.*?),? ?\)$", r"\1", typed)
            title.astext = lambda name=name: name  # for the index; what the page shows stays
            title.parent += search_title("", f"{target.kind.title()} {target.number}")


def offer_notebook(app, pagename, templatename, context, doctree):
    """Let a page's download menu offer its notebook beside the text source, and Colab open a chapter's."""
    pair = Path(app.srcdir, f"{pagename}.ipynb")
    notebook = pair if pair.exists() else Path(app.outdir).parent / "jupyter_execute" / f"{pagename}.ipynb"
    if doctree is not None and notebook.exists():
        copy = Path(app.outdir, "_sources", f"{pagename}.ipynb")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(notebook, copy)
        context["ipynb_source"] = f"{pagename}.ipynb"
    colab = {"colab_url": "https://colab.research.google.com"} if repository_url(os.environ) and pair.exists() else {}
    app.config.html_theme_options["launch_buttons"] = colab  # the theme reads it for each page


def mend_pages(app, error):
    """Take out of the pages what the theme and docutils write against browsers' and screen readers' rules."""
    for page in Path(app.outdir).glob("**/*.html"):
        text = page.read_text("utf-8").replace(NAMELESS, NAMELESS.replace(">", ' aria-label="pages behind it">', 1))
        page.write_text(MINDED.sub("", text), "utf-8")


def leave_section(analyser, node):
    """sphinx-codeautolink expects a title in each section; statements and exercises are sections without one."""
    if any(isinstance(child, nodes.title) for child in node.children):
        analyser.title_stack.pop()


def setup(app):
    CodeBlockAnalyser.depart_section = leave_section
    # Jupyter Book sets this for sphinx_comments, which is not loaded here.
    app.add_config_value("comments_config", {}, "html")
    app.connect("config-inited", add_repository, priority=100)
    app.connect("html-page-context", offer_notebook, priority=100)
    app.connect("source-read", fill_in, priority=100)
    app.connect("env-check-consistency", check_numbers)
    app.connect("doctree-resolved", name_for_search)
    app.connect("doctree-resolved", print_edition.prepare)
    app.connect("config-inited", print_edition.configure)
    app.connect("build-finished", mend_pages)
    array = stringify_annotation(ArrayLike, "smart")  # what NumPy defines it by; signatures say what the code says
    app.connect("autodoc-process-signature", lambda *it: (it[-2] and it[-2].replace(array, "ArrayLike"), it[-1]))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
