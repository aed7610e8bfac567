"""From a gradient to new weights, for one network whose weights are one flat vector.

Nothing here knows what the entries mean: the rules serve any network.
"""

import math
from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.arithmetic.norms import frobenius

SGD, MOMENTUM, ADAM, RMSPROP, ADAGRAD = 0, 1, 2, 3, 4


class Rule(NamedTuple):
    """What all networks have in common: the optimiser's code and its constants, as in PyTorch."""

    optimizer: int
    momentum: float
    beta1: float
    beta2: float
    decay: float
    epsilon: float


@kernel
def constrained_norm(labels, gradient, groups):
    """||gradient|| over free parameters; entries that share one get their common gradient.

    gradient (P,). labels (P,) int64: entries of one |label| are one parameter, up to the sign of
    the label; label 0 is held fixed. Without labels (0,) all entries are free. groups (G+1,)
    float64 is scratch for G labels.
    """
    if labels.size == 0:
        return frobenius(gradient.reshape(1, gradient.size))
    fill(groups, 0.0)
    for i in range(labels.size):
        groups[abs(labels[i])] += gradient[i] if labels[i] > 0 else -gradient[i]
    groups[0] = 0.0
    for i in range(labels.size):
        gradient[i] = groups[abs(labels[i])] if labels[i] > 0 else -groups[abs(labels[i])]
    return frobenius(groups.reshape(1, groups.size))


@kernel
def constrained_norms(labels, gradient, bounds, groups, norms):
    """The same of each part of a gradient, into norms (L,); returns that of all together.

    Part i is entries bounds[i]..bounds[i+1]-1; no parameter is shared between parts.
    """
    for i in range(norms.size):
        a, b = bounds[i], bounds[i + 1]
        norms[i] = constrained_norm(labels[a:b], gradient[a:b], groups)
    return norms[0] if norms.size == 1 else frobenius(norms.reshape(1, norms.size))


@kernel
def clip_parts(gradient, bounds, norms, clip_norm, clip_value):
    """`clip` of each part by its own norm; whether any changed."""
    clipped = False
    for i in range(norms.size):
        part = gradient[bounds[i] : bounds[i + 1]]
        clipped |= clip(part, norms[i], clip_norm, clip_value)
    return clipped


@kernel
def clip(gradient, norm, clip_norm, clip_value):
    """gradient *= min(1, clip_norm/norm), then into -clip_value..clip_value; whether it changed."""
    P, clipped = gradient.size, False
    if norm > clip_norm:
        factor, clipped = clip_norm / norm, True
        for i in range(P):
            gradient[i] = gradient[i] * factor
    if clip_value < np.inf:
        largest = 0.0
        for i in range(P):
            largest = max(largest, abs(np.float64(gradient[i])))
            gradient[i] = min(max(gradient[i], -clip_value), clip_value)
        clipped |= largest > clip_value
    return clipped


@kernel
def step(rule, rate, count, gradient, first, second, values, out):
    """out = the weights after update number `count` (from 1); first and second are its moments.

    All (P,).

        SGD         w - rate*g
        MOMENTUM    m = momentum*m + g;                              w - rate*m
        ADAM        m = beta1*m + (1-beta1)*g, v = beta2*v + (1-beta2)*g^2;
                    w - rate/(1-beta1^count) * m/(sqrt(v/(1-beta2^count)) + epsilon)
        RMSPROP     v = decay*v + (1-decay)*g^2;                     w - rate*g/(sqrt(v) + epsilon)
        ADAGRAD     v = v + g^2;                                     w - rate*g/(sqrt(v) + epsilon)
    """
    P = values.size
    if rule.optimizer == SGD:
        for i in range(P):
            out[i] = values[i] - rate * gradient[i]
    elif rule.optimizer == MOMENTUM:
        for i in range(P):
            first[i] = rule.momentum * first[i] + gradient[i]
            out[i] = values[i] - rate * first[i]
    elif rule.optimizer == ADAM:
        size = rate / (1.0 - rule.beta1**count)
        root = math.sqrt(1.0 - rule.beta2**count)
        for i in range(P):
            g = np.float64(gradient[i])
            first[i] = rule.beta1 * first[i] + (1.0 - rule.beta1) * g
            second[i] = rule.beta2 * second[i] + (1.0 - rule.beta2) * g * g
            out[i] = values[i] - size * first[i] / (math.sqrt(second[i]) / root + rule.epsilon)
    else:
        kept, new = (1.0, 1.0) if rule.optimizer == ADAGRAD else (rule.decay, 1.0 - rule.decay)
        for i in range(P):
            g = np.float64(gradient[i])
            second[i] = kept * second[i] + new * g * g
            out[i] = values[i] - rate * g / (math.sqrt(second[i]) + rule.epsilon)
