"""Layers of other frameworks as `RNN` has them: transposed, gates in order, biases added up."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim.importing.contents import Entry, Layer, Linear

Array = npt.NDArray[Any]
GATES = {"vanilla": 1, "gru": 3, "lstm": 4}
CELLS = {gates: cell for cell, gates in GATES.items()}


class Layout(NamedTuple):
    """How a framework keeps a cell.

    `columns` where kernels are (inputs, G*H); `order` says which of its blocks each of ours is, of
    i, f, g, o or r, z, n.
    """

    columns: bool
    order: tuple[int, ...] = ()


def layer(
    cell: str,
    layout: Layout,
    kernels: tuple[tuple[str, Entry], tuple[str, Entry]],
    biases: Sequence[tuple[str, Entry]] = (),
    *,
    activation: str | None = None,
) -> Layer:
    """One layer from its kernels, of the input and of the state, and from its biases.

    There is one bias for both, (G*H,), or two: of the input and of the state, as entries or as
    rows of one. Of LSTMs and plain cells they are added up, of GRUs those of n stand apart.
    """
    (_, first), (_, second) = kernels
    axis = 0 if layout.columns else 1
    names = tuple(name for name, _ in (*kernels, *biases))
    weights = partial(_weights, cell, layout, first, second, [entry for _, entry in biases])
    return Layer(cell, first.shape[axis], second.shape[axis], names, weights, activation)


def _weights(
    cell: str, layout: Layout, first: Entry, second: Entry, biases: Sequence[Entry]
) -> tuple[Array, Array, Array | None]:
    kernels = [entry.read().T if layout.columns else entry.read() for entry in (first, second)]
    W_xh, W_hh = (np.ascontiguousarray(blocks(each, layout.order)) for each in kernels)
    if not biases:
        return W_xh, W_hh, None
    rows = np.concatenate([np.atleast_2d(entry.read()) for entry in biases])
    return W_xh, W_hh, hidden_bias(cell, np.stack([blocks(row, layout.order) for row in rows]))


def blocks(array: Array, order: Sequence[int]) -> Array:
    """Blocks of rows in another order: block k of the result is block ``order[k]`` of `array`."""
    if not order:
        return array
    return np.concatenate([np.split(array, len(order))[k] for k in order])


def hidden_bias(cell: str, rows: Array) -> Array:
    """b_h from the bias of the input and, where there is one, the bias of the state."""
    total: Array = rows.sum(axis=0, dtype=rows.dtype)
    if cell != "gru":
        return total
    units = rows.shape[1] // 3
    state = rows[1, 2 * units :] if len(rows) > 1 else np.zeros(units, rows.dtype)
    return np.concatenate([total[: 2 * units], rows[0, 2 * units :], state])


def misfit(cell: str, first: tuple[int, ...], second: tuple[int, ...]) -> str:
    """Why kernels of these shapes, (D, G*H) and (H, G*H), are not those of a cell; or nothing."""
    gates = GATES[cell]
    fits = len(first) == len(second) == 2 and first[1] == second[1] == gates * second[0]
    if fits and first[0] and second[0]:
        return ""
    sizes = "(D, H) and (H, H)" if gates == 1 else f"(D, {gates} H) and (H, {gates} H)"
    return f"kernels must be {sizes}, got {first} and {second}"


def linear(
    kernel: tuple[str, Entry],
    bias: tuple[str, Entry] | None = None,
    *,
    columns: bool,
    likely: bool = True,
    problem: str = "",
) -> Linear:
    """A layer y = W h + b whose kernel is (H, V) where `columns`, else (V, H)."""
    arrays = (kernel[0],) if bias is None else (kernel[0], bias[0])
    weights = partial(_linear_weights, kernel[1], bias and bias[1], columns)
    n_inputs, n_outputs = kernel[1].shape if columns else kernel[1].shape[::-1]
    return Linear(n_inputs, n_outputs, arrays, weights, likely, problem)


def _linear_weights(kernel: Entry, bias: Entry | None, columns: bool) -> tuple[Array, Array | None]:
    matrix = kernel.read()
    turned = np.ascontiguousarray(matrix.T) if columns else matrix
    return turned, None if bias is None else bias.read()
