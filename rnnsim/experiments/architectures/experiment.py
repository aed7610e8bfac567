"""Four architectures learn real data: held-out scores, and gradient flow before and after."""

import json
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rnnsim import checks
from rnnsim.data.pairs import Pairs
from rnnsim.experiments import labels
from rnnsim.experiments.architectures import PROBLEMS, Options, Problem
from rnnsim.flow.maps import gradient_map, part_of_the_words, picture_gradients
from rnnsim.networks.encoder_decoder import EncoderDecoder
from rnnsim.networks.model import Model
from rnnsim.tasks import caption_alphabet
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
WORDS = {"thin or bold": 1, "the digit": 2, "left or right": 4}  # of captions, and their places


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
    problem = PROBLEMS[name](options, data_seed, dtype)
    before = problem.draw(seeds)
    after, found = _learned(
        before,
        problem,
        options,
        [data_seed, zlib.crc32(name.encode())],
        checks.whole_number("n_records", n_records, least=1),
        n_threads=n_threads,
        progress=name if progress else None,
    )
    dataset = _flow(problem, [before, after]).assign(
        score=(("network_seed", "updates"), found["score"]),
        baseline_score=(("baseline",), list(problem.baselines.values())),
        diverged=(("network_seed",), found["diverged"]),
    )
    dataset = dataset.assign_coords(
        network_seed=list(seeds), updates=found["updates"], baseline=list(problem.baselines)
    )
    dataset["score"].attrs.update(long_name=problem.score, units=problem.unit)
    configuration = {"name": name, "kind": problem.kind, **options._asdict()}
    configuration |= {"data_seed": data_seed, "dtype": dtype}
    return dataset.assign_attrs(
        configuration=json.dumps(configuration),
        examples=json.dumps(problem.examples(after[0]), ensure_ascii=False),
    )


def _options(name: str, **given: Any) -> Options:
    """Those of the architecture, but for what is given."""
    whole = {"n_updates": 0, "n_hidden": 1, "batch_size": 1, "n_steps": 1, "window": 1}
    chosen = {key: value for key, value in given.items() if value is not None}
    for key in chosen.keys() & whole.keys():
        chosen[key] = checks.whole_number(key, chosen[key], least=whole[key])
    return DEFAULTS[name]._replace(**chosen)


def _learned(
    model: Model,
    problem: Problem,
    options: Options,
    key: list[int],
    n_records: int,
    *,
    n_threads: int | None,
    progress: str | None,
) -> tuple[Model, dict[str, Any]]:
    """The trained model; updates made, scores (N, updates), the update of divergence or -1.

    Two runs, the second at a lower rate, each stopped for a score now and then: every part goes on
    from the checkpoint of the one before.
    """
    from tqdm import tqdm

    total = options.n_updates
    slow = total - int(_LAST * total)  # updates at the full rate
    updates = sorted({*points(total, max(1, -(-total // n_records))), slow})
    begun = [model, model]
    scores, diverged = [problem.measure(model)], np.full(len(model), -1)
    disable = None if progress else True  # None: silent without a terminal
    with tempfile.TemporaryDirectory() as folder:
        for update in tqdm(updates[1:], desc=progress, disable=disable):
            late = int(update > slow)
            training = train(
                begun[late],
                problem.task,
                n_updates=update - slow * late,
                window=options.window if options.truncated else None,
                optimizer="adam",
                learning_rate=options.learning_rate * (_SLOWER if late else 1.0),
                clip_norm=1.0,
                rng=np.random.default_rng([*key, late]),
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
    return model, {"updates": updates, "score": np.stack(scores, axis=1), "diverged": diverged}


def _flow(problem: Problem, models: list[Model]) -> xr.Dataset:
    """Gradient flow before and after training."""
    maps = [gradient_map(model, problem.shown) for model in models]
    log_norms = np.stack([found.log_norms for found in maps], axis=1)
    dataset = xr.Dataset(
        {"log_norms": (("network_seed", "moment", "loss_step", "place"), log_norms)},
        {"moment": list(MOMENTS), "loss_step": maps[0].steps, "place": maps[0].places},
    )
    dataset["log_norms"].attrs.update(long_name="mean over sequences of ln ||dl_t/dh_s||")
    if not isinstance(problem.shown, Pairs) or problem.shown.n_source_steps > 1:
        return dataset
    texts = caption_alphabet().decode(problem.shown.target.targets)
    words = [part_of_the_words(problem.shown, texts, word) for word in WORDS.values()]
    pixels = [
        [picture_gradients(model, pairs) for pairs in words]
        for model in models
        if isinstance(model, EncoderDecoder)
    ]
    dims = ("network_seed", "moment", "word", "pixel")
    dataset = dataset.assign(
        pixel_gradients=(dims, np.moveaxis(np.array(pixels), 2, 0)),
        pixel_spread=(("pixel",), problem.shown.source[0].astype(float).std(axis=0)),
    )
    return dataset.assign_coords(word=list(WORDS))
