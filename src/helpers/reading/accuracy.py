"""Accuracy on the training samples over a run, against the labels that it was trained on."""

import numpy as np
from jaxtyping import Float

from helpers.entry import entry
from helpers.record import Record


@entry
def observed_accuracies(record: Record) -> dict[str, Float[np.ndarray, "runs T"]]:
    """Share of the samples that are given their observed label, among "all", "clean" and "noisy" (Figure 1 b, d).

    NaN where a run has no such sample.
    """
    return {which: record.mean_over(record.fits_observed, which) for which in ("all", "clean", "noisy")}
