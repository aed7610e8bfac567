"""Gradients truncated in time: any window, any stride."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy.typing as npt

from rnnsim import checks, kernels, parallel
from rnnsim.checks import FloatArray
from rnnsim.data.labels.results import described
from rnnsim.data.sequences import Sequences
from rnnsim.gradients.bptt import Gradients, flops_per_network, gradients_of
from rnnsim.gradients.every_step import MAX_MEMORY, checked_keep, gradient_arrays
from rnnsim.gradients.stacked import end_truncated, score_all, truncated_of_stack
from rnnsim.kernels.gradients.backward import forward_steps
from rnnsim.kernels.gradients.truncated import (
    depths,
    finish_truncated,
    start_truncated,
    sweep_depths,
)
from rnnsim.networks.binding import batch_for, final_for, weights_for
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Network, Stack
from rnnsim.networks.states import cell_of

_ELEMENTWISE = 64  # what a unit costs beside its products, in their arithmetic


def truncated_bptt(
    rnn: Network,
    sequences: Sequences,
    *,
    window: int,
    stride: int | None = None,
    h0: npt.ArrayLike | None = None,
    c0: npt.ArrayLike | None = None,
    n_threads: int | None = None,
    keep: Iterable[str] = (),
    max_memory: float = MAX_MEMORY,
) -> Gradients:
    """Truncated backpropagation through time, for any window K and stride S <= K.

    Block j holds steps jS+1..min((j+1)S, T). After each block one backward sweep starts at the
    block's last step, carries the loss of that block only, and goes back down to step (j+1)S-K+1.
    The state is carried across every cut, its gradient is not, neither that of h nor that of the
    memories of an LSTM; each loss term is used once. In a stack a sweep goes down through the
    layers within each of its steps, so that all layers have the same window.

    ==========  ==========  =======================================================================
    S = K       segments    only the loss inside a segment is used; a last, shorter one stays inside
    S = 1       sliding     every loss is backpropagated exactly K steps
    K >= T      full        equals `bptt`
    ==========  ==========  =======================================================================

    In the notation TBPTT(k1, k2) of Williams and Peng (1990), k1 = S and k2 = K.

    Parameters
    ----------
    rnn, sequences, h0, c0, n_threads, keep, max_memory
        As in `bptt`.
    window : int
        K, how many steps a sweep touches at most; window 1 touches only the step of the loss.
    stride : int, optional
        S, how many steps apart the sweeps start; equal to `window` unless given.

    Returns
    -------
    Gradients
        `state_norms`, `states` and `memories` are of the sum over sweeps of dL/dh_t and dL/dc_t;
        `h0` and `c0` receive a gradient exactly when step 1 does.

    Raises
    ------
    MemoryError, TypeError, ValueError
        As in `bptt`; a window or stride below 1 or not an integer, a stride above the window.

    Examples
    --------
    >>> import numpy as np
    >>> from rnnsim import bptt
    >>> rnn = RNN.sample(2, n_inputs=3, n_hidden=8, n_outputs=4, rng=0)
    >>> rng = np.random.default_rng(1)
    >>> batch = Sequences(rng.normal(size=(20, 5, 3)), rng.integers(0, 4, (20, 5)))
    >>> segments = truncated_bptt(rnn, batch, window=5)
    >>> bool(np.allclose(truncated_bptt(rnn, batch, window=20).W_hh, bptt(rnn, batch).W_hh))
    True
    """
    K, S = checks.window_and_stride(window, stride)
    batch = batch_for(rnn, sequences, h0, c0)
    kept, final = checked_keep(rnn, batch, keep, max_memory), final_for(rnn, sequences)
    T, B = sequences.n_steps, sequences.n_sequences
    K, S = min(K, 2 * T), min(S, T)  # beyond these nothing changes
    first, last = depths(T, K, S)
    row = sum(layer.b_h.shape[1] * (rnn.n_hidden + _ELEMENTWISE) for layer in rnn.layers)
    flops_per_depth = -(-T // S) * (2.0 * B * row + parallel.FLOPS_PER_STEP)
    flops = flops_per_network(rnn, T * B) + T * parallel.FLOPS_PER_STEP
    pieces = T * parallel.FLOPS_PER_CALL / flops, parallel.FLOPS_PER_CALL / flops_per_depth
    chunks = max(1, int(pieces[0])), max(1, int(pieces[1]))
    if isinstance(rnn, Stack):
        out, prepare = truncated_of_stack(rnn, batch, (K, S), chunks, kept, final)
    else:
        out, prepare = _truncated(rnn, batch, (K, S), chunks, kept, final)
    flops += (last - first) * flops_per_depth
    parallel.over_networks(len(rnn), n_threads, prepare, flops=flops)
    found = gradients_of(rnn, batch, out, kept)
    return described(found, rnn, sequences, window=K, stride=S)


def _truncated(
    rnn: RNN,
    batch: kernels.Batch,
    truncation: tuple[int, int],
    chunks: tuple[int, int],
    kept: frozenset[str],
    final: FloatArray,
) -> tuple[kernels.GradientArrays, Callable[[], parallel.Worker]]:
    """Results, and what makes the workers that fill them; chunks: of steps and of depths."""
    (weights,), cell, (K, S) = weights_for(rnn, batch), cell_of(rnn), truncation
    out, T = gradient_arrays(weights, batch, kept), batch.inputs.shape[1]
    first, last = depths(T, K, S)

    def prepare() -> parallel.Worker:
        work = kernels.truncated_work(weights, batch, S, cell)
        work = work._replace(common=work.common._replace(final=final))

        def worker(start: int, stop: int) -> Iterator[None]:
            for n in range(start, stop):
                yield from _begin(weights, batch, cell, n, chunks[0], work, out)
                for depth, end in parallel.pieces(last - first, chunks[1]):
                    sweep_depths(cell, K, S, first + depth, first + end, work)
                    yield
                yield from end_truncated(cell, n, T, chunks[0], work, out)
                finish_truncated(n, work, out)

        return worker

    return out, prepare


def _begin(
    weights: kernels.Weights,
    batch: kernels.Batch,
    cell: Any,
    n: int,
    chunk: int,
    work: kernels.TruncatedWork,
    out: kernels.GradientArrays,
) -> Iterator[None]:
    """Forward pass and losses of one network, in compiled calls of about `chunk` steps."""
    T = batch.inputs.shape[1]
    start_truncated(weights, batch, n, work, out)
    for first, last in parallel.pieces(T, chunk):
        forward_steps(batch, cell, n, first, last, work.common)
        yield
    yield from score_all(batch, n, chunk, work.common, out)
