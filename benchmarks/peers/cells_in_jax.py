"""Layers of one network in JAX: a ``lax.scan`` over steps, differentiated in two ways."""

from collections.abc import Callable
from typing import Any

import jax
from jax import Array, lax
from jax import numpy as jnp

# From W_hh, the drive and h_0 (B,H), None for 0, the states h_1..h_T (T,B,H) of a layer.
Unfold = Callable[[Array, Array, Array | None], Array]


def drive_of(x: Array, W_xh: Array, b_h: Array) -> Array:
    """(T,B,.): what inputs and biases add to every gate; of GRUs b_nh behind them."""
    rows = len(W_xh)
    drive = x @ W_xh.T + b_h[:rows]
    if len(b_h) == rows:
        return drive
    apart = jnp.broadcast_to(b_h[rows:], (*x.shape[:2], len(b_h) - rows))
    return jnp.concatenate([drive, apart], axis=2)


def _vanilla(W_hh: Array, h: Array, here: Array) -> Array:
    return jnp.tanh(here + h @ W_hh.T)


def _gru(W_hh: Array, h: Array, here: Array) -> Array:
    H = h.shape[1]
    product = h @ W_hh.T
    r, z = jnp.split(jax.nn.sigmoid(here[:, : 2 * H] + product[:, : 2 * H]), 2, axis=1)
    n = jnp.tanh(here[:, 2 * H : 3 * H] + r * (product[:, 2 * H :] + here[:, 3 * H :]))
    return n + z * (h - n)


def _lstm(W_hh: Array, state: tuple[Array, Array], here: Array) -> tuple[Array, Array]:
    h, c = state
    a_i, a_f, a_g, a_o = jnp.split(here + h @ W_hh.T, 4, axis=1)
    c = jax.nn.sigmoid(a_f) * c + jax.nn.sigmoid(a_i) * jnp.tanh(a_g)
    return jax.nn.sigmoid(a_o) * jnp.tanh(c), c


def plain(cell: str, unroll: int) -> Unfold:
    """As anybody would write it; the backward scan adds to dW_hh at every step."""

    def unfold(W_hh: Array, drive: Array, start: Array | None) -> Array:
        def step(state: Any, here: Array) -> Any:
            if cell == "lstm":
                state = _lstm(W_hh, state, here)
                return state, state[0]
            h = (_gru if cell == "gru" else _vanilla)(W_hh, state, here)
            return h, h

        zeros = jnp.zeros((drive.shape[1], W_hh.shape[1]), drive.dtype)
        h = zeros if start is None else start
        first = (h, zeros) if cell == "lstm" else h
        states: Array = lax.scan(step, first, drive, unroll=unroll)[1]
        return states

    return unfold


def hoisted(cell: str, unroll: int) -> Unfold:
    """The same, with dW_hh as one product after the backward scan.

    The scan is differentiated with respect to its drive and h_0 alone, which gives the delta of
    every gate and step.
    """
    unfold = plain(cell, unroll)

    def forward(W_hh: Array, drive: Array, start: Array | None) -> Any:
        states, back = jax.vjp(lambda *free: unfold(W_hh, *free), drive, start)
        return states, (back, start, states)

    def backward(kept: Any, at_states: Array) -> tuple[Array, Array, Array | None]:
        back, start, states = kept
        delta, at_start = back(at_states)
        H, recurrent = states.shape[2], delta
        if cell == "gru":  # of n inside the reset, not outside
            recurrent = jnp.concatenate([delta[..., : 2 * H], delta[..., 3 * H :]], axis=2)
        later = recurrent[1:].reshape(-1, recurrent.shape[2])
        dW_hh = later.T @ states[:-1].reshape(-1, H)
        return dW_hh if start is None else dW_hh + recurrent[0].T @ start, delta, at_start

    function = jax.custom_vjp(unfold)
    function.defvjp(forward, backward)
    found: Unfold = function
    return found
