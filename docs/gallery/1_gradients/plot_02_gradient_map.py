"""
Every loss and every step of one network
========================================

A curve of norms against the lag is a mean over steps. What does it hide? In the map of one network
a column is a loss, which goes down from its own step to the first one.
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

n_inputs, n_outputs = rnnsim.tasks.sizes("characters")
rnn = rnnsim.RNN.sample(n_inputs=n_inputs, n_hidden=64, n_outputs=n_outputs, gain=1.3, rng=0)
text = rnnsim.tasks.characters(60, 1, rng=1)
found = rnnsim.gradient_map(rnn, text)
norms = found.log_norms[0] / np.log(10)
growth = norms - np.diagonal(norms)[:, None]  # beside the loss itself

with analysis.style():
    figure, ax = plt.subplots(layout="constrained")
    colours = {"cmap": "RdBu_r", "vmin": -2, "vmax": 2}
    shown = ax.pcolormesh(found.steps, found.places, growth.T, **colours)
    ax.contourf(found.steps, found.places, growth.T, [-9, 0], colors="none", hatches=["///"])
    ax.set(xlabel="step $t$ of the loss", ylabel="step $s$ on its way back")
    ax.set_title("One network that reads one text")
    ax.grid(visible=False)
    figure.colorbar(shown, label=r"$\log_{10}$ of the norm, 0 at the loss")

# %%
# Red it is larger than at its loss, blue and hatched smaller. If the lag alone counted, colours
# would run along the diagonal. Here whole columns stand out: what the first steps back do to the
# gradient of a loss stays with it all the way.

first = growth[:, 0]
print(
    f"what reaches step 1: from 10^{np.nanmin(first):.1f} to 10^{np.nanmax(first):.1f} of the loss"
)
