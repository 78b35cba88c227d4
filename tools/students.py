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
import notebooks

OUT = execution.ROOT / "build" / "students"
CODE_ANSWER = ["```{code-cell} ipython3", "# Your answer", "```"]
TEXT_ANSWER = ["+++", "", "*Your answer:*", "", "+++"]


def without_solutions(text):
    """A chapter's source with an empty cell in the place of each solution."""
    lines = text.splitlines()
    for block in reversed(myst.solution_blocks(text)):
        lines[block.first:block.last] = CODE_ANSWER if myst.code_blocks(block.text) else TEXT_ANSWER
    return "\n".join(lines) + "\n"


def read(source):
    """The notebook of a chapter's source, for students."""
    return notebooks.bare(without_solutions(source.read_text("utf-8")))


def main(out=OUT):
    package = addresses.package_address(os.environ) if "GITHUB_SHA" in os.environ else ""
    written = colab.make(out, package, addresses.site_url(os.environ), read=read)
    print(f"{len(written)} notebooks in {out}")


if __name__ == "__main__":
    main()
