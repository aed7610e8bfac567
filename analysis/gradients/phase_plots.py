"""Where gradients vanish, arrive and explode: gain against sequence length, in one picture."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..frame import cells, figures
from ..frame.figures import pt
from .norm_plots import (
    MOST_DECADES,
    change_over_networks,
    critical_gain,
    gain_at_rest,
    one_network_set,
    regime,
)

_NAMES = {-1.0: "vanishes", 0.0: "arrives:\nwithin a\nfactor of 10", 1.0: "explodes"}
_INSIDE = 0.62  # of a figure's width and height, the part that cells have
_MARKS = 0.035  # of the width of the picture, where marks stand
_AIR = 1.3  # cells are so much larger than their numbers


class Critical(NamedTuple):
    """A gain at which something changes: what it is called, the marker that stands there."""

    label: str
    gain: float
    marker: Any
    theory: bool


def plot_phase(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Length x gain, coloured and labelled by the mean log10 change of the gradient norm.

    The change is `change_over_networks`; -inf where it is an exact 0, "?" where it is not known;
    no numbers where cells are too small for them. Blue and hatched is less than at the loss, red
    more. Thick borders lie at a factor of 10 down and up: between them gradients arrive; what
    happens to those of the longest sequences is named on the right. Marks at the left axis are
    `critical_gains`.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset)
    change = change_over_networks(dataset).transpose("gain", "length").values
    x, y = np.arange(data.length.size), np.arange(data.gain.size)
    mesh = figures.signed_mesh(ax, x, y, change, bound=MOST_DECADES)
    _write_numbers(ax, mesh, change)
    _draw_borders(ax, change)
    _name_regimes(ax, change[:, -1])
    for critical in critical_gains(data):
        position = float(np.interp(critical.gain, data.gain.values, y))
        _mark_gain(ax, critical, position)
    ax.set_xticks(x, [str(length) for length in data.length.values])
    ax.set_yticks(y, [f"{gain:g}" for gain in data.gain.values])
    ax.set_xlim(-0.5, x.size - 0.5)
    ax.set_ylim(-0.5, y.size - 0.5)
    ax.grid(visible=False)
    ax.set_xlabel("sequence length $T$ (steps)")
    ax.set_ylabel("gain of $W_{hh}$")
    return ax


def critical_gains(data: xr.Dataset) -> list[Critical]:
    """What theory and eigenvalues say, where it lies between the gains of the data.

    Pascanu's condition, the gain at which the median sigma_max(W_hh) is 1: below it gradients of
    such a network must vanish; and that of a median spectral radius of 1. Of gated cells and
    stacks, to which neither applies, where rest without input loses stability.
    """
    if cells.is_plain(data):
        norm, radius = (critical_gain(data, name) for name in ("spectral_norm", "spectral_radius"))
        found = [
            Critical(
                r"$\sigma_{max}(W_{hh}) = 1$: from here down gradients must vanish", norm, ">", True
            ),
            Critical(r"spectral radius $\rho(W_{hh}) = 1$", radius, "D", False),
        ]
    else:
        rest = gain_at_rest(data)
        label = r"$\rho(\partial h_t/\partial h_{t-1}) = 1$ at rest, no input, large $H$"
        found = [] if rest is None else [Critical(label, rest, ">", True)]
    low, high = float(data.gain.min()), float(data.gain.max())
    return [critical for critical in found if low <= critical.gain <= high]


def _mark_gain(ax: Axes, critical: Critical, position: float) -> Line2D:
    """A mark where no number stands: filled for theory, open for what is measured."""
    (line,) = ax.plot(
        [_MARKS],
        [position],
        transform=ax.get_yaxis_transform(),
        ls="",
        marker=critical.marker,
        ms=pt(9),
        mew=pt(1.4),
        mfc="black" if critical.theory else "white",
        color="black",
        zorder=6,
        label=critical.label,
        gid="theory" if critical.theory else None,
    )
    return line


def _write_numbers(ax: Axes, mesh: Any, change: npt.NDArray[np.float64]) -> None:
    """The numbers of all cells, on their colours, unless one has no room in its cell."""
    words = {at: _number(value) for at, value in np.ndenumerate(change)}
    size = 0.85 * float(rcParams["font.size"])
    assert ax.figure is not None
    width, height = ax.figure.get_size_inches()  # type: ignore[union-attr]
    wide = _AIR * max(figures.width_of(text, size) for text in words.values())
    rows, columns = change.shape
    if wide > _INSIDE * width / columns or _AIR * size / 72 > _INSIDE * height / rows:
        return
    for (row, column), text in words.items():
        color = mesh.cmap(mesh.norm(np.clip(change[row, column], -MOST_DECADES, MOST_DECADES)))
        if np.isnan(change[row, column]):
            color = mesh.cmap.get_bad()
        box = {"facecolor": color, "edgecolor": "none", "pad": pt(1.2)}
        ax.text(column, row, text, ha="center", va="center", fontsize=size, bbox=box, zorder=4)


def _number(value: float) -> str:
    """With a sign and one digit behind the point, none from a hundred on; "?" if not known."""
    if np.isnan(value):
        return "?"
    return f"{value:+z.1f}" if abs(value) < 99.95 or np.isinf(value) else f"{value:+z.0f}"


def _draw_borders(ax: Axes, change: npt.NDArray[np.float64]) -> None:
    """Thick lines between cells of different regime: vanishing, arriving, exploding."""
    kinds = np.nan_to_num(regime(change), nan=2.0)  # what is not known is one more
    style: dict[str, Any] = {
        "color": "black",
        "lw": pt(2.5),
        "zorder": 3,
        "solid_capstyle": "projecting",
    }
    for row, column in np.argwhere(kinds[:, 1:] != kinds[:, :-1]):
        ax.plot([column + 0.5] * 2, [row - 0.5, row + 0.5], **style)
    for row, column in np.argwhere(kinds[1:] != kinds[:-1]):
        ax.plot([column - 0.5, column + 0.5], [row + 0.5] * 2, **style)


def _name_regimes(ax: Axes, change: npt.NDArray[np.float64]) -> None:
    """What happens over the longest sequences, in words beside the middle of where it does."""
    found = regime(change)
    right = float(ax.dataLim.x1)
    for kind, name in _NAMES.items():
        rows = np.flatnonzero(found == kind)
        if rows.size:
            ax.plot([right], [float(np.median(rows))], ls="", color="black", label=name)
    names = figures.name_lines(ax)
    for line in ax.lines[-len(names) :] if names else []:
        line.remove()
