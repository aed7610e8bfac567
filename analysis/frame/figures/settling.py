"""The last hand on a figure before it is written: words fit where they stand, at any width."""

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox

from .texts import height_of, wrapped

_GAP = 3.0  # points between the labels of two ticks
_HINTED = 0.95  # letters that are fitted to the pixels of a screen are up to a twentieth wider


def settle(figure: Figure) -> None:
    """Break lines of captions and names, thin out labels of ticks, and give the caption room.

    Done once; after it the figure stays as it is. What nothing is done about: words that somebody
    put at a place of his own.
    """
    if getattr(figure, "_rnnsim_settled", False):
        return
    figure._rnnsim_settled = True  # type: ignore[attr-defined]
    _fit_caption(figure)
    figure.draw_without_rendering()
    whole: dict[Text, str] = {}
    for _ in range(2):  # what gets shorter gives room to panels
        for ax in figure.axes:
            _fit_titles(figure, ax, whole)
        figure.draw_without_rendering()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            _thin(figure, axis)
    figure.draw_without_rendering()
    _freeze(figure)


def _freeze(figure: Figure) -> None:
    """Panels stay where they are, to a millionth of the figure: the layout's last bits vary."""
    figure.set_layout_engine("none")
    for ax in figure.axes:
        place = ax.get_position(original=True).get_points().round(6)
        ax.set_position(Bbox(place), which="original")
    figure.draw_without_rendering()


def _fit_caption(figure: Figure) -> None:
    """The caption in lines as wide as the figure, which grows by their height."""
    width, height = figure.get_size_inches()
    for label in filter(None, (figure._suptitle, figure._supxlabel)):  # type: ignore[attr-defined]
        if not label.get_visible():
            continue
        size = float(label.get_fontsize())
        label.set_wrap(False)
        label.set_text(wrapped(label.get_text(), _HINTED * (width - 0.2), size))
        if label.get_gid() == "caption":
            label.set(ha="left", x=0.1 / width, multialignment="left", linespacing=1.25)
            height += height_of(label.get_text().count("\n") + 1, size)
    figure.set_size_inches(width, height)


def _fit_titles(figure: Figure, ax: Axes, whole: dict[Text, str]) -> None:
    """Titles and names of axes that are longer than what they stand at, in several lines."""
    if not ax.get_visible():
        return
    box, dpi = ax.get_window_extent(), figure.dpi
    room, high = max(_room(figure, ax), box.width) / dpi, box.height / dpi
    wide = [ax.title, ax._left_title, ax._right_title, ax.xaxis.label]  # type: ignore[attr-defined]
    for text, most in [*((each, room) for each in wide), (ax.yaxis.label, 1.08 * high)]:
        if text.get_text():
            words = whole.setdefault(text, text.get_text())
            text.set_text(wrapped(words, most, float(text.get_fontsize())))


def _room(figure: Figure, ax: Axes) -> float:
    """The width from a panel to the next one on its right, or to the edge, in pixels."""
    level = [o.bbox for o in figure.axes if o.bbox.y0 < ax.bbox.y1 and o.bbox.y1 > ax.bbox.y0]
    end = min((o.x0 for o in level if o.x0 > ax.bbox.x1), default=figure.bbox.x1)
    return 0.95 * float(end - ax.bbox.x0)


def _thin(figure: Figure, axis: Axis) -> None:
    """Leave out every second label, third, ... of ticks, until none touches the next."""
    labels = [tick.label1 for tick in axis.get_major_ticks() if tick.label1.get_visible()]
    labels = [each for each in labels if each.get_text()]
    boxes = [each.get_window_extent() for each in labels]
    gap = _GAP * figure.dpi / 72
    which = int(axis is axis.axes.yaxis)
    ends = sorted((box.min[which], box.max[which]) for box in boxes)
    step = 1
    while step < len(ends) and any(
        a[1] + gap > b[0] for a, b in zip(ends[::step], ends[step::step], strict=False)
    ):
        step += 1
    if step > 1:
        _keep_every(axis, step, len(ends))


def _keep_every(axis: Axis, step: int, count: int) -> None:
    locator = axis.get_major_locator()
    if isinstance(locator, FixedLocator):
        ticks = [float(each) for each in axis.get_majorticklocs()]
        names = [label.get_text() for label in axis.get_majorticklabels()]
        axis.set_ticks(ticks, [name if i % step == 0 else "" for i, name in enumerate(names)])
    elif isinstance(locator, MaxNLocator):
        locator.set_params(nbins=max(2, count // step))
    else:
        axis.set_minor_formatter(NullFormatter())
        if isinstance(locator, LogLocator):
            locator.set_params(numticks=max(3, count // step + 1))
