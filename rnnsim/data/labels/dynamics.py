"""Variables of trajectories: exponents, Jacobians, gates."""

from typing import Any

from rnnsim.data.labels.gradients import FIRST_NONFINITE
from rnnsim.data.labels.results import Labels
from rnnsim.data.labels.tables import LN, NONE, RATE, STEPS, Entries, table

_NETWORK = ("network",)

# Lyapunov exponents.

EXPONENTS: Entries = {
    "lyapunov_exponent": ("exponent", RATE, "Lyapunov exponent lambda_i"),
    "standard_error": ("exponent", RATE, "standard error of lambda_i, from blocks"),
    "kaplan_yorke": ("", NONE, "Kaplan-Yorke dimension of the attractor"),
    "entropy_rate": ("", RATE, "sum of the positive Lyapunov exponents"),
}
BLOCK_END = ("time", STEPS, "end of a block, after the burn-in")


def _exponents(of: str = "", rank: str = "exponent") -> Entries:
    """Of networks, or of each layer."""
    own: Entries = EXPONENTS | {
        "per_sequence": ("sequence exponent", RATE, "Lyapunov exponents along each sequence"),
        "spread": ("exponent", RATE, "standard deviation over sequences of lambda_i"),
        "finite_time": (
            "sequence time exponent", RATE, "Lyapunov exponents over one block of steps"),
        "entropy_is_lower_bound": ("", NONE, "whether more exponents may be positive"),
        "lost": ("exponent", NONE, "fraction of orthonormalisations that lost a vector"),
        "resolved": ("exponent", NONE, "whether nothing was lost"),
        "kaplan_yorke_interval": (
            "bound", NONE, "kaplan_yorke with all exponents two errors lower, and higher"),
        **FIRST_NONFINITE,
    }  # fmt: skip
    return {
        f"{name}{of}": (dims.replace("exponent", rank), unit, text)
        for name, (dims, unit, text) in own.items()
    }


_SETTINGS = table(
    (),
    {
        "block_steps": ("", STEPS, "steps of a block"),
        "burn_in": ("", STEPS, "steps before the first block"),
    },
)
_AXES = table((), {"time": BLOCK_END})
_EXPONENT = {"lyapunov_exponent": "exponents"}


def _ends(spectrum: Any) -> list[int]:
    """The ends of blocks, counted from the burn-in."""
    M = spectrum.finite_time.shape[2]
    return [spectrum.block_steps * (m + 1) for m in range(M)]


LYAPUNOV = Labels(
    table(_NETWORK, _exponents()) | _SETTINGS | _AXES,
    _EXPONENT,
    {"time": _ends, "bound": lambda _: ("low", "high")},
    {"time": "n_blocks"},
)
_OF_LAYERS = _exponents("_layers", "layer_exponent")
STACK_LYAPUNOV = LYAPUNOV._replace(
    variables=LYAPUNOV.variables | table(("network", "layer"), _OF_LAYERS),
    paths=_EXPONENT
    | {f"{name}_layers": f"of_layers.{_EXPONENT.get(name, name)}" for name in _exponents()},
)

# Jacobians.

