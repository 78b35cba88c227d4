"""What a network answers: standardised pixels, and measuring in parts."""

import numpy as np
import torch

from helpers.training import predictions
from helpers.training.batches import standardise
from helpers.training.models import SmallCNN
from helpers.training.predictions import predicted_outputs


def test_measuring_in_parts_bounds_memory_and_changes_nothing(small, monkeypatch):
    model, x = SmallCNN(small.image_shape), torch.from_numpy(small.x)
    whole = predicted_outputs(model, x)
    monkeypatch.setattr(predictions, "MEASURE_BATCH", 7)
    np.testing.assert_allclose(predicted_outputs(model, x), whole, rtol=1e-4, atol=1e-6)  # float32 rounding


def test_standardised_pixels(digits):
    x, x_test = standardise(digits.x, digits.x_test)
    # float32 sums over 64,000 pixels
    assert abs(x.mean()) < 1e-4 and abs(x.std() - 1) < 1e-4 and x.dtype == x_test.dtype == np.float32
    np.testing.assert_allclose(x_test * digits.x.std() + digits.x.mean(), digits.x_test, atol=1e-4)
    flat = standardise(np.ones((3, 2, 4, 4), np.float32), np.zeros((1, 2, 4, 4), np.float32))
    assert np.isfinite(flat[0]).all() and np.isfinite(flat[1]).all()
