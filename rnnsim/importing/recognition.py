"""Which format a file has, by its first bytes and not by its name, and what it holds."""

import importlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from rnnsim.importing.contents import Contents, Entry, Linear, Recurrent, Table
from rnnsim.importing.formats import arrays_files, torch_files
from rnnsim.importing.formats.damage import sound
from rnnsim.importing.names import flax, keras, own, torch

_KNOWN = (
    ".pt, .pth and .ckpt (PyTorch), .safetensors, .npz, .keras, .h5 and .weights.h5 (Keras), "
    ".onnx, and msgpack (Flax)"
)
_FOLDERS = {
    "_CHECKPOINT_METADATA": "an Orbax checkpoint; restore it and save "
    "flax.serialization.to_bytes(params) or np.savez(**arrays)",
    "manifest.ocdbt": "an Orbax checkpoint; restore it and save "
    "flax.serialization.to_bytes(params) or np.savez(**arrays)",
    "saved_model.pb": "a TensorFlow SavedModel; save model.save('model.keras')",
}
_TORCH_16 = (
    "save it anew with torch 1.6 or later: torch.save(torch.load(path, weights_only=True), "
    "new_path)"
)


def contents(path: Path) -> Contents:
    """What a file of weights holds, without reading the numbers.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        A folder, an empty file, an unknown format, one that is refused, damage.
    OSError
        The system does not open it.
    """
    source = f"`path` {str(path)!r}"
    if not path.exists():
        raise FileNotFoundError(f"{source} does not exist; name a file of weights")
    if path.is_dir():
        found = [what for name, what in _FOLDERS.items() if (path / name).exists()]
        raise ValueError(f"{source} is a folder{f', {found[0]}' if found else '; name a file'}")
    if not path.is_file():
        raise ValueError(f"{source} is no regular file; name a file of weights")
    try:
        with path.open("rb") as file:
            start = file.read(1024)
    except OSError as error:
        raise type(error)(
            f"{source} cannot be read ({error.strerror}); check its permissions"
        ) from error
    if not start:
        raise ValueError(f"{source} is empty; save the weights again")
    try:
        return _read(path, start)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def named(format: str, entries: Mapping[str, Entry], activation: str | None = None) -> Contents:
    """What arrays make up, by their names alone, whoever gave them."""
    networks: dict[str, Recurrent] = {}
    linears: dict[str, Linear] = {}
    tables: dict[str, Table] = {}
    for convention in (own, torch, keras, flax):
        recurrent, linear, table = convention.found(entries)
        networks |= recurrent
        linears |= linear
        tables |= table
    taken = {array for network in networks.values() for array in network.arrays}
    free = {name: each for name, each in linears.items() if not taken & {*each.arrays}}
    lookups = {name: each for name, each in tables.items() if not taken & {*each.arrays}}
    return Contents(format, entries, networks, free, lookups, activation=activation)


def _read(path: Path, start: bytes) -> Contents:
    """By the first bytes."""
    if start.startswith(b"PK\x03\x04"):
        return _of_archive(path)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        found = _by("keras_files", path)
        return found if found.networks else named("HDF5 file", found.entries)
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size:
        entries, about = arrays_files.safetensors_entries(path)
        return named("safetensors file", entries, about.get("rnnsim.activation"))
    for refused, why in _refused(start):
        if refused:
            raise ValueError(why)
    if start[0] in range(0x80, 0x90) or start[0] in (0xDE, 0xDF):
        return _by("flax_files", path)
    if start[0] == 0x08 or path.suffix.lower() == ".onnx":
        return _by("onnx_files", path)
    raise ValueError(f"its format is not known; known are {_KNOWN}, recognised by what is in them")


def _refused(start: bytes) -> Iterator[tuple[bool, str]]:
    """Formats that are known and not read, with what to do."""
    pickled = start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    yield (
        pickled and start[2:7] == b"\x8a\x0al\xfc\x9c",
        f"it was written by PyTorch before 1.6, or in its old form; {_TORCH_16}",
    )
    yield (
        pickled,
        "it is a pickle, which could run anything; save model.state_dict() with torch.save, or "
        "np.savez(path, **arrays)",
    )
    yield start[257:262] == b"ustar", f"it is a tar archive, as PyTorch wrote long ago; {_TORCH_16}"
    yield (
        start.startswith(b"\x93NUMPY"),
        "it is one array (.npy); a network takes several, as np.savez(path, W_xh=W_xh, ...) saves "
        "them",
    )


def _of_archive(path: Path) -> Contents:
    """The formats that are zip archives."""
    with sound("it is damaged"), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("data.pkl") or "/code/" in name for name in names):
        return named("PyTorch file", torch_files.entries(path))
    if "config.json" in names or any(name.endswith(".weights.h5") for name in names):
        return _by("keras_files", path)
    if names and all(name.endswith(".npy") for name in names):
        return named(".npz file", arrays_files.npz_entries(path))
    raise ValueError(
        f"it is a zip archive, but of none of the known kinds ({_KNOWN}); it holds "
        f"{', '.join(sorted(names)[:5]) or 'nothing'}"
    )


def _by(module: str, path: Path) -> Contents:
    """By a reader that is loaded only where it is needed."""
    reader = importlib.import_module(f"rnnsim.importing.formats.{module}")
    found: Contents = reader.contents(path)
    return found
