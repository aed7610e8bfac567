"""Sequences: shapes, kinds and values that are accepted, and the words for those that are not."""

import builders
import numpy as np
import pytest
from builders import DTYPES, case
from numpy.testing import assert_array_equal

from rnnsim import RNN, Sequences, bptt, evaluate, forward, gradient_flow, truncated_bptt

pytestmark = pytest.mark.nojit
T, B, D, V, N = 4, 2, 3, 5, 2


def parts(classes=True, lead=(), dtype="float64"):
    rng = np.random.default_rng(0)
    targets = rng.integers(0, V, (*lead, T, B))
    if not classes:
        targets = rng.normal(size=(*lead, T, B, V)).astype(dtype)
    return {
        "inputs": rng.normal(size=(*lead, T, B, D)).astype(dtype),
        "targets": targets,
        "weights": rng.uniform(0.5, 1.0, (*lead, T, B)).astype(dtype),
    }


@pytest.mark.parametrize("lead", [(), (N,)])
@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_data_come_back_as_given(dtype, classes, lead):
    given = parts(classes, lead, dtype)
    s = Sequences(**given, provenance={"task": "noise"})
    for name, array in given.items():
        assert_array_equal(getattr(s, name), array)
    assert (s.n_steps, s.n_sequences, s.n_inputs) == (T, B, D)
    assert s.n_networks == (N if lead else None)
    assert s.dtype == dtype
    assert s.has_classes == classes
    assert dict(s.provenance) == {"task": "noise"}
    assert_array_equal(s.loss_steps, np.arange(1, T + 1))


def test_weights_are_one_unless_given():
    given = parts()
    assert_array_equal(Sequences(given["inputs"], given["targets"]).weights, np.ones((T, B)))


def test_loss_steps_are_those_with_weight_anywhere():
    given = parts(lead=(N,))
    given["weights"][:] = 0.0
    given["weights"][0, 1, 1] = given["weights"][1, 3, 0] = 1.0
    s = Sequences(**given)
    assert_array_equal(s.loss_steps, [2, 4])
    last = s.last_loss_only()
    assert_array_equal(last.loss_steps, [4])
    assert_array_equal(last.weights[1, 3], given["weights"][1, 3])
    assert last.weights.sum() == 1.0
    silent = Sequences(given["inputs"], given["targets"], 0 * given["weights"])
    assert silent.loss_steps.size == silent.last_loss_only().loss_steps.size == 0


@pytest.mark.parametrize("classes", [True, False])
def test_astype_rounds_everything_but_classes(classes):
    s = Sequences(**parts(classes), provenance={"a": "b"})
    narrow = s.astype("float32")
    assert_array_equal(narrow.inputs, s.inputs.astype("float32"))
    assert_array_equal(narrow.weights, s.weights.astype("float32"))
    assert narrow.targets.dtype == (np.int64 if classes else np.float32)
    assert dict(narrow.provenance) == {"a": "b"}


@pytest.mark.parametrize("kind", ["int8", "int32", "uint8", "uint64"])
def test_any_integers_are_class_ids(kind):
    given = parts()
    s = Sequences(given["inputs"], given["targets"].astype(kind))
    assert_array_equal(s.targets, given["targets"])
    assert s.targets.dtype == np.int64


@pytest.mark.parametrize("ignored", [-1, V, 10**9])
def test_class_ids_outside_the_range_are_ignored_at_weight_zero(ignored):
    made = case(T=T, B=B, D=D, V=V)
    given = parts()
    given["weights"][2] = 0.0
    expected = bptt(made.rnn, Sequences(**given))
    given["targets"][2] = ignored
    builders.same_bits(bptt(made.rnn, Sequences(**given)), expected)


@pytest.mark.parametrize("ignored", [np.nan, np.inf])
def test_float_targets_that_are_not_finite_are_ignored_at_weight_zero(ignored):
    made = case(T=T, B=B, D=D, V=V)
    given = parts(classes=False)
    given["weights"][2] = 0.0
    expected = bptt(made.rnn, Sequences(**given))
    given["targets"][2] = ignored
    builders.same_bits(bptt(made.rnn, Sequences(**given)), expected)


@pytest.mark.parametrize("lead", [(), (N,)])
def test_class_ids_outside_the_range_are_refused_where_there_is_loss(lead):
    made = case(T=T, B=B, D=D, V=V, N=N)
    given = parts(lead=lead)
    given["targets"][..., 2, 1] = -1
    with pytest.raises(
        ValueError, match=r"`targets` must be class ids 0\.\.n_outputs-1 .* got -1 at"
    ):
        Sequences(**given)
    given["targets"][..., 2, 1] = V
    s = Sequences(**given)  # how many classes there are is known to the network alone
    for call in (bptt, evaluate, gradient_flow, lambda *a: truncated_bptt(*a, window=2)):
        with pytest.raises(
            ValueError, match=rf"class ids 0\.\.{V - 1} .* got {V} at .*\[0, 2, 1\]"
        ):
            call(made.rnn, s)


