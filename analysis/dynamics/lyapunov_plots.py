"""Plots of Lyapunov exponents: a dataset in, Axes out. What each shows is in its docstring."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes

from rnnsim import theory

from ..frame import cells, figures
from ..frame.words import counted

_BLUE = "#0072B2"
_STUB = 0.06  # of the axis, how long the dashes at a single exponent are
_MOST_GAIN = 1000.0  # what theory covers
RANDOM_ENTRIES = ("gaussian", "uniform")
_MEAN_FIELD, _REST = "mean field, large $H$", "rest, large $H$"
DASHED = {
    _MEAN_FIELD: "mean field of large networks",
    _REST: "where rest of large networks loses stability",
}  # lines of theory, and what they are in captions
GROWING = ("relu", "linear")  # activations that do not keep states bounded
_LARGEST = r"$\lambda_1$ (nats/step)"


def beyond_0(dataset: xr.Dataset) -> str:
    """What networks with a largest exponent above 0 are: bounded states part, others grow."""
    return "unstable" if figures.configuration(dataset)["activation"] in GROWING else "chaotic"


def at_rest(dataset: xr.Dataset, gain: float) -> bool:
    """Whether theory knows the whole spectrum: the Jacobian is W_hh of independent entries.

    So it is in a linear network, and in a tanh network without input that goes to rest, |g| <= 1.
    """
    settings = figures.configuration(dataset)
    if settings["scheme"] not in RANDOM_ENTRIES or not cells.is_plain(dataset):
        return False
    quiet = settings["activation"] == "tanh" and not settings["driven"]
    return bool(settings["activation"] == "linear" or (quiet and _effective(dataset, gain) <= 1))


def mean_field(dataset: xr.Dataset, gain: npt.ArrayLike) -> theory.MeanField | None:
    """Mean field at the inputs' mean variance; None where it does not hold."""
    settings = figures.configuration(dataset)
    if settings["activation"] != "tanh" or settings["scheme"] not in RANDOM_ENTRIES:
        return None
    if not cells.is_plain(dataset):
        return None
    g = _effective(dataset, gain)
    if g.max() > _MOST_GAIN:
        return None
    return theory.mean_field(g, input_variance=float(dataset.input_variance))


def gain_at_rest(dataset: xr.Dataset) -> float | None:
    """The gain at which rest of large gated networks and stacks ends; None where there is input."""
    settings = figures.configuration(dataset)
    if cells.is_plain(dataset) or settings["driven"]:
        return None
    return cells.gain_at_rest(dataset, settings["scheme"], settings["activation"])


