"""Recurrent networks as ensembles: vanilla, LSTM and GRU; their weights, and random ones."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.labels.results import About
from rnnsim.kernels.cells.layout import LINEAR, RELU, SIGMOID, TANH, Weights
from rnnsim.networks.cells import CELLS, fitting_weights
from rnnsim.networks.embedding import fitting_embedding, looked_up, still_fitting
from rnnsim.networks.initialisation import (
    Scheme,
    checked_gains,
    checked_scheme,
    checked_starts,
    draw_network,
    start_gates,
)

ACTIVATIONS = {"tanh": TANH, "sigmoid": SIGMOID, "relu": RELU, "linear": LINEAR}


class RNN:
    """An ensemble of N recurrent networks of one size: vanilla, LSTM or GRU, one layer each.

    ::

        y_t = W_hy h_t + b_y                               t = 1..T

        vanilla    h_t = phi(a)                            a = W_xh x_t + W_hh h_{t-1} + b_h

        LSTM       i, f, o = sigma(a_i, a_f, a_o)          a as above, of 4 blocks: i, f, g, o
                   g   = tanh(a_g)
                   c_t = f c_{t-1} + i g                   the state is (h, c)
                   h_t = o tanh(c_t)

        GRU        r, z = sigma(a_r, a_z)                  a as above, of 3 blocks: r, z, n
                   n   = tanh(W_xn x_t + b_nx + r (W_hn h_{t-1} + b_nh))
                   h_t = (1 - z) n + z h_{t-1}

    Blocks of H rows stand in PyTorch's order, and the GRU resets after the product, as PyTorch's
    and Keras 3's. The two biases that PyTorch keeps for each gate are added up, but those of n,
    which stand apart: b_h of a GRU has 4 blocks, r, z, n of the input, n of the state.

    Parameters
    ----------
    W_xh : (N, G*H, D) array
        Input weights; ``W[n, i, j]`` is the weight from j to i. float32 or float64, as all others.
        G is 1, of LSTMs 4, of GRUs 3. Weights without the network axis are taken as N = 1.
    W_hh : (N, G*H, H) array
        Recurrent weights.
    W_hy : (N, V, H) array, optional
        Readout weights; without them the networks have no outputs, V = 0.
    b_h : (N, G*H) array, of GRUs (N, 4*H), optional
        Hidden biases, 0 unless given.
    b_y : (N, V) array, optional
        Output biases, 0 unless given.
    cell : {"vanilla", "lstm", "gru"}
    activation : {"tanh", "sigmoid", "relu", "linear"}
        phi, of vanilla networks only. ``relu'(0)`` is 0.
    embedding : (N, n_ids, D) array, optional
        Inputs for class ids, a row for each: what `embed` looks up. No gradient is taken of it.

    Raises
    ------
    TypeError
        Weights that are not float32 or float64, or not all of one dtype.
    ValueError
        Shapes that disagree (those of another cell are named), empty axes, NaN or infinity, an
        unknown cell or activation, an activation of a gated cell.

    Examples
    --------
    >>> import numpy as np, rnnsim
    >>> rnn = rnnsim.RNN(np.ones((3, 2)), np.eye(3), np.ones((1, 3)), activation="linear")
    >>> rnn
    RNN(n_networks=1, n_inputs=2, n_hidden=3, n_outputs=1, cell='vanilla', activation='linear', dtype=float64)
    >>> rnnsim.RNN(np.ones((12, 2)), np.ones((12, 3)), cell="lstm")
    RNN(n_networks=1, n_inputs=2, n_hidden=3, n_outputs=0, cell='lstm', dtype=float64)
    """  # noqa: E501

    __slots__ = ("_activation", "_cell", "_embedding", "_owned", "_weights")

    def __init__(
        self,
        W_xh: npt.ArrayLike,
        W_hh: npt.ArrayLike,
        W_hy: npt.ArrayLike | None = None,
        b_h: npt.ArrayLike | None = None,
        b_y: npt.ArrayLike | None = None,
        *,
        cell: str = "vanilla",
        activation: str = "tanh",
        embedding: npt.ArrayLike | None = None,
    ) -> None:
        self._cell, self._activation = _checked_cell(cell, activation)
        self._owned = fitting_weights(self._cell, W_xh, W_hh, W_hy, b_h, b_y)
        self._weights = Weights(*map(checks.read_only, self._owned))
        given = None if embedding is None else fitting_embedding(embedding, self._owned.W_xh)
        self._embedding = None if given is None else checks.read_only(given)

    @classmethod
    def sample(
        cls,
        n_networks: int = 1,
        *,
        n_inputs: int,
        n_hidden: int,
        n_outputs: int,
        cell: str = "vanilla",
        scheme: Scheme = "gaussian",
        gain: npt.ArrayLike = 1.0,
        forget_bias: float = 0.0,
        chrono: float | None = None,
        activation: str = "tanh",
        dtype: npt.DTypeLike = "float64",
        rng: int | np.random.Generator | None = None,
    ) -> "RNN":
        """Draw random networks: ``W_xh ~ N(0, 1/D)``, ``W_hy ~ N(0, 1/H)``, biases 0.

        Parameters
        ----------
        n_networks, n_inputs, n_hidden, n_outputs : int
            N, D, H, V; each at least 1, V at least 0 (no readout).
        cell : {"vanilla", "lstm", "gru"}
        scheme : {"gaussian", "orthogonal", "identity", "uniform", "pytorch"} or function
            W_hh is gain times: entries N(0, 1/H), spectral radius 1 for large H ("gaussian");
            a Haar-distributed orthogonal matrix; the identity (Le, Jaitly and Hinton 2015);
            entries U(-1/sqrt(H), 1/sqrt(H)), spectral radius 1/sqrt(3) ("uniform"). Each gate has
            an (H, H) block of its own, drawn in this way. A function ``(rng, shape) -> array``
            draws one such block. "pytorch" draws all weights and biases of both layers from
            U(-1/sqrt(H), 1/sqrt(H)), as torch.nn.RNN, LSTM or GRU and torch.nn.Linear do.
        gain : float or (N,) array
            Scales W_hh only, and the same draw whatever its value.
        forget_bias : float
            Added to the bias of the gate that keeps the state: f of LSTMs, z of GRUs.
        chrono : float, optional
            T_max, above 2: time scales ``1/(1-f)`` of gates are uniform on [2, T_max] (Tallec and
            Ollivier 2018). ``b_f = ln U(1, T_max - 1)`` and ``b_i = -b_f`` of LSTMs, ``b_z = ln
            U(1, T_max - 1)`` of GRUs (the paper's z is 1 - z here) replace what the scheme draws.
        activation : {"tanh", "sigmoid", "relu", "linear"}
            Of vanilla networks.
        dtype : {"float64", "float32"}
            The draw is made in float64 and rounded, so both dtypes hold the same networks.
        rng : int or numpy.random.Generator
            Required. Network i of a larger ensemble is network i of a smaller one; forget_bias and
            chrono change no other number.

        Raises
        ------
        TypeError, ValueError
            Sizes below 1, an unknown cell, scheme, activation or dtype, a gain of another shape or
            not finite, no rng; forget_bias and chrono of a vanilla network, or both; a function
            that draws something else than a finite block.

        Examples
        --------
        >>> rnn = RNN.sample(2, n_inputs=3, n_hidden=8, n_outputs=4, gain=[0.5, 1.5], rng=0)
        >>> rnn.W_hh.shape
        (2, 8, 8)
        >>> sizes = {"n_inputs": 3, "n_hidden": 8, "n_outputs": 4}
        >>> lstm = RNN.sample(**sizes, cell="lstm", scheme="pytorch", forget_bias=1.0, rng=0)
        >>> lstm.W_hh.shape, lstm.b_h.shape
        ((1, 32, 8), (1, 32))
        """
        N = checks.size("n_networks", n_networks)
        D = checks.size("n_inputs", n_inputs)
        H = checks.size("n_hidden", n_hidden)
        V = checks.size("n_outputs", n_outputs, least=0)
        cell, activation = _checked_cell(cell, activation)
        scheme = checked_scheme(scheme)
        kind = checks.float_dtype("dtype", dtype)
        starts = checked_starts(cell, forget_bias, chrono)
        gains = checked_gains(gain, N)
        generator = checks.generator(rng)
        drawn = []
        for g in gains:
            weights = draw_network(cell, (D, H, V), scheme, generator)
            start_gates(cell, weights.b_h, *starts, generator)
            drawn.append(weights._replace(W_hh=g * weights.W_hh))
        arrays = Weights(*map(np.array, zip(*drawn, strict=True)))
        return cls(*_rounded(arrays, kind), cell=cell, activation=activation)

    @property
    def weights(self) -> Weights:
        """All weights, each with the network axis first; read-only views.

        Kernels take writable arrays: ``kernels.Weights(*map(np.array, rnn.weights))``.
        """
        return self._weights

    @property
    def W_xh(self) -> FloatArray:
        """Input weights (N, G*H, D)."""
        return self._weights.W_xh

    @property
    def W_hh(self) -> FloatArray:
        """Recurrent weights (N, G*H, H), block under block in the order of the gates."""
        return self._weights.W_hh

    @property
    def W_hy(self) -> FloatArray:
        """Readout weights (N, V, H); V is 0 where there is none."""
        return self._weights.W_hy

    @property
    def b_h(self) -> FloatArray:
        """Hidden biases (N, G*H), of GRUs (N, 4*H)."""
        return self._weights.b_h

    @property
    def b_y(self) -> FloatArray:
        """Output biases (N, V)."""
        return self._weights.b_y

    @property
    def cell(self) -> str:
        """The name of the equations: vanilla, lstm or gru."""
        return self._cell

    @property
    def n_gates(self) -> int:
        """G, the blocks of W_xh and W_hh: 1, of LSTMs 4, of GRUs 3."""
        return len(CELLS[self._cell].gates)

    @property
    def activation(self) -> str:
        """The name of phi; "tanh" of gated cells."""
        return self._activation

    @property
    def embedding(self) -> FloatArray | None:
        """Inputs for class ids (N, n_ids, D), or None."""
        return self._embedding

    def embed(self, ids: npt.ArrayLike) -> FloatArray:
        """Inputs for class ids: x_t = embedding[id_t].

        (T, B) ids give (T, B, D), of several networks (N, T, B, D). A ValueError says where there
        is no embedding, or an id that it does not have.

        Examples
        --------
        >>> rnn = RNN(np.eye(2), np.eye(2), embedding=np.array([[0.0, 1.0], [2.0, 3.0]]))
        >>> rnn.embed([[1], [0]]).tolist()
        [[[2.0, 3.0]], [[0.0, 1.0]]]
        """
        return looked_up(self._embedding, ids)

    @property
    def layers(self) -> tuple["RNN", ...]:
        """The networks themselves: one layer. Those of a `Stack` are several."""
        return (self,)

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
        return int(self.W_hh.shape[2])

    @property
    def n_outputs(self) -> int:
        """V."""
        return int(self.W_hy.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self.W_hh.dtype

    def with_weights(self, weights: Weights) -> "RNN":
        """Networks of the same cell and activation with other weights, as after an update.

        The embedding stays where it fits: the same numbers of networks and inputs.

        Examples
        --------
        >>> rnn = RNN.sample(n_inputs=1, n_hidden=4, n_outputs=1, activation="relu", rng=0)
        >>> rnn.with_weights(Weights(*(0.9 * array for array in rnn.weights))).activation
        'relu'
        """
        given = check_weights(weights)
        table = still_fitting(self._embedding, np.asarray(given.W_xh))
        return RNN(*given, cell=self.cell, activation=self.activation, embedding=table)

    def astype(self, dtype: npt.DTypeLike) -> "RNN":
        """The same networks rounded to float32 or widened to float64."""
        kind = checks.float_dtype("dtype", dtype)
        return self.with_weights(_rounded(self.weights, kind))

    def _known(self) -> About:
        sizes = ("n_inputs", "n_hidden", "n_outputs", "cell", "activation")
        known = {name: getattr(self, name) for name in sizes}
        return About(known | {"dtype": str(self.dtype)}, gates=CELLS[self.cell].gates)

    def __reduce__(self) -> tuple[Any, ...]:
        options: dict[str, Any] = {"cell": self.cell, "activation": self.activation}
        options |= {} if self.embedding is None else {"embedding": np.array(self.embedding)}
        return partial(type(self), **options), tuple(self._owned)

    def __len__(self) -> int:
        return self.n_networks

    def __getitem__(self, index: int | slice) -> "RNN":
        """Network `index` as an ensemble of one, or a slice of the ensemble."""
        if not isinstance(index, slice):
            try:
                n = range(self.n_networks)[index]
            except IndexError as error:
                message = f"[{index}] is beyond the {self.n_networks} networks"
                raise IndexError(message) from error
            index = slice(n, n + 1)
        if len(range(self.n_networks)[index]) == 0:
            raise IndexError(f"[{index}] selects none of the {self.n_networks} networks")
        chosen = Weights(*(array[index] for array in self.weights))
        table = None if self.embedding is None else self.embedding[index]
        return RNN(*chosen, cell=self.cell, activation=self.activation, embedding=table)

    def __repr__(self) -> str:
        kind = f"cell={self.cell!r}"
        if self.cell == "vanilla":
            kind += f", activation={self.activation!r}"
        return (
            f"RNN(n_networks={self.n_networks}, n_inputs={self.n_inputs}, "
            f"n_hidden={self.n_hidden}, n_outputs={self.n_outputs}, {kind}, dtype={self.dtype})"
        )


def joined(networks: Sequence[RNN]) -> RNN:
    """Ensembles of one size, cell and activation as one, one behind the other."""
    columns = zip(*(rnn.weights for rnn in networks), strict=True)
    return networks[0].with_weights(Weights(*map(np.concatenate, columns)))


def originals(rnn: RNN) -> Weights:
    """The weights themselves, for kernels: read-only arrays would compile a second time."""
    return rnn._owned


def check_rnn(value: Any, name: str = "rnn") -> None:
    """Refuse what is no RNN, a stack of them too; the message calls it `name`."""
    if isinstance(value, RNN):
        return
    advice = "wrap weights first, as in RNN(W_xh, W_hh, W_hy)"
    if isinstance(getattr(value, "layers", None), tuple):
        advice = "a stack is more than one network; its .layers[l] is the RNN of a layer"
    raise TypeError(f"`{name}` must be a rnnsim.RNN, got {type(value).__name__}; {advice}")


def vanilla_only(rnn: RNN, name: str, reason: str) -> None:
    """Refuse gated cells where only vanilla networks have a meaning; the message calls it `name`.

    `reason` says why, and what to do instead.
    """
    if rnn.cell != "vanilla":
        raise ValueError(
            f"`{name}` must hold vanilla networks here, got cell={rnn.cell!r}: {reason}"
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


def _checked_cell(cell: str, activation: str) -> tuple[str, str]:
    known = checks.one_of("cell", cell, CELLS)
    phi = checks.one_of("activation", activation, ACTIVATIONS)
    if known != "vanilla" and phi != "tanh":
        raise ValueError(
            f"`activation` is phi of vanilla networks, and {CELLS[known].label} has its own "
            f"(sigmoid gates around a tanh), got {phi!r}; leave it out"
        )
    return known, phi
