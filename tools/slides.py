"""Slides of the chapters, from the same sources: build/slides/NN_slug.html, for reveal.js, without network.

Figures and verdicts come from the execution cache. What goes on a slide is a rule, no second text: title; opening;
sections; each statement without its proof, and each equation that it cites; each figure under its finding, the
caption's first sentence; the verdict; the summary; the exercises' titles. sphinx-revealjs would put a whole page on
slides, section by section, and knows no such rule.
"""

import html
import re
import shutil
import sys
from functools import cache
from pathlib import Path
from string import Template

import execution
import myst
import notebooks
import numbering
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from plain_markdown import ROLE, Plain

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
# Markdown to HTML, with formulas left to MathJax.
MARKDOWN = MarkdownIt("commonmark").enable("table").use(
    dollarmath_plugin, allow_labels=False, renderer=lambda text, options: html.escape(
        rf"\[{text}\]" if options["display_mode"] else rf"\({text}\)"))


@cache
def words():
    """MyST in plain words, with the book's numbers."""
    return Plain("slides", numbering.targets(), titled=True)


@cache
def equations():
    """{label: MyST} of every labelled equation of the book."""
    return {block.label: f"$$\n{block.text}\n$$ ({block.label})"
            for page in {each.page for each in numbering.targets().values()}
            for block in myst.walk((execution.ROOT / f"{page}.md").read_text("utf-8")) if block.name == "equation"}


def rendered(text):
    """The HTML of a piece of MyST."""
    return MARKDOWN.render(words()(text))


def inline(text):
    """The HTML of a title."""
    return MARKDOWN.renderInline(words()(text))


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
    pages, room = [], 0
    for part, size in zip(paragraphs, sizes):
        if size > room and not (pages and part is paragraphs[-1] and size <= LITTLE):
            pages, room = [*pages, []], FULL
        pages[-1].append(part)
        room -= size
    return ["\n\n".join(page) for page in pages]


def finding(caption):
    """(title, what is left to say) of a figure: its caption opens with the finding, else the title is ""."""
    first, *rest = re.split(r"(?<=[.!?])\s+(?=[A-Z*$\[{])", caption.strip(), maxsplit=1)
    before, _, after = first.partition(": ")
    if len(first) > FINDING and after:
        first, rest = before, [f"{after[0].upper()}{after[1:]} {''.join(rest)}"]
    if len(first) > FINDING or before in PANELS:
        return "", caption
    return first.removesuffix("."), "".join(rest)


def text_slides(where, title, text, shown, kind="text"):
    """Slides of a text, and of those equations that it cites and that no slide has yet; `shown` gets their labels."""
    parts = pages_of(text)
    made = [slide(where, f"{title} ({number} of {len(parts)})" if len(parts) > 1 else title,
                  f'<div class="{kind}">{rendered(part)}</div>') for number, part in enumerate(parts, 1)]
    shown |= {block.label for block in myst.walk(text) if block.name == "equation"}
    cited = dict.fromkeys(label for role, label in ROLE.findall(text) if role == "eq" and label not in shown)
    shown |= set(cited)
    pages = pages_of("\n\n".join(equations()[label] for label in cited))
    return made + [slide(where, "What it refers to", rendered(page)) for page in pages if page]


def figure_slide(where, cell):
    """The slide of a figure; without its picture if the cell was not executed."""
    about, alt = cell.metadata["mystnb"]["figure"], cell.metadata["mystnb"].get("image", {}).get("alt", "")
    images = [output.data["image/png"].strip() for output in cell.outputs if "image/png" in output.get("data", {})]
    picture = f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{images[0]}">' if images else ""
    title, rest = finding(about["caption"])
    return slide(where, title or words().name(about["name"]),
                 f"<figure>{picture}<figcaption>{rendered(rest)}</figcaption></figure>")


def deck(path, notebook):
    """The slides of a chapter, as HTML sections. notebook : its cells, executed or not."""
    text = path.read_text("utf-8")
    title, *headings = [block.title for block in myst.blocks(text) if block.options.get("level") in ("h1", "h2")]
    box = next(block.text for block in myst.blocks(text) if block.name == "admonition")
    summary = re.search(r"^## Summary\n(.+?)(?=^```|^#)", text, re.M | re.S)[1]
    number, shown = int(path.stem[:2]), set()
    chapter = where = f"{number}. {title}"
    way = "\n".join(f"- {heading}" for heading in headings if heading not in SECTIONS_LEFT_OUT)
    made = [f'<section class="title"><p class="where">{BOOK}</p><h1>{inline(title)}</h1>'
            f"<p>Chapter {number}</p></section>",
            *text_slides(where, "In short", box, shown),
            slide(where, "The way", f'<div class="way">{rendered(way)}</div>')]
    for cell in notebook.cells:
        for block in myst.blocks(cell.source) if cell.cell_type == "markdown" else ():
            if block.options.get("level") == "h2":
                where = f"{chapter} · {block.title}"
            elif block.statement:
                head = f"{block.statement.capitalize()} {words().target(block.label).number}"
                made += text_slides(where, f"{head}: {block.title}".removesuffix(": "), block.text, shown, "statement")
        if "figure" in cell.metadata.get("mystnb", {}):
            made.append(figure_slide(where, cell))
        elif notebooks.is_verdict(cell):
            said = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
            made += [slide(where, "Verdict", f"<pre>{html.escape(said)}</pre>")] if said else []
    items = [f'- {one.title} <span class="stars">{one.stars * myst.STAR}</span>' for one in myst.exercises(text)]
    return [*made, *text_slides(chapter, "Summary", summary, shown),
            slide(chapter, "Exercises", rendered("\n".join(items)))]


def main(out=OUT):
    shutil.copytree(ASSETS, out / "assets", dirs_exist_ok=True)
    for path in execution.chapters():
        try:
            sections = deck(path, execution.executed(path))
        except KeyError:
            return f"{path.name} was not executed yet, and a deck shows its figures: make slides does both"
        page = PAGE.substitute(title=html.escape(path.stem), sections="\n".join(sections))
        (out / f"{path.stem}.html").write_text(page, "utf-8")
    print(f"{len(execution.chapters())} decks in {out}")


if __name__ == "__main__":
    sys.exit(main())
