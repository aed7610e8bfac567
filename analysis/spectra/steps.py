"""Spectra of gated networks and stacks: what one step does, at rest and along a trajectory."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.words import counted, middle, part
from .spectrum_plots import schemes_of
from .step_plots import (
    blocks_of,
    blocks_shown,
    crossing,
    largest,
    of_one_kind,
    plot_blocks,
    plot_radius,
    plot_step,
    plot_stretch,
    radii,
    rest_medians,
    rest_radius,
    step_key,
)


def step_figures(datasets: Datasets) -> dict[str, Figure]:
    """All figures of one kind of networks."""
    data = of_one_kind(datasets["steps"])
    return {
        "step-eigenvalues": _eigenvalue_figure(data),
        "step-singular-values": _singular_value_figure(data),
        "step-radius": _radius_figure(data),
    }


def _gain(data: xr.Dataset) -> float:
    return figures.nearest(data.gain.values, (data.attrs["spectrum_gain"],))[0]


def _networks(data: xr.Dataset) -> str:
    settings = figures.configuration(data)
    kind = cells.units(data, settings["activation"])
    each = "" if cells.own_of(data) else " for each scheme"
    return f"{counted(data.network_seed.size, 'network')} of {settings['n_hidden']} {kind}{each}"


def _eigenvalue_figure(data: xr.Dataset) -> Figure:
    schemes, gain = schemes_of(data), _gain(data)
    columns = min(len(schemes), 2)
    rows = -(-len(schemes) // columns)
    figure, axes = figures.new_figure(
        rows, columns, figsize=(max(3.8 * columns, 5.2), 3.7 * rows + 0.8),
        sharex=True, sharey=True, squeeze=False,
    )  # fmt: skip
    for ax in axes.flat[len(schemes) :]:
        ax.remove()
    drawn = axes.flat[: len(schemes)]
    for ax, scheme in zip(drawn, schemes, strict=True):
        plot_step(data, scheme=scheme, gain=gain, ax=ax)
    low, high = axes[0, 0].get_xlim()
    bound = 1.05 * max(1.1, -low, high)
    axes[0, 0].set(xlim=(-bound, bound), ylim=(-bound, bound))
    figures.label_outer(figure)
    handles, circles = step_key(), "At rest s"
    if cells.own_of(data):
        circles = "Circles: s"
        handles = handles[:3]
        handles[0].set_label(_at(data))
    figures.legend_above(figure, handles)
    figures.caption(
        figure,
        f"Eigenvalues of $\\partial s_t/\\partial s_{{t-1}}$, s = {_state(data)}: "
        f"{_networks(data)}, gain {gain:g}. "
        f"{circles} = 0 and nothing is read; dots: the last of {_steps(data)}. {_resting(data)}of "
        "dots only products over many steps say so (rnnsim lyapunov).",
    )
    return figure


def _state(data: xr.Dataset) -> str:
    own = "(h, c)" if cells.cell_of(data) == "lstm" else "h"
    return f"{own} of all layers" if cells.layers_of(data) > 1 else own


def _steps(data: xr.Dataset) -> str:
    settings = figures.configuration(data)
    reads = cells.read_in_words(settings["task"])
    steps, sequences = settings["length"], data.sequence.size
    return f"{counted(steps, 'step')} of {counted(sequences, 'sequence')} of {reads}"


def _resting(data: xr.Dataset) -> str:
    """What circles say: a network of one's own, with biases, may not stay at s = 0."""
    if cells.own_of(data):
        return (
            "Where all circles lie inside modulus 1, and s = 0 stays, the network without input "
            "forgets; "
        )
    return "Where all circles lie inside modulus 1 the network without input forgets; "


