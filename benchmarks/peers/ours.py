"""rnnsim, through its public interface alone."""

from typing import Any

import numpy as np

import rnnsim

from .contestants import Arrays, Contestant, Prepared, weight_arrays
from .workloads import CLIP_NORM, LEARNING_RATE, Problem


def sequences_of(problem: Problem) -> rnnsim.Sequences:
    """The problem's data with its loss weights."""
    batch = rnnsim.Sequences(problem.inputs, problem.targets)
    return batch.last_loss_only() if problem.workload.last_loss_only else batch


def network_of(problem: Problem) -> rnnsim.RNN | rnnsim.Stack:
    """The problem's networks, of one layer or two."""
    cell = problem.workload.cell
    top = rnnsim.RNN(problem.W_xh, problem.W_hh, problem.W_hy, problem.b_h, problem.b_y, cell=cell)
    return rnnsim.Stack([_without_readout(problem), top]) if problem.before else top


def _without_readout(problem: Problem) -> rnnsim.RNN:
    W_xh, W_hh, b_h = problem.before
    return rnnsim.RNN(W_xh, W_hh, b_h=b_h, cell=problem.workload.cell)


def bptt(problem: Problem) -> Prepared:
    """Loss and gradients, with every norm that comes with them."""
    rnn, batch = network_of(problem), sequences_of(problem)

    def arrays(result: rnnsim.Gradients) -> Arrays:
        *below, top = result.layers
        before = [array for layer in below for array in (layer.W_xh, layer.W_hh, layer.b_h)]
        return weight_arrays(problem, result.loss, [*top, *before])

    return Prepared(lambda: rnnsim.bptt(rnn, batch), arrays)


def pairs(problem: Problem) -> Prepared:
    """The bridge, an identity here, is differentiated too, which peers leave out."""
    W_xh, W_hh, b_h = problem.before
    bridge = np.broadcast_to(np.eye(problem.workload.H, dtype=W_hh.dtype), W_hh.shape)
    model = rnnsim.EncoderDecoder(
        rnnsim.RNN(W_xh, W_hh, bridge, b_h), rnnsim.RNN(*problem.weights[:5])
    )
    batch = rnnsim.Pairs(problem.sources, sequences_of(problem))

    def arrays(result: rnnsim.PairGradients) -> Arrays:
        before: Any = result.encoder
        found = [*result.decoder, before.W_xh, before.W_hh, before.b_h]
        return weight_arrays(problem, result.loss, found)

    return Prepared(lambda: rnnsim.pairs_bptt(model, batch), arrays)


def updates(problem: Problem) -> Prepared:
    """Training; the measurements at its beginning and end come with it, which peers do not make."""
    rnn, batch = network_of(problem), sequences_of(problem)
    return Prepared(
        lambda: rnnsim.train(
            rnn,
            batch,
            n_updates=problem.workload.n_updates,
            optimizer="sgd",
            learning_rate=LEARNING_RATE,
            clip_norm=CLIP_NORM,
        ),
        lambda result: weight_arrays(
            problem, result.record.training_loss.values[:, -1], result.rnn.weights
        ),
    )


# Without `windows` every one of them is computed: there is no map alone.


def flow(problem: Problem) -> Prepared:
    """The map of lags alone."""
    rnn, batch = network_of(problem), sequences_of(problem)
    return Prepared(
        lambda: rnnsim.gradient_flow(rnn, batch, windows=()),
        lambda result: {"log_norms": np.asarray(result.log_norms)},
    )


def windows(problem: Problem) -> Prepared:
    """The map and every window; errors, shares and parts by gate come with it, for no peer."""
    rnn, batch = network_of(problem), sequences_of(problem)
    return Prepared(
        lambda: rnnsim.gradient_flow(rnn, batch),
        lambda result: {
            "log_norms": np.asarray(result.log_norms),
            "log_window_norms": np.asarray(result.recurrent.log_norms),
            "window_cosine": np.asarray(result.recurrent.cosine),
        },
    )


def lyapunov(problem: Problem) -> Prepared:
    """All exponents by QR at every step, with their errors and finite-time values."""
    rnn = network_of(problem)
    return Prepared(
        lambda: rnnsim.lyapunov_spectrum(rnn, problem.inputs, burn_in=0),
        lambda result: {"exponents": np.asarray(result.exponents)},
    )


CONTESTANTS: dict[str, dict[str, Contestant]] = {
    "bptt": {"bptt": bptt},
    "updates": {"train": updates},
    "pairs": {"pairs_bptt": pairs},
    "flow": {"gradient_flow": flow},
    "windows": {"gradient_flow": windows},
    "lyapunov": {"lyapunov_spectrum": lyapunov},
}
