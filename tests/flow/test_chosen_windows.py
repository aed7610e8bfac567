"""Chosen windows beside all of them, and none: the same numbers, for less."""

import dataclasses

import builders
import numpy as np
import pytest
import reference
import xarray as xr
from builders import DTYPES, NOJIT, TOLERANCE, case, cases, gated, plain
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from stack_builders import stacked

from rnnsim import (
    RNN,
    Sequences,
    gradient_flow,
    gradient_map,
    growth_rate,
    parallel,
    reach,
    save,
    sufficient_window,
    window_between,
)

pytestmark = pytest.mark.nojit
LONG = 60 if NOJIT else 400
PARTS = ("gates", "recurrent", "recurrent_gates")
LAGS = ("steps", "log_norms", "live", "log_rms", "log_std", "per_sequence", "log_norms_h",
        "log_norms_c", "log_norms_path_c", "state_scale", "mean_slope", "saturated_fraction",
        "first_nonfinite", "full_log_norm", "joint_full_log_norm")  # fmt: skip


def compared(flow):
    """Of every choice log norms, cosine, log error, log floor and full log norm."""
    names = ("log_norms", "cosine", "log_error", "log_floor")
    yield [*(getattr(flow, f"window_{name}") for name in names), flow.full_log_norm]
    yield [getattr(flow, f"joint_{name}") for name in (*names, "full_log_norm")]
    for part in PARTS:
        yield list(getattr(flow, part))[:5]


def assert_same_map(flow, every):
    """To the bit, whatever windows there are."""
    for name in LAGS:
        found, expected = getattr(flow, name), getattr(every, name)
        assert (found is None) == (expected is None)
        if expected is not None:
            assert_array_equal(found, expected)


def assert_same_windows(flow, every):
    """Sums in another order agree within what the flow itself reports as its rounding."""
    at = np.searchsorted(every.windows, flow.windows)
    assert_array_equal(every.windows[at], flow.windows)
    for found, expected in zip(compared(flow), compared(every), strict=True):
        log_floor, full = found[3:]
        assert_allclose(log_floor, expected[3], rtol=1e-12, atol=1e-12)
        assert_array_equal(full, expected[4])
        known, noise = np.isfinite(full), np.exp(log_floor)
        for n in zip(*np.nonzero(known), strict=True):
            own, whole = ([a[n[0], :, *n[1:]] for a in of[:3]] for of in (found, expected))
            check(own, [a[at] for a in whole], full[n], noise[n])


def check(found, expected, full, noise):
    """Of one gradient (M,) log norms, cosine and log error beside others, known up to `noise`."""
    noise = 2 * noise + 1e-13 * (1 + abs(full))  # beside that of the sums, of logs themselves
    size, whole = np.exp(found[0] - full), np.exp(expected[0] - full)
    assert np.all(abs(size - whole) <= noise * np.maximum(1, whole))
    assert_array_equal(np.isnan(found[1]), np.isnan(expected[1]))
    apart = np.nan_to_num(abs(found[1] - expected[1]))
    assert np.all(apart * np.minimum(size, 1) <= 4 * noise)
    error, other = (
        np.nan_to_num(np.exp(a[2])) for a in (found, expected)
    )  # NaN is below the floor
    assert np.all(abs(error - other) <= noise * np.maximum(1, other))
    assert_array_equal(np.isneginf(found[2]), np.isneginf(expected[2]))


def assert_same_shares(flow, every, tolerance):
    for name in ("share", "share_gates", "share_W_xh", "share_gates_W_xh"):
        found, expected = getattr(flow, name), getattr(every, name)
        norms = every.lag_norms_W_xh if "W_xh" in name else every.lag_norms
        noise = tolerance * np.nansum(
            norms, axis=1
        )  # what the parts add up to, without their signs
        apart = np.abs(found - expected).reshape(len(noise), -1).max(axis=1)
        assert_array_equal(np.isnan(found), np.isnan(expected))
        assert not np.any(apart > noise)


