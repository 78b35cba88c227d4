"""Training losses: cross-entropy, and Early-Learning Regularization (Liu et al. 2020; derived in chapter 16).

A network gives one output f an image (two classes; positive for the second) or K logits. Labels are class indices.
"""

from dataclasses import KW_ONLY, dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from helpers import checks

CLAMP = 1e-4  # probabilities are kept in [CLAMP, 1 - CLAMP] under ELR, as in the authors' code


@dataclass(frozen=True)
class CrossEntropy:
    """The mean of -log p of the observed label."""

    def start(self, n, n_classes, device="cpu", model=None):
        """The loss as a module, called as loss(outputs, labels, index)."""
        return _CrossEntropy()


@dataclass(frozen=True)
class ELR:
    """Cross-entropy plus strength times the mean of log(1 - <p_i, t_i>), which pulls p_i toward the target t_i.

    t_i is the running mean of what the network said of sample i: each time that the sample is seen, and before the term
    is evaluated, t_i <- momentum t_i + (1 - momentum) p_i, from t_i = 0.

    strength, momentum : lambda and beta of the paper, whose values for symmetric noise on CIFAR-10 are 3 and 0.7.
    """

    _: KW_ONLY
    strength: float = 3.0
    momentum: float = 0.7

    def __post_init__(self):
        checks.real("strength", self.strength, 0.0)
        checks.real("momentum", self.momentum, 0.0, 1.0, open_high=True)

    def start(self, n, n_classes, device="cpu", model=None):
        """The loss as a module with the targets (n, n_classes) of the n training samples, called as
        loss(outputs, labels, index), where index (batch,) says which samples these are."""
        return _ELR(self, n, n_classes).to(device)


class Loss(nn.Module):
    """What `fit` asks of a loss in training: its value on a batch, and whatever has to follow a step."""

    def of_model(self, model, x, labels, index, rng):
        """The mean loss of the images x (batch, ...) with labels (batch,), the training samples index (batch,)."""
        return self(model(x).float(), labels, index)

    def after_step(self, model):
        """Called after each step."""


class _CrossEntropy(Loss):
    def forward(self, outputs, labels, index):
        if outputs.ndim == 1:
            return softplus((1 - 2 * labels).to(outputs.dtype) * outputs).mean()
        return cross_entropy(outputs, labels)


class _ELR(Loss):
    def __init__(self, loss, n, n_classes):
        super().__init__()
        self.loss = loss
        self.register_buffer("targets", torch.zeros(n, n_classes))

    def forward(self, outputs, labels, index):
        logits = as_logits(outputs).float()
        p = probabilities(logits)
        seen = p.detach()
        beta = self.loss.momentum
        target = beta * self.targets[index] + (1 - beta) * seen / seen.sum(1, keepdim=True)
        self.targets[index] = target
        return cross_entropy(logits, labels) + self.loss.strength * regulariser(p, target)


def probabilities(logits):
    """softmax, clamped to [CLAMP, 1 - CLAMP]."""
    return logits.softmax(1).clamp(CLAMP, 1 - CLAMP)


def regulariser(p, target):
    """The mean over the batch of log(1 - <p_i, t_i>)."""
    return torch.log(1 - (p * target).sum(1)).mean()


def as_logits(outputs):
    """(batch, K) logits; one output f (batch,) becomes (0, f), whose softmax has sigmoid(f) for the second class."""
    return torch.stack([torch.zeros_like(outputs), outputs], 1) if outputs.ndim == 1 else outputs


def margins(outputs, labels):
    """(n,) the label's logit minus the log-sum-exp of the others, so that the cross-entropy is log(1 + exp(-margin)).

    For one output f an image this is f for the label 1 and -f for the label 0.
    """
    if outputs.ndim == 1:
        return (2 * labels - 1) * outputs
    own = labels[:, None]
    return outputs.gather(1, own)[:, 0] - outputs.scatter(1, own, -torch.inf).logsumexp(1)


def elr_gradient(p, target):
    """(n, K) g of the paper's Lemma 2, the derivative of log(1 - <p, t>) in the logits:
    g_c = p_c (<p, t> - t_c) / (1 - <p, t>). p, target : (n, K); the rows of p sum to one."""
    overlap = (p * target).sum(-1, keepdim=True)
    return p * (overlap - target) / (1 - overlap)
