"""Where training takes its data from: batch after batch, cut into segments, from any place on."""

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.pairs import Data, arrays_of, shape_of, sources_of, stacked, target_of
from rnnsim.data.sequences import Sequences, check_scored
from rnnsim.files import checksum
from rnnsim.kernels.cells.layout import Batch
from rnnsim.kernels.training.learning import Batches, Segment
from rnnsim.networks.binding import bind, check_kinds
from rnnsim.networks.model import Model
from rnnsim.training.learners import join_batches
from rnnsim.training.schedules import segments

Task = Data | Callable[[np.random.Generator], Data]

_BATCH_BYTES = 2**26  # what the batches of one call may take


_OTHERWISE = ", or for `task` a callable that draws one from a Generator"


class Sizes(NamedTuple):
    """Of a batch: steps of its longest segment and of its source, and the number of sequences."""

    n_steps: int
    n_source_steps: int
    n_sequences: int


class Ahead(NamedTuple):
    """What comes next: data, the states (N, B, H) that they start from unless 0, and its name."""

    data: Data
    h0: FloatArray | None
    name: str


class Call(NamedTuple):
    """What one call of the kernels does: batches, and segments of them."""

    batches: Batches
    segments: list[Segment]
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
            _check_drawing(task)
        generator = None if rng is None and not callable(task) else checks.generator(rng)
        if generator is not None and callable(task):
            self._generators = generator.spawn(len(model)) if own_data else [generator]
        else:
            check_kinds(model, task, "task", otherwise=_OTHERWISE)
        if checks.boolean("own_data", own_data) and not callable(task):
            raise ValueError(
                "`own_data` draws a stream for each network and needs a callable task, got a batch "
                "of data; give the data a leading network axis instead"
            )
        self._before: list[Any] = []
        self._drawn: list[Data] = []  # one batch for all networks, or one for each
        self._bound: list[tuple[Batch, list[FloatArray]]] = []
        self._segments: list[Segment] = []
        self._position = 0
        self._n_sequences: int | None = None

    def ahead(self, state: FloatArray) -> Ahead:
        """What comes next; `state` (N, B, H) is the one that is carried on."""
        data = stacked(self._upcoming())
        if self._carry != "stream":
            return Ahead(data, None, "the batch that comes next")
        known = np.isfinite(state).all(axis=(1, 2), keepdims=True)
        state = np.where(known, state, state.dtype.type(0))  # of what diverged none is known
        rest = _behind(target_of(data), self._segments[self._position])
        return Ahead(rest, state, "what comes next, from the carried state")

    def provenance(self) -> Mapping[str, str]:
        """Where the batch drawn last comes from; none is drawn for it, but the first."""
        return (self._drawn or self._upcoming())[0].provenance

    def sizes(self) -> Sizes:
        """What the upcoming batch asks for."""
        first = self._upcoming()[0]
        longest = max(segment.end - segment.begin for segment in self._segments)
        source = sum(source.shape[-3] for source in sources_of(first))
        return Sizes(longest, source, first.n_sequences)

    def check(self, data: Any, name: str) -> None:
        """Refuse data that do not fit the model."""
        self._bind(data, name)

    def _bind(self, data: Any, name: str) -> tuple[Batch, list[FloatArray]]:
        check_scored(data, name)
        fields = ("inputs", "targets", "source")
        with checks.renamed(**{field: f"`{field}` of `{name}`" for field in fields}):
            return bind(self._model, data, name, otherwise=_OTHERWISE)

    def settings(self) -> dict[str, Any]:
        """What a run must share with the one that goes on, as plain values."""
        states = [generator.bit_generator.state for generator in self._generators]
        return {
            "window": self._window,
            "stride": self._stride,
            "carry": self._carry,
            "own_data": len(self._generators) > 1,
            "task": "callable" if callable(self._task) else digest(self._task),
            "rng": checksum([repr(states)])[:16],
        }

    def take(self, n_updates: int, slot: int) -> Call:
        """Segments with `n_updates` updates, or fewer where memory or the shape of batches ask."""
        bound: list[tuple[Batch, list[FloatArray]]] = []
        taken: list[Segment] = []
        shape, size, updates, batch = shape_of(self._upcoming()[0]), 0, 0, -1
        while (
            updates < n_updates and size < _BATCH_BYTES and shape_of(self._upcoming()[0]) == shape
        ):
            if callable(self._task) or not bound:
                bound += self._bound
                size += sum(array.nbytes for data in self._drawn for array in arrays_of(data))
                batch += 1
            while self._position < len(self._segments):
                segment = self._segments[self._position]
                if segment.scored and updates == n_updates:
                    break  # those without loss, which follow the last update, only carry the state
                own_slot = slot if segment.scored else -1
                taken.append(segment._replace(batch=batch, slot=own_slot))
                updates += segment.scored
                self._position += 1
        return Call(join_batches(bound, batch + 1), taken, bound[0][0].loss)

    def place(self) -> dict[str, Any]:
        """Where the feed stands: what `move_to` needs, as plain values."""
        batch = digest(*self._upcoming())
        return {"generators": self._before, "position": self._position, "batch": batch}

    def move_to(self, place: dict[str, Any]) -> None:
        """Go on from a place of an earlier run of the same task."""
        for generator, state in zip(self._generators, place["generators"], strict=True):
            generator.bit_generator.state = state
        self._draw()
        self._position = place["position"]
        if digest(*self._drawn) != place["batch"]:
            raise ValueError(
                "`task` does not draw the batch that it drew when the checkpoint was saved; resume "
                "with the same task, or begin anew with another `checkpoint`"
            )

    def _upcoming(self) -> list[Data]:
        """One batch for all networks, or one for each; drawn, if it has not been yet."""
        if self._position >= len(self._segments):
            self._draw()
        return self._drawn

    def _draw(self) -> None:
        self._before = [generator.bit_generator.state for generator in self._generators]
        if callable(self._task):
            self._drawn = [self._task(generator) for generator in self._generators]
        elif not self._drawn:
            self._drawn = [self._task]
        else:  # the same again
            self._position = 0
            return
        self._bound = [self._bind(data, "task") for data in self._drawn]
        self._check_drawn()
        targets = [target_of(data) for data in self._drawn]
        loss_steps = np.unique(np.concatenate([target.loss_steps for target in targets]))
        self._n_sequences = targets[0].n_sequences
        self._segments = segments(
            targets[0].n_steps, self._window, self._stride, self._carry, loss_steps
        )
        self._position = 0
        if not any(segment.scored for segment in self._segments):
            raise ValueError("`task` must carry loss at one step at least, but all weights are 0")

    def _check_drawn(self) -> None:
        """Refuse batches that do not go together, or with what they follow."""
        first = self._drawn[0]
        alike = all(shape_of(data) == shape_of(first) for data in self._drawn)
        if len(self._drawn) > 1 and not (alike and first.n_networks is None):
            raise ValueError(
                "`task` must draw batches of one shape for all networks with `own_data`, each "
                "without a network axis"
            )
        if self._carry == "stream" and self._n_sequences not in (None, first.n_sequences):
            raise ValueError(
                '`carry` = "stream" needs batches of as many sequences as the first, '
                f"{self._n_sequences}, got {first.n_sequences}; each goes on where it ended"
            )


def _behind(data: Sequences, segment: Segment) -> Sequences:
    """What a segment and those after it compute, and the loss that they learn from."""
    if segment.first == 0:
        return data
    weights = np.array(data.weights)
    weights[..., : segment.first, :] = 0
    rest = (*[slice(None)] * (weights.ndim - 2), slice(segment.begin, None))
    return Sequences(
        data.inputs[rest], data.targets[rest], weights[rest], provenance=data.provenance
    )


def digest(*batches: Data) -> str:
    """A checksum of all that a batch holds; of several, that of the one they make together."""
    columns = list(zip(*(arrays_of(batch) for batch in batches), strict=True))
    lead = (len(batches),) if len(batches) > 1 else ()
    shape = tuple(((*lead, *column[0].shape), column[0].dtype.kind) for column in columns)
    return checksum([repr(shape), *chain(*columns)])[:16]


def _check_drawing(task: Callable[..., Any]) -> None:
    """Refuse what cannot be called with a Generator alone, before it is."""
    if not checks.can_be_called(task, 1):
        raise TypeError(
            "`task` must be a batch, or a callable that draws one from a Generator, as in "
            f"lambda rng: rnnsim.tasks.adding(10, 20, rng=rng), got {checks.shown(task)}"
        )
