"""Training as plain NumPy loops: truncated BPTT as an update rule, penalty, optimisers."""

from typing import NamedTuple

import numpy as np
import reference
import reference_stacks
from reference import Net
from reference_cells import CELLS


class Optimizer:
    """The rules of PyTorch, written from their documentation, for one list of arrays."""

    def __init__(self, name, rate, *, momentum=0.9, betas=(0.9, 0.999), decay=0.99, epsilon=1e-8):
        self.name, self.rate, self.momentum, self.betas = name, rate, momentum, betas
        self.decay, self.epsilon, self.count = decay, epsilon, 0
        self.first, self.second = None, None

    def step(self, arrays, gradients):
        if self.first is None:
            self.first = [np.zeros_like(a) for a in arrays]
            self.second = [np.zeros_like(a) for a in arrays]
        self.count += 1
        return [self._one(k, a, g) for k, (a, g) in enumerate(zip(arrays, gradients, strict=True))]

    def _one(self, k, a, g):
        if self.name == "sgd":
            return a - self.rate * g
        if self.name == "momentum":
            self.first[k] = self.momentum * self.first[k] + g
            return a - self.rate * self.first[k]
        if self.name == "adagrad":
            self.second[k] = self.second[k] + g**2
            return a - self.rate * g / (np.sqrt(self.second[k]) + self.epsilon)
        if self.name == "rmsprop":
            self.second[k] = self.decay * self.second[k] + (1 - self.decay) * g**2
            return a - self.rate * g / (np.sqrt(self.second[k]) + self.epsilon)
        b1, b2 = self.betas
        self.first[k] = b1 * self.first[k] + (1 - b1) * g
        self.second[k] = b2 * self.second[k] + (1 - b2) * g**2
        m_hat = self.first[k] / (1 - b1**self.count)
        v_hat = self.second[k] / (1 - b2**self.count)
        return a - self.rate * m_hat / (np.sqrt(v_hat) + self.epsilon)


def clipped(gradients, clip_norm=np.inf, clip_value=np.inf):
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    if norm > clip_norm:
        gradients = [g * clip_norm / norm for g in gradients]
    cut = [np.clip(g, -clip_value, clip_value) for g in gradients]
    changed = norm > clip_norm or any((a != b).any() for a, b in zip(cut, gradients, strict=True))
    return cut, norm, changed


def omega(W_hh, held, variant):
    """Omega as a function of the W_hh written here; `held` has (g_t, phi'(a_t)) of every step.

    Complex-safe: norms are square roots of sums of squares.
    """
    total, live = 0.0, 0.0
    B = held[0].shape[1]
    for g, slopes in zip(*(list(part) for part in held), strict=True):
        for b in range(B):
            size = (g[b] ** 2).sum()
            back = ((W_hh.T @ (slopes[b] * g[b])) ** 2).sum()
            if variant == "paper" and size > 0:
                total = total + (np.sqrt(back) / np.sqrt(size) - 1) ** 2 / B
            if variant == "code" and size >= 1e-20:
                total, live = total + (back / size - 1) ** 2, live + 1
    return total if variant == "paper" else total / live


def held_constant(net, x, targets, weights, h0, activation):
    """dL/dh_t and phi'(a_t) of steps 1..T, each (T, B, H)."""
    _, pre = reference.unfold(net, x, h0, activation)
    states = reference.bptt(net, x, targets, weights, h0, activation).state
    return states[1:], reference.slope(activation, pre)


def penalty_gradient(net, data, variant, eps=1e-30):
    """dOmega/dW_hh by complex steps in the explicit W_hh alone."""
    held = held_constant(net, *data)
    gradient = np.zeros_like(net.W_hh)
    for index in np.ndindex(*gradient.shape):
        moved = net.W_hh.astype(complex)
        moved[index] += 1j * eps
        gradient[index] = omega(moved, held, variant).imag / eps
    return gradient


class Segment(NamedTuple):
    """What one gradient is of; anew (T, B): where sequences begin anew, in `start` (B, S)."""

    x: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    anew: np.ndarray
    first: np.ndarray
    start: np.ndarray


def unfold(nets, data, cell):
    """Whole states (T, B, L*S) that steps begin with, and (T, B, L*S) that they end with."""
    state, before, after = data.first, [], []
    for x_t, anew in zip(data.x, data.anew, strict=True):
        before.append(np.where(anew[:, None], data.start, state))
        state = reference_stacks.advance(nets, x_t, before[-1], cell)
        after.append(state)
    return np.array(before), np.array(after)


def loss(nets, data, cell):
    """(1/B) sum_b sum_t w[t,b] * loss(y[t,b], target[t,b])."""
    states, total = unfold(nets, data, cell)[1], 0.0
    for t, b in zip(*np.nonzero(data.weights), strict=True):
        y = reference_stacks.read(nets, states[t])[2][b]
        total = total + data.weights[t, b] * reference.step_loss(y, data.targets[t, b])
    return total / data.weights.shape[1]


