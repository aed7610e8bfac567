"""Stacks of more and more layers on the same data: gradients, exponents and windows by layer."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks
from rnnsim.data.sequences import Sequences
from rnnsim.dynamics.lyapunov import lyapunov_spectrum
from rnnsim.experiments import draws, labels
from rnnsim.experiments.catalogue.networks import DEPTH
from rnnsim.experiments.cells import cells_of
from rnnsim.experiments.own.border import takes_own
from rnnsim.experiments.own.data import Task
from rnnsim.experiments.own.networks import OwnWeights, origin
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.engine import Executor, Store
from rnnsim.experiments.study import Found, Memory, Study, check_memory, flow_bytes
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.flow.growth import growth_rate, log_changes, mean_over_steps
from rnnsim.flow.reach import sufficient_window
from rnnsim.flow.results import GradientFlow, Windows
from rnnsim.networks.stack import Network
from rnnsim.theory.stacks import stack_log_norm

_LEAST_LENGTH = 22  # a burn-in and 20 blocks of one step for the exponents

Floats = npt.NDArray[np.float64]


class Job(NamedTuple):
    """Networks of one depth, and what they read."""

    networks: draws.Networks
    batch: draws.Data
    tolerance: float


@takes_own()
def depth_sweep(
    task: Task = "characters",
    *,
    n_layers: int | Sequence[int] = (1, 2, 3, 4),
    cell: str = "vanilla",
    forget_bias: float = 0.0,
    scheme: str = "gaussian",
    gain: float = 1.0,
    n_hidden: int = 24,
    network_seeds: int | Sequence[int] = 3,
    length: int = 200,
    batch_size: int = 16,
    data_seed: int = 0,
    tolerance: float = 0.1,
    activation: str = "tanh",
    weights: OwnWeights = None,
    dtype: str = "float64",
    max_memory: float = 2e9,
    n_threads: int | None = None,
    progress: bool = False,
    executor: Executor | None = None,
    store: Store | None = None,
) -> xr.Dataset:
    """Gradients, Lyapunov exponents and windows of every layer of stacks, against their depth.

    The layers of a deeper stack begin with those of a shallower one, and all read the same data.

    Parameters
    ----------
    task, weights
        As in `sweep`. Networks of your own have one depth, their own.
    n_layers : int or sequence of int
        L, one or several.
    cell, forget_bias, scheme, gain, activation, n_hidden
        Of all layers, as in `Stack.sample`.
    network_seeds, batch_size, data_seed, dtype, n_threads, progress
        As in `sweep`.
    executor, store
        As in `sweep`.
    length : int
        T, at least 22.
    tolerance : float
        As in `sufficient_window`.
    max_memory : float
        Bytes that the dataset and the norms of a job may take together.

    Returns
    -------
    xarray.Dataset
        On (n_layers, network_seed): by layer (1 the lowest) log_norm and theory_log_norm (lag),
        window_log_error (window), layer_exponent (unit), rate, slope; of the whole stack exponent
        (rank), joint_window_log_error (window) and single numbers. NaN where a stack has no
        such layer. Each says what it is and its unit.

    Raises
    ------
    TypeError, ValueError
        As `sweep` and `Stack.sample`, before anything is computed.
    MemoryError
        The estimate exceeds `max_memory`.

    Examples
    --------
    Linear layers with W_hh = 0.9 I: a gradient over k steps and down one layer is k + 1 paths.

    >>> data = depth_sweep("adding", n_layers=[1, 2], scheme="identity", activation="linear",
    ...                    gain=0.9, n_hidden=3, network_seeds=1, length=22, batch_size=2)
    >>> lower = data.log_norm.sel(n_layers=2, layer=1).squeeze()
    >>> np.exp(lower[:4] - lower.lag[:4] * np.log(0.9)).values.round(6)
    array([1., 2., 3., 4.])
    """
    settings = labels.recorded(locals()) | {"cell": cell, "forget_bias": forget_bias}
    depths = labels.sizes("n_layers", n_layers)
    settings |= {"n_layers": list(depths)}
    (kind,) = cells_of(
        checks.one_of("cell", cell, ("vanilla", "lstm", "gru")),
        checks.real_number("forget_bias", forget_bias), activation,
    ).kinds  # fmt: skip
    drawn = labels.of_draws(weights, activation=activation, dtype=dtype, scheme=scheme)
    seeds = labels.seeds("network_seeds", network_seeds)
    H, B = checks.size("n_hidden", n_hidden), checks.size("batch_size", batch_size)
    data = draws.Data(
        labels.task_of(task), checks.size("length", length, least=_LEAST_LENGTH), B,
        checks.whole_number("data_seed", data_seed, least=0), dtype, weights,
    )  # fmt: skip
    gains = (checks.real_number("gain", gain),) * len(seeds)
    limit = checks.real_number("tolerance", tolerance, above=0.0, below=1.0)
    with checks.renamed(n_steps="`length`", n_sequences="`batch_size`"):
        batch = data.draw()
    networks = draws.Networks(
        seeds, gains, data.sizes(batch), H, **drawn, **kind.options, own=weights
    )
    T, L, S = batch.n_steps, max(depths), kind.state_size(H)
    axes: dict[str, Any] = {
        "n_layers": depths,
        "network_seed": seeds,
        "layer": tuple(range(1, L + 1)),
        "lag": tuple(range(T)),
        "window": tuple(range(1, T + 1)),
        "unit": S,
        "rank": L * S,
    }
    jobs = [
        ({"n_layers": i}, Job(networks._replace(n_layers=depth), data, limit))
        for i, depth in enumerate(depths)
    ]
    flows = (L + 1) * len(seeds) * flow_bytes(T, batch.loss_steps.size, B, cell=cell)
    advice = "give a smaller `length`, `batch_size` or `network_seeds`, or raise `max_memory`"
    study = Study(
        name="stacks", axes=axes, variables=DEPTH, jobs=jobs, measure=measure,
        configuration=settings, provenance={**batch.provenance, **origin(weights)},
        memory=Memory(flows, 0.0, advice),
    )  # fmt: skip
    check_memory(study, n_threads, max_memory)
    return run(study, n_threads=n_threads, progress=progress, executor=executor, store=store)


def measure(job: Job, n_threads: int) -> Found:
    """All quantities of one depth, network axis first."""
    rnn, batch = job.networks.draw(), job.batch.draw()
    found = _dynamics(rnn, batch, n_threads)
    distance = np.arange(len(rnn.layers))[::-1]
    known = np.isfinite(found["rate"])
    rates = np.where(known, found["rate"], 0.0)
    guide = stack_log_norm(rates, distance, np.arange(batch.n_steps))
    guide[~known] = np.nan
    return found | {"theory_log_norm": guide} | _gradients(rnn, batch, job.tolerance, n_threads)


def _dynamics(rnn: Network, batch: Sequences, n_threads: int) -> Found:
    """The spectrum of the stack, and those of its layers, each driven by the one below."""
    found = lyapunov_spectrum(rnn, batch.inputs, n_threads=n_threads)
    layers = np.stack([layer.exponents for layer in found.layers], axis=1)
    return {
        "exponent": found.exponents,
        "layer_exponent": layers,
        "rate": np.maximum.accumulate(layers[:, ::-1, 0], axis=1)[:, ::-1],
    }


def _gradients(rnn: Network, batch: Sequences, tolerance: float, n_threads: int) -> Found:
    flow = gradient_flow(rnn, batch, n_threads=n_threads, per_sequence=True)
    by_layer = [growth_rate(layer) for layer in flow.layers]
    each = [sufficient_window(layer, tolerance, of="recurrent") for layer in flow.layers]
    return {
        "log_norm": np.stack([_changes(layer) for layer in flow.layers], axis=1),
        "window_log_error": np.stack([_errors(layer.recurrent) for layer in flow.layers], axis=1),
        "joint_window_log_error": _errors(flow.recurrent),
        "sufficient_window": np.stack(each, axis=1),
        "largest_window": np.max(each, axis=0),
        "slope": np.stack([found.rate for found in by_layer], axis=1),
        "slope_error": np.stack([found.standard_error for found in by_layer], axis=1),
        "first_nonfinite": flow.first_nonfinite,
    }


def _changes(flow: GradientFlow) -> Floats:
    """ln ||dl_t/dh_{t-k}|| less that at lag 0 of one layer, (N, K); h alone, of LSTMs as well."""
    if flow.log_norms_c is None:
        return mean_over_steps(log_changes(flow, range(flow.n_lags)))
    return mean_over_steps(flow.log_norms_h - flow.log_norms_h[:, :, :1])


def _errors(windows: Windows) -> Floats:
    """Errors (N, K), not below their rounding."""
    floor = windows.log_floor[:, None]
    return np.fmax(windows.log_error, np.where(np.isneginf(windows.log_error), -np.inf, floor))
