"""Networks that write: translations, encoder-decoder; captions of pictures, one to many."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import tasks
from rnnsim.checks import FloatArray
from rnnsim.data.pairs import Pairs
from rnnsim.experiments import draws
from rnnsim.experiments.architectures import baselines
from rnnsim.experiments.architectures.problem import (
    Example,
    Options,
    Problem,
    gates,
    rescaled,
)
from rnnsim.flow.maps import part_of_the_words
from rnnsim.gradients.decoding import exact_match, greedy_decode
from rnnsim.gradients.pairs import pairs_evaluate
from rnnsim.networks.encoder_decoder import EncoderDecoder
from rnnsim.networks.model import Model

_SHOWN = 32  # sequences whose gradient flow is averaged
_LARGEST = 999  # of the numbers translated
_WORDS = {"thin or bold": 1, "the digit": 2, "left or right": 4}  # of captions, and their places


def translation(options: Options, seed: int, dtype: str) -> Problem:
    """Encoder-decoder: numbers 0..999 from English to German; exact matches.

    Read from the last character to the first (Sutskever et al. 2014), written greedily. Baselines:
    the answer to the most similar number seen in training (fewest different characters), which is
    never right, since no two numbers share an answer; and a dictionary of single words, in the
    English order.
    """
    english, german = tasks.number_alphabets(largest=_LARGEST)
    kind: Any = {"dtype": dtype, "largest": _LARGEST, "reverse": True}
    train, validation, test = (
        tasks.number_words(tenths * (_LARGEST + 1) // 10, rng=seed, part=part, **kind)
        for part, tenths in (("train", 8), ("validation", 1), ("test", 1))
    )
    read = [_read(pairs.source[::-1], english.characters) for pairs in (train, test)]
    written = [german.decode(pairs.target.targets) for pairs in (train, test)]
    everything = tasks.number_words(_LARGEST + 1, rng=seed, **kind)
    numbers = _read(everything.source[::-1], english.characters)
    answers = german.decode(everything.target.targets)
    dictionary = {"hundred": "hundert"} | dict(zip(numbers, answers, strict=True))

    def draw(seeds: Sequence[int], cell: str) -> Model:
        sizes = _sizes(len(english.characters), german, options, dtype)
        model = draws.encoder_decoders(seeds, **sizes, **gates(options, cell))
        return EncoderDecoder(
            *(rescaled(rnn, options.input_scale) for rnn in (model.encoder, model.decoder))
        )

    def task(rng: np.random.Generator) -> Pairs:
        return tasks.number_words(options.batch_size, rng=rng, part="train", **kind)

    return Problem(
        kind="encoder-decoder",
        score="numbers translated without a mistake",
        unit="fraction of numbers",
        draw=draw,
        task=task,
        shown=tasks.number_words(_SHOWN, rng=seed, part="validation", **kind),
        loss=lambda model: pairs_evaluate(model, validation).loss,
        measure=lambda model: exact_match(_written(model, validation, german), validation),
        learned=lambda model: exact_match(_written(model, train, german), train),
        test=lambda model: exact_match(_written(model, test, german), test),
        n_test=test.n_sequences,
        baselines={
            "answer of the nearest": _share(
                baselines.nearest(_flat(train), written[0], _flat(test)), written[1]
            ),
            "word by word": _share(
                [baselines.word_by_word(text, dictionary) for text in read[1]], written[1]
            ),
        },
        examples=lambda model: _answered(
            model, validation, german, _read(validation.source[::-1], english.characters)
        ),
    )


def captions(options: Options, seed: int, dtype: str) -> Problem:
    """One to many: pictures of digits in words; exact matches.

    Learned from training pictures that are varied at random and captioned anew, written greedily.
    Baselines: the most frequent caption; that of the nearest picture seen in training (Euclidean
    distance of the 64 pixels); and support vector machines, one for each word; all of them know
    the training pictures as they are.
    """
    alphabet = tasks.caption_alphabet()
    train, validation, test = (
        tasks.captions(n, rng=seed, dtype=dtype, part=part)
        for part, n in (("train", 1437), ("validation", 180), ("test", 180))
    )
    right = alphabet.decode(validation.target.targets)
    written = [alphabet.decode(pairs.target.targets) for pairs in (train, test)]

    def draw(seeds: Sequence[int], cell: str) -> Model:
        sizes = _sizes(64, alphabet, options, dtype)
        model = draws.encoder_decoders(seeds, captioner=True, **sizes, **gates(options, cell))
        return EncoderDecoder(model.encoder, rescaled(model.decoder, options.input_scale))

    def task(rng: np.random.Generator) -> Pairs:
        return tasks.captions(options.batch_size, rng=rng, dtype=dtype, part="train", varied=True)

    return Problem(
        kind="one to many",
        score="captions without a mistake",
        unit="fraction of pictures",
        draw=draw,
        task=task,
        shown=validation,
        loss=lambda model: pairs_evaluate(model, validation).loss,
        measure=lambda model: exact_match(_written(model, validation, alphabet), validation),
        learned=lambda model: exact_match(_written(model, train, alphabet), train),
        test=lambda model: exact_match(_written(model, test, alphabet), test),
        n_test=test.n_sequences,
        baselines={
            "most frequent caption": baselines.most_frequent(*written),
            "caption of the nearest": _share(
                baselines.nearest(_flat(train), written[0], _flat(test)), written[1]
            ),
            "a kernel machine for each word": _share(
                baselines.word_for_word(_flat(train), written[0], _flat(test)), written[1]
            ),
        },
        examples=lambda model: _answered(model, validation, alphabet, ["(a picture)"] * 180),
        words={name: part_of_the_words(validation, right, word) for name, word in _WORDS.items()},
        word_shares=lambda model: np.array(
            [
                baselines.shares_of_words(alphabet.decode(ids), right, list(_WORDS.values()))
                for ids in _written(model, validation, alphabet)
            ]
        ),
    )


def _sizes(
    n_source_inputs: int, alphabet: tasks.Alphabet, options: Options, dtype: str
) -> dict[str, Any]:
    """What networks are drawn with: orthogonal W_hh, sizes of data and options."""
    return {
        "scheme": "orthogonal",
        "dtype": dtype,
        "n_source_inputs": n_source_inputs,
        "n_inputs": alphabet.n_inputs,
        "n_hidden": options.n_hidden,
        "n_outputs": alphabet.n_outputs,
        "n_layers": options.n_layers,
    }


def _written(
    model: EncoderDecoder, pairs: Pairs, alphabet: tasks.Alphabet
) -> npt.NDArray[np.int64]:
    return greedy_decode(
        model, pairs.source, start=alphabet.start, end=alphabet.end, n_steps=pairs.n_steps
    )


def _answered(
    model: EncoderDecoder, pairs: Pairs, alphabet: tasks.Alphabet, sources: list[str]
) -> list[Example]:
    answers = alphabet.decode(_written(model, pairs, alphabet)[0])
    right = alphabet.decode(pairs.target.targets)
    return [Example(*each) for each in zip(sources, answers, right, strict=True)][:3]


def _read(source: FloatArray, vocabulary: str) -> list[str]:
    """The texts of one-hot inputs (T, B, V); steps of zeros are left out."""
    codes = np.where(source.any(axis=-1), source.argmax(axis=-1), -1).T.tolist()
    return ["".join(vocabulary[i] for i in column if i >= 0) for column in codes]


def _flat(pairs: Pairs) -> FloatArray:
    return pairs.source.swapaxes(0, 1).reshape(pairs.n_sequences, -1)


def _share(answers: Sequence[str], right: Sequence[str]) -> float:
    return float(np.mean([a == b for a, b in zip(answers, right, strict=True)]))
