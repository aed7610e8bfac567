"""The gradient flow of stacks: the kernels of all layers, and what their results make together."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import kernels, parallel
from rnnsim.flow.chosen import Given, chunks
from rnnsim.flow.results import GradientFlow, flow_of
from rnnsim.kernels.arithmetic.jit import layer_of
from rnnsim.kernels.flow.arrays import FlowArrays, GateArrays
from rnnsim.kernels.stacks.flow import (
    StackFlowArrays,
    advance_stack,
    begin_stack_flow,
    close_stack_lags,
    stack_flow_arrays,
    stack_flow_work,
)
from rnnsim.kernels.stacks.layers import layered
from rnnsim.networks.binding import weights_for
from rnnsim.networks.stack import Stack
from rnnsim.networks.states import by_layer, cell_of

Floats = npt.NDArray[np.float64]


def flow_of_stack(
    stack: Stack,
    batch: kernels.Batch,
    steps: npt.NDArray[np.int64],
    n_threads: int | None,
    given: Given,
    sizes: tuple[int, bool],
) -> GradientFlow:
    """`gradient_flow` below the border; sizes: K, and whether norms of sequences are kept."""
    layers, cell, (K, kept) = weights_for(stack, batch), cell_of(stack), sizes
    scales, windows = given.scales, given.windows
    out = stack_flow_arrays(layers, batch, steps.size, K, kept, given.n_windows)
    by_layers = np.stack(by_layer(stack, scales)) if scales.size else np.empty((len(layers), 0, 0))
    weights, (T, B) = layered(layers), batch.inputs.shape[1:3]
    lags = kernels.lags_at_once(T, B, steps.size)
    A, H = layers[0].b_h.shape[1], stack.n_hidden
    flops = K * 4.0 * steps.size * B * A * H + given.flops(K, steps.size, T) * B * A * 2 * H

    def prepare() -> parallel.Worker:
        work = stack_flow_work(layers, batch, steps.size, lags, cell, given.final, windows)
        work = work._replace(layers=work.layers._replace(scales=by_layers))

        def worker(start: int, stop: int) -> Iterator[None]:
            for n in range(start, stop):
                begin_stack_flow(weights, batch, cell, steps, n, work, out)
                for first, last in chunks(K, lags, windows):
                    yield
                    advance_stack(cell, steps, first, last, n, work, out)
                    close_stack_lags(steps, first, last, n, work, out)

        return worker

    parallel.over_networks(len(stack), n_threads, prepare, flops=len(layers) * flops)
    return _joined(out, steps, given, B, stack.dtype)


def _joined(
    out: StackFlowArrays,
    steps: npt.NDArray[np.int64],
    given: Given,
    B: int,
    dtype: np.dtype[np.floating],
) -> GradientFlow:
    """The flow of all layers together, and of each."""
    L = len(out.layers.readout)
    arrays = [layer_of(out.layers, index) for index in range(L)]
    flows = tuple(flow_of(each, steps, given.windows, B, dtype, None) for each in arrays)
    whole = _together(arrays, out.whole)
    return flow_of(whole, steps, given.windows, B, dtype, given.state_scale, flows)


def _together(layers: list[FlowArrays], whole: FlowArrays) -> FlowArrays:
    """Windows and shares of all layers as one vector, beside the norms of the whole state."""
    fields: dict[str, Any] = {}
    for name in ("hidden", "recurrent"):
        windows = [_windows(each, name) for each in layers]
        fields |= {f"{name}_{key}": a for key, a in _one_vector(windows)._asdict().items()}
        gates = [getattr(each, f"{name}_gates") for each in layers]
        fields[f"{name}_gates"] = _one_vector(gates)
    sizes = [np.stack([each.hidden_full, each.inputs_full], axis=-1) for each in layers]
    total = _root_of_squares(sizes)
    with np.errstate(invalid="ignore"):
        parts = [np.exp(size - total) for size in sizes]
    pairs = list(zip(layers, parts, strict=True))
    shares = sum(_shared(each.shares, p[:, None, :, None] ** 2) for each, p in pairs)
    squares = sum(_shared(each.lag_norms, p[:, None]) ** 2 for each, p in pairs)
    return whole._replace(
        **fields,
        readout=layers[-1].readout,
        shares=np.where(np.isneginf(total)[:, None, :, None], np.nan, shares),
        lag_norms=np.where(np.isneginf(total)[:, None], np.nan, np.sqrt(squares)),
        inputs_full=total[..., 1],
        mean_slope=np.mean([each.mean_slope for each in layers], axis=0),
        saturated=np.mean([each.saturated for each in layers], axis=0),
    )


def _shared(values: Floats, factor: Floats) -> Floats:
    """values * factor, of which a layer without any gradient has none."""
    return np.where(factor == 0, 0.0, values * factor)


def _windows(out: FlowArrays, name: str) -> GateArrays:
    return GateArrays(*(getattr(out, f"{name}_{field}") for field in GateArrays._fields))


def _one_vector(layers: list[GateArrays]) -> GateArrays:
    """Windows of several vectors as those of one, which has them one behind the other."""
    log_norm, full, terms = (
        _root_of_squares([getattr(each, name) for each in layers])
        for name in ("log_norm", "full", "terms")
    )
    with np.errstate(invalid="ignore", over="ignore"):
        products: Floats = np.zeros_like(log_norm)
        errors = []
        for each in layers:
            own = each.full[:, None] - full[:, None]
            size = np.exp(each.log_norm - log_norm + own)
            products += np.where(size == 0, 0.0, each.cosine * size)
            error = np.where(np.isneginf(own), -np.inf, each.log_error + own)
            errors.append(error)
        nothing = np.isneginf(log_norm) | np.isneginf(full)[:, None]
        cosine = np.where(nothing, np.nan, np.clip(products, -1.0, 1.0))
        error = np.where(np.isneginf(full)[:, None], np.nan, _root_of_squares(errors))
    return GateArrays(log_norm, cosine, error, full, terms)


def _root_of_squares(logs: list[Floats]) -> Floats:
    """ln sqrt(sum e^(2 log)); -inf where all are."""
    with np.errstate(invalid="ignore"):
        total = logs[0]
        for each in logs[1:]:
            total = 0.5 * np.logaddexp(2 * total, 2 * each)
    return total
