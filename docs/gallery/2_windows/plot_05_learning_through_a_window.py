"""
Learning through a window
=========================

Networks learn to repeat each symbol after eight steps, with truncated backpropagation. Which windows let them?
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

delay, n_symbols = 8, 4
n_inputs, n_outputs = rnnsim.tasks.sizes("echo", n_symbols=n_symbols)
rnn = rnnsim.RNN.sample(
    3, n_inputs=n_inputs, n_hidden=32, n_outputs=n_outputs, scheme="orthogonal", rng=0
)


def task(rng):
    """The next batch."""
    return rnnsim.tasks.echo(48, 16, n_symbols=n_symbols, delay=delay, rng=rng)


with analysis.style():
    figure, ax = plt.subplots(layout="constrained")
    for window, marker in ((4, "o"), (8, "s"), (9, "^"), (16, "D")):
        run = rnnsim.train(
            rnn, task, n_updates=400, window=window, stride=1 if False else None,
            optimizer="adam", learning_rate=0.003, clip_norm=1.0, rng=0, record_every=20,
        )
        loss = run.record.loss
        ax.plot(loss.updates, loss.median("network"), marker=marker, markevery=4, label=f"window {window}")
        print(f"window {window}: {float(loss.isel(updates=-1).median()):.3f}")
    ax.set(xlabel="updates", ylabel="loss")
    ax.legend()
