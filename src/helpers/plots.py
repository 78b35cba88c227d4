"""The house style: one colour and one line style for each thing, the same in every chapter."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from jaxtyping import Shaped
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from helpers import checks
from helpers.entry import entry

# Okabe-Ito hues, chosen with different lightness so that they survive greyscale; the line style repeats the message.
COLORS = {"clean": "#0072B2", "noisy": "#D55E00", "signal": "#009E73", "memorisation": "#CC79A7",
          "test": "#332288", "theory": "#000000", "neutral": "#777777"}
STYLES = {"clean": "-", "noisy": "--", "signal": "-", "memorisation": "-.", "test": ":", "theory": (0, (1, 1)),
          "neutral": "-"}
LOG2 = float(np.log(2))


def use_house_style() -> None:
    """Set fonts, sizes and line widths once, at the top of a chapter."""
    sns.set_theme(context="notebook", style="ticks", rc={
        "figure.figsize": (7.0, 4.0), "figure.dpi": 110, "savefig.bbox": "tight", "lines.linewidth": 2,
        "axes.grid": True, "grid.alpha": 0.3, "figure.constrained_layout.use": True,
        "legend.framealpha": 0.85, "legend.facecolor": "white", "legend.edgecolor": "none",
        "axes.prop_cycle": plt.cycler(color=list(COLORS.values()))})


@entry
def plot_stack(rows: int) -> Shaped[np.ndarray, " rows"]:
    """Axes of `rows` panels over one shared x axis, each about half as high as a single figure."""
    rows = checks.integer("rows", rows, 1, 50)
    figure, axes = plt.subplots(rows, 1, sharex=True)
    figure.set_figheight(2.0 * rows + 0.6)
    return axes


@entry(gaps=("runs",))
def plot_band(x: ArrayLike, runs: ArrayLike, role: str, label: str | None = None, *, ax: Axes | None = None,
              quantiles: tuple[float, float] = (0.1, 0.9)) -> Axes:
    """Draw the median over runs as a line, and a band between two quantiles. Returns the axes.

    Runs with a NaN (say, without a noisy sample) are left out; if none is left, nothing is drawn.

    Parameters
    ----------
    x
        the places of the columns of `runs`.
    runs
        a row per run.
    role
        a key of `COLORS`.
    label
        the line's name in the legend.
    ax
        where to draw; the current axes by default.
    quantiles
        the ends of the band, in [0, 1].
    """
    checks.one_of("role", role, COLORS)
    x, runs = np.asarray(x), np.asarray(runs, float)
    checks.require(runs.ndim == 2 and x.shape == runs.shape[1:], "runs.shape", runs.shape,
                   f"(runs, columns), a column for each of x, {x.shape}")
    low, high = quantiles
    checks.require(0 <= low <= high <= 1, "quantiles", quantiles, "two numbers in [0, 1], in order")
    ax = ax or plt.gca()
    runs = runs[~np.isnan(runs).any(1)]
    if len(runs) == 0:
        return ax
    low, middle, high = np.quantile(runs, [quantiles[0], 0.5, quantiles[1]], axis=0)
    ax.plot(x, middle, STYLES[role], color=COLORS[role], label=label)
    ax.fill_between(x, low, high, color=COLORS[role], alpha=0.2, linewidth=0)
    return ax


@entry(gaps=("y",))
def plot_theory_line(x: ArrayLike, y: ArrayLike, label: str | None = None, *, ax: Axes | None = None) -> Axes:
    """A prediction, drawn in black dots over the measurement. Returns the axes."""
    shapes = np.shape(x), np.shape(y)
    checks.require(shapes[0] == shapes[1] and shapes[0], "y.shape", shapes[1], f"{shapes[0]}, as x")
    ax = ax or plt.gca()
    ax.plot(x, y, linestyle=STYLES["theory"], color=COLORS["theory"], label=label, zorder=5)
    return ax


@entry
def plot_mark(value: float, label: str | None, *, axis: str = "y", ax: Axes | None = None) -> Axes:
    """A thin grey line at a value that the text speaks of (log 2, T1, the flip rate). Returns the axes."""
    checks.one_of("axis", axis, ("x", "y"))
    ax = ax or plt.gca()
    draw = ax.axhline if axis == "y" else ax.axvline
    draw(value, color=COLORS["neutral"], linewidth=1, linestyle=(0, (5, 3)), label=label)
    return ax


@entry
def plot_plane(n_snr2: ArrayLike, flip_rate: ArrayLike, *, ax: Axes, bounds: tuple[float, float, float, float],
               largest: float = 30.0) -> Axes:
    """A thumbnail of the plane (c, tau) in a corner of `ax`: where the chapter's experiment stands. Returns its axes.

    Left of the line c (1 - 2 tau) = 1 there is no Stage I; right of the dashed line c (1 - 4 tau) = 1 memorisation
    leaves clean samples' patches right (prop-stage-one-exists, prop-clean-patches).

    Parameters
    ----------
    n_snr2, flip_rate
        c and tau of the runs, one or many: each is a dot.
    ax
        the figure's axes.
    bounds
        of the thumbnail in fractions of `ax`: left, bottom, width, height.
    largest
        the right end of its logarithmic axis of c, which begins at 0.5.
    """
    c, tau = np.asarray(n_snr2), np.asarray(flip_rate)
    checks.require(bool((c > 0).all()) and c.size > 0, "n_snr2", n_snr2, "positive")
    checks.require(bool(((tau >= 0) & (tau <= 0.5)).all()) and tau.size > 0, "flip_rate", flip_rate, "in [0, 1/2]")
    checks.require(c.ndim < 2 and c.shape == tau.shape, "flip_rate.shape", tau.shape, f"{c.shape}, as n_snr2")
    checks.require(min(bounds[2:]) > 0, "bounds", bounds, "(left, bottom, width, height) with both sides positive")
    largest = checks.real("largest", largest, 0.5, open_low=True)
    small = ax.inset_axes(bounds)
    c = np.geomspace(0.5, largest, 200)
    for factor, line in ((2, "-"), (4, "--")):
        small.plot(c, np.maximum(1 - 1 / c, 0) / factor, line, color=COLORS["theory"], linewidth=1)
    small.plot(n_snr2, flip_rate, "o", color=COLORS["noisy"], markersize=4, clip_on=False)
    small.set(xscale="log", xlim=(0.5, largest), ylim=(0, 0.5), xticks=[], yticks=[])
    small.minorticks_off()
    small.grid(False)
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # lines of `ax` end at the letters
    small.set_xlabel(r"$c$", fontsize=10, labelpad=2, bbox=paper)
    small.set_ylabel(r"$\tau$", fontsize=10, labelpad=2, bbox=paper, rotation=0, ha="right", va="center")
    return small
