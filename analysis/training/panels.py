"""What figures of training share: a column of panels for each gain, what a caption begins with."""

from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from ..frame import cells, figures

_COLUMNS = 3


def gains_of(data: xr.Dataset) -> list[float]:
    """The gains that have a column: all, or a few from the least to the greatest."""
    return figures.few(data.gain.values, _COLUMNS)


def grid(data: xr.Dataset, rows: int, height: float) -> tuple[Figure, Any]:
    """Panels with a column for each of `gains_of`, of one scale in every row."""
    gains = gains_of(data)
    size = (3.7 * max(len(gains), 2), height)
    figure, axes = figures.new_figure(
        rows, len(gains), figsize=size, sharex=True, sharey="row", squeeze=False
    )
    figures.entitle(axes, [f"gain {gain:g} at the start" for gain in gains])
    return figure, axes


def trained(data: xr.Dataset) -> str:
    """Which networks were trained on what, and how."""
    s = figures.configuration(data)
    window = f"window {s['window']}" if s["window"] else "full BPTT"
    n = data.sizes["network_seed"]
    return (
        f"{n} network{'s' * (n > 1)} of {s['n_hidden']} units{cells.in_each_layer(data)} a gain on "
        f"{cells.read_in_words(s['task'])}, T = {s['length']}, {s['optimizer']}, {window}"
    )


def drawn(data: xr.Dataset) -> str:
    """What lines are: of one network itself, of several with their median."""
    several = data.sizes["network_seed"] > 1
    return " Thin: networks, thick: median, bands: quartiles." * several
