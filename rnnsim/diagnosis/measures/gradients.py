"""How gradients and differences of states change from step to step."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim.diagnosis.cases import Case, Floats, error_of
from rnnsim.diagnosis.findings import (
    DEFINITION,
    OURS,
    Finding,
    percent,
    series,
    short,
    steps,
    told,
    unknown,
)
from rnnsim.dynamics.lyapunov import lyapunov_spectrum
from rnnsim.flow.growth import GrowthRate, growth_rate
from rnnsim.flow.results import GradientFlow

_FACTOR = 2.0  # over the longest lag: less is said to hold
_ROUNDING = 64.0  # of a log norm per step, in units of epsilon, as in `growth_rate`
_LEAST_STEPS = 23  # of `lyapunov_spectrum`: a burn-in of a tenth and 20 blocks


def range_left(case: Case) -> list[Finding]:
    """Whether anything left the floating-point range."""
    first = int(case.flow.first_nonfinite[0])
    if first < 0:
        words = "All states and gradients are finite."
        return [Finding("range", "finite", words, over=f"{case.data.n_sequences} sequences")]
    words = (
        f"States, losses or gradients leave the range of {case.network.dtype} at step {first}: "
        "what follows from there on cannot be measured."
    )
    over = f"{case.data.n_sequences} sequences"
    return [Finding("range", "not finite", words, float(first), 0.0, "step", over=over)]


def gradient_rates(case: Case) -> list[Finding]:
    """The rate of the gradient over lags, and what it comes to over the window."""
    found = _rate(case)
    return [found, *_over_window(case, found)]


def _rate(case: Case) -> Finding:
    name, flow = "gradient_rate", case.flow
    longest = min(flow.n_lags, int(flow.steps[-1])) - 1
    if flow.first_nonfinite[0] >= 0:
        return unknown(name, _not_finite(flow))
    if longest < 2:
        needs = "a loss at step 3 or later, of which gradients go 2 steps back"
        return unknown(name, case.more_lags if case.beyond else needs)
    curve, fit = changes(flow, longest), growth_rate(flow)
    rate, error = float(fit.rate[0]), 2 * float(fit.standard_error[0])
    evidence = series(lag=range(longest + 1), log_change=curve, log_error=_errors(case, curve),
                      fitted=_fitted(curve, fit))  # fmt: skip
    common: dict[str, Any] = {"unit": "nats/step", "over": case.over, "evidence": evidence}
    live, of = float(fit.live[0]), "" if case.of_loss else " (random cotangents at the last step)"
    if live == 0:
        return _dead(flow, common)
    lags = f"lags {fit.first_lag} to {fit.last_lag}"
    more = f" Of {percent(1 - live)} of the gradients nothing arrives there." if live < 1 else ""
    crossings = f"{_crossings(curve, _origin(flow))}{more}{case.beyond}"
    if not fit.single[0]:
        early, late = fit.halves[0]
        words = (
            f"There is no single rate: the gradient{of} changes by {short(early)} nats per step "
            f"over the first half of {lags} and by {short(late)} over the second. {crossings}"
        )
        return Finding(name, "no single rate", words, **common)
    says = _direction(rate, error, longest, flow.epsilon)
    common["parts"] = tuple(float(growth_rate(each).rate[0]) for each in case.flows)
    common |= {"threshold": math.log(_FACTOR) / longest, "source": OURS}
    words = f"{_words(says, rate, error, lags, of, longest)} {crossings}"
    return Finding(name, says, words, rate, error, **common)


def _errors(case: Case, curve: Floats) -> list[float]:
    """The error of the change up to each lag; not known of lags that a part does not reach."""
    parts = np.full((len(case.flows), curve.size), np.nan)
    for row, flow in zip(parts, case.flows, strict=True):
        found = changes(flow, min(curve.size, flow.n_lags) - 1)
        row[: found.size] = found
    return [error_of(float(x), each.tolist()) for x, each in zip(curve, parts.T, strict=True)]


def _fitted(curve: Floats, fit: GrowthRate) -> Floats:
    """The line of the rate through the middle of its lags; NaN elsewhere and without one rate."""
    line = np.full(curve.size, np.nan)
    if fit.single[0]:
        lags = np.arange(fit.first_lag, fit.last_lag + 1)
        line[lags] = curve[lags].mean() + float(fit.rate[0]) * (lags - lags.mean())
    return line


def _words(says: str, rate: float, error: float, lags: str, of: str, longest: int) -> str:
    number = f"{told(rate, error)} nats per step over {lags}"
    return {
        "vanishes": f"The gradient{of} vanishes on its way back, by {number}.",
        "grows": f"The gradient{of} grows on its way back, by {number}.",
        "holds": f"The gradient{of} keeps its size within a factor of {_FACTOR:g} over {longest} "
        f"steps: {number}.",
    }.get(says, f"Whether the gradient{of} grows or vanishes is not decided: {number}.")


def _direction(rate: float, error: float, longest: int, epsilon: float) -> str:
    """What a rate says that is as well known as this; an unknown error counts as none."""
    apart = _ROUNDING * epsilon + (0.0 if math.isnan(error) else error)
    limit = math.log(_FACTOR) / longest
    if abs(rate) + apart < limit:
        return "holds"
    if abs(rate) - apart > limit:
        return "grows" if rate > 0 else "vanishes"
    return "undecided"


def _dead(flow: GradientFlow, common: dict[str, Any]) -> Finding:
    reach = np.flatnonzero(np.nan_to_num(flow.live[0]).max(axis=0) > 0)
    last = int(reach.max(initial=-1))
    words = (
        f"The gradient is exactly 0 from lag {last + 1} on, in every sequence: no rate describes "
        "that."
    )
    return Finding("gradient_rate", "dies", words, -math.inf, math.nan, **common)


def _crossings(curve: Floats, origin: int) -> str:
    """At which lags the norm is first at 1/2, 1/10, 1/100, or twice, 10 and 100 times itself."""
    since = f" of that at lag {origin}" if origin else ""
    later = np.where(np.arange(curve.size) > origin, curve, 0.0)
    down = [_first(later <= -math.log(factor)) for factor in (2, 10, 100)]
    up = [_first(later >= math.log(factor)) for factor in (2, 10, 100)]
    found = [
        (names, lags)
        for names, lags in (
            (("1/2", "1/10", "1/100"), down),
            (("twice", "10 times", "100 times"), up),
        )
        if lags[0] is not None
    ]
    if not found:
        last = len(curve) - 1
        return f"It is never half or twice{since or ' what it was'}, up to lag {last}."
    sentences = []
    for names, lags in found:
        known = [f"{name} at lag {k}" for name, k in zip(names, lags, strict=True) if k is not None]
        sentences.append(f"It is first down to {', '.join(known)}{since}." if "/" in names[0] else
                         f"It first comes to {', '.join(known)}{since}.")  # fmt: skip
    return " ".join(sentences)


def _first(holds: npt.NDArray[np.bool_]) -> int | None:
    return int(holds.argmax()) if holds.any() else None


def _not_finite(flow: GradientFlow) -> str:
    return (
        f"states or gradients are not finite from step {flow.first_nonfinite[0]} on; it needs data "
        "or weights that stay within the range"
    )


def _over_window(case: Case, fitted: Finding) -> list[Finding]:
    """By which factor the gradient changes over the window: measured, and as the rate has it."""
    flow = case.flow
    names = "change_over_window", "rate_over_window"
    longest = min(flow.n_lags, int(flow.steps[-1])) - 1
    if flow.first_nonfinite[0] >= 0:
        return [unknown(name, _not_finite(flow)) for name in names]
    lag = longest - _origin(flow) if case.window is None else case.window
    if lag < 1:
        return [unknown(name, "a loss at a later step") for name in names]
    what = f"{steps(lag)}, {'the window' if case.window else 'the longest lag'},"
    if lag + _origin(flow) <= longest:
        logs = [_log_change(each, lag) for each in (flow, *case.flows)]
        error, parts = error_of(logs[0], logs[1:]), tuple(map(_exp, logs[1:]))
        words = f"Over {what} a gradient changes by a factor of {_told_factor(logs[0], error)}."
        found = [_factor(case, names[0], words, (logs[0], error), lag)]
        found = [replace(found[0], parts=parts)]
    else:
        needs = f"sequences in which gradients go further back than {steps(longest)}"
        found = [unknown(names[0], case.more_lags if case.beyond else needs)]
    if not math.isfinite(fitted.number):
        return [*found, unknown(names[1], f"a single rate; the gradient: {fitted.says}")]
    log = fitted.number * lag, fitted.error * lag
    seen = "that were measured" if case.beyond else "that gradients go back here"
    beyond = f", beyond the {longest} steps {seen}" * (lag > longest)
    words = f"e^(rate * {lag}) is {_told_factor(*log)}{beyond}."
    return [*found, _factor(case, names[1], words, log, lag)]


def _factor(case: Case, name: str, words: str, logs: tuple[float, float], lag: int) -> Finding:
    """A factor from its log and the error of that; its error reaches as far as the upper end."""
    log, error = logs
    number, up = _exp(log), math.nan if math.isnan(error) else _exp(log + error)
    width = 0.0 if up == number else up - number
    known, limit = 0.0 if math.isnan(error) else error, math.log(_FACTOR)
    says = "grows" if log > limit else "falls" if log < -limit else "holds"
    if abs(abs(log) - limit) <= known:
        says = "undecided"
    evidence = series(lag=[lag], log_change=[log], log_error=[error])
    return Finding(name, says, words, number, width, "1", _FACTOR, OURS, case.over,
                   evidence=evidence)  # fmt: skip


def _told_factor(log: float, error: float) -> str:
    if log == -math.inf:
        return "0"
    if abs(log) < 12 and not (error > 2):
        up = math.nan if math.isnan(error) else math.exp(log) * math.expm1(error)
        return told(math.exp(log), up)
    return f"e^({told(log, error)})"


def _exp(log: float) -> float:
    return math.inf if log > 709 else math.exp(log)


def _log_change(flow: GradientFlow, lag: int) -> float:
    last = _origin(flow) + lag
    return float(changes(flow, last)[last]) if last < flow.n_lags else math.nan


def _origin(flow: GradientFlow) -> int:
    """The lag that norms are compared with: of LSTMs 1, as c takes part from there on."""
    return 1 if flow.log_norms_c is not None else 0


def changes(flow: GradientFlow, last: int) -> Floats:
    """The change of the log norm from the first lag that counts up to each lag, (last + 1,).

    The sum of mean changes from one lag to the next, each over the steps that reach so far and the
    sequences whose norm is above 0 there: every one is compared with itself. -inf where none is.
    """
    if flow.per_sequence is None:
        logs = flow.log_norms[0, :, : last + 1, None]
    else:
        logs = flow.per_sequence[0, :, : last + 1]
    with np.errstate(invalid="ignore"):
        steps = np.diff(logs, axis=1)
    known = np.isfinite(steps)
    number = known.sum(axis=(0, 2))
    means = np.where(known, steps, 0.0).sum(axis=(0, 2)) / np.maximum(number, 1)
    means[number == 0] = -np.inf
    first = _origin(flow)
    if first and np.isneginf(means[0]):  # nothing is there at lag 0, where h alone counts
        means[0] = 0.0
    curve = np.concatenate([[0.0], means.cumsum()])
    return curve - curve[first] if math.isfinite(curve[first]) else curve


def largest_exponent(case: Case) -> list[Finding]:
    """lambda_1 of the whole state along the sequences."""
    name, T = "lambda_1", case.data.n_steps
    found = [
        (lyapunov_spectrum(case.network, x, n_exponents=1, **start, n_threads=case.n_threads), x)
        for _, x, start in case.whole.by_length()
        if x.shape[-3] >= _LEAST_STEPS
    ]
    if not found:
        return [unknown(name, f"sequences of {_LEAST_STEPS} steps at least, got {T}")]
    first = max(int(one.first_nonfinite[0]) for one, _ in found)
    each = np.concatenate([one.per_sequence[0, :, 0] for one, _ in found])
    sizes = np.array([x.shape[-2] for _, x in found])
    number = float(sizes @ [one.exponents[0, 0] for one, _ in found] / sizes.sum())
    if first >= 0 or math.isnan(number):
        needs = f"states stay finite up to step {first} only"
        return [unknown(name, f"{needs}; it needs weights or data that stay within the range")]
    error = 2 * float(np.linalg.norm(sizes * [one.standard_error[0, 0] for one, _ in found]))
    error /= sizes.sum()
    if each.size > 1:
        error = max(error_of(float(each.mean()), each.tolist()), error)
    if number == -math.inf:
        words = "lambda_1 is -inf: along the way a Jacobian takes every difference to exactly 0."
        says = "forgets at once"
        error = math.nan
    else:
        rounding = _ROUNDING * float(np.finfo(case.network.dtype).eps)
        says = "undecided"
        if abs(number) > error + rounding:
            says = "differences grow" if number > 0 else "differences shrink"
        if error <= rounding and abs(number) <= rounding:
            says = "differences hold"
        words = (
            f"Given these inputs small differences of the whole state change by "
            f"{told(number, error)} nats per step (lambda_1), over {T} steps by "
            f"{_told_factor(number * T, error * T)}: {_MEANINGS[says]}."
        )
    lengths = " to ".join(str(x.shape[-3]) for _, x in (found[:1] + found[-1:])[-len(found) :])
    burn_in = " to ".join(str(one.burn_in) for one, _ in (found[:1] + found[-1:])[-len(found) :])
    measured = f"{each.size} sequence{'s' if each.size > 1 else ''} of {lengths} steps"
    over = f"{measured}, the first {burn_in} left out"
    parts, evidence = tuple(each.tolist()), series(sequence=range(each.size), lambda_1=each)
    return [
        Finding(name, says, words, number, error, "nats/step", 0.0, DEFINITION, over, parts,
                evidence)
    ]  # fmt: skip


_MEANINGS = {
    "differences grow": "states that begin next to each other part",
    "differences shrink": "states that begin apart come together",
    "differences hold": "they keep their size",
    "undecided": "growing is not told from shrinking",
}
