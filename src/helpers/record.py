"""What a run leaves behind: one Record for the signal-noise world and for images.

Everything downstream (selection, stopping, plots, verdicts) reads a Record and never asks which world it came from.
"""

import io
import json
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields
from os import PathLike
from typing import get_args

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Real
from numpy.typing import ArrayLike
from scipy.special import expit

from helpers import checks
from helpers.entry import entry
from helpers.files import write_atomically
from helpers.intervals import share_interval

FORMAT = "signal-first record 1"
UNKNOWN_KIND = "unknown"  # the kind of noise of data whose true labels nobody knows
KNOWN_TRUTH = "one of which the true labels are known: nobody knows here which observed labels are wrong"
TEST_ERRORS = ("fresh", "reused", "observed", "validation", "validation_observed")


class RecordFileError(ValueError):
    """A file that is not a whole, readable record."""


@dataclass(frozen=True, eq=False)
class Record:
    """Training of one or more runs, seen at T recorded times on the same number n of training samples.

    The types of the fields say which axes an array has. An axis has one size in all arrays of a record, which is
    checked when the record is made; anything array-like is taken and kept as an array. An array that was not measured
    is None.

    Attributes
    ----------
    times
        gradient steps (signal-noise world) or epochs (images), strictly increasing.
    y, y_obs
        true and observed labels. Two-class records use -1 and +1.
    margins
        of two classes y_obs * f; of several, the observed label's logit minus the log-sum-exp of the others. Either way
        the sample's cross-entropy is log(1 + exp(-margin)).
    predictions
        predicted labels; None where the margins tell them, as they do for two classes (see `predicted`).
    logged_fits
        1 where the last forward pass of training before this time, made in training mode, gave the sample its observed
        label, else 0; NaN before training.
    fresh_error, reused_error, observed_error
        share of wrong test predictions: with new noise and true labels; with noise patches of the training set and true
        labels; with new noise and freshly flipped labels.
    validation_error, validation_observed_error
        the same as fresh_error and observed_error, on a validation set that shares no draw with the test set.
    noise_mean, noise_scale
        mean of f on a fresh noise patch, and sigma times a bound on its Lipschitz constant in the patch
        (prop-fresh-error).
    signal_response
        f on the signal patch alone, for y = +1 and y = -1.
    gamma
        signal coefficients, index 0 for j = +1.
    rho, rho_max
        mean and largest over filters r of rho_{j,r,i} with j = y_obs_i.
    rho_cross, rho_cross_min
        mean and smallest of those with j = -y_obs_i.
    active
        share of the filters with j = y_obs_i that are active on xi_i.
    gamma_final, rho_final
        every coefficient at the last time.
    test_sizes
        how many test draws stand behind each test error, by name; 0 says that the rate is exact.
    runs
        one dict per run: its seed and configuration.
    config
        what the runs share: engine, dtype, device, versions, wall time.

    Raises
    ------
    ValueError
        If arrays do not fit together, times do not increase or margins are not finite.

    Examples
    --------
    >>> from helpers import Record
    >>> record = Record(times=[0, 10], y=[[1, 1, -1]], y_obs=[[1, -1, -1]], margins=[[[0.1, -0.1, 0.1], [2, -1, 3]]])
    >>> record
    Record(1 runs, 2 times from 0 to 10, 3 samples: times, y, y_obs, margins)
    >>> record.fits_true[0, -1].tolist()
    [True, True, True]
    >>> record.mean_over(record.losses, "noisy").round(2).tolist()
    [[0.74, 1.31]]
    """

    times: Int[np.ndarray, " T"]
    y: Real[np.ndarray, "runs n"]
    y_obs: Real[np.ndarray, "runs n"]
    margins: Float[np.ndarray, "runs T n"]
    predictions: Real[np.ndarray, "runs T n"] | None = None
    logged_fits: Float[np.ndarray, "runs T n"] | None = None
    fresh_error: Float[np.ndarray, "runs T"] | None = None
    reused_error: Float[np.ndarray, "runs T"] | None = None
    observed_error: Float[np.ndarray, "runs T"] | None = None
    validation_error: Float[np.ndarray, "runs T"] | None = None
    validation_observed_error: Float[np.ndarray, "runs T"] | None = None
    noise_mean: Float[np.ndarray, "runs T"] | None = None
    noise_scale: Float[np.ndarray, "runs T"] | None = None
    test_sizes: dict[str, int] = field(default_factory=dict)
    signal_response: Float[np.ndarray, "runs T 2"] | None = None
    gamma: Float[np.ndarray, "runs T 2 m"] | None = None
    rho: Float[np.ndarray, "runs T n"] | None = None
    rho_max: Float[np.ndarray, "runs T n"] | None = None
    rho_cross: Float[np.ndarray, "runs T n"] | None = None
    rho_cross_min: Float[np.ndarray, "runs T n"] | None = None
    active: Float[np.ndarray, "runs T n"] | None = None
    gamma_final: Float[np.ndarray, "runs 2 m"] | None = None
    rho_final: Float[np.ndarray, "runs 2 m n"] | None = None
    runs: list[dict] = field(default_factory=list)
    config: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        required = {f.name for f in fields(self) if f.default is MISSING and f.default_factory is MISSING}
        sizes = {"2": 2}
        for name, axes in SHAPES.items():
            if getattr(self, name) is None and name not in required:
                continue
            array = np.asarray(getattr(self, name))
            checks.require(array.dtype.kind in "biuf", f"{name}.dtype", array.dtype, "boolean, integer or real")
            fits = array.ndim == len(axes.split())
            fits = fits and all(sizes.setdefault(axis, size) == size for axis, size in zip(axes.split(), array.shape))
            checks.require(fits, f"{name}.shape", array.shape, f"({', '.join(axes.split())}) with {sizes}")
            object.__setattr__(self, name, array)
        checks.require(isinstance(self.runs, (list, tuple)), "runs", self.runs, "a list of dicts, one per run")
        if not self.runs:
            object.__setattr__(self, "runs", [{} for _ in self.y])
        checks.require(len(self.runs) == len(self.y), "len(runs)", len(self.runs), f"{len(self.y)}, one per run")
        checks.require(bool(np.all(np.diff(self.times) > 0)), "times", self.times, "strictly increasing")
        checks.require(bool(np.all(np.isfinite(self.margins))), "margins", "<non-finite>", "finite")
        self._check_values()

    def _check_values(self) -> None:
        """Labels are labels, rates shares, and sizes counts."""
        finite = self.times.size > 0 and np.isfinite(self.times).all() and self.times[0] >= 0
        checks.require(finite, "times", self.times, "0 or more, and finite")
        for name in ("y", "y_obs"):
            labels = getattr(self, name)
            allowed = (labels == np.floor(labels)) & np.isfinite(labels) & (labels >= 0)
            checks.require(bool(np.all(np.abs(labels) == 1) or allowed.all()), name, labels,
                           "labels: -1 and +1 or, of several classes, whole numbers from 0 on")
        for which in TEST_ERRORS:
            rate = getattr(self, f"{which}_error")
            checks.require(rate is None or bool(np.all((rate >= 0) & (rate <= 1) | np.isnan(rate))), f"{which}_error",
                           rate, "shares in [0, 1]")
        for name, size in checks.instance("test_sizes", self.test_sizes, dict).items():
            checks.one_of("test_sizes", name, TEST_ERRORS)
            checks.integer(f"test_sizes[{name!r}]", size, 0)
        checks.instance("config", self.config, dict)
        for run in self.runs:
            checks.instance("runs", run, dict)

    def __repr__(self) -> str:
        runs, steps, n = self.margins.shape
        when = f"{steps} times from {self.times[0]} to {self.times[-1]}"
        return f"Record({runs} runs, {when}, {n} samples: {', '.join(self._arrays())})"

    @property
    def flipped(self) -> Bool[np.ndarray, "runs n"]:
        """Samples whose observed label is not the true one. ValueError where nobody knows the true ones."""
        self._require_truth()
        return self.y != self.y_obs

    @property
    def _truth_known(self) -> bool:
        return all(run.get("kind") != UNKNOWN_KIND for run in self.runs)

    def _require_truth(self) -> None:
        checks.require(self._truth_known, "noise kind", UNKNOWN_KIND, KNOWN_TRUTH)

    @property
    def losses(self) -> Float[np.ndarray, "runs T n"]:
        """Cross-entropy of each sample against its observed label."""
        return np.logaddexp(0.0, -self.margins)

    @property
    def loss_derivatives(self) -> Float[np.ndarray, "runs T n"]:
        """Derivative of the logistic loss in the margin, l' = -1 / (1 + exp(margin))."""
        return -expit(-self.margins)

    @property
    def predicted(self) -> Real[np.ndarray, "runs T n"]:
        """Predicted labels: those recorded or, of two classes, those that the margins tell."""
        if self.predictions is not None:
            return self.predictions
        return np.where(self.margins > 0, self.y_obs[:, None], -self.y_obs[:, None])

    @property
    def fits_observed(self) -> Bool[np.ndarray, "runs T n"]:
        """Whether a sample is predicted as its observed label."""
        return self.predicted == self.y_obs[:, None]

    @property
    def fits_true(self) -> Bool[np.ndarray, "runs T n"]:
        """Whether a sample is predicted as its true label. ValueError where nobody knows it."""
        self._require_truth()
        return self.predicted == self.y[:, None]

    @entry(gaps=("values",), own=("which",))
    def mean_over(self, values: ArrayLike, which: str = "all") -> Float[np.ndarray, "runs T"]:
        """Mean of a quantity over "all", "clean" or "noisy" samples.

        Parameters
        ----------
        values
            a number per run, time and sample, such as `losses`.
        which
            the samples: "all", "clean" (observed label true) or "noisy".

        Returns
        -------
        mean
            NaN where a run has no such sample.
        """
        checks.one_of("which", which, ("all", "clean", "noisy"))
        shape = np.shape(values)
        checks.require(shape == self.margins.shape, "values.shape", shape, str(self.margins.shape))
        chosen = np.ones_like(self.y, bool) if which == "all" else self.flipped == (which == "noisy")
        total = np.einsum("rtn,rn->rt", np.asarray(values, float), chosen.astype(float))
        counts = chosen.sum(1)[:, None].astype(float)
        return np.divide(total, counts, out=np.full(total.shape, np.nan), where=counts > 0)

    @entry(own=("which", "level"))
    def interval(self, which: str, level: float = 0.95) -> Float[np.ndarray, "runs T 2"]:
        """Clopper-Pearson interval of a test error.

        It covers the finite number of test draws of a run, not the spread between runs. An exact rate is its own
        interval.

        Parameters
        ----------
        which
            "fresh", "reused", "observed", "validation" or "validation_observed".
        level
            probability that such an interval holds the error.

        Raises
        ------
        ValueError
            If the record has no such test error.
        """
        checks.one_of("which", which, TEST_ERRORS)
        level = checks.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
        rate = getattr(self, f"{which}_error")
        if rate is None:
            raise ValueError(f"which={which!r}: this record has no such test error")
        size = self.test_sizes.get(which, 0)
        if size == 0:
            return np.stack([rate, rate], -1)
        return share_interval(np.rint(rate * size), size, level=level)

    @entry(own=("per",))
    def to_frame(self, per: str = "run") -> pd.DataFrame:
        """Tidy data: one row per run and time (per="run"), or per run, time and sample (per="sample").

        Where nobody knows the true labels of the training set, columns that need them are left out.
        """
        checks.one_of("per", per, ("run", "sample"))
        count, steps, n = self.margins.shape
        samples = 1 if per == "run" else n
        frame = pd.DataFrame({"run": np.repeat(np.arange(count), steps * samples),
                              "time": np.tile(np.repeat(self.times, samples), count)})
        columns = self._run_columns() if per == "run" else self._sample_columns()
        for name, values in columns.items():
            frame[name] = np.asarray(values).ravel()
        return frame.merge(pd.DataFrame(self.runs).rename_axis("run").reset_index(), on="run")

    def _run_columns(self) -> dict[str, np.ndarray]:
        columns = {}
        for which in ("all", "clean", "noisy") if self._truth_known else ("all",):
            columns[f"loss_{which}"] = self.mean_over(self.losses, which)
            columns[f"accuracy_{which}"] = self.mean_over(self.fits_observed, which)
            if self._truth_known:
                columns[f"true_accuracy_{which}"] = self.mean_over(self.fits_true, which)
            if self.rho is not None:
                columns[f"rho_{which}"] = self.mean_over(self.rho, which)
        if self.gamma is not None:
            columns["gamma"] = self.gamma.mean((-2, -1))
        for which in TEST_ERRORS:
            if getattr(self, f"{which}_error") is not None:
                columns[f"{which}_error"] = getattr(self, f"{which}_error")
                columns[f"{which}_low"], columns[f"{which}_high"] = np.moveaxis(self.interval(which), -1, 0)
        return columns

    def _sample_columns(self) -> dict[str, np.ndarray]:
        whole = self.margins.shape
        spread = lambda values: np.broadcast_to(np.asarray(values)[:, None], whole)  # noqa: E731
        columns = {"sample": np.broadcast_to(np.arange(whole[2]), whole), "y_obs": spread(self.y_obs),
                   "margin": self.margins, "loss": self.losses, "fits_observed": self.fits_observed}
        if self._truth_known:
            columns |= {"y": spread(self.y), "flipped": spread(self.flipped), "fits_true": self.fits_true}
        return columns | ({} if self.rho is None else {"rho": self.rho})

    @entry
    def select(self, **conditions: object) -> "Record":
        """The Record of those runs whose configuration has the given values, e.g. select(n_snr2=8.0, seed=0)."""
        chosen = [i for i, run in enumerate(self.runs) if all(run.get(k) == v for k, v in conditions.items())]
        checks.require(bool(chosen), "conditions", conditions, "met by at least one run")
        cut = {name: value[chosen] for name, value in self._arrays().items() if name != "times"}
        return Record(times=self.times, **cut, test_sizes=self.test_sizes,
                      runs=[self.runs[i] for i in chosen], config=self.config)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in SHAPES if getattr(self, name) is not None}

    @entry
    def save(self, path: str | PathLike) -> None:
        """Write a compressed .npz without pickle, atomically: the file appears whole or not at all."""
        arrays = self._arrays()
        header = {"format": FORMAT, "arrays": sorted(arrays), "test_sizes": self.test_sizes, "runs": self.runs,
                  "config": self.config}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, header=np.array(json.dumps(header)), **arrays)
        write_atomically(path, buffer.getvalue())

    @classmethod
    @entry
    def load(cls, path: str | PathLike) -> "Record":
        """Read a file written by `save`.

        Raises
        ------
        RecordFileError
            If the file is truncated, damaged or something else.
        """
        content = checks.path("path", path).read_bytes()
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            header = json.loads(str(arrays.pop("header")))
            if header.pop("format") != FORMAT:
                raise ValueError("another format")
            if header.pop("arrays") != sorted(arrays):
                raise ValueError("arrays are missing")
            return cls(**arrays, **header)
        except Exception as error:  # a damaged archive raises a dozen kinds
            raise RecordFileError(f"path={str(path)!r}: must be a whole file written by Record.save "
                                  f"(format {FORMAT!r}); {type(error).__name__}: {error}") from error


