"""
Input against chaos
===================

A network that is chaotic on its own may follow its input once that is strong. Where is the border,
and are gradients on the same side of it?
"""

import matplotlib.pyplot as plt

import analysis
import rnnsim

data = rnnsim.phase_sweep(
    gain=[0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0],
    strength=[0.0, 0.25, 0.5, 0.75, 1.0],
    n_hidden=48,
    network_seeds=2,
    n_steps=300,
    burn_in=60,
    batch_size=1,
)
with analysis.style():
    figure, ax = plt.subplots(layout="constrained")
    analysis.plot_phase_diagram(data, ax=ax)
    ax.set_title("Where networks are chaotic, and where gradients explode")

# %%
# Strong input makes the same network stable. Where small differences of states grow, gradients do.

agree = float(((data.lyapunov_exponent > 0) == (data.growth_rate > 0)).mean())
print(f"both or neither in {100 * agree:.0f} % of all networks")
