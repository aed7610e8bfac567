"""What figures of training share: a column of panels for each gain, what a caption begins with."""

from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from ..frame import cells, figures


def grid(data: xr.Dataset, rows: int, height: float) -> tuple[Figure, Any]:
    """Panels with a column for each gain."""
    columns = data.sizes["gain"]
    size = (4.4 * max(columns, 2) + 0.8, height)
    figure, axes = figures.new_figure(
        rows, columns, figsize=size, sharex=True, sharey="row", squeeze=False
    )
    for column, gain in enumerate(data.gain.values):
        axes[0, column].set_title(f"gain {gain:g} at the start")
    return figure, axes


def only_outer_labels(axes: Any) -> None:
    """No label that the panel to the left, or below, has already."""
    for ax in axes[:, 1:].flat:
        ax.set_ylabel("")
    for ax in axes[:-1].flat:
        ax.set_xlabel("")


def trained(data: xr.Dataset) -> str:
    """Which networks were trained on what, and how."""
    s = figures.configuration(data)
    window = f"window {s['window']}" if s["window"] else "full BPTT"
    return (
        f"{data.sizes['network_seed']} networks of {s['n_hidden']} units"
        f"{cells.in_each_layer(data)} a gain on "
        f"{cells.read_in_words(s['task'])}, T = {s['length']}, {s['optimizer']}, {window}"
    )
