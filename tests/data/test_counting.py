"""Which steps carry loss: masks, classes that are ignored, and means per token."""

import pickle

import builders
import numpy as np
import pytest
from builders import case
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import Sequences, bptt, evaluate, forward

pytestmark = pytest.mark.nojit
T, B, V = 6, 3, 3
MASK = np.arange(T)[:, None] < [6, 4, 1]


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("kind", ["bool", "int64", "float64"])
def test_a_mask_sets_weights_to_zero(kind, classes):
    made = case(T=T, B=B, V=V, classes=classes)
    s = made.sequences
    masked = Sequences(s.inputs, s.targets, s.weights, mask=MASK.astype(kind))
    assert_array_equal(masked.weights, np.where(MASK, s.weights, 0))
    assert_array_equal(s.weights > 0, made.sequences.weights > 0)
    by_hand = Sequences(s.inputs, s.targets, np.where(MASK, s.weights, 0))
    builders.same_bits(bptt(made.rnn, masked), bptt(made.rnn, by_hand))


def test_targets_behind_the_mask_are_not_read():
    s = case(T=T, B=B, V=V).sequences
    wild = np.where(MASK, s.targets, -7)
    assert_array_equal(Sequences(s.inputs, wild, mask=MASK).targets, np.where(MASK, s.targets, 0))


def test_a_mask_of_each_network():
    s = case(N=2, T=T, B=B, V=V, own=True).sequences
    mask = np.stack([MASK, ~MASK])
    masked = Sequences(s.inputs, s.targets, mask=mask.tolist())
    assert_array_equal(masked.weights, mask)


@pytest.mark.parametrize(
    ("mask", "kind", "message"),
    [
        (MASK.T, ValueError, r"`mask` must be \(n_steps, n_sequences\) = \(6, 3\).*got \(3, 6\)"),
        (MASK * 2, ValueError, r"`mask` must hold booleans, or 0 and 1, got 2 at \[0, 0\]"),
        (MASK * np.nan, ValueError, r"`mask` must hold booleans, or 0 and 1, got nan at \[0, 0\]"),
        (MASK.astype(str), TypeError, r"`mask` .* must hold booleans, or 0 and 1, got <U5"),
        (np.ma.masked_array(MASK), TypeError, r"`mask` must be a plain array, got a masked one"),
    ],
)
def test_masks_that_say_nothing_are_refused(mask, kind, message):
    s = case(T=T, B=B, V=V).sequences
    with pytest.raises(kind, match=message):
        Sequences(s.inputs, s.targets, mask=mask)


def test_ignored_classes_carry_no_loss():
    made = case(T=T, B=B, V=V)
    s = made.sequences
    ids = np.where(MASK, s.targets, -100)
    expected = Sequences(s.inputs, s.targets, np.where(MASK, s.weights, 0))
    builders.same_bits(
        bptt(made.rnn, Sequences(s.inputs, ids, s.weights)), bptt(made.rnn, expected)
    )
    zero = Sequences(s.inputs, s.targets, ignore_index=0)
    assert_array_equal(zero.weights, s.targets != 0)
    with pytest.raises(ValueError, match=r"`targets` must be class ids .* got -100 at \[1, 2\]"):
        Sequences(s.inputs, ids, ignore_index=None)
    with pytest.raises(ValueError, match=r"`targets` must be class ids .* got -100 at \[1, 2\]"):
        Sequences(s.inputs, ids, ignore_index=-1)


def test_float_targets_know_no_ignored_value():
    x = np.zeros((2, 1, 1))
    assert_array_equal(Sequences(x, np.full((2, 1, 2), -100.0)).weights, 1)


def test_what_was_left_out_stays_out():
    s = case(T=T, B=B, V=V).sequences
    masked = Sequences(s.inputs, s.targets, mask=MASK, ignore_index=1, provenance={"task": "a"})
    assert (masked.weights > 0).sum() < MASK.sum()  # both had something to do
    for again in (
        pickle.loads(pickle.dumps(masked)),
        masked.astype("float32").astype("float64"),
        Sequences(masked.inputs, masked.targets, masked.weights),
    ):
        assert_array_equal(again.weights, masked.weights)
        assert_array_equal(again.targets, masked.targets)
    last = masked.last_loss_only()
    assert_array_equal(last.weights[-1], masked.weights[-1])
    assert not last.weights[:-1].any()


