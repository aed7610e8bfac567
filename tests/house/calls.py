"""One sound call of every public function, small; values that are wrong for nearly everything.

`tests/house/test_misuse.py` puts each of these in the place of each parameter. What kind of thing
a parameter is stands in `PARAMETERS`; which of the values that kind takes after all, in `TAKEN`.
"""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import xarray as xr
from diagnosis_calls import DIAGNOSIS
from probing_calls import PROBING
from reading_calls import READING
from theory_calls import THEORY

import rnnsim
from rnnsim import tasks

rng = np.random.default_rng(0)
RNNS = rnnsim.RNN.sample(2, n_inputs=2, n_hidden=4, n_outputs=3, rng=0)
BATCH = rnnsim.Sequences(rng.normal(size=(25, 2, 2)), rng.integers(0, 3, (25, 2)))
PAIRS = rnnsim.Pairs(
    rng.normal(size=(3, 2, 2)), rnnsim.Sequences(np.zeros((4, 2, 3)), np.ones((4, 2), int))
)
MODEL = rnnsim.EncoderDecoder.sample(
    2, n_source_inputs=2, n_inputs=3, n_hidden=4, n_outputs=3, rng=0
)
H0 = np.zeros((2, 4))
LSTMS = rnnsim.RNN.sample(2, n_inputs=2, n_hidden=4, n_outputs=3, cell="lstm", rng=0)
GATED = {"rnn": LSTMS, "h0": H0, "c0": H0}
STACKS = rnnsim.Stack.sample(2, n_layers=2, n_inputs=2, n_hidden=4, n_outputs=3, rng=0)
OF_LAYERS = [rnn.weights for rnn in STACKS.layers]

WRONG: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "nan": lambda: np.nan,
    "inf": lambda: np.inf,
    "-inf": lambda: -np.inf,
    "-1": lambda: -1,
    "0": lambda: 0,
    "1.5": lambda: 1.5,
    "True": lambda: True,
    "''": lambda: "",
    "'1'": lambda: "1",
    "'abc'": lambda: "abc",
    "a text of NumPy": lambda: np.str_("1"),
    "bytes": lambda: b"1",
    "[]": lambda: [],
    "[[]]": lambda: [[]],
    "[1]": lambda: [1],
    "[None]": lambda: [None],
    "{}": lambda: {},
    "{1: 2}": lambda: {1: 2},
    "{'a': 'b'}": lambda: {"a": "b"},
    "an object": object,
    "complex": lambda: 1 + 2j,
    "huge": lambda: 10**400,
    "-huge": lambda: -(10**400),
    "too long to be shown": lambda: 10**5000,
    "objects": lambda: np.array([object(), None]),
    "texts": lambda: np.array(["1", "2"]),
    "dates": lambda: np.array(["2020-01-01"], "datetime64[D]"),
    "a masked array": lambda: np.ma.masked_array(np.ones(2), [True, False]),
    "a masked number": lambda: np.ma.masked_array(1.0, True),
    "ragged": lambda: [[1.0], [1.0, 2.0]],
    "a class": lambda: int,
    "a function": lambda: lambda: 1,
    "six axes": lambda: np.ones((1,) * 6),
    "seven": lambda: np.arange(1.0, 8.0),
    "nans": lambda: np.full(2, np.nan),
    "nans of a matrix": lambda: np.full((4, 4), np.nan),
    "no entries": lambda: np.empty(0),
    "complexes": lambda: np.array([1j, 2.0]),
    "a set": lambda: {1},
    "a generator": lambda: (i for i in [1]),
    "a fraction": lambda: Fraction(1, 2),
    "a decimal": lambda: Decimal("0.5"),
    "a decimal that is none": lambda: Decimal("sNaN"),
    "...": lambda: ...,
    "networks": lambda: RNNS[:1],
    "a batch": lambda: BATCH.last_loss_only(),
}

# What some of them are in another guise: the result is the same.
TWINS: dict[str, Any] = {
    "a fraction": 0.5, "a decimal": 0.5, "a set": [1], "a generator": [1], "a text of NumPy": "1",
}  # fmt: skip

