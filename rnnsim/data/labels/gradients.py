"""Variables of gradients, states and losses."""

from rnnsim.data.labels.results import Labels
from rnnsim.data.labels.tables import NONE, Entries, table

_NETWORK = ("network",)

LOSS: Entries = {"loss": ("", NONE, "loss L, averaged over sequences, summed over steps")}
FIRST_NONFINITE: Entries = {
    "first_nonfinite": ("", "step", "step that left the float range, -1 if none")
}
_ON_THE_WAY: Entries = {
    "first_nonfinite": (
        "", "step", "step of the way that left the float range, the decoder's counted on behind "
        "the encoder's, -1 if none"),
}  # fmt: skip
_ACCURACY: Entries = {"accuracy": ("", NONE, "fraction of right answers")}


def weights(
    where: str, before: str = "", letter: str = "W", *, each: str = "", of: str = "", out: str = ""
) -> tuple[Entries, dict[str, str]]:
    """Gradients of all weights, and where they are.

    Names begin with `before`; `each` is an axis of steps. The axes of an encoder begin with `of`,
    and its outputs are the axis `out`. The lowest layer reads the inputs, all others states.
    """
    up = "^(t)" * bool(each)
    row, unit, read, out = f"{of}row", f"{of}unit", f"{of}input", out or "output"
    parts = {
        "W_xh": ("lowest.W_xh", f"{each} {row} {read}", f"dL/d{letter}_xh{up}"),
        "W_xh_above": (
            "above.W_xh", f"upper_layer {each} {row} {unit}",
            f"dL/d{letter}_xh{up} of layers that read the states of the one below"),
        "W_hh": ("W_hh", f"{each} {row} {unit}", f"dL/d{letter}_hh{up}"),
        "W_hy": ("top.W_hy", f"{each} {out} {unit}", f"dL/d{letter}_hy{up}"),
        "b_h": ("b_h", f"{each} {of}bias", f"dL/db_h{up}"),
        "b_y": ("top.b_y", f"{each} {out}", f"dL/db_y{up}"),
    }  # fmt: skip
    entries: Entries = {
        f"{before}{name}": (dims, NONE, text) for name, (_, dims, text) in parts.items()
    }
    return entries, {f"{before}{name}": f"{where}.{path}" for name, (path, *_) in parts.items()}


def step_norms(
    where: str, time: str = "time", gate: str = "gate", letter: str = "W"
) -> tuple[Entries, dict[str, str]]:
    """Norms of what every step adds, and where they are."""
    norms = {
        name: (time, NONE, f"||dL/d{letter}{name[1:]}^(t)||_F at step t") for name in _MATRICES
    }
    norms["gates"] = (
        f"{time} {gate}",
        NONE,
        f"||dL/d{letter}_hh^(t)||_F at step t, of the rows of a gate",
    )
    return (
        {f"{where}_{name}": entry for name, entry in norms.items()},
        {f"{where}_{name}": f"{where}.{name}" for name in norms},
    )  # fmt: skip


_MATRICES = ("W_xh", "W_hh", "W_hy")
# Running forward.

_OF_LAYERS = {"states": "h_t of every layer", "memories": "c_t of every layer"}
FORWARD = Labels(
    table(
        _NETWORK,
        {
            "states": ("state_time sequence unit", NONE, "h_t"),
            "outputs": ("time sequence output", NONE, "y_t"),
            "memories": ("state_time sequence unit", NONE, "c_t"),
        },
    )
)
_BELOW = table(
    ("network", "layer", "state_time", "sequence", "unit"),
    {f"{name}_layers": ("", NONE, text) for name, text in _OF_LAYERS.items()},
)
STACK_FORWARD = Labels(
    FORWARD.variables | _BELOW, {f"{name}_layers": f"layers.{name}" for name in _OF_LAYERS}
)
EVALUATION = Labels(table(_NETWORK, LOSS | _ACCURACY | FIRST_NONFINITE))
PAIR_EVALUATION = Labels(
    table(
        _NETWORK,
        LOSS
        | _ACCURACY
        | {"exact": ("", NONE, "fraction of sequences that are right at every step")}
        | _ON_THE_WAY,
    )
)