JACOBIANS: Entries = {
    "log_singular_value": ("sequence lag unit", LN, "ln sigma_i(dh_t/dh_{t-k}), descending"),
    "rounding": ("sequence lag unit", LN, "numerical error of log_singular_value"),
    "gradient_overlap": (
        "sequence lag", NONE, "|cosine| of dl_t/dh_{t-k} and the leading direction"),
}  # fmt: skip
_OF_STATE = {"unit": "n_state"}
PRODUCTS = Labels(
    table(
        _NETWORK,
        JACOBIANS
        | {
            "leading_direction": (
                "sequence lag unit", NONE,
                "unit right singular vector of the largest singular value of dh_t/dh_{t-k}"),
            "log_gradient_norms": ("sequence lag", LN, "ln ||dl_t/dh_{t-k}||"),
            "resolved": ("sequence lag unit", NONE, "whether double precision resolves it"),
        }
        | FIRST_NONFINITE,
    )
    | table((), {"step": ("", "step", "step t that lags are counted from")}),
    {"log_singular_value": "log_singular_values"},
    {"lag": "lags"},
    _OF_STATE,
    ("log_singular_value", "gradient_overlap", "leading_direction", "log_gradient_norms"),
)  # fmt: skip
JACOBIAN_SPECTRUM = Labels(
    table(
        ("network", "time", "sequence"),
        {
            "eigenvalues": (
                "unit", NONE, "eigenvalues of ds_t/ds_{t-1}, descending modulus", complex),
            "singular_values": ("unit", NONE, "singular values of ds_t/ds_{t-1}, descending"),
            "spectral_radius": ("", NONE, "largest modulus of an eigenvalue of ds_t/ds_{t-1}"),
            "spectral_norm": ("", NONE, "largest singular value of ds_t/ds_{t-1}"),
        },
    ),
    sizes=_OF_STATE,
)  # fmt: skip

# Gates.

GATES: Entries = {
    "predicted_exponent": (
        "unit", RATE, "mean of ln f (LSTM) or ln z (GRU) of each unit, descending"),
    "deviation": ("", RATE, "largest |predicted_exponent - exponent|"),
}  # fmt: skip
_SPECTRUM = {f"spectrum_{name}": entry for name, entry in _exponents().items()}
_ITS_SETTINGS = {f"spectrum_{name}": variable for name, variable in _SETTINGS.items()}
GATE_STATISTICS = Labels(
    table(
        _NETWORK,
        {
            "unit_mean": ("gate unit", NONE, "mean of each gate"),
            "unit_low": (
                "gate unit", NONE, "fraction of steps and sequences with the gate below .1, "
                "g and n below -.9"),
            "unit_high": (
                "gate unit", NONE, "fraction of steps and sequences with the gate above .9"),
            "gate_mean": ("gate", NONE, "mean of each gate, over units too"),
            "gate_low": ("gate", NONE, "unit_low, averaged over units"),
            "gate_high": ("gate", NONE, "unit_high, averaged over units"),
            "quantiles": ("gate level", NONE, "quantiles over steps, sequences and units"),
            "mean_log": ("unit", RATE, "mean of ln f (LSTM), ln z (GRU) of each unit"),
            "time_scale": ("unit", STEPS, "-1/mean of ln f (LSTM), ln z (GRU) of each unit"),
        }
        | GATES
        | FIRST_NONFINITE
        | _SPECTRUM,
    )
    | {"burn_in": _SETTINGS["burn_in"]}
    | _ITS_SETTINGS
    | _AXES,
    {
        "gate_mean": "mean",
        "gate_low": "low",
        "gate_high": "high",
        "predicted_exponent": "predicted_exponents",
    }
    | {name: name.replace("_", ".", 1) for name in (*_SPECTRUM, *_ITS_SETTINGS)}
    | {"spectrum_lyapunov_exponent": "spectrum.exponents"},
    {
        "gate": "gates",
        "level": "levels",
        "time": lambda found: _ends(found.spectrum),
        "bound": lambda _: ("low", "high"),
    },
    {"time": ""},
)  # fmt: skip
_RANKED = {"predicted_exponent": ("rank", *GATES["predicted_exponent"][1:])}
_SPECTRUM_LAYERS = {f"spectrum_{name}": entry for name, entry in _OF_LAYERS.items()}
STACK_GATE_STATISTICS = GATE_STATISTICS._replace(
    variables=GATE_STATISTICS.variables
    | table(_NETWORK, _RANKED)
    | table(("network", "layer"), _SPECTRUM_LAYERS),
    paths=dict(GATE_STATISTICS.paths)
    | {f"spectrum_{name}": f"spectrum.{STACK_LYAPUNOV.paths[name]}" for name in _OF_LAYERS},
)
