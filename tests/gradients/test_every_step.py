"""What gradients keep of every step: of inputs, of states, the temporal contributions, norms."""

import itertools

import builders
import numpy as np
import pytest
import reference
from builders import DTYPES, TOLERANCE, case, plain
from gated import assert_parts, cases, gated, temporal
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import RNN, Sequences, bptt, parallel, truncated_bptt

pytestmark = pytest.mark.nojit
NAMES = ("inputs", "states", "steps")
KINDS = ("lstm", "gru", "tanh", "sigmoid", "linear")
CELLS = pytest.mark.parametrize("cell", KINDS)
GRADIENTS = {
    "bptt": bptt,
    "truncated": lambda *a, **k: truncated_bptt(*a, window=4, stride=2, **k),
}
EACH = pytest.mark.parametrize("gradient", GRADIENTS)


@given(cases(cell=st.sampled_from(KINDS), N=2, own=st.booleans(), dtype=st.sampled_from(DTYPES)))
@example(gated("lstm", T=1, B=1, D=1, H=1, V=1, N=2, silent=0.0))
@example(gated("gru", T=1, B=1, D=1, H=1, V=1, N=2, silent=0.0))
def test_bptt_keeps_the_gradients_of_every_step(made):
    result = bptt(made.rnn, made.sequences, keep=NAMES, **made.start)
    for n in range(2):
        assert_parts(result, reference.within(temporal(made, n), made.sequences.n_steps, 1), n)


@CELLS
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("window", "stride"), [(1, 1), (3, 1), (3, 3), (5, 2), (4, 3), (9, 7)])
def test_truncated_bptt_keeps_what_its_sweeps_touch(window, stride, dtype, cell):
    made = gated(cell, 3, T=7, dtype=dtype, ragged=True)
    parts = reference.within(temporal(made), window, stride)
    result = truncated_bptt(
        made.rnn, made.sequences, window=window, stride=stride, keep=NAMES, **made.start
    )
    assert_parts(result, parts)


@EACH
@CELLS
def test_contributions_add_up_and_have_the_norms_that_are_told(cell, gradient):
    # An ensemble, several blocks of steps, and no other computation beside it.
    made = gated(cell, 4, N=2, T=150, B=3)
    result = GRADIENTS[gradient](made.rnn, made.sequences, keep=NAMES, **made.start)
    for name, steps in zip(result.steps._fields, result.steps, strict=True):
        norms = np.linalg.norm(steps.reshape(2, 150, -1), axis=2)
        bound = 1e-12 * norms.sum()
        assert np.linalg.norm(steps.sum(1) - getattr(result, name)) <= bound
        if name.startswith("W"):
            assert np.linalg.norm(norms - getattr(result.step_norms, name)) <= bound
    state = result.states if result.memories is None else np.concatenate(
        [result.states, result.memories], axis=3
    )  # fmt: skip
    norms = np.linalg.norm(state.reshape(2, 151, -1), axis=2)
    assert np.linalg.norm(norms - result.state_norms) <= 1e-12 * norms.sum()
    assert_array_equal(result.states[:, 0], result.h0)


@EACH
@CELLS
def test_what_is_kept_changes_nothing_else(cell, gradient):
    made = gated(cell, 5, N=2)
    everything = GRADIENTS[gradient](made.rnn, made.sequences, keep=NAMES, **made.start)
    for count in range(4):
        for keep in itertools.combinations(NAMES, count):
            found = GRADIENTS[gradient](made.rnn, made.sequences, keep=iter(keep), **made.start)
            for name in found.__dataclass_fields__:
                kept = name not in (*NAMES, "memories") or name in keep
                kept |= name == "memories" and "states" in keep
                expected = getattr(everything, name) if kept else None
                builders.same_bits(getattr(found, name), expected)


@EACH
@CELLS
def test_steps_beyond_the_last_loss_are_zero(cell, gradient):
    made = gated(cell, 6, T=6, silent=0.0)
    weights = np.array(made.sequences.weights)
    weights[2:] = 0
    s = type(made.sequences)(made.sequences.inputs, made.sequences.targets, weights)
    result = GRADIENTS[gradient](made.rnn, s, keep=NAMES, **made.start)
    for steps in (result.inputs, *result.steps, result.states[:, 1:]):
        assert steps[:, :2].any()
        assert not steps[:, 2:].any()
    if cell == "lstm":
        assert result.memories[:, :3].any()
        assert not result.memories[:, 3:].any()


@EACH
@CELLS
def test_memories_of_the_last_step_take_no_part_in_its_loss(cell, gradient):
    made = gated(cell, 7, silent=0.0)
    result = GRADIENTS[gradient](made.rnn, made.sequences, keep=("states",), **made.start)
    assert result.states[:, -1].all()
    if cell == "lstm":
        assert not result.memories[:, -1].any()
        assert result.memories[:, -2].all()
    else:
        assert result.memories is None


