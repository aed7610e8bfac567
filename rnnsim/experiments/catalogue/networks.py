"""Variables of single networks and of stacks, looked at closely."""

import numpy as np

from rnnsim.data.datasets import Variable
from rnnsim.data.labels.tables import LN, NONE, RATE, SHARE, STEPS, table

# One network.

PORTRAIT = table(
    (),
    {
        "eigenvalues": ("unit", NONE, "eigenvalues of W_hh", complex),
        "singular_values": ("unit", NONE, "singular values of W_hh, descending"),
        "spectral_radius": ("", NONE, "largest modulus"),
        "spectral_norm": ("", NONE, "largest singular value"),
        "henrici": ("", NONE, "departure from normality"),
        "henrici_relative": ("", NONE, SHARE),
        "theory_radius": ("", NONE, "spectral radius, large H"),
        "theory_singular_values": ("unit", NONE, "singular values, large H"),
        "theory_exponent": ("", RATE, "lambda_1, mean field"),
        "exponents": ("unit", RATE, "Lyapunov exponents, descending"),
        "exponent_errors": ("unit", RATE, "standard errors"),
        "exponents_of_sequences": (
            "sequence unit", RATE, "Lyapunov exponents along each sequence"),
        "kaplan_yorke": ("", NONE, "Kaplan-Yorke dimension"),
        "kaplan_yorke_low": ("", NONE, "the same with all exponents two errors lower"),
        "kaplan_yorke_high": ("", NONE, "the same with all exponents two errors higher"),
        "entropy_rate": ("", RATE, "sum of positive exponents"),
        "lag": ("lag", STEPS, "lag k"),
        "window": ("window", STEPS, "window K"),
        "column": ("column", "step", "step $t$ of the loss"),
        "log_norm_map": (
            "column lag", LN, "mean over sequences of ln ||dl_t/dh_{t-k}|| at step t, lag k"),
        "log_change_map": (
            "column lag", LN, "the same relative to lag 0, of each living sequence to its own"),
        "log_norms": (
            "sequence lag", LN,
            "mean over steps of ln ||dl_t/dh_{t-k}||/||dl_t/dh_t||, over those that all lags reach"
        ),
        "growth_rate": ("", RATE, "fitted change of log norms per lag"),
        "growth_rate_error": (
            "", RATE, "standard error of that over draws of data, for this network"),
        "growth_first_lag": ("", STEPS, "first lag of the fit", np.int64),
        "growth_last_lag": ("", STEPS, "last lag of the fit", np.int64),
        "growth_live": (
            "", NONE, "fraction of steps and sequences with a norm above 0 at the last lag"),
        "growth_early": ("", RATE, "growth rate over the first half of these lags"),
        "growth_late": ("", RATE, "growth rate over the second half of these lags"),
        "growth_single": ("", NONE, "0 where these differ beyond their error"),
        "truncation_log_error": (
            "window", LN, "ln(||g_K - g||_F/||g||_F) of dL/dW_hh, not below its rounding"),
        "sufficient_window": ("", STEPS, "smallest window within tolerance"),
        "mean_slope": ("", NONE, "phi' over steps, sequences, units"),
        "first_nonfinite": ("", "step", "-1 if all is finite", np.int64),
    },
)  # fmt: skip
# Where few steps carry loss, the last of them alone, sequence by sequence.
PORTRAIT_BY_SEQUENCE = PORTRAIT | table(
    (),
    {
        "column": ("column", NONE, "sequence"),
        "log_norm_map": (
            "column lag", LN, "ln ||dl_t/dh_{t-k}|| of a sequence, t the last, lag k"),
    },
)  # fmt: skip

