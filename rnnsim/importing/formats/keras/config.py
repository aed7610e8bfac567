"""Layers of a Keras model by its configuration, and which reads which; nothing of it is run."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rnnsim.importing.formats.damage import RefusedError

DEEPEST = 30  # models inside models


class Module(NamedTuple):
    """A layer: its name, class, whether that is Keras' own, settings, the place of its arrays.

    `source` is the name of the layer whose only or first output it reads, if that is known;
    `wired` says that it reads others besides, such as initial states.
    """

    name: str
    kind: str
    own: bool
    settings: Mapping[str, Any]
    place: str
    source: str
    wired: bool = False


Places = Callable[[str, Sequence[tuple[str, str]]], list[str]]


def modules(model: Any, places: Places) -> list[Module]:
    """All layers, those of models inside by their paths; none of a model that lists no layers.

    `places` tells from the place of a model and the classes and names of its layers where the
    arrays of each are.
    """
    found: list[Module] = []
    if isinstance(model, dict) and _layers(model):
        _walk(model, "", "", "", places, found)
    return found


def settings_of(layer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration of a layer or model."""
    config = layer.get("config")
    return config if isinstance(config, dict) else {}


def kind_of(layer: Any) -> tuple[str, bool]:
    """The class of a layer, and whether it is Keras' own."""
    if not isinstance(layer, dict):
        return "", False
    kind, module = layer.get("class_name"), layer.get("module") or "keras"
    registered = layer.get("registered_name") or ""
    own = str(module).split(".")[0] in ("keras", "tf_keras", "tensorflow") and ">" not in registered
    return str(kind), own


def folder_of(kind: str) -> str:
    """The name that Keras gives to the folder of a class."""
    bare = re.sub(r"\W+", "", kind.rpartition(">")[2])  # without the package of a custom class
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", bare)).lower()


def _layers(model: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Configurations of the layers of a model; none of a layer."""
    config = model.get("config")
    given = config.get("layers") if isinstance(config, dict) else config
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        return []
    return given


def _walk(
    model: Mapping[str, Any], name: str, place: str, source: str, places: Places, out: list[Module]
) -> str:
    """Append the layers of a model that reads `source`; the name of the one that it puts out."""
    if name.count("/") > DEEPEST:
        raise RefusedError(f"its configuration has models inside models, more than {DEEPEST} deep")
    layers = _layers(model)
    names = [_name(layer) for layer in layers]
    where = places(place, [(kind_of(each)[0], n) for each, n in zip(layers, names, strict=True)])
    in_order = kind_of(model)[0] == "Sequential"
    single = len(_ends(model, "input_layers")) == 1
    outputs: dict[str, str] = {}
    last = source
    for layer, own_name, folder in zip(layers, names, where, strict=True):
        wired = False
        if in_order:
            reads = last
        elif kind_of(layer)[0] == "InputLayer":
            reads = source if single else ""
        else:
            tensors = list(_inbound(layer))
            reads = outputs.get(tensors[0][0], "") if tensors and not tensors[0][1] else ""
            wired = len(tensors) > 1
        full = f"{name}/{own_name}".lstrip("/")
        last = _add(layer, full, folder, reads, wired, places, out)
        outputs[own_name] = last
    if in_order:
        return last
    ends = _ends(model, "output_layers")
    return outputs.get(ends[0], "") if len(ends) == 1 else ""


def _add(
    layer: Mapping[str, Any],
    name: str,
    place: str,
    source: str,
    wired: bool,
    places: Places,
    out: list[Module],
) -> str:
    """Append a layer, or those of a model inside; the name of the one that it puts out."""
    if _layers(layer):
        return _walk(layer, name, place, "" if wired else source, places, out)
    (kind, own), settings = kind_of(layer), settings_of(layer)
    inner: Any = settings.get("layer")
    if kind == "TimeDistributed" and own and kind_of(inner) == ("Dense", True):
        kind, settings = "Dense", settings_of(inner)
    out.append(Module(name, kind, own, settings, place, source, wired))
    return name


def _name(layer: Mapping[str, Any]) -> str:
    given = settings_of(layer).get("name") or layer.get("name") or layer.get("class_name")
    return str(given)


def _ends(model: Mapping[str, Any], which: str) -> list[str]:
    """Names of the layers where a model begins or ends."""
    given = settings_of(model).get(which)
    if not isinstance(given, list) or not given:
        return []
    each = [given] if isinstance(given[0], str) else given
    return [str(end[0]) for end in each if isinstance(end, list) and end]


def _inbound(layer: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """(layer, number of its output) of each tensor that a layer reads, if it is called once."""
    nodes = layer.get("inbound_nodes")
    if isinstance(nodes, list) and len(nodes) == 1:
        node = nodes[0]
        if isinstance(node, dict):
            kwargs = node.get("kwargs")
            yield from _tensors(node.get("args"))
            if isinstance(kwargs, dict):
                yield from _tensors({k: v for k, v in kwargs.items() if k != "mask"})
        elif isinstance(node, list):
            yield from _tensors(node)


def _tensors(given: Any) -> Iterator[tuple[str, int]]:
    """Tensors anywhere in the arguments of a call, of Keras 3 or 2."""
    if isinstance(given, dict):
        history = settings_of(given).get("keras_history")
        if given.get("class_name") == "__keras_tensor__" and isinstance(history, list):
            yield from _tensors(history)
        else:
            for each in given.values():
                yield from _tensors(each)
    elif isinstance(given, list):
        if len(given) >= 3 and isinstance(given[0], str) and isinstance(given[2], int):
            yield given[0], given[2]
            given = given[3:]
        for each in given:
            yield from _tensors(each)
