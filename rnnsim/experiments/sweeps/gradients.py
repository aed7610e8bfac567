"""Batched experiments: arrange many ensembles into one labelled dataset."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks, tasks
from rnnsim.data.datasets import Variable
from rnnsim.experiments import labels
from rnnsim.experiments.catalogue.sweeps import LAYERS, LOSS_UNITS, MEASURES
from rnnsim.experiments.cells import Cells, cells_of, exists
from rnnsim.experiments.draws import sizes_of
from rnnsim.experiments.own.border import check_seeds, takes_own
from rnnsim.experiments.own.data import Made, Source, Task, label_of
from rnnsim.experiments.own.networks import OwnWeights
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.engine import Executor, Store, is_scaled
from rnnsim.experiments.study import Memory, Place, Study, check_memory, flow_bytes, grid
from rnnsim.experiments.sweeps.measures import OF_NETWORK, Job, draw_data, lags_needed, measure
from rnnsim.networks.cells import CELLS
from rnnsim.networks.rnn import ACTIVATIONS

TRUNCATIONS = ("sliding", "segments")
_NOTHING_YET: dict[str, Any] = {
    "task": "", "scheme": "", "activation": "", "n_hidden": 0, "gains": (), "network_seeds": (),
    "data_seed": 0, "length": 0,
}  # fmt: skip
_JOB_BYTES = 200e6  # results of one ensemble call; larger ensembles are cut


@takes_own()
def sweep(
    task: Task = None,
    *,
    gain: npt.ArrayLike | None = None,
    length: int | Sequence[int] | None = None,
    n_hidden: int | Sequence[int] = 64,
    network_seeds: int | Sequence[int] = 5,
    data_seeds: int | Sequence[int] = 1,
    batch_size: int = 16,
    scheme: str | Sequence[str] = "gaussian",
    activation: str | Sequence[str] = "tanh",
    cell: str | Sequence[str] = "vanilla",
    forget_bias: npt.ArrayLike = 0.0,
    n_layers: int | Sequence[int] = 1,
    measures: str | Sequence[str] = ("gradients", "lags", "truncation", "slopes", "spectrum"),
    truncation: str | Sequence[str] = "sliding",
    windows: Sequence[int] | None = None,
    lags: Sequence[int] | None = None,
    tolerance: float = 0.1,
    last_loss_only: bool = False,
    task_options: Mapping[str, Any] | None = None,
    weights: OwnWeights = None,
    dtype: str = "float64",
    max_memory: float = 8e9,
    n_threads: int | None = None,
    progress: bool = False,
    executor: Executor | None = None,
    store: Store | None = None,
) -> xr.Dataset:
    """Measure gradients over gain x network seed x data seed x length x window (and more).

    Comparisons are paired: the network draw depends on (network seed, scheme, sizes, cell), the
    data draw on (data seed, task, length, batch size); gain scales the same draw, the forget bias
    is added to one of its biases; activation, windows, the order of values and the number of
    threads change nothing. Networks that share a length and a batch run as one ensemble, and all
    sliding windows come from one pass.

    Parameters
    ----------
    task : str, Sequences or callable, or several
        Of `rnnsim.tasks`: copy_memory, echo, adding, temporal_order, characters, sentences, digits;
        or data of your own, in float64 or float32 as the sweep (`Sequences.astype`). `Sequences`
        are read from the beginning, all steps unless `length` says less, and all sequences unless
        `batch_size` does, which are then drawn by the data seed; their identity is their checksum.
        A function at the top level of a module is called as ``task(length, n_sequences, rng)`` and
        returns `Sequences`; its identity is its name. Networks have as many outputs as there are
        class ids in the data. White noise unless given, with `weights` alone.
    gain, length, n_hidden : number or several
        Scale of W_hh, T, H; gain and length must be given but for `weights` and `Sequences`.
    network_seeds, data_seeds : int or sequence of int
        A number n stands for seeds 0..n-1.
    batch_size : int
        B.
    scheme, activation : str or several
        Of `rnnsim.SCHEMES` or "pytorch", as in `RNN.sample`, which says what they are. LSTMs and
        GRUs have phi of their own, and stand at "tanh" alone.
    cell : {"vanilla", "lstm", "gru"} or several
        Norms dl/dh of LSTMs are of their whole state (h, c). Windows of gated cells are held
        against the gradient of W_hh, W_xh and b_h together, norms and cancellation are of W_hh.
    forget_bias : float or several
        As in `RNN.sample`. Vanilla networks have no such gate: beside others they stand at 0 alone.
    n_layers : int or several
        L. Of 2 and more a `Stack`, whose layers begin with those of a shallower one: norms dl/dh
        are then of the states of all layers, each with the others held fixed, dL/dh_t of all
        layers by all paths, norms and cancellation of W_hh of all layers together, and windows are
        held against W_hh, W_xh and b_h of all of them (`sufficient_window`: of each, the largest).
        `depth_sweep` has windows, rates and exponents of every layer.
    measures : str or several
        "gradients": loss, full norms, per unit of loss weight, cancellation, overflow flag.
        "steps": norms of the temporal contributions and of dL/dh_t against t.
        "truncation": norm, error and cosine of every window, and the window that suffices.
        "lags": norms against lag with their spread, fitted growth rate, change over all lags; with
        stacks also norms into h of every layer.
        "map": norms by step and lag. "slopes": mean phi', saturated fraction.
        "spectrum": eigenvalues, singular values, radius, norm, departure from normality of W_hh.
        NaN of gated cells, whose W_hh stacks blocks and which have no single slope either, and of
        stacks, where no one W_hh says what a step does, as `jacobian_sweep` does.
        "nonnormality": numerical radius and abscissa, Kreiss constant, condition and participation
        of eigenvectors of W_hh (`rnnsim.nonnormality`); a tenth to half a second for each
        draw of 64 units, at any number of gains.
    truncation : {"sliding", "segments"} or both
        Stride 1, or stride = window.
    windows : sequence of int, optional
        Truncation windows; every one up to the longest length unless given, and with segments,
        each of which costs a pass of its own, two per octave.
    lags : sequence of int, optional
        Lags to keep; every one unless given.
    tolerance : float
        Relative error at which a window suffices.
    last_loss_only : bool
        Keep only the loss of the last step that carries loss.
    weights : RNN, Stack or path, optional
        Networks of your own in place of those that are drawn, in memory or in a file that
        `rnnsim.read_network` reads: n_hidden, cell, n_layers, activation and, unless told, dtype
        are theirs, `network_seed` counts them, scheme is "own", and gain, 1 unless given, scales
        their W_hh. Without a readout the loss is a random linear functional of the states, whose
        derivatives dl_t/dh_t are from N(0, 1) at the steps with loss.
    task_options : mapping, optional
        Further keywords of the task, such as ``{"order": "pixels"}``.
    dtype : {"float64", "float32"}
    max_memory : float
        Bytes that dataset and working arrays may take together; more is refused at the start.
    n_threads : int, optional
        All cores unless given.
    progress : bool
        Show a progress bar (only on a terminal): jobs done, and the time left.
    executor : concurrent.futures.Executor, optional
        What runs the jobs, each on one thread: a ProcessPoolExecutor, dask's
        ``client.get_executor(pure=False)``; this process unless given. It changes no bit.
    store : path, optional
        Folder that keeps every job that is done, as it is done: the same call goes on where it was
        stopped, by whatever. `rnnsim.load` gives what is there so far.

    Returns
    -------
    xarray.Dataset
        Axes task, scheme, activation, n_hidden, gain, network_seed, data_seed, length, and where
        they apply truncation, window, layer, lag, time, unit; in front cell, forget_bias and
        n_layers, where they are given (not vanilla, 0, 1). NaN where a shorter length does not
        reach, and at labels that cannot be combined.
        Units and long names are attributes of the variables; configuration, provenance of the
        data and versions are attributes of the dataset.

    Raises
    ------
    TypeError, ValueError
        Unknown names, empty or repeated axes, sizes below 1, a length that a task cannot have.
        Functions that no other process could import; data and networks of one's own that do not
        fit, or that other arguments contradict; several data seeds of one whole batch. No
        executor, or one that is shut down; jobs that cannot be pickled; a store that is a file, in
        use, or of another sweep or version, with the first difference.
    MemoryError
        The estimate exceeds `max_memory`; nothing has been computed.
    OSError
        The store cannot be written.
    RuntimeError
        The executor broke down.

    Warns
    -----
    UserWarning
        A function: edits of it go unseen. Of an executor or a store: jobs that failed, and why;
        their values are NaN.

    Examples
    --------
    >>> data = sweep("adding", gain=[0.5, 1.0], length=20, n_hidden=8, network_seeds=2)
    >>> data.log_gradient_norm.sizes["gain"], data.window.size
    (2, 20)

    A batch and a network of one's own:

    >>> import rnnsim
    >>> batch = rnnsim.tasks.adding(12, 3, rng=0)
    >>> rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=4, n_outputs=1, rng=0)
    >>> own = sweep(batch, weights=rnn, measures="gradients")
    >>> bool(own.loss == rnnsim.bptt(rnn, batch).loss), own.scheme.values.tolist()
    (True, ['own'])
    """
    measures = labels.names("measures", measures, MEASURES)
    truncation = labels.names("truncation", truncation, TRUNCATIONS)
    cells = cells_of(cell, forget_bias, activation, n_layers)
    lengths = labels.sizes("length", length)
    axes: dict[str, tuple[Any, ...]] = {
        "task": labels.tasks_of(task),
        "scheme": labels.schemes(scheme, weights),
        "activation": labels.names("activation", activation, ACTIVATIONS),
        "n_hidden": labels.sizes("n_hidden", n_hidden),
        "gain": labels.real_numbers("gain", gain),
        "network_seed": labels.seeds("network_seeds", network_seeds),
        "data_seed": labels.seeds("data_seeds", data_seeds),
        "length": lengths,
        "truncation": truncation,
        "window": _windows(windows, max(lengths), truncation),
        "lag": tuple(range(max(lengths)))
        if lags is None
        else labels.whole_numbers("lags", lags, least=0),
        "time": tuple(range(1, max(lengths) + 1)),
    }
    axes |= {"unit": tuple(range(max(axes["n_hidden"]))), "layer": cells.layers}
    template = Job(
        **_NOTHING_YET,
        task_options=_options(task_options, axes["task"]),
        batch_size=checks.size("batch_size", batch_size),
        **labels.of_draws(dtype=dtype),
        last_loss_only=checks.boolean("last_loss_only", last_loss_only),
        measures=measures,
        truncation=truncation,
        windows=axes["window"],
        lags=axes["lag"],
        tolerance=checks.real_number("tolerance", tolerance, above=0.0, below=1.0),
        by_layer=bool(cells.layers),
        own=weights,
    )
    check_seeds(axes["task"], axes["data_seed"], template.batch_size)
    tried = _try_data(axes, template)
    labelled = axes | {"task": tuple(map(label_of, axes["task"]))}
    study = Study(
        "sweep", cells.axes | labelled, _variables(measures, tried.classes, cells), [], measure,
        _configuration(labelled, template) | cells.settings, tried.provenance,
        _memory(axes, template, tried, cells),
    )  # fmt: skip
    check_memory(study, n_threads, max_memory)
    gains = 1 if is_scaled(executor, store) else len(axes["gain"])  # of a job
    most = gains * len(axes["network_seed"])
    study = study._replace(jobs=list(_jobs(axes, template, tried, cells, most)))
    return run(study, n_threads=n_threads, progress=progress, executor=executor, store=store)


class _Tried(NamedTuple):
    """What is known of the data: origin, loss steps by task and length, kinds of targets, sizes."""

    provenance: dict[str, str]
    loss_steps: dict[tuple[str, int], int]
    classes: set[bool]
    sizes: dict[str, tuple[int, int]]


def _jobs(
    axes: Mapping[str, tuple[Any, ...]], template: Job, tried: _Tried, cells: Cells, most: int
) -> Iterator[tuple[Place, Job]]:
    """All ensembles of the sweep, each with its place; gains and seeds run together, `most`."""
    outer = ("task", "scheme", "activation", "n_hidden", "data_seed", "length")
    place, chosen = grid(axes, "gain", "network_seed")
    points = itertools.product(*(range(len(axes[axis])) for axis in outer))
    for kind, indices in itertools.product(cells.kinds, points):
        fixed = dict(zip(outer, indices, strict=True))
        values = {axis: axes[axis][i] for axis, i in fixed.items()} | kind.options
        # What W_hh alone says depends on neither data nor activation: the first job measures it.
        first = all(fixed[axis] == 0 for axis in ("activation", "data_seed", "length"))
        known = first and kind.has_matrix  # of others W_hh says nothing alone
        kept = tuple(m for m in template.measures if m not in OF_NETWORK or known)
        if not kept or not exists(values["cell"], values["activation"]):
            continue
        of_cell, name = replace(template, **kind.options), label_of(values["task"])
        per_network = _flow_bytes(
            of_cell, tried.loss_steps[name, values["length"]], values["length"]
        )
        size = min(most, max(1, int(_JOB_BYTES / per_network)))
        for start in range(0, len(place["gain"]), size):
            some = slice(start, start + size)
            yield (
                kind.place | fixed | {axis: at[some] for axis, at in place.items()},
                replace(
                    template,
                    **values,
                    measures=kept,
                    sizes=tried.sizes[name],
                    gains=chosen["gain"][some],
                    network_seeds=chosen["network_seed"][some],
                ),
            )


def _try_data(axes: Mapping[str, tuple[Any, ...]], template: Job) -> _Tried:
    """Draw every kind of batch once: what a task cannot do is refused before anything starts.

    Of data that a function makes every batch, as any may have the largest class id.
    """
    found = _Tried({} if template.own is None else template.own.provenance, {}, set(), {})
    for task in axes["task"]:
        name, batches = label_of(task), []
        seeds = axes["data_seed"] if isinstance(task, Made) else axes["data_seed"][:1]
        for length, seed in itertools.product(axes["length"], seeds):
            job = replace(template, task=task, length=length, data_seed=seed)
            with checks.renamed(n_steps="`length`", n_sequences="`batch_size`"):
                batches.append(draw_data(job))
            origin = batches[-1].provenance.items()
            found.provenance.update({f"{name}.{key}": value for key, value in origin})
            steps = int(batches[-1].loss_steps.size)
            found.loss_steps[name, length] = max(found.loss_steps.get((name, length), 0), steps)
            found.classes.add(batches[-1].has_classes)
        found.sizes[name] = sizes_of(task, batches, template.own, dict(template.task_options))
    return found


def _flow_bytes(template: Job, loss_steps: int, length: int) -> float:
    """Results of one network's gradient flow."""
    sequences = template.batch_size if "lags" in template.measures else 0
    n_lags = lags_needed(replace(template, length=length))
    flows = template.n_layers + 1 if template.n_layers > 1 else 1  # of each layer, and of all
    return flows * flow_bytes(n_lags, loss_steps, sequences, cell=template.cell) + 1


