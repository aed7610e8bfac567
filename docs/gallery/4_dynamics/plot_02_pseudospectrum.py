"""
The same eigenvalues, another matrix
====================================

All eigenvalues lie inside the unit circle, so powers of W_hh vanish. Do they shrink from the
start? What eigenvalues do not tell, pseudospectra do.
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

drawn = rnnsim.RNN.sample(n_inputs=1, n_hidden=48, n_outputs=1, gain=1.0, rng=0)
radius = rnnsim.spectrum(drawn).spectral_radius[0]
drawn = drawn.with_weights(drawn.weights._replace(W_hh=drawn.W_hh * 0.9 / radius))
normal, skewed = (rnnsim.with_departure(drawn, scale) for scale in (0.0, 2.0))
axis = np.linspace(-1.5, 1.5, 81)
lags = np.arange(61)

with analysis.style():
    figure, axes = plt.subplots(1, 3, figsize=(12.5, 4.4), layout="constrained")
    for rnn, name, ax in ((normal, "normal", axes[0]), (skewed, "not normal", axes[1])):
        found = rnnsim.pseudospectrum(rnn, real=axis, imag=axis)
        decades = found.log_sigma_min[0] / np.log(10)
        lines = ax.contour(
            axis,
            axis,
            decades,
            levels=[-3, -2, -1],
            colors=["0.1", "0.35", "0.6"],
            linestyles="solid",
        )
        ax.clabel(lines, fmt=lambda level: f"$10^{{{level:.0f}}}$")
        ax.plot(found.eigenvalues[0].real, found.eigenvalues[0].imag, ".", color="#0072b2")
        circle = plt.Circle((0, 0), 1, fill=False, color="#d55e00", lw=1.5)
        ax.add_patch(circle)
        ax.set(aspect="equal", title=name, xlabel="real part", ylabel="imaginary part")
    for rnn, name, marker in ((normal, "normal", "o"), (skewed, "not normal", "s")):
        growth = rnnsim.transient_growth(rnn, lags)[0]
        axes[2].semilogy(lags, np.exp(growth), marker=marker, markevery=10, label=name)
        kreiss = rnnsim.nonnormality(rnn, radius=1.0).kreiss[0]
        print(f"{name}: largest power {np.exp(growth.max()):.2f}, Kreiss constant {kreiss:.2f}")
    axes[2].set(xlabel="power $k$", ylabel=r"$\|W_{hh}^k\|_2$", title="what powers do")
    axes[2].legend()
