"""Workflows, citation, licences, contributing and the status page: what they name exists, nothing is said twice."""

import re
import tomllib
from pathlib import Path

import book_extension
import execution
import jupytext
import pandas as pd
import pytest
import status
import yaml
from made_up import HEADER

ROOT = execution.ROOT
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(ROOT.glob(".github/workflows/*.yml"))}
STEPS = [(name, step) for name, flow in WORKFLOWS.items() for job in flow["jobs"].values() for step in job["steps"]]
TARGETS = set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_workflows_are_complete():
    assert set(WORKFLOWS) == {"ci", "publish", "weekly"}
    assert WORKFLOWS["ci"]["jobs"]["test-and-build"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    # YAML reads the key `on` as True.
    assert {"push", "pull_request"} <= set(WORKFLOWS["ci"][True]) and "schedule" in WORKFLOWS["weekly"][True]
    for flow in WORKFLOWS.values():
        assert "permissions" in flow and all("timeout-minutes" in job for job in flow["jobs"].values())


def test_every_command_of_a_workflow_exists():
    commands = [(name, line.strip()) for name, step in STEPS for line in step.get("run", "").splitlines()]
    wanted = {target for _, line in commands for target in re.findall(r"\bmake (?:-s )?([a-z-]+)", line)}
    assert {"book", "colab", "pdf", "links", "latex-packages"} <= wanted <= TARGETS
    assert any(line == ".ci/run" for _, line in commands) and (ROOT / ".ci" / "run").exists()
    linked = [step for name, step in STEPS if name == "publish" and step.get("run", "").startswith("make ")]
    assert len(linked) == 4 and all("SITE_URL" in step.get("env", {}) for step in linked)  # what they make has links
    for name in (".ci/run", "CONTRIBUTING.md", "README.md"):
        assert set(re.findall(r"(?:`| {4}|\" )make ([a-z-]+)", (ROOT / name).read_text())) <= TARGETS, name


def test_every_step_uses_a_pinned_action_or_runs_a_command():
    for name, step in STEPS:
        assert ("uses" in step) != ("run" in step), f"{name}: {step}"
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/x@v1")), f"{name}: {step['uses']}"


def test_steps_are_known_before_they_are_read():
    """`steps.pages.outputs...` is empty without a word if no earlier step has this id."""
    for flow in WORKFLOWS.values():
        for job in flow["jobs"].values():
            ids = {step["id"] for step in job["steps"] if "id" in step}
            assert set(re.findall(r"steps\.(\w+)\.", str(job))) <= ids


def test_the_weekly_rebuild_uses_no_cache():
    assert not any("cache" in step.get("uses", "") for name, step in STEPS if name == "weekly")
    assert "--no-cache" in str(WORKFLOWS["weekly"]) or "PIP_NO_CACHE_DIR" in str(WORKFLOWS["weekly"])


def test_no_file_holds_the_repositorys_address():
    for path in [ROOT / "_config.yml", ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob(".github/workflows/*"),
                 *ROOT.glob("tools/*.py")]:
        found = re.findall(r"github\.com/[\w{][^\s\"']*/|github\.io", path.read_text())
        assert [each for each in found if "{" not in each] == [], path


def test_citation_follows_the_schema():
    """The keys that the Citation File Format 1.2.0 asks for, and none that it does not know."""
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cff["cff-version"] == "1.2.0" and cff["type"] in ("software", "dataset")
    known = {"cff-version", "message", "title", "abstract", "type", "version", "license", "keywords", "authors",
             "preferred-citation", "date-released", "doi", "url", "repository-code", "identifiers", "references",
             "contact"}
    assert {"message", "title", "authors"} <= set(cff) <= known
    book = cff["preferred-citation"]
    assert {"type", "title", "authors"} <= set(book) and book["type"] == "book" and isinstance(book["year"], int)
    for person in [*cff["authors"], *book["authors"]]:
        assert set(person) <= {"name", "given-names", "family-names", "orcid", "affiliation", "email"} and person
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert cff["title"] == config["title"] and cff["authors"][0]["name"] == config["author"]
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert str(cff["version"]) == package["version"]


def test_the_page_cites_what_the_file_says():
    told = book_extension.citation(ROOT)
    title = yaml.safe_load((ROOT / "CITATION.cff").read_text())["preferred-citation"]["title"]
    assert told.count(title) == 2 and "@book{" in told


def test_licences_are_stated_everywhere():
    for name in ("LICENSE", "README.md", "CONTRIBUTING.md", "book/cite.md"):
        text = (ROOT / name).read_text()
        assert "MIT" in text and "CC BY 4.0" in text, name
    assert "CC BY 4.0" in (ROOT / "_config.yml").read_text()


def test_contributing_fits_on_a_screen():
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) <= 60


PAGE = HEADER + """# A chapter

```{code-cell} ipython3
1
```
"""
MADE_BY = {"profile": "quick", "device": "A CPU", "threads": 2, "python": "3.11.7", "torch": "2.13.0", "numpy": "2.4.6",
           "date": "2026-11-21"}


@pytest.fixture
def timed(tmp_path):
    """A book of one chapter that the cache holds with its run time, and a file with a GPU's."""
    (tmp_path / "nbs").mkdir()
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text("root: nbs/01_a\n")
    source = tmp_path / "nbs" / "01_a.md"
    source.write_text(PAGE)
    notebook = jupytext.read(source)
    notebook.cells[-1].execution_count = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "made_by", lambda threads: MADE_BY)
        execution.put(source, notebook, 41.26, 2, tmp_path)
    gpu = {"chapter": "01_a", "seconds": 200.0} | MADE_BY | {"profile": "full", "device": "A GPU"}
    pd.DataFrame([gpu, gpu | {"chapter": "09_gone"}]).to_csv(tmp_path / execution.RUN_TIMES, index=False)
    return tmp_path


def test_run_times_come_from_the_cache_and_the_file(timed):
    assert status.measured(timed).seconds.tolist() == [41.3]
    assert status.together(timed)[["profile", "seconds"]].values.tolist() == [["full", 200.0], ["quick", 41.3]]
    assert status.words(timed) == {"01_a": {"quick": "about 41 s, as on A CPU, threads: 2",
                                            "full": "about 3 min, as on A GPU, threads: 2"}}


def test_status_page_shows_this_build_and_others(timed):
    page = status.page(timed)
    now, before = page.split("Measured earlier, elsewhere")
    for part in ("[A chapter](../nbs/01_a.md)", "| 41 ", "profile quick", "device A CPU", "3.11.7", "2.13.0",
                 "2026-11-21"):
        assert part in now
    assert "| profile " not in now, "what is the same in each row is said once: the table must fit the page"
    assert "A GPU" in before and "A GPU" not in now and "09_gone" not in page


def test_status_page_without_executions(tmp_path):
    (tmp_path / "_toc.yml").write_text("root: a\n")
    (tmp_path / "a.md").write_text("# A\n")
    assert "Nothing has been timed" in status.page(tmp_path)
    assert status.words(tmp_path) == {}


def test_an_execution_says_what_made_it():
    made = execution.made_by(3)
    assert set(execution.COLUMNS[2:]) <= set(made) and made["threads"] == 3


def test_generated_text_has_a_page():
    pages = "".join(path.read_text() for path in Path(ROOT, "book").glob("*.md"))
    assert all(mark in pages for mark in book_extension.GENERATED)
