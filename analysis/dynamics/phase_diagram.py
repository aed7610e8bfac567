"""Phase diagram: gain against the strength of input or biases, forwards and backwards in time."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import rnnsim
from rnnsim import theory

from ..commands.dynamics import PHASE_DIAGRAM, PhaseDiagram
from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.words import counted, have, part
from . import words
from .lyapunov_plots import RANDOM_ENTRIES, THEORY, ZERO, beyond_0, finite

HELP = PHASE_DIAGRAM.help
Settings = PhaseDiagram

_ZOOM = 0.15  # nats/step
_LEAST_BOUND = 0.01  # nats/step, where colours end
_DRIVES = {
    "input": r"input strength: std of $(W_{xh} x_t)_i$",
    "bias": r"bias strength: std of $(b_h)_i$",
}
_LINES: dict[str, dict[str, Any]] = {
    "lyapunov_exponent": {"color": "white", "ls": "-", "lw": 5.0},
    "growth_rate": {"color": "black", "ls": ":", "lw": 3.0},
}
_REST: dict[str, Any] = {
    "color": "black", "marker": "D", "ms": 10, "mec": "white", "ls": "", "zorder": 6,
}  # fmt: skip
_WORDS = {
    "lyapunov_exponent": r"$\lambda_1$ = 0 (forwards)",
    "growth_rate": "gradient growth = 0 (backwards)",
}


def compute(settings: Settings, progress: bool) -> Datasets:
    """One sweep: both measures of the same networks and inputs."""
    return {
        "phase": rnnsim.phase_sweep(
            gain=settings.gain,
            strength=settings.strength,
            drive=settings.drive,
            scheme=settings.scheme,
            n_steps=settings.n_steps,
            burn_in=settings.burn_in,
            progress=progress,
            **settings.shared(),
        )
    }


def draw(datasets: Datasets) -> dict[str, Figure]:
    """All figures of this family, those of each cell by themselves."""
    return cells.drawn(datasets, _figures, state=": exponents of %s")


def _figures(datasets: Datasets) -> dict[str, Figure]:
    return {
        "phase-diagram": _phase_figure(datasets["phase"]),
        "forwards-backwards": _scatter_figure(datasets["phase"]),
    }


def _phase_figure(dataset: xr.Dataset) -> Figure:
    figure, ax = figures.new_figure(figsize=(10.5, 7.2))
    plot_phase_diagram(dataset, ax=ax)
    ax.set_title(f"Stable (dark) and {beyond_0(dataset)} (bright)")
    bar = figure.colorbar(ax.collections[0], ax=ax, extend="both")
    bar.set_label(r"largest Lyapunov exponent $\lambda_1$ (nats/step)")
    if lines := key(dataset):
        legend = figure.legend(
            handles=lines, loc="outside upper center", ncols=3, fontsize=12, frameon=True
        )
        legend.get_frame().set(facecolor="0.72", edgecolor="none")
    settings = figures.configuration(dataset)
    own = [_crosses(each) for each in dataset.lyapunov_exponent.transpose("network_seed", ...)]
    thin = "; thin: where $\\lambda_1$ = 0 for each" * any(own)
    border = (
        "Neither is 0 anywhere between these gains and strengths.",
        "Only one of them is 0 between these gains and strengths.",
        "Where trajectories part, gradients explode: one border.",
    )[sum(_crosses(medians(dataset, name)) for name in _LINES)]
    border += " Thin lines far apart: small networks differ from each other." * (sum(own) > 1)
    figures.caption(
        figure,
        f"Medians over {_networks(dataset)}{thin}. {_drive(dataset)} Both are measured over "
        f"{settings['n_steps'] - settings['burn_in']} steps. {border}",
    )
    return figure


def _scatter_figure(dataset: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 2, figsize=(13, 6.4))
    plot_forwards_backwards(dataset, ax=axes[0])
    plot_forwards_backwards(dataset, zoom=_ZOOM, ax=axes[1])
    axes[0].set_title("all networks")
    axes[1].set_title("around 0")
    axes[1].set_ylabel("")
    axes[0].legend(loc="upper left", fontsize=12)
    label = _DRIVES[figures.configuration(dataset)["drive"]]
    figure.colorbar(axes[0].collections[0], ax=list(axes)).set_label(label)
    figures.caption(
        figure,
        f"Each dot one network at one gain and strength ({_networks(dataset)} at each). "
        f"{_drive(dataset)} On the dashed line, gradients change on their way back at the rate at "
        "which small distances do on their way forth. What is left is due to finitely many steps.",
    )
    return figure


def _networks(dataset: xr.Dataset) -> str:
    settings = figures.configuration(dataset)
    units = f"{settings['n_hidden']} units{cells.in_each_layer(dataset)}"
    return f"{dataset.network_seed.size} networks of {units}"


def _drive(dataset: xr.Dataset) -> str:
    settings = figures.configuration(dataset)
    gates = cells.is_gated(dataset)
    if settings["drive"] == "bias":
        parts = ["gates"] * gates + ["layers"] * (cells.layers_of(dataset) > 1)
        whole = f" of all {' and '.join(parts)}" if parts else ""
        return f"Frozen Gaussian biases{whole}, no input."
    lowest = " in the lowest layer" * (cells.layers_of(dataset) > 1)
    return f"White Gaussian inputs{' of all gates' * gates}{lowest}."


def plot_phase_diagram(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Largest Lyapunov exponent over gain and strength, and where gradients turn from shrinking.

    Colours are medians over networks: dark is stable, bright chaotic (relu and linear: unstable),
    the middle of the colours is 0; they end at the largest exponent, up and down. White: where the
    median is 0 (thin: each network's own). Dotted: where the median growth rate of gradients is 0.
    Dashed: the critical line of mean field; of gated networks and stacks, which have none, a
    diamond where rest loses stability at strength 0.
    """
    ax = figures.axes_or_new(ax)
    data = dataset.sortby("gain").sortby("strength")
    x, y = data.gain.values, data.strength.values
    shown = finite(medians(data, "lyapunov_exponent").transpose("strength", "gain"))
    known = shown[np.isfinite(shown)]
    bound = known.max(initial=0.0) if (known > 0).any() else np.abs(known).max(initial=0.0)
    norm = TwoSlopeNorm(0.0, -max(bound, _LEAST_BOUND), max(bound, _LEAST_BOUND))
    columns, rows = _edges(x), _edges(y)
    ax.pcolormesh(columns, rows, shown, norm=norm, cmap="cividis", rasterized=True)
    for seed in data.network_seed:
        own = data.lyapunov_exponent.sel(network_seed=seed)
        _zero_contour(ax, own, _LINES["lyapunov_exponent"] | {"lw": 0.9, "alpha": 0.8})
    for variable, style in _LINES.items():
        _zero_contour(ax, medians(data, variable), style)
    strengths = np.linspace(y.min(), y.max(), 200)
    critical = in_theory(dataset, strengths)
    if critical is not None:
        ax.plot(critical, strengths, **THEORY | {"lw": 2.4})
    rest = _rest_in_view(dataset)
    if rest is not None:
        ax.plot([rest], [0.0], **_REST)
    ax.set_xlim(columns[0], columns[-1])
    ax.set_ylim(rows[0], rows[-1])
    ax.grid(visible=False)
    ax.set_xlabel("gain of $W_{hh}$")
    ax.set_ylabel(_DRIVES[figures.configuration(dataset)["drive"]])
    return ax


