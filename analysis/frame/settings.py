"""The settings that all analyses share, and how flags and files give them.

What computes is loaded when a command runs: for what --help says it would take too long.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib import import_module
from itertools import takewhile
from typing import Annotated, Any, NamedTuple, get_args

import cyclopts
from cyclopts import Group, Parameter

SIMULATED = Group("What is simulated", sort_key=1)
LEARNING = Group("How networks learn", sort_key=2)
OF_ONES_OWN = Group("Networks and data of your own", sort_key=3)
OUTPUT = Group("Output", sort_key=4)
FIGURES = Group("How figures look", sort_key=5)
CORES = Group("On many cores", sort_key=6)

TASKS = {
    "copy_memory": "recall the first symbols after a long blank",
    "echo": "repeat every symbol some steps later",
    "adding": "add the two marked numbers of a sequence",
    "temporal_order": "tell in which order two marks appeared",
    "characters": "predict the next character of English text",
    "sentences": "tell which topic a sentence is about",
    "digits": "read handwritten digits, pixels in a row",
}
TASK_HELP = f"What networks read and learn: {', '.join(TASKS)}; rnnsim --help explains each."
TASK_EPILOGUE = "Tasks, for --task:\n" + "\n".join(
    f"  {name:15} {words}" for name, words in TASKS.items()
)
SCHEME_HELP = "How the recurrent weights W_hh are drawn: gaussian, orthogonal, identity or uniform."
DRAW_HELP = (
    "How weights are drawn: gaussian, orthogonal, identity, uniform (W_hh) or pytorch (all of "
    "them)."
)
GAIN_HELP = "Gains: factors of the recurrent weights W_hh."

_WHOLE = re.compile(r"[+-]?(\d+|\d+\.0*|\d+e\d{1,2})", re.IGNORECASE)  # 30, 30.0, 1e4


class Command(NamedTuple):
    """A command before it is loaded: its module, its flags, what --help says, calls of it."""

    module: str
    settings: type[Any]
    help: str
    examples: tuple[str, ...]

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return self.module.rpartition(".")[2].replace("_", "-")

    def load(self) -> Any:
        """The module, with what computes and draws."""
        return import_module(self.module)


def flag(text: str, group: Group = SIMULATED) -> Parameter:
    """What --help says of a setting. Whole numbers are taken as such and never rounded."""
    return Parameter(help=text, converter=_converted, group=group, show_default=_as_given)


def _as_given(value: Any) -> str | None:
    """A setting as one would write it behind its flag; nothing of what is not given."""
    if value is None:
        return None
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _converted(kind: Any, tokens: Sequence[cyclopts.Token]) -> Any:
    if _is_whole(kind):
        for token in tokens:
            if not _WHOLE.fullmatch(token.value):
                from rnnsim import checks

                problem = f"it must be a whole number, got {checks.shown(token.value)}"
                raise cyclopts.CoercionError(msg=problem, token=token, target_type=int)
        tokens = [token.evolve(value=_digits(token.value)) for token in tokens]
    return cyclopts.convert(kind, tokens)


def _is_whole(kind: Any) -> bool:
    """int, and several of them or none."""
    return kind is int or any(map(_is_whole, get_args(kind)))


def _digits(text: str) -> str:
    """A whole number without point or exponent."""
    mantissa, _, exponent = text.lower().partition("e")
    return mantissa.partition(".")[0] + "0" * int(exponent or 0)


@contextmanager
def as_flags(kind: type[Any]) -> Iterator[None]:
    """What is refused in here begins with the flag of the setting that it names."""
    from rnnsim import checks

    try:
        yield
    except checks.REFUSALS as error:
        message = str(error)
        named = re.search(rf"`({'|'.join(field.name for field in fields(kind))})[`\[]", message)
        if named is None or "`--" in message:
            raise
        refused = next(each for each in checks.REFUSALS if isinstance(error, each))
        raise refused(f"--{named[1].replace('_', '-')}: {message}") from error


def told(error: cyclopts.CycloptsError) -> Any:
    """What is said of words that are no flags, or no value of one: the flag that has too many."""
    spare = _spare(error) if isinstance(error, cyclopts.UnusedCliTokensError) else None
    if spare is None:
        return cyclopts.CycloptsPanel(error)
    from rnnsim import checks

    flag, takes, word = spare
    one = f"takes one value, got {checks.shown(word)} as well; give one"
    none = f"takes no value, got {checks.shown(word)}; write {flag} alone"
    return cyclopts.CycloptsPanel(f"`{flag}` {one if takes else none}")


def _spare(error: cyclopts.CycloptsError) -> tuple[str, int, str] | None:
    """The first flag with more words behind it than it takes, how many it takes, and the next."""
    given = list(error.root_input_tokens or [])
    if error.app is None:
        return None
    known = error.app.assemble_argument_collection()
    for at, word in enumerate(given):
        flag, inline, _ = word.partition("=")
        found = [each for each in known if flag in each.names]
        if not found:
            continue
        takes, several = found[0].token_count()
        behind = list(takewhile(lambda token: not token.startswith("--"), given[at + 1 :]))
        rest = behind[takes - bool(inline) :]
        if rest and not several:
            return flag, takes, rest[0]
    return None


@dataclass(frozen=True)
class Reading:
    """What networks read, for analyses that read a task."""

    task: Annotated[str, flag(f"{TASK_HELP} Best with loss at all steps.")] = "characters"


@dataclass(frozen=True)
class Networks:
    """Which networks are drawn."""

    n_hidden: Annotated[int, flag("Hidden units H.")] = 64
    network_seeds: Annotated[int, flag("Networks per gain.")] = 5
    batch_size: Annotated[int, flag("Sequences B per batch.")] = 16
    activation: Annotated[str, flag("tanh, sigmoid, relu or linear.")] = "tanh"
    dtype: Annotated[str, flag("float64 or float32.")] = "float64"
    n_threads: Annotated[int | None, flag("Threads; all cores unless given.", CORES)] = None

    def shared(self) -> dict[str, Any]:
        """The settings of this class as keywords of `rnnsim.phase_sweep`."""
        return _values(self, Networks)


@dataclass(frozen=True)
class Ensemble(Networks, Reading):  # in this order the task is the first field
    """Which networks are drawn and what they read; each analysis adds its own settings."""

    def shared(self) -> dict[str, Any]:
        """The settings of this class as keywords of `rnnsim.sweep`."""
        return _values(self, Ensemble)


@dataclass(frozen=True)
class Cells:
    """Which cells networks have, in how many layers; beside `Networks` where these are compared."""

    cell: Annotated[tuple[str, ...], flag("Cells: vanilla, lstm, gru, one or several.")] = (
        "vanilla",
    )
    forget_bias: Annotated[
        tuple[float, ...],
        flag("Forget biases: added to the bias of f (LSTM) or z (GRU), one or several."),
    ] = (0.0,)
    n_layers: Annotated[tuple[int, ...], flag("Layers of a stack, one or several.")] = (1,)


@dataclass(frozen=True)
class Own:
    """Data and a network of one's own; beside `Reading` or `Networks` where both can be read."""

    data: Annotated[
        str | None,
        flag(
            "A file with data of your own, in place of the task: .npz, .npy, .csv, .txt or "
            ".safetensors. Length and batch size are at most what it has.",
            OF_ONES_OWN,
        ),
    ] = None
    layout: Annotated[
        str | None, flag("Axes of --data, where names do not say it: tbd or btd.", OF_ONES_OWN)
    ] = None
    weights: Annotated[
        str | None,
        flag(
            "A file with a network of your own, in place of those that are drawn: sizes, cell, "
            "layers, seeds and dtype are its own, gain is 1 unless given, and scales its W_hh. It "
            "reads --data, or the task where its sizes fit that, else white noise.",
            OF_ONES_OWN,
        ),
    ] = None
    prefix: Annotated[
        tuple[str, ...] | None,
        flag("Module of --weights that is the network, of several.", OF_ONES_OWN),
    ] = None
    layer: Annotated[int | None, flag("One layer of --weights only, from 0.", OF_ONES_OWN)] = None
    readout: Annotated[
        str | None,
        flag("Readout of --weights by name, of several; none to leave it out.", OF_ONES_OWN),
    ] = None
    embedding: Annotated[
        str | None, flag("Embedding of --weights by name, for class ids.", OF_ONES_OWN)
    ] = None


def _values(settings: Networks, kind: type[Networks]) -> dict[str, Any]:
    names = [field.name for field in fields(kind)]
    names += [field.name for field in fields(Cells) if isinstance(settings, Cells)]
    return {name: getattr(settings, name) for name in names}
