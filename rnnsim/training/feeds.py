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
from rnnsim.training.learners import Bound, join_batches
from rnnsim.training.schedules import schedules
from rnnsim.training.starts import Starts

Task = Data | Callable[[np.random.Generator], Data]
Schedule = list[list[Segment]]  # of all networks, or one for each

_BATCH_BYTES = 2**26  # what the batches of one call may take


_OTHERWISE = ", or for `task` a callable that draws one from a Generator"


class Sizes(NamedTuple):
    """Of a batch: steps of its longest segment and of its source, and the number of sequences."""

    n_steps: int
    n_source_steps: int
    n_sequences: int


class Ahead(NamedTuple):
    """What comes next: data, the whole states that they start from unless 0, and its name."""

    data: Data
    start: FloatArray | None
    name: str


class Call(NamedTuple):
    """What one call of the kernels does: batches, segments of them, and so many updates."""

    batches: Batches
    schedules: Schedule
    n_updates: int
    loss: int


class Cuts(NamedTuple):
    """How batches are cut into segments: `window` holds one for all networks, or one for each."""

    window: list[int] | None
    stride: int | None
    carry: str
    accumulate: int = 1
    starts: Starts | None = None

    @property
    def foreseeable(self) -> bool:
        """Whether what comes next is one batch from one state, as it is measured on."""
        alike = self.window is None or len(set(self.window)) == 1
        return self.starts is None and (alike or self.carry != "stream")


class Feed:
    """The batches of a task in their order, and the segment that comes next."""

    def __init__(
        self,
        model: Model,
        task: Task,
        rng: Any,
        *,
        own_data: bool,
        cuts: Cuts,
    ) -> None:
        self._model, self._task, self._cuts = model, task, cuts
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
        self._bound: list[Bound] = []
        self._schedules: Schedule = [[]]
        self._position = 0
        self._gathered = 0  # segments with loss since the last update
        self._n_sequences: int | None = None

    @property
    def _segments(self) -> list[Segment]:
        """Of the upcoming batch; what they hold of begin and keep is of the first network alone."""
        return self._schedules[0]

    def ahead(self, start: FloatArray | None, state: FloatArray) -> Ahead:
        """What comes next, from `start`, or from `state` (N, B, S), the one that is carried on."""
        data = stacked(self._upcoming())
        if self._cuts.carry != "stream":
            return Ahead(data, start, "the batch that comes next")
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
        longest = max(s.end - s.begin for schedule in self._schedules for s in schedule)
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
        window, starts = self._cuts.window, self._cuts.starts
        return {
            "window": window[0] if window and len(set(window)) == 1 else window,
            "stride": self._cuts.stride,
            "carry": self._cuts.carry,
            "accumulate": self._cuts.accumulate,
            "starts": None if starts is None else starts.digest,
            "own_data": len(self._generators) > 1,
            "task": "callable" if callable(self._task) else digest(self._task),
            "rng": checksum([repr(states)])[:16],
        }

    def take(self, n_updates: int, slot: int) -> Call:
        """Segments with `n_updates` updates, or fewer where memory or the shape of batches ask."""
        bound: list[Bound] = []
        taken: list[list[Segment]] = []
        shape, size, updates, batch = shape_of(self._upcoming()[0]), 0, 0, -1
        while (
            updates < n_updates and size < _BATCH_BYTES and shape_of(self._upcoming()[0]) == shape
        ):
            if callable(self._task) or not bound:
                bound += self._bound
                size += sum(array.nbytes for data in self._drawn for array in arrays_of(data))
                batch += 1
            while self._position < len(self._segments):
                at = [schedule[self._position] for schedule in self._schedules]
                scored = at[0].scored
                if scored and updates == n_updates:
                    break  # those without loss, which follow the last update, only carry the state
                self._gathered += scored
                closes = self._gathered == self._cuts.accumulate
                own_slot = slot if scored else -1
                taken.append([s._replace(batch=batch, slot=own_slot, closes=closes) for s in at])
                updates += closes
                self._gathered = 0 if closes else self._gathered
                self._position += 1
        found = [list(each) for each in zip(*taken, strict=True)]
        return Call(join_batches(bound, batch + 1), found, updates, bound[0].batch.loss)

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
        starts = self._cuts.starts
        self._bound = [
            Bound(*self._bind(data, "task"), None if starts is None else starts.of(data))
            for data in self._drawn
        ]
        self._check_drawn()
        targets = [target_of(data) for data in self._drawn]
        loss_steps = np.unique(np.concatenate([target.loss_steps for target in targets]))
        self._n_sequences = targets[0].n_sequences
        self._schedules = schedules(targets[0].n_steps, *self._cuts[:3], loss_steps)
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
        if self._cuts.carry == "stream" and self._n_sequences not in (None, first.n_sequences):
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
