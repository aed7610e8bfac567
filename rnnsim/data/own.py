"""Data of one's own: a batch, or one long sequence, of which batches are drawn."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.sequences import Sequences

Array = npt.NDArray[Any]

_MOST_IDS = 2**20  # sizes of one-hot inputs; the largest vocabularies have a quarter of it
_MOST_ENTRIES = 2**28  # of one-hot inputs, 2 GB


@dataclass(frozen=True, eq=False)
class OwnData:
    """What a file holds, time-major and checked; plain arrays, which can be pickled.

    Attributes
    ----------
    name, sha256 : str
        Of the file, without its folder, and of its content.
    kind : {"batch", "stream", "ids", "characters"}
        Floats of B sequences, or of one long one; class ids of either; a text.
    inputs : (T, B, D) floats or (T, B) class ids
    targets : (T, B) class ids, (T, B, V) floats or None
        None for the next input.
    weights : (T, B)
        Loss weights, one step less where the next input is predicted.
    stream : bool
        Whether it is one long sequence, B = 1, of which windows are cut.
    n_ids : int
        Of class ids the largest and 1, of characters how many there are; else 0.
    layout : str or None
        How the axes were read, where that was said.
    """

    name: str
    sha256: str
    kind: str
    inputs: Array = field(repr=False)
    targets: Array | None = field(repr=False)
    weights: FloatArray = field(repr=False)
    stream: bool
    n_ids: int = 0
    layout: str | None = None

    @property
    def identity(self) -> str:
        """What tells these data from others."""
        read = "" if self.layout is None else f" read as {self.layout}"
        return f"{self.name} sha256:{self.sha256}{read}"

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64, of floats that were in the file or that ids become."""
        return self.weights.dtype

    @property
    def longest(self) -> int:
        """T, how many steps can be drawn: all, or all that have a next one to predict."""
        return len(self.weights)

    @property
    def n_sequences(self) -> int | None:
        """B; None for one long sequence."""
        return None if self.stream else self.inputs.shape[1]

    def sizes(self, network: Any = None) -> tuple[int, int]:
        """(n_inputs, n_outputs) of what is drawn: of `network`, where the data fit that.

        Raises
        ------
        ValueError
            Class ids outside the embedding, the inputs or the readout of the network; numbers of
            inputs or outputs that are not its; ids that are too large to be one-hot.
        """
        n_inputs = self._n_inputs(network)
        if self.targets is not None and self.targets.dtype.kind == "f":
            n_outputs = self.targets.shape[-1]
        elif self.targets is not None:
            n_outputs = int(self.targets.max()) + 1
        else:
            n_outputs = self.n_ids or self.inputs.shape[-1]
        readout = getattr(network, "n_outputs", 0)
        if not readout:  # no network, or one whose outputs nobody asks for
            return n_inputs, n_outputs
        classes = self.inputs if self.targets is None else self.targets
        if classes.dtype.kind == "f":
            if n_outputs != readout:
                raise self._refused(
                    f"targets have {n_outputs} outputs and `network` {readout}; give data and a "
                    "network that fit each other"
                )
        else:
            self._check_ids("targets", classes, readout, "the readout of `network`")
        return n_inputs, readout

    def draw(
        self,
        length: int | None = None,
        n_sequences: int | None = None,
        rng: int | np.random.Generator = 0,
        *,
        dtype: npt.DTypeLike | None = None,
        network: Any = None,
    ) -> Sequences:
        """A batch: of one long sequence windows from random places, else the first steps.

        Parameters
        ----------
        length : int, optional
            T; `longest` unless given.
        n_sequences : int, optional
            B windows, 1 unless given, which may overlap; or B different sequences in their order,
            all unless given.
        rng : int or numpy.random.Generator
        dtype : {"float32", "float64"}, optional
            That of the data unless given.
        network : RNN or Stack, optional
            What the data must fit; its embedding turns class ids into inputs.

        Raises
        ------
        TypeError, ValueError
            More steps or sequences than there are; a beginning without loss; what `sizes` refuses.
        """
        T, generator = self._length(length), checks.generator(rng)
        kind = self.dtype if dtype is None else checks.float_dtype("dtype", dtype)
        n_inputs, _ = self.sizes(network)
        if self.stream:
            B = 1 if n_sequences is None else checks.size("n_sequences", n_sequences)
            steps = np.arange(T)[:, None] + generator.integers(0, self.longest - T + 1, B)
            columns = np.zeros(B, np.int64)
        else:
            columns = self._chosen(n_sequences, generator)
            steps = np.repeat(np.arange(T)[:, None], len(columns), axis=1)
        x, w = self.inputs[steps, columns], self.weights[steps, columns]
        ahead = self.targets is None
        y = self.inputs[steps + 1, columns] if ahead else self.targets[steps, columns]  # type: ignore[index]
        if not w.any():
            raise self._without_loss(T, w.shape[1])
        numbers = self.inputs.ndim == 3
        inputs = (
            self._cast("inputs", x, kind) if numbers else self._of_ids(x, n_inputs, kind, network)
        )
        targets = self._cast("targets", y, kind) if y.dtype.kind == "f" else y
        weights = w.astype(kind)
        if inputs.ndim == 4:  # an embedding of each network
            targets, weights = (np.stack([each] * len(inputs)) for each in (targets, weights))
        origin = {"data": self.name, "data_sha256": self.sha256, "variant": self._variant()}
        origin |= {} if self.layout is None else {"layout": self.layout}
        return Sequences(inputs, targets, weights, ignore_index=None, provenance=origin)

    def _without_loss(self, n_steps: int, n_sequences: int) -> ValueError:
        first = int(np.flatnonzero(self.weights.any(axis=1))[0]) + 1
        if n_steps < self.longest:
            return ValueError(
                f"`length` = {n_steps} leaves no step with loss in what is drawn of {self.name!r}, "
                f"whose first loss is at step {first} of {self.longest}; give more steps"
            )
        return ValueError(
            f"`n_sequences` = {n_sequences} drawn of {self.n_sequences} in {self.name!r} have no "
            "step with loss; give more of them, or another `rng`"
        )

    def _variant(self) -> str:
        return f"{self.kind}, {'targets of its own' if self.targets is not None else 'next step'}"

    def _length(self, length: int | None) -> int:
        steps = self.longest if length is None else checks.size("length", length)
        if steps > self.longest:
            more = "" if self.targets is not None else " that have a next one"
            raise ValueError(
                f"`length` must be at most {self.longest}, the steps of {self.name!r}{more}, got "
                f"{steps}; give fewer steps or longer data"
            )
        return steps

    def _chosen(self, n_sequences: int | None, generator: np.random.Generator) -> Array:
        """Different sequences, in their order."""
        there = self.inputs.shape[1]
        n = there if n_sequences is None else checks.size("n_sequences", n_sequences)
        if n > there:
            raise ValueError(
                f"`n_sequences` must be at most {there}, the sequences of {self.name!r}, got {n}; "
                "give fewer, or more data"
            )
        return np.arange(n) if n == there else np.sort(generator.choice(there, n, replace=False))

    def _n_inputs(self, network: Any) -> int:
        known = getattr(network, "n_inputs", None)
        if self.inputs.ndim == 3:
            D = self.inputs.shape[-1]
            if known not in (None, D):
                raise self._refused(
                    f"inputs have n_inputs = {D} and `network` {known}; give data and a network "
                    "that fit each other"
                )
            return D
        embedding = getattr(network, "embedding", None)  # (N, n_ids, D)
        ids, what = known, "the inputs"
        if embedding is not None:
            ids, what = embedding.shape[-2], "the embedding"
        if self.kind == "characters" and ids not in (None, self.n_ids):
            raise self._refused(
                f"the text has {self.n_ids} different characters and {what} of `network` {ids}; "
                "their ids would mean something else: give class ids of your own as integers"
            )
        if ids is None and self.n_ids > _MOST_IDS:
            raise self._refused(
                f"class ids up to {self.n_ids - 1} would be one-hot inputs of that size, more than "
                f"{_MOST_IDS}; if they are measurements, save them as floats"
            )
        if ids is not None:
            self._check_ids("inputs", self.inputs, ids, f"{what} of `network`")
        return self.n_ids if known is None else int(known)

    def _check_ids(self, name: str, ids: Array, size: int, what: str) -> None:
        """Refuse class ids that something of this size does not have."""
        if ids.max() >= size:
            index = checks.first_index(ids >= size)
            raise self._refused(
                f"{name} must be class ids 0..{size - 1} of {what}, got {ids[index]} at "
                f"{list(index)} (step, sequence); give data and a network that fit each other"
            )

    def _of_ids(self, ids: Array, n_inputs: int, kind: np.dtype[Any], network: Any) -> FloatArray:
        """Rows of the embedding, or one-hot."""
        if getattr(network, "embedding", None) is not None:
            return self._cast("embedded inputs", np.asarray(network.embed(ids)), kind)
        if ids.size * n_inputs > _MOST_ENTRIES:
            T, B = ids.shape
            raise self._refused(
                f"one-hot inputs of {T} steps, {B} sequences and {n_inputs} ids would be "
                f"{ids.size * n_inputs} numbers, more than {_MOST_ENTRIES}; draw fewer steps or "
                "sequences"
            )
        inputs = np.zeros((*ids.shape, n_inputs), kind)
        np.put_along_axis(inputs, ids[..., None].astype(np.int64), 1, axis=-1)
        return inputs

    def _cast(self, name: str, array: Array, kind: np.dtype[Any]) -> FloatArray:
        with np.errstate(over="ignore"):
            cast = array.astype(kind)
        lost = np.isinf(cast)
        if lost.any():
            raise self._refused(
                f"{name} hold {array[checks.first_index(lost)]}, outside the range of {kind}; use "
                "dtype='float64', or scale the data"
            )
        return cast

    def _refused(self, message: str) -> ValueError:
        return ValueError(f"`path` {self.name!r}: {message}")
