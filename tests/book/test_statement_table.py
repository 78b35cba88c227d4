"""The table of statements: every claim is found, tests are matched to labels, and an empty or failed row is a fault."""

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
TESTS = '''"""Names thm-sum in the module's docstring, which belongs to no test."""

def test_thm_sum_paper_by_its_name():
    pass

@decorated
def test_by_docstring():
    """thm-sum: of one and one."""

def helper():
    """thm-sum"""
'''
JUNIT = """<testsuites><testsuite>
<testcase classname="tests.test_sum" name="test_by_docstring[a]"/>
<testcase classname="tests.test_sum" name="test_by_docstring[b]">{inside}</testcase>
<testcase classname="tests.test_sum" name="test_thm_sum_paper_by_its_name"/>
</testsuite></testsuites>"""


@pytest.fixture
def book(tmp_path):
    for folder in ("nbs", "tests", "book"):
        (tmp_path / folder).mkdir()
    (tmp_path / "nbs" / "01_sum.md").write_text(CHAPTER)
    (tmp_path / "tests" / "test_sum.py").write_text(TESTS)
    (tmp_path / statements.PAGE).write_text(f"# Table\n\n{statements.START}\n{statements.END}\n\nThe end.\n")
    return tmp_path


def results(book, inside=""):
    (book / "tests.xml").write_text(JUNIT.format(inside=inside))
    return statements.outcomes(book / "tests.xml")


def test_a_whole_and_green_table_has_no_fault(book):
    statements.write(results(book), book)
    text = (book / statements.PAGE).read_text()
    assert text.startswith("# Table") and text.endswith("The end.\n") and statements.faults(book) == []
    rows = [line for line in text.splitlines() if line.startswith("| {prf:ref}")]
    assert len(rows) == 2 and all("{doc}`../nbs/01_sum`" in row for row in rows)
    assert "Sums &#124; and more" in rows[0] and rows[0].endswith("| passed 2 of 2 | `test_sum`: by docstring |")
    assert rows[1].endswith("| passed 1 of 1 | `test_sum`: thm sum paper by its name |")
    statements.write(results(book), book)
    assert (book / statements.PAGE).read_text() == text


@pytest.mark.parametrize(("inside", "words"), [("<failure/>", "**failed** 1 of 2"), ("<error/>", "**failed** 1 of 2"),
                                               ("<skipped/>", "")])
def test_a_failed_case_is_a_fault_and_a_skipped_one_is_none(book, inside, words):
    statements.write(results(book, inside), book)
    assert statements.faults(book) == ([f"thm-sum: {words}"] if words else [])


def test_a_statement_without_row_or_test_is_a_fault(book):
    assert any("thm-sum has no row" in fault for fault in statements.faults(book))
    page = book / "nbs" / "01_sum.md"
    page.write_text(CHAPTER.replace("def-nothing", "prop-new").replace("prf:definition", "prf:proposition"))
    statements.write(results(book), book)
    assert statements.faults(book) == ["prop-new has no test: write one that names it", "prop-new: **no test**"]
    page.write_text(CHAPTER.replace(":label: thm-sum-paper\n", ""))
    with pytest.raises(ValueError, match="lemma 'Longer' has no label"):
        statements.faults(book)


def test_a_row_of_a_statement_that_is_gone_is_a_fault(book):
    statements.write(results(book), book)
    (book / "nbs" / "01_sum.md").write_text(CHAPTER.replace("thm-sum-paper", "thm-other"))
    assert any("thm-sum-paper has a row" in fault for fault in statements.faults(book))


def test_tests_that_did_not_run_count_as_none(book):
    statements.write({}, book)
    assert statements.faults(book) == ["thm-sum: **no test**", "thm-sum-paper: **no test**"]