def assert_law(network, data, windows, **options):
    every = gradient_flow(network, data, per_sequence=True, **options)
    flow = gradient_flow(network, data, per_sequence=True, windows=windows, **options)
    tolerance = TOLERANCE[data.dtype.name] / 10
    for one, whole in zip((flow, *flow.of_layers), (every, *every.of_layers), strict=True):
        assert_array_equal(one.windows, windows)
        assert one.lag_norms is None
        assert one.lag_norms_W_xh is None
        assert_same_map(one, whole)
        assert_same_windows(one, whole)
        assert_same_shares(one, whole, tolerance)
    return flow, every


@st.composite
def choices(draw, T):
    """Ascending windows of 1..T, but not all of them."""
    chosen = draw(st.sets(st.integers(1, T), min_size=1, max_size=max(1, T - 1)))
    return sorted(chosen)


@given(cases(T=st.integers(2, 7), dtype=st.sampled_from(DTYPES), N=2), st.data())
def test_chosen_windows_are_those_of_all(made, data):
    windows = data.draw(choices(made.sequences.n_steps))
    assert_law(made.rnn, made.sequences, windows, h0=made.h0)


@given(cases(T=st.integers(2, 7), dtype=st.sampled_from(DTYPES)), st.integers(1, 6))
@example(case(T=7, silent=0.9, classes=False), 3)
def test_without_windows_the_map_is_the_same(made, max_lag):
    options = {"h0": made.h0, "max_lag": max_lag, "per_sequence": True}
    flow = gradient_flow(made.rnn, made.sequences, windows=(), **options)
    every = gradient_flow(made.rnn, made.sequences, **options)
    assert_same_map(flow, every)
    assert_same_shares(flow, every, TOLERANCE[made.rnn.dtype.name] / 10)
    assert flow.windows.shape == (0,)
    for log_norms, cosine, log_error, log_floor, _ in compared(flow):
        assert log_norms.shape[1] == cosine.shape[1] == log_error.shape[1] == 0
        assert np.isnan(log_floor).all()
    if min(flow.n_lags, flow.steps[-1]) >= 3:
        builders.same_bits(growth_rate(flow), growth_rate(every))
    assert_array_equal(reach(flow, 0.9).W_hh, reach(every, 0.9).W_hh)
    assert reach(flow).cancellation_W_hh is None


