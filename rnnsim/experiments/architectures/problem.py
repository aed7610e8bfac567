"""What the problems of all architectures share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from rnnsim.data.pairs import Data, Pairs
from rnnsim.networks.model import Model
from rnnsim.networks.stack import Network, Stack, has_layers

Net = TypeVar("Net", bound=Network)


class Options(NamedTuple):
    """How networks of one architecture are drawn and trained.

    H, B; rates of Adam to choose from, the usual one first; the standard deviation of W_xh, which
    reads one-hot inputs; a window K, and whether training is truncated to it; T, where a task lets
    one choose; the fraction of words that are left out in training, so that few sentences are not
    learned by heart; the value of a word's one-hot input, whose weights learn so much faster than
    all others (Adam takes steps of one size for each weight); a text of one's own to read; what is
    added to the bias of the gate that keeps the state, of gated cells; layers, and how W_hh is
    drawn, of networks that read.
    """

    n_updates: int
    n_hidden: int
    batch_size: int
    learning_rates: tuple[float, ...]
    input_scale: float
    window: int
    truncated: bool = False
    n_steps: int | None = None
    left_out: float = 0.0
    word_value: float = 1.0
    text: str | None = None
    forget_bias: float = 0.0
    n_layers: int = 1
    scheme: str = "orthogonal"


class Example(NamedTuple):
    """What a network read, what it said and what is right."""

    source: str
    answer: str
    right: str


@dataclass(frozen=True)
class Problem:
    """One architecture: networks, data in three parts, and scores.

    `draw` makes a network of a cell for each seed; `task` is what `train` takes, of the training
    part. Of the validation part: `loss` and `measure` give the loss and the score of each network,
    the latter in `unit`; `shown` are data whose gradient flow is looked at; `examples` reads some
    with a network; `words` are, of pictures, the same data with the loss of one word of a caption
    alone, and `word_shares` (N, words) how many captions have it right. Of the training part, as it
    is: `learned` gives the score of each network. Of the test part: `test` gives the score of each
    network, to be asked for once, when everything is chosen, `n_test` is how many items that is
    of, and `baselines` are what other ways score there.
    """

    kind: str
    score: str
    unit: str
    draw: Callable[[Sequence[int], str], Model]
    task: Callable[[np.random.Generator], Any]
    shown: Data
    loss: Callable[[Any], npt.NDArray[np.float64]]
    measure: Callable[[Any], npt.NDArray[np.float64]]
    learned: Callable[[Any], npt.NDArray[np.float64]]
    test: Callable[[Any], npt.NDArray[np.float64]]
    n_test: int
    baselines: dict[str, float]
    examples: Callable[[Any], list[Example]]
    words: Mapping[str, Pairs] = field(default_factory=dict)
    word_shares: Callable[[Any], npt.NDArray[np.float64]] | None = None

    @property
    def more_is_better(self) -> bool:
        """Of scores; otherwise they are costs."""
        return self.unit.startswith("fraction")


def rescaled(network: Net, deviation: float) -> Net:
    """W_xh ~ N(0, deviation^2) in place of N(0, 1/D), of stacks that of the lowest layer."""
    rnn, *above = network.layers
    W_xh = rnn.W_xh * rnn.dtype.type(deviation * np.sqrt(rnn.n_inputs))
    rnn = rnn.with_weights(rnn.weights._replace(W_xh=W_xh))
    found: Any = Stack([rnn, *above]) if has_layers(network) else rnn
    return found


def gates(options: Options, cell: str) -> dict[str, Any]:
    """The cell, and the forget bias where it has a gate that keeps the state."""
    return {"cell": cell, "forget_bias": options.forget_bias if cell != "vanilla" else 0.0}
