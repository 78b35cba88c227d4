"""Training a network on images with observed labels: one `fit`, one Record.

The cross-entropy of a sample is log(1 + exp(-margin)), as in the signal-noise world; where the network has one output
f, the margin is y_obs f.
"""

import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import KW_ONLY, asdict, dataclass, field

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import ArrayLike
from torch import nn
from tqdm import tqdm

from helpers import checks, runtime
from helpers.data.images import LabelledImages, class_index, class_labels
from helpers.record import Record, concatenate_records, log_times
from helpers.streams import random_stream
from helpers.training import checkpoints
from helpers.training.batches import PADDING, ImageBatches, standardise
from helpers.training.elr_plus import ELRPlus
from helpers.training.losses import CrossEntropy, ELRLoss, FreshFlipsLoss, loss_margins
from helpers.training.models import Dropout
from helpers.training.predictions import predicted_classes, predicted_outputs, require_finite_predictions

LOSSES = (CrossEntropy, FreshFlipsLoss, ELRLoss, ELRPlus)
PRECISIONS = ("auto", "float32", "bfloat16")
SHARED_RANDOMNESS = (nn.modules.dropout._DropoutNd, nn.RReLU)  # layers that draw from torch's global generator


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: stochastic gradient descent, in each epoch on a new random order of the images.

    Parameters
    ----------
    epochs
        passes over the training set.
    lr, momentum, weight_decay
        of torch.optim.SGD.
    batch_size
        images in one step.
    milestones, decay
        from each of these epochs on (0: the first) `lr` is multiplied by `decay`.
    restart_every, lowest_lr
        if `restart_every` is positive, `lr` falls along a cosine to `lowest_lr` and jumps back every so many epochs
        (Loshchilov and Hutter 2017); with `restart_every` equal to `epochs` it falls once.
    augment, padding
        train on random crops and mirror images, of images padded by so many pixels (`ImageBatches`).
    loss
        `CrossEntropy`, `FreshFlipsLoss`, `ELRLoss`, or `ELRPlus`, which trains a `ModelPair` of networks unless it says
        networks=1.

    Examples
    --------
    >>> from helpers.training import Recipe
    >>> recipe = Recipe(epochs=6, lr=0.1, milestones=(2, 4))
    >>> [round(recipe.lr_at(epoch), 4) for epoch in range(6)]
    [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    """

    _: KW_ONLY
    epochs: int = 60
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_size: int = 100
    milestones: tuple[int, ...] = ()
    decay: float = 0.1
    restart_every: int = 0
    lowest_lr: float = 0.0
    augment: bool = False
    padding: int = PADDING
    loss: CrossEntropy | FreshFlipsLoss | ELRLoss | ELRPlus = field(default_factory=CrossEntropy)

    def __post_init__(self):
        checks.integer("epochs", self.epochs)
        checks.integer("batch_size", self.batch_size)
        checks.positive("lr", self.lr)
        checks.real("momentum", self.momentum, 0.0, 1.0, open_high=True)
        checks.real("weight_decay", self.weight_decay, 0.0)
        checks.positive("decay", self.decay)
        checks.integer("restart_every", self.restart_every, 0)
        checks.real("lowest_lr", self.lowest_lr, 0.0, self.lr)
        if len(self.milestones):
            checks.increasing("milestones", list(self.milestones), self.epochs)
        checks.require(not (len(self.milestones) and self.restart_every), "milestones", self.milestones,
                       "() where restart_every > 0")
        checks.one_of("augment", self.augment, (False, True))
        checks.integer("padding", self.padding)
        checks.require(isinstance(self.loss, LOSSES), "loss", self.loss,
                       "CrossEntropy(), FreshFlipsLoss(...), ELR(...) or ELRPlus(...)")

    def lr_at(self, epoch: int) -> float:
        """The step size in an epoch, counted from 0."""
        if self.restart_every:
            phase = epoch % self.restart_every / self.restart_every
            return self.lowest_lr + (self.lr - self.lowest_lr) * (1 + math.cos(math.pi * phase)) / 2
        return self.lr * self.decay ** sum(epoch >= milestone for milestone in self.milestones)


def fit(model: nn.Module, data: LabelledImages, recipe: Recipe, seed: int, *, record_at: ArrayLike | None = None,
        n_val: int = 0, log_training: bool = False, device: torch.device | str = "cpu", threads: int = 1,
        precision: str = "auto",
        checkpoint: str | os.PathLike | None = None, watch: Callable[[int, nn.Module], object] | None = None,
        progress: bool = False) -> Record:
    """Train `model` in place on the observed labels of `data` and return the Record of this one run.

    Parameters
    ----------
    model
        maps a batch of images to the logits of the K classes or, for two classes, to one output f. It is left on
        `device`.
    data
        the images. Pixels are standardised by the training set's mean and standard deviation, by channel.
    recipe
        how to train.
    seed
        of the order of the images, of augmentation and of dropout. The initial weights have a seed of their own.
    record_at
        epochs at which the margin of every training image is measured (0: before training). Training ends with the last
        of them. By default about fifty up to `recipe.epochs`, evenly spaced on a logarithmic axis.
    n_val
        the last so many test images become a validation set, measured by itself and kept out of the test errors.
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
    progress
        show a bar.

    Returns
    -------
    Record
        Of one run, with times in epochs, `fresh_error` (test images, true labels), `observed_error` (test images, their
        observed labels) and, with `n_val`, the same two on the validation set.

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
    """
    device = checks.device("device", device)
    _check_model(model, data.n, recipe.batch_size)
    times = checks.increasing("record_at", log_times(recipe.epochs) if record_at is None else record_at, recipe.epochs)
    n_test = len(data.y_test) - checks.integer("n_val", n_val, 0)
    checks.require(n_test > 0, "n_val", n_val, f"below {len(data.y_test)}, the number of test images")
    checks.require(not (log_training and isinstance(recipe.loss, ELRPlus)), "log_training", log_training,
                   "False under ELRPlus")
    settings = _settings(model, data, recipe, device, _precision(precision, device), threads)
    settings |= {"log_training": True} if log_training else {}
    if checkpoint is None and watch is None:
        checkpoint = checkpoints.checkpoint_folder()
    with _threads(checks.integer("threads", threads)):
        run = TrainingRun(model.to(device, memory_format=torch.channels_last), data, recipe, seed, device,
                          settings["precision"] == "bfloat16", log_training=log_training)
        kept = None
        if checkpoint is not None:
            kept = checkpoints.Checkpoint(checkpoint,
                                          checkpoints.checkpoint_identity(settings, seed, times, data, model))
            kept.restore(run)
        last = int(times[-1])
        for epoch in tqdm(range(run.epoch + 1, last + 1), desc="epochs", disable=not progress, leave=False,
                          initial=run.epoch + 1, total=last + 1):
            run.advance(epoch in times)
            if kept:
                kept.save(run, finished=epoch == last)
            if watch and epoch in times:
                watch(epoch, model)
    return _record(run, data, times, n_test, settings, seed)


def _check_model(model: nn.Module, n: int, batch_size: int) -> None:
    """Raise ValueError for a network whose runs would not repeat, or would fail in the midst of an epoch."""
    for module in model.modules():
        draws = isinstance(module, SHARED_RANDOMNESS) or any(
            isinstance(rate := getattr(module, name, 0), float) and rate > 0 for name in ("dropout", "drop_rate"))
        checks.require(not draws, "model", f"<one with nn.{type(module).__name__}>", "one with "
                       "helpers.training.Dropout instead, whose random numbers the seed decides")
        alone = isinstance(module, nn.modules.batchnorm._BatchNorm) and n % batch_size == 1
        checks.require(not alone, "batch_size", batch_size, "one that does not leave a last batch of a single image, "
                       f"over which batch normalisation has no variance: there are {n} images")
    strays = {str(weights.dtype) for weights in model.parameters()} - {"torch.float32"}
    checks.require(not strays, "model", f"<weights in {', '.join(sorted(strays))}>", "one in float32, as the images "
                   "are: model.float(), or torch.set_default_dtype(torch.float32) before it is built")


def _settings(model: nn.Module, data: LabelledImages, recipe: Recipe, device: torch.device, precision: str,
              threads: int) -> dict:
    """What a run is made with, for its Record and for the identity of its checkpoint."""
    return {"data": data.name, "classes": data.n_classes, "model": type(model).__name__,
            "recipe": asdict(recipe) | {"loss": repr(recipe.loss), "milestones": list(recipe.milestones)},
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
    """

    def __init__(self, model: nn.Module, data: LabelledImages, recipe: Recipe, seed: int, device: torch.device,
                 autocast: bool, *, log_training: bool = False):
        x, x_test = standardise(data.x, data.x_test)
        self.images = ImageBatches(x, device, augment=recipe.augment, padding=recipe.padding)
        self.test = ImageBatches(x_test, device)
        self.labels = torch.from_numpy(class_index(data.y_obs, data.n_classes)).to(device)
        self.model, self.recipe, self.seed, self.device, self.autocast = model, recipe, seed, device, autocast
        self.optimizer = torch.optim.SGD(model.parameters(), recipe.lr, recipe.momentum,
                                         weight_decay=recipe.weight_decay)
        self.loss = recipe.loss.start(data.n, data.n_classes, device, model)
        self.orders = random_stream(seed, "order of images")
        self.n_classes, self.epoch, self.seconds, self.log_training = data.n_classes, -1, 0.0, log_training
        self.margins, self.predicted, self.test_predicted, self.logged = [], [], [], []
        self.fits = np.full(data.n, np.nan)  # in the last epoch's forward passes

    def advance(self, measure: bool) -> None:
        """One epoch more: epoch 0 is the untrained network, each later one trains on every image once.

        With `measure`, what the network then says of all images is kept.
        """
        start = time.perf_counter()
        self.epoch += 1
        with _DETERMINISTIC:
            if self.epoch > 0:
                self._train()
            if measure:
                self._measure()
        self.seconds += time.perf_counter() - start

    def _measure(self):
        model = self.loss.tested(self.model)
        f = predicted_outputs(model, self.images, epoch=self.epoch, n_classes=self.n_classes)
        self.margins.append(loss_margins(f, self.labels).cpu().numpy())
        self.predicted.append(predicted_classes(f))
        self.logged += [self.fits.copy()] if self.log_training else []
        self.test_predicted.append(predicted_classes(predicted_outputs(model, self.test, epoch=self.epoch,
                                                                       n_classes=self.n_classes)))

    def _train(self):
        self.model.train()
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
            x = self.images.batch(batch, crops)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                loss = self.loss.of_model(self.model, x, self.labels[batch], batch, mixing)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.loss.after_step(self.model)
            total += loss.detach()
            if self.log_training:
                part = batch.cpu().numpy()
                self.fits[part] = predicted_classes(self.loss.seen) == self.labels[batch].cpu().numpy()
        require_finite_predictions(total, self.epoch)

    def resume(self, epoch: int) -> None:
        """Take up after `epoch`, once the rest of the state is restored: the orders drawn so far are drawn again."""
        self.epoch = epoch
        for _ in range(epoch):
            self.orders.permutation(len(self.images))


def _record(run: TrainingRun, data: LabelledImages, times: Int[np.ndarray, " T"], n_test: int, settings: dict,
            seed: int) -> Record:
    """The Record of a run that has come to its end; of the test images, the first `n_test` are for testing."""
    predicted = class_labels(np.array(run.test_predicted), data.n_classes)
    errors = {}
    for name, labels in (("fresh", data.y_test), ("observed", data.y_test_obs)):
        errors[name] = predicted[:, :n_test] != labels[:n_test]
        if n_test < len(labels):
            validation = "validation" if name == "fresh" else "validation_observed"
            errors[validation] = predicted[:, n_test:] != labels[n_test:]
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


def fit_side_by_side(run: Callable[[int], Record], seeds: Iterable[int]) -> Record:
    """One Record of the Records run(seed), in the order of the seeds.

    Runs go side by side, one on each of torch's CPU threads: a network this small cannot use more than one.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return concatenate_records(pool.map(run, seeds))
