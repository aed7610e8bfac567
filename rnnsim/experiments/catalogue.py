"""What every variable of every study is: its axes, its unit, its name in words."""

from typing import Any

import numpy as np

from rnnsim.data.datasets import Variable
from rnnsim.training.records import VARIABLES as RECORDED

_LN, _RATE, _STEPS, _NONE = "nats", "nats/step", "steps", "1"


def _table(dims: tuple[str, ...], entries: dict[str, tuple[Any, ...]]) -> dict[str, Variable]:
    """Variables that share their first axes; each has its other axes, unit, name and any dtype."""
    return {
        name: Variable((*dims, *own.split()), *meaning) for name, (own, *meaning) in entries.items()
    }


# By whether targets are classes: cross-entropies are in nats, squared errors have no unit.
LOSS_UNITS = {True: _LN, False: _NONE}

# Sweeps of gradients, by measure.

_OF_DRAW = ("task", "scheme", "n_hidden", "gain", "network_seed")
_OF_RUN = ("task", "scheme", "activation", *_OF_DRAW[2:], "data_seed", "length")
_SHARE = "departure from normality / ||W_hh||_F"

GRADIENTS = _table(
    _OF_RUN,
    {
        "loss": ("", _NONE, "loss L, averaged over sequences, summed over steps"),
        "loss_weight": ("", _NONE, "loss weights, summed over steps, averaged over sequences"),
        "log_gradient_norm": ("", _LN, "ln ||dL/dW_hh||_F"),
        "log_gradient_norm_per_weight": ("", _LN, "ln(||dL/dW_hh||_F / loss_weight)"),
        "log_gradient_norm_all": ("", _LN, "ln ||dL/dW||, all weights together"),
        "cancellation": ("", _NONE, "||sum_t dL/dW_hh^(t)||_F / sum_t ||dL/dW_hh^(t)||_F"),
        "first_nonfinite": ("", "step", "step that left the float range, -1 if none"),
    },
)
STEPS = _table(
    _OF_RUN,
    {
        "log_step_norm": ("time", _LN, "ln ||dL/dW_hh^(t)||_F at step t"),
        "log_state_norm": ("time", _LN, "ln ||dL/dh_t||_F at step t"),
    },
)
TRUNCATION = _table(
    _OF_RUN,
    {
        "truncated_log_norm": ("truncation window", _LN, "ln ||dL/dW_hh||_F of truncated BPTT"),
        "truncated_log_norm_per_weight": (
            "truncation window", _LN, "ln(||dL/dW_hh||_F of TBPTT / loss weight)"),
        "truncation_log_error": (
            "truncation window", _LN, "ln(||g_K - g||_F / ||g||_F) of dL/dW_hh"),
        "truncation_cosine": ("truncation window", _NONE, "cosine of truncated and full dL/dW_hh"),
        "sufficient_window": (
            "", _STEPS, "smallest window from which on the sliding error stays in tolerance"),
        "largest_state_norm": ("", _NONE, "largest ||h_t|| of any step and sequence"),
    },
)  # fmt: skip
LAGS = _table(
    _OF_RUN,
    {
        "log_norm": ("lag", _LN, "mean over steps and sequences of ln ||dl_t/dh_{t-k}|| at lag k"),
        "log_norm_std": (
            "lag", _LN, "standard deviation over steps and sequences of ln ||dl_t/dh_{t-k}||"),
        "log_rms": (
            "lag", _LN, "ln of the root mean square over steps and sequences of ||dl_t/dh_{t-k}||"),
        "live": ("lag", _NONE, "fraction of steps and sequences with a norm above 0"),
        "loss_steps": ("lag", _STEPS, "loss steps that reach back so far"),
        "growth_rate": ("", _RATE, "fitted change of log_norm per step of lag"),
        "growth_rate_error": (
            "", _RATE, "standard error of growth_rate over draws of data, for this network"),
        "growth_first_lag": ("", _STEPS, "first lag of the fit of growth_rate"),
        "growth_last_lag": ("", _STEPS, "last lag of the fit of growth_rate"),
        "growth_live": (
            "", _NONE, "fraction of steps and sequences with a norm above 0 at growth_last_lag"),
        "growth_single": (
            "", _NONE, "0 where the rates of both halves of the lags differ beyond their error"),
        "half_life": ("", _STEPS, "ln 2/|growth_rate|, where it differs from 0"),
        "log_change": (
            "", _LN, "mean over sequences of ln(||dl_T/dh_1||/||dl_T/dh_T||), last loss step T"),
    },
)  # fmt: skip
SLOPES = _table(
    _OF_RUN,
    {
        "mean_slope": ("", _NONE, "phi' averaged over steps, sequences and units"),
        "saturated_fraction": (
            "", _NONE, "fraction of steps, sequences and units with phi' exactly 0 in this dtype"),
    },
)  # fmt: skip
MAP = _table(
    _OF_RUN,
    {"log_norm_map": (
        "time lag", _LN, "mean over sequences of ln ||dl_t/dh_{t-k}|| at step t, lag k")},
)  # fmt: skip
SPECTRUM = _table(
    _OF_DRAW,
    {
        "eigenvalues": ("unit", _NONE, "eigenvalues of W_hh, descending modulus", complex),
        "singular_values": ("unit", _NONE, "singular values of W_hh, descending"),
        "spectral_radius": ("", _NONE, "largest modulus of an eigenvalue of W_hh"),
        "spectral_norm": ("", _NONE, "largest singular value of W_hh"),
        "henrici": ("", _NONE, "departure from normality: norm of the strict Schur triangle"),
        "henrici_relative": ("", _NONE, _SHARE),
    },
)
NONNORMALITY = _table(
    _OF_DRAW,
    {
        "numerical_radius": ("", _NONE, "largest modulus in the numerical range of W_hh"),
        "numerical_abscissa": ("", _NONE, "largest real part in the numerical range of W_hh"),
        "kreiss": ("", _NONE, "Kreiss constant of W_hh at its spectral radius"),
        "eigenbasis_condition": ("", _NONE, "condition number of the unit eigenvectors of W_hh"),
        "participation": ("unit", "units", "units that each right eigenvector of W_hh involves"),
    },
)  # fmt: skip
MEASURES = {
    "gradients": GRADIENTS, "steps": STEPS, "truncation": TRUNCATION, "lags": LAGS,
    "slopes": SLOPES, "map": MAP, "spectrum": SPECTRUM, "nonnormality": NONNORMALITY,
}  # fmt: skip

