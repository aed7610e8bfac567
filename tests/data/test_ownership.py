"""What was checked is owned: nothing that a user does to an array afterwards reaches a kernel."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from builders import NOJIT
from numpy.testing import assert_array_equal

import rnnsim
from rnnsim.data.sequences import originals as data_originals
from rnnsim.networks.binding import batch_for
from rnnsim.networks.rnn import originals

ARRAYS = ("inputs", "targets", "weights")
WEIGHTS = ("W_xh", "W_hh", "W_hy", "b_h", "b_y")


def parts(classes=True):
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, (5, 2)) if classes else rng.normal(size=(5, 2, 3))
    return rng.normal(size=(5, 2, 4)), targets, np.ones((5, 2))


def sequences(classes=True):
    return rnnsim.Sequences(*parts(classes), provenance={"task": "noise"})


def pairs():
    return rnnsim.Pairs(np.random.default_rng(1).normal(size=(3, 2, 6)), sequences())


def network(**options):
    return rnnsim.RNN.sample(n_inputs=4, n_hidden=5, n_outputs=3, rng=0, **options)


class Refilled:
    """A task that draws every batch into the same arrays."""

    def __init__(self, own, wrap=lambda sequences: sequences):
        self.own, self.wrap = own, wrap
        self.x, self.y, self.w = np.empty((6, 3, 4)), np.empty((6, 3), int), np.empty((6, 3))
        self.s = np.empty((2, 3, 4))

    def __call__(self, rng):
        if self.own:
            self.x, self.y, self.w, self.s = (
                np.empty_like(a) for a in (self.x, self.y, self.w, self.s)
            )
        self.x[:] = rng.normal(size=self.x.shape)
        self.s[:] = rng.normal(size=self.s.shape)
        self.y[:] = self.x.argmax(axis=-1) % 3
        self.w[:] = rng.uniform(size=self.w.shape)
        return self.wrap(self, rnnsim.Sequences(self.x, self.y, self.w))


@pytest.mark.parametrize("own_data", [False, True])
@pytest.mark.parametrize("window", [None, 2])
def test_a_task_may_refill_its_arrays(window, own_data):
    runs = [
        rnnsim.train(
            network(n_networks=2),
            Refilled(own, lambda _, drawn: drawn),
            n_updates=20,
            rng=0,
            window=window,
            learning_rate=0.1,
            record_every=1,
            own_data=own_data,
        )
        for own in (False, True)
    ]
    for name in ("training_loss", "loss"):
        assert_array_equal(runs[0].record[name], runs[1].record[name])
    for a, b in zip(runs[0].rnn.weights, runs[1].rnn.weights, strict=True):
        assert_array_equal(a, b)


def test_a_task_may_refill_the_arrays_of_pairs():
    model = rnnsim.EncoderDecoder.sample(
        n_source_inputs=4, n_inputs=4, n_hidden=5, n_outputs=3, rng=0
    )
    runs = [
        rnnsim.train(
            model,
            Refilled(own, lambda task, drawn: rnnsim.Pairs(task.s, drawn)),
            n_updates=20,
            rng=0,
            learning_rate=0.1,
        )
        for own in (False, True)
    ]
    assert_array_equal(runs[0].record["training_loss"], runs[1].record["training_loss"])


def test_what_was_given_may_change_afterwards():
    given = parts()
    before = sequences()
    after = rnnsim.Sequences(*given)
    source = np.ones((3, 2, 6))
    two = rnnsim.Pairs(source, after)
    weights = tuple(np.array(array) for array in network().weights)
    rnn = rnnsim.RNN(*weights)
    provenance = {"text": "a"}
    said = rnnsim.Sequences(*parts(), provenance=provenance)
    for array in (*given, source, *weights):
        array[...] = -7
    provenance["text"] = "b"
    for name in ARRAYS:
        assert_array_equal(getattr(after, name), getattr(before, name))
    assert_array_equal(two.source, np.ones((3, 2, 6)))
    assert_array_equal(rnn.W_hh, network().W_hh)
    assert said.provenance == {"text": "a"}


@pytest.mark.parametrize("classes", [True, False])
def test_what_users_see_is_read_only_and_what_kernels_get_is_not(classes):
    data, rnn, two = sequences(classes), network(), pairs()
    for array in (*(getattr(data, name) for name in ARRAYS), *rnn.weights, two.source):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = -7
    for name in WEIGHTS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(rnn, name)[0] = 0
    for array in (*data_originals(data), *originals(rnn), *batch_for(rnn, data, None)[:5]):
        assert array.flags.writeable
        assert array.flags.c_contiguous


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
def test_copies_are_checked_and_owned_too(again):
    data, two, rnn = again(sequences()), again(pairs()), again(network(activation="relu"))
    for name in ARRAYS:
        assert_array_equal(getattr(data, name), getattr(sequences(), name))
        assert not getattr(data, name).flags.writeable
    assert data.provenance == {"task": "noise"}
    assert_array_equal(two.source, pairs().source)
    assert not two.source.flags.writeable
    assert not two.target.inputs.flags.writeable
    assert rnn.activation == "relu"
    assert_array_equal(rnn.W_hh, network().W_hh)
    assert not rnn.W_hh.flags.writeable
    assert_array_equal(
        rnnsim.bptt(rnn, data).W_hh, rnnsim.bptt(network(activation="relu"), sequences()).W_hh
    )


@pytest.mark.parametrize("bad", [-7, 3])
def test_both_bounds_of_classes_are_checked_where_they_are_used(bad):
    data = sequences()
    data_originals(data)[1][1, 0] = bad  # nobody does this, and no kernel may read it all the same
    with pytest.raises(ValueError, match=rf"`targets` must be class ids 0..2 .*, got {bad} at"):
        rnnsim.bptt(network(), data)
    data_originals(data)[2][1, 0] = 0  # where the weight is 0 no target is read
    assert np.isfinite(rnnsim.bptt(network(), data).loss).all()


MASKED = np.ma.masked_array(np.ones((5, 2, 4)), mask=np.zeros((5, 2, 4)))
MASKED_CALLS = {
    "inputs": lambda: rnnsim.Sequences(MASKED, np.zeros((5, 2), int)),
    "targets": lambda: rnnsim.Sequences(np.ones((5, 2, 4)), np.ma.zeros((5, 2), int)),
    "weights": lambda: rnnsim.Sequences(
        np.ones((5, 2, 4)), np.zeros((5, 2), int), np.ma.ones((5, 2))
    ),
    "source": lambda: rnnsim.Pairs(np.ma.ones((3, 2, 6)), sequences()),
    "W_hh": lambda: rnnsim.RNN(np.ones((3, 2)), np.ma.ones((3, 3)), np.ones((1, 3))),
    "b_h": lambda: rnnsim.RNN(np.ones((3, 2)), np.ones((3, 3)), np.ones((1, 3)), np.ma.ones(3)),
    "h0": lambda: rnnsim.bptt(network(), sequences(), h0=np.ma.ones((2, 5))),
    "gain": lambda: network(gain=np.ma.ones(1)),
    "learning_rate": lambda: rnnsim.train(
        network(), sequences(), n_updates=1, learning_rate=np.ma.ones(1)
    ),
    "mask": lambda: rnnsim.train(
        network(), sequences(), n_updates=1, mask={"W_hh": np.ma.ones((5, 5))}
    ),
    "tie": lambda: rnnsim.train(
        network(), sequences(), n_updates=1, tie={"W_hh": np.ma.ones((5, 5), int)}
    ),
    "jacobians": lambda: rnnsim.product_exponents(np.ma.ones((3, 2, 2))),
    "rnn": lambda: rnnsim.nonnormality(np.ma.ones((3, 3))),
    "real": lambda: rnnsim.pseudospectrum(network(), real=np.ma.ones(3)),
    "input_variance": lambda: rnnsim.theory.mean_field(1.0, input_variance=np.ma.ones(3)),
    "ids": lambda: rnnsim.exact_match(np.ma.zeros((1, 5, 2), int), pairs()),
}


@pytest.mark.parametrize("name", MASKED_CALLS)
def test_masked_arrays_are_refused(name):
    with pytest.raises(TypeError, match=rf"`{name}` must be a plain array, got a masked one"):
        MASKED_CALLS[name]()


def test_lists_of_masked_arrays_are_refused():
    with pytest.raises(TypeError, match="`inputs` must be a plain array, got a masked one"):
        rnnsim.Sequences(list(MASKED), np.zeros((5, 2), int))


COMPILED = """
import gc
import numpy as np
from numba.core.registry import CPUDispatcher
import rnnsim
from rnnsim import kernels

