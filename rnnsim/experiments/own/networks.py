"""Networks of one's own: in memory or in a file, in place of those that experiments draw."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from rnnsim import checks, files
from rnnsim.data.sequences import Sequences
from rnnsim.importing.read import read_network
from rnnsim.networks.rnn import RNN, joined
from rnnsim.networks.stack import Network, Stack

OwnWeights: TypeAlias = Any  # what `own_of` takes; inside of experiments what it returns

OWN = "own"  # where labels name an initialisation
_KINDS = "a rnnsim.RNN, a rnnsim.Stack or the path of a file that rnnsim.read_network reads"


class Own(NamedTuple):
    """Networks of one's own as plain data: what they are called, and their checksum."""

    network: Network
    label: str
    identity: str

    @property
    def sizes(self) -> tuple[int, int]:
        """(D, V)."""
        return self.network.n_inputs, self.network.n_outputs

    @property
    def has_layers(self) -> bool:
        """Whether there are several layers."""
        return len(self.network.layers) > 1

    @property
    def provenance(self) -> dict[str, str]:
        """Where they come from."""
        return {"weights": self.label, "weights.sha256": self.identity}

    def settings(self) -> dict[str, Any]:
        """What they are, by the names of arguments."""
        return {
            "n_hidden": self.network.n_hidden,
            "cell": self.network.cell,
            "n_layers": len(self.network.layers),
            "activation": self.network.activation,
        }

    def reader(self, *, inputs_only: bool) -> Network:
        """What data must fit: the networks, or their lowest layer where no output is asked for."""
        if not inputs_only:
            return self.network
        first = self.network.layers[0]
        kind: dict[str, Any] = {"cell": first.cell, "activation": first.activation}
        return RNN(first.W_xh, first.W_hh, b_h=first.b_h, embedding=first.embedding, **kind)

    def drawn(self, seeds: tuple[int, ...]) -> list[RNN]:
        """Layers of the networks of these places, one behind the other."""
        return [joined([layer[seed] for seed in seeds]) for layer in self.network.layers]

    def check_fit(self, batch: Sequences, label: str, *, inputs_only: bool = False) -> None:
        """Refuse data that these networks cannot read, or have no outputs for."""
        D, V = self.sizes
        if batch.n_inputs != D:
            raise ValueError(
                f"`task` {label!r} has {batch.n_inputs} inputs a step and `weights` {self.label!r} "
                f"reads {D}; give data and a network that fit each other"
            )
        if inputs_only or V == 0 or batch.has_gradients:
            return
        if batch.has_classes:
            highest = int(batch.targets[batch.weights > 0].max(initial=0))
            if highest >= V:
                raise ValueError(
                    f"`task` {label!r} has class ids up to {highest} as targets and `weights` "
                    f"{self.label!r} has {V} outputs, for ids below {V}; give data and a network "
                    "that fit each other"
                )
        elif batch.targets.shape[-1] != V:
            raise ValueError(
                f"`task` {label!r} has targets of {batch.targets.shape[-1]} numbers and `weights` "
                f"{self.label!r} has {V} outputs; give data and a network that fit each other"
            )


def named(own: Own | None) -> dict[str, str]:
    """What a configuration says of networks of one's own; of none nothing."""
    return {} if own is None else {"weights": own.label}


def origin(own: Own | None) -> dict[str, str]:
    """What a provenance says of networks of one's own; of none nothing."""
    return {} if own is None else own.provenance


def check_readout(own: Own | None) -> None:
    """Refuse networks without outputs where losses are evaluated."""
    if own is not None and own.sizes[1] == 0:
        raise ValueError(
            f"`weights` {own.label!r} has no readout, and training needs the loss of its outputs; "
            "give a network with W_hy, or name the layer behind it as `readout` of "
            "rnnsim.read_network"
        )


def own_of(weights: OwnWeights, **options: Any) -> Own | None:
    """Networks in memory or of a file; None for none. `options` are those of `read_network`.

    Raises
    ------
    TypeError, ValueError, OSError
        What is neither; a file that cannot be read.
    """
    if weights is None or isinstance(weights, Own):
        return weights
    if isinstance(weights, RNN | Stack):
        weights = weights.layers[0] if len(weights.layers) == 1 else weights
        return Own(weights, type(weights).__name__, _checksum(weights))
    try:
        path = checks.path("weights", weights)
    except TypeError:
        raise TypeError(
            f"`weights` must be {_KINDS}, got {checks.shown(weights)} ({type(weights).__name__})"
        ) from None
    return of_file(path, **options)


def of_file(path: Path, **options: Any) -> Own:
    """The network of a file; `options` are those of `rnnsim.read_network`, None for not given."""
    known = {name: value for name, value in options.items() if value is not None}
    with checks.renamed(path="`weights`"), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        network = read_network(path, **known)
    for each in said:
        text = str(each.message).replace("`path`", "`weights`")
        warnings.warn(text, each.category, stacklevel=4)
    return Own(network, path.name, files.checksum([path.read_bytes()]))


def in_place(own: Own, given: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of an experiment with what networks of one's own say in place of draws.

    `given` are those that the caller gave, `names` all that there are, with their defaults.

    Raises
    ------
    ValueError
        What contradicts the networks, both named.
    """
    found = dict(given) | {"weights": own}
    for name, value in own.settings().items():
        if name in names:
            if name in given and not _says(given[name], value):
                raise ValueError(
                    f"`{name}` must be {value!r}, as `weights` {own.label!r} has it, got "
                    f"{checks.shown(given[name])}; leave it out"
                )
            found[name] = value
    for name in ("scheme", "forget_bias", "chrono"):
        if name in given and not _says(given[name], {"forget_bias": 0.0, "scheme": OWN}.get(name)):
            raise ValueError(
                f"`{name}` says how networks are drawn, and `weights` {own.label!r} stands in "
                f"their place, got {checks.shown(given[name])}; leave it out"
            )
    if "scheme" in names:
        found["scheme"] = OWN
    if "gain" in names and given.get("gain") is None:
        found["gain"] = 1.0
    found |= _places(own, given, names)
    if "dtype" in names and "dtype" not in given:
        found["dtype"] = own.network.dtype.name
    return found


def _places(own: Own, given: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """Which of the networks are taken, all unless told: by seeds, as those that are drawn."""
    N = len(own.network)
    for name in ("network_seeds", "seed"):
        if name in names and name in given:
            wanted = np.atleast_1d(given[name])
            least = 1 if wanted.dtype.kind == "i" and np.ndim(given[name]) == 0 else 0
            highest = wanted.max(initial=0) - (least if name == "network_seeds" else 0)
            if wanted.dtype.kind == "i" and highest >= N:
                raise ValueError(
                    f"`{name}` counts the networks of `weights` {own.label!r}, of which there "
                    f"{'is 1' if N == 1 else f'are {N}'}, from 0, got {checks.shown(given[name])}; "
                    "leave it out for all of them"
                )
    known = {"network_seeds": N, "seed": 0}
    return {name: value for name, value in known.items() if name in names and name not in given}


def _says(given: Any, value: Any) -> bool:
    """Whether an argument, or the only one of a series, is this value."""
    series = given if isinstance(given, list | tuple | range) else [given]
    return len(series) == 1 and type(series[0]) is not bool and series[0] == value


def _checksum(network: Network) -> str:
    """sha256 of all weights, of what they are, and of the cell."""
    parts: list[Any] = [network.cell, network.activation]
    for layer in network.layers:
        for array in layer.weights:
            parts += [f"{array.dtype} {array.shape}", np.ascontiguousarray(array)]
    return files.checksum(parts)
