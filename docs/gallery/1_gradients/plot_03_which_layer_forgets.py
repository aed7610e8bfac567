"""
Three layers: which one forgets?
================================

In a stack the gradient goes back in time and down through the layers. The middle one of these
three remembers best. What does the lowest one, which forgets fastest, see of that?
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

gains = (0.5, 0.95, 0.7)  # of layers 1, 2, 3, from the input up
stack = rnnsim.Stack.sample(n_layers=3, n_inputs=2, n_hidden=32, n_outputs=1, rng=0)
stack = stack.with_weights(
    [
        layer.weights._replace(W_hh=gain * layer.W_hh)
        for layer, gain in zip(stack.layers, gains, strict=True)
    ]
)
batch = rnnsim.tasks.adding(60, 16, rng=1)
flow = rnnsim.gradient_flow(stack, batch)

with analysis.style():
    figure, ax = plt.subplots(layout="constrained")
    for layer, (gain, marker) in enumerate(zip(gains, "os^", strict=True)):
        norms = np.exp(flow.log_norms_layers[0, layer, 0])
        name = f"layer {layer + 1}, gain {gain:g}"
        ax.semilogy(norms, marker=marker, markevery=(3 * layer, 12), label=name)
    ax.set(xlabel="lag $k$ (steps back)", ylabel=r"$\|\partial l_T / \partial h^l_{T-k}\|$")
    ax.set_title("The gradient into each of three layers")
    ax.legend()

# %%
# What comes down to a layer has waited in whichever one above it forgets least. In the end its
# rate is the largest exponent of all layers from its own up to the top, and not its own.

exponents = rnnsim.lyapunov_spectrum(stack, batch.inputs).of_layers
own = [each.exponents[0, 0] for each in exponents]
for layer in range(3):
    rate = rnnsim.growth_rate(flow.layers[layer], (30, 58)).rate[0]
    print(f"layer {layer + 1}: measured {rate:.2f}, its own exponent {own[layer]:.2f},", end=" ")
    print(f"the largest up to the top {max(own[layer:]):.2f} nats per step")
