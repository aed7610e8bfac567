"""What a gradient flow is, and how it comes from the sums of the kernels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim.data.labels import flow as labels
from rnnsim.data.labels.results import Labels, Result, dataset_of, in_a_line
from rnnsim.kernels.flow.arrays import FlowArrays, GateArrays

if TYPE_CHECKING:
    import xarray as xr

Floats = npt.NDArray[np.float64]

# Rounding of a gradient in units of epsilon: times the root sum of squares of its terms (errors at
# random), and times its own norm (errors of one sign, over the rows that a product adds at once and
# the lags that a row has gone). Where ||g_K - g|| is smaller, it is not known.
# tests/flow/test_gradient_flow.py holds it against sums of the tail in extended precision.
_RANDOM_ROUNDING = 64.0
_COMMON_ROUNDING = 1024.0


class Windows(NamedTuple):
    """A gradient truncated at M windows beside the full one; E: nothing, or the G gates.

    Attributes
    ----------
    log_norms : (N, M, E)
        ln ||g_K||_F, truncated at window K, stride 1.
    cosine : (N, M, E)
        Between g_K and the full gradient g; NaN where one of them is exactly 0.
    log_error : (N, M, E)
        ln(||g_K - g||_F / ||g||_F). NaN where it is below the floor or g is exactly 0; -inf from
        the window on that reaches step 1 from everywhere.
    log_floor : (N, E)
        ln of the rounding in that error, relative to ||g||; NaN where no window was measured.
    full_log_norm : (N, E)
        ln ||g||_F.
    windows : (M,) int64
        K of each window.
    """

    log_norms: Floats
    cosine: Floats
    log_error: Floats
    log_floor: Floats
    full_log_norm: Floats
    windows: npt.NDArray[np.int64]

    def to_xarray(self) -> "xr.Dataset":
        """A labelled dataset, as of any result: `GradientFlow.to_xarray`."""
        return dataset_of(self, self._labelling())

    def __repr__(self) -> str:
        return in_a_line(self, self._labelling())

    def _labelling(self) -> Labels:
        return labels.WINDOWS if self.log_norms.ndim == 2 else labels.WINDOWS_OF_GATES


@dataclass(frozen=True, eq=False, repr=False)
class GradientFlow(Result):
    """Norms over lags and windows of N networks. All logs are natural, all arrays float64.

    l[t,b] is the weighted loss of one step and one sequence, without the factor 1/B; norms of
    dl[t,b]/dh_{t-k} are over the H units of one sequence. Of an LSTM they are over the 2 H numbers
    of its state (h, c), of which each is differentiated with the other held fixed: c_t takes no
    part in l[t,b] but through h_t, so that its gradient is exactly 0 at lag 0.

    Attributes
    ----------
    steps : (S,) int64
        The steps 1..T that carry loss, ascending. Row i below is step ``steps[i]``.
    log_norms : (N, S, K)
        Mean over sequences of ln ||dl[t,b]/dh_{t-k}||, lag k = 0..K-1, over the sequences where it
        is not exactly 0 (-inf where none is left). NaN where t-k < 1.
    live : (N, S, K)
        Fraction of sequences where it is not exactly 0. NaN where t-k < 1.
    log_rms : (N, S, K)
        ln of the root mean square over all B sequences: what a summed gradient feels.
    log_std : (N, S, K)
        Standard deviation over live sequences (divisor: their number) of the log.
    per_sequence : (N, S, K, B) or None
        ln ||dl[t,b]/dh_{t-k}|| of every sequence, where kept.
    log_norms_h, log_norms_c : (N, S, K)
        The same of h alone (which is `log_norms` of other cells), and of c alone, None without.
    log_norms_path_c : (N, S, K) or None
        Of the path through c alone, S_t dl/dh_t f_t ... f_{t-k+1} with S = o (1 - tanh^2 c): all
        else stays a path that leaves c.
    state_scale : (N, .) or None
        What multiplied the components of the state, h and then c, where asked for.
    share, share_gates : (N, K), (N, K, G)
        <G_k, g> / ||g||^2 for g = dL/dW_hh and G_k what comes from lag k, and its parts by gate:
        they add up to 1 over all lags, or lags and gates. NaN where g is exactly 0. Of all lags,
        whichever windows there are.
    share_W_xh, share_gates_W_xh : (N, K), (N, K, G)
        The same for dL/dW_xh.
    lag_norms, lag_norms_W_xh : (N, K) or None
        ||G_k|| / ||g||, whose sum over k is 1 only where no two lags cancel each other. None where
        windows were chosen: G_k, an outer product of every lag, is what these spare.
    windows : (M,) int64
        The windows K of all that is by windows, ascending: 1..K unless they were chosen.
    gates : Windows
        As the window_* below, for each of the G gate blocks of dL/dW_hh.
    recurrent, recurrent_gates : Windows
        The same for dL/d[W_hh, W_xh, b_h] as one vector, and for the rows of each gate.
    window_log_norms : (N, M)
        ln ||g_K||_F, g_K = dL/dW_hh truncated at window K, stride 1.
    window_cosine : (N, M)
        Cosine between g_K and the full gradient g; NaN where one of them is exactly 0.
    window_log_error : (N, M)
        ln(||g_K - g||_F / ||g||_F). NaN where it is below `window_log_floor` (for medians over
        networks put the floor in its place), or g is exactly 0; -inf from the window on that
        reaches step 1 from everywhere.
    window_log_floor : (N,)
        ln of the rounding in that error, relative to ||g||: the least that can be told from 0. NaN
        where no window was measured.
    full_log_norm : (N,)
        ln ||g||_F.
    joint_log_norms, joint_cosine, joint_log_error : (N, M)
        The same for all five weights and biases together, as one vector.
    joint_log_floor, joint_full_log_norm : (N,)
        Likewise.
    mean_slope : (N,)
        phi' averaged over steps, sequences and units; NaN of gated cells, which have no single one.
    saturated_fraction : (N,)
        Fraction of steps, sequences and units where phi' = 1 - h^2 (relu: h > 0) is exactly 0 in
        this dtype, NaN likewise. (The flow itself takes phi' from the pre-activation.)
    first_nonfinite : (N,) int64
        -1 where everything is finite. Else the first step whose state, loss or gradient is not.
    epsilon : float
        Machine epsilon of the networks' dtype.
    of_layers : tuple of GradientFlow
        Of a stack the flow of each layer, the lowest first, see `layers`; else empty. Above, all
        that is of W_hh, W_xh and b_h is of all layers together, as one vector (of one gate in all
        layers), mean_slope and saturated_fraction are means over layers, and norms are of the state
        of all layers, of which each component is differentiated with all others held fixed.
    """

    _labels = labels.FLOW

    steps: npt.NDArray[np.int64]
    log_norms: Floats
    live: Floats
    log_rms: Floats
    log_std: Floats
    per_sequence: Floats | None
    window_log_norms: Floats
    window_cosine: Floats
    window_log_error: Floats
    window_log_floor: Floats
    full_log_norm: Floats
    joint_log_norms: Floats
    joint_cosine: Floats
    joint_log_error: Floats
    joint_log_floor: Floats
    joint_full_log_norm: Floats
    mean_slope: Floats
    saturated_fraction: Floats
    first_nonfinite: npt.NDArray[np.int64]
    log_norms_h: Floats
    log_norms_c: Floats | None
    log_norms_path_c: Floats | None
    state_scale: Floats | None
    share: Floats
    share_gates: Floats
    share_W_xh: Floats
    share_gates_W_xh: Floats
    lag_norms: Floats | None
    lag_norms_W_xh: Floats | None
    windows: npt.NDArray[np.int64]
    gates: Windows
    recurrent: Windows
    recurrent_gates: Windows
    epsilon: float = float(np.finfo("float64").eps)
    of_layers: tuple["GradientFlow", ...] = ()

    @property
    def layers(self) -> tuple["GradientFlow", ...]:
        """The flow of each layer, the lowest first: windows, shares and gates of its own weights.

        Norms over lags are of h of that layer by all paths, those up through the layers within step
        t-k as well: what reaches the layer's output, 1, 2, 3, ... at lags 0, 1, 2 below the top of
        two layers of the identity, where with the upper states held fixed it is 0, 1, 2, ...
        """
        return self.of_layers or (self,)

    @property
    def log_norms_layers(self) -> Floats:
        """(N, L, S, K): mean over sequences of ln ||dl[t,b]/dh_{t-k}|| by layer, by all paths."""
        return np.stack([layer.log_norms_h for layer in self.layers], axis=1)

    @property
    def n_lags(self) -> int:
        """K."""
        return int(self.log_norms.shape[2])

    def _labelling(self) -> Labels:
        return labels.STACK_FLOW if self.of_layers else labels.FLOW


def flow_of(
    out: FlowArrays,
    steps: npt.NDArray[np.int64],
    windows: npt.NDArray[np.int64] | None,
    B: int,
    dtype: np.dtype[np.floating],
    scales: Floats | None,
    of_layers: tuple[GradientFlow, ...] = (),
) -> GradientFlow:
    """Bring sums over sequences to averages, add the readout, and mark what rounding hides.

    windows: those of the arrays, None for one of every lag.
    """
    batch_log = np.log(B)
    windows = np.arange(1, out.log_norms.shape[2] + 1) if windows is None else windows
    exact = windows >= steps[-1]  # every row has reached step 1
    with np.errstate(invalid="ignore", divide="ignore"):
        floor = _floor(out.hidden_terms, out.hidden_full, out.hidden_full, dtype)
        error = _masked(out.hidden_log_error, floor, out.hidden_full, exact)
        # All weights: the readout's gradient is the same in every window.
        joint_full = 0.5 * np.logaddexp(2 * out.recurrent_full, 2 * out.readout)
        readout = out.readout[:, None]
        joint = 0.5 * np.logaddexp(2 * out.recurrent_log_norm, 2 * readout)
        scale = joint + joint_full[:, None]
        cross = out.recurrent_log_norm + out.recurrent_full[:, None] - scale
        cosine = np.where(np.isneginf(cross), 0.0, out.recurrent_cosine * np.exp(cross))
        joint_cosine = np.clip(cosine + np.exp(2 * readout - scale), -1.0, 1.0)
        joint_cosine[np.isneginf(scale)] = np.nan
        share = (out.recurrent_full - joint_full)[:, None]
        raw_error = np.where(np.isneginf(share), -np.inf, out.recurrent_log_error + share)
        joint_floor = _floor(out.recurrent_terms, out.recurrent_full, joint_full, dtype)
        joint_error = _masked(raw_error, joint_floor, joint_full, exact)
    return GradientFlow(
        steps=steps,
        log_norms=out.log_norms,
        live=out.live,
        log_rms=out.log_rms,
        log_std=out.log_std,
        per_sequence=out.per_sequence if out.per_sequence.size else None,
        window_log_norms=out.hidden_log_norm - batch_log,
        window_cosine=out.hidden_cosine,
        window_log_error=error,
        window_log_floor=floor,
        full_log_norm=out.hidden_full - batch_log,
        joint_log_norms=joint - batch_log,
        joint_cosine=joint_cosine,
        joint_log_error=joint_error,
        joint_log_floor=joint_floor,
        joint_full_log_norm=joint_full - batch_log,
        mean_slope=out.mean_slope,
        saturated_fraction=out.saturated,
        first_nonfinite=out.first_nonfinite,
        **_parts_of_states(out),
        state_scale=scales,
        windows=windows,
        **_by_gate(out, windows, exact, batch_log, dtype),
        epsilon=float(np.finfo(dtype).eps),
        of_layers=of_layers,
    )


def _parts_of_states(out: FlowArrays) -> dict[str, Any]:
    """Norms of h and c, by the names of `GradientFlow`."""
    names = ("log_norms_h", "log_norms_c", "log_norms_path_c")
    if out.parts.shape[3] == 0:
        return dict(zip(names, (out.log_norms, None, None), strict=True))
    return {name: np.ascontiguousarray(out.parts[..., p]) for p, name in enumerate(names)}


def _by_gate(
    out: FlowArrays,
    windows: npt.NDArray[np.int64],
    exact: npt.NDArray[np.bool_],
    batch_log: float,
    dtype: np.dtype[np.floating],
) -> dict[str, Any]:
    """Windows of recurrent weights and of gates, and shares, by the names of `GradientFlow`.

    Where there is one gate alone, it is the whole.
    """

    def compared(
        log_norm: Floats, cosine: Floats, log_error: Floats, full: Floats, terms: Floats
    ) -> Windows:
        with np.errstate(invalid="ignore", divide="ignore"):
            floor = _floor(terms, full, full, dtype)
            error = _masked(log_error, floor, full, exact)
        return Windows(log_norm - batch_log, cosine, error, floor, full - batch_log, windows)

    def gates(whole: tuple[Floats, ...], by_gate: GateArrays) -> Windows:
        several = by_gate.full.shape[1] > 0
        return compared(*(by_gate if several else (array[..., None] for array in whole)))

    hidden, recurrent = (
        tuple(getattr(out, f"{name}_{field}") for field in GateArrays._fields)
        for name in ("hidden", "recurrent")
    )
    found: dict[str, Any] = {
        "gates": gates(hidden, out.hidden_gates),
        "recurrent": compared(*recurrent),
        "recurrent_gates": gates(recurrent, out.recurrent_gates),
    }
    for m, suffix in enumerate(("", "_W_xh")):
        shares = np.ascontiguousarray(out.shares[:, :, m])
        found |= {f"share_gates{suffix}": shares, f"share{suffix}": shares.sum(axis=2)}
        known = out.lag_norms.shape[1] > 0
        norms = np.ascontiguousarray(out.lag_norms[:, :, m]) if known else None
        found[f"lag_norms{suffix}"] = norms
    return found


def _floor(terms: Floats, own_full: Floats, full: Floats, dtype: np.dtype[np.floating]) -> Floats:
    """ln of the rounding of the windows' sums relative to the full gradient; NaN if that is 0."""
    size = np.logaddexp(terms + np.log(_RANDOM_ROUNDING), own_full + np.log(_COMMON_ROUNDING))
    floor = np.log(np.finfo(dtype).eps) + size - full
    return np.where(np.isneginf(full), np.nan, floor)


def _masked(log_error: Floats, floor: Floats, full: Floats, exact: npt.NDArray[np.bool_]) -> Floats:
    error = np.where(log_error < floor[:, None], np.nan, log_error)
    known = np.isfinite(full)  # a full gradient of exactly 0, or beyond even scaled range, has none
    error[:, exact] = np.where(known[:, None], -np.inf, error[:, exact])
    return error


def check_flow(flow: GradientFlow) -> None:
    """Refuse what is no gradient flow.

    Raises
    ------
    TypeError
        Something else.
    """
    if not isinstance(flow, GradientFlow):
        raise TypeError(
            f"`flow` must be what gradient_flow returns, a GradientFlow, got {type(flow).__name__}"
        )
