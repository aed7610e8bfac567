"""Gradient flow on one axis of steps: encoder, boundary, decoder; and back into a picture."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim.data.labels import flow as labels
from rnnsim.data.labels.results import Result, described
from rnnsim.data.pairs import Data, Pairs
from rnnsim.data.sequences import Sequences
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.flow.pairs import pairs_flow
from rnnsim.flow.results import GradientFlow
from rnnsim.gradients.pairs import pairs_bptt
from rnnsim.networks.binding import wrong_kinds
from rnnsim.networks.encoder_decoder import EncoderDecoder
from rnnsim.networks.model import Model
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Stack

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class GradientMap(Result):
    """Where the gradient of every loss goes, every step by its place relative to the boundary.

    Attributes
    ----------
    steps : (S,) int64
        The steps t = 1..T that carry loss.
    places : (M,) int64
        Of a network alone its steps 1..T. Of an encoder-decoder -T_s+1..T: the steps 1..T_s of the
        encoder, the last of them at the boundary, place 0, then those of the decoder.
    log_norms : (N, S, M) float64
        Mean over sequences of ln ||dl_t/dh_s||, s the place; NaN where s > t, -inf where no
        sequence has a gradient.
    """

    _labels = labels.GRADIENT_MAP

    steps: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    log_norms: Floats


def gradient_map(model: Model, data: Data) -> GradientMap:
    """Where the gradient of every loss goes, step by step, on one axis of steps for all losses.

    ::

        log_norms[n, i, m] = mean over b of ln ||dl[t,b]/dh_s||      t = steps[i], s = places[m]

    What `gradient_flow` tells of a network by lags, and `pairs_flow` of encoder and decoder one by
    one, stands at its place: rows are losses, columns are where their gradients arrive. Encoder and
    decoder share one axis, which is 0 at the boundary between them. A truncation window K keeps
    the places s > t - K, on either side of it.

    Parameters
    ----------
    model : RNN, Stack or EncoderDecoder
        N networks.
    data : Sequences or Pairs
        `Pairs` for an EncoderDecoder; with loss at one step at least.

    Returns
    -------
    GradientMap
        ``steps (S,)``, ``places (M,)``, ``log_norms (N, S, M)`` in nats: M = T for a network alone,
        T_s + T for encoder and decoder.

    Raises
    ------
    TypeError, ValueError
        As in `gradient_flow` and `pairs_flow`; Pairs for an RNN, Sequences for an EncoderDecoder.

    Examples
    --------
    A linear network that loses nine tenths of the gradient with every step back:

    >>> import rnnsim
    >>> rnn = rnnsim.RNN(np.ones((1, 1)), [[0.1]], np.ones((1, 1)), activation="linear")
    >>> data = rnnsim.Sequences(np.zeros((3, 1, 1)), np.ones((3, 1, 1)))
    >>> (gradient_map(rnn, data).log_norms[0] / np.log(10)).round(3)
    array([[ 0., nan, nan],
           [-1.,  0., nan],
           [-2., -1.,  0.]])

    Nine steps of English that are read, nine of German that are written:

    >>> pairs = rnnsim.tasks.number_words(4, rng=0, largest=20)
    >>> english, german = rnnsim.tasks.number_alphabets(largest=20)
    >>> model = EncoderDecoder.sample(n_source_inputs=len(english.characters), n_hidden=5,
    ...     n_inputs=german.n_inputs, n_outputs=german.n_outputs, rng=0)
    >>> found = gradient_map(model, pairs)
    >>> pairs.n_source_steps, pairs.n_steps, found.places[0], found.places[-1]
    (9, 9, np.int64(-8), np.int64(9))
    """
    match model, data:
        case RNN() | Stack(), Sequences():
            found = _by_steps(
                gradient_flow(model, data, windows=(), per_sequence=False), data.n_steps
            )
        case EncoderDecoder(), Pairs():
            flow = pairs_flow(model, data)
            logs = [flow.encoder.log_norms[:, :, 1:], flow.decoder.log_norms[:, :, 1:]]
            places = np.arange(1 - data.n_source_steps, data.n_steps + 1)
            found = GradientMap(flow.steps, places, np.concatenate(logs, axis=2))
        case _:
            raise wrong_kinds(model, data, "data")
    return described(found, model, data)


def _by_steps(flow: GradientFlow, n_steps: int) -> GradientMap:
    """Lags of every loss as the steps that they reach."""
    places = np.arange(1, n_steps + 1)
    back = flow.steps[:, None] - places
    rows = np.arange(flow.steps.size)[:, None]
    found = flow.log_norms[:, rows, np.maximum(back, 0)]
    return GradientMap(flow.steps, places, np.where(back >= 0, found, np.nan))


def part_of_the_words(pairs: Pairs, texts: list[str], word: int) -> Pairs:
    """The same pairs with the loss of one word alone, counted from 0, in its sequence's text."""
    weights = np.zeros_like(pairs.target.weights)
    for b, text in enumerate(texts):
        words = text.split(" ")
        begin = len(" ".join(words[:word])) + (word > 0)
        weights[begin : begin + len(words[word]), b] = 1
    target = pairs.target
    return Pairs(pairs.source, Sequences(target.inputs, target.targets, weights))


def picture_gradients(model: EncoderDecoder, pairs: Pairs) -> Floats:
    """How much the loss depends on every input of a source of one step, for a linear encoder.

    ::

        mean_b |dl_b/dx[b]|     dl_b/dx[b] = U_xh^T U_hy^T dl_b/dh_0[b]

    l_b is the loss of one sequence. Of stacks the sum over the layers that the decoder begins in.
    Returns (N, D_s).

    Raises
    ------
    ValueError
        A source of several steps, an encoder that is not linear: no picture.
    """
    if pairs.n_source_steps != 1 or model.encoder.activation != "linear":
        raise ValueError(
            "`model` must be a captioner and `pairs` have one source step, got "
            f"{pairs.n_source_steps} steps and a {model.encoder.activation} encoder; "
            "see EncoderDecoder.captioner"
        )
    at_boundary = pairs_bptt(model, pairs).h0.astype(float) * pairs.n_sequences
    layers = np.moveaxis(at_boundary, 1, 0) if at_boundary.ndim == 4 else [at_boundary]
    into, found = model.encoder.layers[-1].W_hy.astype(float), 0.0
    chain: Any = np.eye(pairs.n_source_inputs)
    for own, layer in zip(layers, model.encoder.layers, strict=True):
        chain = layer.W_xh.astype(float) @ chain
        found = found + own @ (into @ chain)
    return np.asarray(np.abs(found).mean(axis=1))
