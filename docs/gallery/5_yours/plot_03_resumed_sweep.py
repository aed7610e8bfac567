"""
A sweep that can be stopped
===========================

A sweep of hours should not begin anew because a machine was switched off. With a store, each job
is kept as soon as it is done, and the same call goes on. What is there when it was stopped?
"""

import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim


class Unplugged(ThreadPoolExecutor):
    """A machine that is switched off after four jobs."""

    jobs_left = 4

    def submit(self, job, /, *arguments, **options):
        """Do a job at once, while there is power."""
        if self.jobs_left == 0:
            raise RuntimeError("no power")
        self.jobs_left -= 1
        done = Future()
        done.set_result(job(*arguments, **options))
        return done


settings = {"gain": [0.5, 1.0, 1.5, 2.0], "length": [20, 40, 80], "n_hidden": 16}
with tempfile.TemporaryDirectory() as folder:
    store = Path(folder) / "mine.sweep"
    with Unplugged(1) as machine:
        try:
            rnnsim.sweep("adding", **settings, store=store, executor=machine)
        except ValueError as error:
            print("stopped:", error)
    so_far = rnnsim.load(store)
    whole = rnnsim.sweep("adding", **settings, store=store)
    again = rnnsim.sweep("adding", **settings, store=store)

with analysis.style():
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for data, title, ax in zip((so_far, whole), ("Stopped", "Gone on"), axes, strict=True):
        analysis.plot_phase(data, ax=ax)
        ax.set_title(title)

# %%
# Numbers are powers of ten by which gradients change on their way to the first step. What is done
# is not done again: a third call measures nothing, and has the same bits.

known = np.isfinite(so_far.log_change).mean(...)
print(f"known when it was stopped: {100 * float(known):.0f} %")
print(f"the third call has the same bits: {again.identical(whole)}")
