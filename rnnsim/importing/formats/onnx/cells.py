"""Recurrent operators of ONNX: W (1, G*H, D), R (1, G*H, H), B (1, 2*G*H) = [Wb, Rb].

Gates stand in the order i o f c and z r h.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from rnnsim.importing.contents import Entry, Recurrent
from rnnsim.importing.formats.extras import Array
from rnnsim.importing.formats.onnx.graph import Constant, Graph, attributes
from rnnsim.importing.layouts import GATES, Layout, layer

OPERATORS = {"RNN": "vanilla", "LSTM": "lstm", "GRU": "gru"}
_ORDERS: dict[str, tuple[int, ...]] = {"vanilla": (), "lstm": (0, 2, 3, 1), "gru": (1, 0, 2)}
_DEFAULTS = {"vanilla": ["tanh"], "lstm": ["sigmoid", "tanh", "tanh"], "gru": ["sigmoid", "tanh"]}
_PLAIN = ("tanh", "relu", "sigmoid")
_STATES = {"vanilla": ("h0",), "gru": ("h0",), "lstm": ("h0", "c0")}


def recurrent(graph: Graph, node: Any, by_torch: bool) -> Recurrent:
    """The network of one operator; `by_torch` where PyTorch wrote the file."""
    cell = OPERATORS[node.op_type]
    weights = [graph.constant(_input(node, k)) for k in (1, 2, 3) if _input(node, k)]
    arrays = tuple(name for each in weights if each is not None for name in each.names)
    problem = _setting(cell, node, by_torch) or _given(node, weights)
    if problem:
        return Recurrent(arrays=arrays, problem=problem)
    known = [each for each in weights if each is not None]
    problem = _misfit(cell, node, [each.entry.shape for each in known])
    if problem:
        return Recurrent(arrays=arrays, problem=problem)
    W, R = (("", _direction(each.entry)) for each in known[:2])
    biases = [("", each) for each in _halves(known[2].entry)] if len(known) > 2 else []
    activation = _activations(cell, node)[0] if cell == "vanilla" else None
    layout = Layout(False, _ORDERS[cell])
    made = layer(cell, layout, (W, R), biases, activation=activation)
    starts = [s for s in _starts(cell, node) if s in graph.tensors and graph.is_zero(s)]
    names = tuple(dict.fromkeys((*arrays, *starts)))  # a state of 0 is a part of what is read
    return Recurrent((made._replace(arrays=names),), names)


def notes(graph: Graph, name: str, node: Any, by_torch: bool) -> Iterator[str]:
    """What has to be said of an operator that is read."""
    cell = OPERATORS[node.op_type]
    if cell == "gru" and by_torch and not attributes(node).get("linear_before_reset"):
        yield (
            f"{name} says linear_before_reset=0 in a file of PyTorch, whose exporter wrote that by "
            "mistake for a while (pytorch#189225): it is read as torch.nn.GRU is, reset after."
        )
    for state, start in zip(_STATES[cell], _starts(cell, node), strict=False):
        if not graph.is_zero(start):
            yield f"{name} does not start from 0: give its state as `{state}`."


def _input(node: Any, k: int) -> str:
    return node.input[k] if k < len(node.input) else ""


def _starts(cell: str, node: Any) -> list[str]:
    return [name for name in node.input[5 : 7 if cell == "lstm" else 6] if name]


def _activations(cell: str, node: Any) -> list[str]:
    said = attributes(node).get("activations") or _DEFAULTS[cell]
    return [s.decode("utf-8", "replace").lower() if isinstance(s, bytes) else s for s in said]


def _setting(cell: str, node: Any, by_torch: bool) -> str:
    """Why an operator of these attributes is none of our cells; or nothing."""
    said = attributes(node)
    direction = said.get("direction") or "forward"
    activations = _activations(cell, node)
    if direction != "forward":
        words = "is bidirectional" if direction == "bidirectional" else "runs backwards in time"
        return f"it {words} (direction={direction}), and rnnsim runs forward"
    if said.get("layout"):
        return "its arrays are batch first (layout=1); export it with layout=0"
    if "clip" in said:
        return f"it clips what goes into its gates at {said['clip']:g} (clip), and rnnsim does not"
    if said.get("input_forget"):
        return "its input gate is 1 - f (input_forget=1), and rnnsim's is a gate of its own"
    if said.get("activation_alpha") or said.get("activation_beta"):
        return "its activations have parameters (activation_alpha, activation_beta), rnnsim's none"
    if cell == "vanilla" and (len(activations) != 1 or activations[0] not in _PLAIN):
        return f"its activations are {', '.join(activations)}, rnnsim has {', '.join(_PLAIN)}"
    if cell != "vanilla" and activations != _DEFAULTS[cell]:
        return f"its activations are {', '.join(activations)}, not {', '.join(_DEFAULTS[cell])}"
    if cell == "gru" and not said.get("linear_before_reset") and not by_torch:
        return (
            "the GRU resets before the product (linear_before_reset=0), which rnnsim's does not; "
            "if it was trained with reset after, as PyTorch's and Keras 3's, set the attribute to 1"
        )
    return ""


def _given(node: Any, weights: list[Constant | None]) -> str:
    """Why an operator of these inputs cannot be read; or nothing."""
    if _input(node, 7):
        return "its gates look at the memory (peepholes, P), and rnnsim's do not"
    if _input(node, 4):
        return "its sequences are of several lengths (sequence_lens), and rnnsim steps through all"
    if None in weights or not _input(node, 1) or not _input(node, 2):
        return "its weights are computed, not constants of the file; export it with its weights"
    return ""


def _misfit(cell: str, node: Any, shapes: list[tuple[int, ...]]) -> str:
    rows = GATES[cell]
    units = shapes[1][-1] if len(shapes[1]) == 3 else 0
    inputs = shapes[0][-1] if len(shapes[0]) == 3 else 0
    needed = [(1, rows * units, inputs), (1, rows * units, units), (1, 2 * rows * units)]
    said = attributes(node).get("hidden_size", units)
    if not inputs or not units or said != units or shapes != needed[: len(shapes)]:
        sizes = ", ".join(map(str, shapes))
        return f"W, R, B must be (1, {rows} H, D), (1, {rows} H, H), (1, {2 * rows} H), got {sizes}"
    return ""


def _direction(entry: Entry) -> Entry:
    return Entry(entry.shape[1:], entry.dtype, partial(_first, entry))


def _first(entry: Entry) -> Array:
    return entry.read()[0]


def _halves(entry: Entry) -> list[Entry]:
    rows = entry.shape[1] // 2
    return [Entry((rows,), entry.dtype, partial(_half, entry, k, rows)) for k in range(2)]


def _half(entry: Entry, k: int, rows: int) -> Array:
    return entry.read()[0, k * rows : (k + 1) * rows]
