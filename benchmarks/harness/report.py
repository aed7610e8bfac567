"""The page ``benchmarks.md``: what came out, how it was measured, and on which machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..peers.contestants import OWN, PEAK, PORTED, RECURRENCE
from . import machine, plots
from .check_cells import TOLERANCE as CELLS_TOLERANCE
from .check_cells import CellAgreement
from .check_training import TOLERANCE as TRAINING_TOLERANCE
from .check_training import Agreement
from .runner import TOLERANCE, Comparison, Key, Timing
from .scaling import Measured, fit

PAGE, RATIOS, LAWS = "benchmarks.md", "benchmark-peers.png", "benchmark-scaling.png"

_HOW = """\
Every library runs in a process of its own, with all cores and its own thread settings, and gets the
same arrays: networks of gain 1 with small random biases, normal inputs shared by all networks,
random classes. First the numbers of every contestant are compared with rnnsim's in the same dtype
(each network's loss and gradients normwise, and how far updates have moved its weights; logs of
norms absolutely, where the squares of the peer's norms are in the dtype's range): the largest
deviation allowed is {tolerances}, and a contestant that deviates more stops the run. Then they take
turns in {rounds} rounds, every second round in reverse, so that all see the same machine. A turn is
one call that is not timed, then one to ten that are; where a call takes more than 0.3 s it is one
timed call. Compiling and moving data into the library's own arrays are not timed. rnnsim is called
through its public functions, with their checks and all the norms that they return, training with
its measurements before the first update and after the last; peers compute loss and gradients,
trained weights, or the map of lags, and nothing else."""

_COLUMNS = """\
The ratio is the best peer's shortest call over rnnsim's. GFLOP/s count the products of a forward
and backward pass alone, 2 N B H (T (3H + 2D) + 3 S V) with S steps that carry loss, as often as a
call makes updates: no tanh, softmax, norms, sums or optimisers. The GEMM rate is that of compiled
`np.dot` on the recurrence's own shape, (B,H) times (H,H), on every core with matrices that stay in
its cache and BLAS on one thread, in the same rounds; the fraction is of that. "Own products" are
those of the kernels on the same shape, "GEMM peak" is BLAS with large square matrices; a fraction
above 1 means that rnnsim's own products outrun BLAS at this size."""

_PORTED = """\
Peers called "{ported}" run rnnsim's own algorithm (all rows one step back at a time), written
anew in their language; no public tool offers it. The second line of such a workload compares with
the best peer that differentiates in its library's own way."""

_EVERY = """\
Seconds of a call; "times rnnsim" compares the best ones. Deviation is the largest from rnnsim's
numbers, as above."""

_TRAINING = """\
The same {updates} updates in PyTorch by its own parts (nn.RNN, nn.LSTM, nn.GRU, autograd,
torch.optim), in float64: the largest deviation of a weight array from rnnsim's, relative to how far
it has moved; more than {tolerance} stops the run. Segments of S steps are propagated back K steps.
In brackets: the part of the updates that were clipped."""

_CELLS = """\
The same networks of one and two layers with a readout of the top and cross-entropy in PyTorch
(nn.RNN, nn.LSTM, nn.GRU, autograd), in float64: the largest deviation of each array from rnnsim's,
relative to its norm, of logs absolute; more than {tolerance} stops the run. Truncated are segments
with h and c detached at every cut. Norms at a lag are those of every sequence, s the states h and c
of all layers together: for s and c torch starts again from each state as leaves, of layers it has
the gradient into their outputs, by all paths."""

_DROPPED = "* more than 20 times the best of the first round, and left out of further ones."


