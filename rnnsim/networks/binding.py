"""Networks and data brought together for the kernels: checked once, with a network axis."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.pairs import Data, Pairs, check_pairs, sources_of, target_of
from rnnsim.data.sequences import Sequences, originals
from rnnsim.kernels.cells.layout import CROSS_ENTROPY, SQUARED_ERROR, Batch
from rnnsim.networks.encoder_decoder import EncoderDecoder
from rnnsim.networks.model import Model, check_model, parts_of
from rnnsim.networks.rnn import ACTIVATIONS, RNN, check_rnn

_SEQUENCES_FIRST = (
    "; the inputs are read as (n_steps, n_sequences, n_inputs): if their sequences come first, "
    "give np.swapaxes(inputs, -3, -2), and all else likewise"
)


def cell_of(rnn: RNN) -> Any:
    """What the kernels call the networks' cell: of vanilla networks the code of phi."""
    return ACTIVATIONS[rnn.activation]


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
        case (RNN(), Sequences()) | (EncoderDecoder(), Pairs()):
            return
    raise wrong_kinds(model, data, name, otherwise=otherwise)


def wrong_kinds(model: Any, data: Any, name: str, *, otherwise: str = "") -> TypeError:
    """What to say of a model that is none, or of data of another kind than it takes."""
    check_model(model)
    expected = Sequences if isinstance(model, RNN) else Pairs
    return TypeError(
        f"`{name}` must be a rnnsim.{expected.__name__} for a model of type "
        f"{type(model).__name__}{otherwise}, got {type(data).__name__}"
    )


def pair_batch(model: EncoderDecoder, pairs: Pairs) -> tuple[FloatArray, Batch]:
    """The kernels' view of pairs for a model, checked: source (1 or N, T_s, B, D_s) and target."""
    if not isinstance(model, EncoderDecoder):
        raise TypeError(
            f"`model` must be a rnnsim.EncoderDecoder, got {type(model).__name__}; "
            "a single RNN and its Sequences go to rnnsim.bptt and rnnsim.evaluate"
        )
    check_pairs(pairs)
    target, (source,) = bind(model, pairs, "pairs")
    return source, target


def batch_for(rnn: RNN, sequences: Sequences, h0: npt.ArrayLike | None) -> Batch:
    """The kernels' view of `sequences` for the networks of `rnn`, with a network axis.

    Only what depends on the networks is checked: the rest was when the sequences were made.
    """
    check_rnn(rnn)
    if not isinstance(sequences, Sequences):
        raise TypeError(
            "`sequences` must be a rnnsim.Sequences(inputs, targets, weights=None), "
            f"got {type(sequences).__name__}"
        )
    inputs, targets, weights = originals(sequences)
    inputs = fitting_inputs(rnn, inputs, "inputs")
    shared = inputs.shape[0] == 1
    if not sequences.n_networks:
        targets, weights = targets[None], weights[None]
    T, B, V, kind = sequences.n_steps, sequences.n_sequences, rnn.n_outputs, rnn.dtype
    if sequences.has_classes:
        _check_class_range(targets, weights, V)
        classes, values = targets, np.empty((1, 0, 0, 0), kind)
    else:
        if targets.shape[-1] != V:
            raise ValueError(
                f"`targets` must be (n_steps, n_sequences, n_outputs) with n_outputs = {V} as in "
                f"the network, got {targets.shape[-1]} on the last axis"
            )
        classes, values = np.empty((1, 0, 0), np.int64), targets
    assert targets.shape[:3] == (1 if shared else len(rnn), T, B)
    return Batch(
        inputs,
        classes,
        values,
        weights,
        initial_states(rnn, h0, B),
        CROSS_ENTROPY if sequences.has_classes else SQUARED_ERROR,
    )


def checked_inputs(rnn: RNN, inputs: npt.ArrayLike, name: str = "inputs") -> FloatArray:
    """Any inputs as (1 or N, T, B, D) that fit the networks; messages call them `name`."""
    array = checks.float_array(name, inputs, shape="(n_steps, n_sequences, n_inputs)")
    array = fitting_inputs(rnn, array, name)
    checks.positive_sizes(name, array, "N T B D")
    checks.finite(name, array)
    return array


def fitting_inputs(rnn: RNN, array: FloatArray, name: str) -> FloatArray:
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
    checks.same_dtype(**{"rnn": rnn.W_hh, name: array})
    return array


def initial_states(rnn: RNN, h0: npt.ArrayLike | None, n_sequences: int) -> FloatArray:
    """h_0 as (1 or N, B, H): zeros unless given."""
    B, H = n_sequences, rnn.n_hidden
    if h0 is None:
        return np.zeros((1, B, H), rnn.dtype)
    array = checks.float_array("h0", h0, shape="(n_sequences, n_hidden)")
    if array.ndim == 2:
        array = array[None]
    if array.shape not in ((1, B, H), (len(rnn), B, H)):
        other = array.ndim == 3 and array.shape[1] != B and array.shape[2] == H
        raise ValueError(
            f"`h0` must be (n_sequences, n_hidden) = ({B}, {H}), or with a leading axis of "
            f"n_networks = {len(rnn)}, got shape {np.shape(h0)}"
            f"{_SEQUENCES_FIRST if other else ''}"
        )
    checks.same_dtype(rnn=rnn.W_hh, h0=array)
    checks.finite("h0", array)
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
