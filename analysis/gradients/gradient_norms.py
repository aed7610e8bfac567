"""Gradient norms: against lag, against length, against time, and where they vanish or explode."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import rnnsim
from rnnsim import checks, theory

from ..commands.gradients import GRADIENT_NORMS, GradientNorms
from ..commands.own import of_files, with_own
from ..frame import cells, figures
from ..frame.figures import decades, relative
from ..frame.runs import Datasets
from ..frame.statistics import median
from ..frame.words import counted, have, listing, middle, networks_of, part, share
from . import norm_plots
from .norm_plots import (
    FEW_GAINS,
    change_over_networks,
    critical_gain,
    gain_at_rest,
    one_network_set,
    plot_contributions,
    plot_map,
    plot_norm_against_lag,
    plot_norm_against_length,
    plot_one_against_lag,
    rate_in_words,
    regime,
)
from .phase_plots import critical_gains, plot_phase

HELP = GRADIENT_NORMS.help
Settings = GradientNorms

_MAP_GAINS = Settings.map_gain


def compute(settings: Settings, progress: bool) -> Datasets:
    """Three sweeps: loss as the task has it, loss at the last step only, maps of a few gains."""
    wanted = {name: getattr(settings, name) for name in ("gain", "length", "scheme")}
    with of_files(settings):
        ensemble = with_own(settings, settings.shared() | wanted) | {"progress": progress}
        maps = ensemble | {"length": max(ensemble["length"]), "network_seeds": 1}
        if settings.weights is None or settings.map_gain != Settings.map_gain:
            maps |= {"gain": settings.map_gain}
        with checks.renamed(gain="`--map-gain`"):
            few = rnnsim.sweep(measures="map", **maps)
        return {
            "all-steps": rnnsim.sweep(measures=("gradients", "lags", "steps"), **ensemble),
            "last-step": rnnsim.sweep(
                measures=("gradients", "lags", "spectrum"), last_loss_only=True, **ensemble
            ),
            "map": few,
        }


def draw(datasets: Datasets) -> dict[str, Figure]:
    """All figures of this family, those of each cell by themselves."""
    return cells.drawn(datasets, _figures, _beside)


def _beside(kinds: Sequence[cells.Kind]) -> dict[str, Figure]:
    """What cells do to the same losses, for a few gains."""
    first = kinds[0].datasets["all-steps"]
    gains = figures.nearest(first.gain.values, _MAP_GAINS)
    figure, _ = cells.beside(
        kinds,
        gains,
        lambda kind, gain, ax, style: plot_one_against_lag(
            kind.datasets["all-steps"], gain=gain, ax=ax, **style
        ),
    )
    figures.caption(
        figure,
        f"Thin: {networks_of(first)} of each kind, thick: their median, bands: quartiles; means of "
        "logs over steps and sequences. Norms are of the whole state: h, of an LSTM h and c, where "
        f"c has no gradient of its own at lag 0{_of_stacks(kinds)}.",
    )
    return {"cells-beside-each-other": figure}


def _of_stacks(kinds: Sequence[cells.Kind]) -> str:
    deep = any(kind.n_layers > 1 for kind in kinds)
    return "; of a stack that of all layers, of which the top alone has one at lag 0" * deep


def _figures(datasets: Datasets) -> dict[str, Figure]:
    return {
        "norm-against-lag": _lag_figure(datasets["all-steps"]),
        "norm-against-length": _length_figure(datasets["all-steps"]),
        "contributions-against-time": _contributions_figure(datasets["all-steps"]),
        "map-time-lag": _map_figure(datasets["map"]),
        "phase-gain-length": phase_figure(datasets["last-step"]),
    }


def _lag_figure(dataset: xr.Dataset) -> Figure:
    figure, ax = figures.new_figure(figsize=(9.0, 5.8))
    plot_norm_against_lag(dataset, ax=ax)
    data = one_network_set(dataset).isel(length=-1)
    ax.set_title(
        f"How much of a loss's gradient is left $k$ steps before it? (T = {data.length:d})"
    )
    figures.caption(
        figure,
        f"Thin: {networks_of(data)} of each gain, thick: their median, bands: quartiles; means of "
        f"logs over steps and sequences{_living(data)}. A straight line vanishes or explodes "
        f"exponentially; few losses go as far back as its end. {_fit_in_words(data)}"
        f"{_at_lag_0(dataset)}",
    )
    return figure


def _at_lag_0(dataset: xr.Dataset) -> str:
    """What a curve of a stack may rise from."""
    deep = cells.layers_of(dataset) > 1
    return " At lag 0 the state of the top layer alone has a gradient." * deep


def _living(data: xr.Dataset) -> str:
    """Who the means are over, where some gradients die on their way."""
    dying = bool((data.live < 1).any())
    return " whose gradient is not exactly 0, fewer of them at longer lags" if dying else ""


def _fit_in_words(data: xr.Dataset) -> str:
    names = ("growth_first_lag", "growth_last_lag", "growth_rate_error")
    first, last, error = (float(median(data[name])) for name in names)
    if not np.isfinite([first, last]).all():
        return "No rate is fitted: too few lags."
    spread = "" if np.isnan(error) else f" (median standard error {error:.1g} nats a step)"
    return f"Rates (medians) are fitted over lags {first:g} to {last:g}{spread}."


def _length_figure(dataset: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 2, figsize=(11.5, 4.8), sharey=True)
    variables = ("log_gradient_norm", "log_gradient_norm_per_weight")
    for ax, variable in zip(axes, variables, strict=True):
        plot_norm_against_length(dataset, variable=variable, ax=ax)
    axes[0].set_title("loss summed over all steps")
    axes[1].set_title("loss per step that carries loss")
    figures.letter(axes)
    figures.label_outer(figure)
    shortest = int(dataset.length.min())
    figures.caption(
        figure,
        f"Dots: {networks_of(dataset)} of each gain, relative to their gradient at T = {shortest}; "
        "lines: median, bands: quartiles. (a) A sum over steps grows with T by itself. (b) Per "
        "unit of loss weight it levels off once sequences are longer than gradients last; where "
        "they explode it does not.",
    )
    return figure


def _contributions_figure(dataset: xr.Dataset) -> Figure:
    figure, ax = figures.new_figure(figsize=(8.5, 5.6))
    plot_contributions(dataset, ax=ax)
    data = one_network_set(dataset).isel(length=-1)
    layers = " of all layers" * (cells.layers_of(dataset) > 1)
    ax.set_title(
        f"Which steps does the gradient of $W_{{hh}}${layers} come from? (T = {data.length:d})"
    )
    figures.caption(
        figure,
        f"Thin: {networks_of(data)} of each gain, thick: their median, bands: quartiles. The "
        "gradient is the sum of a part for each step; where it explodes, the first steps, on the "
        f"right, outweigh all others. Parts cancel: {_cancellation_in_words(data)}.",
    )
    return figure


def _cancellation_in_words(data: xr.Dataset) -> str:
    """The norm of the sum in the sum of norms, medians, for the gains that are drawn."""
    gains = figures.nearest(data.gain.values, FEW_GAINS)
    parts = [
        f"{middle(data.cancellation.sel(gain=gain), share)} at gain {gain:g}" for gain in gains
    ]
    return f"the norm of their sum is {', '.join(parts)} of the sum of their norms (medians)"


def _map_figure(dataset: xr.Dataset) -> Figure:
    gains = [float(gain) for gain in dataset.gain]
    figure, axes = figures.new_figure(
        1, len(gains), figsize=(4.6 * len(gains) + 1, 4.6), sharey=True, squeeze=False
    )
    shown = decades(relative(dataset.log_norm_map, "lag"))
    finite = shown[np.isfinite(shown)]
    bound = float(np.clip(np.abs(finite).max(initial=1.0), 1.0, norm_plots.MOST_DECADES))
    for ax, gain in zip(axes[0], gains, strict=True):
        plot_map(dataset, gain=gain, bound=bound, ax=ax)
    figures.label_outer(figure)
    label = r"$\log_{10}\,\|\partial l_t/\partial h_{t-k}\|/\|\partial l_t/\partial h_t\|$"
    mesh = axes[0, 0].collections[0]
    figures.colour_bar(figure, mesh, list(axes[0]), f"growth, {label}", extend="both")
    figures.caption(
        figure,
        "One network for each gain; means of logs over sequences. Up a column the gradient of one "
        "loss goes back in time: blue and hatched it is smaller than at the loss, red larger, by "
        "so many powers of ten. Where contours are level, the lag counts and not the step.",
    )
    return figure


def phase_figure(dataset: xr.Dataset) -> Figure:
    """What becomes of the gradient of one loss, over gain and length."""
    rows = int(np.clip(dataset.gain.size, 8, 24))
    figure, ax = figures.new_figure(figsize=(8.8, 2.4 + 0.34 * rows))
    plot_phase(dataset, ax=ax)
    ax.set_title("Does the gradient of the last loss arrive at the first step?")
    label = r"$\log_{10}\;\|\partial l_T/\partial h_1\|\,/\,\|\partial l_T/\partial h_T\|$"
    figures.colour_bar(figure, ax.collections[0], ax, f"growth, {label}", extend="both")
    handles = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    if handles:
        figures.legend_above(figure, handles)
    figures.caption(
        figure,
        f"Colours and numbers: powers of ten by which its norm grows on the way, mean of logs over "
        f"{networks_of(dataset)} and all sequences{_left_out(dataset)}; blue and hatched: it "
        f"shrinks. Thick borders: a factor of ten down and up.{_marks(dataset)}",
    )
    return figure


def _marks(dataset: xr.Dataset) -> str:
    """What the marks at the left axis say."""
    data = one_network_set(dataset)
    if not critical_gains(data):
        return ""
    if cells.is_plain(data):
        return " Marks at the left: where this measure of W_hh is 1 in the median network."
    return (
        " Below the mark at the left rest is stable for large networks with these biases and no "
        "input; these read their task."
    )


def _left_out(dataset: xr.Dataset) -> str:
    lost = int(one_network_set(dataset).log_change.isel(length=-1).isnull().sum())
    return f" ({lost} out of range at the longest length, left out)" if lost else ""


def regimes(dataset: xr.Dataset) -> dict[str, list[float]]:
    """Gains by what happens to the gradient over the longest sequences, as in `plot_phase`."""
    change = change_over_networks(dataset).isel(length=-1)
    found, gains = regime(change), change.gain.values
    kinds = {"vanish": -1.0, "arrive": 0.0, "explode": 1.0}
    listed = {name: gains[found == kind].tolist() for name, kind in kinds.items()}
    return listed | {"unknown": gains[np.isnan(found)].tolist()}


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    return cells.told(datasets, _sentences)


def _sentences(datasets: Datasets) -> list[str]:
    fits = one_network_set(datasets["all-steps"]).isel(length=-1)
    rates = []
    for gain in dict.fromkeys((float(fits.gain[0]), float(fits.gain[-1]))):
        rate = rate_in_words(fits.sel(gain=gain), "nats a step")
        known = bool(fits.growth_rate.sel(gain=gain).notnull().any())
        text = f"norms change by {rate}" if known else "no growth rate is known"
        rates.append(f"At gain {gain:g} {text}.")
        if bent := int((fits.growth_single.sel(gain=gain) == 0).sum()):
            rates.append(
                f"  Of {counted(fits.network_seed.size, 'network')} there {have(bent)} no single "
                "rate: it differs between both halves of the lags by more than its error."
            )
    critical = _critical_in_words(one_network_set(datasets["last-step"]))
    return [
        *regimes_in_words(datasets["last-step"]),
        *part("How fast gradients change, a step back", rates),
        *(part("What the weights alone tell", [critical]) if critical else []),
    ]


def regimes_in_words(dataset: xr.Dataset) -> list[str]:
    """Which gains do what to gradients, and what to do about it."""
    data, found = one_network_set(dataset).isel(length=-1), regimes(dataset)
    length = int(data.length)
    texts = {
        "vanish": "vanish (shrink more than tenfold)",
        "arrive": "arrive within a factor of ten",
        "explode": "explode (grow more than tenfold)",
    }
    sentences = [
        f"Over {length} steps, in the mean of logs over networks, gradients {text} at "
        f"{listing('gain', found[kind], 'no gain of this sweep')}."
        for kind, text in texts.items()
    ]
    if found["unknown"]:
        where = listing("gain", found["unknown"], "")
        sentences.append(f"What they do is not known at {where}: no network stayed in range.")
    for gain in data.gain.values:
        change = data.log_change.sel(gain=gain).values
        counts = {"exactly 0": np.isneginf(change), "out of range and left out": np.isnan(change)}
        parts = [f"{int(is_so.sum())} {name}" for name, is_so in counts.items() if is_so.any()]
        if parts:
            of = counted(change.size, "network")
            sentences.append(f"  Of {of} at gain {gain:g}: {', '.join(parts)}.")
    return part(
        f"Gradients over {counted(length, 'step')}",
        sentences,
        answer=_arrival_in_words(**found),
        advice=_gain_to_choose(length, **found),
    )


def _in_order(vanish: list[float], arrive: list[float], explode: list[float]) -> bool:
    """Whether larger gains never do less to gradients."""
    gains = [*vanish, *arrive, *explode]
    return gains == sorted(gains)


def _arrival_in_words(
    vanish: list[float], arrive: list[float], explode: list[float], unknown: list[float]
) -> str:
    """Where gradients arrive, without a number that is no gain."""
    known = " that is known" * bool(unknown)
    if arrive:
        start = f"Gradients arrive at {listing('gain', arrive, '')}"
        if unknown or not _in_order(vanish, arrive, explode):
            return f"{start}, and at no other gain{known}."
        sides = ["below they vanish"] * bool(vanish) + ["above they explode"] * bool(explode)
        return f"{start}{'; ' * bool(sides)}{', '.join(sides)}."
    if vanish and explode:
        return f"Gradients arrive at no gain{known}: they vanish or explode."
    if vanish or explode:
        return f"Gradients {'vanish' if vanish else 'explode'} at every gain{known}."
    return ""


def _gain_to_choose(
    length: int,
    vanish: list[float],
    arrive: list[float],
    explode: list[float],
    unknown: list[float],
) -> str:
    """Which gain to take, and whether to clip; "" where that does not follow."""
    clip = "clip gradients where they explode"
    if arrive:
        start = f"for what {counted(length, 'step')} back matters, choose"
        return f"{start} {listing('gain', arrive, '')}{f'; {clip}' * bool(explode)}."
    if vanish and explode and not unknown and _in_order(vanish, [], explode):
        return f"try gains between {vanish[-1]:g} and {explode[0]:g}; {clip}."
    return f"{clip}." * bool(explode)


def _rest_in_words(critical: float | None) -> str:
    """What is known of gates and stacks; "" where nothing is."""
    if critical is None:
        return ""
    return (
        "Without input rest is stable for large networks with these biases below gain "
        f"{critical:.3g}; these read their task."
    )


def _critical_in_words(data: xr.Dataset) -> str:
    if not cells.is_plain(data):
        return _rest_in_words(gain_at_rest(data))
    norm, radius = (critical_gain(data, name) for name in ("spectral_norm", "spectral_radius"))
    if np.isnan(norm):
        return "At gain 0 W_hh is 0, and says nothing of other gains."
    large = f" (for large Gaussian W_hh {theory.pascanu_critical_gain('gaussian'):g})"
    return (
        f"The norm of W_hh alone proves vanishing below gain {norm:.2f} in the median network"
        f"{large * (not cells.own_of(data))}; its median spectral radius is 1 at gain {radius:.2f}."
    )
