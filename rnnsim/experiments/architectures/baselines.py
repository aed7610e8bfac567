"""What held-out scores are compared with: answers that need no recurrent network."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rnnsim.checks import FloatArray

Ids = npt.NDArray[np.int64]


def n_gram_bits(train: Ids, before: Ids, after: Ids, n_symbols: int) -> dict[str, float]:
    """Bits per symbol that predictions of `after` from `before`, counted in `train`, cost.

    ::

        uniform    log2 V
        unigram    mean of -log2 p(c)            p(c)     = (#c + 1) / (n + V)
        bigram     mean of -log2 p(c | d)        p(c | d) = (#dc + 1) / (#d + V)

    `train` is one sequence of ids, `before` and `after` are pairs of neighbours, of any shape.

    Examples
    --------
    >>> {name: round(bits, 2) for name, bits in n_gram_bits(
    ...     np.array([0, 1] * 50), np.array([0, 1]), np.array([1, 0]), 2).items()}
    {'uniform': 1.0, 'unigram': 1.0, 'bigram': 0.03}
    """
    single = np.bincount(train, minlength=n_symbols) + 1.0
    double = np.ones((n_symbols, n_symbols))
    np.add.at(double, (train[:-1], train[1:]), 1.0)
    conditional = double / double.sum(axis=1, keepdims=True)
    return {
        "uniform": float(np.log2(n_symbols)),
        "unigram": float(-np.log2(single / single.sum())[after].mean()),
        "bigram": float(-np.log2(conditional)[before, after].mean()),
    }


def most_frequent(train: Sequence[object], test: Sequence[object]) -> float:
    """The fraction of test answers that are the commonest one of training (the first, in a tie).

    Examples
    --------
    >>> most_frequent("aab", "abca")
    0.5
    """
    common = Counter(train).most_common(1)[0][0]
    return sum(answer == common for answer in test) / len(test)


def naive_bayes(
    train: Sequence[str], classes: npt.ArrayLike, test: Sequence[str], answers: npt.ArrayLike
) -> float:
    """Accuracy of multinomial naive Bayes over the words of a text, in lower case, without order.

    ``argmax_c ln(n_c) + sum_words ln((#w in c + 1) / (#words in c + #vocabulary))``; words that
    training does not have are passed over.

    Examples
    --------
    >>> naive_bayes(["a red rose", "the blue sea"], [0, 1], ["red", "a sea of blue"], [0, 1])
    1.0
    """
    y, right = np.asarray(classes), np.asarray(answers)
    found = sorted({word for text in train for word in _words(text)})
    place = {word: i for i, word in enumerate(found)}
    counts = np.ones((int(y.max()) + 1, len(place)))
    for text, c in zip(train, y, strict=True):
        for word in _words(text):
            counts[c, place[word]] += 1.0
    logs = np.log(counts / counts.sum(axis=1, keepdims=True))
    with np.errstate(divide="ignore"):
        prior = np.log(np.bincount(y, minlength=len(counts)))
    guesses = [
        (prior + logs[:, [place[w] for w in _words(text) if w in place]].sum(axis=1)).argmax()
        for text in test
    ]
    return float(np.mean(np.array(guesses) == right))


def nearest(train: FloatArray, answers: Sequence[str], test: FloatArray) -> list[str]:
    """The answers that belong to the nearest training vectors (n, D), by Euclidean distance.

    Examples
    --------
    >>> nearest(np.array([[0.0], [5.0]]), ["low", "high"], np.array([[1.0], [9.0]]))
    ['low', 'high']
    """
    squares = (train**2).sum(axis=1) - 2 * test @ train.T
    return [answers[i] for i in squares.argmin(axis=1)]


def word_for_word(train: FloatArray, answers: Sequence[str], test: FloatArray) -> list[str]:
    """Answers of equally many words, each by a support vector machine of its own (n, D).

    Radial kernel exp(-0.1 ||x - x'||^2), C = 10; one vector against another where a word has
    several values. Needs scikit-learn.

    Examples
    --------
    >>> word_for_word(np.array([[0.0], [5.0]]), ["a low", "a high"], np.array([[1.0], [9.0]]))
    ['a low', 'a high']
    """
    from sklearn.svm import SVC

    guesses = []
    for words in zip(*(answer.split(" ") for answer in answers), strict=True):
        machine = SVC(C=10.0, gamma=0.1)
        several = len(set(words)) > 1
        found = machine.fit(train, words).predict(test) if several else words[:1] * len(test)
        guesses.append(found)
    return [" ".join(words) for words in zip(*guesses, strict=True)]


def shares_of_words(
    answers: Sequence[str], right: Sequence[str], places: Sequence[int]
) -> list[float]:
    """How many answers have the right word at each of these places.

    Examples
    --------
    >>> shares_of_words(["a red rose", "a"], ["a red tulip", "a blue sea"], [0, 1, 2])
    [1.0, 0.5, 0.0]
    """
    pairs = [(a.split(" "), b.split(" ")) for a, b in zip(answers, right, strict=True)]
    return [sum(a[i : i + 1] == b[i : i + 1] for a, b in pairs) / len(pairs) for i in places]


def word_by_word(text: str, dictionary: dict[str, str]) -> str:
    """Every word replaced by its translation, in the order of the source; others left out.

    Examples
    --------
    >>> word_by_word("twenty-one", {"twenty": "zwanzig", "one": "eins"})
    'zwanzigeins'
    """
    return "".join(dictionary.get(word, "") for word in re.findall(r"[a-z]+", text))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