# Exponents.

LYAPUNOV = _table(
    ("n_hidden", "gain", "network_seed"),
    {
        "lyapunov_exponent": ("exponent", _RATE, "Lyapunov exponent lambda_i"),
        "standard_error": ("exponent", _RATE, "standard error of lambda_i, from blocks"),
        "finite_time": ("sequence time", _RATE, "largest exponent over one block of steps"),
        "running": ("time", _RATE, "largest exponent, from all blocks up to here"),
        "running_error": ("time", _RATE, "standard error of the running estimate"),
        "kaplan_yorke": ("", _NONE, "Kaplan-Yorke dimension of the attractor"),
        "kaplan_yorke_low": ("", _NONE, "the same with all exponents two errors lower"),
        "kaplan_yorke_high": ("", _NONE, "the same with all exponents two errors higher"),
        "entropy_rate": ("", _RATE, "sum of the positive Lyapunov exponents"),
    },
) | {
    "input_variance": Variable((), _NONE, "mean over steps of the variance of W_xh x_t"),
    "time": Variable(("time",), _STEPS, "end of a block, after the burn-in"),
}
PHASE = _table(
    ("strength", "gain", "network_seed"),
    {
        "lyapunov_exponent": ("", _RATE, "largest Lyapunov exponent lambda_1"),
        "standard_error": ("", _RATE, "standard error of lambda_1, from blocks"),
        "growth_rate": ("", _RATE, "growth rate of ||dl_T/dh_{T-k}|| with lag k"),
        "growth_rate_error": (
            "", _RATE, "standard error of growth_rate over draws of data, for this network"),
        "growth_live": ("", _NONE, "fraction of sequences with a norm above 0 at the last lag"),
    },
)  # fmt: skip

# Cells of each kind.

