"""Losses and their derivative with respect to the raw outputs, for columns of outputs.

Outputs are class-major, (V, R) for R = steps * sequences, so that loops over columns vectorise.
"""

import numpy as np

from rnnsim.kernels.arithmetic.arrays import copy, fill, total_of
from rnnsim.kernels.arithmetic.functions import exp_into, log_normal
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.cells.layout import CROSS_ENTROPY, SQUARED_ERROR


@kernel
def softmax_cross_entropy(logits, classes, loss_weights, peak, total, shifted, losses):
    """losses[r] = w[r] * -ln p[classes[r], r]; logits become w * (p - onehot), w the loss weights.

    p = softmax over axis 0. logits (V, R), classes (R,) int64, loss_weights (R,); `peak`, `total`
    and `shifted` (R,) are scratch of the logits' dtype, losses (R,) float64. Columns of weight 0
    become 0.
    """
    V, R = logits.shape
    copy(logits[0], peak)
    for v in range(1, V):
        for r in range(R):
            peak[r] = max(peak[r], logits[v, r])
    fill(total, 0)
    for r in range(R):
        losses[r] = peak[r] - logits[classes[r], r]
    for v in range(V):
        row = logits[v]
        for r in range(R):
            shifted[r] = row[r] - peak[r]
        exp_into(shifted, row)
        for r in range(R):
            total[r] += row[r]
    for r in range(R):
        # ln(sum_v e^(y_v - max)) + max - y_target
        loss = loss_weights[r] * (losses[r] + log_normal(np.float64(total[r])))
        losses[r] = loss if loss_weights[r] else 0.0
        total[r] = loss_weights[r] / total[r]
    for v in range(V):
        for r in range(R):
            logits[v, r] = logits[v, r] * total[r] if loss_weights[r] else 0
    for r in range(R):
        logits[classes[r], r] -= loss_weights[r]


@kernel
def squared_error(outputs, values, loss_weights, losses):
    """losses[r] = w[r] * 0.5*||y - target||^2; outputs become w * (y - target), w the loss weights.

    outputs (V, R), values (R, V), loss_weights (R,), losses (R,) float64.
    """
    V, R = outputs.shape
    fill(losses, 0.0)
    for v in range(V):
        for r in range(R):
            if loss_weights[r]:
                difference = outputs[v, r] - values[r, v]
                losses[r] += 0.5 * loss_weights[r] * np.float64(difference) * np.float64(difference)
                outputs[v, r] = loss_weights[r] * difference
            else:
                outputs[v, r] = 0


@kernel
def inner_product(outputs, values, loss_weights, losses):
    """losses[r] = w[r] * sum_v values[r, v] y[v, r]; outputs become w * values, w the loss weights.

    outputs (V, R), values (R, V), loss_weights (R,), losses (R,) float64.
    """
    V, R = outputs.shape
    fill(losses, 0.0)
    for v in range(V):
        for r in range(R):
            scaled = loss_weights[r] * values[r, v] if loss_weights[r] else 0
            losses[r] += np.float64(outputs[v, r]) * np.float64(scaled)
            outputs[v, r] = scaled


@kernel
def count_correct(logits, classes, loss_weights):
    """How many columns of weight above 0 have their largest logit (first in a tie) at the class.

    A column that is not finite throughout is no answer.
    """
    V, R = logits.shape
    correct = 0
    for r in range(R):
        if loss_weights[r]:
            best, residue = 0, 0.0  # x - x is 0 for finite x, else NaN
            for v in range(V):
                residue += logits[v, r] - logits[v, r]
                if logits[v, r] > logits[best, r]:
                    best = v
            correct += residue == 0 and best == classes[r]
    return correct


@kernel
def score(outputs, loss, work):
    """The sum of the losses of the columns; `outputs` (V, R) become their derivative."""
    V, R = outputs.shape
    scratch = work.score
    loss_weights, losses = scratch.loss_weights[:R], scratch.losses[:R]
    if loss == CROSS_ENTROPY:
        classes, peak, total = scratch.classes[:R], scratch.peak[:R], scratch.total[:R]
        shifted = scratch.shifted[:R]
        softmax_cross_entropy(outputs, classes, loss_weights, peak, total, shifted, losses)
    elif loss == SQUARED_ERROR:
        squared_error(outputs, scratch.values[: R * V].reshape(R, V), loss_weights, losses)
    else:
        inner_product(outputs, scratch.values[: R * V].reshape(R, V), loss_weights, losses)
    return total_of(losses)
