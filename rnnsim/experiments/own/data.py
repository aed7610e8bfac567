"""Data of one's own: everything that `task=` takes besides names, as plain objects of one kind."""

import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rnnsim import checks, files
from rnnsim.data.sequences import Sequences
from rnnsim.networks.stack import Network

_KINDS = (
    "a name of rnnsim.tasks, a rnnsim.Sequences, or a function of a module that is called as "
    "task(length, n_sequences, rng) and returns a Sequences"
)


class Given(NamedTuple):
    """A batch that was given: its first steps, all of its sequences or some drawn from them."""

    sequences: Sequences
    identity: str

    @property
    def label(self) -> str:
        """What it is called."""
        return f"data {self.identity[:8]}"

    @property
    def longest(self) -> int:
        """The most steps."""
        return self.sequences.n_steps

    @property
    def usual_length(self) -> int:
        """The steps that are read unless told otherwise."""
        return self.longest

    @property
    def n_sequences(self) -> int:
        """How many sequences there are."""
        return self.sequences.n_sequences

    def sizes(self, batch: Sequences) -> tuple[int, int]:
        """Of all that was given, however much of it is read."""
        return sizes_of(self.sequences)

    def draw(
        self, length: int, n_sequences: int, rng: np.random.Generator, *, dtype: npt.DTypeLike,
        network: Network | None = None, inputs_only: bool = False,
    ) -> Sequences:  # fmt: skip
        """The first `length` steps of `n_sequences` sequences, drawn without replacement."""
        held = self.sequences
        T, B = held.n_steps, held.n_sequences
        if length > T or n_sequences > B:
            name, asked, most = ("n_steps", length, T) if length > T else (
                "n_sequences", n_sequences, B,
            )  # fmt: skip
            raise ValueError(
                f"`{name}` must be at most {most}, as many as `task` has, which is {T} steps of "
                f"{B} sequences, got {asked}; give less, or more data"
            )
        chosen = np.sort(rng.choice(B, n_sequences, replace=False)) if n_sequences < B else None
        part = held if length == T and chosen is None else _part(held, length, chosen, inputs_only)
        return _again(part, dtype, data=f"sha256 {self.identity}")


