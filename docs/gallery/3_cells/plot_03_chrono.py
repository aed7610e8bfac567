"""
Chrono initialisation beside its theory
=======================================

Chrono initialisation (Tallec and Ollivier 2018, *Can recurrent neural networks warp time?*) draws
forget biases so that the time scales of the units are spread up to T_max. What then is left of a
gradient after k steps?
"""

import matplotlib.pyplot as plt
import numpy as np

import analysis
import rnnsim

n_steps, n_hidden = 150, 64
lags = np.arange(n_steps)
starts = {
    "chrono, T_max = 100": ({"chrono": 100}, rnnsim.theory.chrono_log_norm(100, lags)),
    "forget bias 3": ({"forget_bias": 3.0}, rnnsim.theory.gate_log_norm(3.0, lags)),
}
of_memory = rnnsim.Sequences.from_gradients(
    np.zeros((n_steps, 1, 1)),
    dL_dc_final=np.random.default_rng(1).normal(size=(1, n_hidden)),
)

with analysis.style():
    figure, ax = plt.subplots(layout="constrained")
    for (name, (start, theory)), colour in zip(starts.items(), ("#0072b2", "#d55e00"), strict=True):
        lstm = rnnsim.RNN.sample(
            8,
            n_inputs=1,
            n_hidden=n_hidden,
            n_outputs=1,
            cell="lstm",
            scheme="gaussian",
            **start,
            rng=0,
        )
        alone = lstm.weights._replace(W_hh=0 * lstm.W_hh, W_xh=0 * lstm.W_xh)
        flow = rnnsim.gradient_flow(lstm.with_weights(alone), of_memory)
        norms = flow.log_norms_c[:, 0] - flow.log_norms_c[:, 0, :1]
        ax.semilogy(np.exp(norms).T, color=colour, lw=0.8, alpha=0.5)
        ax.semilogy(lags, np.exp(theory), "--", color=colour, lw=2.5, label=name)
        found = np.exp(np.median(norms[:, 100]))
        print(f"{name}: {found:.3f} after 100 steps, in theory {np.exp(theory[100]):.3f}")
    ax.set(xlabel="lag $k$ (steps back)", ylabel=r"norm with respect to $c_{t-k}$, 1 at $k = 0$")
    ax.set_title("Thin: eight networks, dashed: many units")
    ax.legend()

# %%
# One bias is one rate, a straight line. Many time scales make a line that bends, and which is
# nowhere near 0 at T_max. Gates that hear something move these numbers: here W_hh and W_xh are 0.
