"""Student versions: no solution is left, everything else is, and the notebook still runs."""

import ast
import re

import colab
import execution
import jupytext
import myst
import nbclient
import nbformat
import numbering
import pytest
import slices
import students
from exercises import exercises
from made_up import HEADER

CHAPTERS = execution.chapters()
CHAPTER = HEADER + """
# Tiny

```{code-cell} ipython3
x = 2
```

:::{exercise} Text ★
:label: ex-text

Why?
:::

::::{solution} ex-text
:class: dropdown

Because $x$ is secret.
::::

:::{exercise} Code ★
:label: ex-code

How much?
:::

:::{solution-start} ex-code
:class: dropdown
:::

```{code-cell} ipython3
secret = x + 1
```

:::{solution-end}
:::

The end.

```{code-cell} ipython3
:tags: [nbval-check-output]
print(x)
```
"""


def parsed(sources):
    return ast.parse(re.sub(r"^[%!].*$", "", "\n".join(sources), flags=re.MULTILINE)).body


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Every chapter's notebook for students, {name: notebook}; no test changes one."""
    paths = colab.make(tmp_path_factory.mktemp("students"), "", read=students.read)
    return {path.stem: nbformat.read(path, as_version=4) for path in paths}


@pytest.fixture(scope="module")
def tiny_path(tmp_path_factory):
    root = tmp_path_factory.mktemp("book")
    (root / "nbs").mkdir()
    (root / "_toc.yml").write_text("root: nbs/01_tiny\n")
    path = root / "nbs" / "01_tiny.md"
    path.write_text(CHAPTER)
    return path


def tiny_notebook(path, package=""):
    (made,) = colab.make(path.parent / "made", package, root=path.parent.parent, read=students.read)
    return nbformat.read(made, as_version=4)


@pytest.fixture(scope="module")
def tiny(tiny_path):
    return tiny_notebook(tiny_path)


def test_solutions_give_way_to_empty_cells(tiny):
    text = "\n".join(cell.source for cell in tiny.cells)
    assert "secret" not in text and "{solution" not in text
    assert "Why?" in text and "How much?" in text and "The end." in text
    assert [cell.source for cell in tiny.cells if "our answer" in cell.source] == ["*Your answer:*", "# Your answer"]
    nbformat.validate(tiny)


def test_the_student_version_runs(tiny, tmp_path):
    done = nbclient.NotebookClient(tiny, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert [cell.outputs[0].text for cell in done.cells if cell.get("outputs")] == ["2\n"]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_student_version_is_the_chapter_without_solutions(made, path):
    """Cells in order, none that a solution owns, and no later cell that needs what only a solution binds."""
    text, notebook = path.read_text("utf-8"), made[path.stem]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    written = "\n".join(cell.source for cell in notebook.cells)
    assert not re.search(r"\{(solution|exercise|prf:|doc\}|eq\}|numref)|^:::", written, re.MULTILINE), "MyST is left"
    found = exercises(text)
    heads = [f"({one.title} {one.stars * myst.STAR})." for one in found]
    assert all(head in written for head in heads), "an exercise is missing, or its stars"
    answers = [number for number, cell in enumerate(notebook.cells) if "our answer" in cell.source]
    assert len(answers) == len(found) and all(
        head in notebook.cells[number - 1].source for head, number in zip(heads, answers)), "no place for an answer"
    assert all(block not in written for one in found for block in one.code), "a solution's code is left"
    whole = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    solved = {block for one in found for block in one.code}
    kept = [re.sub("^# @title .*\n", "", cell.source) for cell in cells if cell.source != "# Your answer"]
    assert kept == [source for source in whole if source not in solved]
    bare, full = (slices.needed(parsed(sources)) for sources in (kept, whole))
    assert bare <= full, f"{path.name}: a cell needs {sorted(bare - full)}, which only a solution binds: move it"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_figures_keep_their_captions_and_numbers(made, path):
    targets = numbering.targets()
    figures = [target for target in targets.values() if target.kind == "figure" and target.page == f"nbs/{path.stem}"]
    written = "\n".join(cell.source for cell in made[path.stem].cells)
    assert figures and all(f"**Figure {target.number}.** " in written for target in figures)


def test_colab_sets_itself_up_where_the_address_is_known(tiny, tiny_path):
    made = tiny_notebook(tiny_path, package="the package @ https://a.b/c.zip")
    assert "the package @ https://a.b/c.zip" in made.cells[0].source and made.cells[0].cell_type == "code"
    assert "set-up" not in [cell.id for cell in tiny.cells]


def test_the_command_writes_every_chapter(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("GITHUB_SHA", raising=False)
    students.main(tmp_path / "new")
    assert sorted(path.stem for path in (tmp_path / "new").iterdir()) == [path.stem for path in CHAPTERS]
    assert f"{len(CHAPTERS)} notebooks" in capsys.readouterr().out
