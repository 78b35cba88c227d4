"""What the tests of training train on."""

import pytest
from columns import images

from helpers.data.label_noise import add_label_noise


@pytest.fixture(scope="module")
def small(digits):
    """200 noisy training images."""
    return add_label_noise(digits.subset(200), 0.2, seed=0)


@pytest.fixture(scope="module")
def three():
    """Images of three classes, a fifth of their labels flipped."""
    return add_label_noise(images(), 0.2, seed=0)
