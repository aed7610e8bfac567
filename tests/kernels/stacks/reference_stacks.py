"""Plain-loop twins of stacks: several `reference.Net`, the lowest first, of one cell.

A state is (B, L*S): the states of the layers one behind the other, the lowest first.
"""

from typing import NamedTuple

import numpy as np
import reference
from reference_cells import CELLS


def advance(nets, x, state, cell, bump=None):
    """The states of the next step (B, L*S); bump = (m, (B, S)) is added to what layer m becomes."""
    after = []
    for k, (net, part) in enumerate(zip(nets, np.split(state, len(nets), axis=1), strict=True)):
        H = net.W_hh.shape[1]
        whole = np.concatenate(CELLS[cell].advance(net, x, part[:, :H], part[:, H:]), axis=1)
        if bump is not None and bump[0] == k:
            whole = whole + bump[1]
        after.append(whole)
        x = whole[:, :H]
    return np.concatenate(after, axis=1)


def unfold(nets, x, state, cell):
    """Whole states (T+1, B, L*S)."""
    states = [state]
    for x_t in x:
        states.append(advance(nets, x_t, states[-1], cell))
    return np.array(states)


def read(nets, state):
    """(h, memories, y) of the top layer, from a whole state."""
    top, part = nets[-1], np.split(state, len(nets), axis=1)[-1]
    h, c = np.split(part, [top.W_hh.shape[1]], axis=1)
    return h, c, h @ top.W_hy.T + top.b_y


class Temporal(NamedTuple):
    """dl_t/d(what step s reads) at [t-1, s-1], by layer a Net; dl_t/d(states of s) at [t-1, s].

    states (T, T+1, B, L*S): each layer's at those of all others held fixed; by_paths likewise, by
    all paths, so also those up through the layers within step s.
    """

    layers: list
    x: np.ndarray
    states: np.ndarray
    by_paths: np.ndarray


def temporal(nets, x, state, cell, loss_of_step):
    """What every loss owes to every step, by complex steps; loss_of_step(t, h, c, y)."""
    T, L, states = len(x), len(nets), unfold(nets, x, state, cell)
    S = state.shape[1] // L

    def losses(s, state, changed=nets, x_s=None, bump=None):
        found = [0.0] * T
        for t in range(s + 1, T + 1):
            used = changed if t == s + 1 else nets
            x_t = x_s if t == s + 1 and x_s is not None else x[t - 1]
            state = advance(used, x_t, state, cell, bump if t == s + 1 else None)
            found[t - 1] = loss_of_step(t, *read(used, state))
        return np.array(found)

    def of_leaf(s, state):
        own = np.zeros(T, complex)
        if s > 0:
            own[s - 1] = loss_of_step(s, *read(nets, state))
        return own + losses(s, state)

    def of_weight(m, name):
        def changed(array):
            return [n._replace(**{name: array}) if i == m else n for i, n in enumerate(nets)]

        weight = getattr(nets[m], name)
        return _to_front(
            [
                reference.derivative(lambda a, s=s: losses(s, states[s], changed(a)), weight)
                for s in range(T)
            ]
        )

    def of_bump(m, s):
        zero = np.zeros((len(state), S))
        return reference.derivative(lambda a: losses(s - 1, states[s - 1], bump=(m, a)), zero)

    of_x = [
        reference.derivative(lambda a, s=s: losses(s, states[s], x_s=a), x[s]) for s in range(T)
    ]
    fixed = [reference.derivative(lambda a, s=s: of_leaf(s, a), states[s]) for s in range(T + 1)]
    paths = [fixed[0]]
    for s in range(1, T + 1):
        paths.append(np.concatenate([of_bump(m, s) for m in range(L)], axis=2))
    layers = [
        reference.Net(*(of_weight(m, name) for name in reference.Net._fields)) for m in range(L)
    ]
    return Temporal(layers, *map(_to_front, (of_x, fixed, paths)))


def _to_front(of_steps):
    return np.swapaxes(np.array(of_steps), 0, 1)


def touched(T, window, stride):
    """(T, T) bool at [t-1, s-1]: whether the sweep that carries loss t touches step s; and h_0."""
    lowest = np.maximum((np.arange(T) // stride + 1) * stride - window + 1, 1)
    return lowest[:, None] <= np.arange(1, T + 1), lowest == 1


def within(parts, window, stride):
    """Of `temporal`, what sweeps of truncated BPTT touch, of each step summed over the losses."""
    steps, starts = touched(len(parts.x), window, stride)
    of_states = np.concatenate([starts[:, None], steps], axis=1)

    def over(mask, array):
        return np.einsum("ts,ts...->s...", mask, array)

    layers = [reference.Net(*(over(steps, a) for a in net)) for net in parts.layers]
    return Temporal(
        layers,
        over(steps, parts.x),
        over(of_states, parts.states),
        over(of_states, parts.by_paths),
    )


def rtrl(nets, x, targets, weights, state, cell):
    """dL/dW of every layer by forward sensitivity: a tangent of all states for each entry.

    What a layer's tangent does to its h is, within the same step, a change of the input above.
    """
    kind, L, H = CELLS[cell], len(nets), nets[0].W_hh.shape[1]
    states, top = unfold(nets, x, state, cell), nets[-1]
    h_top = np.split(states, L, axis=-1)[-1][..., :H]
    dy = reference.output_gradient(top, h_top, targets, weights) / len(state)
    found = [reference.Net(*map(np.zeros_like, net)) for net in nets]
    found[-1].W_hy[:] = np.einsum("tbv,tbh->vh", dy, h_top[1:])
    found[-1].b_y[:] = dy.sum((0, 1))
    for m, name in [(m, name) for m in range(L) for name in ("W_xh", "W_hh", "b_h")]:
        for index in np.ndindex(*getattr(nets[m], name).shape):
            way = reference.Net(*map(np.zeros_like, nets[m]))
            getattr(way, name)[index] = 1
            moved = [np.zeros_like(part) for part in np.split(state, L, axis=1)]
            for t, x_t in enumerate(x):
                reads, d_reads = x_t, np.zeros_like(x_t)
                parts = zip(nets, np.split(states[t], L, axis=1), strict=True)
                for k, (net, part) in enumerate(parts):
                    h, c = part[:, :H], part[:, H:]
                    own = net._replace(b_h=np.zeros_like(net.b_h))
                    d_x, d_h = kind.pre(own, d_reads, moved[k][:, :H])
                    if k == m:
                        more = kind.pre(way, reads, h)
                        d_x, d_h = d_x + more[0], d_h + more[1]
                    change = d_x, d_h, moved[k][:, :H], moved[k][:, H:]
                    dh, dc = kind.tangent((*kind.pre(net, reads, h), h, c), change)
                    moved[k] = np.concatenate([dh, dc], axis=1)
                    reads, d_reads = np.split(states[t + 1], L, axis=1)[k][:, :H], dh
                getattr(found[m], name)[index] += np.sum((dy[t] @ top.W_hy) * moved[-1][:, :H])
    return found
