"""Training against closed forms, and of encoder-decoder networks through their boundary."""

import numpy as np
import pytest
import reference
from builders import NOJIT
from numpy.testing import assert_allclose, assert_array_equal
from pair_builders import pair_case
from training_builders import pair_updates

import rnnsim
from rnnsim import tasks
from rnnsim.training.train import train

pytestmark = pytest.mark.nojit


def influence_balancing(window, theta=0.5, n=23):
    """s <- A s + theta*sign with loss 0.5*(s_0 - 1)^2 at the end of each window (Tallec, Ollivier).

    Returns networks, data, and what moves theta alone.
    """
    sign = np.where(np.arange(n) < 10, 1.0, -1.0)
    A = 0.5 * (np.eye(n) + np.eye(n, k=1))
    rnn = rnnsim.RNN(
        np.zeros((n, 1)), A, np.eye(n)[:1], theta * sign, np.zeros(1), activation="linear"
    )
    T = 100
    weights = np.zeros((T, 1))
    weights[window - 1 :: window] = 1.0
    batch = rnnsim.Sequences(np.zeros((T, 1, 1)), np.ones((T, 1, 1)), weights)
    held = {name: 0 for name in ("W_xh", "W_hh", "W_hy", "b_y")}
    return rnn, batch, {"mask": held, "tie": {"b_h": sign.astype(int)}}


def loss_at_rest(rnn):
    """0.5*(s_0 - 1)^2 at the fixed point."""
    state = np.linalg.solve(np.eye(rnn.n_hidden) - rnn.W_hh[0], rnn.b_h[0])
    return 0.5 * (state[0] - 1.0) ** 2


@pytest.mark.parametrize(("window", "falls"), [(10, False), (100, True)])
def test_influence_balancing(window, falls):
    """theta alone is moved: ds_0/dtheta is -6, but window 10 takes it for +10."""
    rnn, batch, only_theta = influence_balancing(window)
    before = loss_at_rest(rnn)
    assert_allclose(before, 8.0)
    n_updates = 20 if NOJIT else 200
    training = train(
        rnn, batch, n_updates=n_updates, window=window, carry="stream", learning_rate=1e-4,
        **only_theta,
    )  # fmt: skip
    theta = training.rnn.b_h * np.sign(rnn.b_h)
    assert_array_equal(theta, np.broadcast_to(theta[:, :1], theta.shape))
    assert (loss_at_rest(training.rnn) < before) == falls
    assert_array_equal(training.rnn.W_hh, rnn.W_hh)


def test_a_zero_readout_of_copy_memory_costs_ln_nine_a_step():
    T = 30
    batch = tasks.copy_memory(T, 8, rng=0)
    drawn = rnnsim.RNN.sample(2, n_inputs=10, n_hidden=8, n_outputs=9, rng=0)
    rnn = drawn.with_weights(drawn.weights._replace(W_hy=np.zeros_like(drawn.W_hy)))
    record = train(rnn, batch, n_updates=3, learning_rate=0.0, record_every=1).record
    assert_allclose(record["loss"], T * np.log(9))
    assert_allclose(record["training_loss"][:, 1:], T * np.log(9))


def test_copy_memory_without_memory_of_symbols_sits_at_the_stated_floor():
    """One unit remembers the delimiter, a second one hears of it a step later; symbols are lost."""
    T, large = 30, 40.0
    W_xh, W_hh, W_hy = np.zeros((2, 10)), np.zeros((2, 2)), np.zeros((9, 2))
    # a_0 = 80 h_0 - 20, plus 200 at the delimiter: off stays off, on stays on; a_1 = 40 h_0 - 20
    W_xh[0, 9], W_hh[0, 0], W_hh[1, 0], b_h = 200.0, 80.0, 40.0, np.full(2, -20.0)
    W_hy[0, 1], W_hy[1:, 1] = -large, large  # off, at -1: blank; on: the eight symbols alike
    rnn = rnnsim.RNN(W_xh, W_hh, W_hy, b_h, np.zeros(9))
    batch = tasks.copy_memory(T, 50, rng=0)
    assert_allclose(rnnsim.evaluate(rnn, batch).loss, 10 * np.log(8), rtol=1e-12)
    assert_allclose(10 * np.log(8) / 120, 0.17329, atol=5e-6)  # a step, at T = 100 of the paper
    record = train(rnn, batch, n_updates=2, learning_rate=0.0).record
    assert_allclose(record["loss"], 10 * np.log(8), rtol=1e-12)


