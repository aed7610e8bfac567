"""Data and a network of one's own, as keywords of an experiment."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rnnsim import checks
from rnnsim.experiments.own.files import data_file, fitting, network_file

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
