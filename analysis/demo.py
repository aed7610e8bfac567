"""The demo: all figure families on real text, one after the other, and what they show in words."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from . import gradient_norms, runs, spectra, truncation
from .runs import Analysis
from .settings import Ensemble

PARTS: tuple[tuple[Analysis, Any], ...] = (
    (gradient_norms.ANALYSIS, gradient_norms.Settings),
    (truncation.ANALYSIS, truncation.Settings),
    (spectra.ANALYSIS, spectra.Settings),
)


def run(settings: Ensemble, *, output: Path, source: Path | None, progress: bool) -> list[str]:
    """Run every part into a folder of its own below `output`; return all their sentences."""
    sentences = []
    for analysis, kind in PARTS:
        print(f"{analysis.name}:", flush=True)
        sentences += runs.run(
            analysis,
            replace(kind(), **settings.shared()),
            output=output / analysis.name,
            source=None if source is None else source / analysis.name,
            progress=progress,
        )
    return sentences
