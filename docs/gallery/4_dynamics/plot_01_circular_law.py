"""
Eigenvalues of W_hh and the circular law
========================================

Where do the eigenvalues of a random recurrent matrix lie, and how soon is a matrix large?
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

gain = 1.2
angle = np.linspace(0, 2 * np.pi, 200)
with analysis.style():
    figure, axes = plt.subplots(
        1, 3, figsize=(12, 4.6), sharex=True, sharey=True, layout="constrained"
    )
    for n_hidden, ax in zip((16, 64, 256), axes, strict=True):
        rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=n_hidden, n_outputs=1, gain=gain, rng=0)
        found = rnnsim.spectrum(rnn)
        values = found.eigenvalues[0]
        ax.plot(gain * np.cos(angle), gain * np.sin(angle), "k--", label="circular law")
        ax.plot(np.cos(angle), np.sin(angle), color="0.6", label="modulus 1")
        ax.plot(values.real, values.imag, ".", ms=6, color="#0072b2")
        ax.set(aspect="equal", title=f"H = {n_hidden}", xlabel="real part", xlim=(-1.45, 1.45))
        inside = float(np.mean(abs(values) <= 1))
        law = float(rnnsim.theory.circular_law_fraction(1.0, gain=gain))
        print(f"H = {n_hidden}: radius {found.spectral_radius[0]:.3f},", end=" ")
        print(f"{inside:.2f} of all within 1 (law: {law:.2f})")
    axes[0].set(ylabel="imaginary part", ylim=(-1.45, 1.45))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)

# %%
# Large matrices keep to the law, and fill the disc evenly; of small ones the largest eigenvalue is
# anyone's guess, and with it what a linear network of that matrix would do.
