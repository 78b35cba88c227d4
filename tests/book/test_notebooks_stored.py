"""Every chapter has its paired notebook in step, and nbval really compares what the verdict cells store."""

import os
import re
import shutil
import subprocess
import sys

import execution
import nbformat
import notebooks
import pytest
from made_up import HEADER

CHAPTER = HEADER + """
# A tiny chapter

The sum comes first, the verdict second.

```{code-cell} ipython3
total = 1 + 1
print("not a verdict")
```

And now the verdict.

```{code-cell} ipython3
:tags: [nbval-check-output]

print("total is", total)
```
"""


@pytest.mark.parametrize("source", execution.chapters(), ids=lambda path: path.stem)
def test_pair_is_in_step(source):
    found = notebooks.faults(source)
    assert not found, f"{source.name}: {'; '.join(found)}. Run: {notebooks.REFRESH}"


@pytest.mark.parametrize("source", execution.chapters(), ids=lambda path: path.stem)
def test_no_verdict_is_false(source):
    """A verdict's line is a claim of the page: a negative finding is claimed as such, and is then true."""
    cells = nbformat.read(source.with_suffix(".ipynb"), as_version=4).cells
    said = "".join(output.get("text", "") for cell in cells if notebooks.is_verdict(cell) for output in cell.outputs)
    false = [line for line in said.splitlines() if re.search(r"\bFalse\b", line)]
    assert not false, f"{source.name} claims what is not so: {false}"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A tiny chapter in a folder of its own, paired by the real tool (it starts a kernel)."""
    root = tmp_path_factory.mktemp("book")
    (root / "nbs").mkdir()
    (root / "requirements.txt").write_text("")
    source = root / "nbs" / "01_tiny.md"
    source.write_text(CHAPTER)
    assert notebooks.refresh([source], workers=1, root=root) == {source: []}
    return source


def stored(source):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def nbval(notebook, folder, **more):
    """Exit code and output of nbval on `notebook`, with the options of the Makefile, in a pytest of its own."""
    path = folder / "01_tiny.ipynb"
    nbformat.write(notebook, path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | more
    command = [sys.executable, "-m", "pytest", path.name, "--nbval-lax", "--nbval-current-env"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout


def test_only_verdicts_store_an_output_and_a_count(tiny):
    first, verdict = [cell for cell in stored(tiny).cells if cell.cell_type == "code"]
    assert (first.outputs, first.execution_count) == ([], None)
    assert [output.text for output in verdict.outputs] == ["total is 2\n"] and verdict.execution_count == 2


def test_nbval_passes_the_true_verdict(tiny, tmp_path):
    code, text = nbval(stored(tiny), tmp_path)
    assert code == 0 and "2 passed" in text, text


def test_nbval_fails_a_false_verdict(tiny, tmp_path):
    notebook = stored(tiny)
    notebook.cells[-1].outputs[0].text = "total is 3\n"
    code, text = nbval(notebook, tmp_path)
    assert code == 1 and "1 failed" in text and "1 passed" in text, text


def test_nbval_lets_a_bare_verdict_pass_so_we_must_not(tiny, tmp_path):
    """The trap that `faults` guards: without output and count nbval compares nothing, and passes."""
    notebook = stored(tiny)
    notebook.cells[-1].outputs, notebook.cells[-1].execution_count = [], None
    code, text = nbval(notebook, tmp_path)
    assert code == 0, text
    source = tmp_path / "01_tiny.md"
    source.write_text(CHAPTER)
    assert any("nbval checks nothing" in fault for fault in notebooks.faults(source))


@pytest.fixture
def copy(tiny, tmp_path, monkeypatch):
    """The tiny chapter and its pair, to be spoilt: a book of its own."""
    monkeypatch.setattr(execution, "chapters", lambda: [tmp_path / tiny.name])
    for file in (tiny, tiny.with_suffix(".ipynb")):
        (tmp_path / file.name).write_text(file.read_text())
    return tmp_path / tiny.name


def test_check_passes_what_is_in_step(copy, capsys):
    assert notebooks.main(["--check"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("old", "new"), [
    ("1 + 1", "1 + 2"), ("comes first", "comes early"), ("[nbval-check-output]", "[]")], ids=["code", "prose", "tag"])
def test_check_fails_when_the_source_moved_on(copy, capsys, old, new):
    copy.write_text(copy.read_text().replace(old, new))
    assert notebooks.main(["--check"]) == 1
    message = capsys.readouterr().err
    assert copy.name in message and notebooks.REFRESH in message


def test_check_fails_on_a_missing_or_broken_pair(copy, capsys):
    pair = copy.with_suffix(".ipynb")
    pair.write_text(pair.read_text()[:100])
    assert notebooks.main(["--check"]) == 1
    pair.unlink()
    assert notebooks.main(["--check"]) == 1
    assert "missing" in capsys.readouterr().err


def test_output_of_an_ordinary_cell_is_refused(copy):
    pair = copy.with_suffix(".ipynb")
    notebook = nbformat.read(pair, as_version=4)
    notebook.cells[1].execution_count = 1
    nbformat.write(notebook, pair)
    assert any("is no verdict" in fault for fault in notebooks.faults(copy))


def test_refresh_is_deterministic_and_runs_nothing_twice(tiny, capsys):
    before = tiny.with_suffix(".ipynb").read_bytes()
    assert notebooks.refresh([tiny], workers=1, root=tiny.parent.parent) == {tiny: []}
    assert tiny.with_suffix(".ipynb").read_bytes() == before
    assert "executing" not in capsys.readouterr().out


def test_ids_stay_when_another_cell_changes(tiny, tmp_path):
    source = tmp_path / tiny.name
    source.write_text(CHAPTER.replace("1 + 1", "1 + 2"))
    old, new = ([cell.id for cell in notebooks.bare(path.read_text()).cells] for path in (tiny, source))
    assert [a == b for a, b in zip(old, new, strict=True)] == [True, False, True, True]


def test_a_failing_cell_leaves_the_pair_alone(tmp_path, tiny):
    (tmp_path / "nbs").mkdir()
    (tmp_path / "requirements.txt").write_text("")
    source = tmp_path / "nbs" / "01_tiny.md"
    source.write_text(CHAPTER.replace("1 + 1", "1 / 0"))
    (problem,) = notebooks.refresh([source], workers=1, root=tmp_path)[source]
    assert "ZeroDivisionError" in problem and not source.with_suffix(".ipynb").exists()


def test_a_cell_that_writes_to_stderr_is_reported():
    cell = nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("stream", name="stderr", text="a warning")])
    (found,) = execution.noise(nbformat.v4.new_notebook(cells=[cell]))
    assert "a warning" in found


SHOWN = HEADER + """
# A chapter that shows things

