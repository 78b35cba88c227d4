"""Images of bright columns, small enough to train on in a moment, and what is trained on them."""

import numpy as np

from helpers.data.images import LabelledImages
from helpers.training.models import SmallCNN
from helpers.training.recipe import Recipe

SHORT = Recipe(epochs=3, lr=0.05, batch_size=32)


def images(n_classes=3, n=120, n_test=60, channels=1, side=8, seed=0):
    """Noise with a bright column whose place tells the class."""
    rng = np.random.default_rng(seed)
    index = np.arange(n + n_test) % n_classes
    x = 0.5 * rng.random((n + n_test, channels, side, side))
    x[np.arange(n + n_test), :, :, index] += 0.4
    y = np.where(index == 1, 1.0, -1.0) if n_classes == 2 else index
    names = tuple(f"column {k}" for k in range(n_classes))
    return LabelledImages("columns", names, x[:n], y[:n], x[n:], y[n:])


def small_cnn(data, seed=0):
    return SmallCNN(data.image_shape, width=8, seed=seed, n_outputs=data.n_classes)
