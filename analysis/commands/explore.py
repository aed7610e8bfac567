"""Results under sliders, for classes."""

from dataclasses import dataclass
from typing import Annotated

from ..frame.settings import DRAW_HELP, GAIN_HELP, Command, Ensemble, flag


@dataclass(frozen=True)
class Explore(Ensemble):
    """Which networks are drawn, what they read, and the values of every slider."""

    n_hidden: Annotated[int, flag("Hidden units H.")] = 32
    batch_size: Annotated[int, flag("Sequences B per batch.")] = 8
    gain: Annotated[tuple[float, ...], flag(GAIN_HELP)] = (
        0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0,
    )  # fmt: skip
    length: Annotated[tuple[int, ...], flag("Sequence lengths T, in steps.")] = (
        10, 25, 50, 100, 200,
    )  # fmt: skip
    cell: Annotated[tuple[str, ...], flag("Cells: vanilla, lstm, gru, one or several.")] = (
        "vanilla", "lstm", "gru",
    )  # fmt: skip
    forget_bias: Annotated[
        tuple[float, ...],
        flag("Forget biases: added to the bias of f (LSTM) or z (GRU), one or several."),
    ] = (0.0, 1.0, 3.0)
    scheme: Annotated[str, flag(DRAW_HELP)] = "gaussian"
    tolerance: Annotated[float, flag("Relative error at which a window suffices.")] = 0.1


EXPLORE = Command(
    "analysis.explore.command",
    Explore,
    (
        "One page with sliders, for a class: how gain, length, window, cell and forget bias move "
        "the gradient on its way back, the phase picture and the exact error of truncation."
    ),
    (
        "explore",
        "explore --gain 0.5 1 2 --length 50 200 --cell vanilla lstm --output class.html",
    ),
)
