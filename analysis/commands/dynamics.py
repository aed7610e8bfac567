"""Long products of Jacobians: exponents, phases, isometry."""

from dataclasses import dataclass
from typing import Annotated

from ..frame.settings import (
    DRAW_HELP,
    GAIN_HELP,
    TASK_HELP,
    Cells,
    Command,
    Ensemble,
    Networks,
    Own,
    flag,
)

_LYAPUNOV_GAINS = (0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0)


@dataclass(frozen=True)
class Lyapunov(Own, Cells, Ensemble):
    """What to simulate."""

    task: Annotated[str, flag(f"{TASK_HELP} Its inputs are what --driven networks read.")] = (
        "characters"
    )
    n_hidden: Annotated[int, flag("Hidden units H of all figures but the transition.")] = 64
    network_seeds: Annotated[int, flag("Networks per gain.")] = 8
    batch_size: Annotated[int, flag("Sequences B: input sequences, or initial states.")] = 1
    gain: Annotated[tuple[float, ...], flag(GAIN_HELP)] = _LYAPUNOV_GAINS
    transition_n_hidden: Annotated[tuple[int, ...], flag("Sizes H of the transition.")] = (
        32,
        64,
        128,
    )
    driven: Annotated[
        bool, flag("Read the task's inputs; without, and without --data, the input is 0.")
    ] = False
    n_steps: Annotated[int, flag("Steps, burn-in included.")] = 2500
    burn_in: Annotated[int, flag("Steps before measuring begins.")] = 500
    block_steps: Annotated[int, flag("Steps of a block, of finite-time exponents.")] = 20
    scheme: Annotated[str, flag(DRAW_HELP)] = "gaussian"


LYAPUNOV = Command(
    "analysis.dynamics.lyapunov",
    Lyapunov,
    "Lyapunov spectra, the transition to chaos, convergence, finite-time exponents.",
    (
        "lyapunov",
        "lyapunov --driven --task sentences --n-hidden 32",
        "lyapunov --gain 0.9 1 1.1 1.5 --n-steps 5000 --burn-in 1000 --cell gru",
    ),
)


_PHASE_DIAGRAM_GAINS = (0.5, 0.75, 1.0, 1.1, 1.2, 1.35, 1.5, 1.65, 1.8, 2.0, 2.2, 2.4, 2.7, 3.0)
_STRENGTHS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.25, 1.5)


@dataclass(frozen=True)
class PhaseDiagram(Cells, Networks):
    """What to simulate."""

    network_seeds: Annotated[int, flag("Networks per gain and strength.")] = 5
    batch_size: Annotated[int, flag("Sequences B, each with its own noise and first state.")] = 1
    gain: Annotated[tuple[float, ...], flag(GAIN_HELP)] = _PHASE_DIAGRAM_GAINS
    strength: Annotated[tuple[float, ...], flag("Standard deviations over units.")] = _STRENGTHS
    drive: Annotated[str, flag("What has that strength: input (white noise) or bias (frozen).")] = (
        "input"
    )
    n_steps: Annotated[int, flag("Steps, burn-in included.")] = 800
    burn_in: Annotated[int, flag("Steps before measuring begins.")] = 100
    scheme: Annotated[str, flag(DRAW_HELP)] = "gaussian"


PHASE_DIAGRAM = Command(
    "analysis.dynamics.phase_diagram",
    PhaseDiagram,
    "Chaos and exploding gradients over gain and the strength of input or biases.",
    (
        "phase-diagram",
        "phase-diagram --drive bias --strength 0 0.5 1 --n-hidden 128",
        "phase-diagram --gain 1 1.5 2 --activation relu --n-steps 400",
    ),
)


_LAGS = (1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100)


@dataclass(frozen=True)
class Isometry(Cells, Ensemble):
    """What to simulate."""

    network_seeds: Annotated[int, flag("Networks per scheme and gain.")] = 3
    batch_size: Annotated[int, flag("Sequences B along which products are taken.")] = 2
    gain: Annotated[tuple[float, ...], flag(GAIN_HELP)] = (0.75, 1.0, 1.5)
    histogram_gain: Annotated[float, flag("Gain whose histograms are drawn.")] = 1.0
    scheme: Annotated[tuple[str, ...], flag(DRAW_HELP)] = ("gaussian", "orthogonal", "identity")
    lags: Annotated[tuple[int, ...], flag("Lags k, ascending.")] = _LAGS
    length: Annotated[int, flag("Sequence length T, in steps; products end at its end.")] = 200
    exponent_steps: Annotated[int, flag("Steps from which Lyapunov exponents come.")] = 1000


ISOMETRY = Command(
    "analysis.dynamics.isometry",
    Isometry,
    "Singular values of products of Jacobians; dynamical isometry.",
    (
        "isometry",
        "isometry --scheme orthogonal --gain 0.9 1 1.1 --lags 1 10 100",
        "isometry --cell lstm --forget-bias 1 --n-hidden 32",
    ),
)
