"""The matrix of the recurrence by itself: eigenvalues, and how much one step can stretch."""

import math
from typing import Any

import numpy as np

from rnnsim.diagnosis.cases import Case
from rnnsim.diagnosis.findings import DEFINITION, OURS, Finding, series, short, unknown
from rnnsim.networks.cells import CELLS
from rnnsim.spectra.spectrum import matrix_spectrum, spectrum

_ALONE: dict[str, Any] = {"error": 0.0, "over": "the weights alone"}
_NORMAL = 0.1  # ||R||_F / ||W_hh||_F; large Gaussian matrices have .71


def spectra(case: Case) -> list[Finding]:
    """The spectral radius of W_hh and its departure from normality, layer by layer."""
    numbers = range(1, len(case.network.layers) + 1)
    if case.network.cell != "vanilla":
        gates = CELLS[case.network.cell].gates
        norms = [
            [float(x) for x in spectrum(layer).spectral_norm[0]] for layer in case.network.layers
        ]
        listed = "; ".join(
            ", ".join(f"{gate} {short(x)}" for gate, x in zip(gates, row, strict=True))
            for row in norms
        )
        words = f"Largest singular value of each gate's block of W_hh: {listed}."
        columns = {gate: [row[k] for row in norms] for k, gate in enumerate(gates)}
        first = Finding("spectrum", "blocks of gates", words, max(map(max, norms)),
                        evidence=series(layer=numbers, **columns), **_ALONE)  # fmt: skip
        needs = "a map from states to states; blocks of gates are none"
        return [first, unknown("non_normality", needs)]
    found = [matrix_spectrum(layer) for layer in case.network.layers]
    radii = [float(layer.spectral_radius[0]) for layer in found]
    norms_1 = [float(layer.spectral_norm[0]) for layer in found]
    henrici = [float(layer.henrici_relative[0]) for layer in found]
    by_layer = series(layer=numbers, spectral_radius=radii, spectral_norm=norms_1, henrici=henrici)
    values = np.concatenate([each.eigenvalues[0] for each in found])
    layers = np.repeat(numbers, case.network.n_hidden)
    plane = series(eigenvalue=range(values.size), layer=layers, real=values.real, imag=values.imag)
    return [_radius(radii, norms_1, plane), _departure(henrici, by_layer)]


def _radius(radii: list[float], norms: list[float], evidence: Any) -> Finding:
    radius, norm = max(radii), max(norms)
    says = "on the circle" if math.isclose(radius, 1.0, rel_tol=1e-6) else (
        "outside the circle" if radius > 1 else "inside the circle"
    )  # fmt: skip
    words = (
        f"The largest eigenvalue of W_hh has modulus {short(radius)}, its largest singular value "
        f"is {short(norm)}: what one step of a linear network does at most in the long run, and "
        "at once."
    )
    return Finding("spectrum", says, words, radius, threshold=1.0, source=DEFINITION,
                   evidence=evidence, **_ALONE)  # fmt: skip


def _departure(henrici: list[float], evidence: Any) -> Finding:
    known = [x for x in henrici if not math.isnan(x)]
    if not known:
        return unknown("non_normality", "a W_hh that is not exactly 0")
    share = max(known)
    says = "non-normal" if share > _NORMAL else "nearly normal"
    effect = {
        "non-normal": "gradients may grow over some lags before they decay",
        "nearly normal": "eigenvalues tell what single steps do",
    }[says]
    words = f"The departure of W_hh from normality is {short(share)} of its norm: {effect}."
    return Finding("non_normality", says, words, share, threshold=_NORMAL, source=OURS,
                   evidence=evidence, **_ALONE)  # fmt: skip
