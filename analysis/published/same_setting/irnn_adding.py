"""The adding problem: rectified units that start from the identity, an LSTM, tanh units."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import rnnsim
from rnnsim.data.datasets import Variable, attributes, labelled
from rnnsim.experiments.draws import published_draw

from ...frame import figures
from ...frame.runs import Datasets
from ...frame.settings import flag
from ...frame.statistics import median
from ...frame.words import counted, have
from ..rows import Row

CLAIM = (
    "Recurrent networks of rectified units whose W_hh starts as the identity (IRNN) learn to add "
    "two marked numbers of a long sequence about as well as LSTMs do. Always answering 1, the mean "
    "of the sum, has a mean squared error of 1/6."
)
MISSING = (
    "The paper's learning curves, at lengths 150 to 400: no number of them is at hand, and the "
    "budget here, 2500 updates of 16 sequences, is too small for these lengths.",
    "The paper's best settings, found by a search for each kind and length: all kinds have rate "
    "0.01 and gradients clipped at norm 1 here.",
    "Their text: sizes and settings are read in a reimplementation, denizyuret/Knet.jl, "
    "examples/adding.jl, which also prints two runs of networks of 5 units at length 10 (rate "
    "0.05, no clipping). Its errors are those while training, of the last 2000 sequences; ours are "
    "on test data. Its LSTM does not learn; ours does not either where it is drawn as small, and "
    "does as rnnsim draws it, which is how the large ones begin.",
)
_KINDS = ("IRNN", "LSTM", "tanh")
_LOOKS: dict[str, dict[str, Any]] = {
    "IRNN": figures.category("identity") | {"index": 1},
    "LSTM": figures.category("lstm"),
    "tanh": figures.category("tanh"),
}
_SEEN, _AVERAGED = 40_000, 2000  # sequences in all, and those of the printed error
_PRINTED = {"IRNN": ".0489", "LSTM": ".1655"}  # mean squared errors of Knet.jl, 40,000 sequences
_ERROR = "mean squared error on test data"
_VARIABLES = {
    "error": Variable(("length", "kind", "network_seed", "updates"), "1", _ERROR),
    "small_error": Variable(("small_kind", "draw"), "1", f"{_ERROR}, networks of 5 units"),
    "answering_1": Variable((), "1", "mean squared error of always answering 1"),
    "answering_1_error": Variable((), "1", "its standard error"),
    "kind": Variable(("kind",), "", "kind of network"),
    "small_kind": Variable(("small_kind",), "", "kind of network"),
    "draw": Variable(("draw",), "", "network"),
}


@dataclass(frozen=True)
class Settings:
    """The sizes of the paper at short lengths, and the small networks of a reimplementation."""

    length: Annotated[tuple[int, ...], flag("Sequence lengths T, in steps.")] = (10, 20)
    network_seeds: Annotated[int, flag("Networks of each kind.")] = 2
    n_updates: Annotated[int, flag("Updates of every network.")] = 2500
    n_hidden: Annotated[int, flag("Hidden units H.")] = 100
    batch_size: Annotated[int, flag("Sequences B per batch.")] = 16
    learning_rate: Annotated[float, flag("Rate of SGD.")] = 0.01
    clip_norm: Annotated[float, flag("Norm at which gradients are clipped.")] = 1.0
    spread: Annotated[float, flag("Standard deviation of weights near 0.")] = 0.01
    forget_bias: Annotated[float, flag("Forget bias of LSTMs.")] = 1.0
    test_size: Annotated[int, flag("Sequences tested on.")] = 10_000
    n_small: Annotated[int, flag("Small networks of each kind.")] = 20
    small_rate: Annotated[float, flag("Their rate of SGD; they are not clipped.")] = 0.05
    data_seed: Annotated[int, flag("Seed of networks, batches and test data.")] = 0


REDUCED = Settings(
    length=(4, 6), network_seeds=2, n_updates=20, n_hidden=8, test_size=100, n_small=3
)
_SMALL_LENGTH, _SMALL_UNITS = 10, 5


def compute(settings: Settings, progress: bool) -> Datasets:
    """Errors while networks of the paper's size learn, and of small ones at the end."""
    updates = [0]
    errors = np.empty((len(settings.length), len(_KINDS), settings.network_seeds, 0))
    for i, T in enumerate(settings.length):
        for j, kind in enumerate(_KINDS):
            rnn = _drawn(kind, settings, settings.n_hidden, settings.network_seeds)
            limits = {"learning_rate": settings.learning_rate, "clip_norm": settings.clip_norm}
            record = _trained(rnn, settings, T, progress, limits)
            if i == j == 0:
                updates = record.updates.values.tolist()
                errors = np.empty((*errors.shape[:3], len(updates)))
            errors[i, j] = 2.0 * record.loss.values  # the loss is half of it
    small = [
        2.0
        * _trained(
            _drawn(kind, settings, _SMALL_UNITS, settings.n_small, small=True), settings,
            _SMALL_LENGTH, progress, {"learning_rate": settings.small_rate},
        ).loss.values[:, -1]
        for kind in _PRINTED
    ]  # fmt: skip
    test = adding(settings.length[0], settings.test_size, published_draw(settings.data_seed))
    squares = (test.targets[-1, :, 0].astype(float) - 1.0) ** 2
    values: dict[str, Any] = {
        "error": errors,
        "small_error": np.array(small),
        "answering_1": squares.mean(),
        "answering_1_error": squares.std(ddof=1) / np.sqrt(squares.size),
    }
    axes: dict[str, tuple[Any, ...]] = {
        "length": settings.length, "kind": _KINDS, "updates": tuple(updates),
        "network_seed": tuple(range(settings.network_seeds)),
        "small_kind": tuple(_PRINTED), "draw": tuple(range(settings.n_small)),
    }  # fmt: skip
    about = attributes(vars(settings), {"task": "adding, two marks anywhere"})
    return {"adding": labelled(axes, _VARIABLES, values, about)}


