"""Chapter 13: what holds for any network, and the runs of VGG and ResNet at sizes that are quick."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from problems import random_record
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from helpers.data.label_noise import add_label_noise
from helpers.experiments.deep_networks import NETWORKS, deep_epoch_table, deep_run, deep_runs, deep_ten_way
from helpers.reading.comparison import blind, paired_difference
from helpers.reading.selection import select_below_log2, selection_quality
from helpers.reading.stopping import values_at_stop
from helpers.reading.times import turning_time_index
from helpers.record import Record
from helpers.sweeps.tables import load_table
from helpers.training.models import Dropout, PreActResNet, SmallVGG, scale_model_weights

SHAPE = (1, 8, 8)


@pytest.fixture(scope="module")
def trained(few_digits):
    """{network: Record} of two runs each, a fifth of the labels flipped."""
    return {network: deep_runs(few_digits, network, 0.2, [0, 1]) for network in NETWORKS}


@pytest.mark.statement("prop-two-labels")
@given(st.integers(0, 10**6))
def test_prop_two_labels_three_curves_are_one(seed):
    record = random_record(np.random.default_rng(seed))
    share = record.flipped.mean()
    a, r = (record.mean_over(record.fits_true, which)[0] for which in ("clean", "noisy"))
    total = record.mean_over(record.fits_observed)[0]
    assert np.allclose(record.mean_over(record.fits_observed, "noisy")[0], 1 - r)
    assert np.allclose(total, (1 - share) * a + share * (1 - r))
    assert np.all(1 - r >= (total - (1 - share)) / share - 1e-12)
    chosen = selection_quality(select_below_log2(record.losses), record.flipped[:, None])
    assert np.allclose(select_below_log2(record.losses).mean(-1)[0], total)
    assert np.allclose(chosen.recall[0], r) and np.allclose(chosen.lost[0], 1 - a)
    assert np.allclose(1 - chosen.purity[0], share * (1 - r) / total)


@pytest.mark.statement("prop-two-labels")
def test_prop_two_labels_noise_left_equals_clean_lost_at_the_plateau():
    """Claim 4 where the training accuracy is exactly 1 - tau: as many misread as memorised; and claim 2's equality."""
    y = np.ones((1, 50))
    y_obs = np.where(np.arange(50) < 10, -y, y)
    right = np.ones(50, bool)
    right[3:10] = False  # three of ten noisy ones memorised,
    right[20:23] = False  # three of forty clean ones misread
    record = Record([0], y, y_obs, np.where(right, 1.0, -1.0)[None, None])
    assert record.mean_over(record.fits_observed)[0, 0] == pytest.approx(0.8)
    chosen = selection_quality(select_below_log2(record.losses), record.flipped[:, None])
    assert 1 - chosen.purity[0, 0] == pytest.approx(chosen.lost[0, 0]) == pytest.approx(3 / 40)
    right[20:23] = True
    record = Record([0], y, y_obs, np.where(right, 1.0, -1.0)[None, None])
    memorised = record.mean_over(record.fits_observed, "noisy")[0, 0]
    assert memorised == pytest.approx((record.mean_over(record.fits_observed)[0, 0] - 0.8) / 0.2) == pytest.approx(0.3)


@pytest.mark.statement("prop-never-seen")
@pytest.mark.parametrize("rates", [(0.2, 0.2), (0.4, 0.1)])
def test_prop_never_seen_online_predictions_ignore_the_flip(rates):
    """An online learner that predicts each sample before its step: both readings of prop-never-seen, to 4 sd."""
    rng, n = np.random.default_rng(0), 40_000
    y = np.where(rng.random(n) < 0.3, 1.0, -1.0)
    x = rng.normal(size=(n, 3)) + np.outer(y, [0.8, 0.0, 0.0])
    flips = rng.random(n) < np.where(y > 0, *rates)
    w, right = np.zeros(4), np.empty(n, bool)
    for i, (features, observed) in enumerate(zip(np.c_[x, np.ones(n)], np.where(flips, -y, y))):
        right[i] = (w @ features > 0) == (y[i] > 0)
        w += 0.02 * observed * features / (1 + math.exp(observed * (w @ features)))
    accuracy = {side: right[y == side].mean() for side in (1, -1)}
    for chosen, weights in ((flips, rates), (~flips, 1 - np.array(rates))):
        weight = np.array([0.3, 0.7]) * weights
        predicted = weight @ [accuracy[1], accuracy[-1]] / weight.sum()
        assert abs(right[chosen].mean() - predicted) < 4 * math.sqrt(0.25 / chosen.sum()) + 0.005
    both = abs(right[flips].mean() - right[~flips].mean())
    assert both < 0.02 if rates[0] == rates[1] else both > 0.05  # with unequal rates the two really differ


