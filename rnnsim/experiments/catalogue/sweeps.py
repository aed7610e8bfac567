"""Variables of sweeps."""

import numpy as np

from rnnsim.data.datasets import Variable
from rnnsim.data.labels import dynamics, flow, gradients, spectra
from rnnsim.data.labels.tables import LN, NONE, RATE, STEPS, some, table
from rnnsim.training.records import VARIABLES as RECORDED

# Of a loss, by whether its targets are classes: cross-entropies are in nats, 0.5*||y - target||^2
# has no unit of its own.
LOSS_UNITS = {True: LN, False: NONE}

# Sweeps of gradients, by measure.

_OF_DRAW = ("task", "scheme", "n_hidden", "gain", "network_seed")
_OF_RUN = ("task", "scheme", "activation", *_OF_DRAW[2:], "data_seed", "length")

GRADIENTS = table(
    _OF_RUN,
    {
        **gradients.LOSS,
        "loss_weight": ("", NONE, "loss weights, summed over steps, averaged over sequences"),
        "log_gradient_norm": ("", LN, "ln ||dL/dW_hh||_F"),
        "log_gradient_norm_per_weight": ("", LN, "ln(||dL/dW_hh||_F / loss_weight)"),
        "log_gradient_norm_all": ("", LN, "ln ||dL/dW||, all weights together"),
        "cancellation": ("", NONE, "||sum_t dL/dW_hh^(t)||_F / sum_t ||dL/dW_hh^(t)||_F"),
        **gradients.FIRST_NONFINITE,
    },
)
STEP_NORMS = table(
    _OF_RUN,
    {
        "log_step_norm": ("time", LN, "ln ||dL/dW_hh^(t)||_F at step t"),
        "log_state_norm": ("time", LN, "ln ||dL/dh_t||_F at step t"),
    },
)
TRUNCATION = table(
    _OF_RUN,
    {
        "truncated_log_norm": ("truncation window", LN, "ln ||dL/dW_hh||_F of truncated BPTT"),
        "truncated_log_norm_per_weight": (
            "truncation window", LN, "ln(||dL/dW_hh||_F of TBPTT / loss weight)"),
        "truncation_log_error": (
            "truncation window", LN, "ln(||g_K - g||_F / ||g||_F) of dL/dW_hh"),
        "truncation_cosine": (
            "truncation window", NONE, "cosine of truncated and full dL/dW_hh"),
        "sufficient_window": (
            "", STEPS, "smallest window from which on the sliding error stays in tolerance"),
        "largest_state_norm": ("", NONE, "largest ||h_t|| of any step and sequence"),
    },
)  # fmt: skip
LAGS = table(
    _OF_RUN,
    {
        "log_norm": ("lag", LN, "mean over steps and sequences of ln ||dl_t/dh_{t-k}|| at lag k"),
        "log_norm_std": (
            "lag", LN, "standard deviation over steps and sequences of ln ||dl_t/dh_{t-k}||"),
        "log_rms": (
            "lag", LN, "ln of the root mean square over steps and sequences of ||dl_t/dh_{t-k}||"),
        "live": ("lag", NONE, "fraction of steps and sequences with a norm above 0"),
        "loss_steps": ("lag", STEPS, "loss steps that reach back so far"),
        **flow.GROWTH,
        "log_change": (
            "", LN, "mean over sequences of ln(||dl_T/dh_1||/||dl_T/dh_T||), last loss step T"),
    },
)  # fmt: skip
LAYERS = table(  # where there are stacks
    _OF_RUN,
    {
        "log_norm_layers": (
            "layer lag",
            LN,
            "mean over steps and sequences of ln ||dl_t/dh_{t-k}|| by layer, by all paths",
        ),
    },
)
SLOPES = table(_OF_RUN, flow.SLOPES)
MAP = table(_OF_RUN, flow.MAP)
SPECTRUM = table(_OF_DRAW, spectra.SPECTRUM_OF_MATRIX)
NONNORMALITY = table(_OF_DRAW, spectra.NONNORMAL)
MEASURES = {
    "gradients": GRADIENTS, "steps": STEP_NORMS, "truncation": TRUNCATION, "lags": LAGS,
    "slopes": SLOPES, "map": MAP, "spectrum": SPECTRUM, "nonnormality": NONNORMALITY,
}  # fmt: skip

