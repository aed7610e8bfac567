"""How tables of variables are written: units, entries, variables that share their first axes."""

from collections.abc import Mapping
from typing import Any

from rnnsim.data.datasets import Variable

LN, RATE, STEPS, NONE = "nats", "nats/step", "steps", "1"
SHARE = "departure from normality / ||W_hh||_F"

# Names, and to each its own axes, unit, name in words and, if it is not float, dtype.
Entries = dict[str, tuple[Any, ...]]


def table(dims: tuple[str, ...], entries: Mapping[str, tuple[Any, ...]]) -> dict[str, Variable]:
    """Variables that share their first axes; each has its other axes, unit, name and any dtype."""
    return {
        name: Variable((*dims, *own.split()), *meaning) for name, (own, *meaning) in entries.items()
    }


def some(entries: Entries, names: str) -> Entries:
    """Those of a few names."""
    return {name: entries[name] for name in names.split()}


def states_meant(*, lstm: bool, stacks: bool) -> str:
    """What h stands for in the name of a variable, to be added to it."""
    words = {"of an LSTM its state (h, c)": lstm, "of stacks the states of all layers": stacks}
    found = ", ".join(text for text, true in words.items() if true)
    return f"; h: {found}" * bool(found)
