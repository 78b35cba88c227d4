"""Laws of the variants: thresholds on random draws, levels and laws of pair flips."""

import numpy as np
import pytest
from idealised import problem

from helpers.data.noise_kinds import AsymmetricCIFAR10Noise, SymmetricNoise, TransitionNoise
from helpers.engine import scenes
from helpers.engine.variants import descend_variant
from helpers.theory import variant_laws as laws
from helpers.theory.multiclass_laws import multiclass_law, multiclass_loss_levels, multiclass_pair_law


def test_thresholds_of_stage_one_on_random_draws():
    """Shares of noisy samples read truly at 0.7 and 1.4 of each predicted threshold: below 0.4 and above 0.6."""
    tau, m, h, d = 0.2, 20, 0.02, 10**12
    settings_ = [(scenes.separate_positions_scene, 2.0 / 0.6, {}),
                 (scenes.two_class_scene, laws.leaky_relu_threshold(0.3) / 0.6, {"leak": 0.3}),
                 (scenes.patch_dependent_scene, 1 / 0.6, {}),
                 (lambda law, *rest: scenes.recurring_patch_scene(law, 4.0, "patch", *rest), 1 / 0.6, {}),
                 (lambda law, *rest: scenes.recurring_patch_scene(law, 4.0, "pair", *rest), 2.6 / 0.6, {}),
                 (lambda law, *rest: scenes.several_class_scene(law, 3, *rest), 3 / 0.7, {})]
    for build, threshold, method in settings_:
        shares = []
        for factor in (0.7, 1.4):
            law = problem(n=200, d=d, c=factor * threshold, tau=tau)
            record = descend_variant([build(law, m, 3e-10, seed) for seed in range(6)], h * 200 * m / d, 5,
                                     record_at=[5], n_test=0, **method)
            shares.append(record.mean_over(record.fits_true, "noisy").mean())
        assert shares[0] < 0.4 and shares[1] > 0.6, (build, method, shares)


def test_loss_levels_of_unequal_rates():
    """Means over samples: five classes at 0, five with 40% wrong labels."""
    clean, noisy = multiclass_loss_levels(AsymmetricCIFAR10Noise(0.4), 10)
    assert clean == pytest.approx(-5 * 0.6 * np.log(0.6) / 8) and noisy == pytest.approx(-np.log(0.4))
    assert np.isnan(multiclass_loss_levels(SymmetricNoise(0.0), 4)[1])
    with pytest.raises(ValueError, match="noise="):
        multiclass_loss_levels(TransitionNoise(((0.0, 1.0), (0.5, 0.5))), 2)


def test_next_class_law_of_two_classes_and_late():
    """K = 2 is the law of symmetric flips; late ratios tend to kappa at c/K, which the chapter conjectures."""
    s = np.geomspace(0.1, 100, 20)
    pair, symmetric = multiclass_pair_law(8.0, 0.3, 2, s), multiclass_law(8.0, 0.3, 2, s)
    np.testing.assert_allclose(pair.noisy_margin, symmetric.noisy_margin, atol=1e-6)
    np.testing.assert_allclose(pair.clean_margin, symmetric.clean_margin, atol=1e-6)
    late = multiclass_pair_law(60.0, 0.2, 10, [1.0, 1e6])
    kappa = (1 + 12 * 0.8) / (1 + 12 * 0.2)
    assert late.clean_margin[-1] - late.noisy_margin[-1] == pytest.approx(np.log(kappa), abs=0.01)
    beyond = multiclass_law(60.0, 0.7, 10, [1.0, 1e10])  # tau > 1/2: at rest, and the ratio is 1
    assert beyond.signal[-1] == pytest.approx(np.log(8 * 0.3 / 0.4), abs=0.01)
    assert beyond.clean_margin[-1] == pytest.approx(beyond.noisy_margin[-1], abs=0.01)
    for at_rest in (0.5, 0.1):
        with pytest.raises(ValueError, match="flip_rate="):
            multiclass_pair_law(8.0, at_rest, 10, s)
