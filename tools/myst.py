"""The one reader of MyST: what a page holds besides prose, found by MyST's own parser. Its docutils tree, which
Sphinx reads, has lost where a block begins and ends and what stands in it as text; for that there are the tokens.

A solution is one directive (`solution`), or, where its code is run on the page, what stands between `solution-start`
and `solution-end`. The stars at the end of an exercise's title say how hard it is.
"""

import re
from typing import NamedTuple

import yaml
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

MARKS = MdParserConfig(enable_extensions={"colon_fence", "dollarmath"})  # of _config.yml, those that make blocks
PARSER = create_md_parser(MARKS, RendererHTML).disable("inline")
DIRECTIVE = re.compile(r"[:`~]{3,}\{([\w:-]+)\}[ \t]*(.*)")
OPTIONS = re.compile(r"---\n((?s:.*?)\n)---\n|((?:[ \t]*:[\w-]+:.*\n)+)")
VERBATIM = {"code-cell", "raw"}  # directives without MyST inside
STAR = "★"


class Block(NamedTuple):
    """A directive, code in a fence, an equation with a label, or the heading of a section.

    name : the directive's, the code's language, "equation" or "section". options : a label is one of them, and the
    level of a heading ("h2"). text : what is inside. first, last : the block is lines first to last - 1 of its page,
    from 0. inside : all blocks in it.
    """

    name: str
    title: str
    options: dict
    text: str
    first: int
    last: int
    inside: tuple = ()

    @property
    def label(self):
        return self.options.get("label", "")

    @property
    def statement(self):
        """Its kind ("theorem") if the block states something, else ""."""
        return self.name[4:] if self.name.startswith("prf:") and self.name != "prf:proof" else ""


def walk(text, begin=0, page="MyST"):
    """Every block of a text in order, those inside another after it."""
    for block in blocks(text, begin, page):
        yield block
        yield from block.inside


def blocks(text, begin=0, page="MyST"):
    """The blocks of a text whose first line is line `begin` of `page`, without those inside another.

    Raises ValueError, beginning with `page`, for a fence that nothing closes, or colons that open no directive.
    """
    lines, found, tokens = text.split("\n"), [], PARSER.parse(text)
    for index, token in enumerate(tokens):
        span = [begin + line for line in token.map or ()]
        if token.type in ("fence", "colon_fence"):
            found.append(_fenced(token, lines, begin, page))
        elif token.type == "math_block_label":
            found.append(Block("equation", "", {"label": token.info}, token.content.strip(), *span))
        elif token.type == "heading_open":
            label = tokens[index - 1].content if index and tokens[index - 1].type == "myst_target" else ""
            found.append(Block("section", tokens[index + 1].content, {"level": token.tag, "label": label}, "", *span))
    return found


def _fenced(token, lines, begin, page):
    """The block of a fence."""
    first, last = token.map
    directive, text, options = DIRECTIVE.search(lines[first]), token.content, {}
    closed = last > first + 1 and not lines[last - 1].strip().strip(token.markup[0])
    if not closed or (token.type == "colon_fence" and not directive):
        raise ValueError(f"{page}: line {begin + first + 1}: {lines[first]!r} opens nothing, or nothing closes it")
    name, title = directive.groups() if directive else (token.info, "")
    if directive and (found := OPTIONS.match(text)):
        options = yaml.safe_load(found[1] or re.sub(r"^[ \t]*:", "", found[2], flags=re.MULTILINE))
        text = text[found.end():]
    inside = walk(text, begin + last - 1 - text.count("\n"), page) if directive and name not in VERBATIM else ()
    return Block(name.strip(), title.strip(), options, text.strip("\n"), begin + first, begin + last, tuple(inside))


def code_blocks(text):
    """The source of every ```python block and every code cell, without the cell's options."""
    return [block.text for block in walk(text) if block.name in ("python", "code-cell")]


def solution_blocks(text):
    """Every solution, in order; the title is the label of its exercise."""
    lines, found, start = text.split("\n"), [], None
    for block in walk(text):
        if block.name == "solution":
            found.append(block)
        elif block.name == "solution-start":
            start = block
        elif block.name == "solution-end" and start:
            found.append(start._replace(last=block.last, text="\n".join(lines[start.last:block.first]).strip("\n")))
            start = None
    if start:
        raise ValueError(f"line {start.first + 1}: the solution of {start.title} has no solution-end")
    return found