@pytest.mark.statement("prop-never-seen")
def test_prop_never_seen_needs_an_unused_label():
    """One nearest neighbour that may find the sample itself reads no noisy sample truly."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(400, 2)), np.where(np.arange(400) % 2 == 0, 1.0, -1.0)
    x[:, 0] += 3 * y
    flips = rng.random(400) < 0.2
    distances = ((x[:, None] - x) ** 2).sum(-1)
    with_itself = np.where(flips, -y, y)[distances.argmin(1)]
    without = np.where(flips, -y, y)[(distances + np.diag(np.full(400, np.inf))).argmin(1)]
    read = [(label == y)[flips].mean() - (label == y)[~flips].mean() for label in (with_itself, without)]
    assert read[0] == -1 and abs(read[1]) < 0.2


@pytest.mark.statement("prop-unequal-first-step")
def test_prop_unequal_first_step_expected_gradient(few_digits):
    """The expectation over flips, exact as each label enters one term, of a network with outputs 0."""
    model = SmallVGG(SHAPE, 1, width=2, hidden=8).double()
    nn.init.zeros_(model[-1].weight)
    model.eval()
    x, y = torch.from_numpy(few_digits.x[:40]).double(), torch.from_numpy(few_digits.y[:40])
    plus, minus = 0.35, 0.1
    rate = torch.where(y > 0, plus, minus)

    def gradient(value):
        parts = torch.autograd.grad(value, model.parameters())
        return torch.cat([part.flatten() for part in parts])

    f = model(x)[:, 0]
    loss = ((1 - rate) * softplus(-y * f) + rate * softplus(y * f)).mean()
    expected = -gradient(loss)
    f = model(x)[:, 0]
    signal = gradient((y * f).mean())
    tilt = gradient(model(x)[:, 0].mean())
    mean = (plus + minus) / 2
    assert torch.allclose(expected, (1 - 2 * mean) / 2 * signal - (plus - minus) / 2 * tilt, atol=1e-12)
    assert tilt[-1] == 1 and (plus - minus) / 2 * tilt.norm() > 0.1 * expected.norm()  # the bias: all to the other side


@pytest.mark.statement("prop-ten-way")
@given(st.integers(0, 10**6), st.integers(3, 10))
def test_prop_ten_way_splits_the_loss(seed, k):
    rng = np.random.default_rng(seed)
    z = torch.tensor(rng.normal(0, 3, (30, k)), requires_grad=True)
    labels = torch.tensor(rng.integers(0, 2, 30))
    f, sign = z[:, 1] - z[:, 0], 2 * labels - 1
    blind = torch.log1p(z[:, 2:].exp().sum(1) / z[:, :2].exp().sum(1))
    losses = cross_entropy(z, labels, reduction="none")
    assert torch.allclose(losses, softplus(-sign * f) + blind)
    push = torch.autograd.grad(losses.sum(), z)[0][:, 2:]
    assert torch.allclose(push, z.softmax(1)[:, 2:]) and (push > 0).all()
    low = losses <= math.log(2)
    wins = z.argmax(1) == labels
    assert wins[low].all() and (losses[wins] < math.log(k)).all()


@pytest.mark.statement("prop-ten-way")
def test_prop_ten_way_head_starts_at_log_ten_and_converse_fails(few_digits):
    ten = deep_ten_way(add_label_noise(few_digits, 0.2, seed=0))
    record = deep_run(ten, "VGG", 0, epochs=1)
    assert np.abs(record.losses[:, 0] - math.log(10)).max() < 0.5
    assert not select_below_log2(record.losses[:, 0]).any()
    assert record.fits_observed[:, -1].mean() > 0.3  # given their label, and yet above log 2 at the start
    assert ten.n_classes == 10 and np.array_equal(ten.y, few_digits.y > 0)
    assert np.array_equal(ten.y_test, few_digits.y_test > 0)
    assert np.array_equal(ten.flipped, add_label_noise(few_digits, 0.2, seed=0).flipped)
    with pytest.raises(ValueError, match="images of two classes"):
        deep_ten_way(ten)


@pytest.mark.statement("prop-dropout-half")
@given(st.integers(0, 10**6), st.integers(1, 9))
def test_prop_dropout_half_is_on_the_same_side(seed, units):
    rng = np.random.default_rng(seed)
    b, a = rng.normal(), rng.normal(size=units)
    masks = np.array(list(itertools.product((0, 1), repeat=units)))
    positive = (b + 2 * masks @ a > 0).mean()
    assert positive >= 0.5 if b + a.sum() > 0 else positive <= 0.5


@pytest.mark.statement("prop-dropout-half")
def test_prop_dropout_half_bounds_the_accuracy_of_a_layer():
    """The book's Dropout before an output layer: expected accuracy between its bounds, and moved toward one half."""
    rng = np.random.default_rng(0)
    layer, dropout = nn.Linear(20, 1).double(), Dropout(0.5)
    dropout.reseed(rng, "cpu")
    x = torch.tensor(rng.normal(size=(500, 20)))
    sign = torch.where(torch.tensor(rng.random(500) < 0.85), 1, -1) * layer(x)[:, 0].sign()
    with torch.no_grad():
        off = (sign * layer(x)[:, 0] > 0).double().mean()
        on = torch.stack([(sign * layer(dropout(x))[:, 0] > 0).double().mean() for _ in range(200)]).mean()
    assert off / 2 < on < (1 + off) / 2 and 0.5 < on < off - 0.05


