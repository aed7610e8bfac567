"""How W_hh is drawn, at which gain."""

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray

SCHEMES = ("gaussian", "orthogonal", "identity", "uniform")


def checked_gains(gain: npt.ArrayLike, n_networks: int) -> FloatArray:
    """Gains (N,), one for each network."""
    gains = checks.per_network("gain", gain, n_networks)
    checks.finite("gain", gains)
    return gains


def draw_W_hh(scheme: str, n_hidden: int, rng: np.random.Generator) -> FloatArray:
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
