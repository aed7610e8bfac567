"""Gain against length: where gradients vanish, arrive and explode. One picture, soon drawn."""

from dataclasses import dataclass
from typing import Annotated

from matplotlib.figure import Figure

import rnnsim

from ..frame import cells
from ..frame.runs import Datasets
from ..frame.settings import GAIN_HELP, Cells, Ensemble, flag
from .gradient_norms import phase_figure, regimes_in_words

HELP = "Over gain and length: where gradients vanish and explode."


@dataclass(frozen=True)
class Settings(Cells, Ensemble):
    """What to simulate."""

    gain: Annotated[tuple[float, ...], flag(GAIN_HELP)] = (
        0.5, 0.75, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0,
    )  # fmt: skip
    length: Annotated[tuple[int, ...], flag("Sequence lengths T, in steps.")] = (25, 50, 100, 200)


def compute(settings: Settings, progress: bool) -> Datasets:
    """One sweep, with loss at the last step only."""
    wanted = settings.shared() | {"gain": settings.gain, "length": settings.length}
    measures = ("gradients", "lags", "spectrum")
    data = rnnsim.sweep(measures=measures, last_loss_only=True, progress=progress, **wanted)
    return {"last-step": data}


def draw(datasets: Datasets) -> dict[str, Figure]:
    """A picture of each kind of networks."""
    return cells.drawn(
        datasets, lambda each: {"phase-gain-length": phase_figure(each["last-step"])}
    )


def summarise(datasets: Datasets) -> list[str]:
    """What the picture shows, in words, from the data alone."""
    return cells.told(datasets, lambda each: regimes_in_words(each["last-step"]))
