"""How arrays travel into and out of the kernels: NamedTuples, which compiled code can take apart.

Sizes: N networks, T steps, B sequences, D inputs, H hidden units, V outputs.
"""

from typing import NamedTuple

import numpy as np

TANH, RELU, LINEAR = 0, 1, 2
CROSS_ENTROPY, SQUARED_ERROR, INNER_PRODUCT = 0, 1, 2


class Weights(NamedTuple):
    """All weights of an ensemble; also the gradients with respect to them.

    W_xh (N, H, D), W_hh (N, H, H), W_hy (N, V, H), b_h (N, H), b_y (N, V);
    `W[n, i, j]` is the weight from j to i.
    """

    W_xh: np.ndarray
    W_hh: np.ndarray
    W_hy: np.ndarray
    b_h: np.ndarray
    b_y: np.ndarray


class Batch(NamedTuple):
    """What the networks read and are scored on; axis 0 is N, or 1 where all networks share it.

    inputs (., T, B, D), classes (., T, B) int64, values (., T, B, V), loss_weights (., T, B),
    h0 (., B, H). `loss` is CROSS_ENTROPY (scored on `classes`), SQUARED_ERROR or INNER_PRODUCT
    (on `values`); the other target array is empty. A step of weight 0 carries no loss and no target
    is read there. The gradient of INNER_PRODUCT, <values, y>, carries dL/dy = values of whatever
    follows the network back through it.
    """

    inputs: np.ndarray
    classes: np.ndarray
    values: np.ndarray
    loss_weights: np.ndarray
    h0: np.ndarray
    loss: int