rng = np.random.default_rng(0)
shared = rng.normal(size=(30, 2, 4)), rng.integers(0, 3, (30, 2)), np.ones((30, 2))
each = tuple(np.stack([array, array]) for array in shared)
for array in (*shared, *each):
    array.setflags(write=False)
first = rnnsim.RNN.sample(2, n_inputs=4, n_hidden=5, n_outputs=3, rng=0)
for rnn in (first, rnnsim.RNN(*first.weights), first[:2]):
    for data in (rnnsim.Sequences(*shared), rnnsim.Sequences(*each)):
        rnnsim.forward(rnn, data.inputs)
        rnnsim.evaluate(rnn, data)
        rnnsim.bptt(rnn, data, h0=np.broadcast_to(0.1, (2, 5)))
        rnnsim.truncated_bptt(rnn, data, window=2)
        rnnsim.gradient_flow(rnn, data)
        rnnsim.lyapunov_spectrum(rnn, data.inputs)
        rnnsim.train(rnn, data, n_updates=2)
names = ("forward", "evaluate", "bptt", "truncated_bptt", "gradient_flow", "lyapunov_sums")
for kernel in gc.get_objects():
    if isinstance(kernel, CPUDispatcher) and kernel.py_func.__module__.startswith("rnnsim"):
        for signature in kernel.signatures:
            assert "readonly" not in str(signature), (kernel.py_func.__name__, signature)
for name in names:
    print(name, len(getattr(kernels, name).signatures))
"""


@pytest.mark.skipif(NOJIT, reason="nothing is compiled")
def test_read_only_arrays_compile_nothing_a_second_time():
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], capture_output=True, text=True, check=True
    )
    counts = dict(line.split() for line in done.stdout.splitlines())
    # gradient_flow and lyapunov_spectrum call the pieces of these two kernels.
    assert {int(count) for count in counts.values()} <= {0, 1}
    assert [counts[name] for name in ("forward", "evaluate", "bptt")] == ["1", "1", "1"]
