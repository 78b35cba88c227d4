"""Data beyond the book's basic model, through inner products: several classes, recurring patches, patch-dependent
flips, filters for each position.

In all of them a network of K output units sees patches that are rows of one list of vectors V: signals first, noise
patches last. Which rows make up a sample is all that changes; `descend_variant` trains on any such scene. In the shapes
R counts the rows of V, p the patches of a sample, C the contexts of a test patch.
"""

from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from helpers import checks
from helpers.data.noise_kinds import MatrixNoise, draw_by_noise_kind, noise_kind_class_count
from helpers.data.signal_noise import Sample, SignalNoise
from helpers.engine.gram import draw_gram, draw_gram_factor, inner_products
from helpers.entry import entry
from helpers.streams import random_stream

FLIPS = ("random", "patch", "pair")
ANTIPODAL = np.array([[1.0], [-1.0]])  # a vector v stands for the two patches v and -v


@dataclass(frozen=True, eq=False)
class Scene:
    """One run's data and initial filters, all through inner products; float64, and int64 where it says index.

    Attributes
    ----------
    gram
        inner products among the rows of V, the noise patches xi_1..xi_n being the last n.
    responses
        of the initial filters of each output unit with the rows of V.
    weight_gram
        among the initial filters; None where fresh noise is not asked for.
    patches
        index of the rows that each sample consists of.
    contexts, context_labels
        index of the rows that may stand beside a noise patch in a test sample, all equally likely, and the true label
        they carry.
    y, y_obs
        index of the true and of the observed class. With two classes, 0 is y = +1 and 1 is y = -1.
    noise_std
        standard deviation of a fresh noise coordinate.
    orthogonal_to
        index of mutually orthogonal rows that fresh noise has no component along.
    about
        seed and configuration, for the Record.
    """

    gram: Float[torch.Tensor, "R R"]
    responses: Float[torch.Tensor, "K m R"]
    weight_gram: Float[torch.Tensor, "K*m K*m"] | None
    patches: Int[torch.Tensor, "n p"]
    contexts: Int[torch.Tensor, "C p-1"]
    context_labels: Int[torch.Tensor, " C"]
    y: Int[torch.Tensor, " n"]
    y_obs: Int[torch.Tensor, " n"]
    noise_std: float
    orthogonal_to: tuple[int, ...]
    about: dict


@entry
def two_class_scene(problem: SignalNoise | Sample, m: int, init_std: float, seed: int) -> Scene:
    """The book's own data and network, the run of `descend` on this problem and seed: rows mu, -mu, xi_1..xi_n."""
    m, init_std, seed = _filters(m, init_std, seed)
    law = checks.instance("problem", getattr(problem, "distribution", problem), SignalNoise)
    parts = inner_products(problem, m, init_std, seed)
    products = (parts.gram.numpy(), parts.responses.numpy(), parts.weight_gram.numpy())
    return _antipodal_scene(law, 1, products, _index(parts.y.numpy()), _index(parts.y_obs.numpy()), init_std, seed)


@entry
def recurring_patch_scene(problem: SignalNoise, strength: float, flips: str, m: int, init_std: float,
                          seed: int) -> Scene:
    """Three patches, y mu, a nu and xi, with a = +-1 a coin and nu a second signal, orthogonal to mu.

    Parameters
    ----------
    problem
        n, d, mu, the noise, and the overall flip rate tau = flip_plus = flip_minus.
    strength
        ``n |nu|^2 / (sigma^2 d)``.
    flips
        on whom the flips fall. "random": on everyone alike; "patch": on a = +1 only, with probability 2 tau; "pair": on
        a = -y only, with probability 2 tau.
    m, init_std, seed
        filters per sign, scale of the initial weights, and the seed of data and weights.
    """
    strength, (m, init_std, seed) = checks.positive("strength", strength), _filters(m, init_std, seed)
    checks.one_of("flips", flips, FLIPS)
    tau = _flip_rate(problem)
    y = _index(problem.draw_labels(seed)[0])
    rng = random_stream(seed, "recurring patch")
    a = rng.integers(2, size=problem.n)
    chance = {"random": np.full(problem.n, tau), "patch": 2 * tau * (a == 0), "pair": 2 * tau * (a != y)}[flips]
    y_obs = np.where(rng.random(problem.n) < chance, 1 - y, y)
    lengths = [problem.mu_norm, problem.mu_norm * (strength / problem.n_snr2) ** 0.5]
    products = draw_gram(problem, lengths, 2, m, init_std, rng)
    return _antipodal_scene(problem, 2, products, y, y_obs, init_std, seed, a)


