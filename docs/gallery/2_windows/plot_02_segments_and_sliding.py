"""
Segments or sliding windows?
============================

"Truncated to K steps" means two things. Sliding, every loss goes back K steps. Cut into segments
of K steps, a loss goes back to the beginning of its segment, half as far in the mean. How much
does it cost?
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

n_inputs, n_outputs = rnnsim.tasks.sizes("characters")
rnn = rnnsim.RNN.sample(n_inputs=n_inputs, n_hidden=64, n_outputs=n_outputs, rng=0)
batch = rnnsim.tasks.characters(96, 16, rng=1)
full = rnnsim.bptt(rnn, batch).W_hh
windows = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 96]


def error(window, stride):
    """Of the truncated gradient of W_hh, relative to the full one."""
    cut = rnnsim.truncated_bptt(rnn, batch, window=window, stride=stride).W_hh
    return np.linalg.norm(cut - full) / np.linalg.norm(full)


sliding = [error(window, 1) for window in windows]
segments = [error(window, window) for window in windows]
with analysis.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for ax, reach in ((left, windows), (right, [(window + 1) / 2 for window in windows])):
        ax.plot(windows[:-1], sliding[:-1], "o-", label="sliding")
        ax.plot(reach[:-1], segments[:-1], "s-", label="segments")
        ax.set(xscale="log", yscale="log", ylabel="relative error of $g$")
        ax.legend()
    left.set(xlabel="window $K$ (steps)", title="At the same window")
    right.set(xlabel="mean reach of a loss (steps)", title="At the same mean reach")

# %%
# Most of the difference is a matter of what K counts: against the mean reach of a loss both curves
# lie nearly on each other.

reach_of_16 = np.interp(np.log(8.5), np.log(windows[:-1]), sliding[:-1])
print(f"windows of 16: sliding {sliding[7]:.3f}, segments {segments[7]:.3f}")
print(f"sliding at the mean reach of those segments, 8.5 steps: {reach_of_16:.3f}")
