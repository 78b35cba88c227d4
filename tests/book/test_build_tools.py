"""The environment, the execution cache and the book build fail when they should, and say why."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import book_extension
import execution
import pytest
import yaml
from made_up import HEADER

ROOT = execution.ROOT


# A Python for make: it notes what pip is asked for and what is called, makes environments of itself, and can pretend to
# be another. Begun by a shell: a path with a space cannot stand after #!.
STUB = f"""#!/bin/sh
'''exec' "{sys.executable}" "$0" "$@"
' '''
import os, shutil, sys
if sys.argv[1] == "-c":
    exec(os.environ.get("PRETEND", "") + chr(10) + sys.argv[2])
elif sys.argv[2] == "venv":
    shutil.rmtree(sys.argv[-1], ignore_errors=True)
    os.makedirs(f"{{sys.argv[-1]}}/bin")
    shutil.copy(__file__, f"{{sys.argv[-1]}}/bin/python")
elif sys.argv[2] == "pip":
    print(*sys.argv[3:], file=open("installed-with", "a"))
    sys.exit(os.path.exists("no-network"))
else:
    print(*sys.argv[1:], file=open("called", "a"))
    exec(os.environ.get("CALLED", ""))
"""
OLD = "import sys; sys.executable, sys.version_info = '/usr/bin/python3', (3, 9, 2)"


def make(folder, *arguments, **variables):
    """(exit code, output, how often pip was asked so far) of make with the stub."""
    done = subprocess.run(["make", "PYTHON=./stub", *arguments], cwd=folder, env=os.environ | variables, text=True,
                          timeout=60, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    asked = folder / "installed-with"
    return done.returncode, done.stdout, len(asked.read_text().splitlines()) if asked.exists() else 0


@pytest.fixture
def makes(book):
    """A folder in which make can make environments."""
    shutil.copy(ROOT / "Makefile", book)
    (book / "stub").write_text(STUB)
    (book / "stub").chmod(0o755)
    return book


def test_an_old_python_is_refused_with_advice(makes):
    code, text, asked = make(makes, "env", PRETEND=OLD)
    assert code != 0 and asked == 0 and not (makes / ".venv").exists()
    assert re.search(r"3\.11 or newer is needed, but /usr/bin/python3 is 3\.9\..*make PYTHON=", text)
    assert make(makes, "env", PRETEND=OLD.replace("3, 9", "3, 11"))[0] == 0


def test_a_python_without_venv_is_refused_with_advice(makes):
    code, text, asked = make(makes, "env", PRETEND="import sys; sys.modules['venv'] = None")
    assert code != 0 and asked == 0 and "apt-get install python3-venv" in text


@pytest.mark.parametrize("where", ["elsewhere", "nowhere"])
def test_an_environment_that_is_a_link_is_refused_with_advice(makes, where):
    (makes.parent / "elsewhere").mkdir(exist_ok=True)
    (makes / ".venv").symlink_to(makes.parent / where)
    code, text, asked = make(makes, "env")
    assert code != 0 and asked == 0 and re.search(rf"error: \.venv is a link to .*{where}.*rm \.venv", text)
    assert not list((makes.parent / "elsewhere").iterdir()) and "Traceback" not in text


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("name, advice", [(".", "git clone"), (".venv", "Remove it")])
def test_a_folder_that_one_may_not_write_into_is_refused_with_advice(makes, name, advice):
    assert make(makes, "env")[0] == 0
    (makes / "requirements.txt").write_text("numpy==2\n")
    (makes / name).chmod(0o555)
    code, text, asked = make(makes, "env")
    (makes / name).chmod(0o755)
    assert code != 0 and asked == 1 and "error: " in text and advice in text and "Traceback" not in text


def test_an_environment_is_made_once_whatever_is_in_the_path(makes):
    odd = makes.rename(makes.with_name("Jürgen's $HOME `book` #1, 20%?"))
    assert make(odd, "env")[0] == 0 and make(odd, "env")[2] == 1


def test_python_reads_and_writes_utf_8_in_any_locale(makes):
    """The file that says where the package lies is read in the locale's encoding."""
    says = "print(os.environ['PYTHONUTF8'], file=open('mode', 'w'))"
    assert make(makes, "notebooks", CALLED=says, LC_ALL="C", PYTHONUTF8="0")[0] == 0
    assert (makes / "mode").read_text() == "1\n"


