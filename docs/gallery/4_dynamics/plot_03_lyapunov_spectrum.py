"""
The Lyapunov spectrum of a chaotic network
==========================================

Do two nearby states come closer or part? One exponent for each direction says how fast, in nats a step.
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

gain, n_hidden = 2.0, 128
rnn = rnnsim.RNN.sample(4, n_inputs=1, n_hidden=n_hidden, n_outputs=1, gain=gain, rng=0)
found = rnnsim.lyapunov_spectrum(rnn, n_steps=1500, burn_in=300, rng=1)
theory = rnnsim.theory.mean_field(gain)
print(theory)
print(found.kaplan_yorke, found.exponents[:, 0], found.standard_error[:,0])
