"""Figures over windows: what they keep of the gradient, and which layers and gates it is in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from rnnsim.diagnosis.findings import percent

from ...frame import figures
from ...frame.figures import decades
from .axes import beyond_window, legend, level, line
from .bars import bar_points, draw_bars
from .points import Points, logs, points
from .sides import Found, Side, sides

_WEIGHTS = ("W_hh", "W_xh")
_SHARES = (0.5, 0.9, 0.99)
_ERRORS = (0.1, 0.01)
_LEAST = -4.0  # decades of an error that are drawn


def share_points(found: Found) -> list[Points]:
    """The share of dL/dW_hh and of dL/dW_xh that each window keeps."""
    return [each for side in sides(found) for each in _shares(side)]


def _shares(side: Side) -> list[Points]:
    curves = []
    for of in _WEIGHTS:
        if rows := side.rows(f"reach_{of}"):
            window, share = rows["window"], rows["cumulative_share"]
            kept = [percent(each) for each in share]
            curves.append(points(side.told(f"dL/d{of}"), window, share, at_windows(window), kept))
    return curves


def plot_shares(found: Found, *, ax: Axes | None = None) -> Axes:
    """The share of the gradient that each window keeps, of the recurrent and the input weights.

    Shares of single lags add up to 1; they may be negative, so that a curve may fall or overshoot.
    Lines across are 50, 90 and 99 %; the larger markers are the windows that keep 90 % from there
    on, with their errors.
    """
    ax = figures.axes_or_new(ax)
    for share in _SHARES:
        level(ax, share)
    for side in sides(found):
        for each in _shares(side):
            of = each.name[-len("W_hh") :]
            hollow = of == "W_xh"
            name = f"$\\partial L/\\partial W_{{{of[2:]}}}$"
            line(ax, side, each, side.named(name), hollow=hollow)
            _mark_window(ax, side, f"reach_{of}", 0.9, hollow=hollow)
    window_axis(ax, found)
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, -0.03), max(high, 1.06))
    if low > -0.5 and high < 1.5:
        ax.set_yticks([0.0, 0.2, *_SHARES])
    ax.yaxis.set_major_formatter(lambda y, _: f"{100 * y:.0f} %")
    ax.set_ylabel("share of the gradient kept")
    return legend(ax, loc="lower right")


def error_points(found: Found) -> list[Points]:
    """The error of each window."""
    return [each for side in sides(found) for each in _errors(side)]


def _errors(side: Side) -> list[Points]:
    rows = side.rows("window_for_10_percent") or side.rows("window_error")
    if not rows:
        return []
    window, error = rows["window"], rows["error"]
    off = [percent(each) for each in error]
    return [points(side.told("error"), window, decades(logs(error)), at_windows(window), off)]


def plot_window_errors(found: Found, *, ax: Axes | None = None) -> Axes:
    """How far the truncated gradient is from the full one, against the window.

    Relative to the full one, of the layer where that is most. Lines across are 10 and 1 %; the
    larger markers are the first windows below them, with their errors. An error of 0, and one below
    a hundredth of a per cent, is below the picture.
    """
    ax = figures.axes_or_new(ax)
    for error in _ERRORS:
        level(ax, np.log10(error))
    for side in sides(found):
        for each in _errors(side):
            line(ax, side, each, side.named("error of the window"))
            for name, error in zip(("10", "1"), _ERRORS, strict=True):
                _mark_window(ax, side, f"window_for_{name}_percent", np.log10(error))
    window_axis(ax, found)
    low, high = ax.get_ylim()
    ax.set_ylim(max(min(low, -2.3), _LEAST), max(high, 0.15))
    ax.yaxis.set_major_locator(MultipleLocator(1.0))
    ax.yaxis.set_major_formatter(lambda y, _: f"{100 * 10.0**y:g} %")
    ax.set_ylabel(r"error of the gradient, $\|g_K - g\|\,/\,\|g\|$")
    return legend(ax)


def _mark_window(ax: Axes, side: Side, name: str, y: float, *, hollow: bool = False) -> None:
    """A window that was found, with its error to either side."""
    window = side.finding(name)
    if not window.number_known:
        return
    error = window.error if np.isfinite(window.error) else 0.0
    left = min(error, window.number - 1.0)
    ax.errorbar(window.number, y, xerr=[[left], [error]], color=side.color, marker=side.marker,
                ms=figures.pt(11), mec="black", mfc="white" if hollow else side.color,
                capsize=figures.pt(4), lw=figures.pt(1.6),
                zorder=6)  # fmt: skip


def at_windows(windows: Sequence[Any] | npt.NDArray[Any]) -> list[str]:
    """What points over windows stand at."""
    return [f"window {each}" for each in windows]


def window_axis(ax: Axes, found: Found) -> None:
    """A logarithmic axis of windows up to the length of the data; beyond the one in use shaded."""
    T = max(side.n_steps for side in sides(found))
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.set_xlim(0.9, T * 1.1)
    beyond_window(ax, found, 0.0)
    ax.set_xlabel("window $K$ (steps)")


def part_points(found: Found) -> list[Points]:
    """The share of each layer and gate in the square of dL/dW_hh."""
    return bar_points(found, _parts, "share", percent)


def _parts(side: Side) -> tuple[list[str], list[float]]:
    rows = side.rows("gradient_by_layer_and_gate")
    return list(map(str, rows.get("block", ()))), list(map(float, rows.get("share", ())))


def plot_parts(found: Found, *, ax: Axes | None = None) -> Axes:
    """The share of each layer and gate in the square of the gradient of W_hh: they add up to 1."""
    ax = draw_bars(figures.axes_or_new(ax), found, _parts)
    ax.xaxis.set_major_formatter(lambda x, _: f"{100 * x:.0f} %")
    ax.set_xlabel(r"share of $\|\partial L/\partial W_{hh}\|^2$")
    return ax
