"""Optimizers, schedules and augmentations of one's own."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from columns import SHORT, small_cnn
from torch.optim.lr_scheduler import OneCycleLR

from helpers.training import checkpoints
from helpers.training.loop import fit
from helpers.training.recipe import Recipe


def test_sgd_made_by_hand_gives_the_numbers_of_ours(three):
    made = partial(torch.optim.SGD, lr=SHORT.lr, momentum=SHORT.momentum)
    one, other = (fit(small_cnn(three), three, recipe, 0) for recipe in (SHORT, replace(SHORT, optimizer=made)))
    assert np.array_equal(one.margins, other.margins) and other.config["recipe"]["lr"] is None


def test_a_schedule_steps_after_every_batch_resumes_and_says_when_it_is_out_of_steps(three, tmp_path, monkeypatch):
    def recipe(steps):
        return replace(SHORT, optimizer=torch.optim.Adam,
                       scheduler=partial(OneCycleLR, max_lr=0.01, total_steps=steps))

    whole = fit(small_cnn(three), three, recipe(SHORT.steps(three.n)), 0)
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)

    def stop(epoch, model):
        if epoch == 2:
            raise KeyError

    arguments = three, recipe(SHORT.steps(three.n)), 0
    with pytest.raises(KeyError):
        fit(small_cnn(three), *arguments, checkpoint=tmp_path / "run.pt", watch=stop)
    assert np.array_equal(fit(small_cnn(three), *arguments, checkpoint=tmp_path / "run.pt").margins, whole.margins)
    with pytest.raises(ValueError, match=r"recipe\.scheduler=.*recipe\.steps\(120\)"):
        fit(small_cnn(three), three, recipe(2), 0)


@pytest.mark.parametrize("change", [
    {"optimizer": 3}, {"optimizer": torch.optim.SGD, "milestones": (1,)},
    {"optimizer": torch.optim.SGD, "weight_decay": 0.1}, {"scheduler": "cosine"}])
def test_recipes_that_contradict_themselves_are_refused(change):
    with pytest.raises(ValueError, match=list(change)[-1]):
        Recipe(**change)


def test_an_augmentation_sees_pixels_and_repeats(three):
    def shaken(x):
        assert x.min() >= 0 and x.max() <= 1
        return x + 0.3 * torch.rand_like(x)

    plain, one, same = (fit(small_cnn(three), three, replace(SHORT, augment=augment), 0).margins
                        for augment in (False, shaken, shaken))
    assert np.array_equal(one, same) and not np.array_equal(one, plain)
    nothing = fit(small_cnn(three), three, replace(SHORT, augment=lambda x: x), 0).margins
    np.testing.assert_allclose(nothing, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("augment", [lambda x: x[:, :, :4], lambda x: None, lambda x: x * torch.nan])
def test_an_augmentation_that_returns_something_else_is_refused(three, augment):
    with pytest.raises(ValueError, match=r"recipe\.augment"):
        fit(small_cnn(three), three, replace(SHORT, augment=augment), 0)
