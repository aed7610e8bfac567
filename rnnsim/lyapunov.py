"""Lyapunov exponents of driven networks, and of any product of Jacobians."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks, parallel
from rnnsim.checks import FloatArray
from rnnsim.kernels.lyapunov import (
    LyapunovArrays,
    begin_frame,
    begin_lyapunov,
    close_block,
    lyapunov_arrays,
    lyapunov_steps,
    lyapunov_work,
    product_steps,
)
from rnnsim.network import ACTIVATIONS, RNN
from rnnsim.sequences import checked_inputs, initial_states

_LEAST_BLOCKS = 20


@dataclass(frozen=True, eq=False)
class LyapunovSpectrum:
    """What `lyapunov_spectrum` returns; N networks, B sequences, M blocks of steps, k exponents.

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
        positive sum, NaN where the first k < H have.
    entropy_rate : (N,)
        Sum of the positive exponents, nats per step: Pesin's bound on the Kolmogorov-Sinai entropy.
    entropy_is_lower_bound : (N,) bool
        Whether all k < H exponents are positive, so that the sum may lack some.
    lost : (N, k)
        Warning: fraction of the orthonormalisations, more than one step apart, between which a
        vector had shrunk beside the longest by more than the root of the precision (1.5e-8, float32
        3.5e-4). Such exponents come out too large; orthonormalise more often.
    first_nonfinite : (N,) int64
        First step with a state that is not finite in any sequence, -1 if none. Blocks that ended
        before count.
    """

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


def lyapunov_spectrum(
    rnn: RNN,
    inputs: npt.ArrayLike | None = None,
    *,
    n_steps: int | None = None,
    n_exponents: int | None = None,
    burn_in: int | None = None,
    block_steps: int | None = None,
    reorthonormalise_every: int = 1,
    h0: npt.ArrayLike | None = None,
    rng: int | np.random.Generator | None = None,
    n_threads: int | None = None,
) -> LyapunovSpectrum:
    """Lyapunov exponents of h_t = phi(W_hh h_{t-1} + W_xh x_t + b_h) along its trajectories.

    ::

        J_t       = dh_t/dh_{t-1} = diag(phi'(a_t)) W_hh
        J_t Q_t-1 = Q_t R_t                   QR, Q_t (H, k) orthonormal
        lambda_i  = mean over t of ln |(R_t)_ii|      nats per step

    The algorithm of Benettin et al. (1980) and Shimada and Nagashima (1979) with Householder's QR;
    in the driven case the exponents are those of the network given its input, the conditional
    exponents. phi' comes from the pre-activation, and rows are sorted by size before QR, so units
    that saturate cost no precision. All of it runs in the networks' dtype, sums in float64.

    Parameters
    ----------
    rnn : RNN
        N networks.
    inputs : (T, B, D) or (N, T, B, D) array, optional
        Input sequences; each of the B gives exponents of its own. Without, the input is 0.
    n_steps : int, optional
        Steps in all, burn-in included; T unless given. Required without inputs.
    n_exponents : int, optional
        k, how many of the H exponents, largest first; all unless given.
    burn_in : int, optional
        Steps before measuring begins, in which states reach the attractor and the frame its
        directions; a tenth of all steps unless given. Steps that fill no block are added to it.
    block_steps : int, optional
        Steps of a block for `finite_time` and the standard error; unless given, as long as 20
        blocks allow. A multiple of `reorthonormalise_every`.
    reorthonormalise_every : int
        Steps between QR decompositions. More than 1 is faster; see `lost`.
    h0 : (B, H) or (N, B, H) array, optional
        Initial states: 0 unless given; without inputs and h0 one state is drawn from N(0, 1), the
        same for all networks.
    rng : int or numpy.random.Generator, optional
        For that state, where it is required, and for the vectors that span the first frame (seed 0
        unless given), which matter during the burn-in only.
    n_threads : int, optional
        All cores unless given; it does not change the result.

    Raises
    ------
    TypeError, ValueError
        As in `forward`; `n_exponents` outside 1..H; fewer than 20 blocks after the burn-in; more
        steps than there are inputs; no steps or no initial state without inputs.

    Examples
    --------
    >>> rnn = RNN.sample(2, n_inputs=1, n_hidden=16, n_outputs=1, gain=[0.5, 0.9], rng=0)
    >>> spectrum = lyapunov_spectrum(rnn, n_steps=500, burn_in=100, rng=0)
    >>> radii = np.abs(np.linalg.eigvals(rnn.W_hh)).max(axis=1)
    >>> bool(np.allclose(spectrum.exponents[:, 0], np.log(radii), atol=0.01))   # at rest
    True
    """
    if not isinstance(rnn, RNN):
        raise TypeError(f"`rnn` must be a rnnsim.RNN, got {type(rnn).__name__}")
    N, H = len(rnn), rnn.n_hidden
    k = _exponents(n_exponents, H)
    generator = None if rng is None else checks.generator(rng)
    x, start_states = _driven(rnn, inputs, h0, generator)
    blocks = _blocks(
        _steps(n_steps, None if inputs is None else x.shape[1]),
        burn_in,
        block_steps,
        reorthonormalise_every,
    )
    B = x.shape[2]
    out = lyapunov_arrays(N, B, blocks.count, k)
    vectors = _vectors(H, k, rnn.dtype, generator)
    weights, phi = rnn.weights, ACTIVATIONS[rnn.activation]
    flops = _flops_per_step(H, k)
    chunk = blocks.chunk(flops)

    def prepare() -> parallel.Worker:
        work = lyapunov_work(H, rnn.n_inputs, k, rnn.W_hh)

        def worker(start: int, stop: int) -> Iterator[None]:
            for n in range(start, stop):
                for b in range(B):
                    begin_lyapunov(weights, start_states, vectors, n, b, work)
                    for m, first, last in blocks.pieces(chunk):
                        lyapunov_steps(weights, x, phi, n, b, first, last, blocks.every, work, out)
                        if last == blocks.end(m):
                            close_block(n, b, m, work, out)
                        yield

        return worker

    parallel.over_networks(N, n_threads, prepare, flops=flops * blocks.end(blocks.count - 1) * B)
    return _summary(out, blocks, H)


def product_exponents(
    jacobians: npt.ArrayLike,
    *,
    n_exponents: int | None = None,
    burn_in: int | None = None,
    block_steps: int | None = None,
    reorthonormalise_every: int = 1,
    rng: int | np.random.Generator | None = None,
) -> LyapunovSpectrum:
    """Lyapunov exponents of a product J_T ... J_2 J_1 of any square matrices.

    ::

        J_t Q_t-1 = Q_t R_t,    lambda_i = mean over t of ln |(R_t)_ii|      nats per step

    The algorithm of `lyapunov_spectrum`, as for one network and one sequence (N = B = 1).

    Parameters
    ----------
    jacobians : (T, H, H) array
        float32 or float64; ``jacobians[t]`` acts after ``jacobians[t-1]``.
    n_exponents, burn_in, block_steps, reorthonormalise_every, rng
        As in `lyapunov_spectrum`; `rng` draws the vectors that span the first frame.

    Raises
    ------
    TypeError, ValueError
        Another shape or dtype; NaN or infinity, with the step where; else as in
        `lyapunov_spectrum`.

    Examples
    --------
    >>> steps = np.broadcast_to(np.diag([2.0, 0.5]), (200, 2, 2))
    >>> product_exponents(steps, burn_in=100).exponents.round(4)      # ln 2 and -ln 2
    array([[ 0.6931, -0.6931]])
    """
    matrices = checks.float_array("jacobians", jacobians, shape="(n_steps, n_hidden, n_hidden)")
    if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2] or 0 in matrices.shape:
        raise ValueError(
            f"`jacobians` must be (n_steps, n_hidden, n_hidden), got shape {matrices.shape}"
        )
    bad = ~np.isfinite(matrices).all(axis=(1, 2))
    if bad.any():
        raise ValueError(
            f"`jacobians` must be finite, got NaN or infinity first at step index "
            f"{int(bad.argmax())} ({int(bad.sum())} such steps); end the product before it"
        )
    T, H, _ = matrices.shape
    k = _exponents(n_exponents, H)
    blocks = _blocks(T, burn_in, block_steps, reorthonormalise_every)
    out = lyapunov_arrays(1, 1, blocks.count, k)
    generator = None if rng is None else checks.generator(rng)
    vectors = _vectors(H, k, matrices.dtype, generator)
    chunk = blocks.chunk(_flops_per_step(H, k))

    def prepare() -> parallel.Worker:
        work = lyapunov_work(H, 0, k, matrices)

        def worker(start: int, stop: int) -> Iterator[None]:
            begin_frame(vectors, work)
            for m, first, last in blocks.pieces(chunk):
                product_steps(matrices, first, last, blocks.every, work, out)
                if last == blocks.end(m):
                    close_block(0, 0, m, work, out)
                yield

        return worker

    parallel.over_networks(1, 1, prepare, flops=1.0)
    return _summary(out, blocks, H)


class _Blocks(NamedTuple):
    """Step ranges: a burn-in (block -1), then `count` blocks of `steps` each."""

    burn_in: int
    steps: int
    count: int
    every: int

    def end(self, m: int) -> int:
        """The last step of block m."""
        return self.burn_in + (m + 1) * self.steps

    def chunk(self, flops_per_step: float) -> int:
        """Steps of one compiled call."""
        return max(1, int(parallel.FLOPS_PER_CALL / flops_per_step / self.every)) * self.every

    def pieces(self, chunk: int) -> Iterator[tuple[int, int, int]]:
        """(block, first, last): the calls, in order, none across the end of a block."""
        for m in range(-1, self.count):
            begin = self.end(m - 1) if m >= 0 else 0
            for first in range(begin, self.end(m), chunk):
                yield m, first, min(first + chunk, self.end(m))


def _exponents(n_exponents: Any, H: int) -> int:
    if n_exponents is None:
        return H
    k = checks.whole_number("n_exponents", n_exponents, least=1)
    if k > H:
        raise ValueError(f"`n_exponents` must be at most n_hidden = {H}, got {k}")
    return k


def _steps(n_steps: Any, available: int | None) -> int:
    if n_steps is None:
        if available is None:
            raise ValueError("`n_steps` must be given where there are no `inputs`, such as 2000")
        return available
    steps = checks.whole_number("n_steps", n_steps, least=1)
    if available is not None and steps > available:
        raise ValueError(
            f"`n_steps` must be at most the {available} steps of `inputs`, got {steps}"
        )
    return steps


def _driven(
    rnn: RNN, inputs: Any, h0: Any, generator: np.random.Generator | None
) -> tuple[FloatArray, FloatArray]:
    """Inputs (1 or N, T or 1, B, D) and states (1 or N, B, H); a single step is repeated."""
    if inputs is not None:
        x = checked_inputs(rnn, inputs)
        return x, initial_states(rnn, h0, x.shape[2])
    if h0 is None:
        if generator is None:
            raise ValueError(
                "`rng` or `h0` must be given where there are no `inputs`: at h_0 = 0 a network "
                "may rest for ever"
            )
        h0 = generator.standard_normal((1, rnn.n_hidden)).astype(rnn.dtype)
    B = np.shape(h0)[-2] if np.ndim(h0) > 1 else 1
    return np.zeros((1, 1, B, rnn.n_inputs), rnn.dtype), initial_states(rnn, h0, B)


def _vectors(
    H: int, k: int, dtype: np.dtype[Any], generator: np.random.Generator | None
) -> FloatArray:
    """What spans the first frame: the same leading vectors whatever k is."""
    draw = (generator or np.random.default_rng(0)).standard_normal((H, H)).astype(dtype)
    return np.ascontiguousarray(draw[:k].T)


def _blocks(steps: int, burn_in: Any, block_steps: Any, every: Any) -> _Blocks:
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
    return _Blocks(steps - count * length, length, count, m)


def _flops_per_step(H: int, k: int) -> float:
    """One matrix product and one QR with its Q."""
    return 2.0 * H * H * (k + 1) + 4.0 * H * k * k


def _summary(out: LyapunovArrays, blocks: _Blocks, H: int) -> LyapunovSpectrum:
    finite_time = out.block_sums / blocks.steps
    N, B, M, k = finite_time.shape
    with np.errstate(invalid="ignore"):
        order = np.argsort(-_mean(finite_time.reshape(N, B * M, k), 1), axis=1, kind="stable")
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
    orthonormalisations = blocks.end(blocks.count - 1) / blocks.every
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
        np.array([_kaplan_yorke(row, H) for row in exponents]),
        np.where(unknown, np.nan, positive),
        (exponents > 0).all(axis=1) & (k < H),
        lost / orthonormalisations,
        np.where(first == never, -1, first),
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


def _kaplan_yorke(exponents: FloatArray, H: int) -> float:
    sums = np.cumsum(exponents)
    if np.isnan(sums[0]):
        return float("nan")
    if sums[0] < 0:
        return 0.0
    j = int((sums >= 0).sum())  # sums rise, then fall
    if j == exponents.size:
        return float(H) if j == H else float("nan")
    return j + float(sums[j - 1] / -exponents[j])
