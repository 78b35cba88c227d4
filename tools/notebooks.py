"""Pair each chapter nbs/NN_slug.md with nbs/NN_slug.ipynb, which Colab opens and nbval runs.

    python tools/notebooks.py             refresh every pair (executes what is not in the execution cache)
    python tools/notebooks.py --check     fail if a pair is out of step; executes nothing

The .md is the only source. In the .ipynb, cells tagged `nbval-check-output` (the verdicts) carry the output and the
count of a real execution, for nbval skips the comparison without both; every other cell is stored bare. jupytext, which
reads the pair here, keeps every cell's output or none when it syncs one.
"""

import argparse
import hashlib
import sys
from collections import Counter

import execution
import jupytext
import nbformat

from helpers.files import write_atomically

TAG = "nbval-check-output"
REFRESH = "make notebooks"


def is_verdict(cell):
    """Whether nbval compares the stored output of this cell."""
    return cell.cell_type == "code" and TAG in cell.metadata.get("tags", [])


def bare(text):
    """The notebook of a chapter's text: no outputs, and cell ids that depend on the cells' text alone."""
    notebook, seen = jupytext.reads(text, fmt="md:myst"), Counter()
    for cell in notebook.cells:
        key = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[key] += 1
        cell.id = key if seen[key] == 1 else f"{key}-{seen[key]}"
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def with_verdicts(notebook, executed):
    """`notebook` with the outputs and counts of its verdict cells taken from `executed`, the same cells after a run."""
    for cell, run in zip(notebook.cells, executed.cells, strict=True):
        if is_verdict(cell):
            cell.outputs, cell.execution_count = run.outputs, run.execution_count
    return notebook


def faults(source):
    """What is wrong with the pair of a chapter's .md, as a list of sentences; empty if it is in step."""
    pair = source.with_suffix(".ipynb")
    if not pair.exists():
        return [f"{pair.name} is missing"]
    try:
        stored = nbformat.read(pair, as_version=4)
        nbformat.validate(stored)
    except (ValueError, nbformat.ValidationError) as error:
        return [f"{pair.name} is not a readable notebook: {error}"]
    found, fresh = [], bare(source.read_text("utf-8"))
    cells, own = ([(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in notebook.cells]
                  for notebook in (stored, fresh))
    if cells != own:
        found.append(f"the cells of {pair.name} are not those of {source.name}")
    if fresh.metadata != stored.metadata:
        found.append(f"the metadata of {pair.name} are not those of {source.name}")
    if not any(map(is_verdict, stored.cells)):
        found.append(f"no cell of {pair.name} is tagged {TAG}")
    for cell in stored.cells:
        if is_verdict(cell) and (not cell.outputs or cell.execution_count is None):
            found.append(f"verdict cell {cell.id} of {pair.name} lacks its output or count, so nbval checks nothing")
        elif cell.cell_type == "code" and not is_verdict(cell) and (cell.outputs or cell.execution_count is not None):
            found.append(f"cell {cell.id} of {pair.name} is no verdict and yet stores an output or a count")
    return found


def refresh(sources, workers=2, root=execution.ROOT):
    """Bring the pairs of `sources` in step, executing where the cache has nothing. Returns {source: faults}."""
    problems = {path: [f"a cell failed\n{text}"] for path, text in execution.fill(sources, workers, root).items()}
    for source in [path for path in sources if path not in problems]:
        executed, pair = execution.executed(source, root), source.with_suffix(".ipynb")
        notebook = with_verdicts(bare(source.read_text("utf-8")), executed)
        text = f"{nbformat.writes(notebook)}\n".encode()
        if changed := not pair.exists() or pair.read_bytes() != text:
            write_atomically(pair, text)
        print(f"{'refreshed' if changed else 'in step  '} {pair.name}", flush=True)
        problems[source] = execution.noise(executed) + faults(source)
    return problems


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare; execute and write nothing")
    parser.add_argument("--workers", type=int, default=2, help="notebooks executed side by side (default 2)")
    options, sources = parser.parse_args(arguments), execution.chapters()
    found = {source: faults(source) for source in sources} if options.check else refresh(sources, options.workers)
    return execution.report(f"{source}: {fault}. To refresh the pairs: {REFRESH}"
                            for source, sentences in found.items() for fault in sentences)


if __name__ == "__main__":
    sys.exit(main())
