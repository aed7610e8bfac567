"""Sequences of several lengths: what is padded, and that padding counts for nothing."""

import builders
import numpy as np
import pytest
from builders import case
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import RNN, Sequences, bptt, evaluate, gradient_flow, truncated_bptt

pytestmark = pytest.mark.nojit
LENGTHS, D, V = (4, 7, 1, 3), 2, 3
WEIGHTS = ("W_xh", "W_hh", "W_hy", "b_h", "b_y")
KINDS = ("classes", "values", "one class", "one row", "next")


def parts(kind, dtype="float64"):
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(T, D)).astype(dtype) for T in LENGTHS]
    y = {
        "classes": [rng.integers(0, V, T) for T in LENGTHS],
        "values": [rng.normal(size=(T, V)).astype(dtype) for T in LENGTHS],
        "one class": rng.integers(0, V, len(LENGTHS)),
        "one row": rng.normal(size=(len(LENGTHS), V)).astype(dtype),
        "next": None,
    }
    return x, y[kind]


def singles(kind, dtype="float64"):
    """The sequences one by one, made without `ragged`."""
    x, y = parts(kind, dtype)
    for b, each in enumerate(x):
        T = len(each)
        weights = np.ones((T, 1), dtype)
        if kind == "next":
            target, weights[-1] = np.vstack([each[1:], 9 * each[:1]])[:, None], 0
        elif kind.startswith("one"):
            target = np.repeat(np.asarray(y)[b : b + 1][None], T, axis=0)
            weights[:-1] = 0
        else:
            target = y[b][:, None]
        yield Sequences(each[:, None], target, weights)


