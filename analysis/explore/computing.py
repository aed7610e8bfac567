"""What the sliders go over, and one sweep over all of it."""

from dataclasses import dataclass
from typing import Annotated

import xarray as xr

import rnnsim

from ..frame.settings import DRAW_HELP, Ensemble, flag


@dataclass(frozen=True)
class Settings(Ensemble):
    """Which networks are drawn, what they read, and the values of every slider."""

    n_hidden: Annotated[int, flag("Hidden units H.")] = 32
    batch_size: Annotated[int, flag("Sequences B per batch.")] = 8
    gain: Annotated[tuple[float, ...], flag("Gains: factors of W_hh.")] = (
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


def compute(settings: Settings, *, progress: bool = False) -> xr.Dataset:
    """One sweep: gradients at every lag and the exact error of every window, for all settings.

    Examples
    --------
    >>> tiny = Settings(
    ...     n_hidden=4, network_seeds=2, batch_size=2, gain=(1.0,), length=(6,), cell=("vanilla",),
    ...     forget_bias=(0.0,),
    ... )
    >>> compute(tiny).truncation_log_error.sizes["window"]
    6
    """
    names = ("gain", "length", "cell", "forget_bias", "scheme", "tolerance")
    own = {name: getattr(settings, name) for name in names}
    if settings.cell == ("vanilla",) and settings.forget_bias == Settings().forget_bias:
        del own["forget_bias"]  # these have none, and none was asked for
    return rnnsim.sweep(
        measures=("gradients", "lags", "truncation"),
        progress=progress,
        **settings.shared(),
        **own,
    )
