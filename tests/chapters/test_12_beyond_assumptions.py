"""Chapter 12: the propositions on the variants, on idealised draws."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from idealised import BETA, CLOSE, base_slopes, euler, ideal_scene, problem, run, sorted_start, two_class_labels
from scipy.special import expit

from helpers.engine import scenes
from helpers.engine.variants import Variant, VariantEngine, descend_variant
from helpers.reading.times import first_passage_time
from helpers.streams import random_stream
from helpers.theory import multiclass_law, variant_laws as laws


@pytest.mark.statement("prop-position")
@pytest.mark.parametrize("c", [0.7, 8.0])
def test_prop_position_order_changes_nothing_and_separate_filters_halve_c(c):
    """prop-position: claim 1 bit for bit on a random draw, claim 2 exactly on an idealised one."""
    law = problem(c=c)
    scene = scenes.two_class_scene(law, 6, 1e-4, 0)
    order = torch.from_numpy(random_stream(0, "swap").permuted(np.tile([0, 1], (40, 1)), axis=1))
    moved = replace(scene, patches=scene.patches.gather(1, order))
    assert not torch.equal(moved.patches, scene.patches)
    records = [descend_variant([one], 0.1 * 40 * 6 / 1e6, 100, n_test=0) for one in (scene, moved)]
    assert np.array_equal(records[0].margins, records[1].margins)

    n, m, h, steps, tau = 80, 4, 0.05, 200, 0.1
    y, y_obs, flipped = two_class_labels(n, tau)
    position = (np.arange(n) // 20) % 2  # each holds two flips of each class in every 40 samples
    patches = np.stack([2 * position + y, 4 + np.arange(n)], 1)
    scene = ideal_scene([c, c], patches, y, y_obs, 2, m, sorted_start(y_obs, m, 4))
    margins = run(scene, h, steps, m)
    signal, clean, noisy = euler(base_slopes(c / 2, tau), 3, h, steps)
    assert flipped.mean() == tau
    np.testing.assert_allclose(margins[~flipped], signal + clean, **CLOSE)
    np.testing.assert_allclose(margins[flipped], noisy - signal, **CLOSE)


@pytest.mark.statement("prop-minibatch")
def test_prop_minibatch_mean_and_variance_are_exact():
    """prop-minibatch: over all batches of 2 out of 6, the mean step is the full step, its relative variance n/b-1."""
    weights = np.array([[3.0 * (i in batch) for i in range(6)] for batch in combinations(range(6), 2)])
    np.testing.assert_allclose(weights.mean(0), 1)
    np.testing.assert_allclose(weights.var(0), 6 / 2 - 1)
    engine = VariantEngine([scenes.two_class_scene(problem(n=6, d=50), 2, 0.1, 0)], [0.1], Variant(batch_size=2))
    epochs = np.array([[engine._weights()[0].numpy(), setattr(engine, "step", engine.step + 1)][0] for _ in range(30)])
    assert set(np.unique(epochs)) == {0.0, 3.0}
    np.testing.assert_allclose(epochs.reshape(10, 3, 6).sum(1), 3)  # once an epoch


@pytest.mark.statement("prop-minibatch")
@pytest.mark.parametrize(("batches", "power"), [("independent", 0.5), ("reshuffled", 1.0)])
def test_prop_minibatch_deviation_of_rho(batches, power):
    """prop-minibatch: eq-minibatch within 15% (drift of g over half a unit of s; 10 seeds x 100 samples)."""
    law = problem(n=100, d=10**8, tau=0.1)
    built = [scenes.two_class_scene(law, 16, 1e-6, seed) for seed in range(10)]  # 2^-16: no sample without a filter
    for h in (0.02, 0.01):
        steps = round(0.4 / h) // 10 * 10 + 5
        lr, end = h * 100 * 16 / 1e8, {"record_at": [steps], "n_test": 0}
        full = descend_variant(built, lr, steps, **end).rho
        ratio = descend_variant(built, lr, steps, **end, batch_size=10, batches=batches).rho / full - 1
        s = h * steps
        expected = (h * 9 / s) ** 0.5 if power == 0.5 else h * 10 / (2 * s)
        assert np.sqrt((ratio**2).mean()) == pytest.approx(expected, rel=0.15)


@pytest.mark.statement("prop-leaky")
@pytest.mark.parametrize("leak", [0.1, 0.5, 1.0])
def test_prop_leaky_law_is_exact_from_any_start(leak):
    """prop-leaky: random signs at the start, 1e-13 of size; the transient costs about 1e-12 / leak."""
    n, m, c, tau, h, steps = 40, 4, 5.0, 0.1, 0.05, 120
    y, y_obs, flipped = two_class_labels(n, tau)
    signs = random_stream(1, "start").choice([-1.0, 1.0], (2, m, n + 1))
    start = lambda k, r, row: signs[k, r, 0] * (1, -1)[row] if row < 2 else signs[k, r, row - 1]  # noqa: E731
    scene = ideal_scene([c], np.stack([y, 2 + np.arange(n)], 1), y, y_obs, 2, m, start)
    margins = run(scene, h, steps, m, leak=leak)
    slopes = base_slopes(c * (1 + leak) ** 2 / (2 * (1 + leak**2)), tau)
    # the first step, taken before the signs are sorted, is a part of h only: compare to O(h) and to the exact rest
    signal, clean, noisy = euler(slopes, 3, 2 * (1 + leak**2) * h, steps)
    np.testing.assert_allclose(margins[~flipped], signal + clean, atol=1.5 * (1 + c) * h)
    sorted_scene = ideal_scene([c], scene.patches.numpy(), y, y_obs, 2, m, lambda k, r, row: (
        (1 if row == k else -1) if row < 2 else (1 if y_obs[row - 2] == k else -1)))
    margins = run(sorted_scene, h, steps, m, leak=leak)
    np.testing.assert_allclose(margins[~flipped], signal + clean, **CLOSE)
    np.testing.assert_allclose(margins[flipped], noisy - signal, **CLOSE)
    law = laws.leaky_relu_law(c, tau, leak, [0, h * steps])
    np.testing.assert_allclose(law.noisy_margin[-1], margins[flipped], atol=0.3 * h)  # the Euler scheme's error


@pytest.mark.statement("prop-leaky")
def test_prop_leaky_sorts_every_response():
    """prop-leaky: soon all filters of sign j lean to j mu and to the noise patches with y_obs = j."""
    n, m = 40, 4
    y, y_obs, _ = two_class_labels(n, 0.1)
    signs = random_stream(2, "start").choice([-1.0, 1.0], (2, m, n + 1))
    scene = ideal_scene([5.0], np.stack([y, 2 + np.arange(n)], 1), y, y_obs, 2, m,
                        lambda k, r, row: signs[k, r, 0] * (1, -1)[row] if row < 2 else signs[k, r, row - 1])
    engine = VariantEngine([scene], [0.05 * n * m], Variant(leak=0.1))
    engine.advance()
    unit = torch.tensor([1.0, -1.0])
    wanted = torch.cat([unit[:, None] * unit, unit[:, None] * torch.from_numpy(1.0 - 2 * y_obs)], 1)[:, None]
    assert (engine.responses[0] * wanted > 0).all()


@pytest.mark.statement("prop-leaky")
@settings(max_examples=20, deadline=None)
@given(st.floats(0.2, 30), st.floats(0.01, 0.45), st.floats(0.01, 1.0))
def test_prop_leaky_threshold(c, tau, leak):
    """prop-leaky: the noisy margin of the law starts downward iff c (1 - 2 tau) exceeds eq-leaky-threshold."""
    law = laws.leaky_relu_law(c, tau, leak, np.linspace(0, 1e-4, 3))
    lead = c * (1 - 2 * tau) - 2 * (1 + leak**2) / (1 + leak) ** 2
    if abs(lead) > 1e-3 * c:
        assert (law.noisy_margin[1] < 0) == (lead > 0)


@pytest.mark.statement("prop-squared")
def test_prop_squared_multiplies_and_never_changes_sign():
    """prop-squared: one step multiplies each response by its factor, whatever its filter, to rounding."""
    n, m, c, tau, h = 40, 6, 4.0, 0.1, 0.1
    y, y_obs, flipped = two_class_labels(n, tau)
    signs = random_stream(3, "start").uniform(-1, 1, (2, m, n + 1))
    scene = ideal_scene([c], np.stack([y, 2 + np.arange(n)], 1), y, y_obs, 2, m,
                        lambda k, r, row: signs[k, r, 0] * (1, -1)[row] if row < 2 else signs[k, r, row - 1])
    scene = replace(scene, responses=scene.responses * 0.5 / BETA)
    engine = VariantEngine([scene], [h * n * m], Variant(activation="squared"))
    for _ in range(12):
        before = engine.responses.clone()[0]
        logits = engine.logits(engine.outputs(), engine.patches)[0]
        g = torch.sigmoid((2 * torch.from_numpy(y_obs) - 1) * (logits[0] - logits[1]))
        engine.advance()
        after = engine.responses[0]
        own = torch.from_numpy(y_obs)[None, :] == torch.arange(2)[:, None]
        factor = 1 + 2 * h * torch.where(own, g, -g)[:, None, :]
        positive = before[..., 2:] > 0
        expected = torch.where(positive, before[..., 2:] * factor, before[..., 2:])
        np.testing.assert_allclose(after[..., 2:], expected, rtol=1e-10)
        for k in range(2):
            for label in range(2):
                signed = torch.where(torch.from_numpy(flipped), -g, g)[torch.from_numpy(y == label)]
                factor = 1 + (1 if k == label else -1) * 2 * h * c / n * signed.sum()
                here = before[k, :, label] > 0
                np.testing.assert_allclose(after[k, here, label], before[k, here, label] * factor, rtol=1e-10)
        assert (torch.sign(after) == torch.sign(before)).all()


@pytest.mark.statement("prop-squared")
@pytest.mark.parametrize("h", [0.0, 0.1])
@pytest.mark.parametrize("start", [0.1, 0.001])
def test_prop_squared_threshold_is_where_the_passages_meet(start, h):
    """prop-squared: at eq-squared-threshold signal and noise reach the level together; as h -> 0 it is the formula."""
    n, tau, level = 100, 0.2, 0.1
    lead = laws.squared_relu_threshold(n, tau, start, level, h=h)
    c, step = lead / (1 - 2 * tau), h or 1e-7
    noise = laws.squared_relu_passage(1.0, start, level, step)
    assert laws.squared_relu_passage(lead / 2, start * (c / n) ** 0.5, level, step) == pytest.approx(noise, rel=1e-5)
    if not h:
        assert lead == pytest.approx(2 + np.log(n / c) / np.log((2 * level) ** 0.5 / start))


@pytest.mark.statement("prop-squared")
def test_prop_squared_times_hold_on_random_draws():
    """prop-squared at c (1 - 2 tau) = 5, a = 1e-3: passage times of the signal within 4% (10 seeds, medians)."""
    law, m, h, a, level = problem(n=100, d=10**10, c=5 / 0.6), 10, 0.1, 1e-3, 0.1
    built = [scenes.two_class_scene(law, m, a / 1e5, seed) for seed in range(10)]
    record = descend_variant(built, h * 100 * m / 1e10, 60, record_at=np.arange(61), n_test=0, activation="squared")
    signal = (record.signal_response * [1, -1]).mean(-1)
    measured = np.median(first_passage_time(h * record.times, signal, level))
    assert measured == pytest.approx(laws.squared_relu_passage(2.5, a * (law.n_snr2 / 100) ** 0.5, level, h), rel=0.04)


def patch_flip_scene(kind, c, c_nu, tau, n=80, m=4):
    index = np.arange(n)
    y, a = index % 2, (index // 2) % 2
    marked = (index // 4) % round(1 / (2 * tau)) == 0  # a share 2 tau of each (y, a) cell
    flipped = marked & (a == 0 if kind == "patch" else a != y)
    y_obs = np.where(flipped, 1 - y, y)
    patches = np.stack([y, 2 + a, 4 + index], 1)
    scene = ideal_scene([c, c_nu], patches, y, y_obs, 2, m, sorted_start(y_obs, m, 4), contexts=((0, 2), (1, 3)))
    return scene, y, a, flipped


@pytest.mark.statement("prop-patch-flips")
@pytest.mark.parametrize("c_nu", [1.0, 20.0])
def test_prop_patch_flips_by_patch_leave_the_law(c_nu):
    """prop-patch-flips, claim 1: the law of random flips, whatever the strength of the recurring patch."""
    scene, _, _, flipped = patch_flip_scene("patch", 4.0, c_nu, 0.1)
    margins = run(scene, 0.02, 300, 4)
    signal, clean, noisy = euler(base_slopes(4.0, 0.1), 3, 0.02, 300)
    assert flipped.mean() == 0.1
    np.testing.assert_allclose(margins[~flipped], signal + clean, **CLOSE)
    np.testing.assert_allclose(margins[flipped], noisy - signal, **CLOSE)


@pytest.mark.statement("prop-patch-flips")
@pytest.mark.parametrize(("c", "c_nu"), [(4.0, 4.0), (4.0, 12.0), (1.0, 0.5)])
def test_prop_patch_flips_by_pair_follow_their_law(c, c_nu):
    """prop-patch-flips, claim 2: eq-pair-law on an idealised draw, and `patch_variant_law` to O(h)."""
    tau, h, steps = 0.1, 0.01, 400
    scene, y, a, flipped = patch_flip_scene("pair", c, c_nu, tau)
    margins = run(scene, h, steps, 4)

    def slopes(z):
        g1, g2, g3 = expit(-z[0] - z[1] - z[2]), expit(-z[0] + z[1] - z[3]), expit(z[0] - z[1] - z[4])
        return (c / 2 * (g1 / 2 + (0.5 - tau) * g2 - tau * g3), c_nu / 2 * (g1 / 2 - (0.5 - tau) * g2 + tau * g3),
                g1 / 2, g2 / 2, g3 / 2)

    signal, other, r1, r2, r3 = state = euler(slopes, 5, h, steps)
    np.testing.assert_allclose(margins[a == y], signal + other + r1, **CLOSE)
    np.testing.assert_allclose(margins[(a != y) & ~flipped], signal - other + r2, **CLOSE)
    np.testing.assert_allclose(margins[flipped], other - signal + r3, **CLOSE)
    law = laws.patch_variant_law(c, c_nu, tau, [0, h * steps])
    np.testing.assert_allclose([part[-1] for part in law], state, atol=(1 + c + c_nu) * h)
    np.testing.assert_allclose(law.noisy_margin[-1], margins[flipped], atol=(1 + c + c_nu) * h)


@pytest.mark.statement("prop-patch-flips")
@settings(max_examples=20, deadline=None)
@given(st.floats(0.2, 20), st.floats(0.1, 20), st.floats(0.01, 0.45))
def test_prop_patch_flips_threshold(c, c_nu, tau):
    """prop-patch-flips: initial directions of the noisy margin and of U - A."""
    law = laws.patch_variant_law(c, c_nu, tau, [0.0, 1e-4])
    lead, ahead = c * (1 - 2 * tau) - 1 - 2 * tau * c_nu, 2 * tau * c_nu - c * (1 - 2 * tau)
    if abs(lead) > 1e-2 * (1 + c + c_nu):
        assert (law.noisy_margin[1] < 0) == (lead > 0)
    if abs(ahead) > 1e-2 * (c + c_nu):
        assert (law.recurring[1] > law.signal[1]) == (ahead > 0)


@pytest.mark.statement("prop-label-noise")
@pytest.mark.parametrize("p", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("h", [0.05, 0.2, 0.45])
def test_prop_label_noise_drift_and_its_bound(h, p):
    """prop-label-noise: the drift of a chain simulated here, averaged as it is, is that of `squared_relu_drift` (8%: a
    standard error of 2%, four of them), and both exceed eq-label-noise-drift; to first order it is h p (1 - p)."""
    rng, r, total = random_stream(1, "chain"), np.full(2000, np.log(1 / p - 1)), 0.0
    for step in range(3000):
        g = expit(-r)
        total += ((1 - p) * g - p * (1 - g)).mean() * (step >= 1000) / 2000
        r = r * np.where(rng.random(2000) < p, 1 - 2 * h * (1 - g), 1 + 2 * h * g) ** 2
    drift, bound = laws.squared_relu_drift(h, p), h * p * (1 - p) / (1 + 2 * h)
    assert total == pytest.approx(drift, rel=0.08)
    assert drift > bound
    if h == 0.05:
        assert drift == pytest.approx(h * p * (1 - p), rel=4 * h)


def test_the_drift_is_below_the_rate_that_is_stated_elsewhere():
    """The page behind the chapter: at its three steps D is between its bound and 1/16."""
    for h in (0.11, 0.15, 0.22):
        assert h * 0.1 * 0.9 / (1 + 2 * h) < laws.squared_relu_drift(h, 0.1) < 1 / 16


@pytest.mark.statement("prop-label-noise")
@settings(max_examples=50, deadline=None)
@given(st.floats(-0.99, 1.0), st.floats(0.01, 1.0))
def test_prop_label_noise_logarithm_bound(x, largest):
    """The inequality in the proof of prop-label-noise."""
    if x <= largest:
        assert np.log1p(x) <= x - x**2 / (2 * (1 + largest)) + 1e-12


@pytest.mark.statement("prop-label-noise")
def test_prop_label_noise_chain_is_that_of_an_idealised_draw():
    """prop-label-noise: without a signal, each noise response of the engine multiplies by the chain's two factors."""
    n, m, h, p = 40, 4, 0.1, 0.2
    y = np.arange(n) % 2
    scene = ideal_scene([1e-20], np.stack([y, 2 + np.arange(n)], 1), y, y, 2, m, sorted_start(y, m, 2))
    start = 0.5 * (scene.responses[..., 2:] > 0)
    scene = replace(scene, responses=torch.cat([scene.responses[..., :2], start], -1))
    engine = VariantEngine([scene], [h * n * m], Variant(activation="squared", flip_rate=p))
    wrong = 0
    for _ in range(100):
        r = (engine.outputs()[0, :, 2:].max(0).values).numpy()
        engine.advance()
        after = (engine.outputs()[0, :, 2:].max(0).values).numpy()
        right, flip = r * (1 + 2 * h * expit(-r)) ** 2, r * (1 - 2 * h * expit(r)) ** 2
        as_right, as_flip = np.isclose(after, right, rtol=1e-9), np.isclose(after, flip, rtol=1e-9)
        assert (as_right ^ as_flip).all()
        wrong += as_flip.sum()
    assert abs(wrong / 4000 - p) < 4 * (p * (1 - p) / 4000) ** 0.5


