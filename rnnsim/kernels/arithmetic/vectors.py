"""Vectors of 64 bytes (8 float64, 16 float32), for compiled loops that LLVM cannot vectorise.

LLVM splits them into what the machine has: one AVX-512 register, two of AVX2, four of NEON. Indices
are into the memory of a C-contiguous array of any shape. Without compilation the same names work on
slices, so that kernels run as plain Python too.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic, lower_builtin, register_model, type_callable

from rnnsim.kernels.arithmetic.jit import config

BYTES = 64


class Vector(types.Type):
    """The type of a vector of one dtype."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Vector({dtype})")


def register(dtype):
    """The machine's type of a vector of this dtype."""
    element = ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()
    return ir.VectorType(element, 8 * BYTES // dtype.bitwidth)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, register(vector.dtype))


def _pointer(context, builder, kind, array, index):
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def vector_pointer(context, builder, kind, array, index):
    """Where in the memory of an array of this type a vector begins."""
    pointer = _pointer(context, builder, kind, array, index)
    return builder.bitcast(pointer, register(kind.dtype).as_pointer())


def vector_at(context, builder, kind, array, index):
    """The vector that begins there."""
    pointer = vector_pointer(context, builder, kind, array, index)
    return builder.load(pointer, align=kind.dtype.bitwidth // 8)


def put_vector(context, builder, kind, array, index, vector):
    """Write a vector to there."""
    pointer = vector_pointer(context, builder, kind, array, index)
    builder.store(vector, pointer, align=kind.dtype.bitwidth // 8)


def entry_at(context, builder, kind, array, index):
    """The entry of an array at `index`, in every lane."""
    value = builder.load(_pointer(context, builder, kind, array, index))
    vector, lane = register(kind.dtype), ir.IntType(32)
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(lane, 0))
    lanes = ir.Constant(ir.VectorType(lane, vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, lanes)


def product_added(builder, dtype, a, b, c):
    """a * b + c in every lane."""
    vector = register(dtype)
    name = f"llvm.fmuladd.v{vector.count}f{dtype.bitwidth}"
    kind = ir.FunctionType(vector, [vector] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [a, b, c])


def _load(_, array, index):
    def generate(context, builder, signature, args):
        return vector_at(context, builder, signature.args[0], *args)

    return Vector(array.dtype)(array, types.intp), generate


def _store(_, array, index, vector):
    def generate(context, builder, signature, args):
        put_vector(context, builder, signature.args[0], *args)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


def _splat(_, array, index):
    def generate(context, builder, signature, args):
        return entry_at(context, builder, signature.args[0], *args)

    return Vector(array.dtype)(array, types.intp), generate


def _zeros(_, array):
    def generate(context, builder, signature, args):
        return ir.Constant(register(array.dtype), None)

    return Vector(array.dtype)(array), generate


def _plus(_, a, b):
    def generate(context, builder, signature, args):
        return builder.fadd(*args)

    return a(a, b), generate


def _times(_, a, b):
    def generate(context, builder, signature, args):
        return builder.fmul(*args)

    return a(a, b), generate


def _multiply_add(_, a, b, c):
    def generate(context, builder, signature, args):
        return product_added(builder, a.dtype, *args)

    return a(a, b, c), generate


def _magnitude(_, a):
    def generate(context, builder, signature, args):
        vector = register(a.dtype)
        name = f"llvm.fabs.v{vector.count}f{a.dtype.bitwidth}"
        kind = ir.FunctionType(vector, [vector])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    return a(a), generate


def lanes(array):
    """How many entries of an array a vector holds."""
    return BYTES // array.itemsize


def single(array):
    """Whether an array is of float32."""
    return array.itemsize == 4


# Both are known when a kernel is compiled; an array's own itemsize is a number like any other.
@type_callable(lanes)
def _(context):
    return lambda array: types.intp


@lower_builtin(lanes, types.Array)
def _(context, builder, signature, args):
    return context.get_constant(types.intp, 8 * BYTES // signature.args[0].dtype.bitwidth)


@type_callable(single)
def _(context):
    return lambda array: types.boolean


@lower_builtin(single, types.Array)
def _(context, builder, signature, args):
    return context.get_constant(types.boolean, signature.args[0].dtype.bitwidth == 32)


def lowered_by(typing: Any, *, constants: bool = False) -> Callable[[Any], Any]:
    """Decorator: the machine code that `typing` gives; without compilation the plain function.

    constants: whether whole numbers among the arguments are part of their types.
    """
    made = intrinsic(prefer_literal=constants)
    return lambda plain: plain if config.DISABLE_JIT else made(typing)


@lowered_by(_load)
def load(array, index):
    """The vector that starts at array[index]."""
    return array.reshape(-1)[index : index + lanes(array)].copy()


@lowered_by(_store)
def store(array, index, vector):
    """Write a vector to array[index] and onwards."""
    array.reshape(-1)[index : index + lanes(array)] = vector


@lowered_by(_splat)
def splat(array, index):
    """A vector of array[index] in every lane."""
    return array.reshape(-1)[index]


@lowered_by(_zeros)
def zeros(array):
    """A vector of zeros of the array's dtype."""
    return np.zeros(lanes(array), array.dtype)


@lowered_by(_plus)
def plus(a, b):
    """a + b in every lane."""
    return a + b


@lowered_by(_times)
def times(a, b):
    """a * b in every lane."""
    return a * b


@lowered_by(_multiply_add)
def multiply_add(a, b, c):
    """a * b + c in every lane, rounded once where the machine can."""
    return a * b + c


@lowered_by(_magnitude)
def magnitude(a):
    """|a| in every lane."""
    return abs(a)
