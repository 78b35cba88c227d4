"""The reader of MyST: what it finds, where and how deep, what it leaves alone, and what it refuses."""

import myst
import pytest

PAGE = """---
title: no :::{note}
---

(sec-a)=
## A section

::::{prf:theorem} One & more
:label: thm-a
:class: dropdown

Let

$$
x
$$ (eq-a)

```{note}
inside
```
::::

$$
no label
$$

```{code-cell} ipython3
---
mystnb: {figure: {name: fig-a}}
---
text = ":::{note}"
```

- An item:

  ```python
  f(
      x)
  ```
"""


def test_every_block_is_found_with_its_place_and_what_is_inside():
    found = list(myst.walk(PAGE))
    assert [(block.name, block.title, block.label) for block in found] == [
        ("section", "A section", "sec-a"), ("prf:theorem", "One & more", "thm-a"), ("equation", "", "eq-a"),
        ("note", "", ""), ("code-cell", "ipython3", ""), ("python", "", "")]
    _, theorem, equation, note, cell, code = found
    assert theorem.options["class"] == "dropdown" and theorem.text.startswith("Let\n\n$$")
    assert theorem.inside == (equation, note) and equation.text == "x" and note.text == "inside"
    lines = PAGE.split("\n")
    assert [lines[block.first].strip() for block in found[1:]] == [
        "::::{prf:theorem} One & more", "$$", "```{note}", "```{code-cell} ipython3", "```python"]
    assert [lines[block.last - 1].strip() for block in found[1:]] == ["::::", "$$ (eq-a)", "```", "```", "```"]
    assert cell.options["mystnb"]["figure"]["name"] == "fig-a" and cell.text == 'text = ":::{note}"'
    assert code.text == "f(\n    x)"


@pytest.mark.parametrize("text", ["x\n\n:::{note}\nx", "x\n\n::::{note}\n:::{tip}\n::::", "x\n\n```{note}"])
def test_what_is_never_closed_is_refused(text):
    with pytest.raises(ValueError, match=r"^book/a: line [34]: .* is never closed"):
        myst.blocks(text, page="book/a")
