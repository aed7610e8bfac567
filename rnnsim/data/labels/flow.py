"""Variables of gradient flow: by lags, by windows, by places."""

from rnnsim.data.labels.gradients import FIRST_NONFINITE
from rnnsim.data.labels.results import Labels
from rnnsim.data.labels.tables import LN, NONE, RATE, STEPS, Entries, some, table

_NETWORK = ("network",)
_RECURRENT = "dL/d[W_hh, W_xh, b_h]"

# By windows.

_MEASURES = ("log_norms", "cosine", "log_error", "log_floor")


def windows(what: str, before: str = "", gate: str = "") -> Entries:
    """Truncated gradients of something at every window, beside the full one."""
    return {
        f"{before}log_norms": (f"window {gate}", LN, f"ln ||g_K||_F, g_K {what} cut at a window"),
        f"{before}cosine": (
            f"window {gate}", NONE, f"cosine between {what} cut at a window and in full"),
        f"{before}log_error": (
            f"window {gate}", LN, f"ln of the relative error of {what} cut at a window"),
        f"{before}log_floor": (gate, LN, f"ln of the rounding in the relative error of {what}"),
        f"{before}full_log_norm": (gate, LN, f"ln ||g||_F, g {what} in full"),
    }  # fmt: skip


_AXES = {"window": "windows"}
WINDOWS = Labels(table(_NETWORK, windows("a gradient")), axes=_AXES)
WINDOWS_OF_GATES = Labels(
    table(_NETWORK, windows("the part of a gate in a gradient", gate="gate")), axes=_AXES
)
_NESTED = {
    f"{part}_{name}": f"{part}.{name}"
    for part in ("gates", "recurrent", "recurrent_gates")
    for name in windows("")
}

# By lags.

MAP: Entries = {
    "log_norm_map": (
        "time lag", LN, "mean over sequences of ln ||dl_t/dh_{t-k}|| at step t, lag k"),
}  # fmt: skip
_NORM = "||dl_t/dh_{t-k}|| at step t, lag k"
_LAGS: Entries = MAP | {
    "live": ("time lag", NONE, "fraction of sequences with a norm above 0 at step t, lag k"),
    "log_rms": ("time lag", LN, f"ln of the root mean square over sequences of {_NORM}"),
    "log_std": ("time lag", LN, f"standard deviation over sequences of ln {_NORM}"),
    "per_sequence": ("time lag sequence", LN, f"ln {_NORM}"),
    "log_norms_h": ("time lag", LN, "mean over sequences of the same of h alone"),
    "log_norms_c": ("time lag", LN, "mean over sequences of the same of c alone"),
    "log_norms_path_c": ("time lag", LN, "mean over sequences of the same of the path through c"),
    "state_scale": ("component", NONE, "factor of a component of the state"),
}
_OF_STATE = ("log_norm_map", "log_rms", "log_std", "per_sequence")
SLOPES: Entries = {
    "mean_slope": ("", NONE, "phi' averaged over steps, sequences and units"),
    "saturated_fraction": (
        "", NONE, "fraction of steps, sequences and units with phi' exactly 0 in this dtype"),
}  # fmt: skip


def _shares() -> Entries:
    """What comes from every lag, of recurrent and of input weights."""
    found: Entries = {}
    for weight, end in (("W_hh", ""), ("W_xh", "_W_xh")):
        found |= {
            f"share{end}": ("lag", NONE, f"<G_k, g>/||g||^2 of dL/d{weight}, G_k from lag k"),
            f"share_gates{end}": ("lag gate", NONE, f"<G_k, g>/||g||^2 of dL/d{weight} by gate"),
            f"lag_norms{end}": ("lag", NONE, f"||G_k||/||g|| of dL/d{weight}"),
        }
    return found


def _flow(layers: str) -> Entries:
    """All variables of a flow; `layers` says of which layers weights are."""
    hidden, joint = f"dL/dW_hh{layers}", f"the gradient of all weights{layers}"
    full: Entries = {"full_log_norm": ("", LN, f"ln ||g||_F, g {hidden} in full")}
    by_window = {k: v for k, v in windows(hidden, "window_").items() if "full" not in k} | full
    rows = f"the rows of a gate in {hidden}"
    return (
        _LAGS
        | by_window
        | windows(joint, "joint_")
        | _shares()
        | windows(rows, "gates_", "gate")
        | windows(f"{_RECURRENT}{layers}", "recurrent_")
        | windows(f"the rows of a gate in {_RECURRENT}{layers}", "recurrent_gates_", "gate")
        | SLOPES
        | FIRST_NONFINITE
    )


_EPSILON = table((), {"epsilon": ("", NONE, "machine epsilon of the networks' dtype")})
_PATHS = {"log_norm_map": "log_norms"} | _NESTED
_SIZES = {"time": "n_loss_steps", "window": "", "epsilon": ""}
FLOW = Labels(
    table(_NETWORK, _flow("")) | _EPSILON, _PATHS, _AXES | {"time": "steps"}, _SIZES, _OF_STATE
)
# What is of the whole state, or of all layers together, and then the same of each layer.
_BY_LAYER = _flow(" of a layer") | {
    "log_norm_map": (
        "time lag",
        LN,
        f"mean over sequences of ln {_NORM}, h of a layer by all paths",
    )
}
STACK_FLOW = Labels(
    table(_NETWORK, _flow(" of all layers"))
    | _EPSILON
    | table(("network", "layer"), {f"{name}_layers": entry for name, entry in _BY_LAYER.items()}),
    _PATHS | {f"{name}_layers": f"of_layers.{_PATHS.get(name, name)}" for name in _BY_LAYER},
    FLOW.axes,
    _SIZES,
    _OF_STATE,
)

