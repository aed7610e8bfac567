"""Training ensembles side by side, with full or truncated backpropagation through time."""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.labels import gradients as labels
from rnnsim.data.labels.results import Labels, Result, dataset_of, in_a_line
from rnnsim.data.pairs import Data
from rnnsim.networks.model import Layout, Model, check_model, parts_of
from rnnsim.networks.stack import Network
from rnnsim.networks.states import apart
from rnnsim.training.feeds import Cuts, Feed, Task
from rnnsim.training.learners import Method
from rnnsim.training.records import Record, points
from rnnsim.training.runs import Run
from rnnsim.training.schedules import truncations_of
from rnnsim.training.settings import (
    PENALTIES,
    clip_limit,
    factor,
    parts_clipped,
    penalty_weight,
    rule_of,
)
from rnnsim.training.starts import FirstStates, Starts

if TYPE_CHECKING:
    import xarray as xr


_NOTHING_SHOWN = Labels({})


@dataclass(frozen=True, eq=False, repr=False)
class Training(Result):
    """What `train` returns.

    Attributes
    ----------
    model : RNN, Stack or EncoderDecoder
        The trained networks; the given ones are unchanged.
    record : xarray.Dataset
        What was measured, see `train`.
    diverged : (N,) int64
        The update at which a network left the floating-point range and was frozen with its last
        finite weights; -1 where it did not.
    final_h : (N, B, H), of stacks (N, L, B, H)
        The state that is carried on: from here the next segment would start, or the next batch of a
        stream. Of encoder-decoder networks the decoder's. Not finite where a state was not.
    final_c : (N, B, H), of stacks (N, L, B, H), or None
        The memories of LSTMs likewise.
    """

    _labels = labels.TRAINING

    model: Model
    record: "xr.Dataset"
    diverged: npt.NDArray[np.int64]
    final_h: FloatArray
    final_c: FloatArray | None

    @property
    def rnn(self) -> Network:
        """The trained networks, RNN or Stack; of encoder-decoder networks the decoders."""
        return next(iter(parts_of(self.model).values()))

    def to_xarray(self) -> "xr.Dataset":
        """The record with `final_h` and `final_c`, as one labelled dataset: a copy.

        The networks are in `model`; `diverged` is in the record already.
        """
        return self.record.copy(deep=True).assign(dataset_of(self, self._labels).data_vars)

    def __repr__(self) -> str:
        said = {"model": self.model, "n_updates": int(self.record.updates[-1])}
        said |= {"n_diverged": int((self.diverged >= 0).sum())}
        return in_a_line(self, _NOTHING_SHOWN, said)


