"""Plots of non-normality: a dataset in, Axes out. What each shows is in its docstring."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from ..frame import figures
from ..frame.figures import configuration, decades
from ..frame.statistics import median

_CONTOURS = {-1: ("#D55E00", 3.0), -2: ("#0072B2", 1.5)}  # by power of ten: colour, points
_FLOOR = -7  # decades: smaller values are drawn as this
_DEPARTURE = r"departure from normality, $\|R\|_F\,/\,\|W_{hh}\|_F$"


def plot_pseudospectrum(dataset: xr.Dataset, *, scale: float, ax: Axes | None = None) -> Axes:
    """sigma_min(z - W_hh) in the complex plane: dark where small, contours, eigenvalues.

    The contour of 0.1 encloses all that changes of W_hh of 2-norm 0.1 can make of the eigenvalues,
    that of 0.01 likewise. The circle is modulus 1: contours far outside mean transient growth.
    """
    ax = figures.axes_or_new(ax)
    data, norm = dataset.sel(scale=scale), plane_norm(dataset)
    shown = decades(data.log_sigma_min.transpose("im", "re"))
    x, y = data.re.values, data.im.values
    filled = np.where(np.isfinite(shown), shown, float(norm.vmin or 0.0))
    ax.pcolormesh(x, y, filled, norm=norm, cmap="Greys_r", shading="gouraud", rasterized=True)
    for level, (color, points) in _CONTOURS.items():
        style: dict[str, Any] = {"colors": color, "linewidths": figures.pt(points)}
        figures.contour(ax, x, y, shown, levels=[level], linestyles="solid", **style)
    values = data.eigenvalues.values
    ax.plot(values.real, values.imag, **_eigenvalue_style())
    ax.add_patch(Circle((0, 0), 1.0, fill=False, zorder=3, ec="black", lw=figures.pt(1.2)))
    ax.set_aspect("equal")
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.grid(visible=False)
    ax.set_xlabel("real part of $z$")
    ax.set_ylabel("imaginary part of $z$")
    return ax


def _eigenvalue_style() -> dict[str, Any]:
    face = {"color": "white", "mec": "black", "mew": figures.pt(0.9)}
    return {"ls": "", "marker": "o", "ms": figures.pt(4.2), "zorder": 4} | face


def plane_norm(dataset: xr.Dataset) -> Normalize:
    """Shades of `plot_pseudospectrum`, the same for all scales, in powers of ten."""
    values = decades(dataset.log_sigma_min)
    known = values[np.isfinite(values)]
    lowest = float(np.quantile(known, 0.001)) if known.size else -2.0
    return Normalize(int(np.clip(np.floor(lowest), _FLOOR, -2)), 1)


def plane_key() -> list[Line2D]:
    """Legend of `plot_pseudospectrum`."""
    contours = [
        Line2D([], [], color=color, lw=figures.pt(points),
               label=rf"$\sigma_{{min}}$ = {10.0**level:g}")
        for level, (color, points) in _CONTOURS.items()
    ]  # fmt: skip
    return [
        Line2D([], [], label="eigenvalues", **_eigenvalue_style()),
        Line2D([], [], label="modulus 1", color="black", lw=figures.pt(1.2)),
        *contours,
    ]


def plot_powers(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """ln ||W_hh^k|| against k for every scale of the departure from normality, named at the line.

    Thin lines are networks, thick ones their median. Dashed: k ln rho, the line of a normal matrix.
    """
    ax = figures.axes_or_new(ax)
    lines = [
        _curves(ax, data.lag, data.log_power_norm, scale, index, color)
        for index, scale, color in figures.shaded(dataset.scale.values)
        for data in [dataset.sel(scale=scale)]
    ]
    _asymptote(ax, dataset)
    figures.name_lines(ax, lines)
    ax.set_xlabel("power $k$")
    ax.set_ylabel(r"$\ln\|W_{hh}^k\|_2$ (nats)")
    return ax


def plot_gradients(dataset: xr.Dataset, *, activation: str, ax: Axes | None = None) -> Axes:
    """ln of the norm of dl_T/dh_{T-k}, relative to lag 0, against lag k, for every scale.

    Thin lines are networks, thick ones their median; dashed: k ln rho.
    """
    ax = figures.axes_or_new(ax)
    lines = [
        _curves(ax, data.lag, data.log_gradient_norm, scale, index, color)
        for index, scale, color in figures.shaded(dataset.scale.values)
        for data in [dataset.sel(scale=scale, activation=activation)]
    ]
    _asymptote(ax, dataset)
    figures.name_lines(ax, lines)
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel(
        r"$\ln(\|\partial l_T/\partial h_{T-k}\|\,/\,\|\partial l_T/\partial h_T\|)$ (nats)"
    )
    return ax


def _curves(
    ax: Axes, lag: xr.DataArray, values: xr.DataArray, scale: float, index: int, color: Any
) -> Line2D:
    curves = values.transpose("network_seed", "lag").values
    label = f"s = {scale:g}"
    figures.seeds_and_median(ax, lag, curves, label=label, color=color, index=index, lines=True)
    return ax.lines[-1]


def _asymptote(ax: Axes, dataset: xr.Dataset) -> None:
    last = float(dataset.lag[-1])
    rate = np.log(configuration(dataset)["radius"])
    ax.plot([0, last], [0, rate * last], **figures.theory())
    ax.axhline(0.0, **figures.guide())


def asymptote_key() -> list[Line2D]:
    """Legend of the dashes of `plot_powers` and `plot_gradients`."""
    label = r"what eigenvalues alone say: $k\,\ln\,\rho$"
    return [Line2D([], [], label=label, **figures.theory())]


def plot_peak(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Peak of ln ||W_hh^k|| against the departure from normality, with the Kreiss constant.

    Marks are networks, lines medians over networks of one scale, named at the right; the peak is
    drawn as linear networks are, whose gradients meet these powers. At 0: W_hh only shrinks. The
    peak is at least the Kreiss constant.
    """
    ax = figures.axes_or_new(ax)
    departure, linear = dataset.henrici_relative, figures.marked("linear")
    lines = [
        _marks(ax, departure, dataset.peak, "peak", **linear),
        _marks(ax, departure, dataset.log_kreiss, "Kreiss\nconstant", color="#E69F00", marker="D"),
    ]
    figures.name_lines(ax, lines)
    ax.set_xlabel(_DEPARTURE)
    ax.set_ylabel(r"ln of a growth factor of $\|W_{hh}^k\|_2$ (nats)")
    return ax


