"""The PDF's own look: what a page unfolds, plays or links to, made right for paper. For Sphinx's LaTeX builder only.

Code that draws is left out, as pages fold it. Proofs and solutions are no boxes, a data frame is a table, and wide
tables get columns that fit. The laboratory goes without its controls. sphinx-jupyterbook-latex does some of this with
parts and titles, and knows no proofs, exercises or data frames.
"""

import os
import re
from functools import partial
from itertools import count, product
from pathlib import Path

import matplotlib
import numbering
import yaml
from addresses import site_url
from bs4 import BeautifulSoup
from docutils import nodes
from sphinx import addnodes
from sphinx.builders.latex.nodes import thebibliography
from sphinx.util import texescape
from sphinx_exercise.nodes import solution_node
from sphinx_proof.nodes import proof_node

BIBLIOGRAPHY = "book/bibliography"
LINE = 88  # characters, about, of a table's row that fits the page without asking
LONG = 14  # rows; a longer table may run over pages
FIGURE = re.compile(r"[-+−±.,%\d\s]*(?:e[-+]?\d+)?|nan|inf|NaN")
texescape.init()
tex = partial(texescape.escape, latex_engine="xelatex")  # a text with TeX's special characters made harmless
latex = partial(nodes.raw, "", format="latex")


def configure(app, config):
    """Say in the imprint where the book is published, if that is known; bring a font that every environment has."""
    known = f" The book itself is at {tex(site_url(os.environ))}." if site_url(os.environ) else ""
    config.latex_elements["maketitle"] = config.latex_elements["maketitle"].replace("ADDRESS", known)
    config.latex_additional_files = [*map(str, Path(matplotlib.get_data_path()).glob("fonts/ttf/DejaVuSansMono*.ttf"))]


def prepare(app, doctree, docname):
    """Everything that is done to the whole book, once, before it is written as LaTeX."""
    if app.builder.name != "latex" or docname != app.config.root_doc:
        return
    pages = {page["docname"]: page for page in doctree.findall(addnodes.start_of_file)}
    open_introduction(doctree)
    open_parts(pages, app.srcdir)
    for keys in [node for node in doctree.findall(nodes.section) if "keys" in node["ids"]]:  # of the laboratory
        keys.parent.remove(keys)
    one_bibliography(doctree, pages.get(BIBLIOGRAPHY))
    for cell in doctree.findall(nodes.container):  # folded code that draws
        if cell.get("hide_mode") == "input" or (cell.get("hide_mode") and next(cell.findall(nodes.figure), None)):
            cell.children = [node for node in cell.children if "cell_input" not in node.get("classes", [])]
    number_exercises(doctree, numbering.targets(app.srcdir))
    solutions_last(doctree)
    plain_proofs(doctree)
    for frame in [node for node in doctree.findall(nodes.raw) if 'class="dataframe"' in node.astext()]:
        frame.replace_self(data_frame(frame.astext()))
    for table in list(doctree.findall(nodes.table)):
        fit(table)
    for mark in [node for node in doctree.findall(nodes.raw) if node.astext().startswith("<br")]:
        mark.replace_self(latex(r"\newline "))


def open_introduction(doctree):
    """The introduction is a chapter without a number, and its sections are headings, so that chapter 1 is chapter 1."""
    for top in [node for node in doctree.children if isinstance(node, nodes.section)]:
        for section in [node for node in top.children if isinstance(node, nodes.section)]:
            title, *rest = section.children
            section.replace_self([nodes.rubric("", "", *title.children), *rest])
        top.insert(1, latex("\\chapter*{Introduction}\\markboth{Introduction}{Introduction}\n"
                            "\\addcontentsline{toc}{chapter}{Introduction}\n"))


def put_before(node, text):
    node.parent.insert(node.parent.index(node), latex(text))


def open_parts(pages, root):
    """The name of each part in the table of contents; what bears no number on its pages is an appendix."""
    appendix = "\\appendix\n"
    for part in yaml.safe_load(Path(root, "_toc.yml").read_text("utf-8")).get("parts", []):
        begin = "" if part.get("numbered") else appendix
        appendix = "" if begin else appendix
        put_before(pages[part["chapters"][0]["file"]], f"\\clearpage\n{begin}\\phantomsection"
                   f"\\addcontentsline{{toc}}{{part}}{{{tex(part['caption'])}}}\n")


def one_bibliography(doctree, page):
    """LaTeX gathers the works in a chapter of its own: the page about them would be a second, empty one."""
    for works in list(doctree.findall(thebibliography)) if page else ():
        page.parent.remove(page)
        put_before(works, f"\\clearpage\\phantomsection\\label{{\\detokenize{{{BIBLIOGRAPHY}::doc}}}}\n")


