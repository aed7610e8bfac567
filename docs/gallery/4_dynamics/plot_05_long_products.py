"""
Singular values of long products
================================

A gradient of k steps back is a product of k Jacobians. Which directions survive it? Singular values soon span more
than float64 holds; they are carried so that the smallest stay right as well.
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

lags = [1, 2, 3, 5, 8, 12, 20, 30, 50, 80]
batch = rnnsim.tasks.adding(100, 1, rng=1)

with analysis.style():
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True, layout="constrained")
    for scheme, ax in zip(("gaussian", "orthogonal"), axes, strict=True):
        rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=32, n_outputs=1, scheme=scheme, rng=0)
        found = rnnsim.jacobian_products(rnn, batch, lags=lags)
        values = found.log_singular_values[0, 0] / np.log(10)
        for at, name, marker in ((0, "largest", "o"), (16, "median", "s"), (-1, "smallest", "^")):
            ax.plot(lags, values[:, at], marker=marker, label=name)
        ax.set(xlabel="lag $k$ (factors)", title=scheme)
        print(f"{scheme}: 10^{values[-1, 0]:.1f} to 10^{values[-1, -1]:.1f} after {lags[-1]} steps, "
              f"uncertain by at most {np.nanmax(found.rounding[np.isfinite(found.rounding)]):.1e} nats")
    axes[0].axhspan(-16, 0, color="0.9", zorder=0)
    axes[0].set_ylabel(r"$\log_{10}$ singular value of $\partial h_t / \partial h_{t-k}$")
    axes[0].legend()
