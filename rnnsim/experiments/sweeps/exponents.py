"""Lyapunov exponents of many networks, arranged into labelled datasets."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.sequences import Sequences
from rnnsim.dynamics.exponents import LyapunovSpectrum, blocks_of
from rnnsim.dynamics.lyapunov import lyapunov_spectrum
from rnnsim.experiments import draws, labels
from rnnsim.experiments.catalogue.sweeps import LYAPUNOV, PHASE
from rnnsim.experiments.cells import Kind, cells_of
from rnnsim.experiments.own.border import takes_own
from rnnsim.experiments.own.data import Task, label_of
from rnnsim.experiments.own.networks import OwnWeights, named, origin
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.engine import Executor, Store
from rnnsim.experiments.study import Found, Place, Study, grid
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.flow.growth import growth_rate
from rnnsim.networks.stack import Network, Stack
from rnnsim.networks.states import state_size

DRIVES = ("input", "bias")


class Run(NamedTuple):
    """Steps of a trajectory, burn-in included, and of the blocks that errors come from."""

    n_steps: int
    burn_in: int
    block_steps: int


class LyapunovJob(NamedTuple):
    """Networks of one size and gain; what they read, or how many initial states they start from."""

    networks: draws.Networks
    n_exponents: int
    run: Run
    drive: draws.Data | None
    n_states: int
    data_seed: int


class PhaseJob(NamedTuple):
    """Networks of all gains and seeds, driven with one strength by white inputs or by biases."""

    networks: draws.Networks
    run: Run
    drive: str
    strength: float
    batch_size: int
    data_seed: int


@takes_own(length="n_steps", inputs_only=True)
def lyapunov_sweep(
    *,
    gain: npt.ArrayLike | None = None,
    n_hidden: int | Sequence[int] = 64,
    network_seeds: int | Sequence[int] = 5,
    n_exponents: int | None = None,
    n_steps: int = 2500,
    burn_in: int | None = 500,
    block_steps: int | None = 20,
    task: Task = "characters",
    driven: bool | None = None,
    batch_size: int = 1,
    data_seed: int = 0,
    scheme: str = "gaussian",
    activation: str = "tanh",
    cell: str | Sequence[str] = "vanilla",
    forget_bias: npt.ArrayLike = 0.0,
    n_layers: int | Sequence[int] = 1,
    weights: OwnWeights = None,
    dtype: str = "float64",
    n_threads: int | None = None,
    progress: bool = False,
    executor: Executor | None = None,
    store: Store | None = None,
) -> xr.Dataset:
    """Lyapunov exponents over sizes, gains and network seeds, with or without a task's inputs.

    The networks are those of `sweep` with the same task, scheme, sizes and seeds, driven or not;
    gain scales the same draw.

    Parameters
    ----------
    gain, n_hidden, network_seeds, scheme, activation, cell, forget_bias, dtype, n_threads, progress
        As in `sweep`, scheme and activation one of each.
    executor, store
        As in `sweep`.
    n_layers : int or sequence of int
        L, one or several; the layers of a deeper `Stack` begin with those of a shallower one.
    n_exponents : int, optional
        k, the largest ones; all unless given, H, or 2 H of LSTMs, whose state is (h, c), of each
        layer. Dimension and entropy rate are there where all are.
    n_steps, burn_in, block_steps : int
        As in `lyapunov_spectrum`, burn-in included in n_steps; of data of your own as many steps as
        there are unless told, and a burn-in and blocks that are as long as these allow.
    task : str, Sequences or callable
        One of `rnnsim.tasks`: copy_memory, echo, adding, temporal_order, characters, sentences,
        digits; or data of your own, as in `sweep`. Its number of inputs the networks have, and its
        inputs they read where `driven`.
    driven : bool, optional
        Read the inputs of the task, `batch_size` sequences of n_steps, drawn with `data_seed`; data
        of your own are read and named tasks are not, unless told.
        Otherwise the input is 0 and each network starts in batch_size states h from N(0, 1), drawn
        with `data_seed` too; c is 0.
    weights : RNN, Stack or path, optional
        Networks of your own, as in `sweep`.

    Returns
    -------
    xarray.Dataset
        ``lyapunov_exponent``, ``standard_error`` (n_hidden, gain, network_seed, exponent); of the
        largest: ``finite_time`` (..., sequence, time), ``running``, ``running_error`` (..., time),
        `time` being the end of a block in steps after the burn-in; ``kaplan_yorke`` with
        ``kaplan_yorke_low`` and ``kaplan_yorke_high``, two errors down and up, ``entropy_rate``
        (n_hidden, gain, network_seed); nats per step. ``input_variance``: mean
        over steps and sequences of |x_t|^2/D, which is the variance of W_xh x_t over units. NaN
        where a smaller network has no such exponent, and where precision does not resolve one of a
        gated cell (`LyapunovSpectrum.resolved`). With axes cell, forget_bias and n_layers in front
        where they are given.

    Raises
    ------
    TypeError, ValueError
        As in `sweep` and `lyapunov_spectrum`; a task that has no sequences of n_steps.

    Examples
    --------
    >>> data = lyapunov_sweep(gain=[0.5, 2], n_hidden=8, network_seeds=3, n_steps=500, burn_in=100)
    >>> data.lyapunov_exponent.shape, data.time.values[[0, -1]]
    ((1, 2, 3, 8), array([ 20, 400]))
    """
    cells = cells_of(cell, forget_bias, activation, n_layers)
    axes: dict[str, Any] = {
        "n_hidden": labels.sizes("n_hidden", n_hidden),
        "gain": labels.real_numbers("gain", gain),
        "network_seed": labels.seeds("network_seeds", network_seeds),
    }
    options = labels.of_draws(weights, scheme=scheme, activation=activation, dtype=dtype)
    source = labels.task_of(task)
    B = checks.size("batch_size", batch_size)
    steps = checks.size("n_steps", n_steps)
    blocks = blocks_of(steps, burn_in, block_steps, 1)
    k = _number_of_exponents(n_exponents, axes["n_hidden"], cells.kinds)
    trajectory = Run(steps, blocks.burn_in, blocks.steps)
    seed = checks.whole_number("data_seed", data_seed, least=0)
    reads = driven is not None and checks.boolean("driven", driven)
    data = draws.Data(source, steps, B, seed, dtype, weights, inputs_only=True)
    with checks.renamed(n_sequences="`batch_size`", length="`n_steps`"):
        batch = data.draw() if reads or not isinstance(source, str) else None
    sizes = draws.sizes_of(source, [] if batch is None else [batch], weights)
    drive = data if reads else None
    axes |= {
        "exponent": tuple(range(1, k + 1)),
        "sequence": tuple(range(B)),
        "time": tuple(blocks.steps * (m + 1) for m in range(blocks.number)),
    }
    seeds, points = axes["network_seed"], np.ndindex(len(axes["n_hidden"]), len(axes["gain"]))
    jobs: list[tuple[Place, LyapunovJob]] = []
    for kind, (i, j) in itertools.product(cells.kinds, points):
        H, gains = axes["n_hidden"][i], (axes["gain"][j],) * len(seeds)
        networks = draws.Networks(seeds, gains, sizes, H, **options, **kind.options, own=weights)
        job = LyapunovJob(networks, min(k, kind.state_size(H)), trajectory, drive, B, seed)
        jobs.append(({**kind.place, "n_hidden": i, "gain": j}, job))
    known = {name: axes[name] for name in ("n_hidden", "gain")} | cells.settings
    configuration = (
        options | trajectory._asdict() | {"task": label_of(source), "driven": reads} | known
    )
    study = Study(
        name="Lyapunov exponents",
        axes=cells.axes | axes,
        variables=cells.on_axes(LYAPUNOV),
        jobs=jobs,
        measure=measure_spectra,
        configuration=configuration | {"batch_size": B, "data_seed": seed} | named(weights),
        provenance={**(batch.provenance if batch and reads else {}), **origin(weights)},
    )
    return run(study, n_threads=n_threads, progress=progress, executor=executor, store=store)


def measure_spectra(job: LyapunovJob, n_threads: int) -> Found:
    """Variables of `LYAPUNOV`, network axis first."""
    rnn = job.networks.draw()
    inputs, states, variance = None, None, 0.0
    if job.drive is None:
        states = draws.initial_states(
            job.data_seed, job.n_states, rnn.n_hidden, rnn.dtype, job.networks.n_layers
        )
    else:
        inputs = job.drive.draw().inputs
        variance = np.square(inputs, dtype=float).mean()
    found = lyapunov_spectrum(
        rnn,
        inputs,
        n_exponents=job.n_exponents,
        h0=states,
        n_threads=n_threads,
        **job.run._asdict(),
    )
    return _of_spectrum(found, state_size(rnn)) | {"input_variance": np.array(variance)}


def phase_sweep(
    *,
    gain: npt.ArrayLike,
    strength: npt.ArrayLike,
    drive: str = "input",
    n_hidden: int = 64,
    network_seeds: int | Sequence[int] = 3,
    n_steps: int = 600,
    burn_in: int = 100,
    batch_size: int = 2,
    data_seed: int = 0,
    scheme: str = "gaussian",
    activation: str = "tanh",
    cell: str | Sequence[str] = "vanilla",
    forget_bias: npt.ArrayLike = 0.0,
    n_layers: int | Sequence[int] = 1,
    dtype: str = "float64",
    n_threads: int | None = None,
    progress: bool = False,
    executor: Executor | None = None,
    store: Store | None = None,
) -> xr.Dataset:
    """Largest Lyapunov exponent and growth of gradients over gain and what drives the network.

    ::

        drive "input":  x_t = s xi_t, xi_t (B, H) white and Gaussian: (W_xh x_t)_i has deviation s
        drive "bias":   b_h = b + s beta, beta (H,) Gaussian, frozen; no input

    Both are measured on the same networks, states and inputs, over the same steps
    ``burn_in+1..n_steps``: lambda_1 forwards, and backwards the rate of ``||dl_T/dh_{T-k}||`` with
    lag k (`growth_rate`, without the first tenth of the lags) for a loss at the last step only.
    Sequences start in states drawn from N(0, 1). Draws are paired: xi and these states depend on
    (data seed, sizes), W_hh and beta on the network seed; gain and strength scale them. b is 0, of
    LSTMs and GRUs the forget bias; their beta has an entry for every bias of every gate, and white
    inputs reach every gate. h begins as above, c with 0. Of stacks the lowest layer reads xi, and
    every layer has a beta and first states of its own, a deeper stack beginning with those of a
    shallower one; gradients are of the states of all layers.

    Parameters
    ----------
    gain, network_seeds, batch_size, scheme, activation, dtype, n_threads, progress
        As in `sweep`, scheme and activation one of each.
    executor, store
        As in `sweep`.
    cell, forget_bias, n_layers
        As in `sweep`, one or several.
    strength : float or several
        s, at least 0: the standard deviation over units, without unit as the pre-activations.
    drive : {"input", "bias"}
    n_hidden : int
        H; with white inputs also the number of inputs.
    n_steps, burn_in : int
        As in `lyapunov_spectrum`, burn-in included in n_steps.
    data_seed : int

    Returns
    -------
    xarray.Dataset
        ``lyapunov_exponent``, ``standard_error``, ``growth_rate``, ``growth_rate_error`` (NaN for
        one sequence), nats per step, ``growth_live`` (strength, gain, network_seed); with axes cell,
        forget_bias and n_layers in front where they are given.

    Raises
    ------
    TypeError, ValueError
        As in `sweep` and `lyapunov_spectrum`; an unknown drive, a negative strength.

    Examples
    --------
    >>> data = phase_sweep(gain=[0.5, 4], strength=[0, 5], n_hidden=32, network_seeds=1)
    >>> (data.lyapunov_exponent > 0).values[:, :, 0]        # strength by gain
    array([[False,  True],
           [False, False]])
    """  # noqa: E501
    cells = cells_of(cell, forget_bias, activation, n_layers)
    axes: dict[str, Any] = {
        "strength": _strengths(strength),
        "gain": labels.real_numbers("gain", gain),
        "network_seed": labels.seeds("network_seeds", network_seeds),
    }
    options = labels.of_draws(scheme=scheme, activation=activation, dtype=dtype)
    checks.one_of("drive", drive, DRIVES)
    H = checks.size("n_hidden", n_hidden)
    B = checks.size("batch_size", batch_size)
    T = checks.size("n_steps", n_steps)
    blocks = blocks_of(T, burn_in, None, 1)
    seed = checks.whole_number("data_seed", data_seed, least=0)
    place, chosen = grid(axes, "gain", "network_seed")
    drawn = draws.Networks(chosen["network_seed"], chosen["gain"], (H, 1), H, **options)
    trajectory = Run(T, blocks.burn_in, blocks.steps)
    jobs: list[tuple[Place, PhaseJob]] = []
    for kind, (i, s) in itertools.product(cells.kinds, enumerate(axes["strength"])):
        job = PhaseJob(drawn._replace(**kind.options), trajectory, drive, s, B, seed)
        jobs.append(({**kind.place, "strength": i, **place}, job))
    configuration = options | {"drive": drive, "n_hidden": H, "n_steps": T, "data_seed": seed}
    configuration |= {"burn_in": blocks.burn_in, "batch_size": B}
    known = {name: axes[name] for name in ("gain", "strength")} | cells.settings
    study = Study(
        "phase diagram", cells.axes | axes, cells.on_axes(PHASE), jobs, measure_both_ways,
        configuration | known,
    )  # fmt: skip
    return run(study, n_threads=n_threads, progress=progress, executor=executor, store=store)


def measure_both_ways(job: PhaseJob, n_threads: int) -> Found:
    """lambda_1 forwards and the growth of gradients backwards, over the same steps."""
    (T, burn_in, block_steps), B, H = job.run, job.batch_size, job.networks.n_hidden
    rnn = job.networks.draw()
    noise, bias = (job.strength, 0.0) if job.drive == "input" else (0.0, job.strength)
    inputs = (noise * draws.white_inputs(job.data_seed, (T, B, H))).astype(rnn.dtype)
    rnn = _with_biases(rnn, bias, job.networks.seeds)
    states = draws.initial_states(job.data_seed, B, H, rnn.dtype, len(rnn.layers))
    steps = {"burn_in": burn_in, "block_steps": block_steps}
    spectrum = lyapunov_spectrum(
        rnn, inputs, n_exponents=1, h0=states, n_threads=n_threads, **steps
    )
    targets = np.ones((T, B, 1), rnn.dtype)  # what no output is: the gradient never starts at 0
    batch = Sequences(inputs, targets).last_loss_only()
    reach = min(T - burn_in, T - 1)
    flow = gradient_flow(rnn, batch, max_lag=reach, windows=(), h0=states, n_threads=n_threads)
    growth = growth_rate(flow, (reach // 10, reach))
    return {
        "lyapunov_exponent": spectrum.exponents[:, 0],
        "standard_error": spectrum.standard_error[:, 0],
        "growth_rate": growth.rate,
        "growth_rate_error": growth.standard_error,
        "growth_live": growth.live,
    }


def _with_biases(rnn: Network, scale: float, seeds: tuple[int, ...]) -> Network:
    """The networks with frozen biases of this standard deviation in every layer."""
    layers = []
    for index, layer in enumerate(rnn.layers):
        frozen = scale * draws.frozen_biases(seeds, layer.b_h.shape[1], index)
        b_h = (layer.b_h + frozen).astype(layer.dtype)
        layers.append(layer.with_weights(layer.weights._replace(b_h=b_h)))
    return layers[0] if len(layers) == 1 else Stack(layers)


def _of_spectrum(found: LyapunovSpectrum, S: int) -> dict[str, FloatArray]:
    """What the exponents of states of S numbers say, network axis first."""
    running, error = found.running()
    result = {
        "lyapunov_exponent": np.where(found.resolved, found.exponents, np.nan),
        "standard_error": found.standard_error,
        "finite_time": found.finite_time[..., 0],
        "running": running[..., 0],
        "running_error": error[..., 0],
    }
    if found.exponents.shape[1] == S:
        low, high = found.kaplan_yorke_interval.T
        result |= {"kaplan_yorke": found.kaplan_yorke, "entropy_rate": found.entropy_rate}
        result |= {"kaplan_yorke_low": low, "kaplan_yorke_high": high}
    return result


def _number_of_exponents(n_exponents: Any, sizes: tuple[int, ...], kinds: tuple[Kind, ...]) -> int:
    H, most = max(sizes), max(kind.state_size(max(sizes)) for kind in kinds)
    if n_exponents is None:
        return most
    k = checks.whole_number("n_exponents", n_exponents, least=1)
    if k > most:
        times = "twice" if most == 2 * H else f"{most // H} times"
        what = f"the largest n_hidden {H}" if most == H else f"{times} the largest n_hidden, {most}"
        raise ValueError(f"`n_exponents` must be at most {what}, got {k}")
    return k


def _strengths(strength: npt.ArrayLike) -> tuple[float, ...]:
    values = labels.real_numbers("strength", strength)
    if min(values) < 0:
        raise ValueError(
            f"`strength` must not be negative, got {min(values):g}; it is a standard deviation, "
            "leave out the sign"
        )
    return values
