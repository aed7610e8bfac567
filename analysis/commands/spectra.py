"""Spectra of W_hh, and what eigenvalues do not tell."""

from dataclasses import dataclass
from typing import Annotated

from ..frame.settings import GAIN_HELP, SCHEME_HELP, Cells, Command, Ensemble, Own, flag

_SPECTRA_GAINS = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 2.5, 3.0)


@dataclass(frozen=True)
class Spectra(Own, Cells, Ensemble):
    """What to simulate."""

    gain: Annotated[tuple[float, ...], flag(GAIN_HELP)] = _SPECTRA_GAINS
    spectrum_gain: Annotated[
        float | None,
        flag("Gain whose eigen- and singular values are drawn; 1.5 unless given, of --weights 1."),
    ] = None
    length: Annotated[int, flag("Sequence length T of the gradients, in steps.")] = 100
    scheme: Annotated[tuple[str, ...], flag(SCHEME_HELP)] = (
        "gaussian", "orthogonal", "identity", "uniform",
    )  # fmt: skip


SPECTRA = Command(
    "analysis.spectra.spectra",
    Spectra,
    "Eigenvalues, singular values, normality; growth of gradients against the radius.",
    (
        "spectra",
        "spectra --scheme gaussian orthogonal --gain 0.5 1 1.5",
        "spectra --weights network.pt",
    ),
)


_SCALES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class Nonnormal(Cells, Ensemble):
    """What to simulate."""

    cell: Annotated[
        tuple[str, ...], flag("vanilla alone: of gated cells see spectra and isometry.")
    ] = ("vanilla",)
    forget_bias: Annotated[tuple[float, ...], flag("0 alone, as there are no gates.")] = (0.0,)
    n_layers: Annotated[tuple[int, ...], flag("1 alone: of stacks see spectra and isometry.")] = (
        1,
    )
    batch_size: Annotated[int, flag("Sequences B per batch.")] = 8
    activation: Annotated[tuple[str, ...], flag("Several of linear, tanh, sigmoid, relu.")] = (  # type: ignore[assignment]
        "linear",
        "tanh",
    )
    scale: Annotated[tuple[float, ...], flag("Factors of the departure; 1: as drawn.")] = _SCALES
    plane_scale: Annotated[tuple[float, ...], flag("Those whose pseudospectra are drawn.")] = (
        0.0,
        1.0,
        2.0,
    )
    radius: Annotated[float, flag("Spectral radius of all W_hh, below 1.")] = 0.9
    length: Annotated[int, flag("Sequence length T, in steps.")] = 150
    tolerance: Annotated[float, flag("Error of the gradient at which a window suffices.")] = 0.1
    n_points: Annotated[int, flag("Points on each axis of the pseudospectra.")] = 81
    scheme: Annotated[str, flag(SCHEME_HELP)] = "gaussian"


NONNORMAL = Command(
    "analysis.spectra.nonnormal",
    Nonnormal,
    "The same eigenvalues, more or less normal: pseudospectra, transients, gradients, windows.",
    (
        "nonnormal",
        "nonnormal --scale 0 1 3 --plane-scale 1 --radius 0.95",
    ),
)