# The axes of each array field, by name. The fields' types say them; `Record` checks them and takes them from here.
SHAPES = {one.name: kind.dim_str.strip() for one in fields(Record)
          for kind in (one.type, *get_args(one.type)) if hasattr(kind, "dim_str")}


@entry
def concatenate_records(records: Iterable[Record]) -> Record:
    """One Record of the runs of several that share times, n, m, kinds of arrays and test sizes.

    Raises
    ------
    ValueError
        If there is no record, or they were not recorded alike.

    Examples
    --------
    >>> import numpy as np
    >>> from helpers.record import Record, concatenate_records
    >>> ones = np.ones((1, 3))
    >>> one, other = (Record([0], ones, ones, ones[None], runs=[{"seed": seed}]) for seed in range(2))
    >>> both = concatenate_records([one, other])
    >>> both
    Record(2 runs, 1 times from 0 to 0, 3 samples: times, y, y_obs, margins)
    >>> both.select(seed=1).runs
    [{'seed': 1}]
    """
    records = list(records)
    checks.require(len(records) > 0, "records", records, "a non-empty sequence of Records")
    first = records[0]
    for other in records[1:]:
        shapes = [{name: array.shape[1:] for name, array in record._arrays().items()} for record in (first, other)]
        same = shapes[0] == shapes[1] and np.array_equal(first.times, other.times)
        same = same and first.test_sizes == other.test_sizes
        checks.require(same, "records", "<different times, shapes or test sizes>", "recorded alike")
    arrays = {name: np.concatenate([record._arrays()[name] for record in records])
              for name in first._arrays() if name != "times"}
    return Record(times=first.times, **arrays, test_sizes=first.test_sizes,
                  runs=[run for record in records for run in record.runs], config=first.config)


@entry
def log_times(steps: int, *, count: int = 50) -> Int[np.ndarray, " T"]:
    """0 and up to `count` log-spaced integers from 1 to `steps`: times at which to record a run."""
    steps = checks.integer("steps", steps, 0, 2**53)
    count = checks.integer("count", count, 1, 10**6)
    return np.unique(np.append(0, np.rint(np.geomspace(1, max(steps, 1), count)).astype(np.int64)).clip(max=steps))
