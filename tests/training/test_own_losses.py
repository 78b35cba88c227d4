"""Losses of one's own: any function or module of logits and labels."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from columns import SHORT, small_cnn
from torch import nn
from torch.nn.functional import cross_entropy

from helpers.training.callables import describe
from helpers.training.checkpoints import CheckpointError
from helpers.training.loop import fit
from helpers.training.models import SmallCNN
from helpers.training.recipe import Recipe


@dataclass
class Weighted:
    weight: float = 1.0

    def __call__(self, logits, labels):
        return self.weight * cross_entropy(logits, labels)


@pytest.mark.parametrize("loss", [
    cross_entropy, nn.CrossEntropyLoss(), Weighted(), lambda z, y: cross_entropy(z, y, reduction="none")])
def test_cross_entropy_in_any_form_gives_the_numbers_of_ours(three, loss):
    expected = fit(small_cnn(three), three, SHORT, 0)
    found = fit(small_cnn(three), three, replace(SHORT, loss=loss), 0)
    np.testing.assert_allclose(found.margins, expected.margins, rtol=1e-4, atol=1e-5)  # a mean in another order


def test_one_output_reaches_the_loss_as_two_logits(small):
    expected, seen = fit(SmallCNN(small.image_shape, width=4), small, SHORT, 0), set()

    def loss(logits, labels):
        seen.add((logits.shape[1], labels.dtype, bool((logits[:, 0] == 0).all())))
        return cross_entropy(logits, labels)

    found = fit(SmallCNN(small.image_shape, width=4), small, replace(SHORT, loss=loss), 0)
    assert seen == {(2, torch.int64, True)}
    np.testing.assert_allclose(found.margins, expected.margins, rtol=1e-3, atol=1e-4)


def test_index_and_step_are_given_to_who_asks(three):
    steps, samples = [], []

    def loss(logits, labels, step, index):
        steps.append(step)
        samples.extend(index.tolist())
        assert labels.tolist() == three.y_obs[index.numpy()].tolist()
        return cross_entropy(logits, labels)

    fit(small_cnn(three), three, replace(SHORT, epochs=1, loss=loss), 0)
    assert steps == list(range(SHORT.__class__(epochs=1, batch_size=SHORT.batch_size).steps(three.n)))
    assert sorted(samples) == list(range(three.n))


@pytest.mark.parametrize(("loss", "says"), [
    (lambda labels, logits: cross_entropy(logits, labels), r"recipe\.loss.*loss\(logits, labels\).*raised"),
    (lambda logits, labels: 0.5, "returned float"), (lambda logits, labels: logits, "a single number or one per"),
    (lambda logits, labels: torch.tensor(1.0), "differentiated")])
def test_a_loss_that_does_not_fit_is_named(three, loss, says):
    with pytest.raises(ValueError, match=f"(?s){says}"):
        fit(small_cnn(three), three, replace(SHORT, loss=loss), 0)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss, "no", lambda z: z, nn.Linear(2, 2)])
def test_what_cannot_be_called_as_a_loss_is_refused_by_the_recipe(loss):
    with pytest.raises(ValueError, match=r"loss=.*must be"):
        Recipe(loss=loss)


def test_descriptions_tell_losses_apart_and_checkpoints_use_them(three, tmp_path):
    losses = [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.1), Weighted(), Weighted(2.0),
              partial(cross_entropy, label_smoothing=0.1), lambda z, y: cross_entropy(z, y),
              lambda z, y: 2 * cross_entropy(z, y), nn.CrossEntropyLoss(torch.ones(3))]
    assert len({describe(loss) for loss in losses}) == len(losses)
    assert describe(Weighted(2.0)) == describe(Weighted(2.0)) and "0x" not in "".join(map(describe, losses))
    one, other = (replace(SHORT, loss=Weighted(weight)) for weight in (1.0, 2.0))
    fit(small_cnn(three), three, one, 0, checkpoint=tmp_path / "run.pt")
    with pytest.raises(CheckpointError, match="differs in settings"):
        fit(small_cnn(three), three, other, 0, checkpoint=tmp_path / "run.pt")


def test_a_class_in_place_of_a_network_is_refused(three):
    with pytest.raises(ValueError, match="not its class"):
        fit(SmallCNN, three, SHORT, 0)
    with pytest.raises(ValueError, match="recipe=None: must be a Recipe"):
        fit(small_cnn(three), three, None, 0)
