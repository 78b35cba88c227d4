"""The notebooks that Colab opens: what they say, how they read there, and that one runs in such an environment."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from copy import deepcopy
from importlib import metadata

import addresses
import colab
import execution
import nbformat
import notebooks
import numbering
import pytest
from packaging.requirements import Requirement
from plain_markdown import Plain
from pybtex.database import parse_string

ROOT = execution.ROOT
PACKAGE = "signal-first-noise-later @ https://github.com/a/b/archive/0123.zip"
SITE = "https://a.github.io/b"
WORK = "@book{key, title={T}, author={Last, First and Other, An}, year={2020}, publisher={P}}"


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Every chapter's notebook for Colab, {name: notebook}."""
    paths = colab.make(tmp_path_factory.mktemp("colab"), PACKAGE, SITE)
    return {path.stem: nbformat.read(path, as_version=4) for path in paths}


@pytest.fixture
def plain():
    targets = {"thm-a": numbering.Target("theorem", "3.2", "A", "nbs/03_a"),
               "thm-b": numbering.Target("theorem", "4.1", "B", "nbs/04_b"),
               "ex-a": numbering.Target("exercise", "3.1", "", "nbs/03_a"),
               "eq-a": numbering.Target("equation", "3.7", "", "nbs/03_a"),
               "eq-b": numbering.Target("equation", "4.7", "", "nbs/04_b"),
               "nbs/03_a": numbering.Target("page", "3", "Third", "nbs/03_a"),
               "nbs/04_b": numbering.Target("page", "4", "Fourth", "nbs/04_b"),
               "book/proofs": numbering.Target("page", "", "Proofs", "book/proofs"),
               "sec": numbering.Target("section", "", "A section", "nbs/04_b")}
    return Plain("nbs/03_a", targets, parse_string(WORK, "bibtex"), SITE)


@pytest.mark.parametrize(("myst", "markdown"), [
    ("See {prf:ref}`thm-a` and {eq}`eq-a`.", "See Theorem 3.2 and (3.7)."),
    ("By {prf:ref}`thm-b`", f"By [Theorem 4.1]({SITE}/nbs/04_b.html#thm-b)"),
    ("By {eq}`eq-b`", f"By [(4.7)]({SITE}/nbs/04_b.html#equation-eq-b)"),
    ("as {doc}`04_b` says. {doc}`04_b` too", f"as [chapter 4]({SITE}/nbs/04_b.html) says. "
                                             f"[Chapter 4]({SITE}/nbs/04_b.html) too"),
    ("in {doc}`../book/proofs`", f"in [*Proofs*]({SITE}/book/proofs.html)"),
    ("[this](04_b.md), [that](sec)", f"[this]({SITE}/nbs/04_b.html), [that]({SITE}/nbs/04_b.html#sec)"),
    ("{ref}`an exercise <ex-a>`", "an exercise"), ("{math}`x^2`", "$x^2$"),
    ("{cite:t}`key` and {cite:p}`key`", "Last and Other (2020) and (Last and Other, 2020)"),
    ("$$\na\n=\nb\n$$ (eq-a)\n", r"$$a = b \tag{3.7}$$"), ("so $a\nb<c$.", r"so $a b\lt c$."),
    ("`$a` and `$b {eq}` stay", "`$a` and `$b {eq}` stay"), ("(sec)=\n## Title", "## Title"),
    (":::{prf:theorem} A\n:label: thm-a\n\nLet\n\n$$\nx\n$$\n:::", "> **Theorem 3.2** (A).\n>\n> Let\n>\n> $$x$$"),
    ("::::{exercise}\n:label: ex-a\n\n:::{note}\nx\n:::\n::::", "> **Exercise 3.1**.\n>\n> > **Note**.\n> >\n> > x"),
    (":::{prf:proof}\nx\n:::", "*Proof.* x\n\n∎"),
    (":::{solution} ex-a\n:class: dropdown\n\nx\n:::",
     "<details>\n<summary><b>Solution of Exercise 3.1</b></summary>\n\nx\n\n</details>")])
def test_myst_becomes_plain(plain, myst, markdown):
    assert plain(myst) == markdown


@pytest.mark.parametrize("myst", [
    "{unknown}`x`", ":::{unknown}\nx\n:::", "{prf:ref}`thm-none`", ":::{note}\nnever closed"])
def test_what_has_no_plain_form_is_refused(plain, myst):
    with pytest.raises(ValueError, match="nbs/03_a: "):
        plain(myst)


