"""The demo: where gradients go on real text, and what the figures show in words."""

from dataclasses import replace
from pathlib import Path

from .commands.demo import DEMO, Demo
from .frame import runs
from .frame.console import say
from .frame.places import Place
from .gradients import gradient_norms, truncation
from .spectra import spectra

HELP = DEMO.help
Settings = Demo
PARTS: tuple[runs.Analysis, ...] = (gradient_norms, truncation, spectra)


def run(settings: Settings, *, output: Place, source: Path | None, progress: bool) -> list[str]:
    """Run every part into a folder of its own below `output`; return all their sentences."""
    parts = [(part, replace(part.Settings(), **settings.shared())) for part in PARTS]
    sources = {runs.name_of(part): source and source / runs.name_of(part) for part in PARTS}
    for name, earlier in sources.items():  # all of them before anything is computed
        output.below(name).check(name, earlier)
    if source is None:
        for part, own in parts:
            runs.rehearse(part, own)
    sentences = []
    for part, own in parts:
        name = runs.name_of(part)
        say(f"{name}:")
        sentences += runs.run(
            part, own, output=output.below(name), source=sources[name], progress=progress
        )
    say()
    return sentences
