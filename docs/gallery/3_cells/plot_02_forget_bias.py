"""
A forget bias and how far gradients reach
=========================================

A positive bias holds the forget gate open. How much further back does the gradient of the weights
then come from?
"""

import matplotlib.pyplot as plt

import analysis
import rnnsim

biases = [0.0, 1.0, 2.0, 3.0]
data = rnnsim.cell_sweep(
    "adding", cell="lstm", forget_bias=biases, length=100, n_hidden=24, network_seeds=5
).sel(cell="lstm")
shares = data.cumulative_share.median("network_seed")

with analysis.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for start, bias, marker in zip(data.start.values, biases, "os^D", strict=True):
        line = shares.sel(start=start)
        left.plot(data.window, line, marker=marker, markevery=10, label=f"forget bias {bias:g}")
    left.axhline(0.9, color="0.4", linestyle=":")
    left.set(xlabel="window $K$ (steps)", ylabel=r"share of $\partial L / \partial W_{hh}$")
    left.set_title("What lags below K bring")
    left.legend()
    right.plot(biases, data.reach, "o", color="0.5", ms=5)
    right.plot(biases, data.reach.median("network_seed"), "k-", lw=2.5)
    right.set(xlabel="forget bias", ylabel="window that keeps 90 % (steps)", xticks=biases)
    right.set_title("Dots: networks, line: their median")

# %%
# Beside it the time scale of a gate that hears neither input nor state, -1/ln sigma(b). The reach
# is of the gradient of the weights on these data, and not a memory that was learnt.

for bias, reach in zip(biases, data.reach.median("network_seed").values, strict=True):
    steps = -1 / rnnsim.theory.gate_log_norm(bias, 1)[0]
    print(f"forget bias {bias:g}: reach {reach:.0f} steps, time scale {steps:.1f} steps")
