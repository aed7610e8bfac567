"""Gradients, loss and answers of encoder-decoder networks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from rnnsim.checks import FloatArray
from rnnsim.data.labels import gradients as labels
from rnnsim.data.labels.results import Result, described
from rnnsim.data.pairs import Data, Pairs, sources_of, target_of
from rnnsim.data.sequences import Sequences
from rnnsim.gradients.bptt import STATE_MEMORY, flops_per_network, run_bptt
from rnnsim.gradients.simulation import run_evaluate, run_forward, run_layers
from rnnsim.gradients.stacked import layers_of, run_stack_bptt, step_norms_of
from rnnsim.kernels import Batch, StepNorms, Weights
from rnnsim.kernels.cells.layout import INNER_PRODUCT
from rnnsim.networks.binding import fitting_inputs, pair_batch
from rnnsim.networks.encoder_decoder import EncoderDecoder
from rnnsim.networks.model import Model, parts_of
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Network, has_layers
from rnnsim.networks.states import apart, by_layer, initial_states, state_size, states_of

Group = TypeVar("Group", Weights, StepNorms)


@dataclass(frozen=True, eq=False, repr=False)
class PairGradients(Result):
    """Loss and gradients of N encoder-decoder networks, in the networks' dtype but for the norms.

    Attributes
    ----------
    loss : (N,) float64
        L, averaged over sequences and summed over steps of the target.
    encoder : Weights
        dL/dU and dL/dc in the shapes of the weights; W_hy and b_y are those of the bridge. Of
        stacks one for each layer, the lowest first, as `decoder`; the bridge is in the top's.
    decoder : Weights
        dL/dW and dL/db.
    h0 : (N, B, H)
        dL/dh_0 of the decoder: what passes the boundary. Of stacks (N, L, B, H).
    c0 : (N, B, H) or None
        dL/dc_0 of decoders that are LSTMs, likewise: it passes too where memories are handed over.
    encoder_step_norms, decoder_step_norms : StepNorms
        W_xh, W_hh, W_hy, each (N, T_s) or (N, T) float64: the Frobenius norm of what every step
        contributes; gates, and layers of stacks, as in `Gradients`. The bridge is used at step T_s
        alone.
    first_nonfinite : (N,) int64
        -1 where everything is finite. Else the first step of the way, 1..T_s in the encoder and
        T_s + 1..T_s + T in the decoder, whose state is not; else, in the order of the backward
        pass, the largest step with a gradient that is not. Other networks are not affected.
    """

    _labels = labels.PAIR_GRADIENTS

    loss: npt.NDArray[np.float64]
    encoder: Weights | tuple[Weights, ...]
    decoder: Weights | tuple[Weights, ...]
    h0: FloatArray
    encoder_step_norms: StepNorms
    decoder_step_norms: StepNorms
    first_nonfinite: npt.NDArray[np.int64]
    c0: FloatArray | None = None


@dataclass(frozen=True, eq=False, repr=False)
class PairEvaluation(Result):
    """What `pairs_evaluate` returns, all with teacher forcing.

    ``loss (N,)``: L as `pairs_bptt` reports it. ``accuracy (N,)``: the fraction of steps and
    sequences of weight above 0 whose largest output is the target class (the first, in a tie).
    ``exact (N,)``: the fraction of sequences that carry loss where every such step is right. Both
    are NaN for float targets. ``first_nonfinite (N,)``: the first step of the way whose state is
    not finite, counted as in `PairGradients`, -1 if none.
    """

    _labels = labels.PAIR_EVALUATION

    loss: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    exact: npt.NDArray[np.float64]
    first_nonfinite: npt.NDArray[np.int64]


def pairs_bptt(
    model: EncoderDecoder, pairs: Pairs, *, n_threads: int | None = None
) -> PairGradients:
    """Full backpropagation through decoder, bridge and encoder: the exact gradient of the loss.

    ::

        L        = (1/B) sum_b sum_t w[t,b] * loss(y[t,b], target[t,b])        t = 1..T
        dL/dh_0  = W_hh^T delta_1                          of the decoder, as in `bptt`
        dL/ds_T_s = U_hy^T dL/dh_0                         and on through the encoder
        dL/dU_hy = sum_b dL/dh_0 s_T_s^T

    The encoder carries no loss of its own: dL/dh_0 takes the place of dL_t/dy_t at its last step.
    Memories that are handed over take dL/dc_0 back unchanged. Of stacks dL/dh_0 of each layer meets
    the bridge, and dL/dU_hy is the sum over layers.
    All weights are differentiated, the bridge's (`encoder.W_hy`, `encoder.b_y`) too.

    Parameters
    ----------
    model : EncoderDecoder
        N networks.
    pairs : Pairs
        B pairs; shared by all networks or one batch for each.
    n_threads : int, optional
        As in `bptt`.

    Raises
    ------
    TypeError, ValueError
        Sizes or dtypes that disagree between networks and pairs; class ids outside 0..V-1 where the
        weight is above 0; n_threads below 1.

    Examples
    --------
    >>> import rnnsim
    >>> rng = np.random.default_rng(0)
    >>> target = rnnsim.Sequences(rng.normal(size=(4, 5, 3)), rng.integers(0, 3, (4, 5)))
    >>> pairs = rnnsim.Pairs(rng.normal(size=(6, 5, 2)), target)
    >>> model = rnnsim.EncoderDecoder.sample(2, n_source_inputs=2, n_inputs=3, n_hidden=8,
    ...                                      n_outputs=3, rng=0)
    >>> gradients = pairs_bptt(model, pairs)
    >>> gradients.encoder.W_hh.shape, gradients.decoder.W_hh.shape, gradients.h0.shape
    ((2, 8, 8), (2, 8, 8), (2, 5, 8))
    """
    source, target = pair_batch(model, pairs)
    parts = []
    for networks in _groups(model, source):
        some = model[networks]
        parts.append(_gradients(some, own(source, networks), some_of(target, networks), n_threads))
    encoder, decoder, first = zip(*parts, strict=True)
    h0, c0 = apart(model.decoder, np.concatenate([part.h0 for part in decoder]))
    found = PairGradients(
        loss=np.concatenate([part.loss for part in decoder]),
        encoder=_of_all(model.encoder, encoder),
        decoder=_of_all(model.decoder, decoder),
        h0=h0,
        encoder_step_norms=_stacked([part.step_norms for part in encoder]),
        decoder_step_norms=_stacked([part.step_norms for part in decoder]),
        first_nonfinite=np.concatenate(first),
        c0=c0,
    )
    return described(found, model, pairs)


def pairs_evaluate(
    model: EncoderDecoder, pairs: Pairs, *, n_threads: int | None = None
) -> PairEvaluation:
    """Loss, accuracy of single steps and of whole sequences, with teacher forcing; no gradient.

    ``exact = (1/B) #{b: argmax_v y[t,b,v] = target[t,b] at every t of w[t,b] > 0}``. Since the
    decoder reads the right answers, this is what it would write by itself too: a sequence is exact
    here where `greedy_decode` repeats it. Parameters and errors as in `pairs_bptt`.

    Examples
    --------
    >>> import rnnsim
    >>> target = rnnsim.Sequences(np.zeros((4, 5, 3)), np.zeros((4, 5), int))
    >>> pairs = rnnsim.Pairs(np.zeros((6, 5, 2)), target)
    >>> model = rnnsim.EncoderDecoder.sample(n_source_inputs=2, n_inputs=3, n_hidden=8,
    ...                                      n_outputs=3, rng=0)
    >>> result = pairs_evaluate(model, pairs)       # zero input: all classes alike, 4 ln 3 nats
    >>> result.loss.round(6), result.exact          # and the first of them is named in a tie
    (array([4.394449]), array([1.]))
    """
    source, target = pair_batch(model, pairs)
    results = []
    for networks in _groups(model, source):
        some, batch = model[networks], some_of(target, networks)
        h0, broken = boundary(some, own(source, networks), n_threads)
        part = run_evaluate(some.decoder, batch._replace(h0=h0), n_threads)
        exact = np.full(len(some), np.nan)
        if pairs.target.has_classes:
            outputs = run_forward(some.decoder, batch.inputs, h0, n_threads).outputs
            exact = exact_fraction(answers(outputs), batch.classes, batch.loss_weights)
        first = _first_of_the_way(broken, part.first_nonfinite, None, pairs.n_source_steps)
        results.append((part.loss, part.accuracy, exact, first))
    columns = map(np.concatenate, zip(*results, strict=True))
    return described(PairEvaluation(*columns), model, pairs)


def answers(outputs: FloatArray) -> npt.NDArray[np.int64]:
    """The class of the largest output, the first in a tie; -1 where outputs are not all finite."""
    finite = np.isfinite(outputs).all(axis=-1)
    return np.where(finite, outputs.argmax(axis=-1), -1)


def exact_fraction(
    ids: npt.NDArray[np.int64], classes: npt.NDArray[np.int64], weights: FloatArray
) -> npt.NDArray[np.float64]:
    """Of the sequences with loss, the fraction whose ids (N, T, B) are right wherever it is."""
    counts = weights > 0
    right = ((ids == classes) | ~counts).all(axis=-2)
    scored = counts.any(axis=-2)
    total = np.broadcast_to(scored.sum(axis=-1), len(ids)).astype(float)
    total[total == 0] = np.nan
    return np.asarray((right & scored).sum(axis=-1) / total)


class Found(NamedTuple):
    """What a backward pass gives of one part: dL/dW of each layer, dL/d(h_0, c_0) (N, B, S)."""

    loss: npt.NDArray[np.float64]
    layers: tuple[Weights, ...]
    h0: FloatArray
    step_norms: StepNorms
    first_nonfinite: npt.NDArray[np.int64]


def _gradients(
    model: EncoderDecoder, source: FloatArray, target: Batch, n_threads: int | None
) -> tuple[Found, Found, npt.NDArray[np.int64]]:
    """Of decoder behind encoder, and the first step of the way that left the range."""
    T_s, B = source.shape[1:3]
    h0, last, broken = _boundary(model, source, n_threads)
    decoder = _back(model.decoder, target._replace(h0=h0), n_threads)
    # <values, y> has the gradient `values`; kernels take the mean over sequences, hence the B.
    with np.errstate(over="ignore"):
        behind = by_layer(model.decoder, decoder.h0 * model.dtype.type(B))
    H = model.n_hidden
    values = np.zeros((len(model), T_s, B, H), model.dtype)
    values[:, -1] = behind[-1][..., :H]
    scored = np.zeros((1, T_s, B), model.dtype)
    scored[:, -1] = 1
    start = initial_states(model.encoder, None, B)
    batch = Batch(source, np.empty((1, 0, 0), np.int64), values, scored, start, INNER_PRODUCT)
    encoder = _back(model.encoder, batch, n_threads, _arriving(model, behind))
    encoder = _with_bridge(encoder, by_layer(model.decoder, decoder.h0), last, H)
    first = _first_of_the_way(broken, decoder.first_nonfinite, encoder.first_nonfinite, T_s)
    return encoder, decoder, first


def _back(
    network: Network, batch: Batch, n_threads: int | None, final: FloatArray | None = None
) -> Found:
    """A backward pass; final: what arrives at the states of step T, with layers in front."""
    if isinstance(network, RNN):
        out = run_bptt(network, batch, n_threads, final=None if final is None else final[0])
        return Found(out.loss, (out.weights,), out.h0, out.step_norms, out.first_nonfinite)
    rows = batch.inputs.shape[1] * batch.inputs.shape[2]
    out = run_stack_bptt(
        network, batch, n_threads, STATE_MEMORY, flops=flops_per_network(network, rows),
        kept=frozenset(), final=np.zeros((network.n_layers, 0, 0, 0)) if final is None else final,
    )  # fmt: skip
    h0, first = states_of(list(out.h0)), out.first_nonfinite[-1]
    return Found(out.loss[-1], layers_of(network, out), h0, step_norms_of(out), first)


def _arriving(model: EncoderDecoder, behind: list[FloatArray]) -> FloatArray | None:
    """What arrives at the encoder's last states, beside its readout, with layers in front.

    behind: dL/d(h_0, c_0) of each layer of the decoder, of which h of the top is read out.
    """
    deep, H_e = len(behind) > 1, model.encoder.n_hidden
    if not (deep or model.hands_over_c):
        return None
    found = np.stack(across(model, behind))
    of_h, of_c = found[..., :H_e], found[..., H_e:]
    of_h[-1] = 0
    return np.concatenate([of_c, of_h] if deep else [of_c], axis=-1).astype(np.float64)


def across(model: EncoderDecoder, behind: list[FloatArray]) -> list[FloatArray]:
    """Gradients of the encoder's last states (., B, S) of each layer.

    behind: those of the decoder's first states, whose h was made by the bridge; memories go back as
    they are where they are handed over, others owe nothing.
    """
    top, H = model.encoder.layers[-1], model.n_hidden
    of_c = [own[..., H:] for own in behind]
    if not model.hands_over_c:
        of_c = [np.zeros((*c.shape[:-1], state_size(top) - top.n_hidden), c.dtype) for c in of_c]
    with np.errstate(all="ignore"):
        of_h = [own[..., :H] @ top.W_hy for own in behind]
    return [np.concatenate(parts, axis=-1) for parts in zip(of_h, of_c, strict=True)]


def _with_bridge(encoder: Found, behind: list[FloatArray], last: list[FloatArray], H: int) -> Found:
    """The same with what the layers below the top add to the gradient of the bridge.

    behind: dL/d(h_0, c_0) of each layer of the decoder; last: h_T_s of each of the encoder.
    """
    *below, top = encoder.layers
    if not below:
        return encoder
    with np.errstate(all="ignore"):
        W_hy, b_y = top.W_hy.copy(), top.b_y.copy()
        for of_h, state in zip(behind[:-1], last, strict=False):
            W_hy += of_h[..., :H].mT @ state
            b_y += of_h[..., :H].sum(axis=1)
        norms = encoder.step_norms.W_hy.copy()
        norms[:, -1] = np.linalg.norm(W_hy.astype(np.float64), axis=(1, 2))
    return encoder._replace(
        layers=(*below, top._replace(W_hy=W_hy, b_y=b_y)),
        step_norms=encoder.step_norms._replace(W_hy=norms),
    )


def boundary(
    model: EncoderDecoder, source: FloatArray, n_threads: int | None
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """First states of the decoder (N, B, S), and the step at which the encoder left the range, -1.

    h_0 is what the bridge makes of the encoder's last h, layer by layer; c_0 are its last memories
    where they are handed over, or 0.
    """
    first, _, broken = _boundary(model, source, n_threads)
    return first, broken


def _boundary(
    model: EncoderDecoder, source: FloatArray, n_threads: int | None
) -> tuple[FloatArray, list[FloatArray], npt.NDArray[np.int64]]:
    """The same with the encoder's last h between them, (N, B, H) of each layer."""
    encoder, H, H_e = model.encoder, model.n_hidden, model.encoder.n_hidden
    top, start = encoder.layers[-1], initial_states(encoder, None, source.shape[2])
    N, (T_s, B), S = len(model), source.shape[1:3], state_size(model.decoder) // model.n_layers
    finite, firsts, last = np.ones((N, T_s + 1), bool), [], []
    for layer, states, outputs in run_layers(encoder, source, start, n_threads):
        first, h = np.zeros((N, B, S), model.dtype), states[:, -1, :, :H_e]
        with np.errstate(all="ignore"):
            passed = outputs[:, -1] if layer is top else h @ top.W_hy.mT + top.b_y[:, None]
        first[..., :H] = passed
        if model.hands_over_c:
            first[..., H:] = states[:, -1, :, H:]
        finite &= np.isfinite(states).all(axis=(2, 3))
        finite[:, -1] &= np.isfinite(first).all(axis=(1, 2))
        firsts.append(first)
        last.append(h)
    broken = np.where(finite.all(axis=1), -1, finite.argmin(axis=1))
    return states_of(firsts), last, broken


