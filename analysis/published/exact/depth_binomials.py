"""Linear stacks of layers: paths through layers and time add up to binomial coefficients."""

from dataclasses import dataclass
from math import comb, lgamma
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

import rnnsim
from rnnsim import theory
from rnnsim.data.datasets import Variable, attributes, labelled

from ...frame import figures
from ...frame.runs import Datasets
from ...frame.settings import flag
from ..rows import Row

CLAIM = (
    "In a stack of layers that only add, h^l_t = h^l_{t-1} + h^{l-1}_t, every way from the lowest "
    "layer k steps back to the top layer now counts 1: steps in time and steps up, in any order. "
    "With the states of the upper layers k steps back held fixed, as in the Jacobian of the stack, "
    "there are C(k+L-2, L-1) ways through L layers, of all paths C(k+L-1, L-1). Each layer by "
    "itself keeps a gradient for ever; the stack lets it grow as k^(L-1)."
)
MISSING = (
    "A paper that prints these numbers: they are counted, and evaluated by the closed form.",
)
_PRINTED = {"fixed": ("1", "3", "6", "10", "15", "21"), "all": ("1", "3", "6", "10", "15", "21")}
_LAYERS = 3  # of which numbers are listed
_VARIABLES = {
    "jacobian": Variable(("n_layers", "lag"), "1", "block of a product of Jacobians"),
    "first_state": Variable(("n_layers", "lag"), "1", "dL/dh_0 of the lowest layer over k steps"),
    "flow": Variable(("n_layers", "lag"), "1", "norm into the lowest layer, by all paths"),
    "all_paths": Variable(("n_layers", "lag"), "1", "gradient of the lowest layer, by all paths"),
    "counted": Variable(("n_layers", "lag"), "1", "ways counted, upper states fixed"),
    "all_counted": Variable(("n_layers", "lag"), "1", "ways counted, all paths"),
}


@dataclass(frozen=True)
class Settings:
    """How deep and how far back."""

    max_layers: Annotated[int, flag("Layers L of the deepest stack.")] = 4
    max_lag: Annotated[int, flag("Largest lag k, in steps.")] = 100


REDUCED = Settings(max_lag=20)


def compute(settings: Settings, progress: bool) -> Datasets:
    """Measures of each stack by several routes, and the ways that there are."""
    K = settings.max_lag
    depths = tuple(range(1, settings.max_layers + 1))
    values = {name: np.empty((len(depths), K + 1)) for name in _VARIABLES}
    for i, L in enumerate(depths):
        stack = _stack(L)
        batch = _batch(K + 1)
        values["jacobian"][i] = _blocks(rnnsim.jacobians(stack, batch.inputs[:1])[0, 0, 0], K)
        values["first_state"][i] = [
            float(L == 1),
            *(_into_start(stack, k) for k in range(1, K + 1)),
        ]
        flow = rnnsim.gradient_flow(stack, batch, windows=())
        values["flow"][i] = np.exp(flow.layers[0].log_norms[0, 0])
        states = rnnsim.bptt(stack, batch, keep=["states"]).states
        assert states is not None
        lowest = states[0, 0] if L > 1 else states[0]
        values["all_paths"][i] = lowest[:0:-1, 0, 0]
        values["counted"][i], values["all_counted"][i] = _counted(L, K)
    axes = {"n_layers": depths, "lag": tuple(range(K + 1))}
    about = attributes(vars(settings), {"task": "depth"})
    return {"paths": labelled(axes, _VARIABLES, values, about)}


def _stack(L: int) -> rnnsim.RNN | rnnsim.Stack:
    """L linear layers of one unit, each weight 1."""
    one = np.ones((1, 1))
    layers = [rnnsim.RNN(one, one, activation="linear") for _ in range(L)]
    return rnnsim.Stack(layers) if L > 1 else layers[0]


def _batch(T: int) -> rnnsim.Sequences:
    """T steps without input; the loss is the top state of the last one."""
    return rnnsim.Sequences.from_gradients(np.zeros((T, 1, 1)), dL_dh_final=np.ones((1, 1)))


def _into_start(stack: rnnsim.RNN | rnnsim.Stack, k: int) -> float:
    """dL/dh_0 of the lowest layer: no layer reads the first state of another one."""
    return float(rnnsim.bptt(stack, _batch(k)).h0.ravel()[0])


