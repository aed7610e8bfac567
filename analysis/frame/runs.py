"""Running an analysis: compute or load, draw, leave figures, data and configuration behind."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

import rnnsim

from . import figures

Datasets = dict[str, xr.Dataset]


@dataclass(frozen=True)
class Analysis:
    """One figure family: its name and help, its settings, what computes, draws, puts in words.

    `films` draws figures that move, if any.
    """

    name: str
    help: str
    settings: type[Any]
    compute: Callable[[Any, bool], Datasets]
    draw: Callable[[Datasets], Mapping[str, Figure]]
    summarise: Callable[[Datasets], list[str]]
    films: Callable[[Datasets], Mapping[str, figures.Film]] | None = None


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
            rnnsim.save(dataset, output / "data" / f"{name}.zarr", kind=f"{analysis.name}/{name}")
        (output / "configuration.toml").write_text(to_toml(settings), encoding="utf-8")
    else:
        datasets = _load(analysis, source)
    with figures.style():
        for name, figure in analysis.draw(datasets).items():
            for path in figures.save(figure, output, name):
                print(path)
        for name, film in analysis.films(datasets).items() if analysis.films else ():
            print(figures.save_film(film, output, name))
    sentences = analysis.summarise(datasets)
    (output / "summary.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    return sentences


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
    found = sorted((source / "data").glob("*.zarr"))
    if not found:
        raise FileNotFoundError(
            f"`--from` must name the folder of an earlier run of {analysis.name}, with its data/; "
            f"there is no dataset in {str(source / 'data')!r}"
        )
    return {path.stem: rnnsim.load(path, kind=f"{analysis.name}/{path.stem}") for path in found}


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
