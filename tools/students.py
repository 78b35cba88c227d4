"""Student versions of the chapters: build/students/NN_slug.ipynb, without solutions and without outputs.

Where a solution stood there is an empty cell for the answer: of code if the solution had code, of text otherwise. The
rest is as in the notebooks for Colab (tools/colab.py): plain Markdown, captions with the figures' numbers and, where
the sources' address is known, Colab's first cell. nbgrader would empty cells that are marked as solutions; here a
solution is a directive, within a cell or over several.
"""

import os

import addresses
import colab
import execution
import myst
import nbformat
import notebooks
import numbering
import status

OUT = execution.ROOT / "build" / "students"
CODE_ANSWER = ["```{code-cell} ipython3", "# Your answer", "```"]
TEXT_ANSWER = ["+++", "", "*Your answer:*", "", "+++"]


def without_solutions(text):
    """A chapter's source with an empty cell in the place of each solution."""
    lines = text.splitlines()
    for block in reversed(myst.solution_blocks(text)):
        lines[block.first:block.last] = CODE_ANSWER if myst.code_blocks(block.text) else TEXT_ANSWER
    return "\n".join(lines) + "\n"


def student_notebook(path, root=execution.ROOT, package="", site="", times=None):
    """The notebook for students of a chapter's source. package, site, times : as of `colab.notebook`."""
    made = notebooks.bare(without_solutions(path.read_text("utf-8")))
    return colab.notebook(made, path.stem, package, numbering.targets(root), site, times)


def main(out=OUT):
    out.mkdir(parents=True, exist_ok=True)
    package = addresses.package_address(os.environ) if "GITHUB_SHA" in os.environ else ""
    site, times = addresses.site_url(os.environ), status.words(execution.ROOT)
    for path in execution.chapters():
        made = student_notebook(path, package=package, site=site, times=times.get(path.stem))
        nbformat.write(made, out / f"{path.stem}.ipynb")
    print(f"{len(execution.chapters())} notebooks in {out}")


if __name__ == "__main__":
    main()
