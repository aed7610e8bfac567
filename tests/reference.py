"""Plain-loop NumPy versions of everything that the kernels do: slow, obvious, and complex-safe.

Each function treats one network and follows the definitions word by word. Sizes: T steps, B
sequences, D inputs, H hidden units, V outputs.
"""

from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext
from typing import NamedTuple

import numpy as np
from reference_cells import CELLS


class Net(NamedTuple):
    W_xh: np.ndarray
    W_hh: np.ndarray
    W_hy: np.ndarray
    b_h: np.ndarray
    b_y: np.ndarray


def net_of(rnn, n=0):
    return Net(*(array[n].copy() for array in rnn.weights))


def phi(activation, a):
    return CELLS[activation].step(a, 0, None, None)[0]


def slope(activation, a):
    return CELLS[activation].slope(a)


def unfold(net, x, h0, cell):
    """Whole states (T+1, B, S), h and then memories; sums of pre-activations (T, B, G*H)."""
    states, pre, H = [h0], [], net.W_hh.shape[1]
    for x_t in x:
        h, c = states[-1][:, :H], states[-1][:, H:]
        pre.append(sum(CELLS[cell].pre(net, x_t, h)))
        states.append(np.concatenate(CELLS[cell].advance(net, x_t, h, c), axis=1))
    return np.array(states), np.array(pre)


def step_loss(y, target):
    """Loss of one output vector; the target is a class id or a vector."""
    if np.ndim(target) == 0:
        peak = np.max(y.real)
        return np.log(np.sum(np.exp(y - peak))) + peak - y[target]
    return 0.5 * np.sum((y - target) ** 2)


def loss(net, x, targets, weights, h0, activation):
    """L = (1/B) sum_b sum_t w[t,b] * loss(y[t,b], target[t,b])."""
    T, B = weights.shape
    states = unfold(net, x, h0, activation)[0][:, :, : net.W_hh.shape[1]]
    total = 0.0
    for t in range(T):
        for b in range(B):
            if weights[t, b]:
                y = net.W_hy @ states[t + 1, b] + net.b_y
                total = total + weights[t, b] * step_loss(y, targets[t, b])
    return total / B


def derivative(function, array, eps=1e-30):
    """The derivative of a complex-safe function, to machine precision: Im f(w + i eps) / eps.

    Of a function with values (K,) it is (K, *array.shape), of one number it is array.shape.
    """
    if array.size == 0:
        return np.zeros((*np.shape(function(array)), *array.shape))
    columns = []
    for index in np.ndindex(*array.shape):
        moved = array.astype(complex)
        moved[index] += 1j * eps
        columns.append(np.imag(function(moved)) / eps)
    found = np.moveaxis(np.array(columns), 0, -1)
    return found.reshape(*found.shape[:-1], *array.shape)


def complex_step(net, x, targets, weights, h0, activation):
    """Gradient with respect to all weights and the first whole state h0."""

    def of(name):
        return derivative(
            lambda a: loss(net._replace(**{name: a}), x, targets, weights, h0, activation),
            getattr(net, name),
        )

    of_h0 = derivative(lambda a: loss(net, x, targets, weights, a, activation), h0)
    return Net(*map(of, Net._fields)), of_h0


def output_gradient(net, states, targets, weights):
    """dl/dy (T, B, V) without the factor 1/B."""
    T, B = weights.shape
    gradient = np.zeros((T, B, net.b_y.size), states.dtype)
    for t in range(T):
        for b in range(B):
            if weights[t, b]:
                y = net.W_hy @ states[t + 1, b] + net.b_y
                if np.ndim(targets[t, b]) == 0:
                    p = np.exp(y - y.max())
                    p /= p.sum()
                    p[targets[t, b]] -= 1
                    gradient[t, b] = weights[t, b] * p
                else:
                    gradient[t, b] = weights[t, b] * (y - targets[t, b])
    return gradient


