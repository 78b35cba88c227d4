"""The notebooks that Colab opens: what they say and how they read there. test_as_colab.py runs them."""

import ast
import re
import sys

import addresses
import colab
import execution
import nbformat
import numbering
import pytest
import torch
from plain_markdown import Plain
from pybtex.database import parse_string

from helpers import runtime

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
    return Plain("nbs/03_a", targets, SITE, parse_string(WORK, "bibtex"))


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
    (":::{prf:proof}\nx $y$.\n:::", "*Proof.* x $y$. ∎"), (":::{prf:proof}\n$$\nx\n$$\n:::", "*Proof.*\n\n$$x$$\n\n∎"),
    (":::{prf:proof} of it\nx\n\n| a |\n|---|\n:::", "*Proof of it.* x\n\n| a |\n|---|\n\n∎"),
    (":::{solution} ex-a\n:class: dropdown\n\nx\n:::",
     "<details>\n<summary><b>Solution of Exercise 3.1</b></summary>\n\nx\n\n</details>")])
def test_myst_becomes_plain(plain, myst, markdown):
    assert plain(myst) == markdown


def test_a_solution_with_code_folds_cell_by_cell(plain):
    start = ":::{solution-start} ex-a\n:class: dropdown\n:::\n\n"
    fold = "<details>\n<summary><b>{}</b></summary>\n\n{}\n\n</details>"
    assert plain.cell(f"Ask.\n\n{start}First.") == "Ask.\n\n" + fold.format("Solution of Exercise 3.1", "First.")
    assert plain.cell("Then.") == fold.format("Solution of Exercise 3.1, continued", "Then.")
    assert plain("A caption.") == "A caption."
    assert plain.cell("So.\n\n:::{solution-end}\n:::\n\nAfter.") == (
        fold.format("Solution of Exercise 3.1, continued", "So.") + "\n\nAfter.")
    assert plain.cell(start) == "**Solution of Exercise 3.1.**" and plain.solving
    assert plain.cell(":::{solution-end}\n:::\n\nAfter.") == "After." and not plain.solving


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
        assert not re.search(r"^ *:{3,}|\{[a-z:-]+\}`|^\([\w-]+\)=|^ *:label:|\ue000", text, re.MULTILINE), text
        assert all(line.count("$") % 2 == 0 for line in text.splitlines()), f"a formula over several lines:\n{text}"
        assert ".md)" not in text, f"a link to a source:\n{text}"
        assert not re.search(r"\]\((?!https?:)", text), f"a link that leads nowhere from Colab:\n{text}"
        assert not re.search(r"\\(?:label|eqref|newcommand|def)\b", text), f"TeX that a cell of its own lacks:\n{text}"
        assert set(re.findall(r"</?([a-z]+)", text)) <= {"details", "summary", "b"}, f"HTML:\n{text}"
        assert text.count("<details>") == text.count("</details>"), f"a fold ends with its cell:\n{text}"
        rows = re.findall(r"^[> ]*\|.*", text, re.MULTILINE)
        assert not any("|" in formula for row in rows for formula in re.findall(r"\$([^$]*)\$", row)), (
            f"a bar in a table's formula ends the table's cell; write \\lvert, \\rvert or \\mid:\n{text}")


@pytest.mark.parametrize("name", [path.stem for path in execution.chapters()])
def test_chapter_keeps_its_code_and_verdict(made, name):
    pair = nbformat.read(ROOT / "nbs" / f"{name}.ipynb", as_version=4)
    here = [cell for cell in made[name].cells if cell.cell_type == "code"][1:]
    there = [cell for cell in pair.cells if cell.cell_type == "code"]
    assert [re.sub(r"^# @title .*\n", "", cell.source) for cell in here] == [cell.source for cell in there]
    assert [cell.outputs for cell in here] == [cell.outputs for cell in there]


def test_what_a_page_folds_is_folded(made):
    for notebook in made.values():
        folded = [cell for cell in notebook.cells if re.search("hide-(?:cell|input)", str(cell.metadata.get("tags")))]
        assert all(cell.source.startswith("# @title ") and cell.metadata.cellView == "form" for cell in folded)


