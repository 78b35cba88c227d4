"""Inner products: of what gradient descent reads, from explicit vectors or from their joint law, and of the weights.

V = [mu; xi_1..xi_n] are the vectors of one run and W its weights. Gradient descent needs K = V V^T and B = W V^T, and a
test error needs W W^T, whatever the dimension d (thm-reduced, thm-wishart). The axis R counts the rows of V.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Shaped

from helpers import checks
from helpers.data.signal_noise import STRENGTHS, Sample, SignalNoise
from helpers.engine.network_decomposition import SIGNS, TwoLayerCNN, check_decomposition_dimension
from helpers.entry import entry
from helpers.record import Record
from helpers.streams import random_stream

Array = np.ndarray | torch.Tensor


@dataclass(frozen=True, eq=False)
class InnerProducts:
    """What one run needs to know of mu (row 0), the noise patches (rows 1 to n) and the initial weights; all float64.

    Attributes
    ----------
    gram
        K, the inner products among mu and the noise patches.
    responses
        of the initial filters with them.
    weight_gram
        among the initial filters, those of j = +1 first.
    y, y_obs
        true and observed labels.
    test_gram, test_responses
        of given test patches with mu and the noise patches, and of the initial filters with the test patches. There may
        be none, n_test = 0.
    y_test
        true labels of the test patches.
    """

    gram: Float[torch.Tensor, "R R"]
    responses: Float[torch.Tensor, "2 m R"]
    weight_gram: Float[torch.Tensor, "2*m 2*m"]
    y: Float[torch.Tensor, " n"]
    y_obs: Float[torch.Tensor, " n"]
    test_gram: Float[torch.Tensor, "n_test R"]
    test_responses: Float[torch.Tensor, "2 m n_test"]
    y_test: Float[torch.Tensor, " n_test"]


@entry(own=("seed",))
def inner_products(problem: Sample | SignalNoise, m: int, init_std: float, seed: int) -> InnerProducts:
    """The inner products from which a run starts, with m filters per sign and initial weights N(0, init_std^2).

    Those of a Sample are its own. Those of a SignalNoise are drawn from their joint law, without a vector of length d
    (thm-wishart): d may be 10^15. Raises ValueError where d < n + 1.

    Examples
    --------
    >>> from helpers.data import SignalNoise
    >>> from helpers.engine import inner_products
    >>> law = SignalNoise(3, 10**12, n_snr2=9.0)
    >>> products = inner_products(law, m=4, init_std=1e-6, seed=0)
    >>> (products.gram.diagonal() / law.d).numpy().round(4)  # squared lengths: of mu 9 d / n, of the others nearly d
    array([3., 1., 1., 1.])
    """
    m, init_std = checks.integer("m", m), checks.real("init_std", init_std, 0.0)
    seed = checks.integer("seed", seed, 0)
    check_decomposition_dimension(problem.n, problem.d)
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
    products = draw_gram(problem, [problem.mu_norm], 2, m, init_std, random_stream(seed, "inner products"))
    arrays = (*products, y, y_obs, np.empty((0, problem.n + 1)), np.empty((2, m, 0)), np.empty(0))
    return InnerProducts(*map(torch.from_numpy, arrays))


def draw_gram(
        problem: SignalNoise, lengths: Sequence[float], units: int, m: int, init_std: float, rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "R R"], Float[np.ndarray, "K m R"], Float[np.ndarray, "K*m K*m"]]:
    """Draw the inner products of signals, noise patches and initial filters, without a vector of length d.

    Parameters
    ----------
    problem
        its n, d and noise count; its signal and its labels do not.
    lengths
        of the signals, which are orthogonal.
    units
        K, the number of output units, each with m filters.
    m, init_std
        filters per unit, and the standard deviation of their initial weights.
    rng
        where the draws come from.

    Returns
    -------
    gram
        of the signals, which come first, and the noise patches.
    responses
        of the initial filters with them.
    weight_gram
        of the initial filters.
    """
    factor = draw_gram_factor(problem, lengths, problem.n, rng)
    # The initial weights are independent of the data: normals in these coordinates, a Wishart matrix in all others.
    normals = rng.standard_normal((units * m, factor.shape[1]))
    rest = bartlett_gram_factor(rng, units * m, problem.d - factor.shape[1])
    return (factor @ factor.T, (init_std * normals @ factor.T).reshape(units, m, -1),
            init_std**2 * (normals @ normals.T + rest @ rest.T))


def draw_gram_factor(problem: SignalNoise, lengths: Sequence[float], n: int,
                     rng: np.random.Generator) -> Float[np.ndarray, "R R"]:
    """Coordinates of orthogonal signals of these lengths, which come first, and of n noise patches.

    The first axes point along the signals; the others are chosen so that the noise patches are lower triangular.
    """
    q = len(lengths)
    d = problem.d
    check_decomposition_dimension(n + q - 1, d)
    factor = np.zeros((q + n, q + n))
    factor[:q, :q] = np.diag(lengths)
    factor[q:, :q] = 0.0 if problem.orthogonal else problem.noise_std * rng.standard_normal((n, q))
    factor[q:, q:] = problem.noise_std * bartlett_gram_factor(rng, n, d - q)
    return factor


@entry
def bartlett_gram_factor(rng: np.random.Generator, size: int, degrees: int) -> Float[np.ndarray, "size rank"]:
    """Lower-triangular L such that L L^T is Wishart(I, degrees), with rank = min(size, degrees) columns.

    L is the transposed R factor of `size` standard normal vectors of length `degrees`: chi roots with falling degrees
    of freedom on the diagonal and standard normals below (Bartlett 1933; lem-bartlett). With fewer degrees than
    vectors it is trapezoidal.
    """
    size, degrees = checks.integer("size", size, 0), checks.integer("degrees", degrees, 0)
    rank = min(size, degrees)
    factor = np.tril(rng.standard_normal((size, rank)), -1)
    factor[np.arange(rank), np.arange(rank)] = np.sqrt(rng.chisquare(degrees - np.arange(rank, dtype=float)))
    return factor


def moved_weight_gram(
        initial: Shaped[Array, "*batch filters filters"], responses: Shaped[Array, "*batch filters R"],
        change: Shaped[Array, "*batch filters R"], responses_now: Shaped[Array, "*batch filters R"],
) -> Shaped[Array, "*batch filters filters"]:
    """W W^T of weights that moved to W = W(0) + C V (eq-weight-gram).

    Parameters
    ----------
    initial
        W(0) W(0)^T.
    responses, responses_now
        W(0) V^T and W V^T.
    change
        C.
    """
    return initial + change @ responses.swapaxes(-1, -2) + responses_now @ change.swapaxes(-1, -2)


def gram_square_root(covariance: Float[torch.Tensor, "runs filters filters"]) -> Float[torch.Tensor,
                                                                                       "runs filters filters"]:
    """A with A A^T = covariance: the Cholesky factor, or, where a covariance is singular, one from its eigenvectors."""
    root, failed = torch.linalg.cholesky_ex(covariance)
    if failed.any():  # singular, e.g. fewer dimensions than filters: any square root will do
        # A run that diverged has no finite covariance either; its margins tell.
        finite = covariance[failed > 0].nan_to_num(posinf=0.0, neginf=0.0)
        values, axes = torch.linalg.eigh(finite)
        root[failed > 0] = axes * values.clamp(min=0).sqrt()[:, None]
    return root


@entry
def inner_products_of_record(record: Record) -> list[InnerProducts]:
    """The inner products behind each run of a Record whose data were drawn from a SignalNoise, drawn again."""
    names = [f.name for f in fields(SignalNoise) if f.name not in STRENGTHS]
    known = "m" in record.config and all({"n", "d", "mu_norm", "init_std", "seed"} <= run.keys() for run in record.runs)
    checks.require(known, "record", record, "one of descend on a SignalNoise")
    laws = [SignalNoise(**{name: run[name] for name in names if name in run},  # an older record lacks the newer names
                        mu_norm=run["mu_norm"]) for run in record.runs]
    return [inner_products(law, record.config["m"], run["init_std"], run["seed"])
            for law, run in zip(laws, record.runs)]


@entry
def final_weight_gram(record: Record, products: Sequence[InnerProducts]) -> Float[np.ndarray, "runs filters filters"]:
    """Inner products W W^T of all 2m filters at the last recorded time (eq-weight-gram).

    Parameters
    ----------
    record
        the runs, with their final coefficients.
    products
        the inner products behind each run, e.g. from `inner_products_of_record`.
    """
    known = record.gamma_final is not None and record.rho_final is not None
    checks.require(known, "record", record, "one of descend, with gamma_final and rho_final")
    checks.require(len(products) == len(record.runs), "products", f"<{len(products)}>", f"{len(record.runs)} of them")
    found = []
    for run, one in enumerate(products):
        squares = one.gram.diagonal().numpy()
        signal = np.array(SIGNS)[:, None] * record.gamma_final[run]
        change = np.concatenate([signal[..., None], record.rho_final[run]], -1) / squares
        change, start = (np.reshape(x, (-1, len(squares))) for x in (change, one.responses.numpy()))
        now = start + change @ one.gram.numpy()
        gram = moved_weight_gram(one.weight_gram.numpy(), start, change, now)
        found.append((gram + gram.T) / 2)
    return np.stack(found)
