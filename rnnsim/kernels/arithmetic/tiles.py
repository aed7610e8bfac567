"""Tiles: rows of vectors that stay in registers while a product is summed up.

How many rows and columns there are is part of a tile's type, so that one algorithm serves all
shapes and LLVM sees straight code. Indices are into the memory of a C-contiguous array: row r of a
tile lies r * `step` entries behind its first, column c of its vectors c * `beside`.
Without compilation a tile is an array (rows, columns, lanes).
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.core.registry import cpu_target
from numba.extending import register_model

from rnnsim.kernels.arithmetic.jit import config
from rnnsim.kernels.arithmetic.vectors import (
    Vector,
    entry_at,
    lanes,
    load,
    lowered_by,
    product_added,
    put_vector,
    register,
    store,
    vector_at,
)


def _has_avx512() -> bool:
    """Whether code is made for 32 registers of 64 bytes, in place of 16 of 32 or fewer."""
    if config.DISABLE_JIT:
        return False
    return "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[-1]


# Eight sums are what two units for multiply-adds of latency 4 need. Of vectors of 32 bytes, each in
# two of 16 registers, 6 rows leave room for a row and a factor (8 spill, and take twice the time).
AVX512 = _has_avx512()
TALL = 8 if AVX512 else 6


class Tile(types.Type):
    """The type of a tile of one dtype."""

    def __init__(self, dtype, rows, columns):
        self.dtype, self.rows, self.columns = dtype, rows, columns
        super().__init__(name=f"Tile({dtype}, {rows}, {columns})")


@register_model(Tile)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager, tile):
        vectors = ir.ArrayType(register(tile.dtype), tile.rows * tile.columns)
        super().__init__(manager, tile, vectors)


def _further(builder, at, distance, count):
    """at + count * distance."""
    by = builder.mul(distance, ir.Constant(distance.type, count))
    return builder.add(at, by) if count else at


def _no_tile(_, array, rows, columns):
    tile = Tile(array.dtype, rows.literal_value, columns.literal_value)

    def generate(context, builder, signature, args):
        return ir.Constant(context.get_value_type(tile), None)

    return tile(array, rows, columns), generate


def _height(_, tile):
    def generate(context, builder, signature, args):
        return context.get_constant(types.intp, tile.rows)

    return types.intp(tile), generate


def _breadth(_, tile):
    def generate(context, builder, signature, args):
        return context.get_constant(types.intp, tile.columns)

    return types.intp(tile), generate


def _plus_outer(_, tile, left, at, step, right, start, beside):
    def generate(context, builder, signature, args):
        sums, a, at, step, b, start, beside = args
        of_left, of_right = signature.args[1], signature.args[4]
        starts = [_further(builder, start, beside, c) for c in range(tile.columns)]
        vectors = [vector_at(context, builder, of_right, b, each) for each in starts]
        for r in range(tile.rows):
            factor = entry_at(context, builder, of_left, a, _further(builder, at, step, r))
            for index, vector in enumerate(vectors, r * tile.columns):
                before = builder.extract_value(sums, index)
                after = product_added(builder, tile.dtype, factor, vector, before)
                sums = builder.insert_value(sums, after, index)
        return sums

    place = types.intp
    return tile(tile, left, place, place, right, place, place), generate


def _put_tile(_, tile, array, at, step, beside):
    return types.void(tile, array, *[types.intp] * 3), _writer(tile, False)


def _add_tile(_, tile, array, at, step, beside):
    return types.void(tile, array, *[types.intp] * 3), _writer(tile, True)


def _writer(tile, added):
    def generate(context, builder, signature, args):
        (sums, array, at, step, beside), kind = args, signature.args[1]
        for index in range(tile.rows * tile.columns):
            r, c = divmod(index, tile.columns)
            place = _further(builder, _further(builder, at, step, r), beside, c)
            vector = builder.extract_value(sums, index)
            if added:
                vector = builder.fadd(vector_at(context, builder, kind, array, place), vector)
            put_vector(context, builder, kind, array, place, vector)
        return context.get_dummy_value()

    return generate


def _add_squares(_, tile, factor, array, at, beside):
    def generate(context, builder, signature, args):
        (sums, factor, array, at, beside), kind = args, signature.args[2]
        for c in range(tile.columns):
            place = _further(builder, at, beside, c)
            total = vector_at(context, builder, kind, array, place)
            for r in range(tile.rows):
                scaled = builder.extract_value(sums, r * tile.columns + c)
                scaled = builder.fmul(factor, scaled)
                total = product_added(builder, tile.dtype, scaled, scaled, total)
            put_vector(context, builder, kind, array, place, total)
        return context.get_dummy_value()

    return types.void(tile, Vector(tile.dtype), array, *[types.intp] * 2), generate


@lowered_by(_no_tile, constants=True)
def no_tile(array, rows, columns):
    """A tile of zeros of the array's dtype; rows and columns are constants."""
    return np.zeros((rows, columns, lanes(array)), array.dtype)


@lowered_by(_height)
def height(tile):
    """How many rows a tile has."""
    return tile.shape[0]


@lowered_by(_breadth)
def breadth(tile):
    """How many vectors a row of a tile has."""
    return tile.shape[1]


@lowered_by(_plus_outer)
def plus_outer(tile, left, at, step, right, start, beside):
    """The tile plus left[at + r*step] times the vector of `right` at start + c*beside."""
    rows, columns, _ = tile.shape
    factors = np.array([left.reshape(-1)[at + r * step] for r in range(rows)])
    vectors = np.array([load(right, start + c * beside) for c in range(columns)])
    return tile + factors[:, None, None] * vectors


@lowered_by(_put_tile)
def put_tile(tile, array, at, step, beside):
    """Write a tile to where it belongs."""
    for r, c in np.ndindex(tile.shape[:2]):
        store(array, at + r * step + c * beside, tile[r, c])


@lowered_by(_add_tile)
def add_tile(tile, array, at, step, beside):
    """Add a tile to what is there."""
    for r, c in np.ndindex(tile.shape[:2]):
        place = at + r * step + c * beside
        store(array, place, load(array, place) + tile[r, c])


@lowered_by(_add_squares)
def add_squares(tile, factor, array, at, beside):
    """Add the squares of factor times a tile, column by column, to the vectors at + c*beside."""
    for c in range(tile.shape[1]):
        place = at + c * beside
        store(array, place, load(array, place) + ((factor * tile[:, c]) ** 2).sum(axis=0))
