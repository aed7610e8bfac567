"""What a kernel calls becomes a part of it: linked in as it is, then optimised once, as a whole.

Numba optimises every function and emits its machine code before a caller links it in, optimises it
again and emits it again; what lies five calls deep is treated six times. Here that happens for the
kernel alone that Python, or compiled code of others, has asked for. What it calls is typed and
lowered, by a dispatcher of its own that nobody else sees, and has neither machine code nor a
wrapper for Python nor a file in the cache.

Loops are not unrolled: what gains by it is a tile, and is written out; of the rest the machine code
is smaller, made sooner, and faster for networks of a few units. Nor is garbage collected meanwhile,
a tenth of the time.

This goes by how Numba's libraries of code come to be (`CPUCodeLibrary.finalize`, numba 0.62 to
0.68). Where these are made otherwise, kernels compile as Numba does it, only slower.
"""

import contextlib
import functools
import gc
from collections.abc import Callable, Iterator
from typing import Any

import numba
from llvmlite import binding
from numba.core import codegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

_Library: Any = getattr(codegen, "JITCodeLibrary", None)
_USED = (
    "_optimize_final_module",
    "_finalize_final_module",
    "_finalized",
    "get_pointer_to_function",
)


class _Whole:
    """The kernel that is being compiled, by the name of its library; None where none is."""

    name: str | None = None


def known() -> bool:
    """Whether the libraries of this version of Numba are made so."""
    target = cpu_target.target_context.codegen()
    library = target.create_library("trial")
    return (
        _Library is not None
        and getattr(target, "_library_class", None) is _Library
        and hasattr(target, "_tm")
        and all(hasattr(library, name) for name in _USED)
    )


if _Library is not None:

    class _Part(_Library):
        """A library that is optimised and emitted only if it is that of the whole."""

        def __init__(self, codegen: Any, name: str) -> None:
            super().__init__(codegen, name)
            self._whole = name == _Whole.name

        def _optimize_final_module(self) -> None:
            if self._whole:
                passes = _passes(self._codegen._tm)
                passes.getModulePassManager().run(self._final_module, passes)

        def _finalize_final_module(self) -> None:
            if self._whole:
                super()._finalize_final_module()
            self._finalized = True

        def get_pointer_to_function(self, name: str) -> int:
            """None, of a part."""
            return super().get_pointer_to_function(name) if self._whole else 0

        @property
        def codegen(self) -> Any:
            """That of all libraries; a part has no memory to put an environment into."""
            return self._codegen if self._whole else _Nowhere()


def _passes(machine: Any) -> Any:
    """As Numba has them, but for loops."""
    config: Any = numba.config
    options = binding.create_pipeline_tuning_options()
    options.speed_level = config.OPT
    options.loop_vectorization = config.LOOP_VECTORIZE
    options.slp_vectorization = config.SLP_VECTORIZE
    options.loop_unrolling = False
    return binding.create_pass_builder(machine, options)


class _Nowhere:
    def set_env(self, name: str, environment: Any) -> None:
        pass


@contextlib.contextmanager
def _compiling(name: str) -> Iterator[None]:
    """What is compiled in here belongs to the kernel of this name, unless to one further out."""
    with global_compiler_lock:
        if _Whole.name is not None:
            yield
            return
        target, collects = cpu_target.target_context.codegen(), gc.isenabled()
        before, target._library_class, _Whole.name = target._library_class, _Part, name
        gc.disable()
        try:
            yield
        finally:
            target._library_class, _Whole.name = before, None
            if collects:
                gc.enable()


def join(kernel: Any, make_part: Callable[[], Any]) -> None:
    """Let a kernel be whole by itself, and another where other kernels call it: ``kernel.part()``.

    Both are dispatchers of one function, as `numba.njit` gives them; that of the part is made when
    it is needed.
    """
    compile_whole, call, overload = kernel.compile, kernel.get_call_template, kernel.get_overload

    def compile_in_one(signature: Any) -> Any:
        with _compiling(kernel.py_func.__qualname__):
            return compile_whole(signature)

    def call_of(args: Any, kws: Any) -> Any:
        return (call if _Whole.name is None else part().get_call_template)(args, kws)

    def overload_of(signature: Any) -> Any:
        return (overload if _Whole.name is None else part().get_overload)(signature)

    kernel.part = part = functools.cache(make_part)
    kernel.compile, kernel.get_call_template = compile_in_one, call_of
    kernel.get_overload = overload_of
