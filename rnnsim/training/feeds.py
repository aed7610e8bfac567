"""Where training takes its data from: batch after batch, cut into segments, from any place on."""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.pairs import Data, Pairs
from rnnsim.data.sequences import Sequences
from rnnsim.gradients.pairs import pair_batch
from rnnsim.kernels.cells.layout import Batch
from rnnsim.kernels.training.learning import Batches
from rnnsim.networks.binding import batch_for
from rnnsim.networks.model import Model
from rnnsim.networks.rnn import RNN
from rnnsim.training.learners import join_batches
from rnnsim.training.schedules import Segment, segments

Task = Data | Callable[[np.random.Generator], Data]

_BATCH_BYTES = 2**26  # what the batches of one call may take


class Work(NamedTuple):
    """What one call of the kernels does: batches, and a schedule (segments, 7) over them."""

    batches: Batches
    schedule: npt.NDArray[np.int64]
    loss: int


class Feed:
    """The batches of a task in their order, and the segment that comes next."""

    def __init__(
        self,
        model: Model,
        task: Task,
        rng: Any,
        *,
        own_data: bool,
        window: int | None,
        stride: int | None,
        carry: str,
    ) -> None:
        self._model, self._task = model, task
        self._window, self._stride, self._carry = window, stride, carry
        self._generators: list[np.random.Generator] = []
        if callable(task):
            generator = checks.generator(rng)
            self._generators = generator.spawn(len(model)) if own_data else [generator]
        else:
            self.check(task, "task")
        if own_data and not callable(task):
            raise ValueError(
                "`own_data` draws a stream for each network and needs a callable task, got a batch "
                "of data; give the data a leading network axis instead"
            )
        self._before: list[Any] = []
        self._data: Data | None = None
        self._kernels: tuple[Batch, list[Any]] | None = None
        self._segments: list[Segment] = []
        self._position = 0
        self._n_sequences: int | None = None

    def upcoming(self) -> Data:
        """The batch that the next segment is taken from; drawn, if it has not been yet."""
        if self._data is None or self._position >= len(self._segments):
            self._draw()
        assert self._data is not None
        return self._data

    def longest_segment(self) -> int:
        """Its steps, in the upcoming batch."""
        self.upcoming()
        return max(segment.end - segment.begin for segment in self._segments)

    def check(self, data: Any, name: str) -> None:
        """Refuse data that do not fit the model."""
        _checked(self._model, data, name)

    def settings(self) -> dict[str, Any]:
        """What a run must share with the one that goes on, as plain values."""
        states = [generator.bit_generator.state for generator in self._generators]
        return {
            "window": self._window,
            "stride": self._stride,
            "carry": self._carry,
            "own_data": len(self._generators) > 1,
            "task": "callable" if callable(self._task) else digest(self._task),
            "rng": hashlib.sha256(repr(states).encode()).hexdigest()[:16],
        }

    def take(self, n_updates: int, slot: int) -> Work:
        """Segments with `n_updates` updates, or fewer where memory or the shape of batches ask."""
        batches: list[tuple[Batch, list[Any]]] = []
        rows: list[list[int]] = []
        shape, size, updates = _shape(self.upcoming()), 0, 0
        while updates < n_updates and size < _BATCH_BYTES and _shape(self.upcoming()) == shape:
            assert self._kernels is not None
            if callable(self._task) or not batches:
                batches.append(self._kernels)
                size += _bytes(self.upcoming())
            while self._position < len(self._segments) and updates < n_updates:
                segment = self._segments[self._position]
                rows.append([len(batches) - 1, *segment[:5], slot if segment.scored else -1])
                updates += segment.scored
                self._position += 1
        sources = [array for _, source in batches for array in source]
        joined = join_batches([batch for batch, _ in batches], sources)
        return Work(joined, np.array(rows, np.int64), batches[0][0].loss)

    def place(self) -> dict[str, Any]:
        """Where the feed stands: what `move_to` needs, as plain values."""
        data = self.upcoming()
        return {"generators": self._before, "position": self._position, "batch": digest(data)}

    def move_to(self, place: dict[str, Any]) -> None:
        """Go on from a place of an earlier run of the same task."""
        for generator, state in zip(self._generators, place["generators"], strict=True):
            generator.bit_generator.state = state
        self._draw()
        self._position = place["position"]
        assert self._data is not None
        if digest(self._data) != place["batch"]:
            raise ValueError(
                "`task` does not draw the batch that it drew when the checkpoint was saved; resume "
                "with the same task, or begin anew with another `checkpoint`"
            )

    def _draw(self) -> None:
        self._before = [generator.bit_generator.state for generator in self._generators]
        if callable(self._task):
            drawn = [self._task(generator) for generator in self._generators]
            self._data = drawn[0] if len(drawn) == 1 else stacked(drawn)
        elif self._data is None:
            self._data = self._task
        else:  # the same again
            self._position = 0
            return
        self._kernels = _checked(self._model, self._data, "task")
        target = self._data.target if isinstance(self._data, Pairs) else self._data
        if self._carry == "stream" and self._n_sequences not in (None, target.n_sequences):
            raise ValueError(
                '`carry` = "stream" needs batches of as many sequences as the first, '
                f"{self._n_sequences}, got {target.n_sequences}; each goes on where it ended"
            )
        self._n_sequences = target.n_sequences
        self._segments = segments(
            target.n_steps, self._window, self._stride, self._carry, target.loss_steps
        )
        self._position = 0
        if not any(segment.scored for segment in self._segments):
            raise ValueError("`task` must carry loss at one step at least, but all weights are 0")


