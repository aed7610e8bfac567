"""One training run: from its beginning, or from a checkpoint, to its last update."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnsim.data.pairs import Data
from rnnsim.files import check_writable, checksum
from rnnsim.kernels.training.learning import Learners
from rnnsim.networks.model import Layout, Model, parts_of
from rnnsim.progress import bar
from rnnsim.training.checkpoints import (
    Checkpoint,
    check_arrays,
    check_same,
    read_checkpoint,
    write_checkpoint,
)
from rnnsim.training.feeds import Ahead, Feed, digest
from rnnsim.training.learners import FLOPS_PER_CALL, Method, Workshop, begin, carried
from rnnsim.training.records import TEST, Record
from rnnsim.training.starts import FirstStates

if TYPE_CHECKING:
    import xarray as xr


class Run:
    """Networks, data and settings of a run; `to_the_end` trains."""

    def __init__(
        self,
        model: Model,
        feed: Feed,
        method: Method,
        record: Record,
        first: FirstStates,
        *,
        test: Data | None,
        n_threads: int | None,
    ) -> None:
        self._model, self._feed, self._method, self._record = model, feed, method, record
        self._first, self._test, self._n_threads = first, test, n_threads
        self._layout = Layout.of(model)
        self._workshop = Workshop(model, method, n_threads)
        if test is not None:
            feed.check(test, "test")
        self.configuration: dict[str, Any] = json.loads(json.dumps(self._settings()))

    def dataset(self, learners: Learners) -> "xr.Dataset":
        """The record, with the settings as an attribute."""
        provenance = self._feed.provenance()
        return self._record.dataset(self._model, learners, self.configuration, provenance)

    def to_the_end(
        self, n_updates: int, path: Path | None, saved_every: int, progress: bool
    ) -> Learners:
        """All updates that are not made yet; saved on the way and at the end."""
        if path is not None:
            check_writable("checkpoint", path)
        learners, done = self._start(path)
        if done > n_updates:
            raise ValueError(
                f"`n_updates` must be at least {done}, the updates that `checkpoint` "
                f"{str(path)!r} has made, got {n_updates}; ask for as many, or use another file"
            )
        with bar(n_updates, done=done, show=progress, unit="update") as advance:
            while True:
                self._measure(done, learners)
                if done >= n_updates:
                    return learners
                goals = {n_updates, *self._record.updates, *self._record.snapshots}
                if path is not None:
                    goals.add((done // saved_every + 1) * saved_every)
                goal = min(goal for goal in goals if goal > done)
                while done < goal:
                    learners, made = self._call(learners, done, goal - done)
                    done += made
                    advance(made)
                if path is not None and (done % saved_every == 0 or done == n_updates):
                    self._save(path, learners, done)

    def _call(self, learners: Learners, done: int, wanted: int) -> tuple[Learners, int]:
        """One call of the kernels: some of the wanted updates."""
        sizes, workshop = self._feed.sizes(), self._workshop
        flops = workshop.flops(*sizes) * len(self._model)
        slot = int(np.searchsorted(self._record.updates, done + 1))
        call = self._feed.take(min(wanted, max(1, int(FLOPS_PER_CALL / flops))), slot)
        if learners.start.shape[1] != sizes.n_sequences:
            self._first.check(sizes.n_sequences, learners.start.shape[1], "task")
            learners = learners._replace(start=self._first.of(sizes.n_sequences))
        if learners.state.shape[1] != sizes.n_sequences:
            learners = learners._replace(state=carried(learners.start, len(self._model)))
        workshop.run(learners, call.batches, call.schedules, call.loss)
        return learners, call.n_updates

    def _measure(self, done: int, learners: Learners) -> None:
        if done in self._record.updates or done in self._record.snapshots:
            model = self._layout.model(self._model, learners.values)
            start = learners.start if self._first.given else None
            given = None if self._test is None else Ahead(self._test, start, TEST)
            ahead = given or self._feed.ahead(start, learners.state)
            self._record.measure(done, model, ahead, self._n_threads)

    def _start(self, path: Path | None) -> tuple[Learners, int]:
        slots, B = len(self._record.updates), self._feed.sizes().n_sequences
        start = self._first.of(B)
        if self._test is not None:
            self._first.check(self._test.n_sequences, B, "test")
        learners = begin(self._layout.join(self._model), self._method, start, slots)
        if path is None or not path.exists():
            return learners, 0
        saved = read_checkpoint(path)
        check_same(path, saved.configuration, self.configuration)
        names = ("values", "first", "second", "updates", "diverged")
        check_arrays(path, saved.arrays, {name: getattr(learners, name) for name in names})
        try:
            found = {name: saved.arrays[name] for name in (*names, "state")}
            self._record.restore(saved.arrays, learners.tallies)
            done = int(saved.place["done"])
            place = saved.place["feed"]
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(
                f"`checkpoint` {str(path)!r} is not of this version of rnnsim "
                f"({type(error).__name__}: {error}); move it away to begin anew"
            ) from error
        self._feed.move_to(place)
        return learners._replace(**found), done

    def _save(self, path: Path, learners: Learners, done: int) -> None:
        names = ("values", "first", "second", "state", "updates", "diverged", "tallies")
        arrays = {name: getattr(learners, name) for name in names}
        place = {"feed": self._feed.place(), "done": done}
        saved = Checkpoint(self.configuration, place, arrays | self._record.arrays())
        write_checkpoint(path, saved)

    def _settings(self) -> dict[str, Any]:
        """What a run must share with the one that goes on."""
        method = self._method
        arrays = {
            "learning_rate": method.rate,
            "clip_norm": method.clip_norm,
            "clip_value": method.clip_value,
            "penalty": method.penalty,
        }
        parts = parts_of(self._model).values()
        return {
            "model": checksum([self._layout.join(self._model)])[:16],
            "sizes": [
                list(array.shape) for net in parts for rnn in net.layers for array in rnn.weights
            ],
            "dtype": str(self._model.dtype),
            "cell": [rnn.cell for rnn in parts],
            "activation": [rnn.activation for rnn in parts],
            **self._feed.settings(),
            "h0 and c0": self._first.digest,
            "optimizer": list(method.rule),
            "penalty_variant": method.variant,
            **{name: array.tolist() for name, array in arrays.items()},
            "clip_by": "all" if len(method.bounds) == 2 else "layer",
            "mask and tie": checksum([method.labels])[:16],
            "test": None if self._test is None else digest(self._test),
        }
