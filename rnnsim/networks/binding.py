"""Networks and data brought together for the kernels: checked once, with a network axis."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.pairs import Data, Pairs, check_pairs, sources_of, target_of
from rnnsim.data.sequences import Sequences, original_gradients, originals
from rnnsim.kernels.cells.layout import CROSS_ENTROPY, INNER_PRODUCT, SQUARED_ERROR, Batch, Weights
from rnnsim.networks.encoder_decoder import EncoderDecoder
from rnnsim.networks.model import Model, check_model, parts_of
from rnnsim.networks.rnn import RNN
from rnnsim.networks.rnn import originals as originals_of
from rnnsim.networks.stack import Network, Stack, check_network
from rnnsim.networks.states import has_memories, initial_states


def bind(
    model: Model, data: Data, name: str, *, otherwise: str = ""
) -> tuple[Batch, list[FloatArray]]:
    """The kernels' view of data for a model: what carries the loss, and the sources (or none).

    Messages call the data `name`, and `otherwise` is what else may be given.
    """
    check_kinds(model, data, name, otherwise=otherwise)
    main, *encoders = parts_of(model).values()
    pairs = zip(encoders, sources_of(data), strict=True)
    sources = [fitting_inputs(encoder, source, "source") for encoder, source in pairs]
    return batch_for(main, target_of(data), None), sources


def check_kinds(model: Any, data: Any, name: str, *, otherwise: str = "") -> None:
    """Refuse a model that is none, and data of another kind than it takes."""
    match model, data:
        case (RNN() | Stack(), Sequences()) | (EncoderDecoder(), Pairs()):
            return
    raise wrong_kinds(model, data, name, otherwise=otherwise)


def wrong_kinds(model: Any, data: Any, name: str, *, otherwise: str = "") -> TypeError:
    """What to say of a model that is none, or of data of another kind than it takes."""
    check_model(model)
    expected = Pairs if isinstance(model, EncoderDecoder) else Sequences
    return TypeError(
        f"`{name}` must be a rnnsim.{expected.__name__} for a model of type "
        f"{type(model).__name__}{otherwise}, got {type(data).__name__}"
    )


def pair_batch(model: EncoderDecoder, pairs: Pairs) -> tuple[FloatArray, Batch]:
    """The kernels' view of pairs for a model, checked: source (1 or N, T_s, B, D_s) and target."""
    if not isinstance(model, EncoderDecoder):
        raise TypeError(
            f"`model` must be a rnnsim.EncoderDecoder, got {type(model).__name__}; "
            "one RNN or Stack and its Sequences go to rnnsim.bptt and rnnsim.evaluate"
        )
    check_pairs(pairs)
    target, (source,) = bind(model, pairs, "pairs")
    return source, target


def batch_for(
    rnn: Network, sequences: Sequences, h0: npt.ArrayLike | None, c0: npt.ArrayLike | None = None
) -> Batch:
    """The kernels' view of `sequences` for the networks of `rnn`, with a network axis.

    Only what depends on the networks is checked: the rest was when the sequences were made.
    """
    check_network(rnn)
    if not isinstance(sequences, Sequences):
        raise TypeError(
            "`sequences` must be a rnnsim.Sequences(inputs, targets, weights=None), "
            f"got {type(sequences).__name__}"
        )
    inputs, targets, weights = originals(sequences)
    inputs = fitting_inputs(rnn, inputs, "inputs")
    if not sequences.n_networks:
        targets, weights = targets[None], weights[None]
    states = initial_states(rnn, h0, sequences.n_sequences, c0)
    classes, values = np.empty((1, 0, 0), np.int64), np.empty((1, 0, 0, 0), rnn.dtype)
    if sequences.has_gradients:
        values = _of_every_sequence(rnn, sequences)
        return Batch(inputs, classes, values, weights, states, INNER_PRODUCT)
    if rnn.n_outputs == 0:
        raise ValueError(
            "`rnn` must have a readout for a loss on its outputs, got n_outputs = 0; give RNN a "
            "`W_hy`, or the derivatives of your loss as in Sequences.from_gradients"
        )
    if sequences.has_classes:
        _check_class_range(targets, weights, rnn.n_outputs)
        return Batch(inputs, targets, values, weights, states, CROSS_ENTROPY)
    if targets.shape[-1] != rnn.n_outputs:
        raise ValueError(
            f"`targets` must be (n_steps, n_sequences, n_outputs) with n_outputs = "
            f"{rnn.n_outputs} as in the network, got {targets.shape[-1]} on the last axis"
        )
    return Batch(inputs, classes, targets, weights, states, SQUARED_ERROR)


