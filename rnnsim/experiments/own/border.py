"""The border of experiments: what is one's own takes its place before anything else is checked."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from rnnsim import checks, tasks
from rnnsim.data.sequences import Sequences
from rnnsim.experiments.own.data import (
    Noise,
    Source,
    source_of,
    usual_sequences,
    usual_steps,
)
from rnnsim.experiments.own.networks import Own, in_place, own_of

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def takes_own(
    *,
    length: str = "length",
    scored: bool = False,
    inputs_only: bool = False,
    batches: bool = False,
) -> Callable[[Callable[_Parameters, _Result]], Callable[_Parameters, _Result]]:
    """An experiment whose `task`, and `weights` where it has them, may be one's own.

    Inside of it `task` is a name or a `Source` (or several), `weights` an `Own` or None, and what
    the caller has left to them is theirs: sizes, cell, depth, seeds, gain 1 and dtype are those of
    the networks; the length and the batch size those of data that were given.

    Parameters
    ----------
    length : str
        The argument that says how many steps are read.
    scored : bool
        Losses are evaluated, which derivatives alone do not allow.
    inputs_only : bool
        Targets do not count.
    batches : bool
        Many batches are drawn, so that one of all sequences is not what is meant unless asked for.
    """

    def bordered(
        function: Callable[_Parameters, _Result],
    ) -> Callable[_Parameters, _Result]:
        signature = inspect.signature(function)
        names = {name: p.default for name, p in signature.parameters.items()}

        @wraps(function)
        def call(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
            given = dict(signature.bind_partial(*args, **kwargs).arguments)
            reader = {name: given.get(name) for name in ("cell", "activation")}
            own = own_of(given["weights"], **reader) if "weights" in given else None
            if own is not None:
                given = in_place(own, given, names)
                if given.get("task") is None and not scored:  # noise cannot be learned
                    given["task"] = _read_by(own, names["task"], inputs_only)
            if (task := given.get("task", names["task"])) is not None:
                given |= _with_data(task, given, names, length, scored, batches)
            return function(**given)  # type: ignore[call-arg]

        return call

    return bordered


def _read_by(own: Own, usual: Any, inputs_only: bool) -> str | Source:
    """The usual task where it fits networks of one's own, else white noise."""
    D, V = own.sizes
    if isinstance(usual, str):
        n_inputs, n_outputs = tasks.sizes(usual)
        if n_inputs == D and (inputs_only or V in (0, n_outputs)):
            return usual
    return Noise(D, V)


def _with_data(
    task: Any, given: Mapping[str, Any], names: Mapping[str, Any], length: str, scored: bool,
    batches: bool,
) -> dict[str, Any]:  # fmt: skip
    """The task as names and sources, and how much of these is read where the caller left it."""
    if isinstance(task, Set | Iterator):
        return {}  # which are refused as labels
    one = isinstance(task, str | Sequences) or callable(task) or hasattr(task, "draw")
    series = None if one else checks.entries("task", task)
    sources = [source_of(each, scored=scored) for each in ([task] if series is None else series)]
    found: dict[str, Any] = {"task": sources[0] if series is None else sources}
    own = [source for source in sources if not isinstance(source, str)]
    if not own:
        return found
    if length in names and given.get(length) is None:
        known = [usual_steps(each, names[length] or 0, batches=batches) for each in own]
        found |= {length: min(known)} if min(known) else {}
        if found.get(length, names[length]) != names[length]:  # both as long as this allows
            parts = [part for part in ("burn_in", "block_steps") if part in names]
            found |= {part: None for part in parts if part not in given}
    if "batch_size" in names and "batch_size" not in given:
        asked = found.get(length, given.get(length, names.get(length)))
        longest = max(asked) if isinstance(asked, list | tuple) and asked else asked
        steps = longest if isinstance(longest, int) and longest > 0 else 1
        usual = names["batch_size"]
        found["batch_size"] = min(
            usual_sequences(each, usual, steps, batches=batches) for each in own
        )
    if "driven" in names and given.get("driven") is None:
        found["driven"] = not isinstance(own[0], Noise)
    return found


def check_seeds(sources: Iterable[str | Source], seeds: tuple[int, ...], batch_size: int) -> None:
    """Refuse several data seeds where a batch is all the data: they would be the same."""
    for source in sources:
        if not isinstance(source, str) and len(seeds) > 1 and batch_size == source.n_sequences:
            raise ValueError(
                f"`data_seeds` must be one where a batch is all of `task`, {source.label}, as "
                f"every seed has the same {batch_size} sequences, got {len(seeds)}; give one seed, "
                "or a smaller `batch_size` to draw from them"
            )


def check_varied(source: str | Source, batch_size: int) -> None:
    """Refuse batches that are all the data where they must differ."""
    held = None if isinstance(source, str) else source.n_sequences
    if held is not None and batch_size >= held:
        raise ValueError(
            f"`batch_size` must be below {held}, the sequences that `task` has, got {batch_size}: "
            "batches that are all of it are one and the same, without variance; give less, or more "
            "sequences"
        )
