"""Figures as files, each whole or not at all; figures that move."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.animation import PillowWriter
from matplotlib.figure import Figure

from rnnsim.files import replacing

from ..looks import look
from .settling import settle

_METADATA: dict[str, Any] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write the figure in the formats of the look, settled, each whole or not at all."""
    settle(figure)
    paths = []
    for suffix in look().formats():
        path = folder / f"{name}.{suffix}"
        with replacing(path) as partial:
            figure.savefig(partial, metadata=_METADATA[suffix])
        paths.append(path)
    return paths


@dataclass(frozen=True, eq=False)
class Film:
    """A figure that moves: `show(i)` draws frame i of `n_frames` into it."""

    figure: Figure
    show: Callable[[int], None]
    n_frames: int
    frames_per_second: int = 8


def save_film(film: Film, folder: Path, name: str) -> Path:
    """Write name.gif, whole or not at all; the last frame stays for two seconds."""
    path = folder / f"{name}.gif"
    writer = PillowWriter(fps=film.frames_per_second)
    film.show(0)
    film.figure.draw_without_rendering()
    film.figure.set_layout_engine("none")  # else panels move from frame to frame
    with replacing(path) as partial, writer.saving(film.figure, str(partial), dpi=80):
        for index in range(film.n_frames):
            film.show(index)
            for _ in range(1 if index + 1 < film.n_frames else 2 * film.frames_per_second):
                writer.grab_frame()
    return path