def _of_every_sequence(rnn: Network, sequences: Sequences) -> FloatArray:
    """Given derivatives as kernels read them, without the factor 1/B, with a network axis.

    Those of y (., T, B, V), followed by those of h where given.
    """
    given, V = original_gradients(sequences), rnn.n_outputs
    for name, array in given._asdict().items():
        if array is not None:
            _check_derivative(name, array, rnn, sequences.inputs.ndim)
    none = np.zeros((*sequences.inputs.shape[:-1], V), rnn.dtype)
    columns = [none if given.dL_dy is None else given.dL_dy]
    columns += [] if given.dL_dh is None else [given.dL_dh]
    with np.errstate(over="ignore"):
        values: FloatArray = np.concatenate(columns, axis=-1) * _mean_over(sequences, rnn)
    return values if sequences.n_networks else values[None]


def _check_derivative(name: str, array: FloatArray, rnn: Network, n_axes: int) -> None:
    """Refuse derivatives of a loss that do not fit the networks; n_axes: of the inputs."""
    size, of = (rnn.n_outputs, "n_outputs") if name == "dL_dy" else (rnn.n_hidden, "n_hidden")
    if array.shape[-1] != size:
        raise ValueError(
            f"`{name}` must have {of} = {size} on the last axis as in the network, got "
            f"{array.shape[-1]}"
        )
    if name == "dL_dc_final" and not has_memories(rnn):
        raise ValueError(
            "`dL_dc_final` is the derivative with respect to the memories of LSTMs, got networks "
            "that have none; leave it out"
        )
    if name.endswith("final") and array.ndim == n_axes:  # it has an axis of layers
        if isinstance(rnn, RNN):
            raise ValueError(
                f"`{name}` with an axis of layers is for a rnnsim.Stack, got a rnnsim.RNN; give "
                "(n_sequences, n_hidden), or inputs with a network axis if it has one"
            )
        if array.shape[-3] != rnn.n_layers:
            raise ValueError(
                f"`{name}` must be (n_layers, n_sequences, n_hidden) with n_layers = "
                f"{rnn.n_layers} as in the stack, got {array.shape[-3]}; (n_sequences, n_hidden) "
                "is of the top layer alone"
            )


def bound_alone(
    rnn: Network, sequences: Sequences, h0: npt.ArrayLike | None, c0: npt.ArrayLike | None = None
) -> tuple[Network, Batch, FloatArray]:
    """The networks, a stack of one layer as that layer, with `batch_for` and `final_for` of them.

    What is given with a stack has an axis of layers, also where it is one.
    """
    batch, final = batch_for(rnn, sequences, h0, c0), final_for(rnn, sequences)
    if isinstance(rnn, RNN) or rnn.n_layers > 1:
        return rnn, batch, final
    M = rnn.n_hidden if has_memories(rnn) else 0
    of_c, of_h = final[0, ..., :M], final[0, ..., M:]
    if of_h.size:
        batch = batch._replace(values=_with_last(batch.values, of_h, rnn.n_outputs))
    return rnn.layers[0], batch, np.ascontiguousarray(of_c)


def _with_last(values: FloatArray, of_h: FloatArray, V: int) -> FloatArray:
    """Given derivatives as kernels read them with what is of h_T in the columns of h."""
    H = of_h.shape[-1]
    more = H - (values.shape[-1] - V)  # none where there are derivatives of h
    values = np.pad(values, [(0, 0)] * 3 + [(0, more)])
    with np.errstate(over="ignore"):
        values[:, -1, :, V:] += of_h.astype(values.dtype)
    return values


