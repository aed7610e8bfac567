"""One linear unit that reads noise: how large the gradient of its weight is, and of what window."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

import rnnsim
from rnnsim import progress as progress_bar
from rnnsim.data.datasets import Variable, attributes, labelled
from rnnsim.experiments.draws import published_draw

from ...frame import figures
from ...frame.runs import Datasets
from ...frame.settings import flag
from ..rows import Row, sampled

CLAIM = (
    "A linear unit h_t = l h_{t-1} + x_t reads white noise of variance 1. Its state has the "
    "variance 1/(1-l^2), and the derivative dh/dl the mean square (1+l^2)/(1-l^2)^3. Truncated to "
    "a window of K steps, the mean square is 1/(1-l^2) times the sum of (2m+1) l^2m over m from 0 "
    "to K-1, since states m steps apart correlate as l^m: near l = 1 the gradient grows faster "
    "than the state, and needs a window of several times 1/(1-l)."
)
MISSING = (
    "A paper that prints these numbers: they are moments of an autoregression of order one, in "
    "closed form, rounded. That of the window was derived here.",
)
WEIGHTS = (0.5, 0.8, 0.9)
LENGTH = 150  # steps T; the loss is h_T. All windows divide it, and l^T is nothing beside 1
WINDOWS = (1, 2, 3, 5, 10, 15, 30, 50)
LISTED = 0.9
PRINTED = {"state": "5.2632", "full": "263.887"}
WINDOWED = {1: "5.2632", 5: "75.2884", 10: "164.4489", 30: "260.4259"}
_VARIABLES = {
    "state": Variable(("weight",), "1", "mean of h_T^2 over sequences"),
    "state_error": Variable(("weight",), "1", "its standard error"),
    "full": Variable(("weight",), "1", "mean of (dh_T/dl)^2 over sequences, by bptt"),
    "full_error": Variable(("weight",), "1", "its standard error"),
    "windowed": Variable(("weight", "window"), "1", "the same of truncated gradients"),
    "windowed_error": Variable(("weight", "window"), "1", "their standard errors"),
    "disagreement": Variable(("weight",), "1", "of bptt from the forward recursion, over the rms"),
    "sums": Variable(("weight",), "1", "of W_hh from the sum over sequences, relative, largest"),
    "weight": Variable((), "1", "the weight l"),
}


@dataclass(frozen=True)
class Settings:
    """How many sequences there are."""

    sequences: Annotated[int, flag("Sequences of noise.")] = 40_000
    rng: Annotated[int, flag("Seed of the noise.")] = 0


REDUCED = Settings(sequences=2000)


def compute(settings: Settings, progress: bool) -> Datasets:
    """Second moments of states and gradients, each over all sequences."""
    found = {name: np.zeros(len(WEIGHTS)) for name in ("state", "full", "disagreement", "sums")}
    found |= {f"{name}_error": np.empty(len(WEIGHTS)) for name in ("state", "full")}
    for name in ("windowed", "windowed_error"):
        found[name] = np.empty((len(WEIGHTS), len(WINDOWS)))
    B, one = settings.sequences, np.ones((1, 1))
    x = published_draw(settings.rng).standard_normal((LENGTH, B, 1))
    batch = rnnsim.Sequences.from_gradients(x, dL_dh_final=np.ones((B, 1)))
    with progress_bar.bar(len(WEIGHTS), show=progress, unit="weight") as advance:
        for i, weight in enumerate(WEIGHTS):
            rnn = rnnsim.RNN(one, weight * one, activation="linear")
            states = rnnsim.forward(rnn, x).states[0, :, :, 0]
            full = rnnsim.bptt(rnn, batch, keep=["states"])
            _put(found, "state", i, states[-1])
            _put(found, "full", i, _by_sequence(full, states))
            found["disagreement"][i] = _disagreement(weight, states, full)
            for j, window in enumerate(WINDOWS):  # T is a multiple: the last segment is whole
                cut = rnnsim.truncated_bptt(rnn, batch, window=window, keep=["states"])
                each = _by_sequence(cut, states)
                _put(found, "windowed", (i, j), each)
                off = abs(each.sum() - float(cut.W_hh[0, 0, 0])) / np.abs(each).sum()
                found["sums"][i] = max(found["sums"][i], off)
            advance(1)
    axes = {"weight": WEIGHTS, "window": WINDOWS}
    about = attributes(vars(settings), {"task": "white noise"})
    return {"moments": labelled(axes, _VARIABLES, found, about)}


def _put(
    found: dict[str, npt.NDArray[np.float64]], name: str, at: int | tuple[int, int],
    values: npt.NDArray[np.float64],
) -> None:  # fmt: skip
    """The mean square of a sample and the standard error of that, from its scatter."""
    squares = values**2
    found[name][at] = squares.mean()
    found[f"{name}_error"][at] = squares.std(ddof=1) / np.sqrt(squares.size)


def _by_sequence(
    gradients: rnnsim.Gradients, states: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """dh_T/dl of each sequence, the sum over t of dh_T/dh_t h_{t-1}; W_hh has the sum of all."""
    assert gradients.states is not None
    return np.asarray((gradients.states[0, 1:, :, 0] * states[:-1]).sum(axis=0))


def _disagreement(
    weight: float, states: npt.NDArray[np.float64], gradients: rnnsim.Gradients
) -> float:
    """From s_t = h_{t-1} + l s_{t-1}, which differentiates forward in time: the largest."""
    slope = np.zeros(states.shape[1])
    for before in states[:-1]:
        slope = before + weight * slope
    off = np.abs(_by_sequence(gradients, states) - slope)
    return float(off.max() / np.sqrt((slope**2).mean()))


def state_square(weight: float) -> float:
    """E h^2, the variance of the state."""
    return 1.0 / (1.0 - weight**2)


def windowed_square(weight: float, window: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """E (dh/dl)^2 of a gradient truncated to K steps: the finite sum in closed form."""
    q, K = weight**2, np.asarray(window, dtype=float)
    sums = (1 + q - q**K * (2 * K + 1 - (2 * K - 1) * q)) / (1 - q) ** 2
    return np.asarray(state_square(weight) * sums)


def rows(datasets: Datasets) -> list[Row]:
    """Moments at l = .9, those of windows, and bptt beside the forward recursion."""
    data = datasets["moments"]
    settings = figures.configuration(data)
    one, of = data.sel(weight=LISTED), f"over {settings['sequences']} sequences"
    names = {"state": "mean of h^2", "full": "mean of (dh/dl)^2"}
    found = [
        sampled(
            f"{names[key]}, l = {LISTED} (closed form)", published, float(one[key]),
            float(one[f"{key}_error"]), of,
        )
        for key, published in PRINTED.items()
    ]  # fmt: skip
    for window, published in WINDOWED.items():
        at = one.sel(window=window)
        name = f"mean of (dh/dl)^2, l = {LISTED}, window {window} (closed form)"
        ours, error = float(at.windowed), float(at.windowed_error)
        found.append(sampled(name, published, ours, error, of))
    allowed = 8 * LENGTH * np.finfo(float).eps
    why = "rounding: 8 epsilon a step"
    for weight in data.weight.values.tolist():
        off = float(data.disagreement.sel(weight=weight))
        name = f"bptt from the forward recursion, l = {weight:g}, over the rms"
        found.append(Row(name, "0", off, allowed, why))
    off = float(data.sums.max())
    name = "truncated gradient from the sum over sequences, relative"
    found.append(Row(name, "0", off, allowed, why))
    return found


def draw(datasets: Datasets) -> dict[str, Figure]:
    """The share of the mean square that a window keeps."""
    data = datasets["moments"]
    figure, ax = figures.new_figure(figsize=(8.6, 5.0))
    windows = np.arange(1, WINDOWS[-1] + 1)
    for i, weight, colour in figures.shaded(data.weight.values.tolist()):
        one = data.sel(weight=weight)
        ax.plot(
            data.window, one.windowed / one.full, color=colour, marker=figures.MARKERS[i], ls="",
            label=f"$l$ = {weight:g}",
        )  # fmt: skip
        closed = windowed_square(weight, windows) / windowed_square(weight, LENGTH)
        ax.plot(windows, closed, **figures.theory(lw=figures.pt(1.2)))
    ax.set_xscale("log")
    ax.set_ylim(0, 1.08)
    ax.set_xlabel("window $K$ (steps)")
    ax.set_ylabel("mean square, relative to the full gradient (1)")
    ax.legend(loc="lower right")
    figures.caption(figure, _caption(data))
    return {"moment-against-window": figure}


def _caption(data: xr.Dataset) -> str:
    settings = figures.configuration(data)
    one = data.sel(weight=LISTED)
    near = round(1 / (1 - LISTED))
    kept = float(one.windowed.sel(window=near) / one.full)
    return (
        "What a window keeps of the mean square of dh/dl, of one linear unit that reads white "
        f"noise; means over {settings['sequences']} sequences. Dashed: the closed form. At l = "
        f"{LISTED:g} a window of 1/(1-l) = {near} steps keeps {kept:.0%}."
    )
