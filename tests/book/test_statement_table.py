"""The table of statements: what counts as a claim, how tests say what they cover, which rows are faults."""

import os
import subprocess
import sys

import execution
import pytest
import statements

CHAPTER = """# A chapter

:::{prf:theorem} Sums | and more
:label: thm-sum

One and one is two.
:::

:::{prf:lemma} Longer
:label: thm-sum-paper

As reported.
:::

:::{prf:definition} Nothing claimed
:label: def-nothing
:::
"""
JUNIT = """<testsuites><testsuite>
<testcase classname="tests.test_sum" name="test_halves[a]">{sums}</testcase>
<testcase classname="tests.test_sum" name="test_halves[b]">{sums}{inside}</testcase>
<testcase classname="tests.chapters.test_more" name="test_as_reported">{longer}</testcase>
<testcase classname="tests.test_sum" name="test_of_no_statement"/>
</testsuite></testsuites>"""
TEST = """
import pytest

@pytest.mark.statement({0!r}, {1!r})
@pytest.mark.parametrize("half", [1, 2])
def test_halves(half):
    assert half == 1

class TestMore:
    pytestmark = pytest.mark.statement({1!r})

    @pytest.mark.skip
    def test_skipped(self):
        pass

def test_of_no_statement():
    pass
"""


@pytest.fixture
def book(tmp_path):
    for folder in ("nbs", "book"):
        (tmp_path / folder).mkdir()
    (tmp_path / "nbs" / "01_sum.md").write_text(CHAPTER)
    (tmp_path / statements.PAGE).write_text(f"# Table\n\n{statements.START}\n{statements.END}\n\nThe end.\n")
    return tmp_path


def results(book, inside="", labels=("thm-sum", "thm-sum-paper")):
    sums, longer = (f'<properties><property name="statement" value="{label}"/></properties>' for label in labels)
    (book / "tests.xml").write_text(JUNIT.format(inside=inside, sums=sums, longer=longer))
    return statements.outcomes(book / "tests.xml")


def test_a_whole_and_green_table_has_no_fault(book):
    statements.write(results(book), book)
    text = (book / statements.PAGE).read_text()
    assert text.startswith("# Table") and text.endswith("The end.\n") and statements.faults(root=book) == []
    rows = [line for line in text.splitlines() if line.startswith("| {prf:ref}")]
    assert len(rows) == 2 and all("{doc}`/nbs/01_sum`" in row for row in rows)
    assert "Sums &#124; and more" in rows[0] and rows[0].endswith("| passed 2 of 2 | `test_sum`: halves |")
    assert rows[1].endswith("| passed 1 of 1 | `test_more`: as reported |")
    statements.write(results(book), book)
    assert (book / statements.PAGE).read_text() == text


@pytest.mark.parametrize(("inside", "words"), [("<failure/>", "**failed** 1 of 2"), ("<error/>", "**failed** 1 of 2"),
                                               ("<skipped/>", "")])
def test_a_failed_case_is_a_fault_and_a_skipped_one_is_none(book, inside, words):
    statements.write(results(book, inside), book)
    assert statements.faults(root=book) == ([f"thm-sum: {words}"] if words else [])


def test_a_statement_without_row_or_test_is_a_fault(book):
    assert any("thm-sum has no row" in fault for fault in statements.faults(root=book))
    page = book / "nbs" / "01_sum.md"
    page.write_text(CHAPTER.replace("def-nothing", "prop-new").replace("prf:definition", "prf:proposition"))
    statements.write(results(book), book)
    assert statements.faults(root=book) == ["prop-new: **no test**"]
    page.write_text(CHAPTER.replace(":label: thm-sum-paper\n", ""))
    with pytest.raises(ValueError, match="lemma 'Longer' has no label"):
        statements.faults(root=book)


def test_a_statement_whose_tests_were_all_skipped_is_a_fault(book):
    found = results(book)
    found["thm-sum"] = {test: ["skipped"] for test in found["thm-sum"]}
    statements.write(found, book)
    assert statements.faults(found, book) == ["thm-sum: **skipped**"]


def test_a_row_of_a_statement_that_is_gone_is_a_fault(book):
    statements.write(results(book), book)
    (book / "nbs" / "01_sum.md").write_text(CHAPTER.replace("thm-sum-paper", "thm-other"))
    assert any("thm-sum-paper has a row" in fault for fault in statements.faults(root=book))


def test_a_mark_with_a_label_that_no_page_has_is_a_fault(book):
    found = results(book, labels=("thm-sum", "thm-sum-papre"))
    statements.write(found, book)
    assert statements.faults(found, book) == ["thm-sum-papre is marked in a test and is no statement of the book",
                                              "thm-sum-paper: **no test**"]


def test_tests_that_did_not_run_count_as_none(book):
    statements.write({}, book)
    assert statements.faults(root=book) == ["thm-sum: **no test**", "thm-sum-paper: **no test**"]


def test_the_marks_of_a_run_on_several_processes_reach_the_junit_file(tmp_path):
    (tmp_path / "test_sum.py").write_text(TEST.format("thm-sum", "thm-sum-paper"))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = statement\n")
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(execution.ROOT / "tests")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "marks", "-p", "xdist", "-n", "1", "--junitxml=tests.xml"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    halves = {("test_sum", "test_halves"): ["passed", "failed"]}
    more = {("TestMore", "test_skipped"): ["skipped"]}
    assert statements.outcomes(tmp_path / "tests.xml") == {"thm-sum": halves, "thm-sum-paper": halves | more}
