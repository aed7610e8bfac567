"""Analyses: each module computes datasets, draws them, and says in words what they show.

A module has `Settings` (every parameter of its command), `compute`, `draw`, `summarise`, and plot
functions that take a dataset, `ax=None` and return the Axes.
"""
