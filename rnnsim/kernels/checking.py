"""For people who call kernels themselves: refuse arrays that a kernel would misread."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnsim.checks import DTYPES, finite, first_index, shown
from rnnsim.kernels.cells.layout import CROSS_ENTROPY, INNER_PRODUCT, Batch, Weights
from rnnsim.kernels.cells.seam import blocks, sizes
from rnnsim.kernels.dynamics.lyapunov import (
    LyapunovArrays,
    LyapunovWork,
    lyapunov_arrays,
    lyapunov_work,
)
from rnnsim.kernels.flow.arrays import FlowArrays, FlowWork, flow_arrays, flow_work, window_work
from rnnsim.kernels.gradients.backward_arrays import (
    BackwardWork,
    EachStep,
    GradientArrays,
    backward_work,
    gradient_arrays,
)
from rnnsim.kernels.gradients.truncated import TruncatedWork, truncated_work
from rnnsim.kernels.gradients.unfolding import ForwardWork, forward_work
from rnnsim.kernels.stacks.dynamics import stack_lyapunov_arrays, stack_lyapunov_work
from rnnsim.kernels.stacks.flow import (
    StackFlowArrays,
    StackFlowWork,
    stack_flow_arrays,
    stack_flow_work,
)
from rnnsim.kernels.stacks.gradients import stack_backward_work, stack_gradient_arrays
from rnnsim.kernels.stacks.truncated import stack_truncated_work

_ACTIVATIONS = range(4)  # codes of phi
_LOSSES = ("CROSS_ENTROPY", "SQUARED_ERROR", "INNER_PRODUCT")
_WEIGHTS = {"W_hh": "N A H", "W_xh": "N A D", "W_hy": "N V H", "b_h": "N E", "b_y": "N Y"}


def check(weights: Weights | Sequence[Weights], batch: Batch, *arrays: Any, cell: Any = 0) -> None:
    """Refuse weights, a batch, results or scratch that kernels would misread, or read beyond.

    Kernels trust their arguments: a wrong shape or class id is undefined behaviour. Call this once
    before, from Python. Sizes: N networks, A = G*H gate rows of G gates (1 of vanilla networks, 4
    of an LSTM, 3 of a GRU), E = A biases but 4*H of a GRU, S numbers of a state (2*H of an LSTM,
    else H), T steps, B sequences, D inputs, H hidden units, V outputs.

    Parameters
    ----------
    weights : Weights, or a series of them
        Of a stack those of each layer, the lowest first, as the functions take them that make its
        scratch; only the top has outputs, and every other layer reads H inputs. C-contiguous,
        writable, all float32 or all float64, finite: W_xh (N, A, D), W_hh (N, A, H), W_hy
        (N, V, H), b_h (N, E), b_y (N, V); V may be 0 where nothing is scored. For INNER_PRODUCT b_y
        may be shorter, see `Weights`.
    batch : Batch
        As `Batch` says, of the same dtype; each array for 1 or N networks. Classes, int64, must be
        0..V-1 and values finite where the loss weight is above 0; loss weights at least 0. The
        target array that the loss does not read may be of any size, but not of another kind. For a
        stack of L layers h0 is (., B, L*S).
    *arrays : GradientArrays, FlowArrays, LyapunovArrays, or scratch of any kind
        Made by the function of that name for exactly these weights and this batch.
    cell : int, or the NamedTuple of another cell
        Which cell the weights belong to, as the kernels take it.

    Raises
    ------
    TypeError
        Something that is no such NamedTuple; what is no array, of another dtype, not C-contiguous
        or read-only; a cell that kernels do not know.
    ValueError
        Shapes that disagree, empty axes, NaN or infinity, classes out of range, an unknown loss.

    Examples
    --------
    >>> import numpy as np
    >>> from rnnsim import kernels
    >>> weights = kernels.Weights(*map(np.ones, [(1, 8, 3), (1, 8, 4), (1, 2, 8), (1, 8), (1, 2)]))
    >>> batch = kernels.Batch(np.ones((1, 5, 2, 3)), np.zeros((1, 5, 2), int),
    ...                       np.empty((1, 0, 0, 0)), np.ones((1, 5, 2)), np.zeros((1, 2, 8)),
    ...                       kernels.CROSS_ENTROPY)
    >>> kernels.check(weights, batch)  # doctest: +NORMALIZE_WHITESPACE
    Traceback (most recent call last):
        ...
    ValueError: `weights.W_hh` must be (N, A, H) with A = 1*H gate rows, got shape (1, 8, 4);
    of another cell give `cell`, as in cell=kernels.LSTM
    """
    stacked = isinstance(weights, list | tuple) and not isinstance(weights, Weights)
    layers: list[Any] = list(weights) if stacked else [weights]
    named = [(f"weights[{k}]" * stacked or "weights", w, Weights) for k, w in enumerate(layers)]
    for name, value, kind in (*named, ("batch", batch, Batch)):
        if not isinstance(value, kind):
            raise TypeError(
                f"`{name}` must be a kernels.{kind.__name__}, got {type(value).__name__}"
            )
    known = _check_layers(layers, cell) if stacked else _check_weights(layers[0], cell)
    _check_batch(batch, known, layers[0].W_hh.dtype)
    _check_readout(layers[-1], batch)
    makers = _MADE_OF_STACKS if stacked else _MADE
    for given in arrays:
        made_by = next((make for kind, make in makers.items() if isinstance(given, kind)), None)
        if made_by is None:
            raise TypeError(
                "`arrays` must be results or scratch that functions of rnnsim.kernels made, got "
                f"{type(given).__name__}"
            )
        name = type(given).__name__
        try:
            made = made_by(given, weights, batch, cell)
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise TypeError(f"`{name}` must hold the arrays that it was made with") from error
        _check_like(name, given, made)


def _check_layers(layers: list[Weights], cell: Any) -> dict[str, int]:
    """The sizes of a stack: N, H, A, E of all layers, D of the lowest, V of the top, S of all."""
    if not layers:
        raise ValueError("`weights` must hold one kernels.Weights at least for a stack, got none")
    sizes = [_check_weights(w, cell) for w in layers]
    for k, own in enumerate(sizes):
        name, last = f"weights[{k}]", k == len(layers) - 1
        for letter in "NH":
            if own[letter] != sizes[0][letter]:
                raise ValueError(
                    f"`{name}` must have {letter} = {sizes[0][letter]} as the lowest layer, got "
                    f"{own[letter]}"
                )
        if k > 0 and own["D"] != own["H"]:
            raise ValueError(
                f"`{name}.W_xh` must read the H = {own['H']} states of the layer below, got "
                f"D = {own['D']}"
            )
        if not last and (own["V"] or own["Y"]):
            raise ValueError(
                f"`{name}.W_hy` and `.b_y` must be empty below the top, (N, 0, H) and (N, 0), got "
                f"V = {own['V']}"
            )
        if layers[k].W_hh.dtype != layers[0].W_hh.dtype:
            raise TypeError(
                f"`{name}` must hold {layers[0].W_hh.dtype} as the lowest layer, got "
                f"{layers[k].W_hh.dtype}"
            )
    top = sizes[-1]
    return top | {"D": sizes[0]["D"], "S": len(layers) * top["S"]}


def _check_weights(weights: Weights, cell: Any) -> dict[str, int]:
    """The sizes of the networks, by letter."""
    known: dict[str, int] = {}
    if not isinstance(cell, tuple) and not (type(cell) is int and cell in _ACTIVATIONS):
        raise TypeError(
            "`cell` must be kernels.TANH, RELU, LINEAR or SIGMOID, kernels.LSTM, kernels.GRU, or "
            f"a cell of your own, got {shown(cell)}"
        )
    gates, biases = 1 + max(blocks(cell)[0]), len(blocks(cell)[0])
    dtype = getattr(weights.W_hh, "dtype", None)
    if dtype not in DTYPES:
        raise TypeError(f"`weights.W_hh` must be a float32 or float64 array, got {dtype}")
    for field, axes in _WEIGHTS.items():
        name, array = f"weights.{field}", getattr(weights, field)
        _check_array(name, array, dtype)
        _check_shape(name, array, axes, known)
        if field == "W_hh" and known["A"] != gates * known["H"]:
            raise ValueError(
                f"`{name}` must be (N, A, H) with A = {gates}*H gate rows, got shape "
                f"{array.shape}; of another cell give `cell`, as in cell=kernels.LSTM"
            )
        finite(name, array)
        known["E"] = biases * known["H"]
    memories = sizes(cell)[0]
    return known | {"S": (1 + memories) * known["H"]}


def _check_readout(weights: Weights, batch: Batch) -> None:
    """A bias for each output; rows of W_hy beyond them read the state for a loss of the state."""
    V, found = weights.W_hy.shape[1], weights.b_y.shape
    if found[1] > V or (found[1] < V and batch.loss != INNER_PRODUCT):
        raise ValueError(
            f"`weights.b_y` must be (N, V) with V = {V} as `weights.W_hy`, got shape {found}"
        )


def _check_batch(batch: Batch, known: dict[str, int], dtype: Any) -> None:
    if not isinstance(batch.loss, int) or batch.loss not in range(len(_LOSSES)):
        raise ValueError(f"`batch.loss` must be one of kernels.{_LOSSES}, got {batch.loss!r}")
    axes = {"inputs": ". T B D", "loss_weights": ". T B", "h0": ". B S"}
    targets = {"classes": ". T B", "values": ". T B V"}
    read = "classes" if batch.loss == CROSS_ENTROPY else "values"
    for field, letters in (axes | {read: targets[read]}).items():
        name, array = f"batch.{field}", getattr(batch, field)
        _check_array(name, array, np.int64 if field == "classes" else dtype)
        _check_shape(name, array, letters, known)
    for field, letters in targets.items():
        name, array, n_axes = f"batch.{field}", getattr(batch, field), len(letters.split())
        _check_array(name, array, np.int64 if field == "classes" else dtype)
        if array.ndim != n_axes:
            raise ValueError(
                f"`{name}`, which this loss does not read, must have {n_axes} axes all the same, "
                f"as in np.empty({(1, *[0] * (n_axes - 1))}), got shape {array.shape}"
            )
    for field in ("inputs", "loss_weights", "h0"):
        finite(f"batch.{field}", getattr(batch, field))
    if (batch.loss_weights < 0).any():
        raise ValueError(
            f"`batch.loss_weights` must be at least 0, got {batch.loss_weights.min()}; use 0 where "
            "a step carries no loss"
        )
    counts = batch.loss_weights > 0
    if read == "values":
        values, counts = np.broadcast_arrays(batch.values, counts[..., None])
        finite("batch.values", values, where=counts)
        return
    classes, counts = np.broadcast_arrays(batch.classes, counts)
    wrong = ((classes < 0) | (classes >= known["V"])) & counts
    if wrong.any():
        index = first_index(wrong)
        raise ValueError(
            f"`batch.classes` must be 0..{known['V'] - 1} where the loss weight is above 0, got "
            f"{classes[index]} at network, step, sequence {list(index)}"
        )


def _check_array(name: str, array: Any, dtype: Any) -> None:
    """A plain array as compiled code takes it apart."""
    if type(array) is not np.ndarray:
        raise TypeError(f"`{name}` must be a NumPy array, got {type(array).__name__}")
    if array.dtype != dtype:
        raise TypeError(f"`{name}` must hold {np.dtype(dtype)}, got {array.dtype}; convert it")
    if not (array.flags.c_contiguous and array.flags.writeable and array.flags.aligned):
        raise TypeError(
            f"`{name}` must be C-contiguous and writable, got an array that is not; np.array(...) "
            "makes such a copy"
        )


def _check_shape(name: str, array: Any, axes: str, known: dict[str, int]) -> None:
    """One size for each letter; those not known yet become known. The first axis "." is 1 or N."""
    letters = axes.split()
    expected = [known.get(letter) for letter in letters]
    fits = array.ndim == len(letters)
    for letter, size, wanted in zip(letters, array.shape, expected, strict=False):
        if letter == ".":
            fits &= size in (1, known["N"])
        else:
            fits &= (size > 0 or letter in "VY") and wanted in (None, size)
    if not fits:
        shown = ", ".join("1 or N" if letter == "." else letter for letter in letters)
        sized = ", ".join(f"{letter} = {size}" for letter, size in known.items())
        raise ValueError(
            f"`{name}` must be ({shown}), no axis empty{' with ' if sized else ''}{sized}, "
            f"got shape {array.shape}"
        )
    known |= {
        letter: size for letter, size in zip(letters, array.shape, strict=True) if letter != "."
    }


def _check_like(name: str, given: Any, made: Any) -> None:
    """Array by array what an allocator makes."""
    if hasattr(made, "_fields"):
        if type(given) is not type(made):
            raise TypeError(f"`{name}` must be a {type(made).__name__}, got {type(given).__name__}")
        for field, mine, theirs in zip(made._fields, given, made, strict=True):
            _check_like(f"{name}.{field}", mine, theirs)
    elif not isinstance(made, np.ndarray):
        if given != made:
            raise ValueError(f"`{name}` must be {made}, got {given!r}")
    else:
        _check_array(name, given, made.dtype)
        if given.shape != made.shape:
            raise ValueError(
                f"`{name}` must be of shape {made.shape} for these weights and this batch, got "
                f"{given.shape}; make it anew with the function of rnnsim.kernels that is named "
                "after it"
            )


def _stored(work: Any) -> int:
    """How many steps scratch keeps at once."""
    return max(1, len(work.trace) - 1)


def _like_asked(out: GradientArrays, weights: Weights, batch: Batch) -> GradientArrays:
    """What `gradient_arrays` makes, with room for every step where `out` has it."""
    made = gradient_arrays(weights, batch)
    if out.each.states.size == 0 and out.each.errors.size == 0:
        return made
    (N, A), (T, B), V = weights.b_h.shape, batch.inputs.shape[1:3], weights.W_hy.shape[1]
    states, errors = (N, T + 1, B, batch.h0.shape[2]), (N, T, B, A + V)
    dtype = weights.W_hh.dtype
    return made._replace(each=EachStep(np.empty(states, dtype), np.empty(errors, dtype)))


def _with_final(work: Any, made: Any, weights: Weights, batch: Batch) -> Any:
    """Scratch with room for what arrives at the memories of the last step, where `work` has it."""
    (N, _, H), B, S = weights.W_hh.shape, batch.inputs.shape[2], batch.h0.shape[2]
    if work.final.size == 0:
        return made
    return made._replace(final=np.zeros((1 if len(work.final) == 1 else N, B, S - H)))


def _with_common(work: Any, made: Any, weights: Weights, batch: Batch) -> Any:
    return made._replace(common=_with_final(work.common, made.common, weights, batch))


def _with_scales(work: Any, made: Any, weights: Weights, batch: Batch) -> Any:
    made = _with_final(work, made, weights, batch)
    if work.along.size > 0:
        made = window_work(made, work.windows)
    if work.scales.size == 0:
        return made
    return made._replace(scales=np.zeros((len(weights.W_hh), batch.h0.shape[2])))


def _chosen(out: Any) -> int:
    """How many windows were chosen, -1 where there is one for every lag."""
    return -1 if out.lag_norms.shape[1] > 0 else out.hidden_log_norm.shape[1]


_MADE: dict[type, Any] = {
    ForwardWork: lambda work, weights, batch, cell: forward_work(
        weights, batch.inputs.shape[1], batch.inputs.shape[2], _stored(work), cell),
    BackwardWork: lambda work, weights, batch, cell: _with_final(
        work, backward_work(weights, batch, _stored(work.forward), cell), weights, batch),
    TruncatedWork: lambda work, weights, batch, cell: _with_common(work, truncated_work(
        weights, batch, -(-batch.inputs.shape[1] // max(1, len(work.rows))), cell), weights, batch),
    FlowWork: lambda work, weights, batch, cell: _with_scales(work, flow_work(
        weights, batch, len(work.rows), len(work.tops), cell), weights, batch),
    LyapunovWork: lambda work, weights, batch, cell: lyapunov_work(
        weights.W_hh.shape[2], weights.W_xh.shape[2], work.logs.shape[1], weights.W_hh, cell),
    GradientArrays: lambda out, weights, batch, cell: _like_asked(out, weights, batch),
    FlowArrays: lambda out, weights, batch, cell: flow_arrays(
        weights, batch, *out.log_norms.shape[1:], out.per_sequence.size > 0, _chosen(out)),
    LyapunovArrays: lambda out, weights, batch, cell: lyapunov_arrays(
        len(weights.W_hh), batch.inputs.shape[2], *out.block_sums.shape[2:]),
}  # fmt: skip

_MADE_OF_STACKS: dict[type, Any] = {
    BackwardWork: lambda work, layers, batch, cell: stack_backward_work(
        layers, batch, max(1, work.forward.trace.shape[1] - 1), cell),
    TruncatedWork: lambda work, layers, batch, cell: stack_truncated_work(
        layers, batch, -(-batch.inputs.shape[1] // max(1, work.rows.shape[1])), cell),
    StackFlowWork: lambda work, layers, batch, cell: stack_flow_work(
        layers, batch, len(work.carried), len(work.logs), cell,
        windows=work.layers.windows[0] if work.layers.along.size > 0 else None),
    LyapunovWork: lambda work, layers, batch, cell: stack_lyapunov_work(
        layers, work.logs.shape[-1], cell),
    GradientArrays: lambda out, layers, batch, cell: stack_gradient_arrays(layers, batch),
    StackFlowArrays: lambda out, layers, batch, cell: stack_flow_arrays(
        layers, batch, out.whole.log_norms.shape[1], out.whole.log_norms.shape[2],
        out.whole.per_sequence.size > 0, _chosen(out.whole)),
    LyapunovArrays: lambda out, layers, batch, cell: stack_lyapunov_arrays(
        len(layers), len(layers[0].W_hh), batch.inputs.shape[2], *out.block_sums.shape[3:]),
}  # fmt: skip