CELLS = _table(
    ("cell", "start", "network_seed"),
    {
        "log_norm": (
            "lag", _LN,
            "mean over steps and sequences of ln(||dl_t/ds_{t-k}||/||dl_t/ds_t||), s the state"),
        "log_norm_path_c": (
            "lag", _LN, "the same of the path through c alone, less ln ||dl_t/ds_t||"),
        "window_log_error": (
            "window", _LN,
            "ln(||g_K - g||/||g||) of dL/d[W_hh, W_xh, b_h], not below its rounding"),
        "sufficient_window": (
            "", _STEPS, "smallest window from which on that stays within the tolerance"),
        "cumulative_share": ("window", _NONE, "<g_K, g>/||g||^2 of dL/dW_hh: lags below K"),
        "reach": ("", _STEPS, "smallest window from which on that stays within 1 - share of 1"),
        "cancellation": ("", _NONE, "sum over lags of ||G_k||/||g|| of dL/dW_hh"),
        "exponent": ("unit", _RATE, "Lyapunov exponents, the H largest, descending"),
        "exponent_error": ("unit", _RATE, "standard errors"),
        "predicted_exponent": (
            "unit", _RATE, "mean of ln f (LSTM) or ln z (GRU) of each unit, descending"),
        "deviation": ("", _RATE, "largest |predicted_exponent - exponent|"),
        "time_scale": ("unit", _STEPS, "-1/mean of ln f or ln z of each unit, descending"),
        "gate_mean": ("", _NONE, "f or z, averaged over steps, sequences and units"),
        "gate_low": ("", _NONE, "fraction of steps, sequences and units with f or z below .1"),
        "gate_high": ("", _NONE, "fraction of steps, sequences and units with f or z above .9"),
        "first_nonfinite": ("", "step", "-1 if all is finite", np.int64),
    },
) | _table(
    ("start",),
    {
        "start": ("", _NONE, "where the gate that keeps the state begins"),
        "theory_log_norm": (
            "lag", _LN, "ln of what a gate keeps over k steps that hears nothing, rms over units"),
        "theory_time_scale": ("unit", _STEPS, "time scales of such gates, descending"),
    },
)  # fmt: skip

# Jacobians.

JACOBIANS = _table(
    ("scheme", "gain", "network_seed"),
    {
        "log_singular_value": ("sequence lag unit", _LN, "ln sigma_i(dh_t/dh_{t-k}), descending"),
        "rounding": ("sequence lag unit", _LN, "numerical error of log_singular_value"),
        "gradient_overlap": (
            "sequence lag", _NONE, "|cosine| of dl_t/dh_{t-k} and the leading direction"),
        "lyapunov_exponent": ("unit", _RATE, "Lyapunov exponents, descending"),
    },
)  # fmt: skip

# Departure from normality.

NORMALITY = _table(
    ("scale", "network_seed"),
    {
        "log_power_norm": ("lag", _LN, "ln ||W_hh^k||_2"),
        "peak": ("", _LN, "largest ln ||W_hh^k||_2 over the lags"),
        "peak_lag": ("", _STEPS, "lag of the peak"),
        "log_kreiss": ("", _LN, "ln of the Kreiss constant for radius 1, below the peak"),
        "henrici_relative": ("", _NONE, _SHARE),
        "spectral_radius": ("", _NONE, "largest modulus of an eigenvalue of W_hh"),
    },
) | _table(
    ("activation", "scale", "network_seed"),
    {
        "log_gradient_norm": (
            "lag", _LN, "mean over sequences of ln ||dl_T/dh_{T-k}||, less its value at lag 0"),
        "sufficient_window": ("", _STEPS, "smallest window with an error within the tolerance"),
    },
)  # fmt: skip
PSEUDOSPECTRA = {
    "log_sigma_min": Variable(("scale", "im", "re"), _LN, "ln sigma_min(z - W_hh)"),
    "eigenvalues": Variable(
        ("scale", "unit"), _NONE, "eigenvalues of W_hh, descending modulus", complex
    ),
    "henrici_relative": Variable(("scale",), _NONE, _SHARE),
}

# Training; what `train` records by itself stands in `rnnsim.training.records`.

