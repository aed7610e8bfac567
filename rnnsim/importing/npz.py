"""Networks of one's own, from a file of weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks, files
from rnnsim.networks.cells import CELLS
from rnnsim.networks.rnn import RNN

NEEDED = ("W_xh", "W_hh", "W_hy")
OPTIONAL = ("b_h", "b_y")
_NAME = "cell"  # an entry that says what W_hh is of
_AXES = {
    "W_xh": ("n_hidden", "n_inputs"),
    "W_hh": ("n_hidden", "n_hidden"),
    "W_hy": ("n_outputs", "n_hidden"),
    "b_h": ("n_hidden",),
    "b_y": ("n_outputs",),
}
_CELLS = {3: "a GRU (3 H, H)", 4: "an LSTM (4 H, H)"}
_NAMES = {3: "gru", 4: "lstm"}
_SAVING = "save it with np.savez(path, W_xh=W_xh, W_hh=W_hh, W_hy=W_hy, b_h=b_h, b_y=b_y)"


def load_network(
    path: str, *, activation: str = "tanh", dtype: str = "float64", cell: str = "vanilla"
) -> RNN:
    """The one network whose weights an .npz file holds, converted to `dtype`.

    W_xh (H, D), W_hh (H, H) and W_hy (V, H) are required, b_h (H,) and b_y (V,) are 0 unless
    given. ``W[i, j]`` is the weight from j to i, as in the weights of PyTorch's RNN, whose two
    hidden biases are to be added up. Of an LSTM or GRU the arrays are those of `RNN`, and the file
    says so in an entry `cell`, or the caller does. Other arrays of the file are ignored.

    Raises
    ------
    FileNotFoundError, ValueError
        No such file; not an .npz file of numbers; arrays that are missing, misshapen or not finite;
        a cell that is unknown, or not the one that the file names.
    """
    arrays = _read(path, (*NEEDED, *OPTIONAL, _NAME))
    missing = [name for name in NEEDED if name not in arrays]
    if missing:
        raise ValueError(
            f"`weights` {path!r} must hold {', '.join(NEEDED)}, it lacks {', '.join(missing)} "
            f"{_likeness(path)}; {_SAVING}"
        )
    kind = _cell_of(path, arrays.pop(_NAME, None), cell)
    sizes: dict[str, tuple[int, str]] = {}
    for name in sorted(_AXES, key=lambda name: name != "W_hh"):  # W_hh says what H is
        if name in arrays:
            _check_numbers(path, name, arrays[name])
            if kind == "vanilla":
                _check(path, name, arrays[name], sizes)
            _check_finite(path, name, arrays[name])
    weights: dict[str, Any] = {name: arrays[name].astype(dtype) for name in _AXES if name in arrays}
    try:
        return RNN(**weights, activation=activation, cell=kind)
    except ValueError as error:
        raise ValueError(f"`weights` {path!r}: {error}") from error


def _cell_of(path: str, said: npt.NDArray[Any] | None, asked: str) -> str:
    """The cell that the file names, or else the one that is asked for."""
    if said is None:
        return asked
    name = str(said)
    if said.shape != () or name not in CELLS:
        raise ValueError(
            f"`weights` {path!r}: {_NAME} must be one of {', '.join(map(repr, CELLS))}, got "
            f"{checks.shown(name)}; save it as in np.savez(path, cell='lstm', W_xh=W_xh, ...)"
        )
    if asked not in ("vanilla", name):
        raise ValueError(
            f"`cell` must be the {name!r} that `weights` {path!r} names, got {asked!r}; "
            "leave it out"
        )
    return name


def _read(path: str, names: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """Arrays of the file: those of these names, or all."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"`weights` {path!r} is not a file; name an .npz file")
    try:
        return files.read_arrays(Path(path), names)
    except ValueError as error:
        raise ValueError(f"`weights` {path!r} is not an .npz file of arrays; {_SAVING}") from error


def _likeness(path: str) -> str:
    """What a file holds in place of a network, and what that looks like."""
    arrays = _read(path)
    found = [name if name in _AXES else f"{name} {a.shape}" for name, a in sorted(arrays.items())]
    more = " and others" if len(found) > 12 else ""
    words = f"(it holds {', '.join(found[:12]) or 'nothing'}{more})"
    gates = [_gates(array.shape) for name, array in arrays.items() if "weight_hh" in name]
    if gates and gates[0] == 1:
        return (
            f"{words}; these are PyTorch's names: W_xh is weight_ih_l0, W_hh is weight_hh_l0, b_h "
            "the sum of both biases, W_hy and b_y those of the layer behind"
        )
    if gates:
        return (
            f"{words}; these are PyTorch's names of {_cell(gates[0])}: W_xh is weight_ih_l0, W_hh "
            "is weight_hh_l0, b_h as `RNN` has it"
        )
    return words


def _gates(shape: tuple[int, ...]) -> int:
    """How many matrices of units by units a matrix is made of; 0 if it is not."""
    long, short = max(shape, default=0), min(shape, default=0)
    return long // short if len(shape) == 2 and short and long % short == 0 else 0


def _cell(gates: int) -> str:
    return _CELLS.get(gates, f"a cell of {gates} gates")


def _check(
    path: str, name: str, array: npt.NDArray[Any], sizes: dict[str, tuple[int, str]]
) -> None:
    """Refuse what does not fit the arrays before; remember where each size came from."""
    axes, shape = _AXES[name], array.shape
    expected = f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"
    if array.ndim != len(axes) or 0 in shape:
        raise ValueError(
            f"`weights` {path!r}: {name} must be {expected}, got shape {shape}; "
            "the file holds one network, without a network axis"
        )
    for axis, size in zip(axes, shape, strict=True):
        known, source = sizes.setdefault(axis, (size, name))
        if size != known:
            raise ValueError(
                f"`weights` {path!r}: {name} must be {expected} with {axis} = {known} as in "
                f"{source}, got shape {shape}; {_misfit(name, shape, known)}"
            )


def _misfit(name: str, shape: tuple[int, ...], known: int) -> str:
    """What an array that does not fit may be."""
    if name == "W_hh" and _gates(shape) > 1:
        gates = _gates(shape)
        how = f"; if it is one, say so with cell={_NAMES[gates]!r}" if gates in _NAMES else ""
        return f"this is the shape of {_cell(gates)}{how}"
    if name != "W_hh" and len(shape) == 2 and known in shape:
        return "W[i, j] is the weight from j to i, so the matrix may have to be transposed"
    return "all arrays of a file are of one network, with one W_hh of units by units"


def _check_numbers(path: str, name: str, array: npt.NDArray[Any]) -> None:
    if array.dtype.kind not in "iuf":
        raise ValueError(
            f"`weights` {path!r}: {name} must hold real numbers, got {array.dtype}; {_SAVING}"
        )


def _check_finite(path: str, name: str, array: npt.NDArray[Any]) -> None:
    if not np.isfinite(array).all():
        raise ValueError(
            f"`weights` {path!r}: {name} must be finite, got "
            f"{int((~np.isfinite(array)).sum())} entries that are NaN or infinite"
        )
