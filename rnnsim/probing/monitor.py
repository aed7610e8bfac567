"""A probe every so many training steps: gradients through time while a model learns."""

import math
import warnings
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rnnsim import checks
from rnnsim.data.datasets import Variable, attributes, labelled, nothing_yet
from rnnsim.probing.following import Session, taken_over
from rnnsim.probing.measures import Measured, measured
from rnnsim.probing.probe import Probe

if TYPE_CHECKING:
    import xarray as xr

_OF_CALLS = ("step", "module")
VARIABLES = {
    "step": Variable(("step",), "steps", "training step, 0 the first", int),
    "module": Variable(("module",), "1", "recurrent module of the model"),
    "log_change": Variable(
        (*_OF_CALLS, "lag"), "nats",
        "mean over losses and sequences of ln(||dl_t/dh_{t-k}|| / ||dl_t/dh_t||)"),
    "share_beyond": Variable(
        _OF_CALLS, "1", "share of dL/d[W_hh, W_xh, b_h] that comes from beyond the window"),
    "bias2": Variable(
        _OF_CALLS, "||mean gradient||^2", "bias^2 of the window, an estimate that may be below 0"),
    "variance": Variable(
        _OF_CALLS, "||mean gradient||^2", "variance of a batch's gradient cut at the window"),
    "lambda_1": Variable(
        _OF_CALLS, "nats/step", "largest Lyapunov exponent, mean over two sequences"),
    "n_steps": Variable(_OF_CALLS, "steps", "length T of the call, -1 where there is none", int),
    "n_sequences": Variable(
        _OF_CALLS, "1", "sequences that were looked at, -1 where there are none", int),
    "gradient_norm": Variable(("step",), "1", "norm of the gradients of all parameters together"),
    "clip_factor": Variable(("step",), "1", "factor that clipping brings this norm down by"),
}  # fmt: skip
_NUMBERS = ("share_beyond", "bias2", "variance", "lambda_1")


class _Row(NamedTuple):
    """What is known of a step: of the whole model, and of each module."""

    gradient_norm: float
    clip_factor: float
    modules: Mapping[str, Measured]


