"""The three pictures of a setting for notebooks: numbers in, Axes out."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import PercentFormatter

from ..frame import figures
from ..frame.figures import pt
from .numbers import Floats, Numbers, Setting
from .words import missed

# One meaning each, in pages as in figures: shrinks, grows, the window.
COLOURS = {"vanish": "#0072b2", "explode": "#d55e00", "window": "#009e73"}
MOST_COLOUR = 6.0  # decades at which colours are full
_BELOW = 1e3  # decades: what is exactly 0 lies below any axis


def plot_norm(setting: Setting, window: int, *, decades: float, ax: Axes | None = None) -> Axes:
    """Norm of dl_t/dh_{t-k} relative to lag 0, against lag k; the window cuts off what is shaded.

    The median over networks and their quartiles (band). A line that falls vanishes, one that rises
    explodes.
    """
    ax = figures.axes_or_new(ax)
    _curve(ax, np.arange(setting.length), setting.norm)
    ax.axhline(0.0, color="0.6", lw=pt(0.8))
    ax.axvspan(window - 0.5, max(setting.length, window), color="0.5", alpha=0.15, lw=0)
    ax.set(xlim=(0, max(1, setting.length - 1)), ylim=(-decades, decades))
    ax.set(xlabel="lag (steps before the loss)", ylabel="gradient, relative to lag 0")
    figures.log_axis(ax)
    return ax


def plot_error(setting: Setting, window: int, *, top: float, ax: Axes | None = None) -> Axes:
    """Relative error of the truncated gradient against the window; the mark is at `window`.

    The median over networks and their quartiles (band). See where it falls below what you accept.
    """
    ax = figures.axes_or_new(ax)
    _curve(ax, np.arange(1, setting.length + 1), 10.0 ** np.minimum(setting.error, 9.0))
    at, error = min(window, setting.length), setting.error_at(window)
    ax.axvline(at, **figures.mark(color=COLOURS["window"]))
    if not np.isnan(error):
        mark: dict[str, Any] = {"color": COLOURS["window"], "ms": pt(9), "clip_on": False}
        ax.plot([at], [min(10.0 ** min(error, 9.0), top)], "o", **mark)
    ax.set_title(f"window {window}: {missed(error)}")
    ax.set(xlim=(1, max(2, setting.length)), ylim=(0.0, top))
    ax.set(xlabel="window (steps)", ylabel="missed, of the gradient")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    return ax


def plot_phase(numbers: Numbers, setting: Setting, *, ax: Axes | None = None) -> Axes:
    """Change of the gradient over the whole sequence, over gain and length; `setting` is framed.

    Numbers are powers of ten. Blue with stripes shrinks, orange grows.
    """
    ax = figures.axes_or_new(ax)
    halo = [withStroke(linewidth=pt(3.0), foreground="white", alpha=0.7)]
    centred: dict[str, Any] = {"ha": "center", "va": "center", "path_effects": halo}
    for j, gain in enumerate(numbers.gains):
        for i, length in enumerate(numbers.lengths):
            change = numbers.at(setting.kind, gain, length).change
            ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, lw=0, **_fill(change)))
            ax.text(j, i, exponent(change), **centred)
    here = numbers.gains.index(setting.gain), numbers.lengths.index(setting.length)
    corner = (here[0] - 0.5, here[1] - 0.5)
    ax.add_patch(Rectangle(corner, 1, 1, fill=False, ec="black", lw=pt(3), zorder=4))
    ax.set(xlim=(-0.5, len(numbers.gains) - 0.5), ylim=(-0.5, len(numbers.lengths) - 0.5))
    ax.set_xticks(range(len(numbers.gains)), [f"{gain:g}" for gain in numbers.gains])
    ax.set_yticks(range(len(numbers.lengths)), list(map(str, numbers.lengths)))
    ax.grid(visible=False)
    ax.set(xlabel="gain of $W_{hh}$", ylabel="length (steps)")
    return ax


def exponent(change: float) -> str:
    """A whole power of ten with its sign: "−12", "+3", "0"; "−∞" of an exact 0."""
    if np.isnan(change):
        return "?"
    if np.isinf(change):
        return "−∞" if change < 0 else "+∞"
    whole = int(np.floor(change + 0.5))
    return f"{whole:+d}".replace("-", "−") if whole else "0"


def _fill(change: float) -> dict[str, Any]:
    if np.isnan(change) or exponent(change) == "0":
        return {"fc": "none"}
    colour = COLOURS["vanish" if change < 0 else "explode"]
    strength = 0.15 + 0.45 * min(abs(change), MOST_COLOUR) / MOST_COLOUR
    stripes = {"hatch": "//", "ec": "0.55"} if change < 0 else {}
    return {"fc": (colour, strength), **stripes}


def _curve(ax: Axes, x: Any, rows: Floats) -> None:
    """A median and its band; what is exactly 0 leaves the picture at its lower end."""
    middle, low, high = np.where(np.isneginf(rows), -_BELOW, rows)
    ax.fill_between(x, low, high, color="0.5", alpha=0.3, lw=0)
    ax.plot(x, middle, color="black", lw=pt(2), marker="." if len(x) == 1 else "")
