"""The environment, the execution cache and the book build fail when they should, and say why."""

import os
import re
import shutil
import subprocess
import sys

import book_extension
import environment
import execution
import links
import pytest
import yaml
from made_up import HEADER

ROOT = execution.ROOT


def test_an_old_python_is_refused_with_advice():
    with pytest.raises(SystemExit, match=r"3\.11 or newer is needed, but /usr/bin/python3 is 3\.9.*make PYTHON="):
        environment.check_python((3, 9, 2), "/usr/bin/python3")
    environment.check_python((3, 11, 0), "python3")


@pytest.fixture
def book(tmp_path):
    """The files that decide whether something is stale."""
    (tmp_path / "src" / "helpers").mkdir(parents=True)
    (tmp_path / "src" / "helpers" / "limit.py").write_text("kappa = 1\n")
    (tmp_path / "requirements.txt").write_text("numpy\n")
    (tmp_path / "pyproject.toml").write_text("")
    return tmp_path


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_environment_is_redone_when_its_lists_change(book, name):
    before = environment.fingerprint(str(book))
    (book / name).write_text("numpy==2\n")
    assert environment.fingerprint(str(book)) != before


@pytest.mark.parametrize(
    "name", ["src/helpers/limit.py", "src/helpers/new.py", "requirements.txt", "book/results/run.csv"])
def test_execution_cache_is_dropped_when_what_decides_outputs_changes(book, name):
    assert execution.drop_if_stale(book)
    for folder in (".jupyter_cache", ".doctrees", "html"):
        (book / "_build" / folder).mkdir()
    assert not execution.drop_if_stale(book) and (book / "_build" / ".jupyter_cache").exists()
    (book / name).parent.mkdir(parents=True, exist_ok=True)
    (book / name).write_text("changed\n")
    assert execution.drop_if_stale(book)
    assert [path.name for path in (book / "_build").iterdir() if path.is_dir()] == ["html"]


def test_execution_cache_outlives_what_running_leaves_behind(book):
    """Python and numba write into __pycache__ as soon as a chapter is run."""
    before = execution.fingerprint(book)
    for name in ("src/helpers/__pycache__/limit.pyc", "src/helpers/__pycache__/limit.nbi", "src/x.egg-info/PKG-INFO"):
        (book / name).parent.mkdir(exist_ok=True)
        (book / name).write_text("")
    assert execution.fingerprint(book) == before


def test_execution_cache_is_dropped_when_the_profile_changes(book, monkeypatch):
    monkeypatch.setenv("SIGNAL_FIRST_PROFILE", "quick")
    before = execution.fingerprint(book)
    monkeypatch.setenv("SIGNAL_FIRST_PROFILE", "full")
    assert execution.fingerprint(book) != before


def test_the_two_cell_timeouts_agree():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["execute"]["timeout"] == execution.CELL_TIMEOUT
    assert f"--nbval-cell-timeout {execution.CELL_TIMEOUT}" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize(("variables", "url"), [
    ({}, ""), ({"GITHUB_REPOSITORY": ""}, ""),
    ({"GITHUB_REPOSITORY": "a/b"}, "https://github.com/a/b"),
    ({"GITHUB_REPOSITORY": "a/b", "GITHUB_SERVER_URL": "https://git.example"}, "https://git.example/a/b")])
def test_repository_address_comes_from_the_environment(variables, url):
    assert book_extension.repository_url(variables) == url


PAGE = HEADER + """
# A page

A formula, so that MathJax is called: $x^2$.

```{code-cell} ipython3
print("seven is", CODE)
```
"""


def new_site(folder):
    """A book of two pages, one of them paired, under the real configuration; strangers beside it must stay out."""
    for stranger in (".pytest_cache/README.md", ".venv/lib/notes.md", "tests/notes.md", "page.ipynb"):
        (folder / stranger).parent.mkdir(parents=True, exist_ok=True)
        (folder / stranger).write_text("# Not a page")
    for name in ("_config.yml", "CITATION.cff", "tools", "book/assets", "book/references.bib"):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)
    (folder / "_toc.yml").write_text("format: jb-book\nroot: page\nchapters: [{file: alone}]\n")
    (folder / "page.md").write_text(PAGE.replace("CODE", "7"))
    (folder / "alone.md").write_text(PAGE.replace("CODE", "8") + "\n<!-- run-times -->\n\n<!-- citation -->\n")
    return folder


