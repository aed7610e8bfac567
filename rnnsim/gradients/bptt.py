"""Gradients: full backpropagation through time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks, kernels, parallel
from rnnsim.checks import FloatArray
from rnnsim.data.sequences import Sequences
from rnnsim.gradients import team
from rnnsim.kernels import StepNorms, Weights
from rnnsim.kernels.gradients.backward import (
    backward_steps,
    begin_bptt,
    end_bptt,
    forward_steps,
    mark_nonfinite,
    sweep,
)
from rnnsim.networks.binding import batch_for, cell_of
from rnnsim.networks.rnn import RNN, originals

STATE_MEMORY = 2.0**28


@dataclass(frozen=True, eq=False)
class Gradients:
    """Loss and gradients of N networks. Gradients have the networks' dtype, all else is float64.

    Attributes
    ----------
    loss : (N,)
        L, averaged over sequences and summed over steps.
    weights : Weights
        dL/dW in the shapes of the weights; also as properties W_xh, W_hh, W_hy, b_h, b_y.
    h0 : (N, B, H)
        dL/dh_0.
    step_norms : StepNorms
        W_xh, W_hh, W_hy, each (N, T): the Frobenius norm of the temporal contribution dL/dW^(t).
    state_norms : (N, T+1)
        ``||dL/dh_t||_F`` over sequences and units, t = 0..T.
    first_nonfinite : (N,) int64
        -1 where everything is finite. Else the first step whose state is not; else, in the order
        of the backward pass, the largest step with a gradient that is not; else 1, where a sum
        over steps left the range. Other networks are not affected.
    """

    loss: npt.NDArray[np.float64]
    weights: Weights
    h0: FloatArray
    step_norms: StepNorms
    state_norms: npt.NDArray[np.float64]
    first_nonfinite: npt.NDArray[np.int64]

    @property
    def W_xh(self) -> FloatArray:
        """dL/dW_xh (N, H, D)."""
        return self.weights.W_xh

    @property
    def W_hh(self) -> FloatArray:
        """dL/dW_hh (N, H, H)."""
        return self.weights.W_hh

    @property
    def W_hy(self) -> FloatArray:
        """dL/dW_hy (N, V, H)."""
        return self.weights.W_hy

    @property
    def b_h(self) -> FloatArray:
        """dL/db_h (N, H)."""
        return self.weights.b_h

    @property
    def b_y(self) -> FloatArray:
        """dL/db_y (N, V)."""
        return self.weights.b_y


def bptt(
    rnn: RNN,
    sequences: Sequences,
    *,
    h0: npt.ArrayLike | None = None,
    n_threads: int | None = None,
    state_memory: float = STATE_MEMORY,
) -> Gradients:
    """Full backpropagation through time: the exact gradient of the loss.

    ::

        L        = (1/B) sum_b sum_t w[t,b] * loss(y[t,b], target[t,b])
        dL/dh_t  = W_hy^T dL_t/dy_t + W_hh^T delta_{t+1}
        delta_t  = phi'(a_t) * dL/dh_t
        dL/dW_hh = sum_t dL/dW_hh^(t) = sum_t delta_t h_{t-1}^T

    Every step has its own copy W^(t) of the weights (the temporal variables); their gradients are
    added up, and their norms are kept (Werbos 1990).

    Parameters
    ----------
    rnn : RNN
        N networks.
    sequences : Sequences
        T steps, B sequences; shared by all networks or one batch for each.
    h0 : (B, H) or (N, B, H) array, optional
        Initial states, 0 unless given.
    n_threads : int, optional
        All cores unless given. An ensemble gives the same bits on any number of threads; a single
        large network, whose sequences are divided among them, the same up to rounding.
    state_memory : float
        Bytes that the states of all threads may take, 256 MiB unless given. States of longer
        sequences are computed twice, the second time from checkpoints and to the same bits, which
        takes about a third more time. The result does not depend on it.

    Raises
    ------
    TypeError, ValueError
        Sizes or dtypes that disagree between networks, sequences and h0; class ids outside
        0..V-1 where the weight is above 0; NaN or infinity; n_threads below 1; a state_memory that
        is not above 0.

    Examples
    --------
    >>> rnn = RNN.sample(2, n_inputs=3, n_hidden=8, n_outputs=4, rng=0)
    >>> rng = np.random.default_rng(1)
    >>> batch = Sequences(rng.normal(size=(20, 5, 3)), rng.integers(0, 4, (20, 5)))
    >>> bptt(rnn, batch).W_hh.shape
    (2, 8, 8)
    """
    memory = checks.real_number("state_memory", state_memory, above=0.0)
    return Gradients(*run_bptt(rnn, batch_for(rnn, sequences, h0), n_threads, memory))


def run_bptt(
    rnn: RNN, batch: kernels.Batch, n_threads: int | None, memory: float = STATE_MEMORY
) -> kernels.GradientArrays:
    """`bptt` below the border: of a batch that is known to fit the networks."""
    weights, cell = originals(rnn), cell_of(rnn)
    out = kernels.gradient_arrays(weights, batch)
    T, B = batch.inputs.shape[1:3]
    flops = flops_per_network(rnn, T * B)
    members = parallel.team_size(len(rnn), n_threads, B, flops)
    crew = min(parallel.thread_count(n_threads), len(rnn))
    stored = max(1, int(memory / (crew * kernels.bytes_per_step(weights, batch, cell))))
    if members > 1:
        team.bptt(weights, batch, cell, stored, members, out)
        return out

    def prepare() -> parallel.Worker:
        work = kernels.backward_work(weights, batch, stored, cell)

        def worker(start: int, stop: int) -> Iterator[None]:
            if flops <= parallel.FLOPS_PER_CALL:
                kernels.bptt(weights, batch, cell, start, stop, work, out)
                yield
                return
            chunk = int(T * parallel.FLOPS_PER_CALL / flops)
            for n in range(start, stop):
                yield from _in_pieces(weights, batch, cell, n, chunk, work, out)

        return worker

    parallel.over_networks(len(rnn), n_threads, prepare, flops=flops)
    return out


def _in_pieces(
    weights: Weights,
    batch: kernels.Batch,
    cell: Any,
    n: int,
    chunk: int,
    work: kernels.BackwardWork,
    out: kernels.GradientArrays,
) -> Iterator[None]:
    """`kernels.bptt` of one long network, in compiled calls of about `chunk` steps."""
    T, block = batch.inputs.shape[1], work.factors.shape[1]
    stored = work.forward.trace.shape[0] - 1
    chunk = max(1, chunk // block) * block
    begin_bptt(weights, batch, cell, n, work, out)
    for begin, end, back in sweep(T, stored):
        pieces = [(first, min(first + chunk, end)) for first in range(begin, end, chunk)]
        for first, last in reversed(pieces) if back else pieces:
            if back:
                backward_steps(batch, cell, n, first, last, work, out)
            else:
                forward_steps(batch, cell, n, first, last, work)
            yield
    end_bptt(cell, n, work, out)
    mark_nonfinite(n, work.marks[1], out)


def flops_per_network(rnn: RNN, rows: int) -> float:
    """The arithmetic of one network's forward and backward pass; rows: steps times sequences."""
    H, D, V = rnn.n_hidden, rnn.n_inputs, rnn.n_outputs
    return 2.0 * rows * H * (3 * H + 2 * D + 3 * V)
