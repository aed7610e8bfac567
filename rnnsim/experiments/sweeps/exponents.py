"""Lyapunov exponents of many networks, arranged into labelled datasets."""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks, tasks
from rnnsim.checks import FloatArray
from rnnsim.data.sequences import Sequences
from rnnsim.dynamics.exponents import Blocks, LyapunovSpectrum, blocks_of
from rnnsim.dynamics.lyapunov import lyapunov_spectrum
from rnnsim.experiments import labels
from rnnsim.experiments.draws import paired_data, paired_networks
from rnnsim.experiments.sweeps.gradients import versions, with_progress
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.flow.reach import growth_rate
from rnnsim.networks.initialisation import SCHEMES
from rnnsim.networks.rnn import ACTIVATIONS, RNN
from rnnsim.parallel import thread_count

DRIVES = ("input", "bias")

Variable = tuple[tuple[str, ...], str, str]  # dims, units, long name

_RATE = "nats/step"
_NETWORK = ("n_hidden", "gain", "network_seed")
_POINT = ("strength", "gain", "network_seed")
_LYAPUNOV: dict[str, Variable] = {
    "lyapunov_exponent": ((*_NETWORK, "exponent"), _RATE, "Lyapunov exponent lambda_i"),
    "standard_error": ((*_NETWORK, "exponent"), _RATE, "standard error of lambda_i, from blocks"),
    "finite_time": (
        (*_NETWORK, "sequence", "time"),
        _RATE,
        "largest exponent over one block of steps",
    ),
    "running": ((*_NETWORK, "time"), _RATE, "largest exponent, from all blocks up to here"),
    "running_error": ((*_NETWORK, "time"), _RATE, "standard error of the running estimate"),
    "kaplan_yorke": (_NETWORK, "1", "Kaplan-Yorke dimension of the attractor"),
    "entropy_rate": (_NETWORK, _RATE, "sum of the positive Lyapunov exponents"),
}
_PHASE: dict[str, Variable] = {
    "lyapunov_exponent": (_POINT, _RATE, "largest Lyapunov exponent lambda_1"),
    "standard_error": (_POINT, _RATE, "standard error of lambda_1, from blocks"),
    "growth_rate": (_POINT, _RATE, "growth rate of ||dl_T/dh_{T-k}|| with lag k"),
    "growth_rate_error": (_POINT, _RATE, "standard error of the fit of growth_rate"),
}
_UNITS = {"gain": "1", "time": "steps", "strength": "1"}


