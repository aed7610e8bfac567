"""Chrono initialisation: how much of a gradient forget gates of many time scales keep."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

import rnnsim
from rnnsim import progress as progress_bar
from rnnsim import theory
from rnnsim.data.datasets import Variable, attributes, labelled
from rnnsim.experiments.draws import published_draw

from ...frame import figures
from ...frame.runs import Datasets
from ...frame.settings import flag
from ..rows import Row, sampled

CLAIM = (
    "The biases of forget gates are drawn as b_f = ln U(1, T_max - 1), and b_i = -b_f, so that the "
    "units of an LSTM remember for times that are spread evenly up to T_max. Where nothing else "
    "comes in, a unit keeps f^k of a gradient over k steps. On average over units that is no "
    "exponential: at k = T_max a share of about .1485 is left, whatever T_max."
)
MISSING = (
    "The trainings of the paper, on copying, adding and language: it prints no curve of what the "
    "gates keep. What stands as published are values of the closed form, E f^k over the biases "
    "that the paper draws, rounded.",
)
NORMS = {
    100: {1: ".96185", 10: ".76269", 50: ".38684", 100: ".19394"},
    1000: {500: ".38550", 1000: ".19376"},
}
MEANS = {100: ".14965", 1000: ".14861"}
LIMIT = 0.1485  # of the mean at k = T_max: the integral of exp(-1/x) from 0 to 1
_H = 16  # units of a network, which do not hear each other
_VARIABLES = {
    "mean_square": Variable(("lag",), "1", "mean over units of the square of dc_t/dc_{t-k}"),
    "mean_square_error": Variable(("lag",), "1", "its standard error, over networks"),
    "mean": Variable(("lag",), "1", "mean over units of dc_t/dc_{t-k}"),
    "mean_error": Variable(("lag",), "1", "its standard error, over networks"),
    "time_scale": Variable((), "steps", "mean over units of 1/(1-f)"),
    "time_scale_error": Variable((), "steps", "its standard error, over networks"),
    "disagreement": Variable((), "1", "of bptt from gradient_flow in the norm, relative, largest"),
}


@dataclass(frozen=True)
class Settings:
    """How many units are drawn, in networks of 16 that do not hear each other."""

    units: Annotated[int, flag("Units for each T_max.")] = 16_000
    rng: Annotated[int, flag("Seed of the draw.")] = 0


REDUCED = Settings(units=640)


def compute(settings: Settings, progress: bool) -> Datasets:
    """Gradients of memories whose gates hear nothing, for each T_max."""
    found = {}
    with progress_bar.bar(len(NORMS), show=progress, unit="T_max") as advance:
        for longest in NORMS:
            found[f"longest-{longest}"] = _of(longest, settings)
            advance(1)
    return found


def _of(longest: int, settings: Settings) -> xr.Dataset:
    """Means over units at every lag, in portions of networks."""
    number = max(settings.units // _H, 2)
    generator = published_draw(settings.rng)
    portions = [_portion(longest, n, generator) for n in _portions(number)]
    squares, means, scales = (np.concatenate(parts) for parts in zip(*portions, strict=True))
    flow, kept = squares[:, 0], squares[:, 1]
    values = {
        **_averaged("mean_square", flow),
        **_averaged("mean", means),
        **_averaged("time_scale", scales),
        "disagreement": np.abs(np.sqrt(kept / flow) - 1).max(),
    }
    about = attributes(vars(settings), {"task": "chrono"})
    return labelled({"lag": tuple(range(longest + 1))}, _VARIABLES, values, about)


def _portions(number: int, most: int = 100) -> list[int]:
    """A number in portions, for the memory that they take."""
    return [min(most, number - start) for start in range(0, number, most)]


def _portion(
    longest: int, number: int, generator: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of each network E f^2k by both routes (N, 2, K), E f^k (N, K) and E 1/(1-f) (N,)."""
    rnn = rnnsim.RNN.sample(
        number, n_inputs=1, n_hidden=_H, n_outputs=0, cell="lstm", gain=0.0, chrono=longest,
        rng=generator,
    )  # fmt: skip
    rnn = rnn.with_weights(rnn.weights._replace(W_xh=np.zeros_like(rnn.W_xh)))
    T = longest + 1
    batch = rnnsim.Sequences.from_gradients(np.zeros((T, 1, 1)), dL_dc_final=np.ones((1, _H)))
    logs = rnnsim.gradient_flow(rnn, batch, windows=()).log_norms[:, 0]
    memories = rnnsim.bptt(rnn, batch, keep=["states"]).memories
    assert memories is not None
    back = memories[:, :0:-1, 0]  # dL/dc at lags 0, 1, ..., by unit
    squares = np.stack([np.exp(2 * logs) / _H, (back**2).mean(axis=-1)], axis=1)
    gates = rnnsim.gate_statistics(rnn, _two_steps())
    return squares, back.mean(axis=-1), _scales(gates.time_scale)


