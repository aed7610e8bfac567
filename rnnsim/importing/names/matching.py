"""Names of modules in dotted or slashed form, and which of them somebody means."""

import re
from collections.abc import Iterable

_SEPARATORS = re.compile(r"[./]")


def parts(name: str) -> tuple[str, ...]:
    """The steps of a name: ``encoder.lstm`` and ``encoder/lstm`` have two."""
    return tuple(step for step in _SEPARATORS.split(name) if step)


def meant(wanted: str, names: Iterable[str]) -> list[str]:
    """The names that `wanted` may stand for: itself, or else those that end or begin with it.

    Examples
    --------
    >>> names = ["model.encoder.lstm", "model.decoder.lstm"]
    >>> meant("encoder.lstm", names), meant("lstm", names), meant("model.decoder", names)
    (['model.encoder.lstm'], ['model.encoder.lstm', 'model.decoder.lstm'], ['model.decoder.lstm'])
    """
    steps, known = parts(wanted), {name: parts(name) for name in names}
    n = len(steps)
    for fits in (
        lambda own: own == steps,
        lambda own: n > 0 and own[-n:] == steps,
        lambda own: n > 0 and own[:n] == steps,
    ):
        if found := [name for name, own in known.items() if fits(own)]:
            return found
    return []
