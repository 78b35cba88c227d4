"""The largest coefficients over time, when rho overtakes gamma, and accuracies."""

import numpy as np
import pytest

from helpers import Record, SignalNoise, descend
from helpers.reading.accuracy import observed_accuracies
from helpers.reading.coefficients import coefficient_overtaking, largest_coefficients


def made_up(noisy, gamma=2.0):
    """One run of two samples, the second noisy, whose largest rho is given over time; gamma is constant."""
    noisy = np.asarray(noisy, float)
    shape = (1, len(noisy), 2)
    return Record(np.arange(len(noisy)) * 10, [[1, 1]], [[1, -1]], np.ones(shape), gamma=np.full((*shape, 1), gamma),
                  rho_max=np.stack([np.full(len(noisy), 0.5), noisy], -1)[None])


@pytest.mark.parametrize(("noisy", "expected"), [
    ([0, 1, 3, 4], 20), ([3, 1, 3, 4], 20), ([3, 3, 3, 3], 0), ([0, 1, 2, 2], np.nan), ([0, 3, 3, 1], np.nan),
    ([0, 0, 0, 2.1], 30)])
def test_overtaking_is_the_time_from_which_on_rho_is_ahead(noisy, expected):
    np.testing.assert_array_equal(coefficient_overtaking(made_up(noisy)), [expected])


def test_the_largest_coefficients_are_those_of_every_filter():
    """Against all final coefficients, of both signs of j: no rho of the other sign is positive."""
    law = SignalNoise(20, 100, n_snr2=4.0, flip_plus=0.3, flip_minus=0.3)
    record = descend(law, 3, 1e-3, 0.1, 30, seeds=range(4), record_at=[0, 30])
    found = largest_coefficients(record)
    for run in range(4):
        noisy = record.flipped[run]
        assert found.gamma[run, 1] == record.gamma_final[run].max()
        assert found.noisy[run, 1] == pytest.approx(record.rho_final[run][..., noisy].max())
        assert found.clean[run, 1] == pytest.approx(record.rho_final[run][..., ~noisy].max())
    assert (found.gamma[:, 0] == 0).all() and (found.noisy[:, 0] == 0).all()


def test_a_run_without_noisy_samples_is_never_overtaken():
    record = descend(SignalNoise(20, 100, n_snr2=4.0), 3, 1e-3, 0.1, 30, seeds=range(2))
    assert np.isnan(coefficient_overtaking(record)).all() and np.isnan(largest_coefficients(record).noisy).all()
    accuracies = observed_accuracies(record)
    assert np.isnan(accuracies["noisy"]).all() and (accuracies["clean"][:, -1] == 1).all()


def test_accuracies_are_against_the_observed_labels():
    record = Record([0], [[1, 1, -1, -1]], [[1, -1, -1, -1]], [[[1.0, -1.0, 1.0, -1.0]]])
    shares = {which: share.item() for which, share in observed_accuracies(record).items()}
    assert shares == {"all": 0.5, "clean": pytest.approx(2 / 3), "noisy": 0.0}


def test_a_record_without_coefficients_is_refused():
    with pytest.raises(ValueError, match="one with gamma and rho_max"):
        coefficient_overtaking(Record([0], [[1]], [[1]], [[[1.0]]]))
