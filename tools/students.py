"""Student versions of the chapters: build/students/NN_slug.ipynb, without solutions and without outputs.

Where a solution stood there is an empty cell for the answer: of code if the solution had code, of text otherwise.
The text is plain Markdown, which every notebook program shows as it is meant. nbgrader would empty cells that are
marked as solutions; here a solution is a directive, within a cell or over several.
"""

import execution
import myst
import nbformat
import notebooks
import numbering
from plain_markdown import Plain

OUT = execution.ROOT / "build" / "students"
CODE_ANSWER = ["```{code-cell} ipython3", "# Your answer", "```"]
TEXT_ANSWER = ["+++", "", "*Your answer:*", "", "+++"]


def without_solutions(text):
    """A chapter's source with an empty cell in the place of each solution."""
    lines = text.splitlines()
    for block in reversed(myst.solution_blocks(text)):
        lines[block.first:block.last] = CODE_ANSWER if myst.code_blocks(block.text) else TEXT_ANSWER
    return "\n".join(lines) + "\n"


def student_notebook(path, root=execution.ROOT):
    """The notebook for students of a chapter's source: the same cells, in order, without solutions and outputs."""
    made = notebooks.bare(without_solutions(path.read_text("utf-8")))
    plain = Plain(f"nbs/{path.stem}", numbering.targets(root))
    for cell in made.cells:
        cell.source = plain(cell.source) if cell.cell_type == "markdown" else cell.source
    if plain.cited:
        made.cells.append(nbformat.v4.new_markdown_cell(f"**Works cited**\n\n{plain.references()}", id="works-cited"))
    return made


def main(out=OUT):
    out.mkdir(parents=True, exist_ok=True)
    for path in execution.chapters():
        nbformat.write(student_notebook(path), out / f"{path.stem}.ipynb")
    print(f"{len(execution.chapters())} notebooks in {out}")


if __name__ == "__main__":
    main()
