"""Two recurrent networks in a row: an encoder, and a decoder that begins where it ends."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.labels.results import About
from rnnsim.kernels.cells.layout import Weights
from rnnsim.networks.initialisation import Scheme, checked_gains
from rnnsim.networks.rnn import RNN, check_weights, joined
from rnnsim.networks.stack import Network, Stack, check_network, of_drawn


class EncoderDecoder:
    """An ensemble of N encoders, each with a decoder whose h_0 is the encoder's last output.

    ::

        s_t = phi_e(U_xh x_t + U_hh s_{t-1} + c_h)    t = 1..T_s, s_0 = 0      encoder
        h_0 = U_hy s_{T_s} + c_y                                              bridge
        h_t = phi_d(W_xh z_t + W_hh h_{t-1} + b_h)    t = 1..T                 decoder
        y_t = W_hy h_t + b_y

    U and c are the weights and biases of `encoder`, W and b those of `decoder`. The bridge is the
    readout of the encoder. Where it is the identity, as in all that `sample` and `captioner` draw,
    the decoder begins in the encoder's last state (Sutskever, Vinyals and Le 2014, there with LSTM
    cells); training leaves it as it is.

    Either may be an LSTM or a GRU, with the equations of `RNN` in place of phi. The bridge acts on
    h alone: the memories of an LSTM are handed over unchanged to an LSTM of as many hidden units
    (`hands_over_c`). In all other pairs the memories of a decoder begin at 0.

    Both may be stacks, of equally many layers: layer l of the decoder begins where layer l of the
    encoder has ended, ``h^l_0 = U_hy s^l_{T_s} + c_y``. One bridge serves all layers, the readout
    of the encoder's top; memories are handed over layer by layer.

    Parameters
    ----------
    encoder, decoder : RNN or Stack
        N networks each, of one dtype and as many layers; the outputs of the encoder are as many as
        the hidden units of the decoder.

    Raises
    ------
    TypeError
        Something else than two networks, or of two dtypes.
    ValueError
        Ensembles of two lengths; unequal numbers of layers; a bridge of another size; a decoder
        without outputs.

    Examples
    --------
    >>> import rnnsim
    >>> encoder = rnnsim.RNN.sample(n_inputs=5, n_hidden=8, n_outputs=4, rng=0)
    >>> decoder = rnnsim.RNN.sample(n_inputs=3, n_hidden=4, n_outputs=3, rng=1)
    >>> rnnsim.EncoderDecoder(encoder, decoder).n_networks
    1

    Stacks of two layers, whose bridge is the identity:

    >>> sizes = {"n_source_inputs": 5, "n_inputs": 3, "n_hidden": 4, "n_outputs": 3}
    >>> model = EncoderDecoder.sample(**sizes, cell="lstm", n_layers=2, rng=0)
    >>> model.decoder.n_layers, model.hands_over_c
    (2, True)
    """

    __slots__ = ("_decoder", "_encoder")

    def __init__(self, encoder: Network, decoder: Network) -> None:
        for name, part in (("encoder", encoder), ("decoder", decoder)):
            check_network(part, name)
        if len(encoder) != len(decoder):
            raise ValueError(
                "`encoder` and `decoder` must hold equally many networks, one pair each, got "
                f"{len(encoder)} and {len(decoder)}"
            )
        if len(encoder.layers) != len(decoder.layers):
            raise ValueError(
                "`encoder` and `decoder` must have equally many layers, each of the decoder begins "
                f"where that of the encoder ends, got {len(encoder.layers)} and "
                f"{len(decoder.layers)}"
            )
        if encoder.n_outputs != decoder.n_hidden:
            raise ValueError(
                "the outputs of `encoder` are h_0 of `decoder`: n_outputs must be n_hidden = "
                f"{decoder.n_hidden} of the decoder, got {encoder.n_outputs}; an encoder of "
                f"{decoder.n_hidden} hidden units with an identity for W_hy hands its state over"
            )
        if not decoder.n_outputs:
            raise ValueError(
                "`decoder` must have a readout, which carries the loss, got n_outputs = 0; give it "
                "`W_hy`"
            )
        checks.same_dtype(encoder=encoder.layers[0].W_hh, decoder=decoder.layers[0].W_hh)
        self._encoder, self._decoder = encoder, decoder

    @classmethod
    def sample(
        cls,
        n_networks: int = 1,
        *,
        n_source_inputs: int,
        n_inputs: int,
        n_hidden: int,
        n_outputs: int,
        n_layers: int = 1,
        cell: str = "vanilla",
        scheme: Scheme = "gaussian",
        gain: npt.ArrayLike = 1.0,
        forget_bias: float = 0.0,
        chrono: float | None = None,
        activation: str = "tanh",
        dtype: npt.DTypeLike = "float64",
        rng: int | np.random.Generator | None = None,
    ) -> "EncoderDecoder":
        """Draw random pairs of one size, with an identity as bridge: h_0 is the encoder's state.

        Parameters
        ----------
        n_networks, n_source_inputs, n_inputs, n_hidden, n_outputs : int
            N; inputs of the encoder; inputs of the decoder; hidden units of either; outputs of the
            decoder. Each at least 1.
        n_layers : int
            L: RNNs where it is 1, else stacks. The layers of deeper ones begin with those of
            shallower ones.
        cell, scheme, gain, forget_bias, chrono, activation, dtype, rng
            As in `RNN.sample`, for encoder and decoder alike, which are drawn one after the other.
            Pair i of a larger ensemble is pair i of a smaller one.

        Raises
        ------
        TypeError, ValueError
            As `RNN.sample`.

        Examples
        --------
        >>> EncoderDecoder.sample(2, n_source_inputs=5, n_inputs=3, n_hidden=8, n_outputs=3, rng=0)
        EncoderDecoder(n_networks=2, n_source_inputs=5, n_inputs=3, n_hidden=8, n_outputs=3, cell='vanilla', dtype=float64)
        """  # noqa: E501
        options: dict[str, Any] = {"cell": cell, "scheme": scheme, "activation": activation}
        options |= {"forget_bias": forget_bias, "chrono": chrono}
        sizes = (n_networks, n_source_inputs, n_inputs, n_hidden, n_outputs, n_layers)
        encoder, decoder = _drawn(sizes, gain, rng, options, options)
        return cls(encoder, decoder).astype(checks.float_dtype("dtype", dtype))

    @classmethod
    def captioner(
        cls,
        n_networks: int = 1,
        *,
        n_source_inputs: int,
        n_inputs: int,
        n_hidden: int,
        n_outputs: int,
        n_layers: int = 1,
        cell: str = "vanilla",
        scheme: Scheme = "gaussian",
        gain: npt.ArrayLike = 1.0,
        forget_bias: float = 0.0,
        chrono: float | None = None,
        activation: str = "tanh",
        dtype: npt.DTypeLike = "float64",
        rng: int | np.random.Generator | None = None,
    ) -> "EncoderDecoder":
        """Draw random decoders that begin in a linear image of one vector, such as a picture.

        ::

            h_0 = U_xh x + c_h

        The encoder is linear and reads x in one step, so that its U_hh, here 0, has no influence.
        With several layers ``h^l_0 = U^l_xh h^{l-1}_0 + c^l_h``.
        Parameters, errors and, of vanilla decoders, the draw are those of `sample`; what is chosen
        beside the sizes is the decoder's, whose memories, if any, begin at 0. (In Vinyals, Toshev,
        Bengio and Erhan 2015 the image, behind a convolutional network, is the first input of the
        decoder instead.)

        Examples
        --------
        >>> model = EncoderDecoder.captioner(n_source_inputs=64, n_inputs=9, n_hidden=16,
        ...                                  n_outputs=9, rng=0)
        >>> model.encoder.activation, bool(model.encoder.W_hh.any())
        ('linear', False)
        """
        options: dict[str, Any] = {"cell": cell, "scheme": scheme, "activation": activation}
        options |= {"forget_bias": forget_bias, "chrono": chrono}
        sizes = (n_networks, n_source_inputs, n_inputs, n_hidden, n_outputs, n_layers)
        linear = {"scheme": scheme, "activation": "linear"}
        encoder, decoder = _drawn(sizes, gain, rng, linear, options, still=True)
        return cls(encoder, decoder).astype(checks.float_dtype("dtype", dtype))

    @property
    def encoder(self) -> Network:
        """The networks that read the source."""
        return self._encoder

    @property
    def decoder(self) -> Network:
        """The networks that carry the loss."""
        return self._decoder

    @property
    def n_networks(self) -> int:
        """N."""
        return len(self._encoder)

    @property
    def n_layers(self) -> int:
        """L, of either."""
        return len(self._decoder.layers)

    @property
    def n_source_inputs(self) -> int:
        """Inputs of the encoder, D_s."""
        return self._encoder.n_inputs

    @property
    def n_inputs(self) -> int:
        """Inputs of the decoder, D."""
        return self._decoder.n_inputs

    @property
    def n_hidden(self) -> int:
        """Hidden units of the decoder, H."""
        return self._decoder.n_hidden

    @property
    def n_outputs(self) -> int:
        """Outputs of the decoder, V."""
        return self._decoder.n_outputs

    @property
    def hands_over_c(self) -> bool:
        """Whether the decoder's memories begin as the encoder's last: two LSTMs of equal size."""
        lstms = self._encoder.cell == self._decoder.cell == "lstm"
        return lstms and self._encoder.n_hidden == self._decoder.n_hidden

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._decoder.dtype

    def with_weights(
        self,
        encoder_weights: Weights | Sequence[Weights],
        decoder_weights: Weights | Sequence[Weights],
    ) -> "EncoderDecoder":
        """The same cells and activations with other weights, for example after a step of training.

        Of stacks one `Weights` for each layer.

        Examples
        --------
        >>> model = EncoderDecoder.sample(n_source_inputs=2, n_inputs=3, n_hidden=4, n_outputs=3,
        ...                               rng=0)
        >>> model.with_weights(model.encoder.weights, model.decoder.weights).n_hidden
        4
        """
        return EncoderDecoder(
            _with_weights(self._encoder, encoder_weights, "encoder_weights"),
            _with_weights(self._decoder, decoder_weights, "decoder_weights"),
        )

    def astype(self, dtype: npt.DTypeLike) -> "EncoderDecoder":
        """The same networks rounded to float32 or widened to float64."""
        return EncoderDecoder(self._encoder.astype(dtype), self._decoder.astype(dtype))

    def _known(self) -> About:
        known, of_encoder = self._decoder._known(), self._encoder._known().configuration
        encoder = {f"encoder_{name}": value for name, value in of_encoder.items()}
        return known._replace(configuration={**known.configuration, **encoder})

    def __len__(self) -> int:
        return self.n_networks

    def __getitem__(self, index: int | slice) -> "EncoderDecoder":
        """Pair `index` as an ensemble of one, or a slice of the ensemble."""
        return EncoderDecoder(self._encoder[index], self._decoder[index])

    def __repr__(self) -> str:
        depth = f"n_layers={self.n_layers}, " if self.n_layers > 1 else ""
        cells = {"encoder_cell": self._encoder.cell, "cell": self._decoder.cell}
        if len(set(cells.values())) == 1:
            del cells["encoder_cell"]
        kinds = ", ".join(f"{name}={cell!r}" for name, cell in cells.items())
        return (
            f"EncoderDecoder({depth}n_networks={self.n_networks}, "
            f"n_source_inputs={self.n_source_inputs}, n_inputs={self.n_inputs}, "
            f"n_hidden={self.n_hidden}, n_outputs={self.n_outputs}, {kinds}, "
            f"dtype={self.dtype})"
        )


def _with_weights(network: Network, weights: Any, name: str) -> Network:
    """The same network with other weights, which messages call `name`."""
    if isinstance(network, Stack):
        with checks.renamed(weights=f"`{name}`"):
            return network.with_weights(weights)
    return network.with_weights(check_weights(weights, name))


def _drawn(
    sizes: tuple[int, int, int, int, int, int],
    gain: npt.ArrayLike,
    rng: int | np.random.Generator | None,
    of_encoder: dict[str, Any],
    of_decoder: dict[str, Any],
    *,
    still: bool = False,
) -> tuple[Network, Network]:
    """Encoders with an identity as bridge, and decoders, drawn in turn with options of their own.

    sizes: n_networks, n_source_inputs, n_inputs, n_hidden, n_outputs, n_layers; still: encoders
    without recurrence.
    """
    names = ("n_networks", "n_source_inputs", "n_inputs", "n_hidden", "n_outputs", "n_layers")
    N, D_s, D, H, V, L = map(checks.size, names, sizes)
    generator = checks.generator(rng)
    generators = [generator, *(generator.spawn(L - 1) if L > 1 else [])]
    layers: tuple[list[RNN], list[RNN]] = [], []
    for index, own in enumerate(generators):
        if index:
            D_s = D = H
        encoders, decoders = [], []
        for g in checked_gains(gain, N):
            shared: dict[str, Any] = {"n_hidden": H, "gain": g, "rng": own}
            encoders.append(RNN.sample(n_inputs=D_s, n_outputs=1, **shared, **of_encoder))
            decoders.append(RNN.sample(n_inputs=D, n_outputs=V, **shared, **of_decoder))
        layers[0].append(_handing_over(joined(encoders), still=still))
        layers[1].append(joined(decoders))
    encoder, decoder = (part[0] if L == 1 else of_drawn(part) for part in layers)
    return encoder, decoder


def _handing_over(rnn: RNN, *, still: bool) -> RNN:
    """The same networks with their state as output."""
    N, H, weights = len(rnn), rnn.n_hidden, rnn.weights
    identity = np.broadcast_to(np.eye(H, dtype=rnn.dtype), (N, H, H))
    weights = weights._replace(W_hy=identity, b_y=np.zeros((N, H), rnn.dtype))
    if still:
        weights = weights._replace(W_hh=np.zeros_like(weights.W_hh))
    return rnn.with_weights(weights)
