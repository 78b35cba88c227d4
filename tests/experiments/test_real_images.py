"""Runs on real images are single runs with their own flips."""

import numpy as np

from helpers.data.datasets import load_digits
from helpers.data.label_noise import add_label_noise
from helpers.data.subsets import hold_out
from helpers.experiments.real_images import image_mistakes, image_run, image_runs
from helpers.training.recipe import Recipe


def test_image_runs_are_the_single_runs_with_their_own_flips():
    data = load_digits().subset(60)
    both = image_runs(data, 0.2, [3, 4])
    noisy = add_label_noise(data, 0.2, seed=4)
    single = image_run(noisy, 4)
    np.testing.assert_array_equal(both.y_obs[1], noisy.y_obs)
    np.testing.assert_array_equal(both.margins[1], single.margins[0])
    assert [run["seed"] for run in both.runs] == [3, 4]
    shorter = image_run(noisy, 4, recipe=Recipe(epochs=2))
    np.testing.assert_array_equal(shorter.margins[0, :3], single.margins[0, :3])


def test_validation_images_come_out_of_the_training_set():
    data = add_label_noise(load_digits().subset(60), 0.2, seed=3)
    recipe = Recipe(epochs=3)
    held = image_run(data, 3, recipe=recipe, n_val=20)
    assert held.margins.shape[-1] == 40 and held.test_sizes == {"fresh": 797, "observed": 797, "validation": 20,
                                                                "validation_observed": 20}
    np.testing.assert_array_equal(held.y_obs[0], data.y_obs[:40])
    same = image_run(hold_out(data, 20), 3, recipe=recipe)
    np.testing.assert_array_equal(same.margins, held.margins)


def test_mistakes_are_those_behind_the_test_error():
    data = load_digits().subset(60)
    for n_val in (0, 20):
        record, wrong = image_mistakes(data, 0.2, [3, 4], n_val=n_val)
        assert wrong.shape == (2, len(record.times), 797)
        np.testing.assert_allclose(wrong.mean(-1), record.fresh_error)
        np.testing.assert_array_equal(record.margins, image_runs(data, 0.2, [3, 4], n_val=n_val).margins)
