"""The PDF: a small book with one of everything goes through the book's own LaTeX configuration.

Its TeX is tested wherever the book builds; setting it is skipped where there is no latexmk or xelatex.
"""

import os
import re
import shutil
import subprocess
import sys

import execution
import print_edition
import pytest

TOC = """format: jb-book
root: book/intro
parts:
  - caption: Sums & more
    numbered: true
    chapters: [{file: nbs/01_sums}]
  - caption: Reference
    chapters: [{file: book/laboratory}, {file: book/bibliography}]
"""
INTRO = "# A book\n\nOpening words.\n\n## A heading\n\nMore in {doc}`bibliography`, by {cite:t}`laurent2000adaptive`.\n"
CHAPTER = r"""---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# Sums of two

Stars ★ and $90°$.

:::{prf:theorem} Two
:label: thm-two

$1 + 1 = 2$.
:::

:::{prf:proof}
By counting.
:::

See {prf:ref}`thm-two`, {ref}`ex-three` and {ref}`an exercise <ex-three>`.

```{code-cell} ipython3
import pandas as pd
index = pd.MultiIndex.from_product([["net_a"], ["≤ 1", "→ ½"]], names=["net", "rate"])
pd.DataFrame({"mean": [0.25, 1.5]}, index=index)
```

```{code-cell} ipython3
---
mystnb:
  figure:
    name: fig-sum
    caption: A sum.
tags: [hide-input]
---
pd.Series([1, 2]).plot(); hidden = "plumbing"
```

```{code-cell} ipython3
---
mystnb:
  figure:
    name: fig-folded
    caption: Another sum.
tags: [hide-cell]
---
pd.Series([2, 1]).plot(); hidden = "plumbing"
```

```{code-cell} ipython3
:tags: [hide-cell]

print("a folded " + "table")
```

| what | where<br>else | for whom |
|---|---|---|
| WIDE | WIDE | |

## Exercises

:::{exercise} Three ★
:label: ex-three

Is it three?
:::

::::{solution} ex-three
:class: dropdown

SOLVED.
::::

:::{exercise} Four ★★
:label: ex-four

Is it four?
:::
""".replace("WIDE", " ".join(30 * ["word"]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of the small book's TeX."""
    site = tmp_path_factory.mktemp("print")
    for name in ("_config.yml", "tools", "book/assets", "book/references.bib", "book/laboratory.md",
                 "book/bibliography.md"):
        source, target = execution.ROOT / name, site / name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)
    (site / "nbs").mkdir()
    for name, text in (("_toc.yml", TOC), ("book/intro.md", INTRO), ("nbs/01_sums.md", CHAPTER)):
        (site / name).write_text(text)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", ".", "--builder",
               "latex"]
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    # The laboratory refers to chapters that are not in this book: no -W.
    done = subprocess.run(command, cwd=site, env=environment | {"SITE_URL": "https://example.org/a_book"}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    assert (site / "_build/latex/book.tex").exists(), done.stdout
    return site / "_build" / "latex"


@pytest.fixture(scope="module")
def tex(folder):
    return (folder / "book.tex").read_text("utf-8")


def test_parts_chapters_and_appendices(tex):
    order = [r"\chapter*{Introduction}", "Opening words", r"{toc}{part}{Sums \& more}", r"\chapter{Sums of",
             r"\appendix", r"{toc}{part}{Reference}", r"\chapter{The laboratory}",
             r"\label{\detokenize{book/bibliography::doc}}",
             r"\begin{sphinxthebibliography}"]
    places = [tex.index(piece) for piece in order]
    assert places == sorted(places)
    assert r"\chapter{Bibliography}" not in tex and r"\section{A heading}" not in tex


def test_code_that_a_page_folds_is_left_out_and_its_figure_is_not(tex):
    assert "plumbing" not in tex and "import" in tex and "a folded table" in tex
    assert all(rf"\caption{{{caption}}}" in tex for caption in ("A sum.", "Another sum."))


def test_a_proof_is_no_box(tex):
    proof = re.search(r"\\begin{proof}(.*?)\\end{proof}", tex, re.DOTALL)[1]
    assert "By counting." in proof and "Proof" not in proof and "sphinxadmonition" not in proof and r"\qedhere" in proof


def test_solutions_stand_behind_the_exercises_and_references_find_them(tex):
    solution = tex.index(r"\paragraph*{Solution to Exercise 1.1")
    assert tex.index("Is it three?") < tex.index("Is it four?") < solution < tex.index("SOLVED.")
    assert r"\begin{sphinxadmonition}{note}{Solution" not in tex, "a box, which would not let its code go over pages"
    assert r"\hyperref[exercise:ex-three]{Exercise 1.1}" in tex and r"\hyperref[exercise:ex-three]{an exercise}" in tex
    assert r"\label{exercise:ex-three}" in tex


def test_a_data_frame_is_a_table(tex):
    frame = re.search(r"\\begin{tabulary}{\\linewidth}\[t\]{LLr}(.*?)\\end{tabulary}", tex, re.DOTALL)[1]
    words = [word for line in frame.splitlines() for word in line.split() if word[:1] not in ("\\", "&")]
    assert words == ["net", "rate", "mean", r"net\_a", "≤", "1", "0.25", "→", "½", "1.50"]


def test_a_wide_table_gets_columns_that_fit(tex):
    assert re.search(r"\\begin{tabular}\[t\]{(\\X{\d+}{\d+}){3}}", tex) and r"where\newline else" in tex


def test_the_laboratory_says_where_it_is_live(tex):
    page = tex[tex.index(r"\chapter{The laboratory}"):tex.index(r"\label{\detokenize{book/bibliography::doc")]
    assert "https://example.org/a\\_book/book/laboratory.html" in page and "Five experiments" in page
    assert "Set it up\n" not in page and "{Keys}" not in page and "<button" not in page


def test_what_spans_cells_is_said_once():
    page = ("<table><thead><tr><th>a</th><th colspan=2>b</th></tr></thead><tbody><tr><th rowspan=2>x</th><td>1</td>"
            "<td>2</td></tr><tr><td>3</td><td>4</td></tr></tbody></table>")
    rows = print_edition.BeautifulSoup(page, "html.parser").find_all("tr")
    assert print_edition.grid(rows) == [["a", "b", ""], ["x", "1", "2"], ["", "3", "4"]]
    spec, table = print_edition.data_frame(page)
    assert spec["spec"] == "Lrr" and len(list(table.findall(print_edition.nodes.entry))) == 9


def wide_frame(columns):
    cells = "".join(f"<td>0.88{k} ± 0.038</td>" for k in range(columns))
    spec, table = print_edition.data_frame(f"<table><thead><tr>{'<th>a</th>' * columns}</tr></thead><tbody>"
                                           f"{f'<tr>{cells}</tr>' * 20}</tbody></table>")
    page = print_edition.nodes.section("", spec, table)
    print_edition.fit(table)
    return page.astext()


def test_a_wide_table_keeps_a_number_with_its_interval_where_there_is_room():
    tied = "0.880\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.038"
    assert tied in wide_frame(5) and tied not in wide_frame(8) and "0.880 ± 0.038" in wide_frame(8)


def test_it_is_set_without_missing_letters_and_references(folder):
    missing = [tool for tool in ("latexmk", "xelatex") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"no {' and no '.join(missing)}: the PDF is not tested")
    done = subprocess.run(["latexmk", "-pdfxe", "-interaction=nonstopmode", "-halt-on-error", "-silent", "book.tex"],
                          cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    log = (folder / "book.log").read_text("utf-8", "replace")
    assert done.returncode == 0 and (folder / "book.pdf").exists(), log[-3000:]
    assert "Missing character" not in log
    assert not re.findall(r"Overfull \\hbox \((?:\d{3,}|[2-9]\d)\.", log)
    # The laboratory's references to other chapters cannot be found here; nothing else may be lost.
    assert not [line for line in re.findall(r"reference `(.*?)'.*undefined", log) if "01_sums" in line or "ex-" in line]
