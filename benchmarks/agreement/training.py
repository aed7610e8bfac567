"""rnnsim's training beside PyTorch's optimisers and automatic differentiation, update by update.

The same small networks of every cell, of one and two layers, learn from the same batches, with
every rule, every way to clip and every kind of segment; a deviation that rounding does not explain
stops the run.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, product
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np

import rnnsim

from ..peers.workloads import Floats
from .settings import Batch, Layers, Setting, Trainer

N_UPDATES = 100
# Of where each weight array has gone, relative to how far; 2e-14 was the largest measured.
TOLERANCE = 1e-11
# Small enough that training is not chaotic; the first steps of RMSprop are 10 times the rate.
RATES = {"sgd": 0.05, "momentum": 0.01, "adam": 0.005, "rmsprop": 0.001, "adagrad": 0.01}
CELLS = ("vanilla", "lstm", "gru")
DEPTHS = (1, 2)
CLIPS = {
    "not clipped": {},
    "clipped by norm": {"clip_norm": 0.4},
    "clipped by value": {"clip_value": 0.2},
}
SEGMENTS = {"full BPTT": (12, 12), "K = S": (5, 5), "K > S": (6, 4)}  # window and stride, in steps
_N, _H, _B, _T, _D, _V = 2, 6, 3, 12, 2, 3


class Agreement(NamedTuple):
    """One setting by name: the largest deviation, and the part of the updates that were clipped."""

    cell: str
    n_layers: int
    optimizer: str
    segments: str
    clip: str
    n_updates: int
    deviation: float
    clipped: float


def batches() -> Iterator[Batch]:
    """Batches without end, the same in every call."""
    rng = np.random.default_rng(1)
    while True:
        yield _draw(rng)


def _draw(rng: np.random.Generator) -> Batch:
    """Random sequences with a class and a weight of the loss at every step; some carry none."""
    weights = rng.uniform(0.2, 0.8, (_T, _B)) * (rng.random((_T, _B)) < 0.7)
    weights[-1] = 0.5
    return Batch(rng.normal(size=(_T, _B, _D)), rng.integers(0, _V, (_T, _B)), weights)


def compare(peer: Trainer, n_updates: int = N_UPDATES) -> list[Agreement]:
    """All settings, in float64."""
    found = []
    every = product(CELLS, DEPTHS, RATES, SEGMENTS, CLIPS)
    for cell, n_layers, optimizer, segments, clip in every:
        limits, (window, stride) = CLIPS[clip], SEGMENTS[segments]
        limit = limits.get("clip_norm"), limits.get("clip_value")
        setting = Setting(optimizer, RATES[optimizer], *limit, window, stride, cell)
        measured = _compared(_networks(cell, n_layers), peer, setting, n_updates)
        found.append(Agreement(cell, n_layers, optimizer, segments, clip, *measured))
    return found


def _networks(cell: str, n_layers: int) -> rnnsim.Stack:
    rng = np.random.default_rng(0)
    drawn = rnnsim.Stack.sample(
        _N, n_layers=n_layers, n_inputs=_D, n_hidden=_H, n_outputs=_V, cell=cell, gain=0.9, rng=rng
    )
    return rnnsim.Stack([_with_biases(layer, rng) for layer in drawn.layers])


def _with_biases(layer: rnnsim.RNN, rng: np.random.Generator) -> rnnsim.RNN:
    b_h, b_y = (0.3 * rng.normal(size=array.shape) for array in (layer.b_h, layer.b_y))
    return layer.with_weights(layer.weights._replace(b_h=b_h, b_y=b_y))


def _compared(
    rnn: rnnsim.Stack, peer: Trainer, setting: Setting, n_updates: int
) -> tuple[int, float, float]:
    full = setting.window == _T
    ours = rnnsim.train(
        rnn,
        lambda rng: rnnsim.Sequences(*_draw(rng)),
        n_updates=n_updates,
        window=None if full else setting.window,
        stride=None if full else setting.stride,
        optimizer=setting.optimizer,
        learning_rate=setting.rate,
        clip_norm=setting.clip_norm,
        clip_value=setting.clip_value,
        rng=1,
    )
    worst = 0.0
    for n in range(len(rnn)):
        first, mine = _weights(rnn, n), _weights(ours.rnn, n)
        theirs = peer(first, batches(), setting, n_updates)
        for each in zip(chain(*first), chain(*mine), chain(*theirs), strict=True):
            worst = max(worst, _deviation(*each))
    return n_updates, worst, float(ours.record.clipped.values[:, -1].mean())


def _weights(rnn: rnnsim.RNN | rnnsim.Stack, n: int) -> Layers:
    """Those of network n."""
    return [[np.array(array[n]) for array in layer.weights] for layer in rnn.layers]


def _deviation(before: Floats, mine: Floats, other: Floats) -> float:
    """Relative to how far the weights have gone; a readout that is not there stays."""
    if before.size == 0:
        return 0.0
    return float(np.linalg.norm(mine - other) / np.linalg.norm(other - before))


def check(found: Sequence[Agreement]) -> None:
    """Raise ValueError where training deviates, or where a clip never took hold."""
    for case in found:
        name = (
            f"training of {case.cell}, n_layers={case.n_layers}, by {case.optimizer}, "
            f"{case.segments}, {case.clip}"
        )
        if not case.deviation <= TOLERANCE:
            raise ValueError(
                f"{name}: torch's weights deviate from rnnsim's by {case.deviation:.1e} of how far "
                f"they have moved, more than {TOLERANCE:.0e}"
            )
        if case.clip != "not clipped" and not case.clipped > 0.0:
            raise ValueError(f"{name}: no update was clipped, which is no test of it")


def against_torch(n_updates: int = N_UPDATES) -> list[Agreement]:
    """`compare` with torch in a process of its own, then `check`."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(_with_torch, n_updates).result()
    check(found)
    return found


def _with_torch(n_updates: int) -> list[Agreement]:
    from .training_in_torch import train  # installed for benchmarks only

    return compare(train, n_updates)
