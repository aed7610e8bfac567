"""Figures of batches: bias of a window beside noise, lag by lag, and what clipping does."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rnnsim.diagnosis.findings import short

from ...frame import figures
from ...frame.figures import decades, pt
from .axes import beyond_window, decade_axis, found_at, legend, level, line, of_steps, once
from .points import Points, logs, number, points
from .sides import Found, Side, sides
from .window_plots import at_windows, window_axis

_SHOWN = 3.0  # decades below the least sum


def error_points(found: Found) -> list[Points]:
    """bias^2, variance and their sum at each window."""
    return [each for side in sides(found) for each in _terms(side)]


def _terms(side: Side) -> list[Points]:
    rows, best = side.rows("noise_and_bias"), side.rows("best_window")
    if not rows:
        return []
    errors = {"bias^2": rows["bias2_error"]}
    found = {"bias^2": rows["bias2"], "variance": rows["variance"]}
    if not side.label and best:
        found["sum"] = best["mean_square_error"]
    curves = []
    for name, values in found.items():
        unknown = np.full(len(values), np.nan)
        said = list(map(number, values, errors.get(name, unknown)))
        at = at_windows(rows["window"])
        curves.append(points(side.told(name), rows["window"], decades(logs(values)), at, said))
    return curves


def plot_bias_and_variance(found: Found, *, ax: Axes | None = None) -> Axes:
    """bias^2 of the truncated gradient and its variance over batches, against the window.

    Relative to the square of the mean gradient. Bias falls with the window and noise grows; the
    star is where their sum is least. An estimate of bias^2 that is 0 or below is not drawn: it is
    not to be told from 0.
    """
    ax = figures.axes_or_new(ax)
    sums = []
    for side in sides(found):
        drawn = _terms(side)
        looks: tuple[dict[str, Any], ...] = ({}, {"hollow": True})
        names = (r"bias$^2$", "variance")
        for each, look, name in zip(drawn, looks, names, strict=False):
            line(ax, side, each, side.named(name), **look)
        if len(drawn) == 3:
            ax.plot(drawn[2].x, drawn[2].y, color="black", lw=pt(1.2), label="sum")
        if drawn:
            sums += [_mark_best(ax, side)]
    window_axis(ax, found)
    low, high = ax.get_ylim()
    known = [each for each in sums if np.isfinite(each)]
    if known:
        ax.set_ylim(max(low, min(known) - _SHOWN), high)
    decade_axis(ax)
    ax.set_ylabel(r"squared error $/\,\|\overline{g}\|^2$")
    return legend(ax)


def _mark_best(ax: Axes, side: Side) -> float:
    """A star at the best window; the decade of the error there, NaN where that is not known."""
    best, rows = side.finding("best_window"), side.rows("best_window")
    if not rows or not best.number_known:
        return np.nan
    at = int(np.abs(rows["window"] - best.number).argmin())
    y = float(decades(logs(rows["mean_square_error"]))[at])
    of = "" if side.label else f", $K$ = {best.number:.0f}"
    label = once(ax, f"best window{of}")
    ax.plot(best.number, y, "*", ms=pt(17), mfc="white", mec=side.color if side.label else "black",
            zorder=6, ls="", label=label)  # fmt: skip
    return y


def lag_points(found: Found) -> list[Points]:
    """What each lag brings: gradient and noise."""
    return [each for side in sides(found) for each in _lags(side)]


def _lags(side: Side) -> list[Points]:
    rows = side.rows("horizon")
    if not rows:
        return []
    at = [f"lag {k}" for k in rows["lag"]]
    return [
        points(side.told(name), rows["lag"], decades(logs(rows[name])), at,
               [short(each) for each in rows[name]])
        for name in ("signal", "noise")
    ]  # fmt: skip


def plot_horizon(found: Found, *, ax: Axes | None = None) -> Axes:
    """What each lag adds to the gradient, and the noise that it brings with it.

    Both squared. Beyond the horizon, the line upwards, every lag brings more noise than gradient.
    Estimates of the signal that are 0 or below are not drawn: they are not to be told from 0.
    """
    ax = figures.axes_or_new(ax)
    for side in sides(found):
        for each, name, hollow in zip(
            _lags(side), ("gradient", "noise"), (False, True), strict=False
        ):
            line(ax, side, each, side.named(name), hollow=hollow)
        horizon = side.finding("horizon")
        if horizon.number_known and 0 <= horizon.number < side.n_steps - 1:
            label = side.named(f"horizon, lag {horizon.number:.0f}")
            found_at(ax, side, horizon.number + 0.5, label)
    of_steps(ax, found)
    beyond_window(ax, found, 0.5)
    decade_axis(ax)
    ax.set_xlabel("lag $k$ (steps back from the loss)")
    ax.set_ylabel(r"part of a lag, squared $/\,\|\overline{g}\|^2$")
    return legend(ax)


def norm_points(found: Found) -> list[Points]:
    """Norms of the gradients of batches, from the smallest up."""
    return [each for side in sides(found) for each in _norms(side)]


def _norms(side: Side) -> list[Points]:
    rows = side.rows("clipping_by_norm")
    if not rows:
        return []
    order = np.argsort(rows["norm"], kind="stable")
    norm, clipped, batch = (rows[name][order] for name in ("norm", "clipped", "batch"))
    at = [f"batch {k + 1}" for k in batch]
    said = [f"{short(x)}{', clipped' if c else ''}" for x, c in zip(norm, clipped, strict=True)]
    return [points(side.told("norm"), np.arange(1, norm.size + 1), decades(logs(norm)), at, said)]


def plot_norms(found: Found, *, ax: Axes | None = None) -> Axes:
    """Norms of the gradients of batches in order of size, and the limit they are clipped at."""
    ax = figures.axes_or_new(ax)
    for side in sides(found):
        for each in _norms(side):
            ax.plot(each.x, each.y, ls="", marker=side.marker, color=side.color,
                    label=side.named("gradients of batches"))  # fmt: skip
    for limit in sorted({_limit(side) for side in sides(found)} - {None}):  # type: ignore[type-var]
        ax.axhline(np.log10(limit), label=f"clipped at {short(limit)}", **figures.mark())  # type: ignore[arg-type]
    figures.count_axis(ax.xaxis)
    decade_axis(ax)
    ax.set_xlabel("batches, by size of the gradient")
    ax.set_ylabel("norm of the gradient")
    return legend(ax)


def _limit(side: Side) -> float | None:
    return side.finding("clipping_by_norm").threshold if _norms(side) else None


def cosine_points(found: Found) -> list[Points]:
    """Cosines of gradients clipped by value to the same before, from the smallest up."""
    return [each for side in sides(found) for each in _cosines(side)]


def _cosines(side: Side) -> list[Points]:
    rows = side.rows("clipping_by_value")
    if not rows:
        return []
    order = np.argsort(rows["cosine"], kind="stable")
    cosine, batch = rows["cosine"][order], rows["batch"][order]
    at = [f"batch {k + 1}" for k in batch]
    said = [number(each) for each in cosine]
    return [points(side.told("cosine"), np.arange(1, cosine.size + 1), cosine, at, said)]


def plot_cosines(found: Found, *, ax: Axes | None = None) -> Axes:
    """The cosine of each batch's gradient, clipped by value, to itself before: 1 is unchanged."""
    ax = figures.axes_or_new(ax)
    for side in sides(found):
        for each in _cosines(side):
            limit = short(side.finding("clipping_by_value").threshold)
            ax.plot(each.x, each.y, ls="", marker=side.marker, color=side.color,
                    label=side.named(f"entries clipped at {limit}"))  # fmt: skip
    figures.count_axis(ax.xaxis)
    low, _ = ax.get_ylim()
    ax.set_ylim(min(low - 0.05 * (1.0 - low), 0.88), 1.02)
    level(ax, 1.0)
    ax.set_xlabel("batches, by how far they are turned")
    ax.set_ylabel("cosine to the gradient before")
    return legend(ax)
