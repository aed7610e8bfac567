"""Networks whose answer is known: the diagnosis says what is true of them."""

import numpy as np
import pytest
from known_networks import B, T, carousel, dead, driven, echo, linear, shift_register, two_rates

import rnnsim
from rnnsim import diagnose


@pytest.mark.parametrize("gain", [0.9, 1.0, 1.1])
def test_an_orthogonal_linear_network_has_the_rate_of_its_gain(gain):
    found = diagnose(linear(gain), driven(), window=10)
    rate = found["gradient_rate"]
    assert rate.number == pytest.approx(np.log(gain), abs=1e-12)
    assert rate.error < 1e-12
    assert rate.says == {0.9: "vanishes", 1.0: "holds", 1.1: "grows"}[gain]
    for name in ("change_over_window", "rate_over_window"):
        assert found[name].number == pytest.approx(gain**10, rel=1e-12)
    assert found["lambda_1"].number == pytest.approx(np.log(gain), abs=1e-12)
    assert found["spectrum"].number == pytest.approx(gain)
    assert found["non_normality"].says == "nearly normal"
    crossings = {0.9: "1/2 at lag 7, 1/10 at lag 22", 1.0: "never half or twice",
                 1.1: "twice at lag 8, 10 times at lag 25"}[gain]  # fmt: skip
    assert crossings in rate.words


def test_lags_at_a_half_a_tenth_and_a_hundredth():
    # .9^k is first at most 1/2, 1/10, 1/100 at 6.58, 21.85, 43.7
    words = diagnose(linear(0.9), driven(n_steps=60)).verdict
    assert "1/2 at lag 7, 1/10 at lag 22, 1/100 at lag 44" in words


def test_two_rates_are_no_single_rate():
    found = diagnose(two_rates(), driven(), window=10)
    assert found["gradient_rate"].says == "no single rate"
    assert np.isnan(found["gradient_rate"].number)
    assert not found["rate_over_window"].known
    exact = np.hypot(1e3 * 0.5**10, 0.99**10) / np.hypot(1e3, 1)
    assert found["change_over_window"].number == pytest.approx(exact)
    assert found["lambda_1"].number == pytest.approx(np.log(0.99), abs=1e-3)


def test_dead_units():
    found = diagnose(dead(), driven(), window=10)
    assert found["gradient_rate"].says == "dies"
    assert "exactly 0 from lag 1 on" in found["gradient_rate"].words
    assert found["change_over_window"].number == 0
    assert found["lambda_1"].number == -np.inf
    assert found["idle_units"].number == 1
    assert found["forward_memory"].says == "nothing carried"
    assert not found["window_error"].known
    assert not found["reach_W_hh"].known
    assert any("idle" in each for each in found.to_try)


def test_the_constant_error_carousel():
    found = diagnose(carousel(10.0), driven(), window=10)
    f = 1 / (1 + np.exp(-10.0))
    assert found["gradient_rate"].says == "holds"
    assert found["gradient_rate"].number == pytest.approx(np.log(f), rel=1e-6)
    assert found["change_over_window"].number == pytest.approx(f**10)
    assert found["time_scale"].number == pytest.approx(-1 / np.log(f))
    assert found["time_scale"].says == "longer than the data"
    gates = found["gates"].evidence
    assert dict(zip(gates["gate"], gates["high"], strict=True))["f"] == 1
    assert not any("forget bias" in each for each in found.to_try)


def test_gates_alone():
    found = diagnose(carousel(1.0), driven(), window=10)
    f = 1 / (1 + np.exp(-1.0))
    assert found["gradient_rate"].says == "vanishes"
    assert found["gradient_rate"].number == pytest.approx(np.log(f))
    assert found["rate_over_window"].number == pytest.approx(f**10)
    assert found["time_scale"].number == pytest.approx(-1 / np.log(f))
    assert any("forget bias" in each for each in found.to_try)


@pytest.mark.parametrize("delay", [2, 4, 7])
def test_an_echo_of_known_delay(delay):
    found = diagnose(shift_register(delay), echo(delay), window=3)
    assert found["forward_memory"].says == "carries"
    assert found["forward_memory"].number == delay + 1
    assert found["forward_memory"].error == 0
    assert found["reach_W_xh"].number == delay + 1
    assert found["window_for_1_percent"].number == delay + 1
    assert found["horizon"].number <= delay
    assert f"exactly 0 from lag {delay + 1} on" in found["gradient_rate"].words
    further = "further back than a window of 3 goes"
    assert (further in found.verdict) == (delay + 1 > 3)


