"""Phase diagram: gain against the strength of input or biases, forwards and backwards in time."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import rnnsim

from ..commands.dynamics import PHASE_DIAGRAM, PhaseDiagram
from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.words import counted
from .lyapunov_plots import beyond_0, finite
from .phase_words import gain_at_rest, in_theory, medians, sentences

HELP = PHASE_DIAGRAM.help
Settings = PhaseDiagram

_ZOOM = 0.15  # nats/step
_LEAST_BOUND = 0.01  # nats/step, where colours end
_DRIVES = {
    "input": r"input strength: std of $(W_{xh} x_t)_i$",
    "bias": r"bias strength: std of $(b_h)_i$",
}
_LINES = {"lyapunov_exponent": ("0.45", 7.0), "growth_rate": ("black", 2.2)}  # colour, points
_WORDS = {
    "lyapunov_exponent": r"forwards: $\lambda_1$ = 0",
    "growth_rate": "backwards: gradients neither grow nor shrink",
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
    figure, ax = figures.new_figure(figsize=(9.5, 7.4))
    plot_phase_diagram(dataset, ax=ax)
    ax.set_title(f"Stable (blue, hatched) and {beyond_0(dataset)} (red)")
    label = r"largest Lyapunov exponent $\lambda_1$ (nats/step)"
    figures.colour_bar(figure, ax.collections[0], ax, label, extend="both")
    if lines := key(dataset):
        figures.legend_above(figure, lines)
    settings = figures.configuration(dataset)
    border = (
        "Neither is 0 anywhere between these gains and strengths.",
        "Only one of them is 0 between these gains and strengths.",
        _agreeing(dataset),
    )[sum(_crosses(medians(dataset, name)) for name in _LINES)]
    steps = counted(settings["n_steps"] - settings["burn_in"], "step")
    figures.caption(
        figure,
        f"Medians over {_networks(dataset)}. {_drive(dataset)} Growth forwards (map) and backwards "
        f"is measured over {steps}. {border}",
    )
    return figure


def _agreeing(dataset: xr.Dataset) -> str:
    """At how many points, of those where both are known, growth forwards and backwards agree."""
    forth, back = (medians(dataset, name) for name in _LINES)
    known = forth.notnull() & back.notnull()
    same = int((((forth > 0) == (back > 0)) & known).sum())
    return (
        "Trajectories part where gradients explode: both or neither at "
        f"{same} of {counted(int(known.sum()), 'point')} of the map."
    )


def _scatter_figure(dataset: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 2, figsize=(13, 6.2))
    plot_forwards_backwards(dataset, ax=axes[0])
    plot_forwards_backwards(dataset, zoom=_ZOOM, ax=axes[1])
    axes[0].set_title("All networks")
    axes[1].set_title("Those around 0")
    figures.letter(axes)
    handles, names = axes[0].get_legend_handles_labels()
    figures.legend_above(figure, handles, names)
    label = _DRIVES[figures.configuration(dataset)["drive"]]
    figures.colour_bar(figure, axes[0].collections[0], list(axes), label)
    figures.caption(
        figure,
        f"Each dot one network at one gain and strength ({_networks(dataset)} at each). "
        f"{_drive(dataset)} On the dashed line, gradients change on their way back at the rate at "
        "which small distances do on their way forth. What is left is due to finitely many steps.",
    )
    return figure


def _networks(dataset: xr.Dataset) -> str:
    settings = figures.configuration(dataset)
    units = counted(settings["n_hidden"], "unit") + cells.in_each_layer(dataset)
    return f"{counted(dataset.network_seed.size, 'network')} of {units}"


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

    Colours are medians over networks: blue and hatched is stable, red chaotic (relu and linear:
    unstable); they end at the largest exponent, up and down. Wide grey line: where the median is 0.
    Thin black line: where the median growth rate of gradients is 0. Dashed: the critical line of
    mean field; of gated networks and stacks, which have none, a diamond where rest loses stability
    at strength 0.
    """
    ax = figures.axes_or_new(ax)
    data = dataset.sortby("gain").sortby("strength")
    x, y = data.gain.values, data.strength.values
    shown = medians(data, "lyapunov_exponent").transpose("strength", "gain").values
    known = shown[np.isfinite(shown)]
    bound = known.max(initial=0.0) if (known > 0).any() else np.abs(known).max(initial=0.0)
    figures.signed_mesh(ax, x, y, shown, bound=max(bound, _LEAST_BOUND))
    for variable, (color, points) in _LINES.items():
        values = medians(data, variable)
        if _crosses(values):
            _border(ax, values, color=color, lw=figures.pt(points))
    strengths = np.linspace(y.min(), y.max(), 200)
    critical = in_theory(dataset, strengths)
    if critical is not None:
        ax.plot(critical, strengths, **figures.theory(lw=figures.pt(2.4)))
    rest = _rest_in_view(dataset)
    if rest is not None:
        ax.plot([rest], [0.0], **_diamond())
    ax.set_xlim(*figures.edges(x)[[0, -1]])
    ax.set_ylim(*figures.edges(y)[[0, -1]])
    ax.grid(visible=False)
    ax.set_xlabel("gain of $W_{hh}$")
    ax.set_ylabel(_DRIVES[figures.configuration(dataset)["drive"]])
    return ax


