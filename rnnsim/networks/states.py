"""What a network carries from step to step: h, and the memories c of an LSTM, as one array."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.kernels import GRU, LSTM
from rnnsim.networks.cells import CELLS
from rnnsim.networks.rnn import ACTIVATIONS, RNN

_SEQUENCES_FIRST = (
    "; the inputs are read as (n_steps, n_sequences, n_inputs): if their sequences come first, "
    "give np.swapaxes(inputs, -3, -2), and all else likewise"
)


def cell_of(rnn: RNN) -> Any:
    """What the kernels call the networks' cell: of vanilla networks the code of phi."""
    gated = {"lstm": LSTM, "gru": GRU}
    return gated[rnn.cell] if rnn.cell in gated else ACTIVATIONS[rnn.activation]


def has_memories(rnn: RNN) -> bool:
    """Whether the state is more than h."""
    return rnn.cell == "lstm"


def state_size(rnn: RNN) -> int:
    """S, the numbers of a whole state: 2 H of an LSTM, else H."""
    return 2 * rnn.n_hidden if has_memories(rnn) else rnn.n_hidden


def parts(rnn: RNN, whole: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """h and c, views, of whole states (..., S); None where there are no memories."""
    H = rnn.n_hidden
    return (whole[..., :H], whole[..., H:]) if has_memories(rnn) else (whole, None)


def apart(rnn: RNN, whole: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """The same as arrays of their own."""
    h, c = parts(rnn, whole)
    return np.ascontiguousarray(h), None if c is None else np.ascontiguousarray(c)


def initial_states(
    rnn: RNN, h0: npt.ArrayLike | None, n_sequences: int, c0: npt.ArrayLike | None = None
) -> FloatArray:
    """Whole states (1 or N, B, S) to begin with: zeros unless given."""
    if c0 is not None and not has_memories(rnn):
        raise ValueError(
            f"`c0` is the first memory of LSTMs, got `rnn` with cell={rnn.cell!r}, which has none: "
            f"{CELLS[rnn.cell].label} carries h alone; leave `c0` out"
        )
    if has_memories(rnn) and isinstance(h0, tuple) and len(h0) == 2:
        raise TypeError(
            "`h0` must be h alone, got a tuple of two: if it is (h, c), as PyTorch has it, give h "
            "as `h0` and c as `c0`"
        )
    h = _states("h0", rnn, h0, n_sequences)
    if not has_memories(rnn):
        return h
    c = _states("c0", rnn, c0, n_sequences)
    n = max(len(h), len(c))
    both = [np.broadcast_to(array, (n, *array.shape[1:])) for array in (h, c)]
    return np.ascontiguousarray(np.concatenate(both, axis=2))


def _states(name: str, rnn: RNN, value: npt.ArrayLike | None, n_sequences: int) -> FloatArray:
    """One part of the state as (1 or N, B, H)."""
    B, H = n_sequences, rnn.n_hidden
    if value is None:
        return np.zeros((1, B, H), rnn.dtype)
    array = checks.float_array(name, value, shape="(n_sequences, n_hidden)")
    if array.ndim == 2:
        array = array[None]
    if array.shape not in ((1, B, H), (len(rnn), B, H)):
        other = array.ndim == 3 and array.shape[1] != B and array.shape[2] == H
        raise ValueError(
            f"`{name}` must be (n_sequences, n_hidden) = ({B}, {H}), or with a leading axis of "
            f"n_networks = {len(rnn)}, got shape {np.shape(value)}"
            f"{_SEQUENCES_FIRST if other else ''}"
        )
    checks.same_dtype(**{"rnn": rnn.W_hh, name: array})
    checks.finite(name, array)
    return array
