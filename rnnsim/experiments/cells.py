"""Which cells and depths a sweep compares: axes, the kinds that exist, what variables mean."""

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
_OF_STACKS = dict.fromkeys(
    ("log_gradient_norm", "log_gradient_norm_per_weight", "cancellation", "log_step_norm"),
    "of all layers together",
) | {"log_state_norm": "of all layers, by all paths", "largest_state_norm": "of any layer"}
_BY_LAYER = "log_norm_layers log_norms_layers layer_share".split()


# What is no axis; a sweep that gives something else has one.
USUAL: dict[str, tuple[Any, ...]] = {"cell": ("vanilla",), "forget_bias": (0.0,), "n_layers": (1,)}


class Kind(NamedTuple):
    """One kind of networks: its place along the axes, and how `draws.Networks` draws it."""

    place: dict[str, int]
    options: dict[str, Any]

    def state_size(self, n_hidden: int) -> int:
        """Numbers of a state: those of h and of c for LSTMs, of all layers."""
        numbers = 2 * n_hidden if self.options["cell"] == "lstm" else n_hidden
        return numbers * self.n_layers

    @property
    def n_layers(self) -> int:
        """L."""
        return int(self.options.get("n_layers", 1))

    @property
    def has_matrix(self) -> bool:
        """Whether W_hh alone says how a step acts: of vanilla networks of one layer."""
        return self.options["cell"] == "vanilla" and self.n_layers == 1


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
    def gates(self) -> tuple[str, ...]:
        """The gates of all gated cells, each once."""
        gated = [CELLS[name] for name in self.names if CELLS[name].keeps]
        return tuple(dict.fromkeys(gate for cell in gated for gate in cell.gates))

    @property
    def layers(self) -> tuple[int, ...]:
        """Labels of an axis of layers, 1 the lowest; none where there are no stacks."""
        most = max(kind.n_layers for kind in self.kinds)
        return tuple(range(1, most + 1)) if most > 1 else ()

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
        """What is else with gated cells and stacks."""
        state = ("/dh_" in long_name or "dh_t/" in long_name) and name not in _BY_LAYER
        whole = {"of an LSTM its state (h, c)": "lstm" in self.names}
        own = name in _OF_STACKS
        whole |= {"of stacks the states of all layers": bool(self.layers) and not own}
        words = ", ".join(text for text, true in whole.items() if true and state)
        found = f"; h: {words}" * bool(words)
        others = {"gated cells": self.names != ("vanilla",), "stacks": bool(self.layers)}
        named = " and ".join(text for text, true in others.items() if true)
        if name in _WINDOWED and named:
            weights = "[W_hh, W_xh, b_h]"
            one = " of each layer, the largest" if name == "sufficient_window" else " of all layers"
            found += f"; of {named} of dL/d{weights}{one * bool(self.layers)}"
        return found + (f"; of stacks {_OF_STACKS[name]}" if own and self.layers else "")


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
    check_activations(given["cell"], labels.names("activation", activation, ACTIVATIONS))
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


def one_matrix_alone(cell: Any, n_layers: Any) -> None:
    """Refuse gated cells and stacks in a study of what one W_hh says."""
    if checks.one_of("cell", cell, CELLS) != "vanilla":
        raise ValueError(
            f"`cell` must be 'vanilla' here, got {cell!r}: W_hh of gated cells stacks the blocks "
            f"of gates and has no eigenvalues to keep; {_OTHERWISE}"
        )
    if checks.size("n_layers", n_layers) != 1:
        raise ValueError(
            f"`n_layers` must be 1 here, got {n_layers}: each layer of a stack has a W_hh of its "
            "own, and no one matrix says what a step does; take the layers one by one "
            f"(`with_departure` and `pseudospectrum` of each of Stack.layers); {_OTHERWISE}"
        )


_OTHERWISE = "`jacobian_sweep` says how their steps stretch and shrink"


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


def check_activations(names: tuple[str, ...], activations: tuple[str, ...]) -> None:
    """Refuse phi beside cells that have one of their own."""
    gated = [name for name in names if name != "vanilla"]
    if not gated or activations == ("tanh",):
        return
    if len(gated) == len(names) or "tanh" not in activations:
        raise ValueError(
            f"`activation` is phi of vanilla networks, and {CELLS[gated[0]].label} has its own, "
            f"which goes by the name of 'tanh', got {checks.shown(list(activations))}; leave it out"
        )