def test_the_loss_after_a_reset_is_that_of_the_last_steps_alone():
    rnn, data = linear(0.9), driven()
    evidence = diagnose(rnn, data)["forward_memory"].evidence
    k = evidence["reset"].index(5)
    exact = 0.0
    for t in range(1, T + 1):
        x = data.inputs[max(t - 5, 0) : t]
        y = rnnsim.forward(rnn, x).outputs[0, -1]
        exact += 0.5 * ((y - data.targets[t - 1]) ** 2).sum() / B
    assert evidence["loss"][k] == pytest.approx(exact / T)  # a mean over steps
    assert evidence["loss"][k] - evidence["rise"][k] == pytest.approx(
        rnnsim.evaluate(rnn, data).loss[0] / T
    )


def test_numbers_are_those_of_the_functions_behind_them():
    rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=8, n_outputs=1, rng=0, cell="gru")
    data = driven()
    found, flow = diagnose(rnn, data, window=6), rnnsim.gradient_flow(rnn, data)
    full, cut = rnnsim.bptt(rnn, data), rnnsim.truncated_bptt(rnn, data, window=6, stride=1)
    names = ("W_hh", "W_xh", "b_h")
    apart = np.sqrt(sum(((getattr(full, n) - getattr(cut, n)) ** 2).sum() for n in names))
    size = np.sqrt(sum((getattr(full, n) ** 2).sum() for n in names))
    assert found["window_error"].number == pytest.approx(apart / size)
    for tolerance, name in ((0.1, "window_for_10_percent"), (0.01, "window_for_1_percent")):
        assert found[name].number == rnnsim.sufficient_window(flow, tolerance)[0]
    assert found["reach_W_hh"].number == rnnsim.reach(flow).W_hh[0]
    assert found["reach_W_xh"].number == rnnsim.reach(flow).W_xh[0]
    gates = found["gradient_by_layer_and_gate"].evidence
    assert gates["block"] == ("r", "z", "n")
    np.testing.assert_allclose(gates["share"], flow.share_gates[0].sum(axis=0))
    statistics = rnnsim.gate_statistics(rnn, data)
    np.testing.assert_allclose(found["gates"].evidence["high"], statistics.high[0])
    states = rnnsim.forward(rnn, data.inputs).states[0, 1:].reshape(-1, 8)
    values = np.linalg.eigvalsh(np.cov(states.T))
    assert found["effective_rank"].number == pytest.approx(values.sum() ** 2 / (values**2).sum())


def test_layers_share_the_gradient():
    stack = rnnsim.Stack.sample(n_layers=2, n_inputs=2, n_hidden=4, n_outputs=1, rng=0)
    data = driven()
    shares = diagnose(stack, data)["gradient_by_layer_and_gate"].evidence["share"]
    squares = [(layer.W_hh**2).sum() for layer in rnnsim.bptt(stack, data).layers]
    np.testing.assert_allclose(shares, np.array(squares) / sum(squares))


def test_clipping_turns_the_mean_gradient():
    rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=6, n_outputs=1, rng=0)
    data = driven()
    found = diagnose(rnn, data, batch_size=4, clip_norm=20.0, clip_value=1.0)
    rows = []
    for b in range(0, B, 4):
        part = rnnsim.Sequences(data.inputs[:, b : b + 4], data.targets[:, b : b + 4])
        (layer,) = rnnsim.bptt(rnn, part).layers
        rows.append(np.concatenate([w.ravel() for w in layer]))
    rows = np.array(rows)
    norms = np.linalg.norm(rows, axis=1)
    by_norm = (rows * np.minimum(1, 20.0 / norms)[:, None]).mean(axis=0)
    by_value = np.clip(rows, -1, 1).mean(axis=0)
    mean = rows.mean(axis=0)
    assert found["clipping_by_norm"].number == (norms > 20.0).mean()
    for name, clipped in (("clipping_by_norm", by_norm), ("clipping_by_value", by_value)):
        cosine = clipped @ mean / np.linalg.norm(clipped) / np.linalg.norm(mean)
        assert found[f"{name}_cosine"].number == pytest.approx(cosine)


@pytest.mark.parametrize("gain", [0.5, 0.9])
def test_what_the_state_holds_of_a_linear_network(gain):
    """h_t - h_t(K) = W^K h_{t-K}: a gain of g leaves g^K of it, whatever came before."""
    rnn, data = linear(gain), driven(n_steps=60)
    found = diagnose(rnn, data.last_loss_only())["state_memory"]
    h = rnnsim.forward(rnn, data.inputs).states[0]
    exact = [gain**K * np.linalg.norm(h[60 - K]) / np.linalg.norm(h[60]) for K in
             found.evidence["reset"]]  # fmt: skip
    np.testing.assert_allclose(found.evidence["change"], exact, atol=1e-12)
    grid = np.array(found.evidence["reset"])
    assert found.number == grid[np.argmax(np.array(exact) <= 0.05)]
    assert found.says == "carries"


