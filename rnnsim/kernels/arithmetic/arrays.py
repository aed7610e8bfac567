"""Arrays to work in, and loops over whole contiguous arrays.

Loops are written out because they compile ten times faster than array expressions, whose errors
carry text.
"""

import numpy as np

from rnnsim.kernels.arithmetic.jit import allocator, kernel
from rnnsim.kernels.arithmetic.vectors import BYTES, lanes


@allocator
def scratch(shape, like):
    """Zeros in the dtype of `like`, from an address on that is a multiple of a vector's bytes.

    NumPy promises less; a vector across two lines of the cache costs two loads.
    """
    size = 1
    for length in shape:
        size *= length
    room = np.zeros(size + lanes(like), like.dtype)
    first = -room.ctypes.data % BYTES // room.itemsize
    return room[first : first + size].reshape(shape)


@kernel
def fill(array, value):
    """Set every entry of a C-contiguous array."""
    flat = array.reshape(array.size)
    for i in range(flat.size):
        flat[i] = value


@kernel
def copy(source, target):
    """target = source, both C-contiguous and of one size."""
    s, t = source.reshape(source.size), target.reshape(target.size)
    for i in range(s.size):
        t[i] = s[i]


@kernel
def add(source, target):
    """target += source, both C-contiguous and of one size."""
    s, t = source.reshape(source.size), target.reshape(target.size)
    for i in range(s.size):
        t[i] += s[i]


@kernel
def residue(array):
    """0 if every entry is finite, NaN otherwise: x - x tells, and vectorises."""
    flat, total = array.reshape(array.size), 0.0
    for i in range(flat.size):
        total += flat[i] - flat[i]
    return total


@kernel
def total_of(flat):
    """The sum of a 1-D array."""
    total = 0.0
    for i in range(flat.size):
        total += flat[i]
    return total
