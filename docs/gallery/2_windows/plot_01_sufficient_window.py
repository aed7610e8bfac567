"""
Which window suffices?
======================

Truncated backpropagation through time goes K steps back and no further. One pass over the
gradient's way back has the error of every K at once, exactly: no window needs to be tried.
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

gains = [0.8, 1.0, 1.2]
n_inputs, n_outputs = rnnsim.tasks.sizes("characters")
rnn = rnnsim.RNN.sample(3, n_inputs=n_inputs, n_hidden=64, n_outputs=n_outputs, gain=gains, rng=0)
batch = rnnsim.tasks.characters(100, 16, rng=1)
flow = rnnsim.gradient_flow(rnn, batch)
enough = rnnsim.sufficient_window(flow, tolerance=0.1)

windows = np.arange(1, 101)
with analysis.style():
    figure, ax = plt.subplots(layout="constrained")
    for gain, error, window, marker in zip(
        gains, np.exp(flow.window_log_error), enough, "os^", strict=True
    ):
        ax.loglog(
            windows, error, marker=marker, markevery=[int(window) - 1], ms=9, label=f"gain {gain:g}"
        )
    ax.axhline(0.1, color="0.4", linestyle=":")
    ax.set(xlabel="window $K$ (steps)", ylabel=r"$\|g_K - g\| / \|g\|$", ylim=(1e-4, 3))
    ax.set_title("Error of the truncated gradient")
    ax.legend()

# %%
# Markers are the windows from which on the error stays below the dotted 10 %. They are those of
# these weights on these data: what a task needs may lie further back, where an untrained network
# does not look yet.

for gain, window in zip(gains, enough, strict=True):
    print(f"gain {gain:g}: a window of {window:.0f} of 100 steps")

# %%
# Any single window can be held against the function that truncates.

cut = rnnsim.truncated_bptt(rnn, batch, window=int(enough[0]), stride=1).W_hh[0]
full = rnnsim.bptt(rnn, batch).W_hh[0]
print(f"error of that window: {np.linalg.norm(cut - full) / np.linalg.norm(full):.4f}")
print(f"the same from the one pass: {np.exp(flow.window_log_error[0, int(enough[0]) - 1]):.4f}")