def _memory(
    axes: Mapping[str, tuple[Any, ...]],
    template: Job,
    tried: _Tried,
    cells: Cells,
) -> Memory:
    networks = len(axes["gain"]) * len(axes["network_seed"])
    L, cell = len(cells.layers) or 1, "lstm" if "lstm" in cells.names else "vanilla"
    template = replace(template, cell=cell, n_layers=L)
    ensemble = max(
        min(networks, max(1, _JOB_BYTES / _flow_bytes(template, s, length)))
        * _flow_bytes(template, s, length)
        for (_, length), s in tried.loss_steps.items()
    )
    D, V = np.max(list(tried.sizes.values()), axis=0)
    H, T, B = max(axes["n_hidden"]), max(axes["length"]), template.batch_size
    G = max(len(CELLS[name].gates) for name in cells.names)
    return Memory(
        job=ensemble + 8.0 * networks * H * (G * (2 * L * H + D + (L - 1) * H) + V),
        thread=np.dtype(template.dtype).itemsize * T * B * (8.0 * G * H + 2 * (H + D) + V) * L,
        advice="ask for fewer lags, windows or measures, or shorter lengths, or raise `max_memory`",
    )


def _options(
    task_options: Mapping[str, Any] | None, names: tuple[str | Source, ...]
) -> tuple[tuple[str, Any], ...]:
    """As plain data, whatever their order."""
    if task_options is None:
        return ()
    given = checks.mapping("task_options", task_options, '{"order": "pixels"}')
    with checks.renamed(options="`task_options`"):
        for name in names:
            if not isinstance(name, str):
                raise ValueError(
                    f"`task_options` are keywords of named tasks, and {label_of(name)} has none, "
                    f"got {checks.shown(given)}; leave them out"
                )
            tasks.sizes(name, **given)
    return tuple(sorted(given.items()))