# By places.

PLACES: Entries = {"log_norms": ("loss_step place", LN, "mean over sequences of ln ||dl_t/dh_s||")}
GRADIENT_MAP = Labels(table(_NETWORK, PLACES), axes={"loss_step": "steps", "place": "places"})


def norms(what: str, place: str = "place", before: str = "") -> Entries:
    """Norms over sequences at some places."""
    dims = f"loss_step {place}"
    return {
        f"{before}log_norms": (dims, LN, f"mean over sequences of ln {what}"),
        f"{before}live": (dims, NONE, f"fraction of sequences with {what} above 0"),
        f"{before}log_rms": (dims, LN, f"ln of the root mean square over sequences of {what}"),
        f"{before}log_std": (dims, LN, f"standard deviation over sequences of ln {what}"),
    }


FLOW_NORMS = Labels(table(_NETWORK, norms("a norm")))
_DECODER = norms("||dl_t/dh_j|| at step j of the decoder", "state_time", "decoder_")
_ENCODER = norms("||dl_t/ds_j|| at step j of the encoder", "source_state_time", "encoder_")
_SOURCE = norms("||dl_t/dx_j|| at step j of the encoder", "source_time", "source_")
PAIR_FLOW = Labels(
    table(_NETWORK, _DECODER | _ENCODER | _SOURCE | FIRST_NONFINITE),
    {
        name: name.replace("_", ".", 1)
        for entries in (_DECODER, _ENCODER, _SOURCE)
        for name in entries
    },
    {"loss_step": "steps"},
)

# What follows from a flow.

GROWTH: Entries = {
    "growth_rate": ("", RATE, "fitted change of log_norm per step of lag"),
    "growth_rate_error": (
        "", RATE, "standard error of growth_rate over draws of data, for this network"),
    "growth_first_lag": ("", STEPS, "first lag of the fit of growth_rate"),
    "growth_last_lag": ("", STEPS, "last lag of the fit of growth_rate"),
    "growth_live": (
        "", NONE, "fraction of steps and sequences with a norm above 0 at growth_last_lag"),
    "growth_single": (
        "", NONE, "0 where the rates of both halves of the lags differ beyond their error"),
    "half_life": ("", STEPS, "ln 2/|growth_rate|, where it differs from 0"),
}  # fmt: skip
_FITTED = ("growth_first_lag", "growth_last_lag")
GROWTH_RATE = Labels(
    table(_NETWORK, {k: v for k, v in GROWTH.items() if k not in _FITTED})
    | table((), some(GROWTH, " ".join(_FITTED)))
    | table(_NETWORK, {"halves": ("half", RATE, "growth_rate of each half of the lags")})
    | table((), {"n_steps_used": ("", STEPS, "loss steps behind the fit")}),
    {
        "growth_rate": "rate",
        "growth_rate_error": "standard_error",
        "growth_first_lag": "first_lag",
        "growth_last_lag": "last_lag",
        "growth_live": "live",
        "growth_single": "single",
    },
    {"half": lambda _: ("first", "second")},
)

SHARES: Entries = {
    "cumulative_share": ("window", NONE, "<g_K, g>/||g||^2 of dL/dW_hh: lags below K"),
    "reach": (
        "", STEPS, "smallest window from which on that stays within 1 - share of 1"),
    "cancellation": ("", NONE, "sum over lags of ||G_k||/||g|| of dL/dW_hh"),
}  # fmt: skip
_OF_INPUTS: Entries = {
    f"{name}_W_xh": (own, unit, text.replace("W_hh", "W_xh"))
    for name, (own, unit, text) in SHARES.items()
}
REACH = Labels(
    table(_NETWORK, SHARES | _OF_INPUTS)
    | table((), {"share": ("", NONE, "share of the gradient that is to be held")}),
    {
        "reach": "W_hh",
        "reach_W_xh": "W_xh",
        "cumulative_share": "cumulative_W_hh",
        "cumulative_share_W_xh": "cumulative_W_xh",
        "cancellation": "cancellation_W_hh",
        "cancellation_W_xh": "cancellation_W_xh",
    },
)

BIAS_VARIANCE: Entries = {
    "log_norm": ("", LN, "ln ||mean g||, g the full gradient of a batch"),
    "bias2": ("window", NONE, "||mean g_K - mean g||^2 / ||mean g||^2"),
    "variance": ("window", NONE, "mean ||g_K - mean g_K||^2 / ||mean g||^2"),
    "bias2_estimate": ("window", NONE, "bias^2 without what noise adds"),
    "variance_estimate": ("window", NONE, "variance of the distribution of batches"),
    "bias2_error": ("window", NONE, "its error, half of an interval of 95 %"),
    "variance_log_error": ("window", LN, "error of its logarithm, likewise"),
    "floor": ("", NONE, "square of what rounding leaves of the bias"),
    "lag_signal": ("lag", NONE, "||E G_k||^2 / ||mean g||^2 of what lag k adds"),
    "lag_noise": ("lag", NONE, "tr Cov(G_k) / ||mean g||^2"),
}
WINDOW_BIAS_VARIANCE = Labels(
    table(
        _NETWORK,
        BIAS_VARIANCE
        | {
            "bias2_influence": ("window draw", NONE, "what each batch does to bias2_estimate"),
            "variance_influence": ("window draw", NONE, "what it does to variance_estimate"),
        }
        | FIRST_NONFINITE,
    )
    | table((), {"batch_size": ("", NONE, "sequences in a batch")}),
    axes={"window": "windows"},
)