# Gradients.

_WEIGHTS, _WHERE = weights("layers")
_EACH, _WHERE_EACH = weights("steps", "step_", each="time")
_NORMS, _WHERE_NORMS = step_norms("step_norms")
_STARTS: Entries = {
    "h0": ("sequence unit", NONE, "dL/dh_0"),
    "c0": ("sequence unit", NONE, "dL/dc_0"),
}
GRADIENTS = Labels(
    table(
        _NETWORK,
        LOSS
        | _WEIGHTS
        | _STARTS
        | _NORMS
        | {"state_norms": ("state_time", NONE, "||dL/dh_t||_F over sequences and units")}
        | FIRST_NONFINITE
        | {
            "inputs": ("time sequence input", NONE, "dL/dx_t"),
            "states": ("state_time sequence unit", NONE, "dL/dh_t"),
            "memories": ("state_time sequence unit", NONE, "dL/dc_t"),
        }
        | _EACH,
    ),
    _WHERE | _WHERE_EACH | _WHERE_NORMS,
)
_ENCODER = weights("encoder", "encoder_", "U", of="source_", out="unit")
_DECODER = weights("decoder", "decoder_")
_ENCODER_NORMS = step_norms("encoder_step_norms", "source_time", "source_gate", "U")
_DECODER_NORMS = step_norms("decoder_step_norms")
PAIR_GRADIENTS = Labels(
    table(
        _NETWORK,
        LOSS
        | _ENCODER[0]
        | _DECODER[0]
        | {
            name: (own, unit, f"{text} of the decoder")
            for name, (own, unit, text) in _STARTS.items()
        }
        | _ENCODER_NORMS[0]
        | _DECODER_NORMS[0]
        | _ON_THE_WAY,
    ),
    _ENCODER[1] | _DECODER[1] | _ENCODER_NORMS[1] | _DECODER_NORMS[1],
)

# Training, beside its record.

TRAINING = Labels(
    table(
        _NETWORK,
        {
            "final_h": ("sequence unit", NONE, "state that is carried on"),
            "final_c": ("sequence unit", NONE, "memories that are carried on"),
        },
    )
)

# Data.

_DATA: Entries = {
    "inputs": ("time sequence input", NONE, "x_t"),
    "targets": ("time sequence", NONE, "class ids of right answers"),
    "weights": ("time sequence", NONE, "loss weights w"),
}
_VALUES: Entries = {"targets": ("time sequence output", NONE, "right outputs")}
_DERIVATIVES: Entries = {
    "dL_dy": ("time sequence output", NONE, "dL/dy_t, of the whole loss"),
    "dL_dh": ("time sequence unit", NONE, "dL/dh_t, its direct part"),
    "dL_dc_final": ("sequence unit", NONE, "dL/dc_T at fixed h_T"),
    "dL_dh_final": ("sequence unit", NONE, "dL/dh_T at fixed states of other layers"),
}
_SOURCE: Entries = {"source": ("source_time sequence source_input", NONE, "what the encoder reads")}


def of_data(*, own: bool, classes: bool, gradients: bool = False, source: bool = False) -> Labels:
    """Labels of data: own for each network, with class ids, derivatives or a source."""
    entries = _DATA | ({} if classes else _VALUES)
    paths: dict[str, str] = {}
    if gradients:
        entries = {name: entry for name, entry in entries.items() if name != "targets"}
        entries |= _DERIVATIVES
        paths = {name: f"gradients.{name}" for name in _DERIVATIVES}
    if source:
        paths = {name: f"target.{name}" for name in entries}
        entries = _SOURCE | entries
    return Labels(table(_NETWORK if own else (), entries), paths)
