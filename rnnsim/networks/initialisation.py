"""How W_hh is drawn, at which gain."""

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray

SCHEMES = ("gaussian", "orthogonal", "identity", "uniform")


def checked_gains(gain: npt.ArrayLike, n_networks: int) -> FloatArray:
    """Gains (N,), one for each network."""
    try:
        gains = np.asarray(gain, dtype="float64")
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`gain` must be a number or an (n_networks,) array, got {gain!r}"
        ) from error
    if gains.shape not in ((), (n_networks,)):
        raise ValueError(
            f"`gain` must be a number or of shape (n_networks,) = ({n_networks},), "
            f"got shape {gains.shape}"
        )
    checks.finite("gain", np.atleast_1d(gains))
    return np.broadcast_to(gains, (n_networks,))


def recurrent_draw(scheme: str, n_hidden: int, rng: np.random.Generator) -> FloatArray:
    """One W_hh at gain 1."""
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
