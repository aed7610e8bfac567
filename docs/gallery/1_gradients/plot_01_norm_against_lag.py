"""
Does the gradient arrive?
=========================

The gradient of a loss travels back step by step, and meets the same matrix at every one of them.
How much of it is left after k steps? Nine networks add two marked numbers, three of each gain.
"""

import matplotlib.pyplot as plt

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
