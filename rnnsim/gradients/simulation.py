"""Running networks forward: states, outputs, loss and accuracy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rnnsim import kernels, parallel
from rnnsim.checks import FloatArray
from rnnsim.data.labels import gradients as labels
from rnnsim.data.labels.results import Labels, Result, described
from rnnsim.data.sequences import Sequences, check_scored
from rnnsim.kernels.cells.layout import CROSS_ENTROPY
from rnnsim.kernels.gradients.unfolding import (
    begin_evaluate,
    begin_forward,
    evaluate_piece,
    forward_piece,
)
from rnnsim.networks.binding import batch_for, checked_inputs
from rnnsim.networks.rnn import RNN, originals
from rnnsim.networks.stack import Network, Stack, check_network, has_layers
from rnnsim.networks.states import (
    by_layer,
    cell_of,
    initial_states,
    of_networks,
    parts,
    state_size,
    states_of,
)

_STATES_AT_ONCE = 2**28  # bytes, of the states of stacks that are evaluated
_ELEMENTWISE = 64  # what a unit or an output costs beside its products, in their arithmetic


@dataclass(frozen=True, eq=False, repr=False)
class Forward(Result):
    """What `forward` returns.

    ``states (N, T+1, B, H)``: h_t, h_0 first, of a stack those of the top layer; ``outputs
    (N, T, B, V)``; ``memories (N, T+1, B, H)``: c_t of LSTMs, else None. ``below``: the same of the
    layers below the top, which have no outputs.
    """

    _labels = labels.FORWARD

    states: FloatArray
    outputs: FloatArray
    memories: FloatArray | None = None
    below: tuple["Forward", ...] = ()

    @property
    def layers(self) -> tuple["Forward", ...]:
        """Each layer's states and memories, the lowest first."""
        return (*self.below, Forward(self.states, self.outputs, self.memories))

    @property
    def final_h(self) -> FloatArray:
        """h_T (N, B, H), of a stack (N, L, B, H): the `h0` that goes on from here."""
        return self._final([layer.states for layer in self.layers])

    @property
    def final_c(self) -> FloatArray | None:
        """c_T of LSTMs likewise, else None."""
        found = [layer.memories for layer in self.layers if layer.memories is not None]
        return self._final(found) if found else None

    def _final(self, layers: list[FloatArray]) -> FloatArray:
        return layers[0][:, -1]

    def _labelling(self) -> Labels:
        return labels.STACK_FORWARD if self.below else labels.FORWARD


@dataclass(frozen=True, eq=False, repr=False)
class StackForward(Forward):
    """The same of a stack: its last states have an axis of layers, also where it has one layer."""

    def _final(self, layers: list[FloatArray]) -> FloatArray:
        return np.stack([layer[:, -1] for layer in layers], axis=1)


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Result):
    """What `evaluate` returns.

    ``loss (N,)``: L as `bptt` reports it. ``accuracy (N,)``: the fraction of steps and sequences of
    weight above 0 whose largest output is the target class (the first, in a tie); NaN for float
    targets and where no step carries loss. ``first_nonfinite (N,)``: the first step whose state is
    not finite, -1 if none.
    """

    _labels = labels.EVALUATION

    loss: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    first_nonfinite: npt.NDArray[np.int64]


def forward(
    rnn: Network,
    inputs: npt.ArrayLike,
    *,
    h0: npt.ArrayLike | None = None,
    c0: npt.ArrayLike | None = None,
    n_threads: int | None = None,
) -> Forward:
    """Unfold the networks over input sequences.

    ::

        h_t = phi(W_xh x_t + W_hh h_{t-1} + b_h)      t = 1..T; LSTMs and GRUs as in `RNN`
        y_t = W_hy h_t + b_y

    Parameters
    ----------
    rnn : RNN or Stack
    inputs : (T, B, D) or (N, T, B, D) array
        Of the networks' dtype. With the leading axis each network reads its own sequences.
    h0 : (B, H) or (N, B, H) array, optional
        Initial states, 0 unless given; of a stack (L, B, H) or (N, L, B, H).
    c0 : (B, H) or (N, B, H) array, optional
        Initial memories of LSTMs likewise.
    n_threads : int, optional
        All cores unless given; it does not change the result.

    Returns
    -------
    Forward
        ``states (N, T+1, B, H)``, ``outputs (N, T, B, V)`` and, of LSTMs, ``memories
        (N, T+1, B, H)`` in the networks' dtype. A network whose states overflow returns inf or NaN
        from there on; the others are not affected.

    Raises
    ------
    TypeError, ValueError
        Inputs, h0 or c0 of another dtype or shape, empty, NaN or infinite; c0 for networks without
        memories; n_threads below 1.

    Examples
    --------
    >>> rnn = RNN.sample(2, n_inputs=3, n_hidden=8, n_outputs=4, rng=0)
    >>> forward(rnn, np.zeros((5, 1, 3))).states.shape
    (2, 6, 1, 8)
    """
    check_network(rnn)
    x = checked_inputs(rnn, inputs)
    return described(run_forward(rnn, x, initial_states(rnn, h0, x.shape[2], c0), n_threads), rnn)