def _checked(model: Model, data: Any, name: str) -> tuple[Batch, list[Any]]:
    """The kernels' view of a batch, and of its source, for this model."""
    expected = Sequences if isinstance(model, RNN) else Pairs
    if not isinstance(data, expected):
        raise TypeError(
            f"`{name}` must be a rnnsim.{expected.__name__} for a model of type "
            f"{type(model).__name__}, or for `task` a callable that draws one from a Generator, "
            f"got {type(data).__name__}"
        )
    if isinstance(model, RNN):
        assert isinstance(data, Sequences)
        return batch_for(model, data, None), []
    assert isinstance(data, Pairs)
    source, target = pair_batch(model, data)
    return target, [source]


def stacked(batches: list[Data]) -> Data:
    """Batches of one shape as one, each network with its own."""
    first = batches[0]
    if any(_shape(batch) != _shape(first) for batch in batches):
        raise ValueError("`task` must draw batches of one shape for all networks with `own_data`")
    if isinstance(first, Pairs):
        pairs = [batch for batch in batches if isinstance(batch, Pairs)]
        target = stacked([pair.target for pair in pairs])
        assert isinstance(target, Sequences)
        source = np.stack([pair.source for pair in pairs])
        return Pairs(source, target, provenance=first.provenance)
    each = [batch for batch in batches if isinstance(batch, Sequences)]
    return Sequences(
        np.stack([batch.inputs for batch in each]),
        np.stack([batch.targets for batch in each]),
        np.stack([batch.weights for batch in each]),
        provenance=first.provenance,
    )


def _arrays(data: Data) -> list[npt.NDArray[Any]]:
    source = [data.source] if isinstance(data, Pairs) else []
    target = data.target if isinstance(data, Pairs) else data
    return [*source, target.inputs, target.targets, target.weights]


def _shape(data: Data) -> tuple[Any, ...]:
    return tuple((array.shape, array.dtype.kind) for array in _arrays(data))


def _bytes(data: Data) -> int:
    return sum(array.nbytes for array in _arrays(data))


def digest(data: Data) -> str:
    """A checksum of all that a batch holds."""
    found = hashlib.sha256(repr(_shape(data)).encode())
    for array in _arrays(data):
        found.update(array.tobytes())
    return found.hexdigest()[:16]
