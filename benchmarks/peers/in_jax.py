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

from . import contestants
from .contestants import (
    Contestant,
    Prepared,
    by_lag,
    exponents,
    in_threads,
    lag_map,
    shares,
    weight_arrays,
)
from .workloads import CLIP_NORM, LEARNING_RATE, Problem, first_frame

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", contestants.cores())  # one for each Python thread

Network = tuple[Array, ...]  # W_xh, W_hh, W_hy, b_h, b_y
Single = Callable[[Network, Array, Array], Any]  # of one network: (loss, gradients or weights)
Form = Callable[[Problem, int], Single]  # of a problem and how far its scan is unrolled


def states_of(W_hh: Array, drive: Array, unroll: int) -> Array:
    """h_1..h_T (T,B,H) of one network; `drive` is its input and bias of every step."""

    def step(h: Array, here: Array) -> tuple[Array, Array]:
        h = jnp.tanh(here + h @ W_hh.T)
        return h, h

    return lax.scan(step, jnp.zeros_like(drive[0]), drive, unroll=unroll)[1]


def losses_of(states: Array, W_hy: Array, b_y: Array, targets: Array) -> Array:
    """Cross-entropy (T,B) of every step and sequence."""
    logits = states @ W_hy.T + b_y
    picked = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return logsumexp(logits, axis=-1) - picked


def plain(problem: Problem, unroll: int) -> Single:
    """Loss and gradients of one network as anybody would write them."""
    w = problem.workload

    def loss(network: Network, x: Array, targets: Array) -> Array:
        W_xh, W_hh, W_hy, b_h, b_y = network
        states = states_of(W_hh, x @ W_xh.T + b_h, unroll)[w.first_loss :]
        return losses_of(states, W_hy, b_y, targets).sum() / w.B

    return jax.value_and_grad(loss)


def hoisted(problem: Problem, unroll: int) -> Single:
    """The same, with dW_hh as one product after the backward scan and not a sum inside it.

    The scan is differentiated with respect to its drive alone, which gives delta_t of every step.
    """
    w = problem.workload

    def gradients(network: Network, x: Array, targets: Array) -> Any:
        W_xh, W_hh, W_hy, b_h, b_y = network

        def loss(drive: Array, W_hy: Array, b_y: Array) -> tuple[Array, Array]:
            states = states_of(lax.stop_gradient(W_hh), drive, unroll)
            value = losses_of(states[w.first_loss :], W_hy, b_y, targets).sum() / w.B
            return value, states

        both = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)
        (value, states), (delta, dW_hy, db_y) = both(x @ W_xh.T + b_h, W_hy, b_y)
        later, before = delta[1:].reshape(-1, w.H), states[:-1].reshape(-1, w.H)
        dW_xh = delta.reshape(-1, w.H).T @ x.reshape(-1, w.D)
        return value, (dW_xh, later.T @ before, dW_hy, delta.sum((0, 1)), db_y)

    return gradients


def trained(form: Form, problem: Problem, unroll: int) -> Single:
    """Mean loss and weights of one network after all updates, in one compiled loop.

    XLA updates what a loop carries in place; the weights given are not donated, since every call
    begins from them.
    """
    gradients_of, n_updates = form(problem, unroll), problem.workload.n_updates

    def train(network: Network, x: Array, targets: Array) -> Any:
        def update(_: int, carried: tuple[Array, Network]) -> tuple[Array, Network]:
            total, network = carried
            loss, gradients = gradients_of(network, x, targets)
            norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in gradients))
            rate = LEARNING_RATE * jnp.minimum(1, CLIP_NORM / norm)
            moved = tuple(w - rate * g for w, g in zip(network, gradients, strict=True))
            return total + loss, moved

        begin = jnp.zeros((), x.dtype), network
        total, network = lax.fori_loop(0, n_updates, update, begin)
        return total / n_updates, network

    return train


# Ways to run one network's function over the ensemble: all networks at once,


def _vmap(single: Single) -> Single:
    return jax.vmap(single, in_axes=(0, None, None))


def _map(single: Single, batch_size: int | None = None) -> Single:
    """One after the other inside one compiled function, or `batch_size` at once."""

    def over(networks: Network, x: Array, targets: Array) -> Any:
        return lax.map(lambda n: single(n, x, targets), networks, batch_size=batch_size)

    return over


