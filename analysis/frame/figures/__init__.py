"""What all figures share: their look, panels, lines, maps, words, axes of logarithms, files.

Every plot follows one convention: ``plot_*(dataset, *, ..., ax=None)`` draws a dataset on the Axes
`ax`, or on a new figure, and returns the Axes; its docstring says how to read it. Solid lines and
marks are measured, dashed lines (`theory`) are theory, dotted ones (`mark`) are settings, such as a
window or a threshold. Colours that are ordered run from dark to light (`shades`); maps of what has
a sign are blue and hatched below 0, red above (`signed_mesh`). Sizes are in points of a notebook,
given by `pt`, so that type, lines and marks grow together in another `Look`.
"""

from ..looks import Look, look
from .canvas import axes_or_new, entitle, label_outer, legend_above, letter, new_figure
from .categories import (
    CELLS,
    MEASURED,
    SCHEMES,
    categories,
    category,
    marked,
    marker,
)
from .house import MARKERS, guide, mark, pt, shades, style, theory
from .lines import name_lines, seeds_and_median, shaded
from .maps import SIGNED, colour_bar, contour, edges, signed_mesh
from .saving import Film, save, save_film
from .scales import (
    configuration,
    count_axis,
    decades,
    few,
    finite,
    log_axis,
    lower_end,
    nearest,
    on_one_scale,
    power,
    powers,
    relative,
    ticks_between,
)
from .settling import settle
from .texts import caption, caption_of, plain, symbols, width_of, wrapped

__all__ = [
    "CELLS",
    "MARKERS",
    "MEASURED",
    "SCHEMES",
    "SIGNED",
    "Film",
    "Look",
    "axes_or_new",
    "caption",
    "caption_of",
    "categories",
    "category",
    "colour_bar",
    "configuration",
    "contour",
    "count_axis",
    "decades",
    "edges",
    "entitle",
    "few",
    "finite",
    "guide",
    "label_outer",
    "legend_above",
    "letter",
    "log_axis",
    "look",
    "lower_end",
    "mark",
    "marked",
    "marker",
    "name_lines",
    "nearest",
    "new_figure",
    "on_one_scale",
    "plain",
    "power",
    "powers",
    "pt",
    "relative",
    "save",
    "save_film",
    "seeds_and_median",
    "settle",
    "shaded",
    "shades",
    "signed_mesh",
    "style",
    "symbols",
    "theory",
    "ticks_between",
    "width_of",
    "wrapped",
]
