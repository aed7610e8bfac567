"""PyTorch's files: a zip archive of storages, and a pickle that says which arrays they make up.

The pickle is not unpickled: its instructions are read one by one (`pickletools.genops`), and those
that make dictionaries, lists, numbers, text and tensors are followed. Whatever else it asks for is
named and refused. So nothing in a file can run, whether torch is installed or not.
"""

import pickletools
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.importing.contents import Entry
from rnnsim.importing.formats.damage import RefusedError, sound
from rnnsim.importing.formats.extras import from_bfloat16

_STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
}  # fmt: skip
_MADE = ("collections.OrderedDict", "torch.Size")
_TENSOR = "torch._utils._rebuild_tensor_v2"
_PARAMETER = "torch._utils._rebuild_parameter"
_ALLOWED = {*_MADE, _TENSOR, _PARAMETER, *(f"torch.{name}" for name in _STORAGES)}
_MOST = 100_000  # entries of a file, and instructions a hundred times as many
_DEPTH = 40
_SAVE = "save model.state_dict() with torch.save"
_DIALECT = "torch.save(torch.load(path, weights_only=True), new_path) with torch 1.6 or later"


class _Global(NamedTuple):
    """A name that the pickle refers to; never looked up."""

    name: str


class _Storage(NamedTuple):
    dtype: str
    key: str
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    """Where a list of arguments begins on the stack."""


def entries(path: Path) -> dict[str, Entry]:
    """The arrays of a file that torch.save wrote, by their names, nested ones with dots between.

    Raises
    ------
    ValueError
        A file of another kind, damaged, or with anything but arrays and plain values in it.
    """
    with sound("it is damaged"), zipfile.ZipFile(path) as archive:
        stem = _check_archive(archive, path.stat().st_size)
        files = {info.filename: info.file_size for info in archive.infolist()}
        order = archive.read(f"{stem}/byteorder") if f"{stem}/byteorder" in files else b"little"
        data = archive.read(f"{stem}/data.pkl")
    if order not in (b"little", b"big"):
        raise RefusedError(f"it is damaged (byte order {checks.shown(order)})")
    with sound("its data.pkl is damaged"):
        tensors = dict(_leaves(_followed(data)))
    folder = f"{stem}/data/"
    flat = lru_cache(maxsize=1)(partial(_flat, path, order.decode()))  # many may share a storage
    found: dict[str, Entry] = {}
    for name, tensor in tensors.items():
        member = folder + tensor.storage.key
        _check_tensor(name, tensor, files.get(member, 0))
        read = partial(_view, flat, member, tensor)
        found[name] = Entry(tensor.shape, tensor.storage.dtype, read)
    return found


def _check_archive(archive: zipfile.ZipFile, size: int) -> str:
    """The folder in the archive that holds all, of files that torch.save wrote."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    stems = [name.removesuffix("/data.pkl") for name in names if name.endswith("/data.pkl")]
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        raise RefusedError(
            f"it is TorchScript, a program with weights in it; {_SAVE}, as in "
            "torch.save(torch.jit.load(path).state_dict(), new_path)"
        )
    if len(stems) != 1:
        raise RefusedError("it is a zip archive, but none that torch.save writes (no data.pkl)")
    if len(names) != len(set(names)) or len(names) > _MOST:
        raise RefusedError("it is damaged (entries of one name, or too many)")
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise RefusedError(f"{info.filename!r} in it is compressed or encrypted; {_DIALECT}")
    if sum(info.file_size for info in infos) > size:
        raise RefusedError("its entries overlap: they are larger together than the file")
    return stems[0]


def _followed(data: bytes) -> Any:
    """What the instructions of a pickle make, without running it."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for count, (code, argument, _) in enumerate(pickletools.genops(data)):
        if count > 100 * _MOST:
            break
        if code.name == "STOP":
            return stack.pop()
        _follow(code.name, argument, stack, memo)
    raise RefusedError("it has no end, or one too far away")


