"""Data with a loss that is given by its derivatives: what is kept, and the words for the rest."""

import copy
import pickle

import numpy as np
import pytest
from builders import DTYPES, case
from numpy.testing import assert_array_equal

import rnnsim
from rnnsim import Sequences
from rnnsim.data.gradients import LossGradients
from rnnsim.data.sequences import original_gradients, originals

pytestmark = pytest.mark.nojit
T, B, D, V, H, N = 4, 2, 3, 5, 6, 2
NAMES = ("dL_dy", "dL_dh", "dL_dh_final", "dL_dc_final")


def parts(lead=(), dtype="float64", names=NAMES):
    rng = np.random.default_rng(0)
    sizes = {
        "inputs": (T, B, D),
        "dL_dy": (T, B, V),
        "dL_dh": (T, B, H),
        "dL_dh_final": (B, H),
        "dL_dc_final": (B, H),
    }
    drawn = {name: rng.normal(size=(*lead, *size)).astype(dtype) for name, size in sizes.items()}
    return {name: array for name, array in drawn.items() if name in ("inputs", *names)}


def made(**options):
    return Sequences.from_gradients(**parts(**options), provenance={"loss": "my own"})


@pytest.mark.parametrize("lead", [(), (N,)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_come_back_as_given(dtype, lead):
    given, s = parts(lead, dtype), made(lead=lead, dtype=dtype)
    assert_array_equal(s.inputs, given["inputs"])
    assert_array_equal(s.gradients.dL_dy, given["dL_dy"])
    assert_array_equal(s.gradients.dL_dh[..., :-1, :, :], given["dL_dh"][..., :-1, :, :])
    assert_array_equal(
        s.gradients.dL_dh[..., -1, :, :], given["dL_dh"][..., -1, :, :] + given["dL_dh_final"]
    )
    assert_array_equal(s.gradients.dL_dc_final, given["dL_dc_final"])
    assert (s.n_steps, s.n_sequences, s.n_inputs) == (T, B, D)
    assert s.n_networks == (N if lead else None)
    assert s.targets.shape == (*lead, T, B, 0)
    assert {a.dtype for a in (s.targets, s.weights, *s.gradients[:3])} == {np.dtype(dtype)}
    assert s.has_gradients
    assert not s.has_classes
    assert dict(s.provenance) == {"loss": "my own"}


@pytest.mark.parametrize("name", NAMES)
def test_one_of_them_is_enough(name):
    s, given = made(names=(name,)), parts()[name]
    kept = s.gradients._asdict()
    if name == "dL_dh_final":
        assert_array_equal(kept["dL_dh"][-1], given)
        assert not kept["dL_dh"][:-1].any()
    else:
        assert_array_equal(kept[name], given)
    assert sum(each is not None for each in kept.values()) == 1
    assert_array_equal(s.loss_steps, [T] if "final" in name else np.arange(1, T + 1))


def test_targets_have_no_gradients():
    s = case().sequences
    assert s.gradients is None
    assert not s.has_gradients
    assert original_gradients(s) == LossGradients(None, None, None)


def test_weights_are_one_where_a_derivative_enters():
    zeros = {name: np.zeros_like(array) for name, array in parts().items()}
    for name, place, entered in (
        ("dL_dy", (1, 0, 3), (1, 0)),
        ("dL_dh", (2, 1, 0), (2, 1)),
        ("dL_dh_final", (1, 5), (T - 1, 1)),
        ("dL_dc_final", (0, 2), (T - 1, 0)),
    ):
        given = {key: array.copy() for key, array in zeros.items()}
        given[name][place] = -1e-300
        expected = np.zeros((T, B))
        expected[entered] = 1
        s = Sequences.from_gradients(**given)
        assert_array_equal(s.weights, expected)
        assert_array_equal(s.loss_steps, [entered[0] + 1])
    assert Sequences.from_gradients(**zeros).loss_steps.size == 0


def test_derivatives_that_cancel_at_the_last_step_do_not_enter():
    given = parts(names=("dL_dh",))
    s = Sequences.from_gradients(**given, dL_dh_final=-given["dL_dh"][-1])
    assert_array_equal(s.loss_steps, np.arange(1, T))


def test_what_was_given_is_copied():
    given = parts()
    s = Sequences.from_gradients(**given)
    before = copy.deepcopy(given)
    assert_array_equal(given["dL_dh"], before["dL_dh"])  # the end is not added to it in place
    for array in given.values():
        array[...] = -7
    assert_array_equal(s.inputs, before["inputs"])
    assert_array_equal(s.gradients.dL_dy, before["dL_dy"])
    assert_array_equal(s.gradients.dL_dc_final, before["dL_dc_final"])


def test_what_users_see_is_read_only_and_what_kernels_get_is_not():
    s = made()
    for array in (*s.gradients[:3], s.inputs, s.targets, s.weights):
        assert not array.flags.writeable
    for array in (*original_gradients(s)[:3], *originals(s)):
        assert array.flags.writeable
        assert array.flags.c_contiguous
    for seen, kept in zip(s.gradients[:3], original_gradients(s)[:3], strict=True):
        assert np.shares_memory(seen, kept)


@pytest.mark.parametrize(
    "again",
    [
        copy.copy,
        copy.deepcopy,
        lambda value: pickle.loads(pickle.dumps(value)),
        lambda value: value.astype("float64"),
    ],
)
@pytest.mark.parametrize("names", [NAMES, ("dL_dh_final",), ("dL_dc_final",)])
def test_copies_are_the_same_and_their_own(names, again):
    s = made(names=names)
    other = again(s)
    for one, two in zip(s.gradients, other.gradients, strict=True):
        assert (one is None) == (two is None)
        if one is not None:
            assert_array_equal(one, two)
            assert not np.shares_memory(one, two)
            assert not two.flags.writeable
    assert_array_equal(s.inputs, other.inputs)
    assert_array_equal(s.weights, other.weights)
    assert other.targets.shape == (T, B, 0)
    assert dict(other.provenance) == {"loss": "my own"}


def test_astype_rounds_all_of_them():
    s = made()
    narrow = s.astype("float32")
    each = ((data.inputs, *data.gradients[:3]) for data in (s, narrow))
    for one, two in zip(*each, strict=True):
        assert_array_equal(one.astype("float32"), two)
        assert two.dtype == "float32"
    assert narrow.weights.dtype == narrow.targets.dtype == "float32"


def test_nothing_given_is_refused():
    with pytest.raises(ValueError, match=r"`dL_dy`, `dL_dh`, .* must be given, at least one"):
        Sequences.from_gradients(np.zeros((T, B, D)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lead", [(), (N,)])
def test_shapes_that_do_not_fit_are_refused(lead, name):
    given = parts(lead)
    right = given[name].shape[:-1]
    other_lead = given[name][0] if lead else given[name][None]
    if "final" in name and not lead:
        other_lead = other_lead[None]  # one axis more may be that of layers
    for wrong in (given[name][..., :-1, :], given[name][..., :0], other_lead, np.zeros(3)):
        message = rf"`{name}` must be \(n_.*first axes \({right[0]}, .*got shape \("
        if len(right) == 1:
            message = message.replace(", ", ",", 1)
        with pytest.raises(ValueError, match=message):
            Sequences.from_gradients(**given | {name: wrong})


@pytest.mark.parametrize("name", ["dL_dh", "dL_dh_final", "dL_dc_final"])
def test_derivatives_of_states_are_of_as_many_units(name):
    given = parts()
    with pytest.raises(ValueError, match=rf"one n_hidden on the last axis, got .*`{name}`: 5"):
        Sequences.from_gradients(**given | {name: given[name][..., :-1]})


@pytest.mark.parametrize("name", NAMES)
def test_values_and_kinds_that_are_none_are_refused(name):
    given = parts()
    for value in (np.nan, np.inf):
        bad = given[name].copy()
        bad[(-1,) * bad.ndim] = value
        with pytest.raises(ValueError, match=rf"`{name}` must be finite, got {value} at \["):
            Sequences.from_gradients(**given | {name: bad})
    with pytest.raises(TypeError, match=f"one dtype, got inputs: float64, {name}: float32"):
        Sequences.from_gradients(**given | {name: given[name].astype("float32")})
    with pytest.raises(TypeError, match=rf"`{name}` \(n_.*float32 or float64, got int64"):
        Sequences.from_gradients(**given | {name: np.ones(given[name].shape, int)})


def test_a_sum_that_leaves_the_range_is_refused():
    given = {name: np.full_like(array, 1e308) for name, array in parts().items()}
    with pytest.raises(ValueError, match=r"`dL_dh` must be finite, got inf at \[3, 0, 0\]"):
        Sequences.from_gradients(**given)


def refused():
    rnn = rnnsim.RNN.sample(n_inputs=D, n_hidden=H, n_outputs=V, rng=0)
    targets = Sequences(parts()["inputs"], np.zeros((T, B), int))
    s = made()
    return {
        "sequences": lambda: rnnsim.evaluate(rnn, s),
        "task": lambda: rnnsim.train(rnn, s, n_updates=1),
        "test": lambda: rnnsim.train(rnn, targets, n_updates=1, test=s),
        "target": lambda: rnnsim.Pairs(np.zeros((3, B, 2)), s),
    }


@pytest.mark.parametrize("name", refused())
def test_where_a_value_is_needed_there_is_none(name):
    with pytest.raises(
        ValueError, match=rf"`{name}` made by Sequences\.from_gradients has no loss"
    ):
        refused()[name]()


@pytest.mark.parametrize("n_updates", [0, 1])
@pytest.mark.parametrize("own_data", [True, False])
def test_a_task_that_draws_no_value_is_refused(own_data, n_updates):
    rnn = rnnsim.RNN.sample(2, n_inputs=D, n_hidden=H, n_outputs=V, rng=0)
    with pytest.raises(ValueError, match=r"`task` made by Sequences\.from_gradients has no"):
        rnnsim.train(rnn, lambda rng: made(), n_updates=n_updates, rng=0, own_data=own_data)


def test_a_loss_cannot_be_cut_to_its_last_step():
    with pytest.raises(ValueError, match="`last_loss_only` needs targets"):
        made().last_loss_only()
