"""What a caller gives for a sweep, checked: labels along its axes as tuples, single choices."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.networks.initialisation import SCHEMES
from rnnsim.networks.rnn import ACTIVATIONS

_NOT_KEPT = ("progress", "max_memory")  # they change no number


def names(name: str, value: str | Sequence[str], choices: Iterable[str]) -> tuple[str, ...]:
    """One or several of a few names."""
    values = (value,) if isinstance(value, str) else tuple(value)
    for each in values:
        checks.one_of(name, each, choices)
    return distinct(name, values)


def whole_numbers(name: str, value: Any, least: int = 1) -> tuple[int, ...]:
    """One or several integers."""
    values = value if np.ndim(value) else [value]
    return distinct(name, tuple(checks.whole_number(name, each, least=least) for each in values))


def seeds(name: str, value: Any) -> tuple[int, ...]:
    """Seeds as given; a number n stands for 0..n-1."""
    if np.ndim(value) == 0:
        return tuple(range(checks.whole_number(name, value, least=1)))
    return whole_numbers(name, value, least=0)


def real_numbers(name: str, value: npt.ArrayLike) -> tuple[float, ...]:
    """One or several finite numbers."""
    values = np.atleast_1d(checks.plain_array(name, value))
    return distinct(name, tuple(checks.real_number(name, each) for each in values))


def of_draws(**given: str) -> dict[str, str]:
    """Of scheme, activation and dtype those that are given, one of each."""
    choices = {"scheme": SCHEMES, "activation": ACTIVATIONS, "dtype": ("float32", "float64")}
    return {name: checks.one_of(name, value, choices[name]) for name, value in given.items()}


def recorded(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call as a configuration keeps them: several values as a list."""
    kept = {name: value for name, value in arguments.items() if name not in _NOT_KEPT}
    return {
        name: list(value) if isinstance(value, Iterable) and not isinstance(value, str) else value
        for name, value in kept.items()
    }


def distinct(name: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse an empty axis, and labels that occur twice."""
    if not values or len(set(values)) < len(values):
        raise ValueError(
            f"`{name}` must hold at least one value and none twice, got {list(values)}"
        )
    return values
