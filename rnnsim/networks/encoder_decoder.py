"""Two recurrent networks in a row: an encoder, and a decoder that begins where it ends."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.kernels.cells.layout import Weights
from rnnsim.networks.initialisation import Scheme, checked_gains
from rnnsim.networks.rnn import RNN, check_rnn, check_weights, joined


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

    Parameters
    ----------
    encoder, decoder : RNN
        N networks each, of one dtype; the outputs of the encoder are as many as the hidden units of
        the decoder.

    Raises
    ------
    TypeError
        Something else than two RNNs, or of two dtypes.
    ValueError
        Ensembles of two lengths; a bridge of another size; a decoder without outputs.

    Examples
    --------
    >>> import rnnsim
    >>> encoder = rnnsim.RNN.sample(n_inputs=5, n_hidden=8, n_outputs=4, rng=0)
    >>> decoder = rnnsim.RNN.sample(n_inputs=3, n_hidden=4, n_outputs=3, rng=1)
    >>> rnnsim.EncoderDecoder(encoder, decoder).n_networks
    1
    """

    __slots__ = ("_decoder", "_encoder")

    def __init__(self, encoder: RNN, decoder: RNN) -> None:
        for name, part in (("encoder", encoder), ("decoder", decoder)):
            check_rnn(part, name)
        if len(encoder) != len(decoder):
            raise ValueError(
                "`encoder` and `decoder` must hold equally many networks, one pair each, got "
                f"{len(encoder)} and {len(decoder)}"
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
        checks.same_dtype(encoder=encoder.W_hh, decoder=decoder.W_hh)
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
        EncoderDecoder(n_networks=2, n_source_inputs=5, n_inputs=3, n_hidden=8, n_outputs=3, dtype=float64)
        """  # noqa: E501
        options: dict[str, Any] = {"cell": cell, "scheme": scheme, "activation": activation}
        options |= {"forget_bias": forget_bias, "chrono": chrono}
        sizes = (n_networks, n_source_inputs, n_inputs, n_hidden, n_outputs)
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
        sizes = (n_networks, n_source_inputs, n_inputs, n_hidden, n_outputs)
        linear = {"scheme": scheme, "activation": "linear"}
        encoder, decoder = _drawn(sizes, gain, rng, linear, options)
        weights = encoder.weights
        still = encoder.with_weights(weights._replace(W_hh=np.zeros_like(weights.W_hh)))
        return cls(still, decoder).astype(checks.float_dtype("dtype", dtype))

    @property
    def encoder(self) -> RNN:
        """The networks that read the source."""
        return self._encoder

    @property
    def decoder(self) -> RNN:
        """The networks that carry the loss."""
        return self._decoder

    @property
    def n_networks(self) -> int:
        """N."""
        return len(self._encoder)

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

    def with_weights(self, encoder_weights: Weights, decoder_weights: Weights) -> "EncoderDecoder":
        """The same cells and activations with other weights, for example after a step of training.

        Examples
        --------
        >>> model = EncoderDecoder.sample(n_source_inputs=2, n_inputs=3, n_hidden=4, n_outputs=3,
        ...                               rng=0)
        >>> model.with_weights(model.encoder.weights, model.decoder.weights).n_hidden
        4
        """
        encoder = self._encoder.with_weights(check_weights(encoder_weights, "encoder_weights"))
        decoder = self._decoder.with_weights(check_weights(decoder_weights, "decoder_weights"))
        return EncoderDecoder(encoder, decoder)

    def astype(self, dtype: npt.DTypeLike) -> "EncoderDecoder":
        """The same networks rounded to float32 or widened to float64."""
        return EncoderDecoder(self._encoder.astype(dtype), self._decoder.astype(dtype))

    def __len__(self) -> int:
        return self.n_networks

    def __getitem__(self, index: int | slice) -> "EncoderDecoder":
        """Pair `index` as an ensemble of one, or a slice of the ensemble."""
        return EncoderDecoder(self._encoder[index], self._decoder[index])

    def __repr__(self) -> str:
        return (
            f"EncoderDecoder(n_networks={self.n_networks}, n_source_inputs={self.n_source_inputs}, "
            f"n_inputs={self.n_inputs}, n_hidden={self.n_hidden}, n_outputs={self.n_outputs}, "
            f"dtype={self.dtype})"
        )


def _drawn(
    sizes: tuple[int, int, int, int, int],
    gain: npt.ArrayLike,
    rng: int | np.random.Generator | None,
    of_encoder: dict[str, Any],
    of_decoder: dict[str, Any],
) -> tuple[RNN, RNN]:
    """Encoders with an identity as bridge, and decoders, drawn in turn with options of their own.

    sizes: n_networks, n_source_inputs, n_inputs, n_hidden, n_outputs.
    """
    names = ("n_networks", "n_source_inputs", "n_inputs", "n_hidden", "n_outputs")
    N, D_s, D, H, V = map(checks.size, names, sizes)
    generator = checks.generator(rng)
    encoders, decoders = [], []
    for g in checked_gains(gain, N):
        shared: dict[str, Any] = {"n_hidden": H, "gain": g, "rng": generator}
        encoders.append(RNN.sample(n_inputs=D_s, n_outputs=1, **shared, **of_encoder))
        decoders.append(RNN.sample(n_inputs=D, n_outputs=V, **shared, **of_decoder))
    return _handing_over(joined(encoders)), joined(decoders)


def _handing_over(rnn: RNN) -> RNN:
    """The same networks with their state as output."""
    N, H = len(rnn), rnn.n_hidden
    identity = np.broadcast_to(np.eye(H, dtype=rnn.dtype), (N, H, H))
    bridge = {"W_hy": identity, "b_y": np.zeros((N, H), rnn.dtype)}
    return rnn.with_weights(rnn.weights._replace(**bridge))
