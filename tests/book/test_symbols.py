"""One symbol, one meaning: every letter of a page's text is in book/notation.md, for that chapter, or defined there.

A row of the notation page holds for the chapters that it, or else its heading, names ("chapters 5 and 13 to 15"), and
for the pages behind them; without any, for the book. Proofs, exercises and solutions may use letters freely.
"""

import re

import execution
import pytest
from symbols import chapters_of, definitions, formulas, notation, prose, symbols

NOTATION = execution.ROOT / "book" / "notation.md"
PAGES = [page for chapter in execution.chapters() for page in (chapter, *execution.deeper(chapter))]

# Said once more on a page with the meaning that the notation page gives, or given a value there; read by hand.
RESTATED = {"02_network_decomposition": "y_i", "05_stage_two": "s tildey_i", "06_no_label_noise": r"\beta \tau_+",
            "07_limit_law": r"hat\tau", "09_early_stopping": r"\sigma_\zeta", "09_error_at_t1": "tildey_i",
            "10_late_ranking": "z_i", "10_sample_selection": "p", "11_phase_diagram": r"p \rho",
            "12_label_noise_gd": "d",
            "13_deep_networks": r"hat\tau", "13_unequal_rates": r"\mathcalL", "13_what_bends_a_curve": "f",
            "14_attributions": "f", "14_where_it_looks": "W", "15_loss_distributions": r"\ell",
            "16_early_learning": r"A c d g_i r_i \mu", "17_elr": "r", "18_human_noise": r"\mathcalL",
            "19_own_data": r"hat\tau tildey_i"}


def name(symbol):
    """As RESTATED writes it."""
    return symbol[0] + symbol[1] + "_" * bool(symbol[2]) + symbol[2]


def sides(formula):
    """The sides of its equations and inequalities that hold a letter, without what changes only their look."""
    plain = re.sub(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}", r"(\1)/(\2)", re.sub(r"\\[,;]|\s", "", formula))
    return {side for side in re.split(r"[=<>]|\\in(?![a-z])", plain) if symbols(side)}


def faults(source, chapter, table, restated=""):
    """What is wrong with the letters of a page, as sentences that say what to do."""
    text = prose(source)
    own = {symbol for held, chapters, _ in table for symbol in held if chapter in chapters}
    book = {symbol: row for held, chapters, row in table for symbol in held if not chapters}
    said = definitions(text)
    known = {*own, *book, *(symbol for symbol, _ in said)}
    found = []
    for letter, above, sub in sorted({symbol for formula in formulas(text) for symbol in symbols(formula)}):
        other = {"i": [""], "": ["i"]}.get(sub, ["i"] if re.fullmatch("[a-z0-9]", sub) else [])
        if not {(letter, above, one) for one in (sub, *other)} & known:
            found.append(f"{name((letter, above, sub))} is not in book/notation.md for this chapter, nor defined here")
    for symbol, meaning in said:
        row, labels = book.get(symbol, ""), re.findall(r"\}`([\w-]+)`", book.get(symbol, ""))
        home = any(re.search(rf":label: {label}$|\({label}\)", source, re.MULTILINE) for label in labels)
        same = sides(meaning) & {side for formula in formulas(row) for side in sides(formula.strip("$"))}
        if row and not (symbol in own or home or same or name(symbol) in restated.split()):
            found.append(f"{name(symbol)} is said to be {meaning!r}, and {row} in book/notation.md: rename it, or "
                         "add it there for this chapter")
    return found


def test_the_notation_page_gives_a_letter_one_meaning_where_it_holds():
    """Twice in a chapter only where both rows say of which page, statement or formula they speak."""
    places, twice = {}, []
    for held, chapters, row in notation(NOTATION.read_text("utf-8")):
        for place in {(symbol, chapter) for symbol in held for chapter in chapters or {None}}:
            places.setdefault(place, []).append(row)
    for (symbol, chapter), rows in places.items():
        if len(rows) > 1 and not (chapter and all(re.search(r"\{(?:doc|prf:ref|eq)\}", row) for row in rows)):
            twice.append(f"{name(symbol)} in chapter {chapter}: {rows}")
    assert not twice, "\n".join(twice)


def test_each_letter_that_the_notation_page_gives_a_chapter_is_used_there():
    used = {}
    for page in PAGES:
        letters = {symbol for formula in formulas(page.read_text("utf-8")) for symbol in symbols(formula)}
        used.setdefault(int(page.stem[:2]), set()).update(letters, {(*symbol[:2], "") for symbol in letters})
    idle = [f"{name(symbol)} in chapter {chapter}" for held, chapters, _ in notation(NOTATION.read_text("utf-8"))
            for symbol in held for chapter in chapters if not {symbol, (*symbol[:2], "i")} & used[chapter]]
    assert not idle, f"in book/notation.md, and not on the pages of: {idle}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_letters_have_one_meaning(page):
    table = notation(NOTATION.read_text("utf-8"))
    found = faults(page.read_text("utf-8"), int(page.stem[:2]), table, RESTATED.get(page.stem, ""))
    assert not found, f"{page.name}:\n" + "\n".join(f"  - {fault}" for fault in found)


PAGE = r"""# Title

Let $B$ be a bound, and put $u = A + r_c$. A margin is
$\tilde y_i f_i \le \hat\nu_{\mathrm{max}}$, as in $\sum_{\text{clean}} u^*_1$.

:::{prf:proof}
$\Xi = 7$
:::
"""
TABLE = r"""## Tables
| $B$ | responses | {prf:ref}`thm-reduced` |
| $u$ | clean margin $A + r_c$, with $A$ (chapters 2 and 4 to 6) |
| $A$, $r_c$, $f_i$, $\tilde y_i$ | others |
"""


def test_a_letter_of_two_meanings_and_an_unknown_one_are_found():
    assert chapters_of("(chapters 1, 4 to 6 and 13 to 15)") == {1, 4, 5, 6, 13, 14, 15}
    found = [fault.split(" is ")[0] for fault in faults(PAGE, 5, notation(TABLE))]
    assert found == [r"hat\nu_\max", "u*_1", "B"]
    assert len(faults(PAGE, 5, notation(TABLE), restated="B")) == 2
    assert len(faults(PAGE, 5, notation(TABLE + "| $B$ (chapter 5) | a bound |\n"))) == 2
    moved = faults(PAGE.replace("A + r_c", "2A"), 3, notation(TABLE.replace(" (chapters 2 and 4 to 6)", "")))
    assert [fault for fault in moved if fault.startswith("u is said to be ' 2A'")]


def test_a_fault_planted_in_a_chapter_is_found():
    table, source = notation(NOTATION.read_text("utf-8")), PAGES[0].read_text("utf-8")
    for planted, letter in (("Let $\\gamma_{j,r}$ be a share.", r"\gamma_i"), ("Put $h = 2\\eta$.", "h"),
                            ("So $\\kappa := 2c$.", r"\kappa"), ("It is $\\bar\\xi_2$.", r"bar\xi_2")):
        (fault,) = faults(f"{source}\n{planted}\n", 1, table)
        assert fault.startswith(f"{letter} is ")
