"""One sound call of what diagnoses, for `tests/house/calls.py`."""

from functools import cache

import numpy as np

import rnnsim

_LSTM = rnnsim.RNN.sample(n_inputs=2, n_hidden=3, n_outputs=3, cell="lstm", rng=0)
_DATA = rnnsim.Sequences(np.ones((4, 2, 2)), np.zeros((4, 2), int))
_FIRST = np.zeros((2, 3))


@cache  # not before a test asks for it
def found():
    return rnnsim.diagnose(_LSTM, _DATA)


def diagnosis():
    return {
        "network": _LSTM, "sequences": _DATA, "window": 2, "batch_size": 1, "clip_norm": 1.0,
        "clip_value": 1.0, "max_lag": 2, "h0": _FIRST, "c0": _FIRST,
    }  # fmt: skip


class Found:
    """A diagnosis that is made when it is asked for."""

    def __getattr__(self, name):
        return getattr(found(), name)


class Both:
    """The same beside itself."""

    def __getattr__(self, name):
        return getattr(found().beside(found()), name)


def report():
    return {"path": "report.html", "overwrite": True}


# Of what, kinds of parameters that differ from the usual, and the arguments.
DIAGNOSIS = {
    "diagnose": (
        None,
        {"readout": "name or none", "embedding": "name or none"},
        diagnosis,
    ),
    "Diagnosis.beside": (Found(), {"other": "class"}, lambda: {"other": found()}),
    "Diagnosis.save": (Found(), {"path": "file", "overwrite": "flag"}, report),
    "Comparison.save": (Both(), {"path": "file", "overwrite": "flag"}, report),
}
