"""Networks for square images, with K logits or one output f. Initial weights depend on the seed alone, not on torch's
global generator.
"""

import copy
import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from torch.nn.utils import skip_init

from helpers import checks
from helpers.data.torchvision_import import import_torchvision
from helpers.entry import entry
from helpers.streams import random_stream
from helpers.training.draws import seeded_draws
from helpers.training.losses import loss_logits

VGG_CONFIGURATIONS = {11: "A", 13: "B", 16: "D", 19: "E"}  # depth -> torchvision's name
RESNET_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
Images = Float[torch.Tensor, "batch channels side side"]
Outputs = Float[torch.Tensor, " batch"] | Float[torch.Tensor, "batch n_outputs"]


@entry
class SmallCNN(nn.Module):
    """A small convolutional network; by default with one output f(x), positive for class +1.

    3x3 convolutions of stride 2, each with a ReLU, halve the image down to 2 by 2 pixels; a hidden layer and a linear
    output follow. An image of 8 by 8 pixels passes two convolutions, one of 28 by 28 or 32 by 32 pixels four.

    Parameters
    ----------
    image_shape
        channels, side and side again, which is at least 3.
    width
        channels of the first convolution; later ones have twice as many, the hidden layer four times as many.
    seed
        of the initial weights.
    init_scale
        initial weights are normal with standard deviation init_scale sqrt(2 / fan-in), biases zero. At 1 (He et al.
        2015) a signal keeps its size from layer to layer; below 1 it shrinks, so that every loss starts close to log 2.
        This is the counterpart of the theory's `init_std`.
    n_outputs
        1, or the number of classes.

    Examples
    --------
    >>> import torch
    >>> from helpers.training import SmallCNN
    >>> network = SmallCNN((1, 8, 8), width=4, n_outputs=10)
    >>> tuple(network(torch.zeros(5, 1, 8, 8)).shape)
    (5, 10)
    """

    def __init__(self, image_shape: tuple[int, int, int], *, width: int = 32, seed: int = 0, init_scale: float = 0.5,
                 n_outputs: int = 1):
        super().__init__()
        channels, side = _square(image_shape)
        width = checks.integer("width", width)
        widths = [channels, width] + [2 * width] * (math.ceil(math.log2(side)) - 2)
        n_outputs, layers = checks.integer("n_outputs", n_outputs), []
        with _seeded(seed, "torch's layers"):  # whose own weights are drawn, and then replaced
            for before, after in itertools.pairwise(widths):
                layers += [nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1), nn.ReLU()]
            layers += [nn.Flatten(), nn.Linear(4 * widths[-1], 4 * width), nn.ReLU(), nn.Linear(4 * width, n_outputs)]
        self.layers = nn.Sequential(*layers)
        rng, init_scale = random_stream(seed, "small CNN"), checks.positive("init_scale", init_scale)
        for layer in _weighted(self.layers):
            _draw_weights(layer, rng, init_scale * math.sqrt(2 / layer.weight[0].numel()))

    def forward(self, x: Images) -> Outputs:
        return _squeeze(self.layers(x))


@entry
def resnet(image_shape: tuple[int, int, int], n_outputs: int, *, depth: int = 18, seed: int = 0) -> nn.Module:
    """torchvision's ResNet (He et al. 2016a) of depth 18 or 34 with the stem for small images.

    This stem is a 3x3 convolution of stride 1, in place of a 7x7 convolution of stride 2 and a pooling.
    """
    channels, _ = _square(image_shape)
    blocks = RESNET_BLOCKS[checks.one_of("depth", depth, RESNET_BLOCKS)]
    models = import_torchvision().models.resnet
    with _seeded(seed, "ResNet"):
        model = models.ResNet(models.BasicBlock, list(blocks), num_classes=checks.integer("n_outputs", n_outputs))
        model.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    return _Stack(model)