def test_without_an_address_references_are_words(plain):
    plain.site = ""
    assert plain("{prf:ref}`thm-b`, {doc}`04_b`, [that](sec)") == "Theorem 4.1, chapter 4, that"


def test_works_cited_are_listed_once(plain):
    assert plain.references() == ""
    plain("{cite:t}`key`, {cite:p}`key`")
    assert plain.references().startswith("- ") and plain.references().count("\n") == 0


def test_numbers_count_by_kind_and_chapter(tmp_path):
    (tmp_path / "_toc.yml").write_text(
        "root: index\nparts:\n- numbered: true\n  chapters: [{file: a}, {file: b}]\n- chapters: [{file: c}]\n")
    page = ("# T\n\n:::{prf:lemma} L\n:label: lem-PAGE\n\nx\n:::\n\n$$\nx\n$$ (eq-PAGE)\n\n"
            ":::{prf:lemma}\n:label: two-PAGE\n:::\n")
    for name in ("index", "a", "b", "c"):
        (tmp_path / f"{name}.md").write_text(page.replace("PAGE", name))
    found = numbering.targets(tmp_path)
    assert [found[f"two-{name}"].number for name in ("index", "a", "b", "c")] == ["2", "1.2", "2.2", "4"]
    assert found["eq-b"].number == "2.1" and found["lem-a"].title == "L" and found["b"].number == "2"


@pytest.mark.parametrize("name", [path.stem for path in execution.chapters()])
def test_chapter_reads_well_in_colab(made, name):
    notebook = made[name]
    nbformat.validate(notebook)
    for cell in notebook.cells:
        text = re.sub(r"^```.*?^```|`[^`\n]*`", "", cell.source, flags=re.MULTILINE | re.DOTALL)
        if cell.cell_type == "code":
            continue
        assert not re.search(r"^ *:{3,}|\{[a-z:-]+\}`|^\([\w-]+\)=|^ *:label:|\x00", text, re.MULTILINE), text
        assert all(line.count("$") % 2 == 0 for line in text.splitlines()), f"a formula over several lines:\n{text}"
        assert ".md)" not in text, f"a link to a source:\n{text}"


@pytest.mark.parametrize("name", [path.stem for path in execution.chapters()])
def test_chapter_keeps_its_code_and_verdict(made, name):
    pair = nbformat.read(ROOT / "nbs" / f"{name}.ipynb", as_version=4)
    here = [cell for cell in made[name].cells if cell.cell_type == "code"][1:]
    there = [cell for cell in pair.cells if cell.cell_type == "code"]
    assert [re.sub(r"^# @title .*\n", "", cell.source) for cell in here] == [cell.source for cell in there]
    assert [cell.outputs for cell in here] == [cell.outputs for cell in there]


def test_first_cell_installs_the_package_beside_what_is_there(made):
    for notebook in made.values():
        first = notebook.cells[0]
        assert first.cell_type == "code"
        (install,) = [line for line in first.source.splitlines() if line.startswith("%pip")]
        assert install == f'%pip install -q -c kept.txt "{PACKAGE}"', "nothing else is installed, nothing upgraded"
        kept = ast.literal_eval(re.search(r"^kept = (.*)$", first.source, re.MULTILINE)[1])
        assert {"torch", "torchvision", "numpy"} <= set(kept)


def test_hidden_code_and_solutions_are_folded(made):
    sources = [cell for cell in made["03_stage_one"].cells if cell.cell_type == "code" and "hide-input" in
               cell.metadata.get("tags", [])]
    assert sources and all(cell.metadata.cellView == "form" and cell.source.startswith("# @title") for cell in sources)


def test_addresses_come_from_the_environment_alone():
    github = {"GITHUB_REPOSITORY": "a/b", "GITHUB_SHA": "0123"}
    assert addresses.package_address(github) == PACKAGE
    assert addresses.notebook_url(github, "nbs/01_x") == "https://colab.research.google.com/github/a/b/blob/colab/nbs/01_x.ipynb"
    assert addresses.notebook_url({}, "nbs/01_x") == "" and addresses.site_url({"SITE_URL": SITE + "/"}) == SITE
    with pytest.raises(ValueError, match="GITHUB_REPOSITORY=owner/name"):
        addresses.package_address({})


