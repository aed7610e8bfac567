"""
Singular values of long products
================================

A gradient of k steps back is a product of k Jacobians. Which directions survive it? Singular
values soon span more than float64 holds; they are carried so that the smallest stay right as well.
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

lags = [1, 2, 3, 5, 8, 12, 20, 30, 50, 80]
ranks = {"largest": (0, "o"), "median": (16, "s"), "smallest": (-1, "^")}
batch = rnnsim.tasks.adding(100, 1, rng=1)

with analysis.style():
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True, layout="constrained")
    for scheme, ax in zip(("gaussian", "orthogonal"), axes, strict=True):
        rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=32, n_outputs=1, scheme=scheme, rng=0)
        found = rnnsim.jacobian_products(rnn, batch, lags=lags)
        decades = found.log_singular_values[0, 0] / np.log(10)
        ax.axhspan(-16, 0, color="0.9", zorder=0)
        for name, (rank, marker) in ranks.items():
            ax.plot(lags, decades[:, rank], marker=marker, label=name)
        ax.set(xlabel="lag $k$ (factors of the product)", title=scheme)
        print(f"{scheme}, 80 steps: 10^{decades[-1, 0]:.1f} to 10^{decades[-1, -1]:.1f},", end=" ")
        print(f"two computations differ by {found.rounding.max():.0e} nats at most")
    axes[0].set_ylabel(r"$\log_{10}$ singular value of $\partial h_t / \partial h_{t-k}$")
    axes[1].legend()

# %%
# Grey is what a decomposition of the product itself could tell from rounding, sixteen decades
# below 1. An orthogonal matrix keeps directions together; the slopes of tanh are what spreads
# them.
