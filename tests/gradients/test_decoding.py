"""Greedy decoding beside a plain loop, and what exact means."""

import numpy as np
import pytest
import reference_pairs
from builders import DTYPES
from pair_builders import pair_case, plain

import rnnsim

pytestmark = pytest.mark.nojit


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(
    "cells",
    [("tanh", "tanh"), ("linear", "relu"), ("lstm", "lstm"), ("gru", "gru"), ("gru", "lstm")],
)
def test_greedy_decoding_equals_a_plain_loop(own, cells):
    """Six classes, the last of which is never an answer: more inputs than outputs."""
    made = pair_case(8, N=2, B=5, D=6, V=5, H_e=4, activations=cells, own=own)
    ids = rnnsim.greedy_decode(made.model, made.pairs.source, start=5, end=2, n_steps=7)
    assert (ids.shape, ids.dtype) == ((2, 7, 5), np.int64)
    for n in range(2):
        encoder, decoder, source, _, kinds = plain(made, n)
        expected = reference_pairs.greedy(encoder, decoder, source, kinds, 5, 2, 7)
        np.testing.assert_array_equal(ids[n], expected)


def test_the_cases_of_the_plain_loop_end_early_and_do_not():
    made = pair_case(8, N=2, B=5, D=6, V=5)
    ids = rnnsim.greedy_decode(made.model, made.pairs.source, start=5, end=2, n_steps=7)
    ended = (ids == 2).any(axis=1)
    assert ended.any()
    assert not ended.all()
    assert len(np.unique(ids)) > 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_exact_with_a_teacher_is_exact_without(dtype):
    """Teach what the networks write by themselves: every sequence is exact, and after a change of
    one symbol that one is not."""
    made = pair_case(9, T=6, B=4, D=5, V=5).astype(dtype)
    ids = rnnsim.greedy_decode(made.model, made.pairs.source, start=4, end=0, n_steps=6)
    read = np.concatenate([np.full((1, 4), 4), ids[0, :-1]])
    after = np.cumsum(ids[0] == 0, axis=0) - (ids[0] == 0) > 0
    weights = np.where(after, 0, 1).astype(dtype)
    onehot = np.eye(5, dtype=dtype)
    target = rnnsim.Sequences(onehot[read], ids[0], weights)
    pairs = rnnsim.Pairs(made.pairs.source, target)
    assert rnnsim.pairs_evaluate(made.model, pairs).exact.tolist() == [1.0]
    assert rnnsim.exact_match(ids, pairs).tolist() == [1.0]
    ids[0, 0, 1] = (ids[0, 0, 1] + 1) % 5
    assert rnnsim.exact_match(ids, pairs).tolist() == [0.75]
    longer = np.concatenate([ids, ids], axis=1)
    assert rnnsim.exact_match(longer, pairs).tolist() == [0.75]


def test_exact_match_ignores_steps_and_sequences_without_loss():
    weights = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    target = rnnsim.Sequences(np.zeros((2, 3, 4)), np.ones((2, 3), int), weights)
    pairs = rnnsim.Pairs(np.zeros((5, 3, 2)), target)
    assert rnnsim.exact_match([[[1, 0, 1], [0, 0, 0]], [[1, 0, 1], [1, 1, 1]]], pairs).tolist() == [
        0.5,
        1.0,
    ]
    silent = rnnsim.Sequences(target.inputs, target.targets, 0 * weights)
    nothing = rnnsim.exact_match(np.ones((1, 2, 3), int), rnnsim.Pairs(pairs.source, silent))
    assert np.isnan(nothing).tolist() == [True]


def test_outputs_beyond_the_range_are_no_answer():
    one = np.ones((1, 1, 1))
    encoder = rnnsim.RNN(one, one, one, activation="linear")
    decoder = rnnsim.RNN(np.zeros((1, 1, 2)), 1e200 * one, np.ones((1, 2, 1)), activation="linear")
    model = rnnsim.EncoderDecoder(encoder, decoder)
    ids = rnnsim.greedy_decode(model, np.ones((1, 1, 1)), start=1, end=1, n_steps=3)
    assert ids[0, :, 0].tolist() == [0, -1, -1]


def test_misuse_is_named():
    model, pairs = pair_case()
    ids = np.zeros((1, 5, 3), int)
    options = {"start": 0, "end": 1, "n_steps": 3}
    with pytest.raises(TypeError, match=r"`model` must be a rnnsim.EncoderDecoder, got RNN"):
        rnnsim.greedy_decode(model.decoder, pairs.source, **options)
    with pytest.raises(ValueError, match="`source` must have n_inputs = 2"):
        rnnsim.greedy_decode(model, np.zeros((4, 3, 3)), **options)
    with pytest.raises(ValueError, match=r"`start` must be a class id 0\.\.2, got 3"):
        rnnsim.greedy_decode(model, pairs.source, **(options | {"start": 3}))
    with pytest.raises(ValueError, match="`end` must be at least 0, got -1"):
        rnnsim.greedy_decode(model, pairs.source, **(options | {"end": -1}))
    with pytest.raises(ValueError, match="`n_steps` must be at least 1"):
        rnnsim.greedy_decode(model, pairs.source, **(options | {"n_steps": 0}))
    with pytest.raises(ValueError, match="an input for each of its n_outputs = 4 classes, got"):
        rnnsim.greedy_decode(pair_case(V=4).model, pairs.source, **options)
    with pytest.raises(TypeError, match=r"`pairs` must be a rnnsim.Pairs"):
        rnnsim.exact_match(ids, pairs.target)
    with pytest.raises(TypeError, match="`pairs` must have class targets"):
        rnnsim.exact_match(ids, pair_case(classes=False).pairs)
    with pytest.raises(TypeError, match=r"`ids` must hold class ids \(integers\), got float64"):
        rnnsim.exact_match(ids.astype(float), pairs)
    for wrong in (ids[0], ids[:, :4], ids[:, :, :2]):
        with pytest.raises(ValueError, match=r"at least 5 steps and 3 sequences as in `pairs`"):
            rnnsim.exact_match(wrong, pairs)
    with pytest.raises(ValueError, match=r"got shape \(1, 5, 3\)"):
        rnnsim.exact_match(ids, pair_case(N=2, own=True).pairs)