_METHODS = ("length", "training", "network_seed")
LEARNING = {
    "error": Variable(
        (*_METHODS, "updates"), _NONE, "fraction of wrong answers on the test data"
    ),
    "solved_at": Variable(
        _METHODS, "updates", "first tested number of updates with an error below the tolerance"
    ),
    "diverged": RECORDED["diverged"]._replace(dims=_METHODS),
}  # fmt: skip
TRAINING = {
    "constant_loss": Variable(
        (), "nats per sequence", "loss of the best answer that is always the same"
    ),
}
_WINDOW = ("truncation", "window")
WINDOWS = {
    "loss": Variable(
        (*_WINDOW, "network_seed", "budget", "share"), "nats per answer",
        "loss on the test data after a share of the budget"),
    "accuracy": Variable(
        (*_WINDOW, "network_seed", "budget", "share"), _NONE,
        "share of right answers after a share of the budget"),
    "updates_per_batch": Variable(_WINDOW, _NONE, "updates that one batch brings", np.int64),
    "reaching": Variable(
        _WINDOW, _NONE, "share of answers whose gradient reaches what they depend on"),
    "dependency": Variable(
        (), _STEPS, "steps from what was shown to the answer that depends on it", np.int64),
    "n_batches": Variable((), _NONE, "batches, and updates, that are compared", np.int64),
    "diverged": RECORDED["diverged"]._replace(dims=(*_WINDOW, "network_seed")),
}  # fmt: skip
BIAS_VARIANCE = _table(
    ("moment", "network_seed"),
    {
        "log_norm": ("", _LN, "ln ||mean g||, g the full gradient of a batch"),
        "bias2": ("window", _NONE, "||mean g_K - mean g||^2 / ||mean g||^2"),
        "variance": ("window", _NONE, "mean ||g_K - mean g_K||^2 / ||mean g||^2"),
        "bias2_estimate": ("window", _NONE, "bias^2 without what noise adds"),
        "variance_estimate": ("window", _NONE, "variance of the distribution of batches"),
        "bias2_error": ("window", _NONE, "its error, half of an interval of 95 %"),
        "variance_log_error": ("window", _LN, "error of its logarithm, likewise"),
        "floor": ("", _NONE, "square of what rounding leaves of the bias"),
        "lag_signal": ("lag", _NONE, "||E G_k||^2 / ||mean g||^2 of what lag k adds"),
        "lag_noise": ("lag", _NONE, "tr Cov(G_k) / ||mean g||^2"),
        "best_window": ("batch", _STEPS, "window of the least mean square error"),
        "shortest_window": ("batch", _STEPS, "shortest that is not known to be worse"),
        "longest_window": ("batch", _STEPS, "longest that is not known to be worse"),
        "best_error": ("batch", _NONE, "bias^2 + variance of the best window"),
        "full_error": ("batch", _NONE, "variance of the full gradient"),
        "horizon": ("batch", _STEPS, "largest lag with more gradient than noise, -1 if none"),
        "loss": ("", "nats per sequence", "loss on the test data"),
    },
) | {
    "diverged": RECORDED["diverged"]._replace(dims=("network_seed",)),
    "batch": Variable(("batch",), _NONE, "sequences in a batch"),
}  # fmt: skip
_SEED = ("network_seed",)
ARCHITECTURES = {
    "log_norms": Variable(
        (*_SEED, "moment", "loss_step", "place"), _LN, "mean over sequences of ln ||dl_t/dh_s||"),
    "pixel_gradients": Variable(
        (*_SEED, "moment", "word", "pixel"), _NONE, "mean over sequences of |dl/dpixel|"),
    "pixel_spread": Variable(("pixel",), _NONE, "standard deviation over pictures"),
    "score": Variable((*_SEED, "updates"), _NONE, "validation part"),
    "test_score": Variable(_SEED, _NONE, "test part"),
    "baseline_score": Variable(("baseline",), _NONE, "other ways, test part"),
    "rate": Variable(("rate",), _NONE, "learning rate tried"),
    "trial_loss": Variable(
        ("rate",), "nats per sequence", "validation loss of the first network after the trial"),
    "trial_updates": Variable((), "updates", "how long each rate was tried", np.int64),
    "learning_rate": Variable((), _NONE, "learning rate chosen"),
    "diverged": RECORDED["diverged"]._replace(dims=_SEED),
    "examples": Variable((), _NONE, "what the first network reads, says, and should say", "T"),
}  # fmt: skip

# One network.

