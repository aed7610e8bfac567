"""What is to be diagnosed as it is given: a network or its file, and data, or class ids."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.sequences import Sequences
from rnnsim.experiments.own.networks import Own, own_of
from rnnsim.networks.binding import checked_inputs
from rnnsim.networks.stack import Network

_MOST_ENTRIES = 2**28  # of one-hot inputs, 2 GB


def one_network(network: Any, readout: Any, embedding: Any) -> Own:
    """One network, in memory or of a file.

    Raises
    ------
    TypeError, ValueError, OSError
        What is neither; names of layers with a network in memory; an ensemble.
    """
    given = {"readout": readout, "embedding": embedding}
    for name, value in given.items():
        if value is not None and hasattr(network, "layers"):
            raise ValueError(
                f"`{name}` names a layer of a file, got {checks.text(name, value)!r} with a "
                "network in memory; leave it out, or give the path of the file as `network`"
            )
    named = {k: None if value is None else checks.text(k, value) for k, value in given.items()}
    with checks.renamed(weights="`network`"):
        own = own_of(network, **named)
    if own is None:
        raise TypeError(
            "`network` must be a rnnsim.RNN, a rnnsim.Stack or the path of a file that "
            "rnnsim.read_network reads, got None"
        )
    if len(own.network) != 1:
        raise ValueError(
            f"`network` must be one network, got an ensemble of {len(own.network)}; give one of "
            "them, as network[0]"
        )
    return own


def data_of(own: Own, sequences: Any, targets: Any) -> tuple[Sequences, bool, str]:
    """Data with a loss, or with random cotangents in its place and what the loss would need.

    Raises
    ------
    TypeError, ValueError
        Inputs that the network does not read; targets beside `Sequences`, which hold their own, or
        of another shape.
    """
    network = own.network
    if isinstance(sequences, Sequences):
        if targets is not None:
            raise ValueError(
                "`targets` belong to inputs that are given as an array, and `sequences` is a "
                "rnnsim.Sequences, which holds its own; leave them out"
            )
    else:
        inputs = _inputs(network, sequences)
        if targets is None:
            needs = "targets, as `targets`, or data that hold them, and a network with a readout"
            return _with_cotangents(own, inputs, {}), False, needs
        sequences = _with_targets(inputs, targets)
    if not sequences.weights.any():
        needs = "a step with a loss weight above 0, or a derivative that is not 0"
    elif network.n_outputs == 0 and not sequences.has_gradients:
        needs = "a network with a readout (W_hy), or Sequences.from_gradients with your loss"
    else:
        return sequences, True, ""
    inputs = checked_inputs(network, sequences.inputs, "inputs")[0]
    return _with_cotangents(own, inputs, sequences.provenance), False, needs


def _inputs(network: Network, given: Any) -> FloatArray:
    """Numbers (T, B, D) as they are; class ids (T, B) by the network's embedding, else one-hot."""
    found = checks.plain_array("sequences", given)
    if found.dtype.kind not in "iu":
        return checked_inputs(network, found, "sequences")[0]
    if found.ndim != 2 or 0 in found.shape:
        raise ValueError(
            "`sequences` of class ids must be (n_steps, n_sequences), at least 1 of both, got "
            f"shape {found.shape}"
        )
    if network.embedding is not None:
        with checks.renamed(ids="`sequences`"):
            return network.embed(found)
    D = network.n_inputs
    wrong = (found < 0) | (found >= D)
    if wrong.any():
        at = checks.first_index(wrong)
        raise ValueError(
            f"`sequences` must be class ids from 0 to {D - 1}, one-hot the {D} inputs of the "
            f"network, got {found[at]} at {list(at)}; for rows of a table name it as `embedding`"
        )
    if found.size * D > _MOST_ENTRIES:
        raise ValueError(
            f"`sequences` would be {found.size * D} numbers as one-hot inputs, more than "
            f"{_MOST_ENTRIES}; give fewer steps or sequences"
        )
    inputs = np.zeros((*found.shape, D), network.dtype)
    np.put_along_axis(inputs, found[..., None].astype(np.int64), 1, axis=-1)
    return inputs


def _with_targets(inputs: FloatArray, given: Any) -> Sequences:
    """Targets of every step, or of the last one alone."""
    found: npt.NDArray[Any] = checks.plain_array("targets", given)
    T, B = inputs.shape[:2]
    classes = found.dtype.kind in "iu"
    if found.ndim != (1 if classes else 2):
        return Sequences(inputs, found)
    if len(found) != B:
        raise ValueError(
            f"`targets` of the last step must be one for each of the {B} sequences, got shape "
            f"{found.shape}; those of every step are ({T}, {B}) class ids or ({T}, {B}, n_outputs) "
            "floats"
        )
    weights = np.zeros((T, B), inputs.dtype)
    weights[-1] = 1
    return Sequences(inputs, np.broadcast_to(found, (T, *found.shape)), weights)


def _with_cotangents(own: Own, inputs: FloatArray, provenance: Any) -> Sequences:
    """Inputs with derivatives N(0, 1) of some loss with respect to h_T of the top."""
    rng = np.random.default_rng(0)
    draw = rng.standard_normal((inputs.shape[1], own.network.n_hidden)).astype(inputs.dtype)
    return Sequences.from_gradients(inputs, dL_dh_final=draw, provenance=provenance)