def _zero_contour(ax: Axes, data: xr.DataArray, style: dict[str, Any]) -> None:
    if not _crosses(data):
        return
    ax.contour(
        data.gain,
        data.strength,
        finite(data.transpose("strength", "gain")),
        levels=[0.0],
        colors=[style["color"]],
        linestyles=[style["ls"]],
        linewidths=[style["lw"]],
        alpha=style.get("alpha"),
    )


def _crosses(data: xr.DataArray) -> bool:
    """Whether there is a line where this is 0."""
    values = finite(data.transpose("strength", "gain"))
    if min(values.shape) < 2 or np.isnan(values).all():
        return False
    return bool(np.nanmin(values) < 0 < np.nanmax(values))


def key(dataset: xr.Dataset) -> list[Line2D]:
    """Legend of the lines that `plot_phase_diagram` draws."""
    lines = [
        Line2D([], [], label=_WORDS[name], **style)
        for name, style in _LINES.items()
        if _crosses(medians(dataset, name))
    ]
    gains, strengths = (np.sort(dataset[axis].values) for axis in ("gain", "strength"))
    low, *_, high = _edges(gains)
    critical = in_theory(dataset, np.linspace(strengths[0], strengths[-1], 200))
    if critical is not None and ((low < critical) & (critical < high)).any():
        lines.append(Line2D([], [], label="mean field, large $H$", **THEORY | {"lw": 2.4}))
    if _rest_in_view(dataset) is not None:
        lines.append(Line2D([], [], label="rest loses stability, large $H$", **_REST))
    return lines