def run_forward(rnn: Network, x: FloatArray, h0: FloatArray, n_threads: int | None) -> Forward:
    """`forward` below the border: inputs (1 or N, T, B, D), first states (1 or N, B, S)."""
    found: list[Forward] = []
    for layer, whole, outputs in run_layers(rnn, x, h0, n_threads):
        states, memories = parts(layer, whole)
        found.append(Forward(states, outputs, memories))
    *below, top = found
    return StackForward(**vars(top) | {"below": tuple(below)}) if has_layers(rnn) else top


def run_layers(
    rnn: Network, x: FloatArray, h0: FloatArray, n_threads: int | None
) -> Iterator[tuple[RNN, FloatArray, FloatArray]]:
    """Each layer, the lowest first, with what `run_states` gives of it."""
    states = None
    for layer, start in zip(rnn.layers, by_layer(rnn, h0), strict=True):
        if states is not None:
            x = np.ascontiguousarray(states[:, 1:, :, : layer.n_hidden])
        states, outputs = run_states(layer, x, start, n_threads)
        yield layer, states, outputs


def run_states(
    rnn: RNN, x: FloatArray, h0: FloatArray, n_threads: int | None
) -> tuple[FloatArray, FloatArray]:
    """Whole states (N, T+1, B, S) and outputs (N, T, B, V), from states that are finite or not."""
    N, (T, B), cell = len(rnn), x.shape[1:3], cell_of(rnn)
    states = np.empty((N, T + 1, B, state_size(rnn)), rnn.dtype)
    outputs = np.empty((N, T, B, rnn.n_outputs), rnn.dtype)

    def whole(start: int, stop: int, work: kernels.ForwardWork) -> None:
        kernels.forward(originals(rnn), x, h0, cell, start, stop, work, states, outputs)

    def begin(n: int, work: kernels.ForwardWork) -> None:
        begin_forward(originals(rnn), h0, n, work, states)

    def piece(n: int, first: int, last: int, work: kernels.ForwardWork) -> None:
        forward_piece(x, cell, n, first, last, work, states, outputs)

    _over_networks(rnn, T, B, n_threads, (whole, begin, piece))
    return states, outputs


def evaluate(
    rnn: Network,
    sequences: Sequences,
    *,
    h0: npt.ArrayLike | None = None,
    c0: npt.ArrayLike | None = None,
    n_threads: int | None = None,
) -> Evaluation:
    """Loss and, for class targets, accuracy; no gradient.

    ``L = (1/B) sum_b sum_t w[t,b] * loss(y[t,b], target[t,b])``, in nats for class targets.
    Parameters and errors as in `bptt`; sequences made by `Sequences.from_gradients` are refused.

    Examples
    --------
    >>> rnn = RNN.sample(n_inputs=3, n_hidden=8, n_outputs=4, rng=0)
    >>> batch = Sequences(np.zeros((5, 2, 3)), np.zeros((5, 2), int))
    >>> evaluate(rnn, batch).loss.round(6)          # zero input: all classes alike, 5 ln 4 nats
    array([6.931472])
    """
    check_scored(sequences, "sequences")
    found = run_evaluate(rnn, batch_for(rnn, sequences, h0, c0), n_threads)
    return described(found, rnn, sequences)


