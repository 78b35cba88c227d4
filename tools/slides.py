"""Slides of the chapters, from the same sources: build/slides/NN_slug.html, for reveal.js, without network.

    python tools/slides.py [NN ...] [--out FOLDER]    figures and verdicts come from the execution cache

What goes on a slide is a rule, no second text: title; opening; sections; each statement without its proof, and each
equation that it cites; each figure under its finding, the caption's first sentence; the verdict; the summary; the
exercises' titles. sphinx-revealjs would put a whole page on slides, section by section, and knows no such rule.
"""

import argparse
import html
import re
import shutil
import sys
from functools import cache
from pathlib import Path
from string import Template

import execution
import jupytext
import myst
import numbering
import statements
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from plain_markdown import ROLE, Words, bibliography, in_words

OUT = execution.ROOT / "build" / "slides"
ASSETS = execution.ROOT / "book" / "assets"
BOOK = "Signal First, Noise Later"
FULL = 950  # characters, about, that fill a slide
LITTLE = 200  # of them are not worth a slide of their own
PANELS = {"Left", "Right", "Top", "Bottom", "Above", "Below"}
FINDING = 120  # characters of a caption's first sentence that make a title
LINE = 100  # how many of them a line of a displayed formula counts, and the space around it
SECTIONS_LEFT_OUT = {"Exercises", "Summary", "Verdict", "In this chapter"}
PAGE = Template(Path(__file__).with_name("slides.html").read_text("utf-8"))


@cache
def words():
    """MyST in plain words, as in the whole book."""
    return Words("slides", numbering.targets(), bibliography())


@cache
def markdown():
    """Markdown to HTML, with formulas left to MathJax."""
    def formula(text, options):
        return html.escape(rf"\[{text}\]" if options["display_mode"] else rf"\({text}\)")
    return MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, allow_labels=False, renderer=formula)


@cache
def equations():
    """{label: MyST} of every labelled equation of the book."""
    return {block.label: f"$$\n{block.text}\n$$ ({block.label})" for page in statements.pages()
            for block in myst.walk(page.read_text("utf-8")) if block.name == "equation"}


def rendered(text):
    """The HTML of a piece of MyST."""
    return markdown().render(words()(text))


def inline(text):
    """The HTML of a title."""
    return markdown().renderInline(words()(text))


def slide(where, title, body):
    """One slide: where in the chapter it stands, its title, its HTML."""
    return f'<section><p class="where">{inline(where)}</p>\n<h2>{inline(title)}</h2>\n{body}</section>'


def pages_of(text):
    """The paragraphs of a text in lists, each of which fills at most about one slide."""
    paragraphs = [part for part in re.split(r"\n\s*\n(?=\S)", text.strip()) if part.strip()]
    sizes = [len(re.sub(r"\\[a-zA-Z]+|[{}$]", "", part)) + LINE * (part.count("$$") + part.count(r"\\"))
             for part in paragraphs]
    if sum(sizes) <= FULL + LITTLE:
        return [text.strip()]
    pages, room = [[]], FULL
    for part, size in zip(paragraphs, sizes):
        if pages[-1] and size > room and not (part is paragraphs[-1] and size <= LITTLE):
            pages.append([])
            room = FULL
        pages[-1].append(part)
        room -= size
    return ["\n\n".join(page) for page in pages]


def finding(caption, name):
    """(title, what is left to say) of a figure: its caption opens with the finding; else its label must do."""
    first, *rest = re.split(r"(?<=[.!?])\s+(?=[A-Z*$\[{])", caption.strip(), maxsplit=1)
    before, _, after = first.partition(": ")
    if len(first) > FINDING and after:
        first, rest = before, [f"{after[0].upper()}{after[1:]} {''.join(rest)}"]
    if len(first) > FINDING or before in PANELS:
        return in_words(name).capitalize(), caption
    return first.removesuffix("."), "".join(rest)


def text_slides(where, title, text, shown, kind="text"):
    """Slides of a text, and of those equations that it cites and that no slide has yet; `shown` gets their labels."""
    parts = pages_of(text)
    mark = [f" ({number} of {len(parts)})" if len(parts) > 1 else "" for number in range(1, len(parts) + 1)]
    made = [slide(where, title + which, f'<div class="{kind}">{rendered(part)}</div>')
            for part, which in zip(parts, mark)]
    shown |= {block.label for block in myst.walk(text) if block.name == "equation"}
    cited = [label for label in dict.fromkeys(label for role, label in ROLE.findall(text) if role == "eq")
             if label not in shown]
    shown |= set(cited)
    for page in pages_of("\n\n".join(equations()[label] for label in cited)):
        made += [slide(where, "What it refers to", rendered(page))] if page else []
    return made


