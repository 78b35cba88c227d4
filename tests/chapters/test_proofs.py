"""The Gaussian tools of the appendix, against exact integrals and simulation."""

import numpy as np
import pytest
from scipy import integrate, stats


def hermite(count=60):
    """Nodes and weights of the expectation under N(0, 1)."""
    x, w = np.polynomial.hermite_e.hermegauss(count)
    return x, w / w.sum()


@pytest.mark.statement("lem-gaussian-covariance")
@pytest.mark.parametrize(("phi", "psi"), [
    ((np.tanh, lambda x: 1 / np.cosh(x) ** 2), (np.sin, np.cos)),
    ((np.sin, np.cos), (lambda x: np.sin(2 * x), lambda x: 2 * np.cos(2 * x))),
    ((lambda x: np.exp(-x**2), lambda x: -2 * x * np.exp(-x**2)), (np.cos, lambda x: -np.sin(x)))])
def test_lem_gaussian_covariance_by_quadrature(phi, psi):
    """Both sides in one dimension, to the accuracy of the quadrature; the first pair is not even."""
    x, w = hermite()
    left = w @ (phi[0](x) * psi[0](x)) - (w @ phi[0](x)) * (w @ psi[0](x))

    def inner(s):
        turned = s * x[:, None] + np.sqrt(1 - s * s) * x[None, :]
        return w @ (phi[1](x)[:, None] * psi[1](turned)) @ w

    right, _ = integrate.quad(inner, 0, 1)
    assert abs(left) > 1e-3 and right == pytest.approx(left, abs=1e-6)


def lipschitz_functions(k, rng):
    """Functions of k normals with Lipschitz constant 1, linear and not: a network like the book's among them."""
    w = rng.standard_normal((2, 5, k))
    w /= np.sqrt(2 / 5) * np.linalg.norm(w.reshape(10, k), 2)
    return {"linear": lambda x: x[:, 0], "length": lambda x: np.linalg.norm(x, axis=1), "largest": lambda x: x.max(1),
            "network": lambda x: (np.maximum(x @ w[0].T, 0) - np.maximum(x @ w[1].T, 0)).mean(1)}


@pytest.mark.statement("lem-gaussian-concentration")
@pytest.mark.parametrize("name", ["linear", "length", "largest", "network"])
def test_lem_gaussian_concentration_bounds_the_tail(name):
    """100,000 draws in 20 dimensions. The empirical tail may exceed its probability by 4 standard errors."""
    rng, draws = np.random.default_rng(5), 100_000
    values = lipschitz_functions(20, rng)[name](rng.standard_normal((draws, 20)))
    for t in (0.25, 0.5, 1.0, 2.0, 3.0):
        for deviation in (values - values.mean(), values.mean() - values):
            bound, measured = np.exp(-t * t / 2), np.mean(deviation >= t)
            assert measured <= bound + 4 * np.sqrt(bound / draws)


@pytest.mark.statement("lem-gaussian-concentration")
def test_lem_gaussian_concentration_has_the_sharp_constant():
    """For a linear function the tail is exp(-t^2 / 2) to leading order: no smaller exponent than 1/2 would do."""
    t = np.array([4.0, 8.0, 16.0, 32.0])
    exponents = -stats.norm.logsf(t) / t**2
    assert np.all(exponents > 0.5) and exponents[-1] == pytest.approx(0.5, abs=0.005)


@pytest.mark.statement("lem-relu-mean")
def test_lem_relu_mean_by_integration():
    for v in (0.3, 1.0, 7.0):
        density = stats.norm(scale=v).pdf
        for power, moment in ((1, v / np.sqrt(2 * np.pi)), (2, v * v / 2)):
            value, _ = integrate.quad(lambda u, p=power, pdf=density: u**p * pdf(u), 0, 40 * v, points=[v, 5 * v])
            assert value == pytest.approx(moment, rel=1e-7)