@pytest.fixture
def site(tmp_path):
    return new_site(tmp_path)


def build(site, *options, **variables):
    """Exit code and output of Jupyter Book, started as the Makefile does."""
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", ".", *options]
    done = subprocess.run(command, cwd=site, env=os.environ | variables, text=True, timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


STRICT = ("-W", "-n", "--keep-going")


def built(tmp_path_factory, **variables):
    """The HTML of a strict build: a folder."""
    site = new_site(tmp_path_factory.mktemp("site"))
    code, text = build(site, *STRICT, **variables)
    assert code == 0, text
    return site / "_build" / "html"


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    return built(tmp_path_factory, GITHUB_REPOSITORY="")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return built(tmp_path_factory, GITHUB_REPOSITORY="a/b", GITHUB_SERVER_URL="https://github.com",
                 SITE_URL="https://a.github.io/b")


def test_book_builds_without_a_warning_and_calls_nobody(offline):
    page = (offline / "page.html").read_text()
    assert "seven is 7" in page and "mathjax/tex-mml-chtml.js" in page
    assert "http://" not in page and "https://" not in page, "a page must load from disk alone"
    assert (offline / "_static/mathjax/tex-mml-chtml.js").exists()


def test_status_and_citation_are_filled_in(offline):
    page = (offline / "alone.html").read_text()
    assert "Nothing has been timed here" in page and "@book" in page  # the lexer parts @book from its brace


def test_published_book_links_to_its_repository_and_pdf(published):
    page = (published / "page.html").read_text()
    assert "https://colab.research.google.com/github/a/b/blob/colab/page.ipynb" in page
    assert 'href="https://github.com/a/b"' in page and 'href="https://a.github.io/b/book.pdf"' in page


def test_a_link_to_a_published_page_has_a_preview(published, offline):
    page = (published / "page.html").read_text()
    told = dict(re.findall(r'<meta property="(og:[\w:]+)" content="([^"]*)"', page))
    assert told["og:site_name"] == "Signal First, Noise Later" and told["og:title"] and told["og:description"]
    site = "https://a.github.io/b/"
    assert told["og:url"] == f"{site}page.html" and (published / told["og:image"].removeprefix(site)).exists()
    assert "og:image" not in (offline / "page.html").read_text()


def test_page_without_a_paired_notebook_has_no_colab_button(published):
    assert "colab.research.google.com" not in (published / "alone.html").read_text()


def test_a_number_that_colab_would_get_wrong_fails_the_build(site):
    uncounted = "\n:::{prf:lemma} Not numbered\n:nonumber:\n\nx\n:::\n"
    (site / "page.md").write_text(PAGE.replace("CODE", "7") + uncounted +
                                  "\n:::{prf:lemma} A\n:label: lem-a\n\nx\n:::\n")
    code, text = build(site, *STRICT)
    assert code != 0 and "mend tools/numbering.py" in text


def test_a_failed_cell_fails_the_build(site):
    (site / "page.md").write_text(PAGE.replace("CODE", "1 / 0"))
    code, text = build(site)  # even without -W
    assert code != 0 and "ZeroDivisionError" in text


def test_links_says_when_there_is_no_network(monkeypatch):
    assert "https://arxiv.org" in links.hosts() and "https://doi.org" not in links.hosts()
    monkeypatch.setattr(links, "answers", lambda address: False)
    assert "no network" in links.main() and "arxiv.org" in links.main()
    monkeypatch.setattr(links, "answers", lambda address: address == "https://arxiv.org")
    assert links.main() == 0
    monkeypatch.undo()
    assert not links.answers("https://localhost:1")
