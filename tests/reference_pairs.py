"""Plain-loop versions of what encoder-decoder networks do; one pair of networks, complex-safe."""

import numpy as np
import reference
from reference import Net


def first_state(encoder, source, activation):
    """h_0 (B, H) of the decoder: the encoder's output at its last step."""
    begin = np.zeros((source.shape[1], encoder.b_h.size))
    states, _ = reference.unfold(encoder, source, begin, activation)
    return states[-1] @ encoder.W_hy.T + encoder.b_y


def loss(encoder, decoder, source, target, activations):
    """L of a pair; target is (inputs, targets, weights), activations the two names."""
    h0 = first_state(encoder, source, activations[0])
    return reference.loss(decoder, *target, h0, activations[1])


def complex_step(encoder, decoder, source, target, activations, eps=1e-30):
    """Gradients with respect to all ten weight arrays, to machine precision."""

    def derivative(arrays, k):
        gradient = np.zeros(arrays[k].shape)
        for index in np.ndindex(*arrays[k].shape):
            moved = [array.astype(complex) for array in arrays]
            moved[k][index] += 1j * eps
            value = loss(Net(*moved[:5]), Net(*moved[5:]), source, target, activations)
            gradient[index] = value.imag / eps
        return gradient

    arrays = [*encoder, *decoder]
    gradients = [derivative(arrays, k) for k in range(10)]
    return Net(*gradients[:5]), Net(*gradients[5:])


def greedy(encoder, decoder, source, activations, start, end, n_steps):
    """Class ids (T, B), one sequence and one symbol at a time."""
    h0 = first_state(encoder, source, activations[0])
    ids = np.full((n_steps, len(h0)), end)
    for b, state in enumerate(h0):
        read = start
        for t in range(n_steps):
            x = np.eye(decoder.W_xh.shape[1])[read]
            a = decoder.W_xh @ x + decoder.W_hh @ state + decoder.b_h
            state = reference.phi(activations[1], a)
            ids[t, b] = read = np.argmax(decoder.W_hy @ state + decoder.b_y)
            if read == end:
                break
    return ids


def jacobians(net, x, h0, activation):
    """dh_t/dh_{t-1} and dh_t/dx_t, each (T, B, H, .)."""
    _, pre = reference.unfold(net, x, h0, activation)
    slopes = reference.slope(activation, pre)[..., None]
    return slopes * net.W_hh, slopes * net.W_xh
