"""Slides: every statement, figure and exercise of a chapter is on one, no proof is, and nothing needs a network.

In a real browser nothing is cut off. That test is skipped where there is no Playwright or no Chromium.
"""

import base64
import html
import io
import re

import execution
import jupytext
import matplotlib.pyplot as plt
import myst
import numbering
import plain_markdown
import pytest
import slides
from browsers import complaints
from exercises import exercises
from layers import parts
from made_up import HEADER
from nbformat.v4 import new_output
from statements import CLAIMS

CHAPTERS = execution.chapters()
CHAPTER = HEADER + r"""
# Sums of two

:::{admonition} In short
:class: important

One and one. More in {prf:ref}`thm-sum`.
:::

```{code-cell} ipython3
1 + 1
```

## The theorem

Here it is. It is short:

::::{prf:theorem} Two & more
:label: thm-sum

By {eq}`eq-sum` and

$$
a < b
$$ (eq-order)

it is two.
::::

:::{prf:proof}
A secret.
:::

$$
1 + 1 = 2
$$ (eq-sum)

A sum is {eq}`eq-sum`. So:

:::{dropdown} Folded
Nobody says this.
:::

## Verdict

Look at the *sums*. Two of {cite:t}`han2025role`
are shown.

```{code-cell} ipython3
---
mystnb:
  figure:
    name: fig-two-sums
    caption: |
      Two *sums* are two.
  image:
    alt: Two sums
---
draw()
```

And:

```{code-cell} ipython3
:tags: [nbval-check-output]
print(2 < 3)
```

## Summary

- It is {math}`2`.

## Exercises

:::{exercise} Three ★★
:label: ex-three

And three?
:::

::::{solution} ex-three
:class: dropdown

Also a secret.
::::
"""


@pytest.fixture
def deck(tmp_path):
    path = tmp_path / "01_sums.md"
    path.write_text(CHAPTER)
    notebook = jupytext.read(path)
    notebook.cells[-2].outputs = []
    for cell in notebook.cells:
        if cell.source == "draw()":
            cell.outputs = [new_output("display_data", {"image/png": "PICTURE\n"})]
        elif cell.source == "print(2 < 3)":
            cell.outputs = [new_output("stream", name="stdout", text="True <\n")]
    return path, notebook


@pytest.fixture(autouse=True)
def labels(request, monkeypatch):
    """What the made-up chapter refers to, where it is used."""
    if "deck" in request.fixturenames:
        targets = {label: numbering.Target(kind, number, title, "nbs/01_sums") for label, kind, number, title in [
            ("thm-sum", "theorem", "1.1", "Two & more"), ("eq-sum", "equation", "1.2", ""),
            ("eq-order", "equation", "1.1", "")]}
        monkeypatch.setattr(slides, "words", lambda: plain_markdown.Plain("slides", targets, titled=True))
        monkeypatch.setattr(slides, "equations", lambda: {"eq-sum": "$$1 + 1 = 2$$ (eq-sum)"})


@pytest.fixture
def sections(deck):
    return slides.deck(*deck)


def test_what_goes_on_a_slide(sections):
    titles = [re.search(r"<h[12]>(.*?)</h[12]>", section)[1] for section in sections]
    assert titles == ["Sums of two", "In short", "The way", "Theorem 1.1: Two &amp; more", "What it refers to",
                      "Two <em>sums</em> are two", "Verdict", "Summary", "Exercises"]
    text = "\n".join(sections)
    assert "More in Theorem 1.1 (“Two &amp; more”)." in sections[1] and "By (1.2) and" in sections[3]
    assert "secret" not in text and "And three?" not in text
    assert 'src="data:image/png;base64,PICTURE"' in text and "True &lt;" in text
    assert r"1 + 1 = 2 \tag{1.2}" in sections[4] and r"\tag{1.1}" in sections[3] and r"\(2\)" in sections[7]
    assert 'Three <span class="stars">★★</span>' in sections[-1]


def test_a_slide_says_its_section(sections):
    assert '<p class="where">1. Sums of two · The theorem</p>' in sections[3]
    assert '<p class="where">1. Sums of two · Verdict</p>' in sections[5]


def test_without_outputs_there_are_no_pictures_and_no_verdict(deck):
    text = "\n".join(slides.deck(deck[0], jupytext.read(deck[0])))
    assert "<img" not in text and "<h2>Verdict" not in text and "Two <em>sums</em> are two<" in text


def test_a_long_text_goes_over_several_slides():
    text = "\n\n".join(f"{number}. " + " ".join(60 * ["words"]) for number in range(1, 8))
    pages = slides.pages_of(text)
    assert len(pages) == 4 and "\n\n".join(pages) == text
    made = slides.text_slides("where", "Long", text, set())
    assert "Long (1 of 4)" in made[0] and "Long (4 of 4)" in made[3] and '<ol start="3">' in made[1]


