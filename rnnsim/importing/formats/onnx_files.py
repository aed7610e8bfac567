"""Files of ONNX: their recurrent operators, readouts and embeddings."""

from pathlib import Path
from typing import Any

from rnnsim.importing.contents import Contents, Recurrent
from rnnsim.importing.formats.chains import chained, tops
from rnnsim.importing.formats.damage import RefusedError, sound
from rnnsim.importing.formats.extras import package
from rnnsim.importing.formats.onnx import cells, heads, scan
from rnnsim.importing.formats.onnx.graph import SHAPING, Graph, inside

_UNROLLED = (
    "its graph has no operator RNN, LSTM or GRU; PyTorch's newer exporter takes torch.nn.RNN apart "
    "into single steps: export with dynamo=False, or save model.state_dict()"
)


def contents(path: Path) -> Contents:
    """What an .onnx file holds: operators that read each other directly are one network.

    Raises
    ------
    ValueError
        A damaged file; weights in other files, or sparse ones.
    ImportError
        onnx is not installed.
    """
    onnx = package("onnx", "ONNX files")
    decoding = package("google.protobuf.message", "ONNX files").DecodeError
    with sound("it cannot be read as a file of ONNX"):
        data = path.read_bytes()
        size = len(data)
        scan.check(data)
        try:
            model = onnx.load_model_from_string(data)
        except decoding as error:
            raise RefusedError(f"it is no file of ONNX, or damaged ({error})") from error
        del data
        return _contents(model, size)


def _contents(model: Any, size: int) -> Contents:
    if not model.HasField("graph") or not len(model.graph.node):
        raise RefusedError("it holds no graph")
    if len(model.graph.sparse_initializer):
        raise RefusedError("it holds sparse arrays; export it with dense ones")
    graph = Graph(model.graph, size)
    by_torch = model.producer_name == "pytorch"
    single: dict[str, Recurrent] = {}
    nodes = {}
    for node in graph.nodes:
        if _is_recurrent(node):
            name = str(node.name or next(filter(None, node.output), node.op_type))
            name = name if name not in single else f"{name} {len(single)}"
            single[name], nodes[name] = cells.recurrent(graph, node, by_torch), node
    networks = chained(single, _below(graph, nodes))
    highest = {id(nodes[name]) for name in tops(single, networks)}
    linears, notes = heads.linears(graph, highest)
    networks |= _hidden(model, graph)
    if not networks:
        networks = {model.graph.name or "graph": Recurrent(problem=_UNROLLED)}
    for name, node in nodes.items():
        if single[name].layers:
            notes += cells.notes(graph, name, node, by_torch)
    tables = heads.tables(graph)
    return Contents("ONNX file", graph.entries(), networks, linears, tables, tuple(notes))


def _is_recurrent(node: Any) -> bool:
    return node.op_type in cells.OPERATORS and node.domain in ("", "ai.onnx")


def _below(graph: Graph, nodes: dict[str, Any]) -> dict[str, str]:
    """Of operators that read all states of another, which one that is."""
    names = {id(node): name for name, node in nodes.items()}
    below = {}
    for name, node in nodes.items():
        source = graph.source(node.input[0], SHAPING) if node.input else None
        if source is not None and source[1] == 0 and id(source[0]) in names:
            below[name] = names[id(source[0])]
    return below


def _hidden(model: Any, graph: Graph) -> dict[str, Recurrent]:
    """Operators in loops, branches and functions, which are not read."""
    found = {}
    for node in graph.nodes:
        kinds = [each.op_type for each in inside(node) if _is_recurrent(each)]
        if kinds:
            found[node.name or node.op_type] = Recurrent(
                problem=f"an operator {kinds[0]} stands inside a {node.op_type}; export it outside"
            )
    for function in model.functions:
        kinds = [node.op_type for node in function.node if _is_recurrent(node)]
        if kinds:
            found[function.name] = Recurrent(
                problem=f"an operator {kinds[0]} stands inside a function: write the file anew "
                "with onnx.inliner.inline_local_functions"
            )
    return found
