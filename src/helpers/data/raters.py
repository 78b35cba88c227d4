"""Labels as people give them: the law of a rater who looks at the image, several raters, and controls that do not look.

A rater's label of image i follows a law p_i over the K classes; q_i = 1 - p_i(y_i) is the chance of a mistake. Laws are
(n, K), `true` is (n,) positions 0 to K - 1, and `ratings` is (raters, n) of such positions, one row per rater.
"""

from dataclasses import replace

import numpy as np
from scipy.optimize import brentq, linprog
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from helpers import checks
from helpers.data.images import class_index, class_labels
from helpers.data.label_noise import realised_rate
from helpers.data.noise_kinds import draw_classes
from helpers.intervals import share_interval
from helpers.streams import random_stream

KEEPS = ("image", "places", "class", "rate")
Q_GRID = np.linspace(0, 1, 1001)  # chances of a mistake among which `mistake_bounds` looks


def rater_law(school, data, rate):
    """(n, K) law of the labels of a rater who learnt from few pictures: softmax(s z), z the scores of a logistic
    regression fitted to the images `school`; s makes the mean chance of a mistake on the training images `rate`.

    school, data : LabelledImages, whose true labels are used. Raises ValueError where no s gives that rate: it must lie
    between the regression's own error and that of a guess.
    """
    checks.require(data.n_classes > 2, "data.n_classes", data.n_classes, "3 or more")
    flat, true = lambda x: x.reshape(len(x), -1), class_index(data.y, data.n_classes)
    scores = LogisticRegression(C=30.0, max_iter=2000).fit(flat(school.x), school.y).decision_function(flat(data.x))
    excess = lambda log_s: mistakes(softmax(np.exp(log_s) * scores, 1), true).mean() - rate  # noqa: E731
    low, high = -10.0, 5.0
    checks.require(excess(low) > 0 > excess(high), "rate", rate,
                   f"in ({excess(high) + rate:.3f}, {excess(low) + rate:.3f})")
    return softmax(np.exp(brentq(excess, low, high)) * scores, 1)


def mixed_law(law, true, dependence):
    """dependence * law + (1 - dependence) * (mean of the law over the image's true class): the same transition matrix
    for each `dependence` in [0, 1], and at 0 a law that looks at the class alone."""
    lam = checks.real("dependence", dependence, 0.0, 1.0)
    return lam * law + (1 - lam) * class_means(law, true)[true]


def class_means(values, true):
    """(K, ...) mean of `values` (n, ...) over each true class; of a law, its transition matrix."""
    return np.stack([values[true == y].mean(0) for y in range(int(true.max()) + 1)])


def mistakes(law, true):
    """(n,) q_i, the chance of a wrong label."""
    return 1 - law[np.arange(len(true)), true]


def ask(law, raters, seed):
    """(raters, n) labels that `raters` people give, each drawn from the image's law by itself."""
    n = len(law)
    none = np.full(n, -1)  # draw_classes moves away from a "true" class; a law drawn whole has none
    wide = np.append(law, np.zeros((n, 1)), 1)
    return np.stack([draw_classes(wide, none, random_stream(seed, f"rater {r}"))
                     for r in range(checks.integer("raters", raters))])


def aggregate(ratings, seed):
    """(n,) the label that most raters gave; among equals one at random."""
    votes = (ratings[:, :, None] == np.arange(ratings.max() + 1)).sum(0)
    return (votes + random_stream(seed, "ties of raters").random(votes.shape)).argmax(1)


def worst(ratings, true):
    """(n,) a wrong label wherever a rater gave one: that of the last rater who erred, which is the rule of CIFAR-10N's
    file; the true label elsewhere."""
    label = np.array(true)
    for row in ratings:
        label = np.where(row != true, row, label)
    return label


def worst_law(law, true, *, raters=3):
    """(n, K) the law of `worst`: right with (1 - q)^raters, else as one mistaken rater would say (eq-worst-law)."""
    q = mistakes(law, true)[:, None]
    factor = np.divide(1 - (1 - q)**raters, q, out=np.full(q.shape, float(raters)), where=q > 0)
    result = law * factor
    result[np.arange(len(true)), true] = (1 - q[:, 0])**raters
    return result


def readable(law, true):
    """(n,) bool: whether the true class is the single most likely observed label (prop-image-law)."""
    others = law.copy()
    others[np.arange(len(true)), true] = -np.inf
    return law[np.arange(len(true)), true] > others.max(1)


def reading_share(law, true):
    """The expected share of readable images among the noisy samples: sum of q over readable images, over the sum of q
    (prop-reading-share). NaN where no label is ever wrong."""
    q = mistakes(law, true)
    return float(q[readable(law, true)].sum() / q.sum()) if q.sum() > 0 else float("nan")


def with_ratings(data, labels):
    """A copy of `data` whose observed training labels are the positions `labels` (n,); test labels stay true."""
    observed = class_labels(labels, data.n_classes)
    rates = {"kind": "raters", "realised_flip_rate": realised_rate(data.y, observed)}
    return replace(data, y_obs=observed, y_test_obs=data.y_test, noise=rates)


