"""What the laboratory page says that runs have given, and the law: its own cells compute it while the book is built."""

import re

import execution
import jupytext
import numpy as np
import pytest

from helpers import limit_law

PAGE = execution.ROOT / "book" / "laboratory.md"
NUMBER = re.compile(r"\d+\.\d+%?")


@pytest.fixture(scope="module")
def cells():
    """({name: what is glued under it}, the names of the page's cells after a run)."""
    glued, names = {}, {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("myst_nb.glue", lambda name, value, display: glued.setdefault(name, value))
        for cell in jupytext.read(PAGE).cells:
            if cell.cell_type == "code":
                exec(cell.source, names)
    return glued, names


def answers():
    found = re.findall(r":::\{dropdown\} What to see\n(.*?)\n:::", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(found) == 5
    return found


def test_every_number_in_the_answers_comes_from_a_cell_or_follows_from_the_settings(cells):
    settings = {f"{1 / (1 - 2 * 0.1):.2f}", f"{2 * (1 - 4 * 0.2):.1f}", f"{0.4 / 2:.1f}", f"{(1 - 1 / 20) / 2:.3f}"}
    for answer in answers():
        typed = re.sub(r"\$s = [\d.]+\$|\$c = 1\.5\$", "", re.sub(r"\{glue:text\}`[^`]*`", "", answer))
        assert set(NUMBER.findall(typed)) <= settings, answer
    used = re.findall(r"\{glue:text\}`([^`]+)`", PAGE.read_text("utf-8"))
    assert len(used) > 15 and set(used) <= set(cells[0]) and len(used) == len(set(used))


def test_the_answers_are_true(cells):
    """What they say in words: all, none, the law's ratio among the runs', rising, zero, one half."""
    glued, run = cells
    one, near, far, four, five = (run[name] for name in ("one", "near", "far", "four", "five"))
    fitted, at_law = run["fitted"], limit_law(8, 0.1, [100.0])
    assert (fitted(one, 0, False) == 1).all() and (fitted(one, 0, True) == 0).all()
    assert (fitted(one, 1, True) == 1).all()
    assert np.allclose(one.reused_error[:, 1], run["half_flips"], atol=5e-4)
    ratio, half = (float(number) for number in glued["strong-loss-ratio"].split(" ± "))
    assert abs(ratio - at_law.noisy_loss[0] / at_law.clean_loss[0]) < half
    assert fitted(run["two"], 0, True).mean() > 0.5 and glued["overlap-new-far-mean"] == "0.0%"
    assert (near.fresh_error[:, 1] > near.fresh_error[:, 0]).all() and (far.fresh_error[:, 1] < 5e-4).all()
    assert (fitted(four, 0, True) == 0).any() and abs(four.reused_error[:, 1].mean() - 0.5) < 2e-3
    assert abs(fitted(five, 0, True).mean() - 0.5) < 0.1
