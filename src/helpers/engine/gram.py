"""The inner products that gradient descent reads, from explicit vectors or, at any dimension, from their joint law."""

from dataclasses import dataclass

import numpy as np
import torch

from helpers.data.signal_noise import Sample
from helpers.engine.network import TwoLayerCNN, check_dimension
from helpers.streams import random_stream


@dataclass(frozen=True, eq=False)
class InnerProducts:
    """What one run needs to know of mu (row 0), the noise patches (rows 1..n) and the initial weights; all float64.

    gram (n + 1, n + 1): inner products among mu and the noise patches.
    responses (2, m, n + 1): of the initial filters with them.
    weight_gram (2m, 2m): among the initial filters.
    y, y_obs (n,): labels.
    test_gram (n_test, n + 1), test_responses (2, m, n_test), y_test: of given test patches; n_test may be 0.
    """

    gram: torch.Tensor
    responses: torch.Tensor
    weight_gram: torch.Tensor
    y: torch.Tensor
    y_obs: torch.Tensor
    test_gram: torch.Tensor
    test_responses: torch.Tensor
    y_test: torch.Tensor


def inner_products(problem, m, init_std, seed):
    """InnerProducts of a Sample (exactly its own) or of a SignalNoise (drawn, without a vector of length d)."""
    check_dimension(problem.n, problem.d)
    source = _of_sample if isinstance(problem, Sample) else _of_distribution
    return source(problem, m, init_std, seed)


def _of_sample(sample, m, init_std, seed):
    weight = TwoLayerCNN(sample.d, m, init_std, seed).weight.detach()
    flat = weight.flatten(0, 1)
    responses = torch.cat([weight @ sample.mu[:, None], weight @ sample.xi.T], -1)
    return InnerProducts(sample.gram, responses, flat @ flat.T, sample.y, sample.y_obs,
                         sample.test_gram, weight @ sample.xi_test.T, sample.y_test)


def _of_distribution(problem, m, init_std, seed):
    y, y_obs = problem.draw_labels(seed)
    products = draw_products(problem, [problem.mu_norm], 2, m, init_std, random_stream(seed, "inner products"))
    arrays = (*products, y, y_obs, np.empty((0, problem.n + 1)), np.empty((2, m, 0)), np.empty(0))
    return InnerProducts(*map(torch.from_numpy, arrays))


def draw_products(problem, lengths, units, m, init_std, rng):
    """gram (q + n, q + n), responses (units, m, q + n) and weight_gram (units m, units m) of q orthogonal vectors of
    these lengths, n noise patches and the initial filters of each output unit, without a vector of length d."""
    factor = draw_factor(problem, lengths, problem.n, rng)
    # The initial weights are independent of the data: normals in these coordinates, a Wishart matrix in all others.
    normals = rng.standard_normal((units * m, factor.shape[1]))
    rest = bartlett(rng, units * m, problem.d - factor.shape[1])
    return (factor @ factor.T, (init_std * normals @ factor.T).reshape(units, m, -1),
            init_std**2 * (normals @ normals.T + rest @ rest.T))


def draw_factor(problem, lengths, n, rng):
    """Coordinates (q + n, q + n) of q orthogonal vectors of these lengths and of n noise patches.

    The first q axes point along the vectors; the others are chosen so that the noise patches are lower triangular.
    """
    q, d = len(lengths), problem.d
    check_dimension(n + q - 1, d)
    factor = np.zeros((q + n, q + n))
    factor[:q, :q] = np.diag(lengths)
    factor[q:, :q] = 0.0 if problem.orthogonal else problem.noise_std * rng.standard_normal((n, q))
    factor[q:, q:] = problem.noise_std * bartlett(rng, n, d - q)
    return factor


def bartlett(rng, size, degrees):
    """Lower-triangular L (size, min(size, degrees)) such that L L^T is Wishart(I, degrees).

    L is the transposed R factor of `size` standard normal vectors of length `degrees`: chi roots with falling degrees
    of freedom on the diagonal and standard normals below (Bartlett 1933). With fewer degrees than vectors it is
    trapezoidal.
    """
    rank = min(size, degrees)
    factor = np.tril(rng.standard_normal((size, rank)), -1)
    factor[np.arange(rank), np.arange(rank)] = np.sqrt(rng.chisquare(degrees - np.arange(rank, dtype=float)))
    return factor
