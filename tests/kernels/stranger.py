"""A cell of somebody else's: softsign, h_t = a_t / (1 + |a_t|). A NamedTuple wants one number."""

from typing import NamedTuple

from rnnsim.kernels.cells.seam import advance, blocks, sizes


class Softsign(NamedTuple):
    scale: float


@sizes.of(Softsign)
def _sizes(cell):
    return 0, 0, 0


@blocks.of(Softsign)
def _blocks(cell):
    return (0,), (0,)


@advance.of(Softsign)
def _advance(cell, pre, before, state, kept, t, first, H):
    for b in range(pre.shape[0]):
        for i in range(H):
            state[b, i] = pre[b, i] / (1 + abs(pre[b, i]))