def _follow(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    """One instruction."""
    if name in ("PROTO", "FRAME"):
        return
    if name in _VALUES:
        stack.append(_VALUES[name](argument))
    elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
        memo[int(argument)] = stack[-1]
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in ("BINGET", "LONG_BINGET", "GET"):
        stack.append(memo[int(argument)])
    elif name == "GLOBAL":
        stack.append(_named(*argument.split(" ")))
    elif name == "STACK_GLOBAL":
        attribute, module = stack.pop(), stack.pop()
        stack.append(_named(module, attribute))
    elif name == "BINPERSID":
        stack.append(_storage(stack.pop()))
    elif name in ("REDUCE", "NEWOBJ"):
        arguments, made = stack.pop(), stack.pop()
        stack.append(_made(made, arguments))
    elif name == "BUILD":  # attributes of an OrderedDict, such as the versions of modules
        stack.pop()
        if not isinstance(stack[-1], dict):
            raise RefusedError("it sets attributes of something that is no dictionary")
    elif name in _COLLECTING:
        _COLLECTING[name](stack)
    else:
        raise RefusedError(
            f"its data.pkl has an instruction {name}, which no state dict needs; {_SAVE}"
        )


_VALUES: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(
        "BININT BININT1 BININT2 INT LONG LONG1 LONG4 BINFLOAT FLOAT BINUNICODE SHORT_BINUNICODE "
        "BINUNICODE8 UNICODE BINBYTES SHORT_BINBYTES BINBYTES8".split(),
        lambda argument: argument,
    ),
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_DICT": lambda _: {},
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
    "MARK": lambda _: _Mark,
}


def _since_mark(stack: list[Any]) -> list[Any]:
    found: list[Any] = []
    while (top := stack.pop()) is not _Mark:
        found.append(top)
    return found[::-1]


def _set_items(stack: list[Any]) -> None:
    flat = _since_mark(stack)
    if not isinstance(stack[-1], dict):
        raise TypeError
    stack[-1].update(zip(flat[::2], flat[1::2], strict=True))


def _set_item(stack: list[Any]) -> None:
    value, key = stack.pop(), stack.pop()
    if not isinstance(stack[-1], dict):
        raise TypeError
    stack[-1][key] = value


def _append(stack: list[Any], values: list[Any]) -> None:
    if not isinstance(stack[-1], list):
        raise TypeError
    stack[-1].extend(values)


def _last(stack: list[Any], number: int) -> None:
    values = tuple(stack.pop() for _ in range(number))[::-1]
    stack.append(values)


def _dictionary(stack: list[Any]) -> None:
    flat = _since_mark(stack)
    stack.append(dict(zip(flat[::2], flat[1::2], strict=True)))


_COLLECTING: Mapping[str, Callable[[list[Any]], None]] = {
    "SETITEMS": _set_items,
    "SETITEM": _set_item,
    "APPENDS": lambda stack: _append(stack, _since_mark(stack)),
    "APPEND": lambda stack: _append(stack, [stack.pop()]),
    "TUPLE": lambda stack: stack.append(tuple(_since_mark(stack))),
    "TUPLE1": lambda stack: _last(stack, 1),
    "TUPLE2": lambda stack: _last(stack, 2),
    "TUPLE3": lambda stack: _last(stack, 3),
    "LIST": lambda stack: stack.append(_since_mark(stack)),
    "DICT": _dictionary,
}


def _named(module: Any, attribute: Any) -> _Global:
    name = f"{module}.{attribute}"
    if name not in _ALLOWED:
        why = "objects of a program are not read, and nothing is run"
        if str(module).partition(".")[0] in ("torch", "numpy", "collections", "builtins"):
            why = "only dense tensors and plain values are read, and nothing is run"
        raise RefusedError(
            f"it refers to {checks.shown(name)}: a whole model was pickled, or more than weights "
            f"({why}); {_SAVE}"
        )
    return _Global(name)


