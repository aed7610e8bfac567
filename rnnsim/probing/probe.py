"""A model of PyTorch looked at through a training step: exact gradients through time, any loss."""

import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rnnsim import checks
from rnnsim.diagnosis.result import Diagnosis
from rnnsim.flow.chosen import Choice
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.flow.results import GradientFlow
from rnnsim.networks.stack import Network
from rnnsim.probing.following import Session, follow, taken_over
from rnnsim.probing.modules import as_it_is, followed
from rnnsim.probing.records import ProbeRecord


def probe(module: Any) -> "Probe":
    """Look at a model of PyTorch through forward and backward, whatever its head and loss.

    Every nn.RNN, nn.LSTM and nn.GRU in it is followed, of any depth, with batch_first, packed or
    unbatched sequences, and their cells called in a loop. Inputs, first states and the gradients
    that arrive at `output`, `h_n` and `c_n` are kept: with the weights they give dL/dW, dL/dx and
    every lag exactly, as autograd has them. The model is not changed: outputs are the same to the
    bit, and the hooks are gone when the ``with`` is left, also by an exception. Gradients of the
    model are the same too, but for cells in a loop, where autograd may add up what arrives at a
    state in another order: the last digit. (What ``h.retain_grad()`` keeps of a cell's state there
    is the direct part, without what comes back through time.)

    Gradients do not cross calls: every call of a module is a record, in which lags end at its first
    step. Calls of a cell are one record where each begins with the very state that the one before
    returned; where a model changes it in between (dropout, normalisation), each is its own.

    Parameters
    ----------
    module : torch.nn.Module
        Your model, or a recurrent module itself, which then goes by its class.

    Returns
    -------
    Probe
        A context manager for one training step: entering it anew begins anew.

    Raises
    ------
    TypeError
        What is no module of PyTorch.
    ValueError
        A module without recurrent modules, or none that can be followed: two directions,
        projections, dropout between layers in training mode, parametrized weights.

    Warns
    -----
    UserWarning
        Modules that cannot be followed, beside others that can. At the end of the ``with``: numbers
        of half precision or on another device, which are taken over as float32.

    Examples
    --------
    >>> seen = rnnsim.probe(model)  # doctest: +SKIP
    >>> with seen:  # doctest: +SKIP
    ...     loss = criterion(model(x), y)
    ...     loss.backward()
    >>> windows = rnnsim.sufficient_window(seen.flow(), tolerance=0.1)  # doctest: +SKIP
    """
    return Probe(module)