def write(
    folder: Path,
    comparisons: Sequence[Comparison],
    laws: Sequence[Measured],
    training: Sequence[Agreement] = (),
    cells: Sequence[CellAgreement] = (),
    *,
    facts: Mapping[str, str] | None = None,
) -> Path:
    """Write the page and its figures into `folder`; the page's path. `facts`: of this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = ["# Benchmarks", "Made by `make bench`."]
    if comparisons:
        plots.draw_ratios(comparisons, folder / RATIOS)
        parts += ["## Against peers", reached(comparisons), f"![Ratios]({RATIOS})"]
        parts += [goals(comparisons), _COLUMNS]
        if any(_differs(comparison) for comparison in comparisons):
            parts.append(_PORTED.format(ported=PORTED))
    if training:
        parts += ["## Training beside torch.optim", agreements(training)]
    if cells:
        parts += ["## Cells and stacks beside torch.nn", of_cells(cells)]
    if laws:
        plots.draw_laws(laws, folder / LAWS)
        parts += ["## Cost laws", f"![Cost laws]({LAWS})", cost_laws(laws)]
    parts += ["## Machine and versions", _facts(machine.facts() if facts is None else facts)]
    if comparisons:
        allowed = ", ".join(f"{limit:.0e} in {dtype}" for dtype, limit in TOLERANCE.items())
        rounds = max(comparison.ours.rounds for comparison in comparisons)
        parts += ["## How it was measured", _HOW.format(tolerances=allowed, rounds=rounds)]
        parts += ["## Every contestant", _EVERY, *map(every_contestant, comparisons)]
    path = folder / PAGE
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def best_peer(comparison: Comparison, *, ported: bool = True) -> tuple[Key, Timing] | None:
    """The fastest peer; without those that run rnnsim's own algorithm unless `ported`."""
    found = comparison.peers.items()
    return next((p for p in found if ported or not p[0].name.startswith(PORTED)), None)


def reached(comparisons: Sequence[Comparison]) -> str:
    """In words: how many goals are reached, and how far the others are."""
    missing, total = [], 0
    for comparison in comparisons:
        best = best_peer(comparison)
        if best is None:
            continue
        total += 1
        ratio, goal = best[1].best / comparison.ours.best, comparison.workload.goal
        if ratio < goal:
            words = f"{comparison.workload.name} in {comparison.dtype} ({ratio:.3g}, goal {goal:g}"
            other = best_peer(comparison, ported=False)
            if other is not None and other != best:
                against = other[1].best / comparison.ours.best
                words += f"; {against:.3g} without {PORTED}s"
            missing.append(f"{words})")
    words = f"{total - len(missing)} of {total} goals are reached."
    return f"{words} Not reached: {', '.join(missing)}." if missing else words


def goals(comparisons: Sequence[Comparison]) -> str:
    """The table of goals; a second line where the best peer runs rnnsim's own algorithm."""
    header = (
        "workload|N, H, B, T, D, V|dtype|rnnsim (s)|best peer|its time (s)|ratio|goal|reached|"
        "GFLOP/s|GEMM rate|fraction|own products|GEMM peak"
    ).split("|")
    rows = []
    for comparison in comparisons:
        w = comparison.workload
        start = [w.name, f"{w.N}, {w.H}, {w.B}, {w.T}, {w.D}, {w.V}", comparison.dtype]
        rows.append([*start, *_against(comparison, best_peer(comparison)), *_rates(comparison)])
        if _differs(comparison):
            other = _against(comparison, best_peer(comparison, ported=False))
            rows.append([w.name, f"without {PORTED}s", comparison.dtype, *other, "", "", "", ""])
    return table(header, rows)


def _differs(comparison: Comparison) -> bool:
    return best_peer(comparison) != best_peer(comparison, ported=False)


def _against(comparison: Comparison, best: tuple[Key, Timing] | None) -> list[str]:
    ours, goal = comparison.ours.best, comparison.workload.goal
    if best is None:
        return [_seconds(ours), "none", "", "", f"{goal:g}", ""]
    key, timing = best
    ratio = timing.best / ours
    words = [_seconds(ours), f"{key.library}: {key.name}", _seconds(timing.best)]
    return [*words, f"{ratio:.3g}", f"{goal:g}", "yes" if ratio >= goal else "no"]


def _rates(comparison: Comparison) -> list[str]:
    if not np.isfinite(comparison.rate):
        return [""] * 5
    ours, rates = f"{comparison.rate:.3g}", comparison.rates
    if RECURRENCE not in rates:
        return [ours, *[""] * 4]
    fraction = comparison.rate / rates[RECURRENCE]
    own = f"{rates[OWN]:.3g}" if OWN in rates else ""
    return [ours, f"{rates[RECURRENCE]:.3g}", f"{fraction:.2f}", own, f"{rates[PEAK]:.3g}"]


