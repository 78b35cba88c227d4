"""The table of statements: statement -> chapter -> tests -> verdict, written into book/statements.md.

    python tools/statements.py RESULTS.xml    after a whole test run: write the table from pytest's junit file
    python tools/statements.py                fail unless each of today's statements has a row and passed

A test says what it covers, by `@pytest.mark.statement("thm-one", "lem-two")`: see tests/marks.py. pytest's
reports list tests; a statement without a test is in none of them.
"""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import execution
import myst

PAGE = Path("book/statements.md")
START, END = "<!-- statements:start -->", "<!-- statements:end -->"
# Labelled directives that claim something, so that something can be tested; definitions and remarks claim nothing.
CLAIMS = {"theorem", "lemma", "proposition", "corollary", "property", "observation", "conjecture"}
OUTCOMES = {"failure": "failed", "error": "failed", "skipped": "skipped"}  # junit's element: our word


def statements(root=execution.ROOT):
    """{label: (kind, title, page)} of the whole book, in order. Raises ValueError for a claim without a label."""
    found = {}
    pages = [page for chapter in execution.chapters(root) for page in (chapter, *execution.deeper(chapter, root))]
    for page in [*pages, Path(root, "book", "proofs.md")]:
        for block in myst.walk(page.read_text("utf-8") if page.exists() else ""):
            if block.statement in CLAIMS:
                if not block.label:
                    raise ValueError(f"{page.name}: the {block.statement} {block.title!r} has no label")
                found[block.label] = block.statement, block.title, page
    return found


def outcomes(path):
    """{label: {(module, function): [outcome of each case]}} of a junit file: passed, failed or skipped."""
    found = {}
    for case in ElementTree.parse(path).iter("testcase"):
        test = case.get("classname", "").rpartition(".")[2], case.get("name", "").partition("[")[0]
        outcome = next((words for tag, words in OUTCOMES.items() if case.find(tag) is not None), "passed")
        for label in case.findall("properties/property[@name='statement']"):
            found.setdefault(label.get("value"), {}).setdefault(test, []).append(outcome)
    return found


def verdict(cases):
    """A few words on the outcomes of a statement's cases; "passed" only if some passed and none failed."""
    failed, passed = cases.count("failed"), cases.count("passed")
    if failed:
        return f"**failed** {failed} of {len(cases)}"
    return f"passed {passed} of {passed}" if passed else "**skipped**" if cases else "**no test**"


def table(results, root=execution.ROOT):
    """The lines of the table."""
    rows = ["| statement | chapter | verdict | tests |", "|---|---|---|---|"]
    for label, (_, title, page) in statements(root).items():
        tests = results.get(label, {})
        # Words, not underscores: a table cell can break between words.
        names = "<br>".join(f"`{module}`: {name.removeprefix('test_').replace('_', ' ')}"
                            for module, name in sorted(tests))
        where = f"{{doc}}`{'' if page.parent.name == 'book' else f'/{page.parent.relative_to(root)}/'}{page.stem}`"
        name = f"{{prf:ref}}`{label}`<br>{title.replace('|', '&#124;')}"
        cases = [case for found in tests.values() for case in found]
        rows.append(f"| {name} | {where} | {verdict(cases)} | {names} |")
    return rows


def write(results, root=execution.ROOT):
    """Put the table between the page's markers."""
    path = Path(root) / PAGE
    before, after = re.split(f"{START}.*{END}", path.read_text("utf-8"), flags=re.DOTALL)
    path.write_text("\n".join([f"{before}{START}", "", *table(results, root), "", f"{END}{after}"]), "utf-8")


def faults(results=(), root=execution.ROOT):
    """What is wrong with the page and the labels of `results`, as sentences; none if each statement has passed."""
    text, found = (Path(root) / PAGE).read_text("utf-8"), statements(root)
    rows = dict(re.findall(r"^\| \{prf:ref\}`([^`]+)`[^|]*\|[^|]*\| ([^|]*) \|", text, re.MULTILINE))
    wrong = [f"{label} has no row in {PAGE}: run make test" for label in found if label not in rows]
    wrong += [f"{label} has a row in {PAGE} and is no statement any more: run make test" for label in rows
              if label not in found]
    wrong += [f"{label} is marked in a test and is no statement of the book" for label in results if label not in found]
    wrong += [f"{label}: {words}" for label, words in rows.items() if not words.startswith("passed")]
    return wrong


def main(path=None):
    results = outcomes(path) if path else {}
    if path:
        write(results)
    return execution.report(faults(results))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