class Probe:
    """What `probe` returns: a context manager, and what was seen of the last ``with``.

    Parameters
    ----------
    module : torch.nn.Module
        As of `probe`, which says what is raised.
    """

    def __init__(self, module: Any) -> None:
        self._followed = followed(module)
        self._session: Session | None = None
        self._handles: list[Any] = []
        problems = {each.name: why for each in self._followed if (why := as_it_is(each)[1])}
        listing = "; ".join(f"{name!r}: {why}" for name, why in problems.items())
        if all(each.name in problems for each in self._followed):
            raise ValueError(f"`module` has nothing that can be followed: {listing}")
        if problems:
            warnings.warn(f"`module`: not followed are {listing}", UserWarning, stacklevel=3)

    def __enter__(self) -> "Probe":
        if self._handles:
            raise RuntimeError("this probe is in use: leave its `with` before entering it again")
        self._session = Session()
        for each in self._followed:
            self._handles += follow(each, self._session)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        odd = self.leave().odd
        if odd and kind is None:
            warnings.warn(taken_over(odd), UserWarning, stacklevel=2)

    def leave(self) -> Session:
        """Take the hooks off, as the end of the ``with`` does; what was seen."""
        if self._session is None or not self._handles:
            raise RuntimeError("this probe is not in use: enter its `with` before leaving it")
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._session.is_open = False
        return self._session

    def __repr__(self) -> str:
        calls: dict[str, int] = {each.name: 0 for each in self._followed}
        for record in self.records:
            calls[record.module] += 1
        listing = ", ".join(f"{name}: {n} call{'s' * (n != 1)}" for name, n in calls.items())
        return f"Probe({listing if len(listing) < 200 else f'{len(calls)} modules'})"

    @property
    def modules(self) -> tuple[str, ...]:
        """The names of the modules that are followed where they are called."""
        return tuple(dict.fromkeys(each.name for each in self._followed))

    @property
    def records(self) -> tuple[ProbeRecord, ...]:
        """Every call of a module, in the order in which they began."""
        return tuple(self._session.records) if self._session else ()

    @property
    def networks(self) -> Mapping[str, Network]:
        """The network of each module that was called, with the weights of its last call."""
        return {record.module: record.network for record in self.records}

    def record(self, module: str | None = None, call: int | None = None) -> ProbeRecord:
        """One call of one module.

        Parameters
        ----------
        module : str, optional
            Its name, where several were called.
        call : int, optional
            Which call of it; the last unless given.

        Raises
        ------
        TypeError, ValueError
            A module that was not called or cannot be followed, none where several were called, a
            call that there was not.
        """
        wanted = None if module is None else checks.text("module", module)
        records = self._of(wanted)
        if call is None:
            return records[-1]
        last, name = len(records) - 1, records[0].module
        found = checks.whole_number("call", call, least=0)
        if found > last:
            raise ValueError(
                f"`call` must be at most {last}, the last call of {name!r} counted from 0, got "
                f"{found}"
            )
        return records[found]

    def flow(
        self,
        module: str | None = None,
        call: int | None = None,
        *,
        max_lag: int | None = None,
        windows: Choice = "all",
        n_threads: int | None = None,
        per_sequence: bool | None = None,
        state_scale: str | None = None,
    ) -> GradientFlow:
        """`gradient_flow` of one call, of the loss that backward was called on.

        Parameters
        ----------
        module, call
            As of `record`.
        max_lag, windows, n_threads, per_sequence, state_scale
            As of `gradient_flow`.

        Returns
        -------
        GradientFlow
            l is B times the loss that was differentiated.

        Raises
        ------
        TypeError, ValueError
            As of `record` and `gradient_flow`; a call whose gradients are not those of one backward
            pass inside the ``with``, see `ProbeRecord.sequences`.
        """
        record = self._sound(module, call)
        return gradient_flow(
            record.network,
            record.sequences,
            h0=record.h0,
            c0=record.c0,
            max_lag=max_lag,
            windows=windows,
            n_threads=n_threads,
            per_sequence=per_sequence,
            state_scale=state_scale,
        )

    def diagnose(
        self,
        module: str | None = None,
        call: int | None = None,
        *,
        window: int | None = None,
        batch_size: int | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        n_threads: int | None = None,
        progress: bool = False,
    ) -> Diagnosis:
        """`rnnsim.diagnose` of one call, of the loss that backward was called on.

        Parameters
        ----------
        module, call
            As of `record`.
        window, batch_size, clip_norm, clip_value, n_threads, progress
            As of `rnnsim.diagnose`; limits of clipping are of this module's gradients alone.

        Returns
        -------
        Diagnosis
            See `ProbeRecord.diagnose`.

        Raises
        ------
        TypeError, ValueError
            As of `flow`.

        Examples
        --------
        >>> print(seen.diagnose(window=35).summary())  # doctest: +SKIP
        """
        return self._sound(module, call).diagnose(
            window=window, batch_size=batch_size, clip_norm=clip_norm, clip_value=clip_value,
            n_threads=n_threads, progress=progress,
        )  # fmt: skip

    def _sound(self, module: str | None, call: int | None) -> ProbeRecord:
        """One call, where it is the last that is meant, one that gradients arrived at."""
        record = self.record(module, call)
        if call is None and not record.is_sound:
            sound = [str(r.call) for r in self._of(module) if r.is_sound]
            if sound:
                raise ValueError(
                    f"the last call of {record.module!r}, {record.call}, has no gradients of one "
                    f"backward pass; these calls have: give call= {' or '.join(sound)}"
                )
        return record

    def _of(self, wanted: str | None) -> list[ProbeRecord]:
        """The calls of the module that is meant, one at least."""
        if self._session is None:
            raise ValueError("nothing was seen yet: run forward and backward inside `with seen:`")
        called = list(self.networks)
        refused = self._session.refused
        if wanted is None and not called:
            why = "; ".join(
                f"{name!r} cannot be followed: {each}" for name, each in refused.items()
            )
            raise ValueError(why or "no module was called inside the `with`: call the model there")
        if wanted is None and len(called) > 1:
            raise ValueError(
                f"`module` must be one of those that were called, "
                f"{', '.join(map(repr, called))}, got None"
            )
        name = called[0] if wanted is None else self._name(wanted)
        if name not in called and name in refused:
            raise ValueError(f"`module` {name!r} cannot be followed: {refused[name]}")
        if name not in called:
            raise ValueError(f"`module` {name!r} was not called inside the `with`")
        return [record for record in self.records if record.module == name]

    def _name(self, wanted: str) -> str:
        """The whole name of the module that is meant."""
        for each in self._followed:
            if each.goes_by(wanted):
                return each.name
        known = ", ".join(dict.fromkeys(repr(each.name) for each in self._followed))
        raise ValueError(f"`module` must be one of {known}, got {wanted!r}")
