"""Tables wider than their column take the keyboard's focus, whatever fonts a machine has."""

import execution
import pandas as pd
import pytest

ASSETS = execution.ROOT / "book" / "assets"


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 600, "height": 400})
    yield page
    page.close()


def test_a_data_frame_takes_the_focus_just_where_it_scrolls(page):
    """With wider letters three pages had tables that scrolled and could not be reached with the tab key."""
    tables = "".join(pd.DataFrame({"column" * length: [1]}).to_html() for length in (1, 40))
    page.set_content(f"<article class='bd-article'><div class='output text_html'>{tables}</div></article>")
    page.add_style_tag(path=ASSETS / "book.css")
    page.evaluate((ASSETS / "wide-math.js").read_text("utf-8"))
    page.evaluate("dispatchEvent(new Event('load'))")
    taken = "[...document.querySelectorAll('table')].map((it) => [it.scrollWidth > it.clientWidth, it.tabIndex])"
    page.wait_for_function(f"{taken}[1][1] === 0", timeout=3000)
    assert page.evaluate(taken) == [[False, -1], [True, 0]]
    page.add_style_tag(content="table { letter-spacing: 9em; }")  # a font that comes late, or is wider
    page.wait_for_function(f"{taken}[0][1] === 0", timeout=3000)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "TABLE"
