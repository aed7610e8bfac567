"""
Three layers: which one forgets?
================================

In a stack the gradient goes back in time and down through the layers. Does it fade in one of them?
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

stack = rnnsim.Stack.sample(n_layers=3, n_inputs=2, n_hidden=32, n_outputs=1, gain=0.9, rng=0)
batch = rnnsim.tasks.adding(60, 16, rng=1)
flow = rnnsim.gradient_flow(stack, batch)

with analysis.style():
    figure, ax = plt.subplots(layout="constrained")
    for layer, (line, look) in enumerate(zip(flow.log_norms_layers[0, :, 0], ("-", "-", "-"), strict=True), 1):
        ax.semilogy(np.exp(line), look, marker="os^"[layer - 1], markevery=(3 * layer, 12), label=f"layer {layer}")
    ax.set(xlabel="lag $k$ (steps back from the loss)", ylabel=r"$\|\partial l_T / \partial h^l_{T-k}\|$")
    ax.set_title("The gradient into each of three layers")
    ax.legend()
