"""The adding problem by LSTMs whose forget gates begin shut, half open or open."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import rnnsim
from rnnsim import tasks
from rnnsim.data.datasets import Variable, attributes, labelled

from ...frame import figures
from ...frame.runs import Datasets
from ...frame.settings import flag
from ...frame.statistics import median
from ...frame.words import counted
from ..rows import Row

CLAIM = (
    "An LSTM whose forget gates begin half shut loses its gradient within a few steps. A forget "
    "bias of 1 is said to help wherever an LSTM is to remember."
)
MISSING = (
    "Their numbers: they are of other tasks (arithmetic, XML, language, music), and the advice "
    "stands in words.",
    "Their choice of settings by search: all biases have the same rate here.",
)
LEARNED = 0.02  # mean squared error
_VARIABLES = {
    "error": Variable(("forget_bias", "network_seed", "updates"), "1", "mean squared error"),
    "log_norms": Variable(
        ("forget_bias", "network_seed", "lag"), "nats",
        "ln ||dl_T/ds_{T-k}|| before training, mean over sequences, that of lag 1 off"),
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """The networks, and how they learn."""

    forget_bias: Annotated[tuple[float, ...], flag("Forget biases b.")] = (-1.0, 0.0, 1.0, 3.0)
    network_seeds: Annotated[int, flag("Networks, the same at every bias.")] = 5
    length: Annotated[int, flag("Sequence length T, in steps.")] = 50
    n_updates: Annotated[int, flag("Updates of every network.")] = 1500
    n_hidden: Annotated[int, flag("Hidden units H.")] = 32
    batch_size: Annotated[int, flag("Sequences B per batch.")] = 20
    learning_rate: Annotated[float, flag("Rate of Adam.")] = 0.003
    clip_norm: Annotated[float, flag("Norm at which gradients are clipped.")] = 1.0
    test_size: Annotated[int, flag("Sequences tested on.")] = 1000
    data_seed: Annotated[int, flag("Seed of networks, batches and test data.")] = 0


REDUCED = Settings(
    forget_bias=(0.0, 1.0), network_seeds=2, length=12, n_updates=20, n_hidden=6, test_size=12
)


def compute(settings: Settings, progress: bool) -> Datasets:
    """Errors while networks learn, and the gradient's norm against lag before they do."""
    T, seed = settings.length, settings.data_seed
    test = tasks.adding(T, settings.test_size, rng=seed + 1, dtype="float32")
    few = tasks.adding(T, min(100, settings.test_size), rng=seed + 2, dtype="float32")
    errors, norms = [], []
    for bias in settings.forget_bias:
        rnn = rnnsim.RNN.sample(
            settings.network_seeds, n_inputs=2, n_hidden=settings.n_hidden, n_outputs=1,
            cell="lstm", scheme="pytorch", forget_bias=bias, dtype="float32", rng=seed,
        )  # fmt: skip
        flow = rnnsim.gradient_flow(rnn, few, windows=()).log_norms[:, -1, 1:T]
        norms.append(flow - flow[:, :1])
        record = _trained(rnn, settings, test, progress)
        errors.append(2.0 * record.loss.values)  # the loss is half of it
    values: dict[str, Any] = {"error": np.array(errors), "log_norms": np.array(norms)}
    axes = {
        "forget_bias": settings.forget_bias,
        "network_seed": tuple(range(settings.network_seeds)),
        "updates": tuple(record.updates.values.tolist()),
        "lag": tuple(range(1, T)),
    }
    about = attributes(vars(settings), {"task": "adding"})
    return {"learning": labelled(axes, _VARIABLES, values, about)}


def _trained(
    rnn: rnnsim.RNN, settings: Settings, test: rnnsim.Sequences, progress: bool
) -> xr.Dataset:
    return rnnsim.train(
        rnn,
        lambda rng: tasks.adding(settings.length, settings.batch_size, rng=rng, dtype="float32"),
        n_updates=settings.n_updates, optimizer="adam", learning_rate=settings.learning_rate,
        clip_norm=settings.clip_norm, rng=settings.data_seed, test=test, progress=progress,
        record_every=max(settings.n_updates // 40, 1),
    ).record  # fmt: skip


def rows(datasets: Datasets) -> list[Row]:
    """Errors at the end, how many learned, and what is left of the gradient at the start."""
    data = datasets["learning"]
    last_lag = int(data.lag[-1])
    found = []
    for bias in data.forget_bias.values.tolist():
        here = data.sel(forget_bias=bias)
        last = here.error.isel(updates=-1)
        found += [
            Row(f"error after training, forget bias {bias:g}", "", float(median(last.values))),
            Row(f"share learned, forget bias {bias:g}", "", float((last < LEARNED).mean())),
            Row(
                f"log10 of the gradient at lag {last_lag} over lag 1 before training, "
                f"forget bias {bias:g}",
                "", float(median(here.log_norms.isel(lag=-1).values)) / np.log(10.0),
            ),
        ]  # fmt: skip
    return found


def draw(datasets: Datasets) -> dict[str, Figure]:
    """Learning curves, and the gradient's norm against lag at the start, dark to light by bias."""
    data = datasets["learning"]
    figure, (left, right) = figures.new_figure(1, 2, figsize=(12.0, 4.8))
    for i, bias, color in figures.shaded(data.forget_bias.values.tolist()):
        here = data.sel(forget_bias=bias)
        style = {"label": f"$b = {bias:g}$", "color": color, "index": i, "lines": True}
        figures.seeds_and_median(
            left, data.updates, here.error.transpose("network_seed", "updates").values, **style
        )
        norms = here.log_norms.transpose("network_seed", "lag").values / np.log(10.0)
        figures.seeds_and_median(right, data.lag, norms, **style)
    left.axhline(1 / 6, **figures.mark(label="always 1"))
    left.axhline(LEARNED, **figures.mark(label="learned"))
    left.set_yscale("log")
    left.set(title="while learning", xlabel="updates", ylabel="mean squared error (1)")
    right.set(
        title="before training", xlabel="lag $k$ (steps)",
        ylabel=r"$\log_{10}$ of $\|\partial\ell_T/\partial s_{T-k}\|$ over lag 1",
    )  # fmt: skip
    for ax in (left, right):
        figures.name_lines(ax)
    figures.letter((left, right))
    figures.caption(figure, _caption(data))
    return {"learning-against-forget-bias": figure}


def _caption(data: xr.Dataset) -> str:
    settings = figures.configuration(data)
    learned = int((data.error.isel(updates=-1) < LEARNED).sum())
    arrives = data.log_norms.isel(lag=-1).median("network_seed").values
    text = (
        f"Adding over {settings['length']} steps by {counted(data.sizes['network_seed'], 'LSTM')} "
        f"of {settings['n_hidden']} units, the same draws but for the forget bias $b$ "
        "(thin; thick: medians). (a) Errors on test data; dotted: always answering 1, and "
        f"{LEARNED:g}, below which it counts as learned, as {counted(learned, 'network')} of "
        f"{data.error.isel(updates=-1).size} did within {settings['n_updates']} updates. (b) How "
        "the gradient of the last step's loss shrinks with the lag before training, mean of logs "
        "over sequences."
    )
    if (arrives[1:] > arrives[:-1]).all():
        text += f" The larger the bias, the more of it is left at lag {int(data.lag[-1])}."
    return text
