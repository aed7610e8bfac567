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
