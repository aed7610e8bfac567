"""Keras' files: .keras, .weights.h5 and the older .h5, by their configuration or names alone."""

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rnnsim.importing.contents import Contents, Entry
from rnnsim.importing.formats.damage import RefusedError, sound
from rnnsim.importing.formats.keras import layers, tree
from rnnsim.importing.formats.keras.config import Module, folder_of, modules
from rnnsim.importing.names import keras
from rnnsim.importing.names.parts import split

_WEIGHTS, _CONFIG = "model.weights.h5", "config.json"
_ROOTS = ("layers", "_layer_checkpoint_dependencies")
_SPARE = 1 << 20  # bytes that a small file may unfold to
_VALUE = 100  # bytes of a value of a configuration, about


def contents(path: Path) -> Contents:
    """What a .keras, .weights.h5 or .h5 file holds; an optimiser's arrays are left out.

    Raises
    ------
    ValueError
        A damaged file; links, arrays kept elsewhere, in chunks or of no numbers.
    ImportError
        h5py is not installed.
    """
    with sound("it cannot be read as a Keras file"):
        if zipfile.is_zipfile(path):
            return _archive(path)
        return _hdf5(path, path.stat().st_size)


def _archive(path: Path) -> Contents:
    """Contents of a .keras file: a zip of the weights and their configuration."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        for name in (_WEIGHTS, _CONFIG):
            if name not in sizes:
                held = ", ".join(sorted(sizes)[:8])
                raise RefusedError(f"it is a Keras file without {name}; it holds {held}")
            if sizes[name] > size + _SPARE:
                raise RefusedError(
                    f"{name} unfolds from {size} bytes to {sizes[name]}; Keras stores it as it is"
                )
        weights, text = archive.read(_WEIGHTS), archive.read(_CONFIG)
    with tree.opened(weights) as file:
        entries = tree.entries(weights, file, len(weights))
    return _made("Keras file", entries, _parsed(text, size), "")


def _hdf5(path: Path, size: int) -> Contents:
    with tree.opened(path) as file:
        entries = tree.entries(path, file, size)
        config = tree.texts(path, file, "model_config")
        version = tree.texts(path, file, "keras_version")
    if config:
        model = _model([text.encode() for text in config], size)
        return _made("Keras HDF5 file", entries, model, "model_weights")
    return _by_names("HDF5 file of Keras' weights", entries, _of_old_keras(version))


def _model(texts: Sequence[bytes], size: int) -> Any:
    """The configuration of a model among other texts."""
    for text in texts:
        if text[:1] == b"{" and b'"class_name"' in text:
            found = _parsed(text, size)
            if isinstance(found, dict) and {"class_name", "config"} <= found.keys():
                return found
    raise RefusedError("its configuration, model_config, is damaged")


def _parsed(text: bytes, size: int) -> Any:
    """A configuration, unless it stands for far more objects than the file has bytes."""
    values = sum(text.count(sign) for sign in (b"[", b"{", b","))
    if _VALUE * values > 2 * size + 4 * _SPARE:
        raise RefusedError(f"its configuration has {values} values, in a file of {size} bytes")
    return json.loads(text)


def _of_old_keras(texts: Sequence[str]) -> tuple[str, ...]:
    """Weights alone, of a Keras whose defaults were others; its version is one of the texts."""
    matches = [re.fullmatch(r"(\d+)\.(\d+)\.\S+", text) for text in texts]
    old = [match for match in matches if match and (int(match[1]), int(match[2])) < (2, 3)]
    if not old:
        return ()
    return (
        f"These are weights of Keras {old[0][0]}, whose LSTM and GRU had gates of hard_sigmoid "
        "unless told otherwise, which a file of weights does not say; they are taken as sigmoid.",
    )


def _made(kind: str, entries: Mapping[str, Entry], config: Any, root: str) -> Contents:
    """Contents of a whole model; by names where the configuration lists no layers."""
    places = partial(_groups, root) if root else partial(_folders, list(entries))
    found = modules(config, places)
    if not found:
        return _by_names(kind, entries, ())
    made = layers.found(found, partial(_below, entries))
    return Contents(kind, entries, made.networks, made.linears, made.tables, made.notes)


def _by_names(kind: str, entries: Mapping[str, Entry], notes: tuple[str, ...]) -> Contents:
    networks, linears, tables = keras.found(entries)
    for name, network in networks.items():
        if any(layer.cell == "gru" and len(layer.arrays) == 2 for layer in network.layers):
            notes += (
                f"{_plain(name)} has no biases, which alone would say where a GRU resets: it is "
                "read as Keras 3 has it, after the product.",
            )
    return Contents(
        kind,
        entries,
        {_plain(name): each for name, each in networks.items()},
        {_plain(name): each for name, each in linears.items()},
        {_plain(name): each for name, each in tables.items()},
        notes,
    )


def _plain(name: str) -> str:
    """The name of a layer without the folders that Keras puts around all of them."""
    parts = [part for part in split(name) if part not in (*_ROOTS, "model_weights")]
    twice = len(parts) > 1 and parts[0] == parts[1]
    return "/".join(parts[1:] if twice else parts)


def _below(entries: Mapping[str, Entry], module: Module) -> dict[str, Entry]:
    """Arrays at the place of a layer; a place may end in a part that names below it must have."""
    place, _, part = module.place.partition("\n")
    return {
        name: entry
        for name, entry in entries.items()
        if place and name.startswith(f"{place}/") and (not part or part in split(name)[2:])
    }


def _groups(root: str, place: str, layers: Sequence[tuple[str, str]]) -> list[str]:
    """Older files: a group for each layer of the model, of models inside by parts of names."""
    if not place:
        return [f"{root}/{name}" for _, name in layers]
    top = place.partition("\n")[0]
    return [f"{top}\n{name}" for _, name in layers]


def _folders(names: Sequence[str], place: str, layers: Sequence[tuple[str, str]]) -> list[str]:
    """Folders by class and number, `lstm`, `lstm_1`; an older Keras leaves numbers out."""
    start = f"{place}/" if place else ""
    inside = {name.removeprefix(start) for name in names if name.startswith(start)}
    root = next((r for r in _ROOTS if any(name.startswith(f"{r}/") for name in inside)), "layers")
    there = {name.split("/")[1] for name in inside if name.startswith(f"{root}/")}
    counts: dict[str, int] = {}
    found = []
    for kind, _ in layers:
        stem = folder_of(kind)
        count = counts[stem] = counts.get(stem, -1) + 1
        if root == "layers":
            folder = f"{stem}_{count}" if count else stem
        else:
            numbered = sorted(filter(re.compile(rf"{stem}(_\d+)?$").match, there), key=_number)
            folder = numbered[count] if count < len(numbered) else ""
        found.append(f"{start}{root}/{folder}" if folder in there else "")
    return found


def _number(folder: str) -> int:
    match = re.search(r"_(\d+)$", folder)
    return int(match[1]) if match else -1
