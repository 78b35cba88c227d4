"""What tests of several modules compare records by."""

import numpy as np

ARRAYS = ("margins", "signal_response", "gamma", "rho", "rho_max", "rho_cross", "rho_cross_min", "active",
          "gamma_final", "rho_final")
ERRORS = ("fresh_error", "reused_error", "observed_error")
# The columns of a cell of the phase diagram.
SHARES = ["flipped", "stage_one", "noisy_fitted_least", "noisy_fitted", "clean_fitted", "fresh_best", "fresh_last",
          "reused_best", "reused_last", "reused_low", "reused_high", "noisy_mislead", "clean_mislead"]


def assert_same(first, second, atol, names=ARRAYS + ERRORS):
    """Two records with the same labels and, to `atol`, the same arrays."""
    assert np.array_equal(first.y, second.y) and np.array_equal(first.y_obs, second.y_obs)
    for name in names:
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), rtol=0, atol=atol, err_msg=name)
