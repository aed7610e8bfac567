"""Spectra of W_hh, of gated networks and stacks of a step, and what they say about gradients."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

import rnnsim
from rnnsim import checks, theory

from ..commands.own import of_files, with_own
from ..commands.spectra import SPECTRA, Spectra
from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.statistics import median, median_over
from ..frame.words import counted, middle, part, share
from ..gradients.norm_plots import critical_gain
from .spectrum_plots import (
    circle_key,
    in_theory,
    one_scheme,
    plot_against_gain,
    plot_by_scheme,
    plot_eigenvalues,
    plot_growth,
    plot_singular_values,
    schemes_of,
    theory_key,
)
from .steps import step_figures, step_sentences

HELP = SPECTRA.help
Settings = Spectra

_NORMAL = 1e-6  # relative departures below are rounding

_SEQUENCES = 4  # at most, whose Jacobians are taken apart


def compute(settings: Settings, progress: bool) -> Datasets:
    """Of vanilla networks W_hh, in sweeps over schemes; of others what one step does."""
    for scheme in settings.scheme:
        checks.one_of("scheme", scheme, rnnsim.SCHEMES)  # those whose W_hh theory knows
    alone = (settings.cell, settings.forget_bias, settings.n_layers) == (("vanilla",), (0.0,), (1,))
    vanilla = "vanilla" in settings.cell and 1 in settings.n_layers
    names = ("gain", "length", "scheme")
    shared = settings.shared() | {name: getattr(settings, name) for name in names}
    with of_files(settings):
        common = with_own(settings, shared) | {"progress": progress}
        if (own := common.get("weights")) is not None:
            alone, vanilla = False, own.settings()["cell"] == "vanilla" and not own.has_layers
        shown = _shown(settings, own is not None)
        found = {} if alone else _of_steps(common, shown)  # which refuses what cannot be
        return found | (_of_matrices(common, shown) if vanilla else {})


def _shown(settings: Settings, own: bool) -> float:
    """The gain whose spectra are drawn; of a network of one's own as it is, unless told."""
    if settings.spectrum_gain is None:
        return 1.0 if own else 1.5
    return checks.real_number("spectrum_gain", settings.spectrum_gain)


def _of_matrices(common: dict[str, Any], shown: float) -> Datasets:
    """Spectra and growth at every gain, spectra of the drawn gain."""
    if common.get("weights") is None:
        common = common | {"cell": "vanilla", "forget_bias": 0.0, "n_layers": 1}
    with checks.renamed(gain="`--spectrum-gain`"):
        one_gain = rnnsim.sweep(measures="spectrum", **common | {"gain": shown})
    return {
        "schemes": rnnsim.sweep(measures=("lags", "slopes", "spectrum", "nonnormality"), **common),
        "one-gain": one_gain,
    }


def _of_steps(common: dict[str, Any], shown: float) -> Datasets:
    """Jacobians at every gain, that of the drawn spectra among them."""
    gains = sorted({*common.get("gain", (1.0,)), shown})
    few = {"gain": gains, "batch_size": min(common["batch_size"], _SEQUENCES)}
    data = rnnsim.step_sweep(**common | few)
    return {"steps": data.assign_attrs(spectrum_gain=shown)}


def draw(datasets: Datasets) -> dict[str, Figure]:
    """All figures of this family: of W_hh, and of every kind of networks that is more than that."""
    found = {}
    if "schemes" in datasets:
        own = cells.own_of(datasets["schemes"])
        matrices = {name: datasets[name] for name in ("schemes", "one-gain")}
        found = cells.drawn(matrices, _figures, state="") if own else _figures(datasets)
    if "steps" in datasets:
        found |= cells.drawn({"steps": datasets["steps"]}, step_figures, state="")
    return found


def _figures(datasets: Datasets) -> dict[str, Figure]:
    return {
        "eigenvalues": _eigenvalue_figure(datasets["one-gain"]),
        "singular-values": _singular_value_figure(datasets["one-gain"]),
        "radius-norm-normality": _gain_figure(datasets["schemes"]),
        "growth-against-radius": _growth_figure(datasets["schemes"]),
        "beyond-eigenvalues": _beyond_figure(datasets["schemes"]),
    }


