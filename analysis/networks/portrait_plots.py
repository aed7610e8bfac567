"""The page of a portrait and its panels: a dataset in, Axes out; how to read is in docstrings."""

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from rnnsim import theory

from ..dynamics import words
from ..frame import figures
from ..frame.figures import MEASURED, decades, mark, power, powers, pt, ticks_between
from .portrait_page import (
    NORM,
    Table,
    configuration,
    filled,
    instead,
    log_axis,
    nothing,
    thin,
)

_BELOW = 4.0  # decades of errors shown below the tolerance
UNIT = r"(grey: $|\lambda| = 1$)"  # the circle beside eigenvalues
_BOUND = "bound"  # the name of the line above all gradients
RATE = r"as $\lambda_1$"  # the name of a line with that slope


def page(dataset: xr.Dataset) -> Figure:
    """All panels, the numbers below them, and what to see."""
    panels = (
        plot_eigenvalues, plot_singular_values, plot_exponents, plot_map, plot_lags,
        plot_truncation,
    )  # fmt: skip
    figure = filled(panels, numbers(dataset), dataset)
    figures.caption(figure, _caption(dataset, figure))
    return figure


def _caption(dataset: xr.Dataset, figure: Figure) -> str:
    own = configuration(dataset).get("weights") is not None
    kind = "random networks with entries of this size" if own else "large networks of this kind"
    return (
        f"{sequences_in_words(dataset)} (a, b) What one step does to a state, (c) what many steps "
        f"do. {gradients_in_words(dataset)} Dashed: theory of {kind}{_dashes(figure)}."
    )


def _dashes(figure: Figure) -> str:
    """What the dashes of (e) and (f) are, where there are any."""
    rows = {"(e)": figure.axes[4], "(f)": figure.axes[5]}
    names = {row: {line.get_label() for line in ax.lines} for row, ax in rows.items()}
    rates = " and ".join(row for row in names if RATE in names[row])
    bound = "; the line called bound lies above every gradient (Pascanu et al. 2013)"
    return f", in {rates} the rate $\\lambda_1$" * bool(rates) + bound * (_BOUND in names["(e)"])


def sequences_in_words(dataset: xr.Dataset) -> str:
    """What was read, and which lines are what."""
    settings = configuration(dataset)
    B, T = settings["batch_size"], settings["length"]
    several = " Thin lines: sequences, thick ones: their mean (of logs)." * (B > 1)
    return f"{B} sequence{'s' * (B > 1)} of {T} steps.{several}"


def gradients_in_words(dataset: xr.Dataset) -> str:
    """What the panels below show."""
    by_step = has_map(dataset)
    every = "from every loss (white: ticks of the bar)"
    each = every if by_step else "from the last step with loss, sequence by sequence"
    return (
        "Gradients of the loss with respect to the state, on their way back "
        f"(d) {each}, (e) in the mean; (f) the error where they are cut off after K steps."
    )


