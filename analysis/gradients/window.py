"""Window: how well networks learn that were trained through truncation windows of many lengths."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

import rnnsim
from rnnsim import checks, tasks
from rnnsim.experiments import draws, labels
from rnnsim.training.schedules import segments, window_and_stride

from ..frame import figures
from ..frame.runs import Analysis, Datasets
from ..frame.settings import SCHEME_HELP, flag
from .window_plots import plot_curves, plot_score, plot_share

SCHEMES = ("segments", "overlapping")
BUDGETS = ("sequences", "updates")
_TEST_SIZE = 64
_POINTS = 10
_WORSE = 0.1  # nats per answer


@dataclass(frozen=True)
class Settings:
    """What to train, and through which windows."""

    task: Annotated[str, flag("echo (repeat each symbol `delay` steps later) or copy_memory.")] = (
        "echo"
    )
    length: Annotated[int, flag("Sequence length T, in steps.")] = 48
    delay: Annotated[int, flag("Steps from a symbol to its echo.")] = 8
    n_symbols: Annotated[int, flag("Symbols.")] = 4
    n_memory: Annotated[int, flag("Symbols to recall, of copy_memory.")] = 2
    windows: Annotated[
        tuple[int, ...] | None, flag("Windows K; some to both sides of the delay unless given.")
    ] = None
    stride: Annotated[int, flag("Stride S of overlapping windows.")] = 4
    gain: Annotated[float, flag("Scale of W_hh before training.")] = 0.9
    scheme: Annotated[str, flag(SCHEME_HELP)] = "gaussian"
    activation: Annotated[str, flag("tanh, relu or linear.")] = "tanh"
    network_seeds: Annotated[int, flag("Networks, the same for all windows.")] = 5
    data_seed: Annotated[int, flag("Seed of batches and test data.")] = 0
    n_hidden: Annotated[int, flag("Hidden units H.")] = 32
    batch_size: Annotated[int, flag("Sequences B per batch.")] = 16
    n_batches: Annotated[
        int, flag("Batches, and updates, that are compared; rounded down to tens.")
    ] = 600
    optimizer: Annotated[str, flag("sgd, momentum, adam or rmsprop.")] = "adam"
    learning_rate: Annotated[float, flag("Learning rate.")] = 0.003
    clip_norm: Annotated[float, flag("Largest norm of a gradient; 0: not clipped.")] = 1.0
    dtype: Annotated[str, flag("float64 or float32.")] = "float64"
    n_threads: Annotated[int | None, flag("Threads; all cores unless given.")] = None


class Problem(NamedTuple):
    """A task whose answers depend on what was shown exactly `dependency` steps before."""

    draw: Callable[[Any, int], rnnsim.Sequences]
    sizes: tuple[int, int]
    dependency: int


def problem(settings: Settings) -> Problem:
    """The task of the settings, with loss where an answer is due and nowhere else."""
    T, V, dtype = settings.length, settings.n_symbols, settings.dtype
    options: dict[str, Any] = {"n_symbols": V, "dtype": dtype}
    if checks.one_of("task", settings.task, ("echo", "copy_memory")) == "echo":
        delay = checks.whole_number("delay", settings.delay, least=1)
        checks.whole_number("length", T, least=delay + 1)
        checks.whole_number("n_symbols", V, least=2)
        options |= {"delay": delay}
        return Problem(lambda rng, B: tasks.echo(T, B, rng=rng, **options), (V, V), delay)
    options |= {"n_memory": settings.n_memory, "loss": "recall"}
    sizes = tasks.sizes("copy_memory", n_symbols=V)
    dependency = T - settings.n_memory
    return Problem(lambda rng, B: tasks.copy_memory(T, B, rng=rng, **options), sizes, dependency)


def compute(settings: Settings, progress: bool) -> Datasets:
    """One training for each scheme and window; networks and batches are the same in all."""
    task = problem(settings)
    windows = _windows(settings, task.dependency)
    checks.whole_number("stride", settings.stride, least=1)
    points, every = _points(settings)
    seeds = labels.seeds("network_seeds", settings.network_seeds)
    rnn = draws.paired_networks(
        list(seeds),
        [checks.real_number("gain", settings.gain)] * len(seeds),
        sizes=task.sizes,
        n_hidden=settings.n_hidden,
        scheme=settings.scheme,
        activation=settings.activation,
        dtype=settings.dtype,
    )
    jobs = [(name, window) for name in SCHEMES for window in windows]
    found = [
        _train(rnn, task, settings, window, window if name == "segments" else settings.stride)
        for name, window in _with_progress(jobs, progress)
    ]
    joined = xr.concat(found, "job", coords="minimal", compat="override", join="override")
    shape = (len(SCHEMES), len(windows))
    variables = {
        str(name): (("truncation", "window", *v.dims[1:]), v.values.reshape(*shape, *v.shape[1:]))
        for name, v in joined.data_vars.items()
    }
    axes: dict[str, Any] = {"truncation": list(SCHEMES), "window": windows}
    axes |= {"budget": list(BUDGETS), "network_seed": list(seeds), "share": joined.share.values}
    dataset = xr.Dataset(variables, axes, {"configuration": json.dumps(asdict(settings))})
    dataset["dependency"] = ((), task.dependency, {"units": "steps"})
    dataset["n_batches"] = ((), points * every, {"units": "1"})
    for name, (words, unit) in _LONG_NAMES.items():
        dataset[name].attrs.update(long_name=words, units=unit)
    return {"window": dataset}


_LONG_NAMES = {
    "loss": ("loss on the test data after a share of the budget", "nats per answer"),
    "accuracy": ("share of right answers after a share of the budget", "1"),
    "updates_per_batch": ("updates that one batch brings", "1"),
    "reaching": ("share of answers whose gradient reaches what they depend on", "1"),
}


def _windows(settings: Settings, dependency: int) -> list[int]:
    """Those given, or some below, at and above the dependency, and the whole sequence."""
    T, d = settings.length, dependency
    if settings.windows is not None:
        return sorted(labels.whole_numbers("windows", settings.windows))
    factors = (0.25, 0.5, 0.75, 1.5, 2.0, 3.0)
    wanted = {*(round(f * d) for f in factors), d, d + 1, d + 2}
    return sorted({window for window in wanted if 1 <= window < T} | {T})


def _with_progress(jobs: list[Any], progress: bool) -> Any:
    if not progress:
        return jobs
    from tqdm.auto import tqdm

    return tqdm(jobs, desc="window", unit="training", disable=None)


def _points(settings: Settings) -> tuple[int, int]:
    """Records of each budget after the start, and batches (or updates) between them."""
    n_batches = checks.whole_number("n_batches", settings.n_batches, least=1)
    points = min(_POINTS, n_batches)
    return points, n_batches // points


def _train(
    rnn: rnnsim.RNN, task: Problem, settings: Settings, window: int, stride: int
) -> xr.Dataset:
    """Both budgets of one window: so many batches, and so many updates."""
    stride = min(stride, window)
    T, test = settings.length, task.draw(np.random.default_rng([settings.data_seed, 1]), _TEST_SIZE)
    per_batch = sum(s.scored for s in segments(T, window, stride, "sequence", test.loss_steps))
    points, every = _points(settings)
    training = rnnsim.train(
        rnn,
        lambda rng: task.draw(rng, settings.batch_size),
        n_updates=points * every * per_batch,
        window=window,
        stride=stride,
        optimizer=settings.optimizer,
        learning_rate=settings.learning_rate,
        clip_norm=settings.clip_norm or None,
        rng=np.random.default_rng([settings.data_seed, 0]),
        test=test,
        record_every=every,
        n_threads=settings.n_threads,
    )
    updates = every * np.arange(points + 1)
    records = [training.record.sel(updates=updates * n) for n in (per_batch, 1)]
    dims = ("network_seed", "budget", "share")
    answers = float(test.weights.sum()) / test.n_sequences
    loss = np.stack([record.loss.values for record in records], axis=1) / answers
    right = np.stack([record.accuracy.values for record in records], axis=1)
    reaching = reaching_share(T, window, stride, task.dependency, test.loss_steps)
    variables = {
        "loss": (dims, loss),
        "accuracy": (dims, right),
        "updates_per_batch": ((), per_batch),
        "reaching": ((), reaching),
    }
    return xr.Dataset(variables, {"share": np.arange(points + 1) / points})


def reaching_share(
    n_steps: int, window: int, stride: int, dependency: int, loss_steps: npt.NDArray[np.int64]
) -> float:
    """Share of the losses whose gradient goes back `dependency` steps, by the schedule itself.

    Examples
    --------
    >>> reaching_share(8, 4, 4, 2, np.arange(1, 9))  # steps 3, 4, 7, 8
    0.5
    """
    K, S = window_and_stride(window, stride, "sequence")
    reached = 0
    for segment in segments(n_steps, K, S, "sequence", loss_steps):
        own = loss_steps[(loss_steps > segment.first) & (loss_steps <= segment.end)]
        reached += int((own - dependency > segment.begin).sum())
    return reached / loss_steps.size


def draw(datasets: Datasets) -> dict[str, Figure]:
    """All figures of this family."""
    data = datasets["window"]
    return {"score-against-window": _score_figure(data), "learning-curves": _curves_figure(data)}


def _score_figure(data: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 3, figsize=(16, 6.2))
    plot_share(data, ax=axes[0])
    for ax, budget in zip(axes[1:], BUDGETS, strict=True):
        plot_score(data, budget=budget, ax=ax)
    batches, B = int(data.n_batches), figures.configuration(data)["batch_size"]
    axes[0].set_title("what the gradient can see")
    axes[1].set_title(f"equal sequences: {batches * B}")
    axes[2].set_title(f"equal updates: {batches}")
    axes[2].set_ylabel("")
    axes[2].sharey(axes[1])
    axes[0].legend(loc="upper left")
    figures.caption(
        figure,
        f"{_what(data)}. Dots: {data.sizes['network_seed']} networks, lines: median, band: "
        "quartiles. Dashed: chance, and the first window that reaches from an answer to its cause. "
        "Left: by the schedule alone. States are carried across cuts at all windows; only "
        "gradients are cut.",
    )
    return figure


def _curves_figure(data: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 2, figsize=(12.5, 6.0), sharey=True)
    for ax, name in zip(axes, SCHEMES, strict=True):
        plot_curves(data, truncation=name, ax=ax)
    axes[0].set_title("segments, stride K")
    axes[1].set_title(f"overlapping, stride {figures.configuration(data)['stride']}")
    axes[1].set_ylabel("")
    handles, names = axes[0].get_legend_handles_labels()
    names = [f"window {name}" for name in names]
    figure.legend(handles, names, loc="outside upper center", ncols=len(names), fontsize=12)
    figures.caption(
        figure,
        f"{_what(data)}. Thin: networks, thick: median. Dashed: chance. Networks start out with "
        "some memory of their own and first learn to read it. Look at what becomes of it below "
        "and above the dependency.",
    )
    return figure


def _what(data: xr.Dataset) -> str:
    s = figures.configuration(data)
    what = "Echo" if s["task"] == "echo" else "Copy memory"
    return (
        f"{what} of {s['n_symbols']} symbols after {int(data.dependency)} steps, T = {s['length']},"
        f" H = {s['n_hidden']}, {s['optimizer']}"
    )


def chance(data: xr.Dataset) -> float:
    """Loss of guessing, in nats per answer."""
    return float(np.log(figures.configuration(data)["n_symbols"]))


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    data = datasets["window"]
    needed = int(data.dependency) + 1
    sentences = [
        f"An answer depends on what was shown {needed - 1} steps before: a window of {needed} "
        f"steps reaches it. Chance is {chance(data):.2f} nats per answer."
    ]
    for budget in BUDGETS:
        for name in SCHEMES:
            final = data.loss.sel(budget=budget, truncation=name).isel(share=-1)
            sentences.append(f"At equal {budget}, {name}: {_around(final, needed)}.")
    below = data.window < needed
    if below.any():
        losses = data.loss.sel(budget="sequences")
        worse = losses.isel(share=-1) - losses.min("share") > _WORSE
        shares = [float(worse.sel(window=data.window[mask]).mean()) for mask in (below, ~below)]
        sentences.append(
            f"Below {needed} steps, {shares[0]:.0%} of networks end more than {_WORSE:g} nats "
            f"above the lowest loss that they had on the way, from there on {shares[1]:.0%}."
        )
    return sentences


def _around(final: xr.DataArray, needed: int) -> str:
    """The median at the windows next to the dependency, at the best and at the longest."""
    medians = final.median("network_seed")
    below, above = (
        medians.where(mask, drop=True) for mask in (final.window < needed, final.window >= needed)
    )
    parts = [f"K = {int(m.window)}: {float(m):.2g}" for m in (*below[-1:], *above[:1])]
    best, longest = medians[int(medians.values.argmin())], medians[-1]
    parts += [f"lowest at K = {int(best.window)}: {float(best):.2g}"]
    parts += [f"longest, K = {int(longest.window)}: {float(longest):.2g}"]
    return ", ".join(parts) + " nats per answer"


ANALYSIS = Analysis(
    "window",
    "Final score against truncation window, below and above a dependency of known length.",
    Settings,
    compute,
    draw,
    summarise,
)
