"""Trainings of ensembles beside the plain loops of reference_training.py."""

import numpy as np
import reference
import reference_pairs
import reference_training
from numpy.testing import assert_allclose
from pair_builders import cell_name, plain

import rnnsim
from rnnsim.training.train import train


def plain_batches(draw, seed):
    rng = np.random.default_rng(seed)
    while True:
        batch = draw(rng)
        yield batch.inputs, batch.targets, batch.weights


def of_network(value, n):
    """What belongs to network n of a setting that may be an array of theirs."""
    return value[n] if isinstance(value, np.ndarray) and value.ndim == 1 else value


def assert_like_reference(rnn, draw, optimizer, options, *, n_updates, start=None, starts=None):
    """All networks of the ensemble against plain loops; 1-D arrays hold a setting for each.

    rnn: RNN or Stack; start: whole first states (B, L*S); starts: a function of inputs (T, B, D).
    """
    # Steps small enough that training is not chaotic: rounding would grow beyond any tolerance.
    scale = 0.1 if optimizer in ("adam", "rmsprop", "adagrad") else 1.0
    rates = scale * np.array([0.05, 0.02])[: len(rnn)]
    given = {} if start is None else given_states(rnn, start)
    if starts is not None:
        given |= {"starts": lambda batch: starts(batch.inputs), "test": draw(rng_of(0))}
    training = train(
        rnn, draw, n_updates=n_updates, optimizer=optimizer, learning_rate=rates, rng=3,
        **given, **options,
    )  # fmt: skip
    plain = {k: v for k, v in options.items() if k not in ("test", "penalty_variant")}
    if "penalty_variant" in options:
        plain["variant"] = options["penalty_variant"]
    for n, rate in enumerate(rates):
        expected = reference_training.train(
            [reference.net_of(layer, n) for layer in rnn.layers],
            plain_batches(draw, 3),
            reference_training.Optimizer(optimizer, rate),
            n_updates,
            activation=cell_name(rnn),
            start=start,
            starts=starts,
            **{k: of_network(v, n) for k, v in plain.items()},
        )
        assert_weights(training, expected.nets, n)
        assert_record(training.record, expected, n)
        assert_allclose(final_state(training)[n], expected.state, rtol=1e-9, atol=1e-9)
    return training


def given_states(rnn, start):
    """h0, and c0 of LSTMs, of whole states (B, L*S): (B, H) of networks, (L, B, H) of stacks."""
    layers, H = np.split(start, len(rnn.layers), axis=-1), rnn.n_hidden
    parts = {"h0": [a[:, :H] for a in layers], "c0": [a[:, H:] for a in layers]}
    of_stack = isinstance(rnn, rnnsim.Stack)
    return {
        name: np.stack(a) if of_stack else np.ascontiguousarray(a[0])
        for name, a in parts.items()
        if a[0].size
    }


def final_state(training):
    """Whole states (N, B, L*S) that are carried on."""
    parts = [a for a in (training.final_h, training.final_c) if a is not None]
    whole = np.concatenate(parts, axis=-1)
    if whole.ndim == 3:
        return whole
    N, _, B, _ = whole.shape
    return np.moveaxis(whole, 1, 2).reshape(N, B, -1)


def rng_of(seed):
    return np.random.default_rng(seed)


def assert_weights(training, nets, n):
    for k, (layer, net) in enumerate(zip(training.rnn.layers, nets, strict=True)):
        for name, found, want in zip(net._fields, layer.weights, net, strict=True):
            assert_allclose(found[n], want, rtol=1e-9, atol=1e-9, err_msg=f"{k}: {name}")


def assert_record(record, expected, n):
    """What is summed over the updates of network n."""
    assert_allclose(record.training_loss[n, -1], np.mean(expected.losses), rtol=1e-9)
    assert_allclose(record.clipped[n, -1], np.mean(expected.clipped))
    omega = np.mean(expected.omegas) if expected.omegas else np.nan
    assert_allclose(record.omega[n, -1], omega, rtol=1e-9)
    logs = np.log(expected.norms)
    assert_allclose(record.log_gradient_norm[n, -1], logs.mean(), rtol=1e-9)
    assert_allclose(record.largest_log_gradient_norm[n, -1], logs.max(), rtol=1e-9)


def pair_updates(made, n, n_updates, rate, clip_norm):
    """Plain SGD with gradients by complex steps through the whole path; the bridge is held."""
    encoder, decoder, source, target, activations = plain(made, n)
    for _ in range(n_updates):
        gradients = reference_pairs.complex_step(encoder, decoder, source, target, activations)
        parts = [*gradients[1], *gradients[0]]
        parts[5 + 2], parts[5 + 4] = np.zeros_like(parts[5 + 2]), np.zeros_like(parts[5 + 4])
        parts, _, _ = reference_training.clipped(parts, clip_norm)
        decoder = reference.Net(*(w - rate * g for w, g in zip(decoder, parts[:5], strict=True)))
        encoder = reference.Net(*(w - rate * g for w, g in zip(encoder, parts[5:], strict=True)))
    return encoder, decoder
