"""Labels as people give them: the law of a rater who looks at the image, several raters, and controls that do not look.

A rater's label of image i follows a law p_i over the K classes; q_i = 1 - p_i(y_i) is the chance of a mistake. A `law`
has one row per image, `true` holds the positions 0 to K - 1 of the true classes, and `ratings` such positions, one row
per rater.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from scipy.optimize import brentq, linprog
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from helpers import checks
from helpers.data.images import LabelledImages, class_index, class_labels
from helpers.data.label_noise import realised_label_noise_rate
from helpers.data.noise_kinds import draw_by_noise_kind
from helpers.entry import entry
from helpers.intervals import share_interval
from helpers.streams import random_stream

KEEPS = ("image", "places", "class", "rate")
Q_GRID = np.linspace(0, 1, 1001)  # chances of a mistake among which `rater_mistake_bounds` looks
Law = Float[np.ndarray, "n K"]
Positions = Int[np.ndarray, " n"]
Ratings = Int[np.ndarray, "raters n"]


@entry
def rater_law(school: LabelledImages, data: LabelledImages, rate: float) -> Law:
    """Law of the labels of a rater who learnt from few pictures.

    It is softmax(s z), where z are the scores of a logistic regression fitted to the images `school`, and s makes the
    mean chance of a mistake on the training images of `data` the wanted one.

    Parameters
    ----------
    school, data
        images, whose true labels are used.
    rate
        mean chance of a mistake.

    Raises
    ------
    ValueError
        If no s gives that rate: it must lie between the regression's own error and that of a guess.
    """
    checks.require(data.n_classes > 2, "data.n_classes", data.n_classes, "3 or more")
    flat, true = lambda x: x.reshape(len(x), -1), class_index(data.y, data.n_classes)
    scores = LogisticRegression(C=30.0, max_iter=2000).fit(flat(school.x), school.y).decision_function(flat(data.x))
    excess = lambda log_s: rater_mistakes(softmax(np.exp(log_s) * scores, 1), true).mean() - rate  # noqa: E731
    low, high = -10.0, 5.0
    checks.require(excess(low) > 0 > excess(high), "rate", rate,
                   f"in ({excess(high) + rate:.3f}, {excess(low) + rate:.3f})")
    return softmax(np.exp(brentq(excess, low, high)) * scores, 1)


@entry
def mixed_rater_law(law: Law, true: Positions, dependence: float) -> Law:
    """A law that looks less at the image: its transition matrix is that of `law`.

    It is dependence * law + (1 - dependence) * (mean of the law over the image's true class): at 1 the law itself, at 0
    one that looks at the class alone.
    """
    _require_law(law, true)
    lam = checks.real("dependence", dependence, 0.0, 1.0)
    return lam * law + (1 - lam) * rater_class_means(law, true)[true]


@entry
def rater_class_means(values: Real[np.ndarray, "n ..."] | Bool[np.ndarray, "n ..."],
                      true: Positions) -> Float[np.ndarray, "K ..."]:
    """Mean of `values` over each true class; of a law, its transition matrix."""
    valid = true.size > 0 and bool(true.min() >= 0)
    checks.require(valid, "true", true, "positions of classes from 0 on, not empty")
    checks.require(len(values) == len(true), "values.shape", values.shape, f"({len(true)}, ...), a row for each image")
    return np.stack([values[true == y].mean(0) for y in range(int(true.max()) + 1)])


@entry
def rater_mistakes(law: Law, true: Positions) -> Float[np.ndarray, " n"]:
    """The chance q_i of a wrong label."""
    _require_law(law, true)
    return 1 - law[np.arange(len(true)), true]


@entry
def ask_raters(law: Law, raters: int, seed: int) -> Ratings:
    """The labels that `raters` people give, each drawn from the image's law by itself."""
    _require_law(law)
    n = len(law)
    none = np.full(n, -1)  # draw_by_noise_kind moves away from a "true" class; a law drawn whole has none
    wide = np.append(law, np.zeros((n, 1)), 1)
    return np.stack([draw_by_noise_kind(wide, none, random_stream(seed, f"rater {r}"))
                     for r in range(checks.integer("raters", raters))])


@entry
def aggregate_ratings(ratings: Ratings, seed: int) -> Positions:
    """The label that most raters gave; among equals one at random."""
    valid = ratings.size > 0 and bool(ratings.min() >= 0)
    checks.require(valid, "ratings", ratings, "positions of classes from 0 on, not empty")
    votes = (ratings[:, :, None] == np.arange(ratings.max() + 1)).sum(0)
    return (votes + random_stream(seed, "ties of raters").random(votes.shape)).argmax(1)


@entry
def worst_ratings(ratings: Ratings, true: Positions) -> Positions:
    """A wrong label wherever a rater gave one, the true label elsewhere.

    Among wrong labels it is that of the last rater who erred, which is the rule of CIFAR-10N's file.
    """
    _require_ratings(true, ratings)
    label = np.array(true)
    for row in ratings:
        label = np.where(row != true, row, label)
    return label


@entry
def worst_rating_law(law: Law, true: Positions, *, raters: int = 3) -> Law:
    """The law of `worst_ratings`: right with (1 - q)^raters, else as one mistaken rater would say (eq-worst-law)."""
    raters = checks.integer("raters", raters)
    q = rater_mistakes(law, true)[:, None]
    factor = np.divide(1 - (1 - q)**raters, q, out=np.full(q.shape, float(raters)), where=q > 0)
    result = law * factor
    result[np.arange(len(true)), true] = (1 - q[:, 0])**raters
    return result


@entry
def readable_by_raters(law: Law, true: Positions) -> Bool[np.ndarray, " n"]:
    """Whether the true class is the single most likely observed label (prop-image-law)."""
    _require_law(law, true)
    others = law.copy()
    others[np.arange(len(true)), true] = -np.inf
    return law[np.arange(len(true)), true] > others.max(1)


@entry
def rater_reading_share(law: Law, true: Positions) -> float:
    """The expected share of readable images among the noisy samples (prop-reading-share).

    It is the sum of q over readable images, over the sum of q; NaN where no label is ever wrong.
    """
    q = rater_mistakes(law, true)
    return float(q[readable_by_raters(law, true)].sum() / q.sum()) if q.sum() > 0 else float("nan")


@entry
def with_ratings(data: LabelledImages, labels: Positions) -> LabelledImages:
    """A copy of `data` whose observed training labels are the positions `labels`; test labels stay true."""
    valid = labels.shape == (data.n,) and bool(((labels >= 0) & (labels < data.n_classes)).all())
    checks.require(valid, "labels", labels, f"{data.n} positions from 0 to {data.n_classes - 1}")
    observed = class_labels(labels, data.n_classes)
    rates = {"kind": "raters", "realised_flip_rate": realised_label_noise_rate(data.y, observed)}
    return replace(data, y_obs=observed, y_test_obs=data.y_test, noise=rates)


@entry
def loosen_ratings(data: LabelledImages, keep: str, seed: int) -> LabelledImages:
    """A copy of `data` with as many wrong training labels, which keep less of their tie to the image.

    The first three kinds have the same transition counts, to the last image. Test labels stay as they are.

    Parameters
    ----------
    data
        images with wrong labels.
    keep
        "image", all of it: labels as they are. "places": which images are wrong; the wrong labels change places among
        the wrong images of each true class. "class": all labels change places among the images of each true class.
        "rate": as many images, drawn from all, get any other class with equal chances.
    seed
        decides the permutation, or the draw.
    """
    checks.one_of("keep", keep, KEEPS)
    rng, k = random_stream(seed, f"control that keeps the {keep}"), data.n_classes
    true, observed = class_index(data.y, k), class_index(data.y_obs, k)
    if keep == "rate":
        chosen = rng.permutation(data.n)[: int((true != observed).sum())]
        observed = true.copy()
        observed[chosen] = (true[chosen] + rng.integers(1, k, len(chosen))) % k
    elif keep != "image":
        observed = permute_ratings(true, observed, rng, wrong_only=keep == "places")
    rates = {"kind": keep, "realised_flip_rate": realised_label_noise_rate(true, observed), "noise_seed": int(seed)}
    return replace(data, y_obs=class_labels(observed, k), noise=rates)


def permute_ratings(true: Positions, observed: Positions, rng: np.random.Generator, *,
                    wrong_only: bool = False) -> Positions:
    """`observed`, permuted at random among the images (wrong_only: the wrong images) of each true class."""
    result, movable = observed.copy(), observed != true if wrong_only else np.ones(len(true), bool)
    for y in np.unique(true):
        members = np.flatnonzero((true == y) & movable)
        result[members] = observed[rng.permutation(members)]
    return result


@entry
def joint_rater_mistakes(true: Positions, ratings: Ratings) -> dict[str, float]:
    """How often three raters err together.

    Returns
    -------
    shares
        shares of the images, by name. "two wrong": both of a pair of raters, "same wrong label": with the same label
        (each the mean over the three pairs); "all wrong", "all agree": the three.

    Raises
    ------
    ValueError
        If there are not three raters.
    """
    _require_ratings(true, ratings, 3)
    wrong, pairs = ratings != true, ((0, 1), (0, 2), (1, 2))
    both = [wrong[a] & wrong[b] for a, b in pairs]
    same = [wrong[a] & (ratings[a] == ratings[b]) for a, b in pairs]
    return {"two wrong": float(np.mean(both)), "same wrong label": float(np.mean(same)),
            "all wrong": float(wrong.all(0).mean()), "all agree": float((ratings == ratings[0]).all(0).mean())}


@entry
def shuffled_rater_mistakes(true: Positions, ratings: Ratings, draws: int,
                            seed: int) -> dict[str, Float[np.ndarray, " draws"]]:
    """`joint_rater_mistakes` after each rater's labels are permuted within each true class, `draws` times.

    This is what raters who look at the class alone would give, with the same transition counts (prop-shared-mistakes).
    """
    _require_ratings(true, ratings, 3)
    draws = checks.integer("draws", draws)
    rng = random_stream(seed, "shuffled raters")
    rows = [joint_rater_mistakes(true, np.stack([permute_ratings(true, row, rng) for row in ratings]))
            for _ in range(draws)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@entry
def rater_mistake_bounds(true: Positions, ratings: Ratings, weight: Callable[[np.ndarray], np.ndarray],
                         event: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """What three raters allow to be said of sum_i weight(q_i) [event(q_i)] / sum_i weight(q_i).

    The bounds are over all distributions of q on [0, 1] whose first three moments are the measured shares of mistakes,
    of pairs and of triples of them: two linear programs on a grid. Sampling error is not counted.

    Parameters
    ----------
    true, ratings
        positions of the true classes, and of the three raters' labels.
    weight
        a function of an array of q: a polynomial of degree 3 at most, so that the moments fix its mean.
    event
        a function of an array of q with boolean values.

    Returns
    -------
    low, high
        the bounds.

    Raises
    ------
    ValueError
        If no distribution has these moments, as may be with few images.
    """
    _require_ratings(true, ratings, 3)
    moments = [1.0, *(moment.mean() for moment in _moments(ratings != true))]
    constraints, cost = np.stack([Q_GRID**k for k in range(4)]), weight(Q_GRID) * event(Q_GRID)
    ends = [linprog(sign * cost, A_eq=constraints, b_eq=moments) for sign in (1, -1)]
    checks.require(all(end.success for end in ends), "ratings", moments, "shares that are moments of a law on [0, 1]")
    total = weight(Q_GRID) @ ends[0].x
    return float(ends[0].fun / total), float(-ends[1].fun / total)


def _moments(wrong: Bool[np.ndarray, "3 n"]) -> tuple[Float[np.ndarray, " n"], ...]:
    """Unbiased for q, q^2, q^3 of an image that three people rated independently."""
    count = wrong.sum(0)
    return count / 3, count * (count - 1) / 6, (count == 3).astype(float)


@entry
def rater_transition_interval(counts: Int[np.ndarray, "rows K"], *, level: float = 0.95) -> Float[np.ndarray,
                                                                                                  "rows K 2"]:
    """Clopper-Pearson intervals of the entries of the transition matrix, from its counts."""
    valid = counts.size > 0 and bool((counts >= 0).all())
    checks.require(valid, "counts", counts, "numbers of images, 0 or more, not empty")
    return share_interval(counts, counts.sum(1)[:, None], level=level)


@entry
def rater_competitors(matrix: Real[np.ndarray, "K K"]) -> Float[np.ndarray, " K"]:
    """Effective number of wrong classes of each class: exp of the entropy of its wrong labels.

    It lies between 1 and K - 1; NaN where no label is wrong.
    """
    square = matrix.shape[0] == matrix.shape[1]
    checks.require(square, "matrix.shape", matrix.shape, "(K, K)")
    checks.require(bool((matrix >= 0).all()), "matrix", matrix, "numbers >= 0")
    wrong = np.array(matrix, float) * (1 - np.eye(len(matrix)))
    total = wrong.sum(1, keepdims=True)
    share = np.divide(wrong, total, out=np.full(wrong.shape, np.nan), where=total > 0)
    return np.exp(-np.where(share > 0, share * np.log(np.where(share > 0, share, 1)), share * 0).sum(1))


def _require_law(law: Law, true: Positions | None = None) -> None:
    stochastic = law.size > 0 and law.min() >= 0 and bool(np.abs(law.sum(1) - 1).max() < 1e-5)
    checks.require(stochastic, "law", law, "a row for each image, not empty, of chances that sum to 1")
    if true is not None:
        valid = true.shape == law.shape[:1] and bool(((true >= 0) & (true < law.shape[1])).all())
        checks.require(valid, "true", true, f"{len(law)} positions from 0 to {law.shape[1] - 1}")


def _require_ratings(true: Positions, ratings: Ratings, raters: int | None = None) -> None:
    checks.require(true.size > 0 and true.min() >= 0, "true", true, "positions of classes, from 0 on, not empty")
    checks.require(raters in (None, len(ratings)), "ratings.shape", ratings.shape, f"({raters}, n)")
    valid = ratings.shape[1:] == true.shape and len(ratings) > 0 and bool(ratings.min() >= 0)
    checks.require(valid, "ratings", ratings, f"positions of classes from 0 on, a row of {len(true)} for each rater")
