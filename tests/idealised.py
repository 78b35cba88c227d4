"""Idealised draws of the variants of chapters 12, 15 and 17: orthogonal vectors, sigma^2 d = 1, exact proportions."""

import numpy as np
import torch
from scipy.special import expit

from helpers import SignalNoise
from helpers.engine.scenes import Scene
from helpers.engine.variants import descend_variant
from helpers.streams import random_stream

BETA = 1e-13  # size of the initial responses
CLOSE = {"rtol": 0, "atol": 1e-10}


def problem(n=40, d=10**6, c=8.0, tau=0.2, **options):
    return SignalNoise(n, d, n_snr2=c, flip_plus=tau, flip_minus=tau, **options)


def scene_of(gram, responses, patches, y, y_obs, contexts=((0,), (1,)), labels=(0, 1), seed=0):
    index = lambda values: torch.from_numpy(np.asarray(values, np.int64))  # noqa: E731
    about = {"seed": seed, "n": len(y), "d": 1, "noise_std": 1.0}
    return Scene(torch.from_numpy(gram), torch.from_numpy(responses), None, index(patches), index(contexts),
                 index(labels), index(y), index(y_obs), 1.0, (), about)


def ideal_scene(lengths, patches, y, y_obs, classes, m, start, antipodal=True, contexts=((0,), (1,)), labels=(0, 1)):
    """Rows: each vector of squared length c / n (with its negative if `antipodal`), then n unit noise patches.

    start(k, r, row) : the sign of the initial response of filter r of class k.
    """
    n = len(y)
    block = np.array([[1.0, -1.0], [-1.0, 1.0]]) if antipodal else np.eye(1)
    head = np.kron(np.diag(np.asarray(lengths, float) / n), block)
    rows = len(head) + n
    gram = np.eye(rows)
    gram[:len(head), :len(head)] = head
    signs = np.array([[[start(k, r, row) for row in range(rows)] for r in range(m)] for k in range(classes)], float)
    return scene_of(gram, BETA * signs, patches, y, y_obs, contexts, labels)


def euler(slopes, size, h, steps):
    state = np.zeros(size)
    for _ in range(steps):
        state = state + h * np.asarray(slopes(state))
    return state


def run(scene, h, steps, m, **method):
    n = len(scene.y)
    return descend_variant([scene], h * n * m, steps, record_at=[steps], n_test=0, **method).margins[0, 0]


def base_slopes(c, tau):
    return lambda z: (c / 2 * ((1 - tau) * expit(-z[0] - z[1]) - tau * expit(z[0] - z[2])),
                      expit(-z[0] - z[1]) / 2, expit(z[0] - z[2]) / 2)


def two_class_labels(n, tau):
    """Alternating classes, exact flips: every (1/tau)-th sample of each class."""
    y = np.arange(n) % 2
    flipped = (np.arange(n) // 2) % round(1 / tau) == 0
    return y, np.where(flipped, 1 - y, y), flipped


def sorted_start(y_obs, m, head):
    """Antipodal pairs: aligned; noise: half of the own filters active, the others not."""
    def start(k, r, row):
        if row < head:
            return 1 if row % 2 == k else -1
        return 1 if y_obs[row - head] == k and r < m // 2 else -1
    return start


def random_state(classes, n=50, seed=0):
    """Logits (K, n), probabilities of them, targets that sum to less than one."""
    rng = random_stream(seed, "elr state")
    logits = torch.from_numpy(2 * rng.standard_normal((classes, n)))
    targets = torch.from_numpy(rng.dirichlet(np.ones(classes), n).T * rng.random(n))
    return logits.requires_grad_(), targets
