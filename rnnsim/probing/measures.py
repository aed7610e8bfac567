"""What a monitor measures of one call: little work, exact for the sequences that it looks at."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rnnsim.checks import FloatArray
from rnnsim.data.sequences import Sequences
from rnnsim.dynamics.lyapunov import lyapunov_spectrum
from rnnsim.flow.windows.moments import Floats, scatter, squared_mean
from rnnsim.gradients.bptt import Gradients, bptt
from rnnsim.gradients.truncated import truncated_bptt
from rnnsim.networks.rnn import joined
from rnnsim.networks.stack import Network, Stack
from rnnsim.probing.records import ProbeRecord, some_of
from rnnsim.probing.tensors import Ints

_LOSSES = 2  # of a sequence, whose way back is followed
_DRIVEN = 2  # sequences that lambda_1 is taken along
_LEAST_STEPS = 23  # of `lyapunov_spectrum`: a burn-in of a tenth and 20 blocks


class Measured(NamedTuple):
    """Numbers of one call; NaN where they are not known.

    Attributes
    ----------
    log_changes : mapping
        By lag, 1, 2, 4, ... below T, the mean of ln(||dl_t/dh_{t-k}|| / ||dl_t/dh_t||).
    share_beyond, bias2, variance : float
        Of the gradient truncated at the window, see `Monitor`.
    lambda_1 : float
        The largest Lyapunov exponent, in nats per step.
    n_steps, n_sequences : int
        T of the call, and how many of its sequences were looked at.
    """

    log_changes: Mapping[int, float]
    share_beyond: float
    bias2: float
    variance: float
    lambda_1: float
    n_steps: int
    n_sequences: int


def measured(
    record: ProbeRecord, window: int | None, n_sequences: int, n_threads: int | None
) -> Measured:
    """The numbers of one call, from some of its sequences that are evenly spaced in the batch.

    Raises
    ------
    ValueError
        As of `ProbeRecord.sequences`; sequences without loss.
    """
    B = record.n_sequences
    n = min(n_sequences, B)
    part = some_of(record, np.arange(n) * B // n)
    data = part.sequences
    if not data.weights.any():
        raise ValueError(f"all gradients at the {n} sequences that are looked at are exactly 0")
    beyond = bias2 = variance = math.nan
    with np.errstate(all="ignore"):  # what leaves the range is NaN or infinite
        if window is not None:
            beyond, bias2, variance = _truncated(part, data, window, B, n_threads)
        changes = _log_changes(part, data, n_threads)
        exponent = _largest_exponent(part, data, n_threads)
    return Measured(changes, beyond, bias2, variance, exponent, record.n_steps, n)


def _log_changes(part: ProbeRecord, data: Sequences, n_threads: int | None) -> Mapping[int, float]:
    """By lag; every loss that is followed stands in a row of its own, so that one pass does."""
    rows, at = _rows(data)
    h0, c0 = (None if a is None else a[..., at.sequences, :] for a in (part.h0, part.c0))
    found = bptt(part.network, rows, h0=h0, c0=c0, n_threads=n_threads, keep=("states",))
    logs = _log_norms(found)
    lags = 2 ** np.arange(int(at.steps.max() - 1).bit_length())
    return {int(k): _mean(logs, at.steps, int(k)) for k in lags}


def _mean(logs: Floats, steps: Ints, k: int) -> float:
    """The mean of a lag over the rows that reach so far and are not 0 there; -inf if all are."""
    rows = np.flatnonzero(steps > k)
    there, first = logs[steps[rows] - k, rows], logs[steps[rows], rows]
    alive = ~np.isneginf(there)
    return float(np.mean(there[alive] - first[alive])) if alive.any() else -math.inf


def _log_norms(found: Gradients) -> Floats:
    """ln ||dl/dh_t|| (T+1, R) of the whole state of all layers; -inf below the normal range."""
    parts = [a[0] for a in (found.states, found.memories) if a is not None]
    if len(found.layers) > 1:  # (L, T+1, R, H)
        parts = [layer for part in parts for layer in part]
    values = np.concatenate(parts, axis=-1).astype(np.float64)
    peak = np.abs(values).max(axis=-1)
    norms = np.sqrt(np.square(values / peak[..., None]).sum(axis=-1))
    logs = np.log(peak) + np.log(norms)
    normal = float(np.finfo(found.h0.dtype).tiny)
    return np.where(peak < normal, -np.inf, logs)


class _At(NamedTuple):
    """The loss of each row (R,): of which sequence, counted from 0, and at which step."""

    sequences: Ints
    steps: Ints


def _rows(data: Sequences) -> tuple[Sequences, _At]:
    """The middle and the last loss of each sequence, one a row, the largest derivative 1."""
    places = []
    for b in range(data.n_sequences):
        steps = np.flatnonzero(data.weights[:, b]) + 1
        parts = -(-np.arange(1, _LOSSES + 1) * steps.size // _LOSSES)  # ends of equal parts
        places += [(b, int(steps[i - 1])) for i in np.unique(parts[parts > 0])]
    at = _At(*np.array(places).T)
    T, R = data.n_steps, np.arange(len(places))
    given = data.gradients
    assert given is not None
    found: dict[str, Any] = {}
    if given.dL_dh is not None:
        found["dL_dh"] = np.zeros((T, R.size, given.dL_dh.shape[-1]), data.dtype)
        found["dL_dh"][at.steps - 1, R] = given.dL_dh[at.steps - 1, at.sequences]
    for name in ("dL_dh_final", "dL_dc_final"):
        if (final := getattr(given, name)) is not None:
            found[name] = final[..., at.sequences, :] * (at.steps == T)[:, None]
    peak = np.max([_peaks(a) for a in found.values()], axis=0)[:, None]
    scaled = {name: a / peak for name, a in found.items()}
    return Sequences.from_gradients(data.inputs[:, at.sequences], **scaled), at


def _peaks(array: FloatArray) -> FloatArray:
    """The largest number of each row (R,), from (R, H), (T, R, H) or (L, R, H)."""
    return np.abs(array).max(axis=-1).reshape(-1, array.shape[-2]).max(axis=0)


def _truncated(
    part: ProbeRecord, data: Sequences, window: int, B: int, n_threads: int | None
) -> tuple[float, float, float]:
    """Share beyond the window, bias^2 and the variance of batches of B, from each sequence's own.

    All relative to the square of the mean gradient of these sequences.
    """
    networks, given = _copies(part.network, data.n_sequences), data.gradients
    assert given is not None
    arrays: dict[str, Any] = {name: _one_each(a) for name, a in given._asdict().items()}
    arrays["inputs"] = _one_each(data.inputs)
    alone = Sequences.from_gradients(**arrays)
    first: dict[str, Any] = {"h0": _one_each(part.h0), "c0": _one_each(part.c0)}
    first |= {"n_threads": n_threads}
    full = _recurrent(bptt(networks, alone, **first))
    cut = _recurrent(truncated_bptt(networks, alone, window=window, stride=1, **first))
    tail, mean = full - cut, full.mean(axis=0)
    square = float(np.einsum("q,q->", mean, mean))  # BLAS would wake threads for so little
    if not 0.0 < square < math.inf:
        return math.nan, math.nan, math.nan
    beyond = float(np.einsum("q,q->", tail.mean(axis=0), mean))
    bias2, variance = squared_mean(tail).estimate, scatter(cut).estimate / B
    return beyond / square, bias2 / square, variance / square


def _copies(network: Network, n: int) -> Network:
    """The network n times."""
    layers = [joined([layer] * n) for layer in network.layers]
    return layers[0] if len(layers) == 1 else Stack(layers)


def _one_each(array: FloatArray | None) -> FloatArray | None:
    """(N, ..., 1, H) from (..., B, H): each sequence as the batch of a network of its own."""
    return None if array is None else np.moveaxis(array, -2, 0)[..., None, :]


def _recurrent(gradients: Gradients) -> Floats:
    """dL/d[W_hh, W_xh, b_h] of all layers (N, Q), as vectors."""
    parts = [array for w in gradients.layers for array in (w.W_hh, w.W_xh, w.b_h)]
    flat = [array.reshape(len(array), -1) for array in parts]
    return np.concatenate(flat, axis=1).astype(np.float64)


def _largest_exponent(part: ProbeRecord, data: Sequences, n_threads: int | None) -> float:
    """The mean of lambda_1 over few sequences, each over its steps; NaN where one is too short."""
    n = min(_DRIVEN, data.n_sequences)
    columns = np.arange(n) * data.n_sequences // n
    lengths = part.lengths[columns]
    if lengths.min() < _LEAST_STEPS:
        return math.nan
    found = []
    for T in np.unique(lengths):
        own = columns[lengths == T]
        h0, c0 = (_one_each(None if a is None else a[..., own, :]) for a in (part.h0, part.c0))
        spectrum = lyapunov_spectrum(
            _copies(part.network, own.size), _one_each(data.inputs[:T, own]), n_exponents=1,
            h0=h0, c0=c0, n_threads=n_threads,
        )  # fmt: skip
        found += spectrum.exponents[:, 0].tolist()
    return float(np.mean(found))
