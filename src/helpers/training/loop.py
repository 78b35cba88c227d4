"""Training a network on images, or on rows of features, with observed labels: one `fit`, one Record.

The cross-entropy of a sample is log(1 + exp(-margin)), as in the signal-noise world; where the network has one output
f, the margin is y_obs f.
"""

import copy
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import ArrayLike
from torch import nn
from torch.utils.data import Dataset
from tqdm import tqdm

from helpers import checks, runtime
from helpers.data.images import LabelledData, class_index, class_labels
from helpers.entry import entry
from helpers.record import Record, concatenate_records, log_times
from helpers.streams import random_stream
from helpers.training import checkpoints
from helpers.training.batches import OwnAugmentation, labelled_data, sample_batches, standardise
from helpers.training.draws import may_draw, seeded_draws
from helpers.training.elr_plus import ELRPlus
from helpers.training.losses import loss_margins
from helpers.training.models import Dropout
from helpers.training.predictions import most_likely, predicted_outputs, require_finite_predictions
from helpers.training.recipe import (
    Recipe,
    recipe_settings,
    start_loss,
    start_optimizer,
    start_scheduler,
    step_scheduler,
)

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
    _check_model(model, data.n, recipe.batch_size)
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


def _train(run: "TrainingRun", times: Int[np.ndarray, " T"], kept: checkpoints.Checkpoint | None,
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


def _teller(log: Callable[[int, dict[str, float]], object] | None, run: "TrainingRun", data: LabelledData,
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


def _check_model(model: nn.Module, n: int, batch_size: int) -> None:
    """Raise ValueError for what is no network, or one whose runs would fail in the midst of an epoch."""
    checks.require(isinstance(model, nn.Module), "model", model, "a network, an instance of a torch.nn.Module: not its "
                   "class, nor a function that makes it")
    for module in model.modules():
        alone = isinstance(module, nn.modules.batchnorm._BatchNorm) and n % batch_size == 1
        checks.require(not alone, "batch_size", batch_size, "one that does not leave a last batch of a single image, "
                       f"over which batch normalisation has no variance: there are {n} images")
    strays = {str(weights.dtype) for weights in model.parameters()} - {"torch.float32"}
    checks.require(not strays, "model", f"<weights in {', '.join(sorted(strays))}>", "one in float32, as the images "
                   "are: model.float(), or torch.set_default_dtype(torch.float32) before it is built")


def _settings(model: nn.Module, data: LabelledData, recipe: Recipe, device: torch.device, precision: str,
              threads: int) -> dict:
    """What a run is made with, for its Record and for the identity of its checkpoint."""
    return {"data": data.name, "classes": data.n_classes, "model": type(model).__name__,
            "recipe": recipe_settings(recipe),
            "device": str(device), "precision": precision, "threads": threads, "torch": torch.__version__,
            "numpy": np.__version__, "source": runtime.source_hash("training.loop")}


class _Deterministic:
    """cuDNN's deterministic algorithms while any run is inside: the switch is one for all threads, and the first run to
    leave would turn it for the others."""

    def __init__(self):
        self.lock, self.inside, self.flags = threading.Lock(), 0, None

    def __enter__(self):
        with self.lock:
            if self.inside == 0:
                self.flags = torch.backends.cudnn.flags(enabled=True, deterministic=True)
                self.flags.__enter__()
            self.inside += 1

    def __exit__(self, *error):
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.flags.__exit__(None, None, None)


_DETERMINISTIC = _Deterministic()


@entry
class TrainingRun:
    """The state of a training run, one epoch more at a time: what `fit` advances and a checkpoint keeps.

    Public for those who time single epochs; everyone else calls `fit`.

    Parameters
    ----------
    model
        the network, already on `device`.
    data, recipe, seed
        as of `fit`.
    device
        where to train.
    autocast
        train in bfloat16 where torch holds it to be safe.
    log_training
        as of `fit`.
    n_stop
        keep the weights with the fewest errors on the observed labels of the last so many test samples; 0: keep none.
    """

    def __init__(self, model: nn.Module, data: LabelledData, recipe: Recipe, seed: int, device: torch.device,
                 autocast: bool, *, log_training: bool = False, n_stop: int = 0):
        _check_model(model, data.n, recipe.batch_size)
        checks.integer("n_stop", n_stop, 0, data.n_test)
        self._place_samples(data, recipe, device)
        self.labels = torch.from_numpy(class_index(data.y_obs, data.n_classes)).to(device)
        self.model, self.recipe, self.seed, self.device, self.autocast = model, recipe, seed, device, autocast
        self.optimizer = start_optimizer(recipe, model)
        self.scheduler = start_scheduler(recipe, self.optimizer)
        self.loss = start_loss(recipe, data.n, data.n_classes, device, model)
        self.orders = random_stream(seed, "order of images")
        self.n_classes, self.epoch, self.seconds, self.log_training = data.n_classes, -1, 0.0, log_training
        self.margins, self.predicted, self.test_predicted, self.logged = [], [], [], []
        self.fits = np.full(data.n, np.nan)  # in the last epoch's forward passes
        self.stop_labels = class_index(data.y_test_obs[-n_stop:], data.n_classes) if n_stop else None
        self.kept = None
        own = callable(recipe.augment) or not type(self.optimizer).__module__.startswith("torch.optim.")
        self.draws = own or may_draw([model, getattr(self.loss, "function", nn.Identity())])

    def _place_samples(self, data: LabelledData, recipe: Recipe, device: torch.device) -> None:
        x, x_test = standardise(data.x, data.x_test)
        own = callable(recipe.augment)
        self.images = sample_batches(x, device, augment=not own and bool(recipe.augment), padding=recipe.padding)
        self.batches = OwnAugmentation(data.x, recipe.augment, device) if own else self.images
        self.test = None if x_test is None else sample_batches(x_test, device)

    def _seeded(self, purpose: str):
        """Inside, global generators are seeded for this epoch, if this run may draw from them."""
        stream = f"torch, {purpose}, epoch {self.epoch}"
        return seeded_draws(self.seed, stream, self.device) if self.draws else nullcontext()

    @entry
    def advance(self, measure: bool) -> None:
        """One epoch more: epoch 0 is the untrained network, each later one trains on every image once.

        With `measure`, what the network then says of all images is kept.
        """
        start = time.perf_counter()
        self.epoch += 1
        with _DETERMINISTIC:
            if self.epoch > 0:
                with self._seeded("training"):
                    self._train()
            with self._seeded("measuring"):
                if measure:
                    self._measure()
                elif self.epoch == 0:  # outputs of a wrong shape are to be seen before training
                    self._probe()
        self.seconds += time.perf_counter() - start

    def _measure(self):
        model = self.loss.tested(self.model)
        f = predicted_outputs(model, self.images, epoch=self.epoch, n_classes=self.n_classes)
        self.margins.append(loss_margins(f, self.labels).cpu().numpy())
        self.predicted.append(most_likely(f))
        self.logged += [self.fits.copy()] if self.log_training else []
        if self.test is None:
            self.test_predicted.append(np.empty(0, np.int64))
        else:
            self.test_predicted.append(most_likely(predicted_outputs(model, self.test, epoch=self.epoch,
                                                                           n_classes=self.n_classes)))
        if self.stop_labels is not None and self.epoch > 0:
            self._keep_best()

    def _probe(self):
        predicted_outputs(self.model, next(self.images.split(2)), epoch=0, n_classes=self.n_classes)

    def _keep_best(self):
        wrong = int((self.test_predicted[-1][-len(self.stop_labels):] != self.stop_labels).sum())
        if self.kept is None or wrong < self.kept["wrong"]:
            self.kept = {"epoch": self.epoch, "wrong": wrong, "weights": copy.deepcopy(self.model.state_dict())}

    def _train(self):
        self.model.train()
        if self.recipe.optimizer is None and self.scheduler is None:
            for group in self.optimizer.param_groups:
                group["lr"] = self.recipe.lr_at(self.epoch - 1)
        total = torch.zeros((), device=self.device)
        order = torch.from_numpy(self.orders.permutation(len(self.images))).to(self.device)
        crops, masks, mixing = (random_stream(self.seed, f"{what}, epoch {self.epoch}")
                                for what in ("augmentation", "dropout", "mixup"))
        for module in self.model.modules():
            if isinstance(module, Dropout):
                module.reseed(masks, self.device)
        for batch in order.split(self.recipe.batch_size):
            x = self.batches.batch(batch, crops)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                loss = self.loss.of_model(self.model, x, self.labels[batch], batch, mixing)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if self.scheduler is not None:
                step_scheduler(self.scheduler, self.recipe, len(self.images))
            self.loss.after_step(self.model)
            total += loss.detach()
            if self.log_training:
                part = batch.cpu().numpy()
                self.fits[part] = most_likely(self.loss.seen) == self.labels[batch].cpu().numpy()
        require_finite_predictions(total, self.epoch)

    @entry
    def resume(self, epoch: int) -> None:
        """Take up after `epoch`, once the rest of the state is restored: the orders drawn so far are drawn again."""
        self.epoch = checks.integer("epoch", epoch, 0, self.recipe.epochs)
        for _ in range(epoch):
            self.orders.permutation(len(self.images))


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
