"""Vanilla networks, GRUs and LSTMs on the same data, against where their gates begin."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks
from rnnsim.data.datasets import Variable
from rnnsim.data.sequences import Sequences
from rnnsim.dynamics.gates import gate_statistics
from rnnsim.dynamics.lyapunov import lyapunov_spectrum
from rnnsim.experiments import draws, labels
from rnnsim.experiments.catalogue.sweeps import CELLS
from rnnsim.experiments.cells import check_activations
from rnnsim.experiments.own.border import takes_own
from rnnsim.experiments.own.data import Task
from rnnsim.experiments.own.networks import OWN, OwnWeights, origin
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.engine import Executor, Store
from rnnsim.experiments.study import Found, Memory, Place, Study, check_memory, flow_bytes
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.flow.growth import log_changes, mean_over_steps
from rnnsim.flow.reach import reach, sufficient_window
from rnnsim.networks import cells as kinds
from rnnsim.networks.initialisation import checked_starts
from rnnsim.networks.stack import Network
from rnnsim.theory.gates import chrono_log_norm, chrono_time_scale, gate_log_norm

_LEAST_LENGTH = 22  # a burn-in and 20 blocks of one step for the exponents


Floats = npt.NDArray[np.float64]
Start = tuple[float, float | None]  # forget_bias, chrono
OWN_START = (0.0, None)  # of networks of one's own, whose gates begin nowhere


class Job(NamedTuple):
    """Networks of one cell, the starts of their gates that they stand for, and what they read."""

    networks: draws.Networks
    starts: tuple[Start, ...]
    batch: draws.Data
    share: float
    tolerance: float
    state_scale: str | None


@takes_own()
def cell_sweep(
    task: Task = "characters",
    *,
    cell: str | Sequence[str] = ("vanilla", "gru", "lstm"),
    forget_bias: npt.ArrayLike = (0.0, 1.0, 3.0),
    chrono: float | None = None,
    n_layers: int = 1,
    scheme: str = "pytorch",
    gain: float = 1.0,
    n_hidden: int = 32,
    network_seeds: int | Sequence[int] = 3,
    length: int = 200,
    batch_size: int = 16,
    data_seed: int = 0,
    share: float = 0.9,
    tolerance: float = 0.1,
    state_scale: str | None = "std",
    activation: str = "tanh",
    weights: OwnWeights = None,
    dtype: str = "float64",
    max_memory: float = 2e9,
    n_threads: int | None = None,
    progress: bool = False,
    executor: Executor | None = None,
    store: Store | None = None,
) -> xr.Dataset:
    """How far gradients go back in cells of each kind that read the same sequences.

    For each cell and each start of its gates: norms at every lag (of the whole state, and along c
    alone), the error of every window, shares of lags, exponents beside what gates predict, time
    scales of units; and what a gate that hears nothing would do.

    Parameters
    ----------
    task, weights
        As in `sweep`. Networks of your own are of one cell, at one start, "own".
    cell : str or sequence of str
        "vanilla", "gru", "lstm", one or several.
    forget_bias : number or sequence
        As in `RNN.sample`, one or several. Vanilla networks have no gates: theirs are the same
        networks at every start.
    chrono : float, optional
        As in `RNN.sample`: one more start.
    n_layers : int
        L, of all networks: of 2 and more stacks. Norms are then of the states of all layers,
        windows and shares of the weights of all together (`sufficient_window` of each, the
        largest), exponents the L*H largest, time scales those of the units of all layers, and
        gates are averaged over layers. `depth_sweep` compares depths, layer by layer.
    scheme : str
        As in `RNN.sample`: gaussian, orthogonal, identity, uniform or pytorch.
    gain : float
        Factor of all of W_hh.
    n_hidden, network_seeds, batch_size, data_seed, dtype, n_threads, progress
        As in `sweep`.
    executor, store
        As in `sweep`.
    length : int
        T, at least 22.
    share, tolerance : float
        As in `reach` and `sufficient_window`.
    state_scale : {"std", None}
        As in `gradient_flow`, for norms at lags. In units of what each component varies by, unless
        told: c of an LSTM may be many times as large as h, and a gradient as much smaller.
    activation : str
        Of vanilla networks; refused where there are none.
    max_memory : float
        Bytes that the dataset and the norms of a job may take together.

    Returns
    -------
    xarray.Dataset
        On (cell, start, network_seed): log_norm and log_norm_path_c (lag), window_log_error and
        cumulative_share (window), exponent, predicted_exponent and time_scale (unit), and single
        numbers; on (start) theory_log_norm (lag) and theory_time_scale (unit). Each says what it
        is and its unit.

    Raises
    ------
    TypeError, ValueError
        As `sweep` and `RNN.sample`, before anything is computed.
    MemoryError
        The estimate exceeds `max_memory`.

    Examples
    --------
    >>> data = cell_sweep("adding", forget_bias=[0, 5], n_hidden=6, network_seeds=1, length=30,
    ...                   batch_size=2)
    >>> data.start.values.tolist(), data.log_norm.dims
    (['bias 0', 'bias 5'], ('cell', 'start', 'network_seed', 'lag'))
    >>> data.log_norm.sel(cell="lstm", lag=20).values.ravel().round(2)
    array([-10.04,  -1.63])
    """
    settings = labels.recorded(locals())
    L = checks.size("n_layers", n_layers)
    settings |= {"n_layers": L} if L > 1 else {}
    drawn = labels.of_draws(weights, activation=activation, dtype=dtype, scheme=scheme)
    chosen = labels.names("cell", cell, kinds.CELLS)
    if "vanilla" not in chosen:
        check_activations(chosen, (activation,))
    starts = _starts(forget_bias, chrono) if weights is None else {OWN: OWN_START}
    if weights is not None:
        settings = {k: v for k, v in settings.items() if k not in ("forget_bias", "chrono")}
    seeds = labels.seeds("network_seeds", network_seeds)
    H, B = checks.size("n_hidden", n_hidden), checks.size("batch_size", batch_size)
    data = draws.Data(
        labels.task_of(task), checks.size("length", length, least=_LEAST_LENGTH), B,
        checks.whole_number("data_seed", data_seed, least=0), dtype, weights,
    )  # fmt: skip
    gains = (checks.real_number("gain", gain),) * len(seeds)
    q = checks.real_number("share", share, above=0.0, below=1.0)
    limit = checks.real_number("tolerance", tolerance, above=0.0, below=1.0)
    if state_scale is not None:
        checks.one_of("state_scale", state_scale, ("std",))
    with checks.renamed(n_steps="`length`", n_sequences="`batch_size`"):
        batch = data.draw()
    sizes = data.sizes(batch)
    networks = draws.Networks(seeds, gains, sizes, H, **drawn, n_layers=L, own=weights)
    T = batch.n_steps
    study = Study(
        name="cells",
        axes={
            "cell": chosen,
            "start": tuple(starts),
            "network_seed": seeds,
            "lag": tuple(range(T)),
            "window": tuple(range(1, T + 1)),
            "unit": L * H,
        },
        variables=_variables(L),
        jobs=_jobs(Job(networks, tuple(starts.values()), data, q, limit, state_scale), chosen),
        measure=measure,
        configuration=settings,
        provenance={**batch.provenance, **origin(weights)},
        memory=Memory(
            job=len(seeds) * (L + (L > 1)) * flow_bytes(T, batch.loss_steps.size, B),
            advice="give a smaller `length`, `batch_size` or `network_seeds`, or raise "
            "`max_memory`",
        ),
    )
    check_memory(study, n_threads, max_memory)
    return run(study, n_threads=n_threads, progress=progress, executor=executor, store=store)


def _variables(L: int) -> dict[str, Variable]:
    """What the numbers of stacks are; those of one layer are what the catalogue says."""
    if L == 1:
        return CELLS
    together, largest = ("window_log_error", "cumulative_share", "cancellation"), {
        "exponent": f"Lyapunov exponents, the {L}*H largest, descending",
        "sufficient_window": "smallest window from which on the error of each layer stays within "
        "the tolerance, the largest over layers",
    }  # fmt: skip
    found = {
        name: v._replace(long_name=largest.get(name, v.long_name)) for name, v in CELLS.items()
    }
    return found | {
        name: CELLS[name]._replace(long_name=f"{CELLS[name].long_name}; of all layers together")
        for name in together
    }


def _starts(forget_bias: Any, chrono: Any) -> dict[str, Start]:
    """Where gates begin, by what it is called."""
    biases = labels.real_numbers("forget_bias", forget_bias)
    starts: dict[str, Start] = {f"bias {bias:g}": (bias, None) for bias in biases}
    longest = checked_starts("lstm", 0.0, chrono)[1]
    return starts if longest is None else starts | {f"chrono {longest:g}": (0.0, longest)}


def _jobs(job: Job, cells: tuple[str, ...]) -> list[tuple[Place, Job]]:
    """A job for each cell and start, but one for all starts where there are no gates."""
    found: list[tuple[Place, Job]] = []
    for i, cell in enumerate(cells):
        networks = job.networks._replace(cell=cell)
        if not kinds.CELLS[cell].keeps:
            every = tuple(range(len(job.starts)))
            found.append(({"cell": i, "start": every}, job._replace(networks=networks)))
            continue
        for j, start in enumerate(job.starts):
            drawn = networks._replace(forget_bias=start[0], chrono=start[1])
            drawn = drawn if networks.own else drawn._replace(activation="tanh")
            found.append(
                ({"cell": i, "start": (j,)}, job._replace(networks=drawn, starts=(start,)))
            )
    return found


def measure(job: Job, n_threads: int) -> Found:
    """All quantities of one cell, network axis first, repeated for each of its starts."""
    rnn, batch = job.networks.draw(), job.batch.draw()
    found = _gradients(rnn, batch, job, n_threads) | _dynamics(rnn, batch, n_threads)
    n = len(job.starts)
    repeated = {name: np.broadcast_to(array, (n, *array.shape)) for name, array in found.items()}
    units = len(rnn.layers) * rnn.n_hidden
    guides = [_guide(*start, batch.n_steps, units) for start in job.starts]
    norms, scales = zip(*guides, strict=True)
    if job.networks.own is not None:  # no gate of theirs was drawn
        return repeated
    return repeated | {
        "theory_log_norm": np.array(norms),
        "theory_time_scale": np.array(scales),
    }


def _gradients(rnn: Network, batch: Sequences, job: Job, n_threads: int) -> Found:
    flow = gradient_flow(
        rnn, batch, n_threads=n_threads, per_sequence=True, state_scale=job.state_scale
    )
    parts = reach(flow, job.share)
    assert parts.cancellation_W_hh is not None  # of all windows
    error, floor = flow.recurrent.log_error, flow.recurrent.log_floor[:, None]
    found = {
        "log_norm": mean_over_steps(log_changes(flow, range(flow.n_lags))),
        "window_log_error": np.fmax(error, np.where(np.isneginf(error), error, floor)),
        "sufficient_window": sufficient_window(flow, job.tolerance, of="recurrent"),
        "cumulative_share": parts.cumulative_W_hh,
        "reach": parts.W_hh,
        "cancellation": parts.cancellation_W_hh,
        "first_nonfinite": flow.first_nonfinite,
    }
    if flow.log_norms_path_c is not None:
        path = flow.log_norms_path_c - flow.log_norms[:, :, :1]
        found["log_norm_path_c"] = mean_over_steps(path)
    return found


def _dynamics(rnn: Network, batch: Sequences, n_threads: int) -> Found:
    if not kinds.CELLS[rnn.cell].keeps:
        spectrum = lyapunov_spectrum(rnn, batch.inputs, n_threads=n_threads)
        return {"exponent": spectrum.exponents, "exponent_error": spectrum.standard_error}
    found = gate_statistics(rnn, batch, exponents=True, n_threads=n_threads)
    assert found.spectrum is not None
    assert found.deviation is not None
    keeps, N = found.gates.index(kinds.CELLS[rnn.cell].keeps), len(rnn)
    of_gate = [
        each[..., keeps].reshape(N, -1).mean(axis=1) for each in (found.mean, found.low, found.high)
    ]
    return {
        "exponent": found.spectrum.exponents,
        "exponent_error": found.spectrum.standard_error,
        "predicted_exponent": found.predicted_exponents,
        "deviation": found.deviation,
        "time_scale": -np.sort(-found.time_scale.reshape(N, -1), axis=1),
        **dict(zip(("gate_mean", "gate_low", "gate_high"), of_gate, strict=True)),
    }


def _guide(bias: float, chrono: float | None, T: int, H: int) -> tuple[Floats, Floats]:
    """What gates that hear nothing keep at each lag, and the time scales of H units, descending."""
    lags, rank = np.arange(T), (np.arange(H)[::-1] + 0.5) / H
    if chrono is not None:
        return chrono_log_norm(chrono, lags), chrono_time_scale(chrono, rank)
    log_norm = gate_log_norm(bias, lags)
    return log_norm, np.full(H, -1 / gate_log_norm(bias, 1)[0])
