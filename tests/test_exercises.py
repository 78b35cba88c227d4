"""Exercises: each is graded and solved, and the code of every solution runs and gives the numbers of its text.

A solution's code runs in a namespace made of those statements of its chapter that it needs, and no others
(tests/slices.py). What would take long is made smaller, by the replacements in SMALLER: fewer seeds, fewer images.
CHECKS says what must come out; the numbers are those of the solution's text, as far as the smaller run can tell.
"""

import ast
import contextlib
import io
import re
from functools import cache

import execution
import exercises
import matplotlib.pyplot as plt
import numpy as np
import pytest
import slices

CHAPTERS = execution.chapters()
FIND = {exercise.label: (path, exercise) for path in CHAPTERS
        for exercise in exercises.exercises(path.read_text("utf-8"))}
LABELS = [label for label, (_, exercise) in FIND.items() if exercise.code]
# Solutions that are mathematics, or say where code stands, and run nothing.
MATHEMATICS = set()

SMALLER = {
    "ex-two-rates": {"10, \"full\"": "4, \"full\""},
    "ex-initial-weights": {"seeds=range(10)": "seeds=range(2)"},
    "ex-nearer": {"seeds=range(10)": "seeds=range(2)"},
    "ex-unequal-bound": {"seeds=range(10)": "seeds=range(3)"},
    "ex-markov": {"range(20 if": "range(3 if", "run(problem(), 1_000)": "run(problem(), 30)",
                  "tau=0.2), 100)": "tau=0.2), 1)"},
    "ex-fresh-hurts": {"[1.5, 3, 6, 12, 20]": "[6]"},
    "ex-few-flips": {"range(10)": "range(1)", "(0.02, 0.05, 0.1, 0.15, 0.2)": "(0.1, 0.15)"},
    "ex-projected-noise": {"range(10)": "range(2)"},
    "ex-share": {"range(12 if": "range(2 if"},
    "ex-loss-share": {"range(12 if": "range(2 if"},
    "ex-slower": {"range(10)": "range(2)"},
    "ex-initial-scale": {"2000)": "200)", "for seed in range(5)": "for seed in range(2)"},
    "ex-select-retrain": {"2000)": "200)", "range(10 if": "range(2 if"},
    "ex-nearest-neighbour": {"range(10 if": "range(1 if", "image_runs(data,": "image_runs(data.subset(100),"},
    "ex-estimate-tau": {"2000)": "200)", "range(10)": "range(2)", "runs=10": "runs=1", ".reshape(6, 4": ".reshape(6, 4"},
    "ex-patience": {"runs=10": "runs=2"},
    "ex-lull-window": {"2000)": "200)", "range(10)": "range(2)", "runs=10": "runs=1"},
    "ex-dead-samples": {"seeds=range(10)": "seeds=range(3)", "i in range(10)": "i in range(3)"},
    "ex-dropped-patches": {"range(5)": "range(1)"},
    "ex-too-much": {"range(5)": "range(1)", "(0.1, 0.2, 0.3, 0.4, 0.6)": "(0.1, 0.2, 0.6)"},
    "ex-two-lines": {"range(10)": "range(2)"},
    "ex-single-sample": {"range(20 if": "range(2 if"},
    "ex-three-filters": {"seeds[:10]": "seeds[:2]", "(2, 3, 4, 6, 8, 12)": "(3, 12)"},
    "ex-half-step": {"seeds[:10]": "seeds[:2]"},
    "ex-reused-classes": {"seeds=range(10)": "seeds=range(2)"},
    "ex-ten-way": {"data = deep_images()": "data = deep_images().subset(120)", "range(3 if": "range(1 if",
                   "for network in NETWORKS for rate": "for network in () for rate",
                   "deep_runs(data, \"ResNet\", flip_rate, seeds)": "None",
                   "measured_in_three_ways(\n    data, \"VGG\", flip_rate, seeds)":
                       "deep_runs(data, \"VGG\", flip_rate, few_seeds), None"},
    "ex-elr-maps": {"2000)": "200)", "seeds[:3]": "seeds[:1]"},
    "ex-soft-deletion": {"2000)": "200)", "range(6 if": "range(1 if"},
    "ex-bins": {"2000)": "300)", "range(4 if": "range(1 if"},
    "ex-threshold-gap": {"2000)": "300)", "range(4 if": "range(1 if"},
    "ex-linear-clock": {"range(10 if": "range(2 if"},
    "ex-aggregate": {"(range(5), range(4))": "(range(1), range(1))"},
}
CHECKS = {}


@cache
def chapter_code(path):
    """The source of a chapter's code without its solutions."""
    lines = path.read_text("utf-8").splitlines()
    for block in reversed(exercises.solution_blocks("\n".join(lines))):
        del lines[block.first:block.last]
    code = "\n".join(exercises.code_blocks("\n".join(lines)))
    return re.sub(r"^[%!].*$", "", code, flags=re.MULTILINE)


def smaller(label, *sources):
    """The sources with the replacements of SMALLER made; each must have something to replace."""
    for old, new in SMALLER.get(label, {}).items():
        assert any(old in source for source in sources), (
            f"{label}: {old!r} occurs neither in its chapter nor in its solution any more: mend SMALLER")
        sources = [source.replace(old, new) for source in sources]
    return sources


def run(label):
    """(namespace, what was printed) after the solution's code, with what it needs of its chapter before it."""
    path, exercise = FIND[label]
    code = smaller(label, chapter_code(path), "\n\n".join(exercise.code))
    chapter, solution = (ast.parse(source).body for source in code)
    before = slices.slice_for(slices.needed(solution), chapter)
    names, printed = {"__name__": label}, io.StringIO()
    for statements, where in ((before, path.name), (solution, f"the solution of {label}")):
        with contextlib.redirect_stdout(printed if statements is solution else io.StringIO()):
            exec(compile(ast.Module(statements, []), where, "exec"), names)
    plt.close("all")
    return names, printed.getvalue()
