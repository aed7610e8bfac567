"""Figures over lags: how far the gradient goes back, and beside it what the loss depends on."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rnnsim.diagnosis.findings import Finding, percent, told

from ...frame import figures
from ...frame.figures import decades, pt
from .axes import (
    a_decade_at_least,
    beyond_window,
    decade_axis,
    found_at,
    legend,
    level,
    line,
    of_steps,
    once,
    some_room,
)
from .points import Points, factor_between, number, points
from .sides import Floats, Found, Side, sides


def gradient_points(found: Found) -> list[Points]:
    """The size of the gradient at each lag, beside that at the first that counts."""
    return [each for side in sides(found) for each in _gradient(side)]


def _gradient(side: Side) -> list[Points]:
    rows = side.rows("gradient_rate")
    if not rows:
        return []
    change, error, origin = rows["log_change"], rows["log_error"], _origin(rows["log_change"])
    at = [f"lag {k}" for k in rows["lag"]]
    sizes = [f"{factor_between(*each)} of lag {origin}" for each in zip(change, error, strict=True)]
    return [points(side.told("gradient"), rows["lag"], decades(change), at, sizes)]


def _origin(change: Floats) -> int:
    """The lag that the others are compared with."""
    return int(np.flatnonzero(change == 0)[0])


def plot_gradient(found: Found, *, ax: Axes | None = None) -> Axes:
    """The typical size of the gradient of a loss with respect to the state k steps before it.

    A straight line is one rate; the thin black one was fitted, over its lags. The band holds
    the curve of many such sequences 95 times in a hundred, at each lag. Grey is what a truncated
    gradient does not see.
    """
    ax = figures.axes_or_new(ax)
    several = len(list(sides(found))) > 1
    for side in sides(found):
        for each in _gradient(side):
            rows, rate = side.rows("gradient_rate"), side.finding("gradient_rate")
            change, error = rows["log_change"], np.nan_to_num(rows["log_error"])
            low, high = decades(change - error), decades(change + error)
            ax.fill_between(rows["lag"], low, high, color=side.color, alpha=0.2, lw=0)
            line(ax, side, each, side.named("" if several else "gradient"))
            if np.isfinite(rows["fitted"]).any():
                label = side.named(f"{told(rate.number, rate.error)} nats/step")
                fit: dict[str, Any] = {"color": "black", "lw": pt(1.4), "zorder": 5}
                ax.plot(rows["lag"], decades(rows["fitted"]), label=label, **fit)
            _where_it_dies(ax, side, change)
    of_steps(ax, found)
    beyond_window(ax, found, 0.5)
    a_decade_at_least(ax)
    decade_axis(ax)
    ax.set_xlabel("lag $k$ (steps back from the loss)")
    origins = {_origin(side.rows("gradient_rate")["log_change"]) for side in sides(found)
               if side.rows("gradient_rate")}  # fmt: skip
    than = f"lag {origins.pop()} = 1" if len(origins) == 1 else "relative"
    ax.set_ylabel(f"size of the gradient, {than}")
    return legend(ax)


def _where_it_dies(ax: Axes, side: Side, change: Floats) -> None:
    dead = np.isneginf(change)
    if dead.any():
        label = side.named(f"exactly 0 from lag {int(dead.argmax())} on")
        found_at(ax, side, int(dead.argmax()), label)


def memory_points(found: Found) -> list[Points]:
    """The loss after so many steps from a state of 0."""
    return [each for side in sides(found) for each in _memory(side)]


def _memory(side: Side) -> list[Points]:
    rows = side.rows("forward_memory")
    if not rows:
        return []
    loss, rise, error = (rows[name] for name in ("loss", "rise", "error"))
    at = [f"K = {K}" for K in rows["reset"]]
    losses = [
        f"{number(x)} (rise {number(up, e)})" for x, up, e in zip(loss, rise, error, strict=True)
    ]
    return [points(side.told("loss"), rows["reset"], loss, at, losses)]


def plot_memory(found: Found, *, ax: Axes | None = None) -> Axes:
    """The loss when the state is set to 0 K steps before it, so that K steps are read.

    Where the curve is level nothing is seen that the state carries so far. Bars hold the rise of
    the loss of many such sequences 95 times in a hundred; the thin line is the loss after all
    steps, the ring the K from which on the loss is back.
    """
    ax = figures.axes_or_new(ax)
    for side in sides(found):
        for each in _memory(side):
            rows, back = side.rows("forward_memory"), side.finding("forward_memory")
            full = float(rows["loss"][0] - rows["rise"][0])
            line(ax, side, each, side.named("" if side.label else "loss"), every=1)
            ax.errorbar(rows["reset"], rows["loss"], figures.finite(rows["error"]), ls="",
                        color=side.color, capsize=pt(3), lw=pt(1.2))  # fmt: skip
            level(ax, full, color=side.color, label=once(ax, "after all steps"))
            if back.number_known and back.says.startswith("carries"):
                at = float(rows["loss"][list(rows["reset"]).index(back.number)])
                ax.plot(back.number, at, "o", ms=pt(13), mfc="none", mec="black",
                        mew=pt(1.8),
                        label=once(ax, f"back from there on{_steps(side, back)}"))  # fmt: skip
    of_steps(ax, found)
    beyond_window(ax, found, 0.0)
    some_room(ax)
    ax.set_xlabel("steps $K$ read from a state of 0")
    ax.set_ylabel("loss (per step with loss)")
    return legend(ax)


def held_points(found: Found) -> list[Points]:
    """By how much h at the loss changes when only so many steps are read from a state of 0."""
    return [each for side in sides(found) for each in _held(side)]


def _held(side: Side) -> list[Points]:
    rows = side.rows("state_memory")
    if not rows:
        return []
    at = [f"K = {K}" for K in rows["reset"]]
    said = [f"{percent(x)} of h" for x in rows["change"]]
    return [points(side.told("change of h"), rows["reset"], 100 * rows["change"], at, said)]


def plot_held(found: Found, *, ax: Axes | None = None) -> Axes:
    """How far h at the steps with loss is from itself, K steps after a state of 0.

    What h does not hold no loss can see. Bars hold the change of many such sequences 95 times in
    a hundred; dotted is the limit, below which the state counts as the same.
    """
    ax = figures.axes_or_new(ax)
    for side in sides(found):
        for each in _held(side):
            rows, held = side.rows("state_memory"), side.finding("state_memory")
            line(ax, side, each, side.named("" if side.label else "$h$"), every=1)
            ax.errorbar(rows["reset"], each.y, figures.finite(100 * rows["error"]), ls="",
                        color=side.color, capsize=pt(3), lw=pt(1.2))  # fmt: skip
            limit = once(ax, f"{percent(held.threshold)} of $h$")
            ax.axhline(100 * held.threshold, label=limit, **figures.mark())
    of_steps(ax, found)
    ax.set_ylim(0.0, None)
    ax.set_xlabel("steps $K$ read from a state of 0")
    ax.set_ylabel("change of $h$ at the loss (% of $h$)")
    return legend(ax)


def _steps(side: Side, back: Finding) -> str:
    return "" if side.label else f", $K$ = {back.number:.0f}"
