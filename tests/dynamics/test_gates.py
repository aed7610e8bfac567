"""Gates along trajectories: plain NumPy, closed forms, and the exponents that gates predict."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from builders import DTYPES, NOJIT, case, gated, same_bits
from numpy.testing import assert_allclose, assert_array_equal
from reference_cells import CELLS, sigma

from rnnsim import RNN, gate_statistics, lyapunov_spectrum, parallel
from rnnsim.kernels.cells.seam import gates

pytestmark = pytest.mark.nojit
EACH = pytest.mark.parametrize("cell", ["lstm", "gru"])
compiled = pytest.mark.skipif(NOJIT, reason="too many steps without compilation")
LEVELS = [0.0, 0.05, 0.37, 0.5, 0.95, 1.0]


def plain_gates(made, n):
    """Values (T, B, G, H) of the gates of network n, and ln of the one that keeps (T, B, H)."""
    net, x, _, _, start, name = made.plain(n)
    states, H = reference.unfold(net, x, start, name)[0], net.W_hh.shape[1]
    pre = [CELLS[name].pre(net, x[t], states[t, :, :H]) for t in range(len(x))]
    values = np.array([CELLS[name].gate_values(*each) for each in pre])
    kept = np.array([sum(each)[:, H : 2 * H] for each in pre])
    return values.reshape(*values.shape[:2], -1, H), -np.logaddexp(0.0, -kept)


def assert_near_quantiles(found, values, levels, signed):
    """Within .2 % of the distance to the nearer end; 0 and 1 are exact."""
    expected = np.quantile(values, levels)
    lowest = np.where(signed, -1.0, 0.0)
    distance = np.minimum(expected - lowest, 1 - expected)
    assert (np.abs(found - expected) <= 0.00201 * distance).all()
    assert_allclose(found[[0, -1]], expected[[0, -1]], rtol=1e-13)


@EACH
@pytest.mark.parametrize("dtype", DTYPES)
def test_gates_are_those_that_a_step_is_made_of(cell, dtype):
    kind, (net, x, _, _, state, _) = CELLS[cell], gated(cell, 9).plain()
    B, H, G = 3, 3, kind.gates
    h, c = state[:, :H], state[:, H:]
    of_x, of_h = kind.pre(net, x[0], h)
    pre = of_x + of_h
    if kind.biases > G:  # of n both shares
        pre = np.concatenate([pre[:, : 2 * H], of_x[:, 2 * H :], of_h[:, 2 * H :]], axis=1)
    padded = np.full((B, 32), np.nan, dtype)
    padded[:, : 4 * H] = pre
    values, odds = np.full((2, B, G * H), np.nan, dtype)
    gates(kind.code, padded, values, odds, H)
    eps = np.finfo(dtype).eps
    assert_allclose(values, kind.gate_values(of_x, of_h), rtol=50 * eps)
    signed = np.repeat([gate in "gn" for gate in ("ifgo" if G == 4 else "rzn")], H)
    assert_allclose(values, np.where(signed, 2 * sigma(odds) - 1, sigma(odds)), atol=10 * eps)
    v = np.split(values.astype(float), G, axis=1)
    if cell == "lstm":
        after_c = v[1] * c + v[0] * v[2]
        after = np.concatenate([v[3] * np.tanh(after_c), after_c], axis=1)
    else:
        after = (1 - v[1]) * v[2] + v[1] * h
    expected = np.concatenate(kind.advance(net, x[0], h, c), axis=1)
    assert_allclose(after, expected, rtol=100 * eps, atol=10 * eps)


@EACH
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("burn_in", [None, 4])
def test_statistics_are_those_of_the_values(cell, own, burn_in):
    made = gated(cell, 1, N=2, T=40, B=2, H=3, own=own, scale=1.2)
    found = gate_statistics(
        made.rnn, made.sequences, **made.start, quantiles=LEVELS, burn_in=burn_in
    )
    assert found.gates == (("i", "f", "g", "o") if cell == "lstm" else ("r", "z", "n"))
    assert found.burn_in == (burn_in or 0)
    assert found.spectrum is found.deviation is None
    for n in range(2):
        values, logs = (a[found.burn_in :] for a in plain_gates(made, n))
        assert_allclose(found.unit_mean[n], values.mean(axis=(0, 1)), atol=1e-13)
        assert_allclose(found.mean[n], values.mean(axis=(0, 1, 3)), atol=1e-13)
        assert_allclose(found.mean_log[n], logs.mean(axis=(0, 1)), rtol=1e-12)
        assert_allclose(found.time_scale[n], -1 / logs.mean(axis=(0, 1)), rtol=1e-12)
        predicted = np.sort(logs.mean(axis=(0, 1)))[::-1]
        assert_allclose(found.predicted_exponents[n], predicted, rtol=1e-12)
        for g, name in enumerate(found.gates):
            low, high = values[:, :, g] < (-0.9 if name in "gn" else 0.1), values[:, :, g] > 0.9
            assert_allclose(found.unit_low[n, g], low.mean(axis=(0, 1)), rtol=1e-15)
            assert_allclose(found.unit_high[n, g], high.mean(axis=(0, 1)), rtol=1e-15)
            assert_allclose([found.low[n, g], found.high[n, g]], [low.mean(), high.mean()])
            assert_near_quantiles(found.quantiles[n, g], values[:, :, g], LEVELS, name in "gn")
    assert found.low.any()
    assert found.high.any()


@EACH
def test_inputs_alone_are_enough_and_a_readout_is_not_needed(cell):
    made = gated(cell, 2, N=2, T=20)
    mute = RNN(made.rnn.W_xh, made.rnn.W_hh, b_h=made.rnn.b_h, cell=cell)
    whole = gate_statistics(made.rnn, made.sequences, **made.start)
    same_bits(gate_statistics(mute, made.sequences.inputs, **made.start), whole)
    same_bits(gate_statistics(mute, made.sequences, **made.start), whole)


@EACH
@pytest.mark.parametrize("own", [False, True])
def test_networks_threads_and_pieces_change_nothing(cell, own, monkeypatch):
    made = gated(cell, 3, N=3, T=30, own=own)
    x, start = made.sequences.inputs, made.start
    whole = gate_statistics(made.rnn, x, n_threads=1, exponents=True, **start)
    same_bits(gate_statistics(made.rnn, x, n_threads=3, exponents=True, **start), whole)
    for n in range(3):
        one = {name: a[n] if own else a for name, a in start.items()}
        alone = gate_statistics(made.rnn[n], x[n] if own else x, exponents=True, **one)
        for name in ("unit_mean", "unit_low", "unit_high", "quantiles", "mean_log", "deviation"):
            assert_array_equal(getattr(alone, name)[0], getattr(whole, name)[n])
    monkeypatch.setattr(parallel, "FLOPS_PER_CALL", 1.0)
    same_bits(gate_statistics(made.rnn, x, exponents=True, **start), whole)


@EACH
def test_statistics_in_float32(cell):
    made = gated(cell, 4, N=2, T=40, B=2, H=4)
    wide = gate_statistics(made.rnn, made.sequences, **made.start)
    narrow = made.astype("float32")
    found = gate_statistics(narrow.rnn, narrow.sequences, **narrow.start)
    for name in ("unit_mean", "quantiles", "mean_log"):
        assert getattr(found, name).dtype == np.float64
        # states of either precision part by some 1e-6, bins of the quantiles by one at most
        atol = 1e-3 if name == "quantiles" else 1e-4
        assert_allclose(getattr(found, name), getattr(wide, name), rtol=0, atol=atol)


def deaf(cell, dtype="float64", **biases):
    """Two units that hear nothing, and what their gates are."""
    names = {"lstm": "ifgo", "gru": "rzn"}[cell]
    b_h = np.zeros(8)
    for gate, bias in biases.items():
        b_h[2 * names.index(gate) :][:2] = bias
    rows = 2 * len(names)
    return RNN(np.zeros((rows, 1)), np.zeros((rows, 2)), b_h=b_h, cell=cell).astype(dtype)


@EACH
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [0.0, 1.0, 5.0, -3.0, 40.0, -40.0, 80.0, -600.0])
def test_constant_gates_have_their_closed_forms(cell, dtype, bias):
    """Mean sigma(b), time scale -1/ln sigma(b): e^b of an open gate, far beyond the digits of f."""
    keeps = "f" if cell == "lstm" else "z"
    rnn = deaf(cell, dtype, **{keeps: bias})
    found = gate_statistics(rnn, np.ones((30, 2, 1), dtype))
    g, b = found.gates.index(keeps), np.float64(bias)
    rtol = 1e-13 if dtype == "float64" else 1e-6
    assert_allclose(found.mean[0, g], sigma(b), rtol=rtol, atol=1e-45)
    assert_allclose(found.quantiles[0, g], sigma(b), rtol=rtol)
    assert_allclose(found.mean_log, -np.logaddexp(0.0, -b), rtol=1e-13)
    assert_allclose(found.time_scale, 1 / np.logaddexp(0.0, -b), rtol=1e-13)
    assert_array_equal(found.high[0, g], float(bias > np.log(9)))
    assert_array_equal(found.low[0, g], float(bias < -np.log(9)))
    others = [gate for gate in range(len(found.gates)) if gate != g]
    assert_array_equal(
        found.mean[0, others], [0.0 if found.gates[i] in "gn" else 0.5 for i in others]
    )


def test_a_gate_that_never_closes_has_no_time_scale():
    found = gate_statistics(deaf("lstm", f=800.0), np.ones((30, 2, 1)))
    assert_array_equal(found.mean_log, 0)
    assert_array_equal(found.time_scale, np.inf)


def hearing(cell, weight, bias):
    """Both units of `deaf`, with a gate that keeps of sigma(weight x + bias)."""
    rnn = deaf(cell, **{"f" if cell == "lstm" else "z": bias})
    W_xh = np.array(rnn.W_xh)
    W_xh[:, 2:4] = weight
    return rnn.with_weights(rnn.weights._replace(W_xh=W_xh))


def test_quantiles_far_out_are_within_what_a_float_holds():
    odds = np.linspace(-120.0, 90.0, 40)[:, None, None]
    found = gate_statistics(hearing("lstm", 1.0, 0.0), odds, quantiles=np.linspace(0, 1, 33))
    expected = np.quantile(np.repeat(sigma(odds), 2), found.levels)
    distance = np.minimum(expected, 1 - expected)
    assert (np.abs(found.quantiles[0, 1] - expected) <= 0.002 * distance + 1e-17).all()
    assert (found.quantiles[0, 1] > 0).all()


def test_time_scales_are_of_the_mean_logarithm():
    """f alternating .5, .999 forgets in 2.9 steps; the mean of 1/(1-f) is 501."""
    rnn = hearing("lstm", 1.0, 0.0)
    odds = np.tile([0.0, np.log(999.0)], 10)[:, None, None]
    found = gate_statistics(rnn, odds, quantiles=[0.25, 0.75])
    assert_allclose(found.time_scale, 2.88124, rtol=1e-5)
    assert_allclose(found.quantiles[0, 1], [0.5, 0.999], rtol=1e-3)


@compiled
@EACH
@pytest.mark.parametrize(
    ("b", "s", "expected"),
    [(0, 1, -0.80606), (1, 1, -0.40686), (2, 1, -0.18274), (3, 1, -0.07503), (1, 0.5, -0.33755),
     (0, 3, -1.39408)],
)  # fmt: skip
def test_normal_pre_activations_have_their_mean_logarithm(cell, b, s, expected):
    x = np.random.default_rng(0).normal(size=(4000, 25, 1))
    found = gate_statistics(hearing(cell, s, float(b)), x, quantiles=[0.5, 0.9])
    scatter = np.logaddexp(0.0, -(b + s * x)).std() / np.sqrt(x.size)
    assert_allclose(found.mean_log, expected, rtol=0, atol=4 * scatter)
    # sigma is monotone: quantiles of the gate are those of its pre-activation
    g = found.gates.index("f" if cell == "lstm" else "z")
    assert_allclose(found.quantiles[0, g], sigma(b + s * np.array([0.0, 1.28155])), atol=0.01)


def test_networks_that_leave_the_range_are_nan_and_leave_others_alone():
    made = gated("gru", 5, N=3, T=30, own=True)
    W_hh, h0 = np.array(made.rnn.W_hh), np.array(made.h0)
    W_hh[1, :3], W_hh[1, 6:], h0[1, 2] = -1e200, 1e200, 1e200  # r is 0, and what it multiplies inf
    rnn = made.rnn.with_weights(made.rnn.weights._replace(W_hh=W_hh))
    found = gate_statistics(rnn, made.sequences, h0=h0, exponents=True)
    sound = gate_statistics(made.rnn, made.sequences, h0=made.h0, exponents=True)
    assert found.first_nonfinite[1] == 1
    assert_array_equal(found.first_nonfinite[[0, 2]], -1)
    for name in (
        "unit_mean", "unit_low", "unit_high", "quantiles", "mean_log", "time_scale", "mean", "low",
        "high", "predicted_exponents", "deviation",
    ):  # fmt: skip
        values = getattr(found, name)
        assert np.isnan(values[1]).all(), name
        assert_array_equal(values[[0, 2]], getattr(sound, name)[[0, 2]])


@EACH
def test_the_spectrum_is_of_the_same_steps(cell):
    made = gated(cell, 6, N=2, T=54, B=2)
    found = gate_statistics(made.rnn, made.sequences, exponents=True, **made.start)
    spectrum = lyapunov_spectrum(made.rnn, made.sequences.inputs, n_exponents=3, **made.start)
    same_bits(found.spectrum, spectrum)
    assert found.burn_in == spectrum.burn_in == 6  # a tenth, and what fills no block of 2
    apart = np.abs(found.predicted_exponents - spectrum.exponents).max(axis=1)
    assert_array_equal(found.deviation, apart)
    for n in range(2):
        assert_allclose(found.mean_log[n], plain_gates(made, n)[1][6:].mean(axis=(0, 1)))


@EACH
def test_without_recurrent_weights_gates_predict_the_exponents(cell):
    made = gated(cell, 7, N=2, T=120, D=3, H=3)
    W_hh, b_h = np.zeros_like(made.rnn.W_hh), np.array(made.rnn.b_h)
    b_h[:, 3:6] = [3.0, 0.0, -3.0]  # apart, so that the frame turns at once
    rnn = made.rnn.with_weights(made.rnn.weights._replace(W_hh=W_hh, b_h=b_h))
    found = gate_statistics(rnn, made.sequences, exponents=True, **made.start)
    # of an LSTM dh/dc = S f stands beside dc/dc = f: the length sqrt(1 + S^2) at either end
    atol = 1e-9 if cell == "gru" else np.log(2) / 2 / 100
    assert (found.deviation < atol).all()
    assert (found.predicted_exponents < -0.02).all()


def test_an_exponent_of_minus_infinity_deviates_without_bound():
    """Unless it is what rounding left: that is not known, and has no part."""
    found = gate_statistics(deaf("gru", z=-1.0), np.ones((40, 1, 1)), exponents=True)
    assert_allclose(found.deviation, 0, atol=1e-12)
    exponents = found.spectrum.exponents * [[1.0, np.inf]]

    def deviation(lost):
        spectrum = replace(found.spectrum, exponents=exponents, lost=np.array([lost]))
        return replace(found, spectrum=spectrum).deviation

    assert_array_equal(deviation([0.0, 0.0]), np.inf)
    assert_allclose(deviation([0.0, 0.5]), 0, atol=1e-12)
    assert_array_equal(deviation([0.5, 0.5]), np.nan)


@compiled
def test_open_gates_predict_exponents_better():
    """PyTorch's draw of 24 units, driven: what the docstring says, at biases of 0, 1 and 3."""
    x = np.random.default_rng(100).normal(size=(3000, 1, 8))
    sizes = {"n_inputs": 8, "n_hidden": 24, "n_outputs": 0, "scheme": "pytorch"}
    apart = []
    for bias in (0.0, 1.0, 3.0):
        rnn = RNN.sample(8, **sizes, cell="lstm", forget_bias=bias, rng=1)
        apart.append(gate_statistics(rnn, x, exponents=True, burn_in=500).deviation)
    apart = np.array(apart)
    assert (apart < [[0.25], [0.15], [0.06]]).all()
    assert (np.diff(apart, axis=0) < 0).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"quantiles": []}, ValueError, r"`quantiles` must be numbers from 0 to 1 .*got \[\]"),
        ({"quantiles": 0.5}, ValueError, r"`quantiles` must be numbers from 0 to 1 such as .*0.5$"),
        ({"quantiles": [0.5, 50]}, ValueError, r"`quantiles\[1\]` must be from 0 to 1, got 50"),
        ({"quantiles": ["a"]}, TypeError, r"`quantiles\[0\]` must be a number"),
        ({"burn_in": 10}, ValueError, "`burn_in` must be at most 9, got 10"),
        ({"exponents": 1}, TypeError, "`exponents` must be True or False"),
        ({"exponents": True}, ValueError, r"the steps of `sequences` must be at least 21.*got 10"),
        ({"sequences": [[1.0]]}, ValueError, "`sequences` must be .n_steps, n_sequences, n_inp"),
    ],
)
def test_misuse_teaches(options, error, message):
    made = gated("lstm", T=10)
    with pytest.raises(error, match=message):
        gate_statistics(**{"rnn": made.rnn, "sequences": made.sequences, **options})


def test_vanilla_networks_have_no_gates():
    made = case()
    message = "`rnn` must hold LSTMs or GRUs, got cell='vanilla': a vanilla network has no gates"
    with pytest.raises(ValueError, match=message):
        gate_statistics(made.rnn, made.sequences)
