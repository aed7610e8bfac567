"""
Does the gradient arrive?
=========================

The gradient of a loss travels back step by step, and meets the same matrix at every one of them.
How much of it is left after k steps? Nine networks add two marked numbers, three of each gain.
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

data = rnnsim.sweep("adding", gain=[0.5, 1.0, 2.0], length=50, n_hidden=32, network_seeds=3)
with analysis.style():
    figure, ax = plt.subplots(layout="constrained")
    analysis.plot_norm_against_lag(data, ax=ax)
    ax.set_title("What is left of a gradient, k steps before its loss")

# %%
# A straight line on an axis of logs is one rate: a factor for each step. What the two ends of the
# line are apart is what the first step of a sequence feels of the last one's loss.

rates = data.growth_rate.median("network_seed").squeeze()
for gain, rate in zip(data.gain.values, rates.values, strict=True):
    print(f"gain {gain:g}: {rate:+.3f} nats for each step back")

# %%
# Where every step carries a loss, such a curve is a mean over steps. What does it hide? In the map
# of one network a column is a loss, which goes down from its own step to the first one.

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
low, high = np.nanmin(first), np.nanmax(first)
print(f"what reaches step 1: from 10^{low:.1f} to 10^{high:.1f} of what is at the loss")
