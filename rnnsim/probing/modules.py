"""Which modules of a model are followed, by what they are called: PyTorch is not imported."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from rnnsim import checks
from rnnsim.importing.read import from_state_dict
from rnnsim.networks.stack import Network

_LAYERS = ("RNN", "LSTM", "GRU")
_CELLS = ("RNNCell", "LSTMCell", "GRUCell")
_WEIGHTS = re.compile(r"(weight|bias)_|parametrizations\.(weight|bias)_")


class Followed(NamedTuple):
    """A recurrent module of a model.

    Attributes
    ----------
    name : str
        Where it is in the model. Modules that share all their weights have their names together,
        as in "encoder = decoder".
    module : torch.nn.Module
    kind : str
        "RNN", "LSTM", "GRU", or one of these and "Cell".
    shares : tuple of str
        Other modules that share some of its weights.
    """

    name: str
    module: Any
    kind: str
    shares: tuple[str, ...] = ()

    @property
    def is_cell(self) -> bool:
        """Whether one call is one step."""
        return self.kind in _CELLS

    @property
    def has_c(self) -> bool:
        """Whether its state is (h, c)."""
        return self.kind.startswith("LSTM")

    def goes_by(self, name: str) -> bool:
        """Whether a user means this one."""
        return name in (self.name, *self.name.split(" = "))


def followed(model: Any) -> list[Followed]:
    """The recurrent modules of a model, with the names of those that are one together.

    Raises
    ------
    TypeError
        What is no module.
    ValueError
        One without recurrent modules.
    """
    if isinstance(model, type) or not callable(getattr(model, "named_modules", None)):
        raise TypeError(
            f"`module` must be a module of PyTorch, such as your model, got {checks.shown(model)} "
            f"({type(model).__name__})"
        )
    places: dict[int, tuple[Any, list[str]]] = {}
    for name, module in _named_modules(model):
        if _kind(module):
            places.setdefault(id(module), (module, []))[1].append(name or _kind(module))
    if not places:
        raise ValueError(
            "`module` must hold nn.RNN, nn.LSTM, nn.GRU or their cells, got "
            f"{type(model).__name__} without any; recurrences of other kinds are not followed: "
            "give their gradients to rnnsim.Sequences.from_gradients"
        )
    return _together([(module, names) for module, names in places.values()])


def as_it_is(each: Followed) -> tuple[Network | None, str]:
    """The network that a module is now, with copies of its weights, or None, and then why."""
    problem = _variant(each)
    if problem:
        return None, problem
    state: Mapping[str, Any] = each.module.state_dict()
    name = each.name.split(" = ")[0]
    weights = {f"{name}.{key}": value for key, value in state.items() if _WEIGHTS.match(key)}
    plain = {"activation": each.module.nonlinearity} if each.kind.startswith("RNN") else {}
    try:
        return from_state_dict(weights, readout=False, **plain), ""
    except ValueError as error:
        return None, str(error).rpartition("cannot be read: ")[-1]


def _variant(each: Followed) -> str:
    """What changes the recurrence beside its weights, or nothing."""
    module = each.module
    if getattr(module, "bidirectional", False):
        return (
            "it is bidirectional: the gradient runs both ways through time there; probe a model of "
            "one direction"
        )
    if getattr(module, "proj_size", 0):
        return "it has projections (proj_size > 0), which change the recurrence; probe one without"
    layers, dropout = getattr(module, "num_layers", 1), getattr(module, "dropout", 0)
    if layers > 1 and dropout > 0 and module.training:
        return (
            "it has dropout between its layers in training mode, whose masks are not to be had; "
            "set its dropout = 0, or call its eval(), for the step that is probed"
        )
    return ""


def _named_modules(model: Any) -> list[tuple[str, Any]]:
    """Every module by every name that it has; by one where modules hold each other."""
    try:
        return [*model.named_modules(remove_duplicate=False)]
    except RecursionError:
        return [*model.named_modules()]


def _kind(module: Any) -> str:
    """What it is called in PyTorch; others of these names lack the weights, or say otherwise."""
    weight = {**dict.fromkeys(_LAYERS, "weight_hh_l0"), **dict.fromkeys(_CELLS, "weight_hh")}
    for base in type(module).__mro__:
        if base.__name__ in weight and hasattr(module, weight[base.__name__]):
            return base.__name__
    return ""


def _together(found: list[tuple[Any, list[str]]]) -> list[Followed]:
    weights = [{id(p) for _, p in module.named_parameters()} for module, _ in found]
    groups = [
        [names for (_, names), held in zip(found, weights, strict=True) if held == mine]
        for mine in weights
    ]
    names = [" = ".join(name for part in group for name in part) for group in groups]
    return [
        Followed(
            names[i],
            module,
            _kind(module),
            tuple(
                dict.fromkeys(
                    names[j]
                    for j, held in enumerate(weights)
                    if held & weights[i] and names[j] != names[i]
                )
            ),
        )
        for i, (module, _) in enumerate(found)
    ]