class Core(NamedTuple):
    """The network that carries the loss, with its data and first states, 0 where None."""

    rnn: Network
    sequences: Sequences
    h0: FloatArray | None
    c0: FloatArray | None


def core_of(
    model: Model, data: Data, n_threads: int | None, *, start: FloatArray | None = None
) -> Core:
    """The network itself, from whole states, or the decoder behind what its encoder has read."""
    main = next(iter(parts_of(model).values()))
    match model, sources_of(data):
        case EncoderDecoder(), [source]:
            source = fitting_inputs(model.encoder, source, "source")
            start, _ = boundary(model, source, n_threads)
    h0, c0 = (None, None) if start is None else apart(main, start)
    return Core(main, target_of(data), h0, c0)


def _first_of_the_way(
    forward: npt.NDArray[np.int64],
    decoder: npt.NDArray[np.int64],
    backward: npt.NDArray[np.int64] | None,
    n_source_steps: int,
) -> npt.NDArray[np.int64]:
    """Forward through the encoder, the decoder, and back through the encoder."""
    behind = np.where(decoder >= 0, n_source_steps + decoder, -1 if backward is None else backward)
    return np.where(forward >= 0, forward, behind)


def _groups(model: EncoderDecoder, source: FloatArray) -> Iterator[slice]:
    """As many networks at once as keep the encoder's states and outputs within memory."""
    rows = source.shape[1] * source.shape[2]
    each = rows * (state_size(model.encoder) + 2 * model.n_hidden) * model.dtype.itemsize
    size = max(1, int(STATE_MEMORY / each))
    return (slice(n, n + size) for n in range(0, len(model), size))


def own(array: FloatArray, networks: slice) -> FloatArray:
    """What belongs to some networks; axis 0 is 1 where all share it."""
    return array if len(array) == 1 else array[networks]


def some_of(batch: Batch, networks: slice) -> Batch:
    """A batch of what belongs to some networks."""
    inputs, classes, values, weights, h0 = (own(array, networks) for array in batch[:5])
    return Batch(inputs, classes, values, weights, h0, batch.loss)


def _of_all(network: Network, parts: Sequence[Found]) -> Weights | tuple[Weights, ...]:
    """dL/dW of all networks, of stacks for each layer."""
    columns = zip(*(part.layers for part in parts), strict=True)
    layers = tuple(_stacked(list(column)) for column in columns)
    return layers if has_layers(network) else layers[0]


def _stacked(parts: list[Group]) -> Group:
    return type(parts[0])(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
