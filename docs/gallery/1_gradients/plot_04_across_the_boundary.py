"""
From a decoder back into its encoder
====================================

An encoder reads a number in English, its decoder writes it in German. The only way from a loss to
the source is one state. What crosses it?
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

pairs = rnnsim.tasks.number_words(32, largest=99, rng=0)
english, german = rnnsim.tasks.number_alphabets(largest=99)
sizes = {
    "n_source_inputs": pairs.n_source_inputs,
    "n_inputs": pairs.target.n_inputs,
    "n_outputs": german.n_outputs,
    "n_hidden": 48,
}
models = {
    "vanilla, gain 0.7": rnnsim.EncoderDecoder.sample(**sizes, gain=0.7, rng=0),
    "vanilla, gain 1.4": rnnsim.EncoderDecoder.sample(**sizes, gain=1.4, rng=0),
    "LSTM, forget bias 2": rnnsim.EncoderDecoder.sample(
        **sizes, cell="lstm", scheme="pytorch", forget_bias=2.0, rng=0
    ),
}
step = 6  # the loss whose way back is followed

with analysis.style():
    figure, ax = plt.subplots(layout="constrained")
    for (name, model), marker in zip(models.items(), "os^", strict=True):
        found = rnnsim.gradient_map(model, pairs)
        row = found.log_norms[0, list(found.steps).index(step)]
        left = row - row[list(found.places).index(step)]
        ax.semilogy(found.places, np.exp(left), marker=marker, markevery=3, label=name)
        boundary = left[list(found.places).index(0)]
        print(f"{name}: {np.exp(boundary):.3g} of the gradient is left at the boundary")
    ax.axvline(0, color="0.5", linestyle=":")
    ax.set(xlabel="place relative to the boundary (steps; below 0 the encoder)")
    ax.set_ylabel("norm of the gradient (1 at the loss)")
    ax.set_title(f"The loss of the decoder's step {step} on its way back")
    ax.legend()