def _singular_value_figure(data: xr.Dataset) -> Figure:
    schemes, gain = schemes_of(data), _gain(data)
    figure, axes = figures.new_figure(
        2, len(schemes), figsize=(max(3.2 * len(schemes), 8.0), 8.0), sharey="row", squeeze=False
    )
    for (above, under), scheme in zip(axes.T, schemes, strict=True):
        plot_blocks(data, scheme=scheme, gain=gain, ax=above)
        plot_stretch(data, scheme=scheme, gain=gain, ax=under)
    figures.letter(axes)
    figures.label_outer(figure)
    shown, every = blocks_shown(data), blocks_of(data)
    which = "blocks" if shown == every else "blocks in the highest layers"
    below = chr(ord("a") + len(schemes))
    figures.caption(
        figure,
        f"{_networks(data)}, gain {gain:g}; thin: each of them, thick: medians. From (a): the "
        f"{which} of W_hh, how far the state moves the sums of each gate. From ({below}): the "
        f"whole step, s = {_state(data)}, the last of {_steps(data)}; what lies above 1 is "
        "stretched.",
    )
    return figure


def _radius_figure(data: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 2, figsize=(12.5, 5.6), sharey=True)
    titles = {"rest_eigenvalue": _at(data), "eigenvalue": "at the last step"}
    for ax, (variable, title) in zip(axes, titles.items(), strict=True):
        lines = []
        for index, scheme in enumerate(schemes_of(data)):
            plot_radius(data, variable, scheme=scheme, index=index, ax=ax)
            lines += [line for line in ax.lines if line.get_label() == scheme]
        figures.name_lines(ax, lines)
        ax.set_title(title)
        figures.lower_end(ax)
    figures.letter(axes)
    figures.label_outer(figure)
    figures.caption(
        figure,
        f"Dots: {_networks(data)} at each gain, lines: median; (b): the median over "
        f"{counted(data.sequence.size, 'sequence')} of each. "
        f"{'' if cells.own_of(data) else 'Dashed: what many units come to at rest. '}"
        "Inputs open and close gates, and units saturate: what a step does then is not what it "
        "does at rest.",
    )
    return figure


def step_sentences(datasets: Datasets) -> list[str]:
    """What the figures show of one kind of networks, in words."""
    data = of_one_kind(datasets["steps"])
    return part("A step of the network", [_in_words(data, scheme) for scheme in schemes_of(data)])


def _in_words(data: xr.Dataset, scheme: str) -> str:
    gain = _gain(data)
    here = data.sel(gain=[gain])
    one = here.sel(scheme=scheme, gain=gain)
    rest, driven = (
        middle(radii(one, name), lambda x: f"{x:.2f}") for name in ("rest_eigenvalue", "eigenvalue")
    )
    expected = float(rest_radius(here, scheme)[0])
    known = f" (large H: {expected:.2f})" if np.isfinite(expected) else ""
    norms = ", ".join(
        f"{name} {_number(largest(one.sel(block=name), 'block_singular_value'))}"
        for name in blocks_of(data)
    )
    whose = "that of" if cells.is_plain(data) else "those of the blocks of W_hh"
    return (
        f"{scheme}: at gain {gain:g} the spectral radius of a step is {rest} {_at(data)}{known} "
        f"and {driven} at the last step, its largest singular value there "
        f"{_number(largest(one, 'singular_value'))}, {whose} {norms} (medians); "
        f"{_leaving(data, scheme)}."
    )


def _number(x: float) -> str:
    return "not known" if np.isnan(x) else f"{x:.2f}"


def _leaving(data: xr.Dataset, scheme: str) -> str:
    """Where rest loses stability."""
    critical = cells.gain_at_rest(data, scheme, figures.configuration(data)["activation"])
    expected = f" (large H: {critical:.2f})" if critical is not None else ""
    found, radius = crossing(data, scheme), rest_medians(data, scheme).values
    if np.isfinite(found):
        return f"the median radius {_at(data)} passes 1 at gain {found:.2f}{expected}"
    if (radius < 1).all():
        return f"{_at(data)} the median radius stays below 1 at every gain{expected}"
    if (radius >= 1).all():
        return f"{_at(data)} the median radius is 1 or more at every gain{expected}"
    return f"the median radius {_at(data)} does not rise through 1{expected}"


def _at(data: xr.Dataset) -> str:
    """Where s = 0 and nothing is read: networks of one's own, with biases, may not rest there."""
    return "at s = 0" if cells.own_of(data) else "at rest"
