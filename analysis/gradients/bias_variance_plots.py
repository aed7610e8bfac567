"""Plots of bias and variance over batches: a dataset in, Axes out."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ..frame import figures
from ..frame.figures import log_axis, powers
from ..frame.statistics import median

_COLORS = {"bias2": "#0072B2", "variance": "#E69F00", "sum": "#000000"}
_SHOWN = 3.0  # decades below the least sum


def terms(data: xr.Dataset) -> dict[str, xr.DataArray]:
    """Natural logs of bias^2, variance and their sum for batches as they were drawn.

    -inf where an estimate of bias^2 is 0 or below, which noise may make it; as 0 it enters the sum.
    """
    bias2 = data.bias2_estimate.clip(0)
    parts = {"bias2": bias2, "variance": data.variance_estimate}
    parts["sum"] = bias2 + data.variance_estimate
    with np.errstate(divide="ignore"):
        return {name: xr.ufuncs.log(part) for name, part in parts.items()}


def plot_bias_variance(dataset: xr.Dataset, *, moment: str, ax: Axes | None = None) -> Axes:
    """bias^2, variance and their sum against the window K, relative to ||mean g||^2.

    Thin lines are networks, thick ones their median. The star stands at the medians of best window
    and least sum, the dotted line at the median horizon as a window: the lag after it. Where bias
    falls below the picture it is 0 to the eye, or not to be told from 0.
    """
    ax = figures.axes_or_new(ax)
    data = dataset.sel(moment=moment)
    B, T = figures.configuration(dataset)["batch_size"], int(dataset.window[-1])
    names = {"bias2": "bias$^2$", "variance": f"variance ($B$ = {B})", "sum": "sum"}
    logs = {name: powers(v.transpose("network_seed", "window")) for name, v in terms(data).items()}
    for i, (name, values) in enumerate(logs.items()):
        figures.seeds_and_median(
            ax, data.window, values, label=names[name], color=_COLORS[name], index=i, lines=True
        )
    at = data.sel(batch=B)
    best, error, horizon = (
        float(median(at[name])) for name in ("best_window", "best_error", "horizon")
    )
    if np.isfinite([best, error]).all() and error > 0:
        ax.plot(best, np.log10(error), "k*", ms=17, mfc="white", zorder=6, label="best window")
    if horizon >= 0:
        ax.axvline(horizon + 1, color="0.35", ls=":", lw=2.0, label="horizon")
    sums = logs["sum"][np.isfinite(logs["sum"])]
    if sums.size:
        low, high = sums.min() - _SHOWN, sums.max()
        ax.set_ylim(low, high + 0.08 * (high - low))
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.set_xlim(0.9, T * 1.1)
    ax.set_xlabel("window $K$ (steps)")
    log_axis(ax)
    ax.set_ylabel(r"squared error $/\,\|\overline{g}\|^2$")
    return ax


def plot_best_window(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """The best window against the batch size, before and after training.

    Dots are networks, lines their median, bands quartiles. Horizontal: the whole sequence.
    """
    ax = figures.axes_or_new(ax)
    for i, (moment, color) in enumerate(
        zip(dataset.moment.values, ("#0072B2", "#000000"), strict=False)
    ):
        values = dataset.best_window.sel(moment=moment).transpose("network_seed", "batch").values
        figures.seeds_and_median(
            ax, dataset.batch, values, label=f"{moment} training", color=color, index=i
        )
    T, sizes = float(dataset.window[-1]), dataset.batch.values
    ax.axhline(T, color="0.35", lw=0.8)
    ax.set_xlim(sizes.min() / 1.2, sizes.max() * 1.2)
    ax.set_ylim(0.9, T * 1.2)
    for axis, scale in ((ax.xaxis, ax.set_xscale), (ax.yaxis, ax.set_yscale)):
        scale("log", base=2)
        axis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.set_xlabel("batch size $B$ (sequences)")
    ax.set_ylabel("best window (steps)")
    ax.legend(loc="lower right")
    return ax
