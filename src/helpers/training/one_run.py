"""One training run, an epoch at a time: what `fit` advances, and what a checkpoint keeps of it."""

import copy
import threading
import time
from contextlib import nullcontext

import numpy as np
import torch
from torch import nn

from helpers import checks
from helpers.data.images import LabelledData, class_index
from helpers.entry import entry
from helpers.streams import random_stream
from helpers.training.batches import OwnAugmentation, sample_batches, standardise
from helpers.training.draws import may_draw, seeded_draws
from helpers.training.losses import loss_margins
from helpers.training.models import Dropout
from helpers.training.predictions import most_likely, predicted_outputs, require_finite_predictions
from helpers.training.recipe import Recipe, start_loss, start_optimizer, start_scheduler, step_scheduler


def check_model(model: nn.Module, n: int, batch_size: int) -> None:
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
        check_model(model, data.n, recipe.batch_size)
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