class Made(NamedTuple):
    """A function of a module that makes batches."""

    function: Callable[[int, int, np.random.Generator], Sequences]
    longest: int | None = None
    n_sequences: int | None = None
    usual_length: int | None = None

    @property
    def label(self) -> str:
        """What it is called."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    @property
    def identity(self) -> str:
        """What its draws depend on."""
        return self.label

    def sizes(self, batch: Sequences) -> tuple[int, int]:
        """Of the batch that was drawn."""
        return sizes_of(batch)

    def draw(
        self, length: int, n_sequences: int, rng: np.random.Generator, *, dtype: npt.DTypeLike,
        network: Network | None = None, inputs_only: bool = False,
    ) -> Sequences:  # fmt: skip
        """What the function makes, checked."""
        made = self.function(length, n_sequences, rng)
        if not isinstance(made, Sequences):
            raise ValueError(
                f"`task` must return a rnnsim.Sequences, {self.label} returned "
                f"{checks.shown(made)} ({type(made).__name__})"
            )
        made = _shared(made)
        if (made.n_steps, made.n_sequences) != (length, n_sequences):
            raise ValueError(
                f"`task` must return as many steps and sequences as it is asked for, "
                f"{self.label}({length}, {n_sequences}, rng) returned {made.n_steps} steps of "
                f"{made.n_sequences} sequences"
            )
        return _again(made, dtype, function=self.label)


class File(NamedTuple):
    """What a file of data holds, by the name of the file."""

    data: Any
    label: str

    @property
    def identity(self) -> str:
        """What its draws depend on."""
        return str(self.data.identity)

    @property
    def longest(self) -> int | None:
        """The most steps."""
        return None if self.data.longest is None else int(self.data.longest)

    @property
    def n_sequences(self) -> int | None:
        """How many sequences there are."""
        return None if self.data.n_sequences is None else int(self.data.n_sequences)

    @property
    def usual_length(self) -> int | None:
        """The steps that are read unless told otherwise."""
        return None

    @property
    def stream(self) -> bool:
        """Whether it is one long sequence, of which windows are cut."""
        return bool(getattr(self.data, "stream", False))

    def sizes(self, batch: Sequences) -> tuple[int, int]:
        """Of all that the file holds."""
        D, V = self.data.sizes()
        return int(D), int(V)

    def draw(
        self, length: int, n_sequences: int, rng: np.random.Generator, *, dtype: npt.DTypeLike,
        network: Network | None = None, inputs_only: bool = False,
    ) -> Sequences:  # fmt: skip
        """A batch of what the file holds."""
        if self.stream and n_sequences > 1 and length == self.longest:
            raise ValueError(
                f"`n_sequences` must be 1 where a window is all {length} steps of {self.label!r}, "
                f"as all windows would be the same, got {n_sequences}; give 1, or fewer steps"
            )
        drawn: Sequences = self.data.draw(length, n_sequences, rng, dtype=dtype, network=network)
        return _shared(drawn)


class Noise(NamedTuple):
    """White noise for a network of one's own: inputs and targets from N(0, 1), loss at all steps.

    Targets of a network without outputs have one column; its loss is another (`draws.batch`).
    """

    n_inputs: int
    n_outputs: int
    label: str = "white noise"
    identity: str = "white noise"
    longest: int | None = None
    n_sequences: int | None = None
    usual_length: int | None = None

    def sizes(self, batch: Sequences) -> tuple[int, int]:
        """Of the network."""
        return self.n_inputs, self.n_outputs

    def draw(
        self, length: int, n_sequences: int, rng: np.random.Generator, *, dtype: npt.DTypeLike,
        network: Network | None = None, inputs_only: bool = False,
    ) -> Sequences:  # fmt: skip
        """A batch of it."""
        columns = self.n_inputs, max(self.n_outputs, 1)
        shape = length, n_sequences
        inputs, targets = (rng.standard_normal((*shape, n)).astype(dtype) for n in columns)
        return Sequences(inputs, targets, provenance={"task": self.label})


# What networks read, as plain data that can be pickled. Each has
#   label       what it is called: on the axis `task`, in configurations and in messages
#   identity    what its draws depend on besides data seed and sizes
#   longest, n_sequences    the most that it has; None where it makes as many as are asked for
#   usual_length    the steps that are read unless told otherwise; None: as many as of named tasks
#   sizes(batch)    (n_inputs, n_outputs) of networks that read it; `batch` is one that it drew
#   draw(length, n_sequences, rng, *, dtype, network, inputs_only)    a batch (T, B) that fits the
#               network, in whose embedding class ids of a file stand
Source: TypeAlias = Given | Made | File | Noise
Task: TypeAlias = Any  # what `source_of` takes; inside of experiments what it returns


def source_of(task: Task, *, scored: bool = False) -> str | Source:
    """A name as it is, and anything else that `task` may be as a `Source`.

    With `scored`, losses are to be evaluated, which derivatives alone do not allow.

    Raises
    ------
    TypeError, ValueError
        What is neither; data with a network axis; functions that cannot be imported by their name.

    Warns
    -----
    UserWarning
        A function: edits of it go unseen.
    """
    if isinstance(task, str | Source):
        return task
    if isinstance(task, Sequences):
        task = _shared(task)
        if scored and task.has_gradients:
            raise ValueError(
                "`task` made by Sequences.from_gradients has no loss to evaluate: only derivatives "
                "are known; give Sequences(inputs, targets) here"
            )
        return Given(task, _checksum(task))
    if all(hasattr(task, name) for name in ("identity", "sizes", "draw", "longest")):
        return File(task, str(getattr(task, "name", f"data {str(task.identity)[:8]}")))
    if callable(task):
        _check_importable(task)
        warnings.warn(
            f"`task` is known by its name alone, {task.__module__}.{task.__qualname__}: edits of "
            "the function, and of what it reads, go unseen; rename it where results must be told "
            "apart",
            UserWarning,
            stacklevel=4,
        )
        return Made(task)
    raise TypeError(f"`task` must be {_KINDS}, got {checks.shown(task)} ({type(task).__name__})")


def sizes_of(batch: Sequences) -> tuple[int, int]:
    """(D, V): V is the largest class id that counts and 1, or the columns of targets.

    Examples
    --------
    >>> sizes_of(Sequences(np.zeros((3, 1, 2)), np.array([[0], [4], [1]])))
    (2, 5)
    """
    if batch.gradients is not None:
        dL_dy = batch.gradients.dL_dy
        return batch.n_inputs, 0 if dL_dy is None else dL_dy.shape[-1]
    if not batch.has_classes:
        return batch.n_inputs, batch.targets.shape[-1]
    counted = batch.targets[batch.weights > 0]
    return batch.n_inputs, int(counted.max(initial=0)) + 1


def usual_steps(source: Source, usual: int, *, batches: bool = False) -> int:
    """How many steps of data are read unless told: all of those given, of others as usual.

    Of one long sequence half at most where many batches must differ.
    """
    if source.usual_length is not None:
        return source.usual_length
    if source.longest is None:
        return usual
    halves = batches and isinstance(source, File) and source.stream
    return min(usual, max(source.longest // (2 if halves else 1), 1))


def usual_sequences(source: Source, usual: int, length: int, *, batches: bool = False) -> int:
    """How many sequences are read unless told: all of those given, of others as usual.

    Of one long sequence as many windows as stand in it side by side, unless there are to be many
    batches of them.
    """
    if source.usual_length is not None and not batches and source.n_sequences is not None:
        return source.n_sequences
    if isinstance(source, File) and source.stream and not batches:
        return max(1, min(usual, (source.longest or 1) // length))
    return usual if source.n_sequences is None else min(usual, source.n_sequences)


def label_of(task: str | Source) -> str:
    """What a task is called."""
    return task if isinstance(task, str) else task.label


def _part(
    held: Sequences, length: int, chosen: npt.NDArray[Any] | None, inputs_only: bool
) -> Sequences:
    """The first steps of some sequences; where inputs alone count, with loss or without."""
    if held.has_gradients:
        raise ValueError(
            "`task` made by Sequences.from_gradients must be read whole, as derivatives of one "
            f"loss are not those of a part of it: {held.n_steps} steps of {held.n_sequences} "
            "sequences; leave out `length` and `batch_size`"
        )
    which = slice(None) if chosen is None else chosen
    inputs, targets, weights = (
        array[:length][:, which] for array in (held.inputs, held.targets, held.weights)
    )
    if not (weights.any() or inputs_only):
        whose = f" of the {weights.shape[1]} sequences drawn" if chosen is not None else ""
        raise ValueError(
            f"`task` has no loss in its first {length} steps{whose}; give a larger `length` or "
            "`batch_size`, or loss weights above 0 there"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return Sequences(inputs, targets, weights, provenance=held.provenance)


def _again(batch: Sequences, dtype: npt.DTypeLike, **origin: str) -> Sequences:
    """The batch in this dtype, with more of where it comes from; it was warned of when it was made.

    That provenance goes with it is what `Sequences` sees to; nothing else changes.
    """
    provenance = {**batch.provenance, **origin}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        batch = batch.astype(dtype)
        if batch.gradients is None:
            return Sequences(batch.inputs, batch.targets, batch.weights, provenance=provenance)
        given = batch.gradients._asdict()
        return Sequences.from_gradients(batch.inputs, **given, provenance=provenance)


def _checksum(batch: Sequences) -> str:
    """sha256 of inputs, targets and weights, or of derivatives in place of targets."""
    arrays: dict[str, Any] = {
        name: getattr(batch, name) for name in ("inputs", "targets", "weights")
    }
    arrays |= {} if batch.gradients is None else batch.gradients._asdict()
    parts: list[Any] = []
    for name, array in arrays.items():
        if array is not None:
            parts += [f"{name} {array.dtype} {array.shape}", array]
    return files.checksum(parts)


def _shared(batch: Sequences) -> Sequences:
    """The batch that all networks read; of one network it is as good as shared."""
    if batch.n_networks is None:
        return batch
    if batch.n_networks > 1 or batch.has_gradients:
        raise ValueError(
            f"`task` must be one batch that all networks read, inputs (T, B, D), got a network "
            f"axis in front, N = {batch.n_networks}; measure each network on its own data by "
            "itself, or with rnnsim.bptt and rnnsim.gradient_flow, which take such data"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return Sequences(
            batch.inputs[0], batch.targets[0], batch.weights[0], provenance=batch.provenance
        )


def _check_importable(function: Any) -> None:
    """Refuse what a job cannot carry: it is sent by module and name."""
    module, name = (getattr(function, key, None) for key in ("__module__", "__qualname__"))
    found: Any = sys.modules.get(str(module))
    for part in str(name).split("."):
        found = getattr(found, part, None)
    if found is not function or not checks.can_be_called(function, 3):
        came = f"{module}.{name}" if name else checks.shown(function)
        what = (
            "takes other arguments"
            if found is function
            else "cannot be imported by that name (a lambda, a local function, a method or an "
            "object)"
        )
        raise ValueError(
            f"`task` must be {_KINDS}, got {came}, which {what}; define it with def at the top "
            "level of a module, as in def my_task(length, n_sequences, rng)"
        )
