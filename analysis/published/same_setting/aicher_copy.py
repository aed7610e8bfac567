"""Copying: how biased truncated gradients are, and the window that an estimate of it asks for."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy.special import logsumexp

import rnnsim
from rnnsim.data.datasets import Variable, attributes, labelled
from rnnsim.experiments.draws import published_draw

from ...frame import figures
from ...frame.runs import Datasets
from ...frame.settings import flag
from ...frame.statistics import median
from ...frame.words import counted
from ..rows import Row

Floats = npt.NDArray[np.float64]

CLAIM = (
    "Gradients of trained networks shrink geometrically with the lag, so that the bias of a window "
    "can be told from a window: choose the smallest K whose estimated bias, relative to the "
    "gradient, is below delta. LSTMs that copy 5 to 10 symbols learn as well with such a K as "
    "with the best fixed one."
)
MISSING = (
    "Agreement of the perplexities: the printed ones are the test values at the best validation "
    "of some 200 passes over the data, of 9 initialisations; here there are 4 passes, and the last "
    "value is shown.",
    "A task that can be learned whole: their generator moves sequences along each other, so that "
    "8 % of the test steps of their data file of 5 to 10 symbols have targets that the inputs do "
    "not tell (none of 10 symbols each). Ours does the same; what it costs at least, ln 4 nats at "
    "such a step, is a perplexity of 1.1, and more where a network is sure of something else.",
    "The fixed copy task (10 symbols), K = 10, 20 and 30, and training with an adaptive K: here K "
    "is chosen of networks that a fixed window has trained.",
    "Their estimate of the gradient's norm, from the sum over lags of vectors: here it is the sum "
    "of the norms, which their code knows as `cum_grad_norm_approx`, so that chosen windows are "
    "no longer than theirs. K is counted as they do: K = 1 reaches one step before the last.",
    "Weight decay of 1e-5, and the linear layer below their LSTM: `rnnsim.train` has no weight "
    "decay, and the linear layer is part of W_xh. Sizes and settings are read in the authors' "
    "code, aicherc/adaptive_tbptt, the perplexities in its supplement, Table C.1.",
)
_PRINTED = {5: "1.47", 10: "1.39", 15: "1.37", 20: "1.35", 30: "1.31"}  # test, variable m
_CLASSES = 6
_OF = ("trained_with", "network_seed")
_VARIABLES = {
    "perplexity": Variable((*_OF, "passes"), "1", "e to the loss per step, on test data"),
    "log_phi": Variable((*_OF, "lag"), "nats", "ln of the mean of ||dl_T/ds_{T-k}||"),
    "log_bias": Variable(
        (*_OF, "window"), "nats", "ln of the relative error of the gradient cut at a window"),
    "log_estimate": Variable((*_OF, "window"), "nats", "ln of its estimate"),
    "log_beta": Variable(_OF, "nats/step", "slope of log_phi, least squares over all lags"),
    "log_beta_max": Variable(_OF, "nats/step", "largest rate of log_phi from tau on"),
    "chosen": Variable((*_OF, "delta"), "steps", "smallest window whose estimate is below delta"),
    "needed": Variable((*_OF, "delta"), "steps", "window from which each layer's bias stays below"),
    "untold": Variable((), "1", "share of test steps whose target the inputs do not tell"),
    "trained_with": Variable(("trained_with",), "steps", "window K that trained the network"),
    "passes": Variable(("passes",), "1", "passes over the training data"),
    "delta": Variable(("delta",), "1", "relative bias that is allowed"),
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """The networks, data and training of the authors' code, at fewer passes."""

    trained_with: Annotated[tuple[int, ...], flag("Windows K of training, in steps.")] = (5, 15)
    delta: Annotated[tuple[float, ...], flag("Relative biases that are allowed.")] = (0.9, 0.5, 0.1)
    network_seeds: Annotated[int, flag("Networks for each window.")] = 2
    n_passes: Annotated[int, flag("Passes over the training data.")] = 4
    train_length: Annotated[int, flag("Steps of the training data.")] = 4000
    test_length: Annotated[int, flag("Steps of the test data.")] = 1000
    batch_size: Annotated[int, flag("Sequences B, side by side.")] = 64
    n_hidden: Annotated[int, flag("Units H of each layer.")] = 50
    n_layers: Annotated[int, flag("Layers.")] = 2
    least_copied: Annotated[int, flag("Least number of symbols that are copied.")] = 5
    most_copied: Annotated[int, flag("Most of them.")] = 10
    learning_rate: Annotated[float, flag("Rate of SGD, times the root of K.")] = 1.0
    clip_norm: Annotated[float, flag("Norm at which gradients are clipped, over K.")] = 1.0
    burn_in: Annotated[int, flag("Steps before lags are measured.")] = 20
    max_lag: Annotated[int, flag("Lags that are measured.")] = 100
    tau: Annotated[int, flag("Lag from which decay is taken to be geometric.")] = 80
    data_seed: Annotated[int, flag("Seed of networks and data.")] = 0


