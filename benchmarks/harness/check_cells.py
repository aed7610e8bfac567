"""rnnsim's LSTMs and GRUs beside PyTorch's, and their gradients beside automatic differentiation.

The same small networks on the same data, in float64; a deviation that rounding does not explain
stops the run.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np

import rnnsim

from ..peers.settings import Differentiator, Gated
from ..peers.workloads import Floats

# Relative to the norm of each array, of logs absolute; 3e-15 was the largest measured.
TOLERANCE = 1e-11
BLOCKS = {"lstm": 4, "gru": 3}
_N, _H, _B, _T, _D, _V, _WINDOW = 2, 6, 3, 12, 2, 3, 5


class CellAgreement(NamedTuple):
    """One array of one kind of cell by name, and its largest deviation over networks."""

    cell: str
    name: str
    deviation: float


def draw(cell: str) -> list[Gated]:
    """Networks as PyTorch draws them at twice the width, both biases among them, and data."""
    rng, rows = np.random.default_rng(0), BLOCKS[cell] * _H
    inputs, targets = rng.normal(size=(_T, _B, _D)), rng.integers(0, _V, (_T, _B))

    def uniform(*shape: int) -> Floats:
        return 2.0 * rng.uniform(-1.0, 1.0, shape) / np.sqrt(_H)

    return [
        Gated(
            cell,
            weight_ih=uniform(rows, _D),
            weight_hh=uniform(rows, _H),
            bias_ih=uniform(rows),
            bias_hh=uniform(rows),
            weight_hy=uniform(_V, _H),
            bias_hy=uniform(_V),
            inputs=inputs,
            targets=targets,
            h0=uniform(_B, _H),
            c0=uniform(_B, _H),
            window=_WINDOW,
        )
        for _ in range(_N)
    ]


def compare(peer: Differentiator) -> list[CellAgreement]:
    """All arrays of both cells."""
    found = []
    for cell in BLOCKS:
        networks = draw(cell)
        ours, theirs = _ours(networks), [peer(gated) for gated in networks]
        for name, mine in ours.items():
            worst = max(
                _deviation(mine[n], other[name], of_logs=name.startswith("ln"))
                for n, other in enumerate(theirs)
            )
            found.append(CellAgreement(cell, name, worst))
    return found


def network_of(networks: Sequence[Gated]) -> rnnsim.RNN:
    """The same as an ensemble of rnnsim: biases added up, but those of the n gate of GRUs."""
    cell = networks[0].cell
    biases = [one.bias_ih + one.bias_hh for one in networks]
    if cell == "gru":
        apart = [(one.bias_ih[-_H:], one.bias_hh[-_H:]) for one in networks]
        biases = [
            np.concatenate([both[:-_H], *each]) for both, each in zip(biases, apart, strict=True)
        ]
    arrays = zip(*((g.weight_ih, g.weight_hh, g.weight_hy) for g in networks), strict=True)
    W_xh, W_hh, W_hy = map(np.stack, arrays)
    b_y = np.stack([one.bias_hy for one in networks])
    return rnnsim.RNN(W_xh, W_hh, W_hy, np.stack(biases), b_y, cell=cell)


def _ours(networks: Sequence[Gated]) -> dict[str, np.ndarray]:
    """The arrays that peers give, with the axis of networks."""
    rnn, first = network_of(networks), networks[0]
    batch = rnnsim.Sequences(first.inputs, first.targets)
    start: dict[str, Any] = {"h0": np.stack([one.h0 for one in networks])}
    if first.cell == "lstm":
        start["c0"] = np.stack([one.c0 for one in networks])
    states = rnnsim.forward(rnn, first.inputs, **start)
    full = rnnsim.bptt(rnn, batch, **start, keep=["inputs"])
    cut = rnnsim.truncated_bptt(rnn, batch, **start, window=first.window)
    flow = rnnsim.gradient_flow(rnn, batch, **start)
    found = {"h": states.states[:, 1:], "c_T": states.final_c, "loss": full.loss}
    found |= {f"dL/d{name}": array for name, array in full.weights._asdict().items()}
    found |= {"dL/dx": full.inputs, "dL/dh_0": full.h0, "dL/dc_0": full.c0}
    found |= {f"truncated dL/d{name}": array for name, array in cut.weights._asdict().items()}
    found |= {"ln |dl/ds|": flow.per_sequence, "ln |dl/dh|": flow.log_norms_h}
    found["ln |dl/dc|"] = flow.log_norms_c
    return {name: array for name, array in found.items() if array is not None}


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
                f"cell={case.cell!r}: {case.name} of torch deviates from rnnsim's by "
                f"{case.deviation:.1e}, more than {TOLERANCE:.0e}"
            )


def against_torch() -> list[CellAgreement]:
    """`compare` with torch in a process of its own, then `check`."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(_with_torch).result()
    check(found)
    return found


def _with_torch() -> list[CellAgreement]:
    from ..peers.cells_in_torch import numbers  # installed for benchmarks only

    return compare(numbers)
