"""What all tests share: threads, hypothesis, and a few problems small enough to be quick."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and torch: pytest-xdist fills the cores with processes
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest
import torch
from hypothesis import Phase, settings
from marks import pytest_itemcollected  # noqa: F401
from web import Handler

from helpers import SignalNoise
from helpers.data.datasets import load_digit_classes, load_digits
from helpers.data.subsets import keep_samples

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
def digits():
    """The digits, even against odd."""
    return load_digits()


@pytest.fixture(scope="module")
def few_digits():
    """500 of them."""
    return load_digits().subset(500)


@pytest.fixture(scope="module")
def ten_digits():
    """The digits in ten classes."""
    return load_digit_classes()


@pytest.fixture(scope="module")
def rated():
    """Digits without the school, and the raters' law on them."""
    from helpers.data import raters  # here: scikit-learn takes a second, and few tests need it

    digits = load_digit_classes(n_train=1300)
    school = np.arange(digits.n) < 200
    data = keep_samples(digits, ~school)
    return data, raters.rater_law(keep_samples(digits, school), data, 0.177)


@pytest.fixture
def server(tmp_path):
    """(folder, address) of a web server."""
    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


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
