"""Where training starts: given first states, and sequences that begin anew inside a stream."""

import numpy as np
import pytest
import reference
import reference_training
from builders import NOJIT, case, draws, gated
from numpy.testing import assert_allclose, assert_array_equal
from pair_builders import cell_name, pair_case
from training_builders import assert_like_reference

import rnnsim
from rnnsim import kernels
from rnnsim.kernels.training import penalty as kernel_penalty
from rnnsim.kernels.training.paths import forward_path, sum_gradients
from rnnsim.networks.binding import batch_for
from rnnsim.networks.model import Layout
from rnnsim.networks.rnn import originals
from rnnsim.training import learners
from rnnsim.training.train import train

pytestmark = pytest.mark.nojit
CELLS = ("tanh", "relu", "lstm", "gru")
CARRIES = ("sequence", "stream", "none")
WINDOWS = {
    "full": {},
    "segments": {"window": 3},
    "overlapping": {"window": 4, "stride": 2},
    "sliding": {"window": 3, "stride": 1},
}


def made_of(cell, N=2):
    """Networks, and a whole first state (B, S)."""
    made = gated(cell, N=N, T=7, B=2, V=3)
    return made.rnn, np.concatenate([part for part in made.start.values()], axis=1)


def often(inputs):
    """Sequences begin anew before about a third of the steps, the first and the last included."""
    return inputs[..., 0] > 0.4


def never(inputs):
    return np.zeros(inputs.shape[:2], bool)


def always(inputs):
    return np.ones(inputs.shape[:2], bool)


def test_the_starts_of_these_tests_are_everywhere():
    rng = np.random.default_rng(3)
    starts = np.array([often(draws(rng).inputs) for _ in range(20)])
    assert starts.any(axis=0).all()
    assert (~starts).any(axis=0).all()
    some = starts.sum(axis=2)
    assert set(np.unique(some)) == {0, 1, 2}  # none, one alone, and both at once


@pytest.mark.parametrize("carry", CARRIES)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("cell", CELLS)
def test_updates_with_starts_follow_the_plain_loop(cell, window, carry):
    if NOJIT and window in ("full", "sliding") and carry != "stream":
        pytest.skip("left to compiled kernels")
    rnn, start = made_of(cell)
    options = WINDOWS[window] | {"carry": carry, "clip_norm": 1.0}
    n_updates = 4 if NOJIT else 30
    assert_like_reference(
        rnn, draws, "sgd", options, n_updates=n_updates, start=start, starts=often
    )


@pytest.mark.parametrize("carry", CARRIES)
@pytest.mark.parametrize("cell", CELLS)
def test_updates_from_first_states_follow_the_plain_loop(cell, carry):
    rnn, start = made_of(cell)
    options = {"window": 4, "stride": 2, "carry": carry, "clip_norm": 1.0}
    n_updates = 4 if NOJIT else 20
    assert_like_reference(rnn, draws, "adam", options, n_updates=n_updates, start=start)


@pytest.mark.parametrize("cell", ["tanh", "lstm"])
def test_starts_and_everything_else_at_once(cell):
    rnn, start = made_of(cell)
    options = {
        "window": np.array([5, 3]), "stride": 2, "carry": "stream", "accumulate": 2,
        "clip_norm": 0.5, "clip_value": np.array([0.05, 0.1]),
    }  # fmt: skip
    n_updates = 4 if NOJIT else 30
    assert_like_reference(
        rnn, draws, "adagrad", options, n_updates=n_updates, start=start, starts=often
    )


@pytest.mark.parametrize("n_updates", range(1, 9))
def test_states_are_carried_on_as_steps_ended_with_them(n_updates):
    """Also where the sequence begins anew at the very step that the next segment starts from."""
    rnn, start = made_of("lstm")
    options = {"window": np.array([5, 3]), "stride": 2, "carry": "stream"}
    assert_like_reference(
        rnn, draws, "sgd", options, n_updates=n_updates, start=start, starts=often
    )