def _blocks(jacobian: npt.NDArray[np.float64], K: int) -> npt.NDArray[np.float64]:
    """d h^L_t / d h^1_{t-k}, k = 0..K: the corner of the powers of a Jacobian."""
    product, found = np.eye(len(jacobian)), []
    for _ in range(K + 1):
        found.append(product[-1, 0])
        product = jacobian @ product
    return np.array(found)


def _counted(L: int, K: int) -> tuple[list[int], list[int]]:
    """Ways by the closed form, in whole numbers."""
    fixed = [comb(k + L - 2, L - 1) if k else int(L == 1) for k in range(K + 1)]
    return fixed, [comb(k + L - 1, L - 1) for k in range(K + 1)]


def rows(datasets: Datasets) -> list[Row]:
    """The first numbers of three layers, and all lags of all stacks."""
    data = datasets["paths"]
    three = data.sel(n_layers=_LAYERS)
    found = []
    for k, published in enumerate(_PRINTED["fixed"], start=1):
        number = float(three.jacobian.sel(lag=k))
        name = f"{_LAYERS} layers, lag {k}, upper states fixed (closed form)"
        found.append(Row(name, published, number, 0.0, "whole numbers are exact"))
    for k, published in enumerate(_PRINTED["all"]):
        number = float(three.all_paths.sel(lag=k))
        name = f"{_LAYERS} layers, lag {k}, all paths (closed form)"
        found.append(Row(name, published, number, 0.0, "whole numbers are exact"))
    K, L = int(data.lag[-1]), int(data.n_layers[-1])
    every = f"up to {L} layers and lag {K}"
    exact = "whole numbers below 2^53 are exact"
    # exp and ln of rnnsim.gradient_flow and of the closed form: epsilon times ln of the largest
    logs = 8 * np.finfo(float).eps * (1 + np.log(float(data.all_counted.max())))
    rounded = "rounding of logs: 8 epsilon times their size"
    factorials = 8 * np.finfo(float).eps * lgamma(K + L + 1)
    of_factorials = f"rounding of ln {K + L}!: 8 epsilon times its size"
    by_logs = np.exp(_theory(data))
    for name, ours, expected, allowed, because in (
        ("Jacobians", data.jacobian, data.counted, 0.0, exact),
        ("bptt into the first state", data.first_state, data.counted, 0.0, exact),
        ("bptt, all paths", data.all_paths, data.all_counted, 0.0, exact),
        ("gradient_flow, all paths", data.flow, data.all_counted, logs, rounded),
        ("theory.stack_log_norm", by_logs, data.all_counted, factorials, of_factorials),
    ):
        found.append(
            Row(f"{name}, {every}, from the count, relative", "0", _off(ours, expected), allowed,
                because)
        )  # fmt: skip
    return found


def _off(ours: Any, expected: xr.DataArray) -> float:
    """The largest relative deviation from a count; of what is 0, the deviation itself."""
    return float((np.abs(ours - expected) / np.maximum(expected, 1.0)).max())


def _theory(data: xr.Dataset) -> xr.DataArray:
    """ln of the ways by all paths as the theory has them, by layers and lags."""
    distances = data.n_layers.values - 1
    return data.all_counted.copy(data=theory.stack_log_norm(0.0, distances, data.lag.values))


def draw(datasets: Datasets) -> dict[str, Figure]:
    """What arrives in the lowest layer against the lag, on logarithmic axes."""
    data = datasets["paths"].isel(lag=slice(1, None))
    shown = [L for L in data.n_layers.values.tolist() if L <= 4]
    figure, ax = figures.new_figure(figsize=(8.6, 5.2))
    marked = np.unique(np.geomspace(1, data.lag.size, 9).round().astype(int)) - 1
    lines = []
    for i, L, colour in figures.shaded(shown):
        one = data.sel(n_layers=L)
        name = "1 layer" if L == 1 else f"{L:g} layers"
        lines += ax.plot(
            data.lag, one.jacobian, color=colour, marker=figures.MARKERS[i], label=name,
            markevery=list(marked),
        )  # fmt: skip
        ax.plot(data.lag, one.counted, **figures.theory(lw=figures.pt(1.2)))
    ax.set_xscale("log")
    ax.set_yscale("log")
    figures.name_lines(ax, lines)
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel("gradient in the lowest layer (1)")
    figures.caption(
        figure,
        "A loss of the top state, and what arrives in the lowest layer k steps back with the upper "
        "states there held fixed; all weights are 1. Dashed: C(k+L-2, L-1), the ways that there "
        "are. No layer grows by itself; with every layer more the gradient grows by one power of "
        "the lag.",
    )
    return {"paths-against-lag": figure}