@EACH
@pytest.mark.parametrize("keep", NAMES)
@pytest.mark.parametrize("cell", ["lstm", "gru", "tanh"])
def test_what_does_not_fit_is_refused_before_anything_is_computed(
    cell, keep, gradient, monkeypatch
):
    made = gated(cell, N=2, T=50)
    result = GRADIENTS[gradient](made.rnn, made.sequences, keep=(keep,), **made.start)
    fields = [result.inputs, result.states, result.memories, *(result.steps or ())]
    taken = sum(array.nbytes for array in fields if array is not None)
    called = []
    monkeypatch.setattr(parallel, "over_networks", lambda *a, **k: called.append(a))
    message = rf"`keep` = \['{keep}'\] of 50 steps needs about .* GB, more than `max_memory` = "
    with pytest.raises(MemoryError, match=message):
        GRADIENTS[gradient](
            made.rnn, made.sequences, keep=(keep,), max_memory=0.99 * taken, **made.start
        )
    assert not called


@EACH
def test_nothing_kept_takes_no_memory(gradient):
    made = gated()
    GRADIENTS[gradient](made.rnn, made.sequences, max_memory=1e-300)


@EACH
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"keep": "states"}, TypeError, r"`keep` must be a series of names .* got 'states'"),
        ({"keep": ("state",)}, ValueError, r"`keep` must be one of 'inputs', .* got 'state'"),
        ({"keep": ("states", "weights")}, ValueError, r"`keep` must .* got 'weights'"),
        (
            {"keep": None},
            TypeError,
            r"`keep` must be a series of names from \('inputs', .* got None",
        ),
        ({"keep": 3}, TypeError, r"`keep` must be a series of names from \('inputs', .* got 3"),
        ({"max_memory": 0}, ValueError, r"`max_memory` must be a finite number"),
        ({"max_memory": np.nan}, ValueError, r"`max_memory` must be a finite number"),
        ({"max_memory": "8"}, TypeError, r"`max_memory` must be a .*number"),
    ],
)
def test_names_and_limits_that_make_no_sense(options, error, message, gradient):
    made = gated()
    with pytest.raises(error, match=message):
        GRADIENTS[gradient](made.rnn, made.sequences, **options)


@CELLS
def test_gradients_of_inputs_are_those_of_the_loss_as_it_is_defined(cell):
    made = gated(cell, 8, T=5, D=3)
    inputs = bptt(made.rnn, made.sequences, keep=("inputs",), **made.start).inputs[0]
    net, x, *rest = made.of(0)
    expected = reference.derivative(lambda a: reference.loss(net, a, *rest), x)
    scale = np.linalg.norm(expected)
    assert np.linalg.norm(inputs - expected) <= TOLERANCE["float64"] * scale


@pytest.mark.parametrize("exponent", [-100, -60, -30, 0, 30, 60, 100])
def test_norms_of_steps_do_not_depend_on_the_size_of_the_loss(exponent):
    # In float32, whose squares leave the range from 2^64 and below 2^-63 on; 2^100 is 1e30.
    unit, other = (
        case(2, N=2, T=9, B=5, H=6, V=3, classes=False, dtype="float32") for _ in range(2)
    )
    s, scale = other.sequences, np.float32(2.0**exponent)
    scaled = Sequences(s.inputs, s.targets, s.weights * scale)
    expected = bptt(unit.rnn, unit.sequences, h0=unit.h0)
    found = bptt(other.rnn, scaled, h0=other.h0)
    for a, b in zip(found.step_norms, expected.step_norms, strict=True):
        assert_allclose(a, b * float(scale), rtol=1e-6)  # powers of two, but other sums of squares
    assert_allclose(found.state_norms, expected.state_norms * float(scale), rtol=1e-6)
    for n in range(2):
        builders.assert_norms(expected, reference.bptt(*plain(unit, n)), n)


@pytest.mark.parametrize("saturated", [20.0, 200.0, 1e20])
def test_norms_of_steps_hold_where_units_saturate(saturated):
    # dL/dh_t is of size 1 there, and what a step adds is far below, or 0 to the last digit.
    made = case(2, T=6, B=3, H=4, dtype="float64")
    b_h = np.where(np.arange(4) < 3, saturated, 15.0)[None]
    rnn = RNN(made.rnn.W_xh, made.rnn.W_hh, made.rnn.W_hy, b_h, made.rnn.b_y)
    found = bptt(rnn, made.sequences, h0=made.h0)
    each = bptt(rnn, made.sequences, h0=made.h0, keep=("steps",)).steps
    for name in ("W_hh", "W_xh", "W_hy"):
        norms = np.linalg.norm(getattr(each, name)[0], axis=(1, 2))
        assert_allclose(getattr(found.step_norms, name)[0], norms, rtol=1e-12)