def _configuration(axes: Mapping[str, tuple[Any, ...]], template: Job) -> dict[str, Any]:
    """All settings, but for labels that are coordinates."""
    left_out = "gains network_seeds windows lags time unit layer by_layer".split()
    left_out += ("cell", "forget_bias", "n_layers", "sizes", "own")
    found = asdict(replace(template, own=None)) | dict(axes)
    kept = {name: value for name, value in found.items() if name not in left_out}
    return kept if template.own is None else kept | {"weights": template.own.label}


def _variables(measures: tuple[str, ...], classes: set[bool], cells: Cells) -> dict[str, Variable]:
    """In the order of the catalogue, whatever that of the measures; losses with their unit."""
    tables = (table for kind, table in MEASURES.items() if kind in measures)
    found = {name: variable for table in tables for name, variable in table.items()}
    found |= LAYERS if "lags" in measures and cells.layers else {}
    if "loss" in found:
        unit = LOSS_UNITS[True] if classes == {True} else LOSS_UNITS[False]
        if len(classes) > 1:
            unit = f"{LOSS_UNITS[True]} (classes), {LOSS_UNITS[False]} (numbers)"
        found["loss"] = found["loss"]._replace(units=unit)
    return cells.on_axes(found)


def _windows(
    windows: Sequence[int] | None, longest: int, truncation: tuple[str, ...]
) -> tuple[int, ...]:
    if windows is not None:
        return tuple(sorted(labels.whole_numbers("windows", windows)))
    if truncation == ("sliding",):
        return tuple(range(1, longest + 1))
    octaves = np.round(2.0 ** np.arange(0.0, np.log2(longest) + 0.01, 0.5)).astype(int)
    return tuple(sorted({*octaves[octaves < longest].tolist(), longest}))
