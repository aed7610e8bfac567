"""NumPy: backpropagation through time by hand, batched over networks with stacked products."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from .cells_in_numpy import Layer
from .contestants import (
    Contestant,
    Prepared,
    exponents,
    flow_arrays,
    in_threads,
    shares,
    weight_arrays,
)
from .workloads import CLIP_NORM, LEARNING_RATE, Floats, Problem, first_frame

_BLOCK = 1 << 21  # states (numbers) of the networks that are treated together: 16 MiB in float64

Weights = tuple[Floats, ...]  # W_xh, W_hh, W_hy, b_h, b_y and those before, of some networks
Parts = tuple[Any, ...]  # their loss, and their gradients or trained weights
Form = Callable[[Problem, Weights], Parts]


def one_by_one(form: Form, problem: Problem) -> Prepared:
    """Blocks of networks one after the other; BLAS has all cores."""
    everything = slice(0, problem.workload.N)
    return Prepared(lambda: _blocks(form, problem, everything), partial(_arrays, problem))


def threads(form: Form, problem: Problem) -> Prepared | None:
    """Blocks of networks, a share of the ensemble on every core; BLAS has one thread."""
    parts = shares(problem.workload.N)
    if len(parts) == 1:
        return None
    controller = ThreadpoolController()
    tasks = [partial(_blocks, form, problem, part) for part in parts]

    def run() -> list[Parts]:
        with controller.limit(limits=1):
            return [block for blocks in in_threads(tasks) for block in blocks]

    return Prepared(run, partial(_arrays, problem))


def _arrays(problem: Problem, blocks: list[Parts]) -> dict[str, Any]:
    loss, *found = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return weight_arrays(problem, loss, found)


def _blocks(form: Form, problem: Problem, networks: slice) -> list[Parts]:
    w, results = problem.workload, []
    size = max(1, _BLOCK // (w.T * w.B * w.H))
    starts = range(networks.start, networks.stop, size)
    for n in starts:
        block = slice(n, min(n + size, networks.stop))
        results.append(form(problem, tuple(array[block] for array in problem.weights)))
    return results


def _gradients(problem: Problem, weights: Weights) -> Parts:
    """Loss and gradients of some networks; axes (n, t, b, unit), so that sums are one product."""
    W_xh, W_hh, W_hy, b_h, b_y, *before = weights
    w, n, first = problem.workload, len(W_hh), problem.workload.first_loss
    x: Floats = problem.inputs
    start: Any = 0.0
    below = None
    if before:
        decoding = w.kind == "pairs"
        below = Layer(w.cell, problem.sources if decoding else x, *before)
        x, start = (x, below.states[:, -1]) if decoding else (below.states[:, 1:], 0.0)
    top = Layer(w.cell, x, W_xh, W_hh, b_h, start)

    heard = top.states[:, first + 1 :].reshape(n, -1, w.H)
    loss, error = _cross_entropy(heard @ W_hy.mT + b_y[:, None], problem.targets[first:], w.B)
    dW_xh, dW_hh, db_h = top.back((error @ W_hy).reshape(n, w.T - first, w.B, w.H))
    gradients = dW_xh, dW_hh, error.mT @ heard, db_h, error.sum(1)
    if below is None:
        return loss, *gradients
    reached = top.at_start[:, None] if w.kind == "pairs" else top.to_inputs()
    return loss, *gradients, *below.back(reached)


def _trained(problem: Problem, weights: Weights) -> Parts:
    """Mean loss and weights after all updates of some networks."""
    weights, losses = tuple(array.copy() for array in weights), []
    for _ in range(problem.workload.n_updates):
        loss, *gradients = _gradients(problem, weights)
        losses.append(loss)
        flat = [g.reshape(len(g), -1) for g in gradients]
        norms = np.sqrt(sum(np.vecdot(g, g) for g in flat))
        rates = LEARNING_RATE * np.minimum(1, CLIP_NORM / norms)
        for array, g in zip(weights, gradients, strict=True):
            array -= rates.reshape(-1, *[1] * (g.ndim - 1)) * g
    return np.mean(losses, axis=0), *weights


def _cross_entropy(logits: Floats, targets: Any, n_sequences: int) -> tuple[Floats, Floats]:
    """Loss (n,) and dL/dlogits (n, rows, V), which takes the place of the logits."""
    rows, chosen = np.arange(logits.shape[1]), targets.ravel()
    logits -= logits.max(axis=2, keepdims=True)
    picked = logits[:, rows, chosen]
    np.exp(logits, out=logits)
    total = logits.sum(axis=2, keepdims=True)
    loss = (np.log(total[..., 0]) - picked).sum(axis=1, dtype=np.float64) / n_sequences
    logits /= total
    logits[:, rows, chosen] -= 1
    logits /= n_sequences
    return loss, logits


def flow(windows: bool, problem: Problem) -> Prepared:
    """Norms of dl[t,b]/dh_{t-k}: all rows move one step back at a time, one product for each lag.

    The algorithm is rnnsim's own. With windows the outer product of the rows of every lag as well,
    whose running sums are the gradients of all windows.
    """
    w = problem.workload
    assert w.N == 1
    assert not w.last_loss_only
    ones = np.ones((w.T, w.B, 1), problem.inputs.dtype)

    def run() -> tuple[Floats, Any]:
        W_xh, W_hh, W_hy, b_h, b_y = problem.weights
        states = Layer("vanilla", problem.inputs, W_xh, W_hh, b_h).states[0]
        logits = states[None, 1:].reshape(1, -1, w.H) @ W_hy.mT + b_y[:, None]
        error = _cross_entropy(logits, problem.targets, 1)[1]
        slope = 1 - states[1:] ** 2
        rows = (error[0] @ W_hy[0]).reshape(w.T, w.B, w.H)
        moved = np.empty_like(rows)
        norms = np.zeros((w.T, w.T, w.B), rows.dtype)
        heard = np.concatenate([states[:-1], problem.inputs, ones], axis=2)
        heard = heard.reshape(w.T * w.B, -1)
        sums = np.empty((w.T if windows else 0, w.H, heard.shape[1]), rows.dtype)
        for k in range(w.T):
            n = w.T - k  # rows t = k..T-1, counted from 0, are at step t-k
            norms[k:, k] = np.sqrt(np.einsum("tbh,tbh->tb", rows[:n], rows[:n]))
            np.multiply(rows[:n], slope[:n], out=moved[:n])
            flat = moved[:n].reshape(-1, w.H)
            if windows:
                np.matmul(flat.T, heard[: n * w.B], out=sums[k])
                sums[k] += sums[k - 1] if k else 0
            np.matmul(flat[w.B :], W_hh[0], out=rows[: n - 1].reshape(-1, w.H))
        return norms, windows_of(sums.reshape(w.T, -1)) if windows else None

    return Prepared(run, lambda found: flow_arrays(w.B, *found))


def windows_of(sums: Floats) -> tuple[Floats, Floats]:
    """Norms (T,) of the gradients (T, numbers) of all windows, cosines to the last of them."""
    norms = np.sqrt(np.vecdot(sums, sums))
    return norms, sums @ sums[-1] / (norms * norms[-1])


def lyapunov(problem: Problem) -> Prepared:
    """A loop over steps, QR of all networks' frames in one call."""
    w = problem.workload

    def run() -> Floats:
        W_xh, W_hh, _, b_h, _ = problem.weights
        states = Layer("vanilla", problem.inputs, W_xh, W_hh, b_h).states[:, 1:, 0]
        slopes = 1 - states**2
        frames, logs = np.linalg.qr(np.broadcast_to(first_frame(problem), W_hh.shape))[0], 0.0
        for t in range(w.T):
            frames, R = np.linalg.qr(slopes[:, t, :, None] * (W_hh @ frames))
            logs = logs + np.log(np.abs(np.diagonal(R, axis1=1, axis2=2)))
        return np.asarray(logs)

    return Prepared(run, lambda logs: exponents(logs, w.T))


CONTESTANTS: dict[str, dict[str, Contestant]] = {
    **{
        kind: {
            "by hand": partial(one_by_one, form),
            "by hand, in threads": partial(threads, form),
        }
        for kind, form in (("bptt", _gradients), ("pairs", _gradients), ("updates", _trained))
    },
    "flow": {"lag recursion": partial(flow, False)},
    "windows": {"lag recursion": partial(flow, True)},
    "lyapunov": {"qr, batched": lyapunov},
}
