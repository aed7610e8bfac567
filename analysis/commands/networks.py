"""One network on a page, and networks of several kinds side by side."""

from dataclasses import dataclass
from typing import Annotated

from ..frame.settings import CORES, LEARNING, SCHEME_HELP, Command, Ensemble, Own, Reading, flag


@dataclass(frozen=True)
class Portrait(Own, Reading):
    """Which network is portrayed, and what it reads."""

    scheme: Annotated[str, flag(SCHEME_HELP)] = "gaussian"
    gain: Annotated[
        float | None, flag("Gain: factor of W_hh; 1.5 unless given, of --weights 1.")
    ] = None
    n_hidden: Annotated[int, flag("Hidden units H.")] = 64
    seed: Annotated[int, flag("Seed of the network.")] = 0
    activation: Annotated[str, flag("tanh, sigmoid, relu or linear.")] = "tanh"
    cell: Annotated[str, flag("Cell: vanilla, lstm or gru.")] = "vanilla"
    forget_bias: Annotated[float, flag("Added to the bias of f (LSTM) or z (GRU).")] = 0.0
    n_layers: Annotated[int, flag("Layers of a stack.")] = 1
    length: Annotated[int, flag("Sequence length T, in steps.")] = 200
    batch_size: Annotated[int, flag("Sequences B.")] = 16
    tolerance: Annotated[float, flag("Relative error at which a window suffices.")] = 0.1
    dtype: Annotated[str, flag("float64 or float32.")] = "float64"
    n_threads: Annotated[int | None, flag("Threads; all cores unless given.", CORES)] = None


PORTRAIT = Command(
    "analysis.networks.portrait",
    Portrait,
    "All that is known about one network, drawn or from a file, on one page.",
    (
        "portrait",
        "portrait --gain 0.9 --scheme orthogonal --task adding --length 100",
        "portrait --weights network.pt --data sequences.npz",
    ),
)


@dataclass(frozen=True)
class ComparedCells(Own, Ensemble):
    """Which cells are compared, on what."""

    n_hidden: Annotated[int, flag("Hidden units H.")] = 32
    network_seeds: Annotated[int, flag("Networks per cell and start.")] = 3
    activation: Annotated[str, flag("Of vanilla networks: tanh, sigmoid, relu or linear.")] = "tanh"
    cell: Annotated[tuple[str, ...], flag("vanilla, gru, lstm: one or several.")] = (
        "vanilla", "gru", "lstm",
    )  # fmt: skip
    forget_bias: Annotated[
        tuple[float, ...], flag("Added to the bias of f (LSTM) and z (GRU); a column each.")
    ] = (0.0, 1.0, 3.0)
    chrono: Annotated[
        float, flag("T_max of chrono initialisation, one more column; 0 for none.")
    ] = 200.0
    n_layers: Annotated[int, flag("Layers of every network; of 2 and more stacks.")] = 1
    scheme: Annotated[
        str, flag("Initialisation: pytorch, gaussian, orthogonal, identity or uniform.")
    ] = "pytorch"
    gain: Annotated[float, flag("Gain: factor of all of W_hh.")] = 1.0
    length: Annotated[int, flag("Sequence length T, in steps.")] = 200
    share: Annotated[float, flag("Share of dL/dW_hh that the reach keeps.")] = 0.9
    state_scale: Annotated[
        str, flag("Units of norms: std, of what each component of the state varies by; or none.")
    ] = "std"
    tolerance: Annotated[float, flag("Relative error at which a window suffices.")] = 0.1


CELLS = Command(
    "analysis.networks.cells",
    ComparedCells,
    "RNN, GRU and LSTM side by side: gradients, windows, exponents and time scales of gates.",
    (
        "cells",
        "cells --cell lstm gru --forget-bias 0 2 --length 400",
        "cells --task adding --chrono 100 --n-hidden 16",
    ),
)


@dataclass(frozen=True)
class Depth(Own, Ensemble):
    """Which stacks are compared, on what."""

    n_hidden: Annotated[int, flag("Hidden units H of each layer.")] = 24
    network_seeds: Annotated[int, flag("Stacks per depth.")] = 3
    n_layers: Annotated[tuple[int, ...], flag("Layers: one or several, a panel each.")] = (1, 2, 4)
    cell: Annotated[str, flag("Of all layers: vanilla, lstm or gru.")] = "vanilla"
    forget_bias: Annotated[float, flag("Added to the bias of f (LSTM) or z (GRU).")] = 0.0
    scheme: Annotated[str, flag(SCHEME_HELP.removesuffix(".") + ", or pytorch.")] = "gaussian"
    gain: Annotated[float, flag("Gain: factor of all of W_hh.")] = 1.0
    length: Annotated[int, flag("Sequence length T, in steps.")] = 200
    tolerance: Annotated[float, flag("Relative error at which a window suffices.")] = 0.1


DEPTH = Command(
    "analysis.networks.depth",
    Depth,
    "Stacks of more and more layers: gradients, exponents and windows of every layer.",
    (
        "depth",
        "depth --cell lstm --forget-bias 1 --n-layers 1 2 3",
        "depth --task adding --length 100 --gain 1.1",
    ),
)


_ALL = ("characters", "sentences", "translation", "captions")
_CELLS = ("vanilla", "lstm", "gru")
_OWN = "that of each architecture unless given."


@dataclass(frozen=True)
class Architectures:
    """What to train; each architecture has sizes of its own."""

    architecture: Annotated[tuple[str, ...], flag(f"Any of {', '.join(_ALL)}.")] = _ALL
    cell: Annotated[
        tuple[str, ...],
        flag("Any of vanilla, lstm, gru; the one that validates best is tested."),
    ] = _CELLS
    forget_bias: Annotated[
        float | None, flag(f"Added to the bias of f (LSTM) or z (GRU); {_OWN}")
    ] = None
    n_layers: Annotated[int, flag("Layers of a network, or of encoder and decoder each.")] = 1
    network_seeds: Annotated[int, flag("Networks trained side by side.")] = 3
    n_updates: Annotated[int | None, flag(f"Updates; {_OWN}", LEARNING)] = None
    n_hidden: Annotated[int | None, flag(f"Hidden units H; {_OWN}")] = None
    batch_size: Annotated[int | None, flag(f"Sequences B per batch; {_OWN}")] = None
    learning_rate: Annotated[
        tuple[float, ...] | None,
        flag(f"Rates of Adam, chosen from by the validation part; {_OWN}", LEARNING),
    ] = None
    n_steps: Annotated[int | None, flag(f"T of characters and sentences; {_OWN}")] = None
    window: Annotated[
        int | None, flag(f"Truncation window K: trains characters, marked in all; {_OWN}", LEARNING)
    ] = None
    text: Annotated[
        str | None, flag("A file in UTF-8 that characters reads; English unless given.")
    ] = None
    n_records: Annotated[int, flag("How often validation data are scored.", LEARNING)] = 10
    data_seed: Annotated[int, flag("Seed of batches and held-out data.")] = 0
    dtype: Annotated[str, flag("float32 or float64.")] = "float32"
    n_threads: Annotated[int | None, flag("Threads; all cores unless given.", CORES)] = None


ARCHITECTURES = Command(
    "analysis.networks.architectures",
    Architectures,
    "Text, sentences, translation and captions: held-out scores, gradients across the boundary.",
    (
        "architectures",
        "architectures --architecture sentences --cell gru --n-updates 200",
        "architectures --architecture characters --text book.txt --n-hidden 64",
    ),
)
