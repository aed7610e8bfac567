"""Analyses: each module computes datasets, draws them, and says in words what they show.

A module has `Settings` (every parameter of its command), `compute`, `draw`, `summarise`, and plot
functions that take a dataset, `ax=None` and return the Axes. All of these are here by name, with
`Look` and `style`, and are loaded when they are asked for::

    from analysis import plot_norm_against_lag

Names that several modules use get the word of their family: `plot_spectrum` of the depths of stacks
is `plot_depth_spectrum`.
"""

from importlib import import_module
from typing import Any

_PLOTS = {  # module: the word that its names get here, its plots
    "gradients.norm_plots": (
        "",
        "norm_against_lag one_against_lag norm_against_length contributions map",
    ),
    "gradients.truncation_plots": (
        "",
        "error cosine one_error sufficient_window truncations bound",
    ),
    "gradients.phase_plots": ("", "phase"),
    "gradients.bias_variance_plots": ("", "bias_variance best_window"),
    "gradients.window_plots": ("window", "share score curves"),
    "spectra.spectrum_plots": (
        "",
        "eigenvalues singular_values against_gain by_scheme growth",
    ),
    "spectra.step_plots": ("step", "step blocks stretch radius"),
    "spectra.nonnormal_plots": ("nonnormal", "pseudospectrum powers gradients peak windows"),
    "dynamics.lyapunov_plots": (
        "lyapunov",
        "spectrum transition convergence finite_time attractor",
    ),
    "dynamics.isometry_plots": ("", "singular_values_against_lag histogram overlap"),
    "dynamics.phase_diagram": ("", "phase_diagram forwards_backwards"),
    "networks.cell_plots": (
        "cells",
        "norm_against_lag window_error cumulative_share exponents time_scales",
    ),
    "networks.depth_plots": (
        "depth",
        "norm_against_lag spectrum rates window_error window_by_depth",
    ),
    "networks.portrait_plots": (
        "portrait",
        "eigenvalues singular_values exponents map lags truncation",
    ),
    "networks.portrait_gated": (
        "gated_portrait",
        "eigenvalues gates exponents lags truncation",
    ),
    "networks.architecture_plots": ("architecture", "gradient_map row scores picture"),
    "training.training_plots": (
        "training",
        "against_updates gradient_norm eigenvalues bias reach",
    ),
    "training.gates": ("training", "time_scales"),
    "training.parts": ("training", "parts"),
    "training.learning_plots": ("learning", "solved within error"),
    "training.carry_plots": ("", "carry"),
    "explore.plots": ("explore", "norm error phase"),
    "diagnosis.plots.lag_plots": ("diagnosis", "gradient memory held"),
    "diagnosis.plots.window_plots": ("diagnosis", "shares window_errors parts"),
    "diagnosis.plots.state_plots": (
        "diagnosis",
        "states gates time_scales eigenvalues blocks",
    ),
    "diagnosis.plots.noise_plots": (
        "diagnosis",
        "bias_and_variance horizon norms cosines",
    ),
}


def _named(word: str, name: str) -> str:
    """The name here: of `step` of "step" plot_step, not plot_step_step."""
    return f"plot_{name}" if word in ("", name) else f"plot_{word}_{name}"


_TABLE = {
    _named(word, name): (module, f"plot_{name}")
    for module, (word, names) in _PLOTS.items()
    for name in names.split()
} | {name: ("frame.figures", name) for name in ("Look", "style")}

__all__ = sorted(_TABLE)


def __getattr__(name: str) -> Any:
    """A plot, loaded with its module."""
    if name not in _TABLE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, function = _TABLE[name]
    return getattr(import_module(f".{module}", __name__), function)


def __dir__() -> list[str]:
    """What is here, loaded or not."""
    return sorted({*globals(), *_TABLE})
