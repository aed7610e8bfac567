"""The settings that all analyses share."""

from dataclasses import dataclass, fields
from typing import Annotated, Any

from cyclopts import Parameter

SCHEME_HELP = "Initialisation of W_hh: gaussian, orthogonal, identity or uniform."


def flag(text: str) -> Parameter:
    """What --help says of a setting."""
    return Parameter(help=text)


@dataclass(frozen=True)
class Reading:
    """What networks read, for analyses that read a task."""

    task: Annotated[str, flag("Task of rnnsim.tasks; best with loss at all steps.")] = "characters"


@dataclass(frozen=True)
class Networks:
    """Which networks are drawn."""

    n_hidden: Annotated[int, flag("Hidden units H.")] = 64
    network_seeds: Annotated[int, flag("Networks per gain.")] = 5
    batch_size: Annotated[int, flag("Sequences B per batch.")] = 16
    activation: Annotated[str, flag("tanh, relu or linear.")] = "tanh"
    dtype: Annotated[str, flag("float64 or float32.")] = "float64"
    n_threads: Annotated[int | None, flag("Threads; all cores unless given.")] = None

    def shared(self) -> dict[str, Any]:
        """The settings of this class as keywords of `rnnsim.phase_sweep`."""
        return _values(self, Networks)


@dataclass(frozen=True)
class Ensemble(Networks, Reading):  # in this order the task is the first field
    """Which networks are drawn and what they read; each analysis adds its own settings."""

    def shared(self) -> dict[str, Any]:
        """The settings of this class as keywords of `rnnsim.sweep`."""
        return _values(self, Ensemble)


def _values(settings: Networks, kind: type[Networks]) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in fields(kind)}