def every_contestant(comparison: Comparison) -> str:
    """All of one workload and dtype, fastest first."""
    w = comparison.workload
    own = {k: t for k, t in comparison.timings.items() if k.library == "rnnsim"}
    rows, ours, dropped = [], comparison.ours.best, False
    ranked = sorted([*own.items(), *comparison.peers.items()], key=lambda item: item[1].best)
    for key, timing in ranked:
        dropped |= timing.dropped
        rows.append(
            [
                f"{key.library}: {key.name}{' *' if timing.dropped else ''}",
                _seconds(timing.best),
                _seconds(timing.median),
                f"{timing.best / ours:.3g}",
                f"{len(timing.seconds)} in {timing.rounds}",
                "" if key.library == "rnnsim" else f"{timing.deviation:.0e}",
            ]
        )
    header = "contestant|best (s)|median (s)|times rnnsim|calls in rounds|deviation".split("|")
    words = f"{w.what[0].upper()}{w.what[1:]}."
    if w.kind == "updates":
        rate = w.n_updates / ours
        words += f" rnnsim makes {rate:.3g} updates a second of all {w.N} networks."
    parts = [f"### {w.name}, {comparison.dtype}", words]
    return "\n\n".join([*parts, table(header, rows), *([_DROPPED] if dropped else [])])


def agreements(training: Sequence[Agreement]) -> str:
    """How far training is from torch's: cells, layers, rules, segments down, clips across."""
    clips = list(dict.fromkeys(case.clip for case in training))
    rows: dict[tuple[str, ...], list[str]] = {}
    for case in training:
        cell = f"{case.deviation:.0e}" + (f" ({case.clipped:.0%})" if case.clipped else "")
        names = case.cell, str(case.n_layers), case.optimizer, case.segments
        rows.setdefault(names, []).append(cell)
    header = ["cell", "layers", "rule", "segments", *clips]
    words = _TRAINING.format(updates=training[0].n_updates, tolerance=f"{TRAINING_TOLERANCE:.0e}")
    return f"{words}\n\n{table(header, [[*names, *cells] for names, cells in rows.items()])}"


def of_cells(cells: Sequence[CellAgreement]) -> str:
    """How far cells and stacks are from torch's: arrays down, cells and their layers across."""
    kinds = list(dict.fromkeys((case.cell, case.n_layers) for case in cells))
    found = {(case.name, case.cell, case.n_layers): f"{case.deviation:.0e}" for case in cells}
    rows = [
        [name.replace("|", "\\|"), *(found.get((name, *kind), "") for kind in kinds)]
        for name in sorted(dict.fromkeys(case.name for case in cells))
    ]
    header = ["array", *(f"{cell}, {layers}" for cell, layers in kinds)]
    words = _CELLS.format(tolerance=f"{CELLS_TOLERANCE:.0e}")
    return f"{words}\n\n{table(header, rows)}"


def cost_laws(laws: Sequence[Measured]) -> str:
    """Fitted slopes beside the expected ones."""
    dtypes = list(laws[0].seconds)
    header = ["time of", "against", "expected slope", "fitted from", *dtypes]
    rows = []
    for measured in laws:
        law = measured.law
        fits = [fit(law.values, measured.seconds[dtype]) for dtype in dtypes]
        span = f"{fits[0].first:g} to {fits[0].last:g}"
        name = "gradient_flow" if law.setting.flow else "bptt"
        rows.append([name, law.label, f"{law.expected:g}", span, *map(str, fits)])
    return table(header, rows)


def _facts(facts: Mapping[str, str]) -> str:
    return table(["what", "which"], [[name, value] for name, value in facts.items()])


def _seconds(value: float) -> str:
    """Three significant digits, without an exponent."""
    digits = max(0, 2 - int(np.floor(np.log10(value))))
    return f"{value:.{digits}f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
