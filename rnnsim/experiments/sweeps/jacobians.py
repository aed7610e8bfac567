"""Singular values of products of Jacobians of many networks, arranged into a labelled dataset."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks
from rnnsim.dynamics.jacobians import jacobian_products
from rnnsim.dynamics.lyapunov import lyapunov_spectrum
from rnnsim.experiments import draws, labels
from rnnsim.experiments.catalogue.sweeps import JACOBIANS
from rnnsim.experiments.cells import cells_of
from rnnsim.experiments.own.border import takes_own
from rnnsim.experiments.own.data import Source, Task, label_of
from rnnsim.experiments.own.networks import OwnWeights, named, origin
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.engine import Executor, Store
from rnnsim.experiments.study import Found, Place, Study

_LAGS = (1, 2, 5, 10, 20, 50, 100)
_EXPONENT_STEPS = 1000


class Job(NamedTuple):
    """Networks of one scheme and gain, a batch for the products, another for the exponents."""

    networks: draws.Networks
    batch: draws.Data
    drive: draws.Data
    lags: tuple[int, ...]


@takes_own()
def jacobian_sweep(
    *,
    gain: npt.ArrayLike | None = None,
    scheme: str | Sequence[str] = ("gaussian", "orthogonal", "identity"),
    lags: Iterable[int] | None = None,
    length: int = 200,
    n_hidden: int = 64,
    network_seeds: int | Sequence[int] = 3,
    batch_size: int = 2,
    data_seed: int = 0,
    exponent_steps: int | None = None,
    task: Task = "characters",
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
    """How products of Jacobians stretch and shrink, for several initialisations and gains.

    ::

        P_{t,k} = dh_t/dh_{t-k} = J_t ... J_{t-k+1}      ln sigma_1 >= ... >= ln sigma_H
        (ln sigma_i) / k -> lambda_i                     k -> infinity

    t is the last step that carries loss, h of an LSTM its whole state (h, c), with 2 H singular
    values and exponents, of a stack the states of all L layers, with L times as many. Dynamical
    isometry is ln sigma_i = 0 for all i. The networks are those of `sweep` with the same task,
    scheme, sizes and seeds; gain scales the same draw. `jacobian_products` says how the singular
    values are found and what rounding leaves of them. The Lyapunov exponents come from B longer
    sequences of the same task, other ones, without their first tenth (`lyapunov_spectrum`).

    Parameters
    ----------
    gain, scheme, network_seeds, activation, cell, forget_bias, n_layers, dtype, progress
        As in `sweep`, activation one of them.
    lags : iterable of int, optional
        k, ascending, from 1 to the last step with loss; 1, 2, 5, 10, 20, 50 and 100, those that are
        there, unless given.
    length : int
        T of the sequences of the task.
    n_hidden, batch_size : int
        H and B.
    data_seed : int
        Of all sequences.
    exponent_steps : int, optional
        Length of the sequences that the Lyapunov exponents come from, at least 23; 1000 unless
        given, or as many as data of your own have: of a batch that was given, the same sequences.
    task : str, Sequences or callable
        One of `rnnsim.tasks`: copy_memory, echo, adding, temporal_order, characters, sentences,
        digits; or data of your own, as in `sweep`. It must have sequences of both lengths.
    weights : RNN, Stack or path, optional
        Networks of your own, as in `sweep`.
    n_threads : int, optional
        Of the Lyapunov exponents; all cores unless given.
    executor, store
        As in `sweep`.

    Returns
    -------
    xarray.Dataset
        ``log_singular_value`` and ``rounding`` (scheme, gain, network_seed, sequence, lag, unit)
        in nats, ``gradient_overlap`` (..., lag), and ``lyapunov_exponent`` (scheme, gain,
        network_seed, unit) in nats per step, NaN where precision does not resolve one of a gated
        cell; the attribute ``configuration`` has the rest. With axes cell, forget_bias and
        n_layers in front where they are given; NaN where a network has fewer values than others.

    Raises
    ------
    TypeError, ValueError
        As in `sweep`, `jacobian_products` and `lyapunov_spectrum`; before anything is computed.

    Examples
    --------
    >>> data = jacobian_sweep(scheme="orthogonal", gain=[0.9, 2], activation="linear", length=30,
    ...                       lags=[1, 20], n_hidden=6, network_seeds=1, exponent_steps=50)
    >>> data.log_singular_value.sel(lag=20).max(["sequence", "unit"]).values.round(3).ravel()
    array([-2.107, 13.863])
    """
    cells = cells_of(cell, forget_bias, activation, n_layers)
    axes: dict[str, Any] = {
        "scheme": labels.schemes(scheme, weights),
        "gain": labels.real_numbers("gain", gain),
        "network_seed": labels.seeds("network_seeds", network_seeds),
    }
    H = checks.size("n_hidden", n_hidden)
    options = labels.of_draws(activation=activation, dtype=dtype)
    source = labels.task_of(task)
    B = checks.size("batch_size", batch_size)
    seed = checks.whole_number("data_seed", data_seed, least=0)
    asked = _exponent_steps(source) if exponent_steps is None else exponent_steps
    steps = checks.size("exponent_steps", asked, least=23)  # 20 blocks and a tenth
    T = checks.size("length", length)
    data = draws.Data(source, T, B, seed, dtype, weights)
    drive = data._replace(length=steps, inputs_only=True)
    with checks.renamed(n_steps="`length`", n_sequences="`batch_size`"):
        batch = data.draw()
    with checks.renamed(n_steps="`exponent_steps`", n_sequences="`batch_size`"):
        drive.draw()  # what the task cannot do is refused here
    last, sizes = int(batch.loss_steps[-1]), data.sizes(batch)
    axes |= {"sequence": tuple(range(B)), "lag": _lags(lags, last)}
    axes["unit"] = tuple(range(max(kind.state_size(H) for kind in cells.kinds)))
    jobs: list[tuple[Place, Job]] = []
    for kind, (i, drawn), (j, g) in itertools.product(
        cells.kinds, enumerate(axes["scheme"]), enumerate(axes["gain"])
    ):
        seeds = axes["network_seed"]
        networks = draws.Networks(
            seeds, (g,) * len(seeds), sizes, H, drawn, **options, **kind.options, own=weights
        )
        place = {**kind.place, "scheme": i, "gain": j}
        jobs.append((place, Job(networks, data, drive, axes["lag"])))
    configuration = options | {
        "task": label_of(source), "n_hidden": H, "length": batch.n_steps, "batch_size": B,
        "data_seed": seed, "exponent_steps": steps, "step": last,
    }  # fmt: skip
    study = Study(
        "Jacobian products", cells.axes | axes, cells.on_axes(JACOBIANS), jobs, measure,
        configuration | cells.settings | named(weights), {**batch.provenance, **origin(weights)},
    )  # fmt: skip
    return run(study, n_threads=n_threads, progress=progress, executor=executor, store=store)


def measure(job: Job, n_threads: int) -> Found:
    """Singular values of products and Lyapunov exponents, network axis first."""
    rnn = job.networks.draw()
    found = jacobian_products(rnn, job.batch.draw(), lags=job.lags)
    spectrum = lyapunov_spectrum(rnn, job.drive.draw().inputs, n_threads=n_threads)
    return {
        "log_singular_value": found.log_singular_values,
        "rounding": found.rounding,
        "gradient_overlap": found.gradient_overlap,
        "lyapunov_exponent": np.where(spectrum.resolved, spectrum.exponents, np.nan),
    }


def _exponent_steps(source: str | Source) -> int:
    """As many as there are, at most a thousand."""
    most = None if isinstance(source, str) else source.longest
    return _EXPONENT_STEPS if most is None else min(most, _EXPONENT_STEPS)


def _lags(lags: Any, last: int) -> tuple[int, ...]:
    """Refused here, before the first of many networks is drawn."""
    if lags is None:
        return tuple(lag for lag in _LAGS if lag <= last)
    wanted = labels.whole_numbers("lags", checks.entries("lags", lags) or lags)
    if checks.descent(wanted) or wanted[-1] > last:
        raise ValueError(
            f"`lags` must ascend and end at {last} at most, the last step that carries loss, got "
            f"{list(wanted)}; sort them, drop the longer ones or give a larger `length`"
        )
    return wanted
