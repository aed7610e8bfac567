"""Lyapunov spectra of chaotic networks beside those of another group, at gain 2."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import rnnsim
from rnnsim import progress as progress_bar
from rnnsim import theory
from rnnsim.data.datasets import Variable, attributes, labelled
from rnnsim.experiments.draws import published_draw

from ...frame import figures
from ...frame.runs import Datasets
from ...frame.settings import flag
from ..rows import ERRORS, Row, rounding

CLAIM = (
    "Chaos of random networks is extensive: in units of H, the shape of the Lyapunov spectrum, the "
    "Kaplan-Yorke dimension and the entropy rate do not depend on the size (Engelken, Wolf and "
    "Abbott). The numbers are of one network of 4096 units at g = 2, x <- J tanh(x) with J of "
    "entries N(0, g^2/N), which Clark publishes with the code of his paper: 500 steps of burn-in, "
    "4000 steps with a QR each. Networks here are h <- tanh(W_hh h): x is W_hh h, and both "
    "have the same exponents."
)
MISSING = (
    "Spectra in continuous time, other gains and the theory of the whole spectrum, which need "
    "integrators and solvers that rnnsim does not have.",
    "Numbers of Engelken, Wolf and Abbott: of their paper only the abstract could be read here.",
)
GAIN = 2.0
THEIRS = 4096  # units of the published network


class Published(NamedTuple):
    """A number of the published network, and what it is called here."""

    name: str
    quantity: str
    printed: str
    unit: str = ""


NUMBERS = (
    Published("largest", "lambda_1", ".154249", "nats per step"),
    Published("variance", "variance of x", "2.12530"),
    Published("positive", "fraction of exponents above 0", ".132568"),
    Published("entropy", "entropy rate over N", ".0106076", "nats per step"),
    Published("dimension", "Kaplan-Yorke dimension over N", ".256594"),
    Published("mean", "mean exponent", "-1.150547", "nats per step"),
    Published("slope", "mean of phi'", ".469268"),
    Published("square_slope", "mean of phi'^2", ".340329"),
)
THEORY = {"variance": "2.12147", "largest": ".154724", "mean": "-1.14902"}
_VARIABLES = {
    **{
        each.name: Variable(("n_hidden", "network_seed"), each.unit or "1", each.quantity)
        for each in NUMBERS
    },
    "exponents": Variable(("network_seed", "number"), "nats per step", "leading exponents"),
}


@dataclass(frozen=True)
class Settings:
    """How large the networks are, how many, and for how long they run."""

    n_hidden: Annotated[int, flag("Hidden units H; networks of half as many are beside them.")] = (
        512
    )
    network_seeds: Annotated[int, flag("Networks of each size.")] = 6
    burn_in: Annotated[int, flag("Steps before measuring begins.")] = 300
    steps: Annotated[int, flag("Steps that are measured.")] = 1000


REDUCED = Settings(n_hidden=128, network_seeds=6, burn_in=200, steps=400)


def compute(settings: Settings, progress: bool) -> Datasets:
    """All numbers of networks of two sizes, one network at a time."""
    sizes = (settings.n_hidden // 2, settings.n_hidden)
    seeds = settings.network_seeds
    found = {each.name: np.empty((2, seeds)) for each in NUMBERS}
    spectra = np.empty((seeds, _leading(sizes[1])))
    with progress_bar.bar(2 * seeds, show=progress, unit="network") as advance:
        for i, H in enumerate(sizes):
            for n in range(seeds):
                numbers, exponents = _measured(H, n, settings)
                for name, value in numbers.items():
                    found[name][i, n] = value
                if i == 1:
                    spectra[n] = exponents
                advance(1)
    axes = {"n_hidden": sizes, "network_seed": tuple(range(seeds))}
    about = attributes(vars(settings), {"task": "autonomous"})
    return {"spectra": labelled(axes, _VARIABLES, {**found, "exponents": spectra}, about)}


def _leading(H: int) -> int:
    """How many exponents hold the dimension, with some to spare; the mean needs none."""
    return int(0.32 * H)


def _measured(
    H: int, seed: int, settings: Settings
) -> tuple[dict[str, float], npt.NDArray[np.float64]]:
    """The numbers of one network, and its leading exponents.

    The mean of all H exponents is ln |det W_hh| / H and the mean of ln phi', exact at any H.
    """
    rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=H, n_outputs=0, gain=GAIN, rng=seed)
    T = settings.burn_in + settings.steps
    found = rnnsim.lyapunov_spectrum(
        rnn, n_steps=T, burn_in=settings.burn_in, n_exponents=_leading(H), rng=seed
    )
    start = published_draw(seed).standard_normal((1, H))
    states = rnnsim.forward(rnn, np.zeros((T, 1, 1)), h0=start).states[0, :, 0]
    x = states[settings.burn_in : -1] @ rnn.W_hh[0].T
    slopes = 1.0 / np.cosh(x) ** 2
    log_determinant = float(np.linalg.slogdet(rnn.W_hh[0])[1])
    exponents = found.exponents[0]
    numbers = {
        "largest": float(exponents[0]),
        "variance": float(x.var()),
        "positive": float((exponents > 0).sum()) / H,
        "entropy": float(found.entropy_rate[0]) / H,
        "dimension": float(found.kaplan_yorke[0]) / H,
        "mean": log_determinant / H + float(np.log(slopes).mean()),
        "slope": float(slopes.mean()),
        "square_slope": float((slopes**2).mean()),
    }
    return numbers, exponents


def rows(datasets: Datasets) -> list[Row]:
    """What is published of the network of 4096 units, and the theory of large networks."""
    data = datasets["spectra"]
    found = [_row(data, each, each.printed, THEIRS, "") for each in NUMBERS]
    known = {each.name: each for each in NUMBERS}
    return found + [
        _row(data, known[name], printed, None, ", large networks (closed form)")
        for name, printed in THEORY.items()
    ]


def _row(data: xr.Dataset, each: Published, printed: str, theirs: int | None, which: str) -> Row:
    """The mean over the larger networks beside one published network, or beside the theory.

    Finite size shifts by about as much as from half the size to it, if by 1/H. One network of N
    units scatters as ours do, times sqrt(H/N) if its exponents were as many independent numbers.
    """
    half, full = (data[each.name].isel(n_hidden=i).values for i in (0, 1))
    H, n = int(data.n_hidden[1]), full.size
    change, scatter = abs(full.mean() - half.mean()), full.std(ddof=1)
    changed = float(np.hypot(scatter, half.std(ddof=1))) / np.sqrt(n)
    error = float(np.hypot(changed, scatter * np.sqrt(H / theirs) if theirs else 0.0))
    allowed = float(change + ERRORS * error + rounding(printed))
    because = (
        f"the change from {H // 2} to {H} units and {ERRORS} standard errors, over {n} networks"
        + (f" and the one of {theirs}" if theirs else "")
    )
    return Row(f"{each.quantity}{which}", printed, float(full.mean()), allowed, because, each.unit)


def draw(datasets: Datasets) -> dict[str, Figure]:
    """The leading spectrum of every network, and three numbers against the size."""
    data = datasets["spectra"]
    figure, axes = figures.new_figure(1, 2, figsize=(11.5, 5.0))
    _draw_spectra(axes[0], data)
    _draw_sizes(axes[1], data)
    figures.letter(axes)
    H, n = int(data.n_hidden[1]), data.sizes["network_seed"]
    figures.caption(
        figure,
        f"{n} networks of {H} units at g = {GAIN:g}. (a) Their leading exponents against number "
        "over size. Crosses: lambda_1, and the fraction above 0, of the published network of "
        f"{THEIRS} units. Dashed: lambda_1 of large networks. (b) Numbers over those that are "
        "published, by size, every network and medians; 1 (dotted) is the published network.",
    )
    return {"spectrum": figure}


def _draw_spectra(ax: Axes, data: xr.Dataset) -> None:
    H = int(data.n_hidden[1])
    at = (np.arange(data.sizes["number"]) + 1) / H
    for i, line in enumerate(data.exponents.values):
        label = "networks" if i == 0 else "_"
        ax.plot(at, line, color=figures.MEASURED, lw=figures.pt(1.0), alpha=0.6, label=label)
    known = {each.name: float(each.printed) for each in NUMBERS}
    ax.plot(
        [1 / THEIRS, known["positive"]], [known["largest"], 0.0], ls="", marker="X",
        ms=figures.pt(9), color="black", label="published", zorder=6,
    )  # fmt: skip
    largest = float(theory.mean_field(GAIN).largest_exponent)
    ax.axhline(largest, **figures.theory(label=r"theory of $\lambda_1$"))
    ax.set_xlabel("number over size, $i/H$ (1)")
    ax.set_ylabel(r"exponent $\lambda_i$ (nats per step)")
    ax.legend(loc="lower left")


def _draw_sizes(ax: Axes, data: xr.Dataset) -> None:
    sizes = data.n_hidden.values
    names = {"largest": r"$\lambda_1$", "dimension": "dimension", "entropy": "entropy rate"}
    known = {each.name: float(each.printed) for each in NUMBERS}
    for i, (name, label) in enumerate(names.items()):
        values = data[name].transpose("network_seed", "n_hidden").values / known[name]
        colour = figures.shades(len(names))[i]
        figures.seeds_and_median(
            ax, sizes * (1 + 0.04 * (i - 1)), values, label=label, color=colour, index=i
        )
    ax.axhline(1.0, **figures.mark())
    ax.set_xscale("log")
    ax.set_xlim(0.8 * sizes[0], 1.25 * sizes[1])
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    ax.set_xlabel("hidden units $H$ (1)")
    ax.set_ylabel("over the published number (1)")
    figures.name_lines(ax)
