"""The demo: all figure families on real text, one after the other, and what they show in words."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from . import gradient_norms, runs, spectra, truncation
from .runs import Analysis

PARTS: tuple[tuple[Analysis, Any], ...] = (
    (gradient_norms.ANALYSIS, gradient_norms.Settings),
    (truncation.ANALYSIS, truncation.Settings),
    (spectra.ANALYSIS, spectra.Settings),
)


@dataclass(frozen=True)
class Settings:
    """What the analyses share; all else is as in each of them.

    Parameters
    ----------
    task
        Task of rnnsim.tasks.
    n_hidden
        Hidden units H.
    network_seeds
        Networks per gain.
    batch_size
        Sequences B per batch.
    activation
        tanh, relu or linear.
    dtype
        float64 or float32.
    n_threads
        Threads; all cores unless given.
    """

    task: str = "characters"
    n_hidden: int = 64
    network_seeds: int = 5
    batch_size: int = 16
    activation: str = "tanh"
    dtype: str = "float64"
    n_threads: int | None = None


def run(settings: Settings, *, output: Path, source: Path | None, progress: bool) -> list[str]:
    """Run every part into a folder of its own below `output`; return all their sentences."""
    shared = {field.name: getattr(settings, field.name) for field in fields(settings)}
    sentences = []
    for analysis, kind in PARTS:
        print(f"{analysis.name}:", flush=True)
        sentences += runs.run(
            analysis,
            replace(kind(), **shared),
            output=output / analysis.name,
            source=None if source is None else source / analysis.name,
            progress=progress,
        )
    return sentences