def networks(kind, dtype="float64"):
    outputs = D if kind == "next" else V
    made = RNN.sample(2, n_inputs=D, n_hidden=4, n_outputs=outputs, cell="gru", rng=1)
    return made.astype(dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_a_ragged_batch_is_its_sequences_with_zeros_behind(kind):
    batch = Sequences.ragged(*parts(kind), provenance={"a": "b"})
    assert (batch.n_steps, batch.n_sequences, batch.n_inputs) == (max(LENGTHS), len(LENGTHS), D)
    assert dict(batch.provenance) == {"a": "b"}
    for b, single in enumerate(singles(kind)):
        T = LENGTHS[b]
        for name in ("inputs", "targets", "weights"):
            whole = getattr(batch, name)[:, b]
            assert_array_equal(whole[:T], getattr(single, name)[:, 0])
            assert not whole[T:].any()


@pytest.mark.parametrize("dtype", builders.DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_gradients_are_means_of_those_of_each_sequence(kind, dtype):
    rnn, batch = networks(kind, dtype), Sequences.ragged(*parts(kind, dtype))
    for measure in (bptt, lambda *given: truncated_bptt(*given, window=3, stride=2)):
        whole = measure(rnn, batch)
        each = [measure(rnn, single) for single in singles(kind, dtype)]
        assert_allclose(whole.loss, np.mean([one.loss for one in each], axis=0), rtol=1e-6)
        for name in WEIGHTS:
            contributions = [getattr(one, name) for one in each]
            scale = sum(np.linalg.norm(one) for one in contributions)
            error = np.linalg.norm(getattr(whole, name) - np.mean(contributions, axis=0))
            assert error <= builders.TOLERANCE[dtype] * scale
    losses = [evaluate(rnn, single).loss for single in singles(kind, dtype)]
    assert_allclose(evaluate(rnn, batch).loss, np.mean(losses, axis=0), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_flow_of_each_sequence_is_its_own(kind):
    rnn, batch = networks(kind), Sequences.ragged(*parts(kind))
    flow = gradient_flow(rnn, batch)
    for b, single in enumerate(singles(kind)):
        if single.loss_steps.size:  # of a single step there is no next
            own = gradient_flow(rnn, single)
            steps = np.searchsorted(flow.steps, own.steps)
            found = flow.per_sequence[..., b][:, steps, : single.n_steps]
            assert_allclose(found, own.per_sequence[..., 0], rtol=1e-9)
            assert np.isfinite(found).any()


@pytest.mark.parametrize("kind", ["classes", "values"])
def test_padding_longer_changes_nothing(kind):
    rnn, batch = networks(kind), Sequences.ragged(*parts(kind))
    longer = Sequences(*(
        np.concatenate([array, np.zeros_like(array)])
        for array in (batch.inputs, batch.targets, batch.weights)
    ))  # fmt: skip
    for measure in (bptt, lambda *given: truncated_bptt(*given, window=3, stride=2)):
        one, other = measure(rnn, batch), measure(rnn, longer)
        for name in (*WEIGHTS, "loss", "h0"):
            assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-12, atol=1e-14)


def test_the_order_of_sequences_changes_nothing():
    x, y = parts("classes")
    rnn = networks("classes")
    one, other = (bptt(rnn, Sequences.ragged(x[::s], y[::s])) for s in (1, -1))
    assert_allclose(other.W_hh, one.W_hh, rtol=1e-12, atol=1e-14)


def test_weights_of_steps_and_of_sequences():
    x, y = parts("classes")
    of_steps = [np.linspace(0.5, 1.0, T) for T in LENGTHS]
    batch = Sequences.ragged(x, y, of_steps)
    for b, each in enumerate(of_steps):
        assert_array_equal(batch.weights[: len(each), b], each)
    mixed = Sequences.ragged(x, y, [2, of_steps[1], False, np.ones(3, bool)])
    assert_array_equal(mixed.weights.sum(axis=0), [8, of_steps[1].sum(), 0, 3])
    last = Sequences.ragged(x, parts("one class")[1], np.array([1.0, 2.0, 3.0, 4.0]))
    assert_array_equal(last.weights.sum(axis=0), [1, 2, 3, 4])


def test_ignored_classes_of_a_ragged_batch():
    x, y = parts("classes")
    y[1][2] = -100
    batch = Sequences.ragged(x, y)
    assert batch.weights.sum() == sum(LENGTHS) - 1
    kept = Sequences.ragged(x, parts("classes")[1], ignore_index=0).weights.sum()
    assert kept == sum((each != 0).sum() for each in parts("classes")[1]) < sum(LENGTHS)
    with pytest.raises(ValueError, match=r"`targets` must be class ids .* got -100 at \[2, 1\]"):
        Sequences.ragged(x, y, ignore_index=None)


def test_one_number_a_step_is_one_input_and_one_output():
    x = [np.arange(3.0), np.arange(5.0)]
    batch = Sequences.ragged(x, x)
    assert batch.inputs.shape == batch.targets.shape == (5, 2, 1)
    assert_array_equal(batch.inputs[:3, 0, 0], x[0])
    assert Sequences.ragged(x, [0.5, 0.1]).targets[:, 1, 0].tolist() == [0, 0, 0, 0, 0.1]
    boxes = np.empty(2, object)
    boxes[:] = x
    assert_array_equal(Sequences.ragged(boxes).inputs, batch.inputs)


def test_equal_lengths_are_a_plain_batch():
    s = case(T=5, B=3, D=2, V=V, silent=0.0).sequences
    batch = Sequences.ragged(list(s.inputs.swapaxes(0, 1)), s.targets.T, s.weights.T)
    for name in ("inputs", "targets", "weights"):
        assert_array_equal(getattr(batch, name), getattr(s, name))


X, Y = parts("classes")
SAME = [np.ones((3, D)), np.ones((3, D))]


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ((3,), TypeError, "`inputs` must be a list with an array for each sequence, got 3"),
        (([],), ValueError, "`inputs` must hold at least one sequence, got an empty list"),
        ((np.ones((3, 2, 1)),), TypeError, r"`inputs` must be a list .*\(3, 2, 1\); give list\("),
        (([np.arange(3)],), TypeError, r"`inputs\[0\]` .* 3 integers; class ids become one-hot"),
        (([X[0], np.ones((2, D + 1))],), ValueError, r"`inputs\[1\]` .* n_inputs = 2 as in .*\(2"),
        (([X[0], np.ones((0, D))],), ValueError, r"`inputs\[1\]` must be .* at least 1 of both"),
        (([np.ones((2, 1, 1))],), ValueError, r"`inputs\[0\]` must be \(n_steps, n_inputs\)"),
        (([X[0], X[1].astype("f")],), TypeError, r"share one dtype, got inputs\[0\]: float64, inp"),
        (([X[0], X[1] * np.nan],), ValueError, r"`inputs` must be finite, got nan at \[0, 1, 0\]"),
        ((X, Y[:3]), ValueError, "`targets` must have an entry for each of the 4 .*, got 3"),
        ((X, [*Y[:3], Y[1]]), ValueError, r"`targets\[3\]` .* n_steps = 3 .* got shape \(7,\)"),
        ((X, [*Y[:3], 1]), ValueError, r"`targets\[3\]` .* one answer.* got shape \(\)"),
        ((X, [1, 0, 2, [1]]), ValueError, r"`targets\[3\]` .* one answer.* got shape \(1,\)"),
        ((X, [1, 0, 2, 1.0]), TypeError, r"`targets\[3\]` must be class ids .* got float64"),
        ((X, [True] * 4), TypeError, r"`targets\[0\]` must be class ids .* got bool"),
        ((SAME, [np.ones((3, 2)), np.ones((3, 1))]), ValueError,
         r"`targets\[1\]` .* and n_outputs = 2 as in `targets\[0\]`.* got shape \(3, 1\)"),
        ((SAME, [np.ones(3), np.ones(3)]), ValueError,
         r"`targets` of \(3,\) floats .* may be one value for each step or 3 for the last"),
        ((SAME, np.ones((2, 3), "float32")), TypeError, r"share one dtype, got inputs\[0\]: fl"),
        (([np.ones((1, D))],), ValueError, "`targets` must be given, got None where all"),
        ((X, Y, [1, 2]), ValueError, "`weights` must have an entry for each of the 4 .* got 2"),
        ((X, Y, [1, 2, 1, [1, 2]]), ValueError, r"`weights\[3\]` must be .* = \(3,\).* \(2,\)"),
        ((X, Y, [-1, 1, 1, 1]), ValueError, "`weights` must not be negative, got -1.0"),
        ((X, Y, ["a"] * 4), TypeError, r"`weights\[0\]` .* must hold float32 or float64, got <U"),
    ],
)  # fmt: skip
def test_ragged_lists_that_make_no_sense_are_refused(given, kind, message):
    with pytest.raises(kind, match=message):
        Sequences.ragged(*given)


def test_one_row_for_each_of_equal_lengths_is_an_array():
    assert_array_equal(Sequences.ragged(SAME, np.ones((2, 3))).weights.sum(axis=0), [1, 1])
