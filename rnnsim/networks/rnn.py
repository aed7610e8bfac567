"""Vanilla recurrent networks as ensembles: their weights, and how random ones are drawn."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.kernels.cells.layout import LINEAR, RELU, TANH, Weights
from rnnsim.networks.initialisation import SCHEMES, checked_gains, draw_W_hh

ACTIVATIONS = {"tanh": TANH, "relu": RELU, "linear": LINEAR}

_SHAPES = {
    "W_xh": "(n_networks, n_hidden, n_inputs)",
    "W_hh": "(n_networks, n_hidden, n_hidden)",
    "W_hy": "(n_networks, n_outputs, n_hidden)",
    "b_h": "(n_networks, n_hidden)",
    "b_y": "(n_networks, n_outputs)",
}


class RNN:
    """An ensemble of N vanilla recurrent networks of one size.

    ::

        h_t = phi(W_xh x_t + W_hh h_{t-1} + b_h)      t = 1..T
        y_t = W_hy h_t + b_y

    Parameters
    ----------
    W_xh : (N, H, D) array
        Input weights; ``W[n, i, j]`` is the weight from j to i. float32 or float64, as all others.
        Weights without the network axis are taken as N = 1.
    W_hh : (N, H, H) array
        Recurrent weights.
    W_hy : (N, V, H) array
        Readout weights.
    b_h : (N, H) array, optional
        Hidden biases, 0 unless given.
    b_y : (N, V) array, optional
        Output biases, 0 unless given.
    activation : {"tanh", "relu", "linear"}
        phi. ``relu'(0)`` is 0.

    Raises
    ------
    TypeError
        Weights that are not float32 or float64, or not all of one dtype.
    ValueError
        Shapes that disagree, empty axes, NaN or infinity, an unknown activation.

    Examples
    --------
    >>> import numpy as np, rnnsim
    >>> rnn = rnnsim.RNN(np.ones((3, 2)), np.eye(3), np.ones((1, 3)), activation="linear")
    >>> rnn
    RNN(n_networks=1, n_inputs=2, n_hidden=3, n_outputs=1, activation='linear', dtype=float64)
    """

    __slots__ = ("_activation", "_owned", "_weights")

    def __init__(
        self,
        W_xh: npt.ArrayLike,
        W_hh: npt.ArrayLike,
        W_hy: npt.ArrayLike,
        b_h: npt.ArrayLike | None = None,
        b_y: npt.ArrayLike | None = None,
        *,
        activation: str = "tanh",
    ) -> None:
        self._activation = checks.one_of("activation", activation, ACTIVATIONS)
        arrays = {
            "W_xh": _with_network_axis("W_xh", W_xh, 3),
            "W_hh": _with_network_axis("W_hh", W_hh, 3),
            "W_hy": _with_network_axis("W_hy", W_hy, 3),
        }
        n_networks, n_hidden = arrays["W_hh"].shape[:2]
        n_outputs = arrays["W_hy"].shape[1]
        for name, bias, size in (("b_h", b_h, n_hidden), ("b_y", b_y, n_outputs)):
            arrays[name] = (
                np.zeros((n_networks, size), arrays["W_hh"].dtype)
                if bias is None
                else _with_network_axis(name, bias, 2)
            )
        _check_shapes(arrays)
        checks.same_dtype(**arrays)
        for name, array in arrays.items():
            checks.finite(name, array)
        self._owned = Weights(**arrays)
        self._weights = Weights(*map(checks.read_only, self._owned))

    @classmethod
    def sample(
        cls,
        n_networks: int = 1,
        *,
        n_inputs: int,
        n_hidden: int,
        n_outputs: int,
        scheme: str = "gaussian",
        gain: npt.ArrayLike = 1.0,
        activation: str = "tanh",
        dtype: npt.DTypeLike = "float64",
        rng: int | np.random.Generator | None = None,
    ) -> "RNN":
        """Draw random networks: ``W_xh ~ N(0, 1/D)``, ``W_hy ~ N(0, 1/H)``, biases 0.

        Parameters
        ----------
        n_networks, n_inputs, n_hidden, n_outputs : int
            N, D, H, V; each at least 1.
        scheme : {"gaussian", "orthogonal", "identity", "uniform"}
            W_hh is gain times: entries N(0, 1/H), spectral radius 1 for large H ("gaussian");
            a Haar-distributed orthogonal matrix; the identity (Le, Jaitly and Hinton 2015);
            entries U(-1/sqrt(H), 1/sqrt(H)), PyTorch's default, spectral radius 1/sqrt(3).
        gain : float or (N,) array
            Scales W_hh only, and the same draw whatever its value.
        activation : {"tanh", "relu", "linear"}
        dtype : {"float64", "float32"}
            The draw is made in float64 and rounded, so both dtypes hold the same networks.
        rng : int or numpy.random.Generator
            Required. Network i of a larger ensemble is network i of a smaller one.

        Raises
        ------
        TypeError, ValueError
            Sizes below 1, an unknown scheme, activation or dtype, a gain of another shape or not
            finite, no rng.

        Examples
        --------
        >>> rnn = RNN.sample(2, n_inputs=3, n_hidden=8, n_outputs=4, gain=[0.5, 1.5], rng=0)
        >>> rnn.W_hh.shape
        (2, 8, 8)
        """
        N = checks.size("n_networks", n_networks)
        D = checks.size("n_inputs", n_inputs)
        H = checks.size("n_hidden", n_hidden)
        V = checks.size("n_outputs", n_outputs)
        checks.one_of("scheme", scheme, SCHEMES)
        kind = checks.float_dtype("dtype", dtype)
        gains = checked_gains(gain, N)
        generator = checks.generator(rng)
        W_xh, W_hh, W_hy = np.empty((N, H, D)), np.empty((N, H, H)), np.empty((N, V, H))
        for n in range(N):
            W_xh[n] = generator.standard_normal((H, D)) / np.sqrt(D)
            W_hh[n] = gains[n] * draw_W_hh(scheme, H, generator)
            W_hy[n] = generator.standard_normal((V, H)) / np.sqrt(H)
        weights = Weights(W_xh, W_hh, W_hy, np.zeros((N, H)), np.zeros((N, V)))
        return cls(*_rounded(weights, kind), activation=activation)

    @property
    def weights(self) -> Weights:
        """All weights, each with the network axis first; read-only views.

        Kernels take writable arrays: ``kernels.Weights(*map(np.array, rnn.weights))``.
        """
        return self._weights

    @property
    def W_xh(self) -> FloatArray:
        """Input weights (N, H, D)."""
        return self._weights.W_xh

    @property
    def W_hh(self) -> FloatArray:
        """Recurrent weights (N, H, H)."""
        return self._weights.W_hh

    @property
    def W_hy(self) -> FloatArray:
        """Readout weights (N, V, H)."""
        return self._weights.W_hy

    @property
    def b_h(self) -> FloatArray:
        """Hidden biases (N, H)."""
        return self._weights.b_h

    @property
    def b_y(self) -> FloatArray:
        """Output biases (N, V)."""
        return self._weights.b_y

    @property
    def activation(self) -> str:
        """The name of phi."""
        return self._activation

    @property
    def n_networks(self) -> int:
        """N."""
        return int(self.W_hh.shape[0])

    @property
    def n_inputs(self) -> int:
        """D."""
        return int(self.W_xh.shape[2])

    @property
    def n_hidden(self) -> int:
        """H."""
        return int(self.W_hh.shape[1])

    @property
    def n_outputs(self) -> int:
        """V."""
        return int(self.W_hy.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self.W_hh.dtype

    def with_weights(self, weights: Weights) -> "RNN":
        """Networks of the same activation with other weights, as after an update.

        Examples
        --------
        >>> rnn = RNN.sample(n_inputs=1, n_hidden=4, n_outputs=1, activation="relu", rng=0)
        >>> rnn.with_weights(Weights(*(0.9 * array for array in rnn.weights))).activation
        'relu'
        """
        return RNN(*check_weights(weights), activation=self.activation)

    def astype(self, dtype: npt.DTypeLike) -> "RNN":
        """The same networks rounded to float32 or widened to float64."""
        kind = checks.float_dtype("dtype", dtype)
        return self.with_weights(_rounded(self.weights, kind))

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), activation=self.activation), tuple(self._owned)

    def __len__(self) -> int:
        return self.n_networks

    def __getitem__(self, index: int | slice) -> "RNN":
        """Network `index` as an ensemble of one, or a slice of the ensemble."""
        if not isinstance(index, slice):
            n = range(self.n_networks)[index]
            index = slice(n, n + 1)
        if len(range(self.n_networks)[index]) == 0:
            raise IndexError(f"rnn[{index}] selects none of the {self.n_networks} networks")
        return self.with_weights(Weights(*(array[index] for array in self.weights)))

    def __repr__(self) -> str:
        return (
            f"RNN(n_networks={self.n_networks}, n_inputs={self.n_inputs}, "
            f"n_hidden={self.n_hidden}, n_outputs={self.n_outputs}, "
            f"activation={self.activation!r}, dtype={self.dtype})"
        )


def joined(networks: Sequence[RNN]) -> RNN:
    """Ensembles of one size and activation as one, one behind the other."""
    columns = zip(*(rnn.weights for rnn in networks), strict=True)
    arrays = (np.concatenate(column) for column in columns)
    return RNN(*arrays, activation=networks[0].activation)


def originals(rnn: RNN) -> Weights:
    """The weights themselves, for kernels: read-only arrays would compile a second time."""
    return rnn._owned


def check_rnn(value: Any, name: str = "rnn") -> None:
    """Refuse what is no RNN; the message calls it `name`."""
    if not isinstance(value, RNN):
        raise TypeError(
            f"`{name}` must be a rnnsim.RNN, got {type(value).__name__}; "
            "wrap weights first, as in RNN(W_xh, W_hh, W_hy)"
        )


def check_weights(value: Any, name: str = "weights") -> Weights:
    """Refuse what are not five arrays in their order; the message calls them `name`."""
    if not isinstance(value, tuple) or len(value) != len(Weights._fields):
        raise TypeError(
            f"`{name}` must be a rnnsim.Weights({', '.join(Weights._fields)}), got "
            f"{checks.shown(value)} ({type(value).__name__})"
        )
    return Weights(*value)


def _rounded(weights: Weights, dtype: np.dtype[Any]) -> Weights:
    """Weights in another dtype; what does not fit becomes infinity, which is refused by name."""
    with np.errstate(over="ignore"):
        return Weights(*(array.astype(dtype) for array in weights))


def _with_network_axis(name: str, value: npt.ArrayLike, ndim: int) -> FloatArray:
    """A private copy of a weight array with the network axis first."""
    array = checks.float_array(name, value, shape=_SHAPES[name], own=True)
    if array.ndim == ndim - 1:
        array = array[None]
    if array.ndim != ndim:
        raise ValueError(
            f"`{name}` must be {_SHAPES[name]}, or without the first axis for one network, "
            f"got shape {array.shape}"
        )
    return array


def _check_shapes(arrays: dict[str, FloatArray]) -> None:
    W_hh = arrays["W_hh"]
    if W_hh.shape[1] != W_hh.shape[2]:
        raise ValueError(f"`W_hh` must be (n_hidden, n_hidden), got {W_hh.shape[1:]}")
    N, H, _ = W_hh.shape
    V, D = arrays["W_hy"].shape[1], arrays["W_xh"].shape[2]
    expected = {
        "W_xh": (N, H, D),
        "W_hh": (N, H, H),
        "W_hy": (N, V, H),
        "b_h": (N, H),
        "b_y": (N, V),
    }
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise ValueError(
                f"`{name}` must be {_SHAPES[name]} = {shape} to fit `W_hh` of shape {W_hh.shape}, "
                f"got {arrays[name].shape}"
            )
        checks.positive_sizes(name, arrays[name], " ".join(_SHAPES[name][1:-1].split(", ")))
