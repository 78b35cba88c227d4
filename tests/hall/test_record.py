"""The record of a run: what it derives, its tidy data, and files that are read whole or refused."""

import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from helpers import Record, descend
from helpers.record import SHAPES, RecordFileError, concatenate_records, log_times


@pytest.fixture(scope="module")
def runs():
    """Three runs of two problems with all optional arrays, the second without label noise."""
    from helpers import SignalNoise

    noisy = SignalNoise(12, 40, n_snr2=4.0, flip_plus=0.2, flip_minus=0.3)
    quiet = noisy.replace(flip_plus=0.0, flip_minus=0.0)
    return descend([noisy, quiet], 3, 0.05, 0.3, 20, seeds=[1, 2, 5], record_at=[0, 4, 20], n_test=30, zeta=0.1)


def images():
    """A record as the image world leaves it: four classes, predictions, no coefficients."""
    rng = np.random.default_rng(0)
    return Record(times=np.arange(3), y=rng.integers(4, size=(2, 5)), y_obs=rng.integers(4, size=(2, 5)),
                  margins=rng.standard_normal((2, 3, 5)), predictions=rng.integers(4, size=(2, 3, 5)))


def assert_equal(first, second):
    for name in SHAPES:
        one, other = getattr(first, name), getattr(second, name)
        assert (one is None) == (other is None), name
        if one is not None:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other, err_msg=name)
    assert (first.runs, first.config, first.test_sizes) == (second.runs, second.config, second.test_sizes)


# What a record derives.

@given(st.lists(st.floats(-800, 800), min_size=1, max_size=20))
def test_losses_are_the_cross_entropy_and_its_derivative(margins):
    count = len(margins)
    record = Record(times=[0], y=np.ones((1, count)), y_obs=np.ones((1, count)), margins=np.array(margins)[None, None])
    expected = [np.log1p(np.exp(-z)) if z > -700 else -z for z in margins]
    np.testing.assert_allclose(record.losses[0, 0], expected, rtol=1e-12, atol=1e-300)
    expected = [-1 / (1 + np.exp(min(z, 700))) for z in margins]
    np.testing.assert_allclose(record.loss_derivatives[0, 0], expected, rtol=1e-12, atol=1e-300)


def test_a_margin_of_log_2_loss_is_the_decision_boundary():
    margins = [[[0.1, -0.1, 0.1, 0.0]]]
    record = Record(times=[0], y=[[1.0, 1.0, -1.0, 1.0]], y_obs=[[1.0, -1.0, 1.0, 1.0]], margins=margins)
    assert record.fits_observed[0, 0].tolist() == [True, False, True, False]
    assert (record.losses[0, 0] < np.log(2)).tolist() == [True, False, True, False]
    assert record.predicted[0, 0].tolist() == [1.0, 1.0, 1.0, -1.0]  # an output of 0 counts as wrong
    assert record.fits_true[0, 0].tolist() == [True, True, False, False]
    assert record.flipped[0].tolist() == [False, True, True, False]


def test_mean_over_clean_and_noisy_samples_is_nan_where_a_run_has_none(runs):
    for run in range(6):
        for which, mask in (("all", slice(None)), ("clean", ~runs.flipped[run]), ("noisy", runs.flipped[run])):
            chosen = runs.losses[run][:, mask]
            mean = runs.mean_over(runs.losses, which)[run]
            if chosen.size:
                np.testing.assert_allclose(mean, chosen.mean(-1), rtol=1e-13)
            else:
                assert np.isnan(mean).all() and which == "noisy" and run >= 3


def test_predictions_of_several_classes_are_compared_with_both_labels():
    record = images()
    np.testing.assert_array_equal(record.fits_true, record.predictions == record.y[:, None])
    np.testing.assert_array_equal(record.fits_observed, record.predictions == record.y_obs[:, None])


# Tidy data.

def test_to_frame_has_a_row_for_each_run_and_time(runs):
    frame = runs.to_frame()
    assert len(frame) == 6 * 3 and frame.groupby("run").time.apply(list).tolist() == [[0, 4, 20]] * 6
    wanted = {"seed", "n_snr2", "flip_plus", "lr", "loss_clean", "accuracy_noisy", "true_accuracy_noisy", "rho_clean",
              "gamma", "fresh_error", "fresh_low", "fresh_high", "reused_error", "observed_error"}
    assert wanted <= set(frame.columns)
    row = frame[(frame.run == 4) & (frame.time == 20)].iloc[0]
    assert (row.seed, row.flip_plus) == (2, 0.0)
    assert row.loss_all == pytest.approx(runs.losses[4, 2].mean(), rel=1e-13)
    assert row.true_accuracy_all == runs.fits_true[4, 2].mean()
    assert row.gamma == pytest.approx(runs.gamma[4, 2].mean(), rel=1e-13)
    assert row.fresh_error == runs.fresh_error[4, 2] and row.fresh_low <= row.fresh_error <= row.fresh_high
    assert frame[frame.run >= 3].loss_noisy.isna().all() and frame[frame.run < 3].loss_noisy.notna().all()


