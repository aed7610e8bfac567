"""Bias and variance of windows, and what follows from them for batches of any size."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.labels import flow as labels
from rnnsim.data.labels.results import Result
from rnnsim.flow.growth import error_of_mean

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class WindowBiasVariance(Result):
    """What `window_bias_variance` returns, of N networks, W windows and M batches.

    All squares are relative to ||mean g||^2, g the full gradient; where that is exactly 0, or not
    finite, they are NaN. Batches have B' sequences.

    Attributes
    ----------
    windows : (W,) int64
        K.
    batch_size : int
        B'.
    log_norm : (N,)
        ln ||mean g||.
    bias2, variance : (N, W)
        ||mean g_K - mean g||^2 and mean ||g_K - mean g_K||^2 over these batches, whose sum is
        mean ||g_K - mean g||^2. The variance of one batch is NaN.
    bias2_estimate, variance_estimate : (N, W)
        Of the distribution, without bias in the unit ||mean g||^2; the first may be negative.
    bias2_influence, variance_influence : (N, W, M)
        What each batch does to the estimates: estimate + influence are the pseudovalues of the
        jackknife. NaN of two batches.
    floor : (N,)
        The square of the rounding in ||mean g_K - mean g||: what it may leave of a bias^2 that is
        0. Exactly 0 is it from the window on that reaches step 1 from every loss.
    lag_signal, lag_noise : (N, K)
        Estimates of ||E G_k||^2 and of tr Cov G_k in a batch of B', k = 0..K-1; K = T unless
        `max_lag` was given.
    first_nonfinite : (N,) int64
        The first step that is not finite in one of the batches; -1 where everything is.
    """

    _labels = labels.WINDOW_BIAS_VARIANCE

    windows: npt.NDArray[np.int64]
    batch_size: int
    log_norm: Floats
    bias2: Floats
    variance: Floats
    bias2_estimate: Floats
    variance_estimate: Floats
    bias2_influence: Floats
    variance_influence: Floats
    floor: Floats
    lag_signal: Floats
    lag_noise: Floats
    first_nonfinite: npt.NDArray[np.int64]

    @property
    def n_batches(self) -> int:
        """M."""
        return int(self.bias2_influence.shape[2])

    @property
    def bias2_error(self) -> Floats:
        """Half of what must be added to `bias2_estimate` to either side to cover 95 %, (N, W).

        As for any mean, this holds where gradients of batches are about normal. Measured for one
        linear unit, the case of the fewest degrees of freedom: .85 to .98 of 5 to 40 batches of 16
        and of 64 sequences, .80 to .87 of 20 batches of 2; of the variance .90 to .94, .80 to .85.
        """
        return _error(self.bias2_influence)

    @property
    def variance_log_error(self) -> Floats:
        """The same of ln `variance_estimate`, whose logs scatter more evenly: a factor."""
        most = max(self.n_batches - 1, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            without = self.variance_estimate[..., None] - self.variance_influence / most
            return _error(most * np.log(without))

    def mean_square_error(self, batch_size: int) -> Floats:
        """bias^2 + variance B'/B of a mean over B sequences, estimated; a bias^2 below 0 as 0.

        Parameters
        ----------
        batch_size : int
            B, of sequences as independent of each other as those within the batches were.

        Returns
        -------
        (N, W) float64

        Raises
        ------
        TypeError, ValueError
            A batch_size that is not a whole number of at least 1.
        """
        return self._error_of(self._share(batch_size))

    def best_window(self, batch_size: int) -> Floats:
        """The window (N,) with the least `mean_square_error`, the shortest of equals; NaN if none.

        Parameters and errors as of `mean_square_error`.
        """
        best, known = _least(self.mean_square_error(batch_size))
        return np.where(known, self.windows[best].astype(float), np.nan)

    def as_good_windows(self, batch_size: int) -> Floats:
        """The shortest and the longest window (N, 2) that are not known to be worse than the best.

        Their bias^2 + variance B'/B is above that of the best window by no more than two errors of
        the difference, which is estimated from the same batches. NaN of fewer than three batches.
        Parameters and errors as of `mean_square_error`.
        """
        scale = self._share(batch_size)
        best, known = _least(self._error_of(scale))
        values = self.bias2_estimate + scale * self.variance_estimate
        influence = self.bias2_influence + scale * self.variance_influence
        rows = np.arange(len(values))
        excess = values - values[rows, best][:, None]
        error = _error(influence - influence[rows, best][:, None])
        good = excess <= 2 * error
        ends = [good.argmax(axis=1), self.windows.size - 1 - good[:, ::-1].argmax(axis=1)]
        found = self.windows[np.array(ends).T].astype(float)
        return np.where((known & good.any(axis=1))[:, None], found, np.nan)

    def best_split(self, budget: int) -> tuple[Floats, Floats]:
        """The window and the number of sequences that a budget is spent on best, both (N,).

        A sweep of window K goes K steps back from every step of loss: with B sequences that is
        B K steps for each, no more than the budget. Of each window the largest such B is taken.

        Parameters
        ----------
        budget : int
            B K, no less than the shortest of the windows.

        Raises
        ------
        TypeError, ValueError
            A budget that is not a whole number, or below the shortest window.
        """
        least, budget = int(self.windows[0]), checks.whole_number("budget", budget, least=1)
        if budget < least:
            raise ValueError(
                f"`budget` must be at least {least}, the shortest of the windows, with one "
                f"sequence, got {budget}; give more, or ask for shorter `windows`"
            )
        sizes = budget // self.windows
        with np.errstate(divide="ignore"):
            errors = self._error_of(self.batch_size / sizes)
        errors[:, sizes == 0] = np.nan
        best, known = _least(errors)
        found = (self.windows[best].astype(float), sizes[best].astype(float))
        return np.where(known, found[0], np.nan), np.where(known, found[1], np.nan)

    def horizon(self, batch_size: int) -> Floats:
        """The largest lag k (N,) with ``||E G_k||^2 > tr Cov(G_k) B'/B``; -1 if there is none.

        Of the lags that were measured. NaN where it is not known: where B is more than a quarter of
        all sequences of all batches together, whose own noise could pass for a gradient then, of
        one batch, and where all is 0.
        Parameters and errors as of `mean_square_error`.
        """
        scale = self._share(batch_size)
        above = self.lag_signal > scale * self.lag_noise
        last = self.lag_signal.shape[1] - 1 - above[:, ::-1].argmax(axis=1)
        found = np.where(above.any(axis=1), last, -1).astype(float)
        known = np.isfinite(self.lag_signal).any(axis=1) & (scale * self.n_batches >= 4)
        return np.where(known, found, np.nan)

    def _share(self, batch_size: int) -> float:
        """B'/B."""
        return self.batch_size / checks.whole_number("batch_size", batch_size, least=1)

    def _error_of(self, scale: Floats | float) -> Floats:
        return np.maximum(self.bias2_estimate, 0.0) + scale * self.variance_estimate


def _least(errors: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Where the least is in each row, and whether anything there is known."""
    known = ~np.isnan(errors)
    least = np.asarray(np.where(known, errors, np.inf).argmin(axis=1))
    return least, np.asarray(known.any(axis=1))


def _error(influence: Floats) -> Floats:
    N, W, M = influence.shape
    rows = influence.reshape(N * W, M)
    return error_of_mean(rows, np.isfinite(rows)).reshape(N, W)
