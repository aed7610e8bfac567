"""What has no order: cells, ways of training. Each has one colour and one marker in all figures."""

from collections.abc import Sequence
from typing import Any

from .house import MARKERS, shades

MEASURED = "#0072B2"  # of a single series
_CELLS = ("vanilla", "gru", "lstm")
_METHODS = {"SGD": "#D55E00", "clipping": MEASURED, "clipping + penalty": "#000000"}
_KNOWN = dict(zip(_CELLS, shades(len(_CELLS)), strict=True)) | _METHODS


def category(name: str) -> dict[str, Any]:
    """Colour and index of marker, as `seeds_and_median` takes them."""
    return {"color": _KNOWN[name], "index": list(_KNOWN).index(name)}


def categories(names: Sequence[str]) -> list[dict[str, Any]]:
    """Of each name what it has in all figures; where one is not known, shades in their order."""
    if all(name in _KNOWN for name in names):
        return [category(name) for name in names]
    return [{"color": color, "index": i} for i, color in enumerate(shades(len(names)))]


def marker(index: int) -> str:
    """The marker of an index."""
    return MARKERS[index % len(MARKERS)]