class Monitor:
    """Gradients through time while a model of PyTorch learns, every so many training steps.

    ::

        log_change      mean of ln(||dl_t/dh_{t-k}|| / ||dl_t/dh_t||) at lags k = 1, 2, 4, ...
        share_beyond    <g - g_K, g> / ||g||^2            g_K is cut at `window`, stride 1
        bias2           ||E g_K - E g||^2 / ||g||^2       estimated from single sequences
        variance        E||g_K - E g_K||^2 / ||g||^2      of a batch as large as the call's
        lambda_1        largest Lyapunov exponent, mean over two sequences; from T = 23 on
        gradient_norm   norm of .grad of all parameters of the model, recurrent or not
        clip_factor     min(1, clip_norm / gradient_norm)

    Every step of training is a ``with``, from the forward pass to behind backward::

        with monitor:
            criterion(model(x), y).backward()
        optimizer.step()

    Steps ``0, every, 2 every, ...`` are probed; the others have no hooks and cost nothing. Of each
    recurrent module the last call that a gradient arrived at is measured, on `n_sequences` of its
    sequences, evenly spaced in the batch from the first on. That is exact for them: g is the
    gradient of [W_hh, W_xh, b_h] of all layers, mean over these sequences; `log_change` is of the
    whole state of all layers by all paths, over the middle and the last loss of each sequence where
    it is not 0, and -inf where it is 0 for all (below the normal range: at 1e-38 of that at lag 0
    in float32). Gradients do not cross calls. `gradient_norm` is what
    `clip_grad_norm_` finds where the ``with`` is left: leave it before clipping and zero_grad. With
    a gradient scaler it has the scale in it, unless `unscale_` is called in the ``with``.

    The work depends on the sizes and on these arguments alone. For an LSTM of 128 units, 100 steps
    and 32 sequences, on two cores, a probed step takes as long as 2.3 training steps more, 4.7 with
    a window of 20, 5.5 with one of 50: so many per cent at every 100; `n_sequences` multiplies it.
    The first step of all that is probed waits for kernels to be compiled, once for each cell on a
    machine.

    What goes wrong in the model passes through, and leaves no row. What goes wrong in measuring it
    (no gradient, NaN, a module that cannot be followed in this step) is NaN in the row, is said by
    a warning once for each module, and never ends the training.

    Parameters
    ----------
    module : torch.nn.Module
        Your model, as for `probe`.
    every : int
        How many steps there are from one that is probed to the next.
    to : object with add_scalar, or callable, optional
        Where numbers go beside the dataset: a TensorBoard ``SummaryWriter``, or a function
        ``to(step, numbers)`` of a dict such as ``{"rnnsim/lstm/log_change/lag_16": -2.3}``. Numbers
        that are not known are left out. What it raises is not caught.
    window : int, optional
        K: what is lost by truncation there. `share_beyond`, `bias2`, `variance` are NaN without.
    clip_norm : float, optional
        The norm that one clips at; `clip_factor` is NaN without.
    n_sequences : int
        How many sequences of a batch are looked at; `bias2` and `variance` need two.
    step : int
        The number of the next step: where a training goes on. Also an attribute that can be set.
    n_threads : int, optional
        All cores unless given; it does not change the result.

    Raises
    ------
    TypeError, ValueError
        As of `probe`; numbers below 1; a `to` that is neither.

    Examples
    --------
    >>> monitor = rnnsim.Monitor(model, every=100, window=35)  # doctest: +SKIP
    >>> for x, y in batches:  # doctest: +SKIP
    ...     with monitor:
    ...         criterion(model(x), y).backward()
    ...     optimizer.step(); optimizer.zero_grad()
    >>> monitor.to_xarray().log_change.sel(lag=16)  # doctest: +SKIP
    """

    def __init__(
        self,
        module: Any,
        every: int = 100,
        to: Any = None,
        *,
        window: int | None = None,
        clip_norm: float | None = None,
        n_sequences: int = 3,
        step: int = 0,
        n_threads: int | None = None,
    ) -> None:
        self._probe = Probe(module)
        self._module, self._every, self._send = module, checks.size("every", every), _sender(to)
        self._window = None if window is None else checks.size("window", window)
        self._clip = None
        if clip_norm is not None:
            self._clip = checks.real_number("clip_norm", clip_norm, above=0.0)
        self._n_sequences = checks.size("n_sequences", n_sequences)
        self._n_threads = None if n_threads is None else checks.size("n_threads", n_threads)
        self.step = step
        self._rows: dict[int, _Row] = {}
        self._warned: set[str] = set()
        self._is_open = self._is_probed = False

    @property
    def step(self) -> int:
        """The number of the next step, or of this one inside the ``with``."""
        return self._step

    @step.setter
    def step(self, value: int) -> None:
        self._step = checks.whole_number("step", value, least=0)

    def __enter__(self) -> "Monitor":
        if self._is_open:
            raise RuntimeError("this monitor is in use: leave its `with` before entering it again")
        self._is_probed = self._step % self._every == 0
        if self._is_probed:
            self._probe.__enter__()
        self._is_open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        step, self._step, self._is_open = self._step, self._step + 1, False
        if not self._is_probed:
            return
        session = self._probe.leave()
        if kind is None:
            self._rows[step] = self._row(session)
            if self._send is not None:
                self._send(step, self._named(self._rows[step]))

    def __repr__(self) -> str:
        names = ", ".join(self._probe.modules)
        names = names if len(names) < 200 else f"{len(self._probe.modules)} modules"
        counts = f"every={self._every}, step={self._step}, n_probed={len(self._rows)}"
        return f"Monitor({names}, {counts})"

    @property
    def last(self) -> dict[str, float]:
        """The numbers of the last step that was probed, as `to` gets them; at first none."""
        return self._named(self._rows[max(self._rows)]) if self._rows else {}

    def to_xarray(self) -> "xr.Dataset":
        """All numbers so far, over ``step``, ``module`` and ``lag``.

        A step takes some 100 bytes for each module. Of a step that was taken twice, as after going
        back to a checkpoint by ``monitor.step = ...``, the later one is there.

        Returns
        -------
        xarray.Dataset
            NaN where nothing is known: a module that was not called, a lag that the sequences do
            not have, a number that was not asked for.
        """
        steps, names = sorted(self._rows), self._probe.modules
        found = [m for row in self._rows.values() for m in row.modules.values()]
        lags = sorted({lag for each in found for lag in each.log_changes})
        axes = {"step": tuple(steps), "module": tuple(names), "lag": tuple(lags)}
        own = {name: v for name, v in VARIABLES.items() if name not in axes}
        values = {name: nothing_yet(v, axes) for name, v in own.items()}
        for i, row in enumerate(self._rows[step] for step in steps):
            values["gradient_norm"][i], values["clip_factor"][i] = row[:2]
            for name, each in row.modules.items():
                at = i, names.index(name)
                for number in (*_NUMBERS, "n_steps", "n_sequences"):
                    values[number][at] = getattr(each, number)
                for lag, change in each.log_changes.items():
                    values["log_change"][(*at, lags.index(lag))] = change
        configuration = {
            "result": "Monitor", "every": self._every, "window": self._window,
            "clip_norm": self._clip, "n_sequences": self._n_sequences,
        }  # fmt: skip
        return labelled(axes, VARIABLES, values, attributes(configuration, {}))

    def _row(self, session: Session) -> _Row:
        """What is known of the step that was just seen."""
        found = {}
        for name in self._probe.modules:
            calls = [record for record in session.records if record.module == name]
            sound = [record for record in calls if record.is_sound]
            try:
                if name in session.refused:
                    raise ValueError(session.refused[name])
                if calls:
                    record = (sound or calls)[-1]
                    found[name] = measured(record, self._window, self._n_sequences, self._n_threads)
            except Exception as trouble:  # whatever it is, the training goes on
                self._warn(name, f"step {self._step - 1}: {name!r} is not measured: {trouble}")
        if not session.records and not session.refused:
            self._warn("", "no module was called inside the `with`: call the model there")
        odd = {name: kinds for name, kinds in session.odd.items() if name not in self._warned}
        if odd:
            self._warn(" and ".join(odd), taken_over(odd))
        norm = _gradient_norm(self._module)
        factor = math.nan
        if self._clip is not None and not math.isnan(norm):
            factor = min(1.0, self._clip / norm) if norm else 1.0
        return _Row(norm, factor, found)

    def _warn(self, about: str, message: str) -> None:
        """Say it once for each module."""
        if about not in self._warned:
            self._warned.add(about)
            warnings.warn(f"{message} (said once)", UserWarning, stacklevel=4)

    def _named(self, row: _Row) -> dict[str, float]:
        """What is known, by the names that writers get."""
        found = {"rnnsim/gradient_norm": row[0], "rnnsim/clip_factor": row[1]}
        for name, each in row.modules.items():
            of = f"rnnsim/{name}"
            found |= {f"{of}/log_change/lag_{k}": v for k, v in each.log_changes.items()}
            found |= {f"{of}/{number}": getattr(each, number) for number in _NUMBERS}
        return {name: float(value) for name, value in found.items() if not math.isnan(value)}


def _sender(to: Any) -> Callable[[int, dict[str, float]], Any] | None:
    """What hands numbers on."""
    if to is None:
        return None
    add_scalar = getattr(to, "add_scalar", None)
    if callable(add_scalar) and not isinstance(to, type):

        def write(step: int, numbers: dict[str, float]) -> None:
            for name, value in numbers.items():
                add_scalar(name, value, step)

        return write
    if isinstance(to, type) or not callable(to) or not checks.can_be_called(to, 2):
        raise TypeError(
            "`to` must be a writer with add_scalar, as of torch.utils.tensorboard, or a callable "
            "`to(step, numbers)`, such as lambda step, numbers: print(step, numbers), got "
            f"{checks.shown(to)}"
        )
    send: Callable[[int, dict[str, float]], Any] = to
    return send


def _gradient_norm(module: Any) -> float:
    """The norm of the gradients of all parameters; NaN where none has one."""
    held = [p.grad for p in module.parameters() if getattr(p, "grad", None) is not None]
    norms = [float(gradient.detach().float().norm().item()) for gradient in held]
    return float(np.hypot.reduce(norms)) if norms else math.nan
