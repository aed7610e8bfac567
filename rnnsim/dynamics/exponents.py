"""Exponents from block sums of ln |R_ii|: means, errors, dimension and entropy rate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks, parallel
from rnnsim.checks import FloatArray
from rnnsim.data.labels import dynamics as labels
from rnnsim.data.labels.results import Labels, Result
from rnnsim.dynamics.dimension import kaplan_yorke
from rnnsim.kernels.dynamics.lyapunov import LyapunovArrays

_LEAST_BLOCKS = 20
_ROUNDING = 64.0  # what one step may add to a sum of ln |R_ii|, in units of epsilon


@dataclass(frozen=True, eq=False, repr=False)
class LyapunovSpectrum(Result):
    """What `lyapunov_spectrum` returns; N networks, B sequences, M blocks of steps, k exponents.

    H is the number of exponents that there are: of LSTMs twice that of hidden units, of stacks that
    of all layers.

    Exponents are in nats per step, float64, and in descending order of `exponents`.

    Attributes
    ----------
    exponents : (N, k)
        Means over all measured steps and sequences. -inf where a Jacobian is singular, as with
        silent relu units; NaN where a network left the range before its first block ended.
    standard_error : (N, k)
        Of the exponents, from the scatter of the block means of all sequences, or of the sequences'
        own exponents where that is larger: it does not know correlations longer than a block.
    per_sequence : (N, B, k)
        The exponents along each sequence.
    spread : (N, k)
        Their standard deviation over sequences; NaN for one sequence.
    finite_time : (N, B, M, k)
        Means over blocks of `block_steps` steps, in the order of time; NaN from where a trajectory
        left the range.
    block_steps, burn_in : int
        Steps of a block, and steps before the first one.
    kaplan_yorke : (N,)
        Kaplan-Yorke dimension ``j + (lambda_1 + ... + lambda_j) / |lambda_{j+1}|``, j the largest
        number of exponents whose sum is not negative; 0 where lambda_1 < 0, H where all H have a
        positive sum, NaN where the first k < H have. Where lambda_1 lies within two standard errors
        of 0, the number of exponents that do: 1 along a cycle. It is that of an attractor, of
        driven networks given the input; an unstable linear network has none, NaN, and relu
        networks only where their states stay bounded.
    entropy_rate : (N,)
        Sum of the positive exponents, nats per step: by Ruelle's inequality the Kolmogorov-Sinai
        entropy is at most that.
    entropy_is_lower_bound : (N,) bool
        Whether all k < H exponents are positive, so that the sum may lack some.
    lost : (N, k)
        Warning: fraction of the orthonormalisations, more than one step apart, between which a
        vector had shrunk beside the longest by more than the root of the precision (1.5e-8, float32
        3.5e-4). Such exponents come out too large; orthonormalise more often. Of gated cells also
        over one step, there by more than 64 times the precision: no more can be resolved.
    first_nonfinite : (N,) int64
        First step with a state that is not finite in any sequence, -1 if none. Blocks that ended
        before count.
    kaplan_yorke_interval : (N, 2)
        The dimension if all exponents were two standard errors lower, and higher. It begins at 0
        where lambda_1 may be below 0.
    """

    _labels = labels.LYAPUNOV

    exponents: FloatArray
    standard_error: FloatArray
    per_sequence: FloatArray
    spread: FloatArray
    finite_time: FloatArray
    block_steps: int
    burn_in: int
    kaplan_yorke: FloatArray
    entropy_rate: FloatArray
    entropy_is_lower_bound: npt.NDArray[np.bool_]
    lost: FloatArray
    first_nonfinite: npt.NDArray[np.int64]
    kaplan_yorke_interval: FloatArray
    of_layers: tuple["LyapunovSpectrum", ...] = ()

    @property
    def layers(self) -> tuple["LyapunovSpectrum", ...]:
        """Of stacks the spectrum of each layer, driven by the one below, the lowest first.

        Of single networks this one alone. All of them together are the spectrum of the stack.
        """
        return self.of_layers or (self,)

    def _labelling(self) -> Labels:
        return labels.STACK_LYAPUNOV if self.of_layers else labels.LYAPUNOV

    @property
    def resolved(self) -> npt.NDArray[np.bool_]:
        """Which exponents are known (N, k): nothing of theirs was `lost`, and -inf is an exact 0.

        The others are what rounding left, -inf included: the true ones lie below the resolved ones.
        """
        return np.asarray(self.lost == 0)

    def running(self) -> tuple[FloatArray, FloatArray]:
        """Estimates from the first m blocks alone, m = 1..M: do the exponents settle?

        ::

            mean[m]  = mean over blocks 1..m and sequences of finite_time
            error[m] = their standard deviation / sqrt(m B)

        Returns
        -------
        mean, error : (N, M, k)
            In nats per step; the last mean is `exponents`. As `standard_error`, the error does not
            know correlations longer than a block; NaN for a single value. Both are NaN from where a
            trajectory left the range.
        """
        values = self.finite_time
        N, B, M, k = values.shape
        mean, error = np.empty((N, M, k)), np.empty((N, M, k))
        with np.errstate(invalid="ignore"):
            for m in range(1, M + 1):
                pooled = values[:, :, :m].reshape(N, B * m, k)
                mean[:, m - 1] = pooled.mean(axis=1)
                error[:, m - 1] = _deviation(pooled, 1) / np.sqrt(B * m)
        return mean, np.where(np.isnan(mean), np.nan, error)


class Blocks(NamedTuple):
    """Step ranges: a burn-in (block -1), then `number` blocks of `steps` each."""

    burn_in: int
    steps: int
    number: int
    every: int

    def end(self, m: int) -> int:
        """The last step of block m."""
        return self.burn_in + (m + 1) * self.steps

    def chunk(self, flops_per_step: float) -> int:
        """Steps of one compiled call."""
        return max(1, int(parallel.FLOPS_PER_CALL / flops_per_step / self.every)) * self.every

    def pieces(self, chunk: int) -> Iterator[tuple[int, int, int]]:
        """(block, first, last): the calls, in order, none across the end of a block."""
        for m in range(-1, self.number):
            begin = self.end(m - 1) if m >= 0 else 0
            for first in range(begin, self.end(m), chunk):
                yield m, first, min(first + chunk, self.end(m))


def blocks_of(steps: int, burn_in: Any, block_steps: Any, every: Any) -> Blocks:
    """Blocks as asked for; steps that fill none are added to the burn-in."""
    m = checks.whole_number("reorthonormalise_every", every, least=1)
    burn = steps // 10 if burn_in is None else checks.whole_number("burn_in", burn_in, least=0)
    measured = steps - burn
    if block_steps is None:
        length = measured // _LEAST_BLOCKS // m * m
    else:
        length = checks.whole_number("block_steps", block_steps, least=1)
        if length % m:
            raise ValueError(
                f"`block_steps` must be a multiple of `reorthonormalise_every` = {m}, got {length}"
            )
    if length < 1 or measured < _LEAST_BLOCKS * length:
        least = burn + _LEAST_BLOCKS * max(length, m)
        raise ValueError(
            f"`n_steps` must be at least {least}, a burn-in of {burn} steps and {_LEAST_BLOCKS} "
            f"blocks of {max(length, m)}, got {steps}; take more steps or a shorter burn-in"
        )
    count = measured // length
    return Blocks(steps - count * length, length, count, m)


def joined(layers: Sequence[LyapunovArrays]) -> LyapunovArrays:
    """Sums of all layers as of one network, which left the range where any did."""
    sums, lost, first_nonfinite = zip(*layers, strict=True)
    return LyapunovArrays(np.concatenate(sums, -1), np.concatenate(lost, -1), first_nonfinite[0])


def summary(
    out: LyapunovArrays,
    blocks: Blocks,
    H: int,
    epsilon: float,
    *,
    bounded: bool = True,
    n_exponents: int | None = None,
) -> LyapunovSpectrum:
    """The largest exponents, all that `out` has unless given, of networks that have H.

    epsilon: of their dtype; `bounded` as in kaplan_yorke.
    """
    finite_time = out.block_sums / blocks.steps
    N, B, M, k = finite_time.shape
    with np.errstate(invalid="ignore"):
        order = np.argsort(-_mean(finite_time.reshape(N, B * M, k), 1), axis=1, kind="stable")
        order = order[:, :n_exponents]
        k = order.shape[1]
        finite_time = np.take_along_axis(finite_time, order[:, None, None, :], axis=3)
        lost = np.take_along_axis(out.lost.mean(axis=1), order, axis=1)
        per_sequence = _mean(finite_time, 2)
        pooled = finite_time.reshape(N, B * M, k)
        exponents = _mean(pooled, 1)
        spread = _deviation(per_sequence, 1)
        error = _deviation(pooled, 1) / np.sqrt(np.maximum(np.isfinite(pooled).sum(axis=1), 1))
        error = np.fmax(error, spread / np.sqrt(B))
        positive = np.where(exponents > 0, exponents, 0.0).sum(axis=1)
    unknown = np.isnan(exponents).any(axis=1)
    orthonormalisations = blocks.end(blocks.number - 1) / blocks.every
    dimension, interval = kaplan_yorke(exponents, error, H, _ROUNDING * epsilon, bounded=bounded)
    never = np.int64(2**62)
    first = np.where(out.first_nonfinite < 0, never, out.first_nonfinite).min(axis=1)
    return LyapunovSpectrum(
        exponents,
        error,
        per_sequence,
        spread,
        finite_time,
        blocks.steps,
        blocks.burn_in,
        dimension,
        np.where(unknown, np.nan, positive),
        (exponents > 0).all(axis=1) & (k < H),
        lost / orthonormalisations,
        np.where(first == never, -1, first),
        interval,
    )


def _mean(values: FloatArray, axis: int) -> FloatArray:
    """The mean of what is known, NaN where nothing is."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=axis)
    count = known.sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _deviation(values: FloatArray, axis: int) -> FloatArray:
    """The standard deviation (n - 1) of what is known, NaN below two values."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    apart = np.where(known, values - np.expand_dims(_mean(values, axis), axis), 0.0)
    square = (apart**2).sum(axis=axis) / np.maximum(count - 1, 1)
    return np.asarray(np.where(count > 1, np.sqrt(square), np.nan))