@pytest.mark.parametrize("cell", CELLS)
def test_a_start_right_behind_the_last_loss(cell):
    """What is read out there is the state that the sequence ended with."""

    def draw(rng):
        batch = draws(rng)
        weights = np.array(batch.weights)
        weights[3], weights[4:] = 1.0, 0.0
        return rnnsim.Sequences(batch.inputs, batch.targets, weights)

    def starts(inputs):
        found = never(inputs)
        found[4, 1] = True
        return found

    rnn, start = made_of(cell)
    options = {"carry": "stream", "clip_norm": 1.0}
    n_updates = 4 if NOJIT else 20
    assert_like_reference(
        rnn, draw, "sgd", options, n_updates=n_updates, start=start, starts=starts
    )


@pytest.mark.parametrize("T", [40 if NOJIT else 200])
def test_starts_in_long_segments(T):
    """More steps than one block of errors holds, with starts at both of its ends."""

    def draw(rng):
        return draws(rng, T=T, silent=0.9)

    def starts(inputs):
        found = inputs[..., 0] > 2.0
        found[[7, 8, 9, 15, 16, 31, 32], [0, 1, 0, 1, 0, 0, 1]] = True
        return found

    rnn, start = made_of("gru")
    options = {"clip_norm": 1.0}
    assert_like_reference(rnn, draw, "sgd", options, n_updates=2, start=start, starts=starts)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("carry", CARRIES)
def test_no_starts_change_no_bit(cell, carry):
    rnn, _ = made_of(cell)
    options = {"n_updates": 6, "window": 4, "stride": 2, "carry": carry, "rng": 0}
    options |= {"test": draws(np.random.default_rng(0)), "optimizer": "momentum"}
    plain = train(rnn, draws, **options)
    marked = train(rnn, draws, **options, starts=lambda batch: never(batch.inputs))
    zero = np.zeros((2, rnn.n_hidden))
    from_zero = train(rnn, draws, **options, h0=zero, **({"c0": zero} if cell == "lstm" else {}))
    single = train(rnn, draws, **options | {"window": np.array([4, 4])}, accumulate=1)
    for other in (marked, from_zero, single):
        for a, b in zip(plain.rnn.weights, other.rnn.weights, strict=True):
            assert_array_equal(a, b)
        assert_array_equal(plain.final_h, other.final_h)


@pytest.mark.parametrize("cell", CELLS)
def test_sequences_that_begin_at_every_step_are_sequences_of_one_step(cell):
    """T steps of B sequences learn as one step of T*B sequences does, up to the mean over B."""
    rnn, start = made_of(cell)
    H, batch = rnn.n_hidden, draws(np.random.default_rng(0))
    T, B = batch.weights.shape
    parts = {"h0": start[:, :H], "c0": start[:, H:]} if cell == "lstm" else {"h0": start}
    whole = train(
        rnn, batch, n_updates=1, learning_rate=1.0, starts=always(batch.inputs), test=batch, **parts
    )
    apart = rnnsim.Sequences(
        batch.inputs.reshape(1, T * B, -1), batch.targets.reshape(1, -1),
        T * batch.weights.reshape(1, -1),
    )  # fmt: skip
    repeated = {name: np.concatenate([part] * T) for name, part in parts.items()}
    single = train(rnn, apart, n_updates=1, learning_rate=1.0, **repeated)
    for a, b in zip(whole.rnn.weights, single.rnn.weights, strict=True):
        assert_allclose(a, b, rtol=0, atol=1e-13)


@pytest.mark.parametrize("cell", CELLS)
def test_what_lies_before_a_start_has_no_influence_on_what_comes_after(cell):
    """Two streams that differ only in inputs before the start, where there is no loss."""
    rnn, _ = made_of(cell)
    batch, t = draws(np.random.default_rng(0)), 4
    weights = np.array(batch.weights)
    weights[:t, 1] = 0  # of sequence 1, which begins anew before step t + 1
    starts = np.zeros(weights.shape, bool)
    starts[t, 1] = True
    found = []
    for shift in (0.0, 5.0):
        inputs = np.array(batch.inputs)
        inputs[:t, 1] += shift
        sequences = rnnsim.Sequences(inputs, batch.targets, weights)
        found.append(train(rnn, sequences, n_updates=3, starts=starts, test=batch))
    for a, b in zip(found[0].rnn.weights, found[1].rnn.weights, strict=True):
        assert_array_equal(a, b)
    assert_array_equal(found[0].final_h, found[1].final_h)


