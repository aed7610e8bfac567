"""What truncation does to gradients, in words: windows, segments, the bound, noise of batches."""

import numpy as np
import xarray as xr

from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.statistics import median, median_over
from ..frame.words import counted, known_of, listing, middle, part, percent, share
from .norm_plots import one_network_set
from .truncation_plots import TRUNCATIONS, bounds_of, known_errors


def sentences(datasets: Datasets) -> list[str]:
    """What the figures of one kind of networks show, in words."""
    data = one_network_set(datasets["windows"]).isel(length=-1)
    gains = figures.nearest(data.gain.values, [0.5, 1.0, 2.0])
    tolerance = percent(figures.configuration(datasets["windows"])["tolerance"])
    found = part(
        f"Windows for {counted(int(data.length), 'step')}",
        [
            f"At gain {gain:g} a gradient within {tolerance} {_sufficient(data.sel(gain=gain))}."
            for gain in gains
        ],
        answer=_short_or_long(data),
        advice=_window_to_choose(data),
    )
    found += part("Segments beside sliding windows", [_segments_in_words(data)])
    if cells.is_plain(data):
        found += part("What theory promises", [_bounds_in_words(datasets["windows"])])
    if "bias-variance" in datasets:
        found += part(
            "What noise of batches hides",
            _bias_variance_in_words(datasets["bias-variance"]),
            advice=_window_against_noise(datasets["bias-variance"]),
        )
    return found


def _short_or_long(data: xr.Dataset) -> str:
    """At which gains windows may be short, and at which they must be long."""
    length, windows = int(data.length), median_over(data.sufficient_window, "network_seed")
    gains = data.gain.values
    short, long = (gains[mask] for mask in (windows <= length / 4, windows >= 0.9 * length))
    if np.isnan(windows).all():
        return ""
    if short.size == 0:
        texts = ["A quarter of the sequence is enough at no gain"]
    else:
        texts = [f"A quarter of the sequence is enough at {listing('gain', short, '')}"]
    if long.size:
        texts.append(f"nine tenths of it and more are needed at {listing('gain', long, '')}")
    return f"{'; '.join(texts)}."


def _window_to_choose(data: xr.Dataset) -> str:
    """The window at the gain nearest to 1, where all networks have one."""
    gain, length = figures.nearest(data.gain.values, [1.0])[0], int(data.length)
    windows = data.sufficient_window.sel(gain=gain)
    if windows.isnull().any():
        return ""
    window = int(np.ceil(float(median(windows))))
    if window == length:
        return f"at gain {gain:g} do not truncate."
    return f"at gain {gain:g} train through {counted(window, 'step')} or more."


def _window_against_noise(dataset: xr.Dataset) -> str:
    """The best window of networks that have learned, where the whole sequence is worse."""
    settings = figures.configuration(dataset)
    T, B = settings["length"], settings["batch_size"]
    data = dataset.sel(moment=dataset.moment.values[-1], batch=B)
    ends = [data.best_window, data.longest_window]
    if any(each.isnull().any() for each in ends):
        return ""
    best, longest = (int(np.ceil(float(median(each)))) for each in ends)
    if longest >= T:
        return ""
    return (
        f"{data.moment.item()} training, with batches of {B}, {counted(best, 'step')} are better "
        "than the whole sequence."
    )


def _sufficient(data: xr.Dataset) -> str:
    """The median window, of the networks that have one."""
    windows, length = data.sufficient_window, int(data.length)
    window = float(median(windows))
    if np.isnan(window):
        return "has no window that is known to suffice"
    of = "the whole sequence" if window == length else f"{share(window / length)} of the sequence"
    return f"needs a window of {window:g} of {length} steps ({of}){known_of(windows)}"


