"""Plots of spectra: a dataset in, Axes out. What each shows is in its docstring."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

import rnnsim
from rnnsim import theory

from ..frame import figures
from ..frame.statistics import median
from ..gradients.norm_plots import one_network_set

RANDOM_ENTRIES = ("gaussian", "uniform")  # independent entries: circular law, singular value edge
_ORDER = (*rnnsim.SCHEMES, "own")  # in which they are drawn
_WIDTHS = {"orthogonal": 7.0}  # points; seen under the identity, often of the same values
_WIDTH = 2.6
_GOLDEN = 0.618  # dots beside each other without a pattern, the same in every drawing
_WIDE = 20.0  # ratio from which on an axis is logarithmic
_UNIT: dict[str, Any] = {"color": "0.45"}
_STUB = 0.2  # of the axis of indices, how long the dashes at the largest singular value are
_LABELS = {
    "spectral_radius": r"spectral radius $\rho(W_{hh})$",
    "spectral_norm": r"spectral norm $\sigma_{max}(W_{hh})$",
    "henrici": r"departure from normality $\|R\|_F$",
    "henrici_relative": r"departure from normality, $\|R\|_F\,/\,\|W_{hh}\|_F$",
    "numerical_radius": r"numerical radius $\max_{\|x\|=1}|x^*W_{hh}\,x|$",
    "kreiss": "Kreiss constant, a factor",
    "eigenbasis_condition": r"condition $\|V\|\,\|V^{-1}\|$, a factor",
    "participation": "units in an eigenvector",
}


def one_scheme(dataset: xr.Dataset, scheme: str) -> xr.Dataset:
    """Axes gain and network_seed of one scheme; the last length."""
    data = one_network_set(dataset.sel(scheme=[scheme]))
    return data.isel(length=-1) if "length" in data.dims else data


def schemes_of(dataset: xr.Dataset) -> list[str]:
    """The schemes of a dataset, in the order in which they are drawn."""
    return [scheme for scheme in _ORDER if scheme in dataset.scheme.values]


def in_theory(
    variable: str, scheme: str, gain: npt.ArrayLike, n_hidden: int
) -> npt.NDArray[np.float64]:
    """What theory says of a variable of `_LABELS`: the limit of large H, or exact (normal W_hh).

    NaN of networks of one's own, which were not drawn.

    By the circular law the squared moduli have mean g^2/2, half of ||W_hh||_F^2 / H = g^2, so that
    the other half of ||W_hh||_F^2 is the departure from normality.
    """
    if scheme not in rnnsim.SCHEMES:
        return np.full(np.shape(gain), np.nan)
    radius = theory.spectral_radius(scheme, np.abs(gain))
    random = scheme in RANDOM_ENTRIES
    relative = np.where(radius > 0, np.sqrt(0.5) if random else 0.0, np.nan)
    values: dict[str, npt.NDArray[np.float64]] = {
        "spectral_radius": radius,
        "spectral_norm": theory.singular_value_edge(radius) if random else radius,
        "henrici": np.sqrt(0.5 * n_hidden) * radius if random else 0.0 * radius,
        "henrici_relative": relative,
        "numerical_radius": np.sqrt(2.0) * radius if random else radius,
    }
    return values[variable]


def plot_eigenvalues(
    dataset: xr.Dataset, *, scheme: str, gain: float, ax: Axes | None = None
) -> Axes:
    """Eigenvalues of W_hh in the complex plane, those of all networks together.

    Solid circle: modulus 1; a linear network forgets what lies inside and amplifies what lies
    outside. Dashed circle: the spectral radius of theory; where it is shaded, the circular law says
    that eigenvalues fill it evenly.
    """
    ax = figures.axes_or_new(ax)
    data = one_scheme(dataset, scheme).sel(gain=gain)
    values = data.eigenvalues.values.ravel()
    values = values[np.isfinite(values)]
    style: dict[str, Any] = {
        "ls": "",
        "marker": figures.marked(scheme)["marker"],
        "ms": figures.pt(11 if scheme == "identity" else 4.5),
        "mew": 0,
        "zorder": 2.5,
    }
    ax.plot(values.real, values.imag, color=figures.SCHEMES[scheme], alpha=0.8, **style)
    radius = float(in_theory("spectral_radius", scheme, gain, data.unit.size))
    if scheme in RANDOM_ENTRIES:
        ax.add_patch(Circle((0, 0), radius, color="0.5", alpha=0.15, lw=0, zorder=0))
    unit: dict[str, Any] = {"ec": _UNIT["color"], "lw": figures.pt(1.4), "zorder": 3}
    ax.add_patch(Circle((0, 0), 1.0, fill=False, **unit))
    if np.isfinite(radius):
        ax.add_patch(Circle((0, 0), radius, fill=False, **figures.theory(color=None, ec="black")))
    if values.size > 1 and np.ptp(values) == 0:
        place, text = (float(values[0].real), float(values[0].imag)), f"all {values.size} here"
        arrow = {"arrowstyle": "->", "shrinkB": figures.pt(7), "lw": figures.pt(1.0)}
        ax.annotate(
            text, place, (0, 0), ha="center", va="center", arrowprops=arrow, fontsize="small"
        )
    ax.set_aspect("equal")
    bound = 1.12 * max(1.0, np.nan_to_num(radius), float(np.abs(values).max(initial=0.0)))
    ax.set_xlim(-bound, bound)
    ax.set_ylim(-bound, bound)
    ax.set_xlabel(r"real part of $\lambda$")
    ax.set_ylabel(r"imaginary part of $\lambda$")
    ax.set_title(f"{scheme}: radius {float(data.spectral_radius.median()):.2f}")
    return ax


def plot_singular_values(dataset: xr.Dataset, *, gain: float, ax: Axes | None = None) -> Axes:
    """Singular values of W_hh in descending order, for every scheme, named at the line.

    Thin lines are networks, thick ones their median; dashes on the left: the largest in theory. One
    step can stretch a gradient by at most the first, and shrinks it by at most the last: a flat
    line treats all directions alike, a line that falls to 0 loses some of them at every step.
    """
    ax = figures.axes_or_new(ax)
    edges = set()
    index = np.arange(1, dataset.unit.size + 1)
    for scheme in schemes_of(dataset):
        data = one_scheme(dataset, scheme).sel(gain=gain)
        values = data.singular_values.transpose("network_seed", "unit").values
        style = {"label": scheme} | figures.category(scheme)
        figures.seeds_and_median(ax, index, values, lines=True, **style)
        ax.lines[-1].set(linewidth=_width(scheme))
        edges.add(float(in_theory("spectral_norm", scheme, gain, data.unit.size)))
    measured = list(ax.lines)
    stub = [0.0, 1.0 + _STUB * index[-1]]
    for edge in sorted(edge for edge in edges if np.isfinite(edge)):
        ax.plot(stub, [edge, edge], **figures.theory())
    figures.name_lines(ax, measured)
    figures.lower_end(ax)
    figures.count_axis(ax.xaxis)
    ax.set_xlabel("index $i$, in descending order")
    ax.set_ylabel(r"singular value $\sigma_i(W_{hh})$")
    return ax


def theory_key(label: str) -> list[Line2D]:
    """Legend of the dashes of a plot."""
    return [Line2D([], [], label=label, **figures.theory())]


def plot_against_gain(dataset: xr.Dataset, variable: str, *, ax: Axes | None = None) -> Axes:
    """Spectral or numerical radius, norm or departure from normality against gain, by scheme.

    `variable` is a name of the dataset's spectrum. Dots are networks, lines their median, named at
    the right, dashed is theory. The solid horizontal is 1, where radius or norm turn from shrinking
    to stretching.
    """
    ax = figures.axes_or_new(ax)
    schemes, lines = schemes_of(dataset), []
    for i, scheme in enumerate(schemes):
        data = one_scheme(dataset, scheme)
        values = data[variable].transpose("network_seed", "gain").values
        style = {"label": scheme} | figures.category(scheme)
        figures.seeds_and_median(ax, data.gain, values, **style)
        lines.append(ax.lines[-1])
        wide = {"zorder": 1.9} if scheme in _WIDTHS else {}
        lines[-1].set(linewidth=_width(scheme), markevery=(i, len(schemes)), **wide)
        expected = in_theory(variable, scheme, data.gain.values, int(dataset.n_hidden[0]))
        if np.isfinite(expected).any():
            ax.plot(data.gain, expected, **figures.theory())
    figures.name_lines(ax, lines)
    if variable in ("spectral_radius", "spectral_norm", "numerical_radius"):
        ax.axhline(1.0, **_UNIT, lw=figures.pt(1.4), zorder=1)
    figures.lower_end(ax, min(0.0, ax.get_ylim()[0]))
    ax.set_xlabel("gain of $W_{hh}$")
    ax.set_ylabel(_LABELS[variable])
    return ax


def plot_by_scheme(dataset: xr.Dataset, variable: str, *, ax: Axes | None = None) -> Axes:
    """What gain does not change: Kreiss constant, condition, participation, relative departure.

    A row is a scheme, a dot a network, or an eigenvector of one for the participation; bars are
    medians, whose values stand below the names. Dashed: theory, which is 1 for a normal matrix; of
    the participation (H + 1)/2, the mean for a random complex vector; of the departure what many
    units come to. An axis with values far apart is logarithmic; values that are infinite or not
    known are counted below the names, and a median that is has no bar.
    """
    ax = figures.axes_or_new(ax)
    schemes = schemes_of(dataset)
    names, largest = [], 1.0
    for y, scheme in enumerate(schemes):
        values = _at_gain_1(one_scheme(dataset, scheme))[variable].values.ravel()
        known = values[np.isfinite(values)]
        beside = y + 0.5 * (np.arange(known.size) * _GOLDEN % 1.0 - 0.5)
        style: dict[str, Any] = {
            "marker": figures.marked(scheme)["marker"],
            "ms": figures.pt(5),
            "color": figures.SCHEMES[scheme],
        }
        ax.plot(known, beside, ls="", alpha=0.6, **style)
        if np.isfinite(middle := float(median(values))):
            bar: dict[str, Any] = {"color": "0.2", "lw": figures.pt(2.5), "zorder": 5}
            ax.plot([middle, middle], [y - 0.38, y + 0.38], **bar)
        number = f"{middle:.2f}" if variable == "henrici_relative" else f"{middle:.3g}"
        names.append("\n".join([scheme, *[number] * (not np.isnan(middle)), *_not_drawn(values)]))
        largest = max(largest, float(known.max(initial=1.0)))
    _theory_by_scheme(ax, dataset, variable, schemes)
    if variable == "participation":
        ax.set_xlim(0, 1.05 * max(largest, 0.5 * dataset.unit.size + 1))
    elif variable == "henrici_relative":
        ax.set_xlim(-0.03, 1.03)
    elif largest > _WIDE:
        ax.set_xscale("log")
    ax.set_yticks(range(len(schemes)), names)
    ax.set_ylim(len(schemes) - 0.4, -0.6)
    ax.set_xlabel(_LABELS[variable])
    ax.set_ylabel("scheme, median")
    return ax


def _at_gain_1(data: xr.Dataset) -> xr.Dataset:
    """The networks of the gain nearest to 1, by its size."""
    return data.isel(gain=int(np.abs(np.log(np.maximum(np.abs(data.gain.values), 1e-9))).argmin()))


def _not_drawn(values: npt.NDArray[np.float64]) -> list[str]:
    counts = {"infinite": np.isinf(values), "not known": np.isnan(values)}
    return [f"{int(found.sum())} {name}" for name, found in counts.items() if found.any()]


def _theory_by_scheme(ax: Axes, dataset: xr.Dataset, variable: str, schemes: list[str]) -> None:
    """One level for all schemes, or that of each across its dots."""
    if variable != "henrici_relative":
        level = 0.5 * (dataset.unit.size + 1) if variable == "participation" else 1.0
        ax.axvline(level, **figures.theory())
        return
    for y, scheme in enumerate(schemes):
        level = float(in_theory(variable, scheme, 1.0, dataset.unit.size))
        if np.isfinite(level):
            ax.plot([level, level], [y - 0.48, y + 0.48], **figures.theory(zorder=6))


def plot_growth(dataset: xr.Dataset, *, zoom: float | None = None, ax: Axes | None = None) -> Axes:
    """Measured growth rate of gradients against the spectral radius of W_hh.

    Faint dots are networks, marks with a line their medians at each gain, named at the right.
    Dashed: ln(radius), what a linear network comes to at long lags. Above the horizontal line
    gradients grow as they go back, below they vanish; to the right of the vertical line the linear
    network would explode. The distance to the dashed line is due to the slopes of the units, and
    to finite lags. With `zoom` the axes end at that factor around radius 1.
    """
    ax = figures.axes_or_new(ax)
    lines = []
    for scheme in schemes_of(dataset):
        data = one_scheme(dataset, scheme)
        dims = ("network_seed", "gain")
        radius = data.spectral_radius.transpose(*dims).values
        rate = data.growth_rate.transpose(*dims).values
        dots: dict[str, Any] = {"ls": "", "marker": ".", "ms": figures.pt(4), "alpha": 0.5}
        ax.plot(radius.ravel(), figures.finite(rate).ravel(), color=figures.SCHEMES[scheme], **dots)
        middle = np.stack([median(radius, 0), median(rate, 0)])
        middle = figures.finite(middle[:, np.argsort(middle[0])])
        style: dict[str, Any] = {
            "label": scheme,
            "color": figures.SCHEMES[scheme],
            "marker": figures.marked(scheme)["marker"],
        }
        lines += ax.plot(*middle, lw=_width(scheme), ms=figures.pt(7), **style)
        lines[-1].set_zorder(1.9 if scheme in _WIDTHS else 3)
    radii = dataset.spectral_radius.values
    radii = radii[radii > 0]
    reference = np.geomspace(radii.min(), radii.max()) if radii.size else np.ones(1)
    lines += ax.plot(
        reference, np.log(reference), label=r"$\ln\,\rho$ (linear)", **figures.theory()
    )
    figures.name_lines(ax, lines)
    zero: dict[str, Any] = _UNIT | {"lw": figures.pt(1.4), "zorder": 1}
    ax.axhline(0.0, **zero)
    ax.axvline(1.0, **zero)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    if zoom is not None:
        ax.set_xlim(1 / zoom, zoom)
        ax.set_ylim(-np.log(zoom), np.log(zoom))
    ax.set_xlabel(r"spectral radius $\rho(W_{hh})$")
    ax.set_ylabel(r"growth of $\|\partial l_t/\partial h_{t-k}\|$ with $k$ (nats/step)")
    return ax


def circle_key(*, drawn: bool = True) -> list[Line2D]:
    """Legend of the circles of `plot_eigenvalues`; of networks that were not drawn one alone."""
    of_theory = theory_key("radius of large networks (shaded: filled evenly)")
    unit = Line2D([], [], label="modulus 1", lw=figures.pt(1.4), **_UNIT)
    return [unit, *of_theory * drawn]


def _width(scheme: str) -> float:
    return figures.pt(_WIDTHS.get(scheme, _WIDTH))
