"""JAX: ``value_and_grad`` of a ``lax.scan`` network, over the ensemble in every usual way."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import numpy as np
from jax import Array, lax
from jax import numpy as jnp
from jax.scipy.special import logsumexp
from jax.sharding import NamedSharding, PartitionSpec

from . import cells_in_jax as cells
from . import contestants
from .contestants import (
    Contestant,
    Prepared,
    by_lag,
    exponents,
    flow_arrays,
    in_threads,
    lag_map,
    shares,
    weight_arrays,
)
from .workloads import CLIP_NORM, LEARNING_RATE, Problem, first_frame

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", contestants.cores())  # one for each Python thread

Network = tuple[Array, ...]  # W_xh, W_hh, W_hy, b_h, b_y, and those before
Data = tuple[Array, Array]  # inputs and sources
Single = Callable[[Network, Data, Array], Any]  # of one network: (loss, gradients or weights)
Form = Callable[[Problem, int], Single]  # of a problem and how far its scan is unrolled


def losses_of(states: Array, W_hy: Array, b_y: Array, targets: Array) -> Array:
    """Cross-entropy (T,B) of every step and sequence."""
    logits = states @ W_hy.T + b_y
    picked = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return logsumexp(logits, axis=-1) - picked


def _differentiated(
    way: Callable[[str, int], cells.Unfold], problem: Problem, unroll: int
) -> Single:
    """Loss and gradients of one network, its layers unfolded in one of the ways of `cells`."""
    w, unfold = problem.workload, way(problem.workload.cell, unroll)

    def loss(network: Network, data: Data, targets: Array) -> Array:
        W_xh, W_hh, W_hy, b_h, b_y, *before = network
        x, sources = data
        start = None
        if before:
            below, recurrent, bias = before
            heard = sources if w.kind == "pairs" else x
            lower = unfold(recurrent, cells.drive_of(heard, below, bias), None)
            x, start = (x, lower[-1]) if w.kind == "pairs" else (lower, None)
        states = unfold(W_hh, cells.drive_of(x, W_xh, b_h), start)[w.first_loss :]
        return losses_of(states, W_hy, b_y, targets).sum() / w.B

    return jax.value_and_grad(loss)


plain: Form = partial(_differentiated, cells.plain)
hoisted: Form = partial(_differentiated, cells.hoisted)


def trained(form: Form, problem: Problem, unroll: int) -> Single:
    """Mean loss and weights of one network after all updates, in one compiled loop.

    XLA updates what a loop carries in place; the weights given are not donated, since every call
    begins from them.
    """
    gradients_of, n_updates = form(problem, unroll), problem.workload.n_updates

    def train(network: Network, data: Data, targets: Array) -> Any:
        def update(_: int, carried: tuple[Array, Network]) -> tuple[Array, Network]:
            total, network = carried
            loss, gradients = gradients_of(network, data, targets)
            norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in gradients))
            rate = LEARNING_RATE * jnp.minimum(1, CLIP_NORM / norm)
            moved = tuple(w - rate * g for w, g in zip(network, gradients, strict=True))
            return total + loss, moved

        begin = jnp.zeros((), data[0].dtype), network
        total, network = lax.fori_loop(0, n_updates, update, begin)
        return total / n_updates, network

    return train


# Ways to run one network's function over the ensemble: all networks at once,


def _vmap(single: Single) -> Single:
    return jax.vmap(single, in_axes=(0, None, None))


def _map(single: Single, batch_size: int | None = None) -> Single:
    """One after the other inside one compiled function, or `batch_size` at once."""

    def over(networks: Network, data: Data, targets: Array) -> Any:
        return lax.map(lambda n: single(n, data, targets), networks, batch_size=batch_size)

    return over


def _data(problem: Problem) -> tuple[Network, Data, Array]:
    targets = problem.targets[problem.workload.first_loss :]
    return (
        tuple(map(jnp.asarray, problem.weights)),
        (jnp.asarray(problem.inputs), jnp.asarray(problem.sources)),
        jnp.asarray(targets),
    )


def _compiled(
    form: Form, over: Callable[[Single], Single], unroll: int, problem: Problem
) -> Prepared:
    """The whole ensemble in one call of one compiled function."""
    function, data = jax.jit(over(form(problem, unroll))), _data(problem)
    return Prepared(
        lambda: jax.block_until_ready(function(*data)), lambda found: weight_arrays(problem, *found)
    )


def _for_many(
    over: Callable[[Single], Single], least: int, form: Form, unroll: int, problem: Problem
) -> Prepared | None:
    """The same, where there are enough networks for it to differ from the plain ways."""
    return _compiled(form, over, unroll, problem) if least <= problem.workload.N else None


def _in_shards(form: Form, unroll: int, problem: Problem) -> Prepared | None:
    """`lax.map` on every core at once, over its share of an ensemble sharded over JAX devices."""
    n = contestants.cores()
    if n == 1 or problem.workload.N % n:
        return None
    mesh, split, shared = jax.make_mesh((n,), ("n",)), PartitionSpec("n"), PartitionSpec()
    specs = split, shared, shared
    over = _map(form(problem, unroll))
    function = jax.jit(
        jax.shard_map(over, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False)
    )
    placed = [NamedSharding(mesh, spec) for spec in specs]
    data = [jax.device_put(part, place) for part, place in zip(_data(problem), placed, strict=True)]
    return Prepared(
        lambda: jax.block_until_ready(function(*data)), lambda found: weight_arrays(problem, *found)
    )


def _joined(problem: Problem, results: list[Any], join: Callable[[Any], Any]) -> contestants.Arrays:
    losses, found = zip(*results, strict=True)
    columns = zip(*found, strict=True)
    return weight_arrays(problem, join(losses), [join(column) for column in columns])


def _loop(form: Form, unroll: int, problem: Problem) -> Prepared:
    """One call of a compiled function for each network."""
    function = jax.jit(form(problem, unroll))
    weights, data, targets = _data(problem)
    networks = [tuple(array[n] for array in weights) for n in range(problem.workload.N)]

    def run() -> list[Any]:
        found: list[Any] = jax.block_until_ready([function(n, data, targets) for n in networks])
        return found

    return Prepared(run, lambda found: _joined(problem, found, np.stack))


def _threads(form: Form, unroll: int, problem: Problem) -> Prepared | None:
    """`lax.map` in one Python thread for each core, which JAX takes for a device of its own."""
    parts = shares(problem.workload.N)
    if len(parts) == 1:
        return None
    function = jax.jit(_map(form(problem, unroll)))
    (weights, shared, targets), tasks = _data(problem), []
    for part, device in zip(parts, jax.devices(), strict=True):
        own = tuple(array[part] for array in weights)
        data = jax.device_put((own, shared, targets), device)
        tasks.append(partial(lambda data: jax.block_until_ready(function(*data)), data))
    return Prepared(
        lambda: in_threads(tasks), lambda found: _joined(problem, found, np.concatenate)
    )


def _in_every_way(simple: Form, fast: Form) -> dict[str, Contestant]:
    """As most would write it, and as fast as it gets; what lies between was never the fastest."""
    many = partial(_for_many, partial(_map, batch_size=8), 9)
    return {
        "vmap": partial(_for_many, _vmap, 1, simple, 1),
        "vmap, unroll 4": partial(_for_many, _vmap, 1, simple, 4),
        "jit in a loop, unroll 4, dW after": partial(_loop, fast, 4),
        "lax.map, unroll 4": partial(_for_many, _map, 1, simple, 4),
        "lax.map by 8, unroll 4, dW after": partial(many, fast, 4),
        "lax.map in threads, unroll 4, dW after": partial(_threads, fast, 4),
        "lax.map in shards, unroll 4": partial(_in_shards, simple, 4),
        "lax.map in shards, unroll 4, dW after": partial(_in_shards, fast, 4),
    }


def _flow(batch_size: int | None, windows: bool, problem: Problem) -> Prepared:
    """Norms of dl[t,b]/dh_s by a vector-Jacobian product for every loss step, [t, s, b].

    Whatever is added to a state has that state's gradient. All loss steps at once, or `batch_size`.
    """
    w = problem.workload
    assert w.N == 1
    assert not w.last_loss_only

    @jax.jit
    def found(networks: Network, data: Data, targets: Array) -> Any:
        W_xh, W_hh, W_hy, b_h, b_y = (array[0] for array in networks)
        drive = cells.drive_of(data[0], W_xh, b_h)

        def losses(nudges: Array) -> tuple[Array, Array]:
            def step(h: Array, here: tuple[Array, Array]) -> tuple[Array, Array]:
                h = jnp.tanh(here[0] + h @ W_hh.T) + here[1]
                return h, h

            states = lax.scan(step, jnp.zeros_like(drive[0]), (drive, nudges))[1]
            return losses_of(states, W_hy, b_y, targets).sum(axis=1), states

        _, back, states = jax.vjp(losses, jnp.zeros_like(drive), has_aux=True)

        def of_step(chosen: Array) -> Any:
            rows = back(chosen)[0]
            return jnp.linalg.norm(rows, axis=-1), rows if windows else None

        chosen = jnp.eye(w.T, dtype=drive.dtype)
        norms, rows = lax.map(of_step, chosen, batch_size=batch_size or w.T)
        return norms, _windows(rows, states, data[0]) if windows else None

    data = _data(problem)

    def arrays(result: Any) -> contestants.Arrays:
        return flow_arrays(w.B, by_lag(np.asarray(result[0])), result[1])

    return Prepared(lambda: jax.block_until_ready(found(*data)), arrays)


def _windows(rows: Array, states: Array, x: Array) -> tuple[Array, Array]:
    """Norm and cosine of every window from dl[t]/dh_s (t,s,B,H): a product for each lag, summed."""
    T, B, H = states.shape
    before = jnp.concatenate([jnp.zeros_like(states[:1]), states[:-1]])
    heard = jnp.concatenate([before, x, jnp.ones((T, B, 1), x.dtype)], axis=2)
    slope, steps = 1 - states**2, jnp.arange(T)

    def of_lag(k: Array) -> Array:
        at = jnp.maximum(steps - k, 0)
        deltas = jnp.where((steps >= k)[:, None, None], rows[steps, at] * slope[at], 0)
        return (deltas.reshape(T * B, H).T @ heard[at].reshape(T * B, -1)).ravel()

    sums = jnp.cumsum(lax.map(of_lag, steps), axis=0)
    norms = jnp.linalg.norm(sums, axis=1)
    return norms, sums @ sums[-1] / (norms * norms[-1])


def _flow_lags(n_pieces: int, problem: Problem) -> Prepared:
    """All rows one step back at a time, as rnnsim does: its own algorithm in JAX.

    Shapes being static, rows that have reached the first step are dropped only between pieces.
    """
    w = problem.workload
    bounds = np.linspace(0, w.T, min(n_pieces, w.T) + 1).round().astype(int)

    @jax.jit
    def norms(networks: Network, data: Data, targets: Array) -> Array:
        W_xh, W_hh, W_hy, b_h, b_y = (array[0] for array in networks)
        drive, found = cells.drive_of(data[0], W_xh, b_h), []
        states = cells.plain("vanilla", 1)(W_hh, drive, None)
        rows = jax.grad(lambda states: losses_of(states, W_hy, b_y, targets).sum())(states)
        slope = (1 - states**2).at[0].set(0)  # nothing goes on from the first step
        for a, b in pairwise(bounds):
            padded = jnp.concatenate([jnp.zeros_like(slope[: b - a]), slope[: w.T - a]])

            def step(rows: Array, k: Array, padded: Array = padded, b: int = b) -> Any:
                here = lax.dynamic_slice_in_dim(padded, b - k, len(rows))
                return (rows * here) @ W_hh, jnp.linalg.norm(rows, axis=-1)

            rows, part = lax.scan(step, rows, jnp.arange(a, b))
            rows = rows[b - a :]
            found.append(jnp.pad(part, ((0, 0), (a, 0), (0, 0))))
        return jnp.concatenate(found)  # by lag, step, sequence

    data = _data(problem)
    return Prepared(
        lambda: jax.block_until_ready(norms(*data)),
        lambda found: lag_map(np.asarray(found).transpose(1, 0, 2)),
    )


def _lyapunov(mapped: bool, problem: Problem) -> Prepared:
    """A scan over steps with jnp.linalg.qr: all networks at once, or one after the other."""
    w, frame = problem.workload, jnp.asarray(first_frame(problem))

    def single(network: Network, x: Array) -> Array:
        W_xh, W_hh, _, b_h, _ = network

        def step(carried: Any, x_t: Array) -> Any:
            h, Q = carried
            h = jnp.tanh(W_hh @ h + W_xh @ x_t + b_h)
            Q, R = jnp.linalg.qr((1 - h**2)[:, None] * (W_hh @ Q))
            return (h, Q), jnp.log(jnp.abs(jnp.diagonal(R)))

        first = jnp.zeros_like(b_h), jnp.linalg.qr(frame)[0]
        return lax.scan(step, first, x)[1].sum(axis=0)

    @jax.jit
    def sums(networks: Network, x: Array) -> Array:
        one = partial(single, x=x)
        return lax.map(one, networks) if mapped else jax.vmap(one)(networks)

    networks, (x, _), _ = _data(problem)
    return Prepared(
        lambda: jax.block_until_ready(sums(networks, x[:, 0])),
        lambda found: exponents(np.asarray(found), w.T),
    )


CONTESTANTS: dict[str, dict[str, Contestant]] = {
    "bptt": _in_every_way(plain, hoisted),
    "pairs": _in_every_way(plain, hoisted),
    "updates": _in_every_way(partial(trained, plain), partial(trained, hoisted)),
    "flow": {
        "vjp, vmap": partial(_flow, None, False),
        "vjp, lax.map by 25": partial(_flow, 25, False),
        "lag recursion": partial(_flow_lags, 1),
        "lag recursion, rows dropped 8 times": partial(_flow_lags, 8),
    },
    "windows": {
        "vjp, vmap": partial(_flow, None, True),
        "vjp, lax.map by 25": partial(_flow, 25, True),
    },
    "lyapunov": {
        "qr, vmap": partial(_lyapunov, False),
        "qr, lax.map": partial(_lyapunov, True),
    },
}