def _segments_in_words(data: xr.Dataset) -> str:
    gain = figures.nearest(data.gain.values, [1.0])[0]
    length = int(data.length)
    window = int(figures.nearest(data.window.values, [length / 8])[0])
    errors = known_errors(data.sel(gain=gain, window=window))
    sliding, segments = (np.exp(median(errors.sel(truncation=name))) for name in TRUNCATIONS)
    start = f"At gain {gain:g} and window {window}, "
    if np.isnan([sliding, segments]).any():
        return f"{start}no error is known."
    words = [f"{x:.2g}" if x > 0 else "less than is known" for x in (segments, sliding)]
    comparison = "more" if segments > sliding else "no more"
    return (
        f"{start}segments err {comparison} than sliding windows: {words[0]} against {words[1]} of "
        f"the full gradient (medians){known_of(errors.sel(truncation='sliding'))}."
    )


def _bounds_in_words(dataset: xr.Dataset) -> str:
    """Where the bound says nothing, counted over all networks of each gain."""
    n = dataset.sizes["network_seed"]
    silent = {
        float(gain): sum(not bound.beta < 1 for bound in bounds)
        for gain, bounds in (
            (gain, bounds_of(dataset, float(gain))) for gain in one_network_set(dataset).gain.values
        )
    }
    everywhere = [gain for gain, count in silent.items() if count == n]
    partly = [f"{gain:g} ({count} of {n})" for gain, count in silent.items() if 0 < count < n]
    words = [listing("gain", everywhere, "none of the gains")]
    words += [f"for some networks at gain {', '.join(partly)}"] if partly else []
    return (
        "The geometric bound says nothing (decay beta not known to be below 1) at "
        f"{'; '.join(words)}."
    )


def _bias_variance_in_words(dataset: xr.Dataset) -> list[str]:
    """Best window and horizon, for the batches that were drawn and for others."""
    settings = figures.configuration(dataset)
    T, B = settings["length"], settings["batch_size"]
    found = []
    for moment in dataset.moment.values:
        data = dataset.sel(moment=moment, batch=B)
        start = f"{str(moment).capitalize()} training, with batches of {B}, "
        found.append(f"{start}{_best_in_words(data, T)}.")
        found.append(f"{start}{_horizon_in_words(data.horizon)}.")
    for moment in dataset.moment.values:
        windows = dataset.best_window.sel(moment=moment).transpose("batch", "network_seed")
        if np.isnan(windows).all():
            continue
        best = ", ".join(middle(row, lambda x: f"{x:g}") for row in windows.values)
        sizes = ", ".join(f"{size}" for size in dataset.batch.values)
        found.append(f"Best windows {moment} training for batches of {sizes}: {best} steps.")
    if frozen := int((dataset.diverged >= 0).sum()):
        found.append(
            f"{frozen} of {counted(dataset.diverged.size, 'network')} left the floating-point "
            "range while they were trained and stayed with their last finite weights."
        )
    return found


def _best_in_words(data: xr.Dataset, length: int) -> str:
    """Medians over networks: the best window, what it saves, which others may be as good."""
    if np.isnan(data.best_window).all():
        return "no best window is known"
    low, best, high = (
        middle(data[name], lambda x: f"{x:g}")
        for name in ("shortest_window", "best_window", "longest_window")
    )
    words = f"the best window is {best} of {length} steps"
    ratios = (data.best_error / data.full_error.where(data.full_error > 0)).values
    if not np.isnan(ratios).all():
        words += f", its squared error {middle(ratios, share)} of that of the full gradient"
    if not np.isnan(data.shortest_window).all():
        words += f", and windows from {low} to {high} are not known to be worse"
    return f"{words} (medians){known_of(data.best_window)}"


def _horizon_in_words(horizon: xr.DataArray) -> str:
    lag = float(median(horizon))
    if np.isnan(lag):
        return "it is not known from which lag on noise prevails"
    if lag < 0:
        return f"even lag 0 brings more noise than gradient (median){known_of(horizon)}"
    return f"the last lag with more gradient than noise is {lag:g} (median){known_of(horizon)}"