def test_a_few_words_at_the_end_get_no_slide_of_their_own():
    full = " ".join(180 * ["words"])
    assert len(slides.pages_of(f"{full}\n\nA last word.")) == 1
    assert len(slides.pages_of(f"{full}\n\nA word.\n\n{full}")) == 3


@pytest.mark.parametrize("caption, title, rest", [
    ("Noise wins.\nLeft: $a. B$ of 5. More.", "Noise wins", "Left: $a. B$ of 5. More."),
    ("What of $c = 0.5$? Nothing.", "What of $c = 0.5$?", "Nothing."),
    (f"Noise wins: {40 * 'so '}long. Yes.", "Noise wins", f"{40 * 'so '}long. Yes.".capitalize().replace("yes", "Yes")),
])
def test_a_figures_title_is_its_finding(caption, title, rest):
    assert slides.finding({"name": "fig-x", "caption": caption}, caption) == (title, rest)


@pytest.mark.parametrize("caption", ["Left: one thing. Right: another.", f"A caption {40 * 'too '}long. Yes."])
def test_a_caption_without_a_finding_is_named_or_its_finding_quoted(caption, monkeypatch):
    figure, text = {"name": "fig-x", "caption": caption}, f"{caption}\n\nSo we see\nthat noise wins."
    with pytest.raises(ValueError, match="fig-x: its caption does not open with a finding"):
        slides.finding(figure, text)
    monkeypatch.setattr(slides, "quoted", lambda: {"fig-x": "we see that noise wins"})
    assert slides.finding(figure, text) == ("We see that noise wins", caption)
    with pytest.raises(ValueError, match=r"fig-x.*'we see that noise wins', which its chapter does not say"):
        slides.finding(figure, caption)


def test_every_quoted_finding_belongs_to_a_figure():
    assert set(slides.quoted()) <= {label for label, target in numbering.targets().items() if target.kind == "figure"}


def notes(section):
    """The sentences of a slide's notes, in plain words."""
    (aside,) = re.findall(r'<aside class="notes mathjax_ignore">(.*?)</aside></section>', section) or [""]
    return [plain(line) for line in re.findall(r"<p>(.*?)</p>", aside)]


