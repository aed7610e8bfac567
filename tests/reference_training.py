"""Training as plain NumPy loops: truncated BPTT as an update rule, penalty, optimisers."""

from typing import NamedTuple

import numpy as np
import reference
from reference import Net


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


class Trained(NamedTuple):
    net: Net
    losses: list
    norms: list
    clipped: list
    omegas: list


def train(
    net,
    batches,
    optimizer,
    n_updates,
    *,
    activation="tanh",
    window=None,
    stride=None,
    carry="sequence",
    clip_norm=np.inf,
    clip_value=np.inf,
    penalty=0.0,
    variant="paper",
):
    """Updates by the definition; `batches` is an iterator of (x, targets, weights).

    The state from which a segment starts is looked up in the states of the segment before.
    """
    losses, norms, clips, omegas, last = [], [], [], [], None
    for x, targets, weights in batches:
        T, B = weights.shape
        K = T if window is None else window
        S = K if stride is None else stride
        known = {0: np.zeros((B, net.b_h.size))}
        if carry == "stream" and last is not None:
            known[0] = last
        for j in range(-(-T // S)):
            begin, end = max((j + 1) * S - K, 0), min((j + 1) * S, T)
            start = np.zeros((B, net.b_h.size)) if carry == "none" else known[begin]
            own = weights[begin:end].copy()
            own[: j * S - begin] = 0
            data = x[begin:end], targets[begin:end], own, start, activation
            states, _ = reference.unfold(net, x[begin:end], start, activation)
            known |= {begin + t: state for t, state in enumerate(states)}
            last = states[-1]
            if not own.any():
                continue
            if len(losses) == n_updates:
                return Trained(net, losses, norms, clips, omegas)
            gradient = reference.bptt(net, *data).weights
            losses.append(reference.loss(net, *data))
            if penalty:
                omegas.append(omega(net.W_hh, held_constant(net, *data), variant))
                extra = penalty * penalty_gradient(net, data, variant)
                gradient = gradient._replace(W_hh=gradient.W_hh + extra)
            gradients, norm, changed = clipped(list(gradient), clip_norm, clip_value)
            norms.append(norm)
            clips.append(changed)
            net = Net(*optimizer.step(list(net), gradients))
    return Trained(net, losses, norms, clips, omegas)
