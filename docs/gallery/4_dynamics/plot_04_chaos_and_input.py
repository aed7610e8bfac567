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
    figure.colorbar(ax.collections[0], label=r"largest exponent $\lambda_1$ (nats per step)")
    ax.set_title("Chaos, and gradients that explode")

# %%
# Blue and hatched is stable, red chaotic. On the wide grey line small differences of states
# neither grow nor shrink, on the thin black one gradients do not; dashed is the border of large
# networks. Strong input makes the same networks stable, and takes exploding gradients away with
# the chaos.

agree = float(((data.lyapunov_exponent > 0) == (data.growth_rate > 0)).mean())
print(f"both or neither in {100 * agree:.0f} % of all networks")
