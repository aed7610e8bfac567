"""Figures of what the network does by itself: states, gates and the matrix of the recurrence."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rnnsim.diagnosis.findings import percent, short

from ...frame import figures
from ...frame.figures import decades
from .axes import ABOVE, decade_axis, legend, line, once
from .bars import bar_points, by_layer, draw_bars, label_rungs, names, rungs
from .points import Points, logs, number, points
from .sides import Found, Side, sides

_SPREAD = 100.0  # of sizes that a linear axis still shows
_GATES: dict[str, dict[str, Any]] = {
    "low": {"color": "#0072B2"}, "between": {"color": "0.88"},
    "high": {"color": "#E69F00", "hatch": "///"},
}  # fmt: skip
_CIRCLE = np.exp(1j * np.linspace(0.0, 2 * np.pi, 200))


def state_points(found: Found) -> list[Points]:
    """The size of h, and of c, after each time the inputs were read."""
    return [each for side in sides(found) for each in _states(side, _wide(found))]


def _states(side: Side, wide: bool) -> list[Points]:
    rows = side.rows("carried_state")
    curves = []
    for name in ("h", "c"):
        if f"rms_{name}" in rows:
            rms = rows[f"rms_{name}"]
            at, said = [f"step {k}" for k in rows["steps"]], [short(each) for each in rms]
            drawn = decades(logs(rms)) if wide else rms
            curves.append(points(side.told(name), rows["steps"], drawn, at, said))
    return curves


def _wide(found: Found) -> bool:
    """Whether sizes need an axis of logs."""
    rows = [side.rows("carried_state") for side in sides(found)]
    sizes = np.concatenate([[1.0], *(v for row in rows for k, v in row.items() if k != "steps")])
    sizes = sizes[1:][sizes[1:] > 0]
    return bool(sizes.size and sizes.max() > _SPREAD * sizes.min())


def plot_states(found: Found, *, ax: Axes | None = None) -> Axes:
    """The root mean square of h, and of c, when the inputs are read up to ten times over.

    The first point is the length of the data. A curve that rises leaves what training saw.
    """
    ax = figures.axes_or_new(ax)
    wide = _wide(found)
    for side in sides(found):
        for each in _states(side, wide):
            name = each.name[-1]
            line(ax, side, each, side.named(f"${name}$"), hollow=name == "c", every=1)
    if wide:
        decade_axis(ax)
    else:
        most = max((float(np.max(each.get_ydata())) for each in ax.lines), default=0.0)
        ax.set_ylim(0.0, 1.12 * most or 1.0)
    ax.set_xlim(0, None)
    ax.set_xlabel("steps read")
    ax.set_ylabel("root mean square of the state")
    return legend(ax)


def gate_points(found: Found) -> list[Points]:
    """Of each gate the share that is nearly open or shut, and its mean."""
    return _gates(found)


def _gates(found: Found) -> list[Points]:
    curves = []
    for side, y, _ in rungs(found, _named_gates):
        rows = side.rows("gates")
        said = [
            f"{percent(low)} low, {percent(high)} high, mean {short(mean)}"
            for low, high, mean in zip(rows["low"], rows["high"], rows["mean"], strict=True)
        ]
        at = [f"gate {each}" for each in _named_gates(side)]
        curves.append(points(side.told("gates"), np.full(y.size, 0.5), y, at, said))
    return curves


def _named_gates(side: Side) -> list[str]:
    return list(map(str, side.rows("gates").get("gate", ())))


def plot_gates(found: Found, *, ax: Axes | None = None) -> Axes:
    """Which share of a gate's values is nearly shut, between, and nearly open.

    Low is below .1 and high above .9, of g and n, which run from -1 to 1, below -.9 and above .9.
    At the right is the mean.
    """
    ax = figures.axes_or_new(ax)
    for side, y, height in rungs(found, _named_gates):
        rows = side.rows("gates")
        low, high = rows["low"], rows["high"]
        parts = (0.0, low, "low"), (low, 1 - low - high, "between"), (1 - high, high, "high")
        for left, width, name in parts:
            ax.barh(
                y, width, height, left=left, label=once(ax, name), lw=0, zorder=2, **_GATES[name]
            )
        for k, mean in enumerate(rows["mean"]):
            of = f", {side.brief}" if side.label else ""
            ax.text(1.02, y[k], f"mean {mean:.2f}{of}", va="center", fontsize="small")
    label_rungs(ax, [f"${name}$" for name in names(found, _named_gates)])
    ax.set_xlim(0.0, 1.0)
    ax.grid(visible=False)
    ax.xaxis.set_major_formatter(lambda x, _: f"{100 * x:.0f} %")
    ax.set_xlabel("share of the gate's values")
    return legend(ax, **ABOVE)


def time_points(found: Found) -> list[Points]:
    """The time scale of each unit, from the shortest up."""
    return [each for side in sides(found) for each in _times(side)]


def _times(side: Side) -> list[Points]:
    rows = side.rows("time_scale")
    if not rows:
        return []
    scale = rows["time_scale"]
    share = (np.arange(scale.size) + 0.5) / scale.size
    at = [f"unit {k + 1}" for k in range(scale.size)]
    said = [f"{number(each)} steps" for each in scale]
    return [points(side.told("time scale"), share, decades(logs(scale)), at, said)]


def plot_time_scales(found: Found, *, ax: Axes | None = None) -> Axes:
    """In how many steps each unit forgets by e, by its gate alone, the fastest first.

    Dotted is the length of the data: what lies above remembers for longer than they last.
    """
    ax = figures.axes_or_new(ax)
    for side in sides(found):
        for each in _times(side):
            line(ax, side, each, side.named("units"))
    for T in sorted({side.n_steps for side in sides(found)}):
        ax.axhline(np.log10(T), label=f"length of the data, {T}", **figures.mark())
    decade_axis(ax)
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(lambda x, _: f"{100 * x:.0f} %")
    ax.set_xlabel("units, from the fastest")
    ax.set_ylabel("time scale (steps)")
    return legend(ax)


def eigenvalue_points(found: Found) -> list[Points]:
    """Eigenvalues of W_hh, of vanilla networks, layer by layer."""
    return [each for side in sides(found) for each in _eigenvalues(side)]


def _eigenvalues(side: Side) -> list[Points]:
    rows = side.rows("spectrum")
    if "real" not in rows:
        return []
    real, imag, layer = (rows[name] for name in ("real", "imag", "layer"))
    several = layer.max() > 1
    found = []
    for number_of in np.unique(layer):
        here = np.flatnonzero(layer == number_of)
        name = f"layer {number_of}" if several else "eigenvalues"
        at = [f"layer {number_of}, {k + 1}" for k in range(here.size)]
        said = [_complex(real[k], imag[k]) for k in here]
        found.append(points(side.told(name), real[here], imag[here], at, said))
    return found


def _complex(real: float, imag: float) -> str:
    sign = "-" if imag < 0 else "+"
    return f"{short(real)} {sign} {short(abs(imag))}i, modulus {short(float(np.hypot(real, imag)))}"


def plot_eigenvalues(found: Found, *, ax: Axes | None = None) -> Axes:
    """Eigenvalues of W_hh in the plane, and the unit circle, grey.

    Inside of it a linear network forgets, outside it grows. Layers differ in their markers.
    """
    ax = figures.axes_or_new(ax)
    ax.plot(_CIRCLE.real, _CIRCLE.imag, color="0.45", lw=figures.pt(1.6), zorder=1)
    for side in sides(found):
        for k, each in enumerate(_eigenvalues(side)):
            name = each.name.removeprefix(f"{side.label}: ") if side.label else each.name
            label = side.named("" if name == "eigenvalues" and side.label else name)
            marker = figures.MARKERS[k % len(figures.MARKERS)] if not side.label else side.marker
            faced = {"mfc": "none"} if k else {}
            ax.plot(each.x, each.y, ls="", marker=marker, color=side.color, label=label, **faced)  # type: ignore[arg-type]
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_xlabel("real part")
    ax.set_ylabel("imaginary part")
    return legend(ax)


def block_points(found: Found) -> list[Points]:
    """Largest singular values of the blocks of W_hh, of gated cells."""
    return bar_points(found, _blocks, "norm", short)


def _blocks(side: Side) -> tuple[list[str], list[float]]:
    rows = side.rows("spectrum")
    return by_layer({} if "real" in rows else rows)


def plot_blocks(found: Found, *, ax: Axes | None = None) -> Axes:
    """The largest singular value of each gate's block of W_hh."""
    ax = draw_bars(figures.axes_or_new(ax), found, _blocks)
    ax.set_xlabel("largest singular value")
    return ax
