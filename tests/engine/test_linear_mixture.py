"""The linear model on the Gaussian mixture: draws, runs, the linear program; against explicit vectors and autograd."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from scipy import stats

from helpers import SignalNoise
from helpers.engine.linear_mixture import MixtureDraw, descend_mixture, draw_mixture, mixture_problem, separable_mixture


def test_a_mixture_is_the_sum_of_the_two_patches():
    problem = mixture_problem(30, 12, 0.4, 0.1)
    assert (problem.n, problem.d, problem.mu_norm, problem.noise_std) == (30, 12, 1.0, 0.4)
    draw = draw_mixture(problem, 2.0, seed=5)
    y, y_obs = problem.draw_labels(5)
    assert np.array_equal(draw.y, y) and np.array_equal(draw.y_obs, y_obs)  # the labels of the whole book
    np.testing.assert_allclose(draw.x - draw.noise, np.outer(y, np.eye(12)[0]), atol=1e-15)
    np.testing.assert_array_equal(draw.signed, y_obs[:, None] * draw.x)


@pytest.mark.parametrize(("n", "p"), [(20, 2), (20, 20), (20, 21), (20, 22), (20, 500), (20, 10**12)])
def test_a_draw_has_as_many_coordinates_as_it_needs(n, p):
    draw = draw_mixture(mixture_problem(n, p, 0.1, 0.2), 2.0, seed=0)
    assert draw.x.shape == (n, min(p, n + 1)) and draw.start.shape == (min(p, n + 1),)
    assert np.hypot(np.linalg.norm(draw.start), draw.outside) == pytest.approx(2.0, rel=1e-12)
    assert (draw.outside == 0) == (p <= n + 1)
    assert not draw_mixture(mixture_problem(n, p, 0.1, 0.2), 0.0, seed=0).start.any()


@pytest.mark.parametrize(("n", "p"), [(6, 3), (6, 40)])
def test_inner_products_have_the_law_of_explicit_vectors(n, p):
    """Kolmogorov-Smirnov tests of |noise|^2, of noise_1 . noise_2 and of theta_0 . noise_1 over 800 seeds."""
    sigma, seeds = 0.5, range(800)
    draws = [draw_mixture(mixture_problem(n, p, sigma, 0.2), 2.0, seed) for seed in seeds]
    rng = np.random.default_rng(0)
    z, theta = sigma * rng.standard_normal((800, 2, p)), rng.standard_normal((800, p))
    theta *= 2 / np.linalg.norm(theta, axis=1, keepdims=True)
    pairs = {"square": ([d.noise[-1] @ d.noise[-1] for d in draws], (z[:, 0] ** 2).sum(1)),
             "product": ([d.noise[0] @ d.noise[-1] for d in draws], (z[:, 0] * z[:, 1]).sum(1)),
             "start": ([d.noise[-1] @ d.start for d in draws], (z[:, 0] * theta).sum(1)),
             "signal": ([d.start[0] for d in draws], theta[:, 0])}
    for name, (ours, explicit) in pairs.items():
        assert stats.ks_2samp(ours, explicit).pvalue > 1e-3, name


def explicit_draw(n, p, sigma, seed, radius=1.5):
    """The same samples twice: as vectors of R^p, and turned into a MixtureDraw by a rotation that keeps v first."""
    rng = np.random.default_rng(seed)
    y, theta = rng.choice([-1.0, 1.0], n), rng.standard_normal(p)
    theta *= radius / np.linalg.norm(theta)
    y_obs = np.where(rng.random(n) < 0.3, -y, y)
    x = np.outer(y, np.eye(p)[0]) + sigma * rng.standard_normal((n, p))
    basis, _ = np.linalg.qr(np.column_stack([np.eye(p)[0], x.T]))
    basis[:, 0] *= np.sign(basis[0, 0])
    inside = theta @ basis
    outside = np.sqrt(max(radius**2 - inside @ inside, 0.0))
    return x, y, y_obs, theta, MixtureDraw(x @ basis, y, y_obs, inside, outside, sigma, p)


@pytest.mark.parametrize(("n", "p"), [(15, 40), (40, 15)])
def test_a_run_is_gradient_descent_on_explicit_vectors(n, p):
    x, y, y_obs, start, draw = explicit_draw(n, p, 0.4, seed=1)
    run, lr = descend_mixture(draw, 0.7, np.arange(31)), 0.7
    features, labels = torch.from_numpy(x), torch.from_numpy(y_obs)
    theta = torch.tensor(start, requires_grad=True)
    for t in range(31):
        loss = torch.nn.functional.softplus(-labels * (features @ theta)).mean()
        (gradient,) = torch.autograd.grad(loss, theta)
        now = theta.detach().numpy()
        np.testing.assert_allclose(run.margins[t], y_obs * (x @ now), atol=1e-12)
        noise = y_obs * ((x - np.outer(y, np.eye(p)[0])) @ now)
        np.testing.assert_allclose(run.noise_responses[t], noise, atol=1e-12)
        np.testing.assert_allclose([run.signal[t], run.length[t]], [now[0], np.linalg.norm(now)], atol=1e-12)
        np.testing.assert_allclose(run.pull[t], -gradient[0], atol=1e-12)
        np.testing.assert_allclose(run.alignment[t], -gradient[0] / gradient.norm(), atol=1e-12)
        with torch.no_grad():
            theta -= lr * gradient


def test_a_course_reads_its_draw():
    draw = draw_mixture(mixture_problem(80, 60, 0.3, 0.25), 1.0, seed=2)
    run = descend_mixture(draw, 0.5, [0, 3, 50])
    noisy = draw.y != draw.y_obs
    assert list(run.times) == [0, 3, 50] and run.margins.shape == (3, 80)
    np.testing.assert_allclose(run.squared_coefficients, (np.tanh(run.margins * draw.y_obs / 2) - draw.y_obs) ** 2)
    np.testing.assert_allclose(run.memorised("noisy"), (run.margins[:, noisy] > 0).mean(1))
    np.testing.assert_allclose(run.read_truly("noisy"), 1 - run.memorised("noisy"))
    np.testing.assert_allclose(run.read_truly("clean"), run.memorised("clean"))
    np.testing.assert_allclose(run.mean_over(run.margins, "clean"), run.margins[:, ~noisy].mean(1))
    pure = descend_mixture(draw_mixture(mixture_problem(10, 5, 0.3, 0.0), 0.0, 0), 0.5, [0, 1])
    assert np.isnan(pure.mean_over(pure.margins, "noisy")).all() and pure.test_accuracy[0] == 0.5
    with pytest.raises(ValueError, match="which='wrong'"):
        run.memorised("wrong")


def test_the_test_accuracy_is_that_of_fresh_samples():
    draw = draw_mixture(mixture_problem(60, 50, 0.6, 0.2), 1.0, seed=4)
    run = descend_mixture(draw, 1.0, [40])
    rng, size = np.random.default_rng(1), 40_000
    theta = np.array([run.signal[0], np.sqrt(run.length[0] ** 2 - run.signal[0] ** 2)])  # by rotation, two dimensions
    y = rng.choice([-1.0, 1.0], size)
    right = y * ((np.outer(y, [1.0, 0.0]) + 0.6 * rng.standard_normal((size, 2))) @ theta) > 0
    assert abs(right.mean() - run.test_accuracy[0]) < 4 * 0.5 / np.sqrt(size)


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 10**6))
def test_separable_finds_what_is_there_and_nothing_else(n, k, seed):
    rng = np.random.default_rng(seed)
    rows, theta = rng.standard_normal((n, k)), rng.standard_normal(k)
    assert separable_mixture(rows * np.sign(rows @ theta)[:, None])
    assert not separable_mixture(np.vstack([rows, -rng.dirichlet(np.ones(n)) @ rows]))  # a convex sum turned round


@pytest.mark.parametrize(("arguments", "words"), [
    ((SignalNoise(10, 20, mu_norm=2.0), 1.0, 0), "problem.mu_norm=2.0: must be 1"),
    ((SignalNoise(10, 20, mu_norm=1.0, orthogonal=True), 1.0, 0), "problem.orthogonal=True: must be False"),
    (("mixture", 1.0, 0), "problem='mixture': must be a SignalNoise"),
    ((mixture_problem(10, 20, 1.0, 0.1), -1.0, 0), "radius=-1.0: must be a finite number"),
    ((mixture_problem(10, 20, 1.0, 0.1), 1.0, -1), "seed=-1: must be an integer >= 0")])
def test_draw_refuses(arguments, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        draw_mixture(*arguments)


@pytest.mark.parametrize(("change", "words"), [
    ({"lr": 0.0}, "lr=0.0"), ({"times": [3, 1]}, "times="), ({"times": [-1]}, "times="), ({"draw": None}, "draw=None")])
def test_descend_refuses(change, words):
    draw = draw_mixture(mixture_problem(10, 20, 1.0, 0.1), 1.0, 0)
    with pytest.raises(ValueError, match=words):
        descend_mixture(**({"draw": draw, "lr": 0.1, "times": [0, 1]} | change))


def test_separable_refuses_what_is_no_matrix():
    with pytest.raises(ValueError, match=r"vectors.shape=\(3,\)"):
        separable_mixture([1.0, 2.0, 3.0])
