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
from rnnsim.diagnosis.measures.memory import forward_memory
from rnnsim.diagnosis.measures.noise import clipping, noise_beside_bias
from rnnsim.diagnosis.measures.states import carried, gates
from rnnsim.diagnosis.result import Diagnosis
from rnnsim.experiments.own.networks import Own, own_of
from rnnsim.networks.binding import checked_inputs
from rnnsim.networks.states import initial_states
from rnnsim.progress import bar

QUESTIONS: tuple[Callable[[Case], list[Finding]], ...] = (
    range_left, gradient_rates, largest_exponent, reaches, windows, forward_memory,
    noise_beside_bias, carried, gates, clipping, spectra,
)  # fmt: skip


def diagnose(
    network: Any,
    sequences: Sequences | npt.ArrayLike,
    *,
    window: int | None = None,
    readout: str | None = None,
    batch_size: int | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    h0: npt.ArrayLike | None = None,
    c0: npt.ArrayLike | None = None,
    n_threads: int | None = None,
    progress: bool = False,
) -> Diagnosis:
    """What these weights do with gradients and states on these data, with evidence and errors.

    ::

        the gradient     its rate over lags or "no single rate", e^(rate * window), lambda_1
        reach            windows that keep 50, 90, 99 % of dL/dW; the error of the one in use
        forward memory   the loss when the state is reset K steps before
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
    sequences : Sequences or (T, B, D) array
        Its data, or inputs alone. Errors need several sequences, the more the better.
    window : int, optional
        The window K that one trains with.
    readout : str, optional
        As of `read_network`, where `network` is a file.
    batch_size : int, optional
        Sequences of a minibatch, for the noise and for clipping; an eighth of those given, or one,
        unless given.
    clip_norm, clip_value : float, optional
        The limits that one clips gradients with: of the norm of all weights together, and of each
        entry.
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
        not above 0; a readout of a network in memory.

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
        own = _one(network, readout)
        data, of_loss, needs = _data(own, sequences)
        options = _options(data, window, batch_size, clip_norm=clip_norm, clip_value=clip_value)
        initial_states(own.network, h0, data.n_sequences, c0)
        starts = [_first_states(a) for a in (h0, c0)]
        whole = Part(data, *starts)
        case = Case(own.network, whole, of_loss, needs, n_threads=n_threads, **options)
        found = _findings(case, checks.boolean("progress", progress))
    by_name = {finding.name: finding for finding in found}
    to_try = what_to_try(by_name, own.network.cell, case.window)
    said = verdict(by_name, case.window)
    return Diagnosis(own.label, said, tuple(found), to_try, _about(own, data, options))


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


def _one(network: Any, readout: Any) -> Own:
    """One network, in memory or of a file."""
    given = None if readout is None else checks.text("readout", readout)
    in_memory = hasattr(network, "layers")
    if given is not None and in_memory:
        raise ValueError(
            f"`readout` names a layer of a file, got {given!r} with a network in memory; leave it "
            "out, or give the path of the file as `network`"
        )
    with checks.renamed(weights="`network`"):
        own = own_of(network, readout=given)
    if own is None:
        raise TypeError(
            "`network` must be a rnnsim.RNN, a rnnsim.Stack or the path of a file that "
            "rnnsim.read_network reads, got None"
        )
    if len(own.network) != 1:
        raise ValueError(
            f"`network` must be one network, got an ensemble of {len(own.network)}; give one of "
            "them, as network[0]"
        )
    return own


def _data(own: Own, sequences: Any) -> tuple[Sequences, bool, str]:
    """Data with a loss, or with random cotangents in its place and what the loss would need."""
    network = own.network
    if not isinstance(sequences, Sequences):
        inputs = checked_inputs(network, sequences, "sequences")[0]
        needs = "data with a loss: Sequences(inputs, targets) and a network with a readout"
        return _with_cotangents(own, inputs, {}), False, needs
    if not sequences.weights.any():
        needs = "a step with a loss weight above 0, or a derivative that is not 0"
    elif network.n_outputs == 0 and not sequences.has_gradients:
        needs = "a network with a readout (W_hy), or Sequences.from_gradients with your loss"
    else:
        return sequences, True, ""
    inputs = checked_inputs(network, sequences.inputs, "inputs")[0]
    return _with_cotangents(own, inputs, sequences.provenance), False, needs


def _with_cotangents(own: Own, inputs: FloatArray, provenance: Any) -> Sequences:
    """Inputs with derivatives N(0, 1) of some loss with respect to h_T of the top."""
    rng = np.random.default_rng(0)
    draw = rng.standard_normal((inputs.shape[1], own.network.n_hidden)).astype(inputs.dtype)
    return Sequences.from_gradients(inputs, dL_dh_final=draw, provenance=provenance)


def _about(own: Own, data: Sequences, options: dict[str, Any]) -> dict[str, Any]:
    network = own.network
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
        "weights_sha256": own.identity,
        "provenance": dict(data.provenance),
    }