_NUMBERS = {"-1", "0", "1.5", "a fraction", "a decimal"}
_SHAPED = {"-1", "0", "1.5", "[1]", "seven", "six axes"}
# Of the values above, what each kind of parameter may take: the range of numbers is not the point.
TAKEN: dict[str, set[str]] = {
    "size": set(),  # at least 1
    "count": {"0"},
    "count or none": {"0", "None"},
    "size or none": {"None"},
    "seed": {"0", "huge", "too long to be shown"},
    "series": {"[1]", "a set", "a generator"},  # of whole numbers
    "lags": {"[1]", "0", "a set", "a generator"},
    "chosen windows": {"[1]", "a set", "a generator", "[]", "no entries"},  # or none of them
    "pair": set(),
    "levels": {"[1]", "a set", "a generator"},  # from 0 to 1
    "sizes": {"[1]"},
    "seeds": {"[1]"},
    "real": _NUMBERS,
    "reals": _NUMBERS | {"[1]", "seven"},
    "share": {"0", "a fraction", "a decimal"},
    "for each network": {"-1", "0", "1.5", "[1]"},
    "limit": {"1.5", "inf", "[1]", "a fraction", "a decimal"},
    "limit or 0": {"1.5", "inf", "[1]", "0", "None"},
    "real array": {"-1", "0", "1.5", "[1]", "seven", "six axes", "[]", "[[]]", "no entries"},
    "logs": {"seven", "six axes", "[]", "[[]]", "[1]", "no entries", "nans", "nans of a matrix"},
    "windows": {"[1]", "[]", "[[]]"},
    "horizon": set(),  # above 2
    "axis": {"[1]", "0", "seven", "six axes"},
    "array": set(),
    "id": {"-1", "0", "None"},
    "matrices": {"networks"},
    "networks": {"networks"},
    "pair of networks": set(),
    "data": {"a batch"},
    "pairs": set(),
    "feed": {"a batch"},
    "flag": {"True"},
    "name": set(),
    "name or none": {"None"},
    "names": {"[]", "no entries"},
    "mapping": {"{}"},
    "origin": {"{}", "{'a': 'b'}"},
    "path": {"'1'", "'abc'", "a text of NumPy"},
    "file": set(),  # that is there
    "text": {"''", "'1'", "'abc'", "a text of NumPy"},
    "letters": {"''", "'abc'"},
    "class": set(),
    "ids": {"0", "[1]"},
}

# What each parameter is, by name; `Call.kinds` says where one function means something else.
PARAMETERS: dict[str, str] = {
    name: kind
    for kind, names in {
        "size": """n_networks n_layers n_inputs n_hidden n_outputs n_source_inputs n_steps length
            n_sequences batch_size window stride k max_iterations n_points block_steps n_exponents
            reorthonormalise_every max_lag n_threads step record_every snapshot_every n_records
            checkpoint_every delay n_symbols n_memory n_batches test_size exponent_steps largest n
            accumulate budget""",
        "id": "ignore_index",
        "count": "n_updates burn_in tau start end data_seed network_seed seed permutation",
        "seed": "rng",
        "series": "lags loss_steps windows",
        "seeds": "network_seeds data_seeds",
        "sizes": "n_layers",
        "real": """forget_bias tolerance max_memory state_memory radius extent log_M beta momentum
            beta1 beta2 decay epsilon slope_bound share""",
        "reals": "gain scale strength",
        "for each network": "learning_rate penalty",
        "limit": "clip_norm clip_value",
        "real array": """input_variance bias_variance spectral_norm value fraction""",
        "axis": "real imag",
        "array": """W_xh W_hh W_hy b_h b_y inputs targets weights h0 c0 source jacobians ids dL_dy
            dL_dh dL_dh_final dL_dc_final starts embedding""",
        "matrices": "matrix",
        "networks": "rnn encoder decoder model network",
        "data": "sequences pairs test target data",
        "feed": "task draw",
        "flag": "varied per_sequence own_data last_loss_only driven progress reverse exponents",
        "name": """cell activation scheme optimizer carry penalty_variant drive name loss order part
            measures truncation methods state_scale of clip_by layout""",
        "names": "keep",
        "mapping": "task_options mask tie",
        "origin": "provenance",
        "horizon": "chrono",
        "path": "path checkpoint store",
        "text": "kind text",
        "class": "dtype executor flow dataset datasets layers encoder_weights decoder_weights",
    }.items()
    for name in names.split()
}


