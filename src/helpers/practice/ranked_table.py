"""The table of suspects: all training samples, those first whose observed label is most likely wrong."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from helpers import checks
from helpers.data.images import LabelledData, class_index
from helpers.entry import entry
from helpers.practice.fingerprint import fingerprint
from helpers.practice.posterior import checked_probabilities, label_posterior, pool_probabilities
from helpers.reading.scores import area_under_margin_scores
from helpers.record import Record

COLUMNS = ("sample", "file", "observed", "suggested", "score", "loss at stop", "confidence out of fold", "margin area")


@entry
def suspects(data: LabelledData, probabilities: ArrayLike | Mapping[str, ArrayLike], *, record: Record | None = None,
             network: str | None = None, stop: int | None = None) -> pd.DataFrame:
    """Rank the training samples by how likely their observed label is wrong. No true label is read.

    The score is one minus the posterior of the observed class, from all that is passed (`pool_probabilities`,
    `label_posterior`). Samples of equal score stand in the order of the data.

    Parameters
    ----------
    data
        the samples with their observed labels.
    probabilities
        class probabilities out of fold, of shape (n, K), or several such arrays by the name of the classifier
        (`helpers.training.out_of_fold`).
    record
        of one run of training on these samples.
    network
        which of the arrays is that of the record's network; the first by default.
    stop
        index into the record's times at which the loss is read. By default that of the lowest error on held-out
        observed labels, where the record has one, else the recorded time after the start at which the network agrees
        most often with the pooled classifiers: while it memorises, it comes to contradict them.

    Returns
    -------
    table
        "sample" (position in the data), "file" (None where the data has no names), names of the classes "observed" and
        "suggested" (the most probable one), "score"; then evidence: "loss at stop" and "margin area" of the record, NaN
        without one, and "confidence out of fold", the observed class's probability in `network`'s array. The attrs hold
        the `fingerprint` of the data, under "data".

    Raises
    ------
    ValueError
        If the probabilities or the record are of other samples, labels or classes than the data.
    """
    checks.instance("data", data, LabelledData)
    labels = class_index(data.y_obs, data.n_classes)
    parts = _parts(probabilities, data)
    network = next(iter(parts)) if network is None else checks.one_of("network", network, parts)
    margins = None if record is None else _margins(record, data)
    pooled = pool_probabilities(parts, labels, margins=margins, of=None if record is None else network)
    posterior = label_posterior(pooled, labels)
    score = 1 - self_confidence(posterior, labels)
    columns = {"sample": np.arange(data.n), "file": [None] * data.n if data.files is None else list(data.files),
               "observed": _names(labels, data), "suggested": _names(posterior.argmax(1), data), "score": score,
               "loss at stop": np.nan if record is None else _losses(record, parts, labels, stop, data.n_classes),
               "confidence out of fold": self_confidence(parts[network], labels),
               "margin area": np.nan if margins is None else margins}
    table = pd.DataFrame(columns, columns=COLUMNS).sort_values("score", ascending=False, kind="stable")
    table = table.reset_index(drop=True)
    table.attrs["data"] = fingerprint(data)
    return table


def self_confidence(probabilities: Float[np.ndarray, "n K"], labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The probability of each sample's observed class; a class may have no sample."""
    return probabilities[np.arange(len(labels)), labels]


def _parts(probabilities: ArrayLike | Mapping[str, ArrayLike], data: LabelledData) -> dict[str, np.ndarray]:
    given = probabilities if isinstance(probabilities, Mapping) else {"probabilities": probabilities}
    checks.require(len(given) > 0, "probabilities", given, "an array of class probabilities, or several by name")
    found = {name: checked_probabilities(name, part) for name, part in given.items()}
    for name, part in found.items():
        checks.require(part.shape == (data.n, data.n_classes), f"{name}.shape", part.shape,
                       f"({data.n}, {data.n_classes}): a row for each training sample, a column for each class")
    return found


def _margins(record: Record, data: LabelledData) -> Float[np.ndarray, " n"]:
    same = record.y_obs.shape == (1, data.n) and np.array_equal(record.y_obs[0], data.y_obs)
    checks.require(same, "record", f"<labels of shape {record.y_obs.shape}>", f"of one run on these {data.n} training "
                   "samples with the same observed labels in the same order; pass the data that was trained on, after "
                   "`hold_out`")
    return area_under_margin_scores(record)[0]


def _losses(record: Record, parts: dict[str, np.ndarray], labels: Int[np.ndarray, " n"], stop: int | None,
            n_classes: int) -> Float[np.ndarray, " n"]:
    if stop is not None:
        stop = checks.integer("stop", stop, 0, len(record.times) - 1)
    elif record.validation_observed_error is not None:
        stop = int(record.validation_observed_error[0].argmin())
    else:
        pooled = pool_probabilities(parts, labels).argmax(1)
        agreed = (class_index(record.predicted[0], n_classes) == pooled).mean(1)
        stop = int(np.where(record.times > 0, agreed, -1.0).argmax())
    return record.losses[0, stop]


def _names(positions: Int[np.ndarray, " n"], data: LabelledData) -> list:
    return [data.classes[k] for k in positions]