def final_for(rnn: Network, sequences: Sequences) -> FloatArray:
    """What arrives at the states of step T, as kernels read it: of c (., B, H) float64, or empty.

    Of stacks with layers in front, and where something is given for h of each layer (L, ., B, M*H
    + H), the memories first.
    """
    given, L, parts = original_gradients(sequences), len(rnn.layers), []
    if given.dL_dc_final is not None:
        parts.append(_by_layer(rnn, sequences, given.dL_dc_final))
    if given.dL_dh_final is not None:
        parts.append(_by_layer(rnn, sequences, given.dL_dh_final))
        if has_memories(rnn) and len(parts) == 1:
            parts.insert(0, np.zeros_like(parts[0]))
    final = np.zeros((L, 0, 0, 0))
    if parts:  # kernels compile again for another order of axes
        final = np.ascontiguousarray(np.concatenate(parts, axis=-1))
    return final[0] if isinstance(rnn, RNN) else final


def _by_layer(rnn: Network, sequences: Sequences, array: FloatArray) -> FloatArray:
    """A derivative with respect to states of step T as (L, ., B, H) float64, times B.

    Without an axis of layers it is of the top.
    """
    axis, L = sequences.inputs.ndim - 3, len(rnn.layers)
    with np.errstate(over="ignore"):
        values = array.astype(np.float64) * float(_mean_over(sequences, rnn))
    if array.ndim < sequences.inputs.ndim:
        values = np.stack([*[np.zeros_like(values)] * (L - 1), values], axis=axis)
    return np.moveaxis(values if axis else values[None], 1, 0)


def _mean_over(sequences: Sequences, rnn: Network) -> Any:
    """B: kernels take the mean over sequences."""
    return rnn.dtype.type(sequences.n_sequences)


def weights_for(rnn: Network, batch: Batch) -> tuple[Weights, ...]:
    """The weights of each layer as kernels take them: where the loss is of h too, h is read out."""
    *below, top = map(originals_of, rnn.layers)
    N, H, V = len(rnn), rnn.n_hidden, rnn.n_outputs
    if batch.values.shape[-1] == V + H and batch.loss == INNER_PRODUCT:
        identity = np.broadcast_to(np.eye(H, dtype=rnn.dtype), (N, H, H))
        top = top._replace(W_hy=np.concatenate([top.W_hy, identity], axis=1))
    return (*below, top)


def checked_inputs(rnn: Network, inputs: npt.ArrayLike, name: str = "inputs") -> FloatArray:
    """Any inputs as (1 or N, T, B, D) that fit the networks; messages call them `name`."""
    array = checks.float_array(name, inputs, shape="(n_steps, n_sequences, n_inputs)")
    array = fitting_inputs(rnn, array, name)
    checks.positive_sizes(name, array, "N T B D")
    checks.finite(name, array)
    return array


def fitting_inputs(rnn: Network, array: FloatArray, name: str) -> FloatArray:
    """Inputs that are sound in themselves as (1 or N, T, B, D) that fit the networks."""
    if array.ndim == 3:
        array = array[None]
    elif array.ndim != 4 or array.shape[0] != len(rnn):
        raise ValueError(
            f"`{name}` must be (n_steps, n_sequences, n_inputs), or with a leading axis of "
            f"n_networks = {len(rnn)}, got shape {array.shape}"
        )
    if array.shape[-1] != rnn.n_inputs:
        raise ValueError(
            f"`{name}` must have n_inputs = {rnn.n_inputs} on the last axis as in the network, "
            f"got {array.shape[-1]}{_elsewhere(name, array.shape, rnn.n_inputs)}"
        )
    checks.same_dtype(**{"rnn": rnn.layers[0].W_hh, name: array})
    return array


def _elsewhere(name: str, shape: tuple[int, ...], n_inputs: int) -> str:
    """What to do where another axis has as many entries as there are inputs."""
    axis = next((axis for axis in (-2, -3) if shape[axis] == n_inputs), None)
    if axis is None:
        return ""
    return (
        f"; axis {axis} has {n_inputs}: if it holds the inputs, np.moveaxis({name}, {axis}, -1) "
        "makes it the last, behind steps and sequences"
    )


def _check_class_range(classes: npt.NDArray[np.int64], weights: FloatArray, n_outputs: int) -> None:
    outside = ((classes < 0) | (classes >= n_outputs)) & (weights > 0)
    if outside.any():
        index = checks.first_index(outside)
        raise ValueError(
            f"`targets` must be class ids 0..{n_outputs - 1} (n_outputs = {n_outputs}) where the "
            f"weight is above 0, got {classes[index]} at network, step, sequence {list(index)}; "
            "give that step weight 0 or the network more outputs"
        )
