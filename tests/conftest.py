"""What all tests share: threads, hypothesis, and a few problems small enough to be quick."""

import os
import shutil
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and torch: pytest-xdist fills the cores with processes
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
import torch
from hypothesis import Phase, settings

from helpers import SignalNoise

torch.set_num_threads(1)

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chrome")

# The same examples each time: with the seeds fixed too, a test that passed passes again. No deadline: no timed tests.
settings.register_profile("book", derandomize=True, deadline=None, max_examples=30)
# To see whether a test fails at all, it need not be shrunk to its simplest failure.
settings.register_profile("red or green", settings.get_profile("book"), phases=[Phase.generate])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "book"))


@pytest.fixture
def law():
    """A small problem with a clear signal and unequal flip rates."""
    return SignalNoise(20, 100, n_snr2=4.0, flip_plus=0.1, flip_minus=0.3)


@pytest.fixture
def sample(law):
    """One draw of it; its labels have flips in both classes."""
    drawn = law.sample(3)
    assert {float(label) for label in drawn.y[drawn.flipped]} == {-1.0, 1.0}
    return drawn


@pytest.fixture(scope="module")
def browser():
    """Chromium, driven by Playwright. A whole session long, its event loop would be in other modules' way."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: pages are not tested")
    with playwright.sync_playwright() as driver:
        found = next(filter(None, map(shutil.which, CHROMIUMS)), None) or driver.chromium.executable_path
        if not Path(found).exists():
            pytest.skip(f"none of {', '.join(CHROMIUMS)} is installed: pages are not tested")
        started = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()
