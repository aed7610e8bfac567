"""A loss that is given by its derivatives: what is checked of them, and what is kept."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnsim import checks
from rnnsim.checks import FloatArray


class LossGradients(NamedTuple):
    """Derivatives of a loss with respect to what networks compute; None where not given.

    ``dL_dy (T, B, V)``, ``dL_dh (T, B, H)``, the direct part at every step, and ``dL_dc_final
    (B, H)``, of c_T at fixed h_T; with a leading network axis where the inputs have one. Of stacks
    these are of the top layer; ``dL_dh_final (L, B, H)``, and dL_dc_final then, are of each layer,
    at fixed states of all others.

    Examples
    --------
    A stack in two parts: what the second owes to the states between is handed to the first.

    >>> import numpy as np, rnnsim
    >>> x = np.random.default_rng(0).normal(size=(5, 3, 2))
    >>> stack = rnnsim.Stack.sample(n_layers=2, n_inputs=2, n_hidden=4, n_outputs=1, rng=0)
    >>> whole = rnnsim.Sequences(x, np.ones((5, 3, 1))).last_loss_only()
    >>> later = rnnsim.Sequences(x[2:], np.ones((3, 3, 1))).last_loss_only()
    >>> middle = rnnsim.forward(stack, x[:2]).final_h
    >>> behind = rnnsim.bptt(stack, later, h0=middle).h0[0]                      # (L, B, H)
    >>> before = rnnsim.bptt(stack, rnnsim.Sequences.from_gradients(x[:2], dL_dh_final=behind))
    >>> bool(np.allclose(before.h0, rnnsim.bptt(stack, whole).h0))
    True
    """

    dL_dy: FloatArray | None = None
    dL_dh: FloatArray | None = None
    dL_dc_final: FloatArray | None = None
    dL_dh_final: FloatArray | None = None

    def __repr__(self) -> str:
        shapes = [f"{k}={a.shape}" for k, a in self._asdict().items() if a is not None]
        kinds = {f"dtype={array.dtype}": None for array in self if array is not None}
        return f"LossGradients({', '.join([*shapes, *kinds])})"


def mapped(gradients: LossGradients, function: Callable[[FloatArray], FloatArray]) -> LossGradients:
    """A function of each array that was given."""
    return LossGradients(*(None if array is None else function(array) for array in gradients))


_SHAPES = {
    "dL_dy": "(n_steps, n_sequences, n_outputs)",
    "dL_dh": "(n_steps, n_sequences, n_hidden)",
    "dL_dh_final": "(n_sequences, n_hidden)",
    "dL_dc_final": "(n_sequences, n_hidden)",
}


def checked_gradients(inputs: FloatArray, given: dict[str, Any]) -> LossGradients:
    """Derivatives that fit the inputs, by name; dL/dh_T of the top goes into the last step."""
    found = {
        name: _fitting(name, value, inputs) for name, value in given.items() if value is not None
    }
    if not found:
        raise ValueError(
            "`dL_dy`, `dL_dh`, `dL_dh_final` or `dL_dc_final` must be given, at least one of them: "
            "the derivatives of your loss with respect to outputs or states"
        )
    hidden = {name: array.shape[-1] for name, array in found.items() if name != "dL_dy"}
    if len(set(hidden.values())) > 1:
        listing = ", ".join(f"`{name}`: {size}" for name, size in hidden.items())
        raise ValueError(
            f"derivatives with respect to states must have one n_hidden on the last axis, got "
            f"{listing}; give them all for the same networks"
        )
    dL_dh, final = found.get("dL_dh"), found.get("dL_dh_final")
    if final is not None and final.ndim < inputs.ndim:
        del found["dL_dh_final"]
        if dL_dh is None:
            dL_dh = np.zeros((*inputs.shape[:-1], final.shape[-1]), inputs.dtype)
        with np.errstate(over="ignore"):
            dL_dh[..., -1, :, :] += final
        checks.finite("dL_dh", dL_dh)
    return LossGradients(**{**found, "dL_dh": dL_dh})


def entering(inputs: FloatArray, gradients: LossGradients) -> FloatArray:
    """Loss weights (T, B): 1 at the steps and sequences where a derivative is not exactly 0."""
    enters = np.zeros(inputs.shape[:-1], bool)
    for each in (gradients.dL_dy, gradients.dL_dh):
        if each is not None:
            enters |= (each != 0).any(axis=-1)
    for final in (gradients.dL_dc_final, gradients.dL_dh_final):
        if final is not None:
            each = (final != 0).any(axis=-1)
            enters[..., -1, :] |= each.any(axis=-2) if final.ndim == inputs.ndim else each
    return enters.astype(inputs.dtype)


def _fitting(name: str, value: Any, inputs: FloatArray) -> FloatArray:
    """One of the derivatives, a copy, with the axes of the inputs in front of its last one."""
    shape = _SHAPES[name]
    array = checks.float_array(name, value, shape=shape, own=True)
    lead, steps = inputs.shape[:-3], inputs.shape[-3:-1]
    first = (*lead, *(steps if "n_steps" in shape else steps[1:]))
    own, more = array.shape[:-1], ""
    if name.endswith("final"):
        more = "; of a stack n_layers may stand before the sequences"
        own = (*own[:-2], own[-1]) if array.ndim == inputs.ndim else own
    if own != first or 0 in array.shape:
        raise ValueError(
            f"`{name}` must be {shape} with the first axes {first} as in `inputs` (with the "
            f"network axis on both or neither), got shape {array.shape}{more}"
        )
    checks.same_dtype(**{"inputs": inputs, name: array})
    checks.finite(name, array)
    return array
