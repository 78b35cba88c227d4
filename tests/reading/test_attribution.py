"""Attributions of models whose own are known, and the measures on maps."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from problems import draws
from torch import nn

from helpers.reading.attribution import (
    METHODS,
    AttributionScore,
    attribution_blocks,
    attribution_controls,
    attribution_effective_share,
    attribution_maps,
    attribution_net_share,
    attribution_share_inside,
    attribution_turn,
    blend_top_pixels,
    coalition_worths,
    rank_pixels,
    shapley_values,
    top_pixels,
)
from helpers.training.models import PreActResNet, SmallCNN, randomise_model


def test_shapley_values_of_a_product_and_bad_shapes():
    assert np.allclose(shapley_values([0, 0, 0, 6.0]), [3, 3])
    for values in (np.zeros(3), np.zeros(1), 1.0):
        with pytest.raises(ValueError, match=r"values\.shape"):
            shapley_values(values)


def test_coalition_worths_are_means_over_the_background():
    """eq-game, against a loop that copies the pixels of each coalition by hand."""
    x, background = torch.from_numpy(draws(2, 3, 4)), torch.from_numpy(draws(5, 2, 3, 4, stream="background"))
    groups = torch.tensor([0, 1, 2, 1]).expand(3, 4)
    f = lambda images: (images**2).sum((1, 2, 3)) * images[:, 0, 0, 0]  # noqa: E731 (neither linear nor additive)
    found = coalition_worths(f, x, background, groups)
    for coalition in range(8):
        mixed = background.clone()
        for column, player in enumerate([0, 1, 2, 1]):
            if coalition >> player & 1:
                mixed[..., column] = x[..., column]
        assert np.isclose(found[coalition], f(mixed).mean())
    with pytest.raises(ValueError, match="background"):
        coalition_worths(f, x, background[0], groups)


# --- maps of image networks ---

def images(n, channels=1, side=8, stream="images"):
    return torch.from_numpy(draws(n, channels, side, side, stream=stream)).float()


class Linear(nn.Module):
    def __init__(self, channels, n_outputs):
        super().__init__()
        self.weight = nn.Parameter(images(n_outputs, channels, stream="linear"))
        self.bias = nn.Parameter(torch.arange(n_outputs).float())

    def forward(self, x):
        z = torch.einsum("nchw,kchw->nk", x, self.weight) + self.bias
        return z[:, 0] if z.shape[1] == 1 else z


@pytest.mark.parametrize("n_outputs", [1, 2, 5])
@pytest.mark.parametrize("method", METHODS)
def test_all_methods_are_exact_on_a_linear_model(method, n_outputs):
    """Pixel k of each channel contributes w_k (x_k - mean b_k); methods of blocks spread a block's sum evenly."""
    x, b, model = images(5, 3), images(4, 3, stream="b"), Linear(3, n_outputs)
    classes = np.array([0, 1, 1, 0, 1])
    w = model.weight.detach()
    if n_outputs == 1:
        own = w[[0] * 5] * torch.tensor([-1.0, 1, 1, -1, 1])[:, None, None, None]
    else:
        own = (w[classes] - w.mean(0)) * n_outputs / (n_outputs - 1)
    wanted = (own * (x - b.mean(0))).sum(1).double().numpy()
    if method in ("occlusion", "shapley_sampling"):
        wanted = wanted.reshape(5, 4, 2, 4, 2).mean((2, 4)).repeat(2, 1).repeat(2, 2)
    assert np.allclose(attribution_maps(model, x, b, classes, method=method), wanted, atol=1e-4)


@pytest.mark.parametrize("n_outputs", [1, 2, 4])
def test_deep_shap_and_integrated_gradients_add_up(n_outputs):
    """Both sum to the score minus its mean over the background, for the book's small network."""
    model, x, b = SmallCNN((3, 8, 8), width=8, n_outputs=n_outputs), images(4, 3), images(3, 3, stream="b")
    classes = np.array([1, 0, 0, 1])
    score = AttributionScore(model)
    with torch.no_grad():
        f, base = score(x).double(), score(b).double()
    gained = (f - base.mean(0))
    gained = gained.numpy() * (2 * classes - 1) if f.ndim == 1 else gained.numpy()[np.arange(4), classes]
    scale = np.abs(gained).max()
    assert np.allclose(attribution_maps(model, x, b, classes).sum((1, 2)), gained, atol=1e-4 * scale)
    # 64 points on a path with kinks: an error of a per cent or so
    paths = attribution_maps(model, x, b, classes, method="integrated_gradients", steps=64)
    assert np.allclose(paths.sum((1, 2)), gained, atol=0.05 * scale)


def test_a_network_without_relu_modules_has_integrated_gradients():
    model, x, b = PreActResNet((1, 8, 8), 3, blocks=(1, 1), width=4), images(3), images(2, stream="b")
    maps = attribution_maps(model, x, b, [0, 1, 2], method="integrated_gradients", steps=64)
    with pytest.raises(ValueError, match="integrated_gradients"):
        attribution_maps(model, x, b, [0, 1, 2])
    with torch.no_grad():
        f = AttributionScore(model)(x) - AttributionScore(model)(b).mean(0)
    assert np.allclose(maps.sum((1, 2)), f[[0, 1, 2], [0, 1, 2]], atol=0.05 * float(f.abs().max()))


