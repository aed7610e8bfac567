"""The demo: where gradients go on real text, and what the figures show in words."""

from dataclasses import replace
from pathlib import Path

from .frame import runs
from .frame.settings import Ensemble
from .gradients import gradient_norms, truncation
from .spectra import spectra

HELP = "Gradient norms, truncation and spectra on real text, and what they show in words."
PARTS: tuple[runs.Analysis, ...] = (gradient_norms, truncation, spectra)


def run(settings: Ensemble, *, output: Path, source: Path | None, progress: bool) -> list[str]:
    """Run every part into a folder of its own below `output`; return all their sentences."""
    sentences = []
    for analysis in PARTS:
        name = runs.name_of(analysis)
        print(f"{name}:", flush=True)
        sentences += runs.run(
            analysis,
            replace(analysis.Settings(), **settings.shared()),
            output=output / name,
            source=None if source is None else source / name,
            progress=progress,
        )
    print()
    return sentences
