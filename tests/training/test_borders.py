"""Misuse of training: every message names the parameter, what was expected and what came."""

import numpy as np
import pytest
from builders import case, draws
from pair_builders import pair_case

import rnnsim
from rnnsim.training.train import train

pytestmark = pytest.mark.nojit
RNN = case(N=2).rnn
MISUSE = {
    "unknown optimiser": ({"optimizer": "lion"}, "`optimizer` must be one of 'sgd'"),
    "unknown carry": ({"carry": "state"}, "`carry` must be one of 'sequence', 'stream', 'none'"),
    "unknown variant": ({"penalty_variant": "mine"}, "`penalty_variant` must be one of"),
    "negative rate": ({"learning_rate": -0.1}, "`learning_rate` must be at least 0, got -0.1"),
    "negative penalty": ({"penalty": [1.0, -1.0]}, "`penalty` must be at least 0, got -1.0"),
    "clip of zero": ({"clip_norm": 0.0}, "`clip_norm` must be above 0, got 0.0"),
    "clip by value of zero": ({"clip_value": [1.0, 0.0]}, "`clip_value` must be above 0"),
    "NaN": ({"learning_rate": np.nan}, "`learning_rate` must be finite"),
    "one value too many": ({"learning_rate": [0.1] * 3}, r"`learning_rate` must be a number or of"),
    "momentum of 1": ({"momentum": 1.0}, "`momentum` must be at least 0 and below 1, got 1.0"),
    "epsilon of 0": ({"epsilon": 0.0}, "`epsilon` must be a finite number"),
    "negative updates": ({"n_updates": -1}, "`n_updates` must be at least 0, got -1"),
    "window of 0": ({"window": 0}, "`window` must be at least 1, got 0"),
    "stride above window": ({"window": 2, "stride": 3}, "`stride` must be at most `window` = 2"),
    "stride alone": ({"stride": 3}, "`stride` = 3 needs a `window`"),
    "record never": ({"record_every": 0}, "`record_every` must be at least 1"),
    "a mask that does not fit": ({"mask": {"W_hh": np.ones((3, 3))}}, r"`mask` of 'W_hh' must fit"),
    "a mask of nothing": ({"mask": {"W_hx": 0}}, "`mask name` must be one of 'W_xh'"),
    "unequal ties": ({"tie": {"W_hh": 1}}, "`tie` must join weights that are equal"),
    "own data of one batch": ({"own_data": True}, "`own_data` draws a stream for each network"),
}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_refused(name):
    options, message = MISUSE[name]
    batch = draws(np.random.default_rng(0))
    with pytest.raises(ValueError, match=message):
        train(RNN, batch, **({"n_updates": 1} | options))


def test_wrong_kinds_are_refused():
    batch = draws(np.random.default_rng(0))
    with pytest.raises(TypeError, match=r"`model` must be a rnnsim.RNN, rnnsim.Stack or"):
        train("rnn", batch, n_updates=1)
    with pytest.raises(TypeError, match=r"`task` must be a rnnsim.Sequences"):
        train(RNN, "characters", n_updates=1)
    with pytest.raises(TypeError, match=r"`task` must be a rnnsim.Sequences"):
        train(RNN, lambda rng: 3, n_updates=1, rng=0)
    with pytest.raises(TypeError, match="`rng` must be an int seed"):
        train(RNN, draws, n_updates=1)
    with pytest.raises(TypeError, match="`tie` must hold integer labels"):
        train(RNN, batch, n_updates=1, tie={"W_hh": 0.5})
    with pytest.raises(TypeError, match="`mask` must be a mapping"):
        train(RNN, batch, n_updates=1, mask=np.ones((4, 4)))
    with pytest.raises(TypeError, match="`window` must be an integer"):
        train(RNN, batch, n_updates=1, window=2.5)


@pytest.mark.parametrize("sizes", [{"D": 3}, {"V": 4}], ids=str)
def test_a_task_of_other_sizes_is_refused(sizes):
    def draw(rng):
        return draws(rng, **sizes)

    def check():
        return draw(np.random.default_rng(0))

    with pytest.raises(ValueError, match=r"n_inputs = 2|n_outputs = 3"):
        train(RNN, draw, n_updates=5, rng=0)
    with pytest.raises(ValueError, match=r"n_inputs = 2|n_outputs = 3"):
        train(RNN, draws, n_updates=1, rng=0, test=check())