def _eigenvalue_figure(dataset: xr.Dataset) -> Figure:
    schemes, gain = schemes_of(dataset), float(dataset.gain[0])
    rows, columns = (2, 2) if len(schemes) == 4 else (1, len(schemes))
    size = (max(3.6 * columns, 5.2), 3.5 * rows + 0.8)
    figure, axes = figures.new_figure(
        rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False
    )
    for ax, scheme in zip(axes.flat, schemes, strict=True):
        plot_eigenvalues(dataset, scheme=scheme, gain=gain, ax=ax)
    radii = dataset.spectral_radius.sel(gain=gain).values
    bound = 1.15 * max(1.0, float(np.nanmax(radii, initial=0.0)), *_in_theory(schemes, gain))
    axes[0, 0].set(xlim=(-bound, bound), ylim=(-bound, bound))
    figures.label_outer(figure)
    own = cells.own_of(dataset)
    figures.legend_above(figure, circle_key(drawn=not own))
    figures.caption(
        figure,
        f"Each dot an eigenvalue of W_hh: {_networks(dataset)}, gain {gain:g}. Radius: the largest "
        f"modulus, median over networks. {_KINDS_OF_SPECTRA * (not own)}{_whose(dataset)}".strip(),
    )
    return figure


def _in_theory(schemes: list[str], gain: float) -> list[float]:
    radii = [float(in_theory("spectral_radius", scheme, gain, 1)) for scheme in schemes]
    return [radius for radius in radii if np.isfinite(radius)]


def _singular_value_figure(dataset: xr.Dataset) -> Figure:
    gain, own = float(dataset.gain[0]), cells.own_of(dataset)
    figure, ax = figures.new_figure(figsize=(8.5, 5.6))
    plot_singular_values(dataset, gain=gain, ax=ax)
    ax.set_title(f"How one step of $W_{{hh}}$ stretches and shrinks (gain {gain:g})")
    if not own:
        figures.legend_above(figure, theory_key("the largest, in large networks"))
    drawn = (
        " Orthogonal and identity treat all directions alike. Independent entries (gaussian, "
        "uniform) stretch some by up to twice the radius of their eigenvalues and all but lose "
        "others, at every step."
    )
    figures.caption(
        figure,
        f"{_thin(dataset)}{drawn * (not own)} {_whose(dataset)}".strip(),
    )
    return figure


def _thin(dataset: xr.Dataset) -> str:
    return f"Thin: {_networks(dataset)}, thick: their median."


def _networks(dataset: xr.Dataset) -> str:
    units = dataset.unit.size if "unit" in dataset.dims else int(dataset.n_hidden[0])
    networks = counted(dataset.network_seed.size, "network")
    return f"{networks} of {counted(units, 'unit')}{_each(dataset)}"


def _gain_figure(dataset: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 3, figsize=(14.4, 5.2))
    plot_against_gain(dataset, "spectral_radius", ax=axes[0])
    plot_against_gain(dataset, "spectral_norm", ax=axes[1])
    plot_by_scheme(dataset, "henrici_relative", ax=axes[2])
    titles = ("Growth in the long run", "Growth in one step, at most", "What makes the difference")
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title)
    figures.letter(axes)
    figures.on_one_scale(axes[:2])  # the norm against the radius
    own = cells.own_of(dataset)
    if not own:
        figures.legend_above(figure, theory_key("large networks, in theory"))
    figures.caption(
        figure,
        f"{_dots(dataset)}, lines and bars: medians. (c): the part of W_hh that is not normal (R, "
        "the strict upper triangle of the Schur form), as a share of its norm; gain does not "
        f"change it. {_KINDS_OF_NORMS * (not own)}{_whose(dataset)}".strip(),
    )
    return figure


def _dots(dataset: xr.Dataset) -> str:
    return f"Dots: {_networks(dataset)} and gain"


