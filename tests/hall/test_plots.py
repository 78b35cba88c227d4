"""The house style: what is drawn is what was given, and the roles can be told apart."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from helpers import plots
from helpers.intervals import slope_and_standard_error


@pytest.fixture
def ax():
    """Axes of a figure of their own; settings and figures are put back."""
    with plt.rc_context():
        plots.use_house_style()
        _, axes = plt.subplots()
        yield axes
        plt.close("all")


def test_band_draws_the_median_and_two_quantiles_over_runs(ax):
    x, runs = np.arange(4), np.random.default_rng(0).standard_normal((21, 4))
    assert plots.plot_band(x, runs, "noisy", label="noisy samples", ax=ax, quantiles=(0.25, 0.75)) is ax
    (line,), (area,) = ax.lines, ax.collections
    np.testing.assert_allclose(line.get_ydata(), np.median(runs, axis=0))
    assert to_hex(line.get_color()).upper() == plots.COLORS["noisy"] and line.get_linestyle() == plots.STYLES["noisy"]
    low, high = np.quantile(runs, [0.25, 0.75], axis=0)
    heights = area.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((low.min(), high.max()))
    assert ax.get_legend_handles_labels()[1] == ["noisy samples"]


def test_band_leaves_out_runs_without_a_noisy_sample(ax):
    runs = np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 4.0]])
    plots.plot_band([0, 1], runs, "noisy", ax=ax)
    assert ax.lines[0].get_ydata().tolist() == [2.0, 3.0]
    plots.plot_band([0, 1], np.full((2, 2), np.nan), "clean", ax=ax)
    assert len(ax.lines) == 1


def test_theory_line_and_marks_are_drawn_where_they_belong(ax):
    assert plots.plot_theory_line([0, 1], [2, 3], label="law", ax=ax) is ax
    assert ax.lines[0].get_ydata().tolist() == [2, 3] and ax.lines[0].get_color() == plots.COLORS["theory"]
    assert plots.plot_mark(plots.LOG2, "log 2", ax=ax) is ax and plots.plot_mark(7.0, "T1", axis="x", ax=ax) is ax
    assert set(ax.lines[1].get_ydata()) == {np.log(2)} and set(ax.lines[2].get_xdata()) == {7.0}


def test_without_axes_the_current_ones_are_used(ax):
    plt.sca(ax)
    assert plots.plot_band([0], [[1.0]], "signal") is plots.plot_theory_line([0], [1]) is plots.plot_mark(1,
                                                                                                          "one") is ax


def test_roles_differ_in_line_style_or_else_in_lightness():
    """What is left on a greyscale print: L* of the colour, of which ten units are easily seen, and the line style."""
    def lightness(color):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
        return 116 * np.cbrt(np.dot([0.2126, 0.7152, 0.0722], linear)) - 16

    assert plots.COLORS.keys() == plots.STYLES.keys()
    for one, other in combinations(plots.COLORS.keys() - {"neutral"}, 2):
        apart = abs(lightness(plots.COLORS[one]) - lightness(plots.COLORS[other]))
        assert plots.STYLES[one] != plots.STYLES[other] or apart > 10, (one, other)


def test_fitted_slope_is_the_exponent_of_a_power_law():
    x = np.geomspace(1, 100, 7)
    slope, error = slope_and_standard_error(x, 3 * x**-0.5)
    assert slope == pytest.approx(-0.5, abs=1e-12) and error < 1e-7
    noisy, error = slope_and_standard_error(x, 3 * x**-0.5 * np.exp(0.1 * np.random.default_rng(0).standard_normal(7)))
    assert abs(noisy + 0.5) < 4 * error  # four standard errors


@pytest.mark.statement("prop-stage-one-exists", "prop-clean-patches")
def test_the_thumbnails_lines_are_those_of_the_law():
    small = plots.plot_plane(8.0, 0.1, ax=plt.gca(), bounds=(0.6, 0.6, 0.3, 0.3))
    exists, spared = ((line.get_xdata()[1:-1], line.get_ydata()[1:-1]) for line in small.lines[:2])
    above = exists[0] > 1
    assert exists[0][above] * (1 - 2 * exists[1][above]) == pytest.approx(1)
    assert spared[0][above] * (1 - 4 * spared[1][above]) == pytest.approx(1)
    assert (exists[1][~above] == 0).all()
    assert small.lines[2].get_xydata() == pytest.approx(np.array([[8.0, 0.1]]))