@pytest.mark.parametrize("sizes", [{"D": 3}, {"V": 4}], ids=str)
def test_data_that_do_not_fit_go_by_the_name_of_their_parameter(sizes):
    def draw(rng):
        return draws(rng, **sizes)

    other = draw(np.random.default_rng(0))
    field = "inputs" if "D" in sizes else "targets"
    for name, given in (("test", {"test": other}), ("task", {"task": draw}), ("task", {})):
        arguments = {"task": other if not given else draws, "n_updates": 1, "rng": 0} | given
        with pytest.raises(ValueError, match=rf"^`{field}` of `{name}` must"):
            train(RNN, **arguments)
    pair = pair_case(N=2)
    wide = rnnsim.Pairs(
        np.zeros((3, pair.pairs.n_sequences, pair.model.n_source_inputs + 1)), pair.pairs.target
    )
    with pytest.raises(ValueError, match=r"^`source` of `test` must have n_inputs"):
        train(pair.model, pair.pairs, n_updates=1, test=wide)


@pytest.mark.parametrize(
    ("mask", "kind", "message"),
    [
        ([[np.nan] * 4] * 4, ValueError, "`mask` must be finite, got nan"),
        (np.full((4, 4), np.inf), ValueError, "`mask` must be finite, got inf"),
        (np.full((4, 4), "1"), TypeError, "`mask` must hold numbers, 0 where weights are held"),
        (np.full((4, 4), 1j), TypeError, "`mask` must hold numbers"),
        (np.full((4, 4), None), TypeError, "`mask` must hold numbers"),
        ([[1], [1, 0]], ValueError, "`mask` must be an array or nested lists of one length"),
    ],
)
def test_a_mask_that_says_nothing_is_refused(mask, kind, message):
    with pytest.raises(kind, match=message):
        train(RNN, draws(np.random.default_rng(0)), n_updates=1, mask={"W_hh": mask})


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_mask_of_nan_is_refused_in_either_part(part):
    made = pair_case(N=2)
    with pytest.raises(ValueError, match="`mask` must be finite, got nan"):
        train(made.model, made.pairs, n_updates=1, mask={f"{part}.W_xh": np.nan})


def test_masks_of_numbers_and_booleans_hold_the_same_weights():
    batch = draws(np.random.default_rng(0))
    keep = np.random.default_rng(1).random((4, 4)) < 0.5
    found = [
        train(RNN, batch, n_updates=2, mask={"W_hh": each}).rnn.W_hh
        for each in (keep, keep.astype(int), keep.astype("float32"), keep.tolist())
    ]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)
    np.testing.assert_array_equal(found[0] == RNN.W_hh, np.broadcast_to(~keep, (2, 4, 4)))


def test_another_dtype_is_refused():
    with pytest.raises(TypeError, match="must share one dtype"):
        train(RNN, lambda rng: draws(rng).astype("float32"), n_updates=1, rng=0)


def test_data_without_loss_are_refused():
    batch = draws(np.random.default_rng(0))
    silent = rnnsim.Sequences(batch.inputs, batch.targets, np.zeros_like(batch.weights))
    with pytest.raises(ValueError, match="`task` must carry loss"):
        train(RNN, silent, n_updates=1)


def test_encoder_decoder_networks_take_pairs_and_no_window():
    made = pair_case(N=2)
    with pytest.raises(TypeError, match=r"`task` must be a rnnsim.Pairs"):
        train(made.model, made.pairs.target, n_updates=1)
    with pytest.raises(ValueError, match="`window` = 3: encoder-decoder"):
        train(made.model, made.pairs, n_updates=1, window=3)
    with pytest.raises(TypeError, match=r"`test` must be a rnnsim.Pairs"):
        train(made.model, made.pairs, n_updates=1, test=made.pairs.target)


def test_streams_need_batches_of_one_size():
    def draw(rng):
        return draws(rng, B=int(rng.integers(1, 5)))

    with pytest.raises(ValueError, match='`carry` = "stream" needs batches of as many sequences'):
        train(RNN, draw, n_updates=20, window=3, carry="stream", rng=0)