def test_environment_is_made_once(makes):
    assert make(makes, "env")[0] == 0
    asked = (makes / "installed-with").read_text()
    assert "-r requirements.txt -e ." in asked, "one resolution, so that pip sees every constraint"
    assert make(makes, "env")[2] == 1


def test_interrupted_installation_goes_on(makes):
    (makes / "no-network").touch()
    code, text, _ = make(makes, "env")
    assert code != 0 and "Run the same command again" in text
    (makes / "no-network").unlink()
    (makes / ".venv" / "half").touch()
    code, _, asked = make(makes, "env")
    assert code == 0 and asked == 2 and (makes / ".venv" / "half").exists()


@pytest.mark.parametrize("what", ["version", "folder", "python", "pip"])
def test_environment_begins_anew_where_it_would_not_work(makes, what):
    make(makes, "env")
    (makes / ".venv" / "old").touch()
    variables = {}
    if what == "version":
        variables = {"PRETEND": OLD.replace("3, 9", "3, 99")}
    elif what == "folder":
        makes = makes.rename(makes.with_name("moved"))
    elif what == "python":
        (makes / ".venv" / "bin" / "python").unlink()
    else:
        (makes / ".venv" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    code, _, asked = make(makes, "env", **variables)
    assert code == 0 and asked == 2 and not (makes / ".venv" / "old").exists()
    assert make(makes, "env", **variables)[2] == 2


@pytest.fixture
def book(tmp_path):
    """The files that decide whether something is stale."""
    (tmp_path / "src" / "helpers").mkdir(parents=True)
    (tmp_path / "src" / "helpers" / "limit.py").write_text("kappa = 1\n")
    (tmp_path / "requirements.txt").write_text("numpy\n")
    (tmp_path / "pyproject.toml").write_text("")
    return tmp_path


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_environment_is_redone_when_its_lists_change(makes, name):
    assert make(makes, "env")[0] == 0
    (makes / ".venv" / "kept").touch()
    (makes / name).write_text("numpy==2\n")
    code, _, asked = make(makes, "env")
    assert code == 0 and asked == 2 and (makes / ".venv" / "kept").exists()


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
    """Python and numba write into __pycache__ as soon as a chapter is run; a recording that was killed, a part file."""
    before = execution.fingerprint(book)
    for name in ("src/helpers/__pycache__/limit.pyc", "src/helpers/__pycache__/limit.nbi", "src/x.egg-info/PKG-INFO",
                 f"book/results/.run.csv.{'0f' * 16}"):
        (book / name).parent.mkdir(parents=True, exist_ok=True)
        (book / name).write_text("")
    assert execution.fingerprint(book) == before


def test_execution_cache_is_the_same_with_the_line_ends_of_any_checkout(book):
    before, path = execution.fingerprint(book), book / "src" / "helpers" / "limit.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert execution.fingerprint(book) == before


def test_a_checkout_on_windows_keeps_line_ends_and_binary_files(tmp_path):
    """With carriage returns .ci/run stops at its first line: "pipefail: invalid option name"."""
    files = {".ci/run": b"set -o pipefail\n", "a.py": b"1\n", "a.csv": b"a\n1\n", "a.ipynb": b"{}\n", "a.md": b"a\n",
             "Makefile": b"a:\n"}
    binary = {name: b"no\r\nzero\n" for name in ("a.png", "a.woff", "a.woff2", "a.npz", "a.pdf")}
    git = lambda *words: subprocess.run(["git", "-c", "core.autocrlf=true", "-c", "user.name=a",  # noqa: E731
                                         "-c", "user.email=a@b", *words], cwd=tmp_path, check=True)
    git("init", "-q")
    (tmp_path / ".gitattributes").write_bytes((ROOT / ".gitattributes").read_bytes())
    for name, content in (files | binary).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    git("add", ".")
    git("commit", "-q", "-m", "all")
    for name in files | binary:
        (tmp_path / name).unlink()
    git("checkout", "-q", ".")
    assert {name: (tmp_path / name).read_bytes() for name in files | binary} == files | binary


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
    alone = (offline / "page.html").read_text()
    assert "og:image" not in alone and 'og:site_name" content="Signal First, Noise Later"' in alone


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


def stub_build(folder, code):
    (folder / "_build" / ".doctrees").mkdir(parents=True)
    (folder / "build").write_text(f"#!/bin/sh\necho the log\n{code}\n")
    (folder / "build").chmod(0o755)


def walked(folder):
    """Whether the pages were walked through, last."""
    return "site and not weekly" in (folder / "called").read_text().splitlines()[-1]


def test_what_fails_in_the_tests_fails_at_the_end(makes):
    stub_build(makes, "exit 0")
    code, text, _ = make(makes, "test", "BUILD=./build")
    assert code == 0 and walked(makes) and "the log" in text
    for name in ("statements.py", "execution.py", "test_as_colab.py -", "pytest nbs", "site and not"):
        (makes / "called").unlink()
        fails = f"sys.exit({name!r} in ' '.join([*sys.argv, '-']))"
        assert make(makes, "test", "BUILD=./build", CALLED=fails)[0] != 0 and walked(makes), name


def test_no_page_is_walked_through_where_the_build_fails(makes):
    stub_build(makes, "exit 3")
    code, text, _ = make(makes, "test", "BUILD=./build")
    assert code != 0 and "the log" in text and not walked(makes) and not (makes / "_build" / ".doctrees").exists()


def test_an_interrupt_stops_the_build_and_what_runs_beside_it(makes):
    stub_build(makes, "sleep 99 & trap 'kill $!; touch stopped; exit 1' TERM; touch builds; wait")
    assert make(makes, "env")[0] == 0
    waits = "import time; 'as_colab.py' in sys.argv[-1] and (open('beside', 'w'), time.sleep(99))"
    # As from a terminal: in the background of a shell interrupts are ignored, and a child inherits that.
    heard = [sys.executable, "-c", "import os, signal; signal.signal(signal.SIGINT, signal.SIG_DFL);"
             "os.execvp('make', ['make', 'PYTHON=./stub', 'BUILD=./build', 'test'])"]
    with subprocess.Popen(heard, cwd=makes, env=os.environ | {"CALLED": waits}, start_new_session=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        end = time.monotonic() + 60
        while not all((makes / name).exists() for name in ("builds", "beside")) and time.monotonic() < end:
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(30) != 0
    assert (makes / "stopped").exists() and not walked(makes)


def linkcheck(folder, **answers):
    """(exit code, output) of `make links` where Sphinx finds these answers."""
    told = "".join(f'{{"status": "{status}", "uri": "https://{name}.org"}}\n' for name, status in answers.items())
    (folder / "answers").write_text(told)
    (folder / "build").write_text("#!/bin/sh\nmkdir -p _build/html && cp answers _build/html/output.json\n"
                                  "! grep -q broken answers\n")
    (folder / "build").chmod(0o755)
    return make(folder, "links", "BUILD=./build")[:2]


def test_links_says_when_there_is_no_network(makes):
    code, text = linkcheck(makes, a="broken", b="broken", doi="ignored")
    assert code != 0 and "error: no network: none of the addresses answers" in text
    code, text = linkcheck(makes, a="broken", b="working")
    assert code != 0 and "error: no network" not in text, "one answer: then the other address is wrong"
    assert linkcheck(makes, a="redirected", b="working")[0] == 0
    (ignored,) = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]["linkcheck_ignore"]
    assert re.match(ignored, "https://doi.org/10.1/x") and not re.match(ignored, "https://arxiv.org/abs/1")
