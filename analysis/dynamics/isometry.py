"""Dynamical isometry: singular values of products of Jacobians against lag, for initialisations."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import rnnsim
from rnnsim import checks

from ..commands.dynamics import ISOMETRY, Isometry
from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.statistics import median
from ..frame.words import counted, middle, part
from .isometry_plots import (
    RESOLVED,
    direction_key,
    lost,
    order_statistics,
    plot_histogram,
    plot_overlap,
    plot_singular_values_against_lag,
    resolved,
    schemes_of,
    seen_range,
)

HELP = ISOMETRY.help
Settings = Isometry
_SHOWN = (1.0, 1.5)  # gains whose singular values are drawn against lag
_SEEN_LAGS = (1, 3, 10, 30, 100)  # of gradients' directions, which fluctuate from lag to lag


def compute(settings: Settings, progress: bool) -> Datasets:
    """One sweep over schemes and gains, the gain of the histograms among them."""
    shown = checks.real_number("histogram_gain", settings.histogram_gain)
    gains = (*settings.gain, shown)
    data = rnnsim.jacobian_sweep(
        gain=sorted(set(gains)),
        scheme=settings.scheme,
        lags=settings.lags,
        length=settings.length,
        exponent_steps=settings.exponent_steps,
        progress=progress,
        **settings.shared(),
    )
    return {"products": data.assign_attrs(histogram_gain=settings.histogram_gain)}


def draw(datasets: Datasets) -> dict[str, Figure]:
    """All figures of this family, those of each cell by themselves."""
    return cells.drawn(datasets, _figures, state=": Jacobians of %s")


def _figures(datasets: Datasets) -> dict[str, Figure]:
    data = datasets["products"]
    return {
        "singular-values-against-lag": _lag_figure(data),
        "singular-value-histograms": _histogram_figure(data),
        "gradient-direction": _direction_figure(data),
    }


def _lag_figure(dataset: xr.Dataset) -> Figure:
    schemes, gains = schemes_of(dataset), figures.nearest(dataset.gain.values, _SHOWN)
    settings = figures.configuration(dataset)
    shape = (len(gains), len(schemes))
    figure, axes = figures.new_figure(
        *shape, figsize=(max(3.9 * shape[1], 6.0), 3.4 * shape[0] + 1.2),
        sharex=True, sharey="row", squeeze=False,
    )  # fmt: skip
    for i, j in np.ndindex(*shape):
        plot_singular_values_against_lag(dataset, scheme=schemes[j], gain=gains[i], ax=axes[i, j])
        axes[i, j].set_ylim(seen_range(dataset, gains[i]))
    figures.label_outer(figure)
    figures.legend_above(figure, direction_key())
    last = cells.last_index(dataset)
    figures.caption(
        figure,
        f"Products of Jacobians up to step {settings['step']} of {_networks(dataset)}; thin: "
        "each of them, thick: medians. At 0 all directions arrive as they left: dynamical "
        f"isometry. Dashed: medians of $\\lambda_1$ and $\\lambda_{{{last}}}$ from other sequences "
        f"({settings['exponent_steps']} steps), which a single stretch need not follow, least of "
        f"all where units integrate their input ({_integrating(dataset)}). {_precision(dataset)}",
    )
    return figure


def _integrating(dataset: xr.Dataset) -> str:
    return "gates near 1" if cells.is_gated(dataset) else "identity"


def _histogram_figure(dataset: xr.Dataset) -> Figure:
    schemes, gain = schemes_of(dataset), _histogram_gain(dataset)
    lags = [int(lag) for lag in figures.nearest(dataset.lag.values, (1, 10))]
    shape = (len(schemes), len(lags))
    figure, axes = figures.new_figure(
        *shape, figsize=(max(4.6 * shape[1], 6.0), 2.7 * shape[0] + 0.8),
        sharex="col", sharey="row", squeeze=False,
    )  # fmt: skip
    for j, lag in enumerate(lags):
        bounds = _bounds(dataset.sel(gain=gain, lag=lag))
        for i, scheme in enumerate(schemes):
            where: dict[str, Any] = {"scheme": scheme, "gain": gain, "lag": lag}
            plot_histogram(dataset, **where, bounds=bounds, ax=axes[i, j])
    figures.label_outer(figure)
    figures.caption(
        figure,
        f"All {dataset.unit.size} singular values, the factors by which steps stretch directions, "
        f"of {_networks(dataset)}, gain {gain:g}. Vertical line: 0, where a direction arrives as "
        "it left; at an isometry all of them lie there. Triangle: median (none where that is "
        f"exactly 0). Scales of 1 step and of more differ: see who stays near the line. "
        f"{_precision(dataset)}",
    )
    return figure


def _direction_figure(dataset: xr.Dataset) -> Figure:
    schemes = schemes_of(dataset)
    figure, axes = figures.new_figure(
        1, len(schemes), figsize=(max(4.4 * len(schemes), 6.5), 5.0), sharey=True, squeeze=False
    )
    for ax, scheme in zip(axes[0], schemes, strict=True):
        plot_overlap(dataset, scheme=scheme, lags=_SEEN_LAGS, ax=ax)
        ax.set_title(scheme)
    figures.label_outer(figure)
    figures.caption(
        figure,
        f"Dots: {_networks(dataset)}, lines: their median, bands: quartiles. Near 1 every "
        "gradient, whatever the loss, has turned into the leading direction, which survives best; "
        "only its size and sign are left. Dashed: what a random direction has on average. Where "
        "singular values nearly coincide (an isometry) there is no such direction.",
    )
    return figure


def _networks(dataset: xr.Dataset) -> str:
    settings = figures.configuration(dataset)
    seeds, sequences = dataset.network_seed.size, dataset.sequence.size
    return (
        f"{counted(seeds, 'network')} ({settings['n_hidden']} "
        f"{cells.units(dataset, settings['activation'])}) along {counted(sequences, 'sequence')} "
        f"of {settings['task']}"
    )


def _precision(dataset: xr.Dataset) -> str:
    """What double precision resolves, by the disagreement of two computations."""
    known = dataset.rounding.where(dataset.rounding < RESOLVED)
    share = float(known.notnull().mean())
    if share == 1.0:
        worst = float(known.max())
        return f"Rounding: at most {worst:.0e} nats in any value (computed twice)."
    share = np.floor(1000 * share) / 1000  # never 100.0% of what is not all
    return (
        f"Double precision resolves {share:.1%} of the values to {RESOLVED:g} nats, those that are "
        "exactly 0 among them; others are left out."
    )


def _histogram_gain(dataset: xr.Dataset) -> float:
    return figures.nearest(dataset.gain.values, (dataset.attrs["histogram_gain"],))[0]


def _bounds(data: xr.Dataset) -> tuple[float, float]:
    """Where bins begin and end: all values of all schemes and 0."""
    values = resolved(data).values
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if values.size else (-1.0, 1.0)
    low, high = min(0.0, float(low)), max(0.0, float(high))
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    return cells.told(datasets, _sentences)


def _sentences(datasets: Datasets) -> list[str]:
    data = datasets["products"]
    places = [(scheme, float(gain)) for scheme in schemes_of(data) for gain in data.gain.values]
    parts = {place: data.sel(scheme=place[0], gain=place[1]) for place in places}
    return part(
        f"Products of Jacobians over {counted(int(data.lag[-1]), 'step')}",
        [_in_words(here, *place) for place, here in parts.items()],
        answer=_nearest_in_words({place: _farthest(here) for place, here in parts.items()}),
    )


def _farthest(data: xr.Dataset) -> float:
    """How far from 0 the largest or smallest ln singular value lies in the median."""
    ranked = order_statistics(data.isel(lag=-1))
    return float(np.abs([float(median(ranked[name])) for name in ("largest", "smallest")]).max())


def _nearest_in_words(farthest: dict[tuple[str, float], float]) -> str:
    """Which of several is nearest to isometry, where it is known of all of them."""
    if len(farthest) < 2 or not np.isfinite(list(farthest.values())).all():
        return ""
    scheme, gain = min(farthest, key=farthest.__getitem__)
    return (
        "Nearest to isometry, where gradients keep their length in all directions: "
        f"{scheme} at gain {gain:g}."
    )


def _in_words(data: xr.Dataset, scheme: str, gain: float) -> str:
    here = data.isel(lag=-1)
    ranked = order_statistics(here)
    sizes = [middle(each, lambda x: f"{x:.1f}", unknown="not resolved") for each in ranked.values()]
    ends = [float(median(ranked[name])) for name in ("largest", "smallest")]
    notes = [f"spread {ends[0] - ends[1]:.1f} nats"] if np.isfinite(ends).all() else []
    notes += [f"isometry: all 0{'; ' * bool(lost(here))}{lost(here)}"]
    exponents = data.lyapunov_exponent.transpose("unit", "network_seed").values
    first, last = (middle(exponents[i], lambda x: f"{x:+z.3f}") for i in (0, -1))
    overlap = middle(here.gradient_overlap, lambda x: f"{x:.2f}", unknown="not defined")
    return (
        f"{scheme}, gain {gain:g}: after {int(here.lag)} steps the largest, median and smallest "
        f"ln singular values are {sizes[0]}, {sizes[1]} and {sizes[2]} ({'; '.join(notes)}), "
        f"Lyapunov exponents {first} to {last} nats/step; the gradient's overlap with the leading "
        f"direction is {overlap}."
    )
