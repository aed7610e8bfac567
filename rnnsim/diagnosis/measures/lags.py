"""Where the gradient comes from, by lag, layer and gate, and what a window leaves of it."""

import math
from typing import Any

import numpy as np

from rnnsim.diagnosis.cases import Case, Floats, bracket, error_of
from rnnsim.diagnosis.findings import (
    OURS,
    Evidence,
    Finding,
    counted,
    percent,
    series,
    short,
    steps,
    told,
    unknown,
)
from rnnsim.flow.reach import reach, sufficient_window
from rnnsim.flow.results import GradientFlow
from rnnsim.gradients.bptt import bptt
from rnnsim.gradients.truncated import truncated_bptt
from rnnsim.networks.cells import CELLS

_SHARES = (0.5, 0.9, 0.99)
_CANCELS = 2.0  # sum of ||G_k|| / ||g||
_TOLERANCES = (0.1, 0.01)
_RECURRENT = ("W_hh", "W_xh", "b_h")
_NOT_0 = "a gradient of W_hh, W_xh and b_h that is not exactly 0 in some layer"


def reaches(case: Case) -> list[Finding]:
    """Windows that keep 90 % of dL/dW_hh and of dL/dW_xh, and the parts of layers and gates."""
    names = ("reach_W_hh", "reach_W_xh")
    if (needs := _needs(case)) is not None:
        return [unknown(name, needs) for name in (*names, "gradient_by_layer_and_gate")]
    return [_reach(case, name, name.removeprefix("reach_")) for name in names] + [_shares(case)]


def _reach(case: Case, name: str, of: str) -> Finding:
    found = {share: reach(case.flow, share) for share in _SHARES}
    windows = {share: float(getattr(each, of)[0]) for share, each in found.items()}
    whole = found[0.9]
    total = getattr(whole, f"cumulative_{of}")[0]
    cancels = float(getattr(whole, f"cancellation_{of}")[0])
    if np.isnan(total).all():
        return unknown(name, f"dL/d{of} is exactly 0, so that no lag has a share; it needs a "
                       "loss that depends on it")  # fmt: skip
    if math.isnan(windows[0.9]):
        return unknown(name, case.more_lags)
    estimate = case.of_flows(lambda flow: float(getattr(reach(flow, 0.9), of)[0]), 1.0)
    says = "cancels" if cancels > _CANCELS else "adds up"
    layers = [float(getattr(reach(each, 0.9), of)[0]) for each in case.flow.layers]
    each = ("none, as it has no gradient" if math.isnan(K) else short(K) for K in layers)
    by_layer = f" By layer, the lowest first: {', '.join(each)}."
    of_99 = (
        f"99 % takes {short(windows[0.99])}"
        if not math.isnan(windows[0.99])
        else f"no window of up to {total.size} keeps 99 %"
    )
    words = (
        f"A window of {counted(windows[0.9], estimate['error'])} keeps 90 % of dL/d{of} of "
        f"these weights on these data; 50 % takes {short(windows[0.5])}, {of_99}. Parts of "
        f"single lags add up to {short(cancels)} times the gradient: {_ADDING[says]}."
        f"{by_layer if len(layers) > 1 else ''}{case.beyond}{case.noisy}"
    )
    evidence = series(window=range(1, total.size + 1), cumulative_share=total)
    return Finding(name, says, words, unit="steps", threshold=0.9, source=OURS, evidence=evidence,
                   **estimate)  # fmt: skip


_ADDING = {
    "adds up": "they hardly cancel each other",
    "cancels": "they largely cancel each other, and shares tell little",
}


def _shares(case: Case) -> Finding:
    """Shares of ||dL/dW_hh||^2 by layer and gate."""
    name = "gradient_by_layer_and_gate"
    if len(case.flow.layers) == 1 and case.network.cell == "vanilla":
        words = "One layer without gates: all of dL/dW_hh is its own."
        return Finding(name, "one part", words, 1.0, 0.0, over="the weights alone")
    whole = _by_part(case.flow)
    if not np.isfinite(whole).all():
        return unknown(name, "a gradient that is not exactly 0")
    gates, L = CELLS[case.network.cell].gates or ("W_hh",), len(case.flow.layers)
    labels = [f"layer {k + 1}, {gate}" if L > 1 else gate for k in range(L) for gate in gates]
    best = int(whole.argmax())
    estimate = case.of_flows(lambda flow: float(_by_part(flow)[best]))
    listed = ", ".join(f"{label} {percent(x)}" for label, x in zip(labels, whole, strict=True))
    words = f"Of the square of dL/dW_hh: {listed}.{case.noisy}"
    return Finding(
        name, labels[best], words, evidence=series(block=labels, share=whole), **estimate
    )


def _by_part(flow: GradientFlow) -> np.ndarray:
    """Shares of layers and their gates, (L*G,), which add up to 1."""
    logs = np.array([layer.full_log_norm[0] for layer in flow.layers])
    with np.errstate(invalid="ignore"):
        of_layers = np.exp(2 * (logs - logs.max()))
    of_layers /= of_layers.sum()
    each = [w * layer.share_gates[0].sum(axis=0) for w, layer in
            zip(of_layers, flow.layers, strict=True)]  # fmt: skip
    return np.concatenate([np.where(w > 0, x, 0.0) for w, x in zip(of_layers, each, strict=True)])


