"""rnnsim: compiled ensembles of recurrent networks, their gradients and where these go.

Conventions: time-major arrays; N networks, T steps, B sequences, D inputs, H hidden units, V
outputs; every weight and every result has the network axis first; ``W[n, i, j]`` is the weight from
j to i; logs are natural.
"""

from typing import TYPE_CHECKING, Any

from rnnsim import tasks, theory
from rnnsim.data.gradients import LossGradients
from rnnsim.data.pairs import Pairs
from rnnsim.data.sequences import Sequences
from rnnsim.dynamics.eigenvalues import JacobianSpectrum, jacobian_spectrum
from rnnsim.dynamics.exponents import LyapunovSpectrum
from rnnsim.dynamics.gates import GateStatistics, gate_statistics
from rnnsim.dynamics.jacobians import JacobianProducts, jacobian_products, jacobians
from rnnsim.dynamics.lyapunov import lyapunov_spectrum, product_exponents
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.flow.growth import GrowthRate, growth_rate
from rnnsim.flow.maps import GradientMap, gradient_map
from rnnsim.flow.pairs import FlowNorms, PairFlow, pairs_flow
from rnnsim.flow.reach import Reach, reach, sufficient_window, window_between
from rnnsim.flow.results import GradientFlow, Windows
from rnnsim.flow.windows.bias_variance import window_bias_variance
from rnnsim.flow.windows.results import WindowBiasVariance
from rnnsim.gradients.bptt import Gradients, bptt
from rnnsim.gradients.decoding import exact_match, greedy_decode
from rnnsim.gradients.pairs import PairEvaluation, PairGradients, pairs_bptt, pairs_evaluate
from rnnsim.gradients.simulation import Evaluation, Forward, evaluate, forward
from rnnsim.gradients.truncated import truncated_bptt
from rnnsim.kernels import StepNorms, Weights
from rnnsim.kernels.training.learning import Segment
from rnnsim.networks.encoder_decoder import EncoderDecoder
from rnnsim.networks.initialisation import SCHEMES
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Stack
from rnnsim.progress import announce_compiling
from rnnsim.spectra.departure import with_departure
from rnnsim.spectra.leading import LeadingSpectrum, leading_spectrum
from rnnsim.spectra.nonnormality import NonNormality, nonnormality
from rnnsim.spectra.powers import transient_growth
from rnnsim.spectra.pseudospectra import Pseudospectrum, pseudospectrum
from rnnsim.spectra.spectrum import GateSpectrum, Spectrum, spectrum
from rnnsim.training.schedules import truncation_schedule

if TYPE_CHECKING:
    from rnnsim.diagnosis.diagnose import diagnose
    from rnnsim.diagnosis.findings import Finding
    from rnnsim.diagnosis.result import Comparison, Diagnosis
    from rnnsim.experiments.architectures.experiment import architecture_experiment
    from rnnsim.experiments.depth import depth_sweep
    from rnnsim.experiments.merging import merge
    from rnnsim.experiments.portraits.portrait import portrait
    from rnnsim.experiments.steps import step_sweep
    from rnnsim.experiments.store import load, save
    from rnnsim.experiments.sweeps.bias_variance import bias_variance_sweep
    from rnnsim.experiments.sweeps.cells import cell_sweep
    from rnnsim.experiments.sweeps.exponents import lyapunov_sweep, phase_sweep
    from rnnsim.experiments.sweeps.gradients import sweep
    from rnnsim.experiments.sweeps.jacobians import jacobian_sweep
    from rnnsim.experiments.sweeps.learning import learning_sweep
    from rnnsim.experiments.sweeps.normality import normality_sweep, pseudospectrum_sweep
    from rnnsim.experiments.sweeps.training import training_sweep
    from rnnsim.experiments.sweeps.windows import window_sweep
    from rnnsim.importing.data_files import read_sequences
    from rnnsim.importing.describe import Description, describe
    from rnnsim.importing.read import from_state_dict, read_network
    from rnnsim.importing.write import write_network
    from rnnsim.probing.monitor import Monitor
    from rnnsim.probing.probe import Probe, probe
    from rnnsim.probing.records import ProbeRecord
    from rnnsim.training.train import Training, train

