"""Non-normality of networks that are multiples of few draws: each draw is looked at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim.networks.rnn import RNN
from rnnsim.spectra.nonnormality import nonnormality

_SHAPE = ("kreiss", "eigenbasis_condition", "participation")  # no multiple changes them


def scaled_nonnormality(
    unit: RNN, draws: Sequence[int], gains: Sequence[float]
) -> dict[str, npt.NDArray[Any]]:
    """`nonnormality` of ``W_hh[n] = gains[n] * V[draws[n]]``, V those of `unit`, by quantity.

    The Kreiss constant (at the spectral radius), eigenvectors and their condition are those of V,
    and all 1 for the matrix 0; the numerical radius is ``|gain|`` times that of V.
    """
    found, of = nonnormality(unit), np.asarray(draws)
    scale = np.asarray(gains, np.float64)
    V = unit.W_hh.astype(np.float64)
    bounds = np.linalg.eigvalsh(0.5 * (V + V.mT))[:, [0, -1]]
    result = {}
    for name in _SHAPE:
        values = getattr(found, name)[of]
        values[scale == 0.0] = 1.0
        result[name] = values
    return result | {
        "numerical_radius": np.abs(scale) * found.numerical_radius[of],
        "numerical_abscissa": (scale[:, None] * bounds[of]).max(axis=1),
    }
