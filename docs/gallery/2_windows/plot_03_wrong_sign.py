"""
A window with the wrong sign
============================

Can a truncated gradient point the wrong way? In the network of "influence balancing" (Tallec and
Ollivier 2017, *Unbiasing truncated backpropagation through time*) one number theta drives 23
linear units, the first ten with +1, the others with -1, and each passes half of its value on to
the one before. The answer is the state of the first unit.
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

n, n_steps, theta = 23, 100, 0.5
A = 0.5 * np.eye(n) + 0.5 * np.eye(n, k=1)
signs = np.where(np.arange(n) < 10, 1.0, -1.0)
rest = np.linalg.solve(np.eye(n) - A, theta * signs)  # the fixed point, where it starts
first = np.eye(n)[:1]
rnn = rnnsim.RNN(np.zeros((n, 1)), A, first, theta * signs, activation="linear")
answer = rnnsim.Sequences.from_gradients(np.zeros((n_steps, 1, 1)), dL_dh_final=first)

windows = np.arange(1, n_steps + 1)
slopes = [
    signs @ rnnsim.truncated_bptt(rnn, answer, window=int(K), stride=1, h0=rest[None]).b_h[0]
    for K in windows
]
exact = signs @ rnnsim.bptt(rnn, answer, h0=rest[None]).b_h[0]

with analysis.style():
    figure, ax = plt.subplots(layout="constrained")
    ax.plot(windows, slopes, label="truncated")
    ax.axhline(exact, color="0.4", linestyle=":", label="window of the whole sequence")
    ax.axhline(0, color="black", lw=0.8)
    ax.set(xlabel="window $K$ (steps)", ylabel=r"$\partial s_0 / \partial \theta$")
    ax.set_title("Too short a window climbs where it should descend")
    ax.legend()

# %%
# Each step back adds the influence of a unit further away, and those of the wrong sign are near.

for K in (1, 10, 100):
    print(f"window {K}: {slopes[K - 1]:+.3f}")
turn = next(int(K) for K, slope in zip(windows, slopes, strict=True) if slope < 0)
print(f"the sign is right from a window of {turn} on")
