"""What a caller gives for a sweep, checked: labels along its axes as tuples, single choices."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks, tasks
from rnnsim.experiments.own.data import Source, label_of
from rnnsim.experiments.own.networks import OWN, Own
from rnnsim.networks.initialisation import INITIALISATIONS
from rnnsim.networks.rnn import ACTIVATIONS

_NOT_KEPT = ("progress", "max_memory")  # they change no number
_CELLS = ("cell", "forget_bias", "n_layers")  # `Cells.settings` has those that are not as usual
_SERIES = (tuple, list, range, np.ndarray)


def names(name: str, value: str | Sequence[str], choices: Iterable[str]) -> tuple[str, ...]:
    """One or several of a few names."""
    return distinct(name, tuple(checks.one_of(name, each, choices) for each in _all(name, value)))


def whole_numbers(
    name: str, value: Any, least: int = 1, most: float = checks.LARGEST
) -> tuple[int, ...]:
    """One or several integers."""
    wanted = _all(name, value)
    return distinct(
        name, tuple(checks.whole_number(name, each, least=least, most=most) for each in wanted)
    )


def sizes(name: str, value: Any) -> tuple[int, ...]:
    """One or several numbers of units or steps."""
    return whole_numbers(name, value, most=checks.MOST)


def seeds(name: str, value: Any) -> tuple[int, ...]:
    """Seeds as given; a number n stands for 0..n-1."""
    if _series(name, value) is None:
        return tuple(range(checks.size(name, value)))
    return whole_numbers(name, value, least=0)


def real_numbers(name: str, value: npt.ArrayLike | None) -> tuple[float, ...]:
    """One or several finite numbers."""
    return distinct(name, tuple(checks.real_number(name, each) for each in _all(name, value)))


def clip_norm(value: Any) -> Any:
    """Where `train` clips: nowhere for 0 or None."""
    if value is None:
        return None
    limits = checks.real_array("clip_norm", value)
    return np.where(limits == 0, np.inf, limits)


def tasks_of(value: Any) -> tuple[str | Source, ...]:
    """One or several tasks, by name or of one's own, as `takes_own` hands them on."""
    wanted = tuple(
        each if isinstance(each, Source) else checks.one_of("task", each, tasks.TASKS)
        for each in ([value] if isinstance(value, Source) else _all("task", value))
    )
    distinct("task", tuple(map(label_of, wanted)))
    return wanted


def task_of(value: Any) -> str | Source:
    """One task, by name or of one's own, as `takes_own` hands it on."""
    return value if isinstance(value, Source) else checks.one_of("task", value, tasks.TASKS)


def schemes(value: str | Sequence[str], own: Own | None) -> tuple[str, ...]:
    """One or several initialisations; of networks of one's own "own"."""
    return names("scheme", value, INITIALISATIONS if own is None else (OWN,))


def of_draws(own: Own | None = None, **given: str) -> dict[str, Any]:
    """Of scheme, activation and dtype those that are given, one of each."""
    choices = {
        "scheme": INITIALISATIONS if own is None else (OWN,),
        "activation": ACTIVATIONS,
        "dtype": ("float32", "float64"),
    }
    return {name: checks.one_of(name, value, choices[name]) for name, value in given.items()}


def recorded(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call as a configuration keeps them: several values as a list."""
    left_out = (*_NOT_KEPT, *_CELLS)
    kept = {name: value for name, value in arguments.items() if name not in left_out}
    if kept.get("weights", "") is None:
        del kept["weights"]
    kept |= {name: value.label for name, value in kept.items() if isinstance(value, Source | Own)}
    return {
        name: list(value) if isinstance(value, _SERIES) and np.iterable(value) else value
        for name, value in kept.items()
    }


def _series(name: str, value: Any) -> list[Any] | None:
    """The values of a series in its order; None for a single one."""
    return None if isinstance(value, Set | Iterator) else checks.entries(name, value)


def _all(name: str, value: Any) -> list[Any]:
    """The values of a series, or the one that is given."""
    series = _series(name, value)
    return [value] if series is None else series


def distinct(name: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse an empty axis, and labels that occur twice."""
    if not values or len(set(values)) < len(values):
        came = checks.shown(list(values))
        raise ValueError(f"`{name}` must hold at least one value and none twice, got {came}")
    return values
