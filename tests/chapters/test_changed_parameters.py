"""A reader changes a parameter at the top of a chapter: every later cell still runs, whatever its verdicts then say."""

import builtins

import execution
import jupytext
import matplotlib.pyplot as plt
import pytest

FEWER = ("range(20 if", "range(3 if")  # seeds: enough for every statistic, and quicker
CHANGES = {
    "03_three_numbers": [("= 200, 2000, 20, 8.0, 0.1, 0.05", "= 150, 1500, 16, 6.0, 0.15, 0.05")],
    "06_no_label_noise": [FEWER, ("n, d, m, c = 200, 2_000, 20, 4.0", "n, d, m, c = 150, 1_500, 16, 5.0")],
    "12_beyond_assumptions": [FEWER, ("n, m, tau = 200, 20, 0.2", "n, m, tau = 150, 16, 0.1")]}


def run(stem, changes):
    """Run the code of a chapter, with pieces of its source changed."""
    text = (execution.ROOT / "nbs" / f"{stem}.md").read_text("utf-8")
    for old, new in changes:
        assert text.count(old) == 1, f"{stem}: {old!r} stands there {text.count(old)} times"
        text = text.replace(old, new)
    names = {"display": lambda *shown: None, "__builtins__": builtins}
    for cell in jupytext.reads(text, fmt="md:myst").cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, f"{stem}: {cell.source[:60]}", "exec"), names)
            plt.close("all")


@pytest.mark.parametrize("stem", CHANGES)
def test_a_chapter_runs_with_other_parameters(stem, monkeypatch):
    monkeypatch.chdir(execution.ROOT / "nbs")
    run(stem, CHANGES[stem])


def test_a_cell_that_breaks_with_other_parameters_is_found():
    with pytest.raises(ZeroDivisionError):
        run("03_three_numbers", [("n, d, m, c, tau, h = 200", "1 / 0; n, d, m, c, tau, h = 200")])