def number_exercises(doctree, targets):
    """References to exercises; sphinx-exercise gives them anchors of its own, which Sphinx does not know."""
    for link in list(doctree.findall(nodes.reference)):
        label = (link.get("refid") or link.get("refuri") or "").rpartition("#")[2].rpartition(":")[2]
        if label in targets and targets[label].kind == "exercise" and not isinstance(link.parent, nodes.title):
            words = tex(link.get("title") or link.astext()).replace(r"\%s", targets[label].number)
            link.replace_self(latex(rf"\hyperref[exercise:{label}]{{{words}}}"))


def solutions_last(doctree):
    """The solutions of a section behind its exercises: no boxes, whose code and tables no page break could part."""
    for solution in list(doctree.findall(solution_node)):
        (title, *rest), section = solution.children, solution.parent
        section.remove(solution)
        section += [nodes.rubric("", "", *title.children, **{"heading-level": 5}), *rest]  # LaTeX's paragraph


def plain_proofs(doctree):
    """A proof as LaTeX sets it: no box, its word in italics, a mark at the end of its last line."""
    for proof in list(doctree.findall(proof_node)):
        (box,) = proof.children
        first = next(box.findall(nodes.Text))
        first.parent.replace(first, nodes.Text(first.removeprefix("Proof.").lstrip()))
        if isinstance(box[-1], nodes.paragraph):
            box[-1] += latex(r"\qedhere{}")
        proof.replace_self([latex("\\begin{proof}"), *box.children, latex("\\end{proof}")])


def data_frame(page):
    """The table (docutils nodes) of a pandas data frame from its HTML; figures are aligned on the right."""
    rows = BeautifulSoup(page, "html.parser").find_all("tr")
    lines, heads = grid(rows), sum(row.parent.name == "thead" for row in rows)
    if heads == 2 and not any(above and below for above, below in zip(*lines[:2])):  # the names of the index
        lines, heads = [[above or below for above, below in zip(*lines[:2])], *lines[2:]], 1
    align = "L" + "".join("r" if all(map(FIGURE.fullmatch, cells)) else "L" for cells in [*zip(*lines[heads:])][1:])
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in align), cols=len(align))
    for part, chosen in ((nodes.thead(), lines[:heads]), (nodes.tbody(), lines[heads:])):
        part += [nodes.row("", *(nodes.entry("", nodes.paragraph("", text)) for text in line)) for line in chosen]
        group += part
    return [addnodes.tabular_col_spec(spec=align), nodes.table("", group, classes=["data-frame"])]


def grid(rows):
    """The texts of an HTML table by row and column. What spans several cells is in the first; the rest are empty."""
    found = {}
    for down, row in enumerate(rows):
        for cell in row.find_all(["th", "td"]):
            right = next(column for column in count() if (down, column) not in found)
            high, wide = int(cell.get("rowspan", 1)), int(cell.get("colspan", 1))
            found |= dict.fromkeys(product(range(down, down + high), range(right, right + wide)), "")
            found[down, right] = cell.get_text().strip()
    width = 1 + max(column for _, column in found)
    return [[found.get((down, column), "") for column in range(width)] for down in range(len(rows))]


def tie(text):
    """The text without a line break at its ±."""
    return text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def longest_words(rows):
    """The letters of the longest word of each column."""
    return [max(len(word) for cell in column for word in re.split(r"[ \n]", cell)) for column in zip(*rows)]


def fits(widths):
    return sum(widths) + 3 * len(widths) <= LINE


def fit(table):
    """Columns in proportion to what they hold, where a table is too wide or too long for LaTeX to guess."""
    (group,) = table.findall(nodes.tgroup)
    rows = [[entry.astext() for entry in row.findall(nodes.entry)] for row in table.findall(nodes.row)]
    tied = [[tie(cell) for cell in row] for row in rows]
    if fits(longest_words(tied)):  # there is room to keep each number with its interval
        rows = tied
        for text in list(table.findall(nodes.Text)):
            text.parent.replace(text, nodes.Text(tie(text.astext())))
    widest = [max(map(len, column)) for column in zip(*rows)]
    frame, long = "data-frame" in table["classes"], len(rows) > LONG
    table["classes"] += ["longtable"] if long else []
    for empty in [node for node in table.findall(nodes.paragraph) if not node.children]:
        empty.parent.remove(empty)
    if frame and long:  # such a table knows no flexible columns
        table.previous_sibling()["spec"] = table.previous_sibling()["spec"].lower()
    if fits(widest) and (frame or not long):
        return
    if frame:  # its own columns, as wide as they are, would not fit
        table.parent.remove(table.previous_sibling())
    words = longest_words(rows)
    room = max(LINE - sum(words) - 3 * len(words), 0)
    more = [(wide - word) ** 0.5 for wide, word in zip(widest, words)]
    widths = [word + room * extra / (sum(more) or 1) + 3 for word, extra in zip(words, more)]
    for spec, width in zip(group.findall(nodes.colspec), widths):
        spec["colwidth"] = max(round(width), 1)
    table["classes"].append("colwidths-given")