def plot_eigenvalues(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Eigenvalues of W_hh in the complex plane.

    Solid circle: modulus 1; a linear network amplifies what lies outside. Dashed circle: the
    spectral radius of theory for many units.
    """
    ax = figures.axes_or_new(ax)
    values, radius = dataset.eigenvalues.values, float(dataset.theory_radius)
    circle(ax, 1.0)
    if np.isfinite(radius):
        ax.add_patch(Circle((0, 0), radius, fill=False, **figures.theory()))
    outer = max(float(np.abs(values).max()), radius if np.isfinite(radius) else 0.0)
    draw_plane(ax, values, outer)
    ax.set_title(f"Eigenvalues of $W_{{hh}}$ {UNIT}")
    return ax


def circle(ax: Axes, radius: float) -> None:
    """A circle around 0, grey, as guides are."""
    ax.add_patch(Circle((0, 0), radius, fill=False, ec="0.45", lw=pt(1.6), zorder=1))


def draw_plane(ax: Axes, values: npt.ArrayLike, outer: float, alpha: float = 0.8) -> None:
    """Eigenvalues in the plane, with room for the unit circle."""
    points, bound = np.asarray(values), 1.1 * max(1.0, outer)
    ax.plot(
        points.real, points.imag, ls="", marker="o", ms=pt(5), mew=0, color=MEASURED, alpha=alpha
    )
    ax.set_aspect("equal")
    ax.set(xlim=(-bound, bound), ylim=(-bound, bound))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel(r"real part of $\lambda$")
    ax.set_ylabel(r"imaginary part of $\lambda$")


def plot_singular_values(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Singular values of W_hh in descending order: what one step can do to a vector.

    Dashed: the quarter-circle law of independent entries, or the gain of an orthogonal matrix.
    Above the horizontal a direction is stretched, below it shrinks.
    """
    ax = figures.axes_or_new(ax)
    index = np.arange(1, dataset.unit.size + 1)
    ax.plot(index, dataset.singular_values, "o-", color=MEASURED, ms=pt(4), lw=pt(1.2))
    if np.isfinite(dataset.theory_singular_values).all():
        ax.plot(index, dataset.theory_singular_values, **figures.theory(label="theory"))
        flat = np.ptp(dataset.theory_singular_values.values) == 0
        ax.legend(loc="lower left" if flat else "upper right")
    ax.axhline(1.0, **figures.guide())
    ax.set_ylim(0.0, 1.3 * max(1.0, float(dataset.singular_values.max())))
    figures.count_axis(ax.xaxis)
    ax.set_xlabel("index $i$, the largest first")
    ax.set_ylabel(r"stretches by $\sigma_i$")
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
        return nothing(ax, "Many steps: Lyapunov exponents", dataset)
    lines = dataset.exponents_of_sequences.transpose("unit", "sequence").values
    ax.plot(index, figures.finite(lines), **thin())
    ax.errorbar(
        index[finite], mean[finite], error[finite], ls="", marker="o", ms=pt(4), color=MEASURED,
        capsize=pt(2), elinewidth=pt(1.2),
    )  # fmt: skip
    ax.fill_between(index, 0.0, np.where(finite & (mean > 0), mean, 0.0), color="0.75", lw=0)
    ax.axhline(0.0, **figures.guide())
    if np.isfinite(dataset.theory_exponent):
        reach = [0.5, 0.3 * index[-1] + 0.7]
        expected = [float(dataset.theory_exponent)] * 2
        ax.plot(reach, expected, **figures.theory(label=r"$\lambda_1$, mean field"))
        ax.legend(loc="lower left")
    figures.count_axis(ax.xaxis)
    all_there = "index $i$, the largest first"
    ax.set_xlabel(all_there if finite.all() else r"index $i$ (those not shown: $-\infty$)")
    ax.set_ylabel(r"grows by $\lambda_i$ (nats/step)")
    ax.set_title("Many steps: Lyapunov exponents")
    return ax


def has_map(dataset: xr.Dataset) -> bool:
    """Whether gradients are known from step to step, as they are where many steps carry loss."""
    return "step" in dataset.column.attrs["long_name"]


def plot_map(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Norm of dl_t/dh_{t-k} relative to lag 0, over step t and lag k; sequences that live.

    Follow a column upwards: how the gradient of one loss fares on its way back. Where few steps
    carry loss columns would be alike: what is drawn instead is by how much the gradient of each
    sequence, from the last of these steps, differs from their mean.
    """
    ax = figures.axes_or_new(ax)
    shown = decades(dataset.log_change_map.transpose("column", "lag").values.T)
    title = "Gradients from every step" if has_map(dataset) else "How sequences differ"
    if not np.isfinite(shown[1:]).any():
        return nothing(ax, title, dataset)
    if has_map(dataset):
        _draw_map(ax, dataset, shown)
    elif shown.shape[1] < 2:
        return instead(ax, title, "there is one sequence,\nand one step with loss")
    else:
        _draw_differences(ax, dataset, shown)
    ax.set_title(title)
    return ax


def _draw_map(ax: Axes, dataset: xr.Dataset, shown: npt.NDArray[np.float64]) -> None:
    mesh = ax.pcolormesh(dataset.column, dataset.lag, shown, shading="nearest", rasterized=True)
    ticks = ticks_between(float(np.nanmin(shown)), float(np.nanmax(shown)))
    figure = ax.get_figure(root=True)
    assert figure is not None
    bar = figures.colour_bar(figure, mesh, ax, NORM)
    bar.set_ticks(list(ticks), labels=[power(tick) for tick in ticks])
    figures.contour(
        ax, dataset.column, dataset.lag, shown, levels=ticks, colors="white", linewidths=pt(0.8),
        linestyles="-",
    )  # fmt: skip
    ax.grid(visible=False)
    ax.set_xlabel(dataset.column.attrs["long_name"])
    ax.set_ylabel("lag $k$ (steps)")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True))


def _draw_differences(ax: Axes, dataset: xr.Dataset, shown: npt.NDArray[np.float64]) -> None:
    """A line for each sequence: how many times as large as the mean of all its gradient is."""
    known = np.isfinite(shown).all(axis=1)
    apart = np.full(shown.shape, np.nan)
    apart[known] = shown[known] - shown[known].mean(axis=1, keepdims=True)
    ax.plot(dataset.lag, apart, **thin() | {"alpha": 0.6, "lw": pt(1.0)})
    ax.axhline(0.0, **figures.guide())
    most = max(float(np.nanmax(np.abs(apart), initial=0.0)), 0.1)
    log_axis(ax, -1.1 * most, 1.1 * most)
    ax.set_xlim(0, int(dataset.lag[-1]))
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel("norm of a sequence, mean = 1")


def plot_lags(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Norm of dl_t/dh_{t-k} relative to lag 0 against lag k.

    Thin: sequences, thick: their mean. Dashed: the slope lambda_1, through the middle of the range
    of the fit, and what no gradient can lie above, by the norm of W_hh (Pascanu et al. 2013), where
    that stays in the picture.
    """
    ax = figures.axes_or_new(ax)
    mean = draw_lags(ax, dataset, "mean")
    if mean is None:
        return ax
    low, high = lag_limits(ax)
    last = int(dataset.growth_last_lag)
    lag = dataset.lag.values[: last + 1]
    bound = decades(theory.pascanu_log_bound(float(dataset.spectral_norm), lag))
    if low <= float(bound[-1]) <= high:
        ax.plot(lag, bound, **figures.theory(label=_BOUND, color="0.35", lw=pt(1.2)))
    finish_lags(ax, low, high)
    return ax


def draw_lags(ax: Axes, dataset: xr.Dataset, name: str) -> npt.NDArray[np.float64] | None:
    """Norms of the whole state, their mean under this name, and the slope that is predicted.

    None where there are none; the panel says so then.
    """
    lag, title = dataset.lag.values, "Gradients on their way back"
    curves = decades(dataset.log_norms.transpose("sequence", "lag"))
    if not np.isfinite(curves[:, 1:]).any():
        nothing(ax, title, dataset)
        return None
    known = np.asarray(np.isfinite(curves).all(axis=0))
    mean = np.where(known, np.where(known, curves, 0.0).mean(axis=0), np.nan)
    ax.plot(lag, curves.T, **thin())
    ax.plot(lag, mean, color=MEASURED, lw=pt(2.6), label=name)
    first, last = int(dataset.growth_first_lag), int(dataset.growth_last_lag)
    slope = float(powers(dataset.exponents[0]))
    fitted = known[first : last + 1]
    middle = float(np.nanmean(mean[first : last + 1])) if fitted.any() else np.nan
    if np.isfinite([slope, middle]).all():
        line = middle + slope * (lag - 0.5 * (first + last))
        ax.plot(lag[: last + 1], line[: last + 1], **figures.theory(label=RATE))
    ax.set_xlim(0, last)
    ax.set_title(title)
    return mean


def lag_limits(ax: Axes) -> tuple[float, float]:
    """What is drawn, 1 and some room above."""
    low, high = ax.get_ylim()
    return min(low, -0.5), max(high, 0.5) + 0.1 * max(high - low, 1.0)


def finish_lags(ax: Axes, low: float, high: float) -> None:
    """Axes of norms over lags, and names of lines at their ends."""
    ax.axhline(0.0, **figures.guide())
    log_axis(ax, low, high)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel(NORM)
    figures.name_lines(ax)


def plot_truncation(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Relative error of the gradient truncated at window K, stride 1.

    The mark is the smallest window from which on the error stays below the dotted line; dashed is
    the rate lambda_1, where that is below 0.
    """
    ax = figures.axes_or_new(ax)
    error = decades(dataset.truncation_log_error)
    if not np.isfinite(error).any():
        return nothing(ax, "Truncation", dataset)
    tolerance, length = configuration(dataset)["tolerance"], int(dataset.window[-1])
    ax.plot(dataset.window, error, color=MEASURED, lw=pt(2.6))
    ax.axhline(np.log10(tolerance), **mark())
    window = float(dataset.sufficient_window)
    found = "not known"
    if np.isfinite(window):
        found = f"{window:.0f} of {length} steps"
        foot = float(np.log10(tolerance)) - _BELOW
        ax.plot([window] * 2, [foot, np.log10(tolerance)], color="black", lw=pt(1.2))
        ax.plot([window], [np.log10(tolerance)], "o", color="black", ms=pt(8), zorder=6)
        rate = float(dataset.exponents[0])
        if rate < -2 * float(dataset.exponent_errors[0]):
            K = dataset.window.values[dataset.window.values >= window / 2]
            line = np.log10(tolerance) + float(powers(rate)) * (K - window)
            ax.plot(K, line, **figures.theory(label=RATE))
            early = window < np.sqrt(length)  # the curve comes down from the upper left
            ax.legend(loc="upper right" if early else "lower left")
    ax.set_title(f"Window for an error of {tolerance:.0%}: {found}")
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.set_xlim(0.9, length * 1.1)
    log_axis(ax, float(np.log10(tolerance)) - _BELOW, max(0.3, float(np.nanmax(error)) + 0.1))
    ax.set_xlabel("window $K$ (steps)")
    ax.set_ylabel(r"relative error $\|g_K - g\|\,/\,\|g\|$")
    return ax


def numbers(dataset: xr.Dataset) -> list[Table]:
    """What the tables of a page say."""
    length, H = int(dataset.window[-1]), dataset.unit.size
    rows = [
        ("Kaplan-Yorke dim.", f"{dimension(dataset)} of {H}"),
        ("mean slope of units", value(dataset, "mean_slope", ".2f")),
        ("window (steps)", f"{value(dataset, 'sufficient_window', '.0f')} of {length}"),
    ]
    matrix = [
        ("spectral radius", value(dataset, "spectral_radius", ".2f")),
        ("norm", value(dataset, "spectral_norm", ".2f")),
        ("departure from normality", value(dataset, "henrici_relative", ".0%")),
    ]
    return [Table("$W_{hh}$", matrix), rates(dataset), Table("In short", rows)]


def value(dataset: xr.Dataset, name: str, form: str) -> str:
    """A number in this form, or that it is not known."""
    number = float(dataset[name])
    return format(number, form) if np.isfinite(number) else "unknown"


def rates(dataset: xr.Dataset) -> Table:
    """What changes by so much in a step; any network has it, whatever its cell."""

    def estimate(number: float, error: float) -> str:
        return words.plus_minus(number, error) if np.isfinite(number) else "unknown"

    leading = estimate(float(dataset.exponents[0]), float(dataset.exponent_errors[0]))
    growth = estimate(float(dataset.growth_rate), float(dataset.growth_rate_error))
    rows = [
        ("$\\lambda_1$", leading),
        ("gradients", growth),
        ("entropy", value(dataset, "entropy_rate", ".2f")),
    ]
    return Table("Rates (nats/step)", rows)


def dimension(dataset: xr.Dataset) -> str:
    """The Kaplan-Yorke dimension, or between what it lies."""
    return words.dimension(*(float(dataset[f"kaplan_yorke{end}"]) for end in ("_low", "", "_high")))