def _diamond() -> dict[str, Any]:
    face = {"color": "black", "mec": "white", "ls": "", "zorder": 6}
    return {"marker": "D", "ms": figures.pt(10)} | face


def _border(ax: Axes, values: xr.DataArray, **style: Any) -> None:
    """The line where values are 0, without specks: pieces within a cell, if others are not."""
    x, y = values.gain.values, values.strength.values
    rates = finite(values.transpose("strength", "gain"))
    contour = ax.contour(x, y, rates, levels=[0.0])
    pieces = contour.allsegs[0]
    contour.remove()
    cell = np.array([np.diff(x).max(), np.diff(y).max()])
    long = [piece for piece in pieces if (np.ptp(piece, axis=0) >= 0.999 * cell).any()]
    ax.add_collection(LineCollection(long or pieces, **style), autolim=False)


def _crosses(data: xr.DataArray) -> bool:
    """Whether there is a line where this is 0."""
    values = finite(data.transpose("strength", "gain"))
    if min(values.shape) < 2 or np.isnan(values).all():
        return False
    return bool(np.nanmin(values) < 0 < np.nanmax(values))


def key(dataset: xr.Dataset) -> list[Line2D]:
    """Legend of the lines that `plot_phase_diagram` draws."""
    lines = [
        Line2D([], [], label=_WORDS[name], color=color, lw=figures.pt(points))
        for name, (color, points) in _LINES.items()
        if _crosses(medians(dataset, name))
    ]
    gains, strengths = (np.sort(dataset[axis].values) for axis in ("gain", "strength"))
    low, *_, high = figures.edges(gains)
    critical = in_theory(dataset, np.linspace(strengths[0], strengths[-1], 200))
    if critical is not None and ((low < critical) & (critical < high)).any():
        lines.append(Line2D([], [], label="mean field, large $H$", **figures.theory()))
    if _rest_in_view(dataset) is not None:
        lines.append(Line2D([], [], label="rest loses stability, large $H$", **_diamond()))
    return lines


def _rest_in_view(dataset: xr.Dataset) -> float | None:
    """`gain_at_rest` where it lies between the gains shown, and strength 0 is among them."""
    rest = gain_at_rest(dataset)
    low, *_, high = figures.edges(np.sort(dataset.gain.values))
    seen = rest is not None and dataset.strength.values.min() == 0 and low < rest < high
    return rest if seen else None


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
        "s": figures.pt(5.0) ** 2,
        "alpha": 0.85,
        "lw": figures.pt(0.3),
        "edgecolors": "0.2",
    }
    ax.scatter(forth.ravel(), back.ravel(), c=shade.ravel(), zorder=3, **style)
    both = np.concatenate([forth.ravel(), back.ravel()])
    both = both[np.isfinite(both)] if zoom is None else np.array([-zoom, zoom])
    ends = np.array([both.min(initial=0.0), both.max(initial=0.0)])
    ax.plot(ends, ends, label="both the same", **figures.theory())
    ax.axhline(0.0, **figures.guide())
    ax.axvline(0.0, **figures.guide())
    if zoom is not None:
        ax.set(xlim=ends, ylim=ends)
    ax.set_xlabel(r"forwards: largest Lyapunov exponent $\lambda_1$ (nats/step)")
    ax.set_ylabel(r"backwards: growth of $\|\partial l_T/\partial h_{T-k}\|$ (nats/step)")
    return ax


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    return cells.told(datasets, sentences)