def windows(case: Case) -> list[Finding]:
    """The error of the window that one trains with, and the smallest for 10 % and 1 %."""
    names = [f"window_for_{t:.0%}".replace("%", "_percent") for t in _TOLERANCES]
    if (needs := _needs(case)) is not None:
        return [unknown(name, needs) for name in ("window_error", *names)]
    sizes = range(1, case.flow.n_lags + 1)
    curve = series(window=sizes, error=_curve(case.flow))
    smallest = [_smallest(case, *each, curve) for each in zip(names, _TOLERANCES, strict=True)]
    return [_error_of_window(case, curve), *smallest]


def _smallest(case: Case, name: str, tolerance: float, evidence: Evidence) -> Finding:
    def number(flow: GradientFlow) -> float:
        return float(sufficient_window(flow, tolerance, of="recurrent")[0])

    estimate: dict[str, Any] = case.of_flows(number, 1.0)
    K = estimate["number"]
    if not math.isnan(estimate["error"]) and not math.isnan(K):
        low, high = bracket(*_curve_with_errors(case), tolerance)
        estimate["error"] = float(max(high + 1 - K, K - low - 1))
    if math.isnan(K):
        return unknown(name, _zero_or_beyond(case))
    T = case.data.n_steps
    words = (
        f"From a window of {told(K, estimate['error'])} of {steps(T)} on the gradient of these "
        f"weights on these data is off by no more than {percent(tolerance)}, going so far back "
        f"from each loss.{case.beyond}{case.noisy}"
    )
    says = "all steps" if K >= T else "fewer steps"
    return Finding(name, says, words, unit="steps", threshold=tolerance, source=OURS,
                   evidence=evidence, **estimate)  # fmt: skip


def _error_of_window(case: Case, evidence: Evidence) -> Finding:
    name, K = "window_error", case.window
    if K is None:
        return unknown(name, "the window that one trains with, as `window`")
    if case.n_lags < min(K, case.n_possible):
        return unknown(name, case.more_lags)
    estimate: dict[str, Any] = case.of_flows(lambda flow: _error_at(flow, K))
    number, error = estimate["number"], estimate["error"]
    if math.isnan(number):
        return unknown(name, _NOT_0)
    cut, limit = _segments(case, K), _TOLERANCES[0]
    known = 0.0 if math.isnan(error) else error
    says = "undecided"
    if number - known > limit:
        says = "too short"
    elif number + known <= limit:
        says = "keeps the gradient"
    last = int(case.flow.steps[-1])
    if last <= K:
        says, words = "whole", f"A window of {steps(K)} holds every step before the last loss."
    else:
        words = (
            f"Truncated to a window of {steps(K)}, the gradient of these weights on these data is "
            f"off by {told(100 * number, 100 * error)} % of itself"
        )
        words += "." if math.isnan(cut) else f"; cut into segments of {steps(K)} by {percent(cut)}."
        words += case.noisy
    return Finding(name, says, words, threshold=limit, source=OURS, evidence=evidence, **estimate)


def _zero_or_beyond(case: Case) -> str:
    """Why no window is known to do."""
    nothing = any(np.isneginf(layer.recurrent.full_log_norm[0]) for layer in case.flow.layers)
    return _NOT_0 if nothing or not case.beyond else case.more_lags


def _error_at(flow: GradientFlow, K: int) -> float:
    return float(_curve(flow)[min(K, flow.n_lags) - 1])


def _curve(flow: GradientFlow) -> Floats:
    """||g_K - g|| / ||g|| of the layer where it is largest; what rounding hides counts as 0."""
    found = []
    for layer in flow.layers:
        log = layer.recurrent.log_error[0]
        hidden = np.isnan(log) & np.isfinite(layer.recurrent.full_log_norm[0])
        found.append(np.where(hidden, 0.0, np.exp(np.minimum(log, 700.0))))
    return np.asarray(np.max(found, axis=0))


def _curve_with_errors(case: Case) -> tuple[Floats, Floats]:
    whole, parts = _curve(case.flow), np.array([_curve(flow) for flow in case.flows]).T
    errors = [error_of(float(x), each.tolist(), of_norms=True) for x, each in
              zip(whole, parts, strict=True)]  # fmt: skip
    return whole, np.array(errors)


def _segments(case: Case, K: int) -> float:
    """The same error where sequences are cut into segments of K steps, as frameworks train.

    NaN where gradients of some layer are 0, or leave the range, when they are added up as usual.
    """
    given: dict[str, Any] = {**case.whole.start, "n_threads": case.n_threads}
    full = bptt(case.network, case.data, **given)
    cut = truncated_bptt(case.network, case.data, window=K, **given)
    found = []
    for one, other in zip(full.layers, cut.layers, strict=True):
        g, g_cut = (
            np.concatenate([getattr(layer, name).astype(float).ravel() for name in _RECURRENT])
            for layer in (one, other)
        )
        unit = float(np.abs(g).max())  # squares may lie beyond the range where g does not
        if not (0 < unit < math.inf):
            return math.nan
        found.append(float(np.linalg.norm(g / unit - g_cut / unit) / np.linalg.norm(g / unit)))
    return float(np.max(found))


def _needs(case: Case) -> str | None:
    """What a share of a gradient would need."""
    if not case.of_loss:
        return case.needs
    if case.flow.first_nonfinite[0] >= 0:
        return "states and gradients within the range of floating-point numbers"
    return None
