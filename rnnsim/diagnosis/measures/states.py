"""What states and gates do along the sequences."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim.diagnosis.cases import Case, Part, error_of, last_steps
from rnnsim.diagnosis.findings import OURS, Finding, percent, series, short, steps, told, unknown
from rnnsim.dynamics.gates import GateStatistics, gate_statistics
from rnnsim.gradients.simulation import Forward, forward
from rnnsim.networks.cells import CELLS

Floats = npt.NDArray[np.float64]

_MANY = 0.5  # of the values of gates, or of units
_AGAIN = 10  # times the length of the sequences
_GROWS = 2.0
_FLAT = math.sqrt(0.9)  # |h| of tanh above which its slope is below a tenth
_FEW = 0.1  # of the units, as directions that the states fill


def gates(case: Case) -> list[Finding]:
    """Gates beyond .1 and .9, and how long they alone let units remember."""
    cell = CELLS[case.network.cell]
    if not cell.keeps:
        needs = f"gates, which {cell.label} does not have"
        return [unknown("gates", needs), unknown("time_scale", needs)]
    whole, *parts = (_gates_of(case, part) for part in (case.whole, *case.parts))
    if whole.first_nonfinite[0] >= 0:
        needs = f"finite states; those of step {whole.first_nonfinite[0]} are not"
        return [unknown("gates", needs), unknown("time_scale", needs)]
    T = case.data.n_steps
    padded = bool((last_steps(case.data) < T).any()) and case.of_loss and case.data.n_sequences > 1
    more = " Steps behind a sequence's last loss count too." if padded else ""
    return [_extreme(case, whole, parts, more), _time_scale(case, whole, parts, more)]


def _gates_of(case: Case, part: Part) -> GateStatistics:
    data = part.data
    return gate_statistics(case.network, data, **part.start, n_threads=case.n_threads)


def _extreme(case: Case, whole: GateStatistics, parts: list[GateStatistics], more: str) -> Finding:
    cell = CELLS[case.network.cell]
    at = [k for k, gate in enumerate(cell.gates) if gate not in cell.signed]

    def number(found: GateStatistics) -> float:
        return float((found.low + found.high)[..., at].mean())

    low, high = (x.reshape(-1, len(cell.gates)).mean(axis=0) for x in (whole.low, whole.high))
    mean = whole.mean.reshape(-1, len(cell.gates)).mean(axis=0)
    each = [number(found) for found in parts]
    share, error = number(whole), error_of(number(whole), each)
    listed = ", ".join(
        f"{cell.gates[k]} {percent(low[k])} below .1 and {percent(high[k])} above .9" for k in at
    )
    known = 0.0 if math.isnan(error) else error
    says = _beyond(share, known, _MANY, ("mostly open or shut", "mostly between"))
    words = f"{told(100 * share, 100 * error)} % of the gates' values lie beyond .1 or .9: {listed}.{more}"  # noqa: E501
    evidence = series(gate=cell.gates, mean=mean, low=low, high=high)
    return Finding("gates", says, words, share, error, "1", _MANY, OURS, case.over, tuple(each),
                   evidence)  # fmt: skip


def _time_scale(
    case: Case, whole: GateStatistics, parts: list[GateStatistics], more: str
) -> Finding:
    cell, T = CELLS[case.network.cell], case.data.n_steps

    def number(found: GateStatistics) -> float:
        return float(np.median(found.time_scale))

    units = np.sort(whole.time_scale.ravel())
    each = [number(found) for found in parts]
    median = number(whole)
    error = error_of(median, each)
    longest, longer = float(units[-1]), float((units > T).mean())
    half = "half of the units do not forget by e"
    if math.isfinite(median):
        half = f"half of the units forget by e within {told(median, error)} steps"
    slowest = f"the slowest in {steps(longest)}" if math.isfinite(longest) else "the slowest never"
    words = (
        f"By gate {cell.keeps} alone {half}, {slowest}; {percent(longer)} of them take longer than "
        f"the {T} steps of these sequences.{more}"
    )
    known = 0.0 if math.isnan(error) else error
    says = _beyond(median, known, float(T), ("longer than the data", "shorter than the data"))
    evidence = series(unit=range(units.size), time_scale=units)
    return Finding("time_scale", says, words, median, error, "steps", float(T), OURS, case.over,
                   tuple(each), evidence)  # fmt: skip


def _beyond(number: float, error: float, limit: float, says: tuple[str, str]) -> str:
    """Above or below a limit, or undecided within the error."""
    if abs(number - limit) <= error:
        return "undecided"
    return says[0] if number > limit else says[1]


def carried(case: Case) -> list[Finding]:
    """The size of states at one and ten times the length, idle units, and directions filled."""
    run = forward(case.network, case.data.inputs, **case.whole.start, n_threads=case.n_threads)
    if not all(np.isfinite(layer.states).all() for layer in run.layers):
        needs = "finite states"
        return [unknown(name, needs) for name in ("carried_state", "idle_units", "effective_rank")]
    return [_lasting(case), _idle(case, run), _rank(case, run)]


def _lasting(case: Case) -> Finding:
    """The states when the same inputs are read ten times over, each sequence without padding."""
    squares = _squares(case)
    with np.errstate(invalid="ignore", over="ignore"):
        found = np.array([np.sqrt(squares[:, :, part.columns].mean(axis=2)) for part in
                          (case.whole, *case.parts)])  # fmt: skip
    T = case.data.n_steps
    if not np.isfinite(found[0]).all():
        return unknown("carried_state", f"states that stay finite over {_AGAIN * T} steps")
    names = ["h", "c"][: found.shape[2]]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = found[:, -1] / found[:, 0]
    if np.isnan(ratios[0]).any():
        words = f"h is exactly 0 after {T} steps."
        return Finding("carried_state", "0", words, 0.0, 0.0, over=case.over)
    k = int(ratios[0].argmax())
    number, each = float(ratios[0, k]), tuple(ratios[1:, k].tolist())
    error = error_of(number, each)
    known = 0.0 if math.isnan(error) else error
    says = _beyond(number, known, _GROWS, ("grows on", "stays"))
    listed = " and ".join(
        f"that of {name} from {short(one)} to {short(ten)}"
        for name, one, ten in zip(names, found[0, 0], found[0, -1], strict=True)
    )
    padded = bool((last_steps(case.data) < T).any())
    words = (
        f"When these inputs are read {_AGAIN} times over, from {T} to {_AGAIN * T} steps"
        f"{', each sequence up to its last loss' if padded else ''}, the root mean square of the "
        f"state changes, {listed}: by a factor of {told(number, error)}."
    )
    rounds = [n * T for n in range(1, _AGAIN + 1)]
    evidence = series(steps=rounds, **{f"rms_{n}": found[0, :, i] for i, n in enumerate(names)})
    return Finding("carried_state", says, words, number, error, "1", _GROWS, OURS, case.over, each,
                   evidence)  # fmt: skip


def _squares(case: Case) -> Floats:
    """Mean squares of h, and of c, after each of ten rounds, of each sequence (10, ., B)."""
    kinds = 2 if case.network.cell == "lstm" else 1
    found = np.full((_AGAIN, kinds, case.data.n_sequences), np.nan)
    for at, inputs, start in case.whole.by_length():
        for round_ in range(_AGAIN):
            run = forward(case.network, inputs, **start, n_threads=case.n_threads)
            start = {"h0": run.final_h} | ({} if run.final_c is None else {"c0": run.final_c})
            found[round_][:, at] = _of_each(list(start.values()))
            if not np.isfinite(run.final_h).all():
                break
    return found


def _of_each(states: list[npt.NDArray[Any]]) -> Floats:
    """Mean squares over units and layers of h, and of c: (1, B, H) or (1, L, B, H) to (., B)."""
    with np.errstate(over="ignore"):
        squares = [np.square(each[0].astype(float)).mean(axis=-1) for each in states]
    return np.array([each.reshape(-1, each.shape[-1]).mean(axis=0) for each in squares])


def _rows(case: Case, part: Part, states: npt.NDArray[Any]) -> Floats:
    """States (steps, H) of the sequences of a part up to their last loss, of states of all."""
    last, T = last_steps(part.data), case.data.n_steps
    inside = np.arange(1, T + 1)[:, None] <= last
    return states[0, 1:, part.columns].swapaxes(0, 1)[inside].astype(float)


def _idle(case: Case, run: Forward) -> Finding:
    """Units that never move, and values where the slope of tanh or sigmoid is gone."""
    both = [_idle_of(case, part, run) for part in (case.whole, *case.parts)]
    number, each = both[0][0], tuple(found[0] for found in both[1:])
    error = error_of(number, each)
    silent, flat = both[0]
    known = 0.0 if math.isnan(error) else error
    says = _beyond(number, known, _MANY, ("mostly idle", "mostly alive"))
    saturated = (
        f" {percent(flat)} of the values of h lie where the slope of {case.network.activation} is "
        "below a tenth of its largest."
        if not math.isnan(flat)
        else ""
    )
    words = f"{told(100 * silent, 100 * error)} % of the units have one and the same h at every step.{saturated}"  # noqa: E501
    evidence = series(kind=["silent units", "flat values"], share=[silent, flat])
    return Finding("idle_units", says, words, number, error, "1", _MANY, OURS, case.over, each,
                   evidence)  # fmt: skip


def _idle_of(case: Case, part: Part, run: Forward) -> tuple[float, float]:
    rows = [_rows(case, part, layer.states) for layer in run.layers]
    silent = float(np.mean([(each == each[0]).all(axis=0).mean() for each in rows]))
    if case.network.cell != "vanilla" or case.network.activation not in ("tanh", "sigmoid"):
        return silent, math.nan
    signed = case.network.activation == "tanh"
    flat = [np.abs(each if signed else 2 * each - 1) > _FLAT for each in rows]
    return silent, float(np.mean(flat))


def _rank(case: Case, run: Forward) -> Finding:
    """The participation ratio of the states of the top layer."""
    found = [_ratio(_rows(case, part, run.states)) for part in (case.whole, *case.parts)]
    number, each = found[0], tuple(found[1:])
    if math.isnan(number):
        return unknown("effective_rank", "states that are not all one and the same")
    error, H = error_of(number, each), case.network.n_hidden
    known = 0.0 if math.isnan(error) else error
    says = _beyond(number, known, _FEW * H, ("many directions", "few directions"))
    words = (
        f"The states of the {'top layer' if len(case.network.layers) > 1 else 'layer'} fill "
        f"{told(number, error)} of {H} directions (participation ratio)."
    )
    return Finding("effective_rank", says, words, number, error, "1", _FEW * H, OURS, case.over,
                   each)  # fmt: skip


def _ratio(rows: Floats) -> float:
    """(tr C)^2 / tr C^2 of the covariance C."""
    apart = rows - rows.mean(axis=0)
    size = float(np.abs(apart).max(initial=0.0))
    if not size or not math.isfinite(size):
        return math.nan
    scaled = apart / size
    C = scaled.T @ scaled
    return float(np.trace(C) ** 2 / np.sum(C**2))
