"""Paired draws: what a network or a batch depends on, so that comparisons share their draws."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnsim import tasks
from rnnsim.data.sequences import Sequences
from rnnsim.networks.rnn import RNN


def paired_networks(
    seeds: Sequence[int],
    gains: Sequence[float],
    *,
    sizes: tuple[int, int],
    n_hidden: int,
    scheme: str,
    activation: str,
    dtype: str,
) -> RNN:
    """A network for each pair of a seed and a gain; `sizes` are (n_inputs, n_outputs).

    Each draw depends on (network seed, scheme, sizes); gain scales it.
    """
    D, V = sizes
    base: dict[int, RNN] = {}
    for seed in seeds:
        if seed not in base:
            key = [seed, zlib.crc32(scheme.encode()), D, n_hidden, V]
            base[seed] = RNN.sample(
                n_inputs=D,
                n_hidden=n_hidden,
                n_outputs=V,
                scheme=scheme,
                rng=np.random.default_rng(key),
            )
    nets = [base[seed] for seed in seeds]
    scales = np.array(gains)[:, None, None]
    rnn = RNN(
        np.concatenate([net.W_xh for net in nets]),
        scales * np.concatenate([net.W_hh for net in nets]),
        np.concatenate([net.W_hy for net in nets]),
        activation=activation,
    )
    return rnn.astype(dtype)


def sparse_networks(
    seeds: Sequence[int],
    *,
    sizes: tuple[int, int],
    n_hidden: int,
    connections: int = 15,
    radius: float = 0.95,
    scale: float = 0.01,
    dtype: str = "float64",
) -> RNN:
    """A sparse tanh network for each seed, drawn as for the experiments of Pascanu et al. (2013).

    Every unit hears `connections` others (or all, where there are fewer) with Gaussian weights, and
    W_hh is rescaled to the spectral radius; W_xh and W_hy are Gaussian with standard deviation
    `scale`; biases are 0. "smart_tanh" of their code, pascanur/trainingRNNs, up to the draw itself.
    """
    D, V = sizes
    W_xh, W_hh, W_hy = [], [], []
    for seed in seeds:
        rng = np.random.default_rng([seed, D, n_hidden, V, connections])
        recurrent = rng.standard_normal((n_hidden, n_hidden))
        for row in recurrent:
            row[rng.permutation(n_hidden)[connections:]] = 0.0
        W_hh.append(radius * recurrent / np.abs(np.linalg.eigvals(recurrent)).max())
        W_xh.append(scale * rng.standard_normal((n_hidden, D)))
        W_hy.append(scale * rng.standard_normal((V, n_hidden)))
    return RNN(np.array(W_xh), np.array(W_hh), np.array(W_hy)).astype(dtype)


def paired_data(
    task: str,
    length: int,
    *,
    batch_size: int,
    seed: int,
    dtype: str,
    options: Mapping[str, Any] | None = None,
) -> Sequences:
    """A batch whose draw depends on (data seed, task, length, batch size)."""
    key = [seed, zlib.crc32(task.encode()), length, batch_size]
    rng = np.random.default_rng(key)
    return tasks.TASKS[task](length, batch_size, rng=rng, dtype=dtype, **(options or {}))
