"""The page ``benchmarks.md``, written from the sections of `records`: nothing is measured here."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..agreement.cells import TOLERANCE as AGREED
from ..peers.contestants import PORTED
from ..peers.workloads import WORKLOADS
from . import plots
from .records import Agreed, Result, Section, Slope
from .runner import TOLERANCE

PAGE = "benchmarks.md"
_KNOWN = {workload.name: workload for workload in WORKLOADS}

_INTRODUCTION = """\
One section for each machine: `make bench` writes that of the machine that it runs on, anew or
behind the others, which it leaves as they are. Every number stands in `{data}` beside this page,
with those of all contestants."""

_COLUMNS = """\
The limit is the time that the useful products of a call take at the peak of all cores: the rate of
multiply-adds out of registers alone, measured in the same rounds. A fraction of 1 cannot be
reached: tanh, softmax, norms, sums and whatever waits for memory count as nothing. Useful are, with
S steps that carry loss,

- for gradients 2 N B H (G T (3H + 2D) + 3 S V), G = 1, of LSTMs 4, of GRUs 3: three products with
  W_hh a step (state, its gradient, dW_hh), two with W_xh, since inputs need no gradient, three with
  W_hy. A layer above another needs it: 3H in place of 2D. Of pairs the steps of encoder and
  decoder; of training as often as a call makes updates;
- for the norms at all lags 2 (T^2/2) N B H^2: T^2/2 rows of each sequence go one step back; for
  all windows the outer product of each with h, x and 1 as well, 4 (T^2/2) N B H (H + (D+1)/2)."""

_RATIO = """\
The ratio is the best peer's shortest call over rnnsim's. Sizes are N, H, B, T, D, V."""

_PORTED = """\
Peers called "{ported}" run rnnsim's own algorithm (all rows one step back at a time), written
anew in their language; no public tool offers it. They have a line and a goal of their own."""

_HOW = """\
Every library runs in a process of its own, with all cores and its own thread settings, and gets the
same arrays: networks of gain 1 with small random biases, normal inputs shared by all networks,
random classes. First the numbers of every contestant are compared with rnnsim's in the same dtype
(each network's loss and gradients normwise, and how far updates have moved its weights; logs of
norms absolutely, where the squares of the peer's norms are in the dtype's range): the largest
deviation allowed is {tolerances}, and a contestant that deviates more stops the run. Then they take
turns in rounds, every second round in reverse, so that all see the same machine. A turn is one call
that is not timed, then one to ten that are; where a call takes more than 0.3 s it is one timed
call, and who takes 20 times the best of the first round has no further ones. Compiling and moving
data into the library's own arrays are not timed. rnnsim is called through its public functions,
with their checks and all the norms that they return, training with its measurements before the
first update and after the last; peers compute loss and gradients, trained weights, or the norms
that are asked for, and nothing else."""

_AGREED = """\
Beside torch.nn and torch.optim the same small networks are run in PyTorch by its own parts (nn.RNN,
nn.LSTM, nn.GRU, autograd), in float64: states, loss, gradients, truncated ones and logs of the
norms at every lag, the largest deviation of an array relative to its norm, of logs absolute; and
weights after updates by every rule, with every clipping and kind of segment, relative to how far
they have moved. More than {tolerance} stops the run."""


def write(folder: Path, sections: Iterable[Section], *, data: str) -> Path:
    """Write the page into `folder`; its path. Figures that are there already are shown."""
    sections = list(sections)
    allowed = " and ".join(f"{limit:.0e} in {dtype}" for dtype, limit in TOLERANCE.items())
    results = [result for section in sections for result in section.results]
    parts = ["# Benchmarks", _INTRODUCTION.format(data=data)]
    parts += [_COLUMNS, _RATIO] if limited(results) else [_RATIO]
    if any(result.best_peer(ported=True) for result in results):
        parts.append(_PORTED.format(ported=PORTED))
    for section in sections:
        parts += [f"## {section.machine}", *_section(folder, section)]
    parts += ["## How it is measured", _HOW.format(tolerances=allowed)]
    if any(section.agreed for section in sections):
        parts.append(_AGREED.format(tolerance=f"{AGREED:.0e}"))
    path = folder / PAGE
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _section(folder: Path, section: Section) -> list[str]:
    parts = list(section.remarks)
    if section.results:
        parts.append(reached(section.results))
        parts += [peaks(section.results)] if limited(section.results) else []
        parts.append(goals(section.results))
        parts += _figure(folder, section, plots.RATIOS, "Times of peers over rnnsim's")
    if section.slopes:
        parts += ["### Cost laws", cost_laws(section.slopes)]
        parts += _figure(folder, section, plots.LAWS, "Time against each size")
    if section.agreed:
        parts += ["### Beside torch.nn and torch.optim", agreements(section.agreed)]
    return [*parts, "### Versions", table(["what", "which"], list(section.facts.items()))]


def _figure(folder: Path, section: Section, form: str, words: str) -> list[str]:
    name = plots.file_of(section.machine, form)
    return [f"![{words}]({name})"] if (folder / name).exists() else []


def reached(results: Sequence[Result]) -> str:
    """In words: how many goals are reached, and how far the others are."""
    missing, total = [], 0
    for result in results:
        for what, found, goal in _measured_by(result):
            total += 1
            if found < goal:
                missing.append(
                    f"{result.workload} in {result.dtype} ({what} {found:.2f}, goal {goal:g})"
                )
    words = f"{total - len(missing)} of {total} goals are reached."
    return f"{words} Not reached: {', '.join(missing)}." if missing else words


def _measured_by(result: Result) -> list[tuple[str, float, float]]:
    """What has a goal and was measured: its name, the number, the goal."""
    w, found = _KNOWN[result.workload], []
    if result.fraction is not None and result.dtype in w.fraction:
        found.append(("fraction", result.fraction, w.fraction[result.dtype]))
    for what, goals_of, ported in (
        ("ratio", w.ratio, False),
        (f"ratio to {PORTED}", w.ported, True),
    ):
        best = result.best_peer(ported=ported)
        if best is not None and result.dtype in goals_of:
            found.append((what, best.best / result.ours.best, goals_of[result.dtype]))
    return found


def peaks(results: Sequence[Result]) -> str:
    """The peak of each dtype, over all workloads."""
    words = []
    for dtype in dict.fromkeys(result.dtype for result in results):
        found = [r.peak / 1e9 for r in results if r.dtype == dtype and r.peak is not None]
        if found:
            least, most = (f"{value:.3g}" for value in (min(found), max(found)))
            words.append(f"{least if least == most else f'{least} to {most}'} GFLOP/s in {dtype}")
    if not words:
        return "The peak was not measured then, and no fraction of the limit."
    return f"The peak of all cores: {', '.join(words)}."


def goals(results: Sequence[Result]) -> str:
    """The table: a second line where peers run rnnsim's own algorithm."""
    header = (
        "workload|sizes|dtype|rnnsim (s)|fraction of the limit|its goal|best peer|its time (s)|"
        "ratio|ratio's goal"
    ).split("|")
    rows = []
    for result in results:
        w, ours = _KNOWN[result.workload], result.ours.best
        start = [result.workload, ", ".join(map(str, result.sizes)), result.dtype, _seconds(ours)]
        limit = ["" if result.fraction is None else f"{result.fraction:.2f}"]
        limit += [_goal(w.fraction, result.dtype)]
        for ported in (False, True):
            best = result.best_peer(ported=ported)
            if best is not None or not ported:
                goal = _goal(w.ported if ported else w.ratio, result.dtype)
                peer = ["", "", ""]
                if best is not None:
                    ratio = f"{best.best / ours:.2f}"
                    peer = [f"{best.library}: {best.name}", _seconds(best.best), ratio]
                rows.append([*start, *(["", ""] if ported else limit), *peer, goal])
    if not limited(results):
        header, *rows = ([*row[:4], *row[6:]] for row in (header, *rows))
    return table(header, rows)


