"""The term of ELR in the signal-noise world: its slope, the engine with it, what is refused."""

import numpy as np
import pytest
import torch
from idealised import CLOSE, problem, random_state, scene_of

from helpers import descend
from helpers.engine import scenes
from helpers.engine.elr_term import TERMS, elr_term_slope
from helpers.engine.variants import Variant, VariantEngine, descend_variant
from helpers.streams import random_stream
from helpers.theory import elr_theory as elr
from helpers.theory.elr_theory import elr_euler, elr_law


def test_term_slope_of_the_divergence_and_of_the_clamp_against_autograd():
    logits, targets = random_state(3)
    p = logits.softmax(0)
    divergence = (torch.special.xlogy(targets, targets) - targets * p.log()).sum()
    (slope,) = torch.autograd.grad(divergence, logits, retain_graph=True)
    np.testing.assert_allclose(elr_term_slope(p.detach(), 1 - targets, term="kl"), slope, **CLOSE)
    clamp = 0.05
    (slope,) = torch.autograd.grad(torch.log(1 - (p.clamp(clamp, 1 - clamp) * targets).sum(0)).sum(), logits)
    np.testing.assert_allclose(elr_term_slope(p.detach(), 1 - targets, clamp=clamp), slope, **CLOSE)
    assert ((p < clamp) | (p > 1 - clamp)).double().mean() > 0.1


def test_contrary_samples_in_the_engine():
    """Shares of contrary samples read as their label after s = 20, weight 0.3, 89 samples: 0 with the term, all without
    it; the scene shows the other class's signal, scaled, on contrary samples only."""
    law = problem(n=200, d=10**9, c=8.0, tau=0.1)
    pairs = [scenes.contrary_scene(scenes.two_class_scene(law, 20, 0.03 / 1e9**0.5, seed), 0.05, 0.3, seed)
             for seed in range(5)]
    scene, chosen = pairs[0]
    assert (scene.y == scene.y_obs)[chosen].all() and chosen.sum() > 3
    own = scene.patches[:, 0].numpy()
    assert (own[~chosen] == scene.y.numpy()[~chosen]).all() and (own[chosen] == 3 - scene.y.numpy()[chosen]).all()
    strength = scene.gram[own, own] / scene.gram[0, 0]
    np.testing.assert_allclose(strength, np.where(chosen, 0.09, 1.0))
    read = []
    for strength in (0.0, 3.0):
        record = descend_variant([pair[0] for pair in pairs], 0.1 * 200 * 20 / 1e9, 200, record_at=[200], n_test=0,
                                 strength=strength)
        read.append((record.margins[:, 0] > 0)[np.array([pair[1] for pair in pairs])].mean())
    assert read[0] == 1 and read[1] < 0.05


@pytest.mark.parametrize("method", [{}, {"batch_size": 4}, {"clamp": 0.02}, {"term": "kl"}, {"flip_rate": 0.2}])
@pytest.mark.parametrize("classes", [2, 3])
def test_engine_is_gradient_descent_with_the_term(method, classes):
    """40 steps on explicit random vectors against autograd on loss plus term. Tolerance: rounding."""
    rng = random_stream(7, "explicit elr")
    n, d, m, rows, lr, strength, beta = 12, 9, 4, 16, 0.4, 2.0, 0.6
    vectors = torch.from_numpy(rng.standard_normal((rows, d)))
    weight = torch.from_numpy(0.3 * rng.standard_normal((classes, m, d)))
    patches = np.stack([rng.integers(rows - n, size=n), rows - n + np.arange(n)], 1)
    y_obs = rng.integers(classes, size=n)
    scene = scene_of((vectors @ vectors.T).numpy(), (weight @ vectors.T).numpy(), patches, y_obs, y_obs,
                     [[0]], [0], seed=5)
    engine = VariantEngine([scene], [lr], Variant(strength=strength, momentum=beta, **method))
    twin = VariantEngine([scene], [lr],
                         Variant(**{k: v for k, v in method.items() if k in ("batch_size", "flip_rate")}))
    weight, targets = weight.requires_grad_(), torch.zeros(n, classes, dtype=torch.float64)
    clamp, term = method.get("clamp", 0.0), method.get("term", "elr")
    for _ in range(40):
        labels, weights = twin._labels_now(), twin._weights()[0]  # the same draws: same seed, same streams
        twin.step += 1
        engine.advance()
        logits = torch.relu(torch.einsum("kmd,npd->nkmp", weight, vectors[patches])).sum(3).mean(2)
        p = logits.softmax(1).clamp(clamp, 1 - clamp)
        moved = beta * targets + (1 - beta) * (p / p.sum(1, keepdim=True)).detach()
        targets = torch.where(weights[:, None] > 0, moved, targets)
        each = torch.log(1 - (p * targets).sum(1)) if term == "elr" else -(targets * logits.log_softmax(1)).sum(1)
        loss = torch.nn.functional.cross_entropy(logits, labels.reshape(-1), reduction="none") + strength * each
        (gradient,) = torch.autograd.grad((weights * loss).mean(), weight)
        weight = (weight - lr * gradient).detach().requires_grad_()
    expected = torch.einsum("kmd,vd->kmv", weight.detach(), vectors)
    np.testing.assert_allclose(engine.responses[0], expected, rtol=0, atol=1e-11)
    np.testing.assert_allclose(1 - engine.missing[0].T, targets, rtol=0, atol=1e-12)


def test_strength_zero_is_the_books_run_bit_for_bit():
    law = problem(n=40, d=500)
    scene = scenes.two_class_scene(law, 6, 0.01, 0)
    methods = {}, {"strength": 0.0, "momentum": 0.2}
    one, two = (descend_variant([scene], 0.4, 100, n_test=0, **method) for method in methods)
    assert np.array_equal(one.margins, two.margins)
    book = descend(law, 6, 0.01, 0.4, 100, [0], n_test=1)
    np.testing.assert_allclose(one.margins, book.margins, atol=1e-11)


def test_bad_arguments_are_named():
    scene = scenes.two_class_scene(problem(n=20, d=200), 2, 0.1, 0)
    for text, call in {
            "strength=-1": lambda: Variant(strength=-1.0), "momentum=1.0": lambda: Variant(momentum=1.0),
            "term='l2'": lambda: Variant(term="l2"), "clamp=0.5": lambda: Variant(clamp=0.5),
            "memory=-1": lambda: elr_law(8.0, 0.1, 3.0, -1.0, [0.0, 1.0]),
            "flip_rate=0.5": lambda: elr_law(8.0, 0.5, 3.0, 1.0, [0.0, 1.0]),
            "n_snr2=1.0": lambda: elr.elr_last_noisy_margin(1.0, 0.1, 0.5),
            "weight=0": lambda: scenes.contrary_scene(scene, 0.1, 0, 0),
            "term='x'": lambda: elr_euler(8.0, 0.1, 1.0, 0.5, 0.1, 3, term="x")}.items():
        with pytest.raises(ValueError, match="must be") as error:
            call()
        assert text in str(error.value)
    assert TERMS == ("elr", "kl")
