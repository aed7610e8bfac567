"""What the demo is of."""

from dataclasses import dataclass

from ..frame.settings import Cells, Command, Ensemble


@dataclass(frozen=True)
class Demo(Cells, Ensemble):
    """Which networks are drawn and what they read, in all parts."""


DEMO = Command(
    "analysis.demo",
    Demo,
    "Gradient norms, truncation and spectra on real text, and what they show in words.",
    (),
)
