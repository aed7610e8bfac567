"""What a cell is: its arrays, and the maps between pre-activations and states.

Importing a cell's module registers it.
"""

from rnnsim.kernels.cells import gru, lstm, vanilla

__all__ = ["gru", "lstm", "vanilla"]
