"""Gates and layers of networks while they learn: each a line, under its name, and in words."""

from collections.abc import Callable, Mapping

import xarray as xr
from matplotlib.axes import Axes

from ..frame import cells, figures
from ..frame.words import middle

GATES = {"lstm": "ifgo", "gru": "rzn"}
_LABELS = {
    "gate_spectral_norm": r"spectral norm of $W_{hh}$ by gate",
    "gate_share": r"share of each gate in $dL/dW_{hh}$",
    "gate_mean": "mean of each gate",
    "spectral_radius": r"spectral radius of $W_{hh}$ by layer",
}


def of_one_kind(data: xr.Dataset) -> xr.Dataset:
    """Without the axis of layers where there is one, though other kinds have more."""
    one = cells.layers_of(data) == 1 and "layer" in data.dims
    return data.sel(layer=1) if one else data


def parts_of(data: xr.Dataset, variable: str) -> dict[str, xr.DataArray]:
    """A variable of one kind of networks by gates, of all layers the largest; else by layers."""
    values = data[variable]
    if cells.is_gated(data):
        values = values.max("layer") if "layer" in values.dims else values
        return {gate: values.sel(gate=gate) for gate in GATES[cells.cell_of(data)]}
    layers = range(1, cells.layers_of(data) + 1)
    return {f"layer {layer}": values.sel(layer=layer) for layer in layers}


def layers_apart(data: xr.Dataset, variable: str) -> dict[str, xr.Dataset]:
    """The data of each layer by name, where a variable is of each; else all of it, without a name.

    Nothing where there is no such variable.
    """
    if variable not in data:
        return {}
    if "layer" not in data[variable].dims:
        return {"": data}
    layers = range(1, cells.layers_of(data) + 1)
    return {f"layer {layer}": data.sel(layer=layer) for layer in layers}


def ends(values: xr.DataArray, form: str, of: Callable[[float], float] = float) -> str:
    """ "from 1 to 2", of medians at the first and at the last record that is left as an axis."""
    axis = values.transpose("network_seed", ...)
    first, last = (middle(axis[:, i], lambda x: format(of(x), form)) for i in (0, -1))
    return f"from {first} to {last}"


def ends_of_parts(data: xr.Dataset, variable: str, form: str) -> str:
    """ "i from 1 to 2, f from 2 to 3"."""
    parts = parts_of(data, variable).items()
    return ", ".join(f"{name} {ends(values, form)}" for name, values in parts)


def plot_parts(data: xr.Dataset, variable: str, *, gain: float, ax: Axes | None = None) -> Axes:
    """A variable of every gate, or layer, against updates, of the networks of one gain.

    Thin lines are networks, thick ones their medians, bands their quartiles. Gates and layers are
    told apart by their markers and, from dark to light, by their order.
    """
    ax = figures.axes_or_new(ax)
    draw_lines(parts_of(data.sel(gain=gain), variable), ax)
    ax.set_ylabel(_LABELS[variable])
    return ax


def draw_lines(parts: Mapping[str, xr.DataArray], ax: Axes) -> None:
    """A line of each against updates, as `plot_parts` draws them."""
    for i, (color, (name, values)) in enumerate(
        zip(figures.shades(len(parts)), parts.items(), strict=True)
    ):
        axis = "snapshot" if "snapshot" in values.dims else "updates"
        rows = values.transpose("network_seed", axis).values
        figures.seeds_and_median(
            ax, values[axis], rows, label=name, color=color, index=i, lines=True
        )
    ax.set_xlabel("updates")


def with_all_eigenvalues(data: xr.Dataset) -> xr.Dataset:
    """The eigenvalues of all layers of a stack along one axis, as if they were of one W_hh."""
    if "layer" not in data.eigenvalues.dims:
        return data
    layers = data.eigenvalues.sel(layer=list(range(1, cells.layers_of(data) + 1)))
    axes = [dim for dim in layers.dims if dim not in ("layer", "unit")]
    rows = layers.transpose(*axes, "layer", "unit").values
    return data.assign(eigenvalues=((*axes, "value"), rows.reshape(*rows.shape[:-2], -1)))
