"""Class probabilities of every training sample by a model that was not trained on it: cross-validation."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from torch import nn
from torch.utils.data import Dataset
from tqdm import tqdm

from helpers import checks
from helpers.data.images import LabelledData, class_index
from helpers.entry import entry
from helpers.streams import random_stream
from helpers.training.batches import labelled_data, sample_batches, standardise
from helpers.training.draws import may_draw, seeded_draws
from helpers.training.loop import fit
from helpers.training.losses import loss_logits
from helpers.training.predictions import predicted_outputs
from helpers.training.recipe import Recipe


def cross_validation_folds(n: int, folds: int, seed: int) -> Int[np.ndarray, " n"]:
    """The fold, 0 to folds - 1, in which each of n samples is held out: a random split into parts of one size.

    The same for all models and all labels of that n and seed.
    """
    folds = checks.integer("folds", folds, 2, checks.integer("n", n, 2))
    return random_stream(seed, "folds").permutation(n) % folds


LEAST = 3  # of two, one fold may hold out both


def require_samples(data: LabelledData) -> None:
    """Raise ValueError if a class has one or two training samples: too few for some to be learnt and some held out.

    A class that no sample is observed as is no matter.
    """
    counts = np.bincount(class_index(data.y_obs, data.n_classes), minlength=data.n_classes)
    few = [f"{count} of class {name!r}" for name, count in zip(data.classes, counts) if 0 < count < LEAST]
    checks.require(not few, "data", f"<samples: {', '.join(few)}>", f"data with {LEAST} samples or more of each class "
                   "that some are observed as: leave the class out, or join it with another")


@entry(own=("model", "data", "recipe"))
def out_of_fold(model: BaseEstimator | Callable[[LabelledData, int], nn.Module], data: LabelledData | Dataset, *,
                recipe: Recipe | None = None, record_at: ArrayLike | None = None, folds: int = 5, seed: int = 0,
                device: torch.device | str = "cpu", progress: bool = False) -> Float[np.ndarray, "n K"]:
    """Probabilities of the K classes for each training sample, by a model trained on the other folds.

    Trained on observed labels; nothing reads a true one. A class that none of the other folds has gets 0 from a
    scikit-learn classifier.

    Parameters
    ----------
    model
        a scikit-learn classifier with predict_proba, which gets the samples standardised by the training folds, one row
        each; or a function make(data, seed) that makes an untrained network (`Setting.network`).
    data
        images or rows of features, or a Dataset of torch; a test set is not used.
    recipe
        how to train the network.
    record_at
        epochs, 1 or later, among which one is chosen for each fold: the one with the lowest error on the observed
        labels of the other folds' held-out samples. The last epoch of the recipe alone by default.
    folds
        into how many parts the samples are split (`cross_validation_folds`).
    seed
        of the split, of the network's weights and of its batches.
    device
        where to train the network.
    progress
        show a bar of the folds.

    Raises
    ------
    ValueError
        If an argument is none of these, or a class has one or two samples; before anything is trained.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from helpers.data import add_label_noise, load_digits
    >>> from helpers.training import out_of_fold
    >>> data = add_label_noise(load_digits(n_train=200), 0.2, seed=0)
    >>> out_of_fold(KNeighborsClassifier(5), data).shape
    (200, 2)
    """
    data = labelled_data(data)
    require_samples(data)
    _check_model(model)
    parts = cross_validation_folds(data.n, folds, seed)
    each = tqdm([parts == k for k in range(folds)], desc="folds", disable=not progress, leave=False)
    if isinstance(model, BaseEstimator):
        checks.require(recipe is None, "recipe", recipe, "None for a scikit-learn classifier")
        return _in_order(parts, [_by_estimator(model, data, held) for held in each])
    checks.require(isinstance(recipe, Recipe), "recipe", recipe, "a Recipe for a network")
    epochs = [recipe.epochs] if record_at is None else checks.increasing("record_at", record_at, recipe.epochs)
    checks.require(epochs[0] >= 1, "record_at", record_at, "epochs from 1 on")
    found = [_by_network(model, data, held, recipe, epochs, seed, device) for held in each]
    observed = class_index(data.y_obs, data.n_classes)
    wrong = np.array([(part.argmax(-1) != observed[parts == k]).sum(1) for k, part in enumerate(found)])
    chosen = (wrong.sum(0) - wrong).argmin(1)  # by the other folds
    return _in_order(parts, [part[epoch] for part, epoch in zip(found, chosen)])


def _check_model(model: object) -> None:
    """Raise ValueError for what cannot be trained anew for each fold."""
    fits = not isinstance(model, nn.Module) and (isinstance(model, BaseEstimator) or callable(model))
    fits = fits and not (isinstance(model, type) and issubclass(model, (nn.Module, BaseEstimator)))
    checks.require(fits, "model", model, "a function make(data, seed) that makes an untrained network, since each fold "
                   "needs its own, or a scikit-learn classifier, an instance")
    checks.require(not isinstance(model, BaseEstimator) or hasattr(model, "predict_proba"), "model", model,
                   "a scikit-learn classifier with predict_proba")


def _in_order(parts: Int[np.ndarray, " n"], found: list[Float[np.ndarray, "held K"]]) -> Float[np.ndarray, "n K"]:
    joined = np.empty((len(parts), found[0].shape[1]))
    for k, part in enumerate(found):
        joined[parts == k] = part
    return joined


def _by_estimator(model: BaseEstimator, data: LabelledData, held: np.ndarray) -> Float[np.ndarray, "held K"]:
    x, x_held = (part.reshape(len(part), -1) for part in standardise(data.x[~held], data.x[held]))
    fitted = clone(model).fit(x, class_index(data.y_obs[~held], data.n_classes))
    found = np.zeros((len(x_held), data.n_classes))
    found[:, fitted.classes_] = fitted.predict_proba(x_held)
    return found


def _by_network(make: Callable[[LabelledData, int], nn.Module], data: LabelledData, held: np.ndarray,
                recipe: Recipe, epochs: ArrayLike, seed: int, device: torch.device | str
                ) -> Float[np.ndarray, "T held K"]:
    """Probabilities of the held images at each of the epochs."""
    without = replace(data, x_test=None, y_test=None, y_test_obs=None, n_test_true=None)
    part, seen = without.keep(~held), []
    samples, network = sample_batches(standardise(part.x, data.x[held])[1], device), make(part, seed)
    checks.require(isinstance(network, nn.Module), "model", f"<a function that made {type(network).__name__}>",
                   "a function make(data, seed) that makes an untrained network, a torch.nn.Module")
    draws = may_draw([network])

    def watch(epoch: int, model: nn.Module) -> None:
        with seeded_draws(seed, f"held out, epoch {epoch}", device) if draws else nullcontext():
            f = predicted_outputs(model, samples, epoch=epoch, n_classes=data.n_classes)
        seen.append(loss_logits(f).softmax(1).cpu().numpy())

    fit(network, part, recipe, seed, record_at=epochs, device=device, watch=watch)
    return np.array(seen)