# Exponents.

LYAPUNOV = table(
    ("n_hidden", "gain", "network_seed"),
    {
        **some(dynamics.EXPONENTS, "lyapunov_exponent standard_error"),
        "finite_time": ("sequence time", RATE, "largest exponent over one block of steps"),
        "running": ("time", RATE, "largest exponent, from all blocks up to here"),
        "running_error": ("time", RATE, "standard error of the running estimate"),
        **some(dynamics.EXPONENTS, "kaplan_yorke"),
        "kaplan_yorke_low": ("", NONE, "the same with all exponents two errors lower"),
        "kaplan_yorke_high": ("", NONE, "the same with all exponents two errors higher"),
        **some(dynamics.EXPONENTS, "entropy_rate"),
    },
) | {
    "input_variance": Variable((), NONE, "mean over steps of the variance of W_xh x_t"),
    **table((), {"time": dynamics.BLOCK_END}),
}
PHASE = table(
    ("strength", "gain", "network_seed"),
    {
        "lyapunov_exponent": ("", RATE, "largest Lyapunov exponent lambda_1"),
        "standard_error": ("", RATE, "standard error of lambda_1, from blocks"),
        "growth_rate": ("", RATE, "growth rate of ||dl_T/dh_{T-k}|| with lag k"),
        **some(flow.GROWTH, "growth_rate_error"),
        "growth_live": ("", NONE, "fraction of sequences with a norm above 0 at the last lag"),
    },
)  # fmt: skip

# Cells of each kind.

CELLS = table(
    ("cell", "start", "network_seed"),
    {
        "log_norm": (
            "lag", LN,
            "mean over steps and sequences of ln(||dl_t/ds_{t-k}||/||dl_t/ds_t||), s the state"),
        "log_norm_path_c": (
            "lag", LN, "the same of the path through c alone, less ln ||dl_t/ds_t||"),
        "window_log_error": (
            "window", LN,
            "ln(||g_K - g||/||g||) of dL/d[W_hh, W_xh, b_h], not below its rounding"),
        "sufficient_window": (
            "", STEPS, "smallest window from which on that stays within the tolerance"),
        **flow.SHARES,
        "exponent": ("unit", RATE, "Lyapunov exponents, the H largest, descending"),
        "exponent_error": ("unit", RATE, "standard errors"),
        **dynamics.GATES,
        "time_scale": ("unit", STEPS, "-1/mean of ln f or ln z of each unit, descending"),
        "gate_mean": ("", NONE, "f or z, averaged over steps, sequences and units"),
        "gate_low": ("", NONE, "fraction of steps, sequences and units with f or z below .1"),
        "gate_high": ("", NONE, "fraction of steps, sequences and units with f or z above .9"),
        "first_nonfinite": ("", "step", "-1 if all is finite", np.int64),
    },
) | table(
    ("start",),
    {
        "start": ("", NONE, "where the gate that keeps the state begins"),
        "theory_log_norm": (
            "lag", LN, "ln of what a gate keeps over k steps that hears nothing, rms over units"),
        "theory_time_scale": ("unit", STEPS, "time scales of such gates, descending"),
    },
)  # fmt: skip

# Jacobians.

JACOBIANS = table(
    ("scheme", "gain", "network_seed"),
    {
        **dynamics.JACOBIANS,
        "lyapunov_exponent": ("unit", RATE, "Lyapunov exponents, descending"),
    },
)  # fmt: skip

# Departure from normality.