# Of a gated network, `unit` counts the numbers of its state; what is else is as of others.
_VANILLA_ONLY = (
    "eigenvalues singular_values spectral_radius spectral_norm henrici henrici_relative "
    "theory_radius theory_singular_values theory_exponent mean_slope"
).split()
_GATED = table(
    (),
    {
        "jacobian_eigenvalues": (
            "point unit", NONE, "eigenvalues of a step's Jacobian of the state", complex),
        "jacobian_radius": ("point", NONE, "largest modulus of these"),
        "jacobian_norm": ("point", NONE, "largest singular value of that Jacobian"),
        "gate_singular_values": (
            "gate direction", NONE, "singular values of a gate's block of W_hh, descending"),
        "truncation_log_error": (
            "window", LN,
            "ln(||g_K - g||/||g||) of dL/d[W_hh, W_xh, b_h], not below its rounding"),
        "sufficient_window_by_gate": ("gate", STEPS, "of the rows of a gate alone"),
        "log_norms_of_parts": (
            "part lag", LN,
            "mean over steps and sequences of ln ||dl_t/d part||, less that of the state at lag 0"),
    },
)  # fmt: skip


def of_gated(variables: dict[str, Variable]) -> dict[str, Variable]:
    """A portrait of a gated network, in place of one of a vanilla network."""
    return {name: v for name, v in variables.items() if name not in _VANILLA_ONLY} | _GATED


_STACK = _GATED | table(
    (),
    {
        "gate_singular_values": (
            "gate direction", NONE, "singular values of the blocks of each layer's W_hh, "
            "descending"),
        "truncation_log_error_of_layers": (
            "layer window", LN, "truncation_log_error of the weights of one layer"),
        "sufficient_window": (
            "", STEPS, "smallest window within tolerance in each layer's weights"),
        "sufficient_window_by_layer": ("layer", STEPS, "of the weights of one layer"),
        "log_norms_of_parts": (
            "part lag", LN,
            "mean over steps and sequences of ln ||dl_t/dh|| of a layer by all paths, less that of "
            "the whole state at lag 0"),
    },
)  # fmt: skip


def of_stack(variables: dict[str, Variable]) -> dict[str, Variable]:
    """A portrait of a stack, in place of one of a vanilla network."""
    kept = {name: v for name, v in variables.items() if name not in _VANILLA_ONLY}
    return {k: v for k, v in (kept | _STACK).items() if k != "sufficient_window_by_gate"}


# Stacks, layer by layer; layer 1 is the lowest.

DEPTH = table(
    ("n_layers", "network_seed"),
    {
        "log_norm": (
            "layer lag", LN,
            "mean over steps and sequences of ln(||dl_t/dh_{t-k}||/||dl_t/dh_t||), h of the layer, "
            "by all paths"),
        "theory_log_norm": (
            "layer lag", LN,
            "ln[C(k+d, d) rho^k], d layers below the top, ln rho the rate into the layer"),
        "exponent": ("rank", RATE, "Lyapunov exponents of the stack: of all layers, descending"),
        "layer_exponent": (
            "layer unit", RATE, "those of a layer that the one below drives, descending"),
        "rate": ("layer", RATE, "largest layer_exponent from this layer up to the top"),
        "slope": ("layer", RATE, "growth_rate of the gradient into the layer, (h, c) of LSTMs"),
        "slope_error": ("layer", RATE, "standard errors"),
        "window_log_error": (
            "layer window", LN,
            "ln(||g_K - g||/||g||) of dL/d[W_hh, W_xh, b_h] of the layer, not below its rounding"),
        "joint_window_log_error": ("window", LN, "the same of all layers as one vector"),
        "sufficient_window": (
            "layer", STEPS, "smallest window from which on that of the layer is in tolerance"),
        "largest_window": ("", STEPS, "the largest of these: the window that suffices for each"),
        "first_nonfinite": ("", "step", "-1 if all is finite", np.int64),
    },
)  # fmt: skip

# One step of many networks.

STEPS_OF_NETWORKS = table(
    ("scheme", "gain", "network_seed"),
    {
        "rest_eigenvalue": (
            "value", NONE, "eigenvalues of ds_t/ds_{t-1} at rest, descending modulus", complex),
        "eigenvalue": (
            "sequence value", NONE, "eigenvalues of ds_T/ds_{T-1}, descending modulus", complex),
        "singular_value": (
            "sequence value", NONE, "singular values of ds_T/ds_{T-1}, descending"),
        "block_singular_value": (
            "block unit", NONE, "singular values of a block of W_hh, descending"),
    },
)  # fmt: skip
