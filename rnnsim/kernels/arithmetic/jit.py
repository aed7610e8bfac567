"""The one place that compiles: how every kernel is decorated and where its machine code is kept.

Numba keys a cached kernel by the file that defines it and misses edits in helpers from other
files (numba#9304), so all kernels share a cache folder named by a hash of all kernel sources: an
edited helper is a new folder. Where no folder can be written, kernels compile without a cache.
"""

import contextlib
import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numba
import numpy as np
from numba.core import sigutils, types
from numba.core.caching import FunctionCache

from rnnsim.kernels.arithmetic import parts
from rnnsim.kernels.arithmetic.references import Reference, referring, value_type

config: Any = numba.config


def _cache_root() -> Path:
    """The user's choice (NUMBA_CACHE_DIR), or the usual per-user cache folder."""
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rnnsim"


def _cache_folder() -> Path | None:
    """The writable folder for this version of the kernels, or None."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(source.read_bytes())
    try:
        folder = _cache_root() / f"kernels-{digest.hexdigest()[:16]}"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return None


_FOLDER = _cache_folder()


Function = Callable[..., Any]


# Sums may be reordered, so that they vectorise; NaN, infinities and signed zeros keep their sense.
_OPTIONS: Any = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract"},
    "no_cfunc_wrapper": True,
    "_nrt": False,  # no reference counting: less code, and no allocation by accident
}


def _strangers(types: Iterable[Any]) -> set[str]:
    """The modules outside rnnsim of the NamedTuples among Numba's types, and inside these."""
    found: set[str] = set()
    for each in map(value_type, types):
        if hasattr(each, "instance_class"):
            found |= {each.instance_class.__module__} | _strangers(each.types)
    return {module for module in found if module.partition(".")[0] != "rnnsim"}


_PATIENCE = 120.0  # seconds; no kernel takes nearly as long to compile


class _KernelCache:
    """The cache of a kernel, as Numba's dispatcher wants it, for many processes.

    Of all that miss a kernel at once, one compiles and the others wait for it. Who waits holds
    locks of callers of this kernel only, and who compiles waits for what it calls: nobody waits in
    a circle. Where the system has no locks, or one is held for long by a process that was stopped,
    each compiles for itself.

    What cannot be read or kept is compiled: a folder that is full, or gone, ends no call.

    Numba's index of a kernel names the types of all its signatures and cannot be read where one of
    these cannot be imported. So signatures with NamedTuples of strangers have one of their own.
    """

    def __init__(self, kernel: Any, folder: Path) -> None:
        self._function, self._compile, self._folder = kernel.py_func, kernel.compile, folder
        self._caches: dict[str, Any] = {}  # made when they are needed
        self._lock: Any = None

    def load_overload(self, signature: Any, context: Any) -> Any:
        """What the cache has; if nothing, once more when nobody else is compiling it."""
        found = self._found(signature, context)
        if found is None and self._lock is None:
            import filelock  # not before it is needed

            name = f"{self._function.__module__}.{self._function.__qualname__}.lock"
            lock = filelock.FileLock(self._folder / name, timeout=_PATIENCE)
            with contextlib.suppress(OSError, NotImplementedError):
                lock.acquire()
                self._lock = lock
                found = self._found(signature, context)
        return found

    def _found(self, signature: Any, context: Any) -> Any:
        with contextlib.suppress(Exception):  # of reading and unpickling; it is compiled then
            return self._cache_of(signature).load_overload(signature, context)

    def save_overload(self, signature: Any, code: Any) -> None:
        """Keep what was compiled, where that can be."""
        with contextlib.suppress(Exception):  # of writing, and of reading what is damaged
            self._cache_of(signature).save_overload(signature, code)

    def compile(self, signature: Any) -> Any:
        """Compile, or load, one signature; another process that waits for it goes on then."""
        try:
            return self._compile(signature)
        finally:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def _cache_of(self, signature: Any) -> Any:
        place = "+".join(sorted(_strangers(getattr(signature, "args", signature))))
        if place not in self._caches:
            with _caching_in(self._folder / place):
                self._caches[place] = FunctionCache(self._function)
        return self._caches[place]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache_of(()), name)


@contextlib.contextmanager
def _caching_in(folder: Path | None) -> Iterator[None]:
    """What is decorated in here has its machine code in a folder."""
    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder or before)
    try:
        yield
    finally:
        config.CACHE_DIR = before


def _by_reference(compiled: Any) -> None:
    """Of all signatures compile the one that takes structures by reference."""
    compile_one = compiled.compile
    compiled.compile = lambda signature: compile_one(
        referring(sigutils.normalize_signature(signature)[0])
    )


_IN_ONE = not config.DISABLE_JIT and parts.known()


