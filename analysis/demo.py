"""The demo: where gradients go on real text, and what the figures show in words."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from .commands.demo import DEMO, Demo
from .frame import runs
from .frame.console import say
from .frame.places import Place
from .gradients import gradient_norms, phase, truncation
from .networks import portrait
from .spectra import spectra

HELP = DEMO.help
Settings = Demo
PARTS: tuple[runs.Analysis, ...] = (gradient_norms, truncation, spectra)
QUICK: tuple[runs.Analysis, ...] = (portrait, phase)


def run(settings: Settings, *, output: Place, source: Path | None, progress: bool) -> list[str]:
    """Run every part into a folder of its own below `output`; return all their sentences."""
    parts = [(part, _own(settings, part)) for part in _parts(settings, source)]
    sources = {runs.name_of(part): source and source / runs.name_of(part) for part, _ in parts}
    for name, earlier in sources.items():  # all of them before anything is computed
        output.below(name).check(name, earlier)
    if source is None:
        for part, own in parts:
            runs.rehearse(part, own)
    sentences: list[str] = []
    for part, own in parts:
        name = runs.name_of(part)
        say(f"{name}:")
        said = runs.run(
            part, own, output=output.below(name), source=sources[name], progress=progress
        )
        sentences += ["", *said] if sentences else said
    return sentences


def _parts(settings: Settings, source: Path | None) -> tuple[runs.Analysis, ...]:
    """Those that are asked for; of an earlier run those that are there."""
    quick = settings.quick
    if source is not None:
        there = (
            all((source / runs.name_of(part)).is_dir() for part in of) for of in (QUICK, PARTS)
        )
        quick = tuple(there) == (True, False)
    return QUICK if quick else PARTS


def _own(settings: Settings, part: runs.Analysis) -> Any:
    """The settings of one part; a portrait is of the first kind of several."""
    usual, shared = part.Settings(), settings.shared()
    if part is portrait:
        known = {field.name for field in fields(usual)} & shared.keys()
        shared = {name: shared[name] for name in known}
        shared |= {name: v[0] for name, v in shared.items() if isinstance(v, tuple) and v}
    return replace(usual, **shared)
