"""Pairs of sequences: what an encoder reads, and what a decoder says about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.labels.gradients import of_data
from rnnsim.data.labels.results import About, Labels, Result
from rnnsim.data.sequences import Sequences, check_scored, originals


@dataclass(frozen=True, eq=False, repr=False)
class Pairs(Result):
    """A batch of B source sequences, each with the target sequence that belongs to it.

    An encoder reads the source, T_s steps; a decoder, begun where the encoder ended, reads the
    inputs of the target and is scored on it, T steps. Sources shorter than T_s stand at the end,
    behind zeros, so that all of them end at step T_s.

    Parameters
    ----------
    source : (T_s, B, D_s) array
        float32 or float64; an image or another vector is a source of one step. With a leading
        network axis (N, T_s, B, D_s) where the target has one.
    target : Sequences
        B sequences of the same dtype. With teacher forcing its inputs are the right answers of one
        step before, and the first of them a start symbol; weights are 0 behind the end symbol.
    provenance : mapping of str to str, optional
        Where the data come from; recorded with results.

    Raises
    ------
    TypeError
        A target that is no `Sequences`, a source of another dtype.
    ValueError
        Other numbers of sequences or networks in source and target, empty axes, NaN or infinity; a
        target made by `Sequences.from_gradients`.

    Examples
    --------
    >>> import numpy as np, rnnsim
    >>> target = rnnsim.Sequences(np.zeros((4, 2, 3)), np.zeros((4, 2), int))
    >>> pairs = rnnsim.Pairs(np.zeros((6, 2, 5)), target)
    >>> pairs.n_source_steps, pairs.n_steps, pairs.n_sequences, pairs.n_source_inputs
    (6, 4, 2, 5)
    """

    source: FloatArray
    target: Sequences
    provenance: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    _owned: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.target, Sequences):
            raise TypeError(
                "`target` must be a rnnsim.Sequences(inputs, targets, weights=None), which the "
                f"decoder reads and is scored on, got {type(self.target).__name__}"
            )
        check_scored(self.target, "target")
        shape = "(n_steps, n_sequences, n_inputs)"
        source = checks.float_array("source", self.source, shape=shape, own=True)
        own = self.target.n_networks
        if source.ndim != (4 if own else 3) or (own and source.shape[0] != own):
            expected = "(n_steps, n_sequences, n_inputs)"
            if own:
                expected += f" with a leading axis of n_networks = {own}, as in `target`"
            raise ValueError(
                f"`source` must be {expected}, got shape {source.shape}; the network axis belongs "
                "to both or neither"
            )
        checks.positive_sizes("source", source, "N T B D" if own else "T B D")
        if source.shape[-2] != self.target.n_sequences:
            raise ValueError(
                f"`source` must hold one sequence for each of the {self.target.n_sequences} of "
                f"`target`, got {source.shape[-2]} (shape {source.shape})"
            )
        checks.same_dtype(source=source, target=self.target.inputs)
        checks.finite("source", source)
        object.__setattr__(self, "_owned", source)
        object.__setattr__(self, "source", checks.read_only(source))
        object.__setattr__(self, "provenance", checks.provenance(self.provenance))

    def _labelling(self) -> Labels:
        own, classes = self.n_networks is not None, self.target.has_classes
        return of_data(own=own, classes=classes, source=True)

    def _known(self) -> About:
        known = self.target._known()
        return known._replace(provenance={**known.provenance, **self.provenance})

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), provenance=self.provenance), (self.source, self.target)

    @property
    def n_networks(self) -> int | None:
        """N where each network has its own data, None where all share one batch."""
        return self.target.n_networks

    @property
    def n_sequences(self) -> int:
        """B."""
        return self.target.n_sequences

    @property
    def n_source_steps(self) -> int:
        """T_s."""
        return int(self.source.shape[-3])

    @property
    def n_source_inputs(self) -> int:
        """D_s."""
        return int(self.source.shape[-1])

    @property
    def n_steps(self) -> int:
        """T, of the target."""
        return self.target.n_steps

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self.source.dtype

    def astype(self, dtype: npt.DTypeLike) -> "Pairs":
        """The same data rounded to float32 or widened to float64."""
        kind = checks.float_dtype("dtype", dtype)
        return Pairs(self.source.astype(kind), self.target.astype(kind), provenance=self.provenance)


Data = Sequences | Pairs


def check_pairs(value: Any) -> None:
    """Refuse what is no Pairs."""
    if not isinstance(value, Pairs):
        raise TypeError(
            f"`pairs` must be a rnnsim.Pairs(source, target), got {type(value).__name__}"
        )


def target_of(data: Data) -> Sequences:
    """What the network that carries the loss reads and is scored on."""
    return data.target if isinstance(data, Pairs) else data


def sources_of(data: Data) -> list[FloatArray]:
    """What is read before that: one array by an encoder, or none; the originals, for kernels."""
    return [data._owned] if isinstance(data, Pairs) else []


def arrays_of(data: Data) -> list[npt.NDArray[Any]]:
    """All that a batch holds."""
    return [*sources_of(data), *originals(target_of(data))]


def shape_of(data: Data) -> tuple[Any, ...]:
    """What batches that are to be put side by side must share."""
    return tuple((array.shape, array.dtype.kind) for array in arrays_of(data))


def stacked(batches: list[Data]) -> Data:
    """Batches of one shape as one, each network with its own; a single one as it is."""
    first = batches[0]
    if len(batches) == 1:
        return first
    columns = zip(*(arrays_of(batch) for batch in batches), strict=True)
    *sources, inputs, targets, weights = (np.stack(column) for column in columns)
    target = Sequences(inputs, targets, weights, provenance=target_of(first).provenance)
    return Pairs(sources[0], target, provenance=first.provenance) if sources else target
