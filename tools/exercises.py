"""Exercises and solutions of a chapter, as its source has them. Students, slides and tests are made from them.

A solution is one directive (`solution`), or, where its code is run on the page, what stands between `solution-start`
and `solution-end`. The stars at the end of an exercise's title say how hard it is.
"""

from dataclasses import dataclass, replace

import myst

STAR = "★"


@dataclass(frozen=True)
class Exercise:
    """An exercise and its solution, None if there is none. stars : 0 if the title has none."""

    label: str
    title: str
    stars: int
    text: str
    solution: str | None

    @property
    def code(self):
        """The code blocks of the solution, in order."""
        return code_blocks(self.solution or "")


def code_blocks(text):
    """The source of every ```python block and every code cell, without the cell's options."""
    return [block.text for block in myst.walk(text) if block.name in ("python", "code-cell")]


def solution_blocks(text):
    """Every solution, in order; the title is the label of its exercise."""
    lines, found, start = text.split("\n"), [], None
    for block in myst.walk(text):
        if block.name == "solution":
            found.append(block)
        elif block.name == "solution-start":
            start = block
        elif block.name == "solution-end" and start:
            inside = "\n".join(lines[start.last:block.first]).strip("\n")
            found.append(replace(start, last=block.last, text=inside))
            start = None
    if start:
        raise ValueError(f"line {start.first + 1}: the solution of {start.title} has no solution-end")
    return found


def exercises(text):
    """Every exercise of a chapter's source, in order."""
    solutions = {block.title: block.text for block in solution_blocks(text)}
    return [Exercise(block.label, block.title.rstrip(STAR + " "), block.title.count(STAR), block.text,
                     solutions.get(block.label)) for block in myst.walk(text) if block.name == "exercise"]
