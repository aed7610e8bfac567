"""Networks by Keras' names: `lstm/lstm_cell/kernel`, `layers/lstm/cell/vars/0`, `kernel:0`.

Kernels are (D, G*H) and (H, G*H), gates i f c o and z r h, and a GRU that resets after the product
has a bias (2, 3*H). Names say nothing of activations, of directions, of where a GRU without biases
resets: those are taken as Keras 3 has them by default.
"""

import re
from collections.abc import Mapping, Sequence

from rnnsim.importing.contents import Entry, Layer, Linear, Recurrent, Table
from rnnsim.importing.layouts import CELLS, GATES, Layout, layer, linear, misfit
from rnnsim.importing.names.parts import Group, above, below, grouped, split

ORDERS: dict[str, tuple[int, ...]] = {"vanilla": (), "lstm": (), "gru": (1, 0, 2)}
KINDS = {"lstm": "lstm", "gru": "gru", "simple_rnn": "vanilla"}
RESET_BEFORE = (
    "the GRU resets before the product (reset_after=False), which rnnsim's does not; train it with "
    "reset_after=True"
)
_CELL = re.compile(r"(?:(lstm|gru|simple_rnn)_)?cell(?:_\d+)?$")
_ROLES = ("kernel", "recurrent_kernel", "bias")


def found(
    entries: Mapping[str, Entry],
) -> tuple[dict[str, Recurrent], dict[str, Linear], dict[str, Table]]:
    """Networks, readouts and embeddings, each by the name of its layer."""
    groups = grouped(entries)
    cells = cells_of(groups)
    networks: dict[str, Recurrent] = {}
    for name in dict.fromkeys(both_ways(module) for module in cells if both_ways(module)):
        networks[name] = Recurrent(arrays=below(groups, name), problem=BIDIRECTIONAL)
    modules: dict[str, list[str]] = {}
    for module in cells:
        if not both_ways(module):
            modules.setdefault(owner(module), []).append(module)
    for name, each in modules.items():
        arrays = tuple(array for module in each for array, _ in cells[module].values())
        networks[name] = recurrent([cells[m] for m in ordered(each)], arrays)
    taken = {array for network in networks.values() for array in network.arrays}
    free = {k: g for k, g in groups.items() if not taken & {array for array, _ in g.values()}}
    return networks, _linears(free), _tables(free)


BIDIRECTIONAL = (
    "it is bidirectional, and rnnsim runs forward in time; read a layer that is not, or train "
    "without Bidirectional"
)


def both_ways(module: str) -> str:
    """The name of the bidirectional layer that a cell belongs to, or nothing."""
    parts = split(module)
    for k, part in enumerate(parts):
        if part.startswith("bidirectional"):
            return above(module, len(parts) - k - 1)
        if part.startswith(("forward_", "backward_")) and k:
            return above(module, len(parts) - k)
    return ""


def cells_of(groups: Mapping[str, Group]) -> dict[str, Group]:
    """Arrays of every cell by role, `kernel`, `recurrent_kernel`, `bias` and what else it has."""
    cells = {}
    for name, arrays in groups.items():
        if "recurrent_kernel" in arrays and "kernel" in arrays:
            cells[name] = arrays
        elif split(name)[-1] == "vars" and "0" in arrays and "1" in arrays:
            module = above(name)
            if split(module)[-1].rstrip("_0123456789").endswith("cell"):
                roles = dict(zip("012", _ROLES, strict=True))
                cells[module] = {roles.get(key, key): named for key, named in arrays.items()}
    return cells


def owner(module: str) -> str:
    """The layer of a cell: its name without what Keras calls the cell, or the cells in a stack."""
    parts = split(module)
    depth = 1 if re.search(r"cell(_\d+)?$", parts[-1]) and len(parts) > 1 else 0
    for inner in (("cells", "cell"), ("cells",), ("stacked_rnn_cells",)):
        above_it = parts[: len(parts) - depth]
        if depth and tuple(re.sub(r"_\d+$", "", p) for p in above_it[::-1])[: len(inner)] == inner:
            return above(module, depth + len(inner))
    return above(module, depth)


def ordered(modules: Sequence[str]) -> list[str]:
    """Cells of a stack by the numbers behind their names, or as they come."""
    stems = [re.fullmatch(r"(.*?)(?:_(\d+))?", module) for module in modules]
    if len({stem[1] for stem in stems if stem}) == 1:
        return sorted(modules, key=lambda m: int((re.search(r"_(\d+)$", m) or [0, -1])[1]))
    return list(modules)


def recurrent(cells: Sequence[Group], arrays: tuple[str, ...]) -> Recurrent:
    """One network of the cells of one layer, the lowest first."""
    layers = [cell_layer(cell) for cell in cells]
    problems = [each for each in layers if isinstance(each, str)]
    if problems:
        return Recurrent(arrays=arrays, problem=problems[0])
    return stack([each for each in layers if isinstance(each, Layer)], arrays)


