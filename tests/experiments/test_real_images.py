"""Runs on real images are single runs with their own flips."""

import numpy as np

from helpers.data.images import load_digits
from helpers.data.label_noise import add_label_noise
from helpers.experiments.real_images import image_run, image_runs
from helpers.training.loop import Recipe


def test_image_runs_are_the_single_runs_with_their_own_flips():
    data = load_digits().subset(60)
    both = image_runs(data, 0.2, [3, 4], n_val=100)
    noisy = add_label_noise(data, 0.2, seed=4)
    single = image_run(noisy, 4, n_val=100)
    np.testing.assert_array_equal(both.y_obs[1], noisy.y_obs)
    np.testing.assert_array_equal(both.margins[1], single.margins[0])
    assert [run["seed"] for run in both.runs] == [3, 4] and both.test_sizes["validation"] == 100
    shorter = image_run(noisy, 4, recipe=Recipe(epochs=2))
    np.testing.assert_array_equal(shorter.margins[0, :3], single.margins[0, :3])
