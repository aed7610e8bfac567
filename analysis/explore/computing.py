"""One sweep over all that the sliders go over."""

import xarray as xr

import rnnsim

from ..commands.explore import Explore

Settings = Explore


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
