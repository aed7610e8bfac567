"""All that is known about one network: spectra, theory, exponents, and its gradients on a batch."""

from typing import Any

import xarray as xr

from rnnsim import checks
from rnnsim.experiments import draws, labels
from rnnsim.experiments.catalogue.networks import (
    PORTRAIT,
    PORTRAIT_BY_SEQUENCE,
    of_gated,
    of_stack,
)
from rnnsim.experiments.cells import cells_of
from rnnsim.experiments.own.border import takes_own
from rnnsim.experiments.own.data import Source, Task, label_of
from rnnsim.experiments.own.networks import Own, OwnWeights, origin
from rnnsim.experiments.portraits.parts import (
    GATED_PARTS,
    PARTS,
    STACK_PARTS,
    Job,
    Subject,
    by_step,
    measure,
    points,
)
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.engine import Executor, Store
from rnnsim.experiments.study import Memory, Study, check_memory, flow_bytes
from rnnsim.networks.cells import CELLS
from rnnsim.networks.stack import Network, has_layers
from rnnsim.networks.states import state_size

_LEAST_LENGTH = 22  # a burn-in and 20 blocks of one step for the exponents
_STATE_PARTS = ("h", "c", "path through c")


@takes_own()
def portrait(
    task: Task = "characters",
    *,
    scheme: str = "gaussian",
    gain: float = 1.5,
    n_hidden: int = 64,
    seed: int = 0,
    weights: OwnWeights = None,
    activation: str = "tanh",
    cell: str = "vanilla",
    forget_bias: float = 0.0,
    n_layers: int = 1,
    length: int = 200,
    batch_size: int = 16,
    tolerance: float = 0.1,
    dtype: str = "float64",
    max_memory: float = 2e9,
    n_threads: int | None = None,
    progress: bool = False,
    executor: Executor | None = None,
    store: Store | None = None,
) -> xr.Dataset:
    """Spectra, Lyapunov exponents and gradient flow of one network, beside what theory says.

    Parameters
    ----------
    task : str, Sequences or callable
        One of `rnnsim.tasks`: copy_memory, echo, adding, temporal_order, characters, sentences,
        digits; or data of your own, as in `sweep`.
    scheme, gain, n_hidden, seed
        The network, drawn as `sweep` draws it.
    weights : RNN, Stack or path, optional
        A network of your own in place of these, as in `sweep`; `seed` says which, of several. It
        reads the usual task if its sizes fit, else white noise, unless it is told what.
    activation, cell, forget_bias, dtype
        As in `RNN.sample`.
    n_layers : int
        L, of a `Stack` where it is more than 1.
    length, batch_size : int
        T, at least 22, and B.
    tolerance : float
        As in `sufficient_window`.
    max_memory : float
        Bytes that the dataset and the norms of all steps, lags and sequences may take together.
    n_threads, progress, executor, store
        As in `sweep`.

    Returns
    -------
    xarray.Dataset
        Spectra (unit), exponents (unit; also by sequence), log_norms (sequence, lag), log_norm_map
        (column, lag): a column is a step that carries loss, or a sequence where few steps do.
        truncation_log_error (window), and single numbers; each says what it is and its unit. Of an
        LSTM or GRU unit counts the numbers of its state (h, c), and in place of what W_hh of a
        vanilla network says: singular values of each gate's block (gate, direction), eigenvalues
        of the Jacobians of 8 steps (point, unit), windows by gate; norms of h, of c and of the path
        through c (part, lag). Of a stack of any cell likewise, with the numbers of all layers, the
        blocks of each ("1: i", or "layer 1" of vanilla networks), errors and windows by layer, and
        norms into h of every layer, by all paths.

    Raises
    ------
    TypeError, ValueError
        As `sweep`; a file that holds no network.
    MemoryError
        The estimate exceeds `max_memory`.

    Examples
    --------
    >>> data = portrait(n_hidden=8, length=30, batch_size=2)
    >>> data.log_norms.dims, data.log_norms.shape, data.attrs["provenance"][:21]
    (('sequence', 'lag'), (2, 30), '{"task": "characters"')
    """
    settings = labels.recorded(locals())
    labels.of_draws(weights, scheme=scheme, activation=activation, dtype=dtype)
    checks.one_of("cell", cell, CELLS)
    bias = checks.real_number("forget_bias", forget_bias)
    cells_of(cell, bias, activation)
    H = checks.size("n_hidden", n_hidden)
    subject = subject_of(
        labels.task_of(task),
        checks.size("length", length, least=_LEAST_LENGTH),
        batch_size=checks.size("batch_size", batch_size),
        networks=(scheme, checks.real_number("gain", gain), H, seed),
        weights=weights, activation=activation, dtype=dtype, cell=cell, forget_bias=bias,
        n_layers=checks.size("n_layers", n_layers),
    )  # fmt: skip
    checks.real_number("tolerance", tolerance, above=0.0, below=1.0)
    rnn, batch = subject.rnn, subject.sequences
    T, B, steps = batch.n_steps, batch.n_sequences, batch.loss_steps
    job = Job("", subject, "" if weights is not None else scheme, gain, tolerance)
    parts, variables = PARTS, PORTRAIT if by_step(batch) else PORTRAIT_BY_SEQUENCE
    if has_layers(rnn):
        parts, variables = STACK_PARTS, of_stack(variables)
    elif rnn.cell != "vanilla":
        parts, variables = GATED_PARTS, of_gated(variables)
    own = {} if rnn.cell == "vanilla" else {"cell": rnn.cell, "forget_bias": bias}
    own |= {"n_hidden": rnn.n_hidden, "n_layers": len(rnn.layers), "reads": subject.reads}
    study = Study(
        name="portrait",
        axes=_axes(subject),
        variables=variables,
        jobs=[({}, job._replace(part=part)) for part in parts],
        measure=measure,
        configuration=settings | own,
        provenance={**batch.provenance, **origin(weights)},
        memory=Memory(
            job=len(rnn.layers) * flow_bytes(T, steps.size, B, cell=rnn.cell),
            advice="give a smaller `length` or `batch_size`, or raise `max_memory`",
        ),
    )
    check_memory(study, n_threads, max_memory)
    return run(study, n_threads=n_threads, progress=progress, executor=executor, store=store)


