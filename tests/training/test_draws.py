"""Random numbers of global generators come from the run's seed."""

import random

import numpy as np
import pytest
import torch
from columns import SHORT, small_cnn
from torch import nn
from torch.nn.functional import dropout

from helpers.training.draws import may_draw, seeded_draws
from helpers.training.loop import fit, fit_side_by_side
from helpers.training.models import PreActResNet, SmallCNN, vgg


class Functional(SmallCNN):
    def forward(self, x):
        return super().forward(dropout(x, 0.3, self.training))


def dropping(data, kind):
    torch.manual_seed(5)
    if kind == "functional":
        return Functional(data.image_shape, width=4, n_outputs=3)
    return nn.Sequential(nn.Flatten(), kind(), nn.Linear(64, 3))


@pytest.mark.parametrize("kind", ["functional", nn.Dropout, nn.AlphaDropout, nn.RReLU])
def test_dropout_of_any_kind_repeats_and_leaves_the_callers_generators_alone(three, kind):
    records = []
    for seed in (1, 1, 2):
        model = dropping(three, kind)
        torch.manual_seed(len(records))
        before = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
        records.append(fit(model, three, SHORT, seed).margins)
        assert torch.equal(torch.random.get_rng_state(), before[0]) and random.getstate() == before[1]
        assert np.array_equal(np.random.get_state()[1], before[2])
    assert np.array_equal(records[0], records[1]) and not np.array_equal(records[0], records[2])


def test_runs_in_threads_do_not_mix_their_draws(three):
    run = lambda seed: fit(Functional(three.image_shape, width=4, n_outputs=3), three, SHORT, seed)  # noqa: E731
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        side = fit_side_by_side(run, [0, 1, 2]).margins
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(side, np.concatenate([run(seed).margins for seed in (0, 1, 2)]))


def test_our_own_networks_take_no_turns(three):
    quiet = [small_cnn(three), vgg(three.image_shape, 3, width=1), PreActResNet(three.image_shape, 3, width=2),
             nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.BatchNorm1d(2)), nn.CrossEntropyLoss()]
    assert not may_draw(quiet) and may_draw([Functional(three.image_shape)]) and may_draw([lambda z, y: z])


def test_a_failure_inside_puts_the_generators_back():
    before = torch.random.get_rng_state()
    with pytest.raises(KeyError), seeded_draws(0, "a test"):
        torch.rand(3)
        raise KeyError
    assert torch.equal(torch.random.get_rng_state(), before)