def _data(problem: Problem) -> tuple[Network, Array, Array]:
    targets = problem.targets[problem.workload.first_loss :]
    return (
        tuple(map(jnp.asarray, problem.weights)),
        jnp.asarray(problem.inputs),
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
    weights, x, targets = _data(problem)
    networks = [tuple(array[n] for array in weights) for n in range(problem.workload.N)]

    def run() -> list[Any]:
        found: list[Any] = jax.block_until_ready([function(n, x, targets) for n in networks])
        return found

    return Prepared(run, lambda found: _joined(problem, found, np.stack))


def _threads(form: Form, unroll: int, problem: Problem) -> Prepared | None:
    """`lax.map` in one Python thread for each core, which JAX takes for a device of its own."""
    parts = shares(problem.workload.N)
    if len(parts) == 1:
        return None
    function = jax.jit(_map(form(problem, unroll)))
    (weights, x, targets), tasks = _data(problem), []
    for part, device in zip(parts, jax.devices(), strict=True):
        data = jax.device_put((tuple(array[part] for array in weights), x, targets), device)
        tasks.append(partial(lambda data: jax.block_until_ready(function(*data)), data))
    return Prepared(
        lambda: in_threads(tasks), lambda found: _joined(problem, found, np.concatenate)
    )


_ALL_CORES = ("lax.map in threads", "lax.map in shards")


def _in_every_way(simple: Form, fast: Form) -> dict[str, Contestant]:
    ways: dict[str, Any] = {
        "vmap": partial(_for_many, _vmap, 1),
        "lax.map": partial(_for_many, _map, 1),
        "lax.map by 8": partial(_for_many, partial(_map, batch_size=8), 9),
        "jit in a loop": _loop,
        "lax.map in threads": _threads,
        "lax.map in shards": _in_shards,
    }
    table: dict[str, Contestant] = {}
    for name, way in ways.items():
        if name not in _ALL_CORES:
            table[name] = partial(way, simple, 1)
            table[f"{name}, unroll 4"] = partial(way, simple, 4)
        if name in _ALL_CORES or name == "lax.map by 8":  # as fast as it gets
            table[f"{name}, unroll 4, dW after"] = partial(way, fast, 4)
    return table


def _flow(batch_size: int | None, problem: Problem) -> Prepared:
    """Norms of dl[t,b]/dh_s by a vector-Jacobian product for every loss step, [t, s, b].

    Whatever is added to a state has that state's gradient. All loss steps at once, or `batch_size`.
    """
    w = problem.workload
    assert w.N == 1
    assert not w.last_loss_only

    @jax.jit
    def norms(networks: Network, x: Array, targets: Array) -> Array:
        W_xh, W_hh, W_hy, b_h, b_y = (array[0] for array in networks)
        drive = x @ W_xh.T + b_h

        def losses(nudges: Array) -> Array:
            def step(h: Array, here: tuple[Array, Array]) -> tuple[Array, Array]:
                h = jnp.tanh(here[0] + h @ W_hh.T) + here[1]
                return h, h

            states = lax.scan(step, jnp.zeros_like(drive[0]), (drive, nudges))[1]
            return losses_of(states, W_hy, b_y, targets).sum(axis=1)

        back = jax.vjp(losses, jnp.zeros_like(drive))[1]
        rows = jnp.eye(w.T, dtype=drive.dtype)

        def norms_of(row: Array) -> Array:
            return jnp.linalg.norm(back(row)[0], axis=-1)

        return lax.map(norms_of, rows, batch_size=batch_size or w.T)

    data = _data(problem)
    return Prepared(
        lambda: jax.block_until_ready(norms(*data)),
        lambda found: lag_map(by_lag(np.asarray(found))),
    )


def _flow_lags(n_pieces: int, problem: Problem) -> Prepared:
    """All rows one step back at a time, as rnnsim does: its own algorithm in JAX.

    Shapes being static, rows that have reached the first step are dropped only between pieces.
    """
    w = problem.workload
    bounds = np.linspace(0, w.T, min(n_pieces, w.T) + 1).round().astype(int)

    @jax.jit
    def norms(networks: Network, x: Array, targets: Array) -> Array:
        W_xh, W_hh, W_hy, b_h, b_y = (array[0] for array in networks)
        states, found = states_of(W_hh, x @ W_xh.T + b_h, 1), []
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

    networks, x, _ = _data(problem)
    return Prepared(
        lambda: jax.block_until_ready(sums(networks, x[:, 0])),
        lambda found: exponents(np.asarray(found), w.T),
    )


CONTESTANTS: dict[str, dict[str, Contestant]] = {
    "bptt": _in_every_way(plain, hoisted),
    "updates": _in_every_way(partial(trained, plain), partial(trained, hoisted)),
    "flow": {
        "vjp, vmap": partial(_flow, None),
        "vjp, lax.map by 25": partial(_flow, 25),
        "lag recursion": partial(_flow_lags, 1),
        "lag recursion, rows dropped 8 times": partial(_flow_lags, 8),
    },
    "lyapunov": {
        "qr, vmap": partial(_lyapunov, False),
        "qr, lax.map": partial(_lyapunov, True),
    },
}
