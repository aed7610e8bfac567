"""What the layers of a Keras model are here: networks, readouts, embeddings, or why not."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rnnsim.importing.contents import Entry, Layer, Linear, Recurrent, Table
from rnnsim.importing.formats.chains import chained, tops
from rnnsim.importing.formats.keras.config import Module, kind_of, settings_of
from rnnsim.importing.names import keras
from rnnsim.importing.names.parts import grouped, split

_KINDS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "vanilla"}
_UNREADABLE = {
    "Bidirectional": keras.BIDIRECTIONAL,
    "CuDNNLSTM": "a CuDNN layer keeps its kernels in another order; load it into LSTM, save that",
    "CuDNNGRU": "a CuDNN layer keeps its kernels in another order; load it into GRU, save that",
    **{f"ConvLSTM{n}D": "it convolves, and rnnsim's cells take whole matrices" for n in (1, 2, 3)},
}
_TRANSPARENT = {
    *("InputLayer", "Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise"),
    *("AlphaDropout", "ActivityRegularization", "Identity", "Masking"),
}
_ACTIVATIONS = ("tanh", "sigmoid", "relu", "linear")
Arrays = Callable[[Module], dict[str, Entry]]


class Found(NamedTuple):
    """What there is by name, and notes."""

    networks: dict[str, Recurrent]
    linears: dict[str, Linear]
    tables: dict[str, Table]
    notes: tuple[str, ...]


def found(modules: Sequence[Module], arrays: Arrays) -> Found:
    """Networks, readouts and embeddings of these layers.

    Recurrent layers of one kind and size that read each other directly are one network, by the
    names of its layers, `lstm+lstm_1`. A layer of a class that is not Keras' own is read by names.
    """
    result = Found({}, {}, {}, ())
    known = {module.name: module for module in modules}
    single: dict[str, Recurrent] = {}
    for module in modules:
        if module.kind in _UNREADABLE and module.own:
            names = tuple(arrays(module))
            single[module.name] = Recurrent(arrays=names, problem=_UNREADABLE[module.kind])
        elif (module.kind in _KINDS or module.kind == "RNN") and module.own:
            single[module.name] = _network(module, arrays(module))
        elif not module.own or module.kind == "TimeDistributed":
            _by_names(module, arrays(module), single, result)
    below = {name: _source(known[name], known, _TRANSPARENT) for name in single if name in known}
    whole = {name: each for name, each in below.items() if _is_whole(known.get(each))}
    result.networks.update(chained(single, whole))
    highest = tops(single, result.networks)
    for module in modules:
        if module.kind == "Dense" and module.own:
            reads = _source(module, known, {*_TRANSPARENT, "GetItem"})
            _put(result.linears, module.name, _dense(module, arrays(module), reads in highest))
        elif module.kind == "Embedding" and module.own:
            _put(result.tables, module.name, _table(arrays(module), module.name in below.values()))
    return result._replace(notes=tuple(_notes(modules, known, single)))


def _put(where: dict[str, Any], name: str, each: Any) -> None:
    if each is not None:
        where[name] = each


def _network(module: Module, entries: Mapping[str, Entry]) -> Recurrent:
    """One recurrent layer, with a cell of its own or a stack of cells."""
    names = tuple(entries)
    cells = _cells(module)
    problem = _turned(module.settings) or "".join(filter(None, (_odd(*c) for c in cells[:])))
    if problem:
        return Recurrent(arrays=names, problem=problem)
    held = keras.cells_of(grouped(entries))
    if len(held) != len(cells):
        return Recurrent(
            arrays=names,
            problem=f"the file holds the weights of {len(held)} cells for it, not {len(cells)}",
        )
    order = keras.ordered(list(held))
    said = [str(settings.get("name")) for _, settings in cells]
    if len(cells) > 1 and all(name in _parts(held) for name in said):
        order = [next(m for m in held if name in split(m)) for name in said]
    layers = [
        keras.cell_layer(held[place], kind, _name_of(settings.get("activation", "tanh")))
        for place, (kind, settings) in zip(order, cells, strict=True)
    ]
    problems = [each for each in layers if isinstance(each, str)]
    if problems:
        return Recurrent(arrays=names, problem=problems[0])
    plain = [_of_cell(each) for each in layers if isinstance(each, Layer)]
    return keras.stack(plain, names)


def _parts(modules: Mapping[str, Any]) -> set[str]:
    return {part for module in modules for part in split(module)}


def _of_cell(layer: Layer) -> Layer:
    """Gated cells have no activation to choose."""
    return layer if layer.cell == "vanilla" else layer._replace(activation=None)


def _cells(module: Module) -> list[tuple[str, Mapping[str, Any]]]:
    """Cell and settings of each layer of a recurrent layer; an unknown cell by its class."""
    if module.kind != "RNN":
        return [(_KINDS[module.kind], module.settings)]
    cell = module.settings.get("cell")
    kind, own = kind_of(cell)
    given = settings_of(cell).get("cells") if own and kind == "StackedRNNCells" and cell else [cell]
    found = []
    for each in given if isinstance(given, list) else [None]:
        kind, own = kind_of(each)
        name = _KINDS.get(kind.removesuffix("Cell"), "") if own and kind.endswith("Cell") else ""
        found.append((name or f"?{kind}", settings_of(each) if each else {}))
    return found or [("?", {})]


def _turned(settings: Mapping[str, Any]) -> str:
    if settings.get("go_backwards"):
        return "it runs backwards in time (go_backwards=True), and rnnsim runs forward"
    return ""


def _odd(cell: str, settings: Mapping[str, Any]) -> str:
    """Why a cell of these settings is none of ours; or nothing."""
    if cell.startswith("?"):
        return f"its cell {cell[1:] or 'without a class'} is none of LSTM, GRU and SimpleRNN"
    activation = _name_of(settings.get("activation", "tanh"))
    gate = _name_of(settings.get("recurrent_activation", "sigmoid"))
    if cell == "vanilla":
        if activation not in _ACTIVATIONS:
            return f"its activation {activation!r} is none of {', '.join(_ACTIVATIONS)}"
        return ""
    if activation != "tanh":
        return f"its activation is {activation!r}, and rnnsim's {cell.upper()} has tanh"
    if gate != "sigmoid":
        return f"its recurrent_activation is {gate!r}, and rnnsim's gates have sigmoid"
    if cell == "gru" and settings.get("reset_after") is False:
        return keras.RESET_BEFORE
    return ""


def _name_of(function: Any) -> str:
    """The name of a function in a configuration; None is linear."""
    if isinstance(function, dict):
        inner = function.get("config")
        function = inner if isinstance(inner, str) else function.get("class_name")
    return "linear" if function is None else str(function)


def _source(module: Module, known: Mapping[str, Module], through: set[str]) -> str:
    """The layer that one reads, through those that change nothing when a network is used."""
    name = module.source
    for _ in range(len(known)):
        each = known.get(name)
        if each is None or not each.own or not _changes_nothing(each, through):
            break
        name = each.source
    return name


def _changes_nothing(module: Module, through: set[str]) -> bool:
    if module.kind == "Activation":
        return _name_of(module.settings.get("activation")) == "linear"
    return module.kind in through


def _is_whole(module: Module | None) -> bool:
    """Whether a layer puts out all its states, not the last alone."""
    return module is not None and bool(module.settings.get("return_sequences"))


def _dense(module: Module, entries: Mapping[str, Entry], likely: bool) -> Linear | None:
    groups = [group for group in grouped(entries).values() if {"kernel", "0"} & set(group)]
    if len(groups) != 1:
        return None
    kernel, bias = (groups[0].get(a, groups[0].get(b)) for a, b in (("kernel", "0"), ("bias", "1")))
    activation = _name_of(module.settings.get("activation"))
    problem = ""
    if activation not in ("linear", "softmax", "log_softmax", "sigmoid"):
        problem = f"its activation {activation!r} would be left out: rnnsim's readouts are linear"
    if kernel is None or set(groups[0]) - {"kernel", "bias", "0", "1"}:
        return None
    return keras.dense(kernel, bias, likely=likely, problem=problem)


def _table(entries: Mapping[str, Entry], likely: bool) -> Table | None:
    return keras.table(next(iter(entries.items())), likely=likely) if len(entries) == 1 else None


def _by_names(
    module: Module, entries: Mapping[str, Entry], single: dict[str, Recurrent], result: Found
) -> None:
    """What names alone say of a layer of a class that is not known."""
    networks, linears, tables = keras.found(entries)

    def named(name: str) -> str:
        return f"{module.name}/{name.removeprefix(module.place).strip('/')}".strip("/")

    single.update({named(name): each for name, each in networks.items()})
    for name, head in linears.items():
        result.linears[named(name)] = head._replace(likely=False)
    for name, rows in tables.items():
        result.tables[named(name)] = rows._replace(likely=False)


def _notes(
    modules: Sequence[Module], known: Mapping[str, Module], single: Mapping[str, Recurrent]
) -> list[str]:
    notes = []
    for module in modules:
        if module.kind == "Masking" or module.settings.get("mask_zero"):
            notes.append(
                f"{module.name} masks steps: give them loss weight 0, rnnsim's states do not wait."
            )
        elif module.kind == "Dense" and module.settings.get("activation") == "sigmoid":
            notes.append(f"{module.name} ends in a sigmoid, which is left out: outputs are logits.")
        elif module.name in single and module.wired:
            notes.append(f"{module.name} starts from states of other layers: give them as `h0`.")
    return notes
