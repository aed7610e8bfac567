"""Gradients of drawn networks: norms, truncation, the window that is trained through."""

from dataclasses import dataclass
from typing import Annotated

from ..frame.settings import (
    CORES,
    DRAW_HELP,
    GAIN_HELP,
    LEARNING,
    Cells,
    Command,
    Ensemble,
    Own,
    flag,
)

_GRADIENT_NORMS_GAINS = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
_MAP_GAINS = (0.75, 1.0, 2.0)


@dataclass(frozen=True)
class GradientNorms(Own, Cells, Ensemble):
    """What to simulate."""

    gain: Annotated[tuple[float, ...], flag(GAIN_HELP)] = _GRADIENT_NORMS_GAINS
    length: Annotated[tuple[int, ...], flag("Sequence lengths T, in steps.")] = (25, 50, 100, 200)
    scheme: Annotated[str, flag(DRAW_HELP)] = "gaussian"
    map_gain: Annotated[tuple[float, ...], flag("Gains whose map of time and lag is drawn.")] = (
        _MAP_GAINS
    )


GRADIENT_NORMS = Command(
    "analysis.gradients.gradient_norms",
    GradientNorms,
    "Norms against lag, length and time; where gradients vanish and explode.",
    (
        "gradient-norms",
        "gradient-norms --gain 0.5 1 2 --length 50 200 --task copy_memory",
        "gradient-norms --cell lstm gru --forget-bias 1 --n-hidden 32",
    ),
)


_TRUNCATION_GAINS = (0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)


@dataclass(frozen=True)
class Truncation(Own, Cells, Ensemble):
    """What to simulate."""

    gain: Annotated[tuple[float, ...], flag(GAIN_HELP)] = _TRUNCATION_GAINS
    length: Annotated[tuple[int, ...], flag("Sequence lengths T, in steps.")] = (50, 100, 200)
    windows: Annotated[
        tuple[int, ...] | None, flag("Truncation windows K; two per octave unless given.")
    ] = None
    tolerance: Annotated[float, flag("Relative error at which a window suffices.")] = 0.1
    scheme: Annotated[str, flag(DRAW_HELP)] = "gaussian"
    n_batches: Annotated[int, flag("Batches for bias and variance of windows.")] = 16
    n_updates: Annotated[int, flag("Updates of full BPTT between their two moments.")] = 200


TRUNCATION = Command(
    "analysis.gradients.truncation",
    Truncation,
    "Error and cosine of truncated gradients; the window that suffices.",
    (
        "truncation",
        "truncation --gain 0.9 1 1.1 --length 200 --tolerance 0.05",
        "truncation --weights network.pt --data sequences.npz --output results/mine",
    ),
)


@dataclass(frozen=True)
class Window(Cells):
    """What to train, and through which windows."""

    task: Annotated[str, flag("echo (repeat each symbol `delay` steps later) or copy_memory.")] = (
        "echo"
    )
    length: Annotated[int, flag("Sequence length T, in steps.")] = 48
    delay: Annotated[int, flag("Steps from a symbol to its echo.")] = 8
    n_symbols: Annotated[int, flag("Symbols.")] = 4
    n_memory: Annotated[int, flag("Symbols to recall, of copy_memory.")] = 2
    windows: Annotated[
        tuple[int, ...] | None,
        flag("Windows K; some to both sides of the delay unless given.", LEARNING),
    ] = None
    stride: Annotated[int, flag("Stride S of overlapping windows.", LEARNING)] = 4
    gain: Annotated[float, flag("Gain: factor of W_hh before training.")] = 0.9
    scheme: Annotated[str, flag(DRAW_HELP)] = "gaussian"
    activation: Annotated[str, flag("tanh, sigmoid, relu or linear.")] = "tanh"
    network_seeds: Annotated[int, flag("Networks, the same for all windows.")] = 5
    data_seed: Annotated[int, flag("Seed of batches and test data.")] = 0
    n_hidden: Annotated[int, flag("Hidden units H.")] = 32
    batch_size: Annotated[int, flag("Sequences B per batch.")] = 16
    n_batches: Annotated[
        int, flag("Batches, and updates, that are compared; rounded down to tens.", LEARNING)
    ] = 600
    optimizer: Annotated[str, flag("sgd, momentum, adam, rmsprop or adagrad.", LEARNING)] = "adam"
    learning_rate: Annotated[float, flag("Learning rate.", LEARNING)] = 0.003
    clip_norm: Annotated[float, flag("Largest norm of a gradient; 0: not clipped.", LEARNING)] = 1.0
    dtype: Annotated[str, flag("float64 or float32.")] = "float64"
    n_threads: Annotated[int | None, flag("Threads; all cores unless given.", CORES)] = None


WINDOW = Command(
    "analysis.gradients.window",
    Window,
    "Final score against truncation window, below and above a dependency of known length.",
    (
        "window",
        "window --delay 12 --windows 4 8 13 16 32 --n-batches 300",
        "window --task copy_memory --length 30 --cell lstm --forget-bias 1",
    ),
)
