"""
Norms of 10^-2000
=================

Float64 ends at 10^-308. What becomes of a gradient that vanishes for thousands of steps? Norms are
carried as logarithms, and stay numbers where the gradient itself has long been rounded to 0.
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

n_steps, gains = 8000, [0.5, 1.0, 2.0]
rnn = rnnsim.RNN.sample(3, n_inputs=2, n_hidden=32, n_outputs=1, gain=gains, rng=0)
batch = rnnsim.tasks.adding(n_steps, 4, rng=1)
flow = rnnsim.gradient_flow(rnn, batch)
decades = flow.log_norms[:, 0] / np.log(10)

with analysis.style():
    figure, ax = plt.subplots(layout="constrained")
    for gain, line, marker in zip(gains, decades, "os^", strict=True):
        ax.plot(line, marker=marker, markevery=1000, label=f"gain {gain:g}")
    ax.axhspan(-308, 308, color="0.85", zorder=0)
    ax.text(n_steps, 0, "what float64 holds ", ha="right", va="bottom", color="0.3")
    ax.set(
        xlabel="lag $k$ (steps back from the loss)",
        ylabel=r"$\log_{10}\|\partial l_T / \partial h_{T-k}\|$",
    )
    ax.set_title("A norm is a number where its gradient is none")
    ax.legend()

# %%
# Backpropagation itself adds gradients up as numbers. Of the first step's part of dL/dW_hh nothing
# is left where it vanishes; where it grows beyond the range, it is no number.

parts = rnnsim.bptt(rnn, batch).step_norms.W_hh[:, 0]
for gain, line, part in zip(gains, decades, parts, strict=True):
    print(f"gain {gain:g}: 10^{line[-1]:.0f} at lag {n_steps - 1},", end=" ")
    print(f"norm of step 1's part of dL/dW_hh: {part:g}")
