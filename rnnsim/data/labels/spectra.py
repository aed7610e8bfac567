"""Variables of spectra of W_hh."""

from rnnsim.data.labels.results import Labels
from rnnsim.data.labels.tables import LN, NONE, SHARE, Entries, some, table

_NETWORK = ("network",)

SPECTRUM_OF_MATRIX: Entries = {
    "eigenvalues": ("unit", NONE, "eigenvalues of W_hh, descending modulus", complex),
    "singular_values": ("unit", NONE, "singular values of W_hh, descending"),
    "spectral_radius": ("", NONE, "largest modulus of an eigenvalue of W_hh"),
    "spectral_norm": ("", NONE, "largest singular value of W_hh"),
    "henrici": ("", NONE, "departure from normality: norm of the strict Schur triangle"),
    "henrici_relative": ("", NONE, SHARE),
}
SPECTRUM = Labels(table(_NETWORK, SPECTRUM_OF_MATRIX))
LEADING = Labels(
    table(
        _NETWORK,
        {
            "eigenvalues": (
                "value", NONE, "largest eigenvalues of W_hh, descending modulus", complex),
            "singular_values": ("value", NONE, "largest singular values of W_hh, descending"),
            "converged": ("", NONE, "whether all of them have converged"),
        }
        | some(SPECTRUM_OF_MATRIX, "spectral_radius spectral_norm"),
    ),
    sizes={"value": "k"},
)  # fmt: skip
GATE_SPECTRUM = Labels(
    table(
        _NETWORK,
        {
            "gate_singular_values": (
                "gate direction", NONE, "singular values of a gate's block of W_hh, descending"),
            "gate_spectral_norm": ("gate", NONE, "spectral norm of each gate's block of W_hh"),
        },
    ),
    {"gate_singular_values": "singular_values", "gate_spectral_norm": "spectral_norm"},
    {"gate": "gates"},
    {"direction": "n_hidden"},
)  # fmt: skip

NONNORMAL: Entries = {
    "numerical_radius": ("", NONE, "largest modulus in the numerical range of W_hh"),
    "numerical_abscissa": ("", NONE, "largest real part in the numerical range of W_hh"),
    "kreiss": ("", NONE, "Kreiss constant of W_hh, at its spectral radius unless another is given"),
    "eigenbasis_condition": ("", NONE, "condition number of the unit eigenvectors of W_hh"),
    "participation": ("unit", "units", "units that each right eigenvector of W_hh involves"),
}
NONNORMALITY = Labels(
    table(
        _NETWORK,
        some(SPECTRUM_OF_MATRIX, "eigenvalues")
        | NONNORMAL
        | {
            "eigenvalue_condition": (
                "unit", NONE, "condition number of each eigenvalue of W_hh"),
            "kreiss_point": ("", NONE, "point at which the Kreiss constant was found", complex),
            "radius": ("", NONE, "growth per step that the Kreiss constant compares with"),
        },
    )
)  # fmt: skip
LOG_SIGMA_MIN = ("im re", LN, "ln sigma_min(z - W_hh)")
PSEUDOSPECTRUM = Labels(
    table(
        _NETWORK,
        {
            "log_sigma_min": LOG_SIGMA_MIN,
            "converged": ("im re", NONE, "whether the iteration reached its tolerance"),
        }
        | some(SPECTRUM_OF_MATRIX, "eigenvalues"),
    ),
    axes={"re": "real", "im": "imag"},
)
