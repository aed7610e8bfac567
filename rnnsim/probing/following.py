"""Hooks of one `with`: what is kept of each call, and how states of cells go through a loop."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from rnnsim.checks import FloatArray
from rnnsim.networks.stack import Network
from rnnsim.probing.arrivals import Arrivals, Placed
from rnnsim.probing.modules import Followed, as_it_is
from rnnsim.probing.records import ProbeRecord, Seen
from rnnsim.probing.tensors import Layout, copied, is_packed, layout_of, oddity, version

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


class Session:
    """What one `with` sees: its records, and why other modules have none."""

    def __init__(self) -> None:
        self.is_open = True
        self.records: list[ProbeRecord] = []
        self.refused: dict[str, str] = {}
        self.oddities: dict[str, set[str]] = {}
        self._calls: Counter[str] = Counter()
        self._passes: Counter[int] = Counter()
        self._broken: set[str] = set()

    @property
    def odd(self) -> dict[str, str]:
        """Modules with tensors that are not of float32 or float64 in main memory, and of what."""
        return {name: ", ".join(sorted(each)) for name, each in self.oddities.items() if each}

    def arrivals(self, each: Followed) -> Arrivals:
        """For the gradients of a call, as long as the `with` lasts."""
        return Arrivals(lambda: self.is_open, lambda: self._passes[id(each.module)])

    def count_passes(self, each: Followed) -> list[Any]:
        """Count backward passes through a module, as its lowest W_hh has a gradient once in each.

        That is after all gradients of the pass have arrived at what the module returned. The handle
        that ends it; none where these weights are not trained.
        """
        held = dict(each.module.named_parameters())
        lowest = held.get("weight_hh" if each.is_cell else "weight_hh_l0")
        if lowest is None or not lowest.requires_grad:
            return []

        def passed(_: Any) -> None:
            self._passes[id(each.module)] += 1

        return [lowest.register_hook(_uncompiled(passed))]

    def network(self, each: Followed) -> Network | None:
        """The network that a module is in this call, or None, and then why."""
        if each.name in self._broken:
            return None
        found, problem = as_it_is(each)
        if found is None:
            self.refused[each.name] = problem
        return found

    @contextmanager
    def guarded(self, each: Followed) -> Iterator[None]:
        """What goes wrong while a call is looked at is said later, and leaves the model alone."""
        try:
            yield
        except Exception as error:  # whatever the framework makes of it
            self.refused[each.name] = f"what it read and made cannot be kept ({error})"
            self.records = [record for record in self.records if record.module != each.name]
            self._broken.add(each.name)

    def add(
        self,
        each: Followed,
        network: Network,
        starts: tuple[FloatArray, FloatArray | None],
        seen: Seen,
    ) -> None:
        """One more record."""
        call = self._calls[each.name]
        self._calls[each.name] += 1
        h0, c0 = (a if a is None else a.astype(network.dtype) for a in starts)
        assert h0 is not None
        self.records.append(ProbeRecord(each.name, call, network, h0, c0, each.shares, seen))
        self.oddities.setdefault(each.name, set()).update(seen.oddities)


def taken_over(odd: Mapping[str, str]) -> str:
    """What is said of these modules."""
    listing = "; ".join(f"{name!r} ({kinds})" for name, kinds in odd.items())
    return (
        f"numbers of {listing} are taken over as float32 in main memory (float64 stays): what is "
        "computed from them differs by their rounding"
    )


def _uncompiled(hook: Any) -> Any:
    """The same hook, which torch.compile, where it is in use and so is loaded, leaves alone."""
    compiler = sys.modules.get("torch._dynamo")
    return hook if compiler is None else compiler.disable(hook)


def follow(each: Followed, session: Session) -> list[Any]:
    """Hook onto a module; the handles that take the hooks off."""
    handles = session.count_passes(each)
    if not each.is_cell:
        after = _uncompiled(_Layers(each, session).after)
        return [*handles, each.module.register_forward_hook(after, with_kwargs=True)]
    cell = _Cell(each, session)
    return [
        *handles,
        each.module.register_forward_pre_hook(_uncompiled(cell.before), with_kwargs=True),
        each.module.register_forward_hook(_uncompiled(cell.after), with_kwargs=True),
    ]


def _given(args: Args, kwargs: Kwargs) -> tuple[Any, Any]:
    """Inputs and first states of a call."""
    x = args[0] if args else kwargs.get("input")
    return x, args[1] if len(args) > 1 else kwargs.get("hx")


def _parts(states: Any) -> tuple[Any, ...]:
    """The tensors h, or h and c."""
    return tuple(states) if isinstance(states, tuple | list) else (states,)


def _odd(*tensors: Any) -> set[str]:
    return {words for tensor in tensors if (words := oddity(tensor))}


class _Layers:
    """Of nn.RNN, nn.LSTM, nn.GRU: every call is a record."""

    def __init__(self, each: Followed, session: Session) -> None:
        self._each, self._session = each, session

    def after(self, module: Any, args: Args, kwargs: Kwargs, output: Any) -> None:
        network = self._session.network(self._each)
        if network is not None:
            with self._session.guarded(self._each):
                self._keep(network, module, args, kwargs, output)

    def _keep(self, network: Network, module: Any, args: Args, kwargs: Kwargs, output: Any) -> None:
        x, hx = _given(args, kwargs)
        layout = layout_of(x, module.batch_first)
        read, (whole, last) = (x.data if is_packed(x) else x), output
        made = whole.data if is_packed(whole) else whole
        inputs, outputs = layout.steps(copied(read)), layout.steps(copied(made))
        T, B, H = outputs.shape
        arrivals = self._session.arrivals(self._each)
        arrivals.wait_at(("output", 0), made)
        for name, tensor in zip("hc", _parts(last), strict=False):
            arrivals.wait_at((name, 0), tensor)
        L = len(network.layers)
        starts = [np.zeros((L, B, H), network.dtype)] * (2 if self._each.has_c else 1)
        if hx is not None:
            starts = [layout.states(copied(each)) for each in _parts(hx)]
        h0, c0 = (a if L > 1 else a[0] for a in [*starts, starts[0]][:2])
        seen = Seen(
            arrivals, [inputs], outputs[0].copy(), layout.lengths(T, B),
            lambda _: _placed_layers(arrivals, layout), _odd(read, made, *module.parameters()),
        )  # fmt: skip
        self._session.add(self._each, network, (h0, c0 if self._each.has_c else None), seen)


def _placed_layers(arrivals: Arrivals, layout: Layout) -> Placed:
    found = {name: a for (name, _), a in arrivals.arrays.items()}
    whole = found.get("output")
    h, c = (None if (a := found.get(name)) is None else layout.states(a) for name in "hc")
    return Placed(None if whole is None else layout.steps(whole), h, c)


class _Run(NamedTuple):
    """A loop so far: the last states that the model was given, and the cell's own."""

    given: tuple[Any, ...]
    own: tuple[Any, ...]
    versions: tuple[int, ...]
    seen: Seen


