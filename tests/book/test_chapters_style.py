"""The house rules of a chapter, as far as a script can see them. Each failure says what to do."""

import ast
import re
from functools import cache
from itertools import pairwise
from statistics import median

import execution
import jupytext
import myst
import pytest
import statements
import yaml

ROOT = execution.ROOT
CHAPTERS = execution.chapters(ROOT)
PAGES = execution.notebooks(ROOT)

MEDIAN_LINES, MOST_LINES, MOST_LINES_OF_A_DEF, FEWEST_EXERCISES = 6, 25, 20, 3
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
TAGS = HIDDEN | {"hide-output", "remove-output", "output_scroll", "full-width", "margin", "raises-exception",
                 "nbval-check-output", "nbval-ignore-output", "nbval-skip", "nbval-raises-exception"}
FORBIDDEN = {
    r"\bset_title\(|\bsuptitle\(|\bplt\.title\(": "no title in a plot: say it in the caption",
    r"\bfigsize\b": "no figsize: sizes are set once, in helpers.plots",
    r"\b(filterwarnings|simplefilter)\(": "no silenced warnings: mend the cause",
    r"\.cuda\(": "no .cuda(): pass a device",
    r"\bnp\.random\.(?!default_rng|Generator|SeedSequence)|\b(torch\.)?manual_seed\(":
        "no global random state: use helpers.random_stream or a generator",
    r"\btorch\.rand(n|int|perm)?\((?!.*generator=)": "pass a generator to torch's random functions",
}
GREEK = re.compile(r"\\(alpha|beta|gamma|delta|(?:var)?epsilon|zeta|eta|(?:var)?theta|kappa|lambda|mu|nu|xi|pi"
                   r"|(?:var)?rho|sigma|tau|(?:var)?phi|chi|psi|omega|ell|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Phi|Psi"
                   r"|Omega)(?![a-zA-Z])")
DRAWS = re.compile(r"\bplt\.(subplots|subplot_mosaic|figure|plot|gca)\(|\bsns\.\w+plot\(|\bsns\.heatmap\(")


def named(path):
    return path.stem


@cache
def source(path):
    return path.read_text("utf-8")


@cache
def cells(path):
    return jupytext.read(path).cells


def code_cells(path):
    return [cell for cell in cells(path) if cell.cell_type == "code"]


def tags(cell):
    return set(cell.metadata.get("tags", []))


def lines(cell):
    return [line for line in cell.source.splitlines() if line.strip()]


def first_line(cell):
    return repr(lines(cell)[0]) if lines(cell) else "an empty cell"


def figure(cell):
    return cell.metadata.get("mystnb", {}).get("figure")


def report(path, faults):
    assert not faults, f"{path.name}:\n" + "\n".join(f"  - {fault}" for fault in faults)


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_header_makes_the_page_a_notebook(path):
    header = yaml.safe_load(source(path).split("---")[1])
    kind = header.get("jupytext", {}).get("text_representation", {}).get("format_name")
    assert kind == "myst", f"{path.name}: set jupytext.text_representation.format_name: myst, else no cell is run"
    kernel = header.get("kernelspec", {}).get("name")
    assert kernel == "python3", f"{path.name}: set kernelspec.name: python3 in the header"


