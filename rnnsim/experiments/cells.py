"""Which cells a sweep sets beside each other: axes, the kinds that exist, what variables mean."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.datasets import Variable
from rnnsim.experiments import labels
from rnnsim.networks.cells import CELLS
from rnnsim.networks.rnn import ACTIVATIONS

_WINDOWED = (
    "truncated_log_norm truncated_log_norm_per_weight truncation_log_error truncation_cosine "
    "sufficient_window"
).split()


# What is no axis; a sweep that gives something else has one.
USUAL: dict[str, tuple[Any, ...]] = {"cell": ("vanilla",), "forget_bias": (0.0,), "n_layers": (1,)}


class Kind(NamedTuple):
    """One kind of networks: its place along the axes, and how `draws.Networks` draws it."""

    place: dict[str, int]
    options: dict[str, Any]

    def state_size(self, n_hidden: int) -> int:
        """Numbers of a state: those of h and of c for LSTMs, of all layers."""
        numbers = 2 * n_hidden if self.options["cell"] == "lstm" else n_hidden
        return numbers * int(self.options.get("n_layers", 1))


class Cells(NamedTuple):
    """What a sweep compares.

    Attributes
    ----------
    axes : dict of str to tuple
        Labels of those settings that are not as usual. A sweep of vanilla networks has none, so
        that its dataset is what it was before there were other cells.
    kinds : tuple of Kind
        The combinations that there are; elsewhere datasets have nothing. Their options say how many
        layers there are where that is an axis.
    """

    axes: dict[str, tuple[Any, ...]]
    kinds: tuple[Kind, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The cells, each once."""
        return tuple(dict.fromkeys(kind.options["cell"] for kind in self.kinds))

    @property
    def settings(self) -> dict[str, Any]:
        """What a configuration keeps of them."""
        return {name: list(values) for name, values in self.axes.items()}

    def on_axes(self, variables: Mapping[str, Variable]) -> dict[str, Variable]:
        """Variables of networks with these axes first, and what they are of these cells."""
        return {
            name: v._replace(
                dims=(*self.axes, *v.dims) if "network_seed" in v.dims else v.dims,
                long_name=v.long_name + self._meaning(name, v.long_name),
            )
            for name, v in variables.items()
        }

    def _meaning(self, name: str, long_name: str) -> str:
        """What is else with gated cells."""
        state = "lstm" in self.names and ("/dh_" in long_name or "dh_t/" in long_name)
        gated = self.names != ("vanilla",)
        return (
            f"{'; h: of an LSTM its state (h, c)' * state}"
            f"{'; of gated cells of dL/d[W_hh, W_xh, b_h]' * (gated and name in _WINDOWED)}"
        )


def cells_of(
    cell: str | Sequence[str],
    forget_bias: npt.ArrayLike,
    activation: str | Sequence[str] = "tanh",
    n_layers: int | Sequence[int] = 1,
) -> Cells:
    """Cells, forget biases and numbers of layers, all that can be combined.

    Vanilla networks have no gate to set, and stand at a forget bias of 0 alone; LSTMs and GRUs have
    no phi to choose, and stand at the activation "tanh" alone.

    Raises
    ------
    TypeError, ValueError
        Unknown names, empty axes, labels twice; one that none of the others can be combined with.

    Examples
    --------
    >>> found = cells_of(["vanilla", "lstm"], [0, 1])
    >>> [tuple(kind.options.values()) for kind in found.kinds]
    [('vanilla', 0.0), ('lstm', 0.0), ('lstm', 1.0)]
    >>> cells_of("lstm", 0.0).axes, cells_of("vanilla", 0.0).axes
    ({'cell': ('lstm',)}, {})
    """
    given: dict[str, tuple[Any, ...]] = {
        "cell": labels.names("cell", cell, CELLS),
        "forget_bias": labels.real_numbers("forget_bias", forget_bias),
        "n_layers": labels.sizes("n_layers", n_layers),
    }
    _check_biases(given["cell"], given["forget_bias"])
    _check_activations(given["cell"], labels.names("activation", activation, ACTIVATIONS))
    axes = {name: values for name, values in given.items() if values != USUAL[name]}
    kinds = []
    for at in np.ndindex(*map(len, given.values())):
        place = dict(zip(given, at, strict=True))
        options = {
            name: given[name][i] for name, i in place.items() if name != "n_layers" or name in axes
        }
        if options["cell"] != "vanilla" or options["forget_bias"] == 0:
            kinds.append(Kind({axis: place[axis] for axis in axes}, options))
    return Cells(axes, tuple(kinds))


def exists(cell: str, activation: str) -> bool:
    """Whether there are networks of this cell with this phi."""
    return cell == "vanilla" or activation == "tanh"


def vanilla_alone(cell: Any, reason: str) -> None:
    """Refuse gated cells in a study of what only vanilla networks have; `reason` says why."""
    if checks.one_of("cell", cell, CELLS) != "vanilla":
        raise ValueError(f"`cell` must be 'vanilla' here, got {cell!r}: {reason}")


def _check_biases(names: tuple[str, ...], biases: tuple[float, ...]) -> None:
    if "vanilla" not in names or biases == (0.0,):
        return
    if names == ("vanilla",):
        raise ValueError(
            f"`forget_bias` sets the bias of a gate, which cell='vanilla' has not, got "
            f"{checks.shown(list(biases))}; leave it out, or give cell='lstm' or cell='gru'"
        )
    if 0.0 not in biases:
        raise ValueError(
            "`forget_bias` must hold 0 where `cell` holds 'vanilla', which has no gate to set, got "
            f"{checks.shown(list(biases))}; add 0, or leave 'vanilla' out"
        )


def _check_activations(names: tuple[str, ...], activations: tuple[str, ...]) -> None:
    gated = [name for name in names if name != "vanilla"]
    if not gated or activations == ("tanh",):
        return
    if len(gated) == len(names) or "tanh" not in activations:
        raise ValueError(
            f"`activation` is phi of vanilla networks, and {CELLS[gated[0]].label} has its own, "
            f"which goes by the name of 'tanh', got {checks.shown(list(activations))}; leave it out"
        )