def stack(layers: Sequence[Layer], arrays: tuple[str, ...]) -> Recurrent:
    """A network of these layers, where they are all of one kind and each reads the one below."""
    same = len({(each.cell, each.n_hidden, each.activation) for each in layers}) == 1
    chained = all(each.n_inputs == layers[0].n_hidden for each in layers[1:])
    if same and chained:
        return Recurrent(tuple(layers), arrays)
    sizes = ", ".join(f"{each.cell} of {each.n_hidden}" for each in layers)
    return Recurrent(
        arrays=arrays, problem=f"its stacked cells must be of one cell and size, they are {sizes}"
    )


def cell_layer(arrays: Group, kind: str = "", activation: str | None = None) -> Layer | str:
    """The layer that a cell's arrays make, or why it cannot be read.

    `kind` is the cell's; without it the kernels say it, and the name of the cell.
    """
    strange = [name for key, (name, _) in arrays.items() if key not in _ROLES]
    if strange:
        return f"{strange[0]} belongs to no LSTM, GRU or SimpleRNN of Keras"
    kernels = (arrays["kernel"], arrays["recurrent_kernel"])
    first, second = (entry.shape for _, entry in kernels)
    if not kind:
        match = _CELL.match(split(above(kernels[0][0]).removesuffix("/vars"))[-1])
        gates = second[1] // second[0] if len(second) == 2 and second[0] else 0
        kind = KINDS[match[1]] if match and match[1] else CELLS.get(gates, "")
        if not kind:
            return f"kernels of an LSTM are (D, 4 H) and (H, 4 H), these are {first} and {second}"
    wrong = misfit(kind, first, second)
    biases = [arrays["bias"]] if "bias" in arrays else []
    wrong = wrong or _bias_misfit(kind, second[0], [entry.shape for _, entry in biases])
    return wrong or layer(kind, Layout(True, ORDERS[kind]), kernels, biases, activation=activation)


def _bias_misfit(kind: str, units: int, shapes: Sequence[tuple[int, ...]]) -> str:
    """Why a bias of this shape is not that of the cell; or nothing."""
    rows = GATES[kind] * units
    fitting = (2, rows) if kind == "gru" else (rows,)
    if not shapes or shapes[0] == fitting:
        return ""
    if kind == "gru" and shapes[0] == (rows,):
        return RESET_BEFORE
    if shapes[0] == (2 * rows,):
        return (
            "two biases in a row are those of a CuDNN layer, whose kernels stand in another order; "
            "load it into an LSTM or GRU of Keras and save that"
        )
    return f"the bias of {units} units must be {fitting}, got {shapes[0]}"


def _linears(groups: Mapping[str, Group]) -> dict[str, Linear]:
    """Layers of a matrix and, where there is one, a bias: `kernel` and `bias`, or vars 0 and 1."""
    linears = {}
    for name, arrays in groups.items():
        bare = split(name)[-1] == "vars"
        keys, module = (("0", "1"), above(name)) if bare else (("kernel", "bias"), name)
        # A matrix alone may be an embedding: only the folder of the layer says that it is not.
        named = "dense" in split(module)[-1] or not bare
        if keys[0] in arrays and set(arrays) <= set(keys) and (named or len(arrays) == 2):
            each = dense(arrays[keys[0]], arrays.get(keys[1]))
            if each is not None:
                linears[module] = each
    return linears


def dense(
    kernel: tuple[str, Entry],
    bias: tuple[str, Entry] | None,
    *,
    likely: bool = True,
    problem: str = "",
) -> Linear | None:
    """A Dense layer, if shapes and dtypes are those of one."""
    shape = kernel[1].shape
    fits = len(shape) == 2 and (bias is None or bias[1].shape == shape[1:])
    if not fits or not kernel[1].dtype.startswith(("float", "bfloat")):
        return None
    return linear(kernel, bias, columns=True, likely=likely, problem=problem)


def _tables(groups: Mapping[str, Group]) -> dict[str, Table]:
    tables = {}
    for name, arrays in groups.items():
        bare = split(name)[-1] == "vars"
        key, module = ("0", above(name)) if bare else ("embeddings", name)
        if set(arrays) == {key} and (not bare or "embedding" in split(module)[-1]):
            each = table(arrays[key])
            if each is not None:
                tables[module] = each
    return tables


def table(rows: tuple[str, Entry], *, likely: bool = True) -> Table | None:
    """An Embedding layer, if its array is one."""
    name, entry = rows
    if len(entry.shape) != 2 or not entry.dtype.startswith(("float", "bfloat")):
        return None
    return Table(*entry.shape, (name,), entry.read, likely)
