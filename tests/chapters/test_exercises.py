"""Exercises: each is graded and solved; the code of each solution runs and gives what the solution's text says.

A solution's code runs in a namespace made of those statements of its chapter that it needs, and no others
(tests/slices.py). What would take long is made smaller by the replacements in SMALLER: fewer seeds, fewer images.
CODE says what must come out, as far as the smaller run can tell; MATHEMATICS lists the solutions without code, with
the numbers in their text computed anew.
"""

import ast
import contextlib
import io
import re
from functools import cache

import execution
import matplotlib.pyplot as plt
import myst
import numpy as np
import pytest
import slices
from exercises import exercises
from scipy.integrate import quad

from helpers.theory.limit import limit_law

CHAPTERS = execution.chapters()
FIND = {exercise.label: (path, exercise) for path in CHAPTERS
        for exercise in exercises(path.read_text("utf-8"))}
LABELS = [label for label, (_, exercise) in FIND.items() if exercise.code]

SMALLER = {  # label: {what stands in the chapter or in the solution: what runs here}
    "ex-initial-weights": {"seeds=range(10)": "seeds=range(2)"},
    "ex-nearer": {"seeds=range(10)": "seeds=range(2)"},
    "ex-unequal-bound": {"seeds=range(10)": "seeds=range(3)"},
    "ex-markov": {"range(20 if": "range(3 if", "run(problem(), 1_000)": "run(problem(), 30)",
                  "tau=0.2), 100)": "tau=0.2), 1)"},
    "ex-fresh-hurts": {"[1.5, 3, 6, 12, 20]": "[6]"},
    "ex-few-flips": {"(0.02, 0.05, 0.1, 0.15, 0.2)": "(0.1, 0.15)"},
    "ex-projected-noise": {"range(10)": "range(2)"},
    "ex-share": {"range(12 if": "range(4 if"},
    "ex-slower": {"range(10)": "range(2)"},
    "ex-initial-scale": {"2_000)": "200)", "for seed in range(5)": "for seed in range(1)",
                         "(0.25, 0.5, 1.0)": "(0.25, 1.0)"},
    "ex-select-retrain": {"2_000)": "200)", "range(10 if": "range(2 if"},
    "ex-nearest-neighbour": {"range(10 if": "range(1 if", "image_runs(data,": "image_runs(data.subset(100),"},
    "ex-estimate-tau": {"2_000)": "200)", "range(10)": "range(2)", "range(10 if": "range(2 if"},
    "ex-patience": {"range(10 if": "range(4, 6 if"},
    "ex-lull-window": {"2_000)": "200)", "range(10)": "range(2)", "range(10 if": "range(2 if"},
    "ex-dead-samples": {"seeds=range(10)": "seeds=range(3)", "i in range(10)": "i in range(3)"},
    "ex-dropped-patches": {"range(5)": "range(1)"},
    "ex-too-much": {"range(5)": "range(1)", "(0.1, 0.2, 0.3, 0.4, 0.6)": "(0.1, 0.2, 0.6)"},
    "ex-single-sample": {"range(20 if": "range(2 if"},
    "ex-three-filters": {"seeds[:10]": "seeds[:4]", "(2, 3, 4, 6, 8, 12)": "(3, 12)"},
    "ex-half-step": {"seeds[:10]": "seeds[:2]"},
    "ex-reused-classes": {"seeds=range(10)": "seeds=range(2)"},
    "ex-ten-way": {"data = deep_images()": "data = deep_images().subset(120)", "range(3 if": "range(1 if",
                   "seeds if rate == flip_rate else few_seeds": "few_seeds",
                   "for network in NETWORKS for rate in rates": "for network in ['VGG'] for rate in [flip_rate]"},
    "ex-elr-maps": {"2_000)": "200)", "seeds[:3]": "seeds[:1]"},
    "ex-soft-deletion": {"2_000)": "200)", "range(5 if": "range(1 if"},
    "ex-bins": {"2_000)": "300)", "range(4 if": "range(1 if"},
    "ex-threshold-gap": {"2_000)": "300)", "range(4 if": "range(1 if"},
    "ex-linear-clock": {"range(10 if": "range(2 if"},
    "ex-own-nothing": {"(0.02, 0.0)": "(0.02,)"},
    "ex-aggregate": {"seeds = range(4) if": "seeds = range(2) if"},
}