def train(
    model: Model,
    task: Task,
    *,
    n_updates: int,
    window: npt.ArrayLike | None = None,
    stride: int | None = None,
    carry: str = "sequence",
    h0: npt.ArrayLike | None = None,
    c0: npt.ArrayLike | None = None,
    starts: npt.ArrayLike | Callable[[Any], npt.ArrayLike] | None = None,
    accumulate: int = 1,
    optimizer: str = "sgd",
    learning_rate: npt.ArrayLike = 0.01,
    momentum: float = 0.9,
    beta1: float = 0.9,
    beta2: float = 0.999,
    decay: float = 0.99,
    epsilon: float = 1e-8,
    clip_norm: npt.ArrayLike | None = None,
    clip_value: npt.ArrayLike | None = None,
    clip_by: str = "all",
    penalty: npt.ArrayLike = 0.0,
    penalty_variant: str = "paper",
    mask: Any = None,
    tie: Any = None,
    rng: int | np.random.Generator | None = None,
    own_data: bool = False,
    test: Data | None = None,
    record_every: int | None = None,
    snapshot_every: int | None = None,
    max_lag: int | None = None,
    gates: bool | None = None,
    checkpoint: str | PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    n_threads: int | None = None,
    progress: bool = False,
) -> Training:
    """Train all networks of an ensemble at once.

    ::

        g  <- sum over the steps of a sweep of dL/dW^(t)      L: the loss of one segment
        g  <- g + penalty * dOmega/dW_hh                      Omega: see below
        g  <- g * min(1, clip_norm/||g||)                     of all weights, or layer by layer
        g  <- each entry into -clip_value..clip_value
        W  <- W - learning_rate * optimizer(g)

    Without a `window` every batch brings one update, from full backpropagation through time. With a
    window K and a stride S, an update follows each block of S steps, from the loss of that block
    alone, propagated back K steps (`truncated_bptt` draws the cases). The next segment starts from
    the state that was reached, as a value; where K > S its older steps are computed again with the
    new weights. What is carried, `carry`::

        batch 1              batch 2
        |--a--|--b--|--c--|  |--d--|--e--|--f--|      segments
        0     >     >        0     >     >            "sequence": within a batch
        0     >     >        >     >     >            "stream": also from batch to batch
        0     0     0        0     0     0            "none": every segment starts anew

    0 is where sequences begin, `h0` and `c0`. With "stream" a batch should go on where the one
    before ended; sequences that end and begin within a stream are told by `starts`. Carried is the
    whole state, of LSTMs (h, c). Segments without loss make no update, but carry the state;
    segments of a network whose own data have no loss leave it as it is, and count all the same.

    Parameters
    ----------
    model : RNN, Stack or EncoderDecoder
        N networks of any cell. Encoder-decoder networks are trained with full BPTT through the
        boundary; their bridge is held fixed.
    task : Sequences or Pairs, or a callable
        The same batch again and again, or ``task(rng) -> Sequences`` (for `EncoderDecoder`,
        `Pairs`), which draws the next one from a numpy Generator and from nothing else.
    n_updates : int
        Updates of each network, 0 or more; with a checkpoint, those made before included, and no
        fewer than these.
    window, stride : int, optional
        K and S, as in `truncated_bptt`; S = K unless given. K may be an (N,) array, one for each
        network: then all make their updates after the same blocks, of a `stride` that is given.
    carry : {"sequence", "stream", "none"}
    h0, c0 : (B, H) or (N, B, H) array, of stacks (L, B, H) or (N, L, B, H), optional
        Where every batch begins, or the stream, and every sequence that `starts`; c0 of LSTMs. 0
        unless given.
    starts : (T, B) array of booleans, or a function of a batch that returns one, optional
        True where a sequence begins anew before a step: its state becomes h0 and c0 there, in
        whichever segment, and no gradient goes back across. With a network axis where the batch
        has one. Needs `test`.
    accumulate : int
        The gradients of so many segments with loss, those of a full batch without a window, are
        added up for one update; 1 unless given. Loss and Omega of an update are those of them
        all.
    optimizer : {"sgd", "momentum", "adam", "rmsprop", "adagrad"}
        As in PyTorch: momentum without dampening; Adam (Kingma and Ba 2015) with both corrections;
        RMSprop neither centred nor with momentum; Adagrad (Duchi, Hazan and Singer 2011), whose sum
        of squares begins at 0.
    learning_rate : float or (N,) array
        At least 0.
    momentum, beta1, beta2, decay, epsilon : float
        Constants of "momentum"; of "adam", beta1 and beta2; decay of "rmsprop" (its alpha);
        epsilon of these two and of "adagrad".
    clip_norm, clip_value : float or (N,) array, optional
        Above 0, infinity where a network is not clipped; by norm as in Pascanu, Mikolov and Bengio
        2013, algorithm 1.
    clip_by : {"all", "layer"}
        What ||g|| is the norm of: all weights of a network; or the weights of each layer, all of
        which are clipped, or not, by themselves. The readout belongs to the top layer; encoder and
        decoder are two layers. The norm that is recorded is that of all weights either way.
    penalty : float or (N,) array
        Weight, at least 0, of their Omega, which asks that the gradient keep its norm from step to
        step; of encoder-decoder networks, in the decoder. Its gradient takes the immediate
        dependence on W_hh only: h, phi' and dL/dh_{k+1} are held constant. 0 of gated cells, whose
        gradient passes between steps beside W_hh too, and of stacks of several layers.
    penalty_variant : {"paper", "code"}
        "paper": Omega = mean_b sum_k (||dL/dh_{k+1} dh_{k+1}/dh_k|| / ||dL/dh_{k+1}|| - 1)^2.
        "code", pascanur/trainingRNNs: squared norms in the ratio, the sum over k divided by that of
        the fraction of sequences with ||dL/dh_{k+1}||^2 >= 1e-20, all others left out. Near 1 it is
        four times as large per step, but an average over steps: weights of the two do not compare.
    mask, tie : mapping from names of weights to arrays, or Weights, optional
        ``mask={"W_hh": ...}``: entries of 0 are held fixed. ``tie``: integer labels; entries of one
        |label| are one parameter, with the sign of their label, 0 is a parameter of its own. They
        fit one network's weights, and hold for all. Names of encoder-decoder networks begin with
        "encoder." or "decoder.", those of stacks go on with "layers[0]." for the lowest layer, etc.
    rng : int or numpy.random.Generator, optional
        Required where the task is a callable.
    own_data : bool
        Whether each network draws a stream of its own, from a Generator spawned from `rng`; the
        stream of network i does not depend on N. Otherwise all learn from the same batches. A part
        of an ensemble learns as it does within the whole where `rng` has spawned those before it:
        see the example.
    test : Sequences or Pairs, optional
        What is measured on, from `h0` and `c0`. Unless given, the batch that comes next; with
        "stream" as much of it as is not learned yet, from the state that is carried there: choose
        `record_every` so that records fall where batches end, or losses of different numbers
        of steps are recorded.
    record_every, snapshot_every : int, optional
        Updates between records, and between snapshots; records only at the beginning and the end,
        and no snapshots, unless given.
    max_lag : int, optional
        Of the gradient flow in snapshots; all lags unless given. Where batches differ in length,
        lags and windows beyond that of a snapshot are NaN.
    gates : bool, optional
        Whether snapshots measure the gates (gate_mean, gate_time_scale): those of LSTMs and GRUs do
        unless this is False; True is refused where there are no gates, or no snapshots.
    checkpoint : path, optional
        A file from which the run goes on, bit for bit, if it exists, and where it is saved every
        `checkpoint_every` updates (1000 unless given) and at the end. The task must draw from its
        Generator alone.
    n_threads : int, optional
        All cores unless given; it does not change the result.
    progress : bool
        Show a progress bar, on a terminal.

    Returns
    -------
    Training
        Its `record` has, for each network and each recorded number of updates made (`updates`):
        loss and accuracy on `test`; training_loss, log_gradient_norm (before clipping, with the
        penalty), largest_log_gradient_norm, clipped (fraction of updates) and omega (NaN where the
        penalty is 0) since the record before; spectral_radius, spectral_norm. For each snapshot:
        eigenvalues, singular_values, log_norms against lag, window_log_error and window_cosine
        against window (`gradient_flow`; NaN beyond the lags of a shorter batch), lyapunov_exponent
        (nats per step, while test inputs are repeated). All of W_hh, for encoder-decoder networks
        the decoder's. Of gated cells eigenvalues are NaN, and there are gate_spectral_norm and, for
        each snapshot, gate_share, gate_mean and gate_time_scale (`gate_statistics`; of each unit,
        descending). Of stacks what is of one W_hh, or of its gates, has an axis of layers, and
        there are log_norms_layers and layer_share.

    Raises
    ------
    TypeError, ValueError
        No readout; an unknown optimizer, carry or variant; negative rates or penalties, or a
        penalty of gated cells or stacks; a clip that is not above 0; weights tied across layers
        where each layer is clipped by itself; gates of vanilla networks, or without snapshots; h0,
        c0 or starts that do not fit; a task whose sizes or dtype differ from the network's, or
        whose loss is known by its derivatives alone (`Sequences.from_gradients`); a window below 1
        or a stride above it; windows of several networks without a stride; a checkpoint that is
        damaged, of another configuration (it says which field), or of more updates.
    OSError
        A checkpoint that cannot be written, before anything is trained.

    Examples
    --------
    >>> import rnnsim
    >>> rnn = rnnsim.RNN.sample(3, n_inputs=2, n_hidden=16, n_outputs=1, rng=0)
    >>> draw = lambda rng: rnnsim.tasks.adding(10, 20, rng=rng)
    >>> training = train(rnn, draw, n_updates=200, optimizer="adam", clip_norm=1.0, rng=1)
    >>> loss = training.record.loss
    >>> bool((loss.sel(updates=200) < loss.sel(updates=0)).all())
    True

    Streams of their own, all networks at once, or the last one in a run for itself:

    >>> import numpy as np
    >>> options = {"n_updates": 5, "own_data": True}
    >>> together = train(rnn, draw, rng=np.random.default_rng(1), **options)
    >>> rng = np.random.default_rng(1)
    >>> before = rng.spawn(2)                             # those of networks 0 and 1
    >>> alone = train(rnn[2:], draw, rng=rng, **options)
    >>> bool((alone.rnn.W_hh == together.rnn.W_hh[2:]).all())
    True

    A stack, whose layers are clipped each by itself:

    >>> stack = rnnsim.Stack.sample(n_layers=2, n_inputs=2, n_hidden=4, n_outputs=1, rng=0)
    >>> options = {"clip_norm": 1.0, "clip_by": "layer", "rng": 1}
    >>> train(stack, draw, n_updates=5, **options).final_h.shape
    (1, 2, 20, 4)

    An LSTM on a stream whose sequences begin anew at some steps:

    >>> lstm = rnnsim.RNN.sample(n_inputs=2, n_hidden=4, n_outputs=1, cell="lstm", rng=0)
    >>> options = {"window": 5, "carry": "stream", "test": draw(np.random.default_rng(2))}
    >>> begins = lambda batch: batch.inputs[..., 1] == 1
    >>> train(lstm, draw, n_updates=5, rng=1, starts=begins, **options).final_c.shape
    (1, 20, 4)
    """
    check_model(model)
    if not model.n_outputs:
        raise ValueError(
            "`model` must have a readout, which carries the loss, got n_outputs = 0; give it `W_hy`"
        )
    total = checks.size("n_updates", n_updates, least=0)
    given = {"h0": h0, "c0": c0, "starts": starts, "window": window}
    _check_whole_pairs(model, carry, given)
    cuts = Cuts(
        *truncations_of(window, stride, carry, len(model)),
        carry,
        checks.size("accumulate", accumulate),
        None if starts is None else Starts(starts),
    )
    _check_measured(cuts, test)
    layout = Layout.of(model)
    labels = layout.labels(model, mask, tie)
    method = Method(
        rule=rule_of(optimizer, momentum, beta1, beta2, decay, epsilon),
        variant=PENALTIES[checks.one_of("penalty_variant", penalty_variant, PENALTIES)],
        rate=factor("learning_rate", learning_rate, len(model)),
        clip_norm=clip_limit("clip_norm", clip_norm, len(model)),
        clip_value=clip_limit("clip_value", clip_value, len(model)),
        penalty=penalty_weight(model, penalty),
        labels=labels,
        bounds=parts_clipped(layout, labels, clip_by),
        accumulate=cuts.accumulate,
    )
    every = {"record_every": record_every, "snapshot_every": snapshot_every}
    every |= {"checkpoint_every": checkpoint_every}
    steps = {name: _every(name, value) for name, value in every.items()}
    main = next(iter(parts_of(model).values()))
    record = Record(
        points(total, steps["record_every"] or max(total, 1)),
        points(total, steps["snapshot_every"]),
        _every("max_lag", max_lag),
        _with_gates(main, gates, steps["snapshot_every"]),
    )
    feed = Feed(model, task, rng, own_data=own_data, cuts=cuts)
    show = checks.boolean("progress", progress)
    first = FirstStates(main, h0, c0)
    run = Run(model, feed, method, record, first, test=test, n_threads=n_threads)
    path = None if checkpoint is None else checks.path("checkpoint", checkpoint)
    learners = run.to_the_end(total, path, steps["checkpoint_every"] or 1000, show)
    trained = layout.model(model, learners.values)
    final = apart(main, learners.state)
    return Training(trained, run.dataset(learners), learners.diverged, *final)


