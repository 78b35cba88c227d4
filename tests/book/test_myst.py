"""The reader of MyST: what it finds, where and how deep, what it leaves alone, and what it refuses."""

import myst
import pytest
from made_up import HEADER

PAGE = HEADER + """(sec-a)=
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
text = '''
:::{note}
'''
```

- An item:

  ```python
  f(
      x)
  ```
"""


def test_every_block_is_found_with_its_place_and_what_is_inside():
    found, lines = list(myst.walk(PAGE)), [line.strip() for line in PAGE.split("\n")]
    assert [(block.name, block.title, block.label, lines[block.first], lines[block.last - 1]) for block in found] == [
        ("section", "A section", "sec-a", "## A section", "## A section"),
        ("prf:theorem", "One & more", "thm-a", "::::{prf:theorem} One & more", "::::"),
        ("equation", "", "eq-a", "$$", "$$ (eq-a)"), ("note", "", "", "```{note}", "```"),
        ("code-cell", "ipython3", "", "```{code-cell} ipython3", "```"), ("python", "", "", "```python", "```")]
    _, theorem, equation, note, cell, code = found
    assert theorem.inside == (equation, note) and theorem.options["class"] == "dropdown"
    assert theorem.text.startswith("Let\n\n$$") and equation.text == "x" and note.text == "inside"
    assert cell.options["mystnb"]["figure"]["name"] == "fig-a" and cell.text == "text = '''\n:::{note}\n'''"
    assert code.text == "f(\n    x)"


@pytest.mark.parametrize("text", [":::{note}\nx\n", "x\n:::\n", ":::\nx\n:::\n", "```{code-cell}\n1\n",
                                  ":::{note}\n:::{tip}\nx\n:::\n:::\n", "::::{note}\n:::{tip}\n::::\n"])
def test_unbalanced_fences_are_refused(text):
    with pytest.raises(ValueError, match=r"^book/a: line [12]: "):
        myst.blocks(text, page="book/a")