def test_to_frame_per_sample_has_a_row_for_each_run_time_and_sample(runs):
    frame = runs.to_frame("sample")
    assert len(frame) == 6 * 3 * 12
    row = frame[(frame.run == 1) & (frame.time == 4) & (frame["sample"] == 7)].iloc[0]
    assert (row.margin, row.loss, row.rho) == (runs.margins[1, 1, 7], runs.losses[1, 1, 7], runs.rho[1, 1, 7])
    assert (row.y, row.y_obs, row.flipped, row.seed) == (runs.y[1, 7], runs.y_obs[1, 7], runs.flipped[1, 7], 2)
    assert (row.fits_observed, row.fits_true) == (runs.fits_observed[1, 1, 7], runs.fits_true[1, 1, 7])


def test_to_frame_of_a_record_without_coefficients_or_errors_has_the_rest():
    frame = images().to_frame()
    assert len(frame) == 6 and "loss_all" in frame and not {"gamma", "rho_all", "fresh_error"} & set(frame.columns)


# Choosing and joining runs.

def test_select_keeps_the_runs_of_a_configuration(runs):
    chosen = runs.select(seed=2)
    assert [run["flip_plus"] for run in chosen.runs] == [0.2, 0.0]
    np.testing.assert_array_equal(chosen.rho_final, runs.rho_final[[1, 4]])
    one = runs.select(seed=2, flip_plus=0.0)
    np.testing.assert_array_equal(one.margins[0], runs.margins[4])
    assert one.test_sizes == runs.test_sizes


def test_concatenate_undoes_select(runs):
    parts = [runs.select(flip_plus=rate) for rate in (0.2, 0.0)]
    assert_equal(concatenate_records(parts), runs)
    assert_equal(concatenate_records(iter(parts[:1])), parts[0])


def test_concatenate_refuses_records_that_do_not_fit_together(runs):
    noisy = runs.select(flip_plus=0.2)
    with pytest.raises(ValueError, match=r"records=.*must be recorded alike"):
        concatenate_records([noisy, images()])
    with pytest.raises(ValueError, match=r"records=\[\]: must be a non-empty sequence"):
        concatenate_records([])


# Arrays that do not fit.

@pytest.mark.parametrize(("name", "value", "message"), [
    ("y", np.ones(5), r"y.shape=\(5,\): must be \(runs, n\)"),
    ("y_obs", np.ones((2, 4)), r"y_obs.shape=\(2, 4\)"),
    ("margins", np.ones((2, 3, 4)), r"margins.shape=\(2, 3, 4\): must be \(runs, T, n\)"),
    ("margins", np.full((2, 3, 5), np.nan), "margins='<non-finite>': must be finite"),
    ("margins", np.full((2, 3, 5), "a"), "margins.dtype"),
    ("margins", None, "margins"),
    ("times", np.array([0, 2, 2]), "times=.*strictly increasing"),
    ("times", np.arange(4), "margins.shape"),
    ("predictions", np.ones((2, 3)), "predictions.shape"),
    ("gamma", np.ones((2, 3, 3, 4)), "gamma.shape"),
    ("rho_final", np.ones((2, 2, 4, 6)), "rho_final.shape"),
    ("fresh_error", np.ones(3), "fresh_error.shape"),
    ("runs", [{}], r"len\(runs\)=1: must be 2"),
])
def test_a_record_refuses_arrays_that_do_not_fit_together(name, value, message):
    arrays = {"times": np.arange(3), "y": np.ones((2, 5)), "y_obs": np.ones((2, 5)), "margins": np.ones((2, 3, 5))}
    with pytest.raises(ValueError, match=message):
        Record(**arrays | {name: value})


def test_gamma_and_its_final_value_must_agree_on_m():
    with pytest.raises(ValueError, match=r"gamma_final\.shape"):
        Record(times=[0], y=np.ones((1, 2)), y_obs=np.ones((1, 2)), margins=np.ones((1, 1, 2)),
               gamma=np.ones((1, 1, 2, 3)), gamma_final=np.ones((1, 2, 4)))


# Files.

def test_a_saved_record_is_loaded_as_it_was(runs, tmp_path):
    for record in (runs, images(), runs.select(seed=5)):
        record.save(tmp_path / "new folder" / "record.npz")
        assert_equal(Record.load(tmp_path / "new folder" / "record.npz"), record)
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["record.npz"]  # no temporary file stays


def test_a_saved_record_holds_no_pickle(runs, tmp_path):
    runs.save(tmp_path / "record.npz")
    with np.load(tmp_path / "record.npz", allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)


