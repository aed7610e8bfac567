"""Four architectures learn real data: held-out scores, and gradient flow before and after."""

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from rnnsim import checks
from rnnsim.data.datasets import Variable
from rnnsim.data.pairs import sources_of, target_of
from rnnsim.experiments import draws, labels
from rnnsim.experiments.architectures import PROBLEMS, Options, Problem
from rnnsim.experiments.catalogue import ARCHITECTURES as VARIABLES
from rnnsim.experiments.runner import run
from rnnsim.experiments.study import Found, Study
from rnnsim.flow.maps import gradient_map, picture_gradients
from rnnsim.networks.model import Model
from rnnsim.progress import asked, bar
from rnnsim.training.records import points
from rnnsim.training.train import train

DEFAULTS = {  # updates, H, B, rate, scale of W_xh, K
    "characters": Options(2400, 128, 32, 0.002, 1.0, 25, truncated=True, n_steps=200),
    "sentences": Options(1600, 64, 64, 0.001, 0.2, 10, n_steps=30, left_out=0.5),
    "translation": Options(4000, 128, 50, 0.0015, 0.2, 20),
    "captions": Options(1500, 128, 64, 0.001, 0.3, 10),
}
ARCHITECTURES = tuple(DEFAULTS)
_LAST, _SLOWER = 0.2, 0.2  # of the updates, at which part of the rate
MOMENTS = ("before", "after")


class Job(NamedTuple):
    """Networks of one architecture, the updates after which they are scored, and all seeds."""

    name: str
    options: Options
    network_seeds: tuple[int, ...]
    updates: tuple[int, ...]
    data_seed: int
    dtype: str

    def problem(self) -> Problem:
        """The architecture with its data."""
        return PROBLEMS[self.name](self.options, self.data_seed, self.dtype)


