"""Cost laws: how rnnsim's time grows with each size, beside the growth that the algorithm has."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from ..peers.contestants import cores

_BUDGET = 1.5  # seconds of calls at each point
_MOST_CALLS = 7


@dataclass(frozen=True)
class Setting:
    """What is run: `bptt`, or `gradient_flow` where ``flow``. None: all steps, all lags, all cores.

    Loss is at the last `loss_steps` steps; `n_lags` is K.
    """

    flow: bool = False
    N: int = 64
    H: int = 64
    B: int = 16
    T: int = 100
    D: int = 8
    V: int = 8
    loss_steps: int | None = None
    n_lags: int | None = None
    n_threads: int | None = None


@dataclass(frozen=True)
class Law:
    """Time against one field of a setting: `values` of it, all else fixed, and the slope expected.

    Slopes are those of ln(time) against ln(value) where values are large.
    """

    field: str
    label: str
    expected: float
    values: tuple[int, ...]
    setting: Setting

    @property
    def function(self) -> str:
        """What is timed, by name."""
        return "gradient_flow" if self.setting.flow else "bptt"

    @property
    def title(self) -> str:
        """Function and variable, as in a heading."""
        return f"{self.function}: {self.label}"

    def shrunk(self) -> "Law":
        """The same at sizes that take no time: for tests."""
        small = replace(self.setting, N=2, H=4, B=2, T=8, D=2, V=2)
        return replace(
            self, values=(1, 2) if self.field == "n_threads" else (2, 4, 8), setting=small
        )


@dataclass(frozen=True, eq=False)
class Measured:
    """Best times (seconds) of a law by dtype, in the order of its values."""

    law: Law
    seconds: dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Fit:
    """A straight line through the logs of the points from `first` to `last`.

    `error` is the slope's standard error, NaN with two points; `slope` is NaN with one.
    """

    slope: float
    error: float
    first: float
    last: float

    def __str__(self) -> str:
        if not np.isfinite(self.slope):
            return "one point"
        return f"{self.slope:.2f}" + (f" ± {self.error:.2f}" if np.isfinite(self.error) else "")


def _doubling(first: int, last: int) -> tuple[int, ...]:
    return tuple(first * 2**i for i in range(int(np.log2(last / first)) + 1))


def laws() -> tuple[Law, ...]:
    """All sweeps. Those of flow have two networks, one for each core of a small machine."""
    flow = Setting(flow=True, N=2)
    return (
        Law("N", "networks N", 1.0, _doubling(2, 512), Setting()),
        Law("T", "steps T", 1.0, _doubling(10, 2560), Setting(N=32)),
        Law("B", "sequences B", 1.0, _doubling(1, 256), Setting()),
        Law("H", "hidden units H", 2.0, _doubling(8, 512), Setting(N=16)),
        Law("n_threads", "threads", -1.0, _doubling(1, cores()), Setting(N=240)),
        Law("n_lags", "lags K", 1.0, _doubling(16, 512), replace(flow, T=1024, loss_steps=8)),
        Law("loss_steps", "loss steps S", 1.0, _doubling(8, 512), replace(flow, T=1024, n_lags=64)),
        Law("T", "steps T (loss at all, all lags)", 2.0, _doubling(25, 400), flow),
        Law(
            "T",
            "steps T (loss at the last, all lags)",
            1.0,
            _doubling(250, 8000),
            replace(flow, loss_steps=1),
        ),
    )


def measure(
    chosen: Sequence[Law], dtypes: Iterable[str], tell: Callable[[str], None] = lambda _: None
) -> list[Measured]:
    """Best time of every point of every law; `tell` hears what is going on."""
    results = []
    for law in chosen:
        seconds = {}
        for dtype in dtypes:
            times = []
            for value in law.values:
                tell(f"{law.title} = {value}, {dtype}")
                changed: dict[str, Any] = {law.field: value}
                times.append(_best(call(replace(law.setting, **changed), dtype)))
            seconds[dtype] = np.array(times)
        results.append(Measured(law, seconds))
    return results


def call(setting: Setting, dtype: str) -> Callable[[], Any]:
    """The call that is timed, with its networks and data drawn."""
    import rnnsim

    s, rng = setting, np.random.default_rng(0)
    rnn = rnnsim.RNN.sample(
        s.N, n_inputs=s.D, n_hidden=s.H, n_outputs=s.V, gain=1.0, dtype=dtype, rng=rng
    )
    weights = np.ones((s.T, s.B))
    weights[: s.T - (s.loss_steps or s.T)] = 0.0
    inputs, targets = rng.normal(size=(s.T, s.B, s.D)), rng.integers(0, s.V, (s.T, s.B))
    batch = rnnsim.Sequences(inputs, targets, weights).astype(dtype)
    if not s.flow:
        return lambda: rnnsim.bptt(rnn, batch, n_threads=s.n_threads)
    max_lag = None if s.n_lags is None else s.n_lags - 1
    return lambda: rnnsim.gradient_flow(rnn, batch, max_lag=max_lag, n_threads=s.n_threads)


def _best(run: Callable[[], Any]) -> float:
    run()
    times: list[float] = []
    while len(times) < _MOST_CALLS and sum(times) < _BUDGET:
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return min(times)


def fit(values: npt.ArrayLike, seconds: npt.ArrayLike) -> Fit:
    """The slope at the large end: from a quarter of the largest value on."""
    x, y = np.asarray(values, dtype=float), np.asarray(seconds, dtype=float)
    large = 4 * x >= x.max()
    if large.sum() < 2:
        return Fit(float("nan"), float("nan"), float(x.max()), float(x.max()))
    u, v = np.log(x[large]), np.log(y[large])
    u_mean, v_mean = u.mean(), v.mean()
    spread = ((u - u_mean) ** 2).sum()
    slope = ((u - u_mean) * (v - v_mean)).sum() / spread
    residual = v - v_mean - slope * (u - u_mean)
    free = u.size - 2
    error = np.sqrt((residual**2).sum() / free / spread) if free else float("nan")
    return Fit(float(slope), float(error), float(x[large].min()), float(x.max()))
