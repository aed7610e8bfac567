"""Temporal order as in Pascanu, Mikolov and Bengio (2013), at a small part of their budget."""

import numpy as np
import pytest

from rnnsim import learning_sweep


@pytest.mark.slow
def test_clipping_with_a_penalty_solves_more_seeds_than_plain_sgd():
    """Temporal order at length 50, sparse networks of radius 0.95, 12,000 updates of 20 sequences.

    The settings are those of Pascanu, Mikolov and Bengio (2013), the budget is a small part.
    """
    data = learning_sweep(
        length=50,
        n_updates=12_000,
        record_every=1000,
        test_size=2000,
        methods=("SGD", "clipping + penalty"),
        progress=True,
    )
    solved = np.isfinite(data.solved_at).sum("network_seed").sel(length=50)
    assert int(solved.sel(training="clipping + penalty")) > int(solved.sel(training="SGD"))
