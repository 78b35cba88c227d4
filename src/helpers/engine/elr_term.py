"""The regulariser of early-learning regularisation in the signal-noise world: its slope in the margin, its targets."""

import torch
from jaxtyping import Float

from helpers import checks
from helpers.entry import entry

TERMS = ("elr", "kl")
ROUNDING = 1e-6  # by which shares may miss [0, 1]


@entry
def elr_term_targets(p: Float[torch.Tensor, "*batch K n"], missing: Float[torch.Tensor, "*batch K n"], momentum: float,
                     *, clamp: float = 0.0) -> Float[torch.Tensor, "*batch K n"]:
    """1 minus the targets t after one step of t <- momentum t + (1 - momentum) p.

    Parameters
    ----------
    p
        probabilities of the K classes; here they are clamped and renormalised.
    missing
        1 - t before the step.
    momentum
        beta in [0, 1].
    clamp
        p is clamped to [clamp, 1 - clamp]; 0 for no clamp.
    """
    _check_shares(p, missing)
    momentum = checks.real("momentum", momentum, 0.0, 1.0)
    return moved_targets(p, missing, momentum, clamp=checks.real("clamp", clamp, 0.0, 0.5, open_high=True))


def moved_targets(p: Float[torch.Tensor, "*batch K n"], missing: Float[torch.Tensor, "*batch K n"], momentum: float,
                  *, clamp: float) -> Float[torch.Tensor, "*batch K n"]:
    """`elr_term_targets` on what was checked before, for each step of a run."""
    p = p.clamp(clamp, 1 - clamp) if clamp else p
    others = torch.ones(p.shape[-2], p.shape[-2], dtype=p.dtype).fill_diagonal_(0) @ p  # keeps the digits of 1 - p
    return momentum * missing + (1 - momentum) * others / p.sum(-2, keepdim=True)


@entry
def elr_term_slope(p: Float[torch.Tensor, "*batch K n"], missing: Float[torch.Tensor, "*batch K n"], *,
                   term: str = "elr", clamp: float = 0.0) -> Float[torch.Tensor, "*batch K n"]:
    """Derivative in the logits of log(1 - <p, t>), or of the divergence KL(t || p).

    The first is the probabilities p weighted by `missing`, minus p (lem-elr-gradient).

    Parameters
    ----------
    p
        probabilities of the K classes.
    missing
        1 - t, where t are the targets.
    term
        "elr" for the first, "kl" for the second.
    clamp
        in "elr", p stands for p clamped to [clamp, 1 - clamp], through which no gradient passes outside.
    """
    _check_shares(p, missing)
    checks.one_of("term", term, TERMS)
    return slope_of_term(p, missing, term=term, clamp=checks.real("clamp", clamp, 0.0, 0.5, open_high=True))


def _check_shares(p: Float[torch.Tensor, "*batch K n"], missing: Float[torch.Tensor, "*batch K n"]) -> None:
    checks.require(p.numel() > 0, "p.shape", tuple(p.shape), "(..., K, n), not empty")
    checks.require(missing.shape == p.shape, "missing.shape", tuple(missing.shape), f"{tuple(p.shape)}, as p")
    for name, shares in (("p", p), ("missing", missing)):
        inside = bool(((shares >= -ROUNDING) & (shares <= 1 + ROUNDING)).all())
        checks.require(inside, name, shares, "numbers in [0, 1]")


def slope_of_term(p: Float[torch.Tensor, "*batch K n"], missing: Float[torch.Tensor, "*batch K n"], *, term: str,
                  clamp: float) -> Float[torch.Tensor, "*batch K n"]:
    """`elr_term_slope` on what was checked before, for each step of a run."""
    if term == "kl":
        return (1 - missing).sum(-2, keepdim=True) * p - (1 - missing)
    if not clamp:
        weighted = p * missing
        return weighted / weighted.sum(-2, keepdim=True) - p
    passed = torch.where((p >= clamp) & (p <= 1 - clamp), 1 - missing, 0.0)
    left = 1 - (p.clamp(clamp, 1 - clamp) * (1 - missing)).sum(-2, keepdim=True)
    return p * ((p * passed).sum(-2, keepdim=True) - passed) / left
