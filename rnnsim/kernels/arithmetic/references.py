"""NamedTuples that kernels take by reference: some 50 arrays are one pointer, not 400 numbers.

Numba passes a NamedTuple as all numbers of all its arrays, and every kernel on the way down takes
them apart and puts them together again: a third of the time that compiling took. Under `Reference`
a kernel gets the address of a structure that its caller holds. Nothing is written into it: arrays
change, but not which arrays they are. Fields that are NamedTuples are parts of the same structure.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, TypeVar

from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.imputils import impl_ret_borrowed, lower_getattr_generic
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import (
    NativeValue,
    box,
    lower_cast,
    register_model,
    typeof_impl,
    unbox,
)

_NAMED: Any = types.BaseNamedTuple
Structure = TypeVar("Structure", bound=type)
_STRUCTURES: set[type] = set()


class Reference(types.Type):
    """The type of a NamedTuple that is held by a caller; `value` is that of the tuple itself."""

    def __init__(self, value: Any) -> None:
        self.value = value
        super().__init__(name=f"Reference({value})")

    @property
    def mangling_args(self) -> tuple[str, tuple[Any, ...]]:
        """A short name for machine code: that of the tuple is thousands of letters long."""
        digest = hashlib.sha256(self.name.encode()).hexdigest()[:16]
        return f"{self.value.instance_class.__name__}.{digest}", ()

    def can_convert_from(self, context: Any, other: Any) -> Any:
        """A tuple that compiled code has put together is stored, and its address taken."""
        return Conversion.safe if other == self.value else None


def by_reference(structure: Structure) -> Structure:
    """Decorator of a NamedTuple: compiled code that gets one takes it by reference."""

    _STRUCTURES.add(structure)

    @typeof_impl.register(structure)
    def _(value: Any, context: Any) -> Reference:
        fields = [value_type(typeof_impl(field, context)) for field in value]
        return Reference(types.BaseTuple.from_types(fields, structure))

    return structure


def value_type(kind: Any) -> Any:
    """The type of a tuple itself, of one by reference; any other type as it is."""
    return kind.value if isinstance(kind, Reference) else kind


def referring(kinds: Iterable[Any]) -> tuple[Any, ...]:
    """The types that a kernel takes arguments of these as.

    By reference what is passed so, and constants as any number: one machine code serves all.
    """
    plain = map(types.unliteral, kinds)
    return tuple(Reference(kind) if _is_structure(kind) else kind for kind in plain)


def _is_structure(kind: Any) -> bool:
    return getattr(kind, "instance_class", None) in _STRUCTURES


@register_model(Reference)
class _ReferenceModel(models.PrimitiveModel):
    def __init__(self, manager: Any, reference: Reference) -> None:
        held = manager.lookup(reference.value).get_value_type()
        super().__init__(manager, reference, held.as_pointer())


@infer_getattr
class _Fields(AttributeTemplate):
    key = Reference

    def generic_resolve(self, reference, name):
        """The type of a field; of a tuple in the tuple, by reference too."""
        tuple_type = reference.value
        if name not in tuple_type.fields:
            return None
        kind = tuple_type.types[tuple_type.fields.index(name)]
        return Reference(kind) if _is_structure(kind) else kind


@lower_getattr_generic(Reference)
def _field(context: Any, builder: Any, reference: Reference, pointer: Any, name: str) -> Any:
    _never_written(builder.function, pointer.type)
    index = reference.value.fields.index(name)
    kind, at = reference.value.types[index], cgutils.gep_inbounds(builder, pointer, 0, index)
    if _is_structure(kind):
        return at
    return impl_ret_borrowed(context, builder, kind, builder.load(at))


def _never_written(function: Any, pointer: Any) -> None:
    """Tell LLVM that nothing which the function writes is in its structures of this kind.

    So it reads where an array begins once, before loops that write to arrays.
    """
    for argument in function.args:
        if argument.type == pointer:
            argument.add_attribute("noalias")


@lower_cast(_NAMED, Reference)
def _held(context: Any, builder: Any, kind: Any, reference: Reference, value: Any) -> Any:
    return cgutils.alloca_once_value(builder, value)


@unbox(Reference)
def _from_python(reference: Reference, given: Any, c: Any) -> NativeValue:
    """The structure of a tuple from Python, in the memory of the call.

    Kernels count no references: of every array its description is written where it belongs. Other
    compiled code that takes such a tuple owns what it reads from it, and lets go after the call.
    """
    if c.context.enable_nrt:
        found = c.unbox(reference.value, given)
        held = cgutils.alloca_once_value(c.builder, found.value)
        return NativeValue(held, is_error=found.is_error, cleanup=found.cleanup)
    held = cgutils.alloca_once(c.builder, c.context.get_value_type(reference.value))
    failed = _describe(reference.value, given, held, c)
    with c.builder.if_then(failed, likely=False):
        c.pyapi.err_set_string("PyExc_TypeError", "a field is no array that kernels can read")
    return NativeValue(held, is_error=failed)


def _describe(kind: Any, given: Any, held: Any, c: Any) -> Any:
    """Fill a structure from a tuple; returns whether that failed."""
    failed = cgutils.false_bit
    for index, field in enumerate(kind.types):
        item = c.pyapi.tuple_getitem(given, index)
        at = cgutils.gep_inbounds(c.builder, held, 0, index)
        if isinstance(field, _NAMED):
            wrong = _describe(field, item, at, c)
        elif isinstance(field, types.Array):
            code = c.pyapi.numba_array_adaptor(item, c.builder.bitcast(at, c.pyapi.voidptr))
            wrong = cgutils.is_not_null(c.builder, code)
        else:
            number = c.unbox(field, item)
            c.builder.store(number.value, at)
            wrong = number.is_error
        failed = c.builder.or_(failed, wrong)
    return failed


@box(Reference)
def _to_python(reference: Reference, pointer: Any, c: Any) -> Any:
    return c.box(reference.value, c.builder.load(pointer))