def _two_steps() -> rnnsim.Sequences:
    """As many as gates need that are the same at every step."""
    return rnnsim.Sequences.from_gradients(np.zeros((2, 1, 1)), dL_dc_final=np.ones((1, _H)))


def _scales(time_scale: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """E 1/(1-f) of each network, from time scales -1/ln f."""
    return np.asarray((-1 / np.expm1(-1 / time_scale)).mean(axis=-1))


def _averaged(name: str, values: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return {name: values.mean(axis=0), f"{name}_error": error}


def rows(datasets: Datasets) -> list[Row]:
    """Norms and means at the lags that are evaluated, for both T_max."""
    found = []
    for longest, printed in NORMS.items():
        data = datasets[f"longest-{longest}"]
        of = f"over {_units(data)} units"
        for lag, published in printed.items():
            norm, off = (float(each) for each in _norm(data.sel(lag=lag)))
            name = f"norm, T_max = {longest}, lag {lag} (closed form)"
            found.append(sampled(name, published, norm, off, of))
        last = data.sel(lag=longest)
        name = f"mean, T_max = {longest}, lag {longest} (closed form)"
        mean, error = float(last["mean"]), float(last.mean_error)
        found.append(sampled(name, MEANS[longest], mean, error, of))
        middle = f"{(longest + 2) / 2:g}"  # of a uniform distribution on [2, T_max]
        scale, error = float(data.time_scale), float(data.time_scale_error)
        name = f"mean of 1/(1-f), T_max = {longest} (closed form)"
        found.append(_exact(name, middle, scale, error, of))
        epsilons = 8 * longest * np.finfo(float).eps
        found.append(
            Row(
                f"bptt beside gradient_flow, T_max = {longest}, relative", "0",
                float(data.disagreement), epsilons, "rounding: 8 epsilon a step",
            )
        )  # fmt: skip
    return found


def _exact(name: str, published: str, ours: float, error: float, of: str) -> Row:
    return Row(name, published, ours, 4 * error, f"4 standard errors, {of}", "steps")


def _units(data: xr.Dataset) -> int:
    return max(figures.configuration(data)["units"] // _H, 2) * _H


def _norm(data: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """The root of the mean square and its standard error."""
    norm = np.sqrt(data.mean_square)
    return norm, data.mean_square_error / (2 * norm)


def draw(datasets: Datasets) -> dict[str, Figure]:
    """The norm against the lag, and the mean against the lag in units of T_max."""
    figure, axes = figures.new_figure(1, 2, figsize=(11.0, 4.8))
    for i, (longest, colour) in enumerate(zip(NORMS, figures.shades(3)[1:], strict=True)):
        data = datasets[f"longest-{longest}"]
        lag = data.lag.values
        norm, _ = _norm(data)
        shown = slice(1, None)
        style = {"color": colour, "marker": figures.MARKERS[i], "label": f"$T_{{max}}$ = {longest}"}
        marked = np.unique(np.geomspace(1, longest, 9).round().astype(int)) - 1
        axes[0].plot(lag[shown], norm[shown], markevery=list(marked), **style)
        axes[0].plot(
            lag[shown], np.exp(theory.chrono_log_norm(longest, lag[shown])),
            **figures.theory(lw=figures.pt(1.2)),
        )  # fmt: skip
        every = max(1, longest // 8)
        axes[1].plot(lag / longest, data["mean"], markevery=(i * every // 2, every), **style)
    axes[1].axhline(LIMIT, **figures.theory())
    axes[0].set_xscale("log")
    axes[0].set_xlabel("lag $k$ (steps)")
    axes[0].set_ylabel("norm of a gradient, relative to lag 0 (1)")
    axes[1].set_xlabel("lag over $T_{max}$ (1)")
    axes[1].set_ylabel("mean of $f^k$ over units (1)")
    for ax in axes:
        ax.set_ylim(0, 1.05)
        ax.legend(loc="upper right")
    figures.letter(axes)
    units = _units(datasets["longest-100"])
    ends = [f"{float(datasets[f'longest-{longest}']['mean'][-1]):.3f}" for longest in NORMS]
    figures.caption(
        figure,
        f"(a) What {units} memories with chrono biases keep of a gradient. Dashed: the closed "
        "form; it bends, and has no rate. (b) Their mean against the lag in units of T_max: at "
        f"lag T_max {' and '.join(ends)} are left, beside the limit {LIMIT:g} (dashed).",
    )
    return {"kept-against-lag": figure}
