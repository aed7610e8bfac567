"""The gradient of an LSTM along its memory cells alone, beside that by all paths."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
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
    "Along its memory cells an LSTM hands a gradient back unchanged: the constant error carousel. "
    "With forget gates the gradient along them is multiplied by f at each step, and there are "
    "other paths, through the gates. With f = 1 and i = 0 the carousel is there again, 1 at every "
    "lag."
)
MISSING = (
    "Any norm: Hochreiter and Schmidhuber print none, and their LSTM has no forget gate. The "
    "carousel is an LSTM of today with f = 1 and i = 0, biases of 40 and -800.",
    "Trained networks: these are as PyTorch draws them, on white noise, with a random gradient of "
    "h at the last step.",
)
_DIMS = ("forget_bias", "network_seed", "lag")
_VARIABLES = {
    "all_paths": Variable(_DIMS, "nats", "ln of ||dl/dc_{T-k}|| by all paths, that of lag 1 off"),
    "path_c": Variable(_DIMS, "nats", "the same through c alone, a product of f"),
    "carousel": Variable(("lag",), "nats", "all paths of an LSTM with f = 1 and i = 0"),
}
_OPEN, _SHUT = 40.0, -800.0  # sigma is 1 and 0 in float64


@dataclass(frozen=True)
class Settings:
    """The networks, and how far back the gradient is followed."""

    forget_bias: Annotated[tuple[float, ...], flag("Forget biases b.")] = (0.0, 1.0, 3.0)
    network_seeds: Annotated[int, flag("Networks, the same at every bias.")] = 12
    n_hidden: Annotated[int, flag("Hidden units H.")] = 32
    n_inputs: Annotated[int, flag("Inputs, N(0, 1) afresh at each step.")] = 4
    n_sequences: Annotated[int, flag("Sequences B.")] = 16
    max_lag: Annotated[int, flag("Longest lag, in steps.")] = 100
    data_seed: Annotated[int, flag("Seed of networks and inputs.")] = 0


REDUCED = Settings(forget_bias=(0.0, 3.0), network_seeds=2, n_hidden=6, n_sequences=3, max_lag=20)


def compute(settings: Settings, progress: bool) -> Datasets:
    """Norms at every lag from 1 on, of drawn networks and of the carousel."""
    rng = published_draw(settings.data_seed, 1)
    T, B, H = settings.max_lag + 50, settings.n_sequences, settings.n_hidden  # 50: to forget h_0
    inputs, pull = rng.normal(size=(T, B, settings.n_inputs)), np.zeros((T, B, H))
    pull[-1] = rng.normal(size=(B, H))
    batch = rnnsim.Sequences.from_gradients(inputs, dL_dh=pull)
    drawn = [_norms(_networks(settings, b), batch, settings) for b in settings.forget_bias]
    values = {
        name: np.array([each[i] for each in drawn]) for i, name in enumerate(_VARIABLES) if i < 2
    }
    values["carousel"] = _norms(_carousel(settings), batch, settings)[0][0]
    axes = {
        "forget_bias": settings.forget_bias,
        "network_seed": tuple(range(settings.network_seeds)),
        "lag": tuple(range(1, settings.max_lag + 1)),
    }
    about = attributes(vars(settings), {"task": "white noise"})
    return {"paths": labelled(axes, _VARIABLES, values, about)}


def _networks(settings: Settings, bias: float) -> rnnsim.RNN:
    return rnnsim.RNN.sample(
        settings.network_seeds, n_inputs=settings.n_inputs, n_hidden=settings.n_hidden,
        n_outputs=0, cell="lstm", scheme="pytorch", forget_bias=bias, rng=settings.data_seed,
    )  # fmt: skip


def _carousel(settings: Settings) -> rnnsim.RNN:
    """The first network with f = 1 and i = 0, whatever it reads."""
    rnn, H = _networks(settings, 0.0)[:1], settings.n_hidden
    b_h = rnn.b_h.copy()
    b_h[:, :H], b_h[:, H : 2 * H] = _SHUT, _OPEN
    return rnn.with_weights(rnn.weights._replace(b_h=b_h))


def _norms(rnn: rnnsim.RNN, batch: rnnsim.Sequences, settings: Settings) -> tuple[Any, Any]:
    """(by all paths, through c), each (N, lag), ln relative to lag 1."""
    flow = rnnsim.gradient_flow(rnn, batch, max_lag=settings.max_lag, windows=())
    assert flow.log_norms_c is not None  # of an LSTM
    assert flow.log_norms_path_c is not None
    both = (flow.log_norms_c, flow.log_norms_path_c)
    by_all, through_c = (each[:, -1, 1 : settings.max_lag + 1] for each in both)
    return by_all - by_all[:, :1], through_c - through_c[:, :1]


def rows(datasets: Datasets) -> list[Row]:
    """Powers of ten at the longest lag, medians over networks; the carousel itself."""
    data = datasets["paths"]
    last, far = int(data.lag[-1]), data.isel(lag=-1)
    found = [
        Row(f"carousel, norm at lag {last} over that at lag 1", "1", float(np.exp(far.carousel)))
    ]
    for bias in data.forget_bias.values.tolist():
        for name, words in (("path_c", "c alone"), ("all_paths", "all paths")):
            decades = float(far[name].sel(forget_bias=bias).median()) / np.log(10.0)
            found.append(
                Row(
                    f"log10 of the norm at lag {last} over lag 1, forget bias {bias:g}, {words}",
                    "", decades,
                )
            )  # fmt: skip
    return found


def draw(datasets: Datasets) -> dict[str, Figure]:
    """Both norms against lag, a panel for each forget bias, and for the carousel."""
    data = datasets["paths"]
    biases = data.forget_bias.values.tolist()
    n = len(biases) + 1
    figure, grid = figures.new_figure(2, -(-n // 2), figsize=(5.8 * -(-n // 2), 7.6), squeeze=False)
    axes = grid.ravel()[:n]
    for ax in grid.ravel()[n:]:
        ax.set_visible(False)
    base = np.log(10.0)
    for ax, bias in zip(axes, biases, strict=False):
        _draw_paths(ax, data.sel(forget_bias=bias), float(bias))
    axes[-1].plot(
        data.lag, data.carousel / base, marker="o", markevery=max(1, data.sizes["lag"] // 8),
        color=figures.MEASURED, label="all paths",
    )  # fmt: skip
    axes[-1].plot(data.lag, np.zeros(data.sizes["lag"]), **figures.theory(), label="carousel")
    axes[-1].set_title("$f = 1$, $i = 0$")
    for ax in axes:
        ax.set_xlabel("lag $k$ (steps)")
        ax.set_ylabel(r"$\log_{10}$ of $\|\partial\ell/\partial c_{T-k}\|$ over lag 1")
        figures.name_lines(ax)
    figures.on_one_scale(axes)
    figures.letter(axes)
    figures.caption(figure, _caption(data))
    return {"norm-against-lag": figure}


def _draw_paths(ax: Axes, data: xr.Dataset, bias: float) -> None:
    base = np.log(10.0)
    looks = (("all_paths", "all paths", figures.MEASURED), ("path_c", "$c$ alone", "#E69F00"))
    for i, (name, label, color) in enumerate(looks):
        each = data[name].transpose("network_seed", "lag").values / base
        figures.seeds_and_median(
            ax, data.lag, each, label=label, color=color, index=2 * i, lines=True
        )
    theory = (data.lag.values - 1) * log_expit(bias) / base
    ax.plot(data.lag, theory, **figures.theory(), label=r"$\sigma(b)^{k-1}$")
    ax.set_title(f"forget bias $b = {bias:g}$")


def _caption(data: xr.Dataset) -> str:
    settings = figures.configuration(data)
    last = data.isel(lag=-1)
    more = (last.all_paths - last.path_c).median("network_seed").values / np.log(10.0)
    text = (
        f"{counted(data.sizes['network_seed'], 'LSTM')} of {settings['n_hidden']} units on white "
        "noise (thin; thick: medians): the gradient of the memory cells, by all paths and through "
        r"$c$ alone, mean of logs over sequences. Dashed: what forget gates that stay at "
        r"$\sigma(b)$ leave; in the last panel 1, the constant error carousel."
    )
    if (more > 1.0).all():
        text += (
            f" At lag {int(data.lag[-1])} all paths together carry {_decades(more)} powers of ten "
            "more than $c$ alone."
        )
    return text


def _decades(more: np.ndarray) -> str:
    least, most = f"{more.min():.1f}", f"{more.max():.1f}"
    return least if least == most else f"{least} to {most}"
