"""ELR+: pairs of networks, their targets, the ramp."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from columns import SHORT, small_cnn

from helpers.training.elr_plus import ELRPlus
from helpers.training.loop import fit
from helpers.training.losses import ELR
from helpers.training.models import Pair


def pair(data, seeds=(0, 1)):
    return Pair(*(small_cnn(data, seed) for seed in seeds))


def test_a_pair_answers_with_the_mean_of_both(three):
    model, x = pair(three), torch.from_numpy(three.x)
    both = torch.stack([network(x).softmax(1) for network in model.networks])
    torch.testing.assert_close(model(x).softmax(1), both.mean(0))
    torch.testing.assert_close(model(x).exp(), both.mean(0))


def test_elr_plus_of_twins_without_its_additions_is_elr(three):
    """Two equal networks, no mixup, no memory of the weights: the other network says what one's own does."""
    plus = ELRPlus(average=0.0, mixup=0.0, ramp=0)
    twins = fit(pair(three, (0, 0)), three, replace(SHORT, loss=plus), 0)
    single = fit(small_cnn(three), three, replace(SHORT, loss=ELR()), 0)
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
    with pytest.raises(ValueError, match=r"model=.*models\.Pair"):
        fit(small_cnn(three), three, replace(SHORT, loss=ELRPlus()), 0)


@pytest.mark.parametrize("change", [
    {"strength": -1.0}, {"momentum": 1.0}, {"average": 1.0}, {"ramp": -1}, {"mixup": -1.0}])
def test_bad_elr_is_named(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        ELRPlus(**change)