def test_the_package_asks_for_torch_loosely():
    """Pip leaves a torch alone that satisfies the package; an upper bound or a torchvision would make it change it."""
    text = (ROOT / "pyproject.toml").read_text()
    wanted = text.split("dependencies")[1].split("]")[0]
    assert '"torch>=2.4"' in wanted and "torchvision" not in wanted and "==" not in wanted and "<" not in wanted


# As Colab is ---------------------------------------------------------------------------------------------------------

COLAB_HAS = ("torch", "torchvision", "numpy", "matplotlib", "pandas", "ipykernel", "nbclient", "pip")
RUN = """
import nbformat, sys
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
try:
    NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
finally:
    nbformat.write(notebook, sys.argv[1])
"""
# Versions and places, without an import: a torchvision beside a CPU-only torch cannot be imported plainly.
SAY = """
from importlib import metadata, util
for name in "torch", "torchvision", "numpy", "pandas", "matplotlib":
    print(name, metadata.version(name), util.find_spec(name).origin)
print("helpers", util.find_spec("helpers"), "scipy", util.find_spec("scipy"))
"""


def distributions(names):
    """Those of `names` that are installed, and what they need."""
    found, queue = {}, list(names)
    while queue:
        name = queue.pop().lower().replace("_", "-")
        try:
            found[name] = found.get(name) or metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # asked for on other systems only
        wanted = [Requirement(text) for text in found[name].requires or []]
        queue += [each.name for each in wanted if each.name.lower().replace("_", "-") not in found
                  and (each.marker is None or each.marker.evaluate({"extra": ""}))]
    return found.values()


def environment_as_colab_is(folder):
    """A fresh environment that sees COLAB_HAS and what they need, by links, and nothing else. Returns its Python."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    for distribution in distributions(COLAB_HAS):
        for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(distribution.locate_file(top))
    kernel = folder / "share" / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                                  "display_name": "Python 3", "language": "python"}))
    return python


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The package, built from a copy of the repository (building leaves files behind)."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("src", "book/results", "pyproject.toml", "LICENSE"):
        target = copy / name
        target.parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", copy / "dist", copy], check=True)
    (found,) = (copy / "dist").glob("*.whl")
    return found


CHAPTER = "01_data_model"  # the quickest
LOOK = "from helpers.recorded import load_recorded; print(load_recorded('phase_flips'))"


def ask(python, code, *arguments, folder):
    """What a Python prints that knows nothing of this process, in a folder."""
    ours = ("PYTHON", "JUPYTER", "SIGNAL_FIRST", "PYTEST", "MPL", "VIRTUAL_ENV")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    variables |= {"JUPYTER_PREFER_ENV_PATH": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([python, "-c", code, *arguments], cwd=folder, env=variables, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def run_as_in_colab(python, notebook, wheel, folder):
    """Run a notebook made for Colab, alone in an empty folder, with the wheel as the package. Returns it as run."""
    notebook, alone = deepcopy(notebook), folder / "notebook.ipynb"
    notebook.cells[0].source = notebook.cells[0].source.replace(PACKAGE, str(wheel))
    folder.mkdir()
    nbformat.write(notebook, alone)
    ask(python, RUN, alone.name, folder=folder)
    return nbformat.read(alone, as_version=4)


def said_by(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def test_a_chapter_runs_as_colab_is(tmp_path, made, wheel):
    """A fresh environment, the wheel, the notebook alone: it runs, and torch and its kind stay as they were."""
    python = environment_as_colab_is(tmp_path / "environment")
    before = ask(python, SAY, folder=tmp_path)
    assert "helpers None scipy None" in before and before.count(str(tmp_path)) == 5
    notebook = run_as_in_colab(python, made[CHAPTER], wheel, tmp_path / "empty")
    after = ask(python, SAY, folder=tmp_path)
    assert after.splitlines()[:5] == before.splitlines()[:5]
    said = said_by(notebook.cells[0])
    assert re.search(r"^(quick|full) profile, .*threads", said, re.MULTILINE) and "Run time of this chapter: " in said
    stored = nbformat.read(ROOT / "nbs" / f"{CHAPTER}.ipynb", as_version=4)
    verdicts = {cell.id: said_by(cell) for cell in stored.cells if notebooks.is_verdict(cell)}
    assert verdicts and {cell.id: said_by(cell) for cell in notebook.cells if cell.id in verdicts} == verdicts
    assert "phase_flips" in ask(python, LOOK, folder=tmp_path), "the recorded runs travel in the wheel"
