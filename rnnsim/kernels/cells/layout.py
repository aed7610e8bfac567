"""How arrays travel into and out of the kernels: NamedTuples, which compiled code can take apart.

Sizes: N networks, T steps, B sequences, D inputs, H hidden units, V outputs.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.references import by_reference

TANH, RELU, LINEAR, SIGMOID = 0, 1, 2, 3
CROSS_ENTROPY, SQUARED_ERROR, INNER_PRODUCT = 0, 1, 2


@by_reference
class Weights(NamedTuple):
    """All weights of an ensemble; also the gradients with respect to them.

    W_xh (N, G*H, D), W_hh (N, G*H, H), W_hy (N, V, H), b_h (N, A), b_y (N, V); `W[n, i, j]` is the
    weight from j to i. Of G gates, blocks of H rows one below the other: vanilla 1, LSTM i f g o,
    GRU r z n. A = G*H, but 4*H of a GRU: r, z, n of the input, n of the state. Rows of W_hy beyond
    those of b_y read the state out for a loss of the state itself, and have no gradient.
    """

    W_xh: np.ndarray
    W_hh: np.ndarray
    W_hy: np.ndarray
    b_h: np.ndarray
    b_y: np.ndarray


@by_reference
class Batch(NamedTuple):
    """What the networks read and are scored on; axis 0 is N, or 1 where all networks share it.

    inputs (., T, B, D), classes (., T, B) int64, values (., T, B, V), loss_weights (., T, B),
    h0 (., B, S), the S = (1+M)*H numbers of a state, memories last. `loss` is CROSS_ENTROPY (scored
    on `classes`), SQUARED_ERROR or INNER_PRODUCT (on `values`); the other target array is empty. A
    step of weight 0 carries no loss and no target is read there. The gradient of INNER_PRODUCT,
    <values, y>, carries dL/dy = values of whatever follows the network back through it.
    """

    inputs: np.ndarray
    classes: np.ndarray
    values: np.ndarray
    loss_weights: np.ndarray
    h0: np.ndarray
    loss: int