def run_evaluate(rnn: Network, batch: kernels.Batch, n_threads: int | None) -> Evaluation:
    """`evaluate` below the border: of a batch that is known to fit the networks."""
    if isinstance(rnn, RNN):
        return _evaluate(rnn, batch, n_threads)
    T, B = batch.inputs.shape[1:3]
    at_once = max(1, _STATES_AT_ONCE // (T * B * state_size(rnn) * rnn.dtype.itemsize))
    found = [
        _evaluate_stack(rnn[n : n + at_once], of_networks(batch, n, n + at_once), n_threads)
        for n in range(0, len(rnn), at_once)
    ]
    columns = zip(*(vars(part).values() for part in found), strict=True)
    return Evaluation(*map(np.concatenate, columns))


def _evaluate_stack(stack: Stack, batch: kernels.Batch, n_threads: int | None) -> Evaluation:
    """The top layer scored on the states of those below."""
    *below, top = stack.layers
    first, x = np.full(len(stack), -1), batch.inputs
    starts = by_layer(stack, batch.h0)
    if below:
        for layer, states, _ in run_layers(Stack(below), x, states_of(starts[:-1]), n_threads):
            lost: npt.NDArray[np.bool_] = np.any(~np.isfinite(states), axis=(2, 3))
            steps = np.where(np.any(lost, axis=1), np.argmax(lost, axis=1), -1)
            first = earlier(first, steps)
            x = np.ascontiguousarray(states[:, 1:, :, : layer.n_hidden])
    found = _evaluate(top, batch._replace(inputs=x, h0=starts[-1]), n_threads)
    return replace(found, first_nonfinite=earlier(first, found.first_nonfinite))


def earlier(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The lesser of two steps, of which -1 is none."""
    return np.where((one < 0) | ((other >= 0) & (other < one)), other, one)


def _evaluate(rnn: RNN, batch: kernels.Batch, n_threads: int | None) -> Evaluation:
    """Of one layer."""
    N, (T, B), cell = len(rnn), batch.inputs.shape[1:3], cell_of(rnn)
    loss, correct, first = np.empty(N), np.empty(N, np.int64), np.empty(N, np.int64)

    def whole(start: int, stop: int, work: kernels.ForwardWork) -> None:
        kernels.evaluate(originals(rnn), batch, cell, start, stop, work, loss, correct, first)

    def begin(n: int, work: kernels.ForwardWork) -> None:
        begin_evaluate(originals(rnn), batch, n, work, loss, correct, first)

    def piece(n: int, a: int, b: int, work: kernels.ForwardWork) -> None:
        evaluate_piece(originals(rnn), batch, cell, n, a, b, work, loss, correct, first)

    _over_networks(rnn, T, B, n_threads, (whole, begin, piece))
    counted = np.broadcast_to((batch.loss_weights > 0).sum(axis=(1, 2)), (N,)).astype(float)
    counted[counted == 0] = np.nan
    accuracy = correct / counted if batch.loss == CROSS_ENTROPY else np.full(N, np.nan)
    return Evaluation(loss, accuracy, first)


def _over_networks(
    rnn: RNN,
    T: int,
    B: int,
    n_threads: int | None,
    passes: tuple[Callable[..., None], Callable[..., None], Callable[..., None]],
) -> None:
    """A pass of all networks over T steps of B sequences, in compiled calls that are not long.

    `passes` are: whole(start, stop, work) for networks as a whole, or begin(n, work) and then
    piece(n, first, last, work) for some steps of one; both give the same bits.
    """
    H, (whole, begin, piece) = rnn.n_hidden, passes
    A, D, V = rnn.b_h.shape[1], rnn.n_inputs, rnn.n_outputs
    unit = 2.0 * (A * (H + D) + H * V) + _ELEMENTWISE * (A + V)
    flops = T * (B * unit + parallel.FLOPS_PER_STEP)
    block = kernels.block_steps(T, B, H, rnn.dtype.itemsize)

    def prepare() -> parallel.Worker:
        work = kernels.forward_work(originals(rnn), T, B, block, cell_of(rnn))

        def worker(start: int, stop: int) -> Iterator[None]:
            if flops <= parallel.FLOPS_PER_CALL:
                whole(start, stop, work)
                yield
                return
            chunk = int(T * parallel.FLOPS_PER_CALL / flops)
            for n in range(start, stop):
                begin(n, work)
                for first, last in parallel.pieces(T, chunk, work.score.losses.size // B):
                    piece(n, first, last, work)
                    yield

        return worker

    parallel.over_networks(len(rnn), n_threads, prepare, flops=flops)
