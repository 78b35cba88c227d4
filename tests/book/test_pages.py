"""The built book as readers see it: each page in a real browser, as wide as a desk and as a phone, light and dark.

Without a built book, or without a Chromium, these tests are skipped; `pytest -rs` says why.
"""

import re
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote, urldefrag

import execution
import numbering
import pytest
import statements
import yaml
from browsers import complaints

pytestmark = pytest.mark.site  # `make test` runs these once the book is built
ROOT = execution.ROOT
SITE = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(page["file"] for part in TOC["parts"] for chapter in part["chapters"]
                        for page in (chapter, *chapter.get("sections", [])))]
WIDTHS = {"phone": 390, "desk": 1280}

MATH_IS_SET = """() => !document.querySelector("script[src*=mathjax]")
  || (window.MathJax?.startup?.promise && MathJax.startup.promise.then(() => true))"""

# What is wrong with a page, in words. Parts that scroll in a box of their own, or are folded away, may be any width.
FAULTS = """() => {
  const faults = [], name = (it) => `${it.tagName.toLowerCase()}.${it.className}: ${it.outerHTML.slice(0, 120)}`;
  const root = document.documentElement, article = document.querySelector("article");
  if (root.scrollWidth > root.clientWidth) faults.push(`the page scrolls sideways: ${root.scrollWidth} px`);
  for (const it of document.querySelectorAll("mjx-merror")) faults.push(`MathJax: ${it.textContent}`);
  for (const it of document.querySelectorAll("mjx-container:not(:has(mjx-assistive-mml))"))
    faults.push(`a formula that screen readers miss: ${name(it)}`);
  for (const it of article.querySelectorAll(".math"))
    if (!it.querySelector("mjx-container")) faults.push(`a formula that is not set: ${name(it)}`);
  for (const it of document.images) {
    if (!it.complete || !it.naturalWidth) faults.push(`a picture that is missing: ${it.src.slice(0, 120)}`);
    if (it.alt.trim().length < 20) faults.push(`a picture without a description: ${it.src.slice(0, 120)}`);
  }
  for (const it of document.querySelectorAll(".problematic, .system-message, .xref.std-ref:not(a *)"))
    faults.push(`Sphinx did not understand: ${name(it)}`);
  const text = article.innerText;
  for (const [role] of text.matchAll(/\\{(prf:ref|eq|doc|numref|ref|cite:\\w|term|math)\\}`/g))
    faults.push(`a role in the text: ${role}`);
  const scrolls = (it) => /auto|scroll|hidden/.test(getComputedStyle(it).overflowX);
  const edge = article.getBoundingClientRect().right + 1;
  const parts = "p, li, table, pre, img, svg, canvas, .math, figure, .admonition, mjx-container";
  for (const it of article.querySelectorAll(parts)) {
    if (!it.checkVisibility() || it.getBoundingClientRect().right <= edge) continue;
    let box = it.parentElement;
    while (box !== article && !scrolls(box)) box = box.parentElement;
    if (box === article && !scrolls(it)) faults.push(`wider than the column: ${name(it)}`);
  }
  return faults;
}"""


@pytest.fixture(scope="module", autouse=True)
def site():
    """The built book; skipped where it is missing or older than its sources."""
    for page in PAGES:
        source, built = ROOT / f"{page}.md", SITE / f"{page}.html"
        if not built.exists():
            pytest.skip("no built book to look at: run `make book` first")
        if built.stat().st_mtime < source.stat().st_mtime:
            pytest.skip(f"the built book is older than {page}.md: run `make book` first")


@pytest.fixture
def visit(browser):
    """visit(page, width) opens a page of the book, in light: (page, what it complains about)."""
    contexts = []

    def open_page(name, width=1280):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme="light"))
        page = contexts[-1].new_page()
        found = complaints(page)
        page.goto(f"{SITE.as_uri()}/{name}.html")
        page.wait_for_function(MATH_IS_SET)
        return page, found

    yield open_page
    for context in contexts:
        context.close()


UNFOLD = """() => {
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  for (const button of document.querySelectorAll(".toggle-hidden button.toggle-button")) button.click();
  return document.querySelectorAll("article .toggle-hidden:not(.toggle-button)").length;
}"""


