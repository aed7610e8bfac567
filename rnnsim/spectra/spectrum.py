"""Spectra of W_hh: eigenvalues, singular values, departure from normality."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.labels import spectra as labels
from rnnsim.data.labels.results import Result, described
from rnnsim.networks.cells import CELLS
from rnnsim.networks.rnn import RNN, check_rnn, vanilla_only
from rnnsim.networks.stack import Stack


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum(Result):
    """What `spectrum` returns; sizes: N networks, H hidden units, everything from float64.

    Attributes
    ----------
    eigenvalues : (N, H) complex128 array
        Of W_hh, in descending modulus. Among equal moduli the larger real part comes first, then
        the positive imaginary part: both of a conjugate pair stand side by side.
    singular_values : (N, H) array
        Of W_hh, descending.
    henrici : (N,) array
        Departure from normality, the Frobenius norm of the strict upper Schur triangle.
    henrici_relative : (N,) array
        ``henrici / ||W_hh||_F``, from 0 (normal) to 1 (all eigenvalues 0); NaN where W_hh is 0.
    """

    _labels = labels.SPECTRUM

    eigenvalues: npt.NDArray[np.complex128]
    singular_values: FloatArray
    henrici: FloatArray
    henrici_relative: FloatArray

    @property
    def spectral_radius(self) -> FloatArray:
        """Largest modulus of an eigenvalue (N,)."""
        return np.abs(self.eigenvalues[:, 0])

    @property
    def spectral_norm(self) -> FloatArray:
        """Largest singular value (N,)."""
        return self.singular_values[:, 0]


@dataclass(frozen=True, eq=False, repr=False)
class GateSpectrum(Result):
    """What `spectrum` returns for gated cells: N networks, G gates, H hidden units, in float64.

    There are no eigenvalues: a block of W_hh leads from states to one gate, not to states, so that
    its eigenvalues measure no stability.

    Attributes
    ----------
    singular_values : (N, G, H) array
        Of each gate's block of W_hh, descending.
    gates : tuple of str
        Their names, in the order of axis 1.
    """

    _labels = labels.GATE_SPECTRUM

    singular_values: FloatArray
    gates: tuple[str, ...]

    @property
    def spectral_norm(self) -> FloatArray:
        """Largest singular value of each block (N, G)."""
        return self.singular_values[:, :, 0]


def spectrum(rnn: RNN) -> Spectrum | GateSpectrum:
    """Eigenvalues, singular values and departure from normality of each network's W_hh.

    ::

        W_hh = Q (Lambda + R) Q^*     complex Schur form: Q unitary, Lambda the diagonal of
                                      eigenvalues, R strictly upper triangular
        henrici = ||R||_F = sqrt(||W_hh||_F^2 - sum_i |lambda_i|^2)

    The eigenvalues decide how a product of many W_hh ends, the singular values what one factor can
    do. They tell one story only for a normal matrix (R = 0, orthogonal eigenvectors), where
    ``||W_hh^k|| = spectral_radius^k`` at every k. A large R lets the product, and with it the
    gradient of a linear network, grow over many lags before it decays at the rate of the
    spectral radius. R itself depends on the order of the eigenvalues, its norm does not.

    `henrici` is the departure from normality of Henrici (1962, Numerische Mathematik 4, 24-40) for
    the Frobenius norm. It is read from the Schur form, as the difference of squares above
    cancels for nearly normal matrices and loses half of the digits. For large Gaussian W_hh
    `henrici_relative` is 1/sqrt(2).

    **Gated cells** have one block of W_hh for each gate. A block is no map from states to states,
    its eigenvalues and powers mean nothing, and what comes is a `GateSpectrum` of singular values:
    how strongly the state can move each gate. Stability is that of the Jacobians along a
    trajectory.

    Everything is computed in float64, whatever the dtype of the networks. Units: those of W_hh.

    Parameters
    ----------
    rnn : RNN
        N networks; only W_hh is read.

    Returns
    -------
    Spectrum
        ``.eigenvalues`` and ``.singular_values`` (N, H); ``.spectral_radius``, ``.spectral_norm``,
        ``.henrici`` and ``.henrici_relative`` (N,).
    GateSpectrum
        For LSTMs and GRUs: ``.singular_values`` (N, G, H), ``.spectral_norm`` (N, G), ``.gates``.

    Raises
    ------
    TypeError
        `rnn` is not an RNN.

    Examples
    --------
    Both eigenvalues are 0.5, yet one step can stretch a vector by a factor of 2.1:

    >>> import numpy as np
    >>> from rnnsim.networks.rnn import RNN
    >>> from rnnsim.spectra.spectrum import spectrum
    >>> W_hh = np.array([[0.5, 2.0], [0.0, 0.5]])
    >>> result = spectrum(RNN(np.ones((2, 1)), W_hh, np.ones((1, 2))))
    >>> result.spectral_radius, result.henrici
    (array([0.5]), array([2.]))
    >>> result.spectral_norm.round(3)
    array([2.118])

    The forget gate of an LSTM with orthogonal blocks:

    >>> lstm = RNN.sample(n_inputs=1, n_hidden=4, n_outputs=1, cell="lstm", scheme="orthogonal",
    ...                   gain=2.0, rng=0)
    >>> found = spectrum(lstm)
    >>> found.gates, found.spectral_norm.round(6)
    (('i', 'f', 'g', 'o'), array([[2., 2., 2., 2.]]))
    """
    check_rnn(rnn)
    if rnn.cell == "vanilla":
        return matrix_spectrum(rnn)
    shape = (len(rnn), rnn.n_gates, rnn.n_hidden, rnn.n_hidden)
    blocks = rnn.W_hh.astype(np.float64).reshape(shape)
    values = np.linalg.svd(blocks, compute_uv=False)
    return described(GateSpectrum(values, CELLS[rnn.cell].gates), rnn)


def matrix_spectrum(rnn: RNN | npt.ArrayLike) -> Spectrum:
    """`spectrum` of vanilla networks or of square matrices."""
    W_hh = matrices_of(rnn)
    exponents = exponents_of(W_hh)  # powers of two, so that no square leaves the range
    scaled = np.ldexp(W_hh, -exponents[:, None, None])
    departures = np.array([_departure_from_normality(matrix) for matrix in scaled])
    with np.errstate(invalid="ignore"):
        relative = departures / np.linalg.norm(scaled, axis=(1, 2))
    with np.errstate(over="ignore"):
        henrici = np.ldexp(departures, exponents)
    return described(Spectrum(*eigenvalues_and_singular_values(W_hh), henrici, relative), rnn)


def exponents_of(matrices: FloatArray) -> npt.NDArray[np.int64]:
    """(N,), those powers of two by which matrices (N, H, H) are of the size of 1."""
    return np.frexp(np.abs(matrices).max(axis=(1, 2)))[1].astype(np.int64) - 1


def eigenvalues_and_singular_values(
    matrices: FloatArray,
) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.float64]]:
    """Of matrices (N, H, H) in float64, (N, H) and descending; a fifth of what `spectrum` costs.

    The rest is the Schur form.
    """
    eigenvalues = np.linalg.eigvals(matrices).astype(np.complex128)
    return by_modulus(eigenvalues), np.linalg.svd(matrices, compute_uv=False)


def matrices_of(rnn: RNN | npt.ArrayLike) -> FloatArray:
    """W_hh of networks, or one matrix or several as they are given, as (N, H, H) in float64."""
    if isinstance(rnn, RNN):
        vanilla_only(
            rnn,
            "rnn",
            f"W_hh stacks the blocks of {rnn.n_gates} gates; give one, such as rnn.W_hh[:, :"
            f"{rnn.n_hidden}], or look at the Jacobians along a trajectory "
            "(rnnsim.jacobian_spectrum)",
        )
        return rnn.W_hh.astype(np.float64)
    if isinstance(rnn, Stack):
        check_rnn(rnn)
    array = checks.float_array("rnn", rnn, shape="(an RNN, or matrices)")
    if array.ndim not in (2, 3) or array.shape[-1] != array.shape[-2]:
        raise ValueError(
            "`rnn` must be a rnnsim.RNN, or square matrices (n_hidden, n_hidden) or "
            f"(n_networks, n_hidden, n_hidden), got shape {array.shape}"
        )
    matrices = (array if array.ndim == 3 else array[None]).astype(np.float64)
    checks.positive_sizes("rnn", matrices, "n_networks n_hidden n_hidden")
    checks.finite("rnn", matrices)
    return matrices


def _departure_from_normality(matrix: FloatArray) -> float:
    """Frobenius norm of the strict upper triangle of the complex Schur form."""
    import scipy.linalg  # slow to import, needed here only

    triangular, _ = scipy.linalg.schur(matrix, output="complex")
    return float(np.linalg.norm(np.triu(triangular, 1)))


def by_modulus(eigenvalues: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """Descending modulus, ties by descending real, then imaginary part, on the last axis."""
    keys = (-eigenvalues.imag, -eigenvalues.real, -np.abs(eigenvalues))
    ordered: npt.NDArray[np.complex128] = np.take_along_axis(
        eigenvalues, np.lexsort(keys, axis=-1), axis=-1
    )
    return ordered