NORMALITY = table(
    ("scale", "network_seed"),
    {
        "log_power_norm": ("lag", LN, "ln ||W_hh^k||_2"),
        "peak": ("", LN, "largest ln ||W_hh^k||_2 over the lags"),
        "peak_lag": ("", STEPS, "lag of the peak"),
        "log_kreiss": ("", LN, "ln of the Kreiss constant for radius 1, below the peak"),
        **some(spectra.SPECTRUM_OF_MATRIX, "henrici_relative spectral_radius"),
    },
) | table(
    ("activation", "scale", "network_seed"),
    {
        "log_gradient_norm": (
            "lag", LN, "mean over sequences of ln ||dl_T/dh_{T-k}||, less its value at lag 0"),
        "sufficient_window": (
            "", STEPS, "smallest window with an error within the tolerance"),
    },
)  # fmt: skip
PSEUDOSPECTRA = table(
    ("scale",),
    {
        "log_sigma_min": spectra.LOG_SIGMA_MIN,
        **some(spectra.SPECTRUM_OF_MATRIX, "eigenvalues henrici_relative"),
    },
)

# Training; what `train` records by itself stands in `rnnsim.training.records`.

_METHODS = ("length", "training", "network_seed")
LEARNING = {
    "error": Variable(
        (*_METHODS, "updates"), NONE, "fraction of wrong answers on the test data"
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
        (*_WINDOW, "network_seed", "budget", "share"), NONE,
        "share of right answers after a share of the budget"),
    "updates_per_batch": Variable(_WINDOW, NONE, "updates that one batch brings", np.int64),
    "reaching": Variable(
        _WINDOW, NONE, "share of answers whose gradient reaches what they depend on"),
    "dependency": Variable(
        (), STEPS, "steps from what was shown to the answer that depends on it", np.int64),
    "n_batches": Variable((), NONE, "batches, and updates, that are compared", np.int64),
    "diverged": RECORDED["diverged"]._replace(dims=(*_WINDOW, "network_seed")),
}  # fmt: skip
BIAS_VARIANCE = table(
    ("moment", "network_seed"),
    {
        **flow.BIAS_VARIANCE,
        "best_window": ("batch", STEPS, "window of the least mean square error"),
        "shortest_window": ("batch", STEPS, "shortest that is not known to be worse"),
        "longest_window": ("batch", STEPS, "longest that is not known to be worse"),
        "best_error": ("batch", NONE, "bias^2 + variance of the best window"),
        "full_error": ("batch", NONE, "variance of the full gradient"),
        "horizon": ("batch", STEPS, "largest lag with more gradient than noise, -1 if none"),
        "loss": ("", "nats per sequence", "loss on the test data"),
    },
) | {
    "diverged": RECORDED["diverged"]._replace(dims=("network_seed",)),
    "batch": Variable(("batch",), NONE, "sequences in a batch"),
}  # fmt: skip
_SEED = ("network_seed",)
ARCHITECTURES = {
    **table((*_SEED, "moment"), flow.PLACES),
    "pixel_gradients": Variable(
        (*_SEED, "moment", "word", "pixel"), NONE, "mean over sequences of |dl/dpixel|"),
    "pixel_spread": Variable(("pixel",), NONE, "standard deviation over pictures"),
    "score": Variable((*_SEED, "updates"), NONE, "validation part"),
    "train_score": Variable(_SEED, NONE, "training part"),
    "test_score": Variable(_SEED, NONE, "test part"),
    "n_test": Variable((), NONE, "items of the test part", np.int64),
    "word_score": Variable((*_SEED, "word"), NONE, "this word is right, validation part"),
    "best_cell": Variable((), NONE, "cell that validates best", "T"),
    "baseline_score": Variable(("baseline",), NONE, "other ways, test part"),
    "rate": Variable(("rate",), NONE, "learning rate tried"),
    "trial_loss": Variable(
        ("rate",), "nats per sequence", "validation loss of the first network after the trial"),
    "trial_updates": Variable((), "updates", "how long each rate was tried", np.int64),
    "learning_rate": Variable((), NONE, "learning rate chosen"),
    "diverged": RECORDED["diverged"]._replace(dims=_SEED),
    "examples": Variable((), NONE, "what the first network reads, says, and should say", "T"),
}  # fmt: skip
