"""Numbers to test: of a small sweep, and by hand at every edge."""

from functools import cache

import numpy as np

from analysis import explore
from analysis.explore.numbers import Kind, Numbers, Setting

TINY = explore.Settings(
    n_hidden=5,
    network_seeds=3,
    batch_size=2,
    gain=(3.0, 0.0, 1.0),
    length=(30, 1, 8),
    forget_bias=(0.0, 3.0),
)
ABOUT = {
    "task": "characters", "scheme": "gaussian", "activation": "tanh", "n_hidden": 5,
    "batch_size": 2, "networks": 3, "versions": {"python": "3"},
}  # fmt: skip
VANILLA, OPEN = Kind("vanilla", None), Kind("lstm", 3.0)
KINDS = (VANILLA, Kind("lstm", 0.0), OPEN, Kind("gru", 0.0), Kind("gru", 3.0))  # of TINY
T = 12
# Powers of ten of a norm at the last lag, of an error at window 4, and the sufficient window.
EDGES = {
    "not known": (np.nan, np.nan, np.nan),
    "dead": (-np.inf, -np.inf, 1.0),
    "keeps": (0.0, -1.0, 9.0),
    "nearly keeps": (-0.019, -1.0022, 9.5),
    "shrinks": (-0.02, -0.42, 10.0),
    "shrinks a little": (-1.999, -0.001, 12.0),
    "shrinks much": (-2.5, -3.3, 2.0),
    "shrinks very much": (-60.5, -2.999, 2.0),
    "grows": (0.02, 0.0, 11.0),
    "grows more": (1.0, 0.146, 12.0),
    "grows to a thousand": (2.9999, 3.2, 12.0),
    "grows much": (12.5, 7.5, 12.0),
    "grows beyond all": (400.0, 350.0, 12.0),
}


def edge(name, gain=1.0, kind=VANILLA):
    """The setting of an edge: straight lines down or up to its numbers."""
    change, error, sufficient = EDGES[name]
    norm = np.linspace(0.0, change, T) if np.isfinite(change) else np.full(T, change)
    norm[0] = 0.0
    errors = np.full(T, error)
    errors[-1] = -np.inf
    rows = (np.round(np.stack([row] * 3), 3) + 0.0 for row in (norm, errors))
    return Setting(kind, gain, T, *rows, sufficient)


def one_step(kind, gain):
    row = np.array([[0.0]] * 3)
    return Setting(kind, gain, 1, row, np.full((3, 1), -np.inf), 1.0)


@cache
def at_edges():
    """Every edge as a gain, beside sequences of one step."""
    gains = tuple(np.arange(len(EDGES)) / 4)
    settings = {}
    for kind in (VANILLA, OPEN):
        for gain, name in zip(gains, EDGES, strict=True):
            settings[kind, gain, 1] = one_step(kind, gain)
            settings[kind, gain, T] = edge(name, gain, kind)
    return Numbers((VANILLA, OPEN), gains, (1, T), 0.025, settings, ABOUT)


@cache
def dataset():
    return explore.compute(TINY)


@cache
def numbers():
    return explore.numbers_of(dataset())


def every_setting(found):
    return [
        found.at(kind, gain, length)
        for kind in found.kinds
        for gain in found.gains
        for length in found.lengths
    ]
