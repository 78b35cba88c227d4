"""Exercises and solutions of a chapter, as its source has them. Students, slides and tests are made from them.

A solution is one directive (`solution`), or, where its code is run on the page, what stands between `solution-start`
and `solution-end`. The stars at the end of an exercise's title say how hard it is.
"""

import re
from dataclasses import dataclass

STAR = "★"
EXERCISE = re.compile(r"^(:{3,})\{exercise\}[ \t]*(.*)$")
SOLUTION = re.compile(r"^(:{3,})\{(solution|solution-start)\}[ \t]*(\S+)[ \t]*$")
END = re.compile(r"^(:{3,})\{solution-end\}[ \t]*$")
OPTION = re.compile(r"^:([\w-]+):[ \t]*(.*)$")
CODE = re.compile(r"^```(?:python|\{code-cell\}[^\n]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A directive of a page: lines first to last - 1 (from 0), its options, and the text inside."""

    first: int
    last: int
    title: str
    label: str
    text: str


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
    blocks = [re.sub(r"\A(?:---\n.*?\n---\n|(?::[\w-]+:[^\n]*\n)+)", "", code, flags=re.DOTALL) for code in
              CODE.findall(text)]
    return [block.strip("\n") for block in blocks]


def exercise_blocks(text):
    """Every exercise directive, in order."""
    lines, found = text.splitlines(), []
    for first, line in enumerate(lines):
        match = EXERCISE.match(line)
        if match:
            last = closing(lines, first + 1, match[1])
            found.append(block_at(lines, first, last, match[2].strip()))
    return found


def solution_blocks(text):
    """Every solution, in order; the label is that of its exercise."""
    lines, found = text.splitlines(), []
    for first, line in enumerate(lines):
        match = SOLUTION.match(line)
        if not match:
            continue
        last = closing(lines, first + 1, match[1])
        if match[2] == "solution-start":
            ends = [number for number in range(last, len(lines)) if END.match(lines[number])]
            if not ends:
                raise ValueError(f"line {first + 1}: the solution of {match[3]} has no solution-end")
            inside = "\n".join(lines[last:ends[0]]).strip("\n")
            last = closing(lines, ends[0] + 1, END.match(lines[ends[0]])[1])
            found.append(Block(first, last, "", match[3], inside))
        else:
            found.append(Block(first, last, "", match[3], block_at(lines, first, last, "").text))
    return found


def exercises(text):
    """Every exercise of a chapter's source, in order."""
    solutions = {block.label: block.text for block in solution_blocks(text)}
    found = []
    for block in exercise_blocks(text):
        title = block.title.rstrip(STAR)
        found.append(Exercise(block.label, title.strip(), len(block.title) - len(title), block.text,
                              solutions.get(block.label)))
    return found


def closing(lines, start, fence):
    """The line after the one that closes `fence`. Raises ValueError if none does."""
    for number in range(start, len(lines)):
        if lines[number].rstrip() == fence:
            return number + 1
    raise ValueError(f"line {start}: {fence} is never closed")


def block_at(lines, first, last, title):
    """The Block of the directive that stands on lines first to last - 1."""
    inside, label = lines[first + 1:last - 1], ""
    while inside and (match := OPTION.match(inside[0])):
        label = match[2].strip() if match[1] == "label" else label
        inside = inside[1:]
    return Block(first, last, title, label, "\n".join(inside).strip("\n"))
