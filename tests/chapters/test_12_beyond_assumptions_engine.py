"""Chapter 12: the engine of the variants is gradient descent, and with the book's own method the book's run."""

import numpy as np
import pytest
import torch
from idealised import problem, scene_of

from helpers import descend
from helpers.engine import scenes
from helpers.engine.variants import descend_variant
from helpers.streams import random_stream

ROUNDING = 1e-11
VARIANTS = {"as in the book": {}, "leaky": {"leak": 0.3}, "linear": {"leak": 1.0}, "squared": {"activation": "squared"},
            "reshuffled": {"batch_size": 3}, "independent": {"batch_size": 4, "batches": "independent"},
            "label noise": {"flip_rate": 0.3, "activation": "squared"},
            "everything": {"leak": 0.1, "batch_size": 2, "flip_rate": 0.2}}


def explicit_run(vectors, weight, patches, y_obs, lr, steps, seed, *, activation="relu", leak=0.0, batch_size=None,
                 batches="reshuffled", flip_rate=0.0):
    """Autograd on the weights (K, m, d), written without the engine: final logits (n, K)."""
    n, classes = len(y_obs), len(weight)
    weight = weight.clone().requires_grad_()
    batch_rng, label_rng = random_stream(seed, "mini-batches"), random_stream(seed, "label-noise descent")

    def logits():
        z = torch.einsum("kmd,npd->nkmp", weight, vectors[patches])
        value = z.clamp(min=0) ** 2 if activation == "squared" else torch.nn.functional.leaky_relu(z, leak)
        return value.sum(3).mean(2)

    for step in range(steps):
        labels, chosen = y_obs, np.arange(n)
        if flip_rate:
            flipped = label_rng.random(n) < flip_rate
            labels = (y_obs + torch.from_numpy(flipped * label_rng.integers(1, classes, n))) % classes
        if batch_size:
            place = step % (n // batch_size) if batches == "reshuffled" else 0
            if place == 0:
                order = batch_rng.permutation(n)
            chosen = order[place * batch_size:(place + 1) * batch_size]
        loss = torch.nn.functional.cross_entropy(logits()[chosen], labels[chosen])
        (gradient,) = torch.autograd.grad(loss, weight)
        with torch.no_grad():
            weight -= lr * gradient
    return logits().detach()


@pytest.mark.statement("prop-relative")
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_prop_relative_is_gradient_descent_on_explicit_weights(variant, classes):
    """prop-relative: 40 steps on random vectors, three patches a sample, against autograd. Tolerance: rounding."""
    rng = random_stream(7, "explicit scene")
    n, d, m, rows = 12, 9, 4, 20  # more rows than dimensions: nothing needs them independent
    vectors = torch.from_numpy(rng.standard_normal((rows, d)))
    weight = torch.from_numpy(0.3 * rng.standard_normal((classes, m, d)))
    patches = np.stack([rng.integers(rows - n, size=n), rng.integers(rows - n, size=n), rows - n + np.arange(n)], 1)
    y_obs = rng.integers(classes, size=n)
    scene = scene_of((vectors @ vectors.T).numpy(), (weight @ vectors.T).numpy(), patches, y_obs, y_obs,
                     [[0, 1]], [0], seed=5)
    record = descend_variant([scene], 0.4, 40, record_at=[40], n_test=0, **VARIANTS[variant])
    expected = explicit_run(vectors, weight, patches, torch.from_numpy(y_obs), 0.4, 40, 5, **VARIANTS[variant])
    own = torch.nn.functional.one_hot(torch.from_numpy(y_obs), classes).bool()
    margins = expected[own] - expected[~own].view(n, -1).logsumexp(1)
    np.testing.assert_allclose(record.margins[0, 0], margins.numpy(), rtol=0, atol=ROUNDING)
    assert record.margins.std() > 0.1


@pytest.mark.statement("prop-relative")
@pytest.mark.parametrize("explicit", [False, True])
def test_prop_relative_reproduces_the_books_run(explicit):
    """prop-relative, K = 2: `descend` on the same inner products, every array that both record."""
    law = problem(d=500)
    data = law.sample(3) if explicit else law
    book = descend(data, 6, 0.01, 0.4, 150, range(3), n_test=1)
    ours = descend_variant([scenes.two_class_scene(data, 6, 0.01, seed) for seed in range(3)], 0.4, 150, n_test=0)
    assert np.array_equal(book.y, ours.y) and np.array_equal(book.y_obs, ours.y_obs)
    for name in ("margins", "signal_response", "gamma", "rho", "rho_max", "active", "reused_error"):
        np.testing.assert_allclose(getattr(ours, name), getattr(book, name), rtol=0, atol=1e-11, err_msg=name)
