"""One table to decide by (chapter 19): what each rule has to know, what it costs, and what it did in the recorded runs.

Every number is computed here from the recorded tables. What a rule was not run on is said, not left empty.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float

from helpers.entry import entry
from helpers.experiments.own_data import AREA, CLEANLAB, COMBINED, FOREST, LOSS, NEIGHBOURS, NETWORK
from helpers.intervals import t_interval
from helpers.reading.comparison import BLIND, NEVER, STOPPED, blind

NOT_RUN = "not run"
DIGITS, TABLES, PEOPLE = "digits", "wine and breast cancer", "CIFAR-10N"
MNIST, CIFAR, PAIR = "MNIST", "CIFAR-10", "two classes of CIFAR-10"
SETS = (DIGITS, TABLES, PEOPLE, MNIST, CIFAR, PAIR)
WHAT, WHICH = "what to do", "which labels"
CLEAN_VALIDATION, PLATEAU = "stopped by clean validation", "stopped at the plateau"
NOTHING, FOLDS, AGAIN = "nothing", "nothing; 5 more trainings", "nothing; 6 more trainings"
TENTH, NONE = "a tenth or so, as they are", "none"
# question, rule (as the recorded tables call it): what it must know, labels that it reads beside, function
NEEDS = {
    (WHAT, STOPPED): (NOTHING, TENTH, "stop_by_noisy_validation"),
    (WHAT, BLIND): ("runs on like data", NONE, "blind"),
    (WHAT, CLEAN_VALIDATION): (NOTHING, "a tenth or so, checked", "stop_by_clean_validation"),
    (WHAT, PLATEAU): ("the flip rate", NONE, "stop_at_plateau"),
    (WHAT, NEVER): (NOTHING, NONE, "never"),
    (WHAT, "combined dropped"): (AGAIN, TENTH, "clean_labels(drop=)"),
    (WHAT, "combined dropped, cautious"): (AGAIN, TENTH, "cautious_count"),
    (WHAT, "combined relabelled"): (AGAIN, TENTH, "clean_labels(relabel=)"),
    (WHAT, "cleanlab dropped"): (AGAIN, TENTH, "cleanlab.filter"),
    (WHICH, LOSS): (NOTHING, TENTH, "Record.losses"),
    (WHICH, AREA): (NOTHING, NONE, "area_under_margin_scores"),
    (WHICH, NETWORK): (FOLDS, NONE, "out_of_fold"),
    (WHICH, NEIGHBOURS): (NOTHING, NONE, "out_of_fold"),
    (WHICH, FOREST): (NOTHING, NONE, "out_of_fold"),
    (WHICH, CLEANLAB): (FOLDS, NONE, "cleanlab.rank"),
    (WHICH, COMBINED): (FOLDS, TENTH, "suspects")}
NAMES = {"trained to the end": NEVER}  # what `own_data` calls otherwise


@entry
def decision_table(own: pd.DataFrame, human: pd.DataFrame, losses: pd.DataFrame, deep: pd.DataFrame) -> pd.DataFrame:
    """What each rule needs, and what it did on each data set of the book, mean ± half a 95% interval over seeds.

    Under "what to do": test error in percentage points minus that of the network that was stopped by noisy validation
    and not retrained; below 0 is better. Under "which labels": the area under the ROC curve of the wrong labels, in
    per cent. Settings of one data set (flip rates, kinds of noise, networks) are averaged for each seed first.
    Differences are paired: the same data, weights and batches with and without the rule.

    Parameters
    ----------
    own, human, losses, deep
        the recorded tables own_data, own_human, loss_distributions and deep_networks (`helpers.sweeps.load_table`).

    Returns
    -------
    table
        A row per rule, under the question that it answers: what it "must know" beside the observed labels, the "labels"
        that it reads beside the training set, a column per data set, and the "function". `NOT_RUN` where it was not
        run.
    """
    found = {(*key, name): text for key, name, text in [*_own(own, human), *_losses(losses), *_deep(deep)]}
    rows = [{"must know": know, "labels": labels, **{name: found.get((*key, name), NOT_RUN) for name in SETS},
             "function": function} for key, (know, labels, function) in NEEDS.items()]
    return pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(NEEDS, names=["question", "rule"]))


def _text(values: pd.Series, *, sign: bool) -> str:
    """Mean ± half an interval of numbers by seed, from shares to points."""
    mean, half = t_interval(100 * values.to_numpy())
    return f"{mean:+.1f} ± {half:.1f}" if sign else f"{mean:.1f} ± {half:.1f}"


def _own(own: pd.DataFrame, human: pd.DataFrame) -> Iterator[tuple]:
    digits = own.dataset.str.startswith(DIGITS)
    for name, rows in ((DIGITS, own[digits]), (TABLES, own[~digits]), (PEOPLE, human)):
        errors = _by_seed(rows[rows.part == "cleaning"], "error")
        for method in errors.columns.drop(STOPPED):
            yield (WHAT, NAMES.get(method, method)), name, _text(errors[method] - errors[STOPPED], sign=True)
        yield (WHAT, STOPPED), name, "0, by definition"
        ranks = _by_seed(rows[rows.part == "ranking"], "auc")
        for method in ranks.columns:
            yield (WHICH, method), name, _text(ranks[method], sign=False)


def _by_seed(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """Means over the settings: a row per seed, a column per method."""
    return rows.pivot_table(index="seed", columns="method", values=value, aggfunc="mean")


def _losses(table: pd.DataFrame) -> Iterator[tuple]:
    for name in (MNIST, CIFAR):
        parts = [_of_curves(rows, "accuracy", "validation_noisy", "auc")
                 for _, rows in table[table.dataset == name].groupby(["kind", "rate"])]
        means = sum(parts) / len(parts)
        for rule in (BLIND, NEVER):
            yield (WHAT, rule), name, _text(means[STOPPED] - means[rule], sign=True)
        yield (WHAT, STOPPED), name, "0, by definition"
        yield (WHICH, LOSS), name, _text(means["auc"], sign=False)


def _of_curves(rows: pd.DataFrame, accuracy: str, validation: str, auc: str) -> pd.DataFrame:
    """Accuracy where each rule stops, and the AUC of the loss at the stop: a row per seed."""
    curves: dict[str, Float[np.ndarray, "seeds T"]] = {
        column: rows.pivot(index="seed", columns="epoch", values=column).to_numpy()
        for column in (accuracy, validation, auc)}
    at: Callable = lambda values, when: values[np.arange(len(values)), when]  # noqa: E731
    stop = curves[validation].argmax(1)
    return pd.DataFrame({STOPPED: at(curves[accuracy], stop), NEVER: curves[accuracy][:, -1],
                         BLIND: at(curves[accuracy], blind(1 - curves[accuracy])), "auc": at(curves[auc], stop)})


def _deep(table: pd.DataFrame) -> Iterator[tuple]:
    parts = []
    for _, rows in table[table.flip_rate > 0].groupby(["network", "flip_rate"]):
        curve = rows.pivot(index="seed", columns="epoch", values="test").to_numpy()
        one = rows.groupby("seed").first().reset_index(drop=True)
        parts.append(pd.DataFrame({
            STOPPED: one.noisy_validation_test, CLEAN_VALIDATION: one.clean_validation_test, PLATEAU: one.plateau_test,
            NEVER: one["last"], BLIND: curve[np.arange(len(curve)), blind(1 - curve)]}))
    means = sum(parts) / len(parts)
    for rule in (BLIND, CLEAN_VALIDATION, PLATEAU, NEVER):
        yield (WHAT, rule), PAIR, _text(means[STOPPED] - means[rule], sign=True)
    yield (WHAT, STOPPED), PAIR, "0, by definition"
