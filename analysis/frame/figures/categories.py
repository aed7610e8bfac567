"""What has no order: cells, schemes, activations, ways of training, each with a look of its own.

A name has one colour and one marker in all figures. Blue is what stands alone, and of each kind of
names the usual one; neighbours differ in grey.
"""

from collections.abc import Sequence
from typing import Any

from .house import MARKERS, shades

MEASURED = "#0072B2"
CELLS = {"vanilla": MEASURED, "gru": "#009E73", "lstm": "#E69F00"}
# Blue: independent entries; orange: normal. Of each pair one is dark, one light.
SCHEMES = {
    "gaussian": MEASURED,
    "orthogonal": "#E69F00",
    "identity": "#D55E00",
    "uniform": "#56B4E9",
    "pytorch": "#009E73",
    "own": MEASURED,
}
ACTIVATIONS = {"tanh": MEASURED, "linear": "#D55E00", "relu": "#009E73", "sigmoid": "#CC79A7"}
METHODS = {"SGD": "#D55E00", "clipping": "#56B4E9", "clipping + penalty": "#000000"}
_KNOWN = METHODS | ACTIVATIONS | SCHEMES | CELLS
_PLACE = {name: i for kind in (METHODS, ACTIVATIONS, SCHEMES, CELLS) for i, name in enumerate(kind)}


def category(name: str) -> dict[str, Any]:
    """Colour and index of marker, as `seeds_and_median` takes them."""
    return {"color": _KNOWN[name], "index": _PLACE[name]}


def marked(name: str) -> dict[str, Any]:
    """Colour and marker, as lines take them."""
    return {"color": _KNOWN[name], "marker": marker(_PLACE[name])}


def categories(names: Sequence[str]) -> list[dict[str, Any]]:
    """Of each name what it has in all figures; where one is not known, shades in their order."""
    if all(name in _KNOWN for name in names):
        return [category(name) for name in names]
    return [{"color": color, "index": i} for i, color in enumerate(shades(len(names)))]


def marker(index: int) -> str:
    """The marker of an index."""
    return MARKERS[index % len(MARKERS)]
