"""What a file or mapping holds, before anything is chosen: arrays, and what they make up."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy.typing as npt

Array = npt.NDArray[Any]
_FEW = 3


class Entry(NamedTuple):
    """An array that has not been read: shape, dtype as its file names it, and how to read it."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Array]


class Layer(NamedTuple):
    """One recurrent layer as `RNN` has it.

    `arrays` are the names of what is read; `weights` gives W_xh (G*H, D), W_hh (G*H, H) and b_h
    (G*H,), of GRUs (4*H,), or None; `activation` is None where the file does not say it.
    """

    cell: str
    n_inputs: int
    n_hidden: int
    arrays: tuple[str, ...]
    weights: Callable[[], tuple[Array, Array, Array | None]]
    activation: str | None = None


class Recurrent(NamedTuple):
    """A recurrent network of a file: layers from the lowest, or the reason why it cannot be read.

    `arrays` are all that belong to it, also where there is a `problem`, and then no layers.
    """

    layers: tuple[Layer, ...] = ()
    arrays: tuple[str, ...] = ()
    problem: str = ""


class Linear(NamedTuple):
    """A layer y = W h + b that may be a readout; `weights` gives W_hy (V, H) and b_y (V,) or None.

    `likely` is False where it looks like something else and is taken only if asked for; `problem`
    says why it cannot be a readout.
    """

    n_inputs: int
    n_outputs: int
    arrays: tuple[str, ...]
    weights: Callable[[], tuple[Array, Array | None]]
    likely: bool = True
    problem: str = ""


class Table(NamedTuple):
    """An embedding, a row of D inputs for each class id; `likely` as of `Linear`."""

    n_ids: int
    n_inputs: int
    arrays: tuple[str, ...]
    rows: Callable[[], Array]
    likely: bool = True


class Contents(NamedTuple):
    """All of a file or mapping, by the names of its modules.

    Attributes
    ----------
    format : str
        In words, such as "PyTorch file".
    entries : mapping of str to Entry
        Every array.
    networks, linears, tables : mappings
        What may be a network, a readout, an embedding.
    notes : tuple of str
        What has to be said of it in a warning, in whole sentences.
    activation : str or None
        phi of all its networks, where that is said once.
    """

    format: str
    entries: Mapping[str, Entry]
    networks: Mapping[str, Recurrent]
    linears: Mapping[str, Linear]
    tables: Mapping[str, Table]
    notes: tuple[str, ...] = ()
    activation: str | None = None


def listed(entries: Mapping[str, Entry]) -> str:
    """All names and shapes for messages; of many that differ in their numbers the ends."""
    kinds: dict[str, list[str]] = {}
    for name in entries:
        kinds.setdefault(re.sub(r"\d+", "#", name), []).append(name)
    found = []
    for names in kinds.values():
        if len(names) > _FEW:
            found.append(f"{names[0]} ... {names[-1]} ({len(names)} arrays)")
        else:
            found += [f"{name} {entries[name].shape}" for name in names]
    return ", ".join(found) or "no arrays"
