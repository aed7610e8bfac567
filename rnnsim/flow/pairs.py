"""Gradient flow of encoder-decoder networks: through the decoder, the boundary and the encoder."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim.checks import FloatArray
from rnnsim.data.labels import flow as labels
from rnnsim.data.labels.results import Result, dataset_of, described, in_a_line
from rnnsim.data.pairs import Pairs
from rnnsim.dynamics.trajectories import Trajectory, loss_gradients, trajectory_of
from rnnsim.flow.layers import back_through_layers
from rnnsim.gradients.pairs import across, boundary, own, some_of
from rnnsim.kernels import Batch
from rnnsim.kernels.dynamics.trajectories import get_rows, row_work, set_rows, take_back
from rnnsim.networks.binding import pair_batch
from rnnsim.networks.encoder_decoder import EncoderDecoder
from rnnsim.networks.stack import Network, Stack
from rnnsim.networks.states import apart, cell_of, states_of

if TYPE_CHECKING:
    import xarray as xr

Floats = npt.NDArray[np.float64]


class FlowNorms(NamedTuple):
    """Norms over B sequences, for N networks, S loss steps and the M places they are taken at.

    log_norms (N, S, M): mean of the logs over the sequences where the norm is not exactly 0 (-inf
    where none is left); live (N, S, M): the fraction of these; log_rms (N, S, M): ln of the root
    mean square over all B; log_std (N, S, M): standard deviation of the logs over live sequences.
    NaN at places behind the loss. All natural logs, float64.
    """

    log_norms: Floats
    live: Floats
    log_rms: Floats
    log_std: Floats

    def to_xarray(self) -> "xr.Dataset":
        """A labelled dataset, as of any result: `PairFlow.to_xarray`."""
        return dataset_of(self, labels.FLOW_NORMS)

    def __repr__(self) -> str:
        return in_a_line(self, labels.FLOW_NORMS)


@dataclass(frozen=True, eq=False, repr=False)
class PairFlow(Result):
    """Where the gradient of every loss goes, from the decoder to the source.

    l[t,b] is the weighted loss of one step and one sequence, without the factor 1/B; norms are over
    the units, or inputs, of one sequence, all as in `GradientFlow`.

    Attributes
    ----------
    steps : (S,) int64
        The steps 1..T of the decoder that carry loss, ascending. Row i below is step ``steps[i]``.
    decoder : FlowNorms
        ||dl[t,b]/dh_j|| at j = 0..T, M = T + 1; NaN where j > t. j = 0 is the boundary. Of LSTMs it
        is that of the whole state (h, c), of stacks that of all layers.
    encoder : FlowNorms
        ||dl[t,b]/ds_j|| at j = 0..T_s, M = T_s + 1, likewise. At j = T_s, beyond the bridge, it is
        that of the decoder's first state where the bridge is an identity and the decoder has no
        memories but those that are handed over.
    source : FlowNorms
        ||dl[t,b]/dx_j|| for the inputs of steps j = 1..T_s, M = T_s: of a captioner, the image.
    first_nonfinite : (N,) int64
        -1 where everything is finite. Else the first step of the way, 1..T_s in the encoder and
        T_s + 1..T_s + T in the decoder, whose state or gradient is not; such rows are NaN.
    """

    _labels = labels.PAIR_FLOW

    steps: npt.NDArray[np.int64]
    decoder: FlowNorms
    encoder: FlowNorms
    source: FlowNorms
    first_nonfinite: npt.NDArray[np.int64]


def pairs_flow(model: EncoderDecoder, pairs: Pairs) -> PairFlow:
    """How much of every loss of the decoder reaches every step before, encoder and source included.

    ::

        dl_t/dh_{j-1} = W_hh^T phi'(a_j) dl_t/dh_j         j = t..1      decoder
        dl_t/ds_T_s   = U_hy^T dl_t/dh_0                                 bridge
        dl_t/dx_j     = U_xh^T phi'(a_j) dl_t/ds_j                       source
        dl_t/ds_{j-1} = U_hh^T phi'(a_j) dl_t/ds_j         j = T_s..1    encoder

    LSTMs and GRUs go the same way with the derivatives of their gates; memories that are handed
    over take dl_t/dc_0 back as it is. Of stacks h and s are the states of all layers, each with the
    others at its step held fixed, and what a step hands back goes down through its layers.

    One pass back over all loss steps at once, in float64 by NumPy. Every row is rescaled as it goes
    and its size kept as a log, so that norms of 10^-2000 or 10^+2000 are right; phi' comes from the
    pre-activation a, so that saturation costs no digits.

    Parameters
    ----------
    model : EncoderDecoder
        N networks.
    pairs : Pairs
        B pairs; shared by all networks or one batch for each.

    Raises
    ------
    TypeError, ValueError
        As in `pairs_bptt`; pairs without any loss.

    Examples
    --------
    A tenth of the gradient is left after every step, on both sides of the boundary:

    >>> import rnnsim
    >>> model = rnnsim.EncoderDecoder.sample(
    ...     n_source_inputs=1, n_inputs=1, n_hidden=8, n_outputs=2, scheme="orthogonal", gain=0.1,
    ...     activation="linear", rng=0)
    >>> target = rnnsim.Sequences(np.zeros((400, 1, 1)), np.ones((400, 1, 2))).last_loss_only()
    >>> flow = pairs_flow(model, rnnsim.Pairs(np.zeros((300, 1, 1)), target))
    >>> decay = flow.encoder.log_norms[0, 0, 0] - flow.decoder.log_norms[0, 0, 400]
    >>> bool(np.isclose(decay, 700 * np.log(0.1)))      # 10^-700, far below the range of float64
    True
    """
    given, (source, target) = model, pair_batch(model, pairs)
    steps = pairs.target.loss_steps
    if model.n_layers == 1:
        model = EncoderDecoder(model.encoder.layers[0], model.decoder.layers[0])
    if steps.size == 0:
        raise ValueError(
            "`pairs` must carry loss at one step of the target at least, but all its `weights` "
            "are 0"
        )
    parts = []
    for n in range(len(model)):
        one = slice(n, n + 1)
        parts.append(_of_one(model[n], own(source, one), some_of(target, one), steps))
    *maps, first = zip(*parts, strict=True)
    decoder, encoder, inputs = (_summarised(np.stack(logs)) for logs in maps)
    flow = PairFlow(steps, decoder, encoder, inputs, np.array(first, np.int64))
    return described(flow, given, pairs)


def _of_one(
    model: EncoderDecoder,
    source: FloatArray,
    target: Batch,
    steps: npt.NDArray[np.int64],
) -> tuple[Floats, Floats, Floats, int]:
    """ln of the norms of one network, (S, B, M) for decoder, encoder, source; first_nonfinite."""
    T_s = source.shape[1]
    first_state, broken = boundary(model, source, None)
    h0, c0 = apart(model.decoder, np.where(np.isfinite(first_state), first_state, 0))
    read = trajectory_of(model.encoder, source, None, first=1)
    written = trajectory_of(model.decoder, target.inputs, h0, c0, first=1)
    start = np.stack([loss_gradients(written, target, t)[0] for t in steps])
    everywhere, units = np.full(len(steps), T_s), np.zeros(start.shape[:2], np.int64)
    whole = model.astype("float64")
    decoder, _, rows, units = _back(
        whole.decoder, target.inputs, written, steps, start, units, inputs=False
    )
    behind = states_of(across(whole, np.split(rows, whole.n_layers, axis=-1)))
    encoder, inputs, *_ = _back(whole.encoder, source, read, everywhere, behind, units, inputs=True)
    first = int(broken[0])
    if first < 0:
        bad = ~np.isfinite(written.states[0]).all(axis=(1, 2))
        lost = np.isnan(np.concatenate([encoder, inputs], axis=2)).any(axis=(1, 2))
        if bad.any():
            first = T_s + int(bad.argmax())
        elif lost.any():
            first = T_s + int(steps[lost.argmax()])
    else:
        decoder[:] = encoder[:] = inputs[:] = np.nan
    return decoder, encoder, inputs, first


def _back(
    network: Network,
    x: FloatArray,
    trajectory: Trajectory,
    steps: npt.NDArray[np.int64],
    start: Floats,
    units: npt.NDArray[np.int64],
    *,
    inputs: bool,
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.int64]]:
    """Gradients `start` (S, B, n) of whole states, each at its own step, down to state 0.

    In units of 2^units; steps ascend. Returns the logs of their norms at states 0..T and, if
    wanted, at inputs 1..T; what arrives at state 0, and its units (S, B).
    """
    if isinstance(network, Stack):
        return back_through_layers(network, x[0], trajectory.states[0], steps, start, units)
    (S, B, _), T = start.shape, trajectory.states.shape[1] - 1
    states, arriving = np.full((S, B, T + 1), np.nan), np.full((S, B, T if inputs else 0), np.nan)
    weights, cell = trajectory.weights, cell_of(network)
    work = row_work(weights, S, B, cell)
    along = (cell, trajectory.states[0], trajectory.kept[0], steps)
    with np.errstate(all="ignore"):
        set_rows(weights, 0, start, units, work)
        take_back(*along, T, 0, work, states, arriving)
        rows = np.empty_like(start)
        get_rows(work, rows)
    return states, arriving, rows, work.exponents


def _summarised(logs: Floats) -> FlowNorms:
    """Statistics over sequences of logs (N, S, B, M); NaN in any sequence is NaN in all of them."""
    dead = np.isneginf(logs)
    count = (~dead).sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = np.where(dead, 0.0, logs).sum(axis=2) / count
        spread = np.where(dead, 0.0, logs - mean[:, :, None]) ** 2
        std = np.sqrt(spread.sum(axis=2) / count)
        peak = logs.max(axis=2, keepdims=True)
        squares = np.exp(2 * (logs - np.where(np.isneginf(peak), 0.0, peak))).mean(axis=2)
        rms = peak[:, :, 0] + 0.5 * np.log(squares)
    unknown = np.isnan(logs).any(axis=2)
    silent = (count == 0) & ~unknown
    mean[silent], rms[silent] = -np.inf, -np.inf
    live = np.where(unknown, np.nan, count / logs.shape[2])
    return FlowNorms(mean, live, rms, std)
