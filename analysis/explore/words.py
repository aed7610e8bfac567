"""What is seen at a setting, in plain words. `words.js` says the same in a page."""

import math

from ..frame.words import percent
from .numbers import Setting

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SAME = 0.02  # decades: 5 per cent, what keeps its size
_THOUSAND = 3.0  # decades, from which on powers of ten say more


def sentences(setting: Setting, window: int, tolerance: float) -> list[str]:
    """What happens to the gradient, what the window misses, and which window would do.

    Every number is a median over networks.
    """
    start = f"{setting.kind.name}, gain {setting.gain:g}: {_way_back(setting)}."
    return [start, f"{_missed(setting, window)}; {_needed(setting, tolerance)}."]


def _way_back(setting: Setting) -> str:
    steps, change = setting.length - 1, setting.change
    if steps == 0:
        return "with one step there is no way back"
    way = f"on its way back over {counted(steps)}"
    if math.isnan(change):
        return f"how the gradient changes {way} is not known"
    if change == -math.inf:
        lag = int((setting.norm[0] == -math.inf).argmax())
        return f"nothing of the gradient is left {counted(lag)} back: it is exactly 0"
    if abs(change) < _SAME:
        return f"{way} the gradient keeps its size"
    verb, much = ("grows", f"{times(change)} times") if change > 0 else ("shrinks", part(change))
    return f"{way} the gradient {verb} to {much} its size, {each_step(change / steps)}"


def each_step(decades: float) -> str:
    """A change per step, given as a power of ten: "by a factor of 0.87 per step"."""
    if decades >= 2:
        return f"by a factor of {times(decades)} per step"
    factor = 10.0**decades
    if 0.995 <= factor < 1.005:
        return "by less than 0.5% per step"
    if factor < 0.005:
        return "by a factor of less than 0.01 per step"
    return f"by a factor of {factor:.2f} per step"


def _missed(setting: Setting, window: int) -> str:
    if window >= setting.length:
        return f"A window of {counted(window)} spans the whole sequence, and its gradient is exact"
    start = f"window of {window} of {counted(setting.length)}"
    error = setting.error_at(window)
    if math.isnan(error):
        return f"What a {start} misses of the gradient is not known"
    if error == -math.inf:
        return f"A {start} misses nothing of the gradient that rounding does not hide"
    if error >= 0:
        much = missed(error) + " of" * (error < _THOUSAND)
        return f"A {start} is off by {much} the gradient, no better than no update"
    return f"A {start} misses {missed(error)} of the gradient"


def _needed(setting: Setting, tolerance: float) -> str:
    most, window = f"at most {percent(tolerance)}", setting.sufficient
    if math.isnan(window):
        return f"no shorter window is known to miss {most}"
    if window == setting.length:
        return f"to miss {most} takes the whole sequence"
    return f"to miss {most} takes a window of {counted(window)}"


def missed(error: float) -> str:
    """An error, given as a power of ten, in per cent: "3.4%", "38%", "140%"."""
    if error == -math.inf or math.isnan(error):
        return "nothing" if error < 0 else "not known"
    if error >= _THOUSAND:
        return f"{times(error)} times"
    per_cent = 100 * 10.0**error
    if per_cent < 0.1:
        return "less than 0.1%"
    if 99.5 <= per_cent < 100:
        return "more than 99%"
    return f"{per_cent:.1f}%" if per_cent < 9.95 else f"{per_cent:.0f}%"


def part(change: float) -> str:
    """What is left, given as a power of ten: "38% of"; of less than 1%, the power."""
    return f"{100 * 10.0**change:.0f}% of" if change > -2 else f"about {power(change)} of"


def times(change: float) -> str:
    """How many times, given as a power of ten: "1.4", "27", "about 10⁶"."""
    if change >= _THOUSAND:
        return f"about {power(change)}"
    return f"{10.0**change:.1f}" if change < 1 else f"{10.0**change:.0f}"


def power(decades: float) -> str:
    """A whole power of ten, in superscripts."""
    return f"10{str(math.floor(decades + 0.5)).translate(_SUPERSCRIPTS)}"


def counted(steps: float) -> str:
    """ "1 step", "20 steps"."""
    return f"{steps:g} step{'s' * (steps != 1)}"
