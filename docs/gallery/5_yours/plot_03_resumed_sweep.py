"""
A sweep that can be stopped
===========================

A sweep of hours should not begin anew because a machine was switched off. With a store, each job is kept as soon as it
is done, and the same call goes on.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

import analysis
import rnnsim

settings = {"gain": [0.5, 1.0, 1.5], "length": [20, 40, 80], "n_hidden": 16, "network_seeds": 3}


class Stopped(Exception):
    """What stands for a machine that goes down."""


with tempfile.TemporaryDirectory() as folder:
    store = Path(folder) / "mine.sweep"
    data = rnnsim.sweep("adding", **settings, store=store)
    again = rnnsim.sweep("adding", **settings, store=store)
print(data.identical(again))
