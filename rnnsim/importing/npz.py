"""Networks of one's own, from a file of weights."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim.networks.rnn import RNN

NEEDED = ("W_xh", "W_hh", "W_hy")
OPTIONAL = ("b_h", "b_y")
_AXES = {
    "W_xh": ("n_hidden", "n_inputs"),
    "W_hh": ("n_hidden", "n_hidden"),
    "W_hy": ("n_outputs", "n_hidden"),
    "b_h": ("n_hidden",),
    "b_y": ("n_outputs",),
}
_SAVING = "save it with np.savez(path, W_xh=W_xh, W_hh=W_hh, W_hy=W_hy, b_h=b_h, b_y=b_y)"


def load_network(path: str, *, activation: str = "tanh", dtype: str = "float64") -> RNN:
    """The one network whose weights an .npz file holds, converted to `dtype`.

    W_xh (H, D), W_hh (H, H) and W_hy (V, H) are required, b_h (H,) and b_y (V,) are 0 unless
    given. ``W[i, j]`` is the weight from j to i, as in the weights of PyTorch's RNN, whose two
    hidden biases are to be added up. Other arrays of the file are ignored.

    Raises
    ------
    FileNotFoundError, ValueError
        No such file; not an .npz file of numbers; arrays that are missing, misshapen or not finite.
    """
    arrays = _read(path)
    missing = [name for name in NEEDED if name not in arrays]
    if missing:
        raise ValueError(
            f"`--weights` {path!r} must hold {', '.join(NEEDED)}, it lacks {', '.join(missing)} "
            f"(it holds {', '.join(sorted(arrays)) or 'nothing'}); {_SAVING}"
        )
    sizes: dict[str, tuple[int, str]] = {}
    for name in sorted(_AXES, key=lambda name: name != "W_hh"):  # W_hh says what H is
        if name in arrays:
            _check(path, name, arrays[name], sizes)
    weights = {name: arrays[name].astype(dtype) for name in _AXES if name in arrays}
    return RNN(**weights, activation=activation)


def _read(path: str) -> dict[str, npt.NDArray[Any]]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"`--weights` {path!r} is not a file; name an .npz file")
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as opened:
            return {name: opened[name] for name in opened.files if name in _AXES}
    except (ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"`--weights` {path!r} is not an .npz file of arrays; {_SAVING}"
        ) from error


def _check(
    path: str, name: str, array: npt.NDArray[Any], sizes: dict[str, tuple[int, str]]
) -> None:
    """Refuse what does not fit the arrays before; remember where each size came from."""
    axes, shape = _AXES[name], array.shape
    expected = f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"
    if array.dtype.kind not in "iuf":
        raise ValueError(
            f"`--weights` {path!r}: {name} must hold real numbers, got {array.dtype}; {_SAVING}"
        )
    if array.ndim != len(axes) or 0 in shape:
        raise ValueError(
            f"`--weights` {path!r}: {name} must be {expected}, got shape {shape}; "
            "the file holds one network, without a network axis"
        )
    for axis, size in zip(axes, shape, strict=True):
        known, source = sizes.setdefault(axis, (size, name))
        if size != known:
            raise ValueError(
                f"`--weights` {path!r}: {name} must be {expected} with {axis} = {known} as in "
                f"{source}, got shape {shape}; W[i, j] is the weight from j to i, so the matrix "
                "may have to be transposed"
            )
    if not np.isfinite(array).all():
        raise ValueError(
            f"`--weights` {path!r}: {name} must be finite, got "
            f"{int((~np.isfinite(array)).sum())} entries that are NaN or infinite"
        )
