"""Networks while they learn."""

from dataclasses import dataclass
from typing import Annotated

from ..frame.settings import CORES, LEARNING, SCHEME_HELP, TASK_HELP, Cells, Command, Own, flag


@dataclass(frozen=True)
class TemporalOrder(Cells):
    """What to train; the defaults are a fraction of the published budget."""

    cell: Annotated[
        tuple[str, ...], flag("Cells that are compared: vanilla, lstm, gru, one or several.")
    ] = ("vanilla", "gru", "lstm")
    cell_optimizer: Annotated[
        str,
        flag("What cells are compared with: sgd, momentum, adam, rmsprop or adagrad.", LEARNING),
    ] = "adam"
    cell_learning_rate: Annotated[float, flag("Its rate.", LEARNING)] = 0.003
    length: Annotated[tuple[int, ...], flag("Sequence lengths T, in steps.")] = (20, 30, 50)
    network_seeds: Annotated[int, flag("Initial networks, the same for all methods.")] = 5
    n_updates: Annotated[int, flag("Updates of every network.", LEARNING)] = 6000
    n_hidden: Annotated[int, flag("Hidden units H.")] = 50
    batch_size: Annotated[int, flag("Sequences B per batch.")] = 20
    learning_rate: Annotated[float, flag("Rate of SGD, in all methods.", LEARNING)] = 0.01
    clip_norm: Annotated[float, flag("Norm at which gradients are clipped.", LEARNING)] = 1.0
    penalty: Annotated[float, flag("Weight of Omega.", LEARNING)] = 4.0
    penalty_variant: Annotated[str, flag("code or paper, see rnnsim.train.", LEARNING)] = "code"
    test_size: Annotated[int, flag("Sequences tested on.")] = 10_000
    tolerance: Annotated[float, flag("Share of wrong answers below which it is solved.")] = 0.01
    record_every: Annotated[
        int | None, flag("Updates between tests; a twentieth of all unless given.", LEARNING)
    ] = None
    data_seed: Annotated[int, flag("Seed of batches and test data.")] = 0
    dtype: Annotated[str, flag("float32 or float64.")] = "float32"
    n_threads: Annotated[int | None, flag("Threads; all cores unless given.", CORES)] = None


TEMPORAL_ORDER = Command(
    "analysis.training.temporal_order",
    TemporalOrder,
    "Share of networks that solve temporal order: SGD, clipping, a penalty; RNN, GRU, LSTM.",
    (
        "temporal-order",
        "temporal-order --length 20 --n-updates 2000 --network-seeds 3",
        "temporal-order --cell lstm --forget-bias 0 1 --clip-norm 0.5",
    ),
)


@dataclass(frozen=True)
class Training(Own, Cells):
    """What to train."""

    task: Annotated[str, flag(TASK_HELP)] = "temporal_order"
    length: Annotated[int, flag("Sequence length T, in steps.")] = 40
    gain: Annotated[tuple[float, ...], flag("Gains: factors of W_hh before training.")] = (
        0.5,
        1.0,
        1.5,
    )
    scheme: Annotated[str, flag(SCHEME_HELP)] = "gaussian"
    activation: Annotated[str, flag("tanh, sigmoid, relu or linear.")] = "tanh"
    network_seeds: Annotated[int, flag("Networks per gain.")] = 5
    data_seed: Annotated[int, flag("Seed of batches and test data.")] = 0
    n_hidden: Annotated[int, flag("Hidden units H.")] = 32
    batch_size: Annotated[int, flag("Sequences B per batch.")] = 16
    window: Annotated[
        int | None, flag("Window K of truncated BPTT; full unless given.", LEARNING)
    ] = None
    stride: Annotated[int | None, flag("Stride S; the window unless given.", LEARNING)] = None
    carry: Annotated[str, flag("State between segments: sequence, stream or none.", LEARNING)] = (
        "sequence"
    )
    optimizer: Annotated[str, flag("sgd, momentum, adam, rmsprop or adagrad.", LEARNING)] = "adam"
    learning_rate: Annotated[float, flag("Learning rate.", LEARNING)] = 0.003
    clip_norm: Annotated[float, flag("Largest norm of a gradient; 0: not clipped.", LEARNING)] = 1.0
    penalty: Annotated[float, flag("Weight of Pascanu's Omega.", LEARNING)] = 0.0
    n_updates: Annotated[int, flag("Updates of every network.", LEARNING)] = 1600
    record_every: Annotated[int, flag("Updates between records.", LEARNING)] = 20
    snapshot_every: Annotated[
        int, flag("Updates between spectra and gradient flows.", LEARNING)
    ] = 40
    dtype: Annotated[str, flag("float64 or float32.")] = "float64"
    n_threads: Annotated[int | None, flag("Threads; all cores unless given.", CORES)] = None


TRAINING = Command(
    "analysis.training.training",
    Training,
    "Networks while they learn: loss, gradients, eigenvalues, bias of truncation, reach.",
    (
        "training",
        "training --task adding --gain 0.5 1 --n-updates 400",
        "training --window 10 --carry stream --task characters --length 200",
    ),
)
