"""One sound call of every public function that reads and writes networks, for tests of misuse."""

import numpy as np

import rnnsim

_NET = rnnsim.RNN.sample(n_inputs=2, n_hidden=3, n_outputs=2, cell="lstm", rng=0)
_EMBEDDED = rnnsim.RNN(*_NET.weights, cell="lstm", embedding=np.ones((4, 2)))
_ARRAYS = {f"rnn.{name}": array[0] for name, array in _NET.weights._asdict().items()}
_KINDS = {
    "cell": "name or none", "prefix": "name or none", "layer": "count or none", "path": "file",
    "readout": "name or none", "embedding": "name or none", "mapping": "class",
}  # fmt: skip


def _data():
    """The path of a file of data, where the test is."""
    rng = np.random.default_rng(0)
    np.savez("data.npz", inputs=rng.normal(size=(5, 3, 2)), targets=np.zeros((5, 3), int))
    return "data.npz"


def _written():
    """The path of a file, where the test is."""
    rnnsim.write_network("net", _NET, prefix="rnn.")
    return "net"


# By name: what it is a method of, kinds of parameters, and the arguments, made anew each time.
READING = {
    "read_network": (None, _KINDS, lambda: {"path": _written()}),
    "describe": (None, _KINDS, lambda: {"path": _written()}),
    "from_state_dict": (None, _KINDS, lambda: {"mapping": _ARRAYS}),
    "read_sequences": (
        None,
        {"path": "file", "layout": "name or none", "network": "networks"}
        | {"length": "size or none", "batch_size": "size or none"},
        lambda: {"path": _data(), "network": _NET},
    ),
    "write_network": (
        None,
        {"rnn": "networks", "prefix": "text"},
        lambda: {"path": "written", "rnn": _NET},
    ),
    "RNN.embed": (_EMBEDDED, {"ids": "ids"}, lambda: {"ids": [[0, 1]]}),
    "Stack.embed": (rnnsim.Stack([_EMBEDDED]), {"ids": "ids"}, lambda: {"ids": [[0, 1]]}),
}