PORTRAIT = _table(
    (),
    {
        "eigenvalues": ("unit", _NONE, "eigenvalues of W_hh", complex),
        "singular_values": ("unit", _NONE, "singular values of W_hh, descending"),
        "spectral_radius": ("", _NONE, "largest modulus"),
        "spectral_norm": ("", _NONE, "largest singular value"),
        "henrici": ("", _NONE, "departure from normality"),
        "henrici_relative": ("", _NONE, _SHARE),
        "theory_radius": ("", _NONE, "spectral radius, large H"),
        "theory_singular_values": ("unit", _NONE, "singular values, large H"),
        "theory_exponent": ("", _RATE, "lambda_1, mean field"),
        "exponents": ("unit", _RATE, "Lyapunov exponents, descending"),
        "exponent_errors": ("unit", _RATE, "standard errors"),
        "exponents_of_sequences": (
            "sequence unit", _RATE, "Lyapunov exponents along each sequence"),
        "kaplan_yorke": ("", _NONE, "Kaplan-Yorke dimension"),
        "kaplan_yorke_low": ("", _NONE, "the same with all exponents two errors lower"),
        "kaplan_yorke_high": ("", _NONE, "the same with all exponents two errors higher"),
        "entropy_rate": ("", _RATE, "sum of positive exponents"),
        "lag": ("lag", _STEPS, "lag k"),
        "window": ("window", _STEPS, "window K"),
        "column": ("column", "step", "step $t$ of the loss"),
        "log_norm_map": (
            "column lag", _LN, "mean over sequences of ln ||dl_t/dh_{t-k}|| at step t, lag k"),
        "log_change_map": (
            "column lag", _LN, "the same relative to lag 0, of each living sequence to its own"),
        "log_norms": (
            "sequence lag", _LN,
            "mean over steps of ln ||dl_t/dh_{t-k}||/||dl_t/dh_t||, over those that all lags reach"
        ),
        "growth_rate": ("", _RATE, "fitted change of log norms per lag"),
        "growth_rate_error": (
            "", _RATE, "standard error of that over draws of data, for this network"),
        "growth_first_lag": ("", _STEPS, "first lag of the fit", np.int64),
        "growth_last_lag": ("", _STEPS, "last lag of the fit", np.int64),
        "growth_live": (
            "", _NONE, "fraction of steps and sequences with a norm above 0 at the last lag"),
        "growth_early": ("", _RATE, "growth rate over the first half of these lags"),
        "growth_late": ("", _RATE, "growth rate over the second half of these lags"),
        "growth_single": ("", _NONE, "0 where these differ beyond their error"),
        "truncation_log_error": (
            "window", _LN, "ln(||g_K - g||_F/||g||_F) of dL/dW_hh, not below its rounding"),
        "sufficient_window": ("", _STEPS, "smallest window within tolerance"),
        "mean_slope": ("", _NONE, "phi' over steps, sequences, units"),
        "first_nonfinite": ("", "step", "-1 if all is finite", np.int64),
    },
)  # fmt: skip
# Where few steps carry loss, the last of them alone, sequence by sequence.
PORTRAIT_BY_SEQUENCE = PORTRAIT | _table(
    (),
    {
        "column": ("column", _NONE, "sequence"),
        "log_norm_map": (
            "column lag", _LN, "ln ||dl_t/dh_{t-k}|| of a sequence, t the last, lag k"),
    },
)  # fmt: skip

# Of a gated network, `unit` counts the numbers of its state; what is else is as of others.
_VANILLA_ONLY = (
    "eigenvalues singular_values spectral_radius spectral_norm henrici henrici_relative "
    "theory_radius theory_singular_values theory_exponent mean_slope"
).split()
_GATED = _table(
    (),
    {
        "jacobian_eigenvalues": (
            "point unit", _NONE, "eigenvalues of a step's Jacobian of the state", complex),
        "jacobian_radius": ("point", _NONE, "largest modulus of these"),
        "jacobian_norm": ("point", _NONE, "largest singular value of that Jacobian"),
        "gate_singular_values": (
            "gate direction", _NONE, "singular values of a gate's block of W_hh, descending"),
        "truncation_log_error": (
            "window", _LN,
            "ln(||g_K - g||/||g||) of dL/d[W_hh, W_xh, b_h], not below its rounding"),
        "sufficient_window_by_gate": ("gate", _STEPS, "of the rows of a gate alone"),
        "log_norms_of_parts": (
            "part lag", _LN,
            "mean over steps and sequences of ln ||dl_t/d part||, less that of the state at lag 0"),
    },
)  # fmt: skip


def of_gated(variables: dict[str, Variable]) -> dict[str, Variable]:
    """A portrait of a gated network, in place of one of a vanilla network."""
    return {name: v for name, v in variables.items() if name not in _VANILLA_ONLY} | _GATED
