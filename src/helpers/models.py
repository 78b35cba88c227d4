"""Networks for images."""

import itertools
import math

import torch
from torch import nn

from helpers import checks
from helpers.signal_noise import random_stream


class SmallCNN(nn.Module):
    """A small convolutional network with one output f(x), positive for class +1.

    3x3 convolutions of stride 2, each with a ReLU, halve the image down to 2 by 2 pixels; a hidden layer and a linear
    output follow. An image of 8 by 8 pixels passes two convolutions, one of 32 by 32 pixels four.

    Parameters
    ----------
    image_shape : (channels, height, width); height and width are one power of two, at least 4.
    width : channels of the first convolution; later ones have twice as many, the hidden layer four times as many.
    seed : of the initial weights.
    init_scale : initial weights are normal with standard deviation init_scale * sqrt(2 / fan-in), biases zero. At 1 (He
        et al. 2015) a signal keeps its size from layer to layer; below 1 it shrinks, so that every loss starts close to
        log 2. This is the counterpart of the theory's init_std.
    """

    def __init__(self, image_shape, width=32, seed=0, init_scale=0.5):
        super().__init__()
        channels, height, side = (checks.integer("image_shape", size) for size in image_shape)
        square = height == side and side >= 4 and side & (side - 1) == 0
        checks.require(square, "image_shape", tuple(image_shape), "(channels, s, s) with s a power of two, at least 4")
        width = checks.integer("width", width)
        widths = [channels, width] + [2 * width] * (int(math.log2(side)) - 2)
        layers = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1), nn.ReLU()]
        layers += [nn.Flatten(), nn.Linear(4 * widths[-1], 4 * width), nn.ReLU(), nn.Linear(4 * width, 1)]
        self.layers = nn.Sequential(*layers)
        self._draw_weights(random_stream(seed, "small CNN"), checks.positive("init_scale", init_scale))

    def _draw_weights(self, rng, init_scale):
        with torch.no_grad():
            for layer in self.layers:
                if isinstance(layer, (nn.Conv2d, nn.Linear)):
                    std = init_scale * math.sqrt(2 / layer.weight[0].numel())
                    layer.weight.copy_(torch.from_numpy(rng.normal(0.0, std, tuple(layer.weight.shape))))
                    layer.bias.zero_()

    def forward(self, x):
        """f(x), shape (batch,), of images (batch, channels, side, side)."""
        return self.layers(x)[:, 0]