class Truncated(NamedTuple):
    weights: Net
    h0: np.ndarray
    step_W_xh: np.ndarray  # (T, H, D): dL/dW_xh^(t)
    step_W_hh: np.ndarray
    step_W_hy: np.ndarray
    step_b_h: np.ndarray
    step_b_y: np.ndarray
    state: np.ndarray  # (T+1, B, H): dL/dh_t


def truncated(net, x, targets, weights, h0, activation, window, stride):
    """Truncated BPTT by its definition: block by block, step by step, sequence by sequence."""
    T, B = weights.shape
    H, D = net.W_xh.shape
    states, pre = unfold(net, x, h0, activation)
    dy = output_gradient(net, states, targets, weights) / B
    step_xh, step_hh = np.zeros((T, H, D)), np.zeros((T, H, H))
    step_b, dh0 = np.zeros((T, H)), np.zeros((B, H))
    state = np.zeros((T + 1, B, H))
    for j in range(-(-T // stride)):
        last = min((j + 1) * stride, T)
        lowest = max((j + 1) * stride - window + 1, 1)
        for b in range(B):
            g = np.zeros(H)
            for t in range(last, lowest - 1, -1):
                if t > j * stride:  # the loss of this block only
                    g = g + net.W_hy.T @ dy[t - 1, b]
                state[t, b] += g
                delta = g * slope(activation, pre[t - 1, b])
                step_hh[t - 1] += np.outer(delta, states[t - 1, b])
                step_xh[t - 1] += np.outer(delta, x[t - 1, b])
                step_b[t - 1] += delta
                g = net.W_hh.T @ delta
            if lowest == 1:
                dh0[b] += g
    state[0] = dh0
    step_hy = np.einsum("tbv,tbh->tvh", dy, states[1:])
    gradient = Net(step_xh.sum(0), step_hh.sum(0), step_hy.sum(0), step_b.sum(0), dy.sum((0, 1)))
    return Truncated(gradient, dh0, step_xh, step_hh, step_hy, step_b, dy.sum(1), state)


def bptt(net, x, targets, weights, h0, activation):
    T = len(x)
    return truncated(net, x, targets, weights, h0, activation, T, T)


def rtrl(net, x, targets, weights, h0, cell):
    """dL/dW by forward sensitivity: a tangent of the state for each entry of W_xh, W_hh, b_h."""
    H, cell = net.W_hh.shape[1], CELLS[cell]
    states = [h0]
    for x_t in x:
        states.append(np.concatenate(cell.advance(net, x_t, *_parts(states[-1], H)), axis=1))
    dy = output_gradient(net, np.array(states)[..., :H], targets, weights) / len(h0)
    gradient, rows = Net(*map(np.zeros_like, net)), dy @ net.W_hy
    gradient.W_hy[:] = np.einsum("tbv,tbh->vh", dy, np.array(states)[1:, :, :H])
    gradient.b_y[:] = dy.sum((0, 1))
    for name in ("W_xh", "W_hh", "b_h"):
        for index in np.ndindex(*getattr(net, name).shape):
            way = Net(*map(np.zeros_like, net))
            getattr(way, name)[index] = 1
            dh, dc = map(np.zeros_like, _parts(h0, H))
            for x_t, state, row in zip(x, states, rows, strict=False):
                h, c = _parts(state, H)
                d_x, d_h = cell.pre(way, x_t, h)
                moved = d_x, d_h + dh @ net.W_hh.T, dh, dc
                dh, dc = cell.tangent((*cell.pre(net, x_t, h), h, c), moved)
                getattr(gradient, name)[index] += np.sum(row * dh)
    return gradient


def _parts(state, H):
    return state[:, :H], state[:, H:]


class Temporal(NamedTuple):
    """dl_t/d(what step s reads) at [t-1, s-1], and dl_t/d(state of step s) at [t-1, s]."""

    W_xh: np.ndarray  # (T, T, G*H, D)
    W_hh: np.ndarray
    W_hy: np.ndarray
    b_h: np.ndarray
    b_y: np.ndarray
    x: np.ndarray  # (T, T, B, D)
    state: np.ndarray  # (T, T+1, B, S), h and memories each at the other held fixed


def temporal(net, x, state, cell, loss_of_step):
    """What every loss owes to every step, by complex steps through copies of weights and states.

    loss_of_step(t, h, c, y) is the loss of step t = 1..T from h (B, H), memories and y (B, V).
    """
    T, H, states = len(x), net.W_hh.shape[1], unfold(net, x, state, cell)[0]

    def losses(s, state, changed=net, x_s=None):
        """Losses (T,) from the state of step s on, where step s+1 reads what is changed."""
        found = [0.0] * T
        for t in range(s + 1, T + 1):
            used = changed if t == s + 1 else net
            x_t = x_s if t == s + 1 and x_s is not None else x[t - 1]
            h, c = CELLS[cell].advance(used, x_t, *_parts(state, H))
            found[t - 1] = loss_of_step(t, h, c, h @ used.W_hy.T + used.b_y)
            state = np.concatenate([h, c], axis=1)
        return np.array(found)

    def of_leaf(s, state):
        h, c = _parts(state, H)
        own = np.zeros(T, complex)
        if s > 0:
            own[s - 1] = loss_of_step(s, h, c, h @ net.W_hy.T + net.b_y)
        return own + losses(s, state)

    def of(name):
        return [
            derivative(lambda a, s=s: losses(s, states[s], net._replace(**{name: a})), w)
            for s in range(T)
            for w in [getattr(net, name)]
        ]

    of_x = [derivative(lambda a, s=s: losses(s, states[s], x_s=a), x[s]) for s in range(T)]
    of_states = [derivative(lambda a, s=s: of_leaf(s, a), states[s]) for s in range(T + 1)]
    parts = [*map(of, Net._fields), of_x, of_states]
    return Temporal(*(np.swapaxes(np.array(part), 0, 1) for part in parts))


def within(parts, window, stride):
    """Of `temporal`, what sweeps of truncated BPTT touch, of each step summed over the losses."""
    T = len(parts.x)
    lowest = np.maximum((np.arange(T) // stride + 1) * stride - window + 1, 1)[:, None]
    touched = lowest <= np.arange(1, T + 1)
    of_states = np.concatenate([lowest == 1, touched], axis=1)
    masks = [*[touched] * 6, of_states]
    return Temporal(
        *(np.einsum("ts,ts...->s...", mask, part) for mask, part in zip(masks, parts, strict=True))
    )


def flow(net, x, targets, weights, h0, activation):
    """dl[t,b]/dh_{t-k} as (T, T, B, H), indices t-1 and k; NaN where t-k < 1. No factor 1/B."""
    T, B = weights.shape
    H = net.W_hh.shape[0]
    states, pre = unfold(net, x, h0, activation)
    dy = output_gradient(net, states, targets, weights)
    rows = np.full((T, T, B, H), np.nan)
    for t in range(1, T + 1):
        for b in range(B):
            g = net.W_hy.T @ dy[t - 1, b]
            for k in range(t):
                rows[t - 1, k, b] = g
                g = net.W_hh.T @ (g * slope(activation, pre[t - k - 1, b]))
    return rows


def lag_gradients(net, x, targets, weights, h0, activation):
    """dL/d[W_hh, W_xh, b_h] as (T, H, H+D+1): what each lag k contributes, in extended precision.

    The gradient truncated at window K and stride 1 is the sum over k < K, its error the sum over
    k >= K: no difference of nearly equal numbers is taken anywhere.
    """
    long = np.longdouble
    net, x, weights, h0 = Net(*(a.astype(long) for a in net)), *map(long, (x, weights, h0))
    T, B = weights.shape
    states, pre = unfold(net, x, h0, activation)
    slopes = slope(activation, pre)
    before = np.concatenate([states[:-1], x, np.ones((T, B, 1), long)], axis=2)
    rows = output_gradient(net, states, targets, weights) @ net.W_hy / B
    parts = []
    for k in range(T):
        delta = rows * slopes[: T - k]  # row i is step i+1+k, standing at step i+1
        parts.append(np.einsum("tbi,tbj->ij", delta, before[: T - k]))
        rows = (delta @ net.W_hh)[1:]
    return np.array(parts)


def chosen_windows(net, x, targets, weights, h0, activation, windows):
    """dL/d[W_hh, W_xh, b_h] truncated at chosen windows (M, H, H+D+1), and shares of lags (T, 2).

    One outer product for each window, of deltas that were added up by the step they stand at; the
    part of lag k along g = dL/dW_hh, and dL/dW_xh, by <e z^T, g> = e . (g z) of every row.
    """
    (T, B), H, D = weights.shape, net.W_hh.shape[0], x.shape[2]
    states, pre = unfold(net, x, h0, activation)
    slopes, before = slope(activation, pre), np.concatenate([states[:-1], x], axis=2)
    rows, deltas = output_gradient(net, states, targets, weights) @ net.W_hy / B, []
    for k in range(T):
        deltas.append(np.concatenate([rows * slopes[: T - k], np.zeros((k, B, H))]))
        rows = (deltas[k][: T - k] @ net.W_hh)[1:]

    def product(total):
        return np.einsum("tbi,tbj->ij", total, np.concatenate([before, np.ones((T, B, 1))], 2))

    found = [product(np.sum(deltas[:K], axis=0)) for K in windows]
    g, shares = product(np.sum(deltas, axis=0)), []
    for columns in (slice(0, H), slice(H, H + D)):
        own = g[:, columns]
        along = before[..., columns] @ own.T
        products = np.array([(e * along).sum() for e in deltas])
        square = (own**2).sum()
        shares.append(products / square if square > 0 else np.full(T, np.nan))
    return np.array(found), np.transpose(shares)


def lyapunov(net, x, h0, activation, vectors, burn_in, every):
    """ln |R_ii| (B, M, k) of every QR, `every` steps apart, after the burn-in."""
    _, pre = unfold(net, x, h0, activation)
    logs = []
    for b in range(x.shape[1]):
        Q, found = np.linalg.qr(vectors)[0], []
        for t in range(len(x)):
            Q = slope(activation, pre[t, b])[:, None] * (net.W_hh @ Q)
            if (t + 1 - burn_in) % every == 0 or t + 1 == burn_in:
                Q, R = np.linalg.qr(Q)
                found += [np.log(np.abs(np.diag(R)))] if t >= burn_in else []
        logs.append(found)
    return np.array(logs)


def log_singular_values(factors, digits):
    """Of the product factors[-1] ... factors[0], by one-sided Jacobi rotations of its columns.

    Everything in decimals of so many digits: no range is left, and where digits exceed the orders
    of magnitude between the largest and the smallest value, none is lost to another.
    """
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = digits, MAX_EMAX, MIN_EMIN
        columns = [list(map(Decimal, row)) for row in np.eye(len(factors[0])).tolist()]
        for factor in factors:
            rows = [[Decimal(x) for x in row] for row in np.asarray(factor, float).tolist()]
            columns = [[_inner(row, column) for row in rows] for column in columns]
        while _rotate(columns) > Decimal(10) ** -15:
            pass
        squares = sorted((_inner(column, column) for column in columns), reverse=True)
        return np.array([float(s.ln() / 2) if s else -np.inf for s in squares])


def _inner(u, v):
    return sum((a * b for a, b in zip(u, v, strict=True)), Decimal(0))


def _rotate(columns):
    """Make every pair of columns orthogonal in turn; returns the largest cosine that was found."""
    largest = Decimal(0)
    for q in range(1, len(columns)):
        for p in range(q):
            u, v = columns[p], columns[q]
            a, b, c = _inner(u, u), _inner(v, v), _inner(u, v)
            if c == 0:
                continue
            largest = max(largest, abs(c) / (a * b).sqrt())
            z = (b - a) / (2 * c)
            tangent = (1 if z >= 0 else -1) / (abs(z) + (1 + z * z).sqrt())
            cosine = 1 / (1 + tangent * tangent).sqrt()
            sine = cosine * tangent
            columns[p] = [cosine * x - sine * y for x, y in zip(u, v, strict=True)]
            columns[q] = [sine * x + cosine * y for x, y in zip(u, v, strict=True)]
    return largest
