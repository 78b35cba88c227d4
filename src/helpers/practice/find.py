"""From labelled data to a ranked table of suspects in one call."""

import inspect
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from helpers import checks
from helpers.data.images import LabelledData, LabelledImages
from helpers.data.subsets import hold_out
from helpers.entry import entry
from helpers.practice.ranked_table import suspects
from helpers.reading.stopping import stop_by_noisy_validation
from helpers.record import Record, log_times
from helpers.streams import random_stream
from helpers.training.cross_validation import out_of_fold, require_samples
from helpers.training.loop import Recipe, fit
from helpers.training.models import SmallCNN

NEIGHBOURS = 10
MOST_HELD_OUT = 5000  # more labels hardly choose a better epoch (`stopping_validation_size`)
WANTED = ("a function make(data, seed) that makes an untrained network, another each time that it is called, such as "
          "lambda data, seed: MyNetwork(data.n_classes)")


@entry(own=("data", "make_network", "recipe"))
def find_suspects(data: LabelledData,
                  make_network: Callable[[LabelledData, int], nn.Module] | BaseEstimator | None = None,
                  recipe: Recipe | None = None, *, n_val: int | None = None, seed: int = 0, folds: int = 5,
                  device: torch.device | str = "cpu", progress: bool = False) -> pd.DataFrame:
    """Training samples whose labels are probably wrong, the most suspect first. No true label is read.

    A network is trained while some samples with their observed, noisy labels are held out; the epoch of their lowest
    error is the stop. Trained anew on all samples, it gives each sample's loss at the stop and its mean margin. Trained
    on all folds but one, it gives the probabilities of the classes for the samples of this fold, whose labels it has
    not seen, and so do the ten nearest neighbours. All of this is pooled (`pool_probabilities`), and samples are ranked
    by the probability that their label is wrong (`suspects`).

    How long it takes: folds + 2 trainings of the recipe, so 7 of them by default. Random, and all decided by `seed`:
    which samples are held out, the folds, the order of batches, and the weights, if `make_network` draws them from its
    seed. The same call gives the same table on the same device.

    Parameters
    ----------
    data
        images or features with observed labels, as `load_folder`, `load_csv`, `labelled_arrays` or `labelled_dataset`
        make them. No path: whether the labels of a folder are true or observed has to be said in loading it.
    make_network
        a function make(data, seed) that makes an untrained network with an output per class, or a scikit-learn
        classifier with predict_proba. By default a `SmallCNN` for images, and for features two classifiers: logistic
        regression of scaled features (C = 0.1) and a random forest (200 trees, leaves of 5 samples or more).
    recipe
        how to train the network, needed with a `make_network` of one's own. By default, and for the default network
        only, ``Recipe(epochs=40, lr=0.05)``. A scikit-learn classifier has none.
    n_val
        how many samples are held out to find the stop; by default a tenth, and at most 5,000.
    seed
        an integer >= 0.
    folds
        into how many parts the samples are split.
    device
        where networks are trained, such as "cuda".
    progress
        show bars.

    Returns
    -------
    DataFrame
        A row per training sample, with `sample` (its position in `data`), `file` (None where there are no names),
        `observed` and `suggested` label, `score` (large is suspect), and the evidence: "loss at stop", "confidence out
        of fold", "margin area". What was not measured is NaN, so "loss at stop" and "margin area" of a scikit-learn
        classifier. ``table.attrs["data"]`` is the `fingerprint` of the data.

    Raises
    ------
    ValueError
        If an argument is none of these, or a class has one or two samples; before anything is trained.
    FloatingPointError
        If a training diverges.

    Examples
    --------
    >>> import tempfile
    >>> from helpers.data import load_folder
    >>> from helpers.practice import check_target, clean_labels, example_folder, find_suspects
    >>> from helpers.practice import write_cleaned_folder, write_gallery
    >>> from helpers.training import Recipe
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     truth = example_folder(f"{folder}/digits", n=300)
    ...     target = check_target(f"{folder}/cleaned", source=f"{folder}/digits")
    ...     data = load_folder(f"{folder}/digits", size=8, mode="L")
    ...     table = find_suspects(data, recipe=Recipe(epochs=4, lr=0.05))
    ...     table.to_csv(f"{folder}/suspects.csv", index=False)
    ...     gallery = write_gallery(table, data, f"{folder}/suspects.html", top=100)
    ...     cleaned, changes = clean_labels(data, table, drop=30)
    ...     target = write_cleaned_folder(f"{folder}/digits", changes, target)
    >>> table.columns.tolist()[:5]
    ['sample', 'file', 'observed', 'suggested', 'score']
    >>> cleaned.n
    270
    """
    models, recipe = _checked(data, make_network, recipe, seed)
    require_samples(data)
    n_val = min(max(data.n // 10, 1), MOST_HELD_OUT) if n_val is None else n_val
    n_val = checks.integer("n_val", n_val, 1, data.n - 1)
    folds, device = checks.integer("folds", folds, 2, data.n), checks.device("device", device)
    shared = {"folds": folds, "seed": seed, "device": device, "progress": progress}
    seen = {} if recipe is None else _seen_in_training(data, models["network"], recipe, n_val, seed, device, progress)
    models["neighbours"] = KNeighborsClassifier(min(NEIGHBOURS, data.n // 2))
    trained = {"recipe": recipe, "record_at": _epochs(recipe)} if recipe is not None else {}
    opinions = {name: out_of_fold(model, data, **shared, **(trained if name == "network" else {}))
                for name, model in models.items()}
    return suspects(data, opinions, **seen)


def _checked(data: LabelledData, make: Callable | BaseEstimator | None, recipe: Recipe | None, seed: int
             ) -> tuple[dict[str, Callable | BaseEstimator], Recipe | None]:
    """Models by name, and the recipe of a network; what cannot work is refused before hours of training."""
    checks.require(isinstance(data, LabelledData), "data", data, "LabelledData, such as load_folder(path) makes of a "
                   "folder, load_csv(path, label=...) of a table and labelled_arrays(x, labels) of arrays: whether its "
                   "labels are true or observed is said there")
    checks.integer("seed", seed, 0)
    checks.require(recipe is None or isinstance(recipe, Recipe), "recipe", recipe, "a Recipe")
    if isinstance(make, BaseEstimator) or (make is None and not isinstance(data, LabelledImages)):
        checks.require(make is None or hasattr(make, "predict_proba"), "make_network", make,
                       "a classifier with predict_proba")
        checks.require(recipe is None, "recipe", recipe, "None where a scikit-learn classifier is trained, as for "
                       "features by default")
        return (_for_features(seed) if make is None else {"classifier": make}), None
    if make is None:
        return {"network": _small_cnn}, recipe or Recipe(epochs=40, lr=0.05)
    _check_function(make, data, seed)
    checks.require(recipe is not None, "recipe", recipe, "a Recipe where make_network is given, such as "
                   "Recipe(epochs=40, lr=0.05): a network of one's own has a step size of its own")
    return {"network": make}, recipe


def _for_features(seed: int) -> dict[str, BaseEstimator]:
    """A linear and a nonlinear opinion: on wine, breast cancer and made-up data better together than each alone."""
    drawn = int(random_stream(seed, "forest for suspects").integers(2**31))
    return {"logistic regression": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)),
            "forest": RandomForestClassifier(200, min_samples_leaf=5, random_state=drawn)}


def _check_function(make: Callable[[LabelledData, int], nn.Module], data: LabelledData, seed: int) -> None:
    checks.require(callable(make) and not isinstance(make, nn.Module), "make_network", make,
                   f"{WANTED}; not a network, since each fold trains another")
    try:
        inspect.signature(make).bind(data, seed)
    except TypeError as error:
        raise ValueError(f"make_network={make!r}: must be {WANTED}, but it cannot be called so: {error}") from error
    first, second = make(data, seed), make(data, seed)
    checks.require(isinstance(first, nn.Module), "make_network", f"<returns {type(first).__name__}>", WANTED)
    checks.require(first is not second, "make_network", make, f"{WANTED}; this one returns the same network again, "
                   "which would go on from fold to fold with what it has learnt")


def _small_cnn(data: LabelledImages, seed: int) -> SmallCNN:
    return SmallCNN(data.image_shape, n_outputs=data.n_classes, seed=seed)


def _epochs(recipe: Recipe) -> np.ndarray:
    """Epochs that may be the stop."""
    times = np.asarray(log_times(recipe.epochs))
    return times[times > 0]


def _seen_in_training(data: LabelledData, make: Callable[[LabelledData, int], nn.Module], recipe: Recipe, n_val: int,
                      seed: int, device: torch.device, progress: bool) -> dict[str, Record | int]:
    """The run on all samples, and the index of the epoch that held-out noisy labels choose in another run."""
    held = hold_out(data, n_val, seed=seed)
    options = {"record_at": _epochs(recipe), "device": device, "progress": progress}
    watched = fit(make(held, seed), held, recipe, seed, n_val=n_val, **options)
    stop = int(stop_by_noisy_validation(watched)[0])
    return {"record": fit(make(data, seed), data, recipe, seed, **options), "stop": stop}
