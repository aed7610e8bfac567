"""One unit that stores a bit: it holds against noise exactly where its gradient vanishes."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import rnnsim
from rnnsim import progress as progress_bar
from rnnsim.data.datasets import Variable, attributes, labelled
from rnnsim.experiments.draws import published_draw

from ...frame import figures
from ...frame.runs import Datasets
from ...frame.settings import flag
from ...frame.words import share
from ..rows import Row, rounded

CLAIM = (
    "The paper sees a trade between learning by gradient descent and latching a bit for long. Here "
    "it is shown on one unit h_t = tanh(w h_{t-1} + x_t). For w > 1 it has two attractors, h* and "
    "-h*, roots of h = tanh(w h), and keeps its sign as long as |x_t| stays below sqrt(w (w-1)) - "
    "arccosh(sqrt(w)), where an attractor meets the border of its basin. Up to that noise every "
    "state lies where the slope w (1-h^2) is below 1: dh_t/dh_0 vanishes at least as fast as the "
    "power of the slope at the attractor of the most adverse constant input."
)
MISSING = (
    "Numbers that the paper prints, and its trainings: of its text only the beginning could be "
    "read here. What stands as published are values of the closed forms above, which were derived "
    "here, rounded.",
)
WEIGHTS = (1.25, 1.5, 2.0, 4.0)
STATES = {1.25: ".710412", 2.0: ".957504", 4.0: ".999326"}
LIMITS = {1.25: ".077805", 2.0: ".532840", 4.0: "2.147144"}
RATES = {0.0: "-1.7935", 0.5: "-1.1389", 0.9: "-0.4398"}  # by input over its limit, at w = 2
SHOWN = 2.0  # the weight of the figures
NOISES = (0.0, 0.5, 0.9)  # over the limit, of which the bit must survive
_LEVELS = 33  # constant inputs that are tried at once
_ROUNDS = 7  # each divides what is not known by 32
_VARIABLES = {
    "state": Variable(("weight",), "1", "h after all steps without input"),
    "limit": Variable(("weight",), "1", "largest constant input that leaves the sign, by trial"),
    "rate": Variable(("noise",), "nats per step", "of dh_t/dh_0 under the most adverse input"),
    "weight": Variable((), "1", "the weight w"),
    "input": Variable((), "1", "constant input over its limit"),
    "after_up": Variable(("input",), "1", "state after all steps, begun at h*"),
    "after_down": Variable(("input",), "1", "state after all steps, begun at -h*"),
    "noise": Variable((), "1", "largest input over its limit"),
    "log_slope": Variable(("noise", "time"), "nats", "ln dh_t/dh_0, largest over sequences"),
    "kept": Variable(("noise",), "1", "share of sequences that keep their sign"),
    "disagreement": Variable(("noise",), "1", "of bptt from the product of slopes, relative"),
}


@dataclass(frozen=True)
class Settings:
    """How long it is tried, and how often."""

    trial_steps: Annotated[int, flag("Steps T of a constant input.")] = 10_000
    sequences: Annotated[int, flag("Sequences of noise.")] = 256
    noise_steps: Annotated[int, flag("Steps of noise.")] = 60


REDUCED = Settings(trial_steps=1000, sequences=32)


def border(weight: float) -> float:
    """The state where the slope is 1, the border of what is robust: sqrt(1 - 1/w)."""
    return float(np.sqrt(1.0 - 1.0 / weight))


def limit(weight: float) -> float:
    """The largest constant input against the bit that leaves it an attractor.

    Fixed points obey x = artanh h - w h, whose least value over h > 0 is at `border`.
    """
    return float(np.sqrt(weight * (weight - 1.0)) - np.arccosh(np.sqrt(weight)))


def attractor(weight: float, adverse: float = 0.0) -> float:
    """The upper root of h = tanh(w h - adverse), by bisection above the border."""
    low, high = border(weight), 1.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        held = weight * middle - adverse > np.arctanh(middle)
        low, high = (middle, high) if held else (low, middle)
    return low


def compute(settings: Settings, progress: bool) -> Datasets:
    """States, limits by trial, states after constant inputs, and slopes under noise."""
    T = settings.trial_steps
    state, tried = (np.empty(len(WEIGHTS)) for _ in range(2))
    with progress_bar.bar(len(WEIGHTS), show=progress, unit="weight") as advance:
        for i, weight in enumerate(WEIGHTS):
            state[i] = _after(weight, np.zeros(1), 1.0, T)[0]
            tried[i] = _limit_by_trial(weight, T)
            advance(1)
    inputs = np.linspace(-1.6, 1.6, 33)
    levels = inputs * limit(SHOWN)
    after = {
        "after_up": _after(SHOWN, levels, 1.0, T),
        "after_down": _after(SHOWN, levels, -1.0, T),
    }
    values = {
        "state": state,
        "limit": tried,
        "rate": _adverse_rates(),
        **after,
        **_under_noise(settings),
    }
    axes = {
        "weight": WEIGHTS,
        "input": tuple(inputs.tolist()),
        "noise": NOISES,
        "time": tuple(range(1, settings.noise_steps + 1)),
    }
    about = attributes(vars(settings), {"task": "latch"})
    return {"latch": labelled(axes, _VARIABLES, values, about)}


def _unit(weight: float) -> rnnsim.RNN:
    return rnnsim.RNN(np.ones((1, 1)), np.full((1, 1), weight))


def _after(weight: float, levels: npt.ArrayLike, start: float, T: int) -> npt.NDArray[np.float64]:
    """States after T steps of constant inputs, begun at the attractor of that sign."""
    x = np.broadcast_to(np.asarray(levels, dtype=float)[:, None], (T, np.size(levels), 1))
    h0 = np.full((np.size(levels), 1), start * attractor(weight))
    return rnnsim.forward(_unit(weight), np.array(x), h0=h0).states[0, -1, :, 0]


def _limit_by_trial(weight: float, T: int) -> float:
    """Between the largest input that leaves the sign after T steps, and the least that turns it."""
    low, high = 0.0, weight
    for _ in range(_ROUNDS):
        levels = np.linspace(low, high, _LEVELS)
        kept = _after(weight, -levels, 1.0, T) > 0
        last = int(np.flatnonzero(kept)[-1])
        low, high = levels[last], levels[min(last + 1, _LEVELS - 1)]
    return float(0.5 * (low + high))


def _slopes(weight: float, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """ln dh_t/dh_0 (T, B), begun at h*: the slopes of the steps multiplied up."""
    h0 = np.full((x.shape[1], 1), attractor(weight))
    steps = rnnsim.jacobians(_unit(weight), x, h0=h0)[0, :, :, 0, 0]
    return np.asarray(np.log(steps).cumsum(axis=0))


def _adverse_rates() -> npt.NDArray[np.float64]:
    """The slope under constant input against the bit, once the state has come to rest."""
    n_steps, last = 400, 100
    x = -limit(SHOWN) * np.array(NOISES)
    logs = _slopes(SHOWN, np.array(np.broadcast_to(x[:, None], (n_steps, x.size, 1))))
    return (logs[-1] - logs[-1 - last]) / last


def _under_noise(settings: Settings) -> dict[str, npt.NDArray[np.float64]]:
    """What noise of several sizes leaves of the bit, and of its gradient."""
    T, B = settings.noise_steps, settings.sequences
    unit = published_draw(0).uniform(-1.0, 1.0, (T, B, 1))
    h0 = np.full((B, 1), attractor(SHOWN))
    found: dict[str, list[npt.ArrayLike]] = {"log_slope": [], "kept": [], "disagreement": []}
    for noise in NOISES:
        x = noise * limit(SHOWN) * unit
        logs = _slopes(SHOWN, x)
        batch = rnnsim.Sequences.from_gradients(x, dL_dh_final=np.ones((B, 1)))
        whole = rnnsim.bptt(_unit(SHOWN), batch, h0=h0).h0[0, :, 0]
        states = rnnsim.forward(_unit(SHOWN), x, h0=h0).states[0, :, :, 0]
        found["log_slope"].append(logs.max(axis=1))
        found["kept"].append((states > 0).all(axis=0).mean())
        found["disagreement"].append(np.abs(np.log(whole) - logs[-1]).max())
    return {name: np.array(values) for name, values in found.items()}


def rows(datasets: Datasets) -> list[Row]:
    """Attractors, limits, the rate at rest; under noise what is kept and what exceeds the bound."""
    data = datasets["latch"]
    settings = figures.configuration(data)
    T = settings["trial_steps"]
    found = []
    for weight, published in STATES.items():
        ours = float(data.state.sel(weight=weight))
        found.append(rounded(f"h*, w = {weight:g} (closed form)", published, ours))
    for weight, published in LIMITS.items():
        # A saddle-node lets a state pass at an excess e in pi/sqrt(e h) steps, h the border.
        passage = np.pi**2 / (border(weight) * T**2)
        allowed = rounded("", published, 0.0).allowed
        assert allowed is not None
        why = f"an excess of pi^2/(h T^2) needs T = {T} steps to pass the border h; half again"
        ours = float(data.limit.sel(weight=weight))
        name = f"input that the bit withstands, w = {weight:g} (closed form)"
        found.append(Row(name, published, ours, 1.5 * passage + allowed, why))
    for noise, published in RATES.items():
        ours = float(data.rate.sel(noise=noise))
        where = f"under input of -{noise:g} of the limit" if noise else "without input"
        name = f"rate of the gradient {where}, w = {SHOWN:g} (closed form)"
        found.append(rounded(name, published, ours, "nats per step"))
    return found + _rows_of_noise(data)


def _rows_of_noise(data: xr.Dataset) -> list[Row]:
    found = []
    rounding = 64 * data.sizes["time"] * np.finfo(float).eps
    for noise in data.noise.values.tolist():
        one = data.sel(noise=noise)
        over = float((one.log_slope > _bound(noise, data) + rounding).mean())
        name = f"noise of {noise:g} of the limit, w = {SHOWN:g}"
        sure = "it holds for every sequence"
        found.append(Row(f"bits that are lost, {name}", "0", 1 - float(one.kept), 0.0, sure))
        found.append(Row(f"steps with a gradient above the bound, {name}", "0", over, 0.0, sure))
        apart, why = float(one.disagreement), "rounding: 64 epsilon a step"
        found.append(Row(f"bptt from the slopes, {name}", "0", apart, rounding, why))
    return found


def _bound(noise: float, data: xr.Dataset) -> xr.DataArray:
    """ln of the bound (T,): t times that of the slope under the most adverse constant input."""
    worst = attractor(SHOWN, noise * limit(SHOWN))
    return data.time * float(np.log(SHOWN * (1.0 - worst**2)))


def draw(datasets: Datasets) -> dict[str, Figure]:
    """The latch under constant inputs, its limit by weight; its gradient under noise."""
    data = datasets["latch"]
    return {"latch": _latch(data), "gradient": _gradient(data)}


def _latch(data: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 2, figsize=(11.0, 4.8))
    _draw_states(axes[0], data)
    weights = np.linspace(1.001, 4.2, 200)
    closed = np.sqrt(weights * (weights - 1)) - np.arccosh(np.sqrt(weights))
    axes[1].plot(weights, closed, **figures.theory(label="closed form"))
    style = {"ls": "", "marker": "o", "color": figures.MEASURED, "label": "by trial"}
    axes[1].plot(data.weight, data.limit, **style)
    axes[1].set_xlabel("weight $w$ (1)")
    axes[1].set_ylabel("input that the bit withstands (1)")
    axes[1].legend(loc="upper left")
    figures.letter(axes)
    T = figures.configuration(data)["trial_steps"]
    figures.caption(
        figure,
        f"(a) States after {T} steps of a constant input, at w = {SHOWN:g}, begun at h* and at "
        "-h*. Dashed: fixed points; where their branch turns back, at input over its limit of 1 "
        "and -1, the bit is lost. (b) That limit by trial, and in closed form (dashed): none at w "
        "= 1.",
    )
    return figure


def _draw_states(ax: Axes, data: xr.Dataset) -> None:
    h = np.linspace(-0.997, 0.997, 800)
    ax.plot((np.arctanh(h) - SHOWN * h) / limit(SHOWN), h, **figures.theory())
    for i, (name, label) in enumerate(
        (("after_up", "begun at $h^*$"), ("after_down", "begun at $-h^*$"))
    ):
        ax.plot(
            data.input, data[name], ls="", marker=figures.MARKERS[i], label=label,
            color=figures.shades(3)[i], alpha=0.85,
        )  # fmt: skip
    ax.set_xlim(-1.8, 1.8)
    ax.set_xlabel("constant input over its limit (1)")
    ax.set_ylabel("state $h$ (1)")
    ax.legend(loc="center right", bbox_to_anchor=(1.0, 0.66))


def _gradient(data: xr.Dataset) -> Figure:
    figure, ax = figures.new_figure(figsize=(8.6, 5.0))
    lines = []
    for i, noise, colour in figures.shaded(data.noise.values.tolist()):
        one = data.sel(noise=noise)
        name = "no noise" if noise == 0 else f"noise {noise:g} of\nthe limit"
        lines += ax.plot(
            data.time, figures.decades(one.log_slope), color=colour, label=name,
            marker=figures.MARKERS[i], markevery=max(1, data.time.size // 8),
        )  # fmt: skip
        ax.plot(data.time, figures.decades(_bound(noise, data)), **figures.theory())
    figures.log_axis(ax)
    figures.name_lines(ax, lines)
    ax.set_xlabel("steps $t$")
    ax.set_ylabel(r"largest $\mathrm{d}h_t/\mathrm{d}h_0$ (1)")
    B = figures.configuration(data)["sequences"]
    figures.caption(
        figure,
        f"The largest derivative over {B} sequences of uniform noise, at w = {SHOWN:g}. Dashed: "
        f"the bound, which the most adverse constant input comes to. {_kept(data)}; the nearer "
        "noise comes to what the bit withstands, the more slowly the bound falls.",
    )
    return figure


def _kept(data: xr.Dataset) -> str:
    """What becomes of the bit and of its gradient."""
    kept = float(data.kept.min())
    words = "All bits are kept" if kept == 1 else f"Down to {share(kept)} of bits are kept"
    vanishes = bool((data.log_slope.isel(time=-1) < np.log(1e-3)).all())
    return words + ", and the gradient vanishes" * vanishes