def _compile(**changes: Any) -> Callable[[Function], Function]:
    options: Any = _OPTIONS | {"inline": "never"} | changes

    def decorate(function: Function) -> Function:
        compiled = _dispatcher(function, options)
        if not config.DISABLE_JIT:
            if _FOLDER is not None:
                compiled._cache = cache = _KernelCache(compiled, _FOLDER)
                compiled.compile = cache.compile
            _by_reference(compiled)
            if _IN_ONE:
                parts.join(compiled, functools.partial(_part, function, options))
        return cast(Function, compiled)

    return decorate


def _part(function: Function, options: Any) -> Any:
    """The same kernel for its callers: Python sees nothing of it, and no cache."""
    compiled = _dispatcher(function, options | {"no_cpython_wrapper": True})
    _by_reference(compiled)
    return compiled


def _dispatcher(function: Function, options: Any) -> Any:
    return numba.njit(**options)(function)


kernel = _compile()

# For what allocates: plain Python outside compiled code, so that it costs no compilation there.
allocator: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.extending.register_jitable

# Put into the caller's loop by LLVM: for bodies too short to be worth a call.
inlined = _compile(forceinline=True)

# Put there by Numba, for what returns arrays: kernels that count no references may not.
view = _compile(inline="always")


def by_cell(stub: Function) -> Any:
    """A name that code, compiled or plain, resolves by the type of its first argument, the cell.

    ``name.of(kind)`` registers what it is for one kind of cell: int, or a NamedTuple. The type and
    not the value decides, so that machine code for one cell holds nothing of another, and is found
    in the cache again (functions passed as arguments are not: numba#6264).

    LLVM puts the parts into their callers. Numba must not (``inline="always"`` of an overload):
    with Numba 0.68 the stores of a part are lost then, and states stay 0.
    """
    parts: dict[type, Function] = {}

    def part(kind: type) -> Function:
        if kind not in parts:
            known = ", ".join(each.__name__ for each in parts)
            raise TypeError(f"`{stub.__name__}` knows the cells {known}, got {kind.__name__}")
        return parts[kind]

    def resolved(cell: Any, *args: Any) -> Any:
        return part(type(cell) if isinstance(cell, tuple) else int)(cell, *args)

    def of(kind: type) -> Callable[[Function], Function]:
        return lambda function: parts.setdefault(kind, function)

    @numba.extending.overload(resolved, jit_options=_OPTIONS, strict=False)
    def _(cell: Any, *args: Any) -> Function:
        return part(getattr(cell, "instance_class", int))

    functools.update_wrapper(resolved, stub)
    resolved.of = of  # type: ignore[attr-defined]
    return resolved


def layer_of(whole: Any, index: Any) -> Any:
    """Layer `index` of what holds several along the first axis of every array, as views.

    Of a NamedTuple each field is taken so; numbers are shared by all layers.
    """
    if isinstance(whole, tuple):
        return type(whole)(*(layer_of(field, index) for field in whole))
    return whole[index] if isinstance(whole, np.ndarray) else whole


# Kernels without reference counting may not return arrays, so this one is written as instructions.
@numba.extending.type_callable(layer_of)
def _(context: Any) -> Function:
    return lambda whole, index: _type_of_layer(whole)


_NAMED: Any = types.BaseNamedTuple


def _type_of_layer(kind: Any) -> Any:
    whole = value_type(kind)
    if isinstance(whole, _NAMED):
        fields = [_type_of_layer(field) for field in whole.types]
        return types.BaseTuple.from_types(fields, whole.instance_class)
    return whole.copy(ndim=whole.ndim - 1) if isinstance(whole, types.Array) else whole


@numba.extending.lower_builtin(layer_of, types.Any, types.Integer)
def _(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    whole, index = signature.args
    at = context.cast(builder, args[1], index, types.intp)
    held = builder.load(args[0]) if isinstance(whole, Reference) else args[0]
    return _layer(context, builder, value_type(whole), held, at)


def _layer(context: Any, builder: Any, whole: Any, value: Any, at: Any) -> Any:
    from numba.np import arrayobj  # not before it is needed

    kind = _type_of_layer(whole)
    if isinstance(whole, types.Array):
        view = numba.core.typing.signature(kind, whole, types.intp)
        return arrayobj.getitem_arraynd_intp(context, builder, view, (value, at))
    if not isinstance(whole, _NAMED):
        return value
    parts = (builder.extract_value(value, i) for i in range(len(whole)))
    pairs = zip(whole.types, parts, strict=True)
    fields = [_layer(context, builder, field, part, at) for field, part in pairs]
    return context.make_tuple(builder, kind, fields)


# Operations stay in the order written: error-compensated arithmetic depends on it.
exact = _compile(fastmath={"contract"})

# The same, put into the caller's loop: for formulas of vectors.
formula = _compile(fastmath={"contract"}, forceinline=True)
