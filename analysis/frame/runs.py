"""Running an analysis: compute or load, draw, leave figures, data and configuration behind."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

import xarray as xr
from matplotlib.figure import Figure

import rnnsim
from rnnsim import files

from . import figures

Datasets = dict[str, xr.Dataset]


class Analysis(Protocol):
    """One figure family: a module with its help and settings, what computes, draws, puts in words.

    Its `films(datasets)` draws figures that move, if there are any.
    """

    __name__: str
    HELP: str
    Settings: type[Any]

    def compute(self, settings: Any, progress: bool) -> Datasets:
        """The datasets, by name."""

    def draw(self, datasets: Datasets) -> Mapping[str, Figure]:
        """The figures, by name."""

    def summarise(self, datasets: Datasets) -> list[str]:
        """What they show, in words, from the data alone."""


def name_of(analysis: Analysis) -> str:
    """What it is called on the command line."""
    return analysis.__name__.rpartition(".")[2].replace("_", "-")


def run(
    analysis: Analysis, settings: Any, *, output: Path, source: Path | None, progress: bool
) -> list[str]:
    """Leave everything in `output`, print where, and return the summary.

    With `source`, the folder of an earlier run, its datasets are drawn again; nothing is computed.
    """
    _check_writable(output)
    if source is None:
        datasets = analysis.compute(settings, progress)
        for name, dataset in datasets.items():
            rnnsim.save(
                dataset, output / "data" / f"{name}.zarr", kind=f"{name_of(analysis)}/{name}"
            )
        files.write_text(output / "configuration.toml", to_toml(settings))
    else:
        datasets = _load(analysis, source)
    with figures.style():
        for name, figure in analysis.draw(datasets).items():
            for path in figures.save(figure, output, name):
                print(path)
        for name, film in _films(analysis, datasets).items():
            print(figures.save_film(film, output, name))
    sentences = analysis.summarise(datasets)
    files.write_text(output / "summary.txt", "\n".join(sentences) + "\n")
    return sentences


def _films(analysis: Analysis, datasets: Datasets) -> Mapping[str, figures.Film]:
    draw = getattr(analysis, "films", None)
    return draw(datasets) if draw else {}


def to_toml(settings: Any) -> str:
    """Settings as a TOML file that the command reads back with --config."""
    lines = []
    for field in fields(settings):
        value = getattr(settings, field.name)
        if value is not None:
            lines.append(f"{field.name.replace('_', '-')} = {_toml_value(value)}")
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return json.dumps(value)  # numbers, strings and booleans read the same in both


def _load(analysis: Analysis, source: Path) -> Datasets:
    found = sorted((source / "data").glob("[!.]*.zarr"))  # hidden: left by killed processes
    if not found:
        raise FileNotFoundError(
            f"`--from` must name the folder of an earlier run of {name_of(analysis)}, with its "
            f"data/; there is no dataset in {str(source / 'data')!r}"
        )
    return {path.stem: rnnsim.load(path, kind=f"{name_of(analysis)}/{path.stem}") for path in found}


def _check_writable(folder: Path) -> None:
    """Find out before an hour of computing, not after."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"`--output` {str(folder)!r} cannot be written ({error.strerror}); name another folder"
        ) from error