@pytest.mark.parametrize("own_data", [False, True])
def test_starts_of_each_network(own_data):
    rnn, _ = made_of("lstm", N=3)
    options = {"n_updates": 6, "window": 3, "carry": "stream"}
    options |= {"test": draws(np.random.default_rng(0)), "starts": lambda b: often(b.inputs)}
    several = train(rnn, draws, **options, own_data=own_data, rng=0)
    generator = np.random.default_rng(0)
    generators = generator.spawn(3) if own_data else [0] * 3
    for n in range(3):
        alone = train(rnn[n], draws, **options, rng=generators[n])
        assert_array_equal(several.rnn.W_hh[n], alone.rnn.W_hh[0])
        assert_array_equal(several.final_c[n], alone.final_c[0])


def test_a_batch_with_a_network_axis_may_have_starts_with_one():
    made = case(N=2, own=True)
    s, test = made.sequences, case(N=2).sequences
    starts = np.random.default_rng(0).random(s.weights.shape) < 0.3
    both = train(made.rnn, s, n_updates=4, starts=starts, test=test)
    for n in range(2):
        mine = rnnsim.Sequences(s.inputs[n], s.targets[n], s.weights[n])
        alone = train(made.rnn[n], mine, n_updates=4, starts=starts[n], test=test)
        assert_array_equal(both.rnn.W_hh[n], alone.rnn.W_hh[0])
    shared = train(made.rnn, s, n_updates=4, starts=starts[0], test=test)
    assert_array_equal(both.rnn.W_hh[0], shared.rnn.W_hh[0])
    assert (both.rnn.W_hh[1] != shared.rnn.W_hh[1]).any()


@pytest.mark.parametrize("cell", ["tanh", "lstm"])
def test_records_are_measured_from_first_states(cell):
    made = gated(cell, N=2, T=7, B=2, V=3)
    for test in (None, made.sequences):
        record = train(
            made.rnn, made.sequences, n_updates=1, learning_rate=0.0, test=test, **made.start,
            **({} if NOJIT else {"snapshot_every": 1}),
        ).record  # fmt: skip
        expected = rnnsim.evaluate(made.rnn, made.sequences, **made.start)
        assert_array_equal(record.loss[:, 0], expected.loss)
        assert_allclose(record.training_loss[:, 1], expected.loss, rtol=1e-12)
        if not NOJIT:
            flow = rnnsim.gradient_flow(made.rnn, made.sequences, **made.start)
            assert_array_equal(record.window_cosine[:, 0], flow.window_cosine)


def test_final_states_are_where_a_stream_goes_on():
    rnn, _ = made_of("lstm")
    options = {"window": 3, "carry": "stream", "learning_rate": 0.0, "rng": 0}
    first = train(rnn, draws, n_updates=6, **options)  # two batches of 7 steps, 3 blocks each
    generator = np.random.default_rng(0)
    x = np.concatenate([draws(generator).inputs for _ in range(2)])
    run = rnnsim.forward(rnn, x)
    assert_allclose(first.final_h, run.final_h, rtol=0, atol=1e-14)
    assert_allclose(first.final_c, run.final_c, rtol=0, atol=1e-14)
    nothing = train(rnn, draws, n_updates=0, rng=0)
    assert not nothing.final_h.any()
    assert nothing.final_c.shape == (2, 2, rnn.n_hidden)
    h0 = np.ones((2, rnn.n_hidden))
    assert_array_equal(train(rnn, draws, n_updates=0, rng=0, h0=h0).final_h, [h0] * 2)


@pytest.mark.parametrize("cell", CELLS)
def test_the_way_back_goes_by_the_states_that_sequences_ended_with(cell):
    """Whatever of a step a cell may look at: h and memories, as they were before the start."""
    rnn, start = made_of(cell, N=1)
    batch, T, B, H = draws(np.random.default_rng(0)), 7, 2, rnn.n_hidden
    zeros = Layout.of(rnn).split(np.zeros((1, Layout.of(rnn).size)))
    path = learners._path(rnn, [originals(rnn)], zeros, T, B, kernels.CROSS_ENTROPY)
    path = learners._with_starts(path, T, B)
    path.start[:] = path.h0[0] = start
    path.starts[:] = often(batch.inputs).reshape(-1)
    path.starts[:B] = False
    data = batch_for(rnn, batch, None)._replace(h0=path.h0)
    forward_path(data, T, path)
    sum_gradients(data, path, 0.0, 0, kernel_penalty.penalty_work(H, T * B, start))
    plain = reference_training.Segment(
        batch.inputs, batch.targets, batch.weights, path.starts.reshape(T, B), start, start
    )
    after = reference_training.unfold([reference.net_of(rnn)], plain, cell_name(rnn))[1]
    trace, kept = path.work.forward.trace[0, 1:, :, :H], path.work.forward.kept[0, 1:]
    assert_allclose(trace, after[..., :H], rtol=0, atol=1e-14)
    assert_allclose(kept[..., : start.shape[1] - H], after[..., H:], rtol=0, atol=1e-14)
    assert path.starts.any()


