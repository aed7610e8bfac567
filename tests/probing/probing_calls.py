"""One sound call of every public function that looks at modules, for tests of misuse."""

from functools import cache

import numpy as np
import standin

import rnnsim

MODULE = standin.Module(a=standin.LSTM(2, 3), b=standin.GRU(2, 3))


@cache  # not before a test asks for it
def seen():
    with rnnsim.probe(MODULE) as probe:
        MODULE.modules["a"](standin.Tensor(np.ones((4, 2, 2))))[1][0].arrive(np.ones((1, 2, 3)))
    return probe


class Seen:
    """Methods of what was seen."""

    def __getattr__(self, name):
        return getattr(seen(), name)


class Record:
    """Methods of its first record."""

    def __getattr__(self, name):
        return getattr(seen().records[0], name)


_KINDS = {"module": "name or none", "call": "count or none"}

MONITOR = rnnsim.Monitor(MODULE, every=2)
_ASKED = {"window": 2, "batch_size": 1, "clip_norm": 1.0, "clip_value": 1.0}


class Writer:
    """Takes numbers, as TensorBoard's does."""

    def add_scalar(self, tag, value, step):
        """Nothing is written."""


def _monitor():
    return {"module": MODULE, "every": 2, "to": Writer(), "n_sequences": 1, "window": 2,
            "clip_norm": 1.0, "step": 3}  # fmt: skip


# By name: what it is a method of, kinds of parameters, and the arguments, made anew each time.
PROBING = {
    "probe": (None, {"module": "class"}, lambda: {"module": MODULE}),
    "Probe": (None, {"module": "class"}, lambda: {"module": MODULE}),
    "Probe.record": (Seen(), _KINDS, lambda: {"module": "a", "call": 0}),
    "Monitor": (
        None,
        {"module": "class", "every": "size", "to": "class", "step": "count"},
        _monitor,
    ),
    "Probe.diagnose": (Seen(), _KINDS, lambda: {"module": "a", "call": 0, **_ASKED}),
    "ProbeRecord.diagnose": (Record(), {}, lambda: dict(_ASKED)),
    "Probe.flow": (
        Seen(),
        _KINDS | {"windows": "chosen windows"},
        lambda: {"module": "a", "call": 0, "state_scale": "std"},
    ),
}  # fmt: skip
