"""MyST text as plain Markdown, which Colab (and GitHub) show as it is meant.

Every formula goes onto one line: Colab takes a line "=" inside a longer one for the underline of a heading, and the
marks of a quotation would become part of it. Statements become quotations with a bold head, folded solutions fold by
HTML, references become numbers, with a link where the book's address is known. No library does this:
sphinx-tojupyter garbles exercises, folds and lists, and a parser's tokens do not say where in a line they stand. So
roles and formulas are found by their marks; tools/myst.py finds the blocks.
"""

import re
from dataclasses import dataclass, field
from functools import cache

import execution
import myst
from pybtex.database import parse_file
from pybtex.plugin import find_plugin

ADMONITIONS = {"note", "tip", "important", "warning", "hint", "caution", "exercise", "admonition"}
ROLE = re.compile(r"\{([\w:-]+)\}`([^`]*)`")
# What is no prose: code; a displayed formula and its label; a formula in a line.
KEPT = re.compile(r"^( *)(`{3,}|~{3,})(?s:.*?)^\1\2 *$|`+[^`\n]+`+"
                  r"|\$\$(?P<display>(?s:.+?))\$\$(?:[ \t]*\((?P<label>[\w:-]+)\))?"
                  r"|(?<![\\$\w])\$(?!\s)(?P<inline>(?s:[^$\\]|\\.)+?)(?<!\s)\$(?![\w$])", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]*)\)")
# How a line begins that takes no words beside it; \ue000, which nobody writes, marks what is kept.
NO_PROSE = re.compile(r" *(\ue000\d+\ue000$|[|>]|</)", re.MULTILINE)
FOLD = "<details>\n<summary><b>{}</b></summary>\n"
EMPTY_FOLD = re.compile(r"<details>\n<summary><b>([^<]*)</b></summary>\s*</details>")


@cache
def bibliography():
    """The works that the book cites, as pybtex reads them."""
    return parse_file(str(execution.ROOT / "book" / "references.bib"))


