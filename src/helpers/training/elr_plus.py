"""ELR+ (Liu et al. 2020, section 4.3): ELR with two networks, averaged weights and mixup.

Each network has a running mean of its weights. The targets of one network are running means of what the *other* one's
averaged network says of the unmixed images; the network itself sees mixed images, labels and targets. We take one step
of both networks on each batch, where the authors' code trains one network for an epoch and then the other.
"""

import math
from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn
from torch.nn.functional import one_hot
from torch.optim.swa_utils import AveragedModel

from helpers import checks
from helpers.training.losses import ELR, Loss, as_logits, probabilities, regulariser


@dataclass(frozen=True)
class ELRPlus(ELR):
    """ELR+ on a `Pair` of networks. The defaults are the paper's for CIFAR-10.

    Parameters
    ----------
    strength, momentum
        as of `ELR`.
    average
        weight of the past in a step of the running mean of the weights.
    ramp
        steps over which that weight rises to `average`, as average exp(-5 (1 - step / ramp)^2).
    mixup
        alpha of the Beta(alpha, alpha) from which the share of the larger part is drawn; 0 for no mixup.
    """

    _: KW_ONLY
    average: float = 0.997
    ramp: int = 40_000
    mixup: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        checks.real("average", self.average, 0.0, 1.0, open_high=True)
        checks.integer("ramp", self.ramp, 0)
        checks.real("mixup", self.mixup, 0.0)

    def start(self, n: int, n_classes: int, device: torch.device | str = "cpu", model: nn.Module | None = None) -> Loss:
        """The loss as a module with `targets` for both networks and averaged copies of the networks of `model`."""
        networks = getattr(model, "networks", ())
        checks.require(len(networks) == 2, "model", f"<{type(model).__name__}>", "a models.Pair under ELRPlus")
        return _ELRPlus(self, n, n_classes, networks).to(device)

    def average_at(self, step: int) -> float:
        """Weight of the past in the running mean, after `step` steps."""
        return self.average * math.exp(-5 * max(1 - step / self.ramp, 0.0) ** 2) if self.ramp else self.average


class _ELRPlus(Loss):
    def __init__(self, loss: ELRPlus, n: int, n_classes: int, networks: nn.ModuleList):
        super().__init__()
        self.loss = loss
        self.register_buffer("targets", torch.zeros(2, n, n_classes))
        self.averaged = nn.ModuleList(AveragedModel(network, avg_fn=self._mean, use_buffers=True).eval()
                                      for network in networks)

    def _mean(self, past, now, steps):
        weight = self.loss.average_at(int(steps))
        return weight * past + (1 - weight) * now

    def of_model(self, model: nn.Module, x: Float[torch.Tensor, "batch channels height width"],
                 labels: Int[torch.Tensor, " batch"], index: Int[torch.Tensor, " batch"],
                 rng: np.random.Generator) -> Float[torch.Tensor, ""]:
        return sum(self._of_one(network, k, x, labels, index, rng) for k, network in enumerate(model.networks))

    def _of_one(self, network, k, x, labels, index, rng):
        target = self._update_target(k, x, index)
        share, order = 1.0, torch.arange(len(x), device=x.device)
        if self.loss.mixup > 0:
            share = rng.beta(self.loss.mixup, self.loss.mixup)
            share, order = max(share, 1 - share), torch.from_numpy(rng.permutation(len(x))).to(x.device)
        mixed = lambda values: share * values + (1 - share) * values[order]  # noqa: E731
        logits = as_logits(network(mixed(x))).float()
        truth = mixed(one_hot(labels, target.shape[1]).float())
        cross_entropy = -(truth * logits.log_softmax(1)).sum(1).mean()
        return cross_entropy + self.loss.strength * regulariser(probabilities(logits), mixed(target))

    @torch.no_grad()
    def _update_target(self, k: int, x: Float[torch.Tensor, "batch channels height width"],
                       index: Int[torch.Tensor, " batch"]) -> Float[torch.Tensor, "batch K"]:
        """Targets of network k, moved toward what the other network's average says of the images."""
        self.averaged[1 - k].eval()
        seen = probabilities(as_logits(self.averaged[1 - k](x)).float())
        beta = self.loss.momentum
        self.targets[k, index] = beta * self.targets[k, index] + (1 - beta) * seen / seen.sum(1, keepdim=True)
        return self.targets[k, index]

    def after_step(self, model: nn.Module) -> None:
        for averaged, network in zip(self.averaged, model.networks):
            averaged.update_parameters(network)
