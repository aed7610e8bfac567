"""The window that suffices: from which on the truncated gradient is close to the full one."""

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.flow.gradient_flow import GradientFlow, check_flow

Floats = npt.NDArray[np.float64]


def sufficient_window(flow: GradientFlow, tolerance: float = 0.1) -> Floats:
    """The smallest window K with ``||g_K' - g|| <= tolerance * ||g||`` for all K' >= K.

    Parameters
    ----------
    flow : GradientFlow
    tolerance : float
        Relative error of dL/dW_hh, above 0 and below 1.

    Returns
    -------
    (N,) float64
        NaN where no window of the flow is known to suffice: max_lag was too short, the full
        gradient is exactly 0 or not finite, or the tolerance is below the rounding of the flow.

    Raises
    ------
    TypeError, ValueError
        Something else than a GradientFlow, a tolerance outside (0, 1).

    Examples
    --------
    >>> import rnnsim
    >>> rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=8, n_outputs=2, gain=0.5, rng=0)
    >>> batch = rnnsim.Sequences(np.ones((30, 1, 1)), np.zeros((30, 1), int))
    >>> sufficient_window(rnnsim.gradient_flow(rnn, batch)).shape
    (1,)
    """
    check_flow(flow)
    limit = np.log(checks.real_number("tolerance", tolerance, above=0.0, below=1.0))
    # An error below the floor is unknown, but smaller than the floor.
    floor = np.broadcast_to(flow.window_log_floor[:, None], flow.window_log_error.shape)
    error = np.where(np.isnan(flow.window_log_error), floor, flow.window_log_error)
    suffices = np.logical_and.accumulate((error <= limit)[:, ::-1], axis=1)[:, ::-1]
    return np.where(suffices.any(axis=1), suffices.argmax(axis=1) + 1.0, np.nan)
