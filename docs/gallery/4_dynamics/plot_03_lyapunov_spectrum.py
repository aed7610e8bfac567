"""
The Lyapunov spectrum of a chaotic network
==========================================

Do two nearby states come closer or part? One exponent for each direction says how fast, in nats a
step.
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

gain, n_hidden = 2.0, 128
rnn = rnnsim.RNN.sample(4, n_inputs=1, n_hidden=n_hidden, n_outputs=1, gain=gain, rng=0)
found = rnnsim.lyapunov_spectrum(rnn, n_steps=1500, burn_in=300, rng=1)
theory = rnnsim.theory.mean_field(gain)
ranks = np.arange(1, n_hidden + 1) / n_hidden

with analysis.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for ax in (left, right):
        ax.plot(ranks, found.exponents.T, color="#0072b2", lw=1.2)
        ax.axhline(0, color="0.5", lw=1)
        ax.set(xlabel="rank $i/H$", ylabel=r"$\lambda_i$ (nats per step)")
    left.set_title("All exponents of four networks")
    right.axhline(theory.largest_exponent, color="black", ls="--")
    right.text(
        0.2, theory.largest_exponent, "$\\lambda_1$ of large networks", ha="right", va="bottom"
    )
    right.set(xlim=(0, 0.2), ylim=(-0.3, 0.2), title="Those that grow, and some more")

# %%
# Most directions shrink, some grow: the attractor fills few of the 128 dimensions.

growing = (found.exponents > 0).sum(axis=1)
for network in range(4):
    first, error = found.exponents[network, 0], found.standard_error[network, 0]
    print(
        f"lambda_1 {first:.3f} +- {2 * error:.3f}, {growing[network]} of 128 directions grow,",
        end=" ",
    )
    print(f"dimension {found.kaplan_yorke[network]:.1f}")
print(f"lambda_1 of large networks: {float(theory.largest_exponent):.3f}")