def _check_whole_pairs(model: Model, carry: str, given: dict[str, Any]) -> None:
    """Refuse what would cut an encoder from its decoder."""
    if len(parts_of(model)) == 1:
        return
    reasons = {"window": "encoder-decoder networks are trained with full backpropagation through "
               "the boundary"}  # fmt: skip
    for name, value in given.items():
        if value is not None:
            reason = reasons.get(name, "decoders begin where their encoders end, in every batch")
            raise ValueError(f"`{name}` = {checks.shown(value)}: {reason}; leave it out")
    if carry != "sequence":
        raise ValueError(
            f"`carry` = {checks.shown(carry)}: decoders begin where their encoders end, in every "
            "batch; leave it out"
        )


def _check_measured(cuts: Cuts, test: Data | None) -> None:
    """Refuse to measure on what comes next where that is not one batch from one state."""
    if test is None and not cuts.foreseeable:
        name = "window" if cuts.starts is None else "starts"
        what = "sequences that begin anew" if name == "starts" else "states at different steps"
        raise ValueError(
            f"`{name}` needs a `test` to be measured on: the batch that comes next has {what}; "
            "give `test`"
        )


def _every(name: str, value: int | None) -> int | None:
    return None if value is None else checks.whole_number(name, value, least=1)


def _with_gates(main: Network, gates: bool | None, every: int | None) -> bool:
    """Whether snapshots measure gates; refuse to where there are none."""
    there = main.n_gates > 1
    if gates is None or not checks.boolean("gates", gates):
        return there and gates is None
    if not there:
        raise ValueError(
            "`gates` = True asks for a record of gates, got networks with cell='vanilla', which "
            "have none; leave it out, or train cell='lstm' or cell='gru'"
        )
    if every is None:
        raise ValueError(
            "`gates` = True asks for what snapshots measure, got no `snapshot_every`; give it, as "
            "in snapshot_every=100"
        )
    return True