def close(value, expected, within):
    return abs(float(value) - expected) <= within


# label: what must hold of the namespace `v` and of the printed numbers `n` afterwards.
CODE = {
    "ex-how-far-ninety": lambda v, n: 1.07 < n[5] / n[2] < 1.1 and 1.28 < n[8] / n[2] < 1.32,
    "ex-noisy-counts": lambda v, n: v["enough_samples"](0.1) == (104, 1419),
    "ex-dependent-start": lambda v, n: close(v["largest"], 2.0, 0.2) and v["largest"] > 5 * v["bound"],
    "ex-correlated-noise": lambda v, n: close(n[2], n[3], 0.03) and close(n[6], n[7], 0.02),
    "ex-two-values": lambda v, n: n[1] == 2 and n[3] <= 2**10 and n[5] == n[3],
    "ex-leaky": lambda v, n: max(n) < 1e-12,
    "ex-momentum": lambda v, n: max(n) < 1e-12,
    "ex-two-rates": lambda v, n: close(n[0], 2.0, 0.2) and close(n[3], 0.8, 0.2) and 0.8 < n[7] < n[9] < 2,
    "ex-two-flips": lambda v, n: (close(n[0], 0.6, 1e-9) and close(n[1], 0.88, 0.005) and close(n[2], -0.475, 1e-3)
                                  and close(n[3], -0.60, 0.005) and n[4] == 9),
    "ex-how-strong": lambda v, n: (list(v["exists"].values()) == list(v["with_more"].values()) == [False, True]
                                   and v["mislead"]),
    "ex-which-class": lambda v, n: n[1] > 0.99 and 0.4 < n[3] < 0.8,
    "ex-initial-weights": lambda v, n: n[1] == n[3] == 1 and n[7] == n[9] == 0,
    "ex-nearer": lambda v, n: all(close(turn, v["s_turn"], 0.1) for turn in n[3::5]),
    "ex-unequal-bound": lambda v, n: close(n[0], 0.075, 0.01) and close(n[1], n[0], 0.002),
    "ex-markov": lambda v, n: close(n[0], 0.15, 0.03),
    "ex-telescope": lambda v, n: n[0] < 1e-12,
    "ex-fresh-hurts": lambda v, n: {*v["part"].index[v["part"].lost > 0.05]} == {(0.3, 2.0), (0.3, 4.0)},
    "ex-first-integral-clean": lambda v, n: n[0] < 1e-10,
    "ex-few-flips": lambda v, n: n[1] > n[2] and n[4] < n[5],
    "ex-projected-noise": lambda v, n: close(n[0], 0.037, 0.004) and n[1] < n[0] / 100,
    "ex-share": lambda v, n: close(n[0], 0.8, 0.02) and close(n[1], 3.7, 0.05) and close(n[2], 4.0, 0.5),
    "ex-no-noise-law": lambda v, n: close(n[0], 10.04, 0.01),
    "ex-loss-share": lambda v, n: close(n[0], 0.44, 0.03) and close(n[1], 0.43, 0.01),
    "ex-contraction": lambda v, n: close(n[0], 62, 0.5) and close(n[1], 2.5, 0.05) and close(n[2], 0.035, 0.001),
    "ex-slower": lambda v, n: close(n[0], -0.26, 0.04),
    "ex-initial-scale": lambda v, n: n[1] > n[4] and close(n[2], n[5], 0.3),
    "ex-select-retrain": lambda v, n: n[0] > 0.7,
    "ex-nearest-neighbour": lambda v, n: n[1] < 0.02 and close(n[3], v["flip_rate"], 0.03),
    "ex-estimate-tau": lambda v, n: abs(v["off"][-2:]).max() <= 0.015 and v["off"][0].min() < -0.1,
    "ex-patience": lambda v, n: n[3] < n[15] and n[7] < n[15],  # reused regret: patience 1 and 3 against no end
    "ex-lull-window": lambda v, n: n[3] > 2 * n[4 * 6 + 3] and n[5] < n[7 * 6 + 5],
    "ex-quarter": lambda v, n: n[2] / n[0] < n[1] / n[0] < 1 and n[8] / n[6] < 0.25 and n[7] / n[6] > 0.7,
    "ex-filters-needed": lambda v, n: close(n[1], 15, 0.5) and n[2] == 20 and close(n[4], 6, 0.5) and n[5] == 11,
    "ex-dead-samples": lambda v, n: close(n[1], 0.98, 0.02) and close(n[3], 0.2, 0.1),
    "ex-dropped-patches": lambda v, n: close(n[0], n[1], 0.005),
    "ex-too-much": lambda v, n: close(n[1], 0.11 / 2, 0.02) and n[3] < 0.01 and n[5] < 0.01,
    "ex-map-time": lambda v, n: close(n[0], 0.206, 0.001) and close(n[2], 0.36, 0.01) and close(n[4], 0.57, 0.01),
    "ex-place": lambda v, n: n[0] == 1 and close(n[1], 0.05, 0.01),
    "ex-two-lines": lambda v, n: close(n[0], 0.35, 1e-6) and close(n[1], 0.31, 0.02) and close(n[3], 2 / 3, 0.05),
    "ex-single-sample": lambda v, n: close(n[1], 0.9, 0.05) and n[4] > 0.97 and n[2] < 0.05 and n[5] < 0.05,
    "ex-three-filters": lambda v, n: close(n[1], n[2], 0.04) and close(n[3], 0.96, 0.05) and close(n[7], 0.55, 0.05),
    "ex-half-step": lambda v, n: close(n[0], 4.4, 0.05) and close(n[1], 0.63, 0.05) and close(n[2], 0.82, 0.05),
    "ex-reused-classes": lambda v, n: all(close(n[i + 1], n[i + 2], 0.0015) for i in (0, 3, 6)),
    "ex-ten-way": lambda v, n: (not (v["ten"].losses[:, 0] <= v["LOG2"]).any()
                                and (v["turning_time_index"](v["ten"]) == 0).all()
                                and close(v["ten"].losses[:, 0].mean(), 2.303, 0.2)),
    "ex-law-turn": lambda v, n: close(n[0], 0.31, 0.005) and close(n[1], 0.10, 0.005),
    "ex-elr-maps": lambda v, n: max(n[:3]) < 0.4,
    "ex-soft-deletion": lambda v, n: all(noisy < clean for noisy, clean in zip(n[:3], n[3:])) and n[0] > n[1] > n[2],
    "ex-bins": lambda v, n: n[-2] > 0.99 > n[1] and n[-1] < n[5],
    "ex-threshold-gap": lambda v, n: all(n[i + 2] <= n[i + 4] and max(n[i + 2:i + 6]) <= n[i + 6]
                                         for i in range(0, 28, 7)),
    "ex-more-levels": lambda v, n: n[:3] == [0, 0.51, 0.92],
    "ex-late-ratio": lambda v, n: close(n[1], n[0], 0.02) and close(n[2], n[0], 0.02),
    "ex-zero-start": lambda v, n: n[1] >= 0.83 and n[2] >= 1 - 2e-5 and n[9] == 0.3 and len(n) == 14,
    "ex-clean-only": lambda v, n: n[0] < 5e-5 and close(n[1], 0.27, 0.005) and close(n[2], 0.49, 0.005),
    "ex-cover": lambda v, n: close(n[0], 0.274, 0.045) and close(n[1], 0.274, 5e-4) and close(n[2], 0.997, 5e-4),
    "ex-linear-clock": lambda v, n: close(n[0], 66, 0.5) and close(n[1], 90, 10),
    "ex-elr-classes": lambda v, n: close(n[0], -0.5, 0.04),
    "ex-elr-below": lambda v, n: close(n[0], 0.15, 0.005) and close(n[1], 0.15, 0.005) and n[3] > 0 > n[5],
    "ex-elr-loss": lambda v, n: close(n[0], -25.6, 0.1) and close(n[1] - n[0], 9.21, 0.01),
    "ex-elr-silent": lambda v, n: n[0] > 0 and n[1] < 0 and v["law"].r_noisy[v["stopped"]] == 0,
    "ex-three-raters": lambda v, n: n[0] < n[2] < n[1] and n[3] < n[5] < n[4],
    "ex-aggregate": lambda v, n: np.all(np.less(*(v["human_noise_summary"](v["majority"][keep])["read truly"]
                                                  for keep in ("image", "class")))),
    "ex-own-label": lambda v, n: n[0] < n[2] - 0.05,
    "ex-own-twice": lambda v, n: n[4] < n[1] / 2 and n[7] == n[10] <= n[4] and n[5] < 10 < n[8] < n[11],
    "ex-own-nothing": lambda v, n: n[-3] > 0 and n[-2] - n[-1] == n[-3] and bool(v["said_of"].attrs["warning"]),
}

