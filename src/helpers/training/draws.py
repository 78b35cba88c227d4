"""Random numbers that networks, losses and augmentations draw from global generators: from the run's seed all the same.

torch's layers and functions of dropout, RReLU and torchvision's transforms draw from torch's global generator, of which
there is one for all threads; other people's code may use Python's and NumPy's. Inside `seeded_draws` these generators
are seeded, and put back after, one thread at a time. Networks that are known to draw nothing (`may_draw`) need no
turn: they train side by side.
"""

import random
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from helpers.streams import random_stream

_GENERATORS = threading.RLock()
# Modules of Python whose classes draw nothing from a global generator, but for those named below.
QUIET_ROOMS = {f"torch.nn.modules.{room}" for room in (
    "activation", "batchnorm", "container", "conv", "flatten", "instancenorm", "linear", "loss", "normalization",
    "padding", "pooling")} | {"helpers.training.models", "torchvision.models.resnet"}
DRAWING = (nn.RReLU, nn.MultiheadAttention, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)


def may_draw(parts: Iterable[object]) -> bool:
    """Whether one of `parts`, networks, losses and others, may draw from a global generator: whatever is not known.

    Known are torch's usual layers and losses, torchvision's ResNets and the networks of `helpers.training.models`; not
    those derived from them, nor any with hooks, since their code is another.
    """
    return any(not _is_quiet(part) for part in parts)


def _is_quiet(part: object) -> bool:
    if not isinstance(part, nn.Module):
        return False
    return all(type(module).__module__ in QUIET_ROOMS and not isinstance(module, DRAWING)
               and not module._forward_hooks and not module._forward_pre_hooks and "forward" not in vars(module)
               for module in part.modules())


@contextmanager
def seeded_draws(seed: int, stream: str, device: torch.device | str = "cpu") -> Iterator[None]:
    """The global generators of torch (CPU and `device`), NumPy and Python seeded inside, and put back after.

    One thread at a time; the others wait. The seed is drawn from random_stream(seed, stream).
    """
    value, device = int(random_stream(seed, stream).integers(2**63)), torch.device(device)
    cuda = [torch.cuda.current_device() if device.index is None else device.index] if device.type == "cuda" else []
    with _GENERATORS, torch.random.fork_rng(devices=cuda):
        others = random.getstate(), np.random.get_state()
        try:
            torch.default_generator.manual_seed(value)
            for index in cuda:
                torch.cuda.default_generators[index].manual_seed(value)
            random.seed(value)
            np.random.seed(value % 2**32)
            yield
        finally:
            random.setstate(others[0])
            np.random.set_state(others[1])
