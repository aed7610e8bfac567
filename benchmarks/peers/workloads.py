"""What is measured: workloads with their goals, and the networks and data that all share."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Workload:
    """Sizes of one comparison: N networks, H hidden units, B sequences, T steps, D in, V out.

    `kind` names what is computed; every library's ``CONTESTANTS[kind]`` are its ways to do so.
    `dtypes` are those in which libraries agree: float32 exponents of torch are off by 3e-4 to 1e-3
    from those in float64, rnnsim's by 5e-5. `goal` is how many times faster than the best peer
    rnnsim should be. A call of kind "updates" makes `n_updates` updates of every network, from the
    same batch: SGD at `LEARNING_RATE`, the gradient clipped to the norm `CLIP_NORM`.
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
    goal: float
    last_loss_only: bool = False
    n_updates: int = 1
    dtypes: tuple[str, ...] = ("float32", "float64")

    @property
    def first_loss(self) -> int:
        """The index of the first step that carries loss, counted from 0; all later ones do too."""
        return self.T - 1 if self.last_loss_only else 0

    @property
    def flops(self) -> float:
        """Arithmetic of all forward and backward passes of a call, readout where there is loss.

        Three products with W_hh a step (state, its gradient, dW_hh), two with W_xh (its inputs
        need no gradient), three with W_hy; tanh, softmax, sums and optimisers are not counted.
        """
        readouts = self.T - self.first_loss
        per_sequence = self.T * (3 * self.H + 2 * self.D) + readouts * 3 * self.V
        return 2.0 * self.n_updates * self.N * self.B * self.H * per_sequence

    def shrunk(self) -> "Workload":
        """The same at sizes that take no time: for tests."""
        small = replace(self, N=min(self.N, 10), H=4, B=min(self.B, 3), T=20, D=2, V=3)
        return replace(small, n_updates=min(self.n_updates, 3))


_WIDE = ("float64",)
LEARNING_RATE, CLIP_NORM = 0.01, 1.0

WORKLOADS = (
    Workload("tiny", "gradients of many small networks", "bptt", 1024, 16, 4, 100, 4, 4, 10.0),
    Workload("ensemble", "gradients of an ensemble", "bptt", 256, 64, 16, 200, 8, 8, 8.0),
    Workload("medium", "gradients of larger networks", "bptt", 64, 128, 32, 200, 16, 16, 4.0),
    Workload("large", "gradient of one large network", "bptt", 1, 512, 64, 200, 64, 64, 1.5),
    Workload("flow", "gradient flow over all lags", "flow", 1, 64, 16, 200, 8, 8, 8.0),
    Workload(
        "training",
        "gradients of one training batch, loss at the last step",
        "bptt",
        *(32, 50, 20, 100, 6, 4),
        goal=8.0,
        last_loss_only=True,
    ),
    Workload(
        "updates",
        "20 updates of every network by SGD, clipped by norm; loss at the last step",
        "updates",
        *(32, 50, 20, 100, 6, 4),
        goal=5.0,
        last_loss_only=True,
        n_updates=20,
    ),
    Workload(
        "spectra", "all Lyapunov exponents", "lyapunov", 64, 64, 1, 100, 8, 8, 4.0, dtypes=_WIDE
    ),
    Workload("spectrum", "all exponents of one network", "lyapunov", 1, 256, 1, 40, 8, 8, goal=1.5),
)


@dataclass(frozen=True, eq=False)
class Problem:
    """Plain arrays that every library can take, of one dtype; data are shared by all networks.

    W_xh (N,H,D), W_hh (N,H,H), W_hy (N,V,H), b_h (N,H), b_y (N,V); inputs (T,B,D); targets (T,B),
    class ids, of which only those from ``workload.first_loss`` on count. The loss is the
    cross-entropy in nats, summed over steps and averaged over sequences.
    """

    workload: Workload
    W_xh: Floats
    W_hh: Floats
    W_hy: Floats
    b_h: Floats
    b_y: Floats
    inputs: Floats
    targets: npt.NDArray[np.int64]

    @property
    def weights(self) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """W_xh, W_hh, W_hy, b_h, b_y."""
        return self.W_xh, self.W_hh, self.W_hy, self.b_h, self.b_y


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
    rnn = RNN.sample(w.N, n_inputs=w.D, n_hidden=w.H, n_outputs=w.V, gain=1.0, rng=rng)
    b_h, b_y = 0.1 * rng.normal(size=(w.N, w.H)), 0.1 * rng.normal(size=(w.N, w.V))
    inputs = rng.normal(size=(w.T, w.B, w.D))
    arrays = {"W_xh": rnn.W_xh, "W_hh": rnn.W_hh, "W_hy": rnn.W_hy, "b_h": b_h, "b_y": b_y}
    return Problem(
        workload=workload,
        inputs=inputs.astype(dtype),
        targets=rng.integers(0, w.V, (w.T, w.B)),
        **{name: array.astype(dtype) for name, array in arrays.items()},
    )
