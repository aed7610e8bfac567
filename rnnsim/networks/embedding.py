"""Embeddings: tables with a row of inputs for every class id."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray


def fitting_embedding(embedding: npt.ArrayLike, W_xh: FloatArray) -> FloatArray:
    """A private copy (N, n_ids, D), which fits the input weights."""
    N, _, D = W_xh.shape
    expected = "(n_networks, n_ids, n_inputs)"
    table = checks.float_array("embedding", embedding, shape=expected, own=True)
    table = table[None] if table.ndim == 2 else table
    if table.ndim != 3 or table.shape[::2] != (N, D) or not table.shape[1]:
        raise ValueError(
            f"`embedding` must be {expected} = ({N}, n_ids, {D}) to fit `W_xh` of shape "
            f"{W_xh.shape}, or without the first axis for one network, got {table.shape}"
        )
    checks.same_dtype(W_xh=W_xh, embedding=table)
    checks.finite("embedding", table)
    return table


def still_fitting(table: FloatArray | None, W_xh: FloatArray) -> FloatArray | None:
    """The table for other weights, rounded as they are; None where N or D is another."""
    if table is None or W_xh.ndim != 3 or (len(W_xh), W_xh.shape[2]) != table.shape[::2]:
        return None
    return table.astype(W_xh.dtype)


def looked_up(table: FloatArray | None, ids: npt.ArrayLike) -> FloatArray:
    """Rows of a table (N, n_ids, D): ids (T, B) give (T, B, D), of several networks one each."""
    if table is None:
        raise ValueError(
            "`embed` needs networks with an embedding, these have none; read one with "
            "rnnsim.read_network(path, embedding='name'), or give RNN(..., embedding=table)"
        )
    found: npt.NDArray[Any] = checks.plain_array("ids", ids)
    if found.dtype.kind not in "iu":
        raise TypeError(f"`ids` must hold class ids, integers, got {found.dtype}")
    wrong = (found < 0) | (found >= table.shape[1])
    if wrong.any():
        at = checks.first_index(np.atleast_1d(wrong))
        raise ValueError(
            f"`ids` must be from 0 to {table.shape[1] - 1}, the rows of the embedding, got "
            f"{np.atleast_1d(found)[at]} at {list(at)} ({int(wrong.sum())} such entries)"
        )
    rows: FloatArray = table[:, found]
    return rows[0] if len(rows) == 1 else rows
