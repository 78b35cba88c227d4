"""The book's standard runs on images: a small CNN trained on labels of which some are wrong, one run a seed."""

from helpers.data.label_noise import add_label_noise
from helpers.runtime import best_device
from helpers.training.loop import Recipe, fit, side_by_side
from helpers.training.models import SmallCNN

# data.name -> channels of the first convolution, and the recipe
SETTINGS = {"handwritten digits": (32, Recipe(epochs=60, lr=0.1)), "CIFAR-10 images": (16, Recipe(epochs=40, lr=0.03))}


def image_run(data, seed, *, recipe=None, n_val=0, record_at=None):
    """Record of one SmallCNN trained on `data` with the labels that it has; the seed is of the weights and the batches.

    recipe : by default that of SETTINGS. n_val, record_at : see fit.fit. Raises KeyError for data unknown to SETTINGS.
    """
    width, standard = SETTINGS[data.name]
    model = SmallCNN(data.image_shape, width=width, seed=seed)
    return fit(model, data, recipe or standard, seed, record_at=record_at, n_val=n_val, device=best_device())


def image_runs(data, flip_rate, seeds, *, n_val=0):
    """Record of one run of `image_run` for each seed, which also draws that run's wrong labels at `flip_rate`."""
    return side_by_side(lambda seed: image_run(add_label_noise(data, flip_rate, seed=seed), seed, n_val=n_val), seeds)
