"""ELR+: pairs of networks and single ones, their targets, the ramp, what is tested, each part left out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from columns import SHORT, small_cnn

from helpers.training.elr_plus import ELRPlus
from helpers.training.loop import fit
from helpers.training.losses import CrossEntropy, ELRLoss
from helpers.training.models import ModelPair


def pair(data, seeds=(0, 1)):
    return ModelPair(*(small_cnn(data, seed) for seed in seeds))


def test_a_pair_answers_with_the_mean_of_both(three):
    model, x = pair(three), torch.from_numpy(three.x)
    both = torch.stack([network(x).softmax(1) for network in model.networks])
    torch.testing.assert_close(model(x).softmax(1), both.mean(0))
    torch.testing.assert_close(model(x).exp(), both.mean(0))


def test_elr_plus_of_twins_without_its_additions_is_elr(three):
    """Two equal networks, no mixup, no memory of the weights: the other network says what one's own does."""
    plus = ELRPlus(average=0.0, mixup=0.0, ramp=0)
    twins = fit(pair(three, (0, 0)), three, replace(SHORT, loss=plus), 0)
    single = fit(small_cnn(three), three, replace(SHORT, loss=ELRLoss()), 0)
    np.testing.assert_allclose(twins.margins, single.margins, rtol=1e-3, atol=1e-4)
    for change in ({"mixup": 1.0}, {"average": 0.9}):
        other = fit(pair(three, (0, 0)), three, replace(SHORT, loss=replace(plus, **change)), 0)
        assert np.abs(other.margins - single.margins).max() > 1e-3


def test_targets_of_elr_plus_come_from_the_other_networks_mean(three):
    """One step by hand: targets, mixed loss, and the running mean of the weights after two steps."""
    model = pair(three)
    loss = ELRPlus(average=0.5, ramp=0, mixup=1.0).start(three.n, 3, "cpu", model)
    x, index = torch.from_numpy(three.x[:8]), torch.arange(8)
    labels = torch.from_numpy(three.y_obs[:8])
    said = [network(x).softmax(1).detach() for network in model.networks]
    value = loss.of_model(model, x, labels, index, np.random.default_rng(0))
    torch.testing.assert_close(loss.targets[:, :8], 0.3 * torch.stack(said[::-1]))
    assert not loss.targets[:, 8:].any()
    rng, expected = np.random.default_rng(0), 0.0
    for k, network in enumerate(model.networks):
        share = rng.beta(1, 1)
        share, order = max(share, 1 - share), torch.from_numpy(rng.permutation(8))
        log_p = network(share * x + (1 - share) * x[order]).log_softmax(1)
        target = share * loss.targets[k, :8] + (1 - share) * loss.targets[k, order]
        pick = lambda y, log_p=log_p: log_p.gather(1, y[:, None])[:, 0]  # noqa: E731
        expected += -(share * pick(labels) + (1 - share) * pick(labels[order])).mean()
        expected += 3 * torch.log(1 - (log_p.exp() * target).sum(1)).mean()
    torch.testing.assert_close(value, expected)
    weights, means = [], []
    for step in range(3):
        loss.after_step(model)
        weights.append(model.networks[0].layers[0].weight.detach().clone())
        means.append(loss.averaged[0].module.layers[0].weight.clone())
        with torch.no_grad():
            model.networks[0].layers[0].weight.add_(0.1 * (step + 1))
    torch.testing.assert_close(means[2], (weights[0] + weights[1]) / 4 + weights[2] / 2)


def test_the_ramp_of_elr_plus():
    loss = ELRPlus(average=0.997, ramp=100)
    assert loss.average_at(0) == pytest.approx(0.997 * np.exp(-5)) and loss.average_at(50) < 0.5
    assert loss.average_at(100) == loss.average_at(1000) == 0.997


