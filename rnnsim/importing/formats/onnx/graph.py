"""A graph of ONNX: its constants, folded where exporters took them apart, and who reads what."""

from collections.abc import Iterator, Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from rnnsim.importing.contents import Entry
from rnnsim.importing.formats.damage import RefusedError, sound
from rnnsim.importing.formats.extras import Array, package

SHAPING = ("Identity", "Squeeze", "Unsqueeze", "Transpose", "Reshape", "Dropout", "Cast", "Flatten")
_FLOATS = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}
_BYTES = {1: 4, 10: 2, 11: 8, 16: 2}
_DEEPEST = 100


class Constant(NamedTuple):
    """An array that the file holds: how to read it, and of which initializers it is made."""

    entry: Entry
    names: tuple[str, ...]


class Graph:
    """Nodes of the main graph by what they make and read, and constants."""

    def __init__(self, graph: Any, size: int) -> None:
        self.nodes = list(graph.node)
        self.producer = {name: node for node in self.nodes for name in node.output if name}
        self.readers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(filter(None, node.input)):
                self.readers.setdefault(name, []).append(node)
        self.outputs = {output.name for output in graph.output}
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        for node in self.nodes:
            tensor = attributes(node).get("value") if node.op_type == "Constant" else None
            if tensor is not None and hasattr(tensor, "dims"):
                self.tensors[node.output[0]] = tensor
        for name, tensor in self.tensors.items():
            _check(name, tensor)
        self._left = size  # bytes that copies of constants may take
        self._folded: dict[str, Constant | None] = {}

    def entries(self) -> dict[str, Entry]:
        """Every array of real numbers, but single numbers, by its name."""
        found = {name: t for name, t in self.tensors.items() if t.data_type in _FLOATS and t.dims}
        return {name: _entry(tensor) for name, tensor in found.items()}

    def constant(self, name: str, depth: int = 0) -> Constant | None:
        """The constant of this name, also where it is cut out of others or put together."""
        if name in self.tensors:
            return Constant(_entry(self.tensors[name]), (name,))
        if name not in self._folded:
            self._folded[name] = None  # a circle is no constant
            self._folded[name] = self._fold(name, depth)
        return self._folded[name]

    def _fold(self, name: str, depth: int) -> Constant | None:
        node = self.producer.get(name)
        if node is None or node.op_type not in (*SHAPING[:5], "Concat", "Slice") or depth > 50:
            return None
        parts = [self.constant(each, depth + 1) for each in node.input if each]
        given = [each for each in parts if each is not None]
        if not given or len(given) < len(parts):
            return None
        self._left -= 2 * sum(each.entry.read().nbytes for each in given)
        if self._left < -(1 << 20):
            raise RefusedError("its constants are put together into more than the file holds")
        with sound(f"the constant {name} cannot be made"):
            array = _shaped(node, [each.entry.read() for each in given])
        names = tuple(n for each in given for n in each.names if n in self.entries())
        return Constant(Entry(array.shape, array.dtype.name, lambda: array), names)

    def source(self, name: str, through: Sequence[str] = SHAPING) -> tuple[Any, int] | None:
        """The node, and the number of its output, that a tensor is, but for its shape."""
        for _ in range(len(self.nodes) + 1):
            node = self.producer.get(name)
            if node is None:
                return None
            if node.op_type not in through or not node.input:
                return node, list(node.output).index(name)
            name = node.input[0]
        return None

    def is_zero(self, name: str, depth: int = 0) -> bool:
        """Whether a tensor is known to be 0, as exporters make the states at the start."""
        constant = self.constant(name)
        if constant is not None:
            return not np.any(constant.entry.read())
        node = self.producer.get(name)
        if node is None or depth > 50:
            return False
        if node.op_type == "ConstantOfShape":
            value = attributes(node).get("value")
            return value is None or not np.any(_array(value))
        if node.op_type == "Concat":
            return all(self.is_zero(each, depth + 1) for each in node.input)
        if node.op_type in (*SHAPING, "Expand", "Slice", "Tile", "Gather"):
            return bool(node.input) and self.is_zero(node.input[0], depth + 1)
        return False


def attributes(node: Any) -> dict[str, Any]:
    """Attributes of a node by name, text as str."""
    helper = package("onnx", "ONNX files").helper
    found = {}
    for each in node.attribute:
        try:
            value = helper.get_attribute_value(each)
        except ValueError:  # of no type
            continue
        found[each.name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return found


def inside(node: Any, depth: int = 0) -> Iterator[Any]:
    """Nodes of the graphs inside a node, of loops and branches."""
    if depth > _DEEPEST:
        raise RefusedError(f"its graphs are nested more than {_DEEPEST} deep")
    for attribute in node.attribute:
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            for each in graph.node:
                yield each
                yield from inside(each, depth + 1)


def _check(name: str, tensor: Any) -> None:
    """Refuse numbers that lie elsewhere, and more or fewer of them than the shape says."""
    if tensor.data_location == 1 or len(tensor.external_data):
        raise RefusedError(
            f"{name} is kept in another file (external data), which is not read; write one file: "
            "onnx.save(onnx.load(path), 'one.onnx')"
        )
    if tensor.data_type not in _FLOATS:
        return
    shape = tuple(tensor.dims)
    count = prod(shape) if all(n >= 0 for n in shape) else -1
    held, left = divmod(len(tensor.raw_data), _BYTES[tensor.data_type])
    held = held or len(tensor.float_data) or len(tensor.double_data) or len(tensor.int32_data)
    if count != held or left or tensor.HasField("segment"):
        raise RefusedError(f"{name} says shape {shape}, and the file holds {held} numbers for it")


def _entry(tensor: Any) -> Entry:
    dtype = _FLOATS.get(tensor.data_type, "int64")
    return Entry(tuple(tensor.dims), dtype, partial(_array, tensor))


def _array(tensor: Any) -> Array:
    """The numbers of a tensor, bfloat16 as float32."""
    numpy_helper = package("onnx.numpy_helper", "ONNX files")
    with sound(f"{tensor.name or 'a constant'} cannot be read"):
        array: Array = numpy_helper.to_array(tensor)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _shaped(node: Any, given: Sequence[Array]) -> Array:
    """What an operator that moves numbers only makes of constants."""
    said = attributes(node)
    array = given[0]
    axes: Any = said.get("axes", given[1].tolist() if len(given) > 1 else None)
    if node.op_type == "Squeeze":
        return np.squeeze(array, None if axes is None else tuple(axes))
    if node.op_type == "Unsqueeze":
        return np.expand_dims(array, tuple(axes))
    if node.op_type == "Transpose":
        return np.transpose(array, said.get("perm"))
    if node.op_type == "Reshape":
        sizes = [array.shape[k] if n == 0 else int(n) for k, n in enumerate(given[1].tolist())]
        return array.reshape(sizes)
    if node.op_type == "Concat":
        return np.concatenate(given, axis=said["axis"])
    if node.op_type == "Slice":
        return _sliced(array, said, [part.tolist() for part in given[1:]])
    return array


def _sliced(array: Array, said: dict[str, Any], given: Sequence[list[int]]) -> Array:
    starts, ends = (said["starts"], said["ends"]) if "starts" in said else given[:2]
    axes = said.get("axes") or (given[2] if len(given) > 2 else range(len(starts)))
    steps = given[3] if len(given) > 3 else [1] * len(starts)
    cut = [slice(None)] * array.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cut[axis] = slice(start, end if step > 0 or end >= -array.shape[axis] else None, step)
    return array[tuple(cut)]