@entry
def vgg(image_shape: tuple[int, int, int], n_outputs: int, *, depth: int = 11, width: int = 64, seed: int = 0,
        dropout: float = 0.5, init: str = "he") -> nn.Module:
    """torchvision's VGG (Simonyan and Zisserman 2015) without batch normalisation: the network of Han et al. (2025).

    It is made for CIFAR-10, at the standard width or narrower; `SmallVGG` is for images of 8 by 8 pixels. A pooling
    that finds a single pixel is left out, so that an image of 8 by 8 passes three of the five. The classifier has two
    hidden layers with dropout, as in the authors' code.

    Parameters
    ----------
    image_shape, n_outputs, seed
        as of `SmallCNN`.
    depth
        11, 13, 16 or 19 layers with weights.
    width
        channels of the first convolution, 64 in the standard; a hidden layer has 64 times as many units.
    dropout
        chance of a hidden unit to be dropped, in [0, 1).
    init
        "he": hidden layers start as He et al. (2015) propose, with the fan-in, and the output's weights have standard
        deviation 0.01; "released", as in the code of Han et al. (2025) and in torchvision: convolutions with the
        fan-out, and *all* linear layers with standard deviation 0.01, which makes the first outputs far smaller. Biases
        are zero.
    """
    channels, side = _square(image_shape)
    width, scale = checks.integer("width", width), checks.integer("width", width) / 64
    dropout = checks.real("dropout", dropout, 0.0, 1.0, open_high=True)
    models = import_torchvision().models.vgg
    layers = []
    for step in models.cfgs[VGG_CONFIGURATIONS[checks.one_of("depth", depth, VGG_CONFIGURATIONS)]]:
        if step == "M":
            layers += ["M"] if side > 1 else []
            side = max(side // 2, 1)
        else:
            layers.append(max(round(step * scale), 1))
    last, hidden = [step for step in layers if step != "M"][-1] * side * side, 64 * width
    with _seeded(seed, "VGG"):
        features = models.make_layers(layers)
        features[0] = nn.Conv2d(channels, layers[0], 3, padding=1)
        model = _Stack(features, nn.Flatten(), nn.Linear(last, hidden), nn.ReLU(), Dropout(dropout),
                       nn.Linear(hidden, hidden), nn.ReLU(), Dropout(dropout),
                       nn.Linear(hidden, checks.integer("n_outputs", n_outputs)))
        released = checks.one_of("init", init, ("he", "released")) == "released"
        for layer in _weighted(model):
            if released and isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0, 0.01)
            else:
                nn.init.kaiming_normal_(layer.weight, mode="fan_out" if released else "fan_in", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.normal_(model[-1].weight, 0, 0.01)  # outputs start near 0
    return model


@entry
class SmallVGG(nn.Sequential):
    """A VGG of six layers for images of a few pixels, on which `vgg` would be too deep; it needs no torchvision.

    Its layers are a convolution, a pooling, two convolutions, a pooling, two hidden layers with dropout, and logits. As
    in `vgg` there is no batch normalisation, hidden layers start as He et al. (2015) propose with zero biases, and the
    output weights have standard deviation 0.01.

    Parameters
    ----------
    image_shape
        channels, side and side again, which is at least 4.
    n_outputs, seed
        as of `SmallCNN`; one output keeps its axis here.
    width
        channels of the first convolution; the others have twice as many.
    hidden
        units of a hidden layer.
    dropout
        chance of a hidden unit to be dropped, in [0, 1).
    """

    def __init__(self, image_shape: tuple[int, int, int], n_outputs: int, *, width: int = 12, hidden: int = 128,
                 seed: int = 0, dropout: float = 0.3):
        channels, side = _square(image_shape)
        side = checks.integer("image_shape", side, 4) // 2 // 2
        dropout = checks.real("dropout", dropout, 0.0, 1.0, open_high=True)
        width, hidden = checks.integer("width", width), checks.integer("hidden", hidden)
        conv = partial(skip_init, nn.Conv2d, kernel_size=3, padding=1)
        super().__init__(conv(channels, width), nn.ReLU(), nn.MaxPool2d(2), conv(width, 2 * width), nn.ReLU(),
                         conv(2 * width, 2 * width), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         skip_init(nn.Linear, 2 * width * side**2, hidden), nn.ReLU(), Dropout(dropout),
                         skip_init(nn.Linear, hidden, hidden), nn.ReLU(), Dropout(dropout),
                         skip_init(nn.Linear, hidden, checks.integer("n_outputs", n_outputs)))
        rng = random_stream(seed, "small VGG")
        for layer in _weighted(self):
            _draw_weights(layer, rng, 0.01 if layer is self[-1] else math.sqrt(2 / layer.weight[0].numel()))


@entry
class Dropout(nn.Module):
    """Dropout with random numbers of its own, which `fit` seeds anew in each epoch.

    A run can thus be repeated and resumed, and runs in threads do not share torch's global generator.

    Parameters
    ----------
    p
        chance of a unit to be dropped, in [0, 1).
    """

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p, self.generator = checks.real("p", p, 0.0, 1.0, open_high=True), None

    @entry
    def reseed(self, rng: np.random.Generator, device: torch.device | str) -> None:
        """Draw the seed of the coming masks from `rng`."""
        device = checks.named_device("device", device)
        self.generator = torch.Generator(device).manual_seed(int(rng.integers(2**63)))

    def forward(self, x: Float[torch.Tensor, "*shape"]) -> Float[torch.Tensor, "*shape"]:
        if not self.training or self.p == 0:
            return x
        return x * torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator) / (1 - self.p)


