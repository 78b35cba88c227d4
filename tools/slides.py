"""Slides of the chapters, from the same sources: build/slides/NN_slug.html, for reveal.js, without network.

Figures and verdicts come from the execution cache. What goes on a slide is a rule, no second text: title; opening;
sections; each statement without its proof, and each equation that it cites; each figure under its finding, the
caption's first sentence or what book/findings.yml quotes of the chapter; the verdict; the summary; the exercises'
titles. What the main line says beside these are the speaker's notes (key S). sphinx-revealjs would put a whole page on
slides, section by section, and knows no such rule.
"""

import html
import re
import shutil
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from string import Template
from typing import NamedTuple

import execution
import myst
import notebooks
import numbering
import yaml
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
DISPLAYED = re.compile(r"\$\$.*?\$\$", re.DOTALL)
SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+(?=[A-Z*$\[{])")
SAID_ENDS = re.compile(r"(?<=[.!?])(?<! al\.)\s+(?=[A-Z<(])(?![^<]*</(?:em|strong)>)")  # the same in HTML
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


@cache
def quoted():
    """{name of a figure: its finding, in words of its chapter} where its caption does not open with it."""
    return yaml.safe_load((execution.ROOT / "book" / "findings.yml").read_text("utf-8"))


def finding(figure, text):
    """(title, what is left to say) of a figure of a chapter's text. figure : its name and caption.

    Raises ValueError where neither the caption opens with a finding nor the chapter says what is quoted.
    """
    name, caption = figure["name"], figure["caption"].strip()
    if name in quoted():
        if (quote := quoted()[name]) not in " ".join(text.split()):
            raise ValueError(f"{name}: book/findings.yml quotes {quote!r}, which its chapter does not say (any more)")
        return f"{quote[0].upper()}{quote[1:]}", caption
    first, *rest = SENTENCE_ENDS.split(caption, maxsplit=1)
    before, _, after = first.partition(": ")
    if len(first) > FINDING and after:
        first, rest = before, [f"{after[0].upper()}{after[1:]} {''.join(rest)}"]
    if len(first) > FINDING or before in PANELS:
        raise ValueError(f"{name}: its caption does not open with a finding of at most {FINDING} characters: begin it "
                         "with one, or let book/findings.yml quote where the chapter says it")
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


def figure_slide(where, cell, text):
    """The slide of a figure of a chapter's text; without its picture if the cell was not executed."""
    alt = cell.metadata["mystnb"].get("image", {}).get("alt", "")
    images = [output.data["image/png"].strip() for output in cell.outputs if "image/png" in output.get("data", {})]
    picture = f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{images[0]}">' if images else ""
    title, rest = finding(cell.metadata["mystnb"]["figure"], text)
    return slide(where, title, f"<figure>{picture}<figcaption>{rendered(rest)}</figcaption></figure>")


class Stop(NamedTuple):
    """Where a lecture stops for one or more slides: a heading, a statement, a figure's or the verdict's cell."""

    section: str
    what: object
    notes: list  # of paragraphs


def prose(text):
    """The blocks of a text and, as strings, the paragraphs between them, in order."""
    lines, at = text.split("\n"), 0
    for block in [*myst.blocks(text), None]:
        between = DISPLAYED.sub("", "\n".join(lines[at:block.first if block else len(lines)]))
        yield from (part for part in re.split(r"\n\s*\n", between) if part.strip())
        if block:
            yield block
            at = block.last


def things(notebook):
    """(section, block, paragraph or cell) of all that a chapter says outside its folds, up to its exercises."""
    section = ""
    for cell in notebook.cells:
        for thing in prose(cell.source) if cell.cell_type == "markdown" else [cell]:
            if isinstance(thing, myst.Block) and thing.options.get("level") == "h2":
                section = thing.title
            if section == "Exercises":
                return
            yield section, thing


def stops(notebook):
    """The Stops of a chapter. The first, before any slide of the chapter's own, has what is said until then.

    A paragraph goes with what follows it if it is a section's first, or ends in a colon; else with what it follows.
    Where nothing is left, what was said last is said on.
    """
    found, waiting = [Stop("", None, [])], []
    for section, thing in things(notebook):
        said = isinstance(thing, str)
        statement = isinstance(thing, myst.Block) and thing.statement
        shown = not isinstance(thing, str | myst.Block) and ("figure" in thing.metadata.get("mystnb", {})
                                                             or notebooks.is_verdict(thing))
        if said and section not in ("", "Summary"):
            waiting.append((section, thing))
        elif statement or shown:
            new = Stop(section, thing, [])
            leads = [words for place, words in waiting if place == section]
            if found[-1].section == section:
                leads = leads[-1:] if leads and (leads[-1].rstrip().endswith(":") or not found[-1].notes) else []
            late = waiting[:len(waiting) - len(leads)]
            found[-1].notes.extend(words for _, words in late)
            new.notes.extend(leads)
            found, waiting = [*found, new], []
    found[-1].notes.extend(words for _, words in waiting)
    for before, stop in pairwise(found):
        stop.notes.extend(before.notes[-1:] if not stop.notes else [])
    return found


def sentences(paragraph):
    """The sentences of a paragraph or list of MyST as HTML, formulas as they are written; none of a table."""
    if paragraph.lstrip().startswith(("|", "<")):
        return []
    items = re.split(r"^ *(?:[-*]|\d+\.) ", words()(paragraph), flags=re.MULTILINE)
    lines = [line for item in items for line in SAID_ENDS.split(MARKDOWN.renderInline(" ".join(item.split())))]
    # A displayed formula, which is left out, takes the half of the sentence on either side with it.
    return [line for line in lines if re.search(r"^(<|[^a-z]).*[.!?:](</\w+>|[)\"”])*$", line)]


def with_notes(made, paragraphs):
    """Slides, the first of which has the speaker's notes: what leads to nothing that is seen here is left out."""
    said = [line for part in paragraphs for line in sentences(part)]
    said = [line for line in said if not line.endswith(":")] or said
    notes = f'<aside class="notes mathjax_ignore">{"".join(f"<p>{line}</p>" for line in said)}</aside>' if said else ""
    return [one.removesuffix("</section>") + f"{notes if one is made[0] else ''}</section>" for one in made]


def deck(path, notebook):
    """The slides of a chapter, as HTML sections. notebook : its cells, executed or not."""
    text = path.read_text("utf-8")
    title, *headings = [block.title for block in myst.blocks(text) if block.options.get("level") in ("h1", "h2")]
    box = next(block.text for block in myst.blocks(text) if block.name == "admonition")
    summary = re.search(r"^## Summary\n(.+?)(?=^```|^#)", text, re.M | re.S)[1]
    number, shown = int(path.stem[:2]), set()
    chapter = f"{number}. {title}"
    way = "\n".join(f"- {heading}" for heading in headings if heading not in SECTIONS_LEFT_OUT)
    opening, *along = stops(notebook)
    made = [f'<section class="title"><p class="where">{BOOK}</p><h1>{inline(title)}</h1>'
            f"<p>Chapter {number}</p></section>", *text_slides(chapter, "In short", box, shown),
            *with_notes([slide(chapter, "The way", f'<div class="way">{rendered(way)}</div>')], opening.notes)]
    for stop in along:
        where = f"{chapter} · {stop.section}" if stop.section else chapter
        made += with_notes(stop_slides(where, stop.what, text, shown), stop.notes)
    items = [f'- {one.title.rstrip(myst.STAR)}<span class="stars">{one.title.count(myst.STAR) * myst.STAR}</span>'
             for one in myst.walk(text) if one.name == "exercise"]
    return [*made, *text_slides(chapter, "Summary", summary, shown),
            slide(chapter, "Exercises", rendered("\n".join(items)))]


def stop_slides(where, what, text, shown):
    """The slides of a Stop."""
    if isinstance(what, myst.Block):
        head = f"{what.statement.capitalize()} {words().target(what.label).number}"
        return text_slides(where, f"{head}: {what.title}".removesuffix(": "), what.text, shown, "statement")
    if "figure" in what.metadata.get("mystnb", {}):
        return [figure_slide(where, what, text)]
    said = "".join(output.text for output in what.outputs if output.get("name") == "stdout")
    return [slide(where, "Verdict", f"<pre>{html.escape(said)}</pre>")] if said else []


def main(out=OUT):
    shutil.copytree(ASSETS, out / "assets", dirs_exist_ok=True)
    for path in execution.chapters():
        try:
            sections = deck(path, execution.executed(path))
        except KeyError:
            return f"{path.name} was not executed yet, and a deck shows its figures: make slides does both"
        page = PAGE.substitute(title=html.escape(path.stem), sections="\n".join(sections))
        (out / f"{path.stem}.html").write_text(page, "utf-8")
    print(f"{len(execution.chapters())} decks in {out}; in a deck the key S opens the speaker's notes")


if __name__ == "__main__":
    sys.exit(main())