def _effective(dataset: xr.Dataset, gain: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The g of theory; the sign of a gain changes nothing in it, and 0 comes close to 0."""
    scheme = figures.configuration(dataset)["scheme"]
    return theory.effective_gain(scheme, np.maximum(np.abs(gain), 1e-6))


def plot_spectrum(
    dataset: xr.Dataset,
    *,
    gains: list[float] | None = None,
    leading: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Lyapunov exponent i against i/H, for a few gains (`gains`: those nearest; all unless given).

    Thin lines are networks, thick ones their median, named at the right. Dashed, where theory knows
    the whole spectrum: ln |eigenvalue i| by the circular law. Elsewhere mean field knows the
    largest exponent: short dashes on the left, in the colour of the gain. With `leading` only that
    share of the exponents is drawn. The axis ends a little below the lowest median; single networks
    may go further.
    """
    ax = figures.axes_or_new(ax)
    data = dataset.isel(n_hidden=-1)
    if leading is not None:
        data = data.isel(exponent=slice(max(1, round(leading * int(data.n_hidden)))))
    index = data.exponent.values / int(data.n_hidden)
    lowest, medians = [], []
    for i, gain, color in figures.shaded(data.gain.values, gains):
        values = finite(data.lyapunov_exponent.sel(gain=gain).transpose("network_seed", ...))
        label = f"gain {gain:g}"
        figures.seeds_and_median(ax, index, values, label=label, color=color, index=i, lines=True)
        medians.append(ax.lines[-1])
        lowest.append(np.min(ax.lines[-1].get_ydata(), initial=0.0, where=np.isfinite(values[0])))
        _spectrum_in_theory(ax, dataset, gain, color, index)
    ax.axhline(0.0, **figures.guide())
    ax.set_xlim(left=min(0.0, ax.get_xlim()[0]))
    ax.set_ylim(bottom=max(ax.get_ylim()[0], 1.3 * min(lowest, default=0.0) - 0.1))
    figures.name_lines(ax, medians)
    ax.set_xlabel("rank of the exponent, $i\\,/\\,H$")
    ax.set_ylabel(r"Lyapunov exponent $\lambda_i$ (nats/step)")
    return ax


def _spectrum_in_theory(
    ax: Axes, dataset: xr.Dataset, gain: float, color: Any, index: npt.NDArray[np.float64]
) -> None:
    H = int(dataset.n_hidden[-1])
    if at_rest(dataset, gain):
        expected = theory.circular_law_log_moduli(H, _effective(dataset, gain))[: index.size]
        ax.plot((np.arange(expected.size) + 1) / H, expected, **figures.theory())
    elif (known := mean_field(dataset, gain)) is not None:
        level, end = float(known.largest_exponent), _STUB * index[-1]
        ax.plot([0.0, end], [level, level], **figures.theory(color=color, lw=figures.pt(2.5)))


def plot_transition(dataset: xr.Dataset, *, n_hidden: int, ax: Axes | None = None) -> Axes:
    """Largest exponent against gain, of networks of one size.

    Dots are networks, the line their median, the band their quartiles; dashed is mean field, for
    H -> infinity. Above the horizontal line trajectories that start close together part: tanh
    networks are chaotic, others unstable. Of gated ones and stacks without input, dashed: the gain
    at which rest loses stability.
    """
    ax = figures.axes_or_new(ax)
    largest = dataset.lyapunov_exponent.sel(n_hidden=n_hidden, exponent=1)
    values = finite(largest.transpose("network_seed", "gain"))
    _networks_and_median(ax, dataset.gain.values, values)
    gains = np.sort(np.unique(np.append(_dense(dataset.gain.values), dataset.gain.values)))
    known = mean_field(dataset, gains)
    if known is not None:
        ax.plot(gains, known.largest_exponent, label=_MEAN_FIELD, **figures.theory())
    critical = gain_at_rest(dataset)
    if critical is not None and gains[0] <= critical <= gains[-1]:
        ax.axvline(critical, label=_REST, **figures.theory())
    ax.axhline(0.0, **figures.guide())
    ax.set_xlabel("gain of $W_{hh}$")
    ax.set_ylabel("largest exponent " + _LARGEST)
    ax.set_title(counted(n_hidden, "unit"))
    return ax


def _networks_and_median(
    ax: Axes, gains: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> None:
    figures.seeds_and_median(ax, gains, values, label="median", color=_BLUE)
    dots = {"markersize": figures.pt(8), "zorder": 3, "color": "0.25"}
    ax.lines[0].set(label="one network", **dots)


def _dense(gains: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    low, high = float(gains.min()), float(gains.max())
    between = np.linspace(low, high, 200)
    return between[np.abs(between) > 0]


def plot_convergence(dataset: xr.Dataset, *, gain: float, ax: Axes | None = None) -> Axes:
    """Running estimate of the largest exponent against time, for one gain.

    Thin lines are networks; the thick one is the first of them, its band one standard error to
    either side. Dashed is mean field. An estimate is good when its line is level and its band thin;
    networks then still differ from each other.
    """
    ax = figures.axes_or_new(ax)
    data = dataset.isel(n_hidden=-1).sel(gain=gain)
    values = finite(data.running.transpose("network_seed", "time"))
    error = data.running_error.transpose("network_seed", "time").values[0]
    others = ax.plot(data.time, values[1:].T, color="0.3", alpha=0.6, lw=figures.pt(1.3))
    if others:
        others[0].set_label("other networks")
    first: dict[str, Any] = {"color": _BLUE, "zorder": 4}
    ax.fill_between(data.time, values[0] - error, values[0] + error, alpha=0.3, lw=0, **first)
    label = "first network, with standard error"
    ax.plot(data.time, values[0], lw=figures.pt(2.5), label=label, **first)
    known = mean_field(dataset, gain)
    if known is not None:
        ax.axhline(float(known.largest_exponent), label=_MEAN_FIELD, **figures.theory())
    ax.axhline(0.0, **figures.guide())
    ax.set_xlabel("time after the burn-in (steps)")
    ax.set_ylabel("largest exponent so far, " + _LARGEST)
    ax.set_title(f"gain {gain:g}")
    return ax


def plot_finite_time(
    dataset: xr.Dataset, *, gain: float, bins: npt.ArrayLike, ax: Axes | None = None
) -> Axes:
    """Histogram of the largest exponent over single blocks of steps, of all networks together.

    Ticks on top are the networks' own means. To the right of the vertical line small distances grow
    during a block. Dashed is mean field, for long times. `bins` are edges; what lies beyond counts
    in the outermost ones.
    """
    ax = figures.axes_or_new(ax)
    data = dataset.isel(n_hidden=-1).sel(gain=gain)
    edges = np.asarray(bins, dtype=float)
    blocks = finite(data.finite_time.transpose("network_seed", ...))
    shown = np.clip(blocks[np.isfinite(blocks)], edges[0], edges[-1])
    shares = np.full(shown.size, 100.0 / blocks.size)
    bars: dict[str, Any] = {"color": _BLUE, "ec": "white", "lw": figures.pt(0.4)}
    ax.hist(shown, edges.tolist(), weights=shares, **bars)
    means = finite(data.lyapunov_exponent.sel(exponent=1)).ravel()
    rug: dict[str, Any] = {
        "marker": "|",
        "ms": figures.pt(11),
        "mew": figures.pt(1.6),
        "color": "black",
    }
    place: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False}
    ax.plot(means, np.full(means.size, 1.0), ls="", label="mean of one network", **rug, **place)
    known = mean_field(dataset, gain)
    if known is not None:
        ax.axvline(float(known.largest_exponent), label=_MEAN_FIELD, **figures.theory())
    ax.axvline(0.0, **figures.guide())
    figures.lower_end(ax)
    ax.set_xlabel(r"largest exponent $\lambda_1$ over one block (nats/step)")
    ax.set_ylabel("blocks (%)")
    return ax


def plot_attractor(dataset: xr.Dataset, variable: str, *, ax: Axes | None = None) -> Axes:
    """Kaplan-Yorke dimension or sum of positive exponents, for each unit, against gain.

    Dots are networks, the line their median, the band their quartiles. 0 at rest; a dimension of
    0.1 says that a tenth of the directions matter on the attractor. Unstable linear networks have
    no attractor and no dot.
    """
    ax = figures.axes_or_new(ax)
    data = dataset.isel(n_hidden=-1)
    units = int(data.n_hidden) * cells.layers_of(dataset)
    values = finite(data[variable].transpose("network_seed", "gain")) / units
    _networks_and_median(ax, data.gain.values, values)
    ax.set_xlabel("gain of $W_{hh}$")
    layers = cells.layers_of(dataset)
    number = f"${layers if layers > 1 else ''}H$"
    ax.set_ylabel(
        {
            "kaplan_yorke": f"Kaplan-Yorke dimension / {number}",
            "entropy_rate": f"sum of positive exponents / {number} (nats/step)",
        }[variable]
    )
    return ax


def finite(values: xr.DataArray) -> npt.NDArray[np.float64]:
    """Infinities masked."""
    return np.where(np.isfinite(values), values, np.nan)
