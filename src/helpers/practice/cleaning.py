"""Labelled data with the decisions on its suspects carried out: some samples relabelled, some left out."""

from dataclasses import replace
from numbers import Integral
from typing import TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Int64

from helpers import checks
from helpers.data.images import LabelledData, class_index, class_labels
from helpers.entry import entry
from helpers.practice.fingerprint import fingerprint
from helpers.practice.matching import MADE_OF, class_positions, matched_samples, observed_names

Labelled = TypeVar("Labelled", bound=LabelledData)
KEEP, DROP, RELABEL = DECISIONS = ("keep", "drop", "relabel")


@entry
def clean_labels(data: Labelled, table: pd.DataFrame, *, drop: int | float = 0, relabel: int | float = 0
                 ) -> tuple[Labelled, pd.DataFrame]:
    """`data` with some observed labels replaced and some samples left out, and the list of these changes.

    Parameters
    ----------
    data
        the labelled data; nothing in it is changed.
    table
        of suspects, the most suspect first (`suspects`, `find_suspects`): its first `relabel` rows get the suggested
        label, and the next `drop` rows are left out. Or of decisions, with a column `decision` of "keep", "drop" and
        "relabel" and a column `label` (`read_decisions`; the changes of an earlier call): these are carried out, and
        `drop` and `relabel` stay 0. It must have been made of these data (`matched_samples` says what is checked).
    drop, relabel
        how many: an integer, or a share of the training samples, a float below 1.

    Returns
    -------
    cleaned
        data of the same kind. Where the true labels are known, they stay; where nobody knows them, y repeats the new
        y_obs. The test set stays.
    changes
        a row for each sample that was changed, with `sample` (its position in `data`), `file`, `observed` (the old
        label), `decision`, "relabel" or "drop", `label` (the new one; "" where dropped) and `score`. A row whose new
        label is the old one changes nothing and is not listed.

    Raises
    ------
    ValueError
        If a number is out of range, the table was made of other data, or a class would be left without samples.

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.data import LabelledFeatures
    >>> from helpers.practice import clean_labels
    >>> unknown = {"kind": "unknown"}
    >>> data = LabelledFeatures("lengths", ("short", "long"), [[1], [9], [2], [8]], [-1, -1, -1, 1], noise=unknown)
    >>> table = pd.DataFrame({"sample": [1, 2], "observed": ["short", "short"], "suggested": ["long", "long"]})
    >>> cleaned, changes = clean_labels(data, table, relabel=1, drop=1)
    >>> cleaned.y_obs.tolist()
    [-1.0, 1.0, 1.0]
    >>> changes[["sample", "observed", "decision", "label"]].values.tolist()
    [[1, 'short', 'relabel', 'long'], [2, 'short', 'drop', '']]
    """
    table = _decided(data, table, drop, relabel)
    samples = matched_samples(table, data, columns=("decision", "label"))
    for row, decision in enumerate(table["decision"]):
        checks.one_of(f"table['decision'], row {row}", decision, DECISIONS)
    dropped, new = (np.array(table["decision"] == one, bool) for one in (DROP, RELABEL))
    index = class_index(data.y_obs, data.n_classes)
    labels = index.copy()
    labels[samples[new]] = class_positions("table['label']", table["label"][new], data)
    kept = ~np.isin(np.arange(data.n), samples[dropped])
    _check_classes(data, index, labels[kept])
    y_obs = class_labels(labels, data.n_classes)
    cleaned = replace(data, y_obs=y_obs, y=data.y if data.truth_known else y_obs).keep(kept)
    changed = dropped | (new & (labels[samples] != index[samples]))
    return cleaned, _changes(data, table[changed], samples[changed], labels)


def _decided(data: LabelledData, table: pd.DataFrame, drop: int | float, relabel: int | float) -> pd.DataFrame:
    """The table of decisions: `table` itself, or the first rows of a ranked one."""
    checks.instance("data", data, LabelledData)
    checks.instance("table", table, pd.DataFrame)
    relabel, drop = (_count(name, value, data.n) for name, value in (("relabel", relabel), ("drop", drop)))
    if "decision" in table.columns:
        checks.require(drop == relabel == 0, "drop, relabel", (drop, relabel), "0 where the table holds decisions")
        return table
    checks.require("suggested" in table.columns, "table.columns", list(table.columns), "with `suggested` or `decision`")
    checks.require(relabel + drop <= len(table), "relabel + drop", relabel + drop, f"at most {len(table)}, the rows of "
                   "the table")
    if "score" in table.columns:
        scores = table["score"].to_numpy(float)
        checks.require(not (np.diff(scores) > 0).any(), "table['score']", scores[:3].tolist(), "falling, the most "
                       "suspect first: table.sort_values('score', ascending=False)")
    table = table[:relabel + drop]
    decision = [RELABEL] * relabel + [DROP] * drop
    return table.assign(decision=decision, label=table["suggested"])


def _count(name: str, value: int | float, n: int) -> int:
    """A number of samples: an integer as it is, a share of `n` of them rounded."""
    if isinstance(value, Integral) or isinstance(value, bool):
        return checks.integer(name, value, 0, n)
    try:
        return round(checks.real(name, value, 0.0, 1.0, open_high=True) * n)
    except ValueError as error:
        raise ValueError(f"{name}={value!r}: must be an integer from 0 to {n}, or a share below 1 of them") from error


def _check_classes(data: LabelledData, before: Int64[np.ndarray, " n"], after: Int64[np.ndarray, " kept"]) -> None:
    counts = (np.bincount(index, minlength=data.n_classes) for index in (before, after))
    lost = [str(name) for name, old, new in zip(data.classes, *counts) if old and not new]
    checks.require(not lost, "table", f"<no sample is left of the class {', '.join(lost)}>",
                   "changes that leave samples of each class: drop or relabel fewer, or decide by hand which are right")


def _changes(data: LabelledData, table: pd.DataFrame, samples: Int64[np.ndarray, " rows"],
             labels: Int64[np.ndarray, " n"]) -> pd.DataFrame:
    names = [str(data.classes[k]) for k in labels[samples]]
    changes = pd.DataFrame({
        "sample": samples,
        "file": [None if data.files is None else data.files[i] for i in samples],
        "observed": observed_names(data, samples),
        "decision": list(table["decision"]),
        "label": ["" if decision == DROP else name for decision, name in zip(table["decision"], names)],
        "score": table["score"].to_numpy() if "score" in table.columns else np.nan})
    changes.attrs[MADE_OF] = fingerprint(data)
    return changes