def lyapunov_sweep(
    *,
    gain: npt.ArrayLike,
    n_hidden: int | Sequence[int] = 64,
    network_seeds: int | Sequence[int] = 5,
    n_exponents: int | None = None,
    n_steps: int = 2500,
    burn_in: int = 500,
    block_steps: int = 20,
    task: str = "characters",
    driven: bool = False,
    batch_size: int = 1,
    data_seed: int = 0,
    scheme: str = "gaussian",
    activation: str = "tanh",
    dtype: str = "float64",
    n_threads: int | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Lyapunov exponents over sizes, gains and network seeds, with or without a task's inputs.

    The networks are those of `sweep` with the same task, scheme, sizes and seeds, driven or not;
    gain scales the same draw.

    Parameters
    ----------
    gain, n_hidden, network_seeds, scheme, activation, dtype, n_threads, progress
        As in `sweep`, scheme and activation one of each.
    n_exponents : int, optional
        k, the largest ones; all unless given. Dimension and entropy rate are there where all are.
    n_steps, burn_in, block_steps : int
        As in `lyapunov_spectrum`, burn-in included in n_steps.
    task : str
        Whose number of inputs the networks have, and whose inputs they read where `driven`.
    driven : bool
        Read the inputs of the task, `batch_size` sequences of n_steps, drawn with `data_seed`.
        Otherwise the input is 0 and each network starts in batch_size states drawn from N(0, 1).

    Returns
    -------
    xarray.Dataset
        ``lyapunov_exponent``, ``standard_error`` (n_hidden, gain, network_seed, exponent); of the
        largest: ``finite_time`` (..., sequence, time), ``running``, ``running_error`` (..., time),
        `time` being the end of a block in steps after the burn-in; ``kaplan_yorke``,
        ``entropy_rate`` (n_hidden, gain, network_seed); nats per step. ``input_variance``: mean
        over steps and sequences of |x_t|^2/D, which is the variance of W_xh x_t over units. NaN
        where a smaller network has no such exponent.

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
    axes: dict[str, Any] = {
        "n_hidden": labels.whole_numbers("n_hidden", n_hidden),
        "gain": labels.real_numbers("gain", gain),
        "network_seed": labels.seeds("network_seeds", network_seeds),
    }
    options = _options(scheme, activation, dtype)
    sizes = tasks.sizes(checks.one_of("task", task, tasks.TASKS))
    threads = thread_count(n_threads)
    B = checks.whole_number("batch_size", batch_size, least=1)
    steps = checks.whole_number("n_steps", n_steps, least=1)
    blocks = blocks_of(steps, burn_in, block_steps, 1)
    k = _number_of_exponents(n_exponents, axes["n_hidden"])
    run = {"n_steps": steps, "burn_in": blocks.burn_in, "block_steps": blocks.steps}
    seed = checks.whole_number("data_seed", data_seed, least=0)
    drive = None
    if driven:
        drive = paired_data(task, steps, batch_size=B, seed=seed, dtype=dtype)
    axes |= {
        "exponent": tuple(range(1, k + 1)),
        "sequence": tuple(range(B)),
        "time": tuple(blocks.steps * (m + 1) for m in range(blocks.number)),
    }
    values, seeds = _empty(axes, _LYAPUNOV), axes["network_seed"]
    jobs = list(np.ndindex(len(axes["n_hidden"]), len(axes["gain"])))
    for i, j in with_progress(jobs, progress, description="Lyapunov exponents"):
        H, gains = axes["n_hidden"][i], [axes["gain"][j]] * len(seeds)
        found = lyapunov_spectrum(
            paired_networks(seeds, gains, sizes=sizes, n_hidden=H, **options),
            None if drive is None else drive.inputs,
            n_exponents=min(k, H),
            h0=_states(B, H, dtype) if drive is None else None,
            n_threads=threads,
            **run,
        )
        for name, array in _of_spectrum(found, H).items():
            values[name][(i, j, *(slice(size) for size in array.shape))] = array
    configuration = options | run | {"task": task, "driven": drive is not None}
    configuration |= {"batch_size": B, "data_seed": seed}
    provenance = {} if drive is None else drive.provenance
    variance = 0.0 if drive is None else float(np.square(drive.inputs, dtype=float).mean())
    attributes = {"units": "1", "long_name": "mean over steps of the variance of W_xh x_t"}
    dataset = _dataset(axes, values, _LYAPUNOV, configuration, provenance)
    return dataset.assign(input_variance=((), variance, attributes))


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
    dtype: str = "float64",
    n_threads: int | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Largest Lyapunov exponent and growth of gradients over gain and what drives the network.

    ::

        drive "input":  x_t = s xi_t, xi_t (B, H) white and Gaussian: (W_xh x_t)_i has deviation s
        drive "bias":   b_h = s beta, beta (H,) Gaussian, frozen; no input

    Both are measured on the same networks, states and inputs, over the same steps
    ``burn_in+1..n_steps``: lambda_1 forwards, and backwards the rate of ``||dl_T/dh_{T-k}||`` with
    lag k (`growth_rate`, without the first tenth of the lags) for a loss at the last step only.
    Sequences start in states drawn from N(0, 1). Draws are paired: xi depends on (data seed,
    sizes), W_hh and beta on the network seed; gain and strength scale them.

    Parameters
    ----------
    gain, network_seeds, batch_size, scheme, activation, dtype, n_threads, progress
        As in `sweep`, scheme and activation one of each.
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
        ``lyapunov_exponent``, ``standard_error``, ``growth_rate``, ``growth_rate_error``
        (strength, gain, network_seed), nats per step.

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
    """
    axes: dict[str, Any] = {
        "strength": _strengths(strength),
        "gain": labels.real_numbers("gain", gain),
        "network_seed": labels.seeds("network_seeds", network_seeds),
    }
    options = _options(scheme, activation, dtype)
    checks.one_of("drive", drive, DRIVES)
    threads = thread_count(n_threads)
    H = checks.whole_number("n_hidden", n_hidden, least=1)
    B = checks.whole_number("batch_size", batch_size, least=1)
    T = checks.whole_number("n_steps", n_steps, least=1)
    blocks = blocks_of(T, burn_in, None, 1)
    seed = checks.whole_number("data_seed", data_seed, least=0)
    networks = list(itertools.product(axes["gain"], axes["network_seed"]))
    gains, seeds = zip(*networks, strict=True)
    rnn = paired_networks(seeds, gains, sizes=(H, 1), n_hidden=H, **options)
    white = np.random.default_rng([seed, T, B, H]).standard_normal((T, B, H))
    frozen = np.array([np.random.default_rng([s, H]).standard_normal(H) for s in seeds])
    values = _empty(axes, _PHASE)
    jobs = list(enumerate(axes["strength"]))
    for i, s in with_progress(jobs, progress, description="phase diagram"):
        inputs, biases = (s, 0.0) if drive == "input" else (0.0, s)
        driven = rnn.with_weights(rnn.weights._replace(b_h=(biases * frozen).astype(rnn.dtype)))
        found = _both_ways(driven, (inputs * white).astype(rnn.dtype), blocks, threads)
        for name, array in found.items():
            values[name][i] = array.reshape(len(axes["gain"]), -1)
    configuration = options | {"drive": drive, "n_hidden": H, "n_steps": T, "data_seed": seed}
    configuration |= {"burn_in": blocks.burn_in, "batch_size": B}
    return _dataset(axes, values, _PHASE, configuration, {})


def _both_ways(
    rnn: RNN, inputs: FloatArray, blocks: Blocks, n_threads: int
) -> dict[str, FloatArray]:
    """lambda_1 forwards and the growth of gradients backwards, over the steps of the blocks."""
    T, B, _ = inputs.shape
    states = _states(B, rnn.n_hidden, rnn.dtype)
    spectrum = lyapunov_spectrum(
        rnn,
        inputs,
        n_exponents=1,
        burn_in=blocks.burn_in,
        block_steps=blocks.steps,
        h0=states,
        n_threads=n_threads,
    )
    targets = np.ones((T, B, 1), rnn.dtype)  # what no output is: the gradient never starts at 0
    batch = Sequences(inputs, targets).last_loss_only()
    reach = min(T - blocks.burn_in, T - 1)
    flow = gradient_flow(rnn, batch, max_lag=reach, h0=states, n_threads=n_threads)
    growth = growth_rate(flow, (reach // 10, reach))
    return {
        "lyapunov_exponent": spectrum.exponents[:, 0],
        "standard_error": spectrum.standard_error[:, 0],
        "growth_rate": growth.rate,
        "growth_rate_error": growth.standard_error,
    }


def _of_spectrum(found: LyapunovSpectrum, H: int) -> dict[str, FloatArray]:
    """Variables of `_LYAPUNOV`, network axis first."""
    running, error = found.running()
    result = {
        "lyapunov_exponent": found.exponents,
        "standard_error": found.standard_error,
        "finite_time": found.finite_time[..., 0],
        "running": running[..., 0],
        "running_error": error[..., 0],
    }
    if found.exponents.shape[1] == H:
        result |= {"kaplan_yorke": found.kaplan_yorke, "entropy_rate": found.entropy_rate}
    return result


def _options(scheme: str, activation: str, dtype: str) -> dict[str, str]:
    return {
        "scheme": checks.one_of("scheme", scheme, SCHEMES),
        "activation": checks.one_of("activation", activation, ACTIVATIONS),
        "dtype": checks.one_of("dtype", dtype, ("float32", "float64")),
    }


def _number_of_exponents(n_exponents: Any, sizes: tuple[int, ...]) -> int:
    if n_exponents is None:
        return max(sizes)
    k = checks.whole_number("n_exponents", n_exponents, least=1)
    if k > max(sizes):
        raise ValueError(
            f"`n_exponents` must be at most the largest n_hidden {max(sizes)}, got {k}"
        )
    return k


def _strengths(strength: npt.ArrayLike) -> tuple[float, ...]:
    values = labels.real_numbers("strength", strength)
    if min(values) < 0:
        raise ValueError(
            f"`strength` must not be negative, got {min(values):g}; it is a standard deviation, "
            "leave out the sign"
        )
    return values


def _states(n_sequences: int, n_hidden: int, dtype: npt.DTypeLike) -> FloatArray:
    """Initial states from N(0, 1), the same for all networks of a size."""
    draw = np.random.default_rng([n_sequences, n_hidden]).standard_normal((n_sequences, n_hidden))
    return draw.astype(dtype)


def _empty(axes: Mapping[str, Any], variables: Mapping[str, Variable]) -> dict[str, FloatArray]:
    return {
        name: np.full([len(axes[dim]) for dim in dims], np.nan)
        for name, (dims, _, _) in variables.items()
    }


def _dataset(
    axes: Mapping[str, Any],
    values: Mapping[str, FloatArray],
    variables: Mapping[str, Variable],
    configuration: Mapping[str, Any],
    provenance: Mapping[str, str],
) -> xr.Dataset:
    coords = {
        axis: (axis, list(values), {"units": _UNITS[axis]} if axis in _UNITS else {})
        for axis, values in axes.items()
    }
    data = {
        name: (dims, values[name], {"units": units, "long_name": long_name})
        for name, (dims, units, long_name) in variables.items()
    }
    known = {axis: axes[axis] for axis in ("n_hidden", "gain", "strength") if axis in axes}
    attributes = {
        "configuration": json.dumps(dict(configuration) | known),
        "provenance": json.dumps(dict(provenance)),
        "versions": json.dumps(versions()),
    }
    return xr.Dataset(data, coords, attributes)
