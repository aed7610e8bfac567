"""How a catalogue is written: units, and tables of variables that share axes."""

from typing import Any

from rnnsim.data.datasets import Variable

LN, RATE, STEPS, NONE = "nats", "nats/step", "steps", "1"
SHARE = "departure from normality / ||W_hh||_F"


def table(dims: tuple[str, ...], entries: dict[str, tuple[Any, ...]]) -> dict[str, Variable]:
    """Variables that share their first axes; each has its other axes, unit, name and any dtype."""
    return {
        name: Variable((*dims, *own.split()), *meaning) for name, (own, *meaning) in entries.items()
    }
