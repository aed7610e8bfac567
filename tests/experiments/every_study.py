"""A small call of every sweep and experiment."""

import rnnsim
from rnnsim.experiments.catalogue.sweeps import MEASURES

FEW = {"n_hidden": 4, "network_seeds": 2}
SHORT = {"n_steps": 60, "burn_in": 20, "gain": [0.5, 1.5], **FEW}
STUDIES = {
    "sweep": lambda: rnnsim.sweep(
        ["adding", "characters"],
        gain=[0.5, 1.5],
        length=[6, 8],
        measures=tuple(MEASURES),
        truncation=("sliding", "segments"),
        windows=[1, 3],
        lags=[0, 2],
        batch_size=2,
        **FEW,
    ),
    "lyapunov": lambda: rnnsim.lyapunov_sweep(**SHORT, block_steps=2, driven=True, task="adding"),
    "at rest": lambda: rnnsim.lyapunov_sweep(**SHORT, block_steps=2, data_seed=3),
    "phase": lambda: rnnsim.phase_sweep(**SHORT, strength=[0, 1], drive="bias"),
    "jacobian": lambda: rnnsim.jacobian_sweep(
        gain=[0.5, 1.5], lags=[1, 5], length=20, exponent_steps=40, scheme="gaussian", **FEW
    ),
    "normality": lambda: rnnsim.normality_sweep(scale=[0, 2], length=12, task="adding", **FEW),
    "pseudospectrum": lambda: rnnsim.pseudospectrum_sweep(scale=[0, 2], n_hidden=4, n_points=3),
    "learning": lambda: rnnsim.learning_sweep(length=[10, 12], n_updates=4, test_size=20, **FEW),
    "window": lambda: rnnsim.window_sweep(length=8, delay=3, windows=[2, 8], n_batches=2, **FEW),
    "training": lambda: rnnsim.training_sweep(
        length=12, n_updates=4, record_every=2, snapshot_every=4, **FEW
    ),
    "bias and variance": lambda: rnnsim.bias_variance_sweep(
        "adding", length=8, n_updates=2, n_batches=3, batch_size=4, **FEW
    ),
    "depth": lambda: rnnsim.depth_sweep(
        "adding", n_layers=[1, 2], length=22, batch_size=2, **FEW | {"n_hidden": 3}
    ),
    "portrait": lambda: rnnsim.portrait(n_hidden=4, length=24, batch_size=2),
    "architecture": lambda: rnnsim.architecture_experiment(
        "captions", cell="vanilla", n_updates=4, **FEW
    ),
    "reader": lambda: rnnsim.architecture_experiment(
        "characters", cell="vanilla", n_updates=2, n_steps=20, **FEW
    ),
}
