"""Plain-loop versions of what encoder-decoder networks do; one pair of networks, complex-safe.

Cells are told by their names in `reference_cells`, the encoder's first.
"""

import numpy as np
import reference
import reference_stacks
from reference import Net
from reference_cells import CELLS, step_derivatives


def handed(encoder, decoder, cells):
    """How many memories the decoder goes on with: those of an LSTM of its own size, or none."""
    H = decoder.W_hh.shape[1]
    return H if cells == ("lstm", "lstm") and encoder.W_hh.shape[1] == H else 0


def at_rest(net, cell, B):
    """Whole states (B, S) of 0."""
    return np.zeros((B, (1 + CELLS[cell].memories) * net.W_hh.shape[1]))


def first_state(encoder, decoder, source, cells):
    """The decoder's (B, S): h_0 is the encoder's output at its last step."""
    B, H_e, H = source.shape[1], encoder.W_hh.shape[1], decoder.W_hh.shape[1]
    last = reference.unfold(encoder, source, at_rest(encoder, cells[0], B), cells[0])[0][-1]
    first = at_rest(decoder, cells[1], B) + 0 * last[:, :1]
    first[:, :H] = last[:, :H_e] @ encoder.W_hy.T + encoder.b_y
    if handed(encoder, decoder, cells):
        first[:, H:] = last[:, H_e:]
    return first


def loss(encoder, decoder, source, target, cells):
    """L of a pair; target is (inputs, targets, weights)."""
    start = first_state(encoder, decoder, source, cells)
    return reference.loss(decoder, *target, start, cells[1])


def complex_step(encoder, decoder, source, target, cells, eps=1e-30):
    """Gradients with respect to all ten weight arrays, to machine precision."""

    def derivative(arrays, k):
        gradient = np.zeros(arrays[k].shape)
        for index in np.ndindex(*arrays[k].shape):
            moved = [array.astype(complex) for array in arrays]
            moved[k][index] += 1j * eps
            value = loss(Net(*moved[:5]), Net(*moved[5:]), source, target, cells)
            gradient[index] = value.imag / eps
        return gradient

    arrays = [*encoder, *decoder]
    gradients = [derivative(arrays, k) for k in range(10)]
    return Net(*gradients[:5]), Net(*gradients[5:])


def greedy(encoder, decoder, source, cells, start, end, n_steps):
    """Class ids (T, B), one sequence and one symbol at a time."""
    first, H = first_state(encoder, decoder, source, cells), decoder.W_hh.shape[1]
    ids = np.full((n_steps, len(first)), end)
    for b in range(len(first)):
        read, h, c = start, first[b : b + 1, :H], first[b : b + 1, H:]
        for t in range(n_steps):
            x = np.eye(decoder.W_xh.shape[1])[[read]]
            h, c = CELLS[cells[1]].advance(decoder, x, h, c)
            ids[t, b] = read = np.argmax(decoder.W_hy @ h[0] + decoder.b_y)
            if read == end:
                break
    return ids


def bridge(encoder, decoder, cells):
    """d(first state of the decoder)/d(last state of the encoder), (S, S_e)."""
    whole = np.zeros((at_rest(decoder, cells[1], 1).size, at_rest(encoder, cells[0], 1).size))
    H, H_e, M = *encoder.W_hy.shape, handed(encoder, decoder, cells)
    whole[:H, :H_e] = encoder.W_hy
    whole[H : H + M, H_e : H_e + M] = np.eye(M)
    return whole


def jacobians(net, x, start, cell):
    """ds_t/ds_{t-1} and ds_t/dx_t of whole states, each (T, B, S, .)."""
    states, _ = reference.unfold(net, x, start, cell)
    of_state, of_pre = step_derivatives(net, x, states, cell)
    return of_state, of_pre[..., : len(net.W_xh)] @ net.W_xh


# Pairs of stacks: lists of Nets, the lowest first. One bridge, the readout of the encoder's top.


def first_states(encoders, decoders, source, cells):
    """The decoder's (B, L*S): h of each layer is what the bridge makes of the encoder's last h."""
    rest = np.concatenate([at_rest(net, cells[0], source.shape[1]) for net in encoders], axis=1)
    last = reference_stacks.unfold(encoders, source, rest, cells[0])[-1]
    return crossed(encoders, decoders, last, cells)


def crossed(encoders, decoders, last, cells):
    """The same from the encoder's last states (B, L*S)."""
    B, H_e, H = len(last), encoders[0].W_hh.shape[1], decoders[0].W_hh.shape[1]
    found = []
    for part in np.split(last, len(encoders), axis=1):
        passed = part[:, :H_e] @ encoders[-1].W_hy.T + encoders[-1].b_y
        first = at_rest(decoders[0], cells[1], B).astype(passed.dtype)
        first[:, :H] = passed
        if handed(encoders[0], decoders[0], cells):
            first[:, H:] = part[:, H_e:]
        found.append(first)
    return np.concatenate(found, axis=1)


def loss_from(decoders, inputs, targets, weights, state, cell):
    """L of a decoder of several layers that begins in a whole state (B, L*S)."""
    states, total = reference_stacks.unfold(decoders, inputs, state, cell), 0.0
    for t, b in zip(*np.nonzero(weights), strict=True):
        y = reference_stacks.read(decoders, states[t + 1])[2][b]
        total = total + weights[t, b] * reference.step_loss(y, targets[t, b])
    return total / weights.shape[1]


def loss_of_stacks(encoders, decoders, source, target, cells):
    """L of a pair of stacks; target is (inputs, targets, weights)."""
    start = first_states(encoders, decoders, source, cells)
    return loss_from(decoders, *target, start, cells[1])


def gradients_of_stacks(encoders, decoders, source, target, cells):
    """Lists of Nets: the gradients of all weights of both, by complex steps."""
    parts, found = (encoders, decoders), ([], [])
    for k, nets in enumerate(parts):
        for layer, net in enumerate(nets):

            def loss(array, name, k=k, layer=layer):
                moved = [list(part) for part in parts]
                moved[k][layer] = moved[k][layer]._replace(**{name: array})
                return loss_of_stacks(*moved, source, target, cells)

            found[k].append(
                Net(
                    *(
                        reference.derivative(lambda a, name=name: loss(a, name), getattr(net, name))
                        for name in Net._fields
                    )
                )
            )
    return found
