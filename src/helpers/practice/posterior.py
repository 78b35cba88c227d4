r"""Which class each sample is of, from several classifiers and the observed labels: a posterior over the true classes.

The model. Sample i is of class k with probability q_i(k), which its x alone decides, and a sample of class k is
observed as j with probability T_kj, whatever else is known of it. So the observed label y_i has the probability

    sum_k q_i(k) T[k, y_i],

and given the observed label the sample is of class k with probability

    r_i(k) = q_i(k) T[k, y_i] / sum_l q_i(l) T[l, y_i].

The label is wrong with probability 1 - r_i(y_i). For q we take a pool of classifiers s that have not learnt sample i,
q_i(k) proportional to prod_s p_si(k)^{w_s} with w_s >= 0. The powers recalibrate: a network that is stopped early is
too hesitant, and neighbours vote with the wrong labels among them, so that both powers exceed 1 as a rule. Powers and T
are chosen together, for the likelihood of the observed labels, by expectation-maximisation (Dempster, Laird and Rubin
1977): the E-step is r, the M-step for T counts r, that for w is a convex problem (multinomial regression of r). Both
have a weak prior: T that of symmetric noise, w a penalty on its square, without which it would grow for ever where the
classes can be told apart.

What is assumed, and where it fails:

- q is what the pool says of the *true* class. That is Stage I: a rule that has learnt signal but not yet the wrong
  labels contradicts them. A rule that repeats them, having memorised, has q_i(y_i) near 1, and finds nothing.
- T is the same for all samples of a class. Where mistakes depend on the sample the ranking still reads q, but the
  posterior trusts labels that look alike too much or too little.
- Powers and T can be told apart. Near 1/2 they cannot be for pair flips, or others that follow a pattern: "60% class 3,
  40% class 4" may be how sure the pool is, with no wrong label, or a certain 3 under T = (0.6, 0.4). The estimated
  share of wrong labels is then far too low (the recording "own_data": by 38 points for pair flips of 0.4, by 23 for
  those that depend on the image), and few scores exceed 1/2, while the order of the samples stays useful.
- A pool that cannot tell the classes apart makes every label doubtful; the estimated share is then far too high.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from helpers import checks
from helpers.entry import entry

FLOOR = 1e-3  # share of a uniform law in each classifier's probabilities: none may forbid a class
START_RATE, START_POWER = 0.3, 3.0  # flip rate, and sum of the powers, from which the iterations begin
PENALTY = 1.0  # on half the sum of the squared powers, which would grow for ever where classes are told apart
SMOOTHING = 2.0  # prior counts for each entry of T, laid out as symmetric noise
STEPS, TOLERANCE = 80, 2e-5  # most iterations; they end when the mean log likelihood gains less
Parts = Mapping[str, ArrayLike] | Sequence[ArrayLike]


class LabelPool(NamedTuple):
    """What `fit_label_pool` chose.

    Attributes
    ----------
    powers
        one for each classifier.
    transition
        T, from the true class (row) to the observed one (column).
    """

    powers: Float[np.ndarray, " S"]
    transition: Float[np.ndarray, "K K"]


@entry
def fit_label_pool(parts: Parts, labels: ArrayLike, *, smoothing: float = SMOOTHING) -> LabelPool:
    """Powers of the classifiers and the transition matrix, by the likelihood of the observed labels.

    Parameters
    ----------
    parts
        class probabilities of shape (n, K), one array for each classifier, none of which has learnt from the sample
        that it speaks of (`helpers.training.out_of_fold`).
    labels
        positions 0 to K - 1 of the observed classes (`helpers.data.class_index`).
    smoothing
        prior counts for each entry of T: the row of a rare class is drawn to symmetric noise.
    """
    logs, labels = _logs(parts, labels)
    smoothing = checks.real("smoothing", smoothing, 0.0)
    powers = np.full(len(logs), START_POWER / len(logs))
    transition, before = _symmetric(START_RATE, logs.shape[2]), -np.inf
    for step in range(STEPS):
        posterior, likelihood = _posterior(_pooled(logs, powers), transition, labels)
        transition = _counted(posterior, labels, smoothing)
        powers = _regressed(logs, posterior, powers)
        if likelihood - before < TOLERANCE and step > 5:
            break
        before = likelihood
    return LabelPool(powers, transition)


@entry
def pool_probabilities(parts: Parts, labels: ArrayLike, *, margins: ArrayLike | None = None,
                       of: str | int | None = None, smoothing: float = SMOOTHING) -> Float[np.ndarray, "n K"]:
    """Class probabilities of several classifiers in one, the weighted geometric mean q of this module's model.

    Parameters
    ----------
    parts
        as of `fit_label_pool`: out of fold.
    labels
        positions of the observed classes.
    margins
        of one of the classifiers, trained on all samples, the log-odds of each sample's observed label, as a mean over
        the epochs (`helpers.reading.area_under_margin_scores`). That classifier has seen the labels, so that no
        likelihood of them could weigh what it says: it takes the power that it has out of fold. It says how far to
        believe the observed label; between the other classes the pool decides.
    of
        of which part: its name, or position in a sequence; the first one by default.
    smoothing
        as of `fit_label_pool`.

    Raises
    ------
    ValueError
        If arrays do not fit together, probabilities are not rows that sum to 1, or a label is of no class.

    Examples
    --------
    Two classifiers of twenty samples; one of the first class is observed as the second:

    >>> import numpy as np
    >>> from helpers.practice import label_posterior, pool_probabilities
    >>> labels = np.repeat([0, 1], 10)
    >>> one, other = np.eye(2)[labels] * 0.8 + 0.1, np.eye(2)[labels] * 0.4 + 0.3
    >>> labels[3] = 1
    >>> posterior = label_posterior(pool_probabilities([one, other], labels), labels)
    >>> np.flatnonzero(posterior.argmax(1) != labels).tolist()
    [3]
    """
    logs, labels = _logs(parts, labels)
    powers = fit_label_pool(parts, labels, smoothing=smoothing).powers
    pooled = _pooled(logs, powers)
    if margins is None:
        checks.require(of is None, "of", of, "None where no margins are given")
        return np.exp(pooled)
    names = list(parts) if isinstance(parts, Mapping) else list(range(len(parts)))
    power = powers[names.index(checks.one_of("of", names[0] if of is None else of, names))]
    seen = _from_margins(checks.vectors("margins", margins, len(labels)).numpy(), np.exp(pooled), labels)
    return np.exp(_pooled(np.array([pooled, seen]), np.array([1.0, power])))


def _from_margins(margins: Float[np.ndarray, " n"], pooled: Float[np.ndarray, "n K"],
                  labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n K"]:
    """Log probabilities: the observed class has the log-odds `margins`, the others share the rest as the pool does."""
    rows, confidence = np.arange(len(labels)), expit(margins)
    others = np.maximum(pooled, 1e-300)
    others[rows, labels] = 0.0
    found = (1 - confidence)[:, None] * others / others.sum(1, keepdims=True)
    found[rows, labels] = confidence
    return np.log((1 - FLOOR) * found + FLOOR / found.shape[1])


@entry
def label_posterior(probabilities: ArrayLike, labels: ArrayLike, *,
                    smoothing: float = SMOOTHING) -> Float[np.ndarray, "n K"]:
    """The probability of each true class, given the observed label too: r of this module's model.

    One minus its entry for the observed class is the chance that the label is wrong; its largest entry is the class to
    suggest.

    Parameters
    ----------
    probabilities
        of shape (n, K): what is known of the true class without the sample's own label, as `pool_probabilities` gives
        without `margins`; with them it has seen the label, and the result is a ranking more than a probability.
        Probabilities of a single classifier go through that function first, which recalibrates them.
    labels
        positions of the observed classes.
    smoothing
        as of `fit_label_pool`.
    """
    logs, labels = _logs({"probabilities": probabilities}, labels, floor=0.0)
    smoothing = checks.real("smoothing", smoothing, 0.0)
    transition, before = _symmetric(START_RATE, logs.shape[2]), -np.inf
    for _ in range(STEPS):
        posterior, likelihood = _posterior(logs[0], transition, labels)
        if likelihood - before < TOLERANCE:
            break
        transition, before = _counted(posterior, labels, smoothing), likelihood
    return posterior


def checked_probabilities(argument: str, value: ArrayLike) -> Float[np.ndarray, "n K"]:
    """`value` as class probabilities: at least two columns, no entry below 0, rows that sum to 1."""
    p = checks.vectors(argument, value, None, None).numpy()
    sums = p.sum(1)
    valid = p.shape[1] >= 2 and len(p) > 0 and p.min() >= 0 and np.abs(sums - 1).max() < 1e-3
    checks.require(bool(valid), argument, f"<shape {p.shape}>", "of shape (n, K), K >= 2, with entries >= 0 in rows "
                   "that sum to 1")
    return p / sums[:, None]


def checked_positions(labels: ArrayLike, n: int, n_classes: int) -> Int[np.ndarray, " n"]:
    """`labels` as positions 0 to n_classes - 1, one for each of n samples."""
    labels = np.asarray(labels)
    checks.require(labels.shape == (n,) and labels.dtype.kind in "iu", "labels", labels, f"{n} whole numbers, one for "
                   "each row of the probabilities (helpers.data.class_index)")
    strangers = np.setdiff1d(labels, np.arange(n_classes)).tolist()
    checks.require(not strangers, "labels", strangers[:5], f"positions from 0 to {n_classes - 1}")
    return labels.astype(np.int64)


def _logs(parts: Parts, labels: ArrayLike, *, floor: float = FLOOR
          ) -> tuple[Float[np.ndarray, "S n K"], Int[np.ndarray, " n"]]:
    """Logarithms of all parts, with a little of the uniform law in each, and the checked labels."""
    given = parts if isinstance(parts, Mapping) else {f"parts[{i}]": part for i, part in enumerate(parts)}
    checks.require(len(given) > 0, "parts", parts, "one array of class probabilities or more")
    found = {name: checked_probabilities(name, part) for name, part in given.items()}
    shapes = {name: part.shape for name, part in found.items()}
    checks.require(len(set(shapes.values())) == 1, "parts", shapes, "arrays of one shape (n, K)")
    stack = np.array(list(found.values()))
    smoothed = (1 - floor) * stack + floor / stack.shape[2]
    return np.log(np.maximum(smoothed, 1e-300)), checked_positions(labels, *stack.shape[1:])


def _symmetric(rate: float, k: int) -> Float[np.ndarray, "K K"]:
    return (1 - rate) * np.eye(k) + rate / (k - 1) * (1 - np.eye(k))


def _pooled(logs: Float[np.ndarray, "S n K"], powers: Float[np.ndarray, " S"]) -> Float[np.ndarray, "n K"]:
    """log q."""
    raw = np.tensordot(powers, logs, 1)
    return raw - logsumexp(raw, axis=1, keepdims=True)


def _posterior(log_q: Float[np.ndarray, "n K"], transition: Float[np.ndarray, "K K"], labels: Int[np.ndarray, " n"]
               ) -> tuple[Float[np.ndarray, "n K"], float]:
    """r, and the mean log likelihood of the observed labels."""
    joint = log_q + np.log(np.maximum(transition[:, labels].T, 1e-300))
    total = logsumexp(joint, axis=1, keepdims=True)
    return np.exp(joint - total), float(total.mean())


def _counted(posterior: Float[np.ndarray, "n K"], labels: Int[np.ndarray, " n"],
             smoothing: float) -> Float[np.ndarray, "K K"]:
    """The M-step for T: counts of r, and prior counts that are laid out as symmetric noise of the same rate."""
    n, k = posterior.shape
    counts = np.zeros((k, k))
    np.add.at(counts.T, labels, posterior)
    rate = (n - np.trace(counts) + 1) / (n + 2)
    counts += (smoothing + 1e-9) * k * _symmetric(rate, k)  # a class that nothing is of has the prior's row
    return counts / counts.sum(1, keepdims=True)


def _regressed(logs: Float[np.ndarray, "S n K"], posterior: Float[np.ndarray, "n K"],
               start: Float[np.ndarray, " S"]) -> Float[np.ndarray, " S"]:
    """The M-step for the powers: a few steps toward the least mean cross-entropy of r against q, which is convex."""
    n = len(posterior)

    def cross_entropy(powers):
        log_q = _pooled(logs, powers)
        value = PENALTY / 2 * (powers**2).sum() - (posterior * log_q).sum()
        return value / n, (PENALTY * powers + np.tensordot(logs, np.exp(log_q) - posterior, 2)) / n

    return minimize(cross_entropy, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(start),
                    options={"maxiter": 10}).x
