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
# Blue: independent entries; orange: normal. Of each pair one is dark, one light, in grey too.
COLORS = {
    "gaussian": "#0072B2",
    "orthogonal": "#E69F00",
    "identity": "#D55E00",
    "uniform": "#56B4E9",
    "own": "#0072B2",
}
_ORDER = (*rnnsim.SCHEMES, "own")  # in which they are drawn
_WIDTHS = {"orthogonal": 7.0}  # seen under the identity, which often has the same values
_WIDTH = 3.0
_GOLDEN = 0.618  # dots beside each other without a pattern, the same in every drawing
_WIDE = 20.0  # ratio from which on an axis is logarithmic
_UNIT: dict[str, Any] = {"color": "0.45", "lw": 1.4}
_THEORY: dict[str, Any] = {"color": "black", "ls": "--", "lw": 1.3, "zorder": 5}
_LABELS = {
    "spectral_radius": r"spectral radius $\rho(W_{hh})$",
    "spectral_norm": r"spectral norm $\sigma_{max}(W_{hh})$",
    "henrici": r"departure from normality $\|R\|_F$",
    "henrici_relative": r"relative departure $\|R\|_F\,/\,\|W_{hh}\|_F$",
    "numerical_radius": r"numerical radius $\max_{\|x\|=1}|x^*W_{hh}\,x|$",
    "kreiss": "Kreiss constant",
    "eigenbasis_condition": r"condition of the eigenvectors $\|V\|\,\|V^{-1}\|$",
    "participation": "units that an eigenvector involves",
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
    random = scheme in RANDOM_ENTRIES
    size = 11 if scheme == "identity" else 5
    style: dict[str, Any] = {
        "ls": "",
        "marker": _marker(scheme),
        "ms": size,
        "mew": 0,
        "zorder": 2.5,
    }
    ax.plot(values.real, values.imag, color=COLORS[scheme], alpha=0.8, **style)
    radius = float(in_theory("spectral_radius", scheme, gain, data.unit.size))
    if random:
        ax.add_patch(Circle((0, 0), radius, color="0.5", alpha=0.15, lw=0, zorder=0))
    ax.add_patch(Circle((0, 0), 1.0, fill=False, ec=_UNIT["color"], lw=_UNIT["lw"], zorder=3))
    if np.isfinite(radius):
        theory_style = {name: value for name, value in _THEORY.items() if name != "color"}
        ax.add_patch(Circle((0, 0), radius, fill=False, ec=_THEORY["color"], **theory_style))
    if values.size > 1 and np.ptp(values) == 0:
        place, text = (float(values[0].real), float(values[0].imag)), f"all {values.size} here"
        arrow = {"arrowstyle": "->", "shrinkB": 8}
        ax.annotate(text, place, (0, 0), ha="center", va="center", arrowprops=arrow, fontsize=12)
    ax.set_aspect("equal")
    bound = 1.12 * max(1.0, np.nan_to_num(radius), float(np.abs(values).max(initial=0.0)))
    ax.set_xlim(-bound, bound)
    ax.set_ylim(-bound, bound)
    ax.set_xlabel(r"Re $\lambda$")
    ax.set_ylabel(r"Im $\lambda$")
    ax.set_title(rf"{scheme}: $\rho$ = {float(data.spectral_radius.median()):.2f}")
    return ax


def plot_singular_values(dataset: xr.Dataset, *, gain: float, ax: Axes | None = None) -> Axes:
    """Singular values of W_hh in descending order, for every scheme.

    Thin lines are networks, thick ones their median; dashed: the largest one in theory. One step
    can stretch a gradient by at most the first, and shrinks it by at most the last: a flat line
    treats all directions alike, a line that falls to 0 loses some of them at every step.
    """
    ax = figures.axes_or_new(ax)
    edges: dict[float, list[str]] = {}
    for scheme in schemes_of(dataset):
        data = one_scheme(dataset, scheme).sel(gain=gain)
        index = np.arange(1, data.unit.size + 1)
        values = data.singular_values.transpose("network_seed", "unit").values
        figures.seeds_and_median(
            ax,
            index,
            values,
            label=scheme,
            color=COLORS[scheme],
            index=_index(scheme),
            lines=True,
        )
        ax.lines[-1].set(linewidth=_WIDTHS.get(scheme, _WIDTH), markersize=9)
        edge = float(in_theory("spectral_norm", scheme, gain, data.unit.size))
        if np.isfinite(edge):
            edges.setdefault(edge, []).append(scheme)
    for i, (edge, schemes) in enumerate(edges.items()):
        label = "largest, in theory" if i == 0 else None
        ax.plot([index[0], index[-1]], [edge, edge], label=label, **_THEORY)
        text = f"{', '.join(schemes)}: {edge:.2f}"
        ax.annotate(
            text, (index[-1], edge), (0, 4), textcoords="offset points", ha="right", va="bottom"
        )
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("index $i$, in descending order")
    ax.set_ylabel(r"singular value $\sigma_i(W_{hh})$")
    return ax


def plot_against_gain(dataset: xr.Dataset, variable: str, *, ax: Axes | None = None) -> Axes:
    """Spectral or numerical radius, norm or departure from normality against gain, by scheme.

    `variable` is a name of the dataset's spectrum. Dots are networks, lines their median, dashed is
    theory. The solid horizontal is 1, where radius or norm turn from shrinking to stretching.
    """
    ax = figures.axes_or_new(ax)
    schemes = schemes_of(dataset)
    for i, scheme in enumerate(schemes):
        data = one_scheme(dataset, scheme)
        values = data[variable].transpose("network_seed", "gain").values
        drawn = len(ax.lines)
        figures.seeds_and_median(
            ax,
            data.gain,
            values,
            label=scheme,
            color=COLORS[scheme],
            index=_index(scheme),
        )
        ax.lines[drawn].set(markersize=8, zorder=3)  # the dots
        wide = {"linewidth": _WIDTHS[scheme], "zorder": 1.9} if scheme in _WIDTHS else {}
        ax.lines[-1].set(**({"linewidth": _WIDTH} | wide))
        ax.lines[-1].set(markevery=(i, len(schemes)), markersize=10)
        expected = in_theory(variable, scheme, data.gain.values, int(dataset.n_hidden[0]))
        if np.isfinite(expected).any():
            ax.plot(data.gain, expected, **_THEORY)
    if ax.lines[-1].get_linestyle() == _THEORY["ls"]:
        ax.lines[-1].set_label("theory, large H")
    if variable in ("spectral_radius", "spectral_norm", "numerical_radius"):
        ax.axhline(1.0, **_UNIT, zorder=1)
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    ax.set_xlabel("gain of $W_{hh}$")
    ax.set_ylabel(_LABELS[variable])
    return ax


def plot_by_scheme(dataset: xr.Dataset, variable: str, *, ax: Axes | None = None) -> Axes:
    """Kreiss constant, condition or participation of eigenvectors: what gain does not change.

    A dot is a network, or an eigenvector of one for the participation; bars are medians. Dashed: 1
    for a normal matrix; of the participation (H + 1)/2, the mean for a random complex vector. An
    axis with values far apart is logarithmic; values that are infinite or not known are counted at
    the top, and a median that is has no bar.
    """
    ax = figures.axes_or_new(ax)
    schemes = schemes_of(dataset)
    largest = 1.0
    for x, scheme in enumerate(schemes):
        data = one_scheme(dataset, scheme)
        data = data.isel(
            gain=int(np.abs(np.log(np.maximum(np.abs(data.gain.values), 1e-9))).argmin())
        )
        values = data[variable].values.ravel()
        known = values[np.isfinite(values)]
        beside = x + 0.5 * (np.arange(known.size) * _GOLDEN % 1.0 - 0.5)
        ax.plot(beside, known, ls="", marker=_marker(scheme), ms=6, color=COLORS[scheme], alpha=0.6)
        counts = {"infinite": np.isinf(values), "not known": np.isnan(values)}
        others = [f"{int(found.sum())} {name}" for name, found in counts.items() if found.any()]
        ax.text(x, 0.97, "\n".join(others), ha="center", va="top",
                transform=ax.get_xaxis_transform())  # fmt: skip
        if np.isfinite(middle := float(median(values))):
            ax.plot([x - 0.38, x + 0.38], [middle, middle], color="0.2", lw=2.5, zorder=5)
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8}
            ax.annotate(
                f"{middle:.3g}", (x + 0.4, middle), (0, 5), textcoords="offset points",
                fontsize=12, bbox=box, zorder=6,
            )  # fmt: skip
        largest = max(largest, float(known.max(initial=1.0)))
    if variable == "participation":
        ax.axhline(0.5 * (dataset.unit.size + 1), label="random vector, $(H+1)/2$", **_THEORY)
        ax.set_ylim(0, 1.05 * max(largest, 0.5 * dataset.unit.size + 1))
    else:
        ax.axhline(1.0, label="normal $W_{hh}$", **_THEORY)
        if largest > _WIDE:
            ax.set_yscale("log")
    ax.set_xticks(range(len(schemes)), schemes)
    ax.set_xlim(-0.6, len(schemes) - 0.2)
    ax.set_ylabel(_LABELS[variable])
    return ax


