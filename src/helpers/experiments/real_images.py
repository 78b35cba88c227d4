"""The book's standard runs on images: a small CNN trained on labels of which some are wrong, one run for each seed."""

from collections.abc import Iterable

from numpy.typing import ArrayLike

from helpers.data.images import LabelledImages
from helpers.data.label_noise import add_label_noise
from helpers.experiments.settings import setting
from helpers.record import Record
from helpers.runtime import best_device
from helpers.training.loop import Recipe, fit, side_by_side


def image_run(data: LabelledImages, seed: int, *, recipe: Recipe | None = None, n_val: int = 0,
              record_at: ArrayLike | None = None) -> Record:
    """Record of one `SmallCNN` trained on `data` with the labels that it has.

    Parameters
    ----------
    data
        images of two classes that `setting` knows, "handwritten digits" or "CIFAR-10 images".
    seed
        of the weights and the batches.
    recipe
        by default that of the setting.
    n_val, record_at
        as of `fit`.

    Examples
    --------
    >>> from helpers.data import add_label_noise, load_digits
    >>> from helpers.experiments import image_run
    >>> data = add_label_noise(load_digits(n_train=60), 0.2, seed=0)
    >>> image_run(data, 0, record_at=[0, 2])
    Record(1 runs, 2 times from 0 to 2, 60 samples: times, y, y_obs, margins, fresh_error, observed_error)
    """
    chosen = setting("real_images", data)
    return fit(chosen.network(data, seed), data, recipe or chosen.recipe, seed, record_at=record_at, n_val=n_val,
               device=best_device())


def image_runs(data: LabelledImages, flip_rate: float, seeds: Iterable[int], *, n_val: int = 0) -> Record:
    """Record of one `image_run` for each seed, which also draws that run's wrong labels at `flip_rate`."""
    return side_by_side(lambda seed: image_run(add_label_noise(data, flip_rate, seed=seed), seed, n_val=n_val), seeds)
