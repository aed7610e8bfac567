"""One call of a recurrent module: what went in, and the gradients that came back."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from rnnsim.checks import FloatArray
from rnnsim.data.sequences import Sequences
from rnnsim.diagnosis.diagnose import diagnose
from rnnsim.diagnosis.result import Diagnosis
from rnnsim.gradients.simulation import forward
from rnnsim.networks.stack import Network
from rnnsim.probing.arrivals import Arrivals, Placed
from rnnsim.probing.tensors import Ints


class Seen(NamedTuple):
    """What is kept of a call.

    Attributes
    ----------
    arrivals : Arrivals
    inputs : list of (T, B, D) arrays
        One, or several that follow each other, as of a cell step by step.
    first : (B, H) array
        The output at step 1.
    lengths : (B,) array or None
        Steps of each sequence; None where all have all.
    placed : function
        Gradients as they stand, from those that arrived.
    oddities : set of str
        What is to be said of the tensors: "float16", "device cuda:0".
    """

    arrivals: Arrivals
    inputs: list[FloatArray]
    first: FloatArray
    lengths: Ints | None
    placed: Callable[[int], Placed]
    oddities: set[str]


@dataclass(frozen=True, eq=False, repr=False)
class ProbeRecord:
    """One call of a recurrent module, or one run of a cell through a loop, seen by a `probe`.

    Gradients do not cross calls: what comes back through a state that went on into the next call
    is one gradient at the last state of this call, and lags end at the first step.

    Attributes
    ----------
    module : str
        The name of the module in the model.
    call : int
        Which call of it this is, 0 being the first.
    network : RNN or Stack
        The module with the weights that it had in this call, without a readout.
    h0, c0 : (B, H) arrays, of stacks (L, B, H)
        The states that it began with, zeros where none were given; c0 is None but for LSTMs.
    shares : tuple of str
        Other modules that share some of its weights: dL/dW of these is the sum over all.
    """

    module: str
    call: int
    network: Network
    h0: FloatArray
    c0: FloatArray | None
    shares: tuple[str, ...]
    _seen: Seen

    def __repr__(self) -> str:
        sharing = f", shares={self.shares!r}" if self.shares else ""
        return (
            f"ProbeRecord(module={self.module!r}, call={self.call}, n_steps={self.n_steps}, "
            f"n_sequences={self.n_sequences}, dtype={self.network.dtype}{sharing})"
        )

    @property
    def n_steps(self) -> int:
        """T, the steps of the longest sequence."""
        return sum(map(len, self._seen.inputs))

    @property
    def n_sequences(self) -> int:
        """B."""
        return len(self._seen.first)

    @property
    def lengths(self) -> Ints:
        """Steps of each sequence (B,), in the caller's order; fewer than T where packed."""
        known = self._seen.lengths
        return np.full(self.n_sequences, self.n_steps) if known is None else known.copy()

    @property
    def is_sound(self) -> bool:
        """Whether the gradients of one backward pass arrived inside the ``with``."""
        return not self._seen.arrivals.trouble()

    def by_length(self) -> tuple["ProbeRecord", ...]:
        """The sequences of each length as a record of their own, the shortest first.

        Of packed sequences of several lengths all gradients have a place there, also those at c_n
        and at h_n of lower layers. dL/dW of all records add up to that of the call.
        """
        lengths = self.lengths
        return tuple(some_of(self, np.flatnonzero(lengths == T)) for T in np.unique(lengths))

    @property
    def sequences(self) -> Sequences:
        """Inputs and the gradients that arrived, as `Sequences.from_gradients` has them.

        Raises
        ------
        ValueError
            No gradient arrived, or those of several backward passes, or after the `with`; a module
            whose output is not what its weights make of its inputs; gradients at c_n, or at h_n of
            lower layers, of packed sequences of unequal lengths, or at c of steps before the last;
            NaN and infinity.
        """
        trouble = self._seen.arrivals.trouble() or self._departure()
        if trouble:
            raise ValueError(self._because(trouble))
        kind, names = self.network.dtype, ("dL_dh", "dL_dh_final", "dL_dc_final")
        given = dict(zip(names, self._placed(), strict=True))
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # axes are known here
            return Sequences.from_gradients(
                self._x(),
                **{name: a.astype(kind) for name, a in given.items() if a is not None},
                provenance=self._provenance(),
            )

    def diagnose(
        self,
        *,
        window: int | None = None,
        batch_size: int | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        n_threads: int | None = None,
        progress: bool = False,
    ) -> Diagnosis:
        """`rnnsim.diagnose` of this call: the module's weights on what it read.

        The loss is the one that backward was called on. Its value is not known, nor what other
        states would have made of it, so that what asks for these, as forward memory does, is named
        as not known. Inputs are those that the module itself read, behind an embedding for example;
        limits of clipping are of the gradients of this module alone.

        Parameters
        ----------
        window, batch_size, clip_norm, clip_value, n_threads, progress
            As of `rnnsim.diagnose`.

        Returns
        -------
        Diagnosis
            Its `label` is the module's name; the last sentences of its `verdict`, and `about`, say
            which call it is of, that gradients do not cross calls, which other modules share
            weights, and what was taken over from half precision or another device.

        Raises
        ------
        TypeError, ValueError
            As of `sequences`, `rnnsim.diagnose`.
        """
        found = diagnose(
            self.network, self.sequences, window=window, h0=self.h0, c0=self.c0,
            batch_size=batch_size, clip_norm=clip_norm, clip_value=clip_value,
            n_threads=n_threads, progress=progress,
        )  # fmt: skip
        about = {**found.about, "module": self.module, "call": self.call}
        verdict = " ".join([found.verdict, *self._said()])
        return replace(found, label=self.module, verdict=verdict, about=about)

    def _provenance(self) -> dict[str, str]:
        found = {
            "module": self.module,
            "call": str(self.call),
            "gradients": "of this call alone: they do not cross calls",
        }
        if self.shares:
            found["shares"] = ", ".join(self.shares)
        if self._seen.oddities:
            found["taken over"] = ", ".join(sorted(self._seen.oddities))
        return found

    def _said(self) -> list[str]:
        """What holds of all that is measured on this call."""
        said = [
            f"All of this is of call {self.call} of {self.module!r} by itself: gradients do not "
            "cross calls."
        ]
        if self.shares:
            others = ", ".join(map(repr, self.shares))
            said.append(f"Some of its weights are those of {others} too: their gradients add up.")
        if self._seen.oddities:
            odd = ", ".join(sorted(self._seen.oddities))
            said.append(f"Numbers of {odd} were taken over as float32 in main memory.")
        return said

    def _because(self, trouble: str) -> str:
        return f"call {self.call} of {self.module!r} cannot be followed: {trouble}"

    def _x(self) -> FloatArray:
        return np.concatenate(self._seen.inputs).astype(self.network.dtype, copy=False)

    def _departure(self) -> str:
        """What else the module does, if step 1 is not what its weights make of its inputs."""
        network, theirs = self.network, self._seen.first
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            ours = forward(network, self._x()[:1], h0=self.h0, c0=self.c0).states[0, 1]
        off = float(np.abs(ours - theirs).max())
        half = any("float" in each for each in self._seen.oddities)
        share = 0.05 if half else 5e-3 if network.dtype == np.float32 else 1e-6
        sums = (
            np.abs(self._x()[0]) @ np.abs(network.layers[0].W_xh[0]).T
        )  # may be large, and cancel
        rounding = 2.0**-8 if half else float(np.finfo(network.dtype).eps)
        if off <= share * max(1.0, float(np.abs(theirs).max())) + rounding * float(sums.max()):
            return ""
        return (
            f"its output at step 1 is {off:.2g} away from what its weights make of its inputs: it "
            "does something else as well (a forward of its own, a hook); probe a plain module"
        )

    def _placed(self) -> tuple[FloatArray | None, ...]:
        """dL/dh of the top layer at every step, dL/dh and dL/dc of each layer at step T."""
        dL_dh, final_h, final_c, within = self._seen.placed(self.n_steps)
        if within:
            raise ValueError(
                self._because(
                    "a gradient arrives at c of a step before the last, which has no place in "
                    "rnnsim.Sequences.from_gradients; let the loss read h there"
                )
            )
        if (self.lengths == self.n_steps).all():
            single = len(self.network.layers) == 1
            finals = ((a if a is None or not single else a[0]) for a in (final_h, final_c))
            return (dL_dh, *finals)
        lower = final_h is not None and final_h[:-1].any()
        if lower or (final_c is not None and final_c.any()):
            raise ValueError(
                self._because(
                    f"its packed sequences have {self.lengths.min()} to {self.n_steps} steps, and "
                    f"a gradient arrives at {'h_n of a lower layer' if lower else 'c_n'}, which "
                    "has a place at one common last step only; take record.by_length(), a record "
                    "for each length, or probe sequences of one length"
                )
            )
        shape = (self.n_steps, *self._seen.first.shape)
        dL_dh = np.zeros(shape, self.network.dtype) if dL_dh is None else dL_dh.copy()
        if final_h is not None:
            dL_dh[self.lengths - 1, np.arange(self.n_sequences)] += final_h[-1]
        return dL_dh, None, None


def some_of(record: ProbeRecord, columns: Ints) -> ProbeRecord:
    """Some sequences of a call, by their numbers: dL/dW is what these add to that of the call."""
    seen, lengths = record._seen, record.lengths[columns]
    T = int(lengths.max())

    def placed(n_steps: int) -> Placed:
        at = seen.placed(record.n_steps)
        dL_dh = None if at.dL_dh is None else at.dL_dh[:n_steps, columns]
        h, c = (None if a is None else a[:, columns] for a in (at.final_h, at.final_c))
        return Placed(dL_dh, h, c, at.within)

    h0, c0 = (None if a is None else a[..., columns, :] for a in (record.h0, record.c0))
    inputs = [np.concatenate(seen.inputs)[:T, columns]]
    part = seen._replace(inputs=inputs, first=seen.first[columns], lengths=lengths, placed=placed)
    assert h0 is not None
    return replace(record, h0=h0, c0=c0, _seen=part)