class Call:
    """A sound call: arguments made anew each time, and parameters of another kind than usual."""

    def __init__(self, arguments: Callable[[], dict[str, Any]], of: Any = None, **kinds: str):
        self.arguments, self.of, self.kinds = arguments, of, kinds


def _call(of: Any = None, kinds: dict[str, str] | None = None, **arguments: Any) -> Call:
    return Call(lambda: dict(arguments), of, **(kinds or {}))


@cache  # not before a test asks for it
def _flow() -> rnnsim.GradientFlow:
    return rnnsim.gradient_flow(RNNS, BATCH)


@cache
def _sweep() -> xr.Dataset:
    return rnnsim.sweep("adding", gain=1.0, length=3, n_hidden=3, network_seeds=1)


_DRAWS = {"gain": "for each network"}
_DRAWN = {"n_inputs": 2, "n_hidden": 3, "n_outputs": 2, "rng": 0}
_PAIRED = _DRAWN | {"n_source_inputs": 2, "n_networks": 2, "cell": "lstm"}
_BOTH = {"model": "pair of networks", "pairs": "pairs"}
_TASK = {"n_steps": 22, "n_sequences": 2, "rng": 0}
_FEW = {"n_hidden": 3, "network_seeds": 1, "batch_size": 1}
_SHORT = {"n_steps": 25, "burn_in": 1}
_ONE_TASK = {"gain": "reals", "forget_bias": "reals"}
_SWEPT = {**_ONE_TASK, "length": "sizes", "n_hidden": "sizes"}
_RECORDED = {
    "clip_norm": "limit or 0", "record_every": "size or none", "snapshot_every": "size or none",
}  # fmt: skip
_WINDOWS = rnnsim.WindowBiasVariance(
    np.arange(1, 3), 2, np.zeros(1), *np.ones((4, 1, 2)), *np.ones((2, 1, 2, 3)), np.ones(1),
    *np.ones((2, 1, 2)), np.ones(1, int),
)  # fmt: skip
_OF_WINDOWS = {
    "mean_square_error": "batch_size", "best_window": "batch_size", "as_good_windows": "batch_size",
    "horizon": "batch_size", "best_split": "budget",
}  # fmt: skip
_GIVEN = {"inputs": BATCH.inputs, "targets": BATCH.targets, "weights": BATCH.weights}
_OF_STEPS = {"dL_dy": np.ones((25, 2, 3)), "dL_dh": np.ones((25, 2, 4))}
_DERIVED = {**_OF_STEPS, "dL_dh_final": H0, "dL_dc_final": H0}
_MATRIX = np.array([[0.5, 0.8], [0.0, 0.5]])
_SPARED = rnnsim.RNN.sample(n_inputs=1, n_hidden=6, n_outputs=1, rng=0)


