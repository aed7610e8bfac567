"""Networks by Flax' names, of linen and nnx: `LSTMCell_0.ii.kernel`, `cell.dense_i.kernel`.

Kernels are (inputs, outputs), gates stand apart or in one kernel, in our order, and the GRU resets
after the product. Names say nothing of activations, nor of a SimpleCell that adds its state.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from rnnsim.importing.contents import Entry, Linear, Recurrent, Table
from rnnsim.importing.layouts import CELLS, GATES, Array, Layout, layer, misfit
from rnnsim.importing.names import keras
from rnnsim.importing.names.parts import Group, above, below, grouped, split

_GATES = {"lstm": "ifgo", "gru": "rzn", "vanilla": ("",)}
_MGU = "an MGUCell has one gate for both: rnnsim has LSTM, GRU and plain cells"
_CONVOLUTION = "a ConvLSTMCell convolves, and rnnsim's cells take whole matrices"


def found(
    entries: Mapping[str, Entry],
) -> tuple[dict[str, Recurrent], dict[str, Linear], dict[str, Table]]:
    """Networks, readouts and embeddings, each by the name of its module."""
    groups = grouped(entries)
    modules: dict[str, dict[str, Group]] = {}
    for name, arrays in groups.items():
        if "kernel" in arrays:
            modules.setdefault(above(name), {})[split(name)[-1].rstrip("_")] = arrays
    networks: dict[str, Recurrent] = {}
    for module, parts in modules.items():
        each = _cell(module, parts)
        if each is None:
            continue
        wrapped = split(module)[-1] == "cell" and split(module)[-2:-1] not in ([], ["params"])
        name = above(module) if wrapped else module
        if split(name)[-1] in ("forward_rnn", "backward_rnn"):
            name = above(name)
            each = Recurrent(arrays=below(groups, name), problem=keras.BIDIRECTIONAL)
        networks[name] = each
    taken = {array for network in networks.values() for array in network.arrays}
    free = {k: g for k, g in groups.items() if not taken & {array for array, _ in g.values()}}
    return networks, _linears(free), _tables(free)


def _cell(module: str, parts: Mapping[str, Group]) -> Recurrent | None:
    """The network of a module that holds the parts of a cell, or None."""
    kind = next((k for k, gates in _GATES.items() if _holds(parts, gates)), "")
    if kind:
        return _recurrent(kind, *([parts[f"{side}{g}"] for g in _GATES[kind]] for side in "ih"))
    if "dense_i" in parts and "dense_h" in parts:
        shape = parts["dense_h"]["kernel"][1].shape
        gates = shape[1] // shape[0] if len(shape) == 2 and shape[0] else 0
        return _recurrent(CELLS.get(gates, "lstm"), [parts["dense_i"]], [parts["dense_h"]])
    arrays = tuple(name for part in parts.values() for name, _ in part.values())
    if {"if", "in", "hf", "hn"} <= parts.keys():
        return Recurrent(arrays=arrays, problem=_MGU)
    if {"ih", "hh"} <= parts.keys() and len(parts["hh"]["kernel"][1].shape) > 2:
        return Recurrent(arrays=arrays, problem=_CONVOLUTION)
    return None


def _holds(parts: Mapping[str, Group], gates: Sequence[str]) -> bool:
    return all(f"{side}{gate}" in parts for side in "ih" for gate in gates)


def _recurrent(kind: str, first: Sequence[Group], second: Sequence[Group]) -> Recurrent:
    """One layer of the parts that read the input and of those that read the state."""
    arrays = tuple(name for part in (*first, *second) for name, _ in part.values())
    kernels = [_joined([part["kernel"][1] for part in side], 1) for side in (first, second)]
    shapes = [each.shape for each in kernels]
    wrong = misfit(kind, shapes[0], shapes[1])
    units = shapes[1][0] if shapes[1] else 0
    rows = GATES[kind] * units // len(first)
    for name, entry in (p["bias"] for p in (*first, *second) if "bias" in p):
        if entry.shape != (rows,):
            wrong = wrong or f"{name} must be ({rows},), got {entry.shape}"
    if wrong:
        return Recurrent(arrays=arrays, problem=wrong)
    biases = []
    if any("bias" in part for part in (*first, *second)):
        biases = [("", _bias(side, units * GATES[kind])) for side in (first, second)]
    named = (("", kernels[0]), ("", kernels[1]))
    made = layer(kind, Layout(True), named, biases)._replace(arrays=arrays)
    return Recurrent((made,), arrays)


def _joined(entries: Sequence[Entry], axis: int) -> Entry:
    """Kernels of gates side by side; of no shape where they do not fit."""
    shapes = {entry.shape for entry in entries}
    if len(shapes) > 1 or len(entries[0].shape) != 2:
        shape: tuple[int, ...] = ()
    else:
        shape = (entries[0].shape[0], entries[0].shape[1] * len(entries))
    return Entry(shape, entries[0].dtype, partial(_concatenated, entries, axis))


def _concatenated(entries: Sequence[Entry], axis: int) -> Array:
    return np.concatenate([entry.read() for entry in entries], axis=axis)


def _bias(side: Sequence[Group], rows: int) -> Entry:
    return Entry((rows,), side[0]["kernel"][1].dtype, partial(_read_bias, side, rows))


def _read_bias(side: Sequence[Group], rows: int) -> Array:
    """The bias of all gates of one side, 0 where a gate has none."""
    each = rows // len(side)
    given = [part["bias"][1].read() if "bias" in part else None for part in side]
    dtype = next((b.dtype for b in given if b is not None), np.dtype("float32"))
    return np.concatenate([np.zeros(each, dtype) if b is None else b for b in given])


def _linears(groups: Mapping[str, Group]) -> dict[str, Linear]:
    linears = {}
    for name, arrays in groups.items():
        if "kernel" in arrays and set(arrays) <= {"kernel", "bias"}:
            each = keras.dense(arrays["kernel"], arrays.get("bias"))
            if each is not None:
                linears[name] = each
    return linears


def _tables(groups: Mapping[str, Group]) -> dict[str, Table]:
    tables = {}
    for name, arrays in groups.items():
        each = keras.table(arrays["embedding"]) if set(arrays) == {"embedding"} else None
        if each is not None:
            tables[name] = each
    return tables
