"""Running an analysis: compute or load, draw, leave figures, data and configuration behind."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast
from uuid import uuid4

import xarray as xr
from matplotlib.figure import Figure

import rnnsim
from rnnsim import checks, files

from . import figures, manifest
from .configuration import to_toml
from .console import say
from .places import Place
from .words import lines

Datasets = dict[str, xr.Dataset]

_CONFIGURATION = "configuration.toml"


class Analysis(Protocol):
    """One figure family: a module with its help and settings, what computes, draws, puts in words.

    Its `films(datasets)` draws figures that move, if there are any; its `texts(datasets, captions,
    configuration)` are files of words, by name.
    """

    __name__: str
    HELP: str
    Settings: type[Any]

    def compute(self, settings: Any, progress: bool) -> Datasets:
        """The datasets, by name."""

    def draw(self, datasets: Datasets) -> Mapping[str, Figure]:
        """The figures, by name."""

    def summarise(self, datasets: Datasets) -> list[str]:
        """What they show, from the data alone: sentences, some of them marked as in `words`."""


class Run(NamedTuple):
    """One run before it is drawn: its number, its settings as TOML, its data."""

    number: str
    configuration: str
    datasets: Datasets


def name_of(analysis: Analysis) -> str:
    """What it is called on the command line."""
    return analysis.__name__.rpartition(".")[2].replace("_", "-")


def run(
    analysis: Analysis,
    settings: Any,
    *,
    output: Path | Place,
    source: Path | None,
    progress: bool,
    rehearsed: bool = True,
) -> list[str]:
    """Leave everything in `output`, whole or not at all, print where, and return the summary.

    With `source`, the folder of an earlier run, its datasets are drawn again; nothing is computed.
    What no user sets needs no rehearsal.
    """
    place = output if isinstance(output, Place) else Place(output)
    place.check(name_of(analysis), source)
    free = place.is_free()
    if source is None and rehearsed:
        rehearse(analysis, settings)
    return _run(analysis, settings, place, source, progress, anew=free)


def rehearse(analysis: Analysis, settings: Any) -> None:
    """Refuse what is asked for in vain, before the first of many sweeps."""
    to_toml(settings)
    with checks.rehearsal():
        analysis.compute(settings, progress=False)


def _run(
    analysis: Analysis,
    settings: Any,
    place: Place,
    source: Path | None,
    progress: bool,
    *,
    anew: bool,
) -> list[str]:
    with files.replacing(place.path, anew=anew) as folder:
        folder.mkdir()
        if source is None:
            datasets = analysis.compute(settings, progress)
            found = Run(uuid4().hex, to_toml(settings), datasets)
        else:
            found = files.steadily(source, lambda folder: _load(analysis, folder))
        if source is None or source.resolve() == place.path.resolve():
            _save(analysis, found.datasets, folder)
        files.write_text(folder / _CONFIGURATION, found.configuration)
        names = _draw(analysis, found, folder)
        sentences = lines(analysis.summarise(found.datasets))
        files.write_text(folder / "summary.txt", "\n".join(sentences) + "\n")
        manifest.write(folder, name_of(analysis), found.number)
    for name in names:
        say(str(place.path / name))
    say()
    return sentences


def _save(analysis: Analysis, datasets: Datasets, folder: Path) -> None:
    for name, dataset in datasets.items():
        kind = f"{name_of(analysis)}/{name}"
        rnnsim.save(dataset, folder / "data" / f"{name}.zarr", kind=kind)


def _load(analysis: Analysis, source: Path) -> Run:
    """An earlier run, as it was left."""
    found = manifest.check(source, name_of(analysis))
    text = (source / _CONFIGURATION).read_bytes().decode()
    datasets = {}
    for path in sorted((source / "data").glob("*.zarr")):
        dataset = rnnsim.load(path, kind=f"{name_of(analysis)}/{path.stem}")
        datasets[path.stem] = cast(xr.Dataset, dataset)
    if manifest.read(source).run != found.run:
        raise ValueError(f"`--from` {str(source)!r} was replaced while it was read; try again")
    return Run(found.run, text, datasets)


def _draw(analysis: Analysis, found: Run, folder: Path) -> list[str]:
    """Write all figures, their captions as text, and texts; the names of figures and texts."""
    paths: list[Path] = []
    captions = {}
    with figures.style():
        for name, figure in analysis.draw(found.datasets).items():
            captions[name] = figures.caption_of(figure)
            paths += figures.save(figure, folder, name)
        films = getattr(analysis, "films", None)
        for name, film in (films(found.datasets) if films else {}).items():
            paths.append(figures.save_film(film, folder, name))
    words = (f"{name}: {caption}\n" for name, caption in captions.items())
    files.write_text(folder / "captions.txt", "\n".join(words))
    texts = getattr(analysis, "texts", None)
    written = texts(found.datasets, captions, found.configuration) if texts else {}
    for name, text in written.items():
        files.write_text(folder / name, text)
    return [*(path.name for path in paths), *written]