def test_a_state_that_holds_nothing():
    found = diagnose(linear(0.0), driven())
    assert found["state_memory"].says == "nothing carried"
    assert found["state_memory"].number == 1
    assert "0 % of itself" in found["state_memory"].words


@pytest.mark.parametrize("delay", [2, 7])
def test_derivatives_alone_tell_nothing_there_from_out_of_reach(delay):
    """As a probe has them: no value of the loss, and yet what the state holds."""
    rnn, data = shift_register(delay), echo(delay)
    usual = diagnose(rnn, data)
    outputs = rnnsim.forward(rnn, data.inputs).outputs[0]
    p = np.exp(outputs - outputs.max(axis=2, keepdims=True))
    p /= p.sum(axis=2, keepdims=True)
    dL_dy = (p - np.eye(3)[np.maximum(data.targets, 0)]) * data.weights[..., None] / B
    found = diagnose(rnn, rnnsim.Sequences.from_gradients(data.inputs, dL_dy))
    assert not found["forward_memory"].known
    assert found["state_memory"].number == usual["state_memory"].number == delay + 1
    assert found["state_memory"].words in found.verdict
    dark = diagnose(linear(0.0), rnnsim.Sequences.from_gradients(driven().inputs, dL_dy[:1, :, :1]
                    * np.ones((T, 1, 1))))  # fmt: skip
    assert "vanishes where nothing is carried" in dark.verdict


@pytest.mark.parametrize("gain", [0.5, 1.0])
def test_a_limit_that_nothing_reaches_turns_nothing(gain):
    found = diagnose(linear(gain), driven(), clip_norm=1e9, clip_value=1e9)
    for name in ("clipping_by_norm", "clipping_by_value"):
        assert found[name].says == "none"
        assert found[f"{name}_cosine"].number == pytest.approx(1)
        assert found[f"{name}_cosine"].says == "straight"


@pytest.mark.parametrize(("n_steps", "gradient"), [(1, 0.9), (2, 0.36), (3, 0.108)])
def test_a_power_of_one_weight(n_steps, gradient):
    """x_t = w x_{t-1}, w = .2, x_0 = .9: dx_t/dw = t w^(t-1) x_0, the same part from every lag."""
    rnn = rnnsim.RNN(np.zeros((1, 1)), np.full((1, 1), 0.2), activation="linear")
    ends = np.ones((2, 1)) / 2  # of the mean of two sequences
    data = rnnsim.Sequences.from_gradients(np.zeros((n_steps, 2, 1)), dL_dh_final=ends)
    found = diagnose(rnn, data, h0=np.full((2, 1), 0.9), clip_norm=1.0, window=1)
    shares = np.arange(1, n_steps + 1) / n_steps
    np.testing.assert_allclose(found["reach_W_hh"].evidence["cumulative_share"], shares)
    of_bias = sum(0.2**k for k in range(n_steps))
    np.testing.assert_allclose(
        found["clipping_by_norm"].evidence["norm"], np.hypot(gradient, of_bias)
    )
    cut = np.hypot(gradient * (1 - shares[0]), of_bias - 1) / np.hypot(gradient, of_bias)
    assert found["window_error"].number == pytest.approx(cut, abs=1e-15)
    if n_steps == 3:
        assert found["gradient_rate"].number == pytest.approx(np.log(0.2))


def test_temporal_order_solved_and_unsolved():
    """The marks stand at steps 3 to 4 and 11 to 12 of 20: who solved it carries them so far."""
    rnn = rnnsim.RNN.sample(
        n_inputs=6, n_hidden=16, n_outputs=4, cell="lstm", forget_bias=2.0, rng=0
    )
    trained = rnnsim.train(
        rnn, lambda rng: rnnsim.tasks.temporal_order(20, 32, rng=rng), n_updates=500,
        optimizer="adam", learning_rate=0.02, rng=0,
    ).rnn  # fmt: skip
    test = rnnsim.tasks.temporal_order(20, 128, rng=10**6)
    solved, unsolved = (diagnose(each, test, window=5) for each in (trained, rnn))
    assert rnnsim.evaluate(trained, test).accuracy[0] == 1
    memory = solved["forward_memory"]
    assert memory.says == "carries"
    assert memory.number == 20  # the first mark may stand at step 3, 18 steps back
    rise = dict(zip(memory.evidence["reset"], memory.evidence["rise"], strict=True))
    assert rise[17] > 1  # without the first mark, in half of them
    assert rise[20] == 0
    assert "further back than a window of 5 goes" in solved.verdict
    assert unsolved["forward_memory"].says != "carries"
    assert "further back" not in unsolved.verdict
    assert abs(unsolved["forward_memory"].evidence["rise"][0]) < 0.1
