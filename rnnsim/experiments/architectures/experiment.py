"""Four architectures learn real data: held-out scores, and gradient flow before and after."""

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from rnnsim import checks
from rnnsim.data.datasets import Variable
from rnnsim.data.pairs import sources_of, target_of
from rnnsim.experiments import draws, labels
from rnnsim.experiments.architectures import Options, Problem
from rnnsim.experiments.architectures.learning import (
    Job,
    best_cell,
    chosen,
    learning,
    scored_updates,
    trial_losses,
    trial_updates,
)
from rnnsim.experiments.catalogue.sweeps import ARCHITECTURES as VARIABLES
from rnnsim.experiments.cells import cells_of
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.engine import Executor, Store
from rnnsim.experiments.study import Found, Study
from rnnsim.flow.maps import gradient_map, picture_gradients
from rnnsim.networks.cells import CELLS
from rnnsim.parallel import thread_count
from rnnsim.progress import asked, bar
from rnnsim.training.settings import check_settings

DEFAULTS = {  # updates, H, B, rates, scale of W_xh, K
    "characters": Options(
        2400, 128, 32, (0.002, 0.001, 0.004), 1.0, 25, truncated=True, n_steps=200
    ),
    "sentences": Options(
        400, 32, 64, (0.0002, 0.0001), 0.001, 10, n_steps=30, left_out=0.5, word_value=20.0,
        forget_bias=1.0, scheme="identity",
    ),
    "translation": Options(4000, 96, 50, (0.004, 0.002, 0.001), 0.2, 20),
    "captions": Options(5000, 128, 64, (0.004, 0.002, 0.001), 0.3, 10),
}  # fmt: skip
ARCHITECTURES = tuple(DEFAULTS)
MOMENTS = ("before", "after")
_OF_A_CELL = (
    "score test_score train_score trial_loss learning_rate diverged log_norms pixel_gradients "
    "word_score"
).split()


