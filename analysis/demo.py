"""The demo: where gradients go on real text, and what the figures show in words."""

from dataclasses import replace
from pathlib import Path

from .frame import runs
from .frame.settings import Ensemble
from .gradients import gradient_norms, truncation
from .spectra import spectra

HELP = "Gradient norms, truncation and spectra on real text, and what they show in words."
PARTS = (gradient_norms.ANALYSIS, truncation.ANALYSIS, spectra.ANALYSIS)


def run(settings: Ensemble, *, output: Path, source: Path | None, progress: bool) -> list[str]:
    """Run every part into a folder of its own below `output`; return all their sentences."""
    sentences = []
    for analysis in PARTS:
        print(f"{analysis.name}:", flush=True)
        sentences += runs.run(
            analysis,
            replace(analysis.settings(), **settings.shared()),
            output=output / analysis.name,
            source=None if source is None else source / analysis.name,
            progress=progress,
        )
    print()
    return sentences