def test_first_cell_installs_the_package_beside_what_is_there(made):
    for notebook in made.values():
        first = notebook.cells[0]
        assert first.cell_type == "code"
        (install,) = [line for line in first.source.splitlines() if line.startswith("%pip")]
        assert install == f'%pip install -q -c kept.txt "{PACKAGE}"', "nothing else is installed, nothing upgraded"
        kept = ast.literal_eval(re.search(r"^kept = (.*)$", first.source, re.MULTILINE)[1])
        assert {"torch", "torchvision", "numpy"} <= set(kept)


def test_first_cell_says_only_times_that_were_measured():
    assert colab._said({}) == {"quick": "not measured yet", "full": "not measured yet"}
    quick = colab._said({"quick": "about 9 s"})
    assert quick["full"] == "not measured yet with the full profile; with the quick one about 9 s"
    assert colab._said({"full": "about 1 min"}) == {"quick": "not measured yet", "full": "about 1 min"}


def first_cell(made, folder, monkeypatch, capsys):
    """What the first cell says in an empty folder, where the package is there and pip has nothing to do."""
    monkeypatch.chdir(folder)
    code = made["01_data_model"].cells[0].source.replace("%pip", "# %pip")
    exec(compile(code, "first cell", "exec"), {})
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ["helpers.py", "helpers/__init__.py"])
def test_first_cell_names_a_file_in_the_packages_way(made, tmp_path, monkeypatch, capsys, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("1 / 0  # is not even run")
    for module in [module for module in sys.modules if re.match(r"helpers\b", module)]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match=rf"{re.escape(str(tmp_path / name))} hides the book's package.*Rename"):
        first_cell(made, tmp_path, monkeypatch, capsys)


def test_a_gpu_alone_does_not_ask_for_what_nobody_has_timed(made, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(runtime.PROFILE_VARIABLE, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    said = first_cell(made, tmp_path, monkeypatch, capsys)
    assert said.startswith("quick profile, Tesla T4") and "%env SIGNAL_FIRST_PROFILE=full" in said
    assert "more seeds" in said and "standard networks" in said, "what the full profile would train"
    monkeypatch.setenv(runtime.PROFILE_VARIABLE, "full")
    assert "%env" not in first_cell(made, tmp_path, monkeypatch, capsys)


def test_no_chapter_tells_of_make_where_there_is_none(made):
    for name, notebook in made.items():
        told = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"
                and re.search(r"`[^`\n]*\bmake [a-z][^`\n]*`", cell.source)]
        assert not told, f"{name}: {told}"
    (told,) = [cell.source for cell in made["08_real_images"].cells if "cifar10" in cell.source
               and cell.cell_type == "markdown"]
    assert "%env SIGNAL_FIRST_CIFAR10=cifar10" in told


def test_hidden_code_and_solutions_are_folded(made):
    sources = [cell for cell in made["04_stage_one"].cells if cell.cell_type == "code" and "hide-input" in
               cell.metadata.get("tags", [])]
    assert sources and all(cell.metadata.cellView == "form" and cell.source.startswith("# @title") for cell in sources)


def test_addresses_come_from_the_environment_alone():
    github = {"GITHUB_REPOSITORY": "a/b", "GITHUB_SHA": "0123"}
    assert addresses.package_address(github) == PACKAGE
    assert addresses.site_url({"SITE_URL": SITE + "/"}) == SITE
    with pytest.raises(SystemExit, match="GITHUB_REPOSITORY=owner/name"):
        addresses.package_address({})


def test_the_package_asks_for_torch_loosely():
    """Pip leaves a torch alone that satisfies the package; an upper bound or a torchvision would make it change it."""
    text = (ROOT / "pyproject.toml").read_text()
    wanted = text.split("dependencies")[1].split("]")[0]
    assert '"torch>=2.4"' in wanted and "torchvision" not in wanted and "==" not in wanted and "<" not in wanted
