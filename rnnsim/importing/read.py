"""Networks from files of any framework, and from mappings of arrays in memory."""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.importing.contents import Entry
from rnnsim.importing.recognition import contents, named
from rnnsim.importing.selection import Choice, checked_choice, network_of
from rnnsim.networks.stack import Network

_MOST = 100_000  # arrays of a mapping


def read_network(
    path: str | PathLike[str],
    *,
    cell: str | None = None,
    activation: str = "tanh",
    prefix: str | Sequence[str] | None = None,
    layer: int | None = None,
    readout: str | bool | None = None,
    embedding: str | None = None,
    dtype: npt.DTypeLike | None = None,
) -> Network:
    """The trained network in a file of PyTorch, Keras, ONNX, Flax, safetensors or NumPy.

    The format is told by the content: .pt, .pth, .ckpt (torch 1.6 or later), .safetensors, .keras,
    .h5, .weights.h5, .onnx, msgpack of Flax, .npz. The framework is not needed, and nothing in the
    file is executed. Gates are put into rnnsim's order, matrices turned where a framework has them
    as (inputs, outputs), the two biases of a gate added up (but those of n of a GRU). Keras, ONNX
    and Flax files take the extra `files`.

    Parameters
    ----------
    path : path
        The file. Of .npz and .safetensors names may be those of any framework, or rnnsim's: W_xh,
        W_hh, W_hy, b_h, b_y, and `cell` and `activation` as text.
    cell : {"vanilla", "lstm", "gru"}, optional
        Refuse the file unless its network is of this cell; read from shapes and names.
    activation : {"tanh", "sigmoid", "relu", "linear"}
        phi of a vanilla network where the file does not say it: PyTorch's and Flax's do not, nor
        does .npz unless it has an entry `activation`.
    prefix : str or several, optional
        The module that is the network, such as "encoder.lstm" or a part of that name, where a file
        holds several. Several modules, from the lowest, make a stack.
    layer : int, optional
        One layer only, 0 being the lowest.
    readout : str or False, optional
        The linear layer that reads the top layer's states. If only one fits it is taken; of
        several the name is asked for; False leaves it out.
    embedding : str, optional
        The embedding that turns class ids into inputs, kept as ``.embedding``; see `RNN.embed`.
    dtype : {"float64", "float32"}, optional
        That of the file unless given; float16 and bfloat16 become float32.

    Returns
    -------
    RNN or Stack
        A `Stack` of several layers, which all must have one size.

    Raises
    ------
    FileNotFoundError, OSError
        No such file, or one that cannot be opened.
    ImportError
        The package that reads this format is not installed; the message has the line that does it.
    ValueError
        A folder, an empty or damaged file, an unknown format; no network in it, or several and no
        prefix; what changes the recurrence, by name: two directions, projections, peepholes,
        clipping, a reset before the product, other activations, parametrized weights; sizes that
        disagree, NaN and infinity.
    TypeError
        Parameters of another kind.

    Warns
    -----
    UserWarning
        Arrays of the file that were not used, by name, in one warning.

    Examples
    --------
    >>> import tempfile, numpy as np, rnnsim
    >>> rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=4, n_outputs=3, cell="lstm", rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rnnsim.write_network(f"{folder}/mine.safetensors", rnn)
    ...     read_network(f"{folder}/mine.safetensors")
    RNN(n_networks=1, n_inputs=2, n_hidden=4, n_outputs=3, cell='lstm', dtype=float64)
    """
    choice = Choice(cell, activation, prefix, layer, readout, embedding, dtype)
    file, checked = checks.path("path", path), checked_choice(choice)
    return network_of(contents(file), checked, f"`path` {str(file)!r}")


def from_state_dict(
    mapping: Mapping[str, Any],
    *,
    cell: str | None = None,
    activation: str = "tanh",
    prefix: str | Sequence[str] | None = None,
    layer: int | None = None,
    readout: str | bool | None = None,
    embedding: str | None = None,
    dtype: npt.DTypeLike | None = None,
) -> Network:
    """The network whose arrays a mapping holds: `read_network` without a file.

    Parameters
    ----------
    mapping : mapping of str to array
        Tensors of PyTorch, JAX, TensorFlow or NumPy by their names, as ``model.state_dict()``,
        ``{w.path: w for w in model.weights}`` of Keras, params of Flax; nested mappings too. All
        are copied.
    cell, activation, prefix, layer, readout, embedding, dtype
        As of `read_network`.

    Returns
    -------
    RNN or Stack

    Raises
    ------
    TypeError, ValueError
        As `read_network`; what is no mapping from names.

    Warns
    -----
    UserWarning
        Arrays that were not used, by name, in one warning.

    Examples
    --------
    >>> import numpy as np
    >>> weights = {"rnn.weight_ih_l0": np.ones((12, 2)), "rnn.weight_hh_l0": np.ones((12, 3))}
    >>> from_state_dict(weights)
    RNN(n_networks=1, n_inputs=2, n_hidden=3, n_outputs=0, cell='lstm', dtype=float64)
    """
    choice = Choice(cell, activation, prefix, layer, readout, embedding, dtype)
    checked = checked_choice(choice)
    return network_of(named("mapping", _entries(mapping)), checked, "`mapping`")


def _entries(mapping: Any) -> dict[str, Entry]:
    """The arrays of nested mappings, with dots between the names."""
    if not isinstance(mapping, Mapping):
        raise TypeError(
            f"`mapping` must be a mapping from names to arrays, such as model.state_dict(), got "
            f"{checks.shown(mapping)} ({type(mapping).__name__})"
        )
    found: dict[str, Entry] = {}
    waiting: list[tuple[str, Any]] = [("", mapping)]
    for _ in range(_MOST):
        if not waiting:
            return found
        name, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [(f"{name}.{key}".lstrip("."), each) for key, each in value.items()][::-1]
        elif hasattr(value, "shape") and hasattr(value, "dtype"):
            found[name] = _entry(name, value)
        elif isinstance(value, str):
            found[name] = Entry((), "str", partial(np.array, value))
    raise ValueError(f"`mapping` must hold at most {_MOST} entries, got more")


def _entry(name: str, value: Any) -> Entry:
    dtype = str(value.dtype).removeprefix("torch.")
    dtype = "str" if getattr(value.dtype, "kind", "") == "U" else dtype
    return Entry(tuple(map(int, value.shape)), dtype, lambda: _numbers(name, value))


def _numbers(name: str, value: Any) -> npt.NDArray[Any]:
    """A tensor as an array of NumPy, wherever it lives."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of frameworks about their own ways
            for step in ("detach", "cpu"):
                value = getattr(value, step)() if callable(getattr(value, step, None)) else value
            if "bfloat16" in str(value.dtype) and callable(getattr(value, "float", None)):
                value = value.float()  # torch's, which NumPy does not take
            array = np.asarray(value.numpy() if callable(getattr(value, "numpy", None)) else value)
        return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
    except Exception as error:  # whatever a framework makes of it
        raise ValueError(
            f"`mapping[{name!r}]` cannot be turned into an array ({error}); give NumPy arrays"
        ) from error
