"""rnnsim: compiled ensembles of recurrent networks, their gradients and where these go.

Conventions: time-major arrays; N networks, T steps, B sequences, D inputs, H hidden units, V
outputs; every weight and every result has the network axis first; ``W[n, i, j]`` is the weight from
j to i; logs are natural.
"""

from typing import TYPE_CHECKING, Any

from rnnsim import tasks, theory
from rnnsim.boundary_flow import FlowNorms, PairFlow, pairs_flow
from rnnsim.decoding import exact_match, greedy_decode
from rnnsim.departure import with_departure
from rnnsim.encoder_decoder import EncoderDecoder
from rnnsim.exponents import LyapunovSpectrum
from rnnsim.flow import GradientFlow, gradient_flow
from rnnsim.gradients import Gradients, bptt, truncated_bptt
from rnnsim.jacobians import JacobianProducts, jacobian_products, jacobians
from rnnsim.kernels import StepNorms, Weights
from rnnsim.lyapunov import lyapunov_spectrum, product_exponents
from rnnsim.network import RNN
from rnnsim.nonnormality import NonNormality, nonnormality
from rnnsim.pair_gradients import PairEvaluation, PairGradients, pairs_bptt, pairs_evaluate
from rnnsim.pairs import Pairs
from rnnsim.pseudospectra import Pseudospectrum, pseudospectrum
from rnnsim.reach import GrowthRate, growth_rate, sufficient_window
from rnnsim.sequences import Sequences
from rnnsim.simulation import Evaluation, Forward, evaluate, forward
from rnnsim.sparse_spectra import LeadingSpectrum, leading_spectrum
from rnnsim.spectra import Spectrum, spectrum
from rnnsim.transients import transient_growth

if TYPE_CHECKING:
    from rnnsim.architectures import architecture_experiment
    from rnnsim.exponent_sweeps import lyapunov_sweep, phase_sweep
    from rnnsim.jacobian_sweeps import jacobian_sweep
    from rnnsim.learning_sweeps import learning_sweep
    from rnnsim.normality_sweeps import normality_sweep, pseudospectrum_sweep
    from rnnsim.store import load, save
    from rnnsim.sweeps import sweep
    from rnnsim.training import Training, train

__all__ = [
    "RNN",
    "EncoderDecoder",
    "Evaluation",
    "FlowNorms",
    "Forward",
    "GradientFlow",
    "Gradients",
    "GrowthRate",
    "JacobianProducts",
    "LeadingSpectrum",
    "LyapunovSpectrum",
    "NonNormality",
    "PairEvaluation",
    "PairFlow",
    "PairGradients",
    "Pairs",
    "Pseudospectrum",
    "Sequences",
    "Spectrum",
    "StepNorms",
    "Training",
    "Weights",
    "architecture_experiment",
    "bptt",
    "evaluate",
    "exact_match",
    "forward",
    "gradient_flow",
    "greedy_decode",
    "growth_rate",
    "jacobian_products",
    "jacobian_sweep",
    "jacobians",
    "leading_spectrum",
    "learning_sweep",
    "load",
    "lyapunov_spectrum",
    "lyapunov_sweep",
    "nonnormality",
    "normality_sweep",
    "pairs_bptt",
    "pairs_evaluate",
    "pairs_flow",
    "phase_sweep",
    "product_exponents",
    "pseudospectrum",
    "pseudospectrum_sweep",
    "save",
    "spectrum",
    "sufficient_window",
    "sweep",
    "tasks",
    "theory",
    "train",
    "transient_growth",
    "truncated_bptt",
    "with_departure",
]

_LAZY = {
    "sweep": "rnnsim.sweeps",
    "architecture_experiment": "rnnsim.architectures",
    "lyapunov_sweep": "rnnsim.exponent_sweeps",
    "phase_sweep": "rnnsim.exponent_sweeps",
    "jacobian_sweep": "rnnsim.jacobian_sweeps",
    "learning_sweep": "rnnsim.learning_sweeps",
    "normality_sweep": "rnnsim.normality_sweeps",
    "pseudospectrum_sweep": "rnnsim.normality_sweeps",
    "load": "rnnsim.store",
    "save": "rnnsim.store",
    "Training": "rnnsim.training",
    "train": "rnnsim.training",
}


def __getattr__(name: str) -> Any:
    """Import what needs xarray only when it is used: it costs more than all the rest."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
