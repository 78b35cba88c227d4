"""Training a network on images, or on rows of features, with observed labels: one `fit`, one Record.

The cross-entropy of a sample is log(1 + exp(-margin)), as in the signal-noise world; where the network has one output
f, the margin is y_obs f.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import ArrayLike
from torch import nn
from torch.utils.data import Dataset
from tqdm import tqdm

from helpers import checks, runtime
from helpers.data.images import LabelledData, class_labels
from helpers.entry import entry
from helpers.record import Record, concatenate_records, log_times
from helpers.training import checkpoints
from helpers.training.batches import labelled_data
from helpers.training.elr_plus import ELRPlus
from helpers.training.one_run import TrainingRun, check_model
from helpers.training.recipe import Recipe, recipe_settings

PRECISIONS = ("auto", "float32", "bfloat16")
KEEP = ("last", "stopped")


@entry(own=("model", "data", "log"))
def fit(model: nn.Module, data: LabelledData | Dataset, recipe: Recipe, seed: int, *,
        record_at: ArrayLike | None = None, n_val: int = 0, log_training: bool = False,
        device: torch.device | str = "cpu", threads: int = 1, precision: str = "auto",
        checkpoint: str | os.PathLike | None = None, watch: Callable[[int, nn.Module], object] | None = None,
        log: Callable[[int, dict[str, float]], object] | None = None, keep: str = "last",
        progress: bool = False) -> Record:
    """Train `model` in place on the observed labels of `data` and return the Record of this one run.

    Parameters
    ----------
    model
        maps a batch of samples to the logits of the K classes or, for two classes, to one output f. It is left on
        `device`. Random numbers that it draws from the global generators of torch, NumPy and Python (dropout) come from
        `seed`; these generators are left as they were. Where it is not known to draw none, runs in threads take turns.
    data
        images or rows of features, with or without a test set; or a map-style Dataset of torch, read once. They are
        standardised by the training set's mean and standard deviation, by channel or by feature.
    recipe
        how to train.
    seed
        of the order of the samples, of augmentation and of dropout. The initial weights have a seed of their own.
    record_at
        epochs at which the margin of every training sample is measured (0: before training). Training ends with the
        last of them. By default about fifty up to `recipe.epochs`, evenly spaced on a logarithmic axis.
    n_val
        the last so many test samples become a validation set, measured by itself and kept out of the test errors. They
        may be all of them.
    log_training
        keep also what the forward passes of training say of each image, in training mode and before the step: the
        record's `logged_fits`. For a loss that asks the model once, which `ELRPlus` does not.
    device
        where to train.
    threads
        CPU threads. Steps of a small network are too short to share out, and one thread gives the same numbers on any
        count of cores. The caller's setting is put back.
    precision
        "float32"; "bfloat16", autocast while training; "auto", the latter on a GPU that has it. Measurements are always
        in float32.
    checkpoint
        a file. The state of training is written there, atomically, once a minute and at the end. A call with the same
        arguments resumes from it and, on the same device, ends with the same numbers. The file stays. In a folder the
        file is named after the run; without one, and without `watch`, the folder is the one that the environment
        variable SIGNAL_FIRST_CHECKPOINTS names, if any.
    watch
        called as watch(epoch, model) at each recorded epoch, with the model in evaluation mode, which it must not
        change. After a resumption it is not called again for earlier epochs.
    log
        called as log(epoch, values) at each recorded epoch: the mean loss and the share of wrong predictions of the
        observed training labels, the errors that the Record has, the step size and the seconds so far. `CSVLog`,
        `TensorBoardLog` or a function of your own. After a resumption it is not called again for earlier epochs.
    keep
        "last": `model` is left as it is after the last epoch. "stopped": with the weights that it had at the recorded
        epoch, 1 or later, with the fewest errors on the observed labels of the validation set (the first of them),
        config["kept_epoch"] of the Record.
    progress
        show a bar.

    Returns
    -------
    Record
        Of one run, with times in epochs; with test samples, `observed_error` (their observed labels) and, where all of
        their true labels are known, `fresh_error`; with `n_val`, the same two on the validation set.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    CheckpointError
        If the checkpoint is damaged or another run's.
    FloatingPointError
        If the training diverges.

    Examples
    --------
    >>> from helpers.data import add_label_noise, load_digits
    >>> from helpers.training import Recipe, SmallCNN, fit
    >>> data = add_label_noise(load_digits(n_train=60), 0.2, seed=0)
    >>> record = fit(SmallCNN(data.image_shape, width=4), data, Recipe(epochs=2), 0, n_val=500)
    >>> record.times.tolist(), record.margins.shape, record.test_sizes["validation"]
    ([0, 1, 2], (1, 3, 60), 500)

    A loss and an optimizer of your own, any function of logits and labels and torch's Adam:

    >>> import torch
    >>> def brier(logits, labels):
    ...     return ((logits.softmax(1) - torch.nn.functional.one_hot(labels, 2)) ** 2).sum(1)
    >>> recipe = Recipe(epochs=2, loss=brier, optimizer=torch.optim.Adam)
    >>> fit(SmallCNN(data.image_shape, width=4), data, recipe, 0).margins.shape
    (1, 3, 60)
    """
    device, data = checks.device("device", device), labelled_data(data)
    checks.instance("recipe", recipe, Recipe)
    check_model(model, data.n, recipe.batch_size)
    times = checks.increasing("record_at", log_times(recipe.epochs) if record_at is None else record_at, recipe.epochs)
    _check_validation(data, recipe, n_val, keep, times)
    checks.require(not (log_training and isinstance(recipe.loss, ELRPlus)), "log_training", log_training,
                   "False under ELRPlus")
    settings = _settings(model, data, recipe, device, _precision(precision, device), threads)
    settings |= {"log_training": True} if log_training else {}
    settings |= {"keep": keep, "n_val": n_val} if keep == "stopped" else {}
    if checkpoint is None and watch is None:
        checkpoint = checkpoints.checkpoint_folder()
    with _threads(checks.integer("threads", threads)):
        run = TrainingRun(model.to(device, memory_format=torch.channels_last), data, recipe, seed, device,
                          settings["precision"] == "bfloat16", log_training=log_training,
                          n_stop=n_val if keep == "stopped" else 0)
        kept = None
        if checkpoint is not None:
            kept = checkpoints.Checkpoint(checkpoint,
                                          checkpoints.checkpoint_identity(settings, seed, times, data, model))
            kept.restore(run)
        tell = _teller(log, run, data, n_val)
        _train(run, times, kept, watch, tell, progress)
    if keep == "stopped":
        model.load_state_dict(run.kept["weights"])
        settings["kept_epoch"] = run.kept["epoch"]
    return _record(run, data, times, n_val, settings, seed)


def _train(run: TrainingRun, times: Int[np.ndarray, " T"], kept: checkpoints.Checkpoint | None,
           watch: Callable | None, tell: Callable[[], None], progress: bool) -> None:
    """Advance the run to the last of the times, with all that has to follow an epoch."""
    last = int(times[-1])
    for epoch in tqdm(range(run.epoch + 1, last + 1), desc="epochs", disable=not progress, leave=False,
                      initial=run.epoch + 1, total=last + 1):
        run.advance(epoch in times)
        if epoch in times:
            tell()
        if kept:
            kept.save(run, finished=epoch == last)
        if watch and epoch in times:
            watch(epoch, run.model)


def _teller(log: Callable[[int, dict[str, float]], object] | None, run: TrainingRun, data: LabelledData,
            n_val: int) -> Callable[[], None]:
    """What tells `log` of the epoch that was measured last."""
    if log is None:
        return lambda: None
    checks.require(callable(log) and not isinstance(log, type), "log", log, "a function log(epoch, values)")
    if hasattr(log, "begin"):
        log.begin(run.epoch)

    def tell() -> None:
        wrong = run.predicted[-1] != run.labels.cpu().numpy()
        found = _test_errors(np.array(run.test_predicted[-1:]), data, n_val)
        log(run.epoch, {"loss": float(np.logaddexp(0, -run.margins[-1]).mean()),
                        "train_observed_error": float(wrong.mean())}
            | {f"{name}_error": float(each.mean()) for name, each in found.items()}
            | {"lr": float(run.optimizer.param_groups[0]["lr"]), "seconds": run.seconds})
    return tell


def _check_validation(data: LabelledData, recipe: Recipe, n_val: int, keep: str, times: Int[np.ndarray, " T"]) -> None:
    n_val = checks.integer("n_val", n_val, 0)
    checks.require(n_val <= data.n_test, "n_val", n_val, f"at most {data.n_test}, the number of test samples; hold_out "
                   "makes some of training samples")
    if checks.one_of("keep", keep, KEEP) == "stopped":
        checks.require(n_val > 0, "n_val", n_val, "1 or more for keep='stopped': the validation set says where to stop")
        checks.require(times[-1] >= 1, "record_at", times.tolist(), "epochs of which one is 1 or later, to keep it")
        checks.require(getattr(recipe.loss, "tested", "live") == "live", "keep", keep,
                       "'last' where the averaged weights are tested")


def _settings(model: nn.Module, data: LabelledData, recipe: Recipe, device: torch.device, precision: str,
              threads: int) -> dict:
    """What a run is made with, for its Record and for the identity of its checkpoint."""
    return {"data": data.name, "classes": data.n_classes, "model": type(model).__name__,
            "recipe": recipe_settings(recipe),
            "device": str(device), "precision": precision, "threads": threads, "torch": torch.__version__,
            "numpy": np.__version__, "source": runtime.source_hash("training.loop")}


def _test_errors(predicted: Int[np.ndarray, "T n_test"], data: LabelledData, n_val: int
                 ) -> dict[str, Bool[np.ndarray, "T part"]]:
    """Which predictions are wrong, for each test error of a Record; the last `n_val` samples are for validation."""
    n_test, errors = data.n_test - n_val, {}
    predicted = class_labels(predicted, data.n_classes)
    if n_test and data.n_test_known >= n_test:
        errors["fresh"] = predicted[:, :n_test] != data.y_test[:n_test]
    if n_val and data.n_test_known == data.n_test:
        errors["validation"] = predicted[:, n_test:] != data.y_test[n_test:]
    if n_test:
        errors["observed"] = predicted[:, :n_test] != data.y_test_obs[:n_test]
    if n_val:
        errors["validation_observed"] = predicted[:, n_test:] != data.y_test_obs[n_test:]
    return errors


def _record(run: TrainingRun, data: LabelledData, times: Int[np.ndarray, " T"], n_val: int, settings: dict,
            seed: int) -> Record:
    """The Record of a run that has come to its end."""
    errors = _test_errors(np.array(run.test_predicted), data, n_val)
    arrays = {f"{name}_error": wrong.mean(1)[None] for name, wrong in errors.items()}
    if data.n_classes > 2:
        arrays["predictions"] = np.array(run.predicted, np.int16)[None]
    if run.log_training:
        arrays["logged_fits"] = np.array(run.logged)[None]
    return Record(times, data.y[None], data.y_obs[None], np.array(run.margins)[None], **arrays,
                  test_sizes={name: wrong.shape[1] for name, wrong in errors.items()},
                  runs=[{"seed": int(seed), **data.noise}], config=settings | {"seconds": run.seconds})


def _precision(precision: str, device: torch.device) -> str:
    """The precision that "auto" stands for: bfloat16 on a GPU that has it and does not emulate it."""
    checks.one_of("precision", precision, PRECISIONS)
    if precision != "auto":
        return precision
    has_it = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if has_it else "float32"


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """torch's CPU threads set to `count` inside, and put back after."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@entry
def fit_side_by_side(run: Callable[[int], Record], seeds: Iterable[int]) -> Record:
    """One Record of the Records run(seed), in the order of the seeds.

    Runs go side by side, one on each of torch's CPU threads: a network this small cannot use more than one.
    """
    checks.require(len(seeds) > 0, "seeds", seeds, "one seed or more")
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return concatenate_records(pool.map(run, seeds))
