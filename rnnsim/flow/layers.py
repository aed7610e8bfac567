"""Gradients of many losses through stacks, one step at a time, whatever their size."""

import numpy as np
import numpy.typing as npt

from rnnsim.checks import FloatArray
from rnnsim.data.sequences import Sequences
from rnnsim.gradients.bptt import bptt
from rnnsim.networks.stack import Stack
from rnnsim.networks.states import parts

Floats = npt.NDArray[np.float64]

_LN2 = np.log(2.0)


def back_through_layers(
    stack: Stack,
    x: FloatArray,
    states: Floats,
    steps: npt.NDArray[np.int64],
    start: Floats,
    units: npt.NDArray[np.int64],
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.int64]]:
    """Gradients `start` (S, B, n) of the states of all layers, each at its own step, to state 0.

    ::

        g_{t-1} = (ds_t/ds_{t-1})^T g_t,   dl/dx_t = (ds_t/dx_t)^T g_t        s: of all layers

    A step is one of `bptt` of a loss that is given by g_t, for all S*B rows at once. Rows are
    scaled by powers of two before each, so that none leaves the range.

    stack: one network in float64; x (T, B, D); states (T+1, B, n), as they were passed through;
    steps (S,); start in units of 2^units (S, B). Returns logs of norms at states 0..T (S, B, T+1),
    NaN behind the row's own step, and at inputs 1..T (S, B, T); what arrives at state 0, and its
    units. Where a state is not finite, so is what passes it.
    """
    (S, B, _), T = start.shape, len(x)
    of_states, of_inputs = np.full((S, B, T + 1), np.nan), np.full((S, B, T), np.nan)
    rows, units = np.zeros(start.shape), units.copy()
    finite: npt.NDArray[np.bool_] = np.all(np.isfinite(states), axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        for t in range(T, -1, -1):
            rows[steps == t] = start[steps == t]
            there = steps >= t
            if not there.any():
                continue
            rows[:, ~finite[t]] = np.nan
            exponents = np.frexp(np.nan_to_num(np.abs(rows).max(axis=2)))[1]
            rows, units = np.ldexp(rows, -exponents[..., None]), units + exponents
            of_states[there, :, t] = _log_norms(rows, units)[there]
            if t > 0:
                before = np.where(finite[t - 1][:, None], states[t - 1], 0.0)
                rows[there], arriving = _step(stack, x[t - 1], before, rows[there])
                of_inputs[there, :, t - 1] = _log_norms(arriving, units[there])
    return of_states, of_inputs, rows, units


def _log_norms(rows: Floats, units: npt.NDArray[np.int64]) -> Floats:
    return np.asarray(np.log(np.linalg.norm(rows, axis=2)) + _LN2 * units)


def _step(stack: Stack, x: FloatArray, before: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Of rows (R, B, n) at the states behind a step, those before it, and of its inputs."""
    R, (B, n) = len(rows), before.shape
    known: npt.NDArray[np.bool_] = np.all(np.isfinite(rows), axis=2)
    h, c = parts(stack, np.where(known[..., None], rows, 0.0).reshape(R * B, n))
    h0, c0 = parts(stack, np.tile(before, (R, 1)))
    step = Sequences.from_gradients(
        np.tile(x.astype(np.float64), (R, 1))[None], dL_dh_final=h, dL_dc_final=c
    )
    found = bptt(stack, step, h0=h0, c0=c0, keep=["inputs"])
    whole = [found.h0[0]] if found.c0 is None else [found.h0[0], found.c0[0]]
    after = np.moveaxis(np.concatenate(whole, axis=-1), 0, 1).reshape(R, B, n)
    assert found.inputs is not None
    arriving = found.inputs[0, 0].reshape(R, B, -1)
    after[~known], arriving[~known] = np.nan, np.nan
    return after, arriving
