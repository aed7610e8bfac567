"""Names taken apart, `a/b/kernel:0` and `a.b.kernel` being `kernel` of a, b; and found again."""

import re
from collections.abc import Iterable, Mapping

from rnnsim.importing.contents import Entry

Named = tuple[str, Entry]
Group = dict[str, Named]
TRAINING = {"opt_state", "optimizer", "optimizer_weights"}


def split(name: str) -> list[str]:
    """Parts of a name, without the number of an output that older Keras puts behind."""
    return re.split(r"[./\\]+", re.sub(r":\d+$", "", name))


def grouped(entries: Mapping[str, Entry]) -> dict[str, Group]:
    """Arrays by module: of each its arrays by the last part of their names.

    An optimiser's state is no network: it is left out. Flax may keep a parameter's `value`.
    """
    groups: dict[str, Group] = {}
    for name, entry in entries.items():
        parts = split(name)
        if TRAINING.intersection(parts):
            continue
        depth = 2 if len(parts) > 1 and parts[-1] in ("value", "raw_value") else 1
        groups.setdefault(above(name, depth), {})[parts[-depth]] = (name, entry)
    return groups


def above(name: str, depth: int = 1) -> str:
    """A name without its last parts."""
    for _ in range(depth):
        name = re.sub(r"(^|[./\\]+)[^./\\]*$", "", name)
    return name


def below(groups: Mapping[str, Group], name: str) -> tuple[str, ...]:
    """Names of all arrays of a module and of those inside it."""
    inside = (f"{name}.", f"{name}/", f"{name}\\")
    return tuple(
        array
        for group, arrays in groups.items()
        if group == name or not name or group.startswith(inside)
        for array, _ in arrays.values()
    )


def meant(wanted: str, names: Iterable[str]) -> list[str]:
    """The names that `wanted` may stand for: itself, or else those that end or begin with it.

    Examples
    --------
    >>> names = ["model.encoder.lstm", "model.decoder.lstm"]
    >>> meant("encoder.lstm", names), meant("lstm", names), meant("model.decoder", names)
    (['model.encoder.lstm'], ['model.encoder.lstm', 'model.decoder.lstm'], ['model.decoder.lstm'])
    """
    steps, known = _steps(wanted), {name: _steps(name) for name in names}
    n = len(steps)
    for fits in (
        lambda own: own == steps,
        lambda own: n > 0 and own[-n:] == steps,
        lambda own: n > 0 and own[:n] == steps,
    ):
        if found := [name for name, own in known.items() if fits(own)]:
            return found
    return []


def _steps(name: str) -> list[str]:
    return [part for part in split(name) if part]