@given(cases(T=st.integers(2, 7), classes=st.booleans()), st.data())
def test_chosen_windows_follow_their_definition(made, data):
    windows = data.draw(choices(made.sequences.n_steps))
    flow = gradient_flow(made.rnn, made.sequences, h0=made.h0, windows=windows)
    parts, shares = reference.chosen_windows(*plain(made), windows)
    whole, _ = reference.chosen_windows(*plain(made), [made.sequences.n_steps])
    H, noise = made.rnn.n_hidden, TOLERANCE["float64"]
    sizes = builders.scales(reference.bptt(*plain(made)))
    sums = noise * np.sum([np.linalg.norm(size) for size in sizes])
    for found, own in ((flow.window_log_norms, parts[:, :, :H]), (flow.recurrent.log_norms, parts)):
        norms = np.sqrt((own**2).sum(axis=(1, 2)))
        assert_allclose(np.exp(found[0]), norms, rtol=0, atol=sums)
    errors = np.sqrt(((parts[:, :, :H] - whole[0, :, :H]) ** 2).sum(axis=(1, 2)))
    found = np.nan_to_num(np.exp(flow.window_log_error[0] + flow.full_log_norm[0]))
    assert_allclose(found, errors, rtol=0, atol=sums)
    for m, found in enumerate((flow.share[0], flow.share_W_xh[0])):
        if np.linalg.norm((whole[0, :, :H], whole[0, :, H:-1])[m]) > 1e4 * sums:
            assert_allclose(found, shares[:, m], rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru", "sigmoid"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_chosen_windows_of_gates(cell, dtype):
    made = gated(cell, 1, N=2, T=9, dtype=dtype)
    for windows in ([1, 9], [2, 3, 7], [8], [1, 2, 3, 4, 5, 6, 7, 8]):
        assert_law(made.rnn, made.sequences, windows, **made.start)
    last = made.sequences.last_loss_only()
    assert_law(made.rnn, last, [1, 4, 9], state_scale="std", **made.start)


@pytest.mark.parametrize("cell", ["lstm", "gru", "tanh"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_chosen_windows_of_stacks(cell, dtype):
    made = stacked(cell, 2, N=2, T=8, dtype=dtype)
    stack, s, start = made.stack, made.sequences, made.start
    flow, every = assert_law(stack, s, [1, 3, 7], **start)
    assert len(flow.of_layers) == 2
    for of in ("W_hh", "recurrent", "gates", "recurrent_gates"):
        above, upto = window_between(flow, 0.3, of=of)
        least = sufficient_window(every, 0.3, of=of)
        assert np.all((above < least) | np.isnan(least))
        assert_array_equal(upto, sufficient_window(flow, 0.3, of=of))
    assert_law(stack, s.last_loss_only(), [2, 8], **start)
    silent = gradient_flow(stack, s, windows=(), per_sequence=True, **start)
    assert_same_map(silent, every)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gain", [0.1, 10.0])
@pytest.mark.parametrize("last", [False, True])
def test_chosen_windows_beyond_the_range(gain, last, dtype):
    """Unit 0 holds 1, unit 1 multiplies gradients by its gain: sums reach 10^+-400."""
    weights = [np.zeros((2, 1)), np.diag([1.0, gain]), np.array([[0.0, 1.0]])]
    rnn = RNN(*(a.astype(dtype) for a in weights), activation="linear")
    s = Sequences(np.zeros((LONG, 2, 1), dtype), np.full((LONG, 2, 1), -1, dtype))
    s = s.last_loss_only() if last else s
    h0 = np.array([[1, 0], [1, 0]], dtype)
    windows = sorted({1, 2, 17, LONG // 3, LONG // 2, LONG - 1})
    flow, every = assert_law(rnn, s, windows, h0=h0)
    if gain > 1:
        assert_allclose(every.full_log_norm, LONG * np.log(gain), rtol=0.02)
    assert_allclose(flow.window_log_norms, every.window_log_norms[:, np.array(windows) - 1],
                    rtol=1e-6, atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gain", [0.1, 3.0])
def test_rows_of_many_units_are_added_up(gain, dtype):
    """Losses 2^40 apart, sequence by sequence and step by step: no two rows lie in one unit."""
    T = 30 if NOJIT else 80
    made = case(3, T=T, B=3, H=4, activation="linear", gain=gain, scheme="orthogonal", silent=0.0,
                classes=False, dtype=dtype)  # fmt: skip
    s = made.sequences
    loud = 2.0 ** (40 * (np.arange(T)[:, None] % 3 - np.arange(3) % 2))
    scaled = Sequences(s.inputs, s.targets, (s.weights * loud).astype(dtype))
    assert_law(made.rnn, scaled, [1, 5, 6, T // 2, T - 1], h0=made.h0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sequence_that_explodes_and_dies_leaves_chosen_windows_alone(dtype):
    """Sequence 0 grows to 1e390 and dies: what is exactly 0 has a large unit, and takes nothing."""
    T, n = 60, 40
    W = np.zeros((n + 1, n + 1))
    W[np.arange(1, n), np.arange(n - 1)], W[n, n] = 1e10, 1.0
    readout = np.zeros((2, n + 1))
    readout[0, n - 1] = readout[1, n] = 1.0
    arrays = (np.ones((n + 1, 1)), W, readout)
    rnn = RNN(*(a.astype(dtype) for a in arrays), activation="linear")
    targets = np.zeros((T, 2, 2), dtype)
    targets[:, 0, 0] = targets[:, 1, 1] = -1
    s = Sequences(np.zeros((T, 2, 1), dtype), targets)
    for data in (s, s.last_loss_only()):
        assert_law(rnn, data, [1, 3, 39, 41, 59])


@pytest.mark.parametrize("dtype", DTYPES)
def test_ragged_sequences_and_few_losses(dtype):
    rng, made = np.random.default_rng(5), case(2, N=2, H=5, dtype=dtype)
    lengths = (9, 4, 7, 1)
    inputs = [rng.normal(size=(n, 2)).astype(dtype) for n in lengths]
    targets = [rng.integers(0, 3, n) for n in lengths]
    s = Sequences.ragged(inputs, targets)
    assert_law(made.rnn, s, [1, 2, 6, 8])
    weights = np.zeros_like(s.weights)
    weights[[1, 8]] = s.weights[[1, 8]]
    assert_law(made.rnn, Sequences(s.inputs, s.targets, weights), [3, 4, 7])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("windows", [(), (1, 4, 8)])
def test_threads_change_no_bit_of_an_ensemble(dtype, windows):
    made = case(6, N=5, T=9, own=True, silent=0.0, dtype=dtype)
    flows = [
        gradient_flow(made.rnn, made.sequences, h0=made.h0, windows=windows, n_threads=n)
        for n in (1, 2, 3)
    ]
    builders.same_bits(flows[0], flows[1])
    builders.same_bits(flows[0], flows[2])
    s = made.sequences
    own = Sequences(s.inputs[3], s.targets[3], s.weights[3])
    alone = gradient_flow(made.rnn[3], own, h0=made.h0[3], windows=windows)
    builders.same_bits(alone, builders.network_of(flows[0], 3))


@pytest.mark.parametrize("cell", ["lstm", "tanh"])
@pytest.mark.parametrize("windows", [(), (1, 3, 4, 7)])
def test_a_team_gives_what_one_thread_gives(cell, windows, monkeypatch):
    made = gated(cell, 7, T=8, B=13)
    s, loud = made.sequences, np.where(np.arange(13) < 4, 2.0**21, 1.0)
    s = Sequences(s.inputs, s.targets, s.weights * loud)
    options = {"per_sequence": True, "windows": windows, **made.start}
    alone = gradient_flow(made.rnn, s, n_threads=1, **options)
    monkeypatch.setattr(parallel, "_FLOPS_FOR_A_TEAM", 0.0)
    team = gradient_flow(made.rnn, s, n_threads=3, **options)
    assert_array_equal(team.per_sequence, alone.per_sequence)
    for field in dataclasses.fields(alone):
        found, expected = (getattr(flow, field.name) for flow in (team, alone))
        pairs = (
            zip(found, expected, strict=True)
            if isinstance(expected, tuple)
            else [(found, expected)]
        )
        for a, b in pairs:
            if b is not None:
                assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_all_windows_by_name_are_all():
    made = case(4, N=2, T=6)
    every = gradient_flow(made.rnn, made.sequences, h0=made.h0)
    for windows in ("all", range(1, 7), np.arange(1, 7), [1, 2, 3, 4, 5, 6]):
        flow = gradient_flow(made.rnn, made.sequences, h0=made.h0, windows=windows)
        builders.same_bits(flow, every)
    assert_array_equal(every.windows, np.arange(1, 7))
    short = gradient_flow(made.rnn, made.sequences, h0=made.h0, max_lag=3)
    assert_array_equal(short.windows, [1, 2, 3, 4])


def test_a_network_beyond_the_range_harms_no_neighbour():
    made = case(8, N=3, activation="linear", silent=0.0)
    w = [array.copy() for array in made.rnn.weights]
    w[1][1] = 1e200 * np.eye(4)  # h_2 overflows
    rnn = RNN(*w, activation="linear")
    flow = gradient_flow(rnn, made.sequences, h0=made.h0, windows=[2, 5], n_threads=2)
    assert_array_equal(flow.first_nonfinite, [-1, 2, -1])
    assert np.isnan(flow.share[1]).all()
    for n in (0, 2):
        alone = gradient_flow(made.rnn[n], made.sequences, h0=made.h0, windows=[2, 5])
        builders.same_bits(alone, builders.network_of(flow, n))


def test_gradients_of_zero_have_no_shares():
    made = case(9, T=5, silent=0.0, classes=False)
    w = made.rnn.weights._replace(W_hy=np.zeros_like(made.rnn.W_hy))
    flow = gradient_flow(RNN(*w), made.sequences, h0=made.h0, windows=[1, 3])
    assert np.isneginf(flow.full_log_norm).all()
    for array in (flow.share, flow.share_W_xh, flow.window_log_error, flow.window_cosine):
        assert np.isnan(array).all()
    assert np.isnan(sufficient_window(flow)).all()
    assert np.isnan(window_between(flow).upto).all()


@given(cases(T=st.integers(3, 7), N=2), st.data(), st.sampled_from([0.5, 0.1, 1e-3]))
def test_the_window_that_suffices_lies_between(made, data, tolerance):
    windows = data.draw(choices(made.sequences.n_steps))
    every = gradient_flow(made.rnn, made.sequences, h0=made.h0)
    flow = gradient_flow(made.rnn, made.sequences, h0=made.h0, windows=windows)
    least = sufficient_window(every, tolerance)
    above, upto = window_between(flow, tolerance)
    assert_array_equal(upto, sufficient_window(flow, tolerance))
    for n in range(2):
        error = np.where(np.isnan(flow.window_log_error[n]), flow.window_log_floor[n],
                         flow.window_log_error[n])  # fmt: skip
        known = error <= np.log(tolerance)
        bad = [K for K, good in zip(windows, known, strict=True) if not good]
        good = [K for K in windows if max(bad, default=0) < K]
        assert above[n] == max(bad, default=0)
        assert upto[n] == good[0] if good else np.isnan(upto[n])
        assert above[n] < least[n] or np.isnan(least[n])
    whole = window_between(every, tolerance)
    known = ~np.isnan(least)
    assert_array_equal((whole.upto - whole.above)[known], 1)


def test_windows_are_labelled_and_kept(tmp_path):
    made = gated("lstm", 3, N=2, T=8)
    for windows in ((1, 5), (), "all"):
        flow = gradient_flow(made.rnn, made.sequences, windows=windows, **made.start)
        data = flow.to_xarray()
        assert_array_equal(data.window, flow.windows)
        assert ("lag_norms" in data) == (windows == "all")
        assert_array_equal(data.window_cosine, flow.window_cosine)
        assert_array_equal(data.recurrent_gates_log_error, flow.recurrent_gates.log_error)
        assert_array_equal(flow.gates.to_xarray().window, flow.windows)
        save(data, tmp_path / f"{len(flow.windows)}.zarr")
        kept = xr.open_zarr(tmp_path / f"{len(flow.windows)}.zarr", consolidated=False)
        assert_array_equal(kept.window, flow.windows)
        assert_array_equal(kept.window_log_norms, flow.window_log_norms)
        assert "n_lags=8" in repr(flow)


def test_windows_that_make_no_sense():
    made = case(T=6)
    for windows, error, message in (
        ("some", TypeError, r'`windows` must be "all", \(\) for none, or ascending integers '
                            r"such as \[1, 10, 100\], got 'some' \(str\)"),
        (3, TypeError, r'`windows` must be "all", \(\) for none'),
        ([0, 1], ValueError, r"`windows\[0\]` must be at least 1, got 0"),
        ([1, 2.5], TypeError, r"`windows\[1\]` must be an integer of at least 1, got 2\.5"),
        ([2, 2], ValueError, r"`windows` must ascend, got 2 after 2; sort them"),
        ([5, 7], ValueError, r"`windows` must be at most n_steps = 6, .* got 7; leave the longer"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            gradient_flow(made.rnn, made.sequences, windows=windows)
    with pytest.raises(ValueError, match=r"`windows` must be at most max_lag \+ 1 = 3, got 4"):
        gradient_flow(made.rnn, made.sequences, windows=[1, 4], max_lag=2)
    silent = gradient_flow(made.rnn, made.sequences, windows=())
    for ask in (sufficient_window, window_between):
        with pytest.raises(
            ValueError,
            match=r"`flow` must have windows, got one of lags alone; "
            r'give gradient_flow windows="all", or those',
        ):
            ask(silent)


def test_maps_measure_no_windows():
    made = case(1, N=2, T=6)
    found = gradient_map(made.rnn, made.sequences)
    flow = gradient_flow(made.rnn, made.sequences)
    assert_array_equal(found.log_norms[:, -1, ::-1], flow.log_norms[:, -1])
