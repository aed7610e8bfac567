"""Kernels of chosen windows as users call them, beside the functions on top of them."""

import numpy as np
import pytest
from builders import DTYPES, case
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import gradient_flow, kernels
from rnnsim.flow.chosen import chunks
from rnnsim.kernels.flow.chosen import end_of_chunk
from rnnsim.networks.binding import bound_alone, weights_for

pytestmark = pytest.mark.nojit


@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_take_chosen_windows(dtype):
    made = case(2, N=3, T=9, dtype=dtype, silent=0.0)
    rnn, batch, _ = bound_alone(made.rnn, made.sequences, made.h0, None)
    (weights,), steps = weights_for(rnn, batch), made.sequences.loss_steps
    for windows in ([], [2, 3, 7], [9]):
        chosen = np.array(windows, np.int64)
        work = kernels.window_work(kernels.flow_work(weights, batch, steps.size, 4), chosen)
        out = kernels.flow_arrays(weights, batch, steps.size, 9, True, len(windows))
        kernels.check(weights, batch, work, out)
        kernels.gradient_flow(weights, batch, kernels.TANH, steps, 0, 3, work, out)
        flow = gradient_flow(made.rnn, made.sequences, h0=made.h0, windows=windows)
        assert_array_equal(out.log_norms, flow.log_norms)
        assert_array_equal(out.hidden_cosine, flow.window_cosine)
        assert_allclose(out.shares[:, :, 0].sum(axis=2), flow.share, rtol=0, atol=1e-6)
        ends = [last for _, last in chunks(9, 4, chosen)]
        firsts = [0, *ends[:-1]]
        assert ends == [end_of_chunk(first, 9, work) for first in firsts]