@dataclass
class Plain:
    """Turns the text of one page into plain Markdown.

    page : "nbs/04_stage_one". targets : of numbering. site : address of the published book, "" where it is not known.
    bibliography : pybtex's. titled : whether a title follows its number. cited : collects the keys of the works cited.
    solving : the exercise whose solution is open at the end of the cell last read, or "".
    """

    page: str
    targets: dict
    site: str = ""
    bibliography: object = field(default_factory=bibliography)
    titled: bool = False
    cited: list = field(default_factory=list)
    solving: str = ""

    def cell(self, text):
        """Plain Markdown of the page's next cell, "" where nothing is left of it; no fold goes over several cells."""
        opened = FOLD.format(f"Solution of {self.solving}, continued") + "\n" if self.solving else ""
        text = opened + self(text) + ("\n\n</details>" if self.solving else "")
        return EMPTY_FOLD.sub(lambda fold: "" if fold[1].endswith("continued") else f"**{fold[1]}.**", text).strip("\n")

    def __call__(self, text):
        """Plain Markdown of a text. Raises ValueError on a role or directive without a plain form."""
        text = re.sub(r"^\([\w:-]+\)=[ \t]*\n", "", text, flags=re.MULTILINE)
        kept = []

        def set_aside(match):
            kept.append(self._formula(match) or match[0])
            return f"\ue000{len(kept) - 1}\ue000"

        text = LINK.sub(self._link, KEPT.sub(set_aside, ROLE.sub(self._role, text)))
        text = re.sub(r"\ue000(\d+)\ue000", lambda mark: kept[int(mark[1])], self._blocks(text))
        return re.sub(r"\n{3,}", "\n\n", text).strip("\n")

    def references(self):
        """The list of the works cited so far, one bullet each."""
        style, backend = find_plugin("pybtex.style.formatting", "plain")(), find_plugin("pybtex.backends", "markdown")()
        entries = style.format_bibliography(self.bibliography, sorted(set(self.cited)))
        return "\n".join("- " + " ".join(entry.text.render(backend).replace("\\.", ".").split()) for entry in entries)

    def name(self, label):
        """What the book calls a label: "Theorem 3.2", "chapter 8", "(3.1)", or a title."""
        target = self.target(label)
        if not target.number:
            return f"*{target.title}*"
        if target.kind == "equation":
            return f"({target.number})"
        kind = "chapter" if target.kind == "page" else target.kind.capitalize()
        title = f" (“{target.title.rstrip(myst.STAR + ' ')}”)" if self.titled and target.title else ""
        return f"{kind} {target.number}{title}"

    def target(self, label):
        name = label.rsplit("/")[-1]
        for known in (label, f"nbs/{name}", f"book/{name}", f"book/deeper/{name}"):
            if known in self.targets:
                return self.targets[known]
        raise ValueError(f"{self.page}: nothing is labelled {label!r}")

    def _to(self, label, text):
        """`text` as a link to a label's place in the published book; bare on its own page or without an address."""
        target = self.target(label)
        if not self.site or target.page == self.page:
            return text
        anchor = {"page": "", "equation": f"#equation-{label}"}.get(target.kind, f"#{label}")
        return f"[{text}]({self.site}/{target.page}.html{anchor})"

    def _role(self, match):
        role, content = match[1], match[2]
        if role == "math":
            return f"${content}$"
        if role in ("cite:t", "cite:p"):
            keys = [key.strip() for key in content.split(",")]
            self.cited += keys
            form = "{} ({})" if role == "cite:t" else "{}, {}"
            works = "; ".join(form.format(authors(entry), entry.fields["year"])
                              for entry in map(self.bibliography.entries.__getitem__, keys))
            return works if role == "cite:t" else f"({works})"
        if role not in ("prf:ref", "eq", "numref", "ref", "doc"):
            raise ValueError(f"{self.page}: no plain form of the role {match[0]}")
        named = re.fullmatch(r"(.*?)\s*<(.*)>", content, re.DOTALL)
        label = (named[2] if named else content).strip()
        return self._to(label, named[1] if named else _capital(self.name(label), match))

    def _formula(self, match):
        """A formula on one line; "<" before a letter, which looks like an HTML tag, as its TeX name. None for code."""
        if formula := match["display"] or match["inline"]:
            line = re.sub(r"<(?=[A-Za-z])", r"\\lt ", " ".join(formula.split()))
            number = rf" \tag{{{self.target(match['label']).number}}}" if match["label"] else ""
            return f"$${line}{number}$$" if match["display"] else f"${line}$"

    def _link(self, match):
        text, where = match[1], match[2].removesuffix(".md")
        return match[0] if re.match(r"[a-z]+:|#|\ue000", where) else self._to(where, text)

    def _blocks(self, text):
        """A text without fences of directives."""
        lines, out, index = text.split("\n"), [], 0
        for block in myst.blocks(text, page=self.page):
            if block.name != "section":
                out += [*lines[index:block.first], "", self._directive(block), ""]
                index = block.last
        return "\n".join(out + lines[index:])

    def _directive(self, block):
        kind, body = block.name.removeprefix("prf:"), self._blocks(block.text).strip("\n")
        if kind in ADMONITIONS or block.statement:
            head = self.name(block.label) if block.label else block.title if kind == "admonition" else kind.capitalize()
            title = f" ({block.title})" if block.title and head != block.title else ""
            return "\n".join(f"> {line}".rstrip() for line in f"**{head}**{title}.\n\n{body}".split("\n"))
        if kind == "proof":
            head = f"*Proof {block.title}".rstrip() + ".*"
            before, after = ("\n\n" if NO_PROSE.match(line) else " " for line in (body, body.rpartition("\n")[2]))
            return f"{head}{before}{body}{after}∎"
        if kind in ("solution", "dropdown"):
            head = f"Solution of {self.name(block.title)}" if kind == "solution" else block.title
            return f"{FOLD.format(head)}\n{body}\n\n</details>"
        if kind == "solution-start":
            self.solving = self.name(block.title)
            return FOLD.format(f"Solution of {self.solving}")
        if kind == "solution-end":
            self.solving = ""
            return "</details>"
        raise ValueError(f"{self.page}: no plain form of the directive {block.name!r}")


def authors(entry):
    """The last names of a work's authors, TeX's accents as letters: one, two, or the first "et al."."""
    people = [" ".join(map(str, [*person.rich_prelast_names, *person.rich_last_names]))
              for person in entry.persons["author"]]
    return people[0] + " et al." if len(people) > 2 else " and ".join(people)


def _capital(name, match):
    """`name`, with a capital letter at the beginning of a sentence or of a line's first sentence."""
    before = match.string[:match.start()]
    return name[0].upper() + name[1:] if re.search(r"(?:^|\n\n|[.?!] |\| |[-*] |\d\. |\*\* )$", before) else name