__all__ = [
    "RNN",
    "SCHEMES",
    "Comparison",
    "Description",
    "Diagnosis",
    "EncoderDecoder",
    "Evaluation",
    "Finding",
    "FlowNorms",
    "Forward",
    "GateSpectrum",
    "GateStatistics",
    "GradientFlow",
    "GradientMap",
    "Gradients",
    "GrowthRate",
    "JacobianProducts",
    "JacobianSpectrum",
    "LeadingSpectrum",
    "LossGradients",
    "LyapunovSpectrum",
    "Monitor",
    "NonNormality",
    "PairEvaluation",
    "PairFlow",
    "PairGradients",
    "Pairs",
    "Probe",
    "ProbeRecord",
    "Pseudospectrum",
    "Reach",
    "Segment",
    "Sequences",
    "Spectrum",
    "Stack",
    "StepNorms",
    "Training",
    "Weights",
    "WindowBiasVariance",
    "Windows",
    "architecture_experiment",
    "bias_variance_sweep",
    "bptt",
    "cell_sweep",
    "depth_sweep",
    "describe",
    "diagnose",
    "evaluate",
    "exact_match",
    "forward",
    "from_state_dict",
    "gate_statistics",
    "gradient_flow",
    "gradient_map",
    "greedy_decode",
    "growth_rate",
    "jacobian_products",
    "jacobian_spectrum",
    "jacobian_sweep",
    "jacobians",
    "leading_spectrum",
    "learning_sweep",
    "load",
    "lyapunov_spectrum",
    "lyapunov_sweep",
    "merge",
    "nonnormality",
    "normality_sweep",
    "pairs_bptt",
    "pairs_evaluate",
    "pairs_flow",
    "phase_sweep",
    "portrait",
    "probe",
    "product_exponents",
    "pseudospectrum",
    "pseudospectrum_sweep",
    "reach",
    "read_network",
    "read_sequences",
    "save",
    "spectrum",
    "step_sweep",
    "sufficient_window",
    "sweep",
    "tasks",
    "theory",
    "train",
    "training_sweep",
    "transient_growth",
    "truncated_bptt",
    "truncation_schedule",
    "window_between",
    "window_bias_variance",
    "window_sweep",
    "with_departure",
    "write_network",
]

_LAZY = {
    "Comparison": "rnnsim.diagnosis.result",
    "Diagnosis": "rnnsim.diagnosis.result",
    "Finding": "rnnsim.diagnosis.findings",
    "diagnose": "rnnsim.diagnosis.diagnose",
    "sweep": "rnnsim.experiments.sweeps.gradients",
    "architecture_experiment": "rnnsim.experiments.architectures.experiment",
    "cell_sweep": "rnnsim.experiments.sweeps.cells",
    "depth_sweep": "rnnsim.experiments.depth",
    "step_sweep": "rnnsim.experiments.steps",
    "bias_variance_sweep": "rnnsim.experiments.sweeps.bias_variance",
    "lyapunov_sweep": "rnnsim.experiments.sweeps.exponents",
    "phase_sweep": "rnnsim.experiments.sweeps.exponents",
    "jacobian_sweep": "rnnsim.experiments.sweeps.jacobians",
    "learning_sweep": "rnnsim.experiments.sweeps.learning",
    "normality_sweep": "rnnsim.experiments.sweeps.normality",
    "pseudospectrum_sweep": "rnnsim.experiments.sweeps.normality",
    "merge": "rnnsim.experiments.merging",
    "portrait": "rnnsim.experiments.portraits.portrait",
    "training_sweep": "rnnsim.experiments.sweeps.training",
    "window_sweep": "rnnsim.experiments.sweeps.windows",
    "read_sequences": "rnnsim.importing.data_files",
    "load": "rnnsim.experiments.store",
    "save": "rnnsim.experiments.store",
    "Training": "rnnsim.training.train",
    "train": "rnnsim.training.train",
    "Description": "rnnsim.importing.describe",
    "describe": "rnnsim.importing.describe",
    "Monitor": "rnnsim.probing.monitor",
    "Probe": "rnnsim.probing.probe",
    "ProbeRecord": "rnnsim.probing.records",
    "probe": "rnnsim.probing.probe",
    "from_state_dict": "rnnsim.importing.read",
    "read_network": "rnnsim.importing.read",
    "write_network": "rnnsim.importing.write",
}


announce_compiling()


def __getattr__(name: str) -> Any:
    """Import what needs xarray only when it is used: it costs more than all the rest."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Every public name, those that are not loaded yet included."""
    return sorted({*globals(), *__all__})
