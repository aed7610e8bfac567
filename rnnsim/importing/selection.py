"""What is meant among all that a file holds, and the network made of it."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.importing.contents import Array, Contents, Layer, Linear, Recurrent, Table, listed
from rnnsim.importing.names.parts import meant
from rnnsim.networks.cells import CELLS
from rnnsim.networks.rnn import ACTIVATIONS, RNN
from rnnsim.networks.stack import Stack

_Kind = TypeVar("_Kind")
_SMALL = ("float16", "bfloat16")


class Choice(NamedTuple):
    """What somebody asks for, as the parameters of `read_network`."""

    cell: str | None
    activation: str
    prefix: str | Sequence[str] | None
    layer: int | None
    readout: str | bool | None
    embedding: str | None
    dtype: Any


def checked_choice(choice: Choice) -> Choice:
    """Refuse what no file could answer."""
    if choice.cell is not None:
        checks.one_of("cell", choice.cell, CELLS)
    checks.one_of("activation", choice.activation, ACTIVATIONS)
    prefix = choice.prefix
    if prefix is not None and not isinstance(prefix, str):
        entries = checks.entries("prefix", prefix)
        if not entries:
            raise TypeError(
                f"`prefix` must be the name of a module or several, got {checks.shown(prefix)}"
            )
        prefix = tuple(checks.text(f"prefix[{i}]", each) for i, each in enumerate(entries))
    if choice.layer is not None:
        checks.whole_number("layer", choice.layer, least=0)
    if choice.readout is True:
        raise TypeError("`readout` must be the name of a module, False for none, or None, got True")
    if choice.readout is not None and choice.readout is not False:
        checks.text("readout", choice.readout)
    if choice.embedding is not None:
        checks.text("embedding", choice.embedding)
    kind = None if choice.dtype is None else checks.float_dtype("dtype", choice.dtype)
    return choice._replace(prefix=prefix, dtype=kind)


def network_of(contents: Contents, choice: Choice, source: str) -> RNN | Stack:
    """The network that is meant, with its readout and embedding; what is left over in a warning.

    `source` begins all messages, such as "`path` 'model.pt'".
    """
    name, whole = _recurrent(contents, choice, source)
    chosen, choice = _of_layer(whole, choice, name, source)
    top = chosen.layers[-1]
    readout = _readout(contents, choice, (name, top), source)
    table = _embedding(contents, choice, (name, chosen.layers[0]), source)
    used = [*(a for layer in chosen.layers for a in layer.arrays)]
    used += [*(readout.arrays if readout else ()), *(table.arrays if table else ())]
    layers = [
        _built(layer, choice, contents.activation, source, readout if layer is top else None,
               table if layer is chosen.layers[0] else None)
        for layer in chosen.layers
    ]  # fmt: skip
    layers = _of_one_dtype(layers)
    try:
        network = layers[0] if len(layers) == 1 else Stack(layers)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    _tell(contents, used, name, source)
    return network


def _recurrent(contents: Contents, choice: Choice, source: str) -> tuple[str, Recurrent]:
    """The one network that is meant, of layers that can be read."""
    known = contents.networks
    if not known:
        raise ValueError(
            f"{source} ({contents.format}) holds no recurrent network that can be read; it holds "
            f"{listed(contents.entries)}. Known are weight_ih_l0, weight_hh_l0 (PyTorch), kernel, "
            "recurrent_kernel (Keras), ii, hf, ... (Flax), W_xh, W_hh (rnnsim); rename arrays and "
            "give them to rnnsim.from_state_dict"
        )
    wanted = choice.prefix
    if wanted is not None and not isinstance(wanted, str):
        parts = [_one("prefix", each, known, source, "networks") for each in wanted]
        name = " + ".join(parts)
        pieces = [_sound(part, known[part], source) for part in parts]
        chosen = Recurrent(tuple(layer for piece in pieces for layer in piece.layers))
    else:
        if wanted is None and len(known) > 1:
            sound = [each for each in known if not known[each].problem] or [*known]
            raise ValueError(
                f"{source} holds several networks: {_named(known)}; say which by prefix="
                f"{sound[0]!r}, or several, from the lowest, for a stack"
            )
        name = next(iter(known)) if wanted is None else _one(
            "prefix", wanted, known, source, "networks"
        )  # fmt: skip
        chosen = _sound(name, known[name], source)
    return name, chosen


def _of_layer(
    network: Recurrent, choice: Choice, name: str, source: str
) -> tuple[Recurrent, Choice]:
    """The layer that is asked for, if one is; those below the top have no readout."""
    layers, index = network.layers, choice.layer
    if index is None:
        return network, choice
    if index >= len(layers):
        raise ValueError(
            f"`layer` must be below {len(layers)}, the layers of {_quoted(name)} in {source}, got "
            f"{index}; 0 is the lowest"
        )
    if index < len(layers) - 1:
        if choice.readout:
            raise ValueError(
                f"`readout` reads the top layer of {_quoted(name)} in {source}, layer "
                f"{len(layers) - 1}, got layer={index}; leave one of them out"
            )
        choice = choice._replace(readout=False)
    return network._replace(layers=(layers[index],)), choice


def _sound(name: str, network: Recurrent, source: str) -> Recurrent:
    if network.problem:
        raise ValueError(f"{source}: {_quoted(name)} cannot be read: {network.problem}")
    return network


def _one(parameter: str, wanted: str, known: Mapping[str, Any], source: str, things: str) -> str:
    """The one name that `wanted` stands for."""
    found = meant(wanted, known)
    if len(found) == 1:
        return found[0]
    if not found:
        raise ValueError(
            f"`{parameter}` must name one of the {things} of {source}, "
            f"{_named(known) or 'of which there are none'}, got {wanted!r}"
        )
    raise ValueError(
        f"`{parameter}` must name one of the {things} of {source}, got {wanted!r}, which may be "
        f"{_named(found)}; give more of the name"
    )


def _named(names: Iterable[str], most: int = 12) -> str:
    quoted = [_quoted(name) for name in names]
    more = [f"{len(quoted) - most} others"] if len(quoted) > most else []
    return ", ".join(quoted[:most] + more)


def _quoted(name: str) -> str:
    return repr(name) if name else "'' (the network without a prefix)"


def _readout(
    contents: Contents, choice: Choice, of: tuple[str, Layer], source: str
) -> Linear | None:
    """The linear layer that reads the top layer."""
    name, top = of
    if choice.readout is False:
        return None
    if isinstance(choice.readout, str):
        key = _one("readout", choice.readout, contents.linears, source, "linear layers")
        found = contents.linears[key]
        if found.problem:
            raise ValueError(f"{source}: `readout` {key!r} cannot be read: {found.problem}")
        if found.n_inputs != top.n_hidden:
            raise ValueError(
                f"`readout` must read the {top.n_hidden} units of {_quoted(name)} in {source}, got "
                f"{key!r}, which reads {found.n_inputs}"
            )
        return found
    fitting = {
        key: linear
        for key, linear in contents.linears.items()
        if linear.likely and not linear.problem and linear.n_inputs == top.n_hidden
    }
    if len(fitting) > 1:
        own = {key: linear for key, linear in fitting.items() if _beside(key, name)}
        if len(own) == 1 and next(iter(own)).endswith("W_hy"):  # of rnnsim's names, which are pairs
            return next(iter(own.values()))
        raise ValueError(
            f"{source} holds several linear layers that may be the readout: {_named(fitting)}; say "
            f"which by readout={next(iter(fitting))!r}, or readout=False for none"
        )
    return next(iter(fitting.values()), None)


def _beside(key: str, name: str) -> bool:
    return key.rpartition(".")[0] == name


def _embedding(
    contents: Contents, choice: Choice, of: tuple[str, Layer], source: str
) -> Table | None:
    """The table that turns class ids into inputs of the lowest layer."""
    if choice.embedding is None:
        return None
    name, lowest = of
    key = _one("embedding", choice.embedding, contents.tables, source, "embeddings")
    found = contents.tables[key]
    if found.n_inputs != lowest.n_inputs:
        raise ValueError(
            f"`embedding` must have rows of the {lowest.n_inputs} inputs of {_quoted(name)} in "
            f"{source}, got {key!r} {(found.n_ids, found.n_inputs)}"
        )
    return found


def _built(
    layer: Layer,
    choice: Choice,
    activation: str | None,
    source: str,
    readout: Linear | None,
    table: Table | None,
) -> RNN:
    """One layer as an RNN."""
    if choice.cell not in (None, layer.cell):
        raise ValueError(
            f"`cell` is {choice.cell!r}, and {source} holds {CELLS[layer.cell].label} "
            f"({', '.join(layer.arrays[:2])}); leave cell out"
        )
    said = layer.activation or activation
    phi = choice.activation if said is None else said
    if choice.activation not in ("tanh", phi):
        raise ValueError(
            f"`activation` is {choice.activation!r}, and {source} says {phi!r}; leave it out"
        )
    read_from = f"{', '.join(layer.arrays)}{' and readout' if readout else ''}"
    try:
        W_xh, W_hh, b_h = layer.weights()
        W_hy, b_y = readout.weights() if readout else (None, None)
        arrays = {
            "W_xh": W_xh, "W_hh": W_hh, "W_hy": W_hy, "b_h": b_h, "b_y": b_y,
            "embedding": table.rows() if table else None,
        }  # fmt: skip
        there = {name: each for name, each in arrays.items() if each is not None}
        common = _dtype(there)
        kind = choice.dtype or common
        with np.errstate(over="ignore"):  # what does not fit becomes infinity, which RNN refuses
            converted = {name: np.asarray(each, kind) for name, each in there.items()}
        return RNN(**converted, cell=layer.cell, activation=phi)
    except ValueError as error:
        raise ValueError(f"{source}: {error} (read from {read_from})") from error


def _dtype(arrays: Mapping[str, Array]) -> npt.DTypeLike:
    """float32 where all is of that or smaller floats, else float64; refuse what are no numbers."""
    for name, array in arrays.items():
        if array.dtype.kind not in "iuf" and array.dtype.name not in _SMALL:
            raise ValueError(f"{name} must hold real numbers, got {array.dtype}")
    small = all(array.dtype.name in (*_SMALL, "float32") for array in arrays.values())
    return np.dtype("float32" if small else "float64")


def _of_one_dtype(layers: list[RNN]) -> list[RNN]:
    widest = max((layer.dtype for layer in layers), key=lambda dtype: dtype.itemsize)
    return [layer if layer.dtype == widest else layer.astype(widest) for layer in layers]


def _tell(contents: Contents, used: Sequence[str], name: str, source: str) -> None:
    """What was not used, and what else has to be known, in one warning each."""
    for note in contents.notes:
        warnings.warn(f"{source}: {note}", UserWarning, stacklevel=4)
    left = {key: entry for key, entry in contents.entries.items() if key not in set(used)}
    said = {key: entry for key, entry in left.items() if not entry.shape and entry.dtype == "str"}
    left = {key: entry for key, entry in left.items() if key not in said}
    if not left:
        return
    hints = [
        f"give embedding={key!r} to use it"
        for key, table in contents.tables.items()
        if table.likely and set(table.arrays) <= left.keys()
    ]
    warnings.warn(
        f"{source}: read {_quoted(name)}; not used: {listed(left)}"
        f"{'; ' if hints else ''}{', '.join(hints)}",
        UserWarning,
        stacklevel=4,
    )
