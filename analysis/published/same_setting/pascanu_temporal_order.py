"""Temporal order by SGD, with clipping, and with clipping and a penalty on vanishing gradients."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import rnnsim

from ...frame import figures
from ...frame.runs import Datasets
from ...frame.settings import flag
from ...frame.words import counted, percent
from ...training.learning_plots import Columns, plot_error, plot_solved, plot_within
from ..rows import Row

PUBLISHED_UPDATES = 5_000_000  # at most; they stopped where a network had solved it
_THEIRS = "clipping + penalty"  # 5 of 5 seeds, at every length from 50 to 200
_SHORTEST, _LONGEST = 50, 200

CLAIM = (
    "Two marks stand early and half way in a sequence, and its end asks which they were, in order. "
    "With gradients clipped at norm 1 and a penalty of weight 4 on those that vanish, 5 of 5 "
    f"networks of 50 tanh units solve it at lengths {_SHORTEST} to {_LONGEST}, each within at most "
    "5 million updates."
)
MISSING = (
    "Agreement of any share: at full size a network has 10,000 updates here, 1/500 of the most "
    "that theirs had. One that has not solved it by then might later; one that has is a success "
    "in both.",
    "SGD and clipping without the penalty: the paper draws their shares and prints no number.",
    f"Lengths 150 and {_LONGEST}, which this budget does not reach.",
    "The paper's Omega: the penalty here is the one of the authors' code, of squared norms, an "
    "average over steps (`penalty_variant` of `rnnsim.train`). Weights of the two do not compare; "
    "4 is taken to belong to the code.",
)


@dataclass(frozen=True)
class Settings:
    """Their networks and their training, at a small part of their budget."""

    length: Annotated[tuple[int, ...], flag("Sequence lengths T, in steps.")] = (20, 50, 100)
    network_seeds: Annotated[int, flag("Initial networks, the same for all methods.")] = 5
    n_updates: Annotated[int, flag("Updates of every network.")] = 10_000
    n_hidden: Annotated[int, flag("Hidden units H.")] = 50
    batch_size: Annotated[int, flag("Sequences B per batch.")] = 20
    learning_rate: Annotated[float, flag("Rate of SGD.")] = 0.01
    clip_norm: Annotated[float, flag("Norm at which gradients are clipped.")] = 1.0
    penalty: Annotated[float, flag("Weight of Omega.")] = 4.0
    test_size: Annotated[int, flag("Sequences tested on.")] = 10_000
    tolerance: Annotated[float, flag("Share of wrong answers below which it is solved.")] = 0.01


REDUCED = Settings(length=(10, 50), network_seeds=2, n_updates=40, n_hidden=8, test_size=100)


def compute(settings: Settings, progress: bool) -> Datasets:
    """All three ways of training, from the same networks, on the same batches."""
    return {"learning": rnnsim.learning_sweep(**vars(settings), progress=progress)}


def rows(datasets: Datasets) -> list[Row]:
    """Shares of networks that solve it; the published ones are of a far larger budget."""
    data = datasets["learning"]
    return [
        Row(
            f"share solved at length {length} by {name}",
            "1" if name == _THEIRS and _SHORTEST <= length <= _LONGEST else "",
            solved_share(data.sel(length=length, training=name)),
        )
        for length in data.length.values.tolist()
        for name in data.training.values.tolist()
    ]


def solved_share(data: xr.Dataset) -> float:
    """The share of networks that have solved it within the budget."""
    return float(np.isfinite(data.solved_at).mean())


def draw(datasets: Datasets) -> dict[str, Figure]:
    """Shares that solve it, updates they needed, and how answers at one length get right."""
    data = datasets["learning"]
    columns: Columns = {str(name): data.sel(training=name) for name in data.training.values}
    shown = int(data.length.values[data.sizes["length"] // 2])
    figure, axes = figures.new_figure(1, 3, figsize=(15.0, 4.6))
    plot_solved(columns, ax=axes[0])
    _mark_published(axes[0], data)
    plot_within(columns, ax=axes[1])
    plot_error(columns, length=shown, ax=axes[2])
    for ax in axes:
        figures.name_lines(ax)
    axes[2].set_title(f"while learning, {shown} steps")
    axes[0].set_title("solved within the budget")
    axes[1].set_title("updates needed")
    figures.letter(axes)
    figures.caption(figure, _caption(data))
    return {"solved-against-length": figure}


def _mark_published(ax: Axes, data: xr.Dataset) -> None:
    """What the paper says, an open star at each length that both have."""
    both = [T for T in data.length.values.tolist() if _SHORTEST <= T <= _LONGEST]
    ax.plot(
        both, [1.0] * len(both), ls="", marker="*", ms=figures.pt(16), mfc="none", color="black",
        label="published, with both" if both else "_nothing", zorder=6,
    )  # fmt: skip


def _caption(data: xr.Dataset) -> str:
    settings = figures.configuration(data)
    updates = settings["n_updates"]
    solved = int(np.isfinite(data.solved_at).sum())
    some = f"of all {data.solved_at.size} trainings {solved if solved else 'none'}"
    return (
        f"(a) How many of {counted(data.sizes['network_seed'], 'initial network')} answer all but "
        f"{percent(settings['tolerance'])} of {settings['test_size']} test sequences within "
        f"{updates} updates, {percent(updates / PUBLISHED_UPDATES)} of the published budget (bars: "
        "95% intervals of Wilson 1927); open stars: what is published of clipping with the "
        "penalty. (b) After how many updates (dots; unsolved ones have none); lines are medians. "
        "(c) Wrong answers: thin, of a network; thick, their median. Chance is three quarters "
        f"wrong; {some} solved it."
    )