def _growth_figure(dataset: xr.Dataset) -> Figure:
    figure, ax = figures.new_figure(figsize=(8.8, 6.0))
    plot_growth(dataset, ax=ax)
    kind = figures.configuration(dataset)["activation"][0]
    ax.set_title("Do gradients grow where eigenvalues say so?")
    first, last = (float(median(dataset[n])) for n in ("growth_first_lag", "growth_last_lag"))
    known = bool(np.isfinite([first, last]).all())
    fit = f"fitted over lags {first:.0f} to {last:.0f}" if known else "missing: too few lags"
    changes = (f"{scheme} {_radii(dataset, scheme)}" for scheme in schemes_of(dataset))
    networks = counted(dataset.network_seed.size, "network")
    figures.caption(
        figure,
        f"Dots: {networks} of {kind} units at each of {counted(dataset.gain.size, 'gain')}, lines: "
        f"medians; rates of gradients, k steps back from the loss of step t (means of logs over "
        f"steps and sequences), {fit}. Dashed: linear networks at long lags; the distance to it is "
        "due to units whose slope is below 1, and to finite lags. Median "
        f"rates change sign at radius: {'; '.join(changes)}. {_whose(dataset)}".strip(),
    )
    return figure


def _beyond_figure(dataset: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(2, 2, figsize=(12, 9.6))
    plot_against_gain(dataset, "numerical_radius", ax=axes[0, 0])
    axes[0, 0].set_title("Below 1, powers of $W_{hh}$ stay below 2")
    titles = {
        "kreiss": "Overshoot of powers, at least",
        "eigenbasis_condition": "Overshoot of powers, at most",
        "participation": "Units that take part in an eigenvector",
    }
    for ax, (variable, title) in zip(axes.flat[1:], titles.items(), strict=True):
        plot_by_scheme(dataset, variable, ax=ax)
        ax.set_title(title)
    figures.letter(axes)
    large = "in theory: (a) large networks, " * any(map(drawn, schemes_of(dataset)))
    label = f"{large}(b, c) a normal $W_{{hh}}$, (d) a random vector"
    figures.legend_above(figure, theory_key(label))
    figures.caption(
        figure,
        f"{_dots(dataset)} ((d): all their eigenvectors), lines and bars: medians. Gain scales (a) "
        "and leaves the others alone. The norm of $W_{hh}^k$, relative to the radius to the power "
        "of k, comes up to the Kreiss constant (b) and never exceeds the condition of the "
        "eigenvectors V (c): "
        f"where both are 1{_NORMAL_ONES * (not cells.own_of(dataset))} eigenvalues tell all. "
        f"{_whose(dataset)}".strip(),
    )
    return figure


_KINDS_OF_SPECTRA = (
    "Independent entries (gaussian, uniform) fill a disc, an orthogonal matrix has all its "
    "eigenvalues on a circle, a multiple of the identity has only one."
)
_KINDS_OF_NORMS = (
    "The norm of independent entries (gaussian, uniform) is about twice their radius; orthogonal "
    "and identity are normal, radius and norm are the same."
)


_NORMAL_ONES = " (orthogonal, identity)"


def _each(dataset: xr.Dataset) -> str:
    return " for each scheme" * (not cells.own_of(dataset))


def _whose(dataset: xr.Dataset) -> str:
    """Whose W_hh it is, where it is of one's own."""
    own = cells.own_of(dataset)
    return f"W_hh of {figures.plain(own)}, times the gain." if own else ""


def _radii(dataset: xr.Dataset, scheme: str) -> str:
    found = sign_changes(one_scheme(dataset, scheme))
    return " and ".join(f"{radius:.2f}" for radius in found) or "none"


def medians_by_radius(data: xr.Dataset) -> tuple[npt.NDArray[Any], ...]:
    """Median spectral radii above 0 of one scheme, ascending, and the median rates that are known.

    The third array holds the places along the gains.
    """
    radius, rate = (
        median_over(data[name], "network_seed").values
        for name in ("spectral_radius", "growth_rate")
    )
    known = np.flatnonzero(np.isfinite(rate) & (radius > 0))
    order = known[np.argsort(radius[known])]
    return radius[order], rate[order], order


def sign_changes(data: xr.Dataset) -> list[float]:
    """Spectral radii at which the median growth rate of one scheme changes sign, ascending.

    Interpolated in ln(radius) between neighbouring gains.
    """
    radius, y, _ = medians_by_radius(data)
    x = np.log(radius)
    flips = np.flatnonzero((y[1:] >= 0) != (y[:-1] >= 0))
    roots = x[flips] - y[flips] * (x[flips + 1] - x[flips]) / (y[flips + 1] - y[flips])
    return [float(root) for root in np.exp(roots)]


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    matrices = {name: datasets[name] for name in ("schemes",) if name in datasets}
    own = bool(matrices) and cells.own_of(matrices["schemes"])
    found = _sentences(matrices["schemes"]) if matrices else []
    if own:
        return [*cells.told(datasets, lambda each: [*found, *step_sentences(each)])]
    if "steps" in datasets:
        found += cells.told({"steps": datasets["steps"]}, step_sentences)
    return found


def _sentences(data: xr.Dataset) -> list[str]:
    sentences = []
    for scheme in schemes_of(data):
        one = one_scheme(data, scheme)
        rows = [*_spectrum_in_words(one, scheme), *_growth_in_words(one, scheme)]
        answer, advice = _fate_in_words(one)
        title = f"W_hh drawn {scheme}" if drawn(scheme) else f"W_hh of {scheme}"
        sentences += part(title, rows, answer=answer, advice=advice)
    return sentences


def _fate_in_words(data: xr.Dataset) -> tuple[str, str]:
    """What becomes of gradients of one scheme, and the radius to draw with if there is one."""
    _, rate, _ = medians_by_radius(data)
    turns = sign_changes(data)
    if rate.size == 0:
        return "", ""
    if len(turns) == 1 and rate[0] < 0:
        at = f"spectral radius {turns[0]:.2f}"
        return (
            f"Gradients vanish below {at} (the largest size of an eigenvalue of W_hh), and grow "
            "above it.",
            f"start near {at}, where gradients neither vanish nor grow.",
        )
    if turns:
        return "Gradients vanish at some gains and grow at others.", ""
    does = "vanish" if rate.max() < 0 else "grow" if rate.min() > 0 else "keep or grow"
    return f"Gradients {does} at every gain.", ""


def drawn(scheme: str) -> bool:
    """Whether it is a way of drawing, and no network of one's own."""
    return scheme in rnnsim.SCHEMES


def _spectrum_in_words(data: xr.Dataset, scheme: str) -> list[str]:
    some = data.spectral_radius > 0
    if not some.any():
        return [f"{scheme}: W_hh is 0 at every gain."]
    gain = critical_gain(data, "spectral_radius")
    known = drawn(scheme)
    expected = f" (theory {1.0 / float(theory.spectral_radius(scheme, 1.0)):.2f})" if known else ""
    departure = float(median(data.henrici_relative.where(some)))
    ratio = float(median(data.spectral_norm / data.spectral_radius.where(some)))
    kreiss, condition = (
        middle(data[name].where(some), lambda x: f"{x:.3g}")
        for name in ("kreiss", "eigenbasis_condition")
    )
    kind = (
        "normal"
        if departure < _NORMAL
        else f"not normal (departure {share(departure)} of its norm)"
    )
    return [
        f"{scheme}: the median spectral radius (largest size of an eigenvalue) of W_hh passes 1 "
        f"at gain {gain:.2f}{expected}; W_hh is {kind}, its spectral norm {ratio:.2f} times its "
        f"radius. The norms of its powers overshoot those of its radius {kreiss} times at least "
        f"(Kreiss constant) and {condition} times at most (condition of the eigenvectors); "
        "medians."
    ]


def _growth_in_words(data: xr.Dataset, scheme: str) -> list[str]:
    radius, rate, places = medians_by_radius(data)
    if rate.size == 0:
        return [f"{scheme}: no growth rate could be fitted."]
    if radii := sign_changes(data):
        turns = " and ".join(f"{radius:.2f}" for radius in radii)
        text = (
            f"the growth rate of gradients changes sign at spectral radius {turns} "
            "(linear networks: 1)"
        )
    else:
        always = "vanish" if rate.max() < 0 else "grow" if rate.min() > 0 else "keep or grow"
        text = f"gradients {always} at every gain"
    if unknown := data.sizes["gain"] - rate.size:
        text += f" (no rate at {unknown} of {data.sizes['gain']} gains)"
    best, last = int(rate.argmax()), int(places.argmax())
    gap = rate[last] - np.log(radius[last])
    side = "below" if gap < 0 else "above"
    slope = float(median(data.mean_slope.isel(gain=places[last])))
    return [
        f"{scheme}: in medians over networks {text}; the largest rate is {rate[best]:+z.3f} "
        f"nats/step at radius {radius[best]:.2f}. At gain {float(data.gain[places[last]]):g} the "
        f"rate is {abs(gap):.2f} nats/step {side} ln(radius), where the mean slope of the units is "
        f"{slope:.2f}."
    ]