def statement_slides(chapter, where, text, shown):
    """(slides of the statements in a piece of Markdown, the section in which it ends); proofs are left out."""
    made = []
    for block in myst.blocks(text):
        if block.options.get("level") == "h2":
            where = f"{chapter} · {block.title}"
        elif block.statement:
            title = f"{block.statement.capitalize()}: {block.title}".removesuffix(": ")
            made += text_slides(where, title, block.text, shown, "statement")
    return made, where


def output(cell, kind):
    """The first output of a cell of that kind (a MIME type, or "stream"), None if it has none."""
    for one in cell.get("outputs", []):
        found = one.get("text") if kind == "stream" else one.get("data", {}).get(kind)
        if found and (kind != "stream" or one.get("name") == "stdout"):
            return found
    return None


def figure_slide(where, cell):
    """The slide of a figure; without its picture if the cell was not executed."""
    about, image = cell.metadata["mystnb"]["figure"], output(cell, "image/png")
    alt = html.escape(cell.metadata["mystnb"].get("image", {}).get("alt", ""))
    picture = f'<img alt="{alt}" src="data:image/png;base64,{image.strip()}">' if image else ""
    title, rest = finding(about["caption"], about["name"])
    return slide(where, title, f"<figure>{picture}<figcaption>{rendered(rest)}</figcaption></figure>")


def deck(path, notebook):
    """The slides of a chapter, as HTML sections. notebook : its cells, executed or not."""
    text = path.read_text("utf-8")
    title, *headings = [block.title for block in myst.blocks(text) if block.options.get("level") in ("h1", "h2")]
    number, shown = int(path.stem[:2]), set()
    chapter = where = f"{number}. {title}"
    box = next((block.text for block in myst.blocks(text) if block.name == "admonition"), None)
    opening = box or re.search(r"^(?:\*\*In this chapter\.\*\*|## In this chapter\n)(.+?)(?=^```|^#)", text,
                               re.M | re.S)[1]
    way = "\n".join(f"- {heading}" for heading in headings if heading not in SECTIONS_LEFT_OUT)
    made = [f'<section class="title"><p class="where">{BOOK}</p><h1>{inline(title)}</h1>'
            f"<p>Chapter {number}</p></section>",
            *text_slides(where, "In this chapter", re.sub(r"^:::.*?^:::$", "", opening, flags=re.M | re.S), shown),
            slide(where, "The way", f'<div class="way">{rendered(way)}</div>')]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found, where = statement_slides(chapter, where, cell.source, shown)
            made += found
        elif "figure" in cell.metadata.get("mystnb", {}):
            made.append(figure_slide(where, cell))
        elif "nbval-check-output" in cell.metadata.get("tags", []) and output(cell, "stream"):
            made.append(slide(where, "Verdict", f"<pre>{html.escape(output(cell, 'stream'))}</pre>"))
    summary = re.search(r"^(?:## Summary\n|\*\*Summary\.\*\*)(.+?)(?=^#|^```)", text, re.M | re.S)
    made += text_slides(chapter, "Summary", summary[1], shown) if summary else []
    items = [f'- {one.title} <span class="stars">{one.stars * myst.STAR}</span>' for one in myst.exercises(text)]
    return [*made, slide(chapter, "Exercises", rendered("\n".join(items)))]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapters", nargs="*", metavar="NN", help="numbers of chapters; all by default")
    parser.add_argument("--out", type=Path, default=OUT, help="folder (default build/slides)")
    options = parser.parse_args(arguments)
    chosen = [path for path in execution.chapters() if not options.chapters or path.stem[:2] in options.chapters]
    for name in ("mathjax", "reveal"):
        shutil.copytree(ASSETS / name, options.out / "assets" / name, dirs_exist_ok=True)
    for name in ("slides.css", "slides.js"):
        shutil.copyfile(ASSETS / name, options.out / "assets" / name)
    missing = []
    for path in chosen:
        try:
            notebook = execution.executed(path)
        except KeyError:
            missing.append(path.name)
            notebook = jupytext.read(path)
        sections = "\n".join(deck(path, notebook))
        page = PAGE.substitute(title=html.escape(path.stem), sections=sections)
        (options.out / f"{path.stem}.html").write_text(page, "utf-8")
    print(f"{len(chosen)} decks in {options.out}")
    if missing:
        print(f"without pictures, not executed yet (make slides does that): {', '.join(missing)}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
