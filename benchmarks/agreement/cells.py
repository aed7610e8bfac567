"""rnnsim's cells and stacks beside PyTorch's, their gradients beside automatic differentiation.

The same small networks on the same data, in float64; a deviation that rounding does not explain
stops the run.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np

import rnnsim

from ..peers.workloads import Floats
from .settings import Built, Differentiator

# Relative to the norm of each array, of logs absolute; 2e-14 was the largest measured.
TOLERANCE = 1e-11
BLOCKS = {"vanilla": 1, "lstm": 4, "gru": 3}
DEPTHS = (1, 2)
_N, _H, _B, _T, _D, _V, _WINDOW = 2, 6, 3, 12, 2, 3, 5


class CellAgreement(NamedTuple):
    """One array of one kind of network by name, and its largest deviation over networks."""

    cell: str
    n_layers: int
    name: str
    deviation: float


def draw(cell: str, n_layers: int = 1) -> list[Built]:
    """Networks as PyTorch draws them at twice the width, both biases among them, and data."""
    rng, rows = np.random.default_rng(0), BLOCKS[cell] * _H
    inputs, targets = rng.normal(size=(_T, _B, _D)), rng.integers(0, _V, (_T, _B))

    def uniform(*shape: int) -> Floats:
        return 2.0 * rng.uniform(-1.0, 1.0, shape) / np.sqrt(_H)

    return [
        Built(
            cell,
            layers=[
                [
                    uniform(*shape)
                    for shape in ((rows, _H if k else _D), (rows, _H), (rows,), (rows,))
                ]
                for k in range(n_layers)
            ],
            weight_hy=uniform(_V, _H),
            bias_hy=uniform(_V),
            inputs=inputs,
            targets=targets,
            h0=uniform(n_layers, _B, _H),
            c0=uniform(n_layers, _B, _H),
            window=_WINDOW,
        )
        for _ in range(_N)
    ]


def compare(peer: Differentiator) -> list[CellAgreement]:
    """All arrays of all cells and depths."""
    found = []
    for cell, n_layers in product(BLOCKS, DEPTHS):
        networks = draw(cell, n_layers)
        ours, theirs = _ours(networks), [peer(built) for built in networks]
        for name, mine in ours.items():
            worst = max(
                _deviation(mine[n], other[name], of_logs=name.startswith("ln"))
                for n, other in enumerate(theirs)
            )
            found.append(CellAgreement(cell, n_layers, name, worst))
    return found


def stack_of(networks: Sequence[Built]) -> rnnsim.Stack:
    """The same as an ensemble of rnnsim."""
    first = networks[0]
    W_hy, b_y = (
        np.stack([getattr(one, f"{n}_hy") for one in networks]) for n in ("weight", "bias")
    )
    layers = []
    for k in range(len(first.layers)):
        weights = [one.layers[k] for one in networks]
        W_xh, W_hh = (np.stack(each) for each in list(zip(*weights, strict=True))[:2])
        b_h = np.stack([_bias(first.cell, *biases) for _, _, *biases in weights])
        top = (W_hy, b_h, b_y) if k == len(first.layers) - 1 else (None, b_h)
        layers.append(rnnsim.RNN(W_xh, W_hh, *top, cell=first.cell))
    return rnnsim.Stack(layers)


def _bias(cell: str, of_inputs: Floats, of_states: Floats) -> Floats:
    """Added up, but for those of the n gate of GRUs."""
    both = of_inputs + of_states
    if cell != "gru":
        return both
    return np.concatenate([both[:-_H], of_inputs[-_H:], of_states[-_H:]])


def _ours(networks: Sequence[Built]) -> dict[str, np.ndarray]:
    """The arrays that peers give, with the axis of networks."""
    rnn, first = stack_of(networks), networks[0]
    batch = rnnsim.Sequences(first.inputs, first.targets)
    start: dict[str, Any] = {"h0": np.stack([one.h0 for one in networks])}
    if first.cell == "lstm":
        start["c0"] = np.stack([one.c0 for one in networks])
    states = rnnsim.forward(rnn, first.inputs, **start)
    full = rnnsim.bptt(rnn, batch, **start, keep=["inputs"])
    cut = rnnsim.truncated_bptt(rnn, batch, **start, window=first.window)
    flow = rnnsim.gradient_flow(rnn, batch, **start, per_sequence=True)
    found: dict[str, Any] = {"loss": full.loss, "h_T": states.final_h, "c_T": states.final_c}
    found |= {"dL/dx": full.inputs, "dL/dh_0": full.h0, "dL/dc_0": full.c0}
    for k, layer in enumerate(states.layers):
        found[of_layer("h", k)] = layer.states[:, 1:]
        found[of_layer("ln |dl/dh|", k)] = flow.log_norms_layers[:, k]
    for form, layers in (("dL/d{}", full.layers), ("truncated dL/d{}", cut.layers)):
        for k, weights in enumerate(layers):
            found |= named(form, weights, k, top=k == len(layers) - 1)
    found |= {"ln |dl/ds|": flow.per_sequence, "ln |dl/dc|": flow.log_norms_c}
    return {name: array for name, array in found.items() if array is not None}


def named(form: str, weights: Any, layer: int, *, top: bool) -> dict[str, Any]:
    """The five weights of a layer by name: the readout's are of the top alone."""
    W_xh, W_hh, W_hy, b_h, b_y = weights
    own = {"W_xh": W_xh, "W_hh": W_hh, "b_h": b_h}
    found = {of_layer(form.format(name), layer): array for name, array in own.items()}
    readout = {"W_hy": W_hy, "b_y": b_y} if top else {}
    return found | {form.format(name): array for name, array in readout.items()}


def of_layer(name: str, layer: int) -> str:
    """Layer 0 is called 1, as in what rnnsim prints."""
    return f"{name}, layer {layer + 1}"


def _deviation(mine: np.ndarray, other: np.ndarray, *, of_logs: bool) -> float:
    """Relative to the norm; of logs the largest difference, infinite where only one is."""
    if not of_logs:
        return float(np.linalg.norm(mine - other) / np.linalg.norm(other))
    if mine.ndim < other.ndim:  # of h and c alone rnnsim has the means over sequences
        other = other.mean(axis=-1)
    same = (mine == other) | (np.isnan(mine) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        gaps = np.where(same, 0.0, np.abs(mine - other))
    return float(np.where(np.isnan(gaps), np.inf, gaps).max())


def check(found: Sequence[CellAgreement]) -> None:
    """Raise ValueError where a cell deviates."""
    for case in found:
        if not case.deviation <= TOLERANCE:
            raise ValueError(
                f"cell={case.cell!r}, n_layers={case.n_layers}: {case.name} of torch deviates from "
                f"rnnsim's by {case.deviation:.1e}, more than {TOLERANCE:.0e}"
            )


def against_torch() -> list[CellAgreement]:
    """`compare` with torch in a process of its own, then `check`."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(_with_torch).result()
    check(found)
    return found


def _with_torch() -> list[CellAgreement]:
    from .cells_in_torch import numbers  # installed for benchmarks only

    return compare(numbers)
