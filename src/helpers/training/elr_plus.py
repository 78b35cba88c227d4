"""ELR+ (Liu et al. 2020, section 4.3): ELR with two networks, averaged weights and mixup; each can be left out.

Each network has a running mean of its weights. The targets of one network are running means of what the *other* one's
averaged network says of the unmixed images; the network itself sees mixed images, labels and targets. We take one step
of both networks on each batch, where the authors' code trains one network for an epoch and then the other.

Tested are the networks themselves, as in the authors' code on one GPU: there the averaged weights serve the targets
only. ``tested="averaged"`` tests these instead.
"""

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn
from torch.nn.functional import one_hot
from torch.optim.swa_utils import AveragedModel

from helpers import checks
from helpers.entry import entry
from helpers.training.losses import (
    ELRLoss,
    Loss,
    elr_loss_regulariser,
    loss_logits,
    loss_probabilities,
    started_for,
)
from helpers.training.models import ModelPair

RELEASED_IMAGES, RELEASED_EPOCHS = 45_000, 200  # of the released configuration for CIFAR-10
STEPS_PER_EPOCH = -(-RELEASED_IMAGES // 128)
RAMP_SHARE = 40_000 / (RELEASED_EPOCHS * STEPS_PER_EPOCH)  # of all steps: 57%
SPAN = 1 / (1 - 0.997) / STEPS_PER_EPOCH  # of the running mean of the weights, in epochs: 0.95
TESTED = ("live", "averaged")


@entry
@dataclass(frozen=True)
class ELRPlus(ELRLoss):
    """ELR+ on a `ModelPair` of networks. The defaults are the paper's for CIFAR-10; `for_run` scales them to another
    run.

    Parameters
    ----------
    strength, momentum
        as of `ELRLoss`; with strength 0 this is cross-entropy with mixup, averaged weights and two networks.
    average
        weight of the past in a step of the running mean of the weights.
    ramp
        steps over which that weight rises to `average`, as average exp(-5 (1 - step / ramp)^2).
    mixup
        alpha of the Beta(alpha, alpha) from which the share of the larger part is drawn; 0 for no mixup.
    networks
        2, a `ModelPair`; or 1, a network whose targets come from the running mean of its own weights.
    tested
        "live": `fit` measures the networks as they are. "averaged": those with the averaged weights.

    Examples
    --------
    >>> from helpers.training import ELRPlus
    >>> loss = ELRPlus.for_run(18_000, epochs=40, batch_size=128)
    >>> loss.ramp, round(loss.average, 4)  # 141 steps per epoch
    (3205, 0.9925)
    """

    _: KW_ONLY
    average: float = 0.997
    ramp: int = 40_000
    mixup: float = 1.0
    networks: int = 2
    tested: str = "live"

    def __post_init__(self):
        super().__post_init__()
        checks.real("average", self.average, 0.0, 1.0, open_high=True)
        checks.integer("ramp", self.ramp, 0)
        checks.real("mixup", self.mixup, 0.0)
        checks.one_of("networks", self.networks, (1, 2))
        checks.one_of("tested", self.tested, TESTED)

    @classmethod
    @entry
    def for_run(cls, n: int, *, epochs: int, batch_size: int, **changes: float | str) -> Self:
        """ELR+ with the released configuration's ramp, as a share of all steps, and its averaging, in epochs.

        Parameters
        ----------
        n, epochs, batch_size
            training samples, passes over them, and samples in one step.
        changes
            other fields.
        """
        steps = -(-checks.integer("n", n) // checks.integer("batch_size", batch_size))
        scaled = {"average": max(1 - 1 / (SPAN * steps), 0.0),
                  "ramp": round(RAMP_SHARE * checks.integer("epochs", epochs) * steps)}
        return cls(**scaled | changes)

    @entry
    def start(self, n: int, n_classes: int, device: torch.device | str = "cpu", model: nn.Module | None = None) -> Loss:
        """The loss as a module with `targets` for each network of `model` and averaged copies of these networks."""
        started_for(n, n_classes)
        pair = getattr(model, "networks", ())
        wanted = "a models.ModelPair under ELRPlus" if self.networks == 2 else "one network under ELRPlus(networks=1)"
        checks.require(len(pair) == (2 if self.networks == 2 else 0), "model", f"<{type(model).__name__}>", wanted)
        networks = pair or [model]
        return _ELRPlus(self, n, n_classes, networks).to(checks.named_device("device", device))

    @entry
    def average_at(self, step: int) -> float:
        """Weight of the past in the running mean, after `step` steps."""
        checks.integer("step", step, 0)
        return self.average * math.exp(-5 * max(1 - step / self.ramp, 0.0) ** 2) if self.ramp else self.average


class _ELRPlus(Loss):
    def __init__(self, loss: ELRPlus, n: int, n_classes: int, networks: Sequence[nn.Module]):
        super().__init__()
        self.loss = loss
        self.register_buffer("targets", torch.zeros(len(networks), n, n_classes))
        self.averaged = nn.ModuleList(AveragedModel(network, avg_fn=self._mean, use_buffers=True).eval()
                                      for network in networks)

    def _mean(self, past, now, steps):
        weight = self.loss.average_at(int(steps))
        return weight * past + (1 - weight) * now

    def of_model(self, model: nn.Module, x: Float[torch.Tensor, "batch channels height width"],
                 labels: Int[torch.Tensor, " batch"], index: Int[torch.Tensor, " batch"],
                 rng: np.random.Generator) -> Float[torch.Tensor, ""]:
        return sum(self._of_one(network, k, x, labels, index, rng) for k, network in enumerate(_networks(model)))

    def _of_one(self, network, k, x, labels, index, rng):
        target = self._update_target(k, x, index) if self.loss.strength else self.targets[k, index]
        share, order = 1.0, torch.arange(len(x), device=x.device)
        if self.loss.mixup > 0:
            share = rng.beta(self.loss.mixup, self.loss.mixup)
            share, order = max(share, 1 - share), torch.from_numpy(rng.permutation(len(x))).to(x.device)
        mixed = lambda values: share * values + (1 - share) * values[order]  # noqa: E731
        logits = loss_logits(network(mixed(x))).float()
        truth = mixed(one_hot(labels, target.shape[1]).float())
        cross_entropy = -(truth * logits.log_softmax(1)).sum(1).mean()
        if not self.loss.strength:
            return cross_entropy
        return cross_entropy + self.loss.strength * elr_loss_regulariser(loss_probabilities(logits), mixed(target))

    @torch.no_grad()
    def _update_target(self, k: int, x: Float[torch.Tensor, "batch channels height width"],
                       index: Int[torch.Tensor, " batch"]) -> Float[torch.Tensor, "batch K"]:
        """Targets of network k, moved toward what the other network's average says of the images, or its own."""
        teacher = self.averaged[len(self.averaged) - 1 - k].eval()
        seen = loss_probabilities(loss_logits(teacher(x)).float())
        beta = self.loss.momentum
        self.targets[k, index] = beta * self.targets[k, index] + (1 - beta) * seen / seen.sum(1, keepdim=True)
        return self.targets[k, index]

    def after_step(self, model: nn.Module) -> None:
        for averaged, network in zip(self.averaged, _networks(model)):
            averaged.update_parameters(network)

    def tested(self, model: nn.Module) -> nn.Module:
        if self.loss.tested == "live":
            return model
        return ModelPair(*self.averaged) if self.loss.networks == 2 else self.averaged[0]


def _networks(model: nn.Module) -> Sequence[nn.Module]:
    """The two networks of a `ModelPair`, or the one that `model` is."""
    return getattr(model, "networks", [model])
