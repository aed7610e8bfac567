"""rnnsim's own names of weights: those of the parameters of `RNN`."""

from collections.abc import Mapping

from rnnsim import checks
from rnnsim.importing.contents import Array, Entry, Layer, Linear, Recurrent, Table
from rnnsim.networks.cells import CELLS

_NAMES = ("W_xh", "W_hh", "W_hy", "b_h", "b_y", "cell", "activation", "embedding")
_OF_LAYER = ("W_xh", "W_hh", "b_h", "cell", "activation")


def found(
    entries: Mapping[str, Entry],
) -> tuple[dict[str, Recurrent], dict[str, Linear], dict[str, Table]]:
    """Networks, readouts and embeddings among arrays with the names of parameters of `RNN`.

    An entry `cell` says what W_hh is of, else its shape does; an entry `activation` says phi.
    """
    modules = {
        name.removesuffix("W_hh").rstrip(".")
        for name in entries
        if name == "W_hh" or name.endswith(".W_hh")
    }
    networks: dict[str, Recurrent] = {}
    linears: dict[str, Linear] = {}
    tables: dict[str, Table] = {}
    for module in sorted(modules):
        paths = {own: f"{module}.{own}".lstrip(".") for own in _NAMES}
        own = {key: path for key, path in paths.items() if path in entries}
        arrays = tuple(own[key] for key in _OF_LAYER if key in own)
        try:
            networks[module] = Recurrent((_layer(own, entries),), arrays)
        except ValueError as error:
            networks[module] = Recurrent((), arrays, str(error))
        if "W_hy" in own and len(entries[own["W_hy"]].shape) in (2, 3):
            readout = f"{module}.W_hy".lstrip(".")
            linears[readout] = _linear(own, entries)
        if "embedding" in own and len(entries[own["embedding"]].shape) in (2, 3):
            name = own["embedding"]
            n_ids, D = entries[name].shape[-2:]
            tables[name] = Table(n_ids, D, (name,), entries[name].read)
    return networks, linears, tables


def _layer(own: Mapping[str, str], entries: Mapping[str, Entry]) -> Layer:
    if "W_xh" not in own:
        raise ValueError(f"{own['W_hh']} is there without W_xh; save both")
    hidden, inputs = entries[own["W_hh"]].shape, entries[own["W_xh"]].shape
    for key, shape in (("W_hh", hidden), ("W_xh", inputs)):
        if len(shape) not in (2, 3) or 0 in shape:
            raise ValueError(f"{own[key]} must have 2 axes, or 3 with networks first, got {shape}")
    rows, H = hidden[-2:]
    said = _text(own, entries, "cell", tuple(CELLS))
    cell = said or _by_shape(rows, H)
    if cell is None or rows != len(CELLS[cell].gates) * H:
        raise ValueError(
            f"{own['W_hh']} must be (H, H), (3 H, H) of a GRU or (4 H, H) of an LSTM"
            f"{f', here of {CELLS[said].label}' if said else ''}, got {hidden}"
            f"{': it looks transposed' if _by_shape(H, rows) else ''}; W[i, j] is the weight from "
            "j to i, with gate under gate"
        )
    activation = _text(own, entries, "activation", ("tanh", "sigmoid", "relu", "linear"))
    if inputs[-2] != rows:
        turned = ": it looks transposed" if inputs[-1] == rows else ""
        raise ValueError(
            f"{own['W_xh']} must be ({rows}, n_inputs) to fit {own['W_hh']} {hidden}, got "
            f"{inputs}{turned}; W[i, j] is the weight from j to i"
        )
    entry = len(CELLS[cell].biases) * H
    if "b_h" in own and entries[own["b_h"]].shape[-1:] != (entry,):
        came = entries[own["b_h"]].shape
        hint = ": two biases, as PyTorch has them? add them up" if came[-1:] == (2 * rows,) else ""
        hint = ": of r, z, n of the input, n of the state" if cell == "gru" else hint
        raise ValueError(
            f"{own['b_h']} must be ({entry},) to fit {own['W_hh']} {hidden}, got {came}{hint}"
        )
    names = tuple(own[key] for key in ("W_xh", "W_hh", "b_h") if key in own)
    return Layer(cell, inputs[-1], H, names, lambda: _weights(own, entries), activation)


def _by_shape(rows: int, H: int) -> str | None:
    gates = {len(cell.gates): name for name, cell in CELLS.items()}
    return gates.get(rows // H) if rows % H == 0 else None


def _weights(
    own: Mapping[str, str], entries: Mapping[str, Entry]
) -> tuple[Array, Array, Array | None]:
    read = {key: entries[own[key]].read() for key in ("W_xh", "W_hh", "b_h") if key in own}
    return read["W_xh"], read["W_hh"], read.get("b_h")


def _linear(own: Mapping[str, str], entries: Mapping[str, Entry]) -> Linear:
    names = tuple(own[key] for key in ("W_hy", "b_y") if key in own)
    V, H = entries[names[0]].shape[-2:]
    bias = own.get("b_y")
    return Linear(
        H, V, names, lambda: (entries[names[0]].read(), entries[bias].read() if bias else None)
    )


def _text(
    own: Mapping[str, str], entries: Mapping[str, Entry], key: str, choices: tuple[str, ...]
) -> str | None:
    """An entry of text, where there is one."""
    if key not in own:
        return None
    if entries[own[key]].shape != ():
        raise ValueError(f"{own[key]} must be one text, got shape {entries[own[key]].shape}")
    said = str(entries[own[key]].read())
    if said not in choices:
        raise ValueError(
            f"{own[key]} must be one of {', '.join(map(repr, choices))}, got {checks.shown(said)}; "
            "save it as in np.savez(path, cell='lstm', W_xh=W_xh, ...)"
        )
    return said
