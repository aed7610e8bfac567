"""Influence balancing: truncated gradients of short windows point the wrong way."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from matplotlib.figure import Figure

import rnnsim
from rnnsim.data.datasets import Variable, attributes, labelled

from ...frame import figures
from ...frame.runs import Datasets
from ...frame.settings import flag
from ..rows import Row

CLAIM = (
    "A linear network of 23 units passes each state on to the next unit, and one parameter pushes "
    "10 units up and 13 down. Truncated gradients see the nearest units first, those that are "
    "pushed up, so that short windows have the wrong sign, and training by them walks away from "
    "the minimum."
)
MISSING = (
    "The learning curves of the paper: they need its online algorithms, which rnnsim does not "
    "have.",
)
_ROUNDING = "rounding of sums"
_VARIABLES = {
    "slope": Variable(("window",), "1", "d s_0/d theta at the fixed point, all steps of the window")
}


@dataclass(frozen=True)
class Settings:
    """The network, and the windows that are drawn."""

    n_hidden: Annotated[int, flag("Units of the chain.")] = 23
    n_up: Annotated[int, flag("Units that are pushed up.")] = 10
    strength: Annotated[float, flag("The parameter theta.")] = 0.5
    max_window: Annotated[int, flag("Longest window K, in steps.")] = 100
    length: Annotated[int, flag("Steps T, the last of which is the fixed point.")] = 400


REDUCED = Settings(length=200)


def compute(settings: Settings, progress: bool) -> Datasets:
    """Truncated gradients of the first unit's state, with respect to the strength that is tied."""
    H, T = settings.n_hidden, settings.length
    signs = np.where(np.arange(H) < settings.n_up, 1.0, -1.0)
    W_hh = 0.5 * (np.eye(H) + np.eye(H, k=1))
    rnn = rnnsim.RNN(
        np.zeros((H, 1)), W_hh, np.zeros((1, H)), settings.strength * signs, activation="linear"
    )
    pull = np.zeros((T, 1, H))
    pull[-1, 0, 0] = 1.0  # the loss is s_0 of the last step
    batch = rnnsim.Sequences.from_gradients(np.zeros((T, 1, 1)), dL_dh=pull)
    windows = np.arange(1, settings.max_window + 1)
    slopes = [
        float(rnnsim.truncated_bptt(rnn, batch, window=int(K), stride=1).b_h[0] @ signs)
        for K in windows
    ]
    axes = {"window": tuple(windows.tolist())}
    about = attributes(vars(settings), {"task": "influence balancing"})
    return {"slopes": labelled(axes, _VARIABLES, {"slope": np.array(slopes)}, about)}


def rows(datasets: Datasets) -> list[Row]:
    """The windows that are printed, and the full gradient."""
    slope = datasets["slopes"].slope
    printed = (
        (1, "1", 1e-12, _ROUNDING),
        (10, "10", 1e-12, _ROUNDING),
        (100, "-6.000", 5e-4, "the printed number is rounded"),
    )
    return [
        Row(f"ds_0/dtheta, window {K}", published, float(slope.sel(window=K)), allowed, because)
        for K, published, allowed, because in printed
    ]


def draw(datasets: Datasets) -> dict[str, Figure]:
    """The gradient against the window, on both sides of 0."""
    data = datasets["slopes"]
    settings = figures.configuration(data)
    up, down = settings["n_up"], settings["n_hidden"] - settings["n_up"]
    exact = 2.0 * (up - down)
    figure, ax = figures.new_figure(figsize=(8.0, 4.8))
    truncated = ax.plot(data.window, data.slope, marker="o", label="truncated")
    full = ax.axhline(exact, **figures.theory(), label=f"full gradient, {exact:g}")
    ax.axhline(0.0, color="0.5", lw=figures.pt(1.0))
    figures.name_lines(ax, [*truncated, full])
    ax.set_xlabel("window $K$ (steps)")
    ax.set_ylabel(r"$\mathrm{d}s_0/\mathrm{d}\theta$ (1)")
    turns = data.window[(data.slope < 0).values]
    caption = (
        f"A chain of {up + down} linear units, the first {up} of them pushed up and {down} down. "
        f"Up to a window of {up} steps the truncated gradient sees units that are pushed up alone, "
        "and grows by 1 with every step"
    )
    if turns.size and int(turns[0]) > 1:
        caption += f"; only from window {int(turns[0])} on it has the sign of the full gradient"
    figures.caption(figure, caption + ".")
    return {"slope-against-window": figure}