def architecture_experiment(
    name: str,
    *,
    n_updates: int | None = None,
    network_seeds: int | list[int] = 3,
    n_hidden: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    n_steps: int | None = None,
    window: int | None = None,
    n_records: int = 10,
    data_seed: int = 0,
    dtype: str = "float32",
    n_threads: int | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Train networks of one architecture, score them on held-out data, map their gradients.

    ::

        "characters"     many to many       next character of English text
        "sentences"      many to one        which part of a reference a sentence is from
        "translation"    encoder-decoder    numbers 0..999 in words, English to German
        "captions"       one to many        an 8x8 digit in words, character by character

    Data, scores and baselines of each are described in `rnnsim.experiments.architectures`. W_hh is
    drawn orthogonal; networks learn by Adam with gradients clipped at norm 1, "characters" by
    truncated BPTT in segments of `window` steps, all others by full BPTT; the last fifth of the
    updates at a fifth of the rate.

    Parameters
    ----------
    name : str
    n_updates, n_hidden, batch_size, learning_rate, n_steps, window : optional
        Those of the architecture unless given, see `DEFAULTS`; n_steps is T of characters and
        sentences; window is K of characters, of the others only noted, for figures.
    network_seeds : int or list of int
        Seeds of the initial networks, which learn from the same batches side by side.
    n_records : int
        How often scores are taken, after the one at the beginning.
    data_seed : int
    dtype : {"float32", "float64"}
    n_threads, progress
        As in `train`.

    Returns
    -------
    xarray.Dataset
        score (network_seed, updates), baseline_score (baseline), diverged (network_seed); log_norms
        (network_seed, moment, loss_step, place), the `gradient_map` of held-out data before and
        after training; of captions pixel_gradients (network_seed, moment, word, pixel), the mean of
        |dl/dpixel| for l the loss of one word of the caption, and pixel_spread (pixel), the
        standard deviation over pictures. Attributes: configuration, and
        examples of the first network as [source, answer, right answer].

    Raises
    ------
    TypeError, ValueError
        An unknown name; as `train`.

    Examples
    --------
    >>> data = architecture_experiment("captions", n_updates=4, network_seeds=2, n_hidden=8,
    ...                                n_records=2)
    >>> data.score.shape, data.place.values[[0, 1, -1]].tolist()
    ((2, 3), [0, 1, 27])
    """
    options = _options(
        checks.one_of("name", name, DEFAULTS),
        n_updates=n_updates,
        n_hidden=n_hidden,
        batch_size=batch_size,
        learning_rate=learning_rate,
        n_steps=n_steps,
        window=window,
    )
    seeds = labels.seeds("network_seeds", network_seeds)
    records = checks.whole_number("n_records", n_records, least=1)
    updates = _updates(options.n_updates, records)
    job = Job(name, options, seeds, updates, data_seed, dtype)
    problem = job.problem()
    configuration = {"name": name, "kind": problem.kind, **options._asdict()}
    study = Study(
        name=name,
        axes=_axes(job, problem),
        variables=_variables(problem),
        jobs=[({}, job)],
        measure=measure,
        configuration=configuration | {"data_seed": data_seed, "dtype": dtype},
        provenance=problem.shown.provenance,
    )
    dataset = run(study, n_threads=n_threads, progress=progress)
    return dataset.drop_vars("examples").assign_attrs(examples=str(dataset.examples.values))


def _axes(job: Job, problem: Problem) -> dict[str, Any]:
    shown, sources = target_of(problem.shown), sources_of(problem.shown)
    first = 1 - sum(source.shape[-3] for source in sources)
    axes: dict[str, Any] = {
        "network_seed": job.network_seeds,
        "moment": MOMENTS,
        "loss_step": tuple(shown.loss_steps.tolist()),
        "place": tuple(range(first, shown.n_steps + 1)),
        "updates": job.updates,
        "baseline": tuple(problem.baselines),
    }
    if problem.words:
        axes |= {"word": tuple(problem.words), "pixel": sources[0].shape[-1]}
    return axes


def _variables(problem: Problem) -> dict[str, Variable]:
    """Those of the catalogue; of pictures only where there are some."""
    score = VARIABLES["score"]._replace(units=problem.unit, long_name=problem.score)
    found = VARIABLES | {"score": score}
    pictured = () if problem.words else ("pixel_gradients", "pixel_spread")
    return {name: variable for name, variable in found.items() if name not in pictured}


def _options(name: str, **given: Any) -> Options:
    """Those of the architecture, but for what is given."""
    whole = {"n_updates": 0, "n_hidden": 1, "batch_size": 1, "n_steps": 1, "window": 1}
    chosen = {key: value for key, value in given.items() if value is not None}
    for key in chosen.keys() & whole.keys():
        chosen[key] = checks.whole_number(key, chosen[key], least=whole[key])
    return DEFAULTS[name]._replace(**chosen)


def measure(job: Job, n_threads: int) -> Found:
    """Scores while networks learn, gradient flow before and after, and what the first one says."""
    problem = job.problem()
    before = problem.draw(job.network_seeds)
    after, found = _learned(before, problem, job, n_threads)
    models: list[Any] = [before, after]
    maps = [gradient_map(model, problem.shown) for model in models]
    found |= {
        "log_norms": np.stack([each.log_norms for each in maps], axis=1),
        "baseline_score": np.array(list(problem.baselines.values())),
        "examples": np.array(json.dumps(problem.examples(after[0]), ensure_ascii=False)),
    }
    if problem.words:
        pixels = [
            [picture_gradients(model, pairs) for pairs in problem.words.values()]
            for model in models
        ]
        (pictures,) = sources_of(problem.shown)
        found["pixel_gradients"] = np.moveaxis(np.array(pixels), 2, 0)
        found["pixel_spread"] = pictures[0].astype(float).std(axis=0)
    return found


def _learned(model: Model, problem: Problem, job: Job, n_threads: int) -> tuple[Model, Found]:
    """The trained model; scores (N, updates), the update of divergence or -1.

    Two runs, the second at a lower rate, each stopped for a score now and then: every part goes on
    from the checkpoint of the one before.
    """
    options, total = job.options, job.options.n_updates
    slow = _full_rate(total)
    begun = [model, model]
    scores, diverged = [problem.measure(model)], np.full(len(model), -1)
    parts = len(job.updates) - 1
    with (
        tempfile.TemporaryDirectory() as folder,
        bar(parts, show=asked(), unit="score", description=job.name) as advance,
    ):
        for update in job.updates[1:]:
            late = int(update > slow)
            training = train(
                begun[late],
                problem.task,
                n_updates=update - slow * late,
                window=options.window if options.truncated else None,
                optimizer="adam",
                learning_rate=options.learning_rate * (_SLOWER if late else 1.0),
                clip_norm=1.0,
                rng=draws.training_batches(job.data_seed, job.name, late),
                checkpoint=Path(folder) / str(late),
                checkpoint_every=total,
                n_threads=n_threads,
            )
            model = training.model
            if update == slow:
                begun[1] = model
            left = (diverged < 0) & (training.diverged >= 0)
            diverged = np.where(left, training.diverged + slow * late, diverged)
            scores.append(problem.measure(model))
            advance(1)
    return model, {"score": np.stack(scores, axis=1), "diverged": diverged}


def _full_rate(n_updates: int) -> int:
    """Updates at the full rate; the last ones go slower."""
    return n_updates - int(_LAST * n_updates)


def _updates(n_updates: int, n_records: int) -> tuple[int, ...]:
    """When networks are scored: at even distances, and where the rate falls."""
    every = max(1, -(-n_updates // n_records))
    return tuple(sorted({*points(n_updates, every), _full_rate(n_updates)}))