@pytest.mark.statement("prop-classes")
@pytest.mark.parametrize(("classes", "n"), [(2, 40), (3, 60), (5, 200)])
def test_prop_classes_law_is_exact(classes, n):
    """prop-classes: eq-classes-law on an idealised draw, and `multiclass_law` to O(h)."""
    m, h, steps, c, tau = 4, 0.01, 500, 4.0 * classes, 0.2
    y = np.arange(n) % classes
    place = np.arange(n) // classes  # within the class
    flipped = place % 5 == 0
    y_obs = np.where(flipped, (y + 1 + (place // 5) % (classes - 1)) % classes, y)

    def start(k, r, row):
        mine = row == k if row < classes else y_obs[row - classes] == k
        return 1 if mine and r < m // 2 else -1

    patches = np.stack([y, classes + np.arange(n)], 1)
    scene = ideal_scene([c] * classes, patches, y, y_obs, classes, m, start, antipodal=False,
                        contexts=np.arange(classes)[:, None], labels=np.arange(classes))
    margins = run(scene, h, steps, m)

    def slopes(z):
        clean = np.exp(z[0] + z[1]) / (np.exp(z[0] + z[1]) + classes - 1)
        total = np.exp(z[0]) + np.exp(z[2]) + classes - 2
        return (c / (2 * classes) * ((1 - tau) * (1 - clean) - tau * np.exp(z[0]) / total), (1 - clean) / 2,
                (1 - np.exp(z[2]) / total) / 2)

    signal, clean, noisy = state = euler(slopes, 3, h, steps)
    np.testing.assert_allclose(margins[~flipped], signal + clean - np.log(classes - 1), **CLOSE)
    np.testing.assert_allclose(margins[flipped], noisy - np.log(np.exp(signal) + classes - 2), **CLOSE)
    law = multiclass_law(c, tau, classes, [0, h * steps])
    np.testing.assert_allclose([law.signal[-1], law.r_clean[-1], law.r_noisy[-1]], state, atol=(1 + c) * h)
    np.testing.assert_allclose(law.noisy_margin[-1], margins[flipped], atol=(1 + c) * h)


@pytest.mark.statement("prop-classes")
@settings(max_examples=20, deadline=None)
@given(st.integers(2, 10), st.floats(0.2, 60), st.floats(0.01, 0.6))
def test_prop_classes_threshold(classes, c, tau):
    """prop-classes: a noisy sample's observed logit falls behind its true one iff eq-classes-threshold holds."""
    if tau < 1 - 1 / classes:
        law = multiclass_law(c, tau, classes, [0.0, 1e-5])
        lead = c / classes * (1 - classes * tau / (classes - 1)) - 1
        if abs(lead) > 1e-2 * (1 + c):
            assert (law.signal[1] > law.r_noisy[1]) == (lead > 0)
