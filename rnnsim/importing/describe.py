"""What a file of weights holds, in words: what is understood, and what is not."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import NamedTuple

from rnnsim import checks
from rnnsim.importing.contents import Contents, Recurrent
from rnnsim.importing.recognition import contents
from rnnsim.networks.cells import CELLS


class Part(NamedTuple):
    """A module of a file: what it is in words, its arrays, and why it cannot be read, if so."""

    words: str
    arrays: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Description:
    """What a file of weights holds; `str` and `print` give it as lines of text.

    Attributes
    ----------
    path, format : str
    networks, readouts, embeddings : mapping of str to Part
        By the names that `prefix`, `readout` and `embedding` of `read_network` take. A readout is a
        linear layer, whatever it reads; a matrix without a bias is an embedding as well.
    arrays : mapping of str to tuple
        Shape and dtype of every array.
    unknown : tuple of str
        Names of the arrays that belong to none of these.
    notes : tuple of str
        What else has to be known, in sentences.
    """

    path: str
    format: str
    networks: Mapping[str, Part]
    readouts: Mapping[str, Part]
    embeddings: Mapping[str, Part]
    arrays: Mapping[str, tuple[tuple[int, ...], str]]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return (
            f"Description(path={self.path!r}, format={self.format!r}, "
            f"n_networks={len(self.networks)}, n_readouts={len(self.readouts)}, "
            f"n_embeddings={len(self.embeddings)}, n_arrays={len(self.arrays)})"
        )

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.path}: {self.format}, {len(self.arrays)} arrays"
        for title, parts in (
            ("networks (prefix=)", self.networks),
            ("linear layers (readout=)", self.readouts),
            ("embeddings (embedding=)", self.embeddings),
        ):
            yield f"{title}:{'' if parts else ' none'}"
            for name, part in parts.items():
                yield f"  {name or '(no prefix)'}: {part.words}"
                if part.problem:
                    yield f"    cannot be read: {part.problem}"
                for array in part.arrays:
                    yield f"    {self._array(array)}"
        yield f"not understood:{'' if self.unknown else ' nothing'}"
        yield from (f"  {self._array(name)}" for name in self.unknown)
        yield from self.notes

    def _array(self, name: str) -> str:
        shape, dtype = self.arrays[name]
        return f"{name} {shape} {dtype}"


def describe(path: str | PathLike[str]) -> Description:
    """What a file of weights holds: networks, readouts, embeddings, and what is not understood.

    Parameters
    ----------
    path : path
        A file of any format of `read_network`. Nothing is computed, and no numbers are read.

    Returns
    -------
    Description

    Raises
    ------
    FileNotFoundError, OSError, ImportError, ValueError
        As `read_network` for files that cannot be read at all; networks that are refused are part
        of the description.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/mine.npz", W_xh=np.ones((3, 2)), W_hh=np.eye(3), note=np.ones(5))
    ...     found = describe(f"{folder}/mine.npz")
    >>> found.networks[""].words, found.unknown
    ('a vanilla network, 1 layer, n_inputs=2, n_hidden=3', ('note',))
    """
    file = checks.path("path", path)
    return _described(str(file), contents(file))


def _described(path: str, found: Contents) -> Description:
    networks = {name: _network(each) for name, each in found.networks.items()}
    readouts = {
        name: Part(f"{each.n_inputs} to {each.n_outputs}", each.arrays, each.problem)
        for name, each in found.linears.items()
        if each.likely
    }
    embeddings = {
        name: Part(f"{each.n_ids} rows of {each.n_inputs}", each.arrays)
        for name, each in found.tables.items()
        if each.likely or name not in readouts
    }
    return Description(
        path=path,
        format=found.format,
        networks=networks,
        readouts=readouts,
        embeddings=embeddings,
        arrays={name: (entry.shape, entry.dtype) for name, entry in found.entries.items()},
        unknown=tuple(_left(found, [networks, readouts, embeddings])),
        notes=found.notes,
    )


def _network(network: Recurrent) -> Part:
    if network.problem:
        return Part("a recurrent network", network.arrays, network.problem)
    lowest, L = network.layers[0], len(network.layers)
    activation = f", activation={lowest.activation!r}" if lowest.activation else ""
    words = (
        f"{CELLS[lowest.cell].label}, {L} layer{'s' if L > 1 else ''}, "
        f"n_inputs={lowest.n_inputs}, n_hidden={lowest.n_hidden}{activation}"
    )
    return Part(words, network.arrays)


def _left(found: Contents, parts: Iterable[Mapping[str, Part]]) -> list[str]:
    known = {array for mapping in parts for part in mapping.values() for array in part.arrays}
    return [name for name in found.entries if name not in known]
