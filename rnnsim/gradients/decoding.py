"""Writing without a teacher: a decoder that reads its own answers."""

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.pairs import Pairs, check_pairs
from rnnsim.gradients.pairs import answers, boundary, exact_fraction
from rnnsim.gradients.simulation import run_layers
from rnnsim.networks.binding import checked_inputs
from rnnsim.networks.encoder_decoder import EncoderDecoder
from rnnsim.networks.states import states_of


def greedy_decode(
    model: EncoderDecoder,
    source: npt.ArrayLike,
    *,
    start: int,
    end: int,
    n_steps: int,
    n_threads: int | None = None,
) -> npt.NDArray[np.int64]:
    """What the decoders write by themselves: at every step the class of the largest output.

    ::

        z_1 = onehot(start)     c_t = argmax_v y_t[v]     z_{t+1} = onehot(c_t)

    Parameters
    ----------
    model : EncoderDecoder
        N networks that read class ids one-hot: at least as many inputs as outputs.
    source : (T_s, B, D_s) or (N, T_s, B, D_s) array
        What the encoders read, of the networks' dtype.
    start, end : int
        Class ids of the start symbol, below n_inputs, and of the end symbol, below n_outputs.
    n_steps : int
        T, how many symbols are written at most.
    n_threads : int, optional
        All cores unless given; it does not change the result.

    Returns
    -------
    (N, T, B) int64
        Class ids; behind the first end symbol only end symbols. Of equal outputs the first counts;
        -1 where outputs are not finite, and 0 is read in its place.

    Raises
    ------
    TypeError, ValueError
        A source that does not fit, more outputs than inputs, symbols that are no class, n_steps or
        n_threads below 1.

    Examples
    --------
    >>> model = EncoderDecoder.sample(2, n_source_inputs=3, n_inputs=5, n_hidden=8, n_outputs=5,
    ...                               rng=0)
    >>> greedy_decode(model, np.ones((6, 4, 3)), start=0, end=1, n_steps=7).shape
    (2, 7, 4)
    """
    if not isinstance(model, EncoderDecoder):
        raise TypeError(f"`model` must be a rnnsim.EncoderDecoder, got {type(model).__name__}")
    x = checked_inputs(model.encoder, source, "source")
    T = checks.size("n_steps", n_steps)
    if model.n_outputs > model.n_inputs:
        raise ValueError(
            "a decoder that reads its own answers needs an input for each of its n_outputs = "
            f"{model.n_outputs} classes, got n_inputs = {model.n_inputs}"
        )
    first, last = _symbol("start", start, model.n_inputs), _symbol("end", end, model.n_outputs)
    state, _ = boundary(model, x, n_threads)
    N, B = state.shape[:2]
    onehot = np.zeros((model.n_inputs + 1, model.n_inputs), model.dtype)  # row -1: nothing
    np.fill_diagonal(onehot, 1)
    ids = np.full((N, T, B), last)
    read, done = np.full((N, B), first), np.zeros((N, B), bool)
    for t in range(T):
        layers = list(run_layers(model.decoder, onehot[read][:, None], state, n_threads))
        state = states_of([np.ascontiguousarray(states[:, 1]) for _, states, _ in layers])
        read = answers(layers[-1][2][:, 0])
        ids[:, t] = np.where(done, last, read)
        done |= read == last
        if done.all():
            break
    return ids


def exact_match(ids: npt.ArrayLike, pairs: Pairs) -> npt.NDArray[np.float64]:
    """The fraction (N,) of sequences that were written without a mistake.

    ``(1/B) #{b: ids[t,b] = target[t,b] at every t of w[t,b] > 0}``, of the sequences with loss.

    Parameters
    ----------
    ids : (N, T', B) int array
        As `greedy_decode` returns them, T' at least the steps of the target.
    pairs : Pairs
        With class targets.

    Raises
    ------
    TypeError, ValueError
        Ids or targets that are no class ids; other shapes.

    Examples
    --------
    >>> import rnnsim
    >>> target = rnnsim.Sequences(np.zeros((2, 3, 4)), np.array([[1, 2, 3], [0, 0, 0]]))
    >>> pairs = rnnsim.Pairs(np.zeros((5, 3, 2)), target)
    >>> exact_match([[[1, 2, 3], [0, 0, 1]]], pairs).round(3)
    array([0.667])
    """
    check_pairs(pairs)
    if not pairs.target.has_classes:
        raise TypeError("`pairs` must have class targets to compare ids with, got float targets")
    array, T, B = checks.plain_array("ids", ids), pairs.n_steps, pairs.n_sequences
    if array.dtype.kind not in "iu":
        raise TypeError(f"`ids` must hold class ids (integers), got {array.dtype}")
    wanted = (pairs.n_networks or array.shape[0] if array.ndim else 0, B)
    if array.ndim != 3 or (array.shape[0], array.shape[2]) != wanted or array.shape[1] < T:
        raise ValueError(
            "`ids` must be (n_networks, n_steps, n_sequences) with at least "
            f"{T} steps and {B} sequences as in `pairs`, got shape {array.shape}; decode with "
            f"n_steps={T} or more"
        )
    return exact_fraction(array[:, :T], pairs.target.targets, pairs.target.weights)


def _symbol(name: str, value: int, n_classes: int) -> int:
    symbol = checks.whole_number(name, value, least=0)
    if symbol >= n_classes:
        raise ValueError(f"`{name}` must be a class id 0..{n_classes - 1}, got {symbol}")
    return symbol
