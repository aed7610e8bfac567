"""The data of an experiment: input sequences, targets, and where the loss is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray


@dataclass(frozen=True, eq=False)
class Sequences:
    """A batch of B input sequences of T steps with targets and loss weights.

    Parameters
    ----------
    inputs : (T, B, D) array
        float32 or float64. With a leading network axis (N, T, B, D), on targets and weights too,
        each network reads its own data; without it all networks share one batch.
    targets : (T, B) int array or (T, B, V) float array
        Class ids 0..V-1 are scored with softmax cross-entropy in nats, float targets (of the
        inputs' dtype) with ``0.5*||y - target||^2``. Where the weight is 0 they are ignored.
    weights : (T, B) array, optional
        Loss weights w >= 0, of the inputs' dtype, integers or booleans; 1 everywhere unless given,
        0 where a step carries no loss.

        All three are copied; the attributes of these names are read-only views.
    provenance : mapping of str to str, optional
        Where the data come from (corpus checksum, task variant); recorded with results.

    Raises
    ------
    TypeError
        Inputs, float targets or float weights that are not all float32 or all float64; targets of
        another kind.
    ValueError
        Shapes that disagree, empty axes, NaN or infinity, negative weights or class ids.

    Examples
    --------
    >>> import numpy as np, rnnsim
    >>> batch = rnnsim.Sequences(np.zeros((5, 2, 3)), np.zeros((5, 2), int))
    >>> batch.n_steps, batch.n_sequences, batch.n_inputs
    (5, 2, 3)
    """

    inputs: FloatArray
    targets: npt.NDArray[Any]
    weights: FloatArray = None  # type: ignore[assignment]
    provenance: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    _owned: tuple[FloatArray, npt.NDArray[Any], FloatArray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shape = "(n_steps, n_sequences, n_inputs)"
        inputs = checks.float_array("inputs", self.inputs, shape=shape, own=True)
        if inputs.ndim not in (3, 4):
            raise ValueError(
                "`inputs` must be (n_steps, n_sequences, n_inputs), or with a leading network "
                f"axis, got shape {inputs.shape}"
            )
        checks.positive_sizes("inputs", inputs, "N T B D" if inputs.ndim == 4 else "T B D")
        checks.finite("inputs", inputs)
        weights = _checked_weights(self.weights, inputs)
        targets = _checked_targets(self.targets, inputs, weights)
        owned = {"inputs": inputs, "targets": targets, "weights": weights}
        object.__setattr__(self, "_owned", (inputs, targets, weights))
        for name, value in owned.items():
            object.__setattr__(self, name, checks.read_only(value))
        object.__setattr__(self, "provenance", checks.provenance(self.provenance))

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), provenance=self.provenance), self._owned

    @property
    def n_networks(self) -> int | None:
        """N where each network has its own data, None where all share one batch."""
        return int(self.inputs.shape[0]) if self.inputs.ndim == 4 else None

    @property
    def n_steps(self) -> int:
        """T."""
        return int(self.inputs.shape[-3])

    @property
    def n_sequences(self) -> int:
        """B."""
        return int(self.inputs.shape[-2])

    @property
    def n_inputs(self) -> int:
        """D."""
        return int(self.inputs.shape[-1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self.inputs.dtype

    @property
    def has_classes(self) -> bool:
        """True where the targets are class ids."""
        return self.targets.dtype.kind == "i"

    @property
    def loss_steps(self) -> npt.NDArray[np.int64]:
        """The steps 1..T that carry loss in at least one sequence of one network, ascending."""
        others = tuple(axis for axis in range(self.weights.ndim) if axis != self.weights.ndim - 2)
        return np.flatnonzero((self.weights > 0).any(axis=others)) + 1

    def last_loss_only(self) -> "Sequences":
        """The same data with loss at the last loss-carrying step only: many-to-one."""
        weights = np.zeros_like(self.weights)
        if self.loss_steps.size:
            last = int(self.loss_steps[-1]) - 1
            weights[..., last, :] = self.weights[..., last, :]
        return Sequences(self.inputs, self.targets, weights, provenance=self.provenance)

    def astype(self, dtype: npt.DTypeLike) -> "Sequences":
        """The same data rounded to float32 or widened to float64."""
        kind = checks.float_dtype("dtype", dtype)
        targets = self.targets if self.has_classes else self.targets.astype(kind)
        return Sequences(
            self.inputs.astype(kind), targets, self.weights.astype(kind), provenance=self.provenance
        )


def originals(sequences: Sequences) -> tuple[FloatArray, npt.NDArray[Any], FloatArray]:
    """Inputs, targets and weights themselves, for kernels: read-only arrays compile once more."""
    return sequences._owned


def _checked_weights(weights: Any, inputs: FloatArray) -> FloatArray:
    shape = inputs.shape[:-1]
    if weights is None:
        return np.ones(shape, inputs.dtype)
    array = checks.plain_array("weights", weights)
    if array.dtype.kind in "biu":
        array = array.astype(inputs.dtype)
    array = checks.float_array("weights", array, shape="(n_steps, n_sequences)", own=True)
    if array.shape != shape:
        raise ValueError(
            f"`weights` must be (n_steps, n_sequences) = {shape} as in `inputs` "
            f"(with the network axis on both or neither), got {array.shape}"
        )
    checks.same_dtype(inputs=inputs, weights=array)
    checks.finite("weights", array)
    if (array < 0).any():
        index = checks.first_index(array < 0)
        raise ValueError(
            f"`weights` must not be negative, got {array[index]} at {list(index)}; "
            "use 0 where a step carries no loss"
        )
    return array


def _checked_targets(targets: Any, inputs: FloatArray, weights: FloatArray) -> npt.NDArray[Any]:
    """Targets that fit; entries at weight 0 become 0, so that nothing is ever read from them."""
    array, counts = checks.plain_array("targets", targets), weights > 0
    if array.dtype.kind in "iu":
        if array.shape != weights.shape:
            raise ValueError(
                f"`targets` of class ids must be (n_steps, n_sequences) = {weights.shape} as in "
                f"`inputs` (with the network axis on both or neither), got {array.shape}"
            )
        classes = np.ascontiguousarray(np.where(counts, array, 0), np.int64)
        if (classes < 0).any():
            index = checks.first_index(classes < 0)
            raise ValueError(
                f"`targets` must be class ids 0..n_outputs-1 where the weight is above 0, got "
                f"{classes[index]} at {list(index)}; give that step weight 0 or a class"
            )
        return classes
    if array.dtype not in checks.DTYPES:
        raise TypeError(
            "`targets` must be class ids (integers, (n_steps, n_sequences)) or float32/float64 "
            f"values (n_steps, n_sequences, n_outputs), got {array.dtype}"
        )
    if array.ndim != inputs.ndim or array.shape[:-1] != weights.shape or array.shape[-1] == 0:
        raise ValueError(
            f"`targets` of floats must be (n_steps, n_sequences, n_outputs) with the first axes "
            f"{weights.shape} as in `inputs`, got {array.shape}; class ids must be integers"
        )
    checks.same_dtype(inputs=inputs, targets=array)
    checks.finite("targets", array, where=counts[..., None])
    return np.ascontiguousarray(np.where(counts[..., None], array, array.dtype.type(0)))