@entry
def patch_dependent_scene(problem: SignalNoise, m: int, init_std: float, seed: int) -> Scene:
    """The basic data, but only samples whose noise patch leans to the other class along a direction u are flipped.

    The flips have probability 2 tau where y <u, xi> < 0, with tau = flip_plus = flip_minus and u a unit vector
    orthogonal to mu (prop-patch-flips).
    """
    tau, (m, init_std, seed) = _flip_rate(problem), _filters(m, init_std, seed)
    y = _index(problem.draw_labels(seed)[0])
    rng = random_stream(seed, "patch-dependent flips")
    gram, responses, weight_gram = draw_gram(problem, [problem.mu_norm, 1.0], 2, m, init_std, rng)
    leans = np.where(y == 0, 1, -1) * gram[1, 2:] < 0
    y_obs = np.where(rng.random(problem.n) < 2 * tau * leans, 1 - y, y)
    keep = np.r_[0, 2:problem.n + 2]  # u is no patch
    products = gram[np.ix_(keep, keep)], responses[..., keep], weight_gram
    return _antipodal_scene(problem, 1, products, y, y_obs, init_std, seed)


@entry
def separate_positions_scene(problem: SignalNoise, m: int, init_std: float, seed: int) -> Scene:
    """Signal and noise patch in random order, and filters of their own for each of the two positions.

    A filter is then a vector of length 2 d, and a patch fills one half of it: patches in different positions are
    orthogonal (prop-position). No fresh noise.
    """
    m, init_std, seed = _filters(m, init_std, seed)
    y, y_obs = map(_index, problem.draw_labels(seed))
    rng = random_stream(seed, "separate positions")
    n = problem.n
    noise_first = rng.integers(2, size=n)
    factor = np.zeros((2 + n, 2 * (1 + min(n, problem.d - 1))))
    for position in (0, 1):
        here = np.flatnonzero(noise_first == position)
        start = position * factor.shape[1] // 2
        part = draw_gram_factor(problem, [problem.mu_norm], len(here), rng)
        factor[np.r_[position, 2 + here], start:start + part.shape[1]] = part
    normals = rng.standard_normal((2 * m, factor.shape[1]))
    products = factor @ factor.T, (init_std * normals @ factor.T).reshape(2, m, -1), None
    gram, responses, _ = _expand(products, _antipodes(2, n))
    signal_rows = 2 * (1 - noise_first) + y  # the signal stands where the noise does not
    patches = np.stack([signal_rows, 4 + np.arange(n)], 1)
    return _scene(problem, (gram, responses, None), patches, np.array([[0], [1], [2], [3]]), np.array([0, 1, 0, 1]),
                  y, y_obs, (), init_std, seed)


@entry
def several_class_scene(problem: SignalNoise, classes: int, m: int, init_std: float, seed: int) -> Scene:
    """K = `classes` equally likely classes with orthogonal signals of one length, problem.mu_norm (prop-classes).

    A label is flipped with probability tau = flip_plus = flip_minus, to one of the other classes at random.
    """
    classes, (m, init_std, seed) = checks.integer("classes", classes, 2, 10**4), _filters(m, init_std, seed)
    rng = random_stream(seed, "several classes")
    y = rng.integers(classes, size=problem.n)
    wrong = (y + rng.integers(1, classes, size=problem.n)) % classes
    y_obs = np.where(rng.random(problem.n) < _flip_rate(problem), wrong, y)
    products = draw_gram(problem, [problem.mu_norm] * classes, classes, m, init_std, rng)
    patches = np.stack([y, classes + np.arange(problem.n)], 1)
    return _scene(problem, products, patches, np.arange(classes)[:, None], np.arange(classes), y, y_obs,
                  tuple(range(classes)), init_std, seed)


def _filters(m: int, init_std: float, seed: int) -> tuple[int, float, int]:
    """Filters per unit, scale of their initial weights and seed, checked."""
    return checks.integer("m", m), checks.real("init_std", init_std, 0.0), checks.integer("seed", seed, 0)