def test_deep_shap_never_misses_its_sums_in_silence():
    """Captum 0.9's rule for max pooling does not sum to the change of the output: then there is an error, no map."""
    layers = nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(*layers, nn.ReLU(), nn.Linear(3, 3))
        for layer in model:
            if hasattr(layer, "weight"):
                nn.init.normal_(layer.weight)
    x, b, classes = images(6), images(2, stream="b"), [0, 1, 2, 0, 1, 2]
    with torch.no_grad():
        gained = (AttributionScore(model)(x) - AttributionScore(model)(b).mean(0))[range(6), classes].numpy()
    paths = attribution_maps(model, x, b, classes, method="integrated_gradients", steps=256)
    assert np.allclose(paths.sum((1, 2)), gained, atol=0.05 * np.abs(gained).max())
    try:
        sums = attribution_maps(model, x, b, classes).sum((1, 2))
    except ValueError as error:
        assert "max pooling" in str(error)
    else:
        assert np.allclose(sums, gained, atol=0.02 * np.abs(gained).max())


def test_attribution_maps_leave_the_model_and_the_generator_alone():
    model, x, b = SmallCNN((1, 8, 8), width=4), images(2), images(2, stream="b")
    model.layers[1].inplace = True
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    maps = [attribution_maps(model, x, b, [0, 1], method=method, draws=2) for method in METHODS for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(maps[::2], maps[1::2]))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert any(module.inplace for module in model.modules() if isinstance(module, nn.ReLU))


def test_sampled_shapley_values_approach_the_exact_ones():
    """The error falls with the number of orders; 400 orders are within 15% of the largest value."""
    model, x, b = SmallCNN((1, 8, 8), width=8, init_scale=1.0), images(2), images(1, stream="b")
    owner = attribution_blocks((8, 8), 4)
    exact = np.array([shapley_values(coalition_worths(model, one, b, owner)) for one in x])
    errors = []
    for count in (4, 400):
        maps = attribution_maps(model, x, b, [1, 1], method="shapley_sampling", side=4, draws=count)
        errors.append(np.abs(maps.reshape(2, 2, 4, 2, 4).sum((2, 4)).reshape(2, 4) - exact).max())
    assert errors[1] < errors[0] and errors[1] < 0.15 * np.abs(exact).max()


@pytest.mark.parametrize(("change", "name"), [
    ({"method": "magic"}, "method"), ({"x": images(2)[0]}, "x"), ({"background": images(2, 3)}, "background"),
    ({"classes": [1]}, "classes"), ({"method": "occlusion", "side": 3}, "side")])
def test_attribution_maps_refuse(change, name):
    arguments = {"model": SmallCNN((1, 8, 8), width=4), "x": images(2), "background": images(2),
                 "classes": [0, 1]} | change
    with pytest.raises(ValueError, match=name):
        attribution_maps(**arguments)


# --- measures ---

def test_turned_of_known_maps():
    a = draws(5, 4, 4, stream="maps")
    for kind in ("signed", "place"):
        assert np.allclose(attribution_turn(a, 3 * a, kind=kind), 0)
    assert np.allclose(attribution_turn(a, -a), 2) and np.allclose(attribution_turn(a, -a, kind="place"), 0)
    one, other = np.zeros((2, 1, 2, 2))
    one[0, 0, 0], other[0, 1, 1] = 1, -5
    assert attribution_turn(one, other)[0] == 1 and attribution_turn(one, other, kind="place")[0] == 1
    assert np.isnan(attribution_turn(one, 0 * other)).all()
    with pytest.raises(ValueError, match=r"after\.shape"):
        attribution_turn(a, a[:2])


def test_shares_of_known_maps():
    flat, spike = np.ones((1, 4, 4)), np.zeros((1, 4, 4))
    spike[0, 1, 2] = -3
    assert np.allclose(attribution_effective_share(flat), 1) and np.allclose(attribution_effective_share(spike), 1 / 16)
    mixed = flat.copy()
    mixed[0, :2] = -1
    assert np.allclose(attribution_net_share(mixed), 0) and np.allclose(attribution_net_share(-flat), 1)
    assert np.allclose(attribution_share_inside(mixed, mixed > 0), 0.5)
    zero = np.zeros((1, 2, 2))
    assert np.isnan(attribution_net_share(zero)[0]) and np.isnan(attribution_effective_share(zero)[0])
    assert np.isnan(attribution_share_inside(zero, zero > 0)[0])


@given(st.integers(0, 16), st.integers(0, 100))
def test_top_pixels_and_blend(count, seed):
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(3, 4, 4))
    chosen = top_pixels(rank_pixels(maps), count)
    assert (chosen.sum(1) == count).all()
    for values, mask in zip(maps.reshape(3, -1), chosen):
        assert not count or count == 16 or values[mask].min() >= values[~mask].max()
    x, other = torch.ones(3, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    mixed = blend_top_pixels(x, other, chosen)
    assert np.array_equal(mixed[:, 0].flatten(1).bool(), chosen) and torch.equal(mixed[:, 0], mixed[:, 1])


def test_randomised_permutes_the_last_layers_only():
    model = SmallCNN((1, 8, 8), width=4)
    mixed = randomise_model(model, 0, layers=2)
    layers = [[module for module in one.modules() if hasattr(module, "weight")] for one in (model, mixed)]
    same = [torch.equal(a.weight, b.weight) for a, b in zip(*layers)]
    assert same == [True, True, False, False]
    for a, b in zip(*layers):
        assert torch.equal(a.weight.flatten().sort().values, b.weight.flatten().sort().values)
    assert not any(torch.equal(a.weight, b.weight) for a, b in zip(layers[0], [
        module for module in randomise_model(model, 0).modules() if hasattr(module, "weight")]))


def test_matched_finds_the_nearest():
    assert attribution_controls([0.9, 5.0, 2.4], [1.0, 2.0, 3.0]).tolist() == [0, 2, 1]
    with pytest.raises(ValueError, match="among"):
        attribution_controls([1.0], [])
