"""What a run leaves behind: one Record for the signal-noise world and for images.

Everything downstream (selection, stopping, plots, verdicts) reads a Record and never asks which world it came from.
"""

import io
import json
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from helpers import checks
from helpers.files import write_atomically
from helpers.intervals import share_interval

FORMAT = "signal-first record 1"
TEST_ERRORS = ("fresh", "reused", "observed", "validation", "validation_observed")
SHAPES = {"times": "T", "y": "runs n", "y_obs": "runs n", "margins": "runs T n", "predictions": "runs T n",
          "fresh_error": "runs T", "reused_error": "runs T", "observed_error": "runs T", "validation_error": "runs T",
          "validation_observed_error": "runs T", "noise_mean": "runs T", "noise_scale": "runs T",
          "signal_response": "runs T 2", "gamma": "runs T 2 m", "rho": "runs T n", "rho_max": "runs T n",
          "rho_cross": "runs T n", "rho_cross_min": "runs T n", "active": "runs T n", "gamma_final": "runs 2 m",
          "rho_final": "runs 2 m n"}


class RecordFileError(ValueError):
    """A file that is not a whole, readable record."""


@dataclass(frozen=True, eq=False)
class Record:
    """Training of one or more runs, seen at T recorded times on the same number n of training samples.

    Required
    --------
    times : (T,) int, gradient steps (signal-noise) or epochs (images), strictly increasing.
    y, y_obs : (runs, n) true and observed labels. Two-class records use -1 and +1.
    margins : (runs, T, n). Two classes: y_obs * f. Several: observed label's logit minus the log-sum-exp
        of the others. Either way the sample's cross-entropy is log(1 + exp(-margin)).

    Optional
    --------
    predictions : (runs, T, n) predicted labels; for two classes derived from the margins.
    fresh_error, reused_error, observed_error : (runs, T) share of wrong test predictions: new noise and true
        labels; noise patches of the training set and true labels; new noise and freshly flipped labels.
    validation_error, validation_observed_error : (runs, T) the same as fresh_error and observed_error on a validation
        set that shares no draw with the test set.
    noise_mean, noise_scale : (runs, T) mean of f on a fresh noise patch, and sigma times a bound on its Lipschitz
        constant in the patch (prop-fresh-error).
    test_sizes : how many test draws stand behind each of them, by name; 0 says that the rate is exact.
    signal_response : (runs, T, 2) f on the signal patch alone, for y = +1 and y = -1.
    gamma : (runs, T, 2, m) signal coefficients, index 0 for j = +1.
    rho, rho_max : (runs, T, n) mean and largest over filters r of rho_{j,r,i} with j = y_obs_i.
    rho_cross, rho_cross_min : the same with j = -y_obs_i, mean and smallest.
    active : (runs, T, n) share of the filters with j = y_obs_i that are active on xi_i.
    gamma_final, rho_final : (runs, 2, m), (runs, 2, m, n) every coefficient at the last time.
    runs : one dict a run: its seed and configuration.
    config : what the runs share: engine, dtype, device, versions, wall time.
    """

    times: np.ndarray
    y: np.ndarray
    y_obs: np.ndarray
    margins: np.ndarray
    predictions: np.ndarray = None
    fresh_error: np.ndarray = None
    reused_error: np.ndarray = None
    observed_error: np.ndarray = None
    validation_error: np.ndarray = None
    validation_observed_error: np.ndarray = None
    noise_mean: np.ndarray = None
    noise_scale: np.ndarray = None
    test_sizes: dict = field(default_factory=dict)
    signal_response: np.ndarray = None
    gamma: np.ndarray = None
    rho: np.ndarray = None
    rho_max: np.ndarray = None
    rho_cross: np.ndarray = None
    rho_cross_min: np.ndarray = None
    active: np.ndarray = None
    gamma_final: np.ndarray = None
    rho_final: np.ndarray = None
    runs: list = field(default_factory=list)
    config: dict = field(default_factory=dict)

    def __post_init__(self):
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
        if not self.runs:
            object.__setattr__(self, "runs", [{} for _ in self.y])
        checks.require(len(self.runs) == len(self.y), "len(runs)", len(self.runs), f"{len(self.y)}, one a run")
        checks.require(bool(np.all(np.diff(self.times) > 0)), "times", self.times, "strictly increasing")
        checks.require(bool(np.all(np.isfinite(self.margins))), "margins", "<non-finite>", "finite")

    def __repr__(self):
        runs, steps, n = self.margins.shape
        when = f"{steps} times from {self.times[0]} to {self.times[-1]}"
        return f"Record({runs} runs, {when}, {n} samples: {', '.join(self._arrays())})"

    @property
    def flipped(self):
        """(runs, n) bool: samples whose observed label is not the true one."""
        return self.y != self.y_obs

    @property
    def losses(self):
        """(runs, T, n) cross-entropy of each sample against its observed label."""
        return np.logaddexp(0.0, -self.margins)

    @property
    def loss_derivatives(self):
        """(runs, T, n) derivative of the logistic loss in the margin, l' = -1 / (1 + exp(margin))."""
        return -expit(-self.margins)

    @property
    def predicted(self):
        """(runs, T, n) predicted labels."""
        if self.predictions is not None:
            return self.predictions
        return np.where(self.margins > 0, self.y_obs[:, None], -self.y_obs[:, None])

    @property
    def fits_observed(self):
        """(runs, T, n) bool: predicted as the observed label."""
        return self.predicted == self.y_obs[:, None]

    @property
    def fits_true(self):
        """(runs, T, n) bool: predicted as the true label."""
        return self.predicted == self.y[:, None]

    def mean_over(self, values, which="all"):
        """(runs, T) mean of per-sample `values` (runs, T, n) over "all", "clean" or "noisy" samples.

        A run with no such sample gives NaN.
        """
        checks.one_of("which", which, ("all", "clean", "noisy"))
        shape = np.shape(values)
        checks.require(shape == self.margins.shape, "values.shape", shape, str(self.margins.shape))
        chosen = {"all": np.ones_like(self.flipped), "clean": ~self.flipped, "noisy": self.flipped}[which]
        total = np.einsum("rtn,rn->rt", np.asarray(values, float), chosen.astype(float))
        counts = chosen.sum(1)[:, None].astype(float)
        return np.divide(total, counts, out=np.full(total.shape, np.nan), where=counts > 0)

    def interval(self, which, level=0.95):
        """(runs, T, 2) Clopper-Pearson interval of a test error, "fresh", "reused", "observed", "validation" or
        "validation_observed".

        It covers the finite number of test draws of a run, not the spread between runs. An exact rate is its own
        interval.
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

    def to_frame(self, per="run"):
        """Tidy data: a row for each run and time (per="run") or for each run, time and sample (per="sample")."""
        checks.one_of("per", per, ("run", "sample"))
        count, steps, n = self.margins.shape
        samples = 1 if per == "run" else n
        frame = pd.DataFrame({"run": np.repeat(np.arange(count), steps * samples),
                              "time": np.tile(np.repeat(self.times, samples), count)})
        columns = self._run_columns() if per == "run" else self._sample_columns()
        for name, values in columns.items():
            frame[name] = np.asarray(values).ravel()
        return frame.merge(pd.DataFrame(self.runs).rename_axis("run").reset_index(), on="run")

    def _run_columns(self):
        columns = {}
        for which in ("all", "clean", "noisy"):
            columns[f"loss_{which}"] = self.mean_over(self.losses, which)
            columns[f"accuracy_{which}"] = self.mean_over(self.fits_observed, which)
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

    def _sample_columns(self):
        whole = self.margins.shape
        spread = lambda values: np.broadcast_to(np.asarray(values)[:, None], whole)  # noqa: E731
        columns = {"sample": np.broadcast_to(np.arange(whole[2]), whole), "y": spread(self.y),
                   "y_obs": spread(self.y_obs), "flipped": spread(self.flipped), "margin": self.margins,
                   "loss": self.losses, "fits_observed": self.fits_observed, "fits_true": self.fits_true}
        return columns | ({} if self.rho is None else {"rho": self.rho})

    def select(self, **conditions):
        """The Record of those runs whose configuration has the given values, e.g. select(n_snr2=8.0, seed=0)."""
        chosen = [i for i, run in enumerate(self.runs) if all(run.get(k) == v for k, v in conditions.items())]
        checks.require(bool(chosen), "conditions", conditions, "met by at least one run")
        cut = {name: value[chosen] for name, value in self._arrays().items() if name != "times"}
        return Record(times=self.times, **cut, test_sizes=self.test_sizes,
                      runs=[self.runs[i] for i in chosen], config=self.config)

    def _arrays(self):
        return {name: getattr(self, name) for name in SHAPES if getattr(self, name) is not None}

    def save(self, path):
        """Write a compressed .npz without pickle, atomically: the file appears whole or not at all."""
        arrays = self._arrays()
        header = {"format": FORMAT, "arrays": sorted(arrays), "test_sizes": self.test_sizes, "runs": self.runs,
                  "config": self.config}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, header=np.array(json.dumps(header)), **arrays)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path):
        """Read a file written by `save`. Raises RecordFileError if it is truncated, damaged or something else."""
        content = Path(path).read_bytes()
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


def concatenate(records):
    """One Record of the runs of several that share times, n, m, kinds of arrays and test sizes."""
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


def log_times(steps, *, count=50):
    """0 and up to `count` log-spaced integers from 1 to `steps`."""
    return np.unique(np.append(0, np.rint(np.geomspace(1, max(steps, 1), count)).astype(np.int64)).clip(max=steps))