def architecture_experiment(
    name: str,
    *,
    cell: str | Sequence[str] = tuple(CELLS),
    forget_bias: float | None = None,
    n_layers: int = 1,
    n_updates: int | None = None,
    network_seeds: int | list[int] = 3,
    n_hidden: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | Sequence[float] | None = None,
    n_steps: int | None = None,
    window: int | None = None,
    text: str | os.PathLike[str] | None = None,
    n_records: int = 10,
    data_seed: int = 0,
    dtype: str = "float32",
    n_threads: int | None = None,
    progress: bool = False,
    executor: Executor | None = None,
    store: Store | None = None,
) -> xr.Dataset:
    """Train networks of one architecture, score them on held-out data, map their gradients.

    ::

        "characters"     many to many       next character of English, or of a text of yours
        "sentences"      many to one        which part of a reference a sentence is from
        "translation"    encoder-decoder    numbers 0..999 in words, English to German
        "captions"       one to many        an 8x8 digit in words, character by character

    Data, scores and baselines of each are described in `rnnsim.experiments.architectures`. W_hh is
    drawn orthogonal, of "sentences" as the identity, in every gate; networks learn by Adam with
    gradients clipped at norm 1, "characters" by truncated BPTT in segments of `window` steps, all
    others by full BPTT; the last fifth of the updates at a fifth of the rate.

    Data come in three parts. Networks learn from the training part. The validation part chooses
    the rate of each cell, where there are several: the first network learns at each of them for a
    fifth of the updates, and that of the least loss is taken. Then it chooses the cell, where there
    are several: that with the best median score over networks after the last update (the first, in
    a tie). Scores while networks learn, maps and examples are of this part too. The test part is
    looked at once, when everything is chosen and learned, with the networks of this cell alone; it
    is what baselines are scored on. All other options are as given, whatever the data.

    Parameters
    ----------
    name : str
    cell : {"vanilla", "lstm", "gru"} or several of them
        Those to choose from, each an ensemble of its own that learns from the same batches; the
        linear encoder of captions is always vanilla.
    forget_bias : float, optional
        Added to the bias of the forget gate f (LSTM) or the update gate z (GRU), which keep the
        state; that of the architecture unless given.
    n_layers : int
        Layers L; of encoders and decoders as many each.
    n_updates, n_hidden, batch_size, n_steps, window : optional
        Those of the architecture unless given, see `DEFAULTS`; n_steps is T of characters and
        sentences; window is K of characters, of the others only noted, for figures.
    learning_rate : float or several, optional
        Those to choose from, three unless given; one is taken as it is.
    text : path, optional
        A file of text in UTF-8 that "characters" reads in place of English, as `tasks.characters`.
    network_seeds : int or list of int
        Seeds of the initial networks, which learn from the same batches side by side.
    n_records : int
        How often scores are taken, after the one at the beginning.
    data_seed : int
    dtype : {"float32", "float64"}
    n_threads, progress
        As in `train`.
    executor, store
        As in `sweep`.

    Returns
    -------
    xarray.Dataset
        score (network_seed, updates) on the validation part; test_score (network_seed), after the
        last update, and baseline_score (baseline) on the n_test items of the test part; train_score
        (network_seed) of what was learned from (of text and pictures as they are, whole or in 256
        pieces), NaN like test_score of cells that were not chosen; trial_loss (rate), NaN where
        there was no trial, trial_updates and learning_rate, the rate chosen; diverged
        (network_seed); log_norms (network_seed, moment, loss_step, place), the `gradient_map` of
        validation data before and after training; of captions pixel_gradients (network_seed,
        moment, word, pixel), the mean of |dl/dpixel| for l the loss of one word of the caption,
        pixel_spread (pixel), the standard deviation over pictures, and word_score (network_seed,
        word), how many validation captions have this word right. With an axis cell in front of all
        that belongs to one, unless vanilla networks are alone. Attributes: configuration;
        best_cell, the cell chosen; examples of its first network as [source, answer, right answer].

    Raises
    ------
    TypeError, ValueError
        An unknown name or cell; a forget bias where all networks are vanilla; a text where none is
        read; as `train` and `tasks.characters`.

    Examples
    --------
    >>> data = architecture_experiment("captions", cell=["vanilla", "gru"], n_updates=4,
    ...                                network_seeds=2, n_hidden=8, n_records=2)
    >>> data.score.shape, data.place.values[[0, 1, -1]].tolist()
    ((2, 2, 3), [0, 1, 27])
    >>> data.test_score.sel(cell=data.attrs["best_cell"]).shape
    (2,)
    """
    kinds = labels.names("cell", cell, CELLS)
    options = _options(
        checks.one_of("name", name, DEFAULTS),
        kinds,
        forget_bias=forget_bias,
        n_layers=checks.size("n_layers", n_layers),
        n_updates=n_updates,
        n_hidden=n_hidden,
        batch_size=batch_size,
        learning_rates=learning_rate,
        n_steps=n_steps,
        window=window,
        text=text,
    )
    seeds = labels.seeds("network_seeds", network_seeds)
    records = checks.size("n_records", n_records)
    updates = scored_updates(options.n_updates, records)
    labels.of_draws(dtype=dtype)
    seed = checks.whole_number("data_seed", data_seed, least=0)
    thread_count(n_threads)  # before data, which take a while
    checks.boolean("progress", progress)
    job = Job(name, options, kinds, seeds, updates, seed, dtype)
    with checks.renamed(n_sequences="`batch_size`"):
        problem = job.problem()
        problem.task(draws.training_batches(seed, name, 0))  # refused here, if at all
    configuration = {"name": name, "kind": problem.kind, **options._asdict()}
    study = Study(
        name=name,
        axes=_axes(job, problem),
        variables=_variables(job, problem),
        jobs=[({}, job)],
        measure=measure,
        configuration=configuration | {"data_seed": data_seed, "dtype": dtype, "cell": list(kinds)},
        provenance=problem.shown.provenance,
    )
    dataset = run(study, n_threads=n_threads, progress=progress, executor=executor, store=store)
    said = {key: str(dataset[key].values) for key in ("examples", "best_cell")}
    return dataset.drop_vars(list(said)).assign_attrs(said)


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
        "rate": job.options.learning_rates,
    }
    if _side_by_side(job):
        axes |= {"cell": job.cells}
    if problem.words:
        axes |= {"word": tuple(problem.words), "pixel": sources[0].shape[-1]}
    return axes


def _side_by_side(job: Job) -> bool:
    """Whether cells are an axis: unless there are vanilla networks alone."""
    return job.cells != ("vanilla",)