@pytest.mark.parametrize("activations", [("tanh", "tanh"), ("linear", "tanh")], ids=str)
@pytest.mark.parametrize("own", [False, True])
def test_encoder_decoder_updates_follow_complex_steps(own, activations):
    made = pair_case(N=2, own=own, activations=activations)
    clip_norm = np.array([0.8, 5.0])
    training = train(made.model, made.pairs, n_updates=3, learning_rate=0.1, clip_norm=clip_norm)
    for n in range(2):
        encoder, decoder = pair_updates(made, n, 3, 0.1, clip_norm[n])
        for name in reference.Net._fields:
            found = getattr(training.model.encoder, name)[n]
            assert_allclose(found, getattr(encoder, name), atol=1e-11, err_msg=name)
            found = getattr(training.rnn, name)[n]
            assert_allclose(found, getattr(decoder, name), atol=1e-11, err_msg=name)
    assert_array_equal(training.model.encoder.W_hy, made.model.encoder.W_hy)
    assert_array_equal(training.model.encoder.b_y, made.model.encoder.b_y)


def test_an_update_of_pairs_is_their_gradient():
    made = pair_case(N=3, T_s=9, T=11, B=5)
    gradients = rnnsim.pairs_bptt(made.model, made.pairs)
    training = train(made.model, made.pairs, n_updates=1, learning_rate=1.0)
    for name in ("W_xh", "W_hh", "b_h"):
        moved = getattr(training.model.encoder, name) - getattr(made.model.encoder, name)
        assert_allclose(moved, -getattr(gradients.encoder, name), atol=1e-12, err_msg=name)
        moved = getattr(training.rnn, name) - getattr(made.model.decoder, name)
        assert_allclose(moved, -getattr(gradients.decoder, name), atol=1e-12, err_msg=name)
    evaluated = rnnsim.pairs_evaluate(made.model, made.pairs)
    assert_allclose(training.record["loss"][:, 0], evaluated.loss, rtol=1e-12)


@pytest.mark.skipif(NOJIT, reason="snapshots take seconds uncompiled")
def test_pairs_are_drawn_and_recorded():
    made = pair_case(N=2)

    def draw(rng):
        flip = rng.integers(0, 3, made.pairs.target.targets.shape)
        target = made.pairs.target
        return rnnsim.Pairs(
            made.pairs.source, rnnsim.Sequences(target.inputs, flip, target.weights)
        )

    training = train(
        made.model, draw, n_updates=4, snapshot_every=4, own_data=True, rng=0, penalty=0.1,
        optimizer="adam",
    )  # fmt: skip
    assert training.record["eigenvalues"].shape == (2, 2, 4)
    assert np.isfinite(training.record["lyapunov_exponent"]).all()
    assert (training.record["omega"][:, -1] > 0).all()


@pytest.mark.slow
def test_clipping_with_a_penalty_solves_more_seeds_than_plain_sgd():
    """Temporal order at length 50, sparse networks of radius 0.95, 12,000 updates of 20 sequences.

    The settings are those of Pascanu, Mikolov and Bengio (2013), the budget is a small part.
    """
    data = rnnsim.learning_sweep(
        length=50,
        n_updates=12_000,
        record_every=1000,
        test_size=2000,
        methods=("SGD", "clipping + penalty"),
        progress=True,
    )
    solved = np.isfinite(data.solved_at).sum("network_seed").sel(length=50)
    assert int(solved.sel(training="clipping + penalty")) > int(solved.sel(training="SGD"))