# label: the numbers of a solution without code, computed anew; None where its text has none to compute.
MATHEMATICS = {
    "ex-orthogonal": None,
    "ex-own-upper": None, "ex-own-images": None,
    "ex-longest-proof": lambda: close((2 * 8 * 0.8 - 2) / 9, 1.2, 1e-9) and close(1.2 / 4.6, 0.26, 0.005)
    and close(limit_law(8.0, 0.1, [1.0]).memorisation_time, 6.54, 0.005),
    "ex-how-sure": lambda: np.allclose([np.log(4), -np.log(0.8), -np.log(0.2)], [1.39, 0.22, 1.61], atol=0.005),
    "ex-left-edge": lambda: np.ptp([limit_law(1e-4, 0.2, [30.0]).signal[0] / 0.6e-4,
                                    limit_law(1e-4, 0.2, [30.0]).r_clean[0],
                                    limit_law(1e-4, 0.2, [30.0]).r_noisy[0]]) < 1e-3,
    "ex-linear": None,
    "ex-convicted": lambda: np.allclose((0.95 - 0.8 * np.array([1, 0.9375, 0.99])) / 0.2, [0.75, 1, 0.79]),
    "ex-dropout-rate": lambda: -1 + 1.1 > 0 and -1 + 1.1 / 0.7 > 0 > -1 + 0.55 / 0.7 and close(0.7**2, 0.49, 1e-9),
    "ex-exact-flips": None,
    "ex-product-game": lambda: close(quad(lambda a: 2 * a**2, 0, 1)[0], 2 / 3, 1e-9),
    "ex-flow-test": lambda: close(np.sqrt((0.126 * 0.874 + 0.097 * 0.903) / 5000), 0.0063, 5e-5)
    and close(0.029 / 0.0063, 4.6, 0.05),
}


