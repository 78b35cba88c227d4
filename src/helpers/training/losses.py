"""Training losses: cross-entropy, and Early-Learning Regularization (Liu et al. 2020; derived in chapter 17).

For each image a network gives one output f (two classes; positive for the second) or K logits. Labels are positions in
the list of classes. `CrossEntropy`, `FreshFlipsLoss` and `ELRLoss` describe a loss; `start` makes of it the module that
a run trains with.
"""

from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from helpers import checks
from helpers.entry import entry

CLAMP = 1e-4  # probabilities are kept in [CLAMP, 1 - CLAMP] under ELR, as in the authors' code
Outputs = Float[torch.Tensor, " batch"] | Float[torch.Tensor, "batch K"]  # one output f for each image, or logits


class Loss(nn.Module):
    """What `fit` asks of a loss in training: its value on a batch, what has to follow a step, what is measured."""

    def of_model(self, model: nn.Module, x: Float[torch.Tensor, "batch channels height width"],
                 labels: Int[torch.Tensor, " batch"], index: Int[torch.Tensor, " batch"],
                 rng: np.random.Generator) -> Float[torch.Tensor, ""]:
        """The mean loss of the images x, the training samples `index`; what is random in it is drawn from `rng`.

        Where the model is asked once, its answer is kept as `seen`, for those who log accuracy while training.
        """
        outputs = model(x).float()
        self.seen = outputs.detach()
        return self(outputs, labels, index)

    def after_step(self, model: nn.Module) -> None:
        """Called after each step."""

    def tested(self, model: nn.Module) -> nn.Module:
        """The network that is measured when `model` is trained: itself, or one that the loss has made of it."""
        return model


@entry
@dataclass(frozen=True)
class CrossEntropy:
    """The mean of -log p of the observed label."""

    @entry
    def start(self, n: int, n_classes: int, device: torch.device | str = "cpu", model: nn.Module | None = None) -> Loss:
        """The loss as a module, called as loss(outputs, labels, index)."""
        started_for(n, n_classes)
        return _CrossEntropy().to(checks.named_device("device", device))


@entry
@dataclass(frozen=True)
class FreshFlipsLoss:
    """Cross-entropy of labels that are flipped anew each time that a sample is seen: there is nothing to memorise.

    Trained on true labels, the network sees as many wrong ones in each epoch as under symmetric noise of this rate, but
    never fixed ones.

    Parameters
    ----------
    rate
        chance that a label is replaced by one of the other classes, all alike, in [0, 1).
    """

    rate: float

    def __post_init__(self):
        checks.real("rate", self.rate, 0.0, 1.0, open_high=True)

    @entry
    def start(self, n: int, n_classes: int, device: torch.device | str = "cpu", model: nn.Module | None = None) -> Loss:
        """The loss as a module; the flips come from the random numbers that `fit` draws anew in each epoch."""
        started_for(n, n_classes)
        return _FreshFlips(self.rate, n_classes).to(checks.named_device("device", device))


@entry
@dataclass(frozen=True)
class ELRLoss:
    """Early-learning regularisation: cross-entropy plus `strength` times the mean of log(1 - <p_i, t_i>).

    The added term (eq-elr-loss in chapter 17) pulls the network's probabilities p_i toward the target t_i, the running
    mean of what the network said of sample i: each time that the sample is seen, and before the term is evaluated,
    t_i <- momentum t_i + (1 - momentum) p_i, from t_i = 0.

    Parameters
    ----------
    strength
        lambda of the paper, which takes 3 for symmetric noise on CIFAR-10.
    momentum
        beta of the paper, which takes 0.7 there.

    Examples
    --------
    >>> import torch
    >>> from helpers.training import ELRLoss
    >>> loss = ELRLoss(strength=3.0, momentum=0.7).start(2, 2)
    >>> value = loss(torch.zeros(1, 2), labels=torch.tensor([0]), index=torch.tensor([1]))
    >>> round(value.item(), 3)  # log(2) + 3 log(1 - 0.15)
    0.206
    >>> loss.targets
    tensor([[0.0000, 0.0000],
            [0.1500, 0.1500]])
    """

    _: KW_ONLY
    strength: float = 3.0
    momentum: float = 0.7

    def __post_init__(self):
        checks.real("strength", self.strength, 0.0)
        checks.real("momentum", self.momentum, 0.0, 1.0, open_high=True)

    @entry
    def start(self, n: int, n_classes: int, device: torch.device | str = "cpu", model: nn.Module | None = None) -> Loss:
        """The loss as a module that holds the `targets` of the n training samples, one row for each.

        It is called as loss(outputs, labels, index), where `index` says which of the samples these are.
        """
        started_for(n, n_classes)
        return _ELR(self, n, n_classes).to(checks.named_device("device", device))