def loosened(data, keep, seed):
    """A copy of `data` with as many wrong training labels, which keep less of their tie to the image.

    keep : "image", all of it: labels as they are. "places": which images are wrong; the wrong labels change places
        among the wrong images of each true class. "class": all labels change places among the images of each true
        class. "rate": as many images, drawn from all, get any other class with equal chances.

    The first three have the same transition counts, to the last image. Test labels stay as they are. Raises ValueError.
    """
    checks.one_of("keep", keep, KEEPS)
    rng, k = random_stream(seed, f"control that keeps the {keep}"), data.n_classes
    true, observed = class_index(data.y, k), class_index(data.y_obs, k)
    if keep == "rate":
        chosen = rng.permutation(data.n)[: int((true != observed).sum())]
        observed = true.copy()
        observed[chosen] = (true[chosen] + rng.integers(1, k, len(chosen))) % k
    elif keep != "image":
        observed = permuted(true, observed, rng, wrong_only=keep == "places")
    rates = {"kind": keep, "realised_flip_rate": realised_rate(true, observed), "noise_seed": int(seed)}
    return replace(data, y_obs=class_labels(observed, k), noise=rates)


def permuted(true, observed, rng, *, wrong_only=False):
    """(n,) `observed`, permuted at random among the images (wrong_only: the wrong images) of each true class."""
    result, movable = observed.copy(), observed != true if wrong_only else np.ones(len(true), bool)
    for y in np.unique(true):
        members = np.flatnonzero((true == y) & movable)
        result[members] = observed[rng.permutation(members)]
    return result


def joint_mistakes(true, ratings):
    """How often three raters err together: {name: share of the images}.

    "two wrong": both of a pair of raters, "same wrong label": with the same label (each the mean over the three pairs);
    "all wrong", "all agree": the three. Raises ValueError for another number of raters.
    """
    checks.require(np.shape(ratings)[0] == 3, "ratings.shape", np.shape(ratings), "(3, n)")
    wrong, pairs = ratings != true, ((0, 1), (0, 2), (1, 2))
    both = [wrong[a] & wrong[b] for a, b in pairs]
    same = [wrong[a] & (ratings[a] == ratings[b]) for a, b in pairs]
    return {"two wrong": float(np.mean(both)), "same wrong label": float(np.mean(same)),
            "all wrong": float(wrong.all(0).mean()), "all agree": float((ratings == ratings[0]).all(0).mean())}


def shuffled_mistakes(true, ratings, draws, seed):
    """{name: (draws,)} `joint_mistakes` after each rater's labels are permuted within each true class: what raters who
    look at the class alone would give, with the same transition counts (prop-shared-mistakes)."""
    rng = random_stream(seed, "shuffled raters")
    rows = [joint_mistakes(true, np.stack([permuted(true, row, rng) for row in ratings])) for _ in range(draws)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def mistake_bounds(true, ratings, weight, event):
    """(low, high): what three raters allow to be said of sum_i weight(q_i) [event(q_i)] / sum_i weight(q_i).

    Over all distributions of q on [0, 1] whose first three moments are the measured shares of mistakes, of pairs and of
    triples of them: two linear programs on a grid. `weight` and `event` are functions of an array of q; `weight` is a
    polynomial of degree 3 at most, so that the moments fix its mean. Sampling error is not counted. Raises ValueError
    where no distribution has these moments, as may be with few images.
    """
    moments = [1.0, *(moment.mean() for moment in _moments(ratings != true))]
    constraints, cost = np.stack([Q_GRID**k for k in range(4)]), weight(Q_GRID) * event(Q_GRID)
    ends = [linprog(sign * cost, A_eq=constraints, b_eq=moments) for sign in (1, -1)]
    checks.require(all(end.success for end in ends), "ratings", moments, "shares that are moments of a law on [0, 1]")
    total = weight(Q_GRID) @ ends[0].x
    return float(ends[0].fun / total), float(-ends[1].fun / total)


def _moments(wrong):
    """(n,) each: unbiased for q, q^2, q^3 of an image that three people rated independently."""
    count = wrong.sum(0)
    return count / 3, count * (count - 1) / 6, (count == 3).astype(float)


def transition_interval(counts, *, level=0.95):
    """(K, K, 2) Clopper-Pearson intervals of the entries of the transition matrix, from its counts (K, K)."""
    return share_interval(counts, counts.sum(1)[:, None], level=level)


def competitors(matrix):
    """(K,) effective number of wrong classes: exp of the entropy of a class's wrong labels; 1 to K - 1, NaN if none."""
    wrong = np.array(matrix, float) * (1 - np.eye(len(matrix)))
    total = wrong.sum(1, keepdims=True)
    share = np.divide(wrong, total, out=np.full(wrong.shape, np.nan), where=total > 0)
    return np.exp(-np.where(share > 0, share * np.log(np.where(share > 0, share, 1)), share * 0).sum(1))
