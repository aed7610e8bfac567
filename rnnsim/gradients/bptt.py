"""Gradients: full backpropagation through time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks, kernels, parallel
from rnnsim.checks import FloatArray
from rnnsim.data.labels import gradients as labels
from rnnsim.data.labels.results import Result, described
from rnnsim.data.sequences import Sequences
from rnnsim.gradients import team
from rnnsim.gradients.every_step import MAX_MEMORY, checked_keep, fields_of, gradient_arrays
from rnnsim.gradients.memory import STATE_MEMORY, steps_stored
from rnnsim.gradients.stacked import kept_of, layers_of, run_stack_bptt, step_norms_of
from rnnsim.kernels import StepNorms, Weights
from rnnsim.kernels.gradients.backward import (
    backward_steps,
    begin_bptt,
    end_bptt,
    forward_steps,
    mark_nonfinite,
    sweep,
)
from rnnsim.networks.binding import batch_for, final_for, weights_for
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Network, Stack
from rnnsim.networks.states import apart, cell_of, states_of


@dataclass(frozen=True, eq=False, repr=False)
class Gradients(Result):
    """Loss and gradients of N networks. Gradients have the networks' dtype, all else is float64.

    Attributes
    ----------
    loss : (N,)
        L, averaged over sequences and summed over steps.
    layers : tuple of Weights
        dL/dW of each layer in the shapes of its weights. Those of a single one also as `weights`
        and as properties W_xh, W_hh, W_hy, b_h, b_y.
    h0 : (N, B, H)
        dL/dh_0; of stacks (N, L, B, H).
    step_norms : StepNorms
        W_xh, W_hh, W_hy, each (N, T): the Frobenius norm of the temporal contribution dL/dW^(t);
        gates (N, T, G): of the blocks of dL/dW_hh^(t), in the order of the gates. Of stacks by
        layer, (N, L, T) and (N, L, T, G), but of the readout.
    state_norms : (N, T+1)
        ``||dL/dh_t||_F`` over sequences and units, t = 0..T; of LSTMs over the whole state, h and
        c, of which each is differentiated with the other held fixed. Of stacks (N, L, T+1), by all
        paths: those up through the layers within step t as well.
    first_nonfinite : (N,) int64
        -1 where everything is finite. Else the first step whose state is not; else, in the order
        of the backward pass, the largest step with a gradient that is not; else 1, where a sum
        over steps left the range. Other networks are not affected.
    c0 : (N, B, H) or None
        dL/dc_0 of LSTMs, likewise.
    inputs : (N, T, B, D) or None
        dL/dx_t, where kept.
    states, memories : (N, T+1, B, H) or None
        dL/dh_t and, of LSTMs, dL/dc_t, where kept; of stacks (N, L, T+1, B, H), by all paths.
    steps : Weights or None
        The temporal contributions dL/dW^(t) themselves, in the shapes of the weights with an axis T
        behind N, where kept; of stacks a tuple of them.
    """

    _labels = labels.GRADIENTS

    loss: npt.NDArray[np.float64]
    layers: tuple[Weights, ...]
    h0: FloatArray
    step_norms: StepNorms
    state_norms: npt.NDArray[np.float64]
    first_nonfinite: npt.NDArray[np.int64]
    c0: FloatArray | None = None
    inputs: FloatArray | None = None
    states: FloatArray | None = None
    memories: FloatArray | None = None
    steps: Weights | tuple[Weights, ...] | None = None

    @property
    def weights(self) -> Weights:
        """dL/dW of networks of one layer; those of a stack are in `layers`."""
        if len(self.layers) > 1:
            raise AttributeError(
                f"these are gradients of a stack of {len(self.layers)} layers: `layers` has a "
                "rnnsim.Weights for each, the lowest first"
            )
        return self.layers[0]

    @property
    def W_xh(self) -> FloatArray:
        """dL/dW_xh (N, G*H, D)."""
        return self.weights.W_xh

    @property
    def W_hh(self) -> FloatArray:
        """dL/dW_hh (N, G*H, H)."""
        return self.weights.W_hh

    @property
    def W_hy(self) -> FloatArray:
        """dL/dW_hy (N, V, H)."""
        return self.weights.W_hy

    @property
    def b_h(self) -> FloatArray:
        """dL/db_h (N, G*H), of GRUs (N, 4*H)."""
        return self.weights.b_h

    @property
    def b_y(self) -> FloatArray:
        """dL/db_y (N, V)."""
        return self.weights.b_y


def bptt(
    rnn: Network,
    sequences: Sequences,
    *,
    h0: npt.ArrayLike | None = None,
    c0: npt.ArrayLike | None = None,
    n_threads: int | None = None,
    state_memory: float = STATE_MEMORY,
    keep: Iterable[str] = (),
    max_memory: float = MAX_MEMORY,
) -> Gradients:
    """Full backpropagation through time: the exact gradient of the loss.

    ::

        L        = (1/B) sum_b sum_t w[t,b] * loss(y[t,b], target[t,b])
        dL/dh_t  = W_hy^T dL_t/dy_t + W_hh^T delta_{t+1}
        delta_t  = phi'(a_t) * dL/dh_t            dL/da_t, with all their gates of LSTMs and GRUs
        dL/dW_hh = sum_t dL/dW_hh^(t) = sum_t delta_t h_{t-1}^T

    Every step has its own copy W^(t) of the weights (the temporal variables); their gradients are
    added up, and their norms are kept (Werbos 1990).

    Parameters
    ----------
    rnn : RNN or Stack
        N networks.
    sequences : Sequences
        T steps, B sequences; shared by all networks or one batch for each.
    h0 : (B, H) or (N, B, H) array, optional
        Initial states, 0 unless given; of stacks (L, B, H) or (N, L, B, H).
    c0 : (B, H) or (N, B, H) array, optional
        Initial memories of LSTMs, likewise.
    n_threads : int, optional
        All cores unless given. An ensemble gives the same bits on any number of threads; a single
        large network, whose sequences are divided among them, the same up to rounding.
    state_memory : float
        Bytes that the states of all threads may take, 256 MiB unless given. States of longer
        sequences are computed twice, the second time from checkpoints and to the same bits. Those
        of a single small network beyond some 30 MB are in any case, as this is faster. The result
        does not depend on it.
    keep : iterable of {"inputs", "states", "steps"}
        What to keep of every step beside its norms: dL/dx_t; dL/dh_t and dL/dc_t; dL/dW^(t).
    max_memory : float
        Bytes that this may take, 8 GB unless given.

    Raises
    ------
    MemoryError
        What is to be kept takes more than `max_memory`; nothing has been computed.
    TypeError, ValueError
        Sizes or dtypes that disagree between networks, sequences, h0 and c0; class ids outside
        0..V-1 where the weight is above 0; NaN or infinity; a loss on outputs of networks without a
        readout; n_threads below 1; a state_memory or max_memory that is not above 0; an unknown
        name in `keep`.

    Examples
    --------
    >>> rnn = RNN.sample(2, n_inputs=3, n_hidden=8, n_outputs=4, rng=0)
    >>> rng = np.random.default_rng(1)
    >>> batch = Sequences(rng.normal(size=(20, 5, 3)), rng.integers(0, 4, (20, 5)))
    >>> bptt(rnn, batch).W_hh.shape
    (2, 8, 8)
    """
    memory = checks.real_number("state_memory", state_memory, above=0.0)
    batch = batch_for(rnn, sequences, h0, c0)
    kept = checked_keep(rnn, batch, keep, max_memory)
    final = final_for(rnn, sequences)
    if isinstance(rnn, Stack):
        flops = flops_per_network(rnn, sequences.n_steps * sequences.n_sequences)
        out = run_stack_bptt(rnn, batch, n_threads, memory, flops=flops, kept=kept, final=final)
    else:
        out = run_bptt(rnn, batch, n_threads, memory, kept=kept, final=final)
    return described(gradients_of(rnn, batch, out, kept), rnn, sequences)


def gradients_of(
    rnn: Network, batch: kernels.Batch, out: kernels.GradientArrays, kept: frozenset[str]
) -> Gradients:
    """What kernels found, as people read it."""
    if isinstance(rnn, Stack):
        return gradients_of_stack(rnn, batch, out, kept)
    h0, c0 = apart(rnn, out.h0)
    return Gradients(
        loss_of(batch, out.loss),
        (out.weights,),
        h0,
        out.step_norms,
        out.state_norms,
        out.first_nonfinite,
        c0,
        **fields_of(rnn, batch, out.each, kept),
    )


def gradients_of_stack(
    stack: Stack, batch: kernels.Batch, out: kernels.GradientArrays, kept: frozenset[str]
) -> Gradients:
    """The same of all layers, whose axis comes behind that of the networks."""
    h0, c0 = apart(stack, states_of(list(out.h0)))
    return Gradients(
        loss_of(batch, out.loss[-1]),
        layers_of(stack, out),
        h0,
        step_norms_of(out),
        np.moveaxis(out.state_norms, 0, 1).copy(),
        out.first_nonfinite[-1],
        c0,
        **kept_of(stack, batch, out, kept),
    )


def loss_of(batch: kernels.Batch, loss: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """NaN where the loss itself is not known, but its derivatives alone."""
    return np.full(loss.shape, np.nan) if batch.loss == kernels.INNER_PRODUCT else loss


def run_bptt(
    rnn: RNN,
    batch: kernels.Batch,
    n_threads: int | None,
    memory: float = STATE_MEMORY,
    *,
    kept: frozenset[str] = frozenset(),
    final: FloatArray | None = None,
) -> kernels.GradientArrays:
    """`bptt` below the border: of a batch that is known to fit the networks.

    final: what arrives at the memories of step T, as in `BackwardWork`.
    """
    final = np.zeros((0, 0, 0)) if final is None else final
    (weights,), cell = weights_for(rnn, batch), cell_of(rnn)
    out = gradient_arrays(weights, batch, kept)
    T, B = batch.inputs.shape[1:3]
    flops = flops_per_network(rnn, T * B)
    members = parallel.team_size(len(rnn), n_threads, B, flops)
    crew = min(parallel.thread_count(n_threads), len(rnn))
    per_step = kernels.bytes_per_step(weights, batch, cell)
    stored = steps_stored(len(rnn), T, per_step, memory / crew, flops=flops / (3 * T))
    if members > 1:
        team.bptt(weights, batch, cell, stored, members, final, out)
        return out

    def prepare() -> parallel.Worker:
        work = kernels.backward_work(weights, batch, stored, cell)._replace(final=final)

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
    begin_bptt(weights, batch, n, work, out)
    for begin, end, back in sweep(T, stored):
        pieces = [(first, min(first + chunk, end)) for first in range(begin, end, chunk)]
        for first, last in reversed(pieces) if back else pieces:
            if back:
                backward_steps(batch, cell, n, first, last, work, out)
            else:
                forward_steps(batch, cell, n, first, last, work)
            yield
    end_bptt(n, work, out)
    mark_nonfinite(n, work.marks[1], out)


def flops_per_network(rnn: Network, rows: int) -> float:
    """The arithmetic of one network's forward and backward pass; rows: steps times sequences."""
    total = 0.0
    for layer in rnn.layers:
        H, D, V, A = layer.n_hidden, layer.n_inputs, layer.n_outputs, layer.b_h.shape[1]
        total += 2.0 * rows * (A * (3 * H + 2 * D) + 3 * H * V)
    return total
