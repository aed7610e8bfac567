"""
A forget bias and how far gradients reach
=========================================

A positive bias holds the forget gate open. How much further back does the gradient of the weights then come from?
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

data = rnnsim.cell_sweep(
    "adding", cell="lstm", forget_bias=[0.0, 1.0, 2.0, 3.0], length=100, n_hidden=24, network_seeds=3
)
print(data.data_vars)
print(data.coords)
