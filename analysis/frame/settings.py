"""The settings that all analyses share, and how flags and files give them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import takewhile
from typing import Annotated, Any, get_args

import cyclopts
from cyclopts import Parameter

import rnnsim
from rnnsim import checks
from rnnsim.experiments.own.files import data_file, fitting, network_file

SCHEME_HELP = "Initialisation of W_hh: gaussian, orthogonal, identity or uniform."
DRAW_HELP = (
    "Initialisation: gaussian, orthogonal, identity, uniform (W_hh) or pytorch (all weights)."
)
TASK_HELP = f"Task of rnnsim.tasks: {', '.join(rnnsim.tasks.TASKS)}."

_WHOLE = re.compile(r"[+-]?(\d+|\d+\.0*|\d+e\d{1,2})", re.IGNORECASE)  # 30, 30.0, 1e4


def flag(text: str) -> Parameter:
    """What --help says of a setting. Whole numbers are taken as such and never rounded."""
    return Parameter(help=text, converter=_converted)


def _converted(kind: Any, tokens: Sequence[cyclopts.Token]) -> Any:
    if _is_whole(kind):
        for token in tokens:
            if not _WHOLE.fullmatch(token.value):
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
            ".safetensors. Length and batch size are at most what it has."
        ),
    ] = None
    layout: Annotated[
        str | None, flag("Axes of --data, where names do not say it: tbd or btd.")
    ] = None
    weights: Annotated[
        str | None,
        flag(
            "A file with a network of your own, in place of those that are drawn: sizes, cell, "
            "layers, seeds and dtype are its own, gain is 1 unless given, and scales its W_hh. It "
            "reads --data, or the task where its sizes fit that, else white noise."
        ),
    ] = None
    prefix: Annotated[
        tuple[str, ...] | None, flag("Module of --weights that is the network, of several.")
    ] = None
    layer: Annotated[int | None, flag("One layer of --weights only, from 0.")] = None
    readout: Annotated[
        str | None, flag("Readout of --weights by name, of several; none to leave it out.")
    ] = None
    embedding: Annotated[str | None, flag("Embedding of --weights by name, for class ids.")] = None


# What a file of weights stands in place of, where it was left as it is.
_OF_DRAWS = (
    "n_hidden cell n_layers activation scheme forget_bias chrono gain network_seeds seed dtype"
).split()


def with_own(settings: Any, keywords: dict[str, Any], *, batches: bool = False) -> dict[str, Any]:
    """Keywords of an experiment with data and a network of one's own, where there are files.

    What a file has a say in and was left as it is goes without saying. With `batches` many are
    drawn that must differ.
    """
    found = {name: value for name, value in keywords.items() if name not in _OF_FILES}
    usual = type(settings)()

    def drop(names: Iterable[str]) -> None:
        for name in names:
            if name in found and getattr(settings, name, None) == getattr(usual, name, None):
                del found[name]

    if settings.weights is None and (given := _given(settings, _OF_WEIGHTS)):
        raise ValueError(f"`{given}` says what is read of --weights, which is not given; give both")
    if settings.data is None and (given := _given(settings, ("layout",))):
        raise ValueError(f"`{given}` says how --data is read, which is not given; give both")
    if settings.weights is not None:
        drop(_OF_DRAWS)
        found["weights"] = network_file(settings.weights, **_reader(settings, usual))
        drop(["task"])
    if settings.data is not None:
        if settings.task != usual.task:
            raise ValueError(
                f"`data` {settings.data!r} stands in place of a task, got --task {settings.task} "
                "as well; leave one of them out"
            )
        found["task"] = data = data_file(settings.data, settings.layout)
        found |= _within(data, found, usual, batches)
    return found


_OF_WEIGHTS = ("prefix", "layer", "readout", "embedding")
_OF_FILES = ("data", "layout", *_OF_WEIGHTS)


def _given(settings: Any, names: Iterable[str]) -> str:
    return next((name for name in names if getattr(settings, name) is not None), "")


def _reader(settings: Any, usual: Any) -> dict[str, Any]:
    """Which network of a file is meant, and what the file may not say of it."""
    options = {name: getattr(settings, name) for name in _OF_WEIGHTS}
    said = {name: getattr(settings, name, None) for name in ("cell", "activation")}
    options |= {name: v for name, v in said.items() if v != getattr(usual, name, None)}
    if options["readout"] == "none":
        options["readout"] = False
    one = {name: v[0] if isinstance(v, tuple) and len(v) == 1 else v for name, v in options.items()}
    if isinstance(one.get("cell"), tuple):
        raise ValueError(
            f"`cell` must be one where `weights` are given, got {checks.shown(list(one['cell']))}; "
            "leave it out"
        )
    return one


def _within(data: Any, found: dict[str, Any], usual: Any, batches: bool) -> dict[str, Any]:
    """Lengths and batch sizes that were left as they are, no more than the data have."""
    name = "n_steps" if "n_steps" in found else "length"
    if name not in found:
        return {}
    left = found[name] == getattr(usual, name)
    length, size = fitting(data, found[name], usual.batch_size, batches=batches)
    kept = {name: length} if left else {}
    if found.get("batch_size") == usual.batch_size:
        kept["batch_size"] = size
        if batches and size == data.n_sequences:  # of which no two would differ
            kept["batch_size"] = max(1, size // 2)
    if name == "n_steps" and left and length != found[name]:  # both as long as this allows
        parts = [part for part in ("burn_in", "block_steps") if found[part] == getattr(usual, part)]
        kept |= dict.fromkeys(parts)
    return kept


@contextmanager
def of_files(settings: Any) -> Iterator[None]:
    """What is refused in here goes by the flags of files, where these were given."""
    names = {"path": "`data`", "network": "`weights`"}
    with checks.renamed(**names, **({} if settings.data is None else {"task": "`data`"})):
        yield


def _values(settings: Networks, kind: type[Networks]) -> dict[str, Any]:
    names = [field.name for field in fields(kind)]
    names += [field.name for field in fields(Cells) if isinstance(settings, Cells)]
    return {name: getattr(settings, name) for name in names}
