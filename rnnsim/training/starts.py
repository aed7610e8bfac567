"""Where sequences start: from which states, and at which steps they do so anew."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.pairs import Data, target_of
from rnnsim.files import checksum
from rnnsim.networks.stack import Network
from rnnsim.networks.states import initial_states

Marks = npt.NDArray[np.bool_]


class Starts:
    """The steps before which sequences begin anew: an array for all batches, or a function of one.

    Raises
    ------
    TypeError
        Something else, or an array that does not hold booleans.
    """

    def __init__(self, given: npt.ArrayLike | Callable[[Any], npt.ArrayLike]) -> None:
        self._function: Callable[[Any], npt.ArrayLike] | None = None
        if callable(given):
            if not checks.can_be_called(given, 1):
                raise TypeError(
                    "`starts` must be an array, or a function of a batch, as in "
                    f"lambda batch: batch.inputs[..., 0] == 1, got {checks.shown(given)}"
                )
            self._function = given
        else:
            self._array = _booleans(given)

    @property
    def digest(self) -> str:
        """What a run must share with the one that goes on."""
        if self._function:
            return "function"
        return checksum([repr(self._array.shape), self._array])[:16]

    def of(self, data: Data) -> Marks:
        """Those of a batch (1 or N, T, B)."""
        weights = target_of(data).weights
        found = _booleans(self._function(data)) if self._function else self._array
        if found.shape not in (weights.shape, weights.shape[-2:]):
            own = f" or {weights.shape}" if weights.ndim > 2 else ""
            raise ValueError(
                f"`starts` must be (n_steps, n_sequences) = {weights.shape[-2:]}{own} as in the "
                f"batch, got shape {found.shape}; True where a sequence begins anew before a step"
            )
        full = np.array(np.broadcast_to(found, weights.shape), order="C")
        return full if full.ndim > 2 else full[None]


def _booleans(value: Any) -> Marks:
    array = checks.plain_array("starts", value)
    if array.dtype != np.bool_:
        raise TypeError(
            "`starts` must hold booleans (n_steps, n_sequences), True where a sequence begins "
            f"anew, got {array.dtype}; compare first, as in starts != 0"
        )
    return array


class FirstStates:
    """The whole states (1 or N, B, S) that batches, or the stream, start from."""

    def __init__(self, rnn: Network, h0: npt.ArrayLike | None, c0: npt.ArrayLike | None) -> None:
        self._rnn, self._h0, self._c0 = rnn, h0, c0
        self._given = {n: a for n, a in (("h0", h0), ("c0", c0)) if a is not None}

    def of(self, n_sequences: int) -> FloatArray:
        """Zeros unless given, and then for as many sequences as the first batch has."""
        with checks.renamed(rnn="`model`"):
            return initial_states(self._rnn, self._h0, n_sequences, self._c0)

    @property
    def given(self) -> bool:
        """Whether they are others than zeros."""
        return bool(self._given)

    @property
    def digest(self) -> str | None:
        """What a run must share with the one that goes on."""
        parts: list[Any] = []
        for name, value in self._given.items():
            array = checks.float_array(name, value, shape="(n_sequences, n_hidden)")
            parts += [f"{name} {array.shape}", array]
        return checksum(parts)[:16] if parts else None

    def check(self, n_sequences: int, known: int, name: str) -> None:
        """Refuse a batch of another number of sequences than the states are of."""
        if self.given and n_sequences != known:
            name_given = next(iter(self._given))
            raise ValueError(
                f"`{name_given}` holds states of {known} sequences, where `{name}` has "
                f"{n_sequences}: give batches of one number of sequences, or leave it out"
            )
