"""`diagnose`: everything that one network does with gradients and states on its data."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.sequences import Sequences
from rnnsim.diagnosis.advice import verdict, what_to_try
from rnnsim.diagnosis.cases import MOST_PARTS, Case, Part
from rnnsim.diagnosis.findings import Finding
from rnnsim.diagnosis.measures.gradients import gradient_rates, largest_exponent, range_left
from rnnsim.diagnosis.measures.lags import reaches, windows
from rnnsim.diagnosis.measures.matrices import spectra
from rnnsim.diagnosis.measures.memory import memory
from rnnsim.diagnosis.measures.noise import clipping, noise_beside_bias
from rnnsim.diagnosis.measures.states import carried, gates
from rnnsim.diagnosis.result import Diagnosis
from rnnsim.diagnosis.subject import data_of, one_network
from rnnsim.experiments.own.networks import Own
from rnnsim.networks.states import initial_states
from rnnsim.progress import bar

QUESTIONS: tuple[Callable[[Case], list[Finding]], ...] = (
    range_left, gradient_rates, largest_exponent, reaches, windows, memory,
    noise_beside_bias, carried, gates, clipping, spectra,
)  # fmt: skip


def diagnose(
    network: Any,
    sequences: Sequences | npt.ArrayLike,
    *,
    targets: npt.ArrayLike | None = None,
    window: int | None = None,
    readout: str | None = None,
    embedding: str | None = None,
    batch_size: int | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    max_lag: int | None = None,
    h0: npt.ArrayLike | None = None,
    c0: npt.ArrayLike | None = None,
    n_threads: int | None = None,
    progress: bool = False,
) -> Diagnosis:
    """What these weights do with gradients and states on these data, with evidence and errors.

    ::

        the gradient     its rate over lags or "no single rate", e^(rate * window), lambda_1
        reach            windows that keep 50, 90, 99 % of dL/dW; the error of the one in use
        memory           the loss, and the state that it reads, when that is reset K steps before
        noise            variance over batches beside the bias^2 of the window, the horizon
        states           their size at 1 and 10 lengths, idle units, gates, time scales, rank
        clipping, W_hh   how far the mean gradient is turned; eigenvalues, non-normality

    Everything is measured on all sequences and on up to eight parts of them by themselves, whose
    scatter gives the errors: each is what must be added to either side to cover 95 %. All findings
    share one gradient flow of the whole and one of the parts. What they say is said of these
    weights on these data: a network that was trained with a window has adapted to it.

    Without a loss, as of a network without a readout or of inputs alone, gradients are those of
    random cotangents at the last step; what would need the loss is named as not known, and what it
    would need.

    Parameters
    ----------
    network : RNN, Stack or path
        One network, or a file that `read_network` reads.
    sequences : Sequences, (T, B, D) array or (T, B) class ids
        Its data, or inputs; class ids become rows of the network's embedding, or one-hot where it
        has none. Errors need several sequences, the more the better.
    targets : (T, B) class ids or (T, B, V) floats, optional
        Of inputs that are given as an array, with loss at every step, as of `Sequences`; (B,) class
        ids or (B, V) floats are those of the last step alone.
    window : int, optional
        The window K that one trains with.
    readout, embedding : str, optional
        As of `read_network`, where `network` is a file.
    batch_size : int, optional
        Sequences of a minibatch, for the noise and for clipping; an eighth of those given, or one,
        unless given.
    clip_norm, clip_value : float, optional
        The limits that one clips gradients with: of the norm of all weights together, and of each
        entry.
    max_lag : int, optional
        The largest lag that is measured, as of `gradient_flow`. Unless given all, or as many as
        come to 2e12 multiplications and additions in one flow, a minute or two of one core, and
        to norms of single sequences of half a GB; words say where it is not all.
    h0, c0 : (B, H) or (1, B, H) arrays, of stacks (L, B, H) or (1, L, B, H), optional
        First states, as in `forward`.
    n_threads : int, optional
        All cores unless given; it does not change the result.
    progress : bool
        Show a progress bar, on a terminal.

    Returns
    -------
    Diagnosis

    Raises
    ------
    TypeError, ValueError, OSError
        As in `gradient_flow` and `read_network`; several networks; sizes below 1; limits that are
        not above 0; layers named of a network in memory;
        class ids that the network does not have.

    Examples
    --------
    >>> import rnnsim
    >>> rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=8, n_outputs=1, scheme="orthogonal", gain=0.9,
    ...                         activation="linear", rng=0)
    >>> found = diagnose(rnn, rnnsim.tasks.adding(40, 16, rng=0), window=10)
    >>> found["gradient_rate"].says, round(found["gradient_rate"].number, 6)      # ln 0.9
    ('vanishes', -0.105361)
    >>> found["window_error"].known, found["gates"].words
    (True, 'Not known: gates, which a vanilla network does not have.')
    """
    with checks.renamed(rnn="`network`", draw="`sequences`"):
        own = one_network(network, readout, embedding)
        data, of_loss, needs = data_of(own, sequences, targets)
        options = _options(data, window, batch_size, clip_norm=clip_norm, clip_value=clip_value)
        most = None if max_lag is None else checks.size("max_lag", max_lag)
        initial_states(own.network, h0, data.n_sequences, c0)
        starts = [_first_states(a) for a in (h0, c0)]
        whole = Part(np.arange(data.n_sequences), data, *starts)
        case = Case(
            own.network, whole, of_loss, needs, max_lag=most, n_threads=n_threads, **options
        )
        found = _findings(case, checks.boolean("progress", progress))
    by_name = {finding.name: finding for finding in found}
    to_try = what_to_try(by_name, own.network.cell, case.window)
    said = verdict(by_name, case.window)
    return Diagnosis(own.label, said, tuple(found), to_try, _about(own, case, options))


def _first_states(given: Any) -> FloatArray | None:
    """First states as an array; None where all are 0."""
    return np.asarray(given) if given is not None and np.any(given) else None


def _findings(case: Case, show: bool) -> list[Finding]:
    found = []
    with bar(len(QUESTIONS), show=show, unit="question", description="diagnosis") as shown:
        for question in QUESTIONS:
            found += question(case)
            shown(1)
    return found


def _options(
    data: Sequences, window: int | None, batch_size: int | None, **limits: float | None
) -> dict[str, Any]:
    """What was given, checked; a batch of an eighth of the data, where that was not."""
    size = max(1, data.n_sequences // MOST_PARTS)
    found: dict[str, Any] = {
        "window": None if window is None else checks.size("window", window),
        "batch_size": size if batch_size is None else checks.size("batch_size", batch_size),
        "batch_given": batch_size is not None,
    }
    for name, value in limits.items():
        found[name] = None if value is None else checks.real_number(name, value, above=0.0)
    return found


def _about(own: Own, case: Case, options: dict[str, Any]) -> dict[str, Any]:
    network, data = own.network, case.data
    return {
        "cell": network.cell if network.cell != "vanilla" else f"vanilla {network.activation}",
        "n_layers": len(network.layers),
        "n_inputs": network.n_inputs,
        "n_hidden": network.n_hidden,
        "n_outputs": network.n_outputs,
        "dtype": network.dtype.name,
        "n_steps": data.n_steps,
        "n_sequences": data.n_sequences,
        **options,
        "n_lags": case.n_lags,
        "weights_sha256": own.identity,
        "provenance": dict(data.provenance),
    }
