"""The page of a portrait and its panels: a dataset in, Axes out; how to read is in docstrings."""

from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from rnnsim import theory

from ..dynamics import words
from ..frame import figures
from ..frame.figures import decades, power, ticks_between
from ..gradients.norm_plots import DECADE
from .portrait_page import (
    GUIDE,
    MEASURED,
    RATIO,
    THEORY,
    THIN,
    configuration,
    filled,
    log_axis,
    nothing,
    write_strip,
)

_BOUND: dict[str, Any] = {"color": "0.25", "ls": ":", "lw": 2.4, "zorder": 4}
_BELOW = 4.0  # decades of errors shown below the tolerance
_LEADING = 10  # exponents in the enlarged part


def page(dataset: xr.Dataset) -> Figure:
    """All panels, the numbers below them, and what to see."""
    panels = (
        plot_eigenvalues, plot_singular_values, plot_exponents, plot_map, plot_lags,
        plot_truncation, write_numbers,
    )  # fmt: skip
    return filled(panels, dataset, _caption(dataset))


def _caption(dataset: xr.Dataset) -> str:
    settings = configuration(dataset)
    B, T = settings["batch_size"], settings["length"]
    own = settings.get("weights") is not None
    kind = "random networks with entries of this size" if own else "large networks of this kind"
    return (
        f"{B} sequences of {T} steps; thin lines: sequences, thick lines and the map: their mean; "
        f"logs are averaged. Dashed: theory of {kind}, and the slope that $\\lambda_1$ predicts. "
        "Top: what one step can do, and what many steps do. Bottom: what becomes of gradients on "
        "their way back, and the window that catches them."
    )


