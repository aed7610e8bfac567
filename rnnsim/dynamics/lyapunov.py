"""Lyapunov exponents of driven networks, and of any product of Jacobians."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks, parallel
from rnnsim.checks import FloatArray
from rnnsim.data.labels.results import described
from rnnsim.dynamics.exponents import LyapunovSpectrum, blocks_of, joined, summary
from rnnsim.kernels.arithmetic.jit import layer_of
from rnnsim.kernels.dynamics.lyapunov import (
    begin_frame,
    begin_lyapunov,
    close_block,
    lyapunov_arrays,
    lyapunov_steps,
    lyapunov_work,
    product_steps,
)
from rnnsim.kernels.stacks.dynamics import (
    begin_stack_lyapunov,
    close_stack_block,
    stack_lyapunov_arrays,
    stack_lyapunov_steps,
    stack_lyapunov_work,
)
from rnnsim.kernels.stacks.layers import layered
from rnnsim.networks.binding import checked_inputs
from rnnsim.networks.rnn import originals
from rnnsim.networks.stack import Network, check_network
from rnnsim.networks.states import alone, cell_of, initial_states, state_shape, state_size


def lyapunov_spectrum(
    rnn: Network,
    inputs: npt.ArrayLike | None = None,
    *,
    n_steps: int | None = None,
    n_exponents: int | None = None,
    burn_in: int | None = None,
    block_steps: int | None = None,
    reorthonormalise_every: int = 1,
    h0: npt.ArrayLike | None = None,
    c0: npt.ArrayLike | None = None,
    rng: int | np.random.Generator | None = None,
    n_threads: int | None = None,
) -> LyapunovSpectrum:
    """Lyapunov exponents of h_t = phi(W_hh h_{t-1} + W_xh x_t + b_h) along its trajectories.

    ::

        J_t       = dh_t/dh_{t-1} = diag(phi'(a_t)) W_hh        LSTMs and GRUs as in `jacobians`
        J_t Q_t-1 = Q_t R_t                   QR, Q_t (H, k) orthonormal
        lambda_i  = mean over t of ln |(R_t)_ii|      nats per step

    The algorithm of Benettin et al. (1980) and Shimada and Nagashima (1979) with Householder's QR;
    in the driven case the exponents are those of the network given its input, the conditional
    exponents. phi' comes from the pre-activation, and rows are sorted by size before QR, so units
    that saturate cost no precision. All of it runs in the networks' dtype, sums in float64.

    A stack has S exponents for each of its layers. Its J_t is block triangular, so that they are
    those of the layers, each driven by the one below (Oseledets 1968), and every layer is measured
    in a frame of its own: ``.layers``. One frame for all would have them repel where they nearly
    meet in two layers, by far more than `standard_error`: rounding couples what is triangular by
    epsilon, which parts exponents by the inverse of ln epsilon (Daido 1984).

    An LSTM has S = 2 H exponents, of its state (h, c); those of h with c held fixed are blind to
    the forget gate. The mean of ln|det J_t| = ln|det W_ho| + sum ln(|tanh c_t| o(1-o)) + sum ln f
    is the sum of all: where a term of the first sum is ln 0, as at rest, an exponent is -inf.
    Jacobians of LSTMs and GRUs are sums, so that what is shrunk by more than the precision in one
    step is not resolved: see `LyapunovSpectrum.resolved`.

    Parameters
    ----------
    rnn : RNN or Stack
        N networks.
    inputs : (T, B, D) or (N, T, B, D) array, optional
        Input sequences; each of the B gives exponents of its own. Without, the input is 0.
    n_steps : int, optional
        Steps in all, burn-in included; T unless given. Required without inputs.
    n_exponents : int, optional
        k, how many of the exponents, largest first; all unless given: S, which is H, or 2 H of
        LSTMs, and L*S of stacks, whose layers each have min(k, S) in ``.layers``.
    burn_in : int, optional
        Steps before measuring begins, in which states reach the attractor and the frame its
        directions; a tenth of all steps unless given. Steps that fill no block are added to it.
    block_steps : int, optional
        Steps of a block for `finite_time` and the standard error; unless given, as long as 20
        blocks allow. A multiple of `reorthonormalise_every`.
    reorthonormalise_every : int
        Steps between QR decompositions. More than 1 is faster; see `lost`.
    h0 : (B, H) or (N, B, H) array, optional
        Initial states: 0 unless given; without inputs and h0 one state, or as many as c0 has, is
        drawn from N(0, 1), the same for all networks.
    c0 : (B, H) or (N, B, H) array, optional
        Initial memories of LSTMs, 0 unless given.
    rng : int or numpy.random.Generator, optional
        For that state, where it is required, and for the vectors that span the first frame (seed 0
        unless given), which matter during the burn-in only.
    n_threads : int, optional
        All cores unless given; it does not change the result.

    Raises
    ------
    TypeError, ValueError
        As in `forward`; `n_exponents` outside 1..S; fewer than 20 blocks after the burn-in; more
        steps than there are inputs; no steps or no initial state without inputs.

    Examples
    --------
    >>> import rnnsim
    >>> sizes = {"n_inputs": 1, "n_hidden": 16, "n_outputs": 1}
    >>> rnn = rnnsim.RNN.sample(2, **sizes, gain=[0.5, 0.9], rng=0)
    >>> spectrum = lyapunov_spectrum(rnn, n_steps=500, burn_in=100, rng=0)
    >>> radii = np.abs(np.linalg.eigvals(rnn.W_hh)).max(axis=1)
    >>> bool(np.allclose(spectrum.exponents[:, 0], np.log(radii), atol=0.01))   # at rest
    True
    """
    check_network(rnn)
    rnn, h0, c0 = alone(rnn, h0, c0)
    N, H, L = len(rnn), rnn.n_hidden, len(rnn.layers)
    S = state_size(rnn.layers[0])
    k = _exponents(n_exponents, L * S, "n_hidden" if L * S == H else f"{L * S // H}*n_hidden")
    of_layer = min(k, S)
    generator = None if rng is None else checks.generator(rng)
    x, start_states = _driven(rnn, inputs, h0, c0, generator)
    T, B = _steps(n_steps, None if inputs is None else x.shape[1]), x.shape[2]
    blocks = blocks_of(T, burn_in, block_steps, reorthonormalise_every)
    vectors = _vectors(S, of_layer, rnn.dtype, generator)
    layers, cell = tuple(map(originals, rnn.layers)), cell_of(rnn)
    flops = L * _flops_per_step(S, of_layer)
    chunk = blocks.chunk(flops)
    if L > 1:
        out = stack_lyapunov_arrays(L, N, B, blocks.number, of_layer)
        weights, begin, steps = layered(layers), begin_stack_lyapunov, stack_lyapunov_steps
        close = close_stack_block
    else:
        out = lyapunov_arrays(N, B, blocks.number, k)
        weights, begin, steps, close = layers[0], begin_lyapunov, lyapunov_steps, close_block

    def prepare() -> parallel.Worker:
        work = (
            stack_lyapunov_work(layers, of_layer, cell)
            if L > 1
            else lyapunov_work(H, rnn.n_inputs, k, weights.W_hh, cell)
        )

        def worker(start: int, stop: int) -> Iterator[None]:
            for n, b in itertools.product(range(start, stop), range(B)):
                begin(weights, start_states, vectors, n, b, work)
                for m, first, last in blocks.pieces(chunk):
                    steps(weights, x, cell, n, b, first, last, blocks.every, work, out)
                    if last == blocks.end(m):
                        close(n, b, m, work, out)
                    yield

        return worker

    parallel.over_networks(N, n_threads, prepare, flops=flops * blocks.end(blocks.number - 1) * B)
    epsilon, bounded = float(np.finfo(rnn.dtype).eps), rnn.activation != "linear"
    if L == 1:
        return described(summary(out, blocks, S, epsilon, bounded=bounded), rnn)
    each = [layer_of(out, layer) for layer in range(L)]
    whole = summary(joined(each), blocks, L * S, epsilon, bounded=bounded, n_exponents=k)
    parts = [summary(layer, blocks, S, epsilon, bounded=bounded) for layer in each]
    return described(replace(whole, of_layers=tuple(parts)), rnn)


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
    k = _exponents(n_exponents, H, "n_hidden")
    blocks = blocks_of(T, burn_in, block_steps, reorthonormalise_every)
    out = lyapunov_arrays(1, 1, blocks.number, k)
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
    return summary(out, blocks, H, float(np.finfo(matrices.dtype).eps))


def _exponents(n_exponents: Any, S: int, name: str) -> int:
    if n_exponents is None:
        return S
    k = checks.whole_number("n_exponents", n_exponents, least=1)
    if k > S:
        raise ValueError(f"`n_exponents` must be at most {name} = {S}, got {k}")
    return k


def _steps(n_steps: Any, available: int | None) -> int:
    if n_steps is None:
        if available is None:
            raise ValueError("`n_steps` must be given where there are no `inputs`, such as 2000")
        return available
    steps = checks.size("n_steps", n_steps)
    if available is not None and steps > available:
        raise ValueError(
            f"`n_steps` must be at most the {available} steps of `inputs`, got {steps}"
        )
    return steps


def _driven(
    rnn: Network, inputs: Any, h0: Any, c0: Any, generator: np.random.Generator | None
) -> tuple[FloatArray, FloatArray]:
    """Inputs (1 or N, T or 1, B, D) and states (1 or N, B, S); a single step is repeated."""
    if inputs is not None:
        x = checked_inputs(rnn, inputs)
        return x, initial_states(rnn, h0, x.shape[2], c0)
    name, given = ("h0", h0) if h0 is not None else ("c0", c0)
    shape = () if given is None else checks.plain_array(name, given).shape
    B = shape[-2] if len(shape) > 1 else 1
    if h0 is None:
        if generator is None:
            raise ValueError(
                "`rng` or `h0` must be given where there are no `inputs`: at h_0 = 0 a network "
                "may rest for ever"
            )
        h0 = generator.standard_normal(state_shape(rnn, B)).astype(rnn.dtype)
    return np.zeros((1, 1, B, rnn.n_inputs), rnn.dtype), initial_states(rnn, h0, B, c0)


def _vectors(
    H: int, k: int, dtype: np.dtype[Any], generator: np.random.Generator | None
) -> FloatArray:
    """What spans the first frame: the same leading vectors whatever k is."""
    draw = (generator or np.random.default_rng(0)).standard_normal((H, H)).astype(dtype)
    return np.ascontiguousarray(draw[:k].T)


def _flops_per_step(H: int, k: int) -> float:
    """One matrix product and one QR with its Q."""
    return 2.0 * H * H * (k + 1) + 4.0 * H * k * k
