"""Kernels in compiled code of one's own: what public functions give, compiled once."""

import inspect

import numpy as np
import pytest
from builders import DTYPES, NOJIT
from gated import gated
from numba import njit
from numpy.testing import assert_array_equal

import rnnsim
from rnnsim import Sequences, kernels
from rnnsim.kernels.flow import chosen, lags
from rnnsim.kernels.flow import flow as flow_kernels
from rnnsim.kernels.gradients import truncated
from rnnsim.networks.binding import batch_for
from rnnsim.networks.rnn import originals
from rnnsim.networks.states import cell_of

pytestmark = pytest.mark.nojit


@njit
def gradient_in_compiled_code(cell, arrays, data, loss, steps, first, window, stride):
    """A caller of one's own: NamedTuples built and taken apart inside njit.

    Numbers are arguments here: as literals they would be types of their own, and every kernel that
    takes them would compile once more.
    """
    W_xh, W_hh, W_hy, b_h, b_y = arrays
    x, classes, values, w, h0 = data
    weights = kernels.Weights(W_xh, W_hh, W_hy, b_h, b_y)
    batch = kernels.Batch(x, classes, values, w, h0, loss)
    N, T, B = W_hh.shape[0], x.shape[1], x.shape[2]
    states = np.empty((N, T + 1, B, h0.shape[2]), W_hh.dtype)
    outputs = np.empty((N, T, B, W_hy.shape[1]), W_hh.dtype)
    scratch = kernels.forward_work(weights, T, B, T, cell)
    kernels.forward(weights, x, h0, cell, first, N, scratch, states, outputs)
    out = kernels.gradient_arrays(weights, batch)
    back = kernels.backward_work(weights, batch, T, cell)
    kernels.bptt(weights, batch, cell, first, N, back, out)
    cut = kernels.gradient_arrays(weights, batch)
    work = kernels.truncated_work(weights, batch, stride, cell)
    kernels.truncated_bptt(weights, batch, cell, window, stride, first, N, work, cut)
    flow = kernels.flow_arrays(weights, batch, steps.size, T, False)
    flow_work = kernels.flow_work(weights, batch, steps.size, 2, cell)
    kernels.gradient_flow(weights, batch, cell, steps, first, N, flow_work, flow)
    return states, outputs, out.weights.W_hh, out.loss, cut.weights.W_hh, flow.log_norms


@njit
def states_of_a_vanilla_network(weights, x, h0, first, work, states, outputs):
    """Which cell it is stands in the code."""
    kernels.forward(weights, x, h0, kernels.TANH, first, len(x), work, states, outputs)


@njit
def states_of_an_lstm(weights, x, h0, first, work, states, outputs):
    kernels.forward(weights, x, h0, kernels.LSTM, first, len(x), work, states, outputs)


@njit
def states_of_a_gru(weights, x, h0, first, work, states, outputs):
    kernels.forward(weights, x, h0, kernels.GRU, first, len(x), work, states, outputs)


CALLERS = {
    "tanh": states_of_a_vanilla_network, "lstm": states_of_an_lstm, "gru": states_of_a_gru,
}  # fmt: skip


# Code of one's own compiles all that it calls anew, a minute for each cell and dtype. What float32
# changes in it is seen with one cell; the kernels in it are those that all other tests call.
OF_CALLERS = [(cell, dtype) for dtype in DTYPES for cell in CALLERS
              if NOJIT or dtype == "float64" or cell == "lstm"]  # fmt: skip


@pytest.mark.parametrize(("cell", "dtype"), OF_CALLERS)
def test_kernels_in_callers_compiled_code_give_what_the_public_functions_give(cell, dtype):
    made = gated(cell, N=2, silent=0.0, dtype=dtype, own=True)
    rnn, s, start = made.rnn, made.sequences, made.start
    weights, batch, code = originals(rnn), batch_for(rnn, s, **start), cell_of(rnn)
    kernels.check(weights, batch, cell=code)
    found = gradient_in_compiled_code(
        code, tuple(weights), tuple(batch)[:5], kernels.CROSS_ENTROPY, s.loss_steps, 0, 3, 2
    )
    unfolded = rnnsim.forward(rnn, s.inputs, **start)
    full = rnnsim.bptt(rnn, s, **start)
    cut = rnnsim.truncated_bptt(rnn, s, window=3, stride=2, **start)
    flow = rnnsim.gradient_flow(rnn, s, **start)
    whole = [unfolded.states, *([unfolded.memories] if cell == "lstm" else [])]
    states = np.concatenate(whole, axis=3)
    expected = (states, unfolded.outputs, full.W_hh, full.loss, cut.W_hh, flow.log_norms)
    for a, b in zip(found, expected, strict=True):
        assert_array_equal(a, b)
    again, outputs = np.empty_like(states), np.empty_like(unfolded.outputs)
    (T, B), N = batch.inputs.shape[1:3], len(rnn)
    work = kernels.forward_work(weights, T, B, T, code)
    assert len(batch.inputs) == N
    CALLERS[cell](weights, batch.inputs, batch.h0, 0, work, again, outputs)
    assert_array_equal(again, states)
    assert_array_equal(outputs, unfolded.outputs)


@pytest.mark.skipif(NOJIT, reason="nothing is compiled")
@pytest.mark.parametrize("cell", CALLERS)
def test_each_kernel_compiles_once_for_each_dtype_and_cell(cell):
    for dtype in DTYPES:
        for classes in (True, False):
            for own in (True, False):
                made = gated(cell, N=2, classes=classes, own=own, dtype=dtype)
                s, start = made.sequences, made.start
                derived = Sequences.from_gradients(s.inputs, s.inputs[..., :1].repeat(3, axis=-1))
                for rnn, begin in ((made.rnn, start), (made.rnn, {}), (made.rnn[::-1], start)):
                    rnnsim.forward(rnn, s.inputs, **begin)
                    rnnsim.evaluate(rnn, s, **begin)
                    rnnsim.gradient_flow(rnn, s, max_lag=np.int64(2), **begin)
                    rnnsim.gradient_flow(rnn, s, windows=range(1, 3), **begin)
                    for data in (s, derived):
                        keep = ("inputs", "states", "steps")
                        rnnsim.bptt(rnn, data, **begin)
                        rnnsim.bptt(rnn, data, keep=keep, **begin)
                        rnnsim.truncated_bptt(rnn, data, window=3, stride=np.int32(2), **begin)
                        rnnsim.gradient_flow(rnn, data, per_sequence=True, **begin)
    compiled = [
        kernels.forward, kernels.evaluate, kernels.bptt, truncated.start_truncated,
        truncated.sweep_depths, truncated.end_steps, truncated.end_products,
        truncated.finish_truncated, flow_kernels.begin_flow, flow_kernels.start_windows,
        lags.advance_rows, flow_kernels.close_lags, chosen.start_sums,
    ]  # fmt: skip
    others = {"readonly", "Lstm", "Gru"} - {cell.capitalize()}
    for kernel in compiled:
        # Arrays that may not be written to come from other tests: public functions have none.
        signatures = [str(types) for types in kernel.signatures]
        own = [types for types in signatures if not any(other in types for other in others)]
        depends = "cell" in inspect.signature(kernel.py_func).parameters
        if cell != "tanh" and depends:  # else what serves all cells is compiled once
            own = [types for types in own if cell.capitalize() in types]
        assert len(own) == 2, kernel.__name__
