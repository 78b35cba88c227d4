"""Formulas of Stage II against explicit weights, and what is refused."""

import numpy as np
import pytest
from problems import problem, run
from scipy.stats import norm

from helpers import TwoLayerCNN, descend
from helpers.engine.gram import inner_products, inner_products_of_record
from helpers.theory.error_bounds import fresh_error_bound, gaussian_fresh_error
from helpers.theory.loss_decay import loss_decay_constants
from helpers.theory.orthogonal_draws import orthogonal_sample
from helpers.theory.signal_lead import signal_lead_barrier


@pytest.mark.statement("prop-fresh-error", "thm-convergence")
def test_formulas_against_explicit_weights():
    """prop-fresh-error and the constants of thm-convergence, written a second time on explicit vectors and weights."""
    law = problem(60, 4.0, 0.2, n=20)
    sample, m = law.sample(5), 6
    record = descend(sample, m, 0.05, 0.1 * 20 * m / 60, 0, [5], n_test=1)
    weight = TwoLayerCNN(60, m, 0.05, 5).weight.detach().numpy()
    lip = np.sqrt(2 / m) * np.linalg.norm(weight.reshape(2 * m, 60), 2)
    mean = np.linalg.norm(weight, axis=-1).mean(1) @ [1, -1] / np.sqrt(2 * np.pi)
    on_mu = np.maximum(weight @ sample.mu.numpy(), 0).mean(1) @ [1, -1]
    on_minus = np.maximum(-weight @ sample.mu.numpy(), 0).mean(1) @ [1, -1]
    expected = [np.exp(-max(part, 0) ** 2 / (2 * lip**2)) for part in (on_mu + mean, -on_minus - mean)]
    assert np.isclose(fresh_error_bound(record)[0, 0], np.mean(expected))
    found = loss_decay_constants(record, [inner_products(sample, m, 0.05, 5)])
    xi, mu = sample.xi.numpy(), sample.mu.numpy()
    largest = max((sample.y == side).sum().item() for side in (1, -1))
    terms = largest * mu @ mu + 2 * np.sqrt(largest) * np.linalg.norm(xi @ mu) + np.linalg.norm(xi @ xi.T, 2)
    assert np.isclose(found.curvature, terms / 60) and np.isclose(found.step, 0.1)
    off = xi - np.outer(xi @ mu, mu) / (mu @ mu)  # noise projected off the signal
    inverse = np.linalg.inv(off @ off.T)
    plus = (sample.y_obs > 0).numpy()
    u = np.stack([plus, ~plus]) / found.shares
    assert np.isclose(found.spread, 60 / 20 * np.einsum("ji,ik,jk->", u, inverse, u))
    grid = np.geomspace(1e-9, 2, 200_000)
    best = np.min(grid + found.spread * (np.log(2 / grid) + 4 * found.initial) ** 2 / 30.0)
    assert np.isclose(found.bound(30.0), best, rtol=1e-3)


def test_fresh_error_follows_the_exponent():
    """The exponent u of the fresh error grows with gamma^2 d / (n rho^2), and the Gaussian prediction explains it."""
    laws = [problem(round(100 * k), c, tau, n=100) for k in (1.5, 4, 10) for tau in (0.1, 0.3) for c in (0.5, 1, 2)]
    init, lr = [0.05 / law.d**0.5 for law in laws], [0.2 * 2_000 / law.d for law in laws]
    record = descend(laws, 20, init, lr, 150, range(3), record_at=[150], n_test=3_000)
    own = np.where((record.y_obs > 0)[:, None], record.rho_final[:, 0], record.rho_final[:, 1])
    ratio = np.array([run["d"] / run["n"] for run in record.runs])
    x = record.gamma_final.mean((1, 2)) ** 2 * ratio / (own**2).mean((1, 2))
    error, gauss = record.fresh_error[:, -1], gaussian_fresh_error(record, inner_products_of_record(record))
    seen = (error > 3e-3) & (error < 0.45)
    u = norm.isf(error[seen]) ** 2 / 2
    assert np.corrcoef(np.log(x[seen]), np.log(u))[0, 1] > 0.9
    assert 0.6 < np.polyfit(np.log(x[seen]), np.log(u), 1)[0] < 1.1
    assert np.corrcoef(norm.isf(gauss[seen]), norm.isf(error[seen]))[0, 1] > 0.98


def test_memorisation_rejects_what_it_cannot_read():
    record = run(problem(60, 4.0, 0.2, n=20, orthogonal=True), 3, 0.01, 0.1, 5, [0], n_test=1)
    with pytest.raises(ValueError, match="orthogonal"):
        gaussian_fresh_error(record, inner_products_of_record(record))
    with pytest.raises(ValueError, match="orthogonal vectors"):
        signal_lead_barrier(record, inner_products_of_record(record)[0], 1, 3)
    with pytest.raises(ValueError, match=r"n \+ 1"):
        orthogonal_sample(problem(20, n=20), 0)
