"""Vectors of 64 bytes (8 float64, 16 float32), for compiled loops that LLVM cannot vectorise.

LLVM splits them into what the machine has: one AVX-512 register, two of AVX2, four of NEON. Indices
are into the memory of a C-contiguous array of any shape. Without compilation the same names work on
slices, so that kernels run as plain Python too.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.typing import signature as signature_of
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
    return everywhere(builder, kind.dtype, value)


def everywhere(builder, dtype, value):
    """A number of this dtype in every lane."""
    vector, lane = register(dtype), ir.IntType(32)
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(lane, 0))
    lanes = ir.Constant(ir.VectorType(lane, vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, lanes)


def _of_lanes(builder, dtype, name, args):
    """What an instruction that LLVM names so makes of vectors."""
    vector = register(dtype)
    name = f"llvm.{name}.v{vector.count}f{dtype.bitwidth}"
    kind = ir.FunctionType(vector, [vector] * len(args))
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def product_added(builder, dtype, a, b, c):
    """a * b + c in every lane."""
    return _of_lanes(builder, dtype, "fmuladd", [a, b, c])


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


def _multiply_add(_, a, b, c):
    def generate(context, builder, signature, args):
        return product_added(builder, a.dtype, *args)

    return a(a, b, c), generate


def _magnitude(_, a):
    def generate(context, builder, signature, args):
        return _of_lanes(builder, a.dtype, "fabs", args)

    return a(a), generate


def _with_sign_of(_, a, b):
    def generate(context, builder, signature, args):
        return _of_lanes(builder, a.dtype, "copysign", args)

    return a(a, b), generate


def _chosen(builder, a, sign, b, then):
    """`then` in the lanes where a < b, or a > b; a in others, and where it is NaN."""
    return builder.select(builder.fcmp_ordered(sign, a, b), then, a)


def _within(_, a, limit):
    def generate(context, builder, signature, args):
        a, high = args[0], everywhere(builder, signature.return_type.dtype, args[1])
        low = builder.fneg(high)
        a = _chosen(builder, a, ">", high, high)
        return _chosen(builder, a, "<", low, low)

    return a(a, a.dtype), generate


def _without_below(_, values, x, limit):
    def generate(context, builder, signature, args):
        below = everywhere(builder, values.dtype, args[2])
        nothing = ir.Constant(register(values.dtype), None)
        return builder.select(builder.fcmp_ordered("<", args[1], below), nothing, args[0])

    return values(values, x, values.dtype), generate


def _power_of_two(_, rounded):
    bits = rounded.dtype.bitwidth
    bias, shift = (127, 23) if bits == 32 else (1023, 52)

    def generate(context, builder, signature, args):
        vector = register(rounded.dtype)
        whole = ir.VectorType(ir.IntType(bits), vector.count)
        exponent = builder.add(
            builder.bitcast(args[0], whole), ir.Constant(whole, [bias] * vector.count)
        )
        exponent = builder.shl(exponent, ir.Constant(whole, [shift] * vector.count))
        return builder.bitcast(exponent, vector)

    return rounded(rounded), generate


def _first_lanes(builder, dtype, count):
    """A mask of the first `count` lanes."""
    size, lane = register(dtype).count, ir.IntType(32)
    numbers = ir.VectorType(lane, size)
    first = builder.insert_element(
        ir.Constant(numbers, ir.Undefined), builder.trunc(count, lane), ir.Constant(lane, 0)
    )
    limit = builder.shuffle_vector(first, first, ir.Constant(numbers, [0] * size))
    return builder.icmp_signed("<", ir.Constant(numbers, list(range(size))), limit)


def _masked(builder, dtype, name, returned, args):
    """LLVM's load or store of some lanes; args with the alignment, as LLVM 20 has it."""
    name = f"llvm.masked.{name}.v{register(dtype).count}f{dtype.bitwidth}.p0"
    kind = ir.FunctionType(returned, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def _is_whole(builder, dtype, count):
    return builder.icmp_signed(">=", count, ir.Constant(count.type, register(dtype).count))


def _load_some(_, array, index, count):
    dtype = array.dtype
    align = ir.Constant(ir.IntType(32), dtype.bitwidth // 8)

    def generate(context, builder, signature, args):
        vector, kind = register(dtype), signature.args[0]
        place = cgutils.alloca_once(builder, vector)
        with builder.if_else(_is_whole(builder, dtype, args[2])) as (whole, part):
            with whole:
                builder.store(vector_at(context, builder, kind, *args[:2]), place)
            with part:
                pointer = vector_pointer(context, builder, kind, *args[:2])
                mask = _first_lanes(builder, dtype, args[2])
                nothing = ir.Constant(vector, None)
                given = [pointer, align, mask, nothing]
                builder.store(_masked(builder, dtype, "load", vector, given), place)
        return builder.load(place)

    return Vector(dtype)(array, types.intp, types.intp), generate


def _store_some(_, array, index, vector, count):
    dtype = array.dtype
    align = ir.Constant(ir.IntType(32), dtype.bitwidth // 8)

    def generate(context, builder, signature, args):
        kind = signature.args[0]
        with builder.if_else(_is_whole(builder, dtype, args[3])) as (whole, part):
            with whole:
                put_vector(context, builder, kind, *args[:3])
            with part:
                pointer = vector_pointer(context, builder, kind, *args[:2])
                mask = _first_lanes(builder, dtype, args[3])
                _masked(builder, dtype, "store", ir.VoidType(), [args[2], pointer, align, mask])
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), generate


def lanes(array):
    """How many entries of an array a vector holds."""
    return BYTES // array.itemsize


def single(array):
    """Whether an array, or a vector, is of float32."""
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
@lower_builtin(single, Vector)
def _(context, builder, signature, args):
    return context.get_constant(types.boolean, signature.args[0].dtype.bitwidth == 32)


def _operator(function, instruction):
    """Between vectors, and vectors and numbers, an operator is an instruction of LLVM."""

    @type_callable(function)
    def _(context):
        def returned(a, b):
            kind = a if isinstance(a, Vector) else b
            if isinstance(kind, Vector):
                of = (each if each == kind else kind.dtype for each in (a, b))
                return signature_of(kind, *of)

        return returned

    def generate(context, builder, signature, args):
        dtype = signature.return_type.dtype
        pairs = zip(signature.args, args, strict=True)
        vectors = (
            arg if isinstance(kind, Vector) else everywhere(builder, dtype, arg)
            for kind, arg in pairs
        )
        return getattr(builder, instruction)(*vectors)

    for kinds in ((Vector, Vector), (Vector, types.Float), (types.Float, Vector)):
        lower_builtin(function, *kinds)(generate)


for _function, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _operator(_function, _instruction)


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


@lowered_by(_load_some)
def load_some(array, index, count):
    """The same of `count` entries, if a vector has more; 0 in the lanes behind them."""
    found, given = np.zeros(lanes(array), array.dtype), array.reshape(-1)
    count = min(count, found.size)
    found[:count] = given[index : index + count]
    return found


@lowered_by(_store_some)
def store_some(array, index, vector, count):
    """Write the first `count` lanes of a vector, or all of them if there are fewer."""
    count = min(count, vector.size)
    array.reshape(-1)[index : index + count] = vector[:count]


@lowered_by(_splat)
def splat(array, index):
    """A vector of array[index] in every lane."""
    return array.reshape(-1)[index]


@lowered_by(_zeros)
def zeros(array):
    """A vector of zeros of the array's dtype."""
    return np.zeros(lanes(array), array.dtype)


@lowered_by(_multiply_add)
def multiply_add(a, b, c):
    """a * b + c in every lane, rounded once where the machine can."""
    return a * b + c


@lowered_by(_magnitude)
def magnitude(a):
    """|a| in every lane."""
    return abs(a)


@lowered_by(_with_sign_of)
def with_sign_of(a, b):
    """a with the sign of b, in every lane."""
    return np.copysign(a, b)


@lowered_by(_within)
def within(a, limit):
    """a, or what is nearest to it between -limit and limit, in every lane; NaN stays."""
    limit = a.dtype.type(limit)
    return np.where(a > limit, limit, np.where(a < -limit, -limit, a))


@lowered_by(_without_below)
def without_below(values, x, limit):
    """Values, but 0 in the lanes where x < limit."""
    return np.where(x < values.dtype.type(limit), values.dtype.type(0), values)


@lowered_by(_power_of_two)
def power_of_two(rounded):
    """2^k from `rounded` = k + 1.5*2^52, or + 1.5*2^23 of float32; normal numbers only."""
    whole, bias, shift = (np.int32, 127, 23) if single(rounded) else (np.int64, 1023, 52)
    return ((rounded.view(whole) + whole(bias)) << whole(shift)).view(rounded.dtype)
