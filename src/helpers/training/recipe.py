"""How a network is trained: the settings of `fit`."""

import math
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass, field, fields

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from helpers import checks
from helpers.entry import entry
from helpers.training.batches import PADDING
from helpers.training.callables import OwnLoss, check_loss, describe
from helpers.training.elr_plus import ELRPlus
from helpers.training.losses import CrossEntropy, ELRLoss, FreshFlipsLoss, Loss

LOSSES = (CrossEntropy, FreshFlipsLoss, ELRLoss, ELRPlus)


@entry(own=("augment", "loss", "optimizer", "scheduler"))
@dataclass(frozen=True)
class Recipe:
    """How a network is trained: by default stochastic gradient descent, in each epoch on a new random order.

    Parameters
    ----------
    epochs
        passes over the training set.
    lr, momentum, weight_decay
        of torch.optim.SGD. With an `optimizer` of your own, `lr` and `momentum` are not used.
    batch_size
        samples in one step.
    milestones, decay
        from each of these epochs on (0: the first) `lr` is multiplied by `decay`.
    restart_every, lowest_lr
        if `restart_every` is positive, `lr` falls along a cosine to `lowest_lr` and jumps back every so many epochs
        (Loshchilov and Hutter 2017); with `restart_every` equal to `epochs` it falls once.
    augment, padding
        True: train on random crops and mirror images, of images padded by so many pixels (`ImageBatches`). Or a
        function of a batch of pixels in [0, 1] (of features, as they are), which returns as many of the same shape. A
        transform of torchvision.transforms.v2 is called image by image. Standardising comes after. Random numbers that
        the function draws from the global generators of torch, NumPy or Python come from the run's seed.
    loss
        `CrossEntropy`, `FreshFlipsLoss`, `ELRLoss`, or `ELRPlus`, which trains a `ModelPair` of networks unless it says
        networks=1. Or a function or torch module of your own, called as loss(logits, labels): logits (batch, K), also
        where the network has one output; labels (batch,), int64 positions of the observed class. If it has parameters
        named `index` or `step`, it is given by name which training samples these are (int64), and how many steps were
        taken before. It returns one number, or one per sample, of which the mean is taken. Each run trains with a copy.
        Buffers of a module go to the device and into checkpoints; other state does not.
    optimizer
        a function that makes a torch.optim.Optimizer of the parameters, such as
        functools.partial(torch.optim.AdamW, lr=0.001).
    scheduler
        a function that makes a torch.optim.lr_scheduler.LRScheduler of the optimizer. It is stepped after every batch.

    Examples
    --------
    >>> from helpers.training import Recipe
    >>> recipe = Recipe(epochs=6, lr=0.1, milestones=(2, 4))
    >>> [round(recipe.lr_at(epoch), 4) for epoch in range(6)]
    [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]

    A loss, an optimizer and a schedule of torch's own, for 2,000 samples:

    >>> from functools import partial
    >>> import torch
    >>> steps = Recipe(epochs=6).steps(2000)
    >>> one_cycle = partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.01, total_steps=steps)
    >>> recipe = Recipe(epochs=6, loss=torch.nn.CrossEntropyLoss(label_smoothing=0.1), optimizer=torch.optim.Adam,
    ...                 scheduler=one_cycle)
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
    augment: bool | Callable[[torch.Tensor], torch.Tensor] = False
    padding: int = PADDING
    loss: CrossEntropy | FreshFlipsLoss | ELRLoss | ELRPlus | Callable[..., torch.Tensor] = field(
        default_factory=CrossEntropy)
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] | None = None
    scheduler: Callable[[torch.optim.Optimizer], LRScheduler] | None = None

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
        checks.integer("padding", self.padding)
        self._check_callables()

    def _check_callables(self) -> None:
        own = callable(self.augment) and not isinstance(self.augment, type)
        checks.require(own or isinstance(self.augment, (bool, np.bool_)), "augment", self.augment,
                       "False, True or a function of a batch of samples")
        if not isinstance(self.loss, LOSSES):
            check_loss(self.loss)
        for name, made in (("optimizer", "params"), ("scheduler", "optimizer")):
            value = getattr(self, name)
            checks.require(value is None or callable(value), name, value,
                           f"None or a function that makes one, called as {name}({made}); not one that is made already")
        own = self.optimizer is not None or self.scheduler is not None
        for name in ("milestones", "restart_every"):
            checks.require(not (own and getattr(self, name)), name, getattr(self, name),
                           "left out where an optimizer or a scheduler is given: a scheduler changes its step size")
        checks.require(self.optimizer is None or not self.weight_decay, "weight_decay", self.weight_decay,
                       "given to the optimizer where you make it yourself")

    @entry
    def lr_at(self, epoch: int) -> float:
        """The step size in an epoch, counted from 0."""
        checks.integer("epoch", epoch, 0)
        if self.restart_every:
            phase = epoch % self.restart_every / self.restart_every
            return self.lowest_lr + (self.lr - self.lowest_lr) * (1 + math.cos(math.pi * phase)) / 2
        return self.lr * self.decay ** sum(epoch >= milestone for milestone in self.milestones)

    @entry
    def steps(self, n: int) -> int:
        """How many steps all epochs take on n training samples: what a scheduler's `total_steps` has to be."""
        return self.epochs * -(-checks.integer("n", n) // self.batch_size)


def start_loss(recipe: Recipe, n: int, n_classes: int, device: torch.device | str, model: nn.Module) -> Loss:
    """The loss of one run, as a module on the device."""
    if isinstance(recipe.loss, LOSSES):
        return recipe.loss.start(n, n_classes, device, model)
    return OwnLoss(recipe.loss).to(device)


def start_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of one run."""
    if recipe.optimizer is None:
        return torch.optim.SGD(model.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    made = recipe.optimizer(model.parameters())
    fits = isinstance(made, torch.optim.Optimizer) and not isinstance(made, torch.optim.LBFGS)
    checks.require(fits, "recipe.optimizer", f"<a function that made {type(made).__name__}>",
                   "one that makes a torch.optim.Optimizer which needs no closure")
    return made


def start_scheduler(recipe: Recipe, optimizer: torch.optim.Optimizer) -> LRScheduler | None:
    """The scheduler of one run, if it has one."""
    if recipe.scheduler is None:
        return None
    made = recipe.scheduler(optimizer)
    fits = isinstance(made, LRScheduler) and not isinstance(made, ReduceLROnPlateau)
    checks.require(fits, "recipe.scheduler", f"<a function that made {type(made).__name__}>",
                   "one that makes an LRScheduler which is stepped without a measurement")
    return made


def step_scheduler(scheduler: LRScheduler, recipe: Recipe, n: int) -> None:
    """One step; a scheduler that has no more says so in words that name `Recipe.steps`."""
    try:
        scheduler.step()
    except ValueError as error:
        raise ValueError(f"recipe.scheduler=<{type(scheduler).__name__}>: must have a step for every batch: "
                         f"recipe.steps({n}) = {recipe.steps(n)} of them. It says: {error}") from error


def recipe_settings(recipe: Recipe) -> dict:
    """The fields of a recipe as a Record keeps them; functions and modules as `describe` tells them."""
    found = {one.name: getattr(recipe, one.name) for one in fields(recipe)}
    found |= {"milestones": list(recipe.milestones),
              "loss": repr(recipe.loss) if isinstance(recipe.loss, LOSSES) else describe(recipe.loss)}
    for name in ("augment", "optimizer", "scheduler"):
        found[name] = describe(found[name]) if callable(found[name]) else found[name]
    return found | ({} if recipe.optimizer is None else {"lr": None, "momentum": None})