# In the dark only colours differ.
RULES = {"light": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]},
         "dark": {"type": "rule", "values": ["color-contrast"]}}


def barriers(page):
    """What axe-core finds serious or critical, in light and in dark."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core").Axe()
    page.evaluate("""() => {  // axe takes minutes for thousands of glyphs, and for code that looks like code before it
      for (const formula of document.querySelectorAll("mjx-container")) formula.replaceWith("x");
      for (const code of [...document.querySelectorAll("pre")].slice(4)) code.textContent = "x";
    }""")
    page.add_style_tag(content="* { transition: none !important; }")  # no colour half-way between two themes
    found = []
    for scheme, rules in RULES.items():
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"() => document.documentElement.dataset.theme === '{scheme}'")
        response = axe.run(page, options={"runOnly": rules, "resultTypes": ["violations"]}).response
        found += [f"{scheme}: {fault['id']} at {node['target']}: {node['failureSummary']}"
                  for fault in response["violations"] if fault["impact"] in ("serious", "critical")
                  for node in fault["nodes"]]
    return found


def faults_at(page, width):
    """What is wrong at this width, and at which; the page's own script sets wide formulas anew when it is resized."""
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_timeout(200)  # book.css's box for wide formulas comes after MathJax, and after a fold
    return [f"{width} px: {fault}" for fault in page.evaluate(FAULTS)]


@pytest.mark.parametrize("name", PAGES)
def test_page_reads_well_and_is_accessible(visit, name):
    """As it opens, and with every proof, solution and hidden cell unfolded; at each width.

    Loaded once: to set the formulas takes longer than all that is asked of the page.
    """
    page, found = visit(name, WIDTHS["phone"])
    # Pictures below the fold load when they come into view.
    page.evaluate("() => { for (const image of document.images) image.loading = 'eager'; }")
    page.wait_for_function("() => [...document.images].every((image) => image.complete)")
    assert [fault for width in WIDTHS.values() for fault in faults_at(page, width)] + found == []
    assert page.evaluate(UNFOLD) == 0
    assert [fault for width in WIDTHS.values() for fault in faults_at(page, width)] + found == []  # the desk comes last
    assert barriers(page) == []


def test_search_page_is_accessible(visit):
    assert barriers(visit("search")[0]) == []


BROKEN = {
    "scrolls sideways": "<div style='width: 3000px; height: 9px'></div>",
    "wider than the column": "<p style='width: 3000px; max-width: none; position: relative'>x</p>",
    "MathJax": "<mjx-container><mjx-assistive-mml></mjx-assistive-mml><mjx-merror>?</mjx-merror></mjx-container>",
    "screen readers miss": "<mjx-container></mjx-container>",
    "not set": "<span class='math'>$x$</span>",
    "missing": "<img src='nowhere.png' alt='A picture that nobody has ever seen'>",
    "without a description": "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw=' alt='A plot'>",
    "did not understand": "<span class='problematic'>?</span>",
    "a role": "<p>{prf:ref}`thm-x`</p>",
}


def test_what_is_too_wide_for_a_phone_alone_is_noticed_whatever_width_came_before(visit):
    page, _ = visit("book/cite")
    page.evaluate("""() => document.querySelector("article").insertAdjacentHTML(
      "beforeend", "<p style='width: 500px; max-width: none'>x</p>")""")
    for _ in range(2):
        assert faults_at(page, WIDTHS["desk"]) == []
        assert any("390 px: wider than the column" in fault for fault in faults_at(page, WIDTHS["phone"]))


def test_a_barrier_is_noticed(visit):
    page, _ = visit("book/cite")
    page.evaluate("""() => document.querySelector("article").insertAdjacentHTML(
      "beforeend", "<button></button><p style='color: #888; background: #777'>faint</p>")""")
    assert {barrier.split()[1] for barrier in barriers(page)} == {"button-name", "color-contrast"}


def test_a_missing_file_and_a_stranger_are_noticed(visit):
    page, found = visit("book/cite")
    page.evaluate("""() => ["nowhere.js", "http://127.0.0.1:9/x.js"].map(
      (src) => document.head.append(Object.assign(document.createElement("script"), { src })))""")
    page.wait_for_timeout(500)
    assert any("FILE_NOT_FOUND" in told for told in found) and any("asks the network" in told for told in found)


