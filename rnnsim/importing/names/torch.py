"""PyTorch's names of weights, and Equinox's, which differ from those of cells in their biases."""

import re
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rnnsim.importing import layouts
from rnnsim.importing.contents import Array, Entry, Layer, Linear, Recurrent, Table
from rnnsim.importing.names.parts import split

_RECURRENT = re.compile(
    r"(?P<module>|.*\.)(?P<kind>weight|bias)_(?P<side>ih|hh|hr)"
    r"(?:_l(?P<layer>\d+))?(?P<reverse>_reverse)?(?P<form>_raw|_g|_v|_orig|_mask)?"
)
_PARAMETRIZED = re.compile(
    r"(?P<module>|.*\.)parametrizations\.(?P<of>(?:weight|bias)_(?:ih|hh|hr)(?:_l\d+)?(?:_reverse)?)\..+"
)
_LAYOUT = layouts.Layout(columns=False)
_FORMS = {
    "_raw": "weights under a dropout of their own (weight drop)",
    "_g": "weight normalisation",
    "_v": "weight normalisation",
    "_orig": "pruned or spectrally normalised weights",
    "_mask": "pruned weights",
}
_MERGE = "merge it into plain weights in the framework, and save again"
Group = dict[str, str]  # "weight_hh_l0" -> the name of the array


class _Parts(NamedTuple):
    """The arrays of one layer by what they are; weight_ih and weight_hh are there."""

    w_ih: str
    w_hh: str
    b_ih: str = ""
    b_hh: str = ""
    bias: str = ""  # Equinox
    bias_n: str = ""


def found(
    entries: Mapping[str, Entry],
) -> tuple[dict[str, Recurrent], dict[str, Linear], dict[str, Table]]:
    """Networks, linear layers and embeddings among arrays with PyTorch's names."""
    groups: dict[str, Group] = {}
    for name in entries:
        known = _RECURRENT.fullmatch(name)
        if known or (known := _PARAMETRIZED.fullmatch(name)):
            own = name[len(known["module"]) :]
        if known:
            groups.setdefault(known["module"].rstrip("."), {})[own] = name
    for module, group in groups.items():  # the biases of Equinox have plain names
        if "weight_hh" in group and not any(own.startswith("bias_") for own in group):
            plain = {own: f"{module}.{own}".lstrip(".") for own in ("bias", "bias_n")}
            group |= {own: name for own, name in plain.items() if name in entries}
    networks = {module: _network(group, entries) for module, group in groups.items()}
    taken = {name for network in networks.values() for name in network.arrays}
    linears, tables = _matrices({n: e for n, e in entries.items() if n not in taken})
    return networks, linears, tables


def _network(group: Group, entries: Mapping[str, Entry]) -> Recurrent:
    """The layers of one module, or why they are not read."""
    arrays = tuple(group.values())
    problem = _variant(group) or _incomplete(group)
    if problem:
        return Recurrent((), arrays, problem)
    try:
        layers = tuple(_layer(_of_layer(group, suffix), entries) for suffix in _suffixes(group))
        _check_depth(layers)
    except ValueError as error:
        return Recurrent((), arrays, str(error))
    return Recurrent(layers, arrays)


def _variant(group: Group) -> str:
    """What changes the recurrence, in words."""
    if any("_reverse" in own for own in group):
        return (
            "it is bidirectional (weight_hh_l0_reverse): the gradient runs both ways through time "
            "there; train a network of one direction, or drop the arrays ..._reverse and give "
            "those of the forward direction to rnnsim.from_state_dict"
        )
    if any("_hr" in own for own in group):
        return (
            "it has projections (weight_hr_l0, proj_size > 0), which change the recurrence; train "
            "it with proj_size=0"
        )
    if any(own.startswith("parametrizations.") for own in group):
        return f"its weights are parametrized (parametrizations.weight_...): {_MERGE}"
    for form, words in _FORMS.items():
        if any(own.endswith(form) for own in group):
            return f"it has {words} (arrays ending in {form}): {_MERGE}"
    return ""


def _suffixes(group: Group) -> list[str]:
    """_l0, _l1, ... in order, or nothing after the names of cells."""
    numbers = {int(own.rpartition("_l")[2]) for own in group if "_l" in own}
    return [f"_l{number}" for number in sorted(numbers)] or [""]


def _incomplete(group: Group) -> str:
    suffixes = _suffixes(group)
    wanted = [""] if suffixes == [""] else [f"_l{n}" for n in range(len(suffixes))]
    plain = any("_l" not in own for own in group)
    if suffixes != [""] and plain:
        return "names of a cell (weight_hh) and of layers (weight_hh_l0) stand side by side"
    needed = [f"weight_{side}{suffix}" for suffix in wanted for side in ("ih", "hh")]
    missing = [name for name in needed if name not in group]
    biases = {own for own in group if own.startswith("bias_") and own != "bias_n"}
    if biases:
        needed = [f"bias_{side}{suffix}" for suffix in wanted for side in ("ih", "hh")]
        missing += [name for name in needed if name not in biases]
    if missing:
        return f"it lacks {', '.join(missing)}: a part of a network; save the whole state dict"
    return ""


