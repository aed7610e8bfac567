"""What the loss and the state owe to steps further back than a reset of the state."""

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim.diagnosis.cases import Case, Floats, Ints, bracket, error_of
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
from rnnsim.gradients.simulation import forward

_MOST_STEPS = 48  # of loss, evenly spaced, that stand for all
_MOST_ENTRIES = 2**23  # of inputs and states that are held at once
_ROUNDING = 1e-6  # of the loss
_NOTHING = 0.01  # of the loss: less, and within its error, is said to be nothing
_LEFT = 0.05  # of the largest rise of the loss, and of the state
_EVERY = 12  # up to here every K
_FACTOR = 1.4


class Resets(NamedTuple):
    """What resets K steps before do, for each of B sequences, summed over the steps at `at`.

    resets (R,): K; loss (B,) and rise (R, B) of it, NaN where it has no value; squares (B,):
    ||h||^2 of the top layer, and apart (R, B): the square of its change.
    """

    at: Ints
    resets: Ints
    loss: Floats
    rise: Floats
    squares: Floats
    apart: Floats


def memory(case: Case) -> list[Finding]:
    """The loss and the state when the state is reset K steps before, as curves over K."""
    names = "forward_memory", "state_memory"
    if case.data.n_networks is not None:
        return [unknown(name, "sequences without an axis of networks") for name in names]
    found = _measured(case)
    if not (np.isfinite(found.squares).all() and np.isfinite(found.apart).all()):
        needs = "states and losses within the range of floating-point numbers"
        return [unknown(name, needs) for name in names]
    return [_of_loss(case, found), _of_state(case, found)]


def _of_loss(case: Case, found: Resets) -> Finding:
    name = "forward_memory"
    if not case.of_loss:
        return unknown(name, case.needs)
    if not case.valued:
        needs = "the value of the loss: Sequences(inputs, targets), in place of its derivatives"
        return unknown(name, needs)
    n = found.at.size  # of the steps that stand for all
    full, excess = float(found.loss.mean()) / n, found.rise.mean(axis=1) / n
    if not (math.isfinite(full) and np.isfinite(excess).all()):
        return unknown(name, "states and losses within the range of floating-point numbers")
    tables = np.array([found.rise[:, part.columns].mean(axis=1) / n for part in case.parts])
    tables = tables.reshape(len(case.parts), excess.size)
    errors = [error_of(float(x), row.tolist()) for x, row in zip(excess, tables.T, strict=True)]
    evidence = series(reset=found.resets, loss=full + excess, rise=excess, error=errors)
    common: dict[str, Any] = {"over": _over(case, found), "evidence": evidence, "source": OURS}
    return _said(found.resets, (full, excess, np.array(errors)), tables, common)


def _said(
    resets: Ints, found: tuple[float, Any, Any], tables: Any, common: dict[str, Any]
) -> Finding:
    name, (full, excess, errors) = "forward_memory", found
    most = int(np.abs(excess).argmax())
    rise, error = abs(float(excess[most])), float(errors[most])
    known = 0.0 if math.isnan(error) else error
    small = rise + known <= _NOTHING * abs(full)
    if rise <= _ROUNDING * abs(full) or (small and rise <= known):
        words = (
            f"Beginning from a state of 0 one step before, or more, changes the loss per step of "
            f"these weights on these data, {short(full)}, by no more than {short(rise + known)}: "
            "nothing is seen of what was read earlier."
        )
        return Finding(name, "nothing carried", words, 1.0, unit="steps", threshold=_NOTHING,
                       **common)  # fmt: skip
    if rise <= known:
        words = (
            f"Beginning from a state of 0 changes the loss per step of these weights on these "
            f"data, {short(full)}, by {told(rise, error)} at most: whether what was read earlier "
            "takes part in it is not decided."
        )
        return Finding(name, "undecided", words, unit="steps", **common)
    limit = _LEFT * abs(excess[most])
    K = _from_then_on(resets, excess, limit)
    each = tuple(_from_then_on(resets, row, _LEFT * abs(row[most])) for row in tables)
    error = error_of(K, each, _step_before(resets, K))
    if not math.isnan(error):
        low, high = bracket(np.abs(excess), errors, limit)
        error = max(error, float(resets[high]) - K, K - float(resets[low]))
    says = "carries" if excess[most] > 0 else "carries what harms"
    effect = "raises" if excess[most] > 0 else "lowers"
    words = (
        f"Reading {steps(float(resets[most]))} from a state of 0 in place of all {effect} the loss "
        f"per step of these weights on these data from {short(full)} by "
        f"{told(abs(float(excess[most])), float(errors[most]))}; with {counted(K, error)} it is "
        f"back where it was, to within {percent(_LEFT)} of that."
    )
    return Finding(name, says, words, K, error, "steps", threshold=_LEFT, parts=each, **common)