CALLS: dict[str, Call] = {
    # networks and data
    "RNN": _call(
        W_xh=np.ones((3, 2)), W_hh=np.eye(3), W_hy=np.ones((1, 3)), embedding=np.ones((5, 2))
    ),
    "RNN.sample": _call(
        rnnsim.RNN, _DRAWS | {"n_outputs": "count"}, n_networks=2, cell="lstm", **_DRAWN
    ),
    "RNN.with_weights": _call(RNNS, {"weights": "class"}, weights=RNNS.weights),
    "RNN.astype": _call(RNNS, dtype="float32"),
    "Stack": _call(layers=STACKS.layers),
    "Stack.sample": _call(rnnsim.Stack, _DRAWS | {"n_outputs": "count"}, n_layers=2, **_DRAWN),
    "Stack.with_weights": _call(STACKS, {"weights": "class"}, weights=OF_LAYERS),
    "Stack.astype": _call(STACKS, dtype="float32"),
    "EncoderDecoder": _call(encoder=MODEL.encoder, decoder=MODEL.decoder),
    **{
        f"EncoderDecoder.{name}": _call(rnnsim.EncoderDecoder, _DRAWS, **_PAIRED)
        for name in ("sample", "captioner")
    },
    "EncoderDecoder.with_weights": _call(
        MODEL, encoder_weights=MODEL.encoder.weights, decoder_weights=MODEL.decoder.weights
    ),
    "EncoderDecoder.astype": _call(MODEL, dtype="float32"),
    "Sequences": _call(kinds={"mask": "array"}, **_GIVEN),
    "Sequences.ragged": _call(rnnsim.Sequences, **{key: [*each] for key, each in _GIVEN.items()}),
    "Sequences.from_gradients": _call(rnnsim.Sequences, inputs=BATCH.inputs, **_DERIVED),
    "Sequences.astype": _call(BATCH, dtype="float32"),
    "Pairs": _call(source=PAIRS.source, target=PAIRS.target),
    "Pairs.astype": _call(PAIRS, dtype="float32"),
    # running and differentiating them
    "forward": _call(**GATED, inputs=BATCH.inputs),
    "evaluate": _call(**GATED, sequences=BATCH),
    "bptt": _call(**GATED, sequences=BATCH, keep=["inputs"]),
    "truncated_bptt": _call(**GATED, sequences=BATCH, window=3, keep=["states"]),
    "gradient_flow": _call(
        kinds={"windows": "chosen windows"}, **GATED, sequences=BATCH, state_scale="std"
    ),
    "gradient_map": _call(model=RNNS, data=BATCH),
    "growth_rate": Call(lambda: {"flow": _flow()}, lags="pair"),
    "sufficient_window": Call(lambda: {"flow": _flow(), "of": "gates"}),
    "window_between": Call(lambda: {"flow": _flow(), "of": "gates"}),
    "reach": Call(lambda: {"flow": _flow()}),
    "window_bias_variance": _call(**GATED, draw=BATCH, n_batches=2, windows=[1, 2], max_lag=2),
    **{
        f"WindowBiasVariance.{name}": _call(_WINDOWS, **{parameter: 4})
        for name, parameter in _OF_WINDOWS.items()
    },
    "pairs_bptt": _call(kinds=_BOTH, model=MODEL, pairs=PAIRS),
    "pairs_evaluate": _call(kinds=_BOTH, model=MODEL, pairs=PAIRS),
    "pairs_flow": _call(kinds=_BOTH, model=MODEL, pairs=PAIRS),
    "greedy_decode": _call(
        kinds=_BOTH, model=MODEL, source=PAIRS.source, start=1, end=2, n_steps=2
    ),
    "exact_match": _call(kinds={"pairs": "pairs"}, ids=np.zeros((2, 4, 2), int), pairs=PAIRS),
    "jacobians": _call(**GATED, inputs=BATCH.inputs),
    "jacobian_spectrum": _call(**GATED, inputs=BATCH.inputs),
    "jacobian_products": _call(**GATED, sequences=BATCH, lags=[1, 2]),
    "lyapunov_spectrum": _call(
        kinds={"inputs": "array"}, **GATED, n_steps=25, rng=0, burn_in=1, block_steps=1
    ),
    "gate_statistics": _call(
        kinds={"quantiles": "levels", "burn_in": "count or none"},
        **GATED,
        sequences=BATCH,
        burn_in=1,
    ),
    "product_exponents": _call(
        jacobians=np.broadcast_to(np.eye(2), (25, 2, 2)), burn_in=1, block_steps=1
    ),
    "train": _call(
        kinds={"task": "feed", "gates": "name or none"},
        **{"model" if name == "rnn" else name: value for name, value in GATED.items()},
        task=BATCH,
        test=BATCH,
        n_updates=1,
        window=5,
        starts=np.zeros((25, 2), bool),
        optimizer="adam",
        rng=0,
    ),
    "truncation_schedule": _call(n_steps=5, window=2),
    # one W_hh
    "spectrum": _call(rnn=RNNS),
    "leading_spectrum": _call(kinds={"tolerance": "share"}, rnn=_SPARED, k=1),
    "nonnormality": _call(kinds={"radius": "for each network"}, rnn=_MATRIX),
    "pseudospectrum": _call(rnn=_MATRIX, n_points=2),
    "transient_growth": _call(kinds={"lags": "lags"}, rnn=_MATRIX, lags=[1]),
    "with_departure": _call(kinds={"scale": "for each network"}, rnn=RNNS, scale=1.0),
    # experiments
    "sweep": _call(kinds=_SWEPT | {"lags": "lags"}, task="adding", gain=1.0, length=3, **_FEW),
    "cell_sweep": _call(
        kinds=_ONE_TASK
        | {"cell": "name", "gain": "real", "forget_bias": "reals", "state_scale": "name or none"},
        cell="lstm",
        forget_bias=1.0,
        length=22,
        **_FEW,
    ),
    "depth_sweep": _call(kinds={"cell": "name", "gain": "real"}, n_layers=1, length=22, **_FEW),
    "lyapunov_sweep": _call(
        kinds=_SWEPT | {"burn_in": "count or none", "block_steps": "size or none"},
        gain=1.0,
        block_steps=1,
        **_SHORT,
        **_FEW,
    ),
    "phase_sweep": _call(
        kinds=_ONE_TASK | {"burn_in": "count or none"}, gain=1.0, strength=1.0, **_SHORT, **_FEW
    ),
    "step_sweep": _call(kinds=_ONE_TASK, gain=1.0, scheme="gaussian", **_FEW | {"length": 3}),
    "jacobian_sweep": _call(
        kinds=_ONE_TASK, gain=1.0, scheme="gaussian", lags=[1], length=3, exponent_steps=23, **_FEW
    ),
    "normality_sweep": _call(scale=1.0, length=3, activation="tanh", **_FEW),
    "pseudospectrum_sweep": _call(scale=1.0, n_hidden=3, n_points=2),
    "learning_sweep": _call(
        kinds={"length": "sizes", "forget_bias": "reals"},
        **{"length": 10, "n_updates": 1, "methods": ["clipping"], "test_size": 5} | _FEW,
    ),
    "training_sweep": _call(
        kinds=_ONE_TASK | _RECORDED,
        **_FEW | {"length": 10, "gain": 1.0, "n_updates": 1, "window": 5},
        **{"record_every": None, "snapshot_every": None},
    ),
    "window_sweep": _call(
        kinds=_ONE_TASK | {"gain": "real", "clip_norm": "limit or 0"},
        **_FEW | {"length": 4, "delay": 1, "windows": [2], "n_batches": 1},
    ),
    "bias_variance_sweep": _call(
        kinds=_ONE_TASK | {"gain": "real", "clip_norm": "limit or 0", "n_updates": "count"},
        **_FEW | {"length": 4, "n_batches": 2, "n_updates": 1},
    ),
    "portrait": _call(
        kinds=_ONE_TASK | {"gain": "real", "weights": "path", "n_layers": "size"},
        **{"n_hidden": 3, "length": 22, "batch_size": 1},
    ),
    "architecture_experiment": _call(
        kinds={"learning_rate": "reals", "text": "file", "n_layers": "size"}
        | {"forget_bias": "count or none"},  # vanilla networks have no gate to set
        **{"name": "captions", "cell": "vanilla", "n_updates": 1, "n_records": 1},
        **{"network_seeds": 1, "n_hidden": 3, "batch_size": 2},
    ),
    "merge": Call(lambda: {"datasets": [_sweep()]}),
    "save": _call(dataset=xr.Dataset(), path="saved"),
    "load": Call(lambda: {"path": rnnsim.save(xr.Dataset(), "saved")}),
    # tasks
    "tasks.adding": _call(**_TASK),
    "tasks.copy_memory": _call(**_TASK),
    "tasks.echo": _call(**_TASK),
    "tasks.temporal_order": _call(**_TASK),
    "tasks.characters": _call(kinds={"text": "file"}, **_TASK),
    "tasks.corpus": _call(kinds={"text": "file"}),
    "tasks.sentences": _call(**_TASK | {"n_steps": 30}),
    "tasks.digits": _call(kinds={"n_steps": "size or none"}, **_TASK | {"n_steps": 8}),
    "tasks.number_words": _call(n_sequences=2, rng=0, largest=20),
    "tasks.number_alphabets": _call(largest=20),
    "tasks.captions": _call(n_sequences=2, rng=0),
    "tasks.sizes": _call(name="adding"),
    "tasks.Alphabet.encode": _call(tasks.Alphabet("abc"), {"text": "letters"}, text="a"),
    "tasks.Alphabet.decode": _call(tasks.Alphabet("abc"), {"ids": "array"}, ids=[[0, 1]]),
    # networks from files and models, and what they do
    **{
        name: Call(make, of, **kinds)
        for name, (of, kinds, make) in (READING | PROBING | DIAGNOSIS).items()
    },
    # theory
    **{f"theory.{name}": _call(kinds=kinds, **given) for name, (kinds, given) in THEORY.items()},
}
