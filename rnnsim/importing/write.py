"""Networks written for other programs: .safetensors with PyTorch's names."""

from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from rnnsim import checks, files
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Network, check_network

Arrays = dict[str, npt.NDArray[Any]]


def write_network(path: str | PathLike[str], rnn: Network, *, prefix: str = "") -> None:
    """Write one network as a .safetensors file with PyTorch's names, whole or not at all.

    weight_ih_l0 (G*H, D), weight_hh_l0 (G*H, H), bias_ih_l0 and bias_hh_l0 (G*H,) of each layer;
    readout.weight (V, H) and readout.bias (V,) where there are outputs; embedding.weight
    (n_ids, D) where there is one. rnnsim has one bias for each gate: it stands in bias_ih, and
    bias_hh is 0 but for the second bias of n of a GRU. `read_network` gives the same numbers
    again. cell and activation stand in the header of the file; torch knows neither sigmoid nor
    linear units.

    Parameters
    ----------
    path : path
        A file that is there is replaced.
    rnn : RNN or Stack
        Of one network: ``rnn[n]`` of several.
    prefix : str
        Before the names of the layers, such as "rnn.", for a module that has them in ``self.rnn``
        beside ``self.readout``.

    Raises
    ------
    TypeError, ValueError
        No network, or several; a path that is a folder.
    OSError
        The place cannot be written.

    Examples
    --------
    In torch, for a network without readout::

        lstm = torch.nn.LSTM(n_inputs, n_hidden, num_layers=n_layers).double()
        lstm.load_state_dict(safetensors.torch.load_file("mine.safetensors"))

    >>> import tempfile, rnnsim
    >>> rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=4, n_outputs=3, cell="gru", rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_network(f"{folder}/mine.safetensors", rnn)
    ...     again = rnnsim.read_network(f"{folder}/mine.safetensors")
    >>> bool((again.W_hh == rnn.W_hh).all())
    True
    """
    place = checks.path("path", path)
    check_network(rnn)
    before = checks.text("prefix", prefix)
    if rnn.n_networks != 1:
        raise ValueError(
            f"`rnn` must be one network, as files of PyTorch hold, got {rnn.n_networks}; write "
            "rnn[n] to a file of its own for each n"
        )
    if place.is_dir():
        raise ValueError(f"`path` {str(place)!r} is a folder; name a file in it")
    files.check_writable("path", place)
    arrays: Arrays = {}
    for index, layer in enumerate(rnn.layers):
        arrays |= {f"{before}{name}_l{index}": array for name, array in _of_layer(layer).items()}
    top = rnn.layers[-1]
    if rnn.n_outputs:
        arrays |= {"readout.weight": top.W_hy[0], "readout.bias": top.b_y[0]}
    if rnn.embedding is not None:
        arrays["embedding.weight"] = rnn.embedding[0]
    about = {"format": "pt", "rnnsim.cell": rnn.cell, "rnnsim.activation": rnn.activation}
    held = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    data = save(held, about)
    with files.writing(place) as file:
        file.write(data)


def _of_layer(layer: RNN) -> Arrays:
    W_xh, W_hh, b_h = layer.W_xh[0], layer.W_hh[0], layer.b_h[0]
    rows = len(W_hh)
    inner, outer = b_h[:rows], np.zeros(rows, b_h.dtype)
    outer[rows - (len(b_h) - rows) :] = b_h[rows:]  # of n of a GRU
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return dict(zip(names, (W_xh, W_hh, inner, outer), strict=True))
