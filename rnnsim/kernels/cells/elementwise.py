"""Elementwise loops of few arrays: of more, LLVM gives up to show that none overlap another."""

from rnnsim.kernels.arithmetic.jit import kernel


@kernel
def product(a, b, out, H):
    """out = a b."""
    for j in range(H):
        out[j] = a[j] * b[j]


@kernel
def add_product(a, b, out, H):
    """out += a b."""
    for j in range(H):
        out[j] += a[j] * b[j]


@kernel
def scale(out, a, H):
    """out *= a."""
    for j in range(H):
        out[j] *= a[j]


@kernel
def mix(out, a, b, c, H):
    """out = out a + b c."""
    for j in range(H):
        out[j] = out[j] * a[j] + b[j] * c[j]


@kernel
def scale_by_difference(out, a, b, H):
    """out *= a - b."""
    for j in range(H):
        out[j] *= a[j] - b[j]
