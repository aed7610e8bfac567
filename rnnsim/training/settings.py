"""Settings of training, checked: what of an update is the same in every segment."""

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.kernels.training.optimisers import ADAGRAD, ADAM, MOMENTUM, RMSPROP, SGD, Rule
from rnnsim.kernels.training.penalty import CODE, PAPER
from rnnsim.networks.model import Layout, Model, parts_of
from rnnsim.training.schedules import truncation_of

OPTIMIZERS = {
    "sgd": SGD, "momentum": MOMENTUM, "adam": ADAM, "rmsprop": RMSPROP, "adagrad": ADAGRAD,
}  # fmt: skip
PENALTIES = {"paper": PAPER, "code": CODE}
CLIPPED_BY = ("all", "layer")


def parts_clipped(
    layout: Layout, labels: npt.NDArray[np.int64], clip_by: str
) -> npt.NDArray[np.int64]:
    """Where the parts of a gradient begin that `clip_norm` holds for, each by itself, and P."""
    bounds = layout.bounds
    if checks.one_of("clip_by", clip_by, CLIPPED_BY) == "all":
        return bounds[[0, -1]]
    layers = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    tied = np.unique(np.stack([np.abs(labels), layers[: labels.size]])[:, labels != 0], axis=1)[0]
    shared = tied[1:][np.diff(tied) == 0]
    if shared.size:
        entries = np.flatnonzero(np.abs(labels) == shared[0])
        names = [
            name
            for name, place in layout.places.items()
            if ((entries >= place.start) & (entries < place.stop)).any()
        ]
        raise ValueError(
            "`tie` must join weights of one layer where clip_by = 'layer', as the gradient of each "
            f"is clipped by itself, got one parameter for {' and '.join(map(repr, names))}; use "
            "clip_by='all'"
        )
    return bounds


def penalty_weight(model: Model, penalty: npt.ArrayLike) -> FloatArray:
    """The weight of Omega for each network; 0 of gated cells and of stacks."""
    weights = factor("penalty", penalty, len(model))
    main = next(iter(parts_of(model).values()))
    if weights.any() and len(main.layers) > 1:
        raise ValueError(
            f"`penalty` must be 0 for stacks of several layers, got {weights.max()}: Omega is "
            "defined by one W_hh, and their gradient goes down from layer to layer too"
        )
    cell = main.cell
    if weights.any() and cell != "vanilla":
        raise ValueError(
            f"`penalty` must be 0 for gated cells, got {weights.max()} for cell={cell!r}: Omega is "
            "defined by W_hh and phi', and their gradient passes between steps beside W_hh too"
        )
    return weights


def check_settings(
    n_networks: int,
    *,
    window: int | None = None,
    stride: int | None = None,
    carry: str = "sequence",
    optimizer: str = "sgd",
    learning_rate: npt.ArrayLike = 0.01,
    clip_norm: npt.ArrayLike | None = None,
    penalty: npt.ArrayLike = 0.0,
    penalty_variant: str = "paper",
) -> None:
    """Refuse what `train` would refuse, before anything is drawn for it."""
    truncation_of(window, stride, carry)
    checks.one_of("optimizer", optimizer, OPTIMIZERS)
    checks.one_of("penalty_variant", penalty_variant, PENALTIES)
    factor("learning_rate", learning_rate, n_networks)
    clip_limit("clip_norm", clip_norm, n_networks)
    factor("penalty", penalty, n_networks)


def rule_of(optimizer: str, *constants: float) -> Rule:
    """The optimiser and momentum, beta1, beta2, decay, epsilon."""
    code = OPTIMIZERS[checks.one_of("optimizer", optimizer, OPTIMIZERS)]
    names = ("momentum", "beta1", "beta2", "decay")
    for name, value in zip(names, constants[:4], strict=True):
        checks.fraction(name, value)
    checks.real_number("epsilon", constants[4], above=0.0)
    return Rule(code, *map(float, constants))


def factor(name: str, value: npt.ArrayLike, n_networks: int) -> FloatArray:
    """A factor of each network, at least 0."""
    return checks.per_network(name, checks.nonnegative(name, value), n_networks)


def clip_limit(name: str, value: npt.ArrayLike | None, n_networks: int) -> FloatArray:
    """Where to clip each network: above 0, infinity for None."""
    array = checks.real_array(name, np.inf if value is None else value)
    checks.positive(name, np.where(np.isposinf(array), 1.0, array))
    return checks.per_network(name, array, n_networks)