def _of_layer(group: Group, suffix: str) -> _Parts:
    keys = [f"{key}{suffix}" for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    return _Parts._make(group.get(key, "") for key in (*keys, "bias", "bias_n"))


def _layer(names: _Parts, entries: Mapping[str, Entry]) -> Layer:
    """One layer whose shapes fit."""
    used = {key: entries[name] for key, name in names._asdict().items() if name}
    shapes = {key: entry.shape for key, entry in used.items()}
    rows, H = shapes["w_hh"] if len(shapes["w_hh"]) == 2 else (0, 0)
    cell = layouts.CELLS.get(rows // H if H and rows % H == 0 else 0)
    if cell is None:
        raise ValueError(
            f"{names.w_hh} must be (H, H), (3 H, H) of a GRU or (4 H, H) of an LSTM, got "
            f"{shapes['w_hh']}"
        )
    if len(shapes["w_ih"]) != 2 or shapes["w_ih"][0] != rows or not shapes["w_ih"][1]:
        raise ValueError(
            f"{names.w_ih} must be ({rows}, n_inputs) to fit {names.w_hh} {shapes['w_hh']}, got "
            f"{shapes['w_ih']}"
        )
    for key, size in (("b_ih", rows), ("b_hh", rows), ("bias", rows), ("bias_n", H)):
        if key in shapes and shapes[key] != (size,):
            raise ValueError(
                f"{getattr(names, key)} must be ({size},) to fit {names.w_hh} {shapes['w_hh']}, "
                f"got {shapes[key]}"
            )
    if cell == "gru" and bool(names.bias) != bool(names.bias_n):
        raise ValueError(f"of bias and bias_n of a GRU one is missing beside {names.w_hh}")
    named = {key: (name, entries[name]) for key, name in names._asdict().items() if name}
    kernels = named["w_ih"], named["w_hh"]
    biases = [named[key] for key in ("b_ih", "b_hh", "bias") if key in named]
    read = layouts.layer(cell, _LAYOUT, kernels, biases)
    if names.bias_n:  # of the state alone: r and z have one bias, n two
        weights = partial(_with_state_bias, read, named["bias_n"][1])
        return read._replace(arrays=(*read.arrays, names.bias_n), weights=weights)
    return read


def _with_state_bias(layer: Layer, bias_n: Entry) -> tuple[Array, Array, Array | None]:
    """Weights of a GRU of Equinox, whose b_h ends with the bias of n of the state."""
    W_xh, W_hh, b_h = layer.weights()
    assert b_h is not None  # as there is bias_n
    return W_xh, W_hh, np.concatenate([b_h[: len(W_hh)], bias_n.read()])


def _check_depth(layers: tuple[Layer, ...]) -> None:
    """Refuse layers that are not one above the other."""
    for index, (below, above) in enumerate(pairwise(layers), start=1):
        if above.n_inputs != below.n_hidden or above.n_hidden != below.n_hidden:
            raise ValueError(
                f"layer {index} reads {above.n_inputs} numbers and has {above.n_hidden} units, "
                f"layer {index - 1} has {below.n_hidden}: all must have one size"
            )
        if above.cell != below.cell:
            raise ValueError(
                f"layer {index - 1} is of cell {below.cell!r}, layer {index} {above.cell!r}"
            )


def _matrices(entries: Mapping[str, Entry]) -> tuple[dict[str, Linear], dict[str, Table]]:
    """Matrices that are left: with a bias a linear layer, without one an embedding as well."""
    linears: dict[str, Linear] = {}
    tables: dict[str, Table] = {}
    for name, entry in entries.items():
        if not re.fullmatch(r"(.*\.)?weight", name) or len(entry.shape) != 2 or 0 in entry.shape:
            continue
        module = name.removesuffix("weight").rstrip(".")
        bias = f"{module}.bias".lstrip(".")
        has_bias = bias in entries and entries[bias].shape == entry.shape[:1]
        last = split(module)[-1].lower()
        looks_up = not has_bias and re.search("emb|token|wte|lookup", last) is not None
        row = (bias, entries[bias]) if has_bias else None
        linears[module] = layouts.linear((name, entry), row, columns=False, likely=not looks_up)
        if not has_bias:
            n_ids, D = entry.shape
            tables[module] = Table(n_ids, D, (name,), entry.read, looks_up)
    return linears, tables