@pytest.mark.statement("prop-dropout-half")
def test_prop_dropout_half_a_group_can_pass_one_half():
    """Six samples barely right (one unit), four firmly wrong: 0.6 without dropout, 0.3 with, the least allowed."""
    share = lambda b, a: np.mean([b + 2 * mask * a > 0 for mask in (0, 1)])  # noqa: E731
    assert -0.9 + 1.0 > 0 and -2.0 + 0.5 < 0
    assert 0.6 * share(-0.9, 1.0) + 0.4 * share(-2.0, 0.5) == pytest.approx(0.3) == pytest.approx(0.6 / 2)


@pytest.mark.statement("prop-dropout-half")
def test_prop_dropout_half_fails_at_other_rates():
    b, a = -1.0, 0.55  # ex-dropout-rate: two units of rate 0.3
    outputs = [b + (first + second) * a / 0.7 for first, second in itertools.product((0, 1), repeat=2)]
    weights = [0.7 ** (i + j) * 0.3 ** (2 - i - j) for i, j in itertools.product((0, 1), repeat=2)]
    assert b + 2 * a > 0 and sum(w for w, f in zip(weights, outputs) if f > 0) == pytest.approx(0.49)


@pytest.mark.statement("prop-weight-scale")
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_prop_weight_scale_of_a_vgg(factor):
    """Outputs scale by s^6, gradients by s^5; a bias breaks it."""
    x = torch.randn(7, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    make = lambda: SmallVGG(SHAPE, 2, width=2, hidden=8).double().eval()  # noqa: E731
    plain, scaled = make(), scale_model_weights(make(), factor)
    f, g = plain(x), scaled(x)
    assert torch.allclose(g, factor**6 * f, rtol=1e-10, atol=0)
    for a, b in zip(plain, scaled):
        if isinstance(a, (nn.Conv2d, nn.Linear)):
            one, other = torch.autograd.grad(f.square().sum().sqrt(), a.weight, retain_graph=True)[0], \
                torch.autograd.grad(g.square().sum().sqrt(), b.weight, retain_graph=True)[0]
            assert torch.allclose(other, factor**5 * one, rtol=1e-8, atol=1e-14)
    nn.init.ones_(plain[0].bias)
    nn.init.ones_(scaled[0].bias)
    assert not torch.allclose(scaled(x), factor**6 * plain(x), rtol=1e-2)


def resnet_steps(factor, lr, steps=5):
    """Training outputs of a tiny PreActResNet without the small constant; lr is the step of its convolutions."""
    model = PreActResNet(SHAPE, 2, blocks=(1, 1), width=3, seed=1).double()
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 1e-30  # torch refuses 0
    for layer in convolutions:
        layer.weight.data.mul_(factor)
    mine = [layer.weight for layer in convolutions]
    rest = [p for p in model.parameters() if all(p is not weight for weight in mine)]
    optimizer = torch.optim.SGD([{"params": mine, "lr": lr}, {"params": rest, "lr": 0.05}], momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    seen = []
    for _ in range(steps):
        x = torch.randn(12, *SHAPE, dtype=torch.float64, generator=generator)
        f = model(x)
        seen.append(f.detach())
        optimizer.zero_grad()
        cross_entropy(f, torch.arange(12) % 2).backward()
        optimizer.step()
    return torch.stack(seen)


@pytest.mark.statement("prop-weight-scale")
def test_prop_weight_scale_of_a_resnet_is_a_step_size():
    base = resnet_steps(1.0, 0.05)
    assert torch.allclose(resnet_steps(0.5, 0.05 * 0.25), base, rtol=1e-6, atol=1e-8)
    apart = (resnet_steps(0.5, 0.05) - base).abs()
    assert apart[0].max() < 1e-9 and apart[-1].max() > 1e-2  # the same start, but another step size


@pytest.mark.statement("obs-deep-stages")
@pytest.mark.parametrize("network", NETWORKS)
def test_obs_deep_stages(trained, network):
    """Two runs each: noisy samples read truly, then memorised, and the test accuracy falls in the mean."""
    record = trained[network]
    truly, test = record.mean_over(record.fits_true, "noisy"), 1 - record.fresh_error
    turn = turning_time_index(record)
    assert (truly.max(1) > 0.75).all() and truly[:, -1].mean() < 0.55
    assert (test.max(1) - test[:, -1]).mean() > 0.02
    assert np.abs(values_at_stop(test, turn) - values_at_stop(truly, turn)).max() < 0.15  # three standard errors
    assert (turn > 0).all() and (turn < len(record.times) - 1).all() and test.max(1).min() > 0.8


@pytest.mark.statement("obs-deep-stages")
@pytest.mark.parametrize("network", NETWORKS)
def test_obs_deep_stages_without_flips(few_digits, network):
    record = deep_run(few_digits, network, 0)
    test = 1 - record.fresh_error[0]
    assert test.max() - test[-1] < 0.03 and test[-1] > 0.9


def test_epoch_table_says_what_the_record_says(trained):
    record = trained["ResNet"]
    record = replace(record, **{name: getattr(record, name)[:1] for name in (
        "y", "y_obs", "margins", "fresh_error", "observed_error", "runs")})
    table = deep_epoch_table(record, 0.2)
    assert len(table) == len(record.times) and np.array_equal(table.epoch, record.times)
    assert np.allclose(table.test, 1 - record.fresh_error[0]) and np.allclose(table["last"], table.test.iloc[-1])
    assert np.allclose(table.best, table.test.max()) and table.plateau_epoch.isin(record.times).all()
    assert np.allclose(table.caught, table.noisy_true) and np.allclose(table.lost, 1 - table.clean)
    assert np.allclose(table.noisy_observed + table.noisy_true, 1)
    share = record.flipped.mean()
    assert np.allclose(table.train_observed, (1 - share) * table.clean + share * table.noisy_observed)
    assert np.allclose(table.noise_left, share * table.noisy_observed / table.train_observed)
    assert (table.turning == record.times[turning_time_index(record)][0]).all()


@pytest.mark.statement("obs-deep-cifar")
def test_obs_deep_cifar():
    """3 seeds for each of 2 networks and 4 flip rates, and what the text says of the stops and of log 2."""
    rows = load_table("deep_networks").table.sort_values("epoch")
    runs = rows.groupby(["network", "flip_rate", "seed"])
    truly, end = runs.noisy_true.agg(["max", "last"]).unstack("flip_rate"), runs.last()
    best, last = truly["max"], truly["last"]
    assert (best[[0.1, 0.2]] >= 0.77).to_numpy().all() and (best - last)[[0.1, 0.2]].to_numpy().min() >= 0.19
    assert (last[0.2] <= 0.36).all() and (last[0.2].loc["VGG"] < 0.1).all()
    assert (best.loc["ResNet", 0.4] > 0.7).all() and (last.loc["ResNet", 0.4] < 0.28).all()
    means = lambda values: values.groupby(["network", "flip_rate"]).mean().unstack()  # noqa: E731
    fall = means(end.best - end["last"])
    assert (fall[[0.1, 0.2]] > 0.04).to_numpy().all() and (fall[0.0] < 0.035).all()
    each = (end.best - end["last"]).unstack("flip_rate")
    assert each[[0.1, 0.2]].to_numpy().min() > 0.03 and each[0.0].round(3).max() == 0.055
    tests = rows.groupby(["network", "flip_rate", "epoch"]).test.mean().unstack("flip_rate").drop(0, level="epoch")
    assert (tests[0.2] < tests[0.0]).all()  # "consistently lower", in the means
    turned = rows[rows.epoch == rows.turning]
    assert means(turned.set_index(["network", "flip_rate"]).caught)[[0.1, 0.2]].stack().between(0.75, 0.85).all()
    assert means(turned.set_index(["network", "flip_rate"]).lost)[[0.1, 0.2]].stack().between(0.08, 0.15).all()


@pytest.mark.statement("obs-deep-cifar")
def test_noisy_validation_is_nowhere_surely_better_than_blind_on_cifar():
    for (network, rate), rows in load_table("deep_networks").table.groupby(["network", "flip_rate"]):
        test = rows.pivot(index="seed", columns="epoch", values="test").to_numpy()
        validated = rows.groupby("seed").noisy_validation_test.first().to_numpy()
        mean, half = paired_difference(validated, values_at_stop(test, blind(1 - test)))
        assert mean < half, (network, rate)


@pytest.mark.statement("obs-deep-cifar")
def test_obs_deep_cifar_where_the_narrow_vgg_fails():
    rows = load_table("deep_networks").table.sort_values("epoch")
    tests = rows[(rows.network == "VGG") & (rows.flip_rate == 0.4)].groupby("seed")
    assert tests.test.max().round(2).tolist() == [0.5, 0.71, 0.8]
    assert tests.test.last().round(2).tolist() == [0.5, 0.59, 0.5]
    assert tests.noisy_true.max()[1] < 0.52 and tests.noisy_observed.last()[1] > 0.87
