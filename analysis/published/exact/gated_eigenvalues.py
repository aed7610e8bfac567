"""Gated networks at rest: clouds of eigenvalues that gates shift and shrink."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

import rnnsim
from rnnsim import progress as progress_bar
from rnnsim.data.datasets import Variable, attributes, labelled
from rnnsim.experiments.draws import published_draw

from ...frame import figures
from ...frame.runs import Datasets
from ...frame.settings import flag
from ..rows import Row, rounded

CLAIM = (
    "The paper takes random matrix theory to one step of LSTMs and GRUs, and finds that the gates "
    "that keep the state, z and f, gather slow modes, while the reset gate, and the input and "
    "output gates, set the spectral radius. At rest, where inputs are 0 and all biases but the "
    "named ones, this has a closed form: the eigenvalues are z + (1-z) r lambda of a GRU, and "
    "f + i o lambda of an LSTM, with lambda those of the block of the candidate, n or g, beside as "
    "many zeros as units. A disc of radius g becomes a disc around z, or f, and touches the circle "
    "of radius 1 at the gain 1/r, or (1-f)/(i o)."
)
MISSING = (
    "Printed numbers of the paper: only its abstract could be read here. What stands as published "
    "are values of the closed forms above, which were derived for rnnsim, rounded.",
    "What the paper derives of networks away from rest, and its phase diagram of fixed points.",
)


class Case(NamedTuple):
    """A cell at rest, and the gain at which rest becomes unstable, as it is printed."""

    cell: str
    kept: float  # the bias of z or f
    reset: float
    gain: str

    @property
    def name(self) -> str:
        """Such as "LSTM, b_f = 2"."""
        gate = "z" if self.cell == "gru" else "f"
        biases = ((gate, self.kept), ("r", self.reset))
        named = [f"b_{gate} = {bias:g}" for gate, bias in biases if bias]
        return ", ".join([self.cell.upper(), *(named or ["no biases"])])

    @property
    def line(self) -> tuple[float, float]:
        """What an eigenvalue of the block becomes: the first plus the second times it."""
        keep = _sigma(self.kept)
        return (keep, (1 - keep) * _sigma(self.reset)) if self.cell == "gru" else (keep, 0.25)

    @property
    def critical(self) -> float:
        """The gain at which the disc touches the circle of radius 1."""
        keep, factor = self.line
        return (1 - keep) / factor


CASES = (
    Case("gru", 0, 0, "2"),
    Case("gru", 2, 0, "2"),
    Case("gru", 0, 2, "1.1353"),
    Case("lstm", 0, 0, "2"),
    Case("lstm", 1, 0, "1.07577"),
    Case("lstm", 2, 0, "0.47681"),
    Case("lstm", 5, 0, "0.02677"),
)
_DRAWN = (1, 2, 4, 5)  # of these
_DEFAULTS = {"PyTorch, LSTM": ".64434", "PyTorch, GRU": ".64434", "Keras, LSTM": ".85606"}
_REACH = {"PyTorch, LSTM": 0.25 / 3**0.5, "PyTorch, GRU": 0.25 / 3**0.5, "Keras, LSTM": 0.125}
_RELATIVE = (0.3, 0.6, 0.9, 1.1, 1.25)  # gains over the critical one
_VARIABLES = {
    "eigenvalue": Variable(("case", "number"), "1", "of one step at the critical gain", complex),
    "distance": Variable(("case",), "1", "largest distance from what is predicted"),
    "rounding": Variable(("case",), "1", "H epsilon, times the norm and the worst condition"),
    "gain": Variable(("case", "at"), "1", "factor of W_hh"),
    "radius": Variable(("case", "network_seed", "at"), "1", "spectral radius of one step"),
    "touching": Variable(("case",), "1", "gain of radius 1, of an orthogonal block"),
    "default": Variable(("framework", "network_seed"), "1", "spectral radius as initialised"),
}


@dataclass(frozen=True)
class Settings:
    """How large the networks are."""

    n_hidden: Annotated[int, flag("Hidden units H.")] = 160
    network_seeds: Annotated[int, flag("Networks of each kind.")] = 4


REDUCED = Settings(n_hidden=40, network_seeds=2)


def compute(settings: Settings, progress: bool) -> Datasets:
    """Eigenvalues of the Jacobian at rest, by network, gain and biases."""
    H, N = settings.n_hidden, settings.network_seeds
    S, at = 2 * H, len(_RELATIVE)
    found = {
        "eigenvalue": np.full((len(CASES), S), complex(np.nan, np.nan)),
        "distance": np.empty(len(CASES)),
        "rounding": np.empty(len(CASES)),
        "gain": np.outer([case.critical for case in CASES], _RELATIVE),
        "radius": np.empty((len(CASES), N, at)),
        "touching": np.empty(len(CASES)),
        "default": np.empty((len(_DEFAULTS), N)),
    }
    with progress_bar.bar(len(CASES) + 1, show=progress, unit="cell") as advance:
        for i, case in enumerate(CASES):
            for n in range(N):
                for j, gain in enumerate(found["gain"][i]):
                    found["radius"][i, n, j] = _radius(_at_rest(case, H, "gaussian", gain, n))
            rnn = _at_rest(case, H, "gaussian", case.critical, 0)
            values = _eigenvalues(rnn)
            found["eigenvalue"][i, : values.size] = values
            found["distance"][i], found["rounding"][i] = _compared(case, rnn, values)
            found["touching"][i] = _touching(case)
            advance(1)
        for i, name in enumerate(_DEFAULTS):
            found["default"][i] = [_radius(_default(name, H, n)) for n in range(N)]
        advance(1)
    axes = {
        "case": tuple(case.name for case in CASES),
        "network_seed": tuple(range(N)),
        "framework": tuple(_DEFAULTS),
    }
    about = attributes(vars(settings), {"task": "rest"})
    return {"rest": labelled(axes, _VARIABLES, found, about)}


def _at_rest(case: Case, H: int, scheme: str, gain: float, seed: int) -> rnnsim.RNN:
    """A network whose biases are 0 but those that are named."""
    rnn = rnnsim.RNN.sample(
        n_inputs=1, n_hidden=H, n_outputs=0, cell=case.cell, scheme=scheme, gain=gain,
        forget_bias=case.kept, rng=seed,
    )  # fmt: skip
    biases = np.array(rnn.b_h)
    if case.cell == "gru":
        biases[:, :H] = case.reset
    return rnn.with_weights(rnn.weights._replace(b_h=biases))


def _eigenvalues(rnn: rnnsim.RNN) -> npt.NDArray[np.complex128]:
    found = rnnsim.jacobian_spectrum(rnn, np.zeros((1, 1, 1)))
    return found.eigenvalues[0, 0, 0]


def _radius(rnn: rnnsim.RNN) -> float:
    jacobian = rnnsim.jacobians(rnn, np.zeros((1, 1, 1)))[0, 0, 0]
    return float(np.abs(np.linalg.eigvals(jacobian)).max())


def _block(rnn: rnnsim.RNN) -> npt.NDArray[np.float64]:
    """The block of W_hh that makes the candidate, n of a GRU or g of an LSTM."""
    return np.array(rnn.W_hh[0, 2 * rnn.n_hidden : 3 * rnn.n_hidden])


def _compared(
    case: Case, rnn: rnnsim.RNN, values: npt.NDArray[np.complex128]
) -> tuple[float, float]:
    """How far measured eigenvalues lie from predicted ones, and how far rounding may take them.

    Each way, from the nearest. By the theorem of Bauer and Fike (1960) an eigenvalue moves by at
    most its condition times the norm of the disturbance, here H epsilon of that of the Jacobian.
    """
    keep, factor = case.line
    own, vectors = np.linalg.eig(_block(rnn))
    zeros = np.zeros(values.size - own.size)
    apart = np.abs(values[:, None] - np.concatenate([keep + factor * own, zeros]))
    conditions = np.linalg.norm(np.linalg.inv(vectors), axis=1)  # the vectors are of norm 1
    norm = np.linalg.norm(rnnsim.jacobians(rnn, np.zeros((1, 1, 1)))[0, 0, 0], 2)
    moved = values.size * np.finfo(float).eps * norm * conditions.max()
    return float(max(apart.min(axis=0).max(), apart.min(axis=1).max())), float(moved)


def _touching(case: Case) -> float:
    """The gain of radius 1 where the block is orthogonal and has the eigenvalue 1.

    The radius is then linear in the gain, so that two gains tell where it is 1.
    """
    gains = (0.5 * case.critical, 1.5 * case.critical)
    low, high = (_radius(_with_eigenvalue_1(_at_rest(case, 7, "orthogonal", g, 0))) for g in gains)
    return gains[0] + (1 - low) * (gains[1] - gains[0]) / (high - low)


def _with_eigenvalue_1(rnn: rnnsim.RNN) -> rnnsim.RNN:
    """Of odd size the block has the eigenvalue 1 or -1; its sign is turned."""
    sign = np.sign(np.linalg.det(_block(rnn)))
    return rnn.with_weights(rnn.weights._replace(W_hh=sign * rnn.W_hh))


def _default(name: str, H: int, seed: int) -> rnnsim.RNN:
    """As a framework draws W_hh, without biases but the forget bias 1 of Keras."""
    framework, cell = name.split(", ")
    sizes: dict[str, Any] = {
        "n_inputs": 1,
        "n_hidden": H,
        "n_outputs": 0,
        "cell": cell.lower(),
        "rng": seed,
    }
    if framework == "PyTorch":
        rnn = rnnsim.RNN.sample(**sizes, scheme="pytorch")
        return rnn.with_weights(rnn.weights._replace(b_h=np.zeros_like(rnn.b_h)))
    rnn = rnnsim.RNN.sample(**sizes, forget_bias=1.0)
    fused = np.linalg.qr(published_draw(seed).standard_normal((4 * H, H)))
    turned = fused.Q * np.sign(np.diag(fused.R))  # else the draw is not uniform
    return rnn.with_weights(rnn.weights._replace(W_hh=turned[None]))


def _sigma(bias: float) -> float:
    return float(1.0 / (1.0 + np.exp(-bias)))


def rows(datasets: Datasets) -> list[Row]:
    """Critical gains, all eigenvalues, and the radii of two frameworks."""
    data = datasets["rest"]
    H = figures.configuration(data)["n_hidden"]
    width = 1 / float(np.sqrt(H))
    edge = f"the edge of {H} eigenvalues in a disc is known to the order of 1/sqrt({H})"
    found = []
    for case in CASES:
        one = data.sel(case=case.name)
        name = f"critical gain, {case.name} (closed form)"
        found.append(_of_orthogonal(f"{name}, orthogonal", case, float(one.touching)))
        ours = float(np.mean(_crossings(one)))
        found.append(Row(f"{name}, Gaussian", case.gain, ours, width * case.critical, edge))
    for case in CASES:
        one = data.sel(case=case.name)
        why = "rounding: H epsilon, times the norm and the worst condition of an eigenvalue"
        name = f"distance of eigenvalues from the closed form, {case.name}"
        found.append(Row(name, "0", float(one.distance), float(one.rounding), why))
    for name, published in _DEFAULTS.items():
        ours = float(data.default.sel(framework=name).mean())
        allowed = width * _REACH[name]
        found.append(
            Row(
                f"spectral radius as initialised, {name} (closed form)",
                published,
                ours,
                allowed,
                edge,
            )
        )
    return found


def _of_orthogonal(name: str, case: Case, ours: float) -> Row:
    """Exact at every size; only numbers that are no integers are printed rounded."""
    if case.gain != "2":
        return rounded(name, case.gain, ours)
    allowed = 100 * np.finfo(float).eps / case.line[1]
    return Row(name, case.gain, ours, allowed, "rounding, over the slope of the radius")


def _crossings(one: xr.Dataset) -> list[float]:
    """The gain at which the radius of each network is 1, between two that were measured."""
    return [float(np.interp(1.0, radius, one.gain)) for radius in one.radius.values]


def draw(datasets: Datasets) -> dict[str, Figure]:
    """Clouds at the critical gain, and radii against the gain."""
    data = datasets["rest"]
    return {"eigenvalue-clouds": _clouds(data), "radius-against-gain": _radii(data)}


def _clouds(data: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(2, 2, figsize=(9.0, 9.0), squeeze=False)
    for ax, index in zip(axes.flat, _DRAWN, strict=True):
        _draw_cloud(ax, CASES[index], data.eigenvalue.isel(case=index).values)
    for ax, index in zip(axes.flat, _DRAWN, strict=True):
        case = CASES[index]
        ax.set_title(figures.symbols(f"{case.name}, $g$ = {case.gain}"))
    figures.letter(axes)
    H = figures.configuration(data)["n_hidden"]
    figures.caption(
        figure,
        f"Dots: eigenvalues of one step at rest, of networks of {H} units at the critical gain. "
        "Dashed: the disc that is predicted, which the gate that keeps the state moves to the "
        "right and makes smaller. Dotted: modulus 1, which all of these discs touch. Of LSTMs as "
        "many eigenvalues again lie at 0.",
    )
    return figure


def _draw_cloud(ax: Axes, case: Case, values: Any) -> None:
    keep, factor = case.line
    radius = factor * case.critical
    ax.plot(
        values.real, values.imag, ls="", marker="o", ms=figures.pt(1.5 + 4.0 * radius), mew=0,
        color=figures.MEASURED, alpha=0.8,
    )  # fmt: skip
    ax.add_patch(Circle((0, 0), 1.0, fill=False, **_patch(figures.mark())))
    ax.add_patch(Circle((keep, 0), radius, fill=False, **_patch(figures.theory())))
    ax.set_aspect("equal")
    ax.set(xlim=(-0.2, 1.25), ylim=(-0.7, 0.7))
    ax.set_xlabel(r"real part of $\lambda$ (1)")
    ax.set_ylabel(r"imaginary part of $\lambda$ (1)")


def _patch(style: dict[str, Any]) -> dict[str, Any]:
    """The style of a line as patches take it."""
    return {"ec": style.pop("color"), **style}


def _radii(data: xr.Dataset) -> Figure:
    figure, ax = figures.new_figure(figsize=(8.6, 5.2))
    cases: Sequence[Case] = [CASES[i] for i in _DRAWN]
    for i, (case, colour) in enumerate(zip(cases, figures.shades(len(cases)), strict=True)):
        one = data.sel(case=case.name)
        keep, factor = case.line
        label = figures.symbols(case.name)
        measured = one.radius.values
        figures.seeds_and_median(ax, one.gain, measured, label=label, color=colour, index=i)
        ax.plot(one.gain, keep + factor * one.gain, **figures.theory(lw=figures.pt(1.2)))
    ax.axhline(1.0, **figures.mark())
    ax.set_xlabel("gain $g$ (1)")
    ax.set_ylabel("spectral radius of one step (1)")
    ax.legend(loc="lower right")
    seeds = data.sizes["network_seed"]
    figures.caption(
        figure,
        f"Dots: {seeds} Gaussian networks, lines: their median. Dashed: large networks. Dotted: "
        "radius 1, above which rest is unstable: of LSTMs at a smaller gain the more f keeps, of "
        "GRUs at 1/r, whatever z keeps.",
    )
    return figure
