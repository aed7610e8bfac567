"""What is measured: workloads with their goals, and the networks and data that all share."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
ByDtype = dict[str, float]

BLOCKS = {"vanilla": 1, "lstm": 4, "gru": 3}  # G, products of each step with W_xh and W_hh
LEARNING_RATE, CLIP_NORM = 0.01, 1.0


def _goal(narrow: float, wide: float | None = None) -> ByDtype:
    """Of float32 and float64; one number is for both."""
    return {"float32": narrow, "float64": narrow if wide is None else wide}


@dataclass(frozen=True)
class Workload:
    """Sizes of one comparison: N networks, H hidden units, B sequences, T steps, D in, V out.

    `kind` names what is computed; every library's ``CONTESTANTS[kind]`` are its ways to do so.
    `dtypes` are those in which libraries agree: float32 exponents of torch are off by 3e-4 to 1e-3
    from those in float64, rnnsim's by 5e-5. Goals by dtype: `fraction` of the arithmetic limit, and
    `ratio` of the best peer's time to rnnsim's; `ported` is the ratio to peers that run rnnsim's
    own algorithm. A call of kind "updates" makes `n_updates` updates of every network, from the
    same batch: SGD at `LEARNING_RATE`, the gradient clipped to the norm `CLIP_NORM`. Of kind
    "pairs" an encoder of T steps without loss hands its state to a decoder of T steps.
    """

    name: str
    what: str
    kind: str
    N: int
    H: int
    B: int
    T: int
    D: int
    V: int
    fraction: ByDtype = field(default_factory=dict)
    ratio: ByDtype = field(default_factory=dict)
    ported: ByDtype = field(default_factory=dict)
    cell: str = "vanilla"
    n_layers: int = 1
    last_loss_only: bool = False
    n_updates: int = 1
    dtypes: tuple[str, ...] = ("float32", "float64")

    @property
    def first_loss(self) -> int:
        """The index of the first step that carries loss, counted from 0; all later ones do too."""
        return self.T - 1 if self.last_loss_only else 0

    @property
    def flops(self) -> float | None:
        """Arithmetic of the products that a call cannot do without; None where none is defined.

        Of gradients three products with W_hh a step (state, its gradient, dW_hh), two with W_xh,
        whose inputs need no gradient, three with that of a layer above another, three with W_hy
        where there is loss. Of the flow one product with W_hh for each row that goes one step back,
        T^2/2 of them for each sequence; for windows the outer product of each row with
        [h, x, 1] as well.
        """
        N, H, B, T, D = self.N, self.H, self.B, self.T, self.D
        if self.kind == "flow":
            return 2.0 * (T**2 / 2) * N * B * H * H
        if self.kind == "windows":
            return 4.0 * (T**2 / 2) * N * B * H * (H + (D + 1) / 2)
        if self.kind == "lyapunov":
            return None
        lowest = (3 * H + 2 * D) * (2 if self.kind == "pairs" else 1)
        steps = T * BLOCKS[self.cell] * (lowest + (self.n_layers - 1) * (3 * H + 3 * H))
        return 2.0 * self.n_updates * N * B * H * (steps + 3 * (T - self.first_loss) * self.V)

    def shrunk(self) -> "Workload":
        """The same at sizes that take no time: for tests."""
        small = replace(self, N=min(self.N, 10), H=4, B=min(self.B, 3), T=20, D=2, V=3)
        return replace(small, n_updates=min(self.n_updates, 3))


_SMALL, _GATED = (32, 50, 20, 100, 6, 4), (32, 64, 16, 200, 8, 8)  # N, H, B, T, D, V

WORKLOADS = (
    Workload(
        "tiny",
        "gradients of many small networks",
        "bptt",
        *(1024, 16, 4, 100, 4, 4),
        fraction=_goal(0.32, 0.42),
        ratio=_goal(5.0),
    ),
    Workload(
        "ensemble",
        "gradients of an ensemble",
        "bptt",
        *(256, 64, 16, 200, 8, 8),
        fraction=_goal(0.78, 0.80),
        ratio=_goal(2.0),
    ),
    Workload(
        "medium",
        "gradients of larger networks",
        "bptt",
        *(64, 128, 32, 200, 16, 16),
        fraction=_goal(0.86),
        ratio=_goal(1.75),
    ),
    Workload(
        "large",
        "gradient of one large network",
        "bptt",
        *(1, 512, 64, 200, 64, 64),
        fraction=_goal(0.86, 0.82),
        ratio=_goal(1.4),
    ),
    Workload(
        "update",
        "gradients of one training batch, loss at the last step",
        "bptt",
        *_SMALL,
        fraction=_goal(0.65, 0.70),
        ratio=_goal(2.2),
        last_loss_only=True,
    ),
    Workload(
        "training",
        "20 updates of every network by SGD, clipped by norm; loss at the last step",
        "updates",
        *_SMALL,
        ratio=_goal(1.8),
        last_loss_only=True,
        n_updates=20,
    ),
    Workload(
        "lstm",
        "gradients of LSTMs",
        "bptt",
        *_GATED,
        fraction=_goal(0.70),
        ratio=_goal(2.2, 3.0),
        cell="lstm",
    ),
    Workload(
        "gru",
        "gradients of GRUs",
        "bptt",
        *_GATED,
        fraction=_goal(0.70),
        ratio=_goal(2.2),
        cell="gru",
    ),
    Workload(
        "stack",
        "gradients of two layers of LSTMs",
        "bptt",
        *_GATED,
        ratio=_goal(2.0, 2.5),
        cell="lstm",
        n_layers=2,
    ),
    Workload("pairs", "gradients of encoders and decoders", "pairs", 32, 64, 16, 100, 8, 8),
    Workload(
        "flow",
        "norms of the gradient at all lags",
        "flow",
        *(1, 64, 16, 200, 8, 8),
        ratio=_goal(6.0),
        ported=_goal(1.6),
    ),
    Workload(
        "windows",
        "norms at all lags, and norm and cosine of the gradient of every window",
        "windows",
        *(1, 64, 16, 200, 8, 8),
        fraction=_goal(0.70, 0.75),
        ratio=_goal(6.0),
    ),
    Workload(
        "spectra",
        "all Lyapunov exponents",
        "lyapunov",
        *(64, 64, 1, 100, 8, 8),
        ratio=_goal(4.0),
        dtypes=("float64",),
    ),
    Workload(
        "spectrum",
        "all exponents of one network",
        "lyapunov",
        *(1, 256, 1, 40, 8, 8),
        ratio=_goal(1.5),
    ),
)


@dataclass(frozen=True, eq=False)
class Problem:
    """Plain arrays that every library can take, of one dtype; data are shared by all networks.

    W_xh (N,G*H,D), W_hh (N,G*H,H), W_hy (N,V,H), b_h (N,G*H), of GRUs (N,4*H), b_y (N,V); of a
    stack those of the top, which reads H numbers. `before`: W_xh, W_hh and b_h of the layer below,
    or of the encoder, which reads `sources` (T,B,D). Gates stand in PyTorch's order. Inputs
    (T,B,D); targets (T,B), class ids, of which only those from ``workload.first_loss`` on count.
    The loss is the cross-entropy in nats, summed over steps and averaged over sequences.
    """

    workload: Workload
    W_xh: Floats
    W_hh: Floats
    W_hy: Floats
    b_h: Floats
    b_y: Floats
    before: tuple[Floats, ...]
    inputs: Floats
    targets: npt.NDArray[np.int64]
    sources: Floats

    @property
    def weights(self) -> tuple[Floats, ...]:
        """W_xh, W_hh, W_hy, b_h, b_y, and what stands before them."""
        return self.W_xh, self.W_hh, self.W_hy, self.b_h, self.b_y, *self.before


def first_frame(problem: Problem) -> Floats:
    """Vectors (H, H) from which every library takes its first frame: those that rnnsim draws."""
    H = problem.workload.H
    draw = np.random.default_rng(0).standard_normal((H, H)).astype(problem.W_hh.dtype)
    return np.ascontiguousarray(draw.T)


def draw(workload: Workload, dtype: str) -> Problem:
    """Networks of gain 1 with small random biases, normal inputs, random classes.

    Drawn in float64 and rounded: both dtypes hold the same problem.
    """
    from rnnsim import RNN  # not at the top: peers unpickle problems in processes without rnnsim

    w, rng = workload, np.random.default_rng(0)

    def network(n_inputs: int, n_outputs: int) -> dict[str, Floats]:
        sizes: dict[str, Any] = {"n_inputs": n_inputs, "n_hidden": w.H, "n_outputs": n_outputs}
        found = RNN.sample(w.N, **sizes, cell=w.cell, gain=1.0, rng=rng).weights._asdict()
        return found | {b: 0.1 * rng.normal(size=found[b].shape) for b in ("b_h", "b_y")}

    own = network(w.D if w.n_layers == 1 else w.H, w.V)
    two = w.n_layers == 2 or w.kind == "pairs"
    lower = network(w.D, 0) if two else {}
    inputs, sources = (rng.normal(size=(w.T, w.B, w.D)) for _ in range(2))
    return Problem(
        workload=workload,
        before=tuple(lower[name].astype(dtype) for name in ("W_xh", "W_hh", "b_h") if lower),
        inputs=inputs.astype(dtype),
        targets=rng.integers(0, w.V, (w.T, w.B)),
        sources=sources.astype(dtype),
        **{name: array.astype(dtype) for name, array in own.items()},
    )
