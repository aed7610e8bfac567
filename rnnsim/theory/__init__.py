"""Formulas from the literature, each with its source and the range in which it holds.

Gains are those of `RNN.sample`: they multiply W_hh as drawn at gain 1. Where a formula asks for the
effective gain, that is the same for the scheme gaussian, else see `effective_gain`. Logs are
natural.
"""

from rnnsim.theory.aicher import AicherBound, aicher_decay_rate, aicher_log_bound
from rnnsim.theory.gates import chrono_log_norm, chrono_time_scale, gate_log_norm
from rnnsim.theory.meanfield import (
    MeanField,
    critical_gain,
    critical_input_variance,
    mean_field,
)
from rnnsim.theory.newman import newman_exponents, newman_variances
from rnnsim.theory.pascanu import pascanu_critical_gain, pascanu_log_bound, pascanu_vanishes
from rnnsim.theory.random_matrices import (
    circular_law_fraction,
    circular_law_log_moduli,
    effective_gain,
    singular_value_density,
    singular_value_edge,
    singular_value_fraction,
    singular_value_quantile,
    spectral_radius,
)
from rnnsim.theory.rest import critical_gain_at_rest
from rnnsim.theory.stacks import stack_log_norm

__all__ = [
    "AicherBound",
    "MeanField",
    "aicher_decay_rate",
    "aicher_log_bound",
    "chrono_log_norm",
    "chrono_time_scale",
    "circular_law_fraction",
    "circular_law_log_moduli",
    "critical_gain",
    "critical_gain_at_rest",
    "critical_input_variance",
    "effective_gain",
    "gate_log_norm",
    "mean_field",
    "newman_exponents",
    "newman_variances",
    "pascanu_critical_gain",
    "pascanu_log_bound",
    "pascanu_vanishes",
    "singular_value_density",
    "singular_value_edge",
    "singular_value_fraction",
    "singular_value_quantile",
    "spectral_radius",
    "stack_log_norm",
]