def gain_at_rest(dataset: xr.Dataset) -> float | None:
    """The gain at which gated networks and stacks leave rest at strength 0; None of others."""
    settings = figures.configuration(dataset)
    if cells.is_plain(dataset):
        return None
    return cells.gain_at_rest(dataset, settings["scheme"], settings["activation"])


def _rest_in_view(dataset: xr.Dataset) -> float | None:
    """`gain_at_rest` where it lies between the gains shown, and strength 0 is among them."""
    rest = gain_at_rest(dataset)
    low, *_, high = _edges(np.sort(dataset.gain.values))
    seen = rest is not None and dataset.strength.values.min() == 0 and low < rest < high
    return rest if seen else None


def in_theory(
    dataset: xr.Dataset, strength: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64] | None:
    """The critical gain of mean field at each strength; None where it does not hold."""
    settings = figures.configuration(dataset)
    if not cells.is_plain(dataset):
        return None
    if settings["activation"] != "tanh" or settings["scheme"] not in RANDOM_ENTRIES:
        return None
    if settings["drive"] == "input":
        critical = theory.critical_gain(input_variance=strength**2)
    else:
        critical = theory.critical_gain(bias_variance=strength**2)
    return critical / theory.effective_gain(settings["scheme"], 1.0)


def _edges(centres: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Borders of cells around ascending centres."""
    if centres.size == 1:
        return centres[0] + np.array([-0.5, 0.5])
    middle = 0.5 * (centres[1:] + centres[:-1])
    outer = 2 * centres[[0, -1]] - middle[[0, -1]]
    return np.concatenate([outer[:1], middle, outer[1:]])


def plot_forwards_backwards(
    dataset: xr.Dataset, *, zoom: float | None = None, ax: Axes | None = None
) -> Axes:
    """Growth rate of gradients, going back, against the largest Lyapunov exponent, going forth.

    A dot is one network at one gain and strength (shade). On the dashed identity both agree. With
    `zoom` the axes end at that rate around 0.
    """
    ax = figures.axes_or_new(ax)
    dims = ("strength", "gain", "network_seed")
    forth, back = (
        finite(dataset[v].transpose(*dims)) for v in ("lyapunov_exponent", "growth_rate")
    )
    shade = np.broadcast_to(dataset.strength.values[:, None, None], forth.shape)
    style: dict[str, Any] = {
        "cmap": "cividis",
        "s": 26,
        "alpha": 0.85,
        "lw": 0.3,
        "edgecolors": "0.2",
    }
    ax.scatter(forth.ravel(), back.ravel(), c=shade.ravel(), zorder=3, **style)
    both = np.concatenate([forth.ravel(), back.ravel()])
    both = both[np.isfinite(both)] if zoom is None else np.array([-zoom, zoom])
    ends = np.array([both.min(initial=0.0), both.max(initial=0.0)])
    ax.plot(ends, ends, label="both the same", **THEORY)
    ax.axhline(0.0, **ZERO)
    ax.axvline(0.0, **ZERO)
    if zoom is not None:
        ax.set(xlim=ends, ylim=ends)
    ax.set_xlabel(r"forwards: largest Lyapunov exponent $\lambda_1$ (nats/step)")
    ax.set_ylabel(r"backwards: growth of $\|\partial l_T/\partial h_{T-k}\|$ (nats/step)")
    return ax


def last_crossing(gains: npt.ArrayLike, values: npt.ArrayLike) -> float:
    """The gain from which on a curve stays above 0, interpolated; NaN if there is none."""
    for low, high in reversed(words.ranges_above(gains, values)):
        if np.isposinf(high) and np.isfinite(low):
            return low
    return float("nan")


def medians(dataset: xr.Dataset, variable: str) -> xr.DataArray:
    """Over networks, where half of them or more are known.

    The rate of a network all of whose gradients die is -inf: it is none that grows.
    """
    values = dataset[variable]
    if variable == "growth_rate" and "growth_live" in dataset:
        values = values.where(dataset.growth_live != 0, -np.inf)
    known = values.notnull().mean("network_seed") >= 0.5
    return values.median("network_seed").where(known)


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    return cells.told(datasets, _sentences)


def _sentences(datasets: Datasets) -> list[str]:
    data = datasets["phase"]
    strengths = data.strength.values
    wanted = [strengths.min(), float(np.median(strengths)), strengths.max()]
    shown = figures.nearest(strengths, wanted)
    return [
        *part(
            "Where states part and gradients grow",
            [_strength_in_words(data.sel(strength=strength)) for strength in shown],
        ),
        *part("Forwards beside backwards", [_agreement_in_words(data)]),
    ]


def _strength_in_words(data: xr.Dataset) -> str:
    word, strength = figures.configuration(data)["drive"], float(data.strength)
    where = {variable: _where(medians(data, variable)) for variable in _LINES}
    critical = in_theory(data, np.array([strength]))
    theirs = "" if critical is None else f"; mean field for large networks: {critical[0]:.2f}"
    if strength == 0 and (rest := gain_at_rest(data)) is not None:
        theirs = f"; rest of large networks loses stability at {rest:.3g}"
    dtype = figures.configuration(data)["dtype"]
    close = words.told_from_0(data.lyapunov_exponent, data.standard_error, dtype) == 0
    return (
        f"At {word} strength {strength:g} the median largest Lyapunov exponent is above 0 "
        f"{where['lyapunov_exponent']}, gradients grow {where['growth_rate']}{theirs}. Of "
        f"{counted(close.size, 'network')} there, {have(int(close.sum()))} an exponent within two "
        "standard errors of 0."
    )


def _where(row: xr.DataArray) -> str:
    """At which gains a median is above 0, and at which it is not known."""
    ranges = words.ranges_above(row.gain.values, row.values)
    text = words.at_gains(ranges, none="from none of these gains on", form=".2f")
    unknown = np.sort(row.gain.values[np.isnan(row.values)])
    if unknown.size == 0:
        return text
    listing = ", ".join(f"{gain:g}" for gain in unknown)
    return f"{text} (not known at {listing})"


def _agreement_in_words(data: xr.Dataset) -> str:
    forth, back, error = (
        data[name].values.ravel() for name in ("lyapunov_exponent", "growth_rate", "standard_error")
    )
    known = np.isfinite(forth) & np.isfinite(back)
    forth, back, error = forth[known], back[known], error[known]
    if forth.size == 0:
        return "No network has both rates."
    apart = np.abs(forth - back)
    differ = (forth > 0) != (back > 0)
    largest = np.abs(forth[differ]).max(initial=0.0)
    dtype = figures.configuration(data)["dtype"]
    told = int(np.abs(words.told_from_0(forth, error, dtype)[differ]).sum())
    where = (
        f", all with a largest exponent within {largest:.3f} of 0, {told} of them more than two "
        "standard errors from it"
        if differ.any()
        else ""
    )
    return (
        f"Both rates of a network differ by {np.median(apart):.4f} nats/step in the median and "
        f"{apart.max():.3f} at most; their signs differ in {int(differ.sum())} of "
        f"{counted(forth.size, 'network')}{where}."
    )
