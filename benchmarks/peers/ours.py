"""rnnsim, through its public interface alone."""

import numpy as np

import rnnsim

from .contestants import Contestant, Prepared, weight_arrays
from .workloads import CLIP_NORM, LEARNING_RATE, Problem


def sequences_of(problem: Problem) -> rnnsim.Sequences:
    """The problem's data with its loss weights."""
    batch = rnnsim.Sequences(problem.inputs, problem.targets)
    return batch.last_loss_only() if problem.workload.last_loss_only else batch


def bptt(problem: Problem) -> Prepared:
    """Loss and gradients, with every norm that comes with them."""
    rnn, batch = rnnsim.RNN(*problem.weights), sequences_of(problem)
    return Prepared(
        lambda: rnnsim.bptt(rnn, batch),
        lambda result: weight_arrays(problem, result.loss, result.weights),
    )


def updates(problem: Problem) -> Prepared:
    """Training; the measurements at its beginning and end come with it, which peers do not make."""
    rnn, batch = rnnsim.RNN(*problem.weights), sequences_of(problem)
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


def flow(problem: Problem) -> Prepared:
    """The map of lags; window norms, cosines and errors come with it, which peers do not give."""
    rnn, batch = rnnsim.RNN(*problem.weights), sequences_of(problem)
    return Prepared(
        lambda: rnnsim.gradient_flow(rnn, batch),
        lambda result: {"log_norms": np.asarray(result.log_norms)},
    )


def lyapunov(problem: Problem) -> Prepared:
    """All exponents by QR at every step, with their errors and finite-time values."""
    rnn = rnnsim.RNN(*problem.weights)
    return Prepared(
        lambda: rnnsim.lyapunov_spectrum(rnn, problem.inputs, burn_in=0),
        lambda result: {"exponents": np.asarray(result.exponents)},
    )


CONTESTANTS: dict[str, dict[str, Contestant]] = {
    "bptt": {"bptt": bptt},
    "updates": {"train": updates},
    "flow": {"gradient_flow": flow},
    "lyapunov": {"lyapunov_spectrum": lyapunov},
}