def plot_windows(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Window that suffices against the departure from normality, for each activation.

    Marks are networks, lines medians, named at the right. Dashed: ln(tolerance) / ln(rho), what
    eigenvalues alone say. Dotted: the whole sequence.
    """
    ax = figures.axes_or_new(ax)
    lines = []
    for kind in dataset.activation.values:
        windows = dataset.sufficient_window.sel(activation=kind)
        style = figures.marked(str(kind))
        lines.append(_marks(ax, dataset.henrici_relative, windows, str(kind), **style))
    settings = configuration(dataset)
    alone = np.log(settings["tolerance"]) / np.log(settings["radius"])
    lines.append(ax.axhline(alone, label="eigenvalues\nalone", **figures.theory()))
    longest = settings["length"]
    lines.append(ax.axhline(longest, label="whole\nsequence", **figures.mark()))
    ax.set_yscale("log", base=2)
    ax.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
    figures.name_lines(ax, lines)
    ax.set_xlabel(_DEPARTURE)
    ax.set_ylabel("sufficient window $K$ (steps)")
    return ax


def _marks(
    ax: Axes, x: xr.DataArray, y: xr.DataArray, label: str, *, color: str, marker: str
) -> Line2D:
    dims = ("network_seed", "scale")
    places, values = x.transpose(*dims).values, y.transpose(*dims).values
    shown = figures.finite(values)
    each: dict[str, Any] = {"color": color, "marker": marker}
    ax.plot(places.ravel(), shown.ravel(), ls="", ms=figures.pt(3.5), alpha=0.5, **each)
    enough = (~np.isnan(values)).sum(axis=0) * 2 >= len(values)
    middle = np.full((2, len(enough)), np.nan)
    middle[0] = median(places, 0)
    middle[1, enough] = figures.finite(median(values[:, enough], 0))
    (line,) = ax.plot(*middle, ms=figures.pt(8), label=label, **each)
    return line
