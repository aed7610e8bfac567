"""Gates while networks learn: their shares of the gradient, their means, how long they remember."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..frame import cells, figures
from ..frame.figures import log_axis, powers
from ..frame.statistics import median_over
from .panels import drawn, gains_of, grid, trained
from .parts import draw_lines, ends, ends_of_parts, layers_apart, plot_parts

_KEEPS = {"lstm": "f", "gru": "z"}  # the gate that multiplies what a unit keeps
_TIMES = "gate_time_scale"


def gate_figure(data: xr.Dataset) -> Figure:
    """Shares and means of every gate, a row for each layer, and time scales; a column for a gain.

    Runs of before have shares of all layers together, and may have no means and time scales.
    """
    rows = [
        (variable, name, part)
        for variable in ("gate_share", "gate_mean")
        for name, part in layers_apart(data, variable).items()
    ]
    timed = _TIMES in data
    figure, axes = grid(data, len(rows) + timed, 3.7 * (len(rows) + timed))
    for column, gain in enumerate(gains_of(data)):
        for ax, (variable, name, part) in zip(axes[:, column], rows, strict=False):
            plot_parts(part, variable, gain=gain, ax=ax)
            ax.axhline(0.0, color="0.6", lw=figures.pt(0.8), zorder=1)
            ax.set_ylabel(f"{ax.get_ylabel()}\n{name}".rstrip())
        if timed:
            plot_time_scales(data, gain=gain, ax=axes[-1, column])
            if cells.layers_of(data) > 1:
                figures.name_lines(axes[-1, column])
    figures.label_outer(figure)
    figures.legend_above(figure, axes[0, 0].get_legend_handles_labels()[0])
    figures.caption(figure, _caption(data))
    return figure


def _caption(data: xr.Dataset) -> str:
    layered = "layer" in data.gate_share.dims
    text = (
        f"{trained(data)}.{drawn(data)} The shares of all gates"
        f"{' of a layer' * layered} add up to 1: of what a small step along the gradient of "
        f"W_hh{' of that layer' * layered} takes off the loss, so much is owed to each gate's "
        "block. Look for the gate that takes over while the loss falls."
    )
    if _TIMES not in data:
        return text
    lost = " Infinite ones, of gates that never close, are not drawn."
    return (
        f"{text} Means of gates are over test data and units; time scales are the steps in "
        f"which {_kept(data)} alone shrinks what a unit keeps by e, median over units."
        f"{lost * bool(np.isposinf(log_times(data)).any())}"
    )


def _kept(data: xr.Dataset) -> str:
    return _KEEPS[cells.cell_of(data)]


def log_times(data: xr.Dataset) -> xr.DataArray:
    """ln of time scales in steps, the median over units; infinite ones count as they are."""
    times = data[_TIMES]
    with np.errstate(divide="ignore"):  # of gates that are exactly 0
        return median_over(times.copy(data=np.log(times)), "unit")


def plot_time_scales(data: xr.Dataset, *, gain: float, ax: Axes | None = None) -> Axes:
    """Steps in which the gate alone shrinks what a unit keeps by e, against updates, at one gain.

    Medians over units, of logs: thin lines are networks, thick ones their medians, bands their
    quartiles; of stacks a line for each layer. Infinite ones are not drawn.
    """
    ax = figures.axes_or_new(ax)
    here = data.sel(gain=gain)
    lines = {}
    for name, part in layers_apart(here, _TIMES).items():
        logs = log_times(part)
        lines[name or "median"] = logs.copy(data=powers(logs))
    draw_lines(lines, ax)
    log_axis(ax)
    ax.set_ylabel(f"time scale of ${_kept(data)}$ (steps)")
    return ax


def gates_in_words(data: xr.Dataset) -> list[str]:
    """What became of the gates of the networks of one gain, from the first to the last snapshot."""
    start = f"From gain {float(data.gain):g} the"
    said = [f"{start} median share of each gate in dL/dW_hh goes {_by_gate(data, 'gate_share')}."]
    if _TIMES not in data:
        return said
    times = layers_apart(data, _TIMES)
    spans = [
        f"{f'in {name} ' * bool(name)}{ends(log_times(part), '.3g', np.exp)}"
        for name, part in times.items()
    ]
    never = " (inf: never)" * any("inf" in span for span in spans)
    return [
        *said,
        f"{start} median of each gate's mean goes {_by_gate(data, 'gate_mean')}.",
        f"{start} time scale of {_kept(data)}, in which it alone shrinks what a unit keeps by e, "
        f"goes {', '.join(spans)} steps{never}: medians over networks of those over units.",
    ]


def _by_gate(data: xr.Dataset, variable: str) -> str:
    """ "i from 1 to 2, f from 2 to 3"; of stacks "in layer 1 i from 1 to 2; in layer 2 ..."."""
    return "; ".join(
        f"{f'in {name} ' * bool(name)}{ends_of_parts(part, variable, 'z.2f')}"
        for name, part in layers_apart(data, variable).items()
    )