def _drawn(
    kind: str, settings: Settings, n_hidden: int, n_networks: int, *, small: bool = False
) -> rnnsim.RNN:
    """Networks as their kind begins, or as small ones do: from weights near 0."""
    kinds: dict[str, dict[str, Any]] = {
        "IRNN": {"scheme": "identity", "activation": "relu"},
        "LSTM": {"cell": "lstm", "forget_bias": settings.forget_bias},
        "tanh": {},
    }
    rng = published_draw(settings.data_seed, 1)
    rnn = rnnsim.RNN.sample(
        n_networks, n_inputs=2, n_hidden=n_hidden, n_outputs=1, dtype="float32", rng=rng,
        **kinds[kind],
    )  # fmt: skip
    if kind != "IRNN" and not small:
        return rnn
    names = ("W_xh", "W_hy") if kind == "IRNN" else ("W_xh", "W_hh", "W_hy")
    near_0 = {
        name: (settings.spread * rng.normal(size=getattr(rnn, name).shape)).astype("float32")
        for name in names
    }
    return rnn.with_weights(rnn.weights._replace(**near_0))


def _trained(
    rnn: rnnsim.RNN, settings: Settings, T: int, progress: bool, limits: dict[str, Any]
) -> Any:
    """The record of networks that learn to add over T steps, by SGD."""
    batch: Callable[[np.random.Generator], rnnsim.Sequences]
    batch = lambda rng: adding(T, settings.batch_size, rng)  # noqa: E731
    test = adding(T, settings.test_size, published_draw(settings.data_seed, 2))
    return rnnsim.train(
        rnn, batch, n_updates=settings.n_updates, test=test, progress=progress,
        record_every=max(settings.n_updates // 25, 1), rng=settings.data_seed, **limits,
    ).record  # fmt: skip


def adding(T: int, B: int, rng: np.random.Generator) -> rnnsim.Sequences:
    """Numbers from U[0, 1], two of them marked, at any two steps; the sum is due at the end."""
    numbers, marks = rng.random((T, B)), np.zeros((T, B))
    first, each = rng.integers(0, T, B), np.arange(B)
    marks[first, each] = 1.0
    marks[(first + rng.integers(1, T, B)) % T, each] = 1.0
    due, weights = np.zeros((T, B, 1), "float32"), np.zeros((T, B), "float32")
    due[-1, :, 0], weights[-1] = (numbers * marks).sum(axis=0), 1.0
    inputs: npt.NDArray[np.float32] = np.stack([numbers, marks], axis=-1).astype("float32")
    with warnings.catch_warnings():  # short sequences, many of them, are meant
        warnings.filterwarnings("ignore", "axes of `inputs`")
        return rnnsim.Sequences(inputs, due, weights)


def rows(datasets: Datasets) -> list[Row]:
    """What is printed, and errors at the end of training, medians over networks."""
    data = datasets["adding"]
    found = [
        Row(
            "mean squared error of always answering 1", ".1667", float(data.answering_1),
            4.0 * float(data.answering_1_error) + 5e-5,
            "4 standard errors of the test data, and rounding of the printed number",
        )
    ]  # fmt: skip
    found += [_small_row(data, kind, printed) for kind, printed in _PRINTED.items()]
    last = data.error.isel(updates=-1)
    units = figures.configuration(data)["n_hidden"]
    found += [
        Row(
            f"error of {kind}, {units} units, length {T}", "",
            float(median(last.sel(length=T, kind=kind).values)),
        )
        for T in data.length.values.tolist()
        for kind in data.kind.values.tolist()
    ]  # fmt: skip
    return found


def _small_row(data: Any, kind: str, printed: str) -> Row:
    """Small networks beside the printed one; agreement is claimed after as many sequences."""
    settings = figures.configuration(data)
    each = data.small_error.sel(small_kind=kind).values
    quantity = f"error of {kind}, {_SMALL_UNITS} units, length {_SMALL_LENGTH}, printed by Knet.jl"
    row = Row(quantity, printed, float(median(each)))
    if settings["n_updates"] * settings["batch_size"] != _SEEN:
        return row
    of_theirs = float(data.answering_1_error) * np.sqrt(settings["test_size"] / _AVERAGED)
    return row._replace(
        allowed=2.0 * (float(each.std(ddof=1)) + of_theirs),
        because="2 standard deviations: of our networks, and of a mean over 2000 sequences",
    )


def draw(datasets: Datasets) -> dict[str, Figure]:
    """Errors while learning, at each length; the small networks beside the printed ones."""
    data = datasets["adding"]
    lengths = data.length.values.tolist()
    n = len(lengths) + 1
    wide = n if n < 4 else -(-n // 2)
    high = -(-n // wide)
    figure, grid = figures.new_figure(high, wide, figsize=(5 * wide, 4.4 * high), squeeze=False)
    axes = grid.ravel()[:n]
    for ax in grid.ravel()[n:]:
        ax.set_visible(False)
    for ax, T in zip(axes, lengths, strict=False):
        for kind in data.kind.values.tolist():
            errors = data.error.sel(length=T, kind=kind).transpose("network_seed", "updates").values
            figures.seeds_and_median(
                ax, data.updates, errors, label=kind, lines=True, **_LOOKS[kind]
            )
        _scaled(ax)
        ax.set(title=f"{T} steps", xlabel="updates", ylabel="mean squared error (1)")
        figures.name_lines(ax)
    figures.on_one_scale(axes[:-1])
    _draw_small(axes[-1], data)
    figures.letter(axes)
    figures.caption(figure, _caption(data))
    return {"error-while-learning": figure}


def _scaled(ax: Axes) -> None:
    ax.set_yscale("log")
    ax.axhline(1 / 6, **figures.mark(label="always 1"))


def _draw_small(ax: Axes, data: Any) -> None:
    for i, kind in enumerate(data.small_kind.values.tolist()):
        errors = data.small_error.sel(small_kind=kind).values[:, None]
        figures.seeds_and_median(ax, [i], errors, label=f"_{kind}", **_LOOKS[kind])
        ax.plot(
            [i], [float(_PRINTED[kind])], ls="", marker="*", ms=figures.pt(16), mfc="none",
            color="black", label="_nothing" if i else "Knet.jl", zorder=6,
        )  # fmt: skip
    _scaled(ax)
    ax.set_xticks(range(data.sizes["small_kind"]), data.small_kind.values.tolist())
    ax.set_xlim(-0.5, data.sizes["small_kind"] - 0.5)
    ax.set(
        title=f"{_SMALL_UNITS} units, {_SMALL_LENGTH} steps", xlabel="kind of network",
        ylabel="mean squared error (1)",
    )  # fmt: skip
    figures.name_lines(ax)


def _caption(data: Any) -> str:
    settings = figures.configuration(data)
    last = data.error.isel(updates=-1)
    learned = int((last < LEARNED).sum())
    *first, small = list("abcdefghijklmnopqrstuvwxyz"[: data.sizes["length"] + 1])
    panels = ", ".join(f"({each})" for each in first)
    return (
        f"{panels} Errors while {counted(data.sizes['network_seed'], 'network')} of each kind, of "
        f"{settings['n_hidden']} units, learn to add (thin; thick: medians). Dotted: always "
        f"answering 1. After {settings['n_updates']} updates {have(learned)} an error below "
        f"{LEARNED:g}, of {last.size}. ({small}) {counted(data.sizes['draw'], 'small network')} of "
        "each kind at the end of training (dots), with medians; open stars: what a "
        "reimplementation prints of one network."
    )


LEARNED = 0.1  # the error below which that reimplementation counts a network as one that learns
