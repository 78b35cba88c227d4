"""Networks: sizes, dropout, initial weights, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from helpers.training.models import Dropout, PreActResNet, SmallCNN, SmallVGG, resnet, vgg

SHAPE = (1, 8, 8)


@pytest.mark.parametrize(("build", "parameters"), [
    (lambda: resnet((3, 32, 32), 10), 11_173_962), (lambda: resnet((3, 32, 32), 10, depth=34), 21_282_122),
    (lambda: PreActResNet((3, 32, 32), 10), 11_172_170), (lambda: vgg((3, 32, 32), 10), 28_144_010)])
def test_standard_networks_have_their_known_sizes(build, parameters):
    """ResNets for CIFAR-10 as commonly counted; PreAct with its last normalisation; VGG-11: 9,220,480 in the
    convolutions, 512 x 4096 + 4096 x 4096 + 4096 x 10 and biases after them."""
    assert sum(parameter.numel() for parameter in build().parameters()) == parameters


@pytest.mark.parametrize("build", [
    lambda shape, outputs, seed: SmallCNN(shape, width=4, seed=seed, n_outputs=outputs),
    lambda shape, outputs, seed: resnet(shape, outputs, seed=seed),
    lambda shape, outputs, seed: vgg(shape, outputs, width=4, seed=seed),
    lambda shape, outputs, seed: PreActResNet(shape, outputs, blocks=(1, 1, 1), width=4, seed=seed)])
def test_networks_take_any_square_image_and_depend_on_their_seed_alone(build):
    for shape in ((1, 8, 8), (3, 32, 32), (1, 28, 28)):
        assert build(shape, 1, 0).eval()(torch.zeros(2, *shape)).shape == (2,)
        assert build(shape, 10, 0).eval()(torch.zeros(2, *shape)).shape == (2, 10)
    state = torch.random.get_rng_state()
    weights = [next(build((1, 8, 8), 10, seed).parameters()) for seed in (0, 0, 1)]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_vgg_16_has_thirteen_convolutions_and_pools_down_to_one_pixel():
    for side, pools in ((8, 3), (32, 5)):
        model = vgg((3, side, side), 10, depth=16, width=8)
        kinds = [type(layer) for layer in model.modules()]
        assert (kinds.count(nn.Conv2d), kinds.count(nn.MaxPool2d)) == (13, pools)


def test_vgg_starts_as_the_released_code_does():
    """The fan-out for convolutions, 0.01 for all three linear layers; each spread within five standard errors."""
    model = vgg((3, 32, 32), 10, width=16, init="released")
    for layer in (module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))):
        fan_out = layer.weight.shape[0] * layer.weight[0, 0].numel()
        expected = 0.01 if isinstance(layer, nn.Linear) else (2 / fan_out) ** 0.5
        assert abs(float(layer.weight.detach().std()) / expected - 1) < 5 * (2 * layer.weight.numel()) ** -0.5
        assert not layer.bias.any()
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 3, 32, 32)).astype(np.float32))
    with torch.no_grad():
        small, usual = (float(vgg((3, 32, 32), 10, width=16, init=init).eval()(x).std()) for init in ("released", "he"))
    assert small < usual / 10


def test_dropout_keeps_the_mean_and_repeats_with_its_seed():
    layer, x = Dropout(0.3), torch.ones(1000, 100)
    masks = []
    for seed in (0, 0, 1):
        layer.reseed(np.random.default_rng(seed), "cpu")
        masks.append(layer(x))
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])
    np.testing.assert_allclose(masks[0].unique(), [0, 1 / 0.7], rtol=1e-6)
    assert abs(float(masks[0].mean()) - 1) < 5 * (0.3 / 0.7 / 1e5) ** 0.5
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize(("build", "name"), [
    (lambda: resnet((3, 32, 32), 10, depth=19), "depth"), (lambda: vgg((3, 32, 32), 10, depth=12), "depth"),
    (lambda: vgg((3, 32, 16), 10), "image_shape"), (lambda: vgg((3, 32, 32), 10, init="torch"), "init"),
    (lambda: PreActResNet((3, 32, 32), 0), "n_outputs"),
    (lambda: PreActResNet((3, 32, 32), 2, blocks=()), "blocks"), (lambda: Dropout(1.0), "p")])
def test_bad_arguments_of_networks_are_named(build, name):
    with pytest.raises(ValueError, match=name):
        build()


@pytest.mark.parametrize(("channels", "side", "convolutions"), [(1, 4, 1), (1, 8, 2), (3, 32, 4)])
def test_small_cnn_halves_any_square_image(channels, side, convolutions):
    model = SmallCNN((channels, side, side), width=4)
    assert model(torch.zeros(5, channels, side, side)).shape == (5,)
    assert sum(isinstance(layer, nn.Conv2d) for layer in model.layers) == convolutions


def test_small_cnn_starts_as_its_docstring_says():
    """Weights have standard deviation init_scale * sqrt(2 / fan-in): 18,432 of them, so within 5 / sqrt(2 * 18432)."""
    model, doubled = (SmallCNN((1, 8, 8), seed=5, init_scale=scale) for scale in (0.5, 1.0))
    weight = model.layers[2].weight
    assert weight.numel() == 18_432 and abs(weight.std() / (0.5 * np.sqrt(2 / 288)) - 1) < 5 / np.sqrt(2 * 18_432)
    torch.testing.assert_close(doubled.layers[2].weight, 2 * weight)
    assert not any(layer.bias.any() for layer in model.layers if isinstance(layer, (nn.Conv2d, nn.Linear)))
    assert torch.equal(SmallCNN((1, 8, 8), seed=5).layers[0].weight, model.layers[0].weight)
    assert not torch.equal(SmallCNN((1, 8, 8), seed=6).layers[0].weight, model.layers[0].weight)


@pytest.mark.parametrize(("arguments", "name"), [
    ({"image_shape": (1, 8, 4)}, "image_shape"), ({"image_shape": (1, 2, 2)}, "image_shape"),
    ({"image_shape": (0, 8, 8)}, "image_shape"), ({"width": 0}, "width"), ({"seed": -1}, "seed"),
    ({"init_scale": 0.0}, "init_scale")])
def test_bad_arguments_of_small_cnn_are_named(arguments, name):
    with pytest.raises(ValueError, match=name):
        SmallCNN(**{"image_shape": (1, 8, 8)} | arguments)


def test_small_vgg_depends_on_its_seed_alone():
    one, other = ([p.detach().clone() for p in SmallVGG(SHAPE, 2, width=2, hidden=4, seed=5).parameters()]
                  for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other))
    assert not torch.equal(one[0], next(SmallVGG(SHAPE, 2, width=2, hidden=4, seed=6).parameters()))
    state = torch.get_rng_state()
    SmallVGG(SHAPE, 2, seed=1)
    assert torch.equal(state, torch.get_rng_state())
