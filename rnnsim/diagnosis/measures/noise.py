"""Noise of batches beside the bias of a window, and what clipping does to the gradient."""

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim.diagnosis.cases import MOST_BATCHES, Case, error_of
from rnnsim.diagnosis.findings import (
    DEFINITION,
    OURS,
    Finding,
    percent,
    series,
    short,
    told,
    unknown,
)
from rnnsim.flow.growth import error_of_mean
from rnnsim.flow.reach import sufficient_window
from rnnsim.flow.windows.bias_variance import in_groups
from rnnsim.flow.windows.results import WindowBiasVariance
from rnnsim.gradients.bptt import bptt

Floats = npt.NDArray[np.float64]

_LEAST_BATCHES = 3
_MOST_GROUPS = 4  # of batches, which give the horizon its error
_STRAIGHT = 0.9  # a cosine below which a gradient counts as turned
_NOISE = ("noise_and_bias", "best_window", "horizon")


def noise_beside_bias(case: Case) -> list[Finding]:
    """bias^2 of the window against the variance over batches, and which of them limits."""
    if (needs := _needs(case)) is not None:
        return [unknown(name, needs) for name in _NOISE]
    B, last = case.data.n_sequences, case.n_lags
    M = _batches(B)
    K = case.window
    if K is None:
        enough = float(sufficient_window(case.flow, 0.1, of="recurrent")[0])
        K = last if math.isnan(enough) else int(enough)
    K = min(K, case.data.n_steps)
    if last < K:
        return [unknown(name, case.more_lags) for name in _NOISE]
    windows = np.unique([*np.geomspace(1, last, 24).round().astype(int).tolist(), K, last])
    n_groups = min(_MOST_GROUPS, M // _LEAST_BATCHES, B // (4 * case.batch_size))
    cuts = np.linspace(0, M, max(n_groups, 1) + 1).astype(int)
    groups = [pair for pair in itertools.pairwise(cuts.tolist()) if len(cuts) > 2]
    found, *parts = _measured(case, M, [(0, M), *groups], windows)
    if found.first_nonfinite[0] >= 0 or not np.isfinite(found.log_norm[0]):
        needs = "a mean gradient that is finite and not exactly 0"
        return [unknown(name, needs) for name in _NOISE]
    size = B // M
    over = f"{M} batches of {size} sequence{'s' if size > 1 else ''}"
    of_groups = f"{over}, in {len(parts)} groups" if parts else over
    return [
        _limits(case, found, parts, K, over),
        _best(case, found, parts, over),
        _horizon(case, found, parts, of_groups),
    ]


def _measured(
    case: Case, M: int, groups: list[tuple[int, int]], windows: npt.NDArray[np.int64]
) -> list[WindowBiasVariance]:
    """Of groups of M batches, all in one pass; what is left over by them is left out."""
    part, B = case.whole, case.data.n_sequences
    if B % M:
        part = part.of(np.arange(B - B % M))
    return in_groups(
        case.network, part.data, groups, windows=windows, max_lag=case.longest, **part.start,
        n_threads=case.n_threads,
    )  # fmt: skip


def _terms(case: Case, found: WindowBiasVariance, K: int) -> tuple[float, float]:
    """bias^2 of a window, and the variance of a batch of the size that is asked about."""
    at, scale = int(np.flatnonzero(found.windows == K)[0]), found.batch_size / case.batch_size
    return float(found.bias2_estimate[0, at]), scale * float(found.variance_estimate[0, at])


def _limits(
    case: Case, found: WindowBiasVariance, parts: list[WindowBiasVariance], K: int, over: str
) -> Finding:
    at = int(np.flatnonzero(found.windows == K)[0])
    bias2, noise = _terms(case, found, K)
    bias_error = 2 * float(found.bias2_error[0, at])
    noise_error = noise * math.expm1(2 * float(found.variance_log_error[0, at])) if noise else 0.0
    rounding = float(found.floor[0])
    apart, (share, of_norm) = bias2 - noise, case.noise
    error = math.nan
    if not case.noisy:  # the unit, ||mean g||^2, has noise itself, and an error
        of_unit = abs(apart) * (share / (1 - share) + 2 * of_norm)
        error = math.hypot(bias_error, noise_error, of_unit)
    says = "undecided"
    if abs(apart) > error + rounding:  # never where that is not known
        says = "bias limits" if apart > 0 else "noise limits"
    if noise == 0 and bias2 <= rounding:
        says = "neither"
    words = (
        f"With a window of {K} the gradient has a bias^2 of {told(bias2, bias_error)} and, in "
        f"{_sized(case)}, a variance of {told(noise, noise_error)}, both of the square of the mean "
        f"gradient: {_WHICH[says]}.{case.noisy}"
    )
    scale = found.batch_size / case.batch_size
    evidence = series(
        window=found.windows, bias2=found.bias2_estimate[0], bias2_error=2 * found.bias2_error[0],
        variance=scale * found.variance_estimate[0],
    )  # fmt: skip
    each = tuple(one - other for one, other in (_terms(case, part, K) for part in parts))
    return Finding("noise_and_bias", says, words, apart, error, "||mean gradient||^2", 0.0,
                   DEFINITION, over, each, evidence)  # fmt: skip


_WHICH = {
    "bias limits": "the window limits the gradient more than the batch does",
    "noise limits": "the batch limits the gradient more than the window does",
    "undecided": "which of the two limits is not decided",
    "neither": "neither is there",
}


def _best(
    case: Case, found: WindowBiasVariance, parts: list[WindowBiasVariance], over: str
) -> Finding:
    size, T, K = case.batch_size, case.data.n_steps, case.n_lags
    best = float(found.best_window(size)[0])
    low, high = map(float, found.as_good_windows(size)[0])
    error = max(best - low, high - best) if not math.isnan(low) else math.nan
    words = (
        f"In {_sized(case)} bias^2 and variance together are least at a window of {short(best)} of "
        f"{T} steps, and not known to be more from {short(low)} to {short(high)}, of those tried."
        f"{case.beyond}"
    )
    says = "all steps" if best >= T else "all that were measured" if best >= K else "fewer steps"
    evidence = series(window=found.windows, mean_square_error=found.mean_square_error(size)[0])
    each = tuple(float(part.best_window(size)[0]) for part in parts)
    return Finding("best_window", says, words, best, error, "steps", over=over, parts=each,
                   evidence=evidence)  # fmt: skip


def _horizon(
    case: Case, found: WindowBiasVariance, parts: list[WindowBiasVariance], over: str
) -> Finding:
    size, K = case.batch_size, case.n_lags
    horizon = float(found.horizon(size)[0])
    if math.isnan(horizon):
        held = found.batch_size * found.n_batches
        needs = f"four times as many sequences as a batch of {size} has, got {held}"
        return unknown("horizon", needs)
    each = tuple(float(part.horizon(size)[0]) for part in parts)
    error = error_of(horizon, each, 1.0)
    lags = (
        "every lag brings more noise than gradient"
        if horizon < 0
        else f"lags beyond {told(horizon, error)} each bring more noise than gradient"
        if horizon < K - 1
        else f"even the last lag, {K - 1}, brings more gradient than noise"
    )
    says = "none" if horizon < 0 else "within the data" if horizon < K - 1 else "all lags"
    words = f"In {_sized(case)} {lags}.{case.beyond}"
    evidence = series(
        lag=range(K), signal=found.lag_signal[0],
        noise=found.lag_noise[0] * found.batch_size / size,
    )  # fmt: skip
    return Finding("horizon", says, words, horizon, error, "steps", 1.0, DEFINITION, over, each,
                   evidence)  # fmt: skip


def _sized(case: Case) -> str:
    """A batch, and where its size comes from."""
    one = f"batches of {case.batch_size} sequence{'s' if case.batch_size > 1 else ''}"
    return one if case.batch_given else f"{one} (`batch_size` was not given)"


def _batches(B: int) -> int:
    """How many batches of one size: as many as divide B, or nearly."""
    if B <= MOST_BATCHES:
        return B
    _, M = min((B % M, -M) for M in range(MOST_BATCHES // 4, MOST_BATCHES + 1))
    return -M


def _needs(case: Case) -> str | None:
    if not case.of_loss:
        return case.needs
    if case.flow.first_nonfinite[0] >= 0:
        return "states and gradients within the range of floating-point numbers"
    if len(case.parts) < _LEAST_BATCHES:
        return f"{_LEAST_BATCHES} sequences with loss at least, to tell one batch from another"
    return None


def clipping(case: Case) -> list[Finding]:
    """Which share of minibatches a norm clips, and how far the mean gradient is turned."""
    found: list[Finding] = []
    limits = {"clipping_by_norm": ("clip_norm", case.clip_norm),
              "clipping_by_value": ("clip_value", case.clip_value)}  # fmt: skip
    for name, (option, limit) in limits.items():
        if limit is None:
            needs = f"the limit that one trains with, as `{option}`"
        elif not case.of_loss:
            needs = case.needs
        elif case.data.n_sequences < 2 * case.batch_size:
            needs = f"two batches of {case.batch_size} sequences, got {case.data.n_sequences}"
            needs += "; give more, or a smaller `batch_size`"
        else:
            found += _clipped(case, name, limit)
            continue
        found += [unknown(name, needs), unknown(f"{name}_cosine", needs)]
    return found


def _clipped(case: Case, name: str, limit: float) -> list[Finding]:
    gradients, turns = _gradients(case), f"{name}_cosine"
    if not np.isfinite(gradients).all() or not gradients.any():
        needs = "gradients of batches that are finite and not all exactly 0"
        return [unknown(name, needs), unknown(turns, needs)]
    by_norm = name == "clipping_by_norm"
    norms = np.sqrt((gradients**2).sum(axis=1))
    if by_norm:
        touched = norms > limit
        clipped = gradients * np.minimum(1.0, limit / np.where(norms > 0, norms, 1.0))[:, None]
    else:
        touched = (np.abs(gradients) > limit).any(axis=1)
        clipped = np.clip(gradients, -limit, limit)
    M, share = len(gradients), float(touched.mean())
    over = f"{M} batches of {case.batch_size} sequence{'s' if case.batch_size > 1 else ''}"
    pairs = list(zip(clipped, gradients, strict=True))
    cosines = [_cosine(a, b) for a, b in pairs]
    evidence = series(batch=range(M), norm=norms, clipped=touched.astype(float), cosine=cosines)
    how = f"Clipped by {'norm' if by_norm else 'value'} at {short(limit)},"
    words = (
        f"{how} {percent(share)} of the gradients of {over} change: of {_together(case)}, of the "
        "loss as the data weigh it, summed over steps."
    )
    says = "all" if share == 1 else "none" if share == 0 else "some"
    first = Finding(name, says, words, share, _of_share(share, M), "1", limit, "given", over,
                    evidence=evidence)  # fmt: skip
    cosine, error = _turned(clipped, gradients)
    if math.isnan(cosine):
        return [first, unknown(turns, "clipped gradients whose mean is not exactly 0")]
    words = f"{how} the mean of them has a cosine of {told(cosine, error)} to the mean gradient."
    if not by_norm:
        angle = float(np.nanmean([_degrees(a, b) for a, b in pairs]))
        words += f" Each gradient by itself is turned by {short(angle)} degrees."
    known = 0.0 if math.isnan(error) else error
    says = "undecided"
    if cosine - known >= _STRAIGHT or cosine + known < _STRAIGHT:
        says = "straight" if cosine >= _STRAIGHT else "turned"
    return [first, Finding(turns, says, words, cosine, error, "1", _STRAIGHT, OURS, over)]


def _together(case: Case) -> str:
    """Which weights a gradient is of; a model may have more, whose gradients are clipped too."""
    network, missing = case.network, []
    if network.n_outputs == 0:
        missing.append("a readout")
    if network.embedding is not None or network.n_outputs == 0:
        missing.append("an embedding")
    if not missing:
        return "all weights together"
    return (
        f"W_xh, W_hh and b_h together{'' if network.n_outputs == 0 else ', and the readout'} "
        f"(without {' or '.join(missing)}, whose gradients make norms larger)"
    )


def _turned(clipped: Floats, gradients: Floats) -> tuple[float, float]:
    """The cosine between two means; its error, with its bias, by the jackknife over batches."""
    one, other, M = clipped.sum(axis=0), gradients.sum(axis=0), len(clipped)
    cosine = _cosine(one, other)
    pairs = zip(clipped, gradients, strict=True)
    without = np.array([[_cosine(one - a, other - b) for a, b in pairs]])
    error = (M - 1) * 2 * float(error_of_mean(without, np.isfinite(without))[0])
    error += (M - 1) * abs(float(without.mean()) - cosine)
    return cosine, error if np.isfinite(without).all() else math.nan


def _of_share(share: float, M: int) -> float:
    """Agresti and Coull's half width of 95 % for a share of M, about the share itself."""
    n = M + 4
    middle = (share * M + 2) / n
    return 2 * math.sqrt(middle * (1 - middle) / n) + abs(middle - share)


def _gradients(case: Case) -> Floats:
    """Gradients of minibatches (M, all weights of all layers)."""
    size = case.batch_size
    rows = []
    for first in range(0, case.data.n_sequences - size + 1, size):
        part = case.whole.of(np.arange(first, first + size))
        scale = case.data.n_sequences / size if case.data.has_gradients else 1.0
        given: dict[str, Any] = {**part.start, "n_threads": case.n_threads}
        layers = bptt(case.network, part.data, **given).layers
        flat = [np.asarray(w, float).ravel() for layer in layers for w in layer]
        rows.append(scale * np.concatenate(flat))
    return np.array(rows)


def _cosine(one: Floats, other: Floats) -> float:
    scale = float(np.sqrt((one**2).sum()) * np.sqrt((other**2).sum()))
    return float(one @ other) / scale if scale else math.nan


def _degrees(one: Floats, other: Floats) -> float:
    """The angle between two vectors, exactly 0 where they are the same (Kahan 2006)."""
    sizes = np.linalg.norm(one), np.linalg.norm(other)
    if not all(sizes):
        return math.nan
    a, b = one / sizes[0], other / sizes[1]
    return math.degrees(2 * math.atan2(np.linalg.norm(a - b), np.linalg.norm(a + b)))
