"""Slides: every statement, figure and exercise of a chapter is on one, no proof is, and nothing needs a network."""

import html
import re

import execution
import exercises
import jupytext
import myst_words
import pytest
import slides
import statements
from made_up import HEADER
from nbformat.v4 import new_output

CHAPTERS = execution.chapters()
CHAPTER = HEADER + r"""
# Sums of two

**In this chapter.** One and one. More in {prf:ref}`thm-sum`.

```{code-cell} ipython3
1 + 1
```

## The theorem

Here it is:

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

## Verdict

```{code-cell} ipython3
---
mystnb:
  figure:
    name: fig-two-sums
    caption: |
      Two *sums*.
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


@pytest.fixture
def sections(deck, monkeypatch):
    monkeypatch.setattr(slides, "equations", lambda: {"eq-sum": "1 + 1 = 2"})
    return slides.deck(*deck)


def test_what_goes_on_a_slide(sections):
    titles = [re.search(r"<h[12]>(.*?)</h[12]>", section)[1] for section in sections]
    assert titles == ["Sums of two", "In this chapter", "The way", "Theorem: Two &amp; more", "What it refers to",
                      "Two sums", "Verdict", "Summary", "Exercises"]
    text = "\n".join(sections)
    assert "secret" not in text and "And three?" not in text
    assert 'src="data:image/png;base64,PICTURE"' in text and "<em>sums</em>" in text and "True &lt;" in text
    assert r"1 + 1 = 2 \tag{sum}" in sections[4] and r"\tag{order}" in sections[3] and r"\(2\)" in sections[7]
    assert 'Three <span class="stars">★★</span>' in sections[-1]


def test_a_slide_says_its_section(sections):
    assert '<p class="where">1. Sums of two · The theorem</p>' in sections[3]
    assert '<p class="where">1. Sums of two · Verdict</p>' in sections[5]


def test_without_outputs_there_are_no_pictures_and_no_verdict(deck, monkeypatch):
    monkeypatch.setattr(slides, "equations", lambda: {"eq-sum": "1 + 1 = 2"})
    text = "\n".join(slides.deck(deck[0], jupytext.read(deck[0])))
    assert "<img" not in text and "<h2>Verdict" not in text and "Two <em>sums" in text


def test_a_long_text_goes_over_several_slides():
    text = "\n\n".join(f"{number}. " + " ".join(60 * ["words"]) for number in range(1, 8))
    pages = slides.pages_of(text)
    assert len(pages) == 4 and "\n\n".join(pages) == text
    made = slides.text_slides("where", "Long", text, set())
    assert "Long (1 of 4)" in made[0] and "Long (4 of 4)" in made[3] and '<ol start="3">' in made[1]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_statement_figure_and_exercise_is_on_a_slide(path):
    notebook = jupytext.read(path)
    text = "\n".join(slides.deck(path, notebook))
    titles = [title for _, title, _ in statements.claims(path.read_text("utf-8"))]
    titles += [one.title for one in exercises.exercises(path.read_text("utf-8"))]
    captions = [cell.metadata["mystnb"]["figure"]["caption"] for cell in notebook.cells
                if "figure" in cell.metadata.get("mystnb", {})]
    missing = [title for title in titles if myst_words.inline(title) not in text]
    missing += [caption for caption in captions if myst_words.rendered(caption) not in text]
    assert not missing, f"not on a slide: {missing}"
    words = re.sub(r"\\\(.*?\\\)|\\\[.*?\\\]|<[^>]+>", "", html.unescape(text), flags=re.DOTALL)
    left = re.findall(r".{20}(?:\{[a-z:]+\}`|\$\$|:::).{20}", words)
    assert not left, f"MyST that tools/myst_words.py does not put in words: {left}"
    assert not re.search(r"(?:src|href)=\"?https?:", text), "slides must need no network"


def test_the_page_takes_nothing_from_a_network_and_has_its_assets(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(slides.execution, "executed", lambda path: jupytext.read(path))
    assert slides.main(["05", "--out", str(tmp_path)]) == 0
    (page,) = tmp_path.glob("*.html")
    wanted = re.findall(r'(?:src|href)="([^"#][^"]*)"', page.read_text("utf-8"))
    assert wanted and all((tmp_path / name).is_file() for name in wanted if not name.startswith("data:")), wanted


def test_a_chapter_that_was_not_executed_is_named(tmp_path, monkeypatch, capsys):
    def executed(path):
        raise KeyError(path)
    monkeypatch.setattr(slides.execution, "executed", executed)
    assert slides.main(["05", "--out", str(tmp_path)]) == 1
    assert "05_no_label_noise.md" in capsys.readouterr().err