@cache
def chapter_code(path):
    """The source of a chapter's code without its solutions."""
    lines = path.read_text("utf-8").splitlines()
    for block in reversed(myst.solution_blocks("\n".join(lines))):
        del lines[block.first:block.last]
    code = "\n".join(myst.code_blocks("\n".join(lines)))
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


def numbers(text):
    """The numbers in a printed text; 112,638 is one number, float64 none."""
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    return [float(number) for number in re.findall(r"(?<![\w.])-?\d+\.?\d*(?:e[+-]?\d+)?", text)]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_each_exercise_has_a_title_stars_and_a_solution(path):
    found = exercises(path.read_text("utf-8"))
    faults = [f"{one.label}: give the exercise a title that ends with one to three {myst.STAR}, its difficulty"
              for one in found if not one.title or not 1 <= one.stars <= 3]
    faults += [f"{one.label}: write a solution directive that names it" for one in found if not one.solution]
    assert found and not faults, "\n".join(faults)


def test_each_solution_is_checked_as_code_or_as_mathematics():
    unknown = set(LABELS) - set(CODE)
    assert not unknown, f"solutions with code and without a check: say in CODE what must come out: {sorted(unknown)}"
    unlisted = set(FIND) - set(LABELS) - set(MATHEMATICS)
    assert not unlisted, f"solutions without code: list them in MATHEMATICS, or add code: {sorted(unlisted)}"
    gone = (set(CODE) - set(LABELS)) | (set(MATHEMATICS) & set(LABELS)) | (set(SMALLER) - set(LABELS))
    assert not gone, f"no such solutions any more: drop them from CODE, MATHEMATICS or SMALLER: {sorted(gone)}"


