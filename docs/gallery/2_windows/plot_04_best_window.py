"""
Windows for batches of 1 and of 16
==================================

A short window has a bias: it does not see what lies further back. But what lies further back is
also noise, which it leaves out. Which window has the smallest error together?
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

rnn = rnnsim.RNN.sample(
    n_inputs=2, n_hidden=32, n_outputs=1, cell="lstm", scheme="pytorch", forget_bias=1.0, rng=0
)
windows = [2, 3, 5, 7, 10, 14, 20, 28, 40, 56, 80]
found = rnnsim.window_bias_variance(
    rnn, lambda rng: rnnsim.tasks.adding(80, 16, rng=rng), 24, windows=windows, rng=0
)
bias = np.maximum(found.bias2_estimate[0], 0)

with analysis.style():
    figure, ax = plt.subplots(layout="constrained")
    ax.plot(windows, bias, "k^-", label="bias$^2$")
    for size, marker, colour in ((1, "o", "#d55e00"), (16, "s", "#0072b2")):
        total = bias + found.variance_estimate[0] * found.batch_size / size
        best = found.best_window(size)[0]
        name = f"bias$^2$ + variance, batches of {size}"
        ax.plot(windows, total, marker=marker, color=colour, label=name)
        ax.plot(best, total[windows.index(best)], marker=marker, color=colour, ms=14, mfc="none")
        print(f"batches of {size}: the best window is {best:.0f}")
    ax.set(xscale="log", yscale="log", xlabel="window $K$ (steps)", ylim=(1e-3, None))
    ax.set_xticks([2, 5, 10, 20, 40, 80], ["2", "5", "10", "20", "40", "80"])
    ax.minorticks_off()
    ax.set_ylabel(r"squared error, beside $\|\bar g\|^2$")
    ax.set_title("Long windows need large batches")
    ax.legend()
