"""What the record of a training says of its numbers: units, and what is exactly 0."""

import numpy as np
import pytest

import rnnsim

pytestmark = pytest.mark.nojit


@pytest.mark.parametrize("classes", [True, False])
def test_losses_of_classes_are_in_nats_those_of_numbers_have_no_unit(classes):
    rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=3, n_outputs=2, rng=0)
    targets = np.zeros((4, 1), int) if classes else np.zeros((4, 1, 2))
    batch = rnnsim.Sequences(np.ones((4, 1, 2)), targets)
    record = rnnsim.train(rnn, batch, n_updates=1, snapshot_every=1).record
    assert record.loss.attrs["units"] == ("nats per sequence" if classes else "1")
    assert record.training_loss.attrs["units"] == ("nats per update" if classes else "1")
    for name in ("log_gradient_norm", "largest_log_gradient_norm", "log_norms", "window_log_error"):
        assert record[name].attrs["units"] == "nats"


def test_a_gradient_that_is_exactly_0_has_a_log_of_minus_infinity():
    """Units of relu at rest: the loss reaches h_t, and nothing before it."""
    rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=3, n_outputs=1, activation="relu", rng=0)
    rnn = rnn.with_weights(rnn.weights._replace(b_h=np.full((1, 3), -9.0)))
    batch = rnnsim.Sequences(np.zeros((4, 2, 1)), np.ones((4, 2, 1)))
    record = rnnsim.train(rnn, batch, n_updates=1, snapshot_every=1).record
    first = record.log_norms.isel(network=0, snapshot=0).values
    assert np.isfinite(first[0])
    assert (first[1:] == -np.inf).all()
