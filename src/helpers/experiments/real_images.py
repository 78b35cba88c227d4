"""The book's standard runs on images: a small CNN trained on labels of which some are wrong, one run for each seed."""

from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Bool
from numpy.typing import ArrayLike
from torch import nn

from helpers.data.images import LabelledImages, class_labels
from helpers.data.label_noise import add_label_noise
from helpers.data.subsets import hold_out
from helpers.entry import entry
from helpers.experiments.ranges import check_ranges
from helpers.experiments.settings import setting
from helpers.record import Record
from helpers.runtime import best_device
from helpers.training.batches import ImageBatches, standardise
from helpers.training.loop import fit, fit_side_by_side
from helpers.training.predictions import predicted_classes, predicted_outputs
from helpers.training.recipe import Recipe


@entry
def image_run(data: LabelledImages, seed: int, *, recipe: Recipe | None = None, n_val: int = 0,
              record_at: ArrayLike | None = None, watch: Callable[[int, nn.Module], object] | None = None) -> Record:
    """Record of one `SmallCNN` trained on `data` with the labels that it has.

    Parameters
    ----------
    data
        images of two classes that `setting` knows, "handwritten digits" or "CIFAR-10 images".
    seed
        of the weights and the batches.
    recipe
        by default that of the setting.
    n_val
        so many of the training images, the last ones, are held out for validation with their observed labels
        (`hold_out`): labels for validation are not free.
    record_at, watch
        as of `fit`.

    Examples
    --------
    >>> from helpers.data import add_label_noise, load_digits
    >>> from helpers.experiments import image_run
    >>> data = add_label_noise(load_digits(n_train=60), 0.2, seed=0)
    >>> image_run(data, 0, record_at=[0, 2])
    Record(1 runs, 2 times from 0 to 2, 60 samples: times, y, y_obs, margins, fresh_error, observed_error)
    """
    check_ranges(seed=seed, n_val=n_val)
    chosen = setting("real_images", data)
    held = hold_out(data, n_val) if n_val else data
    return fit(chosen.network(held, seed), held, recipe or chosen.recipe, seed, record_at=record_at, n_val=n_val,
               device=best_device(), watch=watch)


@entry
def image_runs(data: LabelledImages, flip_rate: float, seeds: Iterable[int], *, n_val: int = 0) -> Record:
    """Record of one `image_run` for each seed, which also draws that run's wrong labels at `flip_rate`."""
    check_ranges(flip_rate=flip_rate, n_val=n_val)
    seeds = list(seeds)
    check_ranges(seeds=seeds)
    return fit_side_by_side(lambda seed: image_run(add_label_noise(data, flip_rate, seed=seed), seed, n_val=n_val),
                            seeds)


@entry
def image_run_and_mistakes(data: LabelledImages, seed: int, *, n_val: int = 0, record_at: ArrayLike | None = None
                           ) -> tuple[Record, Bool[np.ndarray, "T n_test"]]:
    """`image_run`, and which test images are misclassified at each recorded epoch (true labels)."""
    check_ranges(seed=seed, n_val=n_val)
    seen = []
    images = ImageBatches(standardise(data.keep(np.arange(data.n) < data.n - n_val).x, data.x_test)[1], best_device())

    def watch(epoch: int, model: nn.Module) -> None:
        found = predicted_classes(predicted_outputs(model, images, epoch=epoch, n_classes=data.n_classes))
        seen.append(class_labels(found, data.n_classes) != data.y_test)

    record = image_run(data, seed, n_val=n_val, record_at=record_at, watch=watch)
    return record, np.array(seen)


@entry
def image_mistakes(data: LabelledImages, flip_rate: float, seeds: Iterable[int], *, n_val: int = 0
                   ) -> tuple[Record, Bool[np.ndarray, "runs T n_test"]]:
    """`image_runs`, and which test images are misclassified at each recorded epoch (true labels)."""
    check_ranges(flip_rate=flip_rate, n_val=n_val, seeds=seeds)
    seen, seeds = {}, list(seeds)

    def run(seed: int) -> Record:
        record, seen[seed] = image_run_and_mistakes(add_label_noise(data, flip_rate, seed=seed), seed, n_val=n_val)
        return record

    record = fit_side_by_side(run, seeds)
    return record, np.array([seen[seed] for seed in seeds])