@pytest.mark.parametrize(("fault", "html"), BROKEN.items(), ids=BROKEN)
def test_a_broken_page_is_noticed(visit, fault, html):
    page, _ = visit("book/cite")
    page.evaluate("html => document.querySelector('article').insertAdjacentHTML('beforeend', html)", html)
    page.wait_for_function("() => [...document.images].every((image) => image.complete)")
    assert any(fault in told for told in page.evaluate(FAULTS))


# ---------------------------------------------------------------------------------------------------- links and search

class Addresses(HTMLParser):
    """Every id of a page, and every address it leads to or loads."""

    def __init__(self):
        super().__init__()
        self.ids, self.addresses = set(), []

    def handle_starttag(self, tag, attributes):
        for key, value in attributes:
            if key in ("id", "name") and value:
                self.ids.add(value)
            elif key in ("href", "src") and value:
                self.addresses.append(value)


@cache
def read(path):
    found = Addresses()
    found.feed(path.read_text("utf-8"))
    return found


def test_every_link_inside_the_book_leads_somewhere():
    lost = []
    for page in sorted(SITE.glob("**/*.html")):
        if "_static" in page.parts:
            continue
        for address in read(page).addresses:
            where, anchor = urldefrag(address)
            where = where.split("?")[0]
            if where.startswith(("http:", "https:", "mailto:", "data:", "javascript:")):
                continue
            target = (page.parent / unquote(where)).resolve() if where else page
            if not target.exists():
                lost.append(f"{page.relative_to(SITE)}: {address}: no such file")
            elif anchor and target.suffix == ".html" and unquote(anchor) not in read(target).ids:
                lost.append(f"{page.relative_to(SITE)}: {address}: no such place on the page")
    assert lost == []


@pytest.mark.parametrize(("arrow", "names"), [("right-next", PAGES), ("left-prev", PAGES[::-1])])
def test_arrows_lead_through_the_whole_book(arrow, names):
    for here, there in pairwise(names):
        page = SITE / f"{here}.html"
        leads = re.search(rf'class="{arrow}"\s+href="([^"]+)"', page.read_text("utf-8"))
        assert leads and (page.parent / leads[1]).resolve() == SITE / f"{there}.html", f"{arrow} of {here}"


@pytest.fixture
def first_found(visit):
    """first_found(words): the address that the search page lists first for these words."""
    page, _ = visit("search")
    page.evaluate("() => { DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false; }")  # else it loads each page it finds
    return lambda words: page.evaluate("""(words) => {
      document.getElementById("search-results").replaceChildren();
      Search.performSearch(words);
      return document.querySelector("ul.search > li > a")?.getAttribute("href");
    }""", words)


def typed(title):
    """A title as one would type it: TeX without its signs, no citation."""
    words = re.sub(r",? *\{cite.*?`.*?`|\\[,;!]|[${}]", "", title)
    return words.replace("\\", "")


def test_search_finds_every_statement_by_its_name(first_found):
    named, lost = {}, []
    for label, (_, title, source) in statements.statements().items():
        named.setdefault(typed(title), []).append(f"{source.relative_to(ROOT).with_suffix('')}.html#{label}")
    for name, addresses in named.items():  # two chapters may use one name
        if (first := first_found(name)) not in addresses:
            lost.append(f"{name!r}, at {addresses}, finds {first}")
    assert lost == []


def test_search_finds_statements_and_exercises_by_their_numbers(first_found):
    for label, target in numbering.targets().items():
        if target.number and target.kind not in ("page", "equation", "figure"):
            assert first_found(f"{target.kind} {target.number}") == f"{target.page}.html#{label}"


def test_reader_types_into_the_search_and_arrives(visit):
    label, (_, title, source) = next(item for item in statements.statements().items() if item[1][0] == "theorem")
    page, _ = visit(PAGES[0])
    page.keyboard.press("Control+k")
    page.keyboard.type(typed(title).lower())
    page.keyboard.press("Enter")
    page.locator("ul.search > li > a").first.click()
    page.wait_for_url(f"**/{source.stem}.html*#{label}")
    assert page.locator(f"#{label}").is_visible()