def started_for(n: int, n_classes: int) -> None:
    """Raise ValueError unless there are a sample and two classes at least."""
    checks.integer("n", n)
    checks.integer("n_classes", n_classes, 2)


class _CrossEntropy(Loss):
    def forward(self, outputs: Outputs, labels: Int[torch.Tensor, " batch"], index: Int[torch.Tensor, " batch"]
                ) -> Float[torch.Tensor, ""]:
        if outputs.ndim == 1:
            return softplus((1 - 2 * labels).to(outputs.dtype) * outputs).mean()
        return cross_entropy(outputs, labels)


class _FreshFlips(_CrossEntropy):
    def __init__(self, rate: float, n_classes: int):
        super().__init__()
        self.rate, self.n_classes = rate, n_classes

    def of_model(self, model: nn.Module, x: Float[torch.Tensor, "batch channels height width"],
                 labels: Int[torch.Tensor, " batch"], index: Int[torch.Tensor, " batch"],
                 rng: np.random.Generator) -> Float[torch.Tensor, ""]:
        wrong = rng.random(len(labels)) < self.rate
        shift = torch.from_numpy(np.where(wrong, rng.integers(1, self.n_classes, len(labels)), 0)).to(labels.device)
        return self(model(x).float(), (labels + shift) % self.n_classes, index)


class _ELR(Loss):
    def __init__(self, loss: ELRLoss, n: int, n_classes: int):
        super().__init__()
        self.loss = loss
        self.register_buffer("targets", torch.zeros(n, n_classes))

    def forward(self, outputs: Outputs, labels: Int[torch.Tensor, " batch"], index: Int[torch.Tensor, " batch"]
                ) -> Float[torch.Tensor, ""]:
        logits = loss_logits(outputs).float()
        p = loss_probabilities(logits)
        seen = p.detach()
        beta = self.loss.momentum
        target = beta * self.targets[index] + (1 - beta) * seen / seen.sum(1, keepdim=True)
        self.targets[index] = target
        return cross_entropy(logits, labels) + self.loss.strength * elr_loss_regulariser(p, target)


def loss_probabilities(logits: Float[torch.Tensor, "batch K"]) -> Float[torch.Tensor, "batch K"]:
    """The softmax, clamped to [CLAMP, 1 - CLAMP]."""
    return logits.softmax(1).clamp(CLAMP, 1 - CLAMP)


def elr_loss_regulariser(p: Float[torch.Tensor, "batch K"], target: Float[torch.Tensor,
                                                                          "batch K"]) -> Float[torch.Tensor, ""]:
    """The mean over the batch of log(1 - <p_i, t_i>)."""
    return torch.log(1 - (p * target).sum(1)).mean()


def loss_logits(outputs: Outputs) -> Float[torch.Tensor, "batch K"]:
    """Logits; one output f becomes the pair (0, f), whose softmax has sigmoid(f) for the second class."""
    return torch.stack([torch.zeros_like(outputs), outputs], 1) if outputs.ndim == 1 else outputs


def loss_margins(outputs: Outputs, labels: Int[torch.Tensor, " batch"]) -> Float[torch.Tensor, " batch"]:
    """The label's logit minus the log-sum-exp of the others, so that the cross-entropy is log(1 + exp(-margin)).

    Where a network has one output f, this is f for the label 1 and -f for the label 0.
    """
    if outputs.ndim == 1:
        return (2 * labels - 1) * outputs
    own = labels[:, None]
    return outputs.gather(1, own)[:, 0] - outputs.scatter(1, own, -torch.inf).logsumexp(1)


def elr_loss_gradient(p: Float[torch.Tensor, "n K"], target: Float[torch.Tensor, "n K"]) -> Float[torch.Tensor, "n K"]:
    """The derivative of log(1 - <p, t>) in the logits, Lemma 2 of Liu et al. (2020).

    It is g_c = p_c (<p, t> - t_c) / (1 - <p, t>); the rows of `p` sum to one.
    """
    overlap = (p * target).sum(-1, keepdim=True)
    return p * (overlap - target) / (1 - overlap)
