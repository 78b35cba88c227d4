"""The exercises of a chapter, with the solutions that tests run."""

from typing import NamedTuple

import myst


class Exercise(NamedTuple):
    """An exercise and its solution, None if there is none. stars : 0 if the title has none. code : the solution's."""

    label: str
    title: str
    stars: int
    text: str
    solution: str | None
    code: list


def exercises(text):
    """Every exercise of a chapter's source, in order."""
    solutions = {block.title: block.text for block in myst.solution_blocks(text)}
    return [Exercise(block.label, block.title.rstrip(myst.STAR + " "), block.title.count(myst.STAR), block.text,
                     solution := solutions.get(block.label), myst.code_blocks(solution or ""))
            for block in myst.walk(text) if block.name == "exercise"]
