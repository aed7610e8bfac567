"""Plots of what one step does, of gated networks and stacks: a dataset in, Axes out."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from rnnsim import theory

from ..frame import cells, figures
from ..frame.statistics import median, median_over

_REST: dict[str, Any] = {"ls": "", "marker": "o", "mfc": "none", "zorder": 3}
_DRIVEN: dict[str, Any] = {"ls": "", "marker": ".", "mew": 0, "zorder": 2.5}
_UNIT: dict[str, Any] = {"color": "0.45"}
_MOST_BLOCKS = 4


def of_one_kind(data: xr.Dataset) -> xr.Dataset:
    """Without the places of numbers that only states of other kinds have."""
    size = cells.state_size(data, figures.configuration(data)["n_hidden"])
    return data.isel(value=slice(size))


def rest_disc(data: xr.Dataset, scheme: str, gain: float) -> tuple[float, float] | None:
    """A disc, its middle and radius, that eigenvalues at rest but 0 fill or border, of many units.

    ::

        LSTM  f, i o |g| rho      GRU  z, (1 - z) r |g| rho      vanilla  0, |g| rho

    None where there is no rest at s = 0 (`cells.gain_at_rest`).
    """
    activation = figures.configuration(data)["activation"]
    critical = cells.gain_at_rest(data, scheme, activation)
    if critical is None:
        return None
    gated = cells.is_gated(data)
    keep = float(np.exp(theory.gate_log_norm(cells.forget_bias_of(data), 1))[0]) if gated else 0.0
    return keep, (1 - keep) * abs(gain) / critical


def rest_radius(data: xr.Dataset, scheme: str) -> npt.NDArray[np.float64]:
    """The spectral radius at rest of many units, at every gain; NaN where there is none."""
    discs = [rest_disc(data, scheme, gain) for gain in data.gain.values]
    return np.array([np.nan if disc is None else sum(disc) for disc in discs])


def radii(data: xr.Dataset, variable: str) -> xr.DataArray:
    """Spectral radii of a step: at rest, or of each sequence, the median of them."""
    moduli: xr.DataArray = data[variable].copy(data=np.abs(data[variable].values))
    moduli = moduli.max("value")
    return median_over(moduli, "sequence") if "sequence" in moduli.dims else moduli


def plot_step(data: xr.Dataset, *, scheme: str, gain: float, ax: Axes | None = None) -> Axes:
    """Eigenvalues of one step in the complex plane, of all networks together.

    Circles: at rest; dots: at the last step of every sequence. Solid: modulus 1; dashed: the border
    of those at rest that are not 0, for many units.
    """
    ax = figures.axes_or_new(ax)
    here = data.sel(scheme=scheme, gain=gain)
    for variable, style in (("eigenvalue", _driven(4)), ("rest_eigenvalue", _rest())):
        values = here[variable].values.ravel()
        color = figures.SCHEMES[scheme] if variable == "eigenvalue" else "black"
        ax.plot(values.real, values.imag, color=color, **style)
    unit = {"ec": _UNIT["color"], "lw": figures.pt(1.4), "zorder": 3}
    ax.add_patch(Circle((0, 0), 1.0, fill=False, **unit))
    disc = rest_disc(data, scheme, gain)
    if disc is not None:
        border = figures.theory(color=None, ec="black")
        ax.add_patch(Circle((disc[0], 0), disc[1], fill=False, **border))
    ax.set_aspect("equal")
    ax.set_xlabel(r"real part of $\lambda$")
    ax.set_ylabel(r"imaginary part of $\lambda$")
    ax.set_title(scheme)
    return ax


def _rest() -> dict[str, Any]:
    return _REST | {"ms": figures.pt(6), "mew": figures.pt(1.1)}


def _driven(points: float) -> dict[str, Any]:
    return _DRIVEN | {"ms": figures.pt(points)}


def step_key() -> list[Line2D]:
    """Legend of `plot_step`."""
    return [
        Line2D([], [], label="at rest", color="black", **_rest()),
        Line2D([], [], label="at the last step", color="0.35", **_driven(8)),
        Line2D([], [], label="modulus 1", lw=figures.pt(1.4), **_UNIT),
        Line2D([], [], label="border at rest, large H", **figures.theory()),
    ]


def blocks_of(data: xr.Dataset) -> list[str]:
    """The blocks of W_hh that a kind of networks has: gates, of stacks with their layer."""
    gates = {"lstm": "ifgo", "gru": "rzn"}.get(cells.cell_of(data), ("W_hh",))
    depth = cells.layers_of(data)
    layers = [f"{layer}: " for layer in range(1, depth + 1)] if depth > 1 else [""]
    return [layer + gate for layer in layers for gate in gates]


def blocks_shown(data: xr.Dataset) -> list[str]:
    """Those that `plot_blocks` draws: all, or where these are many those of the highest layers."""
    names = blocks_of(data)
    each = len(names) // cells.layers_of(data)
    return names[-each * max(1, _MOST_BLOCKS // each) :] if len(names) > _MOST_BLOCKS else names


def plot_blocks(data: xr.Dataset, *, scheme: str, gain: float, ax: Axes | None = None) -> Axes:
    """Singular values of the blocks of W_hh (`blocks_shown`), in descending order, named.

    Thin lines are networks, thick ones medians. The norm of a block says how far the state can move
    the sums of one gate.
    """
    ax = figures.axes_or_new(ax)
    here = data.sel(scheme=scheme, gain=gain).block_singular_value
    names, lines = blocks_shown(data), []
    index = np.arange(1, data.unit.size + 1)
    for i, (name, color) in enumerate(zip(names, figures.shades(len(names)), strict=True)):
        rows = here.sel(block=name).transpose("network_seed", "unit").values
        figures.seeds_and_median(ax, index, rows, label=name, color=color, index=i, lines=True)
        lines.append(ax.lines[-1])
    figures.name_lines(ax, lines)
    figures.lower_end(ax)
    figures.count_axis(ax.xaxis)
    ax.set_xlabel("index $i$, in descending order")
    ax.set_ylabel(r"$\sigma_i$ of a block of $W_{hh}$")
    ax.set_title(scheme)
    return ax


def plot_stretch(data: xr.Dataset, *, scheme: str, gain: float, ax: Axes | None = None) -> Axes:
    """Singular values of the last step's Jacobian: thin lines networks and sequences, thick median.

    One step stretches a gradient by at most the first; those that are 0 are lost at once.
    """
    ax = figures.axes_or_new(ax)
    values = data.singular_value.sel(scheme=scheme, gain=gain)
    rows = values.transpose("network_seed", "sequence", "value").values
    rows = rows.reshape(-1, rows.shape[-1])
    index = np.arange(1, rows.shape[1] + 1)
    figures.seeds_and_median(
        ax, index, rows, label="median", color=figures.SCHEMES[scheme], lines=True
    )
    ax.axhline(1.0, **_UNIT, lw=figures.pt(1.4), zorder=1)
    figures.lower_end(ax)
    figures.count_axis(ax.xaxis)
    ax.set_title(scheme)
    ax.set_xlabel("index $i$, in descending order")
    ax.set_ylabel(r"$\sigma_i(\partial s_T/\partial s_{T-1})$")
    return ax


def plot_radius(
    data: xr.Dataset, variable: str, *, scheme: str, index: int = 0, ax: Axes | None = None
) -> Axes:
    """Spectral radius of one step against gain: dots are networks, lines medians.

    Of `rest_eigenvalue` with what many units come to, dashed; of `eigenvalue` the median over
    sequences of each network.
    """
    ax = figures.axes_or_new(ax)
    rows = radii(data.sel(scheme=scheme), variable).transpose("network_seed", "gain").values
    figures.seeds_and_median(
        ax, data.gain, rows, label=scheme, color=figures.SCHEMES[scheme], index=index
    )
    if variable == "rest_eigenvalue":
        ax.plot(data.gain, rest_radius(data, scheme), **figures.theory())
    ax.axhline(1.0, **_UNIT, lw=figures.pt(1.4), zorder=1)
    ax.set_xlabel("gain of $W_{hh}$")
    ax.set_ylabel(r"spectral radius $\rho(\partial s_t/\partial s_{t-1})$")
    return ax


def rest_medians(data: xr.Dataset, scheme: str) -> xr.DataArray:
    """The median radius at rest at every gain, ascending."""
    here = data.sortby("gain").sel(scheme=scheme)
    return median_over(radii(here, "rest_eigenvalue"), "network_seed")


def crossing(data: xr.Dataset, scheme: str) -> float:
    """The gain at which the median radius at rest first rises through 1; NaN if at none."""
    radius = rest_medians(data, scheme)
    gain, y = radius.gain.values, radius.values - 1.0
    up = np.flatnonzero((y[:-1] < 0) & (y[1:] >= 0))
    if up.size == 0:
        return float("nan")
    i = int(up[0])
    return float(gain[i] - y[i] * (gain[i + 1] - gain[i]) / (y[i + 1] - y[i]))


def largest(data: xr.Dataset, variable: str) -> float:
    """The median over networks, and sequences, of the largest singular value."""
    dim = "unit" if variable == "block_singular_value" else "value"
    return float(median(data[variable].isel({dim: 0})))
