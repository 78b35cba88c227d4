"""The table of statements: statement -> chapter -> tests -> verdict, written into book/statements.md.

    python tools/statements.py RESULTS.xml    after a whole test run: write the table from pytest's junit file
    python tools/statements.py --check        fail unless each of today's statements has a row and passed

A statement is a labelled directive that claims something. A test says which ones it covers, by
`@pytest.mark.statement("thm-one", "lem-two")`; tests/marks.py writes these labels into the junit file.
"""

import argparse
import re
import sys
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree

import execution
import myst

ROOT = execution.ROOT
PAGE = Path("book/statements.md")
START, END = "<!-- statements:start -->", "<!-- statements:end -->"
# Statements that claim something, so that something can be tested; definitions and remarks claim nothing.
CLAIMS = {"theorem", "lemma", "proposition", "corollary", "property", "observation", "conjecture"}
OUTCOMES = {"failure": "failed", "error": "failed", "skipped": "skipped"}  # junit's element: our word


def claims(text):
    """(kind, title, label) of each statement of a page that claims something."""
    return [(kind, block.title, block.label) for block in myst.walk(text)
            if block.name.startswith("prf:") and (kind := block.name[4:]) in CLAIMS]


def pages(root=ROOT):
    """The pages that may hold statements, in the book's order."""
    behind = [page for chapter in execution.chapters(root) for page in (chapter, *execution.deeper(chapter, root))]
    return [*behind, Path(root) / "book" / "proofs.md"]


def statements(root=ROOT):
    """{label: (kind, title, page)} of the whole book, in order. Raises ValueError for a claim without a label."""
    found = {}
    for page in pages(root):
        for kind, title, label in claims(page.read_text("utf-8") if page.exists() else ""):
            if not label:
                raise ValueError(f"{page.name}: the {kind} {title!r} has no label")
            found[label] = kind, title, page
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
    if not cases:
        return "**no test**"
    failed, passed = cases.count("failed"), cases.count("passed")
    if failed:
        return f"**failed** {failed} of {len(cases)}"
    return f"passed {passed} of {passed}" if passed else "**skipped**"


def table(results, root=ROOT):
    """The lines of the table."""
    rows = ["| statement | chapter | verdict | tests |", "|---|---|---|---|"]
    for label, (_, title, page) in statements(root).items():
        tests = results.get(label, {})
        # Words, not underscores: a table cell can break between words.
        listed = "<br>".join(f"`{module}`: {name.removeprefix('test_').replace('_', ' ')}"
                             for module, name in sorted(tests))
        where = f"{{doc}}`{'' if page.parent.name == 'book' else f'/{page.parent.relative_to(root)}/'}{page.stem}`"
        name = f"{{prf:ref}}`{label}`<br>{title.replace('|', '&#124;')}"
        rows.append(f"| {name} | {where} | {verdict(list(chain(*tests.values())))} | {listed} |")
    return rows


def write(results, root=ROOT):
    """Put the table between the page's markers."""
    path = Path(root) / PAGE
    before, _, rest = path.read_text("utf-8").partition(START)
    _, _, after = rest.partition(END)
    path.write_text("\n".join([f"{before}{START}", "", *table(results, root), "", f"{END}{after}"]), "utf-8")


def faults(results=(), root=ROOT):
    """What is wrong with the page and the labels of `results`, as sentences; none if each statement has passed."""
    text, found = (Path(root) / PAGE).read_text("utf-8"), statements(root)
    rows = dict(re.findall(r"^\| \{prf:ref\}`([^`]+)`[^|]*\|[^|]*\| ([^|]*) \|", text, re.MULTILINE))
    wrong = [f"{label} has no row in {PAGE}: run make test" for label in found if label not in rows]
    wrong += [f"{label} has a row in {PAGE} and is no statement any more: run make test" for label in rows
              if label not in found]
    wrong += [f"{label} is marked in a test and is no statement of the book" for label in results if label not in found]
    wrong += [f"{label}: {words}" for label, words in rows.items() if not words.startswith("passed")]
    return wrong


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", help="pytest's junit file of a whole run")
    parser.add_argument("--check", action="store_true", help="only look at the page")
    options = parser.parse_args(arguments)
    if bool(options.results) == options.check:
        parser.error("give either a results file or --check")
    results = outcomes(options.results) if options.results else {}
    if options.results:
        write(results)
    found = faults(results)
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