@pytest.mark.parametrize("name", ["inputs", "targets", "weights"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("lead", [(), (N,)])
def test_values_that_are_not_finite_are_located(lead, value, name):
    given = parts(classes=False, lead=lead)
    place = tuple(size - 1 for size in given[name].shape)
    given[name][place] = value
    where = ", ".join(map(str, place))
    with pytest.raises(ValueError, match=rf"`{name}` must be finite, got {value} at \[{where}\]"):
        Sequences(**given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": np.zeros((T, D))}, r"`inputs` must be \(n_steps, .* got shape \(4, 3\)"),
        ({"inputs": np.zeros((0, B, D))}, r"`inputs` must have at least one entry.*T is 0"),
        ({"inputs": np.zeros((T, 0, D))}, r"`inputs` must have at least one entry.*B is 0"),
        ({"inputs": np.zeros((T, B, 0))}, r"`inputs` must have at least one entry.*D is 0"),
        ({"inputs": np.zeros((0, T, B, D))}, r"`inputs` must have at least one entry.*N is 0"),
        ({"targets": np.zeros((T, B + 1), int)}, r"`targets` of class .*\(4, 2\).* got \(4, 3\)"),
        ({"targets": np.zeros((T, B, 1), int)}, r"`targets` of class ids .* got \(4, 2, 1\)"),
        ({"targets": np.zeros((N, T, B), int)}, r"`targets` of class ids .* got \(2, 4, 2\)"),
        ({"targets": np.zeros((T, B))}, r"`targets` of floats .* got \(4, 2\); class ids must"),
        ({"targets": np.zeros((T + 1, B, V))}, r"`targets` of floats .* got \(5, 2, 5\)"),
        ({"targets": np.zeros((T, B, 0))}, r"`targets` of floats .* got \(4, 2, 0\)"),
        ({"weights": np.zeros((T, B, 1))}, r"`weights` must be .* = \(4, 2\) .* got \(4, 2, 1\)"),
        ({"weights": np.zeros(T)}, r"`weights` must be .* = \(4, 2\) .* got \(4,\)"),
        ({"weights": np.zeros((N, T, B))}, r"`weights` must be .*axis on both.* got \(2, 4, 2\)"),
        ({"weights": np.full((T, B), -0.5)}, r"`weights` must not be negative, got -0\.5 at"),
    ],
)  # fmt: skip
def test_shapes_and_signs_that_make_no_sense(changes, message):
    with pytest.raises(ValueError, match=message):
        Sequences(**{**parts(), **changes})


@pytest.mark.parametrize("kind", ["int64", "complex128", "object", "float16", "bool"])
@pytest.mark.parametrize("name", ["inputs", "weights", "targets"])
def test_kinds_that_are_not_computed_in_are_refused(name, kind):
    given = parts(classes=False)
    given[name] = np.zeros(given[name].shape, kind)
    if name == "weights" and kind in ("int64", "bool"):
        assert Sequences(**given).weights.dtype == "float64"  # plain loss weights are converted
    elif (name, kind) == ("targets", "int64"):
        with pytest.raises(ValueError, match=r"`targets` of class ids must be"):
            Sequences(**given)
    else:
        with pytest.raises(TypeError, match=rf"`{name}` .*float32.*float64.*got {kind}"):
            Sequences(**given)


@pytest.mark.parametrize("name", ["weights", "targets"])
def test_mixed_precision_is_refused(name):
    given = parts(classes=False)
    given[name] = given[name].astype("float32")
    with pytest.raises(TypeError, match=rf"share one dtype, got inputs: float64, {name}: float32"):
        Sequences(**given)


CALLS = {
    "forward": lambda rnn, s, **k: forward(rnn, s.inputs, **k),
    "evaluate": evaluate,
    "bptt": bptt,
    "truncated_bptt": lambda rnn, s, **k: truncated_bptt(rnn, s, window=2, **k),
    "gradient_flow": gradient_flow,
}


@pytest.mark.parametrize("name", CALLS)
def test_networks_and_data_that_do_not_fit_are_refused(name):
    call, rnn = CALLS[name], case(N=N, D=D, H=4, V=V).rnn
    given = parts(classes=False)
    with pytest.raises(
        ValueError, match=r"`inputs` must have n_inputs = 3 on the last axis .* got 2"
    ):
        call(rnn, Sequences(given["inputs"][..., :2], given["targets"]))
    with pytest.raises(
        ValueError, match=r"`inputs` must be .* n_networks = 2, got shape \(3, 4, 2, 3\)"
    ):
        call(rnn, Sequences(**parts(lead=(3,))))
    with pytest.raises(TypeError, match=r"share one dtype, got rnn: float64, inputs: float32"):
        call(rnn, Sequences(**given).astype("float32"))
    with pytest.raises(TypeError, match=r"share one dtype, got rnn: float32, inputs: float64"):
        call(rnn.astype("float32"), Sequences(**given))
    if name != "forward":
        with pytest.raises(
            ValueError, match=r"`targets` must be .* n_outputs = 5 .* got 4 on the last"
        ):
            call(rnn, Sequences(given["inputs"], given["targets"][..., :4]))
        with pytest.raises(TypeError, match=r"`sequences` must be a rnnsim\.Sequences.* got "):
            call(rnn, given["inputs"]) if name != "truncated_bptt" else truncated_bptt(
                rnn, given["inputs"], window=2
            )


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("h0", "error", "message"),
    [
        (np.zeros((B, 3)), ValueError, r"`h0` must be .* = \(2, 4\), .* got shape \(2, 3\)"),
        (np.zeros((3, 4)), ValueError, r"`h0` must be .* = \(2, 4\), .* got shape \(3, 4\)"),
        (np.zeros((3, B, 4)), ValueError, r"`h0` must be .* n_networks = 2, got shape \(3, 2, 4\)"),
        (np.zeros(4), ValueError, r"`h0` must be .* got shape \(4,\)"),
        (np.zeros((B, 4), int), TypeError, r"`h0` .* must hold float32 or float64, got int64"),
        (np.zeros((B, 4), "float32"), TypeError, r"share one dtype, got rnn: float64, h0: float32"),
        (np.full((B, 4), np.nan), ValueError, r"`h0` must be finite, got nan at \[0, 0, 0\]"),
    ],
)
def test_initial_states_that_do_not_fit_are_refused(h0, error, message, name):
    rnn = case(N=N, D=D, H=4, V=V).rnn
    with pytest.raises(error, match=message):
        CALLS[name](rnn, Sequences(**parts()), h0=h0)


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("name", CALLS)
def test_layout_and_write_protection_of_arrays_change_nothing(name, classes):
    made = case(N=N, T=T, B=B, D=D, V=V, classes=classes)
    s = made.sequences
    odd = {}
    for key, array in (("inputs", s.inputs), ("targets", s.targets), ("weights", s.weights)):
        odd[key] = np.asfortranarray(array)
        odd[key].flags.writeable = False
    one = CALLS[name](made.rnn, s, h0=made.h0)
    other = CALLS[name](made.rnn, Sequences(**odd), h0=np.asfortranarray(made.h0))
    builders.same_bits(one, other)


def test_lists_of_python_floats_are_arrays():
    s = Sequences([[[0.5]], [[1.0]]], [[0], [1]], [[1.0], [0.5]])
    assert (s.n_steps, s.dtype) == (2, np.dtype("float64"))
    rnn = RNN([[1.0]], [[0.5]], [[1.0], [2.0]])
    assert np.isfinite(bptt(rnn, s, h0=[[0.0]]).loss).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_plain_loss_weights_are_taken_and_converted(dtype):
    inputs, targets = np.zeros((3, 2, 1), dtype), np.zeros((3, 2), int)
    plain = [[1, 0], [0, 2], [3, 1]]
    for given in (plain, np.array(plain), np.array(plain, "uint8"), np.array(plain, dtype)):
        batch = Sequences(inputs, targets, given)
        assert batch.weights.dtype == dtype
        assert_array_equal(batch.weights, plain)
    carries = np.array(plain) > 0
    for given in (carries, carries.tolist()):
        batch = Sequences(inputs, targets, given)
        assert batch.weights.dtype == dtype
        assert_array_equal(batch.weights, carries)
        assert batch.loss_steps.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("weights", "kind", "message"),
    [
        (np.full((3, 2), np.nan), ValueError, "`weights` must be finite, got nan"),
        ([[1, -1]] * 3, ValueError, "`weights` must not be negative, got -1.0"),
        ([["1", "0"]] * 3, TypeError, "`weights` .* must hold float32 or float64, got <U1"),
        ([[None, 1]] * 3, TypeError, "`weights` .* must hold float32 or float64, got object"),
        ([[1j, 1]] * 3, TypeError, "`weights` .* must hold float32 or float64, got complex128"),
        ([[1], [1, 0], [1]], ValueError, "`weights` must be an array or nested lists"),
        ([[1, 0, 1]] * 3, ValueError, r"`weights` must be \(n_steps, n_sequences\) = \(3, 2\)"),
    ],
)
def test_loss_weights_that_say_nothing_are_refused(weights, kind, message):
    with pytest.raises(kind, match=message):
        Sequences(np.zeros((3, 2, 1)), np.zeros((3, 2), int), weights)


def test_provenance_is_names_and_texts():
    for given in ("adding", {"task": 1}, {1: "adding"}, [("task", "adding")]):
        with pytest.raises(TypeError, match="`provenance"):
            Sequences(np.zeros((3, 2, 1)), np.zeros((3, 2), int), provenance=given)
