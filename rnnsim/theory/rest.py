"""Gated networks at rest: without input, h = 0 is a fixed point, and where it loses stability."""

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray

CELLS = ("vanilla", "lstm", "gru")


def critical_gain_at_rest(cell: str, *, forget_bias: npt.ArrayLike = 0.0) -> FloatArray:
    """The gain g at which h = 0 stops to attract networks without input, for many units.

    ::

        vanilla    phi'(0) lambda              g = 1            phi = tanh, b_h = 0
        LSTM       f + i o lambda, and 0       g = (1 - f)/(i o) = 4 (1 - f)
        GRU        z + (1 - z) r lambda        g = 1/r = 2      whatever z is

    The first column are the eigenvalues of dh_t/dh_{t-1}, of LSTMs of the state (h, c), at rest;
    lambda those of W_hh, of its block of g or n for gated cells, which fill a disc of radius g
    (Gaussian, for many units) or touch its border (orthogonal, identity). All biases are 0 but that
    of the gate that keeps, ``f = sigma(forget_bias)``, likewise z. Of driven networks it says
    nothing.

    Parameters
    ----------
    cell : {"vanilla", "lstm", "gru"}
    forget_bias : float or (...,) array
        Of gated cells.

    Returns
    -------
    (...,) float64
        The effective gain (`effective_gain`).

    Raises
    ------
    TypeError, ValueError
        An unknown cell; biases that are not finite; one other than 0 of a vanilla network.

    Examples
    --------
    >>> critical_gain_at_rest("lstm", forget_bias=[0, 1, 2]).round(5)
    array([2.     , 1.07577, 0.47681])
    """
    bias = checks.real_array("forget_bias", forget_bias)
    checks.finite("forget_bias", bias)
    kind = checks.one_of("cell", cell, CELLS)
    if kind == "vanilla" and (bias != 0).any():
        raise ValueError(
            "`forget_bias` sets the bias of a gate, which cell='vanilla' has not, got "
            f"{checks.shown(forget_bias)}; leave it out"
        )
    if kind == "lstm":
        return np.asarray(4.0 * np.exp(-np.logaddexp(0.0, bias)))  # 1 - sigma(b), to all digits
    return np.full(bias.shape, {"vanilla": 1.0, "gru": 2.0}[kind])
