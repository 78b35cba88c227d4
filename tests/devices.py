"""A device that no machine lacks: PyTorch's `meta`, whose tensors have a shape and a dtype but hold no numbers.

A computation on `meta` shows whether every tensor that it needs is made there or moved there, as it must be on a GPU.
"""

from contextlib import nullcontext

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")
MADE, COPIED = torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default
READ = torch.ops.aten._local_scalar_dense.default


class Mixed(AssertionError):
    """An operation met tensors of two devices."""


class OneDevice(TorchDispatchMode):
    """Inside, an operation on tensors of two devices raises Mixed, unless it copies from one to the other.

    Torch's own checks on `meta` let many pass: matrix products, convolutions, indexing. As on a GPU, a number (a tensor
    without dimensions) may come from the CPU. Code may also read numbers and copy them to the CPU; since `meta` holds
    none, a single truth value is then `truth`, and every number is `number`.
    """

    def __init__(self, *, truth=True, number=0):
        super().__init__()
        self.truth, self.number = truth, number

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is READ and args[0].is_meta:
            return self._read(args[0].dtype)
        if function is MADE and args[0].is_meta and kwargs.get("device", META) not in (None, META):
            return torch.full(args[0].shape, self.number, dtype=kwargs.get("dtype") or args[0].dtype)
        arrays = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor) and leaf.ndim > 0]
        devices = sorted({str(array.device) for array in arrays})
        if len(devices) > 1 and function is not COPIED:
            raise Mixed(f"{function} met tensors of {' and '.join(devices)}")
        return function(*args, **kwargs)

    def _read(self, dtype):
        if dtype == torch.bool:
            return self.truth
        return float(self.number) if dtype.is_floating_point else int(self.number)


class Generator(torch.Generator):
    """A generator of `meta`, which torch does not have: one of the CPU that knows for which device it was made."""

    def __new__(cls, device="cpu"):
        made = super().__new__(cls, "cpu" if torch.device(device) == META else device)
        made.made_for = torch.device(device)
        return made


def complete_meta(monkeypatch):
    """Give `meta` what a GPU has and it has not: generators, and autocast as long as it is switched off."""
    def autocast(device, *args, enabled=True, **options):
        return nullcontext() if device == "meta" and not enabled else known(device, *args, enabled=enabled, **options)

    known = torch.autocast
    monkeypatch.setattr(torch, "Generator", Generator)
    monkeypatch.setattr(torch, "autocast", autocast)
