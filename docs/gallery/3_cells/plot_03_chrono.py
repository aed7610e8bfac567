"""
Chrono initialisation beside its theory
=======================================

Chrono initialisation (Tallec and Ollivier 2018, *Can recurrent neural networks warp time?*) draws forget biases so
that the time scales of the units are spread up to T_max. What then is left of a gradient after k steps?
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

chrono, n_steps = 100, 200
lags = np.arange(n_steps)
lstm = rnnsim.RNN.sample(
    n_inputs=1, n_hidden=400, n_outputs=1, cell="lstm", chrono=chrono, scheme="pytorch", rng=0
)
quiet = rnnsim.Weights(*(0 * array if name in ("W_xh", "W_hh") else array
                         for name, array in lstm.weights._asdict().items()))
rng = np.random.default_rng(1)
last = rng.normal(size=(1, 400))
inputs = np.zeros((n_steps, 1, 1))
only_gates = rnnsim.Sequences.from_gradients(inputs, dL_dc_final=last)
theory = np.exp(rnnsim.theory.chrono_log_norm(chrono, lags))
flow = rnnsim.gradient_flow(lstm.with_weights(quiet), only_gates)
print(flow.log_norms.shape, flow.log_norms_c[0,0,:3], theory[:3])
