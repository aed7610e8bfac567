"""What the border knows of cells: the blocks of their weights, and what other shapes look like."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.kernels.cells.layout import Weights


class Cell(NamedTuple):
    """Blocks of H rows in W_xh and W_hh, blocks of H entries in b_h, and what the gates do.

    `keeps` is the gate that multiplies the state of the step before, `takes` the one that lets new
    input in, where that is a gate of its own; `signed` runs from -1 to 1, all others from 0 to 1.
    """

    label: str
    gates: tuple[str, ...]
    biases: tuple[str, ...]
    keeps: str = ""
    takes: str = ""
    signed: str = ""


CELLS = {
    "vanilla": Cell("a vanilla network", ("h",), ("h",)),
    "lstm": Cell("an LSTM", tuple("ifgo"), tuple("ifgo"), keeps="f", takes="i", signed="g"),
    "gru": Cell("a GRU", tuple("rzn"), ("r", "z", "n_x", "n_h"), keeps="z", signed="n"),
}


def fitting_weights(
    cell: str,
    W_xh: npt.ArrayLike,
    W_hh: npt.ArrayLike,
    W_hy: npt.ArrayLike | None,
    b_h: npt.ArrayLike | None,
    b_y: npt.ArrayLike | None,
) -> Weights:
    """Private copies with the network axis first, of sizes that fit; 0 stands for what is None."""
    if W_hy is None and b_y is not None:
        raise ValueError("`b_y` is the bias of a readout: give `W_hy` too, or leave both out")
    axes = _axes(cell)
    arrays = {
        "W_xh": _with_network_axis("W_xh", W_xh, axes),
        "W_hh": _with_network_axis("W_hh", W_hh, axes),
    }
    N, _, H = arrays["W_hh"].shape
    for name, value in (("W_hy", W_hy), ("b_h", b_h), ("b_y", b_y)):
        if value is not None:
            arrays[name] = _with_network_axis(name, value, axes)
            continue
        sizes = {"W_hy": (0, H), "b_h": (len(CELLS[cell].biases) * H,)}
        shape = sizes[name] if name in sizes else (arrays["W_hy"].shape[1],)
        arrays[name] = np.zeros((N, *shape), arrays["W_hh"].dtype)
    _check_shapes(cell, arrays, axes)
    checks.same_dtype(**arrays)
    for name, array in arrays.items():
        checks.finite(name, array)
    return Weights(**arrays)


def _axes(cell: str) -> dict[str, tuple[str, ...]]:
    """The axes of each array, as messages name them."""
    counts = len(CELLS[cell].gates), len(CELLS[cell].biases)
    rows, entries = ("n_hidden" if n == 1 else f"{n}*n_hidden" for n in counts)
    return {
        "W_xh": ("n_networks", rows, "n_inputs"),
        "W_hh": ("n_networks", rows, "n_hidden"),
        "W_hy": ("n_networks", "n_outputs", "n_hidden"),
        "b_h": ("n_networks", entries),
        "b_y": ("n_networks", "n_outputs"),
    }


def _with_network_axis(
    name: str, value: npt.ArrayLike, axes: dict[str, tuple[str, ...]]
) -> FloatArray:
    """A private copy of a weight array with the network axis first."""
    expected, ndim = _listed(axes[name]), len(axes[name])
    array = checks.float_array(name, value, shape=expected, own=True)
    if array.ndim == ndim - 1:
        array = array[None]
    if array.ndim != ndim:
        raise ValueError(
            f"`{name}` must be {expected}, or without the first axis for one network, "
            f"got shape {array.shape}"
        )
    return array


def _check_shapes(
    cell: str, arrays: dict[str, FloatArray], axes: dict[str, tuple[str, ...]]
) -> None:
    kind = CELLS[cell]
    N, rows, H = arrays["W_hh"].shape
    if rows != len(kind.gates) * H:
        raise ValueError(
            f"`W_hh` must be {_listed(axes['W_hh'][1:])}{_of(cell)}, got ({rows}, {H})"
            f"{_other_layout(cell, N, rows, H) or _other_cell(rows, H)}"
        )
    V, D = arrays["W_hy"].shape[1], arrays["W_xh"].shape[2]
    expected = {
        "W_xh": (N, rows, D),
        "W_hh": (N, rows, H),
        "W_hy": (N, V, H),
        "b_h": (N, len(kind.biases) * H),
        "b_y": (N, V),
    }
    for name, shape in expected.items():
        came = arrays[name].shape
        if came != shape:
            other = _other_biases(cell, N, came, H) if name == "b_h" else _turned(name, came, shape)
            raise ValueError(
                f"`{name}` must be {_listed(axes[name])} = {shape} to fit `W_hh` of shape "
                f"{arrays['W_hh'].shape}{_of(cell)}, got {came}{other}"
            )
        if name not in ("W_hy", "b_y"):  # a network may have no outputs
            checks.positive_sizes(name, arrays[name], " ".join(axes[name]))


def _of(cell: str) -> str:
    return "" if cell == "vanilla" else f" for cell={cell!r}"


def _other_cell(rows: int, n_hidden: int) -> str:
    """The cell whose W_hh has this shape."""
    for name, kind in CELLS.items():
        G = len(kind.gates)
        if n_hidden and rows == G * n_hidden:
            shape = "square" if G == 1 else f"{G}*{n_hidden} rows"
            return f", which is {shape}: {kind.label}? give cell={name!r}"
    return ""


def _other_layout(cell: str, n_networks: int, rows: int, n_hidden: int) -> str:
    """Blocks side by side, as Keras has them, or behind each other."""
    gates = CELLS[cell].gates
    order = ", ".join(gates)
    if len(gates) > 1 and n_hidden == len(gates) * rows:
        return f", which looks transposed: give its .mT, with the blocks in the order {order}"
    if n_networks == len(gates) > 1 and rows == n_hidden:
        return f", {n_networks} of them, one for each gate? np.concatenate them: {order}"
    return ""


def _turned(name: str, came: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """The weights of a layer that has units on the other axis."""
    units = {"W_xh": -2, "W_hy": -1}.get(name)
    if units is None or came[units] == expected[units] or came[-3 - units] != expected[units]:
        return ""
    return f", which looks transposed: give {name}.mT"


def _other_biases(cell: str, n_networks: int, shape: tuple[int, ...], n_hidden: int) -> str:
    """Two biases for each gate, as PyTorch has them, or one too few for a GRU."""
    gates = CELLS[cell].gates
    both, single = 2 * len(gates) * n_hidden, len(gates) * n_hidden
    entries = both if n_networks == 1 and shape == (2, single) else shape[-1]
    if cell == "gru" and entries == both:
        return (
            ": two biases of each gate? add those of r and z, and keep the two of n apart, "
            f"that of the input first: 4*{n_hidden}"
        )
    if cell == "gru" and entries == single:
        return (
            f": the n gate has two biases, of the input and of the state: 4*{n_hidden}, "
            "in the order r, z, n of the input, n of the state"
        )
    if entries == both:
        return ": two biases, as PyTorch's bias_ih and bias_hh? add them"
    return ""


def _listed(axes: tuple[str, ...]) -> str:
    return f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"