RNN = case(N=2).rnn
BATCH = draws(np.random.default_rng(0))
MISUSE = {
    "h0 of other sizes": ({"h0": np.zeros((2, 3))}, ValueError, r"`h0` must be \(n_sequences, n_h"),
    "h0 of another dtype": ({"h0": np.zeros((2, 4), "float32")}, TypeError, "rnn: float64, h0: fl"),
    "NaN": ({"h0": np.full((2, 4), np.nan)}, ValueError, "`h0` must be finite, got nan"),
    "no memories": ({"c0": np.zeros((2, 4))}, ValueError, "`c0` is .* of LSTMs, got `model` with"),
    "another test": (
        {"h0": np.zeros((2, 4)), "test": draws(np.random.default_rng(0), B=3)},
        ValueError, "`h0` holds states of 2 sequences, where `test` has 3",
    ),
    "starts without a test": (
        {"starts": np.zeros((7, 2), bool)}, ValueError, "`starts` needs a `test` to be measured on",
    ),
    "starts of other sizes": (
        {"starts": np.zeros((2, 7), bool), "test": BATCH},
        ValueError, r"`starts` must be \(n_steps, n_sequences\) = \(7, 2\) as in the batch, got sh",
    ),
    "starts of numbers": (
        {"starts": np.zeros((7, 2)), "test": BATCH}, TypeError, "`starts` must hold booleans",
    ),
    "starts of a function of nothing": (
        {"starts": lambda: None, "test": BATCH}, TypeError, "`starts` must be an array, or a func",
    ),
    "starts of a function of numbers": (
        {"starts": lambda batch: batch.weights, "test": BATCH}, TypeError, "`starts` must hold boo",
    ),
    "accumulate nothing": ({"accumulate": 0}, ValueError, "`accumulate` must be at least 1, got 0"),
    "accumulate a half": ({"accumulate": 0.5}, TypeError, "`accumulate` must be an integer"),
    "windows of three": (
        {"window": [3, 4, 5], "stride": 1}, ValueError,
        r"`window` must be an integer or of shape \(n_networks,\) = \(2,\), got 3 values",
    ),
    "windows without a stride": (
        {"window": [3, 4]}, ValueError, r"`window` differs between networks \(3 to 4\).*`stride`",
    ),
    "a stride above one window": (
        {"window": [3, 4], "stride": 4}, ValueError, "`stride` must be at most `window` = 3, got 4",
    ),
    "a window of 0": ({"window": [0, 4], "stride": 1}, ValueError, r"`window\[0\]` must be at l"),
    "windows of a stream without a test": (
        {"window": [3, 4], "stride": 1, "carry": "stream"}, ValueError, "`window` needs a `test`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_refused(name):
    options, kind, message = MISUSE[name]
    with pytest.raises(kind, match=message):
        train(RNN, BATCH, **({"n_updates": 1} | options))


def test_first_states_need_batches_of_one_number_of_sequences():
    def draw(rng):
        return draws(rng, B=int(rng.integers(1, 4)))

    first = draw(np.random.default_rng(0)).n_sequences
    with pytest.raises(ValueError, match=f"`h0` holds states of {first} sequences, where `task`"):
        train(RNN, draw, n_updates=20, rng=0, h0=np.zeros((first, 4)), test=draws(
            np.random.default_rng(0), B=first))  # fmt: skip


@pytest.mark.parametrize("option", [{"h0": np.zeros((3, 4))}, {"starts": np.zeros((5, 3), bool)}])
def test_decoders_have_their_own_first_states(option):
    made = pair_case()
    with pytest.raises(ValueError, match=f"`{next(iter(option))}` = .*: decoders begin where"):
        train(made.model, made.pairs, n_updates=1, **option)
