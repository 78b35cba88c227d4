"""The losses of training: against their formulas, their gradients, and one another."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from columns import SHORT, images, small_cnn
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from helpers.data.label_noise import add_label_noise
from helpers.training import losses
from helpers.training.loop import fit
from helpers.training.losses import CrossEntropy, ELRLoss, FreshFlipsLoss
from helpers.training.models import SmallCNN


@pytest.fixture(scope="module")
def batch():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, generator=rng, dtype=torch.float64).requires_grad_()
    return logits, torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([5, 3, 9, 0, 1, 2])


def test_cross_entropy_of_margins(batch):
    """log(1 + exp(-margin)) is the cross-entropy, for logits and for one output."""
    logits, labels, index = batch
    loss = CrossEntropy().start(10, 4)
    torch.testing.assert_close(softplus(-losses.loss_margins(logits, labels)).mean(), loss(logits, labels, index))
    f, sides = logits[:, 0], labels % 2
    torch.testing.assert_close(softplus(-losses.loss_margins(f, sides)).mean(), loss(f, sides, index))
    torch.testing.assert_close(cross_entropy(losses.loss_logits(f), sides), loss(f, sides, index))


def test_elr_is_the_formula_and_its_gradient_that_of_lemma_2(batch):
    """After two passes: targets are running means from zero of the batch's own rows, the loss and gradient are the
    paper's."""
    logits, labels, index = batch
    loss = ELRLoss(strength=3.0, momentum=0.7).start(10, 4)
    loss.targets = loss.targets.double()
    p = logits.softmax(1).detach()
    loss(logits, labels, index)
    value = loss(logits, labels, index)
    target = (0.7 * 0.3 + 0.3) * p
    torch.testing.assert_close(loss.targets[index], target, rtol=1e-5, atol=1e-7)  # softmax in float32
    others = [i for i in range(10) if i not in index.tolist()]
    assert not loss.targets[others].any()
    expected = cross_entropy(logits, labels) + 3 * torch.log(1 - (p * target).sum(1)).mean()
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(value, logits)
    lemma = p - nn.functional.one_hot(labels, 4) + 3 * losses.elr_loss_gradient(p, target)
    torch.testing.assert_close(gradient, lemma / 6, rtol=1e-4, atol=1e-6)


def test_elr_of_strength_0_is_cross_entropy(three):
    plain, regularised = (fit(small_cnn(three), three, replace(SHORT, loss=loss), 0)
                          for loss in (CrossEntropy(), ELRLoss(strength=0.0)))
    np.testing.assert_allclose(plain.margins, regularised.margins, rtol=1e-3, atol=1e-4)
    strong = fit(small_cnn(three), three, replace(SHORT, loss=ELRLoss()), 0)
    assert np.abs(strong.margins - plain.margins).max() > 0.1


def test_elr_accepts_one_output():
    data = add_label_noise(images(2), 0.2, seed=0)
    record = fit(SmallCNN(data.image_shape, width=8), data, replace(SHORT, loss=ELRLoss()), 0)
    assert "ELRLoss(strength=3.0, momentum=0.7)" in record.config["recipe"]["loss"]


def test_fresh_flips_flip_anew_in_each_epoch_at_their_rate(three):
    """The labels that the network is asked for: the rate, uniform over the others, other ones in the next epoch."""
    asked, n = [], 4000
    loss = FreshFlipsLoss(0.3).start(n, 4)
    loss.forward = lambda outputs, labels, index: asked.append(labels) or outputs.sum()
    labels = torch.arange(n) % 4
    for seed in range(2):
        loss.of_model(nn.Flatten(), torch.zeros(n, 1, 1, 1), labels, torch.arange(n), np.random.default_rng(seed))
    shifts = [((one - labels) % 4).numpy() for one in asked]
    for shift in shifts:
        counts = np.bincount(shift, minlength=4) / n
        assert abs(counts[0] - 0.7) < 4 * (0.21 / n) ** 0.5 and np.ptp(counts[1:]) < 0.04
    both = np.mean((shifts[0] > 0) & (shifts[1] > 0))
    assert abs(both - 0.09) < 4 * (0.09 * 0.91 / n) ** 0.5  # independent draws
    plain, none, some = (fit(small_cnn(three), three, replace(SHORT, loss=one), 0)
                         for one in (CrossEntropy(), FreshFlipsLoss(0.0), FreshFlipsLoss(0.4)))
    assert np.array_equal(plain.margins, none.margins) and not np.allclose(plain.margins, some.margins, atol=1e-2)
    again = fit(small_cnn(three), three, replace(SHORT, loss=FreshFlipsLoss(0.4)), 0)
    assert np.array_equal(again.margins, some.margins)
    with pytest.raises(ValueError, match="rate"):
        FreshFlipsLoss(1.0)