@pytest.mark.parametrize("label", LABELS)
def test_solution_runs_and_gives_what_its_text_says(label, monkeypatch):
    monkeypatch.chdir(FIND[label][0].parent)
    names, printed = run(label)
    assert CODE[label](names, numbers(printed)), f"{label} printed\n{printed}which is not what its text says"


@pytest.mark.parametrize("label", [label for label, holds in MATHEMATICS.items() if holds])
def test_numbers_of_a_solution_without_code(label):
    assert MATHEMATICS[label](), f"{label}: its text has a number that a new computation does not give"


CHAPTER = """# A chapter

```{code-cell} ipython3
---
tags: [hide-input]
---
import numpy as np
table, other = {}, np.ones(3)
```

```{code-cell} ipython3
:tags: [hide-input]
for name in ("a", "b"):
    table[name] = len(name)
result = sum(x for x in [1, 2])
```

:::{exercise} Sums ★★
:label: ex-sums

Add.
:::

::::{solution} ex-sums
:class: dropdown

```python
print(sum(table.values()))
```
::::

:::{exercise} Shown
:label: ex-shown

Show.
:::

:::{solution-start} ex-shown
:class: dropdown
:::

So:

```{code-cell} ipython3
:tags: [hide-output]
print(other)
```

:::{solution-end}
:::
"""


def test_exercises_and_solutions_are_read_in_both_forms():
    sums, shown = exercises(CHAPTER)
    assert (sums.label, sums.title, sums.stars, sums.text) == ("ex-sums", "Sums", 2, "Add.")
    assert sums.code == ["print(sum(table.values()))"]
    assert (shown.title, shown.stars, shown.code) == ("Shown", 0, ["print(other)"])
    with pytest.raises(ValueError, match="ex-shown has no solution-end"):
        exercises(CHAPTER.partition(":::{solution-end}")[0])
    assert exercises(CHAPTER.replace("{solution} ex-sums", "{note} x"))[0].solution is None


def test_a_slice_is_what_a_solution_needs_and_no_more():
    chapter = ast.parse("\n".join(myst.code_blocks(CHAPTER)[:2])).body
    kept = slices.slice_for(slices.needed(ast.parse("print(sum(table.values()))").body), chapter)
    assert [ast.unparse(statement).partition("\n")[0] for statement in kept] == [
        "import numpy as np", "table, other = ({}, np.ones(3))", "for name in ('a', 'b'):"]
    assert slices.slice_for({"result"}, chapter) == chapter[-1:]
    loop = ast.parse("for x, y in pairs:\n    z = x + a\n    print(z, y)").body
    assert slices.needed(loop) == {"pairs", "a", "print"}