def _index(labels: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Class index of labels +1 and -1."""
    return np.where(labels > 0, 0, 1)


def _flip_rate(problem: SignalNoise) -> float:
    checks.require(problem.flip_plus == problem.flip_minus, "problem", problem, "one with flip_plus == flip_minus")
    return problem.flip_plus


def _antipodes(vectors: int, n: int) -> Float[np.ndarray, "new_rows rows"]:
    """The map from rows to rows in which each of `vectors` first rows v becomes v and -v; n noise patches stay."""
    return np.block([[np.kron(np.eye(vectors), ANTIPODAL), np.zeros((2 * vectors, n))],
                     [np.zeros((n, vectors)), np.eye(n)]])


def _expand(products, rows):
    """gram, responses and weight_gram of the vectors `rows` @ V, from those of V."""
    gram, responses, weight_gram = products
    return rows @ gram @ rows.T, responses @ rows.T, weight_gram


def _antipodal_scene(problem, vectors, products, y, y_obs, init_std, seed, a=None):
    """A scene of two classes whose first rows are mu and -mu or, with two vectors, mu, -mu, nu and -nu."""
    columns = [y] + ([] if a is None else [2 + a])
    patches = np.stack([*columns, 2 * vectors + np.arange(problem.n)], 1)
    contexts = np.stack(np.meshgrid([0, 1], *[[2, 3]] * (vectors - 1), indexing="ij"), -1).reshape(-1, vectors)
    off = tuple(range(0, 2 * vectors, 2)) if problem.orthogonal else ()
    return _scene(problem, _expand(products, _antipodes(vectors, problem.n)), patches, contexts, contexts[:, 0], y,
                  y_obs, off, init_std, seed)


def _scene(problem, products, patches, contexts, context_labels, y, y_obs, off, init_std, seed):
    reals = [None if one is None else torch.from_numpy(np.ascontiguousarray(one)) for one in products]
    indices = [torch.from_numpy(np.asarray(one, np.int64)) for one in (patches, contexts, context_labels, y, y_obs)]
    return Scene(*reals, *indices, problem.noise_std, off if problem.orthogonal else (),
                 {"seed": seed, **asdict(problem), "init_std": init_std})


@entry
def contrary_scene(scene: Scene, share: float, weight: float, seed: int) -> tuple[Scene, Bool[np.ndarray, " n"]]:
    """A copy of a `two_class_scene` scene with contrary samples, which have their true label and look wrong.

    Parameters
    ----------
    scene
        what `two_class_scene` made.
    share
        probability that a clean sample becomes contrary.
    weight
        the signal patch y mu of a contrary sample is replaced by -weight y mu.
    seed
        of the choice.

    Returns
    -------
    scene
        the copy.
    chosen
        which samples are contrary.
    """
    share, weight = checks.real("share", share, 0.0, 1.0), checks.positive("weight", weight)
    seed = checks.integer("seed", seed, 0)
    checks.require(len(scene.context_labels) == 2 and scene.patches.shape[1] == 2, "scene", scene.about,
                   "one that two_class_scene made")
    chosen = random_stream(seed, "contrary samples").random(len(scene.y)) < share
    chosen &= (scene.y == scene.y_obs).numpy()
    rows = torch.eye(len(scene.gram), dtype=torch.float64)
    rows = torch.cat([rows[:2], weight * rows[:2], rows[2:]])
    patches = scene.patches + torch.tensor([0, 2])  # two rows more before the noise patches
    patches[:, 0] = torch.where(torch.from_numpy(chosen), 3 - scene.y, scene.y)
    return replace(scene, gram=rows @ scene.gram @ rows.T, responses=scene.responses @ rows.T, patches=patches), chosen


@entry
def noisy_scene(problem: SignalNoise, noise: MatrixNoise, classes: int, m: int, init_std: float, seed: int) -> Scene:
    """`several_class_scene` with observed labels from a kind of noise that has a transition matrix.

    The flip rates of `problem` are not used.
    """
    scene = several_class_scene(problem, classes, m, init_std, seed)
    y = scene.y.numpy()
    rows = noise.transition_matrix(noise_kind_class_count(classes))[y]
    y_obs = draw_by_noise_kind(rows, y, random_stream(seed, "labels of a noisy scene"))
    return replace(scene, y_obs=torch.from_numpy(y_obs), about=scene.about | {"noise": noise.kind, "rate": noise.rate})