def _axes(subject: Subject) -> dict[str, Any]:
    rnn, batch, _ = subject
    T, B = batch.n_steps, batch.n_sequences
    columns = batch.loss_steps.tolist() if by_step(batch) else range(1, B + 1)
    return {
        "unit": state_size(rnn),
        "gate": _blocks(rnn),
        "direction": rnn.n_hidden,
        "layer": tuple(range(1, len(rnn.layers) + 1)),
        "part": _parts(rnn),
        "point": tuple(points(T)),
        "sequence": B,
        "lag": tuple(range(T)),
        "window": tuple(range(1, T + 1)),
        "column": tuple(columns),
    }


def _blocks(rnn: Network) -> tuple[str, ...]:
    """The blocks of W_hh by name: of gates, and of layers."""
    gates = CELLS[rnn.cell].gates
    if not has_layers(rnn):
        return gates
    if len(gates) == 1:
        return _parts(rnn)
    return tuple(f"{layer}: {g}" for layer in range(1, len(rnn.layers) + 1) for g in gates)


def _parts(rnn: Network) -> tuple[str, ...]:
    """What of the state norms are given of, beside the whole."""
    if has_layers(rnn):
        return tuple(f"layer {layer}" for layer in range(1, len(rnn.layers) + 1))
    return _STATE_PARTS if rnn.cell == "lstm" else _STATE_PARTS[:1]


def subject_of(
    task: str | Source,
    length: int,
    *,
    batch_size: int,
    networks: tuple[str, float, int, int],
    weights: Own | None,
    activation: str,
    dtype: str,
    cell: str = "vanilla",
    forget_bias: float = 0.0,
    n_layers: int = 1,
) -> Subject:
    """The network and its batch; networks are (scheme, gain, n_hidden, seed) of a draw."""
    scheme, gain, H, seed = networks
    data = draws.Data(task, length, batch_size, 0, dtype, weights)
    seeds = (checks.whole_number("seed", seed, least=0),)
    with checks.renamed(n_steps="`length`", n_sequences="`batch_size`"):
        batch = data.draw()
    drawn = draws.Networks(
        seeds, (gain,), data.sizes(batch), H, scheme, activation, dtype, cell, forget_bias,
        n_layers=n_layers, own=weights,
    )  # fmt: skip
    return Subject(drawn.draw(), batch, label_of(task))
