"""The symbols of a page's formulas, which of them its sentences define, and what the notation page says of them.

A symbol is (accent and letter, star or sign above it, kind of subscript): none, "i" for any index, or a name (T_1).
"""

import re
from functools import cache

import myst
from layers import DISPLAYED, INLINE, parts

GREEK = (r"(?:alpha|beta|gamma|delta|(?:var)?epsilon|zeta|eta|(?:var)?theta|kappa|lambda|mu|nu|xi|pi|(?:var)?rho|ell"
         r"|(?:var)?sigma|tau|(?:var)?phi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Phi|Psi|Omega)(?![a-zA-Z])")
NAME = r"\\mathrm\{(?:SNR|Lip|KS|TV|AUC)\}|\\mathcal *\{?[A-Z]\}?"
SYMBOL = re.compile(
    rf"(?:\\(bar|hat|tilde|overline|underline) *(\{{)?)?(\\{GREEK}|{NAME}|[a-zA-Z])(?(2)[^{{}}]*\}})'*"
    r"(?:\^\{([*+-])\}|\^([*+-])|)(?:_(?:\{((?:[^{}]|\{[^{}]*\})*)\}|(\\\w+|[^\s\\{])))?(?:\^([*+-]))?")
NAMED = re.compile(r"(?<!\})_(?:\{\\(?:mathrm|text)\{(\w+)\}\})")
SILENT = re.compile(  # words, operators and layout
    r"\\(?:text|operatorname\*?|begin|end|mathbb|mathbf|mathrel)\s*\{[^{}]*\}|\\math(?:bb|rm) ?\w|\\\\\[.*?\]"
    r"|\\mathrm\{(?!SNR|Lip|KS|TV|AUC)\w+\}|\\(?:sum|max|min)_\\\w+|\$\$ *\([\w-]+\)")
COMMAND = re.compile(rf"\\(?!(?:bar|hat|tilde|overline|underline|mathrm|mathcal|{GREEK})(?![a-zA-Z]))[a-zA-Z]+")
DEFINES = [re.compile(pattern) for pattern in (
    r"\b(?:[Ll]et|[Pp]ut|[Ww]rite|[Ss]et|[Ff]ix|[Cc]all) (?:\w+ )?\$([^$]+)\$ (?:be|for|denote|stand)\b",
    r"\b(?:[Ll]et|[Pp]ut|[Ww]rite|[Ss]et|[Ww]ith|[Ww]here|and) \$([^$=]+=[^$]+)\$",
    r"\$([^$=]+:=[^$]+)\$",
    r"\$([^$]+)\$ (?:denotes|stands for|is the|is an?|being the)\b")]


def kind(subscript):
    """A name in a subscript as it is, and "i" for any index."""
    name = re.fullmatch(r"[cn0-9*+-]|\\\w+", subscript.strip())
    return name[0] if name else "i" if subscript else ""


def symbols(formula):
    """(accent and letter, star or sign, kind of subscript) of each symbol of a formula."""
    plain = SILENT.sub(" ", NAMED.sub(r"_\\\1", formula))
    kept = COMMAND.sub(lambda word: word[0] if plain[word.start() - 1] == "_" else " ", plain)
    return [(accent + re.sub(r"[{} ]", "", letter), first or second or last, kind(braced or bare))
            for accent, _, letter, first, second, braced, bare, last in SYMBOL.findall(kept)]


def formulas(text):
    """Every formula of a text, displayed ones first."""
    text = re.sub(r"^```.*?^```|`[^`\n]+`", " ", text, flags=re.DOTALL | re.MULTILINE)
    return [found[0] for found in DISPLAYED.finditer(text)] + INLINE.findall(DISPLAYED.sub(" ", text))


def prose(source):
    """The main line and the folds of a page, without exercises, proofs and the folds that are called so."""
    text = "\n".join(piece for layer, piece in parts(source) if layer in ("main", "fold"))
    lines = text.split("\n")
    for block in myst.walk(text):
        if block.name == "prf:proof" or (block.name == "dropdown" and "roof" in block.title):
            lines[block.first:block.last] = [""] * (block.last - block.first)
    return "\n".join(lines)


def definitions(text):
    """[(symbol, what it is said to be)] of the sentences that define a letter; numbers and ranges define none."""
    found = []
    for formula in (match[1] for pattern in DEFINES for match in pattern.finditer(text)):
        left, equals, right = formula.partition("=")
        number = (equals and not symbols(right)) or "dots" in right
        if SYMBOL.fullmatch(NAMED.sub(r"_\\\1", left.strip(" :"))) and not number:
            found.append((symbols(left)[0], right))
    return found


@cache
def notation(text):
    """[(symbols, chapters, row)] of the notation page's tables; the rows of "Everywhere" come without a row."""
    rows, heading = [], ""
    for line in text.split("\n"):
        heading = line if line.startswith("#") else heading
        if line.startswith("| $"):
            own = {symbol for formula in formulas(line.split("|")[1]) for symbol in symbols(formula)}
            rows.append((own, chapters_of(line) or chapters_of(heading), "" if "Everywhere" in heading else line))
    return rows


def chapters_of(text):
    """{5, 13, 14, 15} of "chapters 5 and 13 to 15"."""
    runs = re.findall(r"(\d+)(?: to (\d+))?", "".join(re.findall(r"\bchapters? (\d[\d, toand]*)", text)))
    return {number for first, last in runs for number in range(int(first), int(last or first) + 1)}
