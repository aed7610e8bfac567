"""Networks that read: the next character, many to many; the class of a sentence, many to one."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import tasks
from rnnsim.data.sequences import Sequences
from rnnsim.experiments import draws
from rnnsim.experiments.architectures import baselines
from rnnsim.experiments.architectures.problem import (
    Example,
    Options,
    Problem,
    gates,
    rescaled,
)
from rnnsim.gradients.simulation import evaluate, forward
from rnnsim.networks.stack import Network, Stack
from rnnsim.tasks.drawing import many_to_one, provenance
from rnnsim.tasks.sentence_classes import SentenceCorpus
from rnnsim.tasks.text import corpus_codes

_SHOWN = 32  # sequences whose gradient flow is averaged
_SCORED = 256  # pieces of text
_PROMPT, _CONTINUED = 40, 60  # characters


def characters(options: Options, seed: int, dtype: str) -> Problem:
    """Many to many: the next character of English or of `options.text`, in bits.

    The text and parts of `tasks.characters`. Baselines: equally likely characters, and counts of
    characters and of pairs of them in the training text, plus one (`baselines.n_gram_bits`).
    """
    T, text = options.n_steps or 200, options.text
    read: Any = {"dtype": dtype, "text": text}
    learned, validation, test = (
        tasks.characters(T, _SCORED, rng=seed, part=part, **read)
        for part in ("train", "validation", "test")
    )
    vocabulary = tasks.corpus(text).vocabulary
    V, train = len(vocabulary), corpus_codes(text)[tasks.corpus(text).parts["train"]]

    def task(rng: np.random.Generator) -> Sequences:
        return tasks.characters(T, options.batch_size, rng=rng, part="train", **read)

    def bits(rnn: Network, part: Sequences) -> npt.NDArray[np.float64]:
        return evaluate(rnn, part).loss / (T * np.log(2.0))

    return Problem(
        kind="many to many",
        score="cost of the next character",
        unit="bits per character",
        draw=lambda seeds, cell: _networks(seeds, cell, (V, V), options, dtype),
        task=task,
        shown=tasks.characters(min(T, 100), _SHOWN, rng=seed, part="validation", **read),
        loss=lambda rnn: evaluate(rnn, validation).loss,
        measure=lambda rnn: bits(rnn, validation),
        learned=lambda rnn: bits(rnn, learned),
        test=lambda rnn: bits(rnn, test),
        n_test=test.n_sequences,
        baselines=baselines.n_gram_bits(train, test.inputs.argmax(axis=-1), test.targets, V),
        examples=lambda rnn: [
            _continued(rnn, prompt, vocabulary) for prompt in _prose(validation.targets, vocabulary)
        ],
    )


def sentences(options: Options, seed: int, dtype: str) -> Problem:
    """Many to one: which part of a reference a sentence comes from; accuracy.

    The sentences, classes and parts of `tasks.sentences`, read word by word: one-hot for the words
    of the training part (its value is `options.word_value`), zeros for others, and in training for
    some at random.
    Sentences of up to T words, which end at step T. Baselines: the most frequent class, and naive
    Bayes over all words, which does not know their order.
    """
    T, data = options.n_steps or 30, tasks.sentence_corpus()
    words = [re.findall(r"\w+", sentence.lower()) for sentence in data.sentences]
    train, validation, test = _parts(data, np.array([len(each) for each in words]), T)
    vocabulary = sorted({word for i in train for word in words[i]})
    V = len(vocabulary)
    ids = _right_aligned(words, {word: i for i, word in enumerate(vocabulary)}, T)
    onehot = options.word_value * np.eye(V + 1, V, dtype=dtype)  # row -1: zeros
    source = {"sentences_sha256": data.sha256, "corpus_share": data.share}
    origin = provenance("sentences", "word by word", **source)
    groups = list(tasks.SENTENCE_GROUPS)

    def read(which: npt.NDArray[np.int64], codes: npt.NDArray[np.int64]) -> Sequences:
        return many_to_one(onehot[codes], data.classes[which], origin)

    def task(rng: np.random.Generator) -> Sequences:
        which = rng.choice(train, min(options.batch_size, train.size), replace=False)
        kept = rng.random((T, which.size)) >= options.left_out
        return read(which, np.where(kept, ids[:, which], -1))

    def examples(rnn: Network) -> list[Example]:
        answers = forward(rnn, validated.inputs[:, :3]).outputs[0, -1].argmax(axis=-1)
        every = zip(validation[:3], answers, strict=True)
        return [Example(data.sentences[i], groups[a], groups[data.classes[i]]) for i, a in every]

    validation = draws.shuffled(seed, validation)
    validated, tested = (read(part, ids[:, part]) for part in (validation, test))
    texts = [[data.sentences[i] for i in part] for part in (train, test)]
    classes = [data.classes[part] for part in (train, test)]
    return Problem(
        kind="many to one",
        score="sentences put into the right one of five classes",
        unit="fraction of sentences",
        draw=lambda seeds, cell: _networks(seeds, cell, (V, len(groups)), options, dtype),
        task=task,
        shown=read(validation[:_SHOWN], ids[:, validation[:_SHOWN]]),
        loss=lambda rnn: evaluate(rnn, validated).loss,
        measure=lambda rnn: evaluate(rnn, validated).accuracy,
        learned=lambda rnn: evaluate(rnn, read(train, ids[:, train])).accuracy,
        test=lambda rnn: evaluate(rnn, tested).accuracy,
        n_test=test.size,
        baselines={
            "most frequent class": baselines.most_frequent(*(c.tolist() for c in classes)),
            "naive Bayes on words": baselines.naive_bayes(
                texts[0], classes[0], texts[1], classes[1]
            ),
        },
        examples=examples,
    )


def _parts(
    data: SentenceCorpus, n_words: npt.NDArray[np.int64], n_steps: int
) -> list[npt.NDArray[np.int64]]:
    """The sentences of up to so many words of each part, by their places."""
    parts = [np.flatnonzero(data.of(part)) for part in ("train", "validation", "test")]
    least = max(n_words[part].min() for part in parts)
    if least > n_steps:
        raise ValueError(
            f"`n_steps` must be at least {least}, the words of the shortest sentences, "
            f"got {n_steps}"
        )
    return [part[n_words[part] <= n_steps] for part in parts]


def _networks(
    seeds: Sequence[int], cell: str, sizes: tuple[int, int], options: Options, dtype: str
) -> Network:
    """An RNN, of several layers a Stack, the lowest of which reads one-hot."""
    drawn: Network = draws.paired_networks(
        seeds,
        [1.0] * len(seeds),
        sizes=sizes,
        n_hidden=options.n_hidden,
        scheme=options.scheme,
        activation="tanh",
        dtype=dtype,
        n_layers=options.n_layers,
        **gates(options, cell),
    )
    lowest, *others = drawn.layers
    lowest = rescaled(lowest, options.input_scale)
    return Stack([lowest, *others]) if others else lowest


def _right_aligned(
    texts: list[list[str]], place: dict[str, int], n_steps: int
) -> npt.NDArray[np.int64]:
    """Ids (T, S) of words that end at the last step; -1 for others and before the beginning.

    Only the last T words of longer texts.
    """
    ids = np.full((n_steps, len(texts)), -1)
    for column, words in enumerate(texts):
        found = [place.get(word, -1) for word in words[-n_steps:]]
        ids[n_steps - len(found) :, column] = found
    return ids


def _prose(targets: npt.NDArray[np.int64], vocabulary: str) -> list[npt.NDArray[np.int64]]:
    """Three beginnings with the most letters; the text has tables and examples of code as well."""
    prompts = targets[:_PROMPT]
    letters = np.array([character.isalpha() for character in vocabulary])[prompts].sum(axis=0)
    return [prompts[:, b] for b in np.argsort(-letters, kind="stable")[:3]]


def _continued(rnn: Network, prompt: npt.NDArray[np.int64], vocabulary: str) -> Example:
    """A prompt of held-out text, and characters drawn from what the network expects, in turn."""
    generator = draws.answers()
    onehot = np.eye(len(vocabulary), dtype=rnn.dtype)
    run = forward(rnn, onehot[prompt][:, None])
    codes: list[int] = []
    for _ in range(_CONTINUED):
        logits = run.outputs[0, -1, 0].astype(float)
        chances = np.exp(logits - logits.max())
        codes.append(int(generator.choice(len(vocabulary), p=chances / chances.sum())))
        run = forward(rnn, onehot[codes[-1:]][:, None], h0=run.final_h, c0=run.final_c)
    read, said = ("".join(vocabulary[i] for i in ids) for ids in (prompt.tolist(), codes))
    return Example(" ".join(read.split()), " ".join(said.split()), "")
