"""How weights are drawn: W_hh at which gain, gate block by gate block, and where gates begin."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.kernels.cells.layout import Weights
from rnnsim.networks.cells import CELLS, Cell

Scheme = str | Callable[[np.random.Generator, tuple[int, int]], npt.ArrayLike]

SCHEMES = ("gaussian", "orthogonal", "identity", "uniform")  # of W_hh; what studies compare
INITIALISATIONS = (*SCHEMES, "pytorch")  # of all weights


def checked_gains(gain: npt.ArrayLike, n_networks: int) -> FloatArray:
    """Gains (N,), one for each network."""
    gains = checks.per_network("gain", gain, n_networks)
    checks.finite("gain", gains)
    return gains


def checked_scheme(scheme: Any) -> Scheme:
    """The name of a scheme, or a function that draws one block."""
    if not callable(scheme):
        return checks.one_of("scheme", scheme, INITIALISATIONS)
    if not checks.can_be_called(scheme, 2):
        raise TypeError(
            "`scheme` must be a name, or a function that draws one block from a Generator, as in "
            "lambda rng, shape: 0.1 * rng.standard_normal(shape), got "
            f"{checks.shown(scheme)}"
        )
    return scheme


def checked_starts(cell: str, forget_bias: Any, chrono: Any) -> tuple[float, float | None]:
    """What is added to the bias of the gate that keeps, and T_max of chrono initialisation."""
    added = checks.real_number("forget_bias", forget_bias)
    longest = None if chrono is None else checks.real_number("chrono", chrono, above=2.0)
    given = {"forget_bias": added != 0.0, "chrono": longest is not None}
    if not CELLS[cell].keeps and any(given.values()):
        name = next(name for name, there in given.items() if there)
        raise ValueError(
            f"`{name}` sets the bias of a gate, and a network of cell={cell!r} has none; leave it "
            "out, or give cell='lstm' or cell='gru'"
        )
    if all(given.values()):
        raise ValueError(
            "`forget_bias` and `chrono` set the same bias, got "
            f"{added:g} and {longest:g}; give one of them"
        )
    return added, longest


def draw_network(
    cell: str, sizes: tuple[int, int, int], scheme: Scheme, rng: np.random.Generator
) -> Weights:
    """One network of sizes (D, H, V) at gain 1, without a network axis."""
    D, H, V = sizes
    kind = CELLS[cell]
    if scheme == "pytorch":
        return _as_pytorch(kind, sizes, rng)
    W_xh = rng.standard_normal((len(kind.gates) * H, D)) / np.sqrt(D)
    W_hh = np.concatenate([draw_W_hh(scheme, H, rng) for _ in kind.gates])
    W_hy = rng.standard_normal((V, H)) / np.sqrt(H)
    return Weights(W_xh, W_hh, W_hy, np.zeros(len(kind.biases) * H), np.zeros(V))


def draw_W_hh(scheme: Scheme, n_hidden: int, rng: np.random.Generator) -> FloatArray:
    """One block of W_hh at gain 1."""
    if callable(scheme):
        return _checked_block(scheme(rng, (n_hidden, n_hidden)), n_hidden)
    if scheme == "identity":
        return np.eye(n_hidden)
    if scheme == "uniform":
        return rng.uniform(-1.0, 1.0, (n_hidden, n_hidden)) / np.sqrt(n_hidden)
    gaussian = rng.standard_normal((n_hidden, n_hidden))
    if scheme == "gaussian":
        return gaussian / np.sqrt(n_hidden)
    # QR of a Gaussian matrix is Haar distributed once R has a positive diagonal (Mezzadri 2007).
    q, r = np.linalg.qr(gaussian)
    signs: FloatArray = np.where(np.diag(r) < 0, -1.0, 1.0)
    return q * signs


def start_gates(
    cell: str, b_h: FloatArray, forget_bias: float, chrono: float | None, rng: np.random.Generator
) -> None:
    """Set where gates begin in b_h of one network.

    The draw of chrono initialisation is made for every network with gates, so that none of the
    weights depends on it.
    """
    kind = CELLS[cell]
    if not kind.keeps:
        return
    blocks = dict(zip(kind.biases, b_h.reshape(len(kind.biases), -1), strict=True))
    keeps = blocks[kind.keeps]
    uniform = rng.random(keeps.size)
    if chrono is not None:
        keeps[:] = np.log(1.0 + (chrono - 2.0) * uniform)
        if kind.takes:
            blocks[kind.takes][:] = -keeps
    keeps += forget_bias


def _as_pytorch(kind: Cell, sizes: tuple[int, int, int], rng: np.random.Generator) -> Weights:
    """All from U(-1/sqrt(H), 1/sqrt(H)), the two biases of each gate added where they only add."""
    D, H, V = sizes
    G = len(kind.gates)

    def draw(*shape: int) -> FloatArray:
        return rng.uniform(-1.0, 1.0, shape) / np.sqrt(H)

    W_xh, W_hh, of_input, of_state = draw(G * H, D), draw(G * H, H), draw(G, H), draw(G, H)
    shared = 2 * G - len(kind.biases)
    added = of_input[:shared] + of_state[:shared]
    b_h = np.concatenate([added, of_input[shared:], of_state[shared:]]).reshape(-1)
    return Weights(W_xh, W_hh, draw(V, H), b_h, draw(V))


def _checked_block(value: Any, n_hidden: int) -> FloatArray:
    """What a function of the caller drew, as float64."""
    block, shape = checks.plain_array("scheme", value), (n_hidden, n_hidden)
    if block.dtype not in checks.DTYPES or block.shape != shape:
        raise ValueError(
            f"`scheme` must return float32 or float64 of shape {shape}, one block of W_hh, got "
            f"{block.dtype} of shape {block.shape}"
        )
    if not np.isfinite(block).all():
        raise ValueError(
            "`scheme` must return finite numbers, got "
            f"{block[checks.first_index(~np.isfinite(block))]}"
        )
    return block.astype(np.float64)
