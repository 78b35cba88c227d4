"""The engine of the variants: its errors, label-noise descent, and what is refused."""

import numpy as np
import pytest
from idealised import problem

from helpers import SignalNoise, descend
from helpers.engine import scenes
from helpers.engine.variants import Variant, VariantEngine, descend_variant
from helpers.theory import variant_laws as laws


@pytest.mark.parametrize("orthogonal", [False, True])
def test_fresh_errors_agree_with_the_books_in_law(orthogonal):
    """Two independent sets of 4000 draws at errors near 0.1 to 0.3: standard error of a difference 0.01; 4 of them."""
    law = SignalNoise(40, 60, n_snr2=2.0, flip_plus=0.2, flip_minus=0.2, orthogonal=orthogonal)
    size = {"record_at": [0, 100], "n_test": 4000}
    book = descend(law, 5, 0.3, 0.5, 100, range(3), **size)
    ours = descend_variant([scenes.two_class_scene(law, 5, 0.3, seed) for seed in range(3)], 0.5, 100, **size)
    assert book.fresh_error.min() > 0.02
    np.testing.assert_allclose(ours.fresh_error, book.fresh_error, atol=0.04)


def test_reused_error_counts_every_patch_beside_every_context():
    law = problem(n=10, d=40)
    scene = scenes.several_class_scene(law, 3, 4, 0.1, 0)
    engine = VariantEngine([scene], [0.5], Variant())
    for _ in range(20):
        engine.advance()
    out = engine.outputs()[0]
    wrong = [(out[:, k] + out[:, 3 + i]).argmax().item() != k for k in range(3) for i in range(10)]
    record = descend_variant([scene], 0.5, 20, record_at=[20], n_test=0)
    assert record.reused_error[0, 0] == pytest.approx(np.mean(wrong)) and 0 < np.mean(wrong) < 1


def test_label_noise_descent_generalises_where_plain_descent_does_not():
    """Measured at the reported sizes of Huang et al., 3 seeds, 1000 steps: 1.00 against 0.54 when written."""
    law = SignalNoise(200, 2000, mu_norm=2.0, noise_std=0.5, orthogonal=True)
    built = [scenes.two_class_scene(law, 20, 0.01, seed) for seed in range(3)]
    found = [descend_variant(built, 1.0, 1000, record_at=[1000], n_test=500, activation="squared",
                             flip_rate=p).fresh_error.max()
             for p in (0.1, 0.0)]
    assert found[0] < 0.02 and found[1] > 0.35


def test_bad_arguments_are_named():
    law = problem(n=20, d=200)
    scene = scenes.two_class_scene(law, 2, 0.1, 0)
    for text, call in {
            "batch_size=3": lambda: descend_variant([scene], 0.1, 5, batch_size=3),
            "leak=2": lambda: descend_variant([scene], 0.1, 5, leak=2),
            "leak=0.5": lambda: descend_variant([scene], 0.1, 5, leak=0.5, activation="squared"),
            "activation='tanh'": lambda: descend_variant([scene], 0.1, 5, activation="tanh"),
            "batches='once'": lambda: descend_variant([scene], 0.1, 5, batches="once"),
            "flip_rate=1.5": lambda: descend_variant([scene], 0.1, 5, flip_rate=1.5),
            "scenes=": lambda: descend_variant([], 0.1, 5),
            "lr=": lambda: descend_variant([scene], [0.1, 0.2], 5),
            "flips='often'": lambda: scenes.recurring_patch_scene(law, 1.0, "often", 2, 0.1, 0),
            "classes=1": lambda: scenes.several_class_scene(law, 1, 2, 0.1, 0),
            "flip_plus == flip_minus": lambda: scenes.several_class_scene(law.replace(flip_plus=0.1), 3, 2, 0.1, 0),
            "h=0.5": lambda: laws.squared_relu_drift(0.5, 0.1)}.items():
        with pytest.raises(ValueError) as error:
            call()
        assert text in str(error.value)
    with pytest.raises(FloatingPointError, match="step 50"):
        descend_variant([scene], 1e6, 50, record_at=[50], n_test=0, activation="squared")
