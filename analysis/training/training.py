"""Training: loss, gradients, eigenvalues and the bias of truncation, while networks learn."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

import rnnsim

from ..commands.own import of_files, with_own
from ..commands.training import TRAINING, Training
from ..frame import cells, figures
from ..frame.figures import relative
from ..frame.runs import Datasets
from ..frame.words import counted, listing, middle, part, share, were
from .carry_plots import carry_figure
from .gates import gate_figure, gates_in_words
from .panels import drawn, gains_of, grid, trained
from .parts import ends, ends_of_parts, of_one_kind, plot_parts, with_all_eigenvalues
from .training_plots import (
    eigenvalue_film,
    known_errors,
    losses_of,
    plot_against_updates,
    plot_bias,
    plot_eigenvalues,
    plot_gradient_norm,
    plot_reach,
)

HELP = TRAINING.help
Settings = Training

_SOLVED = 0.1  # of the loss of the best constant answer


def compute(settings: Settings, progress: bool) -> Datasets:
    """All gains and seeds are one ensemble, and learn from the same batches."""
    with of_files(settings):
        chosen = with_own(settings, vars(settings), batches=True)
        return {"training": rnnsim.training_sweep(progress=progress, **chosen)}


def draw(datasets: Datasets) -> dict[str, Figure]:
    """All figures of this family, those of each kind of networks by themselves."""
    found = cells.drawn(datasets, _figures, state="")
    return found | {"what-is-carried": carry_figure()}


def _figures(datasets: Datasets) -> dict[str, Figure]:
    data = of_one_kind(datasets["training"])
    found = {"learning": _learning_figure(data), "dynamics": _dynamics_figure(data)}
    if cells.is_gated(data):
        found["gates"] = gate_figure(data)
    else:
        found["eigenvalues"] = _eigenvalue_figure(with_all_eigenvalues(data))
    return found | {"bias": _bias_figure(data), "gradient-reach": _reach_figure(data)}


def films(datasets: Datasets) -> Mapping[str, figures.Film]:
    """The eigenvalues, moving, of every kind of networks that has them."""
    found = {}
    for kind in cells.kinds_of(datasets):
        if kind.cell == "vanilla":
            data = with_all_eigenvalues(of_one_kind(kind.datasets["training"]))
            found[f"eigenvalues-moving{kind.suffix}"] = eigenvalue_film(data)
    return found


def _learning_figure(data: xr.Dataset) -> Figure:
    scored = bool(data.accuracy.notnull().any())
    clipped = float(_settings(data)["clip_norm"]) > 0
    wanted = ["loss", *["accuracy"] * scored, "gradient", *["clipped"] * clipped]
    columns = 3 if len(wanted) == 3 else 2
    figure, axes = figures.new_figure(
        len(wanted) // columns, columns, figsize=(5.6 * columns, 3.9 * (len(wanted) // columns))
    )
    panels = dict(zip(wanted, axes.flat, strict=True))
    for name, ax in panels.items():
        if name == "gradient":
            plot_gradient_norm(data, ax=ax)
        else:
            plot_against_updates(data, name, ax=ax)
        ax.set_title(_TITLES[name])
    constant = figures.mark(label="always the\nsame answer")
    panels["loss"].axhline(float(data.constant_loss), **constant)
    figures.lower_end(panels["loss"])
    for ax in panels.values():
        figures.name_lines(ax)
    figures.letter(list(panels.values()))
    figures.caption(
        figure,
        f"{trained(data)}.{drawn(data)} Loss{' and answers' * scored}: of test data; dotted is "
        "the loss of the best constant answer. Norms, before clipping, are means of logs over "
        "the updates since the point before. Look at what the norm does where a loss leaves its "
        "plateau.",
    )
    return figure


_TITLES = {
    "loss": "Is it learned?",
    "accuracy": "How often is it right?",
    "gradient": "How large is the gradient?",
    "clipped": "How often is it clipped?",
}


def _dynamics_figure(data: xr.Dataset) -> Figure:
    if not cells.is_plain(data):
        return _dynamics_of_parts(data)
    figure, axes = figures.new_figure(1, 2, figsize=(11.0, 4.4))
    for ax, variable, level in zip(
        axes, ("spectral_radius", "lyapunov_exponent"), (1.0, 0.0), strict=True
    ):
        plot_against_updates(data, variable, ax=ax)
        ax.axhline(level, **figures.guide())
        figures.name_lines(ax)
    axes[0].set_title("How strong is the recurrence?")
    axes[1].set_title("Do small distances grow?")
    figures.letter(axes)
    figures.caption(
        figure,
        f"{trained(data)}.{drawn(data)} Grey: spectral radius 1 and exponent 0, where distances "
        "neither grow nor shrink. A radius above 1 need not mean a positive exponent: inputs and "
        "saturation damp what W_hh alone would let grow.",
    )
    return figure


def _dynamics_of_parts(data: xr.Dataset) -> Figure:
    """Of gated networks and stacks: each gate or layer, a column for each gain."""
    figure, axes = grid(data, 2, 7.6)
    for column, gain in enumerate(gains_of(data)):
        plot_parts(data, _strength(data), gain=gain, ax=axes[0, column])
        if not cells.is_gated(data):
            axes[0, column].axhline(1.0, **figures.guide())
        plot_against_updates(data, "lyapunov_exponent", gain=gain, ax=axes[1, column])
        axes[1, column].axhline(0.0, **figures.guide())
    figures.label_outer(figure)
    figures.legend_above(figure, axes[0, 0].get_legend_handles_labels()[0])
    ones = "spectral radius 1 and exponent 0, where distances neither grow nor shrink"
    why = (
        "A radius above 1 need not mean a positive exponent: inputs and saturation damp what W_hh "
        "alone would let grow."
    )
    if cells.is_gated(data):
        ones = "exponent 0"
        why = (
            "Blocks of W_hh have no eigenvalues that mean anything; their norms say how strongly "
            f"the state can move each gate{_largest(data)}."
        )
    figures.caption(figure, f"{trained(data)}.{drawn(data)} Grey: {ones}. {why}")
    return figure


def _strength(data: xr.Dataset) -> str:
    """What says how strong W_hh is: blocks of gates have no spectral radius."""
    return "gate_spectral_norm" if cells.is_gated(data) else "spectral_radius"


def _largest(data: xr.Dataset) -> str:
    return " (the largest of all layers)" * (cells.layers_of(data) > 1)


def _eigenvalue_figure(data: xr.Dataset) -> Figure:
    gains = gains_of(data)
    figure, axes = figures.new_figure(
        1,
        len(gains),
        figsize=(3.7 * max(len(gains), 2), 4.6),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for ax, gain in zip(axes[0], gains, strict=True):
        plot_eigenvalues(data, gain=gain, ax=ax)
    figures.entitle(axes, [f"gain {gain:g} at the start" for gain in gains])
    figures.label_outer(figure)
    names = ("before training", f"after {int(data.snapshot[-1])} updates")
    figures.legend_above(figure, axes[0, 0].get_legend_handles_labels()[0], names)
    figures.caption(
        figure,
        f"{trained(data)}. Eigenvalues of W_hh of all networks{_and_layers(data)}; grey: the "
        "unit circle. Look for the few that learning moves out, and the many that stay.",
    )
    return figure


def _and_layers(data: xr.Dataset) -> str:
    return " and layers" * (cells.layers_of(data) > 1)


def _bias_figure(data: xr.Dataset) -> Figure:
    figure, axes = grid(data, 1, 4.6)
    for ax, gain in zip(axes[0], gains_of(data), strict=True):
        plot_bias(data, gain=gain, trained=_settings(data)["window"], ax=ax)
        figures.name_lines(ax)
    figures.label_outer(figure)
    figures.caption(
        figure,
        f"{trained(data)}. What sliding windows of K steps would lose of the gradient of W_hh on "
        f"the test data.{drawn(data)} Errors that rounding hides are not drawn and count as least. "
        "Grey: 1, "
        "as large as the gradient. A window that suffices at the start need not suffice later.",
    )
    return figure


def _reach_figure(data: xr.Dataset) -> Figure:
    figure, axes = grid(data, 1, 4.6)
    for ax, gain in zip(axes[0], gains_of(data), strict=True):
        mesh = plot_reach(data, gain=gain, ax=ax).collections[0]
    figures.label_outer(figure)
    label = "norm relative to lag 0 (powers of ten)"
    figures.colour_bar(figure, mesh, axes[0].tolist(), label, extend="both")
    figures.caption(
        figure,
        f"{trained(data)}. Follow a column upwards: how the gradient of a loss fares as it goes "
        f"back in time{_whole(data)}, median over networks. Hatched: it shrinks; contours: factors "
        "of 100. Contours that rise to the right: the gradient comes to reach further back while "
        "the network learns.",
    )
    return figure


def _whole(data: xr.Dataset) -> str:
    """What the gradient is taken of, where it is more than h of one layer."""
    pairs = " (h, c)" * (cells.cell_of(data) == "lstm")
    if cells.layers_of(data) > 1:
        return f" (of the states{pairs} of all layers)"
    return f" (of the state{pairs})" if pairs else ""


def _settings(data: xr.Dataset) -> dict[str, Any]:
    return figures.configuration(data)


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    return cells.told(datasets, _sentences)


def _sentences(datasets: Datasets) -> list[str]:
    data = of_one_kind(datasets["training"])
    gains = [data.sel(gain=gain) for gain in data.gain.values]
    solved = {float(one.gain): _solved(one) for one in gains}
    found = part(
        "What is learned",
        [_gain_in_words(one) for one in gains],
        answer=_learned_in_words(solved, data.sizes["network_seed"]),
        advice=_gain_to_start_from(solved),
    )
    found += part("What becomes of gradients", [_dynamics_in_words(one) for one in gains])
    if cells.is_gated(data):
        found += part("Gates", [each for one in gains for each in gates_in_words(one)])
    found += part("What truncation would lose", [_bias_in_words(one) for one in gains])
    if (lost := int((data.diverged >= 0).sum())) > 0:
        text = f"{counted(lost, 'network')} left the floating-point range and {were(lost)} frozen"
        found += part("Networks that were lost", [f"{text}, of {data.diverged.size}."])
    return found


def _solved(data: xr.Dataset) -> int:
    """Networks that come below a tenth of the loss of always giving the same answer."""
    return int((losses_of(data).isel(updates=-1) < _SOLVED * data.constant_loss).sum())


def _learned_in_words(solved: Mapping[float, int], n_networks: int) -> str:
    """From which gains the task is learned."""
    learned = [gain for gain, count in solved.items() if 2 * count > n_networks]
    others = [gain for gain in solved if gain not in learned]
    if not learned:
        return "From no gain do more than half of the networks learn the task."
    if not others:
        return "From every gain more than half of the networks learn the task."
    return (
        f"More than half of the networks learn the task from {listing('gain', learned, '')}, not "
        f"from {listing('gain', others, '')}."
    )


def _gain_to_start_from(solved: Mapping[float, int]) -> str:
    """The gain from which most networks learn, if it is one of several."""
    best = [gain for gain, count in solved.items() if count == max(solved.values())]
    return f"start from gain {best[0]:g}." * (len(best) == 1 < len(solved))


def _gain_in_words(data: xr.Dataset) -> str:
    final = losses_of(data).isel(updates=-1)
    solved = _solved(data)
    counts = np.where(data.clipped.isnull(), 0, updates_made(data))
    clipped = "none"
    if total := counts.sum():
        clipped = share(float((data.clipped.fillna(0.0).values * counts).sum() / total))
    norms = data.largest_log_gradient_norm
    highest = (
        f"peaks at {np.exp(float(norms.max())):.3g} (the largest of all networks and updates)"
        if norms.notnull().any()
        else "is not known"
    )
    come = "comes" if final.size == 1 else "come"
    return (
        f"From gain {float(data.gain):g}, {solved} of {counted(final.size, 'network')} {come} "
        "below a tenth of the loss of always giving the same answer "
        f"({float(data.constant_loss):.2f}) within {int(data.updates[-1])} updates; the "
        f"median ends at {middle(final, lambda x: f'{x:.2g}')}, {clipped} of updates were "
        f"clipped, and the gradient's norm {highest}."
    )


def updates_made(data: xr.Dataset) -> npt.NDArray[np.int64]:
    """How many updates each network made since the record before (..., updates); 0 at the first.

    One that left the range made none from that update on.
    """
    diverged = data.diverged.values[..., None]
    last = np.where(
        diverged < 0, data.updates.values, np.minimum(diverged - 1, data.updates.values)
    )
    return np.diff(last, axis=-1, prepend=0)


def _dynamics_in_words(data: xr.Dataset) -> str:
    left = relative(data.log_norms, "lag").isel(lag=-1)
    left = left.copy(data=figures.powers(left))
    if cells.is_plain(data):
        strength = f"the median spectral radius goes {ends(data.spectral_radius, '.2f')}"
    elif cells.is_gated(data):
        strength = (
            f"the median spectral norm of each gate's block of W_hh{_largest(data)} goes "
            f"{ends_of_parts(data, 'gate_spectral_norm', '.2f')}"
        )
    else:
        strength = (
            f"the median spectral radius goes {ends_of_parts(data, 'spectral_radius', '.2f')}"
        )
    return (
        f"From gain {float(data.gain):g} {strength}, the largest Lyapunov exponent "
        f"{ends(data.lyapunov_exponent, '+z.2f')} nats/step; the power of ten of what is left of "
        f"a gradient after {int(data.lag[-1])} steps goes {ends(left, '+z.1f')} (-inf: nothing)."
    )


def _bias_in_words(data: xr.Dataset) -> str:
    wanted = _settings(data)["window"] or 0.5 * int(data.window[-1])
    window = figures.nearest(data.window.values, [wanted])[0]
    errors = known_errors(data).sel(window=window).transpose("snapshot", ...)
    first, last = (middle(errors[i], lambda x: _error(np.exp(x))) for i in (0, -1))
    return (
        f"From gain {float(data.gain):g} a window of {window:g} steps would lose {first} of the "
        f"full gradient at the start and {last} at the end (medians)."
    )


def _error(size: float) -> str:
    return f"{size:.2g}" if size > 0 else "less than is known"
