"""Plots of bias and variance over batches: a dataset in, Axes out."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ..frame import figures
from ..frame.figures import log_axis, powers, pt
from ..frame.statistics import median

_LOOKS: dict[str, dict[str, Any]] = {
    "bias2": {"color": "#56B4E9", "index": 3},
    "variance": {"color": "#AA4499", "index": 4},
    "sum": {"color": "#000000", "index": 5},
}
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
    and least sum, the triangle on the axis at the median horizon as a window: the lag after it.
    Where bias falls below the picture it is 0 to the eye, or not to be told from 0.
    """
    ax = figures.axes_or_new(ax)
    data = dataset.sel(moment=moment)
    B, T = figures.configuration(dataset)["batch_size"], int(dataset.window[-1])
    names = {"bias2": "bias$^2$", "variance": f"variance ($B$ = {B})", "sum": "sum"}
    logs = {name: powers(v.transpose("network_seed", "window")) for name, v in terms(data).items()}
    for name, values in logs.items():
        figures.seeds_and_median(
            ax, data.window, values, label=names[name], lines=True, **_LOOKS[name]
        )
    _draw_best(ax, data.sel(batch=B))
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


def _draw_best(ax: Axes, at: xr.Dataset) -> None:
    """The best window and the horizon, medians over networks, where they are known."""
    best, error, horizon = (
        float(median(at[name])) for name in ("best_window", "best_error", "horizon")
    )
    style: dict[str, Any] = {
        "ls": "",
        "color": "black",
        "mfc": "white",
        "mew": pt(1.2),
        "zorder": 6,
    }
    if np.isfinite([best, error]).all() and error > 0:
        ax.plot(best, np.log10(error), marker="*", ms=pt(17), label="best window", **style)
    if horizon >= 0:
        at_axis: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False}
        ax.plot(horizon + 1, 0.0, marker="^", ms=pt(11), label="horizon", **style, **at_axis)


def plot_best_window(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """The best window against the batch size, before and after training.

    Dots are networks, lines their median, bands quartiles. Dotted: the whole sequence.
    """
    ax = figures.axes_or_new(ax)
    moments = dataset.moment.values
    for i, (moment, color) in enumerate(zip(moments, figures.shades(len(moments)), strict=True)):
        values = dataset.best_window.sel(moment=moment).transpose("network_seed", "batch").values
        figures.seeds_and_median(
            ax, dataset.batch, values, label=f"{moment}\ntraining", color=color, index=i
        )
    T, sizes = float(dataset.window[-1]), dataset.batch.values
    ax.axhline(T, **figures.mark(), label="whole\nsequence")
    ax.set_xlim(sizes.min() / 1.2, sizes.max() * 1.2)
    ax.set_ylim(0.9, T * 1.2)
    for axis, scale in ((ax.xaxis, ax.set_xscale), (ax.yaxis, ax.set_yscale)):
        scale("log", base=2)
        axis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.set_xlabel("batch size $B$ (sequences)")
    ax.set_ylabel("best window (steps)")
    figures.name_lines(ax)
    return ax
