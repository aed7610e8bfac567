"""Products of fresh Gaussian matrices: exponents that are known at every size."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import rnnsim
from rnnsim import theory
from rnnsim.data.datasets import Variable, attributes, labelled
from rnnsim.experiments.draws import published_draw

from ...frame import figures
from ...frame.runs import Datasets
from ...frame.settings import flag
from ..rows import ERRORS, Row, sampled

CLAIM = (
    "The Lyapunov exponents of a product of independent N x N matrices with Gaussian entries have "
    "a closed form at every N: (ln 2 + psi((N-i+1)/2))/2 of entries N(0, 1), psi the digamma "
    "function. The mean square of what such a product makes of a vector is g^2 per factor, of "
    "entries N(0, g^2/N), while the typical vector shrinks at g = 1: few draws carry the mean."
)
MISSING = (
    "Printed numbers: the text of the paper could not be read here. What stands as published are "
    "values of its closed form, rounded.",
)
PRINTED = (".69815", ".55797", ".36482", ".05797", "-.63518")
N = len(PRINTED)
_SQUARES = (1, 2, 4)  # factors after which mean squares are listed
_VARIABLES = {
    "exponents": Variable(("exponent",), "nats per factor", "Lyapunov exponent, by QR"),
    "log_determinant": Variable((), "nats per factor", "mean of ln |det W| of the same factors"),
    "mean_square": Variable(("factors",), "1", "mean over draws of ||W_T ... W_1 v||^2, ||v|| = 1"),
    "mean_log": Variable(("factors",), "nats", "mean over draws of ln ||W_T ... W_1 v||"),
    "factors": Variable((), "1", "number T of factors"),
}


@dataclass(frozen=True)
class Settings:
    """How many matrices are drawn."""

    steps: Annotated[int, flag("Factors of the long product.")] = 40_000
    draws: Annotated[int, flag("Short products, for the mean square.")] = 40_000
    max_factors: Annotated[int, flag("Factors of the short products.")] = 12
    rng: Annotated[int, flag("Seed of the draw.")] = 0


REDUCED = Settings(steps=4000, draws=4000)


def compute(settings: Settings, progress: bool) -> Datasets:
    """One long product for the exponents, many short ones for the norms."""
    generator = published_draw(settings.rng)
    factors = generator.standard_normal((settings.steps, N, N))
    found = rnnsim.product_exponents(factors, burn_in=0)
    used = found.block_steps * found.finite_time.shape[2]  # steps that fill no block come first
    squares, logs = _short(settings, generator)
    values = {
        "exponents": found.exponents[0],
        "log_determinant": np.linalg.slogdet(factors[-used:])[1].mean(),
        "mean_square": squares,
        "mean_log": logs,
    }
    axes = {
        "exponent": tuple(range(1, N + 1)),
        "factors": tuple(range(settings.max_factors + 1)),
    }
    about = attributes({**vars(settings), "used": used}, {"task": "products"})
    return {"products": labelled(axes, _VARIABLES, values, about)}


def _short(
    settings: Settings, generator: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean squares and mean logs of norms after 0, 1, ... factors: linear networks, drawn anew."""
    states = np.zeros((settings.draws, 1, N))
    states[..., 0] = 1.0
    norms = [np.ones(settings.draws)]
    for _ in range(settings.max_factors):
        W_hh = generator.standard_normal((settings.draws, N, N)) / np.sqrt(N)
        rnn = rnnsim.RNN(np.zeros((settings.draws, N, 1)), W_hh, activation="linear")
        states = rnnsim.forward(rnn, np.zeros((1, 1, 1)), h0=states).states[:, 1]
        norms.append(np.linalg.norm(states[:, 0], axis=1))
    return (np.array(norms) ** 2).mean(axis=1), np.log(norms).mean(axis=1)


def rows(datasets: Datasets) -> list[Row]:
    """All five exponents, their sum beside the determinant, and mean squares."""
    data = datasets["products"]
    settings = figures.configuration(data)
    errors = np.sqrt(theory.newman_variances(N) / settings["used"])
    of = f"sqrt(psi'((N-i+1)/2)/(4 T)) after T = {settings['used']} factors"
    found = [
        sampled(f"exponent {i} of {N} (closed form)", published, ours, error, of, "nats per factor")
        for i, published, ours, error in zip(
            range(1, N + 1), PRINTED, data.exponents.values.tolist(), errors.tolist(), strict=True
        )
    ]
    apart = float(data.exponents.sum() - data.log_determinant)
    allowed = 64 * N * np.finfo(float).eps
    why = f"rounding: 64 epsilon for each of {N} exponents"
    found.append(Row("sum of exponents less the mean of ln |det W|", "0", apart, allowed, why))
    for T in _SQUARES:
        error = float(_square_error(T, settings["draws"]))
        why = f"{ERRORS} standard errors, sqrt(((1 + 2/N)^T - 1)/{settings['draws']})"
        ours = float(data.mean_square.sel(factors=T))
        name = f"mean square after {T} factor{'s' * (T > 1)} at g = 1 (closed form)"
        found.append(Row(name, "1", ours, ERRORS * error, why))
    return found


def _square_error(T: npt.ArrayLike, draws: int) -> npt.NDArray[np.float64]:
    """Of the mean square: each factor multiplies by an independent chi^2_N / N."""
    return np.asarray(np.sqrt(((1 + 2 / N) ** np.asarray(T) - 1) / draws))


def draw(datasets: Datasets) -> dict[str, Figure]:
    """Exponents by their number; the mean square beside what a typical vector becomes."""
    data = datasets["products"]
    figure, axes = figures.new_figure(1, 2, figsize=(11.0, 4.8))
    _draw_exponents(axes[0], data)
    _draw_norms(axes[1], data)
    figures.letter(axes)
    settings = figures.configuration(data)
    figures.caption(
        figure,
        f"(a) Exponents of one product of {settings['used']} Gaussian {N} x {N} matrices. "
        "Dashed: the closed form, from number to number. (b) Squares of norms after T factors at "
        f"g = 1, over {settings['draws']} draws: their mean is 1 in the closed form, while the "
        "typical one, exp of twice the mean log, shrinks at 2 lambda_1 (dashed both).",
    )
    return {"exponents": figure}


def _draw_exponents(ax: Axes, data: xr.Dataset) -> None:
    style: dict[str, Any] = {"ls": "", "marker": "o", "color": figures.MEASURED}
    ax.plot(np.arange(1, N + 1), theory.newman_exponents(N), **figures.theory(label="closed form"))
    ax.plot(np.arange(1, N + 1), data.exponents, label="measured", **style)
    figures.count_axis(ax.xaxis)
    ax.set_xlabel("exponent $i$ (1)")
    ax.set_ylabel(r"$\lambda_i$ (nats per factor)")
    ax.legend(loc="lower left")


def _draw_norms(ax: Axes, data: xr.Dataset) -> None:
    at = data.factors.values
    slope = float(theory.newman_exponents(N, 1.0)[0])
    for name, values, closed in (
        ("mean square", data.mean_square, np.ones(at.size)),
        ("typical square", np.exp(2 * data.mean_log), np.exp(2 * slope * at)),
    ):
        index = int(name != "mean square")
        colour = figures.shades(3)[index]
        ax.plot(at, values, color=colour, marker=figures.MARKERS[index], label=name)
        ax.plot(at, closed, **figures.theory())
    figures.count_axis(ax.xaxis)
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("factors $T$ (1)")
    ax.set_ylabel(r"$\|W_T \cdots W_1 v\|^2$ (1)")
    ax.legend(loc="lower left")