def _of_state(case: Case, found: Resets) -> Finding:
    """How many steps the state at the loss holds: what it does not, no loss can depend on."""
    name, resets = "state_memory", found.resets
    columns = [part.columns for part in (case.whole, *case.parts)]
    size = np.array([found.squares[at].sum() for at in columns])
    if not size.all():
        return unknown(name, "states that are not all exactly 0 where the loss is")
    apart = np.array([found.apart[:, at].sum(axis=1) for at in columns])
    change, *tables = np.sqrt(apart / size[:, None])
    errors = [error_of(float(x), [row[k] for row in tables]) for k, x in enumerate(change)]
    K = _from_then_on(resets, change, _LEFT)
    each = tuple(_from_then_on(resets, row, _LEFT) for row in tables)
    error = error_of(K, each, _step_before(resets, K))
    where = "at the steps with loss" if case.of_loss else "at the last step"
    off = f"{told(100 * float(change[0]), 100 * errors[0])} % of itself away"
    says, words = (
        "carries",
        (
            f"Read from a state of 0, h {where} is within {percent(_LEFT)} of what it is after all "
            f"steps from {counted(K, error)} on, and {off} after one: the state holds that much, "
            "whether the loss depends on it or not."
        ),
    )
    if K <= 1:
        says, words = (
            "nothing carried",
            (
                f"Read from a state of 0, h {where} is {off} after one step from what it is after "
                "all: a loss can see no more than that of what was read earlier."
            ),
        )
    evidence = series(reset=resets, change=change, error=errors)
    return Finding(name, says, words, K, error, "steps", _LEFT, OURS, _over(case, found), each,
                   evidence)  # fmt: skip


def _over(case: Case, found: Resets) -> str:
    held = case.over if case.parts else "all sequences at once"
    return f"{held}, {steps(found.at.size)} with loss"


def _step_before(resets: Ints, K: float) -> float:
    """How far a K of the grid is from the one before."""
    return K - float(resets[max(int(np.searchsorted(resets, K)) - 1, 0)])


def _from_then_on(resets: Ints, change: Any, limit: float) -> float:
    """The smallest K from which on a change stays within a limit."""
    beyond = np.abs(change) > limit
    if not beyond.any():
        return float(resets[0])
    last = len(beyond) - 1 - int(beyond[::-1].argmax())
    return float(resets[min(last + 1, len(resets) - 1)])


def _steps(case: Case) -> Ints:
    """Steps with loss: all, or some that are evenly spaced, the last one among them."""
    found = case.data.loss_steps
    if found.size <= _MOST_STEPS:
        return found
    return found[np.unique(np.linspace(0, found.size - 1, _MOST_STEPS).round().astype(int))]


def _grid(T: int) -> Ints:
    """Numbers of steps that are read after a reset: all that are few, then some up to T."""
    found = list(range(1, min(T, _EVERY) + 1))
    while found[-1] < T:
        found.append(min(T, math.ceil(found[-1] * _FACTOR)))
    return np.array(found, np.int64)


def _measured(case: Case) -> Resets:
    data, at = case.data, _steps(case)
    resets, B = _grid(data.n_steps), data.n_sequences
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # whether axes look swapped was said of all data
        run = forward(case.network, data.inputs, **case.whole.start, n_threads=case.n_threads)
        h = run.states[0, at].astype(float)
        whole = _losses(case, run.outputs[0, at - 1], at)
        counts = data.weights[at - 1] > 0
        rise, apart = np.zeros((2, resets.size, B))
        for r, K in enumerate(resets):
            late = np.flatnonzero(at > K)  # earlier ones read all there is
            for some in _pieces(case, late, int(K)):
                state, outputs = _reset(case, at[some], int(K))
                rise[r] += (_losses(case, outputs, at[some]) - whole[some]).sum(axis=0)
                apart[r] += (counts[some] * ((state - h[some]) ** 2).sum(axis=2)).sum(axis=0)
        squares = (counts * (h**2).sum(axis=2)).sum(axis=0)
    return Resets(at, resets, whole.sum(axis=0), rise, squares, apart)


def _pieces(case: Case, late: Ints, K: int) -> list[Ints]:
    """Steps that are read at once."""
    layers = case.network.layers
    row = case.data.n_sequences * (case.data.n_inputs + 2 * len(layers) * layers[0].n_hidden)
    some = max(1, _MOST_ENTRIES // (K * row))
    return [late[first : first + some] for first in range(0, late.size, some)]


def _reset(case: Case, at: Ints, K: int) -> tuple[Floats, npt.NDArray[Any]]:
    """h (S, B, H) of the top layer and outputs (S, B, V) of steps that are read from K alone."""
    data, shape = case.data, (at.size, case.data.n_sequences)
    rows = at[None, :] - K + np.arange(K)[:, None]  # (K, S)
    inputs = data.inputs[rows].reshape(K, -1, data.n_inputs)
    run = forward(case.network, inputs, n_threads=case.n_threads)
    states, outputs = run.states[0, -1].astype(float), run.outputs[0, -1]
    return states.reshape(*shape, -1), outputs.reshape(*shape, outputs.shape[-1])


def _losses(case: Case, outputs: npt.NDArray[Any], at: Ints) -> Floats:
    """The weighted loss of each step and sequence (S, B); NaN where it has no value."""
    data = case.data
    if not case.valued:
        return np.full(outputs.shape[:2], np.nan)
    y, w = outputs.astype(float), data.weights[at - 1].astype(float)
    targets = data.targets[at - 1]
    if data.has_classes:
        classes = np.where(w > 0, targets, 0)[..., None]
        apart = y - y.max(axis=2, keepdims=True)
        loss = np.log(np.exp(apart).sum(axis=2)) - np.take_along_axis(apart, classes, 2)[..., 0]
    else:
        loss = 0.5 * ((y - targets) ** 2).sum(axis=2)
    return np.where(w > 0, w * loss, 0.0)
