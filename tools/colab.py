"""Make the notebooks that Colab opens, in _build/colab: the chapters' pairs in plain Markdown, with a first cell.

tools/plain_markdown.py puts directives and roles in words. The publishing workflow pushes the notebooks to a branch of
their own, to which the pages' launch buttons lead. jupytext leaves directives as they are.
"""

import json
import os
from pathlib import Path
from string import Template

import addresses
import execution
import jupytext
import nbformat
import numbering
import status
from plain_markdown import Plain

OUT = execution.ROOT / "_build" / "colab" / "nbs"
# What a running kernel has loaded or a GPU's driver depends on: pip may add packages beside these, but not change them.
KEPT = ("torch", "torchvision", "torchaudio", "numpy", "scipy", "pandas", "matplotlib")
# The first cell, what stands below the title, and the end.
FRAME = Template(Path(__file__).with_name("colab.md").read_text("utf-8"))

# The repository's commands, which a notebook in Colab does not have, in its own words.
SAID_HERE = {
    "Then `SIGNAL_FIRST_CIFAR10=$PWD/cifar10 make book` builds the book with them.":
        "Run these lines in a cell, with `%env SIGNAL_FIRST_CIFAR10=cifar10` below them, and then the whole notebook.",
    "It was recorded once (`make record`):": "It was recorded once, and comes with the package:"}


def stored(source):
    """The pair of a chapter's source."""
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def notebook(made, name, package, targets, site="", times=None):
    """A chapter's notebook as Colab takes it. name : its file's stem. package : what pip installs, "" for no first cell
    (the sources' address is not known). times : {profile: words}, where measured.
    """
    page = f"nbs/{name}"
    plain = Plain(page, targets, site)
    cells = [cell for cell in _cells(made.cells, plain) if cell.source.strip()]
    book = next(target for target in targets.values() if target.kind == "page")
    link = f" ([on the web]({site}/{page}.html))" if site else ""
    times = json.dumps(_said(times or {}), indent=4, ensure_ascii=False)
    frame = FRAME.substitute(kept=KEPT, package=package, times=times, number=targets[page].number, book=book.title,
                             link=link, references=plain.references() or "none")
    set_up, introduction, end = jupytext.reads(frame, fmt="md:myst").cells
    if package:
        heading, _, text = cells[0].source.partition("\n")
        cells[0].source = f"{heading}\n\n{introduction.source}\n{text}"
    set_up.id, end.id = "set-up", "colophon"
    made.cells = [set_up] * bool(package) + [*cells, end]
    made.metadata.colab = {"name": f"{name}.ipynb", "provenance": [], "toc_visible": True}
    nbformat.validate(made)
    return made


def _said(times):
    """What the first cell says of the run time with each profile: nothing that was not measured."""
    quick = f" with the full profile; with the quick one {times['quick']}" if "quick" in times else ""
    return {"quick": "not measured yet", "full": f"not measured yet{quick}"} | times


def _cells(cells, plain):
    """A chapter's cells in plain Markdown, each figure's caption after it, hidden code folded into a form."""
    for cell in cells:
        if cell.cell_type == "markdown":
            for command, words in SAID_HERE.items():
                cell.source = cell.source.replace(command, words)
            cell.source = plain.cell(cell.source)
            yield cell
            continue
        figure = cell.metadata.get("mystnb", {}).get("figure")
        name = plain.name(figure["name"]) if figure and "name" in figure else ""
        solution = plain.solving and f"Solution of {plain.solving}"
        if solution or {"hide-input", "hide-cell"} & set(cell.metadata.get("tags", [])):
            title = f"{solution or name or 'Code'} {{ display-mode: \"form\" }}"
            cell.source, cell.metadata.cellView = f"# @title {title}\n{cell.source}", "form"
        yield cell
        if name:
            caption = plain(" ".join(str(figure.get("caption", "")).split()))
            yield nbformat.v4.new_markdown_cell(f"**{name}.** {caption}", id=f"{cell.id}-caption")


def make(folder, package, site="", root=execution.ROOT, read=stored):
    """Write every chapter's notebook, which `read` gives, to folder/NN_slug.ipynb. Returns their paths."""
    targets, times, written = numbering.targets(root), status.words(root), []
    Path(folder).mkdir(parents=True, exist_ok=True)
    for source in execution.chapters(root):
        made = notebook(read(source), source.stem, package, targets, site, times.get(source.stem))
        written.append(Path(folder, f"{source.stem}.ipynb"))
        nbformat.write(made, written[-1])
    return written


if __name__ == "__main__":
    print(*make(OUT, addresses.package_address(os.environ), addresses.site_url(os.environ)), sep="\n")
