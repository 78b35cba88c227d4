"""A chapter's two layers, measured: the main line, which one reads first, and what is folded away."""

import re
from dataclasses import dataclass

import myst

DISPLAYED = re.compile(
    r"\$\$.+?\$\$(?:[ \t]*\([\w-]+\))?|^\\begin\{(align|gather|equation)\*?\}.+?^\\end\{\1\*?\}",
    re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<![\\$])\$(?!\s)(?:[^$\\]|\\.)+?\$", re.DOTALL)
HIDDEN = {"hide-cell", "remove-cell", "hide-output", "remove-output"}
BOX = "In short"
LAYERS = {"dropdown": "fold", "code-cell": "cell", "python": "cell", "exercise": "exercise", "solution": "exercise",
          "solution-start": "exercise"}


@dataclass(frozen=True)
class MainLine:
    """words of prose, displayed formulas, figures, visible cells of code, and words before the first figure.

    second, second_formulas : what is folded. box : the text of the box that opens the chapter. Exercises and their
    solutions are not counted: they are work, not reading.
    """

    words: int
    formulas: int
    figures: int
    cells: int
    words_before_figure: int | None
    second: int
    second_formulas: int
    box: str

    @property
    def minutes(self):
        """Of reading, as the teaching page says: 120 words a minute, 45 s per formula and figure, 15 s per cell."""
        return self.words / 120 + 0.75 * (self.formulas + self.figures) + 0.25 * self.cells

    @property
    def minutes_of_folds(self):
        """What is folded is proofs and refinements: 80 words a minute, and a minute per formula."""
        return self.second / 80 + self.second_formulas


def words(text):
    """How many words of prose a piece of MyST has: formulas, options, roles' names and targets count nothing."""
    text = INLINE.sub(" ", DISPLAYED.sub(" ", text))
    text = re.sub(r"^\s*(:[\w-]+:.*|:{3,}.*|`{3,}.*|\([\w-]+\)=)$", " ", text, flags=re.MULTILINE)
    text = re.sub(r"\{[\w:-]+\}`([^`]*)`", "reference", text)
    return len(re.findall(r"[^\W\d_][\w'’-]*", text))


def parts(text):
    """(layer, piece) of a source in order: "main", "fold" and "exercise" are texts, "cell" is the Block of a cell."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    solutions = myst.solution_blocks(text)  # one that is several cells long holds blocks, which belong to it
    blocks = [block for block in myst.blocks(text) if block.name not in ("section", "equation")
              and not any(one.first <= block.first < one.last for one in solutions)]
    lines, at, found = text.split("\n"), 0, []
    for block in sorted([*solutions, *blocks], key=lambda block: block.first):
        layer = LAYERS.get(block.name, "main")
        whole = block if layer == "cell" else "\n".join(lines[block.first:block.last])
        found += [("main", "\n".join(lines[at:block.first])), (layer, whole)]
        at = block.last
    return [*found, ("main", "\n".join(lines[at:]))]


def main_line(text):
    """The MainLine of a chapter's source."""
    count = formulas = figures = cells = second = second_formulas = 0
    before = None
    for layer, piece in parts(text):
        if layer == "main":
            count += words(piece)
            formulas += len(DISPLAYED.findall(piece))
        elif layer == "fold":
            second += words(piece)
            second_formulas += len(DISPLAYED.findall(piece))
        elif layer == "cell" and not HIDDEN & (tags := set(piece.options.get("tags", []))):
            cells += "hide-input" not in tags
            if piece.options.get("mystnb", {}).get("figure"):
                figures += 1
                before = count if before is None else before
    box = next((block.text for block in myst.blocks(text) if block.name == "admonition" and block.title == BOX), "")
    return MainLine(count, formulas, figures, cells, before, second, second_formulas, box)
