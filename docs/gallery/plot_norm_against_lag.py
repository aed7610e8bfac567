"""
Does the gradient arrive?
=========================

Norms of the gradient against the lag, for networks that forget and for networks that explode.
"""

import matplotlib.pyplot as plt

import analysis
import rnnsim

data = rnnsim.sweep("adding", gain=[0.5, 1.0, 2.0], length=50, n_hidden=32, network_seeds=3)
with analysis.style():
    figure, ax = plt.subplots(layout="constrained")
    analysis.plot_norm_against_lag(data, ax=ax)