def test_elr_plus_needs_a_pair(three):
    with pytest.raises(ValueError, match=r"model=.*models\.ModelPair"):
        fit(small_cnn(three), three, replace(SHORT, loss=ELRPlus()), 0)
    with pytest.raises(ValueError, match=r"model=.*one network"):
        fit(pair(three), three, replace(SHORT, loss=ELRPlus(networks=1)), 0)


def test_ramp_and_averaging_are_the_released_ones_in_shares_of_the_run():
    """40,000 of 200 epochs of 352 steps, and a mean over 333 of these 352; the released run gives the defaults."""
    assert ELRPlus.for_run(45_000, epochs=200, batch_size=128) == ELRPlus()
    scaled = ELRPlus.for_run(1_280, epochs=100, batch_size=128, strength=1.0)
    assert scaled.strength == 1.0 and scaled.ramp == round(0.568182 * 1_000)
    assert 1 / (1 - scaled.average) == pytest.approx(10 * (1000 / 3) / 352)
    assert ELRPlus.for_run(10, epochs=2, batch_size=10).average == 0.0  # one step per epoch: no memory


def one(data, **changes):
    """Record of a single network under ELR+ without mixup, without its term and with a mean over two steps."""
    loss = replace(ELRPlus(networks=1, strength=0.0, mixup=0.0, average=0.5, ramp=0), **changes)
    return fit(small_cnn(data), data, replace(SHORT, loss=loss), 0)


def test_without_its_term_mixup_and_second_network_elr_plus_is_cross_entropy(three):
    plain = fit(small_cnn(three), three, replace(SHORT, loss=CrossEntropy()), 0)
    np.testing.assert_allclose(one(three).margins, plain.margins, rtol=1e-3, atol=1e-4)
    for change in ({"mixup": 1.0}, {"strength": 3.0}):
        assert np.abs(one(three, **change).margins - plain.margins).max() > 1e-3


def test_the_averaged_weights_can_be_tested(three):
    """Live weights train as without them; what is measured is the network whose weights are the mean."""
    live, averaged = (one(three, average=0.9, tested=tested) for tested in ("live", "averaged"))
    assert np.array_equal(live.margins[:, 0], averaged.margins[:, 0])
    assert np.abs(live.margins[:, 1:] - averaged.margins[:, 1:]).max() > 1e-3
    model = small_cnn(three)
    loss = ELRPlus(networks=1, average=0.5, ramp=0, tested="averaged").start(three.n, 3, "cpu", model)
    before = model.layers[0].weight.detach().clone()
    loss.after_step(model)
    with torch.no_grad():
        model.layers[0].weight.add_(1.0)
    loss.after_step(model)
    torch.testing.assert_close(loss.tested(model).module.layers[0].weight, before + 0.5)
    twins = pair(three)
    both = ELRPlus(tested="averaged").start(three.n, 3, "cpu", twins)
    assert isinstance(both.tested(twins), ModelPair) and ELRPlus().start(three.n, 3, "cpu",
                                                                         twins).tested(twins) is twins


def test_one_network_has_targets_from_its_own_mean(three):
    model = small_cnn(three)
    loss = ELRPlus(networks=1, average=0.5, ramp=0, mixup=0.0).start(three.n, 3, "cpu", model)
    x, index, labels = torch.from_numpy(three.x[:8]), torch.arange(8), torch.from_numpy(three.y_obs[:8])
    said = model(x).softmax(1).detach()
    with torch.no_grad():
        model.layers[0].weight.add_(0.1)  # the mean stays what the network was
    loss.of_model(model, x, labels, index, np.random.default_rng(0))
    torch.testing.assert_close(loss.targets[:, :8], 0.3 * said[None])


@pytest.mark.parametrize("change", [
    {"strength": -1.0}, {"momentum": 1.0}, {"average": 1.0}, {"ramp": -1}, {"mixup": -1.0},
    {"networks": 3}, {"tested": "both"}])
def test_bad_elr_is_named(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        ELRPlus(**change)