@pytest.fixture(scope="module")
def whole(runs, tmp_path_factory):
    """The bytes of a saved record."""
    path = tmp_path_factory.mktemp("record") / "record.npz"
    runs.save(path)
    return path.read_bytes()


def refuses(path):
    with pytest.raises(RecordFileError, match="must be a whole file written by Record") as caught:
        Record.load(path)
    assert str(path) in str(caught.value) and isinstance(caught.value, ValueError)


def test_a_truncated_record_is_refused_at_every_length(whole, tmp_path):
    path = tmp_path / "record.npz"
    lengths = {*range(0, len(whole), max(1, len(whole) // 150)), *range(len(whole) - 60, len(whole)), *range(20)}
    for length in sorted(lengths):
        path.write_bytes(whole[:length])
        refuses(path)


def test_a_record_with_a_damaged_byte_is_refused_or_unharmed(whole, runs, tmp_path):
    """The archive checks its arrays; a byte that it does not check (a date, say) carries no content."""
    path, refused = tmp_path / "record.npz", 0
    for place in range(0, len(whole), max(1, len(whole) // 300)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1:])
        try:
            assert_equal(Record.load(path), runs)
        except RecordFileError:
            refused += 1
    assert refused > 200


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "record.npz"
    np.savez(path, a=np.arange(3))
    refuses(path)
    np.savez(path, header=np.array(json.dumps({"format": "something else"})), a=np.arange(3))
    refuses(path)
    np.savez(path, header=np.array(json.dumps([1, 2])))
    refuses(path)
    np.savez(path, a=np.array([{"pickled": 1}], dtype=object))
    refuses(path)
    with open(path, "wb") as file:
        np.save(file, np.arange(3))
    refuses(path)
    for content in (b"", b"not a record", bytes(1000)):
        path.write_bytes(content)
        refuses(path)


def test_a_missing_file_and_a_folder_are_what_they_are_rather_than_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        Record.load(tmp_path / "nothing.npz")
    with pytest.raises(OSError, match=r"(?i)directory|denied"):
        Record.load(tmp_path)


@pytest.mark.parametrize("missing", ["margins", "gamma", "fresh_error", "times"])
def test_a_record_with_an_array_missing_is_never_half_loaded(whole, tmp_path, missing):
    path = tmp_path / "record.npz"
    path.write_bytes(whole)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name != missing}
    np.savez(path, **arrays)
    refuses(path)


def test_a_record_with_an_array_of_another_shape_is_refused(whole, tmp_path):
    path = tmp_path / "record.npz"
    path.write_bytes(whole)
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **arrays | {"rho": arrays["rho"][:, :2]})
    refuses(path)
    np.savez(path, **arrays)
    assert Record.load(path).rho.shape == (6, 3, 12)  # the test's own rewriting is sound
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("stranger.npy", b"")
    refuses(path)


def test_times_are_log_spaced_from_0_to_the_last_step():
    times = log_times(1000)
    assert times[0] == 0 and times[1] == 1 and times[-1] == 1000 and len(times) <= 51
    assert log_times(0).tolist() == [0] and log_times(1).tolist() == [0, 1]
    assert log_times(10).tolist() == list(range(11))
    late = times[times > 50]
    assert np.ptp(np.diff(np.log(late))) < 0.05  # equal ratios, up to rounding to whole steps


# Intervals.

def test_clopper_pearson_interval_has_the_values_of_the_binomial_test(law):
    record = descend(law.replace(n_snr2=0.5), 3, 0.05, 0.3, 60, seeds=range(3), n_test=40)
    for which in ("fresh", "observed"):
        bounds, rates = record.interval(which, level=0.9), getattr(record, f"{which}_error")
        for (low, high), rate in zip(bounds.reshape(-1, 2), rates.ravel()):
            exact = stats.binomtest(round(rate * 40), 40).proportion_ci(0.9, method="exact")
            assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-12)


@pytest.mark.parametrize("size", [1, 20, 200])
@given(p=st.sampled_from([0.0, 1.0]) | st.floats(1e-6, 1 - 1e-6))
def test_clopper_pearson_interval_covers_any_rate_at_least_as_often_as_it_says(size, p):
    """Summed over all outcomes, not simulated."""
    counts = np.arange(size + 1)
    shape = (size + 1, 1)
    record = Record(times=[0], y=np.ones(shape), y_obs=np.ones(shape), margins=np.ones((size + 1, 1, 1)),
                    fresh_error=counts[:, None] / size, test_sizes={"fresh": size})
    low, high = record.interval("fresh", level=0.95)[:, 0].T
    covered = (low <= p) & (p <= high)
    assert stats.binom.pmf(counts[covered], size, p).sum() >= 0.95 - 1e-12
    assert low[0] == 0.0 and high[-1] == 1.0