def _variables(job: Job, problem: Problem) -> dict[str, Variable]:
    """Those of the catalogue, by cell where these are an axis; of pictures where there are some."""
    found = dict(VARIABLES)
    for name in _OF_A_CELL if _side_by_side(job) else ():
        found[name] = found[name]._replace(dims=("cell", *found[name].dims))
    for name in ("score", "train_score", "test_score", "baseline_score", "word_score"):
        meaning = "" if name == "word_score" else f"{problem.score}, "
        meaning += VARIABLES[name].long_name
        found[name] = found[name]._replace(units=problem.unit, long_name=meaning)
    pictured = () if problem.words else ("pixel_gradients", "pixel_spread", "word_score")
    return {name: variable for name, variable in found.items() if name not in pictured}


def _options(name: str, cells: tuple[str, ...], **options: Any) -> Options:
    """Those of the architecture, but for what is given."""
    whole = {"n_updates": 0, "n_hidden": 1, "batch_size": 1, "n_steps": 1, "window": 1}
    given = {key: value for key, value in options.items() if value is not None}
    for key in given.keys() & whole.keys():
        given[key] = checks.size(key, given[key], least=whole[key])
    if "learning_rates" in given:
        given["learning_rates"] = labels.real_numbers("learning_rate", given["learning_rates"])
        check_settings(1, learning_rate=min(given["learning_rates"]))
    if "forget_bias" in given:
        given["forget_bias"] = checks.real_number("forget_bias", given["forget_bias"])
        if cells == ("vanilla",):
            cells_of(cells, given["forget_bias"])  # there is no gate to set
    if "text" in given:
        given["text"] = os.fspath(checks.path("text", given["text"]))
        if name != "characters":
            raise ValueError(
                f"`text` is read by 'characters' alone, got {given['text']!r} for {name!r}; drop it"
            )
    return DEFAULTS[name]._replace(**given)


def measure(job: Job, n_threads: int) -> Found:
    """All cells learn, one after the other; the one that validates best goes on to the test part.

    Scores while networks learn, gradient flow before and after, and what the first one says.
    """
    problem = job.problem()
    learned = []
    with bar(
        len(job.updates) * len(job.cells), show=asked(), unit="score", description=job.name
    ) as advance:
        for cell in job.cells:
            learned.append(_learned(problem, job, cell, n_threads, advance))
    models, measured = zip(*learned, strict=True)
    best = best_cell(problem, np.array([each["score"][:, -1] for each in measured]))
    model: Any = models[best]
    learnt, test = np.full((2, len(job.cells), len(job.network_seeds)), np.nan)
    learnt[best], test[best] = problem.learned(model), problem.test(model)
    by_cell: Found = {name: np.stack([each[name] for each in measured]) for name in measured[0]}
    by_cell |= {"train_score": learnt, "test_score": test}
    if not _side_by_side(job):
        by_cell = {name: values[0] for name, values in by_cell.items()}
    found: Found = by_cell | {
        "trial_updates": np.array(trial_updates(job.options)),
        "n_test": np.array(problem.n_test),
        "baseline_score": np.array(list(problem.baselines.values())),
        "best_cell": np.array(job.cells[best]),
        "examples": np.array(json.dumps(problem.examples(model[0]), ensure_ascii=False)),
    }
    if problem.words:
        (pictures,) = sources_of(problem.shown)
        found["pixel_spread"] = pictures[0].astype(float).std(axis=0)
    return found


def _learned(
    problem: Problem, job: Job, cell: str, n_threads: int, advance: Callable[[int], object]
) -> tuple[Any, Found]:
    """The networks of one cell after their training, and what was measured of them."""
    losses = trial_losses(problem, job, cell, n_threads)
    rate = job.options.learning_rates[chosen(losses)]
    before = problem.draw(job.network_seeds, cell)
    scores = []
    for learned in learning(before, problem, job, rate, job.updates, n_threads):
        scores.append(problem.measure(learned.model))
        advance(1)
    after: Any = learned.model
    found = {
        "trial_loss": losses,
        "learning_rate": np.array(rate),
        "score": np.stack(scores, axis=1),
        "diverged": learned.diverged,
    }
    if problem.word_shares is not None:
        found["word_score"] = problem.word_shares(after)
    return after, found | _flow([before, after], problem)


def _flow(models: list[Any], problem: Problem) -> Found:
    """Where gradients go in each model, and of pictures to which pixels."""
    maps = [gradient_map(model, problem.shown).log_norms for model in models]
    found: Found = {"log_norms": np.stack(maps, axis=1)}
    if problem.words:
        pixels = [
            [picture_gradients(model, pairs) for pairs in problem.words.values()]
            for model in models
        ]
        found["pixel_gradients"] = np.moveaxis(np.array(pixels), 2, 0)
    return found
