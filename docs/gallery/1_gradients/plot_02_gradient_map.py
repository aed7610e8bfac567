"""
Every loss and every step of one network
========================================

A curve of norms against the lag is a mean over steps. Does it hide anything? The map of one network has a column for
each loss, and goes down from it to the first step.
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

sizes = dict(zip(("n_inputs", "n_outputs"), rnnsim.tasks.sizes("characters"), strict=True))
rnn = rnnsim.RNN.sample(**sizes, n_hidden=64, gain=1.3, rng=0)
batch = rnnsim.tasks.characters(60, 8, rng=1)
found = rnnsim.gradient_map(rnn, batch)
growth = found.log_norms[0] - np.nanmax(np.where(found.steps[:, None] == found.places, found.log_norms[0], np.nan), axis=1, keepdims=True)

with analysis.style():
    figure, ax = plt.subplots(layout="constrained")
    shown = ax.pcolormesh(found.steps, found.places, growth.T / np.log(10), cmap="RdBu_r", vmin=-2, vmax=2)
    ax.set(xlabel="step $t$ of the loss", ylabel="step $s$ that it reaches", title="Where the gradient of each loss goes")
    figure.colorbar(shown, label=r"$\log_{10}$ of the norm, 0 at the loss itself")
    ax.grid(visible=False)
