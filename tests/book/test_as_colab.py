"""Chapters run as Colab runs them: a fresh environment, the package's wheel, the notebook alone in an empty folder.

Every run of the tests does so with two chapters, in CI on each Python. `make colab-check` does with all chapters, and
with the quickest on every other Python that it finds; so does the weekly workflow.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from zipfile import ZipFile

import colab
import execution
import nbformat
import notebooks
import pytest
from packaging.requirements import Requirement

ROOT = execution.ROOT
CHAPTERS = [path.stem for path in execution.chapters()]
IN_EVERY_RUN = ("01_data_model", "18_human_noise")  # the quickest of the theory and of those on images
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
"""
LOOK = "from helpers.sweeps.tables import load_table; print(load_table('phase_flips'))"


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


def link(source, target):
    """Hard links cost no room, and what pip removed in the copy would stay where it came from."""
    try:
        os.link(source, target)
    except OSError:  # on another disk
        shutil.copy2(source, target)


def environment_as_colab_is(folder):
    """A fresh environment with COLAB_HAS and what they need, copied from ours, and nothing else. Returns its Python."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    for distribution in distributions(COLAB_HAS):
        for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            source, target = distribution.locate_file(top), site / top
            if source.is_dir():
                shutil.copytree(source, target, copy_function=link, dirs_exist_ok=True)
            elif not target.exists():
                link(source, target)
    kernel = folder / "share" / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                                  "display_name": "Python 3", "language": "python"}))
    return python


def outside(command, folder):
    """Run a command that knows nothing of this process, in a folder."""
    ours = ("PYTHON", "JUPYTER", "SIGNAL_FIRST", "PYTEST", "MPL", "VIRTUAL_ENV")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    variables |= {"JUPYTER_PREFER_ENV_PATH": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=variables, text=True, capture_output=True)


def ask(python, code, *arguments, folder):
    """What a Python prints."""
    done = outside([python, "-c", code, *arguments], folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The Python of an environment as Colab's; skips where pip cannot install anything into it."""
    folder = tmp_path_factory.mktemp("colab")
    python = environment_as_colab_is(folder / "environment")
    probe = ["install", "-q", "--dry-run", "--no-deps", "--retries", "0", "--timeout", "20", "threadpoolctl"]
    done = outside([python, "-m", "pip", *probe], folder)
    if done.returncode:
        pytest.skip("not run as in Colab: pip reaches no package index here. It says: " + done.stderr.strip()[-300:])
    installed = "from importlib import util; print(util.find_spec('helpers'), util.find_spec('scipy'))"
    assert ask(python, installed, folder=folder) == "None None\n", "the environment is not fresh"
    return python


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, fresh):
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


@pytest.fixture(scope="module")
def made(tmp_path_factory, wheel):
    """The chapters' notebooks for Colab, which install the wheel: {name: path}."""
    return {path.stem: path for path in colab.make(tmp_path_factory.mktemp("made"), str(wheel))}


def run_alone(python, notebook, folder):
    """Run a notebook in an empty folder. Returns it as run."""
    folder.mkdir()
    nbformat.write(notebook, folder / "notebook.ipynb")
    ask(python, RUN, "notebook.ipynb", folder=folder)
    return nbformat.read(folder / "notebook.ipynb", as_version=4)


