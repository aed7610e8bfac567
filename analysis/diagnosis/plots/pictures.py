"""The pictures of a report: which panels stand together, what they say, and their numbers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from ...frame import figures
from ...frame.report import Curve, Picture
from . import lag_plots, noise_plots, state_plots, window_plots
from .points import Points, table
from .sides import Found, sides


class Panel(NamedTuple):
    """A plot, the points that it draws, of findings that are not known none, and how it is read."""

    plot: Callable[..., Axes]
    points: Callable[[Found], list[Points]]
    how: str = ""
    bars: bool = False


class Kind(NamedTuple):
    """A picture that a report may have; `findings` are those whose sentences explain it."""

    name: str
    title: str
    head: str
    findings: Sequence[str]
    panels: Sequence[Panel]
    stacked: bool = False


_GRADIENT = Panel(
    lag_plots.plot_gradient, lag_plots.gradient_points,
    "The size of the gradient is the typical one, of a loss with respect to the state k steps "
    "before it: a straight line is one rate, the thin black one was fitted.",
)  # fmt: skip
_MEMORY = Panel(
    lag_plots.plot_memory, lag_plots.memory_points,
    "The loss is that when the state is set to 0 so many steps before it: where the curve is "
    "level, nothing is seen of what lies further back.",
)  # fmt: skip
_SHARES = Panel(
    window_plots.plot_shares, window_plots.share_points,
    "Large markers on the left are the windows that keep 90 %.",
)  # fmt: skip
_ERRORS = Panel(
    window_plots.plot_window_errors, window_plots.error_points,
    "Large markers on the curve of errors are the windows from which on it is below 10 % and 1 %.",
)  # fmt: skip
_BIAS = Panel(
    noise_plots.plot_bias_and_variance, noise_plots.error_points,
    "bias^2 and variance are beside the square of the mean gradient. Estimates of 0 or below are "
    "not drawn: they are not to be told from 0.",
)  # fmt: skip
_GATES = Panel(
    state_plots.plot_gates, state_plots.gate_points,
    "Low is below .1 and high above .9; of g and n, which run from -1 to 1, below -.9 and above "
    ".9.",
)  # fmt: skip
_EIGENVALUES = Panel(
    state_plots.plot_eigenvalues, state_plots.eigenvalue_points,
    "Grey is the unit circle, on which a linear network neither forgets nor grows.",
)  # fmt: skip
_STATES = Panel(
    state_plots.plot_states, state_plots.state_points, "The first point is the length of the data."
)
_HELD = Panel(
    lag_plots.plot_held, lag_plots.held_points,
    "The change of h is that of its root mean square when only so many steps before the loss are "
    "read: what h does not hold, no loss can see.",
)  # fmt: skip

KINDS: tuple[Kind, ...] = (
    Kind(
        "gradient-and-memory", "How far back gradients go, and what is there", "steps back",
        ("gradient_rate", "change_over_window", "forward_memory"), (_GRADIENT, _MEMORY),
        stacked=True,
    ),
    Kind(
        "windows", "What a window keeps of the gradient", "window",
        ("reach_W_hh", "reach_W_xh", "window_error", "window_for_10_percent"), (_SHARES, _ERRORS),
    ),
    Kind(
        "layers-and-gates", "Which layers and gates the gradient is in", "part",
        ("gradient_by_layer_and_gate",),
        (Panel(window_plots.plot_parts, window_plots.part_points, bars=True),),
    ),
    Kind(
        "noise-beside-bias", "Noise of batches beside the bias of a window", "window or lag",
        ("noise_and_bias", "best_window", "horizon"),
        (_BIAS, Panel(noise_plots.plot_horizon, noise_plots.lag_points)),
    ),
    Kind(
        "states", "What states hold, and where they go", "steps",
        ("state_memory", "carried_state", "idle_units", "effective_rank"), (_HELD, _STATES),
    ),
    Kind(
        "gates", "What gates do", "gate or unit", ("gates", "time_scale"),
        (_GATES, Panel(state_plots.plot_time_scales, state_plots.time_points)),
    ),
    Kind(
        "clipping", "What clipping does to gradients", "batch",
        ("clipping_by_norm", "clipping_by_norm_cosine", "clipping_by_value",
         "clipping_by_value_cosine"),
        (Panel(noise_plots.plot_norms, noise_plots.norm_points),
         Panel(noise_plots.plot_cosines, noise_plots.cosine_points)),
    ),
    Kind(
        "recurrent-matrix", "The matrix of the recurrence", "part", ("spectrum", "non_normality"),
        (_EIGENVALUES, Panel(state_plots.plot_blocks, state_plots.block_points, bars=True)),
    ),
)  # fmt: skip


def pictures(found: Found) -> list[Picture]:
    """Those of which something is known; each explained by the sentences of its findings."""
    drawn = (_picture(kind, found) for kind in KINDS)
    return [each for each in drawn if each is not None]


def _picture(kind: Kind, found: Found) -> Picture | None:
    panels = [panel for panel in kind.panels if panel.points(found)]
    if not panels:
        return None
    shape = (len(panels), 1) if kind.stacked else (1, len(panels))
    size = (7.6, 3.6 * len(panels)) if kind.stacked else (4.7 * len(panels) + 0.9, 4.2)
    shared: dict[str, Any] = {"sharex": True} if kind.stacked else {}
    figure, axes = figures.new_figure(*shape, figsize=size, **shared)
    curves: list[Curve] = []
    told: list[Points] = []
    for panel, ax in zip(panels, np.atleast_1d(axes), strict=True):
        panel.plot(found, ax=ax)
        points = panel.points(found)
        told += points
        curves += [each.curve(ax) for each in points]
        if panel.bars:
            n_bars = len(ax.get_yticks())
            figure.set_size_inches(size[0], max(size[1], 1.6 + 0.24 * n_bars))
        if kind.stacked:
            ax.tick_params(labelbottom=True)
    curves = [each for each in curves if len(each.texts)]
    numbers = table(f"{kind.title}: the numbers.", kind.head, told)
    return Picture(kind.name, kind.title, _words(kind, panels, found), figure, curves, numbers)


def _words(kind: Kind, panels: Sequence[Panel], found: Found) -> str:
    """The sentences of findings that are known, each network's by its name; how to read it."""
    said = []
    for side in sides(found):
        known = [each for each in map(side.finding, kind.findings) if each.known]
        if known:
            said.append(side.told(" ".join(each.words for each in known)))
    how = " ".join(panel.how for panel in panels if panel.how)
    return "\n".join([*said, *[how] * bool(how)])
