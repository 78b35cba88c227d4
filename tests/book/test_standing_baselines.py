"""A page that compares stopping rules, selections or losses does it through `helpers.reading.comparison`.

That module puts the standing baselines into each table, or refuses to make one; so it is enough that a page goes
through it, shows what it makes, and takes no baseline out again.
"""

import ast
import re

import execution
import jupytext
import pytest

PAGES = [*execution.chapters(), *(path for chapter in execution.chapters() for path in execution.deeper(chapter))]
# What a page that uses one of these names compares: the function that its table must come from.
COMPARES = {
    "stopping rules": ({"stops_to_compare", "stop_by_clean_validation",
                        "stop_by_noisy_validation",
                        "stop_at_deepest_misfit", "stop_at_widest_losses", "stop_at_clearest_split"}, "compare_stops"),
    "selection rules": ({"assess_selection", "select_by_mixture"}, "compare_scores"),
    "retraining on a selection": ({"assess_selection"}, "compare_retraining"),
    "losses": ({"ELRLoss", "ELRPlus", "elr_runs"}, "compare_losses")}
BASELINES = r"blind|never|stopped, not retrained|everything, to the end|cross-entropy"


def code(text):
    """The code of a page's cells and of its solutions apart: only cells count."""
    return "\n".join(cell.source for cell in jupytext.reads(text, fmt="md:myst").cells if cell.cell_type == "code")


def called(text):
    """Names of all functions that are called, as f(...), a.f(...), or passed on."""
    return {getattr(node, "id", None) or getattr(node, "attr", "") for node in ast.walk(ast.parse(text))
            if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load)}


def faults(text):
    """{what is compared: what is missing} on a page with this code."""
    used, found = called(text), {}
    for what, (signs, door) in COMPARES.items():
        at_one_stop = what == "stopping rules" and "compare_losses" in used and len(used & signs) == 1
        if used & signs and door not in used and not at_one_stop:  # one rule for all losses is no comparison of rules
            found[what] = f"compares {what} ({', '.join(sorted(used & signs))}) without helpers.reading.{door}"
    if {"compare_stops"} & used and not re.search(r"\.table\b", text):
        found["stopping rules"] = "makes a comparison of stopping rules and never shows its table"
    if dropped := re.search(rf"\.drop\([^)]*({BASELINES})", text):
        found["baselines"] = f"drops a standing baseline: {dropped[0]}"
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_each_comparison_has_its_standing_baselines(path):
    found = faults(code(path.read_text("utf-8")))
    assert not found, f"{path.name}:\n" + "\n".join(f"  - {fault}" for fault in found.values())


@pytest.mark.parametrize(("text", "what"), [
    ("stops = stops_to_compare(record, 0.2)\nregret_table(record, stops)", "stopping rules"),
    ("compare_stops(error, times, stops_to_compare(a, 0.2, b))", "stopping rules"),
    ("found = assess_selection(record)\ncompare_scores(x)", "retraining on a selection"),
    ("runs = elr_runs(data, 0.2, ELRLoss(), range(3))", "losses"),
    ("found = compare_stops(error, times, [])\nfound.table.drop('never')", "baselines")])
def test_a_page_without_its_baselines_is_found(text, what):
    assert what in faults(text)


def test_a_page_that_goes_through_the_door_is_sound():
    assert not faults("found = compare_stops(error, times, stops_to_compare(a, 0.2, b))\nfound.table")
    assert not faults("table = compare_losses({})\nruns = elr_runs(data, 0.2, ELRLoss(), range(3))")
