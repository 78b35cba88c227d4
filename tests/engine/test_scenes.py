"""Scenes: where flips fall, the strengths of the signals, orthogonal noise."""

import numpy as np
import pytest
import torch
from idealised import problem

from helpers import SignalNoise
from helpers.data.noise_kinds import PairFlipNoise
from helpers.engine import scenes
from helpers.engine.scenes import noisy_scene


def test_separate_positions_never_share_a_filter():
    """Patches in different positions are orthogonal; a signal stands where the sample's noise does not."""
    scene = scenes.separate_positions_scene(problem(n=30, d=200), 3, 0.1, 0)
    signal, noise = scene.patches.T
    own = scene.gram[signal, noise]
    assert (own == 0).all()
    other_place = scene.gram[(signal + 2) % 4, noise]
    assert (other_place != 0).all() and (scene.gram[0, 2] == 0)


def test_flips_fall_where_they_should_and_at_the_overall_rate():
    """800 samples: a rate of 0.2 has standard error 0.014."""
    law = problem(n=800, d=10**4)
    for kind in scenes.FLIPS:
        scene = scenes.recurring_patch_scene(law, 2.0, kind, 1, 0.1, 0)
        flipped, a = scene.y != scene.y_obs, scene.patches[:, 1] - 2
        assert abs(flipped.double().mean() - 0.2) < 0.06
        if kind == "patch":
            assert (a[flipped] == 0).all()
        if kind == "pair":
            assert (a[flipped] != scene.y[flipped]).all()
    for seed in range(2):
        scene = scenes.several_class_scene(law, 5, 1, 0.1, seed)
        flipped = scene.y != scene.y_obs
        assert abs(flipped.double().mean() - 0.2) < 0.06
        shift = (scene.y_obs - scene.y)[flipped] % 5
        assert (torch.bincount(shift, minlength=5)[1:] > 20).all()  # 40 expected of each
    scene = scenes.patch_dependent_scene(law, 1, 0.1, 0)
    assert abs((scene.y != scene.y_obs).double().mean() - 0.2) < 0.06


@pytest.mark.parametrize("build", [
    scenes.two_class_scene, scenes.separate_positions_scene, scenes.patch_dependent_scene,
    lambda *rest: scenes.recurring_patch_scene(rest[0], 3.0, "pair", *rest[1:]),
    lambda *rest: scenes.several_class_scene(rest[0], 3, *rest[1:])])
def test_scenes_have_the_strengths_they_name(build):
    """Norms of signals and noise, and initial responses whose covariance is init_std^2 times the Gram matrix."""
    law = problem(n=30, d=400, c=3.0)
    scene = build(law, 1000, 0.1, 1)
    rows = len(scene.gram)
    assert scene.gram[0, 0].item() == pytest.approx(law.mu_norm**2)
    np.testing.assert_allclose(scene.gram.diagonal()[rows - 30:] / 400, 1, atol=0.4)  # 5 standard deviations
    flat = scene.responses.flatten(0, 1) / 0.1
    scale = scene.gram.diagonal().sqrt()
    covariance = flat.T @ flat / len(flat) / scale[:, None] / scale
    correlation = scene.gram / scale[:, None] / scale
    assert (covariance - correlation).abs().max() < 5 * (2 / 2000) ** 0.5
    assert torch.linalg.eigvalsh(scene.gram).min() > -1e-8


def test_orthogonal_noise_stays_off_every_signal():
    law = problem(n=20, d=200, orthogonal=True)
    assert (scenes.several_class_scene(law, 3, 2, 0.1, 0).gram[:3, 3:] == 0).all()
    assert (scenes.recurring_patch_scene(law, 1.0, "pair", 2, 0.1, 0).gram[:4, 4:] == 0).all()


def test_noisy_scenes_have_the_labels_that_they_name():
    law = SignalNoise(1000, 4000, n_snr2=3.0)
    plain, pair = scenes.several_class_scene(law, 4, 2, 0.1, 0), noisy_scene(law, PairFlipNoise(0.3), 4, 2, 0.1, 0)
    assert torch.equal(plain.gram, pair.gram) and torch.equal(plain.y, pair.y)
    shift = (pair.y_obs - pair.y) % 4
    assert set(shift.tolist()) == {0, 1} and abs((shift == 1).double().mean() - 0.3) < 0.06  # 4 standard errors