def gradient(nets, data, cell):
    """dL/dW of every layer, step by step and in each from the top down.

    What the elementwise part of a step does is read off its tangent.
    """
    kind, top, L, H = CELLS[cell], nets[-1], len(nets), nets[0].W_hh.shape[1]
    before, after = (np.split(states, L, axis=2) for states in unfold(nets, data, cell))
    padded = np.concatenate([before[-1][:1], after[-1]])[..., :H]
    dy = reference.output_gradient(top, padded, data.targets, data.weights) / len(data.first)
    found = [Net(*map(np.zeros_like, net)) for net in nets]
    found[-1].W_hy[:], found[-1].b_y[:] = np.einsum("tbv,tbh->vh", dy, padded[1:]), dy.sum((0, 1))
    dh, dc = ([np.zeros_like(p[0][:, part]) for p in before] for part in (slice(H), slice(H, None)))
    for t in reversed(range(len(data.x))):
        arrives, going = dy[t] @ top.W_hy, ~data.anew[t][:, None]
        for k in reversed(range(L)):
            net, own, h, c = nets[k], found[k], before[k][t, :, :H], before[k][t, :, H:]
            x = data.x[t] if k == 0 else after[k - 1][t, :, :H]
            at = (*kind.pre(net, x, h), h, c)
            d_x, d_h, through_h, through_c = _elementwise(kind, at, dh[k] + arrives, dc[k])
            own.W_xh[:] += d_x.T @ x
            own.W_hh[:] += d_h.T @ h
            own.b_h[: d_x.shape[1]] += d_x.sum(axis=0)
            if kind.biases > kind.gates:
                own.b_h[d_x.shape[1] :] += d_h[:, -H:].sum(axis=0)
            dh[k], dc[k] = going * (d_h @ net.W_hh + through_h), going * through_c
            arrives = d_x @ net.W_xh
    return found


def _elementwise(kind, at, dh, dc):
    """Gradients of the four arguments of a cell's step, from those of the next h and c."""
    found = []
    for k, argument in enumerate(at):
        moved, columns = [np.zeros_like(each) for each in at], []
        for block in range(argument.shape[1] // dh.shape[1]):
            moved[k][:] = 0
            moved[k][:, block * dh.shape[1] : (block + 1) * dh.shape[1]] = 1
            of_h, of_c = kind.tangent(at, moved)
            columns.append(dh * of_h + (dc * of_c if dc.size else 0))
        found.append(np.concatenate(columns, axis=1) if columns else np.zeros_like(argument))
    return found


class Trained(NamedTuple):
    nets: list
    losses: list
    norms: list
    clipped: list
    omegas: list
    state: np.ndarray  # what is carried on

    @property
    def net(self):
        """The top layer."""
        return self.nets[-1]


def train(
    nets,
    batches,
    optimizer,
    n_updates,
    *,
    activation="tanh",
    window=None,
    stride=None,
    carry="sequence",
    start=None,
    starts=None,
    accumulate=1,
    clip_norm=np.inf,
    clip_value=np.inf,
    clip_by="all",
    penalty=0.0,
    variant="paper",
):
    """Updates by the definition; `batches` is an iterator of (x, targets, weights).

    The state from which a segment starts is looked up in the states of the segment before. `starts`
    says of a batch where sequences begin anew. `activation` is the name of the cell. `nets`: one
    Net, or those of a stack.
    """
    nets = [nets] if isinstance(nets, Net) else list(nets)
    losses, norms, clips, omegas, carried, pending = [], [], [], [], None, []
    for x, targets, weights in batches:
        T, B = weights.shape
        K = T if window is None else window
        S = K if stride is None else stride
        memories, H = CELLS[activation].memories, nets[0].W_hh.shape[1]
        zero = np.zeros((B, len(nets) * (1 + memories) * H))
        anew = np.zeros((T, B), bool) if starts is None else starts(x)
        known = {0: zero if start is None else start}
        if carry == "stream" and carried is not None:
            known[0] = carried
        begin_at = zero if start is None else start
        for j in range(-(-T // S)):
            begin, end = max((j + 1) * S - K, 0), min((j + 1) * S, T)
            following = max((j + 2) * S - K, 0) if end < T else T
            own = weights[begin:end].copy()
            own[: j * S - begin] = 0
            if len(losses) == n_updates and own.any():
                return Trained(nets, losses, norms, clips, omegas, carried)
            first = begin_at if carry == "none" else known[begin]
            data = Segment(x[begin:end], targets[begin:end], own, anew[begin:end], first, begin_at)
            states = unfold(nets, data, activation)[1]
            known |= {begin + 1 + t: state for t, state in enumerate(states)}
            carried = known[following]
            if not own.any():
                continue
            found, omega_ = gradient(nets, data, activation), 0.0
            if penalty:
                (net,), (own_part,) = nets, found
                plain = x[begin:end], targets[begin:end], own, first, activation
                omega_ = omega(net.W_hh, held_constant(net, *plain), variant)
                own_part.W_hh[:] += penalty * penalty_gradient(net, plain, variant)
            found = [array for layer in found for array in layer]
            pending.append((loss(nets, data, activation), omega_, found))
            if len(pending) < accumulate:
                continue
            every_loss, every_omega, parts = zip(*pending, strict=True)
            pending = []
            losses.append(sum(every_loss))
            omegas += [sum(every_omega)] if penalty else []
            together = [np.sum(arrays, axis=0) for arrays in zip(*parts, strict=True)]
            count = len(together) if clip_by == "all" else len(Net._fields)
            each = [
                clipped(together[i : i + count], clip_norm, clip_value)
                for i in range(0, len(together), count)
            ]
            norms.append(np.sqrt(sum(norm**2 for _, norm, _ in each)))
            clips.append(any(changed for _, _, changed in each))
            gradients = [array for arrays, _, _ in each for array in arrays]
            arrays = optimizer.step([array for net in nets for array in net], gradients)
            nets = [Net(*arrays[i : i + 5]) for i in range(0, len(arrays), 5)]
        if len(losses) == n_updates:
            break
    return Trained(nets, losses, norms, clips, omegas, carried)