@pytest.mark.parametrize("path", sorted(ROOT.glob("book/*.md")) + CHAPTERS, ids=named)
def test_fences_are_balanced(path):
    myst.blocks(source(path), page=path.name)


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_cell_tags_are_known(path):
    """A misspelt option (`:tag:` for `:tags:`) is silent in the build: nothing is hidden, nothing is compared."""
    faults = []
    for cell in code_cells(path):
        strange = (tags(cell) - TAGS) | (set(cell.metadata) - {"tags", "mystnb"})
        faults += [f"cell {first_line(cell)}: {name!r} is no known tag or option; mend it" for name in strange]
    report(path, faults)


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_cells_are_short(path):
    visible = [cell for cell in code_cells(path) if not tags(cell) & HIDDEN]
    faults = [f"cell {first_line(cell)} has {len(lines(cell))} lines, more than {MOST_LINES}: split it, hide it, "
              "or move it to src/helpers" for cell in visible if len(lines(cell)) > MOST_LINES]
    middle = median([len(lines(cell)) for cell in visible] or [0])
    if middle > MEDIAN_LINES:
        faults.append(f"visible cells have a median of {middle} lines, more than {MEDIAN_LINES}: one thought a cell")
    for cell in code_cells(path):
        plain = re.sub(r"^[%!].*$", "", cell.source, flags=re.MULTILINE)
        for node in ast.walk(ast.parse(plain)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= MOST_LINES_OF_A_DEF:
                faults.append(f"def {node.name} is longer than {MOST_LINES_OF_A_DEF} lines: move it to src/helpers")
    report(path, faults)


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_prose_before_each_visible_cell(path):
    faults = []
    for before, cell in pairwise([None, *cells(path)]):
        if cell.cell_type != "code" or tags(cell) & HIDDEN:
            continue
        text = before.source if before is not None and before.cell_type == "markdown" else ""
        prose = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        if not prose:
            faults.append(f"no prose before cell {first_line(cell)}: say why the code comes, in a sentence")
    report(path, faults)


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_nothing_forbidden(path):
    report(path, [f"{line.strip()!r}: {advice}" for cell in code_cells(path) for line in lines(cell)
                  for pattern, advice in FORBIDDEN.items() if re.search(pattern, line.split("#")[0])])


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_figures_have_caption_name_and_alt_text(path):
    faults = []
    for cell in code_cells(path):
        if figure(cell) is None:
            if DRAWS.search(cell.source):
                faults.append(f"cell {first_line(cell)} draws without mystnb.figure: give it a name and a caption")
            continue
        last = ast.parse(cell.source).body[-1]
        if isinstance(last, ast.Expr) and not re.search(r";\s*\Z|^print\([^\0]*\Z", cell.source, re.MULTILINE):
            faults.append(f"cell {first_line(cell)}: end its last line with ; or its value becomes a second figure")
        if not str(figure(cell).get("name", "")).startswith("fig-"):
            faults.append(f"cell {first_line(cell)}: mystnb.figure.name must start with fig-")
        if not str(figure(cell).get("caption", "")).strip():
            faults.append(f"cell {first_line(cell)}: mystnb.figure.caption is missing; state the finding")
        if not str(cell.metadata["mystnb"].get("image", {}).get("alt", "")).strip():
            faults.append(f"cell {first_line(cell)}: mystnb.image.alt is missing; say what the picture shows")
    report(path, faults)


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_captions_of_bands_say_over_what(path):
    """A band without its number of runs says nothing."""
    report(path, [f"{figure(cell).get('name')}: it draws a band; say in the caption over how many seeds, runs or draws"
                  for cell in code_cells(path) if figure(cell) and "band(" in cell.source
                  and not re.search("seed|run|draw", str(figure(cell).get("caption")), re.IGNORECASE)])


def strange_letters(text, known):
    """{letter: label of the first statement with it} of the Greek letters in statements that are not in `known`."""
    found = {}
    for block in myst.walk(text):
        if block.name.startswith("prf:") and block.name != "prf:proof":
            found = {letter: block.label for letter in GREEK.findall(block.text) if letter not in known} | found
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=named)
def test_greek_letters_of_statements_are_on_the_notation_page(path):
    known = set(GREEK.findall(source(ROOT / "book" / "notation.md")))
    report(path, [f"\\{letter} in {label} is not in book/notation.md: add it there, or use a letter that is"
                  for letter, label in strange_letters(source(path), known).items()])


def test_checker_of_letters_can_fail():
    text = (":::{prf:lemma} One\n:label: lem-one\n\nLet $\\tau < \\zeta$ and $\\etaeta$.\n:::\n\n"
            ":::{prf:proof}\n$\\nu$\n:::\n")
    assert strange_letters(text, {"tau"}) == {"zeta": "lem-one"}


def test_names_of_figures_and_statements_are_unique():
    figures = [figure(cell) or {} for path in PAGES for cell in code_cells(path)]
    names = [each["name"] for each in figures if "name" in each]
    names += [block.label for path in PAGES for block in myst.walk(source(path)) if block.label]
    twice = sorted({name for name in names if names.count(name) > 1})
    assert not twice, f"used more than once, rename all but one: {twice}"


@pytest.mark.parametrize("path", CHAPTERS, ids=named)
def test_exercises_have_folded_solutions(path):
    found = list(myst.walk(source(path)))
    exercises = [block.label for block in found if block.name == "exercise"]
    solutions = {block.title: block.options for block in found if block.name in ("solution", "solution-start")}
    faults = [f"exercise {label!r} has no label or no solution: add :label: and a solution directive naming it"
              for label in exercises if label not in solutions]
    faults += [f"the solution of {label!r} is not folded: add :class: dropdown"
               for label, options in solutions.items() if "dropdown" not in options.get("class", "")]
    if len(exercises) < FEWEST_EXERCISES:
        faults.append(f"{len(exercises)} exercises: write at least {FEWEST_EXERCISES}")
    report(path, faults)


@pytest.mark.parametrize("path", CHAPTERS, ids=named)
def test_chapter_has_a_verdict(path):
    assert any("nbval-check-output" in tags(cell) for cell in code_cells(path)), (
        f"{path.name}: tag a cell that prints robust facts with nbval-check-output")


def test_each_claim_has_a_label_and_a_test():
    found, tests = statements.statements(), "".join(map(source, sorted(ROOT.glob("tests/**/test_*.py"))))
    marks = re.findall(r"^(?:pytestmark = |@)pytest\.mark\.statement\(([^)]*)\)", tests, re.MULTILINE)
    marked = {label for labels in marks for label in re.findall(r'"([^"]+)"', labels)}
    untested, unknown = [label for label in found if label not in marked], marked - set(found)
    assert found and not untested, f"without a test marked with their label: {untested}"
    assert not unknown, f"marked in a test, and no statement of the book: {unknown}"