```{code-cell} ipython3
import sys
import matplotlib.pyplot as plt
from IPython.display import clear_output, display
print("forgotten")
clear_output()
print("first", flush=True)
print("a warning", file=sys.stderr, flush=True)
print("third")
shown = display("now", display_id=True)
```

```{code-cell} ipython3
shown.update("later")
plt.plot([1, 2])
plt.show()
total = 1 + 1
total
```

```{code-cell} ipython3
:tags: [nbval-check-output]

print("total is", total)
```
"""


@pytest.fixture
def shown(tmp_path):
    """A chapter of many kinds of output, its pair, and a cache with the book's own run of it."""
    root = tmp_path / "own"
    (root / "nbs").mkdir(parents=True)
    (root / "requirements.txt").write_text("")
    source = root / "nbs" / "01_tiny.md"
    source.write_text(SHOWN)
    assert execution.fill([source], 1, root) == {}
    return source, notebooks.with_verdicts(notebooks.bare(SHOWN), execution.executed(source, root))


@pytest.fixture
def validate(shown, tmp_path):
    """validate(notebook): nbval's exit code on a pair of the chapter, in a folder with the hooks of nbs/conftest.py."""
    root = tmp_path / "validated"
    (root / "nbs").mkdir(parents=True)
    shutil.copy(execution.ROOT / "nbs" / "conftest.py", root / "nbs")
    source = root / "nbs" / "01_tiny.md"
    source.write_text(SHOWN)
    (root / "requirements.txt").write_text("")
    path = os.pathsep.join([str(execution.ROOT / "tools"), os.environ.get("PYTHONPATH", "")])
    return source, lambda notebook: nbval(notebook, root / "nbs", PYTHONPATH=path)


def known(source):
    return execution.cached(source, source.parent.parent)


def test_the_run_that_nbval_passed_is_the_run_that_the_book_shows(shown, validate):
    own, pair = shown
    source, run = validate
    code, text = run(pair)
    assert code == 0 and known(source), text
    assert {"execution_seconds", "made_by", "sha256"} == set(known(source).data)
    book, here = (execution.executed(path, path.parent.parent) for path in (own, source))
    assert [output.get("name", output.output_type) for output in here.cells[1].outputs] == [
        "stdout", "stderr", "stdout", "display_data"]
    assert "image/png" in str(here.cells[2].outputs)
    for key in ("source", "outputs", "execution_count"):
        assert [cell.get(key) for cell in here.cells] == [cell.get(key) for cell in book.cells]
    assert here.metadata == book.metadata
    assert execution.fill([source], 1, source.parent.parent) == {} and known(source)


def test_a_run_that_nbval_failed_is_not_shown(shown, validate):
    pair, (source, run) = shown[1], validate
    pair.cells[-1].outputs[0].text = "total is 3\n"
    assert run(pair)[0] == 1 and known(source) is None


def test_the_run_of_a_pair_out_of_step_is_not_shown(shown, validate):
    pair, (source, run) = shown[1], validate
    source.write_text(SHOWN.replace("1 + 1", "2 + 0"))
    assert run(pair)[0] == 0 and known(source) is None