@entry
class PreActResNet(nn.Module):
    """Pre-activation ResNet (He et al. 2016b): in each block batch normalisation and ReLU come before the convolution.

    Parameters
    ----------
    image_shape, n_outputs, seed
        as of `SmallCNN`.
    blocks
        blocks in each stage; (2, 2, 2, 2) is PreAct ResNet-18. Each stage but the first halves the side and doubles the
        channels.
    width
        channels of the first stage; 64 is the standard.
    """

    def __init__(self, image_shape: tuple[int, int, int], n_outputs: int, *, blocks: Sequence[int] = (2, 2, 2, 2),
                 width: int = 64, seed: int = 0):
        super().__init__()
        channels, _ = _square(image_shape)
        blocks = [checks.integer("blocks", count) for count in blocks]
        checks.require(len(blocks) > 0, "blocks", blocks, "one stage or more")
        width = checks.integer("width", width)
        with _seeded(seed, "PreAct ResNet"):
            self.stem, layers, before = nn.Conv2d(channels, width, 3, padding=1, bias=False), [], width
            for stage, count in enumerate(blocks):
                for block in range(count):
                    after, stride = width * 2**stage, 2 if stage > 0 and block == 0 else 1
                    layers.append(_PreActBlock(before, after, stride))
                    before = after
            self.blocks, self.norm = nn.Sequential(*layers), nn.BatchNorm2d(before)
            self.head = nn.Linear(before, checks.integer("n_outputs", n_outputs))
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Images) -> Outputs:
        features = torch.relu(self.norm(self.blocks(self.stem(x))))
        return _squeeze(self.head(features.mean((2, 3))))


@entry
class ModelPair(nn.Module):
    """Two networks that answer together: logits log((p + q) / 2), whose softmax is the mean of both networks'."""

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        self.networks = nn.ModuleList([first, second])

    def forward(self, x: Images) -> Float[torch.Tensor, "batch K"]:
        both = [loss_logits(network(x)).log_softmax(1) for network in self.networks]
        return torch.logaddexp(*both) - math.log(2)


class _PreActBlock(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(before), nn.BatchNorm2d(after)
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        same = before == after and stride == 1
        self.shortcut = None if same else nn.Conv2d(before, after, 1, stride=stride, bias=False)

    def forward(self, x):
        active = torch.relu(self.norm1(x))
        around = x if self.shortcut is None else self.shortcut(active)
        return around + self.conv2(torch.relu(self.norm2(self.conv1(active))))


class _Stack(nn.Sequential):
    def forward(self, x):
        return _squeeze(super().forward(x))


def _squeeze(outputs):
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs


def _square(image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """The channels and the side of an image, which has to be square."""
    channels, height, side = (checks.integer("image_shape", size) for size in image_shape)
    square = height == side and side >= 3
    checks.require(square, "image_shape", tuple(image_shape), "(channels, s, s) with s at least 3")
    return channels, side


@contextmanager
def _seeded(seed: int, name: str) -> Iterator[None]:
    """torch's global generator, which initialises torch's layers, seeded inside and put back after."""
    with seeded_draws(seed, f"initial weights of {name}"):
        yield


def scale_model_weights(model: nn.Module, factor: float) -> nn.Module:
    """`model` with the weights of its convolutions and linear layers multiplied by `factor`, in place; biases stay."""
    factor = checks.positive("factor", factor)
    with torch.no_grad():
        for layer in _weighted(model):
            layer.weight.mul_(factor)
    return model


def _draw_weights(layer: nn.Module, rng: np.random.Generator, std: float) -> None:
    """Give a layer normal weights with standard deviation `std`, and zero biases."""
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(rng.normal(0.0, std, tuple(layer.weight.shape))))
        layer.bias.zero_()


def _weighted(model: nn.Module) -> list[nn.Module]:
    """The convolutions and linear layers of a network, in order."""
    return [layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


@entry
def randomise_model(model: nn.Module, seed: int, *, layers: int | None = None) -> nn.Module:
    """A copy of `model` in which the weights of the last `layers` layers that have some (default: all) are permuted.

    Each weight tensor keeps its values and loses their order: the network has the sizes of the trained one and nothing
    that it learnt (after Adebayo et al. 2018, who redraw the weights).
    """
    model = copy.deepcopy(model)
    rng = random_stream(seed, "permuted weights")
    owners = [module for module in model.modules() if getattr(module, "weight", None) is not None]
    layers = len(owners) if layers is None else checks.integer("layers", layers, 0, len(owners))
    with torch.no_grad():
        for module in owners[len(owners) - layers:]:
            order = torch.from_numpy(rng.permutation(module.weight.numel())).to(module.weight.device)
            module.weight.copy_(module.weight.flatten()[order].reshape(module.weight.shape))
    return model