def plain(text):
    """A slide's text without its marks, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


def test_notes_are_what_the_main_line_says_beside_a_slide(sections):
    said = {re.search(r"<h[12]>(.*?)</h[12]>", section)[1]: notes(section) for section in sections}
    assert {title: lines for title, lines in said.items() if lines} == {
        "Theorem 1.1: Two &amp; more": ["Here it is.", "A sum is (1.2)."],
        "Two <em>sums</em> are two": ["Look at the sums.", "Two of Han et al. (2025) are shown."],
        "Verdict": ["And:"]}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_titles_are_findings_numbers_are_the_books_and_notes_the_main_lines(path):
    text, found = path.read_text("utf-8"), []
    said = "\n\n".join(piece for layer, piece in parts(text) if layer == "main")
    said = plain(slides.rendered(re.sub(r"^#.*$", "", said, flags=re.MULTILINE)))
    deck = slides.deck(path, jupytext.read(path))
    for section in deck:
        title = plain(re.search(r"<h[12]>(.*?)</h[12]>", section, re.DOTALL)[1])
        found += [f"a label for a title: {title}"] if re.match(r"(?i)(figure|fig|table)\b[ .-]*[\d-]", title) else []
        found += [f"{title}: no notes"] if "<figure" in section and not notes(section) else []
        found += [f"{title}: its notes say what the main line does not: {line}" for line in notes(section)
                  if line not in said]
    tags = set(re.findall(r"\\tag\{([\d.]+)\}", "\n".join(deck)))
    own = {target.number for target in numbering.targets().values() if target.kind == "equation"}
    found += [f"no equation of the book has the number {number}" for number in tags - own]
    for stop in slides.stops(jupytext.read(path)):
        labels = [block.label for block in myst.walk(stop.what.text) if block.name == "equation"] \
            if isinstance(stop.what, myst.Block) else []
        found += [f"{label} lacks its number" for label in labels if numbering.targets()[label].number not in tags]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_statement_figure_and_exercise_is_on_a_slide(path):
    notebook = jupytext.read(path)
    text = "\n".join(slides.deck(path, notebook))
    main_line = [block for block in myst.blocks(path.read_text("utf-8")) if block.statement in CLAIMS]
    titles = [block.title for block in main_line]  # what is folded is for reading, not for a lecture
    titles += [one.title for one in exercises(path.read_text("utf-8"))]
    figures = [cell.metadata["mystnb"]["figure"] for cell in notebook.cells
               if "figure" in cell.metadata.get("mystnb", {})]
    missing = [title for title in titles if slides.inline(title) not in text]
    for title, rest in [slides.finding(figure, path.read_text("utf-8")) for figure in figures]:
        missing += [] if slides.inline(title) in text and slides.rendered(rest) in text else [title]
    assert not missing, f"not on a slide: {missing}"
    words = re.sub(r"\\\(.*?\\\)|\\\[.*?\\\]|<[^>]+>", "", html.unescape(text), flags=re.DOTALL)
    left = re.findall(r".{20}(?:\{[a-z:]+\}`|\$\$|:::).{20}", words)
    assert not left, f"MyST that tools/plain_markdown.py does not put in words: {left}"
    assert not re.search(r"(?:src|href)=\"?https?:", text), "slides must need no network"


def test_the_page_takes_nothing_from_a_network_and_has_its_assets(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(slides.execution, "executed", lambda path: jupytext.read(path))
    monkeypatch.setattr(slides.execution, "chapters", lambda: CHAPTERS[:1])
    assert slides.main(tmp_path) is None
    (page,) = tmp_path.glob("*.html")
    wanted = re.findall(r'(?:src|href)="([^"#][^"]*)"', page.read_text("utf-8"))
    assert wanted and all((tmp_path / name).is_file() for name in wanted if not name.startswith("data:")), wanted


def test_a_chapter_that_was_not_executed_is_named(tmp_path, monkeypatch):
    def executed(path):
        raise KeyError(path)
    monkeypatch.setattr(slides.execution, "executed", executed)
    monkeypatch.setattr(slides.execution, "chapters", lambda: CHAPTERS[:1])
    assert CHAPTERS[0].name in slides.main(tmp_path)


LOOK = """() => {
  const slide = Reveal.getCurrentSlide(), scale = Reveal.getScale(), frame = slide.getBoundingClientRect();
  const seen = [...slide.querySelectorAll("*")].filter((part) => !part.closest("mjx-assistive-mml"));
  const ends = (side) => Math.max(...seen.map((part) => part.getBoundingClientRect()[side] - frame[side])) / scale;
  const sizes = [slide, ...slide.querySelectorAll('mjx-container[display="true"]')].map((part) =>
    parseFloat(getComputedStyle(part).fontSize) * scale);
  return {title: slide.querySelector("h1, h2").textContent, right: ends("right"), bottom: ends("bottom"),
          smallest: Math.min(...sizes),
          broken: [...slide.querySelectorAll("img")].filter((it) => !it.naturalWidth).length,
          errors: slide.querySelectorAll("mjx-merror, [data-mjx-error]").length};
}"""


@pytest.fixture(scope="module")
def real_decks(tmp_path_factory):
    """Two chapters' decks as files; figures are blank, as large as the book's, so that nothing need be executed."""
    folder, file = tmp_path_factory.mktemp("slides"), io.BytesIO()
    plt.figure(figsize=(6.4, 4.4)).savefig(file, dpi=120)
    plt.close("all")
    picture = base64.b64encode(file.getvalue()).decode()

    def executed(path):
        notebook = jupytext.read(path)
        for cell in notebook.cells:
            if "figure" in cell.metadata.get("mystnb", {}):
                cell.outputs = [new_output("display_data", {"image/png": picture})]
        return notebook

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slides.execution, "executed", executed)
        chosen = [path for path in CHAPTERS if path.stem.endswith(("loss_distributions", "network_decomposition"))]
        patch.setattr(slides.execution, "chapters", lambda: chosen)
        slides.main(folder)
    return {path.stem[:2]: path.as_uri() for path in folder.glob("*.html")}


@pytest.mark.parametrize("chapter, width, height, smallest", [
    ("15", 1280, 720, 15), ("15", 390, 844, 6), ("02", 1280, 720, 15)])
def test_in_a_browser_nothing_is_cut_off(browser, real_decks, chapter, width, height, smallest):
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    faults = complaints(page)
    page.goto(real_decks[chapter])
    page.wait_for_function("() => window.Reveal?.isReady?.()")
    for number in range(page.evaluate("Reveal.getTotalSlides()")):
        page.evaluate(f"Reveal.slide({number})")
        seen = page.evaluate(LOOK)
        if seen["right"] > 1 or seen["bottom"] > 1 or seen["smallest"] < smallest or seen["broken"] or seen["errors"]:
            faults.append(seen)
    context.close()
    assert number > 14 and not faults