def limited(results: Sequence[Result]) -> bool:
    """Whether any has an arithmetic limit."""
    return any(result.flops is not None for result in results)


def _goal(goals_of: Mapping[str, float], dtype: str) -> str:
    return f"{goals_of[dtype]:g}" if dtype in goals_of else ""


def agreements(found: Sequence[Agreed]) -> str:
    """How far cells, stacks and training are from torch's."""
    header = "cell|layers|arrays|largest deviation|of|trainings|of weights|in".split("|")
    rows = []
    for one in found:
        arrays = [str(one.arrays), f"{one.deviation:.0e}", one.array.replace("|", "\\|")]
        trainings = [str(one.trainings), f"{one.trained:.0e}", one.training]
        rows.append(
            [one.cell, str(one.n_layers)]
            + (arrays if one.arrays else [""] * 3)
            + (trainings if one.trainings else [""] * 3)
        )
    return table(header, rows)


def cost_laws(slopes: Sequence[Slope]) -> str:
    """Fitted slopes of ln(time) against ln(size) beside the expected ones."""
    dtypes = list(slopes[0].fitted)
    header = ["time of", "against", "expected slope", "fitted from", *dtypes]
    rows = [
        [law.function, law.against, f"{law.expected:g}", law.span, *law.fitted.values()]
        for law in slopes
    ]
    return table(header, rows)


def _seconds(value: float) -> str:
    """Three significant digits, without an exponent."""
    digits = max(0, 2 - int(np.floor(np.log10(value))))
    return f"{value:.{digits}f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
