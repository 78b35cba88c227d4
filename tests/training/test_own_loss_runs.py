"""Losses of one's own in runs that are resumed, and in bfloat16."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from columns import SHORT, small_cnn
from torch import nn
from torch.nn.functional import cross_entropy

from helpers.training import checkpoints
from helpers.training.loop import fit


class Running(nn.Module):
    """Cross-entropy, and a pull toward running targets, which are buffers."""

    def __init__(self, n, n_classes):
        super().__init__()
        self.register_buffer("targets", torch.zeros(n, n_classes))

    def forward(self, logits, labels, index):
        p = logits.softmax(1)
        self.targets[index] = 0.7 * self.targets[index] + 0.3 * p.detach()
        return cross_entropy(logits, labels) + torch.log(1 - 0.9 * (p * self.targets[index]).sum(1)).mean()


def test_a_resumed_run_goes_on_from_the_buffers_of_an_own_loss(three, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    recipe, path = replace(SHORT, loss=Running(three.n, 3)), tmp_path / "run.pt"
    expected = fit(small_cnn(three), three, recipe, 0, record_at=[0, 1, 2, 3])

    def killed(epoch, model):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(small_cnn(three), three, recipe, 0, record_at=[0, 1, 2, 3], checkpoint=path, watch=killed)
    kept = torch.load(io.BytesIO(path.read_bytes().partition(b"\n")[2]), weights_only=True)
    assert kept["epoch"] == 2 and kept["loss"]["function.targets"].any()
    found = fit(small_cnn(three), three, recipe, 0, record_at=[0, 1, 2, 3], checkpoint=path)
    assert np.array_equal(found.margins, expected.margins)
    assert not recipe.loss.targets.any()  # each run trains with a copy


def test_an_own_loss_gets_float32_logits_in_bfloat16(three):
    seen = []

    def loss(logits, labels):
        seen.append(logits.dtype)
        return cross_entropy(logits, labels)

    recipe = replace(SHORT, loss=loss)
    found = fit(small_cnn(three), three, recipe, 0, precision="bfloat16")
    ours = fit(small_cnn(three), three, SHORT, 0, precision="bfloat16")
    exact = fit(small_cnn(three), three, recipe, 0, precision="float32")
    assert set(seen) == {torch.float32}
    assert np.array_equal(found.margins, ours.margins)
    assert not np.array_equal(found.margins, exact.margins)  # it did train in bfloat16