def _made(made: Any, arguments: Any) -> Any:
    """What a call in the pickle stands for; nothing is called."""
    if not isinstance(made, _Global) or not isinstance(arguments, tuple):
        raise TypeError
    if made.name == "collections.OrderedDict":
        return dict(*arguments) if not arguments or isinstance(arguments[0], list) else {}
    if made.name == "torch.Size":
        return tuple(arguments[0])
    if made.name == _PARAMETER:
        return arguments[0]
    if made.name != _TENSOR:
        raise TypeError
    storage, offset, shape, strides = arguments[:4]
    whole = [offset, *shape, *strides]
    counts = all(type(n) is int and n >= 0 for n in whole)
    if not isinstance(storage, _Storage) or len(shape) != len(strides) or not counts:
        raise TypeError
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _storage(reference: Any) -> _Storage:
    """A persistent id: ('storage', class, key, place, number of elements)."""
    kind, made, key, _, size = reference  # ValueError where there are not five
    if kind != "storage" or not isinstance(made, _Global) or type(size) is not int:
        raise TypeError
    dtype = _STORAGES[made.name.removeprefix("torch.")]
    if not isinstance(key, str) or size < 0:
        raise TypeError
    return _Storage(dtype, key, size)


def _leaves(made: Any) -> Iterator[tuple[str, _Tensor]]:
    """The tensors in nested dictionaries and series, with dots between the names."""
    waiting = [("", made, 0)]
    for _ in range(_MOST):
        if not waiting:
            return
        name, each, depth = waiting.pop()
        if isinstance(each, _Tensor):
            yield name or "tensor", each
        elif type(each) in (dict, list, tuple):
            if depth == _DEPTH:
                raise RefusedError(f"it is nested more than {_DEPTH} deep")
            items = each.items() if isinstance(each, dict) else enumerate(each)
            inner = [(f"{name}.{key}".lstrip("."), value, depth + 1) for key, value in items]
            waiting += inner[::-1]
    raise RefusedError(f"it holds more than {_MOST} entries")


def _check_tensor(name: str, tensor: _Tensor, n_bytes: int) -> None:
    storage, offset, shape, strides = tensor
    if n_bytes != storage.size * _itemsize(storage.dtype):
        raise RefusedError(
            f"{checks.shown(name)} is damaged: its storage has {n_bytes} bytes for "
            f"{storage.size} numbers of {storage.dtype}"
        )
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if len(shape) > 32 or (0 not in shape and last >= storage.size):
        raise RefusedError(
            f"{checks.shown(name)} is damaged: {shape} with strides {strides} from {offset} "
            f"reaches beyond its {storage.size} numbers"
        )
    if 0 not in shape and np.prod(shape, dtype=object) > storage.size:
        raise RefusedError(
            f"{checks.shown(name)} {shape} is larger than its {storage.size} numbers"
        )


def _itemsize(dtype: str) -> int:
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def _flat(path: Path, order: str, member: str, dtype: str) -> npt.NDArray[Any]:
    """All numbers of a storage."""
    with sound(f"{member!r} in it is damaged"), zipfile.ZipFile(path) as archive:
        data = archive.read(member)
    return numbers(data, dtype, order)


def _view(
    flat: Callable[[str, str], npt.NDArray[Any]], member: str, tensor: _Tensor
) -> npt.NDArray[Any]:
    """A tensor in its storage."""
    whole = flat(member, tensor.storage.dtype)
    strides = [stride * whole.itemsize for stride in tensor.strides]
    part = whole[tensor.offset :]
    return np.lib.stride_tricks.as_strided(part, tensor.shape, strides, writeable=False)


def numbers(data: bytes, dtype: str, order: str = "little") -> npt.NDArray[Any]:
    """Numbers from bytes; those of bfloat16 as float32, whose upper half they are."""
    kind = np.dtype("uint16" if dtype == "bfloat16" else dtype)
    flat = np.frombuffer(data, kind if order == sys.byteorder else kind.newbyteorder("S"))
    native = flat.astype(kind, copy=False)
    if dtype == "bfloat16":
        return from_bfloat16(native)
    return native
