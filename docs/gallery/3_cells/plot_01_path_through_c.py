"""
The path through c
==================

The memory c of an LSTM is carried on by the forget gate alone: c_t = f c_{t-1} + i g. Is that
where the gradient goes, or does it take the way through the gates?
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

biases = (0.0, 3.0)
batch = rnnsim.tasks.adding(60, 16, rng=1)

with analysis.style():
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for bias, ax in zip(biases, axes, strict=True):
        lstm = rnnsim.RNN.sample(
            n_inputs=2,
            n_hidden=32,
            n_outputs=1,
            cell="lstm",
            scheme="pytorch",
            forget_bias=bias,
            rng=0,
        )
        flow = rnnsim.gradient_flow(lstm, batch)
        for line, name, marker in (
            (flow.log_norms, "the state (h, c)", "o"),
            (flow.log_norms_h, "h alone", "s"),
            (flow.log_norms_path_c, "the path through c", "^"),
        ):
            lags = np.arange(1, line.shape[2])
            ax.semilogy(lags, np.exp(line[0, 0, 1:]), marker=marker, markevery=8, label=name)
        ax.set(xlabel="lag $k$ (steps back)", title=f"forget bias {bias:g}")
        part = np.exp(flow.log_norms_path_c[0, 0, 20] - flow.log_norms[0, 0, 20])
        reach = rnnsim.reach(flow, share=0.9).W_hh[0]
        print(f"forget bias {bias:g}: lags below {reach:.0f} bring 90 % of dL/dW_hh,", end=" ")
        print(f"the path through c has {part:.2f} of the norm 20 steps back")
    axes[0].set_ylabel("norm of the gradient")
    axes[0].legend()

# %%
# With the gate half open the memory is halved at every step, and what still arrives has come
# through the gates. Held open, the gate alone carries most of it, for some tens of steps. At lag 0
# nothing comes through c: the loss of a step reads h.
