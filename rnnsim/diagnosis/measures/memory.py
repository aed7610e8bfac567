"""Forward memory: what the loss owes to steps further back than a reset of the state."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim.data.sequences import Sequences
from rnnsim.diagnosis.cases import Case, Part, error_of, silently
from rnnsim.diagnosis.findings import (
    OURS,
    Finding,
    counted,
    percent,
    series,
    short,
    steps,
    told,
    unknown,
)
from rnnsim.gradients.simulation import evaluate

Counts = npt.NDArray[np.int64]

_MOST_STEPS = 48  # of loss, evenly spaced, that stand for all
_MOST_ENTRIES = 2**23  # of inputs that are cut out at once
_ROUNDING = 1e-6  # of the loss
_NOTHING = 0.01  # of the loss: less, and within its error, is said to be nothing
_LEFT = 0.05  # of the largest rise of the loss
_EVERY = 12  # up to here every K
_FACTOR = 1.4


def forward_memory(case: Case) -> list[Finding]:
    """The loss when the state is reset K steps before, as a curve over K."""
    name = "forward_memory"
    if not case.of_loss:
        return [unknown(name, case.needs)]
    if not case.valued:
        needs = "the value of the loss: Sequences(inputs, targets), in place of its derivatives"
        return [unknown(name, needs)]
    if case.data.n_networks is not None:
        return [unknown(name, "sequences without an axis of networks")]
    at = _steps(case.data)
    resets = _grid(case.data.n_steps)
    parts = case.parts or (case.whole,)
    tables = np.array([_excess(case, part, at, resets) for part in parts])  # (P, 1 + K)
    sizes = np.array([part.data.n_sequences for part in parts], float)
    whole = (tables * sizes[:, None]).sum(axis=0) / sizes.sum()
    if not np.isfinite(whole).all():
        return [unknown(name, "states and losses within the range of floating-point numbers")]
    full, excess = float(whole[0]), whole[1:]
    errors = [error_of(float(x), row.tolist()) for x, row in zip(excess, tables[:, 1:].T,
              strict=True)]  # fmt: skip
    evidence = series(reset=resets, loss=full + excess, rise=excess, error=errors)
    over = f"{case.over if case.parts else 'all sequences at once'}, {at.size} steps with loss"
    common: dict[str, Any] = {"over": over, "evidence": evidence, "source": OURS}
    return [_said(resets, (full, excess, np.array(errors)), tables[:, 1:], common)]


def _said(
    resets: Counts, found: tuple[float, Any, Any], tables: Any, common: dict[str, Any]
) -> Finding:
    name, (full, excess, errors) = "forward_memory", found
    most = int(np.abs(excess).argmax())
    rise, error = abs(float(excess[most])), float(errors[most])
    known = 0.0 if math.isnan(error) else error
    small = rise + known <= _NOTHING * abs(full)
    if rise <= _ROUNDING * abs(full) or (small and rise <= known):
        words = (
            f"Beginning from a state of 0 one step before, or more, changes the loss of these "
            f"weights on these data, {short(full)}, by no more than {short(rise + known)}: "
            "nothing is seen of what was read earlier."
        )
        return Finding(name, "nothing carried", words, 1.0, unit="steps", threshold=_NOTHING,
                       **common)  # fmt: skip
    if rise <= known:
        words = (
            f"Beginning from a state of 0 changes the loss of these weights on these data, "
            f"{short(full)}, by {told(rise, error)} at most: whether what was read earlier takes "
            "part in it is not decided."
        )
        return Finding(name, "undecided", words, unit="steps", **common)
    K = _from_then_on(resets, excess, most)
    each = tuple(_from_then_on(resets, row, most) for row in tables)
    before = max(int(np.searchsorted(resets, K)) - 1, 0)
    error = error_of(K, each, K - float(resets[before]))
    says = "carries" if excess[most] > 0 else "carries what harms"
    effect = "raises" if excess[most] > 0 else "lowers"
    words = (
        f"Reading {steps(float(resets[most]))} from a state of 0 in place of all {effect} the loss "
        f"of these weights on these data from {short(full)} by "
        f"{told(abs(float(excess[most])), float(errors[most]))}; with {counted(K, error)} it is "
        f"back where it was, to within {percent(_LEFT)} of that."
    )
    return Finding(name, says, words, K, error, "steps", threshold=_LEFT, parts=each, **common)


def _from_then_on(resets: Counts, excess: Any, most: int) -> float:
    """The smallest K from which on the rise stays within a share of that at its largest."""
    beyond = np.abs(excess) > _LEFT * abs(excess[most])
    if not beyond.any():
        return float(resets[0])
    last = len(beyond) - 1 - int(beyond[::-1].argmax())
    return float(resets[min(last + 1, len(resets) - 1)])


def _steps(data: Sequences) -> Counts:
    """Steps with loss: all, or some that are evenly spaced, the last one among them."""
    found = data.loss_steps
    if found.size <= _MOST_STEPS:
        return found
    return found[np.unique(np.linspace(0, found.size - 1, _MOST_STEPS).round().astype(int))]


def _grid(T: int) -> Counts:
    """Numbers of steps that are read after a reset: all that are few, then some up to T."""
    found = list(range(1, min(T, _EVERY) + 1))
    while found[-1] < T:
        found.append(min(T, math.ceil(found[-1] * _FACTOR)))
    return np.array(found, np.int64)


def _excess(case: Case, part: Part, at: Counts, resets: Counts) -> Any:
    """The loss per sequence over some steps, and by how much each reset raises it, (1 + K,)."""
    of_step = {int(t): _loss_at(case, part, t) for t in at}
    found = [math.fsum(of_step.values())]
    for K in resets:
        late = at[at > K]  # earlier ones read all there is
        found.append(_reset(case, part, late, int(K)) - math.fsum(of_step[int(t)] for t in late))
    return found


def _loss_at(case: Case, part: Part, t: int) -> float:
    """The loss of one step after all that came before."""
    data = part.data
    weights = np.zeros(data.weights[:t].shape, data.dtype)
    weights[-1] = data.weights[t - 1]
    one = silently(data.inputs[:t], data.targets[:t], weights)
    return float(evaluate(case.network, one, **part.start, n_threads=case.n_threads).loss[0])


def _reset(case: Case, part: Part, at: Counts, K: int) -> float:
    """The loss per sequence of some steps, all later than K, each read from K steps alone."""
    data, total = part.data, 0.0
    B, D = data.n_sequences, data.n_inputs
    some = max(1, _MOST_ENTRIES // (K * B * D))
    for first in range(0, at.size, some):
        chosen = at[first : first + some]
        rows = chosen[None, :] - K + np.arange(K)[:, None]  # (K, steps)
        inputs = data.inputs[rows].reshape(K, -1, D)
        targets = data.targets[rows].reshape(K, -1, *data.targets.shape[2:])
        weights = np.zeros((K, chosen.size * B), data.dtype)
        weights[-1] = data.weights[chosen - 1].reshape(-1)
        window = silently(inputs, targets, weights)
        loss = evaluate(case.network, window, n_threads=case.n_threads).loss[0]
        total += float(loss) * chosen.size
    return total
