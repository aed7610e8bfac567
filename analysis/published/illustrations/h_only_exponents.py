"""Exponents of LSTMs: of the whole state, and of h alone with c held fixed."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.special import log_expit

import rnnsim
from rnnsim.data.datasets import Variable, attributes, labelled
from rnnsim.experiments.draws import published_draw

from ...frame import figures
from ...frame.runs import Datasets
from ...frame.settings import flag
from ...frame.words import counted
from ..rows import Row

CLAIM = (
    "The largest Lyapunov exponent says how fast gradients of a network vanish. The public code "
    "of Vogt et al. multiplies the matrices dh_t/dh_{t-1} with c held fixed; c, along which an "
    "LSTM keeps what it knows, has no part in it, so that the forget bias should hardly show in "
    "what comes out."
)
MISSING = (
    "Exponents that Vogt et al. print: none at these forget biases is at hand, and what their code "
    "does was read, not run. Here its products are made of the block of h of our Jacobians.",
    "Trained networks: these are as PyTorch draws them, on white noise.",
)
_DIMS = ("forget_bias", "network_seed")
_VARIABLES = {
    "exponent": Variable(_DIMS, "nats/step", "largest Lyapunov exponent of the state (h, c)"),
    "exponent_error": Variable(_DIMS, "nats/step", "its standard error along the trajectory"),
    "h_only": Variable(_DIMS, "nats/step", "largest exponent of dh_t/dh_{t-1}, c held fixed"),
    "h_only_error": Variable(_DIMS, "nats/step", "its standard error along the trajectory"),
}


@dataclass(frozen=True)
class Settings:
    """The networks, and how long they are driven."""

    forget_bias: Annotated[tuple[float, ...], flag("Forget biases b.")] = (0.0, 1.0, 2.0, 3.0)
    network_seeds: Annotated[int, flag("Networks, the same at every bias.")] = 12
    n_hidden: Annotated[int, flag("Hidden units H.")] = 24
    n_inputs: Annotated[int, flag("Inputs, N(0, 1) afresh at each step.")] = 8
    length: Annotated[int, flag("Steps, of which a tenth is burn-in.")] = 2000
    data_seed: Annotated[int, flag("Seed of networks and inputs.")] = 0


REDUCED = Settings(forget_bias=(0.0, 3.0), network_seeds=3, n_hidden=8, length=200)


def compute(settings: Settings, progress: bool) -> Datasets:
    """Both exponents of every network at every bias, along the same inputs."""
    rng = published_draw(settings.data_seed, 1)
    inputs = rng.normal(size=(settings.length, 1, settings.n_inputs))
    found = [
        [_exponents(networks[i : i + 1], inputs) for i in range(settings.network_seeds)]
        for networks in (_networks(settings, bias) for bias in settings.forget_bias)
    ]
    values = dict(zip(_VARIABLES, np.moveaxis(np.array(found), -1, 0), strict=True))
    axes = {
        "forget_bias": settings.forget_bias,
        "network_seed": tuple(range(settings.network_seeds)),
    }
    about = attributes(vars(settings), {"task": "white noise"})
    return {"exponents": labelled(axes, _VARIABLES, values, about)}


def _networks(settings: Settings, bias: float) -> rnnsim.RNN:
    return rnnsim.RNN.sample(
        settings.network_seeds, n_inputs=settings.n_inputs, n_hidden=settings.n_hidden,
        n_outputs=0, cell="lstm", scheme="pytorch", forget_bias=bias, rng=settings.data_seed,
    )  # fmt: skip


def _exponents(rnn: rnnsim.RNN, inputs: np.ndarray) -> tuple[float, float, float, float]:
    """(lambda_1, its error) of the whole Jacobian, and of its block of h."""
    J = rnnsim.jacobians(rnn, inputs)[0, :, 0]
    H = J.shape[-1] // 2
    found: list[float] = []
    for matrices in (J, np.ascontiguousarray(J[:, :H, :H])):
        spectrum = rnnsim.product_exponents(matrices, n_exponents=1)
        found += [float(spectrum.exponents[0, 0]), float(spectrum.standard_error[0, 0])]
    return found[0], found[1], found[2], found[3]


def rows(datasets: Datasets) -> list[Row]:
    """Means over networks with their standard errors, and by how much both rise with the bias."""
    data = datasets["exponents"]
    found = []
    for name, words in _WORDS.items():
        for bias in data.forget_bias.values.tolist():
            each = data[name].sel(forget_bias=bias).values
            error = each.std(ddof=1) / np.sqrt(each.size)
            what = f"lambda_1 of {words}, forget bias {bias:g}"
            found.append(Row(what, "", float(each.mean()), unit="nats/step"))
            found.append(
                Row(f"{what}, standard error over networks", "", float(error), unit="nats/step")
            )
        ends = f"from forget bias {data.forget_bias[0]:g} to {data.forget_bias[-1]:g}"
        rise = data[name].isel(forget_bias=-1) - data[name].isel(forget_bias=0)
        found.append(
            Row(f"rise of lambda_1 of {words} {ends}", "", float(rise.mean()), unit="nats/step")
        )
    return found


_WORDS = {"exponent": "(h, c)", "h_only": "h alone"}


def draw(datasets: Datasets) -> dict[str, Figure]:
    """Both exponents against the forget bias."""
    data = datasets["exponents"]
    figure, ax = figures.new_figure(figsize=(8.0, 4.8))
    for i, (name, color) in enumerate((("exponent", figures.MEASURED), ("h_only", "#D55E00"))):
        each = data[name].transpose("network_seed", "forget_bias").values
        label = {"exponent": "whole state $(h, c)$", "h_only": "$h$ alone, $c$ held fixed"}[name]
        figures.seeds_and_median(ax, data.forget_bias, each, label=label, color=color, index=2 * i)
    ax.plot(
        data.forget_bias, log_expit(data.forget_bias.values), **figures.theory(),
        label=r"$\ln\,\sigma(b)$: gate alone",
    )  # fmt: skip
    ax.axhline(0.0, color="0.5", lw=figures.pt(1.0))
    figures.name_lines(ax)
    ax.set_xticks(data.forget_bias.values)
    ax.set_xlabel("forget bias $b$ (1)")
    ax.set_ylabel(r"largest exponent $\lambda_1$ (nats/step)")
    figures.caption(figure, _caption(data))
    return {"exponents-against-forget-bias": figure}


def _caption(data: xr.Dataset) -> str:
    settings = figures.configuration(data)
    whole, alone = (data[name].median("network_seed").values for name in _WORDS)
    text = (
        f"Dots: {counted(data.sizes['network_seed'], 'LSTM')} of {settings['n_hidden']} units on "
        "white noise, the same draws at every bias; lines: medians, bands: quartiles. Dashed: a "
        r"unit whose forget gate stays at $\sigma(b)$, without recurrent weights."
    )
    if whole[-1] - whole[0] > 4 * abs(alone[-1] - alone[0]):
        text += (
            " The exponent of the whole state rises towards 0 with the forget bias, so that "
            "gradients last; that of $h$ alone hardly moves."
        )
    return text
