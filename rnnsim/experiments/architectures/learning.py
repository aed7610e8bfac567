"""How networks of an architecture learn, and which rate they learn at."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim.experiments import draws
from rnnsim.experiments.architectures import PROBLEMS, Options, Problem
from rnnsim.networks.model import Model
from rnnsim.training.records import points
from rnnsim.training.train import train

_LAST, _SLOWER = 0.2, 0.2  # of the updates, at which part of the rate
_TRIAL = 0.2  # of the updates, for each rate that could be chosen


class Job(NamedTuple):
    """Networks of one architecture, the updates after which they are scored, and all seeds.

    One ensemble for each of the cells.
    """

    name: str
    options: Options
    cells: tuple[str, ...]
    network_seeds: tuple[int, ...]
    updates: tuple[int, ...]
    data_seed: int
    dtype: str

    def problem(self) -> Problem:
        """The architecture with its data."""
        return PROBLEMS[self.name](self.options, self.data_seed, self.dtype)


class Learned(NamedTuple):
    """A model after so many updates; the update of divergence of each network, or -1."""

    updates: int
    model: Model
    diverged: npt.NDArray[np.int64]


def trial_losses(problem: Problem, job: Job, cell: str, n_threads: int) -> npt.NDArray[np.float64]:
    """The validation loss of the first network after a short training at each rate.

    NaN where it diverged, or where nothing is tried. Batches are those of no other training.
    """
    rates, n_updates = np.array(job.options.learning_rates), trial_updates(job.options)
    if n_updates == 0:
        return np.full(rates.size, np.nan)
    drawn = problem.draw(job.network_seeds[:1] * rates.size, cell)
    updates = scored_updates(n_updates, 1)
    *_, last = learning(drawn, problem, job, rates, updates, n_threads, "trial")
    return np.where(last.diverged < 0, problem.loss(last.model), np.nan)


def trial_updates(options: Options) -> int:
    """How long each rate is tried: a fifth of the updates; 0 where there is only one."""
    several = len(options.learning_rates) > 1 and options.n_updates > 0
    return max(1, int(_TRIAL * options.n_updates)) if several else 0


def chosen(losses: npt.NDArray[np.float64]) -> int:
    """The place of the least loss; the first one in a tie, or where all are NaN."""
    return int(np.argmin(np.where(np.isnan(losses), np.inf, losses)))


def best_cell(problem: Problem, scores: npt.NDArray[np.float64]) -> int:
    """The place of the best median over networks; scores (cells, networks), the first in a tie.

    Networks without a score count as the worst.
    """
    sign, worst = (1.0, 0.0) if problem.more_is_better else (-1.0, np.inf)
    return int(np.argmax(np.median(sign * np.where(np.isnan(scores), worst, scores), axis=1)))


def learning(
    model: Model,
    problem: Problem,
    job: Job,
    rates: Any,
    updates: tuple[int, ...],
    n_threads: int,
    *key: str,
) -> Iterator[Learned]:
    """The model after each of these numbers of updates, the last of which is the whole training.

    `rates` are one number or one for each network. Two runs, the second at a lower rate, each
    stopped now and then: every part goes on from the checkpoint of the one before.
    """
    total = updates[-1]
    slow = full_rate(total)
    begun, diverged = [model, model], np.full(len(model), -1)
    yield Learned(0, model, diverged)
    with tempfile.TemporaryDirectory() as folder:
        for update in (u for u in updates if u > 0):
            late = int(update > slow)
            training = train(
                begun[late],
                problem.task,
                n_updates=update - slow * late,
                window=job.options.window if job.options.truncated else None,
                optimizer="adam",
                learning_rate=rates * (_SLOWER if late else 1.0),
                clip_norm=1.0,
                rng=draws.training_batches(job.data_seed, job.name, *key, late),
                checkpoint=Path(folder) / str(late),
                checkpoint_every=total,
                n_threads=n_threads,
            )
            if update == slow:
                begun[1] = training.model
            left = (diverged < 0) & (training.diverged >= 0)
            diverged = np.where(left, training.diverged + slow * late, diverged)
            yield Learned(update, training.model, diverged)


def full_rate(n_updates: int) -> int:
    """Updates at the full rate; the last ones go slower."""
    return n_updates - int(_LAST * n_updates)


def scored_updates(n_updates: int, n_records: int) -> tuple[int, ...]:
    """When networks are scored: at even distances, and where the rate falls."""
    every = max(1, -(-n_updates // n_records))
    return tuple(sorted({*points(n_updates, every), full_rate(n_updates)}))