def plot_growth(dataset: xr.Dataset, *, zoom: float | None = None, ax: Axes | None = None) -> Axes:
    """Measured growth rate of gradients against the spectral radius of W_hh, each network a dot.

    Dashed: ln(radius), what a linear network comes to at long lags. Above the horizontal line
    gradients grow as they go back, below they vanish; to the right of the vertical line the linear
    network would explode. The distance to the dashed line is due to the slopes of the units, and
    to finite lags. With `zoom` the axes end at that factor around radius 1.
    """
    ax = figures.axes_or_new(ax)
    for scheme in schemes_of(dataset):
        data = one_scheme(dataset, scheme)
        dims = ("network_seed", "gain")
        radius = data.spectral_radius.transpose(*dims).values.ravel()
        rate = data.growth_rate.transpose(*dims).values.ravel()
        style: dict[str, Any] = {
            "ls": "",
            "marker": _marker(scheme),
            "color": COLORS[scheme],
            "zorder": 4,
        }
        if scheme in ("orthogonal", "uniform"):  # hollow, around what lies in the same place
            style |= {"mfc": "none", "mew": 1.6, "ms": 9, "zorder": 4.5}
        ax.plot(radius, rate, label=scheme, **style)
    radii = dataset.spectral_radius.values
    radii = radii[radii > 0]
    reference = np.geomspace(radii.min(), radii.max()) if radii.size else np.ones(1)
    ax.plot(reference, np.log(reference), label=r"$\ln\rho$", **_THEORY)
    ax.axhline(0.0, **_UNIT, zorder=1)
    ax.axvline(1.0, **_UNIT, zorder=1)
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
    law = "spectral radius in theory (shaded: circular law)"
    of_theory = [Line2D([], [], label=law, **_THEORY)]
    return [Line2D([], [], label="modulus 1", **_UNIT), *of_theory * drawn]


def _marker(scheme: str) -> str:
    return figures.MARKERS[_index(scheme)]


def _index(scheme: str) -> int:
    """Which marker a scheme has; networks of one's own stand alone."""
    return rnnsim.SCHEMES.index(scheme) if scheme in rnnsim.SCHEMES else 0