class _Cell:
    """Of a cell in a loop: calls that begin with the state that the one before returned are one.

    The model is given an identity of every state, and the next call the state itself: at the
    identity arrives what the model makes of the state, and nothing that comes back through time.
    """

    def __init__(self, each: Followed, session: Session) -> None:
        self._each, self._session = each, session
        self._runs: dict[int, _Run] = {}  # by id of the h that was given, which is kept alive
        self._goes_on: _Run | None = None

    def before(self, module: Any, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs] | None:
        self._goes_on = None
        _, hx = _given(args, kwargs)
        states = _parts(hx)
        run = self._runs.get(id(states[0]))
        if run is None or len(states) != len(run.given):
            return None
        if any(a is not b for a, b in zip(states, run.given, strict=True)):
            return None
        if tuple(map(version, run.own)) != run.versions:  # changed in place
            return None
        self._goes_on = run
        own = run.own if self._each.has_c else run.own[0]
        if len(args) > 1:
            return (args[0], own, *args[2:]), kwargs
        return args, {**kwargs, "hx": own}

    def after(self, module: Any, args: Args, kwargs: Kwargs, output: Any) -> Any:
        given = None
        with self._session.guarded(self._each):
            given = self._keep(module, args, kwargs, output)
        if given is None:
            return None
        return given if self._each.has_c else given[0]

    def _keep(self, module: Any, args: Args, kwargs: Kwargs, output: Any) -> tuple[Any, ...] | None:
        run, (x, hx), own = self._goes_on, _given(args, kwargs), _parts(output)
        self._goes_on = None
        layout = Layout(batched=len(x.shape) == 2)
        if run is not None and run.own[0].requires_grad != own[0].requires_grad:
            run = None  # torch.no_grad begins or ends here: no gradient goes through
        if run is None:
            seen = self._begin(module, x, hx, own, layout)
            if seen is None:
                return None
        else:
            del self._runs[id(run.given[0])]
            seen = run.seen
            seen.inputs.append(_row(x, layout)[None])
        step = len(seen.inputs) - 1
        given = tuple(each.view_as(each) if each.requires_grad else each for each in own)
        for name, tensor in zip("hc", given, strict=False):
            seen.arrivals.wait_at((name, step), tensor)
        self._runs[id(given[0])] = _Run(given, own, tuple(map(version, own)), seen)
        return given

    def _begin(
        self, module: Any, x: Any, hx: Any, own: tuple[Any, ...], layout: Layout
    ) -> Seen | None:
        network = self._session.network(self._each)
        if network is None:
            return None
        first, arrivals = _row(own[0], layout), self._session.arrivals(self._each)
        h0 = c0 = np.zeros_like(first)
        if hx is not None:
            h0, c0 = ([_row(each, layout) for each in _parts(hx)] * 2)[:2]
        odd = _odd(x, own[0], *module.parameters())
        inputs = [_row(x, layout)[None]]
        seen = Seen(
            arrivals, inputs, first, None, lambda T: _placed_steps(arrivals, T, layout), odd
        )
        self._session.add(self._each, network, (h0, c0 if self._each.has_c else None), seen)
        return seen


def _row(tensor: Any, layout: Layout) -> FloatArray:
    """What is of one step, (B, ...)."""
    array = copied(tensor)
    return array if layout.batched else array[None]


def _placed_steps(arrivals: Arrivals, n_steps: int, layout: Layout) -> Placed:
    rows = {key: a if layout.batched else a[None] for key, a in arrivals.arrays.items()}
    h, c = ({step: a for (of, step), a in rows.items() if of == name} for name in "hc")
    within = any(step < n_steps - 1 and a.any() for step, a in c.items())
    last = c.get(n_steps - 1)
    dL_dh = None
    if h:
        one = next(iter(h.values()))
        dL_dh = np.stack([h.get(step, np.zeros_like(one)) for step in range(n_steps)])
    return Placed(dL_dh, None, None if last is None else last[None], within)