@pytest.mark.parametrize("dtype", builders.DTYPES)
def test_mean_per_token_of_classes_is_the_mean_over_tokens_that_count(dtype):
    """As CrossEntropyLoss(ignore_index=-100, reduction="mean") has it, by hand in NumPy."""
    made = case(T=T, B=B, V=V, dtype=dtype)
    s = made.sequences
    ids = np.where(MASK, s.targets, -100)
    y = forward(made.rnn, s.inputs).outputs[0].astype("float64")
    logits, kept = y[MASK], ids[MASK]
    nll = np.log(np.exp(logits).sum(-1)) - logits[np.arange(len(kept)), kept]
    per_sequence, mean = Sequences(s.inputs, ids), Sequences(s.inputs, ids).mean_per_token()
    assert_allclose(evaluate(made.rnn, mean).loss, nll.mean(), rtol=1e-6)
    n_over_b = MASK.sum() / B
    theirs, ours = bptt(made.rnn, mean), bptt(made.rnn, per_sequence)
    assert_allclose(theirs.W_hh * n_over_b, ours.W_hh, rtol=1e-4, atol=1e-6)


def test_mean_per_token_of_floats_is_half_of_v_of_the_mean_over_elements():
    made = case(T=T, B=B, V=V, classes=False)
    s = Sequences(made.sequences.inputs, made.sequences.targets)
    y = forward(made.rnn, s.inputs).outputs[0]
    of_elements = ((y - s.targets) ** 2).mean()  # MSELoss
    assert_allclose(evaluate(made.rnn, s.mean_per_token()).loss, V / 2 * of_elements, rtol=1e-12)


def test_mean_per_token_of_several_lengths_is_that_of_all_steps():
    made = case(T=T, B=B, V=V)
    s = made.sequences
    lengths = MASK.sum(axis=0)
    x, y = ([array[:n, b] for b, n in enumerate(lengths)] for array in (s.inputs, s.targets))
    tokens = [
        evaluate(made.rnn, Sequences(a[:, None], b[:, None])).loss
        for a, b in zip(x, y, strict=True)
    ]
    mean = evaluate(made.rnn, Sequences.ragged(x, y).mean_per_token()).loss
    assert_allclose(mean, sum(tokens) / lengths.sum(), rtol=1e-12)


def test_mean_per_token_of_weights_is_the_weighted_mean_of_each_network():
    made = case(N=2, T=T, B=B, V=V, own=True)
    mean = made.sequences.mean_per_token()
    assert_allclose(mean.weights.sum(axis=(1, 2)), B, rtol=1e-12)
    share = made.sequences.weights / made.sequences.weights.sum(axis=(1, 2), keepdims=True)
    assert_allclose(mean.weights, B * share, rtol=1e-12)
    assert_allclose(mean.mean_per_token().weights, mean.weights, rtol=1e-12)


def test_mean_per_token_of_nothing_is_refused():
    s = case(N=2, T=T, B=B, V=V, own=True).sequences
    silent = s.weights * np.array([1, 0])[:, None, None]
    with pytest.raises(ValueError, match=r"`weights` must be above 0 somewhere.* of network 1 are"):
        Sequences(s.inputs, s.targets, silent).mean_per_token()
    with pytest.raises(ValueError, match=r"`weights` must be above 0 somewhere.*all are 0"):
        Sequences(s.inputs[0], s.targets[0], 0 * silent[0]).mean_per_token()
    given = Sequences.from_gradients(s.inputs, dL_dy=np.ones((2, T, B, V)))
    with pytest.raises(ValueError, match="`mean_per_token` needs targets, got data made by"):
        given.mean_per_token()