def said_by(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def check(python, name, made, tmp_path):
    """A chapter runs, says of itself and its findings what it should, and torch and its kind stay as they were."""
    before = ask(python, SAY, folder=tmp_path)
    assert before.count(str(python.parents[1])) == 5, before
    notebook = run_alone(python, nbformat.read(made[name], as_version=4), tmp_path / "empty")
    assert ask(python, SAY, folder=tmp_path) == before, "the first cell changed a package that it should leave alone"
    said = said_by(notebook.cells[0])
    assert re.search(r"^(quick|full) profile, .*threads", said, re.MULTILINE) and "Run time of this chapter: " in said
    stored = nbformat.read(ROOT / "nbs" / f"{name}.ipynb", as_version=4)
    verdicts = {cell.id: said_by(cell) for cell in stored.cells if notebooks.is_verdict(cell)}
    here = {cell.id: said_by(cell) for cell in notebook.cells if cell.id in verdicts}
    assert verdicts and here == verdicts, (
        "The verdict differs from the one in nbs/. If `make notebooks` changes the stored one, commit"
        " it; if not, print coarser facts, or find what the notebook reads that is not in the wheel")
    assert "phase_flips" in ask(python, LOOK, folder=tmp_path), "the wheel comes without the recorded runs"


@pytest.mark.parametrize("name", [name if name in IN_EVERY_RUN else pytest.param(name, marks=pytest.mark.weekly)
                                  for name in CHAPTERS])
def test_chapter_runs_as_colab_is(tmp_path, fresh, made, name):
    check(fresh, name, made, tmp_path)


def installed(version, folder):
    """The Python of an environment of another version with COLAB_HAS, from the package index; skips where it cannot."""
    found = shutil.which(f"python{version}")
    if not found or outside([found, "-c", "import ensurepip, venv"], folder.parent).returncode:
        pytest.skip(f"no python{version} here that makes environments")
    outside([found, "-m", "venv", folder], folder.parent)
    python, pins = folder / "bin" / "python", (ROOT / "requirements.txt").read_text()
    wanted = re.findall(rf"^(?:{'|'.join(COLAB_HAS)})==[\w.*]+", pins, re.MULTILINE)  # torch comes first
    pip = [python, "-m", "pip", "install", "-q"]
    asked = outside([*pip, "--dry-run", "--no-deps", "--report", "-", wanted[0]], folder)
    needs = [] if asked.returncode else json.loads(asked.stdout)["install"][0]["metadata"].get("requires_dist", [])
    if asked.returncode or any(need.startswith(("nvidia", "cuda")) for need in needs):
        pytest.skip(f"no CPU build of {wanted[0]} for Python {version} in pip's index, but gigabytes for GPUs; "
                    "PIP_EXTRA_INDEX_URL can name PyTorch's index of CPU builds")
    done = outside([*pip, *wanted], folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return python


@pytest.mark.weekly
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_quickest_chapter_runs_on_another_python(tmp_path, made, version):
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        pytest.skip("the Python that runs this test")
    check(installed(version, tmp_path / "environment"), IN_EVERY_RUN[0], made, tmp_path)


def test_first_cell_can_run_twice(tmp_path, fresh, made):
    notebook = nbformat.read(made["01_data_model"], as_version=4)
    notebook.cells = [notebook.cells[0], nbformat.v4.new_code_cell(notebook.cells[0].source)]
    first, again = map(said_by, run_alone(fresh, notebook, tmp_path / "empty").cells)
    assert again.splitlines()[-3:] == first.splitlines()[-3:]


def test_first_cell_says_what_to_do_if_nothing_was_installed(tmp_path, made, wheel):
    python = environment_as_colab_is(tmp_path / "environment")
    notebook = nbformat.read(made["01_data_model"], as_version=4)
    notebook.cells = notebook.cells[:1]
    notebook.cells[0].source = notebook.cells[0].source.replace(str(wheel), str(tmp_path / "none.whl"))
    with pytest.raises(AssertionError, match=r"The package is not there: see what pip says above\. With a network"):
        run_alone(python, notebook, tmp_path / "empty")


def test_the_wheel_holds_every_module_and_recorded_run(wheel):
    source = ROOT / "src"
    wanted = {path.relative_to(source).as_posix() for path in source.rglob("*.py*") if path.suffix in (".py", ".pyi")}
    assert {"helpers/engine/reduced.py", "helpers/engine/__init__.pyi", "signal_first/__init__.py"} <= wanted
    wanted |= {f"helpers/results/{path.name}" for path in (ROOT / "book" / "results").glob("*.*")}
    missing = wanted - set(ZipFile(wheel).namelist())
    assert not missing, f"name them in pyproject.toml's package-data: {sorted(missing)}"
