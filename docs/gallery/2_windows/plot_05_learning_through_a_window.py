"""
Learning through a window
=========================

Networks learn to repeat each symbol after eight steps, with an update for each batch. Every four
steps a gradient goes back through a window: does it reach from the answers to their symbols?
"""

import matplotlib.pyplot as plt

import analysis
import rnnsim

n_steps, delay, n_symbols, stride = 48, 8, 4, 4
n_inputs, n_outputs = rnnsim.tasks.sizes("echo", n_symbols=n_symbols)
rnn = rnnsim.RNN.sample(
    3, n_inputs=n_inputs, n_hidden=32, n_outputs=n_outputs, scheme="orthogonal", rng=0
)


def task(rng):
    """Draw the next batch."""
    return rnnsim.tasks.echo(n_steps, 8, n_symbols=n_symbols, delay=delay, rng=rng)


last = {}
options = {"optimizer": "adam", "learning_rate": 0.005, "clip_norm": 1.0, "rng": 0}
with analysis.style():
    figure, ax = plt.subplots(layout="constrained")
    for window, marker in ((8, "o"), (10, "s"), (12, "^")):
        run = rnnsim.train(
            rnn,
            task,
            n_updates=200,
            window=window,
            stride=stride,
            accumulate=n_steps // stride,
            record_every=20,
            **options,
        )
        loss = run.record.loss.median("network") / (n_steps - delay)
        ax.plot(loss.updates, loss, marker=marker, markevery=2, label=f"window {window}")
        last[window] = float(loss[-1])
        print(f"window {window}: {last[window]:.3f} nats for each answer")
    ax.set(xlabel="updates", ylabel="loss (nats for each answer)")
    ax.set_title("Symbols that are due after eight steps")
    ax.legend()

# %%
# The last of four steps goes back the whole window, the first one three steps less. A window of 12
# reaches every symbol from its answer, one of 10 those of some answers. One of 8 reaches none:
# what is learnt there is to read off what the states happen to keep. Chance is ln 4, about 1.386.
