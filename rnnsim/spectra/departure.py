"""Networks with the same eigenvalues and another departure from normality."""

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.networks.rnn import RNN, check_rnn, vanilla_only


def with_departure(rnn: RNN, scale: npt.ArrayLike) -> RNN:
    """The same networks, with W_hh changed: eigenvalues kept, departure from normality scaled.

    ::

        W_hh = Q (D + R) Q^T            real Schur form: Q orthogonal, D of blocks (1, 1) and
                                        (2, 2) that carry the eigenvalues, R strictly upper
        W_hh(s) = Q (D(s) + s R) Q^T    eigenvalues of W_hh, henrici(W_hh(s)) = s henrici(W_hh)

    At ``s = 0`` W_hh is normal: ``||W_hh^k||_2 = spectral_radius^k`` at every k. At 1 it is what it
    was, up to rounding; above 1 the transients before that decay or growth are larger. What the
    eigenvalues say of a gradient is the same for all of them.

    A block of a conjugate pair is not normal either and has its own share of the departure::

        D    = [[a, b], [-c, a]]        b, c of one sign, eigenvalues a +- i sqrt(b c)
        D(s) = [[a, b'], [-c', a]]      b' c' = b c,   b' - c' = s (b - c)

    R, and with it W_hh(s) at s other than 1, depends on the order of the eigenvalues along the
    diagonal, which is the one that LAPACK finds; the departure does not. Of the whole family only
    s = 0 and 1 are distinguished; other constructions give other matrices of the same departure.

    Everything is computed in float64 and rounded to the dtype of the networks. Rounding moves an
    eigenvalue by about ``1e-16 ||W_hh||_2`` times its condition number, which grows fast with s.

    Parameters
    ----------
    rnn : RNN
        N vanilla networks.
    scale : float or (N,) array
        s, at least 0; no unit.

    Returns
    -------
    RNN
        With the other weights, biases and the activation as they were.

    Raises
    ------
    TypeError, ValueError
        `rnn` is not an RNN, or has gated cells; a scale of another shape, negative or not finite,
        or so large that W_hh leaves the range of its dtype.

    Examples
    --------
    >>> from rnnsim.spectra.spectrum import spectrum
    >>> rnn = RNN.sample(n_inputs=1, n_hidden=16, n_outputs=1, rng=0)
    >>> before, after = spectrum(rnn), spectrum(with_departure(rnn, 2.0))
    >>> bool(np.allclose(before.eigenvalues, after.eigenvalues))
    True
    >>> (after.henrici / before.henrici).round(6)
    array([2.])
    """
    check_rnn(rnn)
    vanilla_only(rnn, "rnn", "W_hh of gated cells stacks blocks and has no eigenvalues to keep")
    scales = checks.per_network("scale", checks.nonnegative("scale", scale), len(rnn))
    pairs = zip(rnn.W_hh.astype(np.float64), scales, strict=True)
    with np.errstate(over="ignore", invalid="ignore"):
        W_hh = np.array([_of_one(matrix, float(s)) for matrix, s in pairs]).astype(rnn.dtype)
    lost = ~np.isfinite(W_hh).all(axis=(1, 2))
    if lost.any():
        raise ValueError(
            f"`scale` must leave W_hh within the range of {rnn.dtype}, got "
            f"{scales[lost][0]:g} for network {int(lost.argmax())}; use a smaller one"
        )
    return rnn.with_weights(rnn.weights._replace(W_hh=W_hh))


def _of_one(matrix: FloatArray, scale: float) -> FloatArray:
    import scipy.linalg  # slow to import, needed here only

    schur, basis = scipy.linalg.schur(matrix, output="real")
    changed = np.diag(np.diag(schur)) + scale * np.triu(schur, 1)
    for i in np.flatnonzero(np.diag(schur, -1)):  # LAPACK leaves both diagonal entries the same
        changed[i, i + 1], changed[i + 1, i] = _pair(schur[i, i + 1], -schur[i + 1, i], scale)
    product: FloatArray = basis @ changed @ basis.T
    return product


def _pair(b: float, c: float, scale: float) -> tuple[float, float]:
    """(b', -c') with b' c' = b c and b' - c' = scale (b - c), for b and c of one sign."""
    half = 0.5 * scale * (b - c)
    frequency = np.sqrt(np.abs(b)) * np.sqrt(np.abs(c))
    larger = np.abs(half) + np.hypot(half, frequency)
    smaller = frequency * (frequency / larger)  # their difference would cancel
    sizes = (larger, smaller) if np.abs(b) >= np.abs(c) else (smaller, larger)
    return np.copysign(sizes[0], b), -np.copysign(sizes[1], c)
