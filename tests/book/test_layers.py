"""A chapter is read in half an hour: its main line is short, and everything else is folded or stands behind it."""

import execution
import myst
import pytest
from layers import BOX, main_line, parts, words

CHAPTERS = execution.chapters()
MOST_WORDS, MOST_FORMULAS, FIGURES, FIRST_FIGURE, BOX_WORDS = 2200, 10, range(3, 6), 500, range(15, 91)
CAPTION = 60
ADVICE = "fold it (:::{dropdown}), or move it to book/deeper"


def faults(line):
    """What is wrong with a chapter's main line, as sentences that say what to do."""
    found = []
    if line.words > MOST_WORDS:
        found.append(f"its main line has {line.words} words, more than {MOST_WORDS}: {ADVICE}")
    if line.formulas > MOST_FORMULAS:
        found.append(f"its main line displays {line.formulas} formulas, more than {MOST_FORMULAS}: {ADVICE}")
    if line.figures not in FIGURES:
        found.append(f"its main line has {line.figures} figures, not {FIGURES.start} to {FIGURES.stop - 1}")
    if line.words_before_figure is None or line.words_before_figure > FIRST_FIGURE:
        found.append(f"its first figure comes after {line.words_before_figure} words, more than {FIRST_FIGURE}")
    if words(line.box) not in BOX_WORDS:
        found.append(f"open it with an {{admonition}} {BOX} of two or three sentences, "
                     f"{BOX_WORDS.start} to {BOX_WORDS.stop - 1} words")
    return found


def captions(text):
    """(name, words) of each figure of a source."""
    figures = [block.options.get("mystnb", {}).get("figure", {}) for block in myst.walk(text)]
    return [(figure["name"], words(figure.get("caption", ""))) for figure in figures if "name" in figure]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_main_line_is_half_an_hours_reading(path):
    found = faults(main_line(path.read_text("utf-8")))
    found += [f"the caption of {name} has {count} words, more than {CAPTION}: results go into the text"
              for name, count in captions(path.read_text("utf-8")) if count > CAPTION]
    assert not found, f"{path.name}:\n" + "\n".join(f"  - {fault}" for fault in found)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_no_code_cell_is_inside_a_directive(path):
    """There it would be shown and not run."""
    inside = [cell.title for block in myst.blocks(path.read_text("utf-8")) for cell in block.inside
              if cell.name == "code-cell"]
    assert not inside, f"{path.name}: a code cell in a fold is not run; tag it hide-cell or hide-input instead"


PAGE = """---
a: b
---
# Title

:::{admonition} In short
:class: important

One two three.
:::

Four $x$ five {doc}`six`.

$$
y
$$ (eq-y)

```{code-cell} ipython3
---
mystnb:
  figure:
    name: fig-a
    caption: Not counted.
---
plot()
```

:::{dropdown} Proof
Folded words.

$$
z
$$
:::

:::{prf:theorem} Name
:label: thm-name

Seven $$z$$ eight.
:::

```{exercise} Title
:label: ex-a

Not counted.
```

```{solution-start} ex-a
:class: dropdown
```

Not counted.

```{code-cell} ipython3
1
```

```{solution-end}
```

Nine.
"""


def test_the_layers_are_told_apart():
    line = main_line(PAGE)
    assert (line.words, line.formulas, line.figures, line.cells, line.words_before_figure) == (10, 2, 1, 1, 7)
    assert (line.second, line.second_formulas) == (2, 1)
    assert line.box == "One two three."
    assert [layer for layer, piece in parts(PAGE) if layer == "fold"] == ["fold"]
    assert len(faults(line)) == 2  # too few figures, too short a box
