"""What a network carries from step to step: h, and the memories c of LSTMs, as one array.

Of a stack the states of its layers stand one behind the other, the lowest first.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.kernels import GRU, LSTM, Batch
from rnnsim.networks.cells import CELLS
from rnnsim.networks.rnn import ACTIVATIONS
from rnnsim.networks.stack import Network, Stack

_SEQUENCES_FIRST = (
    "; the inputs are read as (n_steps, n_sequences, n_inputs): if their sequences come first, "
    "give np.swapaxes(inputs, -3, -2), and all else likewise"
)


def cell_of(rnn: Network) -> Any:
    """What the kernels call the networks' cell: of vanilla networks the code of phi."""
    gated = {"lstm": LSTM, "gru": GRU}
    return gated[rnn.cell] if rnn.cell in gated else ACTIVATIONS[rnn.activation]


def has_memories(rnn: Network) -> bool:
    """Whether the state is more than h."""
    return rnn.cell == "lstm"


def state_size(rnn: Network) -> int:
    """S, the numbers of a whole state: H, of an LSTM 2 H, and of L layers as many times."""
    return len(rnn.layers) * (2 if has_memories(rnn) else 1) * rnn.n_hidden


def state_shape(rnn: Network, n_sequences: int) -> tuple[int, ...]:
    """(B, H) of h of all networks alike, of a stack (L, B, H)."""
    shape = n_sequences, rnn.n_hidden
    return (len(rnn.layers), *shape) if isinstance(rnn, Stack) else shape


def parts(rnn: Network, whole: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """h and c, views, of whole states (..., B, S); None where there are no memories.

    Of a stack (..., L, B, H) each.
    """
    H = rnn.n_hidden
    if isinstance(rnn, Stack):
        by_layer = whole.reshape(*whole.shape[:-1], rnn.n_layers, -1)
        whole = np.moveaxis(by_layer, -2, -3)
    return (whole[..., :H], whole[..., H:]) if has_memories(rnn) else (whole, None)


def by_layer(rnn: Network, whole: FloatArray) -> list[FloatArray]:
    """Whole states (..., L*S) as those of each layer (..., S)."""
    return [np.ascontiguousarray(part) for part in np.split(whole, len(rnn.layers), axis=-1)]


def states_of(layers: Sequence[FloatArray]) -> FloatArray:
    """The other way round."""
    return np.concatenate(layers, axis=-1)


def of_networks(batch: Batch, start: int, stop: int) -> Batch:
    """What networks start..stop-1 read."""
    arrays = {name: a for name, a in batch._asdict().items() if name != "loss" and len(a) > 1}
    return batch._replace(**{name: a[start:stop] for name, a in arrays.items()})


def apart(rnn: Network, whole: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """The same as arrays of their own."""
    h, c = parts(rnn, whole)
    return np.ascontiguousarray(h), None if c is None else np.ascontiguousarray(c)


def alone(
    rnn: Network, h0: npt.ArrayLike | None, c0: npt.ArrayLike | None
) -> tuple[Network, npt.ArrayLike | None, npt.ArrayLike | None]:
    """A stack of one layer as that layer, with first states without an axis of layers."""
    if not isinstance(rnn, Stack) or rnn.n_layers > 1:
        return rnn, h0, c0
    return rnn.layers[0], _of_one_layer("h0", rnn, h0), _of_one_layer("c0", rnn, c0)


def _of_one_layer(name: str, rnn: Network, value: npt.ArrayLike | None) -> FloatArray | None:
    """A first state (1 or N, B, H) from one that has an axis of one layer."""
    if value is None:
        return None
    axes = "(n_layers, n_sequences, n_hidden)"
    array = checks.float_array(name, value, shape=axes)
    if array.ndim not in (3, 4) or array.shape[-3] != 1:
        raise ValueError(
            f"`{name}` must be {axes} with n_layers = 1, or with a leading axis of n_networks = "
            f"{len(rnn)}, got shape {array.shape}"
        )
    return _states(name, rnn, array, array.shape[-2])[:, 0]


def initial_states(
    rnn: Network, h0: npt.ArrayLike | None, n_sequences: int, c0: npt.ArrayLike | None = None
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
    given = [_states("h0", rnn, h0, n_sequences)]
    given += [_states("c0", rnn, c0, n_sequences)] if has_memories(rnn) else []
    n = max(map(len, given))
    both = [np.broadcast_to(array, (n, *array.shape[1:])) for array in given]
    whole = both[0] if len(both) == 1 else np.concatenate(both, axis=-1)
    if isinstance(rnn, Stack):  # (n, L, B, S) so far
        whole = np.moveaxis(whole, 1, 2).reshape(n, n_sequences, -1)
    return np.require(whole, requirements=["C", "W"])  # kernels compile again for what is read-only


def _states(name: str, rnn: Network, value: npt.ArrayLike | None, n_sequences: int) -> FloatArray:
    """One part of the state as (1 or N, B, H), of a stack (1 or N, L, B, H)."""
    axes = (
        "(n_layers, n_sequences, n_hidden)" if isinstance(rnn, Stack) else "(n_sequences, n_hidden)"
    )
    expected = state_shape(rnn, n_sequences)
    if value is None:
        return np.zeros((1, *expected), rnn.dtype)
    array = checks.float_array(name, value, shape=axes)
    if array.ndim == len(expected):
        array = array[None]
    if array.shape not in ((1, *expected), (len(rnn), *expected)):
        other = array.ndim == 3 and array.shape[1] != n_sequences and array.shape[2] == rnn.n_hidden
        raise ValueError(
            f"`{name}` must be {axes} = {expected}, or with a leading axis of "
            f"n_networks = {len(rnn)}, got shape {np.shape(value)}"
            f"{_SEQUENCES_FIRST if other and not isinstance(rnn, Stack) else ''}"
        )
    checks.same_dtype(**{"rnn": rnn.layers[0].W_hh, name: array})
    checks.finite(name, array)
    return array
