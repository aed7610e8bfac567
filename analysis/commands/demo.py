"""What the demo is of."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from ..frame.settings import SIMULATED, Cells, Command, Ensemble


@dataclass(frozen=True)
class Demo(Cells, Ensemble):
    """Which networks are drawn and what they read, in all parts."""

    quick: Annotated[
        bool,
        Parameter(
            help="One portrait and one picture of gain against length alone, in half a minute.",
            negative=(),
            group=SIMULATED,
        ),
    ] = False


DEMO = Command(
    "analysis.demo",
    Demo,
    "Gradient norms, truncation and spectra on real text, and what they show in words.",
    (
        "demo",
        "demo --quick",
        "demo --cell lstm --forget-bias 1 --n-hidden 32",
    ),
)
