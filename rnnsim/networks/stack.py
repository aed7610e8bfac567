"""Stacks: recurrent networks of several layers, each reading the states of the one below."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.labels.results import About
from rnnsim.kernels.cells.layout import Weights
from rnnsim.kernels.stacks.layers import layered
from rnnsim.networks.initialisation import Scheme
from rnnsim.networks.rnn import RNN, check_rnn, joined, originals


class Stack:
    """An ensemble of N recurrent networks of L layers, all of one cell, size and dtype.

    ::

        h^1_t = cell(x_t, h^1_{t-1})
        h^l_t = cell(h^{l-1}_t, h^l_{t-1})              l = 2..L, within the same step
        y_t   = W_hy h^L_t + b_y

    Parameters
    ----------
    layers : series of RNN
        The lowest first: it reads the inputs, every other one the H states of the one below. Only
        the top may have a readout; ``RNN(W_xh, W_hh, b_h=b_h)`` has none.

    Raises
    ------
    TypeError
        Layers that are no RNN.
    ValueError
        No layer; layers of unequal cell, activation, n_hidden, dtype or number of networks; a layer
        above the lowest that does not read n_hidden numbers; a readout below the top.

    Examples
    --------
    >>> import rnnsim
    >>> lower = rnnsim.RNN.sample(n_inputs=3, n_hidden=8, n_outputs=0, cell="gru", rng=0)
    >>> upper = rnnsim.RNN.sample(n_inputs=8, n_hidden=8, n_outputs=4, cell="gru", rng=1)
    >>> stack = rnnsim.Stack([lower, upper])
    >>> stack
    Stack(n_layers=2, n_networks=1, n_inputs=3, n_hidden=8, n_outputs=4, cell='gru', dtype=float64)
    >>> stack.layers[1].W_xh.shape
    (1, 24, 8)
    """

    __slots__ = ("_layers",)

    def __init__(self, layers: Iterable[RNN]) -> None:
        networks = isinstance(layers, RNN | Stack)  # a series of networks, not of layers
        given = None if networks else checks.entries("layers", layers)
        if given is None:
            advice = "; give [rnn] for one layer, or stack.layers" if networks else ""
            raise TypeError(
                f"`layers` must be a series of rnnsim.RNN, the lowest first, got "
                f"{checks.shown(layers)}{advice}"
            )
        self._layers = tuple(given)
        if not self._layers:
            raise ValueError("`layers` must hold one RNN at least, got none")
        for index, layer in enumerate(self._layers):
            check_rnn(layer, f"layers[{index}]")
        _check_together(self._layers)

    @classmethod
    def sample(
        cls,
        n_networks: int = 1,
        *,
        n_layers: int,
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
    ) -> "Stack":
        """Draw random stacks: every layer as `RNN.sample` draws it.

        Parameters
        ----------
        n_networks, n_inputs, n_hidden, n_outputs : int
            N, D, H, V.
        n_layers : int
            L, at least 1. The layers of a deeper stack begin with those of a shallower one, and a
            stack of one layer is what `RNN.sample` draws.
        cell, scheme, gain, forget_bias, chrono, activation, dtype, rng
            As in `RNN.sample`, for all layers alike.

        Raises
        ------
        TypeError, ValueError
            As in `RNN.sample`; n_layers below 1.

        Examples
        --------
        >>> sizes = {"n_inputs": 3, "n_hidden": 8, "n_outputs": 4}
        >>> stack = Stack.sample(2, n_layers=3, **sizes, cell="lstm", forget_bias=1.0, rng=0)
        >>> stack.n_layers, len(stack)
        (3, 2)
        """
        L = checks.size("n_layers", n_layers)
        V = checks.size("n_outputs", n_outputs, least=0)
        generator = checks.generator(rng)
        generators = [generator, *(generator.spawn(L - 1) if L > 1 else [])]
        drawn = [
            RNN.sample(
                n_networks,
                n_inputs=n_inputs if index == 0 else n_hidden,
                n_hidden=n_hidden,
                n_outputs=V,
                cell=cell,
                scheme=scheme,
                gain=gain,
                forget_bias=forget_bias,
                chrono=chrono,
                activation=activation,
                dtype=dtype,
                rng=own,
            )
            for index, own in enumerate(generators)
        ]
        return of_drawn(drawn)

    @property
    def layers(self) -> tuple[RNN, ...]:
        """The L networks, the lowest first."""
        return self._layers

    @property
    def n_layers(self) -> int:
        """L."""
        return len(self._layers)

    @property
    def n_networks(self) -> int:
        """N."""
        return self._layers[0].n_networks

    @property
    def n_inputs(self) -> int:
        """D, of the lowest layer."""
        return self._layers[0].n_inputs

    @property
    def n_hidden(self) -> int:
        """H, of each layer."""
        return self._layers[0].n_hidden

    @property
    def n_outputs(self) -> int:
        """V, of the top layer."""
        return self._layers[-1].n_outputs

    @property
    def embedding(self) -> npt.NDArray[Any] | None:
        """Inputs for class ids (N, n_ids, D), those of the lowest layer, or None."""
        return self._layers[0].embedding

    def embed(self, ids: npt.ArrayLike) -> npt.NDArray[Any]:
        """Inputs for class ids, as `RNN.embed` of the lowest layer."""
        return self._layers[0].embed(ids)

    @property
    def n_gates(self) -> int:
        """G, the blocks of W_xh and W_hh of each layer."""
        return self._layers[0].n_gates

    @property
    def cell(self) -> str:
        """The name of the equations: vanilla, lstm or gru."""
        return self._layers[0].cell

    @property
    def activation(self) -> str:
        """The name of phi; "tanh" of gated cells."""
        return self._layers[0].activation

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._layers[0].dtype

    def with_weights(self, weights: Sequence[Weights]) -> "Stack":
        """Stacks of the same cell and activation with other weights, one for each layer.

        Examples
        --------
        >>> stack = Stack.sample(n_layers=2, n_inputs=1, n_hidden=4, n_outputs=1, rng=0)
        >>> smaller = [Weights(*(0.9 * a for a in layer.weights)) for layer in stack.layers]
        >>> stack.with_weights(smaller).n_layers
        2
        """
        given = checks.entries("weights", weights)
        if given is None or len(given) != self.n_layers:
            count = checks.shown(weights) if given is None else len(given)
            raise ValueError(
                f"`weights` must hold one rnnsim.Weights for each of {self.n_layers} layers, got "
                f"{count}"
            )
        pairs = zip(self._layers, given, strict=True)
        return Stack([layer.with_weights(w) for layer, w in pairs])

    def astype(self, dtype: npt.DTypeLike) -> "Stack":
        """The same stacks rounded to float32 or widened to float64."""
        return Stack([layer.astype(dtype) for layer in self._layers])

    def _known(self) -> About:
        top = self._layers[-1]._known()
        own = {"n_inputs": self.n_inputs, "n_layers": self.n_layers}
        return top._replace(configuration={**top.configuration, **own})

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._layers,)

    def __len__(self) -> int:
        return self.n_networks

    def __getitem__(self, index: int | slice) -> "Stack":
        """Network `index` as an ensemble of one, or a slice of the ensemble; layers: `.layers`."""
        return Stack([layer[index] for layer in self._layers])

    def __repr__(self) -> str:
        return f"Stack(n_layers={self.n_layers}, {repr(self._layers[-1])[4:]}".replace(
            f"n_inputs={self._layers[-1].n_inputs}", f"n_inputs={self.n_inputs}"
        )


def of_drawn(layers: Sequence[RNN]) -> Stack:
    """A stack of layers that all have a readout, of which the top keeps its own."""
    below = [
        RNN(rnn.W_xh, rnn.W_hh, b_h=rnn.b_h, cell=rnn.cell, activation=rnn.activation)
        for rnn in layers[:-1]
    ]
    return Stack([*below, layers[-1]])


def _check_together(layers: tuple[RNN, ...]) -> None:
    """Refuse layers that do not make a stack."""
    lowest = layers[0]
    for name in ("n_networks", "n_hidden", "cell", "activation", "dtype"):
        for index, layer in enumerate(layers):
            own, expected = getattr(layer, name), getattr(lowest, name)
            if own != expected:
                raise ValueError(
                    f"`layers` must agree in {name}: layers[0] has {expected}, layers[{index}] has "
                    f"{own}"
                )
    for index, layer in enumerate(layers[1:], start=1):
        if layer.n_inputs != lowest.n_hidden:
            raise ValueError(
                f"`layers[{index}]` must read the states of the layer below, n_inputs = n_hidden = "
                f"{lowest.n_hidden}, got n_inputs = {layer.n_inputs}; layers go from the lowest, "
                "which reads the inputs, to the top"
            )
    for index, layer in enumerate(layers[:-1]):
        if layer.n_outputs:
            raise ValueError(
                f"`layers[{index}]` must have no readout, as only the top layer has one, got "
                f"n_outputs = {layer.n_outputs}; leave out its W_hy and b_y: RNN(W_xh, W_hh, "
                "b_h=b_h)"
            )


Network = RNN | Stack


def joined_networks(networks: Sequence[Network]) -> Network:
    """Ensembles of one size, depth, cell and activation as one, one behind the other."""
    layers = [joined(column) for column in zip(*(n.layers for n in networks), strict=True)]
    return Stack(layers) if has_layers(networks[0]) else layers[0]


def has_layers(network: Network) -> bool:
    """Whether results have an axis of layers: those of stacks, of one layer too."""
    return isinstance(network, Stack)


def check_network(value: Any, name: str = "rnn") -> None:
    """Refuse what is neither RNN nor Stack; the message calls it `name`."""
    if not isinstance(value, Stack):
        check_rnn(value, name)


def stacked_weights(stack: Stack) -> Weights:
    """The weights of all layers for kernels, with layers in front."""
    return layered([originals(layer) for layer in stack.layers])
