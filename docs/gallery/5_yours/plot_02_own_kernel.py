"""
A kernel in a compiled loop of your own
=======================================

Kernels take tuples of arrays and write into arrays, so that a loop around them can be compiled as
well. What does the norm of a gradient do during two hundred updates of one network?
"""

import matplotlib.pyplot as plt
import numpy as np
from numba import njit

import analysis
import rnnsim
from rnnsim import kernels


@njit(nogil=True)
def descend(weights, batch, activation, networks, work, out, rate, n_updates):
    """Loss and norm of dL/dW_hh of every update; weights are changed in place."""
    first, last = networks
    losses, norms = np.empty(n_updates), np.empty(n_updates)
    for update in range(n_updates):
        kernels.bptt(weights, batch, activation, first, last, work, out)
        losses[update] = out.loss.mean()
        norms[update] = np.sqrt((out.weights.W_hh**2).sum())
        weights.W_hh[:] -= rate * out.weights.W_hh
    return losses, norms


rng = np.random.default_rng(0)
T, B, D, H, V = 30, 8, 3, 16, 4
weights = kernels.Weights(
    rng.normal(size=(1, H, D)),
    rng.normal(size=(1, H, H)) / np.sqrt(H),
    rng.normal(size=(1, V, H)) / np.sqrt(H),
    np.zeros((1, H)),
    np.zeros((1, V)),
)
batch = kernels.Batch(
    rng.normal(size=(1, T, B, D)),
    rng.integers(0, V, (1, T, B)),
    np.empty((1, 0, 0, 0)),
    np.ones((1, T, B)),
    np.zeros((1, B, H)),
    kernels.CROSS_ENTROPY,
)
kernels.check(weights, batch)
before = rnnsim.RNN(*(np.array(array) for array in weights))
work = kernels.backward_work(weights, batch, T)  # scratch that keeps all states
out = kernels.gradient_arrays(weights, batch)
losses, norms = descend(weights, batch, kernels.TANH, (0, 1), work, out, 0.005, 200)

with analysis.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    left.plot(losses / T)
    left.set(xlabel="updates", ylabel="loss (nats a step)", title="200 updates in a compiled loop")
    right.plot(norms)
    right.set(xlabel="updates", ylabel=r"$\|\partial L / \partial W_{hh}\|$")
    right.set_title("The norm of their gradients")

# %%
# The functions on arrays call the same kernel, and find the same first gradient.

sequences = rnnsim.Sequences(batch.inputs[0], batch.classes[0])
first = np.linalg.norm(rnnsim.bptt(before, sequences).W_hh)
print(f"norm of the first gradient: {norms[0]:.6f} here, {first:.6f} by rnnsim.bptt")
print(f"loss per step: from {losses[0] / T:.3f} to {losses[-1] / T:.3f} nats")
