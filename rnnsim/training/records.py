"""What is known of networks while they learn: measured between updates, as one labelled dataset."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rnnsim.data.datasets import Variable, attributes, labelled
from rnnsim.dynamics.gates import gate_statistics
from rnnsim.dynamics.lyapunov import lyapunov_spectrum
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.gradients.pairs import Core, core_of
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
from rnnsim.networks.cells import CELLS
from rnnsim.networks.model import Model, parts_of
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Network, has_layers
from rnnsim.spectra.spectrum import eigenvalues_and_singular_values, spectrum
from rnnsim.training.feeds import Ahead

if TYPE_CHECKING:
    import xarray as xr

Floats = npt.NDArray[Any]

_LYAPUNOV_STEPS = 400  # inputs are repeated until there are so many
_LYAPUNOV_SEQUENCES = 4

TEST = "the test data"
_UPDATES, _SNAPSHOTS = ("network", "updates"), ("network", "snapshot")


def variables(data: str = TEST) -> dict[str, Variable]:
    """What is recorded; `data` says on what."""
    return {
        "loss": Variable(_UPDATES, "nats per sequence", f"loss on {data}"),
        "accuracy": Variable(_UPDATES, "1", f"fraction of right answers on {data}"),
        "training_loss": Variable(
            _UPDATES, "nats per update", "loss, mean over the updates since the last record"),
        "log_gradient_norm": Variable(
            _UPDATES, "nats", "ln of the gradient's norm before clipping, mean since then"),
        "largest_log_gradient_norm": Variable(_UPDATES, "nats", "the largest of them"),
        "clipped": Variable(
            _UPDATES, "1", "fraction of updates since then whose gradient was clipped"),
        "omega": Variable(
            _UPDATES, "1", "Omega of Pascanu et al. 2013, mean since then; NaN without a penalty"),
        "spectral_radius": Variable(_UPDATES, "1", "spectral radius of W_hh"),
        "spectral_norm": Variable(_UPDATES, "1", "spectral norm of W_hh"),
        "eigenvalues": Variable(
            (*_SNAPSHOTS, "unit"), "1", "eigenvalues of W_hh, descending modulus", complex),
        "singular_values": Variable(
            (*_SNAPSHOTS, "unit"), "1", "singular values of W_hh, descending"),
        "log_norms": Variable(
            (*_SNAPSHOTS, "lag"), "nats",
            "mean over loss steps and sequences of ln ||dl/dh_{t-k}||"),
        "window_log_error": Variable(
            (*_SNAPSHOTS, "window"), "nats",
            "ln of the relative error of dL/dW_hh cut at a window"),
        "window_cosine": Variable(
            (*_SNAPSHOTS, "window"), "1", "cosine between dL/dW_hh cut at a window and in full"),
        "lyapunov_exponent": Variable(
            _SNAPSHOTS, "nats/step", f"largest Lyapunov exponent on {data}, repeated"),
        "diverged": Variable(
            ("network",), "update", "update that left the range, -1 if none", np.int64),
    }  # fmt: skip


def gate_variables(data: str = TEST) -> dict[str, Variable]:
    """What is recorded of LSTMs and GRUs beside that, or with another meaning."""
    nothing = "NaN: blocks of W_hh have no eigenvalues that mean anything"
    return {
        "spectral_radius": Variable(_UPDATES, "1", nothing),
        "eigenvalues": Variable((*_SNAPSHOTS, "unit"), "1", nothing, complex),
        "log_norms": Variable(
            (*_SNAPSHOTS, "lag"), "nats",
            "mean over loss steps and sequences of ln ||dl/ds_{t-k}||, s = (h, c) or h"),
        "gate_spectral_norm": Variable(
            (*_UPDATES, "gate"), "1", "spectral norm of each gate's block of W_hh"),
        "gate_share": Variable(
            (*_SNAPSHOTS, "gate"), "1",
            f"share of each gate in dL/dW_hh (of its layer) on {data}: <its part, dL/dW_hh>/"
            "||dL/dW_hh||^2, of the lags together"),
        "gate_mean": Variable(
            (*_SNAPSHOTS, "gate"), "1", f"mean of each gate on {data}, over units too"),
        "gate_time_scale": Variable(
            (*_SNAPSHOTS, "unit"), "steps",
            f"-1/mean of ln f (LSTM), ln z (GRU) of each unit on {data}, descending"),
    }  # fmt: skip


def of_layers(variables: Mapping[str, Variable]) -> dict[str, Variable]:
    """The same of stacks: what is of one W_hh has an axis of layers, the lowest 1."""
    deep = {
        name: v._replace(dims=(*v.dims[:2], "layer", *v.dims[2:]))
        for name, v in variables.items()
        if name in _BY_LAYER
    }
    norms = {
        name: variables[name]._replace(long_name=text)
        for name, text in {
            "log_norms": "mean over loss steps and sequences of ln ||dl/ds_{t-k}||, s the states "
            "of all layers",
            "window_log_error": "ln of the relative error of dL/dW_hh of all layers, cut at "
            "a window",
            "window_cosine": "cosine between dL/dW_hh, of all layers, cut at a window and in full",
        }.items()
    }
    by_layer = {
        "log_norms_layers": Variable(
            (*_SNAPSHOTS, "layer", "lag"), "nats",
            "mean over loss steps and sequences of ln ||dl/dh_{t-k}|| by layer, by all paths"),
        "layer_share": Variable(
            (*_SNAPSHOTS, "layer"), "1",
            "share of each layer in dL/dW_hh: ||its part||^2/||dL/dW_hh||^2"),
    }  # fmt: skip
    return {**variables, **deep, **norms, **by_layer}


_BY_LAYER = (
    "spectral_radius", "spectral_norm", "eigenvalues", "singular_values", "gate_spectral_norm",
    "gate_share", "gate_mean", "gate_time_scale",
)  # fmt: skip
VARIABLES = variables()
_EACH = ("loss", "accuracy", "spectral_radius", "spectral_norm", "gate_spectral_norm")
_SUMMED = {
    "training_loss": LOSS, "log_gradient_norm": LOG_NORM, "largest_log_gradient_norm": LARGEST,
    "clipped": CLIPPED, "omega": OMEGA,
}  # fmt: skip


def with_loss_units(
    variables: Mapping[str, Variable], targets: npt.NDArray[Any]
) -> dict[str, Variable]:
    """Variables with the unit that losses have with such targets.

    The cross-entropy of classes is in nats; 0.5*||y - target||^2 has no unit of its own.
    """
    if targets.dtype.kind in "iu":
        return dict(variables)
    return {
        name: v._replace(units="1") if v.units.startswith("nats per ") else v
        for name, v in variables.items()
    }


def points(n_updates: int, every: int | None) -> list[int]:
    """0, every, 2*every, ... and n_updates; nothing without `every`."""
    if every is None:
        return []
    return sorted({*range(0, n_updates + 1, every), n_updates})


class Record:
    """Measurements of N networks at some updates, filled in as training goes."""

    def __init__(
        self, updates: list[int], snapshots: list[int], max_lag: int | None, gates: bool
    ) -> None:
        self.updates, self.snapshots, self._max_lag = updates, snapshots, max_lag
        self._gates = gates
        self.measured: dict[str, Floats] = {}
        self._variables = VARIABLES

    def measure(self, update: int, model: Model, ahead: Ahead, n_threads: int | None) -> None:
        """Everything that is due after so many updates."""
        if update not in self.updates and update not in self.snapshots:
            return
        core = core_of(model, ahead.data, n_threads, start=ahead.start)
        self._variables = with_loss_units(variables(ahead.name), core.sequences.targets)
        if core.rnn.n_gates > 1:
            self._variables |= gate_variables(ahead.name)
        if has_layers(core.rnn):
            self._variables = of_layers(self._variables)
        eigenvalues, singular_values = _spectra(core.rnn)
        if update in self.updates:
            evaluation = evaluate(
                core.rnn, core.sequences, h0=core.h0, c0=core.c0, n_threads=n_threads
            )
            found = {
                "loss": evaluation.loss,
                "accuracy": evaluation.accuracy,
                "spectral_radius": np.abs(eigenvalues[..., 0]),
                "spectral_norm": singular_values[..., 0],
            }
            if core.rnn.n_gates > 1:
                norms = [spectrum(layer).spectral_norm for layer in core.rnn.layers]
                found["gate_spectral_norm"] = _of_all(core.rnn, norms)
            self._put(found, self.updates.index(update), len(self.updates))
        if update in self.snapshots:
            found = {"eigenvalues": eigenvalues, "singular_values": singular_values}
            found |= _gradient_flow(core, self._max_lag, n_threads)
            found["lyapunov_exponent"] = _lyapunov_exponent(core, n_threads)
            found |= _gates(core, n_threads) if self._gates else {}
            self._put(found, self.snapshots.index(update), len(self.snapshots))

    def _put(self, found: dict[str, Floats], index: int, length: int) -> None:
        """Measurements in their place; those of shorter data end in NaN, as lags without a norm."""
        for name, values in found.items():
            N, *rest = values.shape
            nothing = np.full((N, length, *rest), np.nan, values.dtype)
            kept = _as_wide(self.measured.get(name, nothing), nothing)
            self.measured[name] = kept
            where: tuple[Any, ...] = (slice(None), index, *map(slice, rest))
            kept[where] = values

    def arrays(self) -> dict[str, Floats]:
        """What `restore` needs."""
        labels = {"updates_recorded": self.updates, "snapshots_recorded": self.snapshots}
        labels["max_lag"] = [] if self._max_lag is None else [self._max_lag]
        found = {name: np.array(values, np.int64) for name, values in labels.items()}
        return found | {f"record.{name}": values for name, values in self.measured.items()}

    def restore(self, saved: dict[str, Floats], tallies: Floats) -> None:
        """Take over what an earlier run has measured, which may have had other points; add tallies.

        Sums that were kept for a point that is not one of this run's go to the next one.
        """
        updates, snapshots = saved["updates_recorded"], saved["snapshots_recorded"]
        if snapshots.size and self.snapshots and "max_lag" in saved:
            check_max_lag(saved["max_lag"].tolist(), self._max_lag)
        for name in of_layers(VARIABLES | gate_variables()):
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

    def dataset(
        self,
        model: Model,
        learners: Learners,
        configuration: dict[str, Any],
        provenance: Mapping[str, str],
    ) -> "xr.Dataset":
        """All of it, with its labels."""
        tallies = learners.tallies
        N, counts = len(tallies), tallies[:, :, COUNT]
        means = tallies / np.where(counts > 0, counts, np.nan)[:, :, None]
        values = {name: means[:, :, column] for name, column in _SUMMED.items()}
        largest = np.where(counts > 0, tallies[:, :, LARGEST], np.nan)
        values |= {"largest_log_gradient_norm": largest}
        values["omega"][learners.penalty == 0] = np.nan  # not computed without a penalty
        values |= self.measured | {"diverged": learners.diverged}
        axes: dict[str, Any] = {"network": tuple(range(N)), "updates": tuple(self.updates)}
        if self.snapshots:
            axes |= snapshot_axes(self.snapshots, self.measured["log_norms"].shape[2])
        axes["unit"] = values["eigenvalues"].shape[-1] if self.snapshots else 0
        main = next(iter(parts_of(model).values()))
        if has_layers(main):
            axes["layer"] = tuple(range(1, len(main.layers) + 1))
        if main.n_gates > 1:
            axes["gate"] = CELLS[main.cell].gates
        return labelled(axes, self._variables, values, attributes(configuration, provenance))


def check_max_lag(saved: list[int], max_lag: int | None) -> None:
    """Refuse to go on with snapshots of other lags; `saved` holds none or one."""
    before = saved[0] if saved else None
    if before != max_lag:
        raise ValueError(
            f"`checkpoint` was saved with another `max_lag`: {before}, now {max_lag}; use the same "
            "to go on, or another file to begin anew"
        )


def _as_wide(values: Floats, other: Floats) -> Floats:
    """Values with NaN behind them, to the width of others."""
    more = [(0, max(0, b - a)) for a, b in zip(values.shape, other.shape, strict=True)]
    return np.pad(values, more, constant_values=np.nan) if any(m for _, m in more) else values


def snapshot_axes(snapshots: list[int], n_lags: int) -> dict[str, tuple[int, ...]]:
    """The labels of what snapshots measure."""
    windows = tuple(range(1, n_lags + 1))
    return {"snapshot": tuple(snapshots), "lag": tuple(range(n_lags)), "window": windows}


def _of_all(network: Network, layers: list[Floats]) -> Floats:
    """What is of each layer (N, ...), of stacks along an axis behind the networks."""
    return np.stack(layers, axis=1) if has_layers(network) else layers[0]


def _spectra(network: Network) -> tuple[Floats, Floats]:
    """Eigenvalues (N, H) and singular values (N, H) of W_hh; of stacks (N, L, H)."""
    pairs = list(zip(*map(_spectra_of_layer, network.layers), strict=True))
    return _of_all(network, list(pairs[0])), _of_all(network, list(pairs[1]))


def _spectra_of_layer(rnn: RNN) -> tuple[Floats, Floats]:
    """Eigenvalues (N, H) of W_hh, NaN where it stacks gates, and its singular values (N, H)."""
    W_hh = rnn.W_hh.astype(np.float64)
    if rnn.n_gates == 1:
        return eigenvalues_and_singular_values(W_hh)
    singular_values = np.linalg.svd(W_hh, compute_uv=False)
    return np.full(singular_values.shape, np.nan, np.complex128), singular_values


def _gradient_flow(core: Core, max_lag: int | None, n_threads: int | None) -> dict[str, Floats]:
    flow = gradient_flow(
        core.rnn,
        core.sequences,
        h0=core.h0,
        c0=core.c0,
        max_lag=max_lag,
        n_threads=n_threads,
        per_sequence=False,
    )
    measured = {
        "log_norms": _over_steps(flow.log_norms),
        "window_log_error": flow.window_log_error,
        "window_cosine": flow.window_cosine,
    }
    if core.rnn.n_gates > 1:
        shares = [layer.share_gates.sum(axis=1) for layer in flow.layers]
        measured["gate_share"] = _of_all(core.rnn, shares)
    if has_layers(core.rnn):
        measured["log_norms_layers"] = _over_steps(flow.log_norms_layers)
        parts = [layer.full_log_norm for layer in flow.layers]
        with np.errstate(invalid="ignore"):
            measured["layer_share"] = np.exp(2 * (np.stack(parts, 1) - flow.full_log_norm[:, None]))
    return measured


def _gates(core: Core, n_threads: int | None) -> dict[str, Floats]:
    """Means (N, G) and time scales (N, H) of the gates; of stacks (N, L, .)."""
    found = gate_statistics(
        core.rnn, core.sequences, h0=core.h0, c0=core.c0, quantiles=[0.5], n_threads=n_threads
    )
    return {"gate_mean": found.mean, "gate_time_scale": -np.sort(-found.time_scale, axis=-1)}


def _over_steps(logs: Floats) -> Floats:
    """The mean over loss steps of (N, ..., S, K), of what is finite."""
    finite = np.where(np.isfinite(logs), logs, 0.0)
    counts = np.isfinite(logs).sum(axis=-2)
    means = finite.sum(axis=-2) / np.where(counts > 0, counts, np.nan)
    nothing = (counts == 0) & np.isneginf(logs).any(axis=-2)  # an exact 0, not unknown
    return np.where(nothing, -np.inf, means)


def _lyapunov_exponent(core: Core, n_threads: int | None) -> Floats:
    """The largest exponent while the first few test sequences are read, again and again."""
    inputs = core.sequences.inputs[..., :_LYAPUNOV_SEQUENCES, :]
    repeats = -(-_LYAPUNOV_STEPS // core.sequences.n_steps)
    h0, c0 = (
        None if part is None else part[..., :_LYAPUNOV_SEQUENCES, :] for part in (core.h0, core.c0)
    )
    found = lyapunov_spectrum(
        core.rnn,
        np.concatenate([inputs] * repeats, axis=-3),
        n_exponents=1,
        h0=h0,
        c0=c0,
        n_threads=n_threads,
    )
    return found.exponents[:, 0]
