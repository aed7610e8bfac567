"""
A network of your own, and what is found
========================================

Weights come from a file or, as here, from a mapping of names to arrays, such as a state dict of
PyTorch. What do they do with gradients on your data?
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

rng = np.random.default_rng(0)
H, D, V = 24, 3, 4
shapes = {
    "lstm.weight_ih_l0": (4 * H, D),
    "lstm.weight_hh_l0": (4 * H, H),
    "lstm.bias_ih_l0": (4 * H,),
    "lstm.bias_hh_l0": (4 * H,),
    "head.weight": (V, H),
    "head.bias": (V,),
}
state_dict = {name: rng.uniform(-1, 1, shape) / np.sqrt(H) for name, shape in shapes.items()}
rnn = rnnsim.from_state_dict(state_dict)

series = [rng.normal(size=(length, D)) for length in rng.integers(30, 61, 32)]
batch = rnnsim.Sequences.ragged(series, rng.integers(0, V, 32))
found = rnnsim.diagnose(rnn, batch, window=10)
print(found.summary())

# %%
# Each finding has its plot. ``found.save("report.html")`` puts all of them on one page.

with analysis.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    analysis.plot_diagnosis_gradient(found, ax=left)
    analysis.plot_diagnosis_window_errors(found, ax=right)
