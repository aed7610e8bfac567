"""What is known of networks while they learn: measured between updates, as one labelled dataset."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim.checks import FloatArray
from rnnsim.data.pairs import Data, Pairs
from rnnsim.data.sequences import Sequences
from rnnsim.dynamics.lyapunov import lyapunov_spectrum
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.gradients.pairs import boundary, pair_batch
from rnnsim.gradients.simulation import evaluate
from rnnsim.kernels.training.learning import (
    CLIPPED,
    COUNT,
    LARGEST,
    LOG_NORM,
    LOSS,
    OMEGA,
    Learners,
)
from rnnsim.networks.model import Model
from rnnsim.networks.rnn import RNN
from rnnsim.spectra.spectrum import eigenvalues_and_singular_values

Floats = npt.NDArray[Any]

_LYAPUNOV_STEPS = 400  # inputs are repeated until there are so many
_LYAPUNOV_SEQUENCES = 4

_LONG_NAMES = {
    "loss": ("loss on the test data", "nats per sequence"),
    "accuracy": ("fraction of right answers on the test data", "1"),
    "training_loss": ("loss, mean over the updates since the last record", "nats per update"),
    "log_gradient_norm": ("ln of the gradient's norm before clipping, mean since then", "1"),
    "largest_log_gradient_norm": ("the largest of them", "1"),
    "clipped": ("fraction of updates since then whose gradient was clipped", "1"),
    "omega": ("Omega of Pascanu et al. 2013, mean since then", "1"),
    "spectral_radius": ("spectral radius of W_hh", "1"),
    "spectral_norm": ("spectral norm of W_hh", "1"),
    "eigenvalues": ("eigenvalues of W_hh, descending modulus", "1"),
    "singular_values": ("singular values of W_hh, descending", "1"),
    "log_norms": ("mean over loss steps and sequences of ln ||dl/dh_{t-k}||", "1"),
    "window_log_error": ("ln of the relative error of dL/dW_hh truncated at a window", "1"),
    "window_cosine": ("cosine between dL/dW_hh truncated at a window and in full", "1"),
    "lyapunov_exponent": ("largest Lyapunov exponent on the test inputs, repeated", "nats/step"),
}
_EACH = ("loss", "accuracy", "spectral_radius", "spectral_norm")
_SUMMED = ("training_loss", "log_gradient_norm", "largest_log_gradient_norm", "clipped", "omega")
_SNAPSHOT_DIMS = {
    "eigenvalues": ("unit",),
    "singular_values": ("unit",),
    "log_norms": ("lag",),
    "window_log_error": ("window",),
    "window_cosine": ("window",),
    "lyapunov_exponent": (),
}


class Core(NamedTuple):
    """The network that carries the loss, with its data and first state."""

    rnn: RNN
    sequences: Sequences
    h0: FloatArray | None


def core_of(model: Model, data: Data, n_threads: int | None) -> Core:
    """The network itself, or the decoder behind what its encoder has read."""
    if isinstance(model, RNN):
        assert isinstance(data, Sequences)
        return Core(model, data, None)
    assert isinstance(data, Pairs)
    source, _ = pair_batch(model, data)
    return Core(model.decoder, data.target, boundary(model, source, n_threads)[0])


def points(n_updates: int, every: int | None) -> list[int]:
    """0, every, 2*every, ... and n_updates; nothing without `every`."""
    if every is None:
        return []
    return sorted({*range(0, n_updates + 1, every), n_updates})


class Record:
    """Measurements of N networks at some updates, filled in as training goes."""

    def __init__(self, updates: list[int], snapshots: list[int], max_lag: int | None) -> None:
        self.updates, self.snapshots, self._max_lag = updates, snapshots, max_lag
        self.measured: dict[str, Floats] = {}

    def measure(self, update: int, model: Model, data: Data, n_threads: int | None) -> None:
        """Everything that is due after so many updates."""
        if update not in self.updates and update not in self.snapshots:
            return
        core = core_of(model, data, n_threads)
        matrices = core.rnn.W_hh.astype(np.float64)
        eigenvalues, singular_values = eigenvalues_and_singular_values(matrices)
        if update in self.updates:
            evaluation = evaluate(core.rnn, core.sequences, h0=core.h0, n_threads=n_threads)
            found = {
                "loss": evaluation.loss,
                "accuracy": evaluation.accuracy,
                "spectral_radius": np.abs(eigenvalues[:, 0]),
                "spectral_norm": singular_values[:, 0],
            }
            self._put(found, self.updates.index(update), len(self.updates))
        if update in self.snapshots:
            found = {"eigenvalues": eigenvalues, "singular_values": singular_values}
            found |= _gradient_flow(core, self._max_lag, n_threads)
            found["lyapunov_exponent"] = _lyapunov_exponent(core, n_threads)
            self._put(found, self.snapshots.index(update), len(self.snapshots))

    def _put(self, found: dict[str, Floats], index: int, length: int) -> None:
        for name, values in found.items():
            N, *rest = values.shape
            empty = np.full((N, length, *rest), np.nan, values.dtype)
            self.measured.setdefault(name, empty)[:, index] = values

    def arrays(self) -> dict[str, Floats]:
        """What `restore` needs."""
        labels = {"updates_recorded": self.updates, "snapshots_recorded": self.snapshots}
        found = {name: np.array(values, np.int64) for name, values in labels.items()}
        return found | {f"record.{name}": values for name, values in self.measured.items()}

    def restore(self, saved: dict[str, Floats], tallies: Floats) -> None:
        """Take over what an earlier run has measured, which may have had other points; add tallies.

        Sums that were kept for a point that is not one of this run's go to the next one.
        """
        updates, snapshots = saved["updates_recorded"], saved["snapshots_recorded"]
        for name in _LONG_NAMES:
            if f"record.{name}" in saved:
                old = updates if name in _EACH else snapshots
                new = self.updates if name in _EACH else self.snapshots
                for index, update in enumerate(old):
                    if update in new:
                        values = saved[f"record.{name}"][:, index]
                        self._put({name: values}, new.index(update), len(new))
        for index, update in enumerate(updates):
            slot = min(int(np.searchsorted(self.updates, update)), len(self.updates) - 1)
            largest = np.maximum(tallies[:, slot, LARGEST], saved["tallies"][:, index, LARGEST])
            tallies[:, slot] += saved["tallies"][:, index]
            tallies[:, slot, LARGEST] = largest

    def dataset(self, learners: Learners, attributes: dict[str, str]) -> xr.Dataset:
        """All of it, with its labels."""
        tallies = learners.tallies
        N, counts = len(tallies), tallies[:, :, COUNT]
        means = tallies / np.where(counts > 0, counts, np.nan)[:, :, None]
        summed = dict(zip(_SUMMED, (LOSS, LOG_NORM, LARGEST, CLIPPED, OMEGA), strict=True))
        variables: dict[str, Any] = {
            name: (("network", "updates"), means[:, :, column]) for name, column in summed.items()
        }
        largest = np.where(counts > 0, tallies[:, :, LARGEST], np.nan)
        variables["largest_log_gradient_norm"] = (("network", "updates"), largest)
        for name, values in self.measured.items():
            if name in _EACH:
                variables[name] = (("network", "updates"), values)
            else:
                variables[name] = (("network", "snapshot", *_SNAPSHOT_DIMS[name]), values)
        coordinates: dict[str, Any] = {"network": np.arange(N), "updates": self.updates}
        if self.snapshots:
            lags = self.measured["log_norms"].shape[2]
            coordinates |= {"snapshot": self.snapshots, "lag": np.arange(lags)}
            coordinates |= {"window": np.arange(1, lags + 1)}
        variables["diverged"] = (("network",), learners.diverged)
        dataset = xr.Dataset(variables, coordinates, attributes)
        for name, (words, unit) in _LONG_NAMES.items():
            if name in dataset:
                dataset[name].attrs.update(long_name=words, units=unit)
        dataset["diverged"].attrs.update(long_name="update that left the range, -1 if none")
        return dataset


def _gradient_flow(core: Core, max_lag: int | None, n_threads: int | None) -> dict[str, Floats]:
    flow = gradient_flow(core.rnn, core.sequences, h0=core.h0, max_lag=max_lag, n_threads=n_threads)
    finite = np.where(np.isfinite(flow.log_norms), flow.log_norms, 0.0)
    counts = np.isfinite(flow.log_norms).sum(axis=1)
    return {
        "log_norms": finite.sum(axis=1) / np.where(counts > 0, counts, np.nan),
        "window_log_error": flow.window_log_error,
        "window_cosine": flow.window_cosine,
    }


def _lyapunov_exponent(core: Core, n_threads: int | None) -> Floats:
    """The largest exponent while the first few test sequences are read, again and again."""
    inputs = core.sequences.inputs[..., :_LYAPUNOV_SEQUENCES, :]
    repeats = -(-_LYAPUNOV_STEPS // core.sequences.n_steps)
    h0 = None if core.h0 is None else core.h0[:, :_LYAPUNOV_SEQUENCES]
    found = lyapunov_spectrum(
        core.rnn,
        np.concatenate([inputs] * repeats, axis=-3),
        n_exponents=1,
        h0=h0,
        n_threads=n_threads,
    )
    return found.exponents[:, 0]
