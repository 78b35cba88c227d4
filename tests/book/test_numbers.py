"""No number in the prose of a page, or under its figures, that no cell of the page printed or holds.

Compared where a script can: decimal numbers and percentages outside formulas, in the main line, folds and captions.
"""

import re

import execution
import pytest
from layers import DISPLAYED, INLINE, parts
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

pytestmark = pytest.mark.site  # reads what the book's build executed

SAID = re.compile(r"(?<![\w.,/-])(\d{1,3}(?:,\d{3})+|\d+\.\d+|\.\d+|\d+(?=\s?%))(?![\w/]|\.\d|-\w)(\s?%)?")
PRINTED = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
# What is no quantity: references, code, links, and the numbers of a paper's statements.
NAMES = re.compile(
    r"\{[\w:-]+\}`[^`]*`|`[^`]*`|\[[^\]]*\]\([^)]*\)|https?://\S+|(?:Theorem|Lemma|Corollary|Proposition|Condition|Section"
    r"|Equation|Definition|Claim|Part|Figure|Table|Appendix|Thm\.|Prop\.|Cor\.|Python)s?\s\d[\d.]*", re.IGNORECASE)


# Quoted from papers and their data files, or from runs that are to be made anew; and the sizes of named data sets.
QUOTED = {
    "18_other_noises": "77.69% 83.91% 93.24% 5,000", "18_human_noise": "50,000",
    "17_on_images": "50,000", "13_deep_networks": "2,000 4,096", "laboratory": "0.05"}


def said(text):
    """[(the number as it stands, its value, half a unit of its last digit)] of the numbers in a piece of prose."""
    found = []
    for match in SAID.finditer(NAMES.sub(" ", INLINE.sub(" ", DISPLAYED.sub(" ", text)))):
        if match[0] == "95%":  # of an interval
            continue
        digits, percent = match[1].replace(",", ""), bool(match[2])
        scale = 0.01 if percent else 1.0
        unit = 10.0 ** -len(digits.partition(".")[2])
        found.append((match[0], float(digits) * scale, 0.5001 * unit * scale))
    return found


def printed(notebook):
    """Every number that the page's cells print or hold."""
    texts = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            texts.append(cell.source)
            for output in cell.outputs:
                data = output.get("data", {})
                texts += [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
    return [float(number) for text in texts for number in PRINTED.findall(text.replace("_", ""))]


def unprinted(text, notebook):
    """The numbers of a page's prose and captions that none of its cells prints or holds."""
    known = printed(notebook)
    prose = [piece for layer, piece in parts(text) if layer in ("main", "fold")]
    prose += [piece.options["mystnb"]["figure"]["caption"] for layer, piece in parts(text)
              if layer == "cell" and piece.options.get("mystnb", {}).get("figure")]
    return [name for piece in prose for name, value, half in said(piece)
            if not any(abs(abs(number) * scale - value) <= half for number in known for scale in (1.0, 0.01, 100.0))]


@pytest.mark.parametrize("path", execution.notebooks(), ids=lambda path: path.stem)
def test_every_number_in_prose_comes_from_a_cell(path):
    strange = [name for name in unprinted(path.read_text("utf-8"), execution.executed(path))
               if name not in QUOTED.get(path.stem, "").split()]
    assert not strange, f"{path.name}: no cell prints or holds {', '.join(strange)}: print it, or leave it out"


@pytest.mark.parametrize(("prose", "left"), [
    ("It falls to 0.048.", []), ("It falls to 0.049.", ["0.049"]), ("It falls to 0.05.", []), ("To 4.8%.", []),
    ("To 5%.", []), ("To 6%.", ["6%"]), ("Of 1,234 samples.", []), ("Of .31 seeds.", [".31"]),
    ("By Theorem 4.7 of [x](y) and `f(0.9)`, $0.9$.", [])])
def test_a_number_that_no_cell_holds_is_noticed(prose, left):
    printing = new_code_cell("n = 1_234", outputs=[new_output("stream", text="error 0.0481\n")])
    notebook = new_notebook(cells=[printing, new_markdown_cell("0.31")])
    assert unprinted(f"# T\n\n{prose}\n", notebook) == left
