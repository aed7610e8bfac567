"""A model is one network or two in a row: its parts, and all its weights as one flat vector.

A network may be a stack of several layers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.kernels.cells.layout import Weights
from rnnsim.networks.encoder_decoder import EncoderDecoder
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Network, Stack

Model = Network | EncoderDecoder


def check_model(value: Any) -> None:
    """Refuse what is neither one network nor two."""
    if not isinstance(value, Model):
        raise TypeError(
            "`model` must be a rnnsim.RNN, rnnsim.Stack or rnnsim.EncoderDecoder, got "
            f"{type(value).__name__}"
        )


def parts_of(model: Model) -> dict[str, Network]:
    """The recurrent networks of a model, by name; the one that carries the loss first."""
    if not isinstance(model, EncoderDecoder):
        return {"": model}
    return {"decoder.": model.decoder, "encoder.": model.encoder}


def layers_of(model: Model) -> dict[str, RNN]:
    """All layers of a model, by the beginning of the names of their weights."""
    return {
        f"{part}layers[{index}]." if isinstance(network, Stack) else part: layer
        for part, network in parts_of(model).items()
        for index, layer in enumerate(network.layers)
    }


def memories_handed(model: Model) -> int:
    """How many memories a decoder goes on with where its encoder ended: all of them, or none."""
    return model.decoder.n_hidden if isinstance(model, EncoderDecoder) and model.hands_over_c else 0


@dataclass(frozen=True)
class Layout:
    """Where each weight of a model stands in a flat vector of P entries."""

    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, model: Model) -> "Layout":
        """The weights part by part and layer by layer, in the order of `Weights`."""
        return cls(
            {
                f"{part}{name}": array.shape[1:]
                for part, rnn in layers_of(model).items()
                for name, array in zip(Weights._fields, rnn.weights, strict=True)
            }
        )

    @property
    def places(self) -> dict[str, slice]:
        """The entries of each weight."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes.values()])
        starts = [0, *ends[:-1]]
        return {
            name: slice(int(a), int(b))
            for name, a, b in zip(self.shapes, starts, ends, strict=True)
        }

    @property
    def size(self) -> int:
        """P."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    @property
    def bounds(self) -> npt.NDArray[np.int64]:
        """Where the weights of each layer begin, and P (L+1,)."""
        first = list(self.places.values())[:: len(Weights._fields)]
        return np.array([*(place.start for place in first), self.size], np.int64)

    def join(self, model: Model) -> FloatArray:
        """All weights as (N, P)."""
        arrays = [array for rnn in layers_of(model).values() for array in rnn.weights]
        return np.concatenate(
            [array.reshape(len(array), array[0].size) for array in arrays], axis=1
        )

    def split(self, values: FloatArray) -> list[Weights]:
        """The weights of each layer from (N, P), or views where N = 1."""
        arrays = [
            np.ascontiguousarray(values[:, place]).reshape(len(values), *self.shapes[name])
            for name, place in self.places.items()
        ]
        return [Weights(*arrays[i : i + 5]) for i in range(0, len(arrays), 5)]

    def model(self, like: Model, values: FloatArray) -> Model:
        """A model of these weights, otherwise like the given one."""
        weights = self.split(values)
        if isinstance(like, EncoderDecoder):
            L = like.n_layers
            return EncoderDecoder(
                _of_layers(like.encoder, weights[L:]), _of_layers(like.decoder, weights[:L])
            )
        return _of_layers(like, weights)

    def labels(self, model: Model, mask: Any, tie: Any) -> npt.NDArray[np.int64]:
        """Which entries share a parameter, for the kernels: 0 is held fixed; (0,) if all are free.

        The bridge of an encoder and a decoder is held fixed.
        """
        free = np.ones(self.size, bool)
        groups = np.zeros(self.size, np.int64)
        for name, array in self._named("mask", mask):
            if array.dtype.kind not in "biuf":
                raise TypeError(
                    f"`mask` must hold numbers, 0 where weights are held fixed, or booleans, got "
                    f"{array.dtype} for {name!r}"
                )
            checks.finite("mask", array)
            free[self.places[name]] = array != 0
        for name, array in self._named("tie", tie):
            if array.dtype.kind not in "iu":
                raise TypeError(f"`tie` must hold integer labels, got {array.dtype} for {name!r}")
            groups[self.places[name]] = array
        for name, place in self.places.items():
            if name.startswith("encoder.") and name.endswith(("W_hy", "b_y")):
                free[place] = False
        if free.all() and not groups.any():
            return np.empty(0, np.int64)
        single = groups == 0
        groups[single] = np.arange(single.sum()) + np.abs(groups).max() + 1
        numbers = np.unique(np.abs(groups), return_inverse=True)[1].reshape(-1) + 1
        labels: npt.NDArray[np.int64] = np.where(free, np.sign(groups) * numbers, 0)
        self._check_tied(model, labels)
        return labels

    def _named(self, parameter: str, value: Any) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        if value is None:
            return
        given = value._asdict() if isinstance(value, Weights) else value
        if not isinstance(given, Mapping):
            raise TypeError(
                f"`{parameter}` must be a mapping from names of weights to arrays, or a Weights, "
                f"got {type(value).__name__}"
            )
        for name, array in given.items():
            if name not in self.shapes:
                known = ", ".join(map(repr, self.shapes))
                raise ValueError(
                    f"`{parameter} name` must be one of {known}, got {checks.shown(name)}: "
                    f"`{parameter}` maps names of weights to arrays"
                )
            entries = checks.plain_array(parameter, array)
            try:
                full = np.broadcast_to(entries, self.shapes[name])
            except ValueError as error:
                raise ValueError(
                    f"`{parameter}` of {name!r} must fit {self.shapes[name]}, one network's "
                    f"weights, got shape {np.shape(array)}"
                ) from error
            yield name, full.reshape(-1)

    def _check_tied(self, model: Model, labels: npt.NDArray[np.int64]) -> None:
        values = self.join(model) * np.sign(labels)
        tied = labels != 0
        order = np.argsort(np.abs(labels[tied]), kind="stable")
        sorted_labels, sorted_values = np.abs(labels[tied])[order], values[:, tied][:, order]
        same = np.diff(sorted_labels) == 0
        if (np.diff(sorted_values, axis=1)[:, same] != 0).any():
            raise ValueError(
                "`tie` must join weights that are equal, up to the sign of their label, when "
                "training begins; set them so first"
            )


def _of_layers(network: Network, weights: list[Weights]) -> Network:
    """The same network with other weights of each layer."""
    if isinstance(network, Stack):
        return network.with_weights(weights)
    return network.with_weights(weights[0])
