"""Spectra of the Jacobians along a trajectory: what one step does at the state that it is at."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnsim.checks import FloatArray
from rnnsim.data.labels import dynamics as labels
from rnnsim.data.labels.results import Result, described
from rnnsim.dynamics.jacobians import jacobians
from rnnsim.networks.stack import Network
from rnnsim.spectra.spectrum import by_modulus


@dataclass(frozen=True, eq=False, repr=False)
class JacobianSpectrum(Result):
    """What `jacobian_spectrum` returns: N networks, T steps, B sequences, S numbers of a state.

    Attributes
    ----------
    eigenvalues : (N, T, B, S) complex128 array
        Of J_t, in the order of `Spectrum.eigenvalues`. NaN from the step on whose state is not
        finite.
    singular_values : (N, T, B, S) array
        Of J_t, descending; NaN likewise.
    """

    _labels = labels.JACOBIAN_SPECTRUM

    eigenvalues: npt.NDArray[np.complex128]
    singular_values: FloatArray

    @property
    def spectral_radius(self) -> FloatArray:
        """Largest modulus of an eigenvalue (N, T, B)."""
        return np.abs(self.eigenvalues[..., 0])

    @property
    def spectral_norm(self) -> FloatArray:
        """Largest singular value (N, T, B)."""
        return self.singular_values[..., 0]


def jacobian_spectrum(
    rnn: Network,
    inputs: npt.ArrayLike,
    *,
    h0: npt.ArrayLike | None = None,
    c0: npt.ArrayLike | None = None,
) -> JacobianSpectrum:
    """Eigenvalues and singular values of the Jacobian of every step of a trajectory.

    ::

        J_t = ds_t/ds_{t-1}, s the state: h, or (h, c) of an LSTM; see `jacobians`

    Of a gated network this is the matrix whose spectrum says what a step does to a gradient: the
    eigenvalues of a gate block of W_hh alone say nothing of stability. At a fixed point, under
    constant input, they are the multipliers of its stability. Along other trajectories only the
    product of the J_t decides how gradients end: see `lyapunov_spectrum`.

    Parameters
    ----------
    rnn, inputs, h0, c0
        As in `forward`.

    Returns
    -------
    JacobianSpectrum
        Everything in float64, with ``.spectral_radius`` and ``.spectral_norm`` (N, T, B). Memory as
        of `jacobians`.

    Raises
    ------
    TypeError, ValueError
        As in `forward`.

    Examples
    --------
    An LSTM at rest, without biases: f + i o times the eigenvalues of the block of g, and H zeros.

    >>> from rnnsim.networks.rnn import RNN
    >>> rnn = RNN.sample(n_inputs=1, n_hidden=3, n_outputs=1, cell="lstm", rng=0)
    >>> found = jacobian_spectrum(rnn, np.zeros((1, 1, 1)))
    >>> block = rnn.W_hh[0, 6:9]
    >>> bool(np.isclose(found.spectral_radius[0, 0, 0],
    ...                 np.abs(0.5 + 0.25 * np.linalg.eigvals(block)).max()))
    True
    """
    matrices = jacobians(rnn, inputs, h0=h0, c0=c0)
    known = np.asarray(np.isfinite(matrices).all(axis=(-1, -2), keepdims=True))
    sound = np.where(known, matrices, 0.0)
    eigenvalues = by_modulus(np.linalg.eigvals(sound).astype(np.complex128))
    values = np.linalg.svd(sound, compute_uv=False)
    lost = ~known[..., 0]
    found = JacobianSpectrum(
        np.where(lost, complex(np.nan, np.nan), eigenvalues), np.where(lost, np.nan, values)
    )
    return described(found, rnn)
