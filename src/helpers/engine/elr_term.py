"""The regulariser of early-learning regularisation in the signal-noise world: its slope in the margin, its targets."""

import torch

TERMS = ("elr", "kl")


def moved_targets(p, missing, momentum, *, clamp=0.0):
    """1 - t, (..., K, n), after one step of t <- momentum t + (1 - momentum) p with p clamped and renormalised."""
    p = p.clamp(clamp, 1 - clamp) if clamp else p
    others = torch.ones(p.shape[-2], p.shape[-2], dtype=p.dtype).fill_diagonal_(0) @ p  # keeps the digits of 1 - p
    return momentum * missing + (1 - momentum) * others / p.sum(-2, keepdim=True)


def term_slope(p, missing, *, term="elr", clamp=0.0):
    """(..., K, n) derivative in the logits of log(1 - <p, t>), t = 1 - missing, or of the divergence KL(t || p).

    The first is the probabilities p weighted by `missing` minus p (lem-elr-gradient). A clamp replaces p by p clamped
    to [clamp, 1 - clamp], through which no gradient passes outside.
    """
    if term == "kl":
        return (1 - missing).sum(-2, keepdim=True) * p - (1 - missing)
    if not clamp:
        weighted = p * missing
        return weighted / weighted.sum(-2, keepdim=True) - p
    passed = torch.where((p >= clamp) & (p <= 1 - clamp), 1 - missing, 0.0)
    left = 1 - (p.clamp(clamp, 1 - clamp) * (1 - missing)).sum(-2, keepdim=True)
    return p * ((p * passed).sum(-2, keepdim=True) - passed) / left