def plot_eigenvalues(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Eigenvalues of W_hh in the complex plane.

    Solid circle: modulus 1; a linear network amplifies what lies outside. Dashed circle: the
    spectral radius of theory for many units.
    """
    ax = figures.axes_or_new(ax)
    values, radius = dataset.eigenvalues.values, float(dataset.theory_radius)
    ax.plot(values.real, values.imag, ls="", marker="o", ms=7, mew=0, color=MEASURED, alpha=0.8)
    ax.add_patch(Circle((0, 0), 1.0, fill=False, ec="0.35", lw=2.0, zorder=3))
    outer = max(1.0, float(np.abs(values).max()))
    if np.isfinite(radius):
        style = {name: value for name, value in THEORY.items() if name != "color"}
        ax.add_patch(Circle((0, 0), radius, fill=False, ec="black", **style))
        outer = max(outer, radius)
    ax.set_aspect("equal")
    ax.set(xlim=(-1.1 * outer, 1.1 * outer), ylim=(-1.1 * outer, 1.1 * outer))
    ax.set_xlabel(r"Re $\lambda$")
    ax.set_ylabel(r"Im $\lambda$")
    ax.set_title("Eigenvalues of $W_{hh}$, solid: modulus 1")
    return ax


def plot_singular_values(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Singular values of W_hh in descending order: what one step can do to a vector.

    Dashed: the quarter-circle law of independent entries, or the gain of an orthogonal matrix.
    Above the horizontal a direction is stretched, below it shrinks.
    """
    ax = figures.axes_or_new(ax)
    index = np.arange(1, dataset.unit.size + 1)
    ax.plot(index, dataset.singular_values, "o-", color=MEASURED, ms=5, lw=1.5)
    if np.isfinite(dataset.theory_singular_values).all():
        ax.plot(index, dataset.theory_singular_values, **THEORY, label="theory, many units")
        flat = np.ptp(dataset.theory_singular_values.values) == 0
        ax.legend(loc="lower left" if flat else "upper right")
    ax.axhline(1.0, **GUIDE)
    ax.set_ylim(0.0, 1.15 * max(1.0, float(dataset.singular_values.max())))
    ax.set_xlabel("index $i$")
    ax.set_ylabel(r"singular value $\sigma_i$")
    ax.set_title("One step: singular values of $W_{hh}$")
    return ax


def plot_exponents(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Lyapunov exponents in descending order: what many steps do.

    Thin: along each sequence; dots with standard errors: mean. Dashed: lambda_1 of mean field.
    Directions above 0 separate trajectories, their sum bounds the entropy rate.
    """
    ax = figures.axes_or_new(ax)
    index = np.arange(1, dataset.unit.size + 1)
    mean, error = dataset.exponents.values, dataset.exponent_errors.values
    finite = np.isfinite(mean)
    if not finite.any():
        return nothing(ax, "Lyapunov exponents", dataset)
    lines = dataset.exponents_of_sequences.transpose("unit", "sequence").values
    ax.plot(index, np.where(np.isfinite(lines), lines, np.nan), **THIN)
    ax.errorbar(
        index[finite],
        mean[finite],
        error[finite],
        ls="",
        marker="o",
        ms=5,
        color=MEASURED,
        capsize=2,
        elinewidth=1.5,
    )
    ax.fill_between(index, 0.0, np.where(finite & (mean > 0), mean, 0.0), color="0.75", lw=0)
    ax.axhline(0.0, **GUIDE)
    ax.set_xlabel("index $i$" if finite.all() else r"index $i$ (those not shown: $-\infty$)")
    ax.set_ylabel(r"$\lambda_i$ (nats/step)")
    ax.set_title("Many steps: Lyapunov exponents")
    low, high = ax.get_ylim()
    beside = mean[min(mean.size - 1, int(0.66 * mean.size))]
    if beside > low + 0.7 * (high - low):  # room below the curve
        _draw_leading(dataset, ax.inset_axes((0.17, 0.1, 0.46, 0.5)))
    elif np.isfinite(dataset.theory_exponent):
        reach = [0.5, 0.4 * index[-1] + 0.6]
        expected = [float(dataset.theory_exponent)] * 2
        ax.plot(reach, expected, **THEORY, label=r"$\lambda_1$, mean field")
        ax.legend(loc="lower left")
    return ax


def _draw_leading(dataset: xr.Dataset, ax: Axes) -> None:
    """The largest exponents, enlarged, where their sign can be seen; dashed: mean field."""
    leading = dataset.isel(unit=slice(min(_LEADING, max(1, dataset.unit.size // 3))))
    index = np.arange(1, leading.unit.size + 1)
    mean, expected = leading.exponents.values, float(dataset.theory_exponent)
    finite = np.isfinite(mean)
    ax.axhline(0.0, **GUIDE)
    ax.errorbar(
        index[finite],
        mean[finite],
        leading.exponent_errors.values[finite],
        ls="",
        marker="o",
        ms=6,
        color=MEASURED,
        capsize=3,
        elinewidth=2,
    )
    if np.isfinite(expected):
        ax.plot([0.6, index[-1] + 0.4], [expected] * 2, **THEORY)
        ax.set_title(r"dashed: mean field, $\lambda_1$", fontsize=14)
    ax.set_xlim(0.5, index[-1] + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.tick_params(labelsize=12)


def plot_map(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Norm of dl_t/dh_{t-k} relative to lag 0, over step t and lag k; sequences that live.

    Follow a column upwards: how the gradient of one loss fares on its way back. Where few steps
    carry loss there is a column for each sequence instead, at the last of these steps.
    """
    ax = figures.axes_or_new(ax)
    shown = decades(dataset.log_change_map.transpose("column", "lag").values.T)
    if not np.isfinite(shown).any():
        return nothing(ax, "Gradient flow", dataset)
    by_step = "step" in dataset.column.attrs["long_name"]
    mesh = ax.pcolormesh(
        dataset.column, dataset.lag, shown, cmap="cividis", shading="nearest", rasterized=True
    )
    ticks = ticks_between(float(np.nanmin(shown)), float(np.nanmax(shown)))
    if by_step:  # no gradient goes back beyond step 1: room for the key
        ax.text(0.04, 0.98, RATIO, transform=ax.transAxes, va="top", fontsize=17)
        bar = mpl.colorbar.Colorbar(ax.inset_axes((0.06, 0.42, 0.05, 0.42)), mesh)
    else:
        bar = mpl.colorbar.Colorbar(ax.inset_axes((1.02, 0.0, 0.04, 1.0)), mesh)
        ax.set_title(RATIO)
    bar.set_ticks(list(ticks), labels=[power(tick) for tick in ticks])
    if by_step and len(ticks) > 1 and min(shown.shape) > 1:
        ax.contour(
            dataset.column,
            dataset.lag,
            shown,
            levels=ticks,
            colors="white",
            linewidths=0.9,
            linestyles="-",
        )
    ax.grid(visible=False)
    ax.set_xlabel(dataset.column.attrs["long_name"])
    ax.set_ylabel("lag $k$ (steps)")
    ax.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    if by_step:
        ax.set_title("Gradient flow")
    return ax


def plot_lags(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Norm of dl_t/dh_{t-k} relative to lag 0 against lag k.

    Thin: sequences, thick: their mean. Dashed: the slope lambda_1, through the middle of the range
    of the fit. Dotted: no gradient can lie above, by the norm of W_hh (Pascanu et al. 2013).
    """
    ax = figures.axes_or_new(ax)
    lag = dataset.lag.values
    curves = decades(dataset.log_norms.transpose("sequence", "lag"))
    if not np.isfinite(curves[:, 1:]).any():
        return nothing(ax, "Gradients against lag", dataset)
    known = np.asarray(np.isfinite(curves).all(axis=0))
    mean = np.where(known, np.where(known, curves, 0.0).mean(axis=0), np.nan)
    ax.plot(lag, curves.T, **THIN)
    ax.plot(lag, mean, color=MEASURED, lw=3.5, label="measured")
    first, last = int(dataset.growth_first_lag), int(dataset.growth_last_lag)
    exponent = float(dataset.exponents[0]) / DECADE
    fitted = known[first : last + 1]
    middle = float(np.nanmean(mean[first : last + 1])) if fitted.any() else np.nan
    if np.isfinite([exponent, middle]).all():
        line = middle + exponent * (lag - 0.5 * (first + last))
        ax.plot(lag[: last + 1], line[: last + 1], **THEORY, label=r"slope $\lambda_1$")
    ax.set_xlim(0, last)
    low, high = ax.get_ylim()
    low, high = min(low, -0.5), max(high, 0.5) + 0.1 * max(high - low, 1.0)
    bound = decades(theory.pascanu_log_bound(float(dataset.spectral_norm), lag))
    if low <= float(bound[max(1, last // 6)]) <= high:
        ax.plot(lag, bound, **_BOUND, label="at most (Pascanu)")
    ax.axhline(0.0, **GUIDE, zorder=1)
    log_axis(ax, low, high)
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel(RATIO)
    ax.legend(loc="best")
    ax.set_title("Gradients on their way back")
    return ax


def plot_truncation(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Relative error of the gradient truncated at window K, stride 1.

    The mark is the smallest window from which on the error stays below the thin horizontal.
    """
    ax = figures.axes_or_new(ax)
    error = decades(dataset.truncation_log_error)
    if not np.isfinite(error).any():
        return nothing(ax, "Truncation", dataset)
    tolerance, length = configuration(dataset)["tolerance"], int(dataset.window[-1])
    ax.plot(dataset.window, error, color=MEASURED, lw=3.5)
    ax.axhline(np.log10(tolerance), **GUIDE)
    window = float(dataset.sufficient_window)
    if np.isfinite(window):
        ax.axvline(window, color="black", lw=2.0)
        ax.plot([window], [np.log10(tolerance)], "o", color="black", ms=11)
        early = window < np.sqrt(length)  # the curve comes down from the upper left
        ax.annotate(
            f"{window:.0f} steps\nfor {tolerance:.0%}",
            (window, np.log10(tolerance)),
            (12, 12) if early else (-12, -14),
            textcoords="offset points",
            ha="left" if early else "right",
            va="bottom" if early else "top",
            fontsize=17,
        )
        rate = float(dataset.exponents[0])
        if rate < -2 * float(dataset.exponent_errors[0]):
            K = dataset.window.values[dataset.window.values >= window / 2]
            line = np.log10(tolerance) + rate / DECADE * (K - window)
            ax.plot(K, line, **THEORY, label=r"$\propto e^{\lambda_1 K}$")
            ax.legend(loc="lower right" if early else "lower left")
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.set_xlim(0.9, length * 1.1)
    log_axis(ax, float(np.log10(tolerance)) - _BELOW, max(0.3, float(np.nanmax(error)) + 0.1))
    ax.set_xlabel("window $K$ (steps)")
    ax.set_ylabel(r"relative error $\|g_K - g\|\,/\,\|g\|$")
    ax.set_title("Truncation at window $K$")
    return ax


def numbers(dataset: xr.Dataset) -> list[tuple[str, str]]:
    """What the strip of numbers says: (name, value with unit) from left to right."""
    *measured, window = measured_numbers(dataset)
    return [
        ("spectral radius", _value(dataset, "spectral_radius", ".2f")),
        ("spectral norm", _value(dataset, "spectral_norm", ".2f")),
        ("departure from\nnormality", _value(dataset, "henrici_relative", ".0%")),
        *measured,
        ("mean slope", _value(dataset, "mean_slope", ".2f")),
        window,
    ]


def _value(dataset: xr.Dataset, name: str, form: str) -> str:
    number = float(dataset[name])
    return format(number, form) if np.isfinite(number) else "unknown"


def measured_numbers(dataset: xr.Dataset) -> list[tuple[str, str]]:
    """Those that any network has, whatever its cell."""

    def estimate(number: float, error: float) -> str:
        return words.plus_minus(number, error) if np.isfinite(number) else "unknown"

    leading = estimate(float(dataset.exponents[0]), float(dataset.exponent_errors[0]))
    growth = estimate(float(dataset.growth_rate), float(dataset.growth_rate_error))
    ends = (float(dataset[f"kaplan_yorke{end}"]) for end in ("_low", "", "_high"))
    length, H = int(dataset.window[-1]), dataset.unit.size
    return [
        ("$\\lambda_1$\n(nats/step)", leading),
        ("gradient growth\n(nats/step)", growth),
        ("Kaplan-Yorke\ndimension", f"{words.dimension(*ends)} of {H}"),
        ("entropy rate\n(nats/step)", _value(dataset, "entropy_rate", ".2f")),
        (
            "sufficient window\n(steps)",
            f"{_value(dataset, 'sufficient_window', '.0f')} of {length}",
        ),
    ]


_SHARES = (0.95, 0.9, 0.95, 1.35, 1.35, 1.25, 0.9, 0.8, 1.15)  # of the page's width


def write_numbers(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """A strip of the numbers that say it all: names above, values below."""
    return write_strip(numbers(dataset), _SHARES, ax=ax)
