"""Readouts and embeddings in a graph of ONNX: Gemm, MatMul with Add, Gather."""

from functools import partial
from typing import Any

import numpy as np

from rnnsim.importing.contents import Entry, Linear, Table
from rnnsim.importing.formats.extras import Array
from rnnsim.importing.formats.onnx.cells import OPERATORS
from rnnsim.importing.formats.onnx.graph import SHAPING, Constant, Graph, attributes
from rnnsim.importing.layouts import linear

_PICKING = (*SHAPING, "Slice", "Gather", "Split")
_CURVED = ("Relu", "Tanh", "Elu", "LeakyRelu", "Gelu", "Selu", "HardSigmoid", "Softplus", "Mul")


def linears(graph: Graph, highest: set[int]) -> tuple[dict[str, Linear], list[str]]:
    """Products with a constant matrix by their module or node, and what to say of them.

    A readout is one that reads the states of a highest layer, of the operators with these ids.
    """
    found: dict[str, Linear] = {}
    notes = []
    for node in graph.nodes:
        if node.op_type not in ("Gemm", "MatMul") or len(node.input) < 2:
            continue
        kernel, state = graph.constant(node.input[1]), _state(graph, node.input[0])
        if kernel is None or len(kernel.entry.shape) != 2 or graph.constant(node.input[0]):
            continue
        last, bias = _bias(graph, node)
        likely = state is not None and id(state[0]) in highest and state[1] < 2
        after = {each.op_type for each in graph.readers.get(last.output[0], ())}
        curved = sorted(after.intersection(_CURVED))
        problem = f"{curved[0]} follows it, and rnnsim's readouts are linear" if curved else ""
        name = _module(node, (*kernel.names, *(bias.names if bias else ())))
        made = _linear(node, kernel, bias)
        found[name] = made._replace(likely=likely, problem=made.problem or problem)
        if likely and "Sigmoid" in after:
            notes.append(f"{name} ends in a sigmoid, which is left out: outputs are logits.")
    return found, notes


def _state(graph: Graph, name: str) -> tuple[Any, int] | None:
    """The operator that a readout reads, also as one of the last states of all layers, `h[-1]`."""
    state = graph.source(name, _PICKING)
    if state is None or state[0].op_type != "Concat":
        return state
    picked = graph.source(name)
    index = None
    if picked is not None and picked[0].op_type == "Gather" and len(picked[0].input) > 1:
        index = graph.constant(picked[0].input[1])
    if picked is None or index is None or index.entry.shape not in ((), (1,)):
        return None
    parts, place = list(state[0].input), int(index.entry.read().reshape(()))
    direct = graph.source(picked[0].input[0], ()) == state
    axes = [attributes(each).get("axis", 0) for each in (picked[0], state[0])]
    if not direct or axes != [0, 0] or not -len(parts) <= place < len(parts):
        return None
    return graph.source(parts[place], _PICKING)


def _bias(graph: Graph, node: Any) -> tuple[Any, Constant | None]:
    """The node that a layer ends with, and the constant that it adds."""
    if node.op_type == "Gemm":
        return node, graph.constant(node.input[2]) if len(node.input) > 2 else None
    readers = graph.readers.get(node.output[0], [])
    if len(readers) == 1 and readers[0].op_type == "Add":
        for name in readers[0].input:
            constant = graph.constant(name) if name != node.output[0] else None
            if constant is not None:
                return readers[0], constant
    return node, None


def _linear(node: Any, kernel: Constant, bias: Constant | None) -> Linear:
    said = attributes(node)
    columns = not (node.op_type == "Gemm" and said.get("transB"))
    outputs = kernel.entry.shape[1 if columns else 0]
    alpha, beta = (float(said.get(name, 1.0)) for name in ("alpha", "beta"))
    added = None
    problem = "it multiplies its transposed input (transA)" if said.get("transA") else ""
    if bias is not None:
        count = int(np.prod(bias.entry.shape))
        if count != outputs and count != 1:
            problem = problem or f"its bias is {bias.entry.shape}, for {outputs} outputs"
        added = ("", _scaled(bias.entry, beta, (outputs,)))
    matrix = ("", _scaled(kernel.entry, alpha, kernel.entry.shape))
    names = (*kernel.names, *(bias.names if bias is not None else ()))
    return linear(matrix, added, columns=columns, problem=problem)._replace(arrays=names)


def _scaled(entry: Entry, factor: float, shape: tuple[int, ...]) -> Entry:
    return Entry(shape, entry.dtype, partial(_read_scaled, entry, factor, shape))


def _read_scaled(entry: Entry, factor: float, shape: tuple[int, ...]) -> Array:
    array = entry.read()
    array = array if factor == 1 else array * array.dtype.type(factor)
    return np.full(shape, array.reshape(-1)[0]) if array.size == 1 else array.reshape(shape)


def _module(node: Any, names: tuple[str, ...]) -> str:
    """The module that weights are of by their names, `fc` of fc.bias, or else the node's name."""
    for name in names:
        module, _, last = name.rpartition(".")
        if module and last in ("weight", "bias"):
            return module
    return str(node.name or node.output[0])


def tables(graph: Graph) -> dict[str, Table]:
    """Rows that ids pick out of a constant."""
    found = {}
    reads = [graph.source(node.input[0]) for node in graph.nodes if node.op_type in OPERATORS]
    read = {id(source[0]) for source in reads if source is not None}
    for node in graph.nodes:
        if node.op_type != "Gather" or len(node.input) < 2 or attributes(node).get("axis"):
            continue
        rows = graph.constant(node.input[0])
        fits = rows is not None and len(rows.entry.shape) == 2 and "float" in rows.entry.dtype
        if rows is None or not fits or graph.constant(node.input[1]):
            continue
        n_ids, n_inputs = rows.entry.shape
        name = _module(node, rows.names)
        found[name] = Table(n_ids, n_inputs, rows.names, rows.entry.read, id(node) in read)
    return found
