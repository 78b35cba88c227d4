"""The Chromium that tests drive, and how they open a page in it."""

import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@contextmanager
def chromium():
    """A started Chromium; skips the test, with the reason, where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: pages are not tested")
    with playwright.sync_playwright() as driver:
        found = next(filter(None, map(shutil.which, CHROMIUMS)), None) or driver.chromium.executable_path
        if not Path(found).exists():
            pytest.skip(f"none of {', '.join(CHROMIUMS)} is installed: pages are not tested")
        started = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


def complaints(page):
    """A list that grows with every error, warning, failed request and request to a stranger of this page."""
    found = []
    page.on("console", lambda message: message.type in ("error", "warning") and found.append(message.text))
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("requestfailed", lambda request: found.append(f"not loaded: {request.url}"))
    page.on("request", lambda request: request.url.startswith(("file:", "data:", "blob:"))
            or found.append(f"asks the network: {request.url}"))
    return found
