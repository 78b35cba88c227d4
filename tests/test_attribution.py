"""Chapter 13: what attributions are, where they are exact, and the measures on maps."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn

from helpers import SignalNoise, TwoLayerCNN, limit_law
from helpers.reading.attribution import (
    METHODS,
    Score,
    attribution_maps,
    blend,
    blocks,
    coalition_worths,
    effective_share,
    import_captum,
    net_share,
    randomised,
    ranked,
    shapley_values,
    share_inside,
    top_pixels,
    turned,
)
from helpers.streams import random_stream
from helpers.theory.limit import euler_law
from helpers.theory.limit_distance import descend_products
from helpers.theory.orthogonal_draws import ideal_products
from helpers.training.models import PreActResNet, SmallCNN

C, TAU = 8.0, 0.2


def draws(*shape, stream="numbers"):
    return random_stream(0, f"test attribution, {stream}").standard_normal(shape)


# --- Shapley values ---

def by_orders(worth, p):
    """The definition by orders of arrival, nothing shared with the code."""
    gains, orders = np.zeros(p), list(permutations(range(p)))
    for order in orders:
        there = 0
        for i in order:
            gains[i] += worth[there | 1 << i] - worth[there]
            there |= 1 << i
    return gains / len(orders)


@given(st.integers(1, 5), st.integers(0, 10**6), st.integers(0, 4))
def test_lem_shapley(p, seed, who):
    """lem-shapley: efficiency, linearity, and a player of constant worth, on random games; and the mean over orders."""
    rng, who = np.random.default_rng(seed), who % p
    v, w = rng.normal(size=(2, 2**p))
    found = shapley_values(v)
    assert np.allclose(found, by_orders(v, p))
    assert np.isclose(found.sum(), v[-1] - v[0])
    assert np.allclose(shapley_values(2 * v - 3 * w), 2 * found - 3 * shapley_values(w))
    here = np.arange(2**p) >> who & 1 == 1
    v[here] = v[np.flatnonzero(here) ^ (1 << who)] + 1.5
    assert np.isclose(shapley_values(v)[who], 1.5)


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


# --- integrated gradients ---

def hidden_net(sizes=(6, 8), seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(sizes[0], sizes[1]), nn.ReLU(), nn.Linear(sizes[1], 1), nn.Flatten(0)).double()


def test_lem_integrated_gradients():
    """lem-integrated-gradients: the sum; groups of an additive function; a linear function."""
    captum = import_captum()
    x, b = (torch.from_numpy(draws(7, 6, stream=name)) for name in ("x", "b"))
    net, left, right = hidden_net(), hidden_net((3, 8), 1), hidden_net((3, 8), 2)
    options = {"baselines": b, "n_steps": 2000, "method": "riemann_middle"}  # exact but for one step at each kink
    found = captum.IntegratedGradients(net).attribute(x, **options)
    assert torch.allclose(found.sum(1), net(x) - net(b), atol=2e-3)
    additive = lambda z: left(z[:, :3]) + right(z[:, 3:])  # noqa: E731
    found = captum.IntegratedGradients(additive).attribute(x, **options)
    for part, f in ((slice(3), left), (slice(3, 6), right)):
        assert torch.allclose(found[:, part].sum(1), f(x[:, part]) - f(b[:, part]), atol=2e-3)
        game = [shapley_values(coalition_worths(additive, one, base[None], torch.tensor([0, 0, 0, 1, 1, 1])))
                for one, base in zip(x, b)]
        assert np.allclose(found[:, part].sum(1), np.array(game)[:, int(bool(part.start))], atol=2e-3)
    w = torch.from_numpy(draws(6, stream="w"))
    linear = lambda z: z @ w + 3.0  # noqa: E731
    found = captum.IntegratedGradients(linear).attribute(x, baselines=b, n_steps=3)
    assert torch.allclose(found, w * (x - b))
    game = shapley_values(coalition_worths(linear, x[0], b[:1], torch.arange(6)))
    assert np.allclose(game, w * (x - b)[0])


# --- the signal-noise network ---

def toward(net, sample):
    """A and N of each sample, and the stacked patches."""
    x = torch.stack([sample.y[:, None] * sample.mu, sample.xi], 1)
    with torch.no_grad():
        signal, noise = (net(x * torch.tensor(mask)[:, None]) for mask in ([1, 0], [0, 1]))
    return x, sample.y * signal, sample.y_obs * noise


@pytest.mark.parametrize("trained", [False, True])
def test_prop_patch_attribution(trained):
    """prop-patch-attribution: Shapley values and integrated gradients are responses; deletion; transplants."""
    law = SignalNoise(16, 100, n_snr2=C, flip_plus=0.3, flip_minus=0.3)
    sample, net, captum = law.sample(1), TwoLayerCNN(100, 10, 0.1, 0), import_captum()
    x, _, _ = toward(net, sample)
    if trained:
        for _ in range(400):
            loss = torch.nn.functional.softplus(-sample.y_obs * net(x)).mean()
            with torch.no_grad():
                net.weight -= 0.1 * torch.autograd.grad(loss, net.weight)[0]
    x, A, N = toward(net, sample)
    zero, owner = torch.zeros_like(x), torch.arange(2)[:, None]
    game = np.array([shapley_values(coalition_worths(net, one, zero[:1], owner)) for one in x])
    values = torch.stack([sample.y * A, sample.y_obs * N], 1).numpy()
    assert np.allclose(game, values, atol=1e-12)
    paths = captum.IntegratedGradients(net).attribute(x, n_steps=20).sum(-1).detach().numpy()
    assert np.allclose(paths, values, atol=1e-6)  # relu is linear along a path from zero
    mask = owner[None].expand(1, 2, 100).contiguous()
    with torch.no_grad():
        sampled = captum.ShapleyValueSampling(net).attribute(x, n_samples=2, feature_mask=mask)
    assert np.allclose(sampled[:, :, 0].numpy(), values, atol=1e-6)
    base = toward(net, law.sample(2))[0]  # another background: minus its means
    other = shapley_values(coalition_worths(net, x[0], base, owner))
    with torch.no_grad():
        means = [float(net(base * torch.tensor(part)[:, None]).mean()) for part in ([1, 0], [0, 1])]
        assert np.allclose(other, values[0] - means)
        f, noisy, memorised = net(x), sample.flipped, sample.flipped & (N > A)
        assert torch.equal((sample.y_obs * f > 0)[noisy], (N > A)[noisy])
        no_noise, no_signal = (net(x * torch.tensor(mask)[:, None]) for mask in ([1, 0], [0, 1]))
        assert torch.equal(sample.y * no_noise > 0, A > 0)
        assert torch.equal(sample.y_obs * no_signal > 0, N > 0)
        assert memorised.any() or not trained
        for i in torch.nonzero(memorised)[:, 0]:
            same = sample.y == sample.y[i]
            pasted = net(torch.stack([x[same, 0], x[i, 1].expand(int(same.sum()), -1)], 1))
            assert bool((sample.y_obs[i] * pasted > 0).all())


@given(st.floats(0.3, 50), st.floats(0.01, 0.45))
def test_thm_attributions_turn(c, tau):
    """thm-attributions-turn: the first integral in ratios, monotone ratios and their limits; Euler steps keep it."""
    s = np.geomspace(1e-3, 1e4, 200)
    for law in (limit_law(c, tau, s), euler_law(c, tau, min(0.1, 1 / c), 300)):
        kept = law.times > 0
        A, clean, noisy = law.signal[kept], law.r_clean[kept] / law.signal[kept], law.r_noisy[kept] / law.signal[kept]
        assert (A > 0).all()
        # The solver's absolute error of about 1e-10 is divided by A, which starts near 1e-3.
        assert np.allclose((1 - tau) * clean - tau * noisy, 1 / c, rtol=1e-5, atol=1e-6)
        assert np.allclose((1 - tau) * np.ptp(clean), tau * np.ptp(noisy), rtol=1e-4, atol=1e-6)
    law = limit_law(c, tau, s)
    clean, noisy, kappa = law.r_clean / law.signal, law.r_noisy / law.signal, law.kappa
    assert (np.diff(noisy) > -1e-6).all() and (np.diff(clean) > -1e-6).all() and (noisy > clean - 1e-6).all()
    assert np.isclose(noisy[0], 1 / (c * (1 - 2 * tau)), rtol=0.02)  # at s = 0.001, with slopes of order c
    assert noisy[-1] < 2 * kappa / (kappa - 1) and clean[-1] < 2 / (kappa - 1)
    if law.stage_one_exists:
        at = limit_law(c, tau, [law.memorisation_time])
        assert np.isclose(at.r_noisy[0], at.signal[0], rtol=1e-5, atol=1e-8)


def test_thm_attributions_turn_limits_and_control():
    """thm-attributions-turn: the limits (slow, like 1 / log s), and no turning without flips."""
    law = limit_law(C, TAU, [1e4, 1e100, 1e300])
    for found, limit in ((law.r_noisy, 2 * law.kappa / (law.kappa - 1)), (law.r_clean, 2 / (law.kappa - 1))):
        gap = np.abs(found / law.signal - limit)
        assert gap[2] < 0.01 and np.isclose(gap[1] / gap[2], 3, rtol=0.05)
    plain = limit_law(C, 0.0, np.geomspace(0.01, 100, 20))
    assert np.allclose(plain.r_clean / plain.signal, 1 / C)


def test_thm_attributions_turn_on_an_ideal_draw():
    """thm-attributions-turn: gradient descent on an idealised draw keeps (1 - tau) dR_c = tau dR_n."""
    counts = {(1, 1): 40, (1, -1): 10, (-1, -1): 40, (-1, 1): 10}  # (y, y_obs)
    products = ideal_products(counts, 20, C, 1e-9, 0)
    course = descend_products(products, 0.1, steps=200)
    y, noisy = np.asarray(products.y), np.asarray(products.y != products.y_obs)
    law = euler_law(C, TAU, 0.1, 200)
    A = law.signal[1:, None]
    R = np.where(noisy, course.margins[1:] + A, course.margins[1:] - A) / A  # N / A: margins are N - A and A + N
    turned_by = R[-1] - R[0]
    for label in (1, -1):
        own = y == label
        assert np.isclose(turned_by[own & ~noisy].sum(), turned_by[own & noisy].sum(), rtol=1e-5)
    assert turned_by[noisy].min() > 1


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
    score = Score(model)
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
        f = Score(model)(x) - Score(model)(b).mean(0)
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
        gained = (Score(model)(x) - Score(model)(b).mean(0))[range(6), classes].numpy()
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
    owner = blocks((8, 8), 4)
    exact = np.array([shapley_values(coalition_worths(model, one, b, owner)) for one in x])
    errors = []
    for count in (4, 400):
        maps = attribution_maps(model, x, b, [1, 1], method="shapley_sampling", side=4, draws=count)
        errors.append(np.abs(maps.reshape(2, 2, 4, 2, 4).sum((2, 4)).reshape(2, 4) - exact).max())
    assert errors[1] < errors[0] and errors[1] < 0.15 * np.abs(exact).max()


@pytest.mark.parametrize(("change", "name"), [
    ({"method": "magic"}, "method"), ({"x": images(2)[0]}, "background"), ({"background": images(2, 3)}, "background"),
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
        assert np.allclose(turned(a, 3 * a, kind=kind), 0)
    assert np.allclose(turned(a, -a), 2) and np.allclose(turned(a, -a, kind="place"), 0)
    one, other = np.zeros((2, 1, 2, 2))
    one[0, 0, 0], other[0, 1, 1] = 1, -5
    assert turned(one, other)[0] == 1 and turned(one, other, kind="place")[0] == 1
    assert np.isnan(turned(one, 0 * other)).all()
    with pytest.raises(ValueError, match=r"after\.shape"):
        turned(a, a[:2])


def test_shares_of_known_maps():
    flat, spike = np.ones((1, 4, 4)), np.zeros((1, 4, 4))
    spike[0, 1, 2] = -3
    assert np.allclose(effective_share(flat), 1) and np.allclose(effective_share(spike), 1 / 16)
    mixed = flat.copy()
    mixed[0, :2] = -1
    assert np.allclose(net_share(mixed), 0) and np.allclose(net_share(-flat), 1)
    assert np.allclose(share_inside(mixed, mixed > 0), 0.5)
    zero = np.zeros((1, 2, 2))
    assert np.isnan(net_share(zero)[0]) and np.isnan(effective_share(zero)[0])
    assert np.isnan(share_inside(zero, zero > 0)[0])


@given(st.integers(0, 16), st.integers(0, 100))
def test_top_pixels_and_blend(count, seed):
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(3, 4, 4))
    chosen = top_pixels(ranked(maps), count)
    assert (chosen.sum(1) == count).all()
    for values, mask in zip(maps.reshape(3, -1), chosen):
        assert not count or count == 16 or values[mask].min() >= values[~mask].max()
    x, other = torch.ones(3, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    mixed = blend(x, other, chosen)
    assert np.array_equal(mixed[:, 0].flatten(1).bool(), chosen) and torch.equal(mixed[:, 0], mixed[:, 1])


def test_randomised_permutes_the_last_layers_only():
    model = SmallCNN((1, 8, 8), width=4)
    mixed = randomised(model, 0, layers=2)
    layers = [[module for module in one.modules() if hasattr(module, "weight")] for one in (model, mixed)]
    same = [torch.equal(a.weight, b.weight) for a, b in zip(*layers)]
    assert same == [True, True, False, False]
    for a, b in zip(*layers):
        assert torch.equal(a.weight.flatten().sort().values, b.weight.flatten().sort().values)
    assert not any(torch.equal(a.weight, b.weight) for a, b in zip(layers[0], [
        module for module in randomised(model, 0).modules() if hasattr(module, "weight")]))
