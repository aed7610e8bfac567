"""Moments of the gradient in every window and at every lag, as the parts of lags come in."""

import numpy as np
import numpy.typing as npt

from rnnsim.flow.windows.moments import scatter, squared_mean
from rnnsim.flow.windows.results import WindowBiasVariance

Floats = npt.NDArray[np.float64]

# Rounding of a gradient in units of epsilon, times the root of its sum of squared terms and times
# its own norm, as in flow/results.py.
_RANDOM_ROUNDING = 64.0
_COMMON_ROUNDING = 1024.0


class Moments:
    """Of N networks, W windows, T lags and M batches, all relative to ||mean of g||^2.

    ``bias2``, ``variance``: (N, W) of these batches; ``*_estimate`` (N, W), ``*_influence``
    (N, W, M); ``lag_signal``, ``lag_noise`` (N, T), estimates; ``log_norm``, ``floor`` (N,).
    """

    def __init__(self, N: int, T: int, M: int, windows: npt.NDArray[np.int64], eps: float) -> None:
        W = windows.size
        self.windows, self._eps = windows, eps
        self.bias2, self.bias2_estimate, self.bias2_influence = _empty(N, W, M)
        self.variance, self.variance_estimate, self.variance_influence = _empty(N, W, M)
        self.lag_signal, self.lag_noise = np.full((2, N, T), np.nan)
        self.log_norm, self.floor = np.full((2, N), np.nan)

    def start(self, n: int, full: Floats, exponents: npt.NDArray[np.int64]) -> int:
        """Take the full gradients; their mean has a norm between 1/2 and 1 in the unit."""
        peaks = np.frexp(np.abs(full).max(axis=1))[1] + exponents
        nonzero = (full != 0).any(axis=1)
        unit = int(peaks[nonzero].max()) if nonzero.any() else 0
        full = np.ldexp(full, _within(exponents - unit)[:, None])
        norm = float(np.linalg.norm(full.mean(axis=0)))
        shift = int(np.frexp(norm)[1])
        self._full, self._window = np.ldexp(full, -shift), np.zeros_like(full)
        self._square = np.ldexp(norm, -shift) ** 2 if 0.0 < norm < np.inf else np.nan
        self.log_norm[n] = np.log(norm) + unit * np.log(2.0)
        return unit + shift

    def add(self, n: int, k: int, parts: Floats, last: bool) -> None:
        """Take the parts of lag k; behind the last, nothing is cut off."""
        self.lag_signal[n, k] = squared_mean(parts).estimate / self._square
        self.lag_noise[n, k] = scatter(parts).estimate / self._square
        self._window += parts
        w = int(np.searchsorted(self.windows, k + 1))
        if w == self.windows.size or self.windows[w] != k + 1:
            return
        cut = self._full - self._window
        bias2 = squared_mean(np.zeros_like(cut) if last else cut)
        variance = scatter(self._window)
        for name, moment in (("bias2", bias2), ("variance", variance)):
            getattr(self, name)[n, w] = moment.own / self._square
            getattr(self, f"{name}_estimate")[n, w] = moment.estimate / self._square
            getattr(self, f"{name}_influence")[n, w] = moment.influence / self._square

    def close(self, n: int, terms: Floats) -> None:
        """Take what bounds the rounding of each batch."""
        sizes = _RANDOM_ROUNDING * terms + _COMMON_ROUNDING * np.linalg.norm(self._full, axis=1)
        self.floor[n] = (self._eps * sizes.mean()) ** 2 / self._square

    def result(self, batch_size: int, first: npt.NDArray[np.int64]) -> WindowBiasVariance:
        """All of it, and the first step that is not finite."""
        known = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return WindowBiasVariance(batch_size=batch_size, first_nonfinite=first, **known)


class Groups:
    """Moments of groups of the batches, each in the unit of its own mean gradient."""

    def __init__(self, rows: list[slice], moments: list[Moments]) -> None:
        self._groups = list(zip(rows, moments, strict=True))

    def start(self, n: int, full: Floats, exponents: npt.NDArray[np.int64]) -> int:
        """Take the full gradients; the unit is that of the first group."""
        units = [each.start(n, full[rows], exponents[rows]) for rows, each in self._groups]
        self._shifts = _within(np.array(units[0] - np.array(units)))
        return units[0]

    def add(self, n: int, k: int, parts: Floats, last: bool) -> None:
        """Take the parts of lag k."""
        for (rows, each), shift in zip(self._groups, self._shifts, strict=True):
            each.add(n, k, np.ldexp(parts[rows], shift) if shift else parts[rows], last)

    def close(self, n: int, terms: Floats) -> None:
        """Take what bounds the rounding of each batch."""
        for (rows, each), shift in zip(self._groups, self._shifts, strict=True):
            each.close(n, np.ldexp(terms[rows], shift))


def _empty(N: int, W: int, M: int) -> tuple[Floats, Floats, Floats]:
    return np.full((N, W), np.nan), np.full((N, W), np.nan), np.full((N, W, M), np.nan)


def _within(exponents: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    return np.clip(exponents, -3000, 3000).astype(np.int32)