REDUCED = Settings(
    trained_with=(2, 4), n_passes=2, train_length=40, test_length=60, batch_size=4, n_hidden=6,
    least_copied=2, most_copied=3, max_lag=30, tau=20,
)  # fmt: skip


def compute(settings: Settings, progress: bool) -> Datasets:
    """Networks that each window has trained, and what their gradients are like then."""
    rng = published_draw(settings.data_seed)
    train, test = (copying(T, settings, rng) for T in (settings.train_length, settings.test_length))
    measured = [_of_window(K, settings, train, test, progress) for K in settings.trained_with]
    values = {name: np.array([each[name] for each in measured]) for name in measured[0]}
    values["untold"] = np.array(
        untold(test, min(4 * settings.most_copied, settings.test_length // 2))
    )
    axes = {
        "trained_with": settings.trained_with,
        "network_seed": tuple(range(settings.network_seeds)),
        "passes": tuple(range(settings.n_passes + 1)),
        "lag": tuple(range(1, settings.max_lag + 1)),
        "window": tuple(range(1, settings.max_lag + 1)),
        "delta": settings.delta,
    }
    about = attributes(vars(settings), {"task": "copying of Aicher, Foti and Fox (2019)"})
    return {"copying": labelled(axes, _VARIABLES, values, about)}


def copying(T: int, settings: Settings, rng: np.random.Generator) -> rnnsim.Sequences:
    """Blocks of m symbols, m blanks in which they are due; class 0 blank, 1 the first of a block.

    m is drawn for each block. As in the authors' code each sequence is moved by an offset of its
    own and all sequences drawn before it with it, those drawn first the furthest: their ends then
    repeat what stood there, cut anywhere, so that some targets follow from no input (`untold`).
    Weights are 1/T.
    """
    most, B = settings.most_copied, settings.batch_size
    shown, due = np.zeros((2, T + 4 * most, B), np.int64)
    for b in range(B):
        start = 0
        while start < T + 2 * most:
            m = int(rng.integers(settings.least_copied, most + 1))
            symbols = np.r_[1, rng.integers(2, _CLASSES, m - 1)]
            shown[start : start + m, b] = due[start + m : start + 2 * m, b] = symbols
            start += 2 * m
        offset = int(rng.integers(0, 2 * most))
        for each in (shown, due):
            each[:T] = each[offset : offset + T].copy()
    weights = np.full((T, B), 1.0 / T, "float32")
    return rnnsim.Sequences(np.eye(_CLASSES, dtype="float32")[shown[:T]], due[:T], weights)


def untold(batch: rnnsim.Sequences, first: int) -> float:
    """The share of steps, from index `first` on, whose target the inputs so far do not tell."""
    shown, due = batch.inputs.argmax(axis=-1), np.asarray(batch.targets)
    told = np.zeros_like(due)
    for b in range(due.shape[1]):
        block: list[int] = []
        n_due = 0
        for t, symbol in enumerate(shown[:, b].tolist()):
            if symbol:
                block = [symbol] if symbol == 1 else [*block, symbol]
                n_due = 0
            elif n_due < len(block):
                told[t, b] = block[n_due]
                n_due += 1
    return float((told != due)[first:].mean())


def _of_window(
    K: int, settings: Settings, train: rnnsim.Sequences, test: rnnsim.Sequences, progress: bool
) -> dict[str, Any]:
    """All variables of networks trained with one window, (network seed, ...)."""
    scaled = rnnsim.Sequences(
        train.inputs, train.targets, np.full(train.inputs.shape[:2], 1.0 / K, "float32")
    )
    a_pass = -(-settings.train_length // K)
    training = rnnsim.train(
        _networks(settings), scaled, window=2 * K - 1, stride=K,
        n_updates=settings.n_passes * a_pass, record_every=a_pass,
        learning_rate=settings.learning_rate * np.sqrt(K),
        clip_norm=settings.clip_norm / K, test=test, progress=progress,
    )  # fmt: skip
    found = _measured(training.rnn, settings, test)
    return {"perplexity": np.exp(training.record.loss.values)} | found


def _networks(settings: Settings) -> rnnsim.Stack:
    """Uniform weights as the authors draw them, sqrt(3 / the longer side), biases 0."""
    H = settings.n_hidden
    drawn = rnnsim.Stack.sample(
        settings.network_seeds, n_layers=settings.n_layers, n_inputs=_CLASSES, n_hidden=H,
        n_outputs=_CLASSES, cell="lstm", dtype="float32", rng=settings.data_seed,
    )  # fmt: skip
    rng = published_draw(settings.data_seed, 1)
    layers = []
    for layer in drawn.layers:
        names = ("W_xh", "W_hh") + ("W_hy",) * (layer is drawn.layers[-1])
        weights = {}
        for name in names:
            shape = getattr(layer, name).shape
            end = np.sqrt(3.0 / max(shape[1:]))
            weights[name] = rng.uniform(-end, end, shape).astype("float32")
        layers.append(layer.with_weights(layer.weights._replace(**weights)))
    return rnnsim.Stack(layers)


def _measured(rnn: Any, settings: Settings, test: rnnsim.Sequences) -> dict[str, Any]:
    """Norms against lag of the last step's loss, the bias of every window, and its estimate.

    Lags and windows are counted as the authors do, from h_{T-1}: their window K, which keeps the
    parts of h_T, h_{T-1}, ..., h_{T-K}, is K + 1 elsewhere in rnnsim.
    """
    T, n = settings.burn_in + settings.max_lag, settings.max_lag
    weights = np.zeros((T, settings.batch_size), "float32")
    weights[-1] = 1.0
    last = rnnsim.Sequences(test.inputs[:T], test.targets[:T], weights)
    flow = rnnsim.gradient_flow(rnn, last, per_sequence=True)
    assert flow.per_sequence is not None  # asked for
    norms = flow.per_sequence[:, 0, 1 : n + 1]  # (network seed, lag, sequence)
    log_phi = logsumexp(norms, axis=-1) - np.log(norms.shape[-1])
    slopes = np.array([_slope(each) for each in log_phi])
    log_estimate = np.array(
        [estimate(phi, beta, settings.tau) for phi, beta in zip(log_phi, slopes, strict=True)]
    )
    smallest = [[chosen(each, delta) for delta in settings.delta] for each in log_estimate]
    needed = [rnnsim.sufficient_window(flow, delta) for delta in settings.delta]
    return {
        "log_phi": log_phi,
        "log_bias": flow.recurrent.log_error[:, 1 : n + 1],
        "log_estimate": log_estimate,
        "log_beta": slopes,
        "log_beta_max": rnnsim.theory.aicher_decay_rate(log_phi, settings.tau),
        "chosen": np.array(smallest),
        "needed": np.maximum(np.array(needed).T - 1.0, 1.0),
    }


def _slope(log_phi: Floats) -> float:
    """Least squares over all lags, those of next to nothing left out, as the authors do."""
    lags = np.flatnonzero(log_phi > -50.0)
    return float(np.polyfit(lags, log_phi[lags], 1)[0]) if lags.size > 1 else np.nan


def estimate(log_phi: Floats, log_beta: float, tau: int) -> Floats:
    """ln of the estimated relative bias of windows 1..K: what is beyond, over what is within.

    ::

        tail(K) = sum_{K <= k < tau} phi_k + phi_tau beta^(max(K, tau) - tau) / (1 - beta)
        delta(K) = tail(K) / max_K' (sum_{k < K'} phi_k - tail(K'))

    NaN where decay is not geometric, beta >= 1, or no window holds more than what is beyond it.
    """
    windows = np.arange(1, log_phi.size + 1)
    if not log_beta < 0.0:
        return np.full(log_phi.size, np.nan)
    bound = rnnsim.theory.aicher_log_bound(
        log_phi, np.maximum(windows, tau), tau=tau, log_M=0.0, beta=float(np.exp(log_beta))
    ).log_bound
    phi = np.exp(log_phi)
    before = np.cumsum(np.r_[phi[:tau], np.zeros(log_phi.size - tau)][::-1])[::-1]
    tail = np.r_[before[1:], 0.0] + np.exp(bound)
    least = float(np.max(np.cumsum(phi) - tail))
    return np.log(tail / least) if least > 0.0 else np.full(log_phi.size, np.nan)


def chosen(log_estimate: Floats, delta: float) -> float:
    """The smallest window whose estimate is below delta; NaN where none is."""
    below = np.flatnonzero(log_estimate < np.log(delta))
    return float(below[0] + 1) if below.size else np.nan


def rows(datasets: Datasets) -> list[Row]:
    """Perplexities beside the printed ones, decay rates, chosen and needed windows: medians."""
    data = datasets["copying"]
    found = [Row("share of test steps whose target the inputs do not tell", "", float(data.untold))]
    for K in data.trained_with.values.tolist():
        here = data.sel(trained_with=K)
        found.append(
            Row(
                f"test perplexity, trained with K = {K}", _PRINTED.get(K, ""),
                float(median(here.perplexity.isel(passes=-1).values)),
            )
        )  # fmt: skip
        for name, means in (("log_beta", "least squares"), ("log_beta_max", "largest rate")):
            found.append(
                Row(f"beta by {means}, trained with K = {K}", "", float(np.exp(median(here[name]))))
            )
        for delta in data.delta.values.tolist():
            found += [
                Row(
                    f"{words} (steps), delta {delta:g}, trained with K = {K}", "",
                    float(median(here[name].sel(delta=delta).values)),
                )
                for name, words in (("chosen", "chosen window"), ("needed", "needed window"))
            ]  # fmt: skip
    return found


def draw(datasets: Datasets) -> dict[str, Figure]:
    """Norms against lag; relative bias against window, measured and estimated."""
    data = datasets["copying"]
    figure, axes = figures.new_figure(1, 3, figsize=(15.0, 4.6))
    base = np.log(10.0)
    shades = figures.shades(data.sizes["trained_with"])
    for i, K in enumerate(data.trained_with.values.tolist()):
        here = data.sel(trained_with=K)
        label, style = f"K = {K}", {"color": shades[i], "index": i, "lines": True}
        figures.seeds_and_median(axes[0], data.passes, here.perplexity.values, label=label, **style)
        figures.seeds_and_median(
            axes[1], data.lag, here.log_phi.values / base, label=label, **style
        )
        bias = here.log_bias.values / base
        bias = np.where(np.isfinite(bias).all(axis=0), bias, np.nan)  # of all, or not drawn
        figures.seeds_and_median(axes[2], data.window, bias, label=label, **style)
        estimated = median(here.log_estimate.values, axis=0) / base
        axes[2].plot(data.window, estimated, **figures.theory(color=shades[i]))
    for delta in data.delta.values.tolist():
        axes[2].axhline(np.log10(delta), **figures.mark())
    axes[0].set(title="test data", xlabel="passes over the data", ylabel="perplexity (1)")
    axes[1].set(
        title="norms", xlabel="lag $k$ (steps)",
        ylabel=r"$\log_{10}$ mean $\|\partial\ell_T/\partial s_{T-k}\|$",
    )  # fmt: skip
    axes[2].set(
        title="relative bias", xlabel="window $K$ (steps)", ylabel=r"$\log_{10}$ relative bias"
    )
    figures.count_axis(axes[0].xaxis)
    for ax in axes:
        figures.name_lines(ax)
    figures.letter(axes)
    figures.caption(figure, _caption(data))
    return {"bias-against-window": figure}


def _caption(data: Any) -> str:
    settings = figures.configuration(data)
    passes = f"{settings['n_passes']} pass{'es' * (settings['n_passes'] != 1)}"
    deltas = ", ".join(f"{delta:g}" for delta in data.delta.values.tolist())
    return (
        f"{counted(data.sizes['network_seed'], 'LSTM')} of {settings['n_layers']} layers for each "
        f"window K of training (thin; thick: medians), after {passes} over the data. (a) "
        "Perplexity on test data while they learn. (b) Norms of the gradient of the last step's "
        "loss, of the states $s$ of all layers, mean over sequences. (c) What a window loses of "
        "the gradient of the recurrent weights, relative to it (solid, as far as float32 tells), "
        "and what is estimated of it from (b) (dashed). Dotted: "
        f"delta = {deltas}; where a dashed line falls below one, K is chosen."
    )
