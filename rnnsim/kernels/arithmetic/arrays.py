"""Loops over whole contiguous arrays.

Written out because they compile ten times faster than array expressions, whose errors carry text.
"""

from rnnsim.kernels.arithmetic.jit import kernel


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
