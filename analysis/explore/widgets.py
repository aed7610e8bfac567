"""The same sliders in a notebook."""

import html
import io
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from ..frame import figures
from . import words
from .numbers import Numbers, Setting, numbers_of
from .plots import plot_error, plot_norm, plot_phase


def widget(numbers: Numbers | xr.Dataset) -> Any:
    """Sliders over results computed beforehand: the pictures and the sentence of each setting.

    Parameters
    ----------
    numbers : Numbers or Dataset
        What `numbers_of` gives, or the dataset of `compute`.

    Returns
    -------
    ipywidgets.VBox
        The last line of a cell shows it.

    Raises
    ------
    ImportError
        ipywidgets is not there.
    """
    widgets = _ipywidgets()
    given = numbers if isinstance(numbers, Numbers) else numbers_of(numbers)
    kind, gain, length, window = given.start
    networks = [(each.name, each) for each in given.kinds]
    controls = {
        "kind": widgets.Dropdown(options=networks, value=kind, description="Network"),
        "gain": widgets.SelectionSlider(options=given.gains, value=gain, description="Gain"),
        "length": widgets.SelectionSlider(
            options=given.lengths, value=length, description="Length"
        ),
        "window": widgets.IntSlider(window, 1, max(2, *given.lengths), description="Window"),
    }
    sentence, picture = widgets.HTML(), widgets.Image(format="png")

    def update(_: Any = None) -> None:
        at = {name: control.value for name, control in controls.items()}
        setting = given.at(at["kind"], at["gain"], at["length"])
        told = words.sentences(setting, at["window"], given.tolerance)
        sentence.value = "".join(f"<p>{html.escape(each)}</p>" for each in told)
        picture.value = _png(pictures(given, setting, at["window"]))
        picture.alt = " ".join(told)

    for control in controls.values():
        control.observe(update, "value")
    update()
    return widgets.VBox([*controls.values(), sentence, picture])


def pictures(numbers: Numbers, setting: Setting, window: int) -> Figure:
    """The three pictures of a setting side by side."""
    with figures.style():
        figure, axes = figures.new_figure(1, 3, figsize=(15.0, 4.6))
        plot_norm(setting, window, decades=numbers.decades, ax=axes[0])
        plot_error(setting, window, top=numbers.largest_error, ax=axes[1])
        plot_phase(numbers, setting, ax=axes[2])
        for ax, title in ((axes[0], "way back"), (axes[2], "change, as a power of ten")):
            ax.set_title(title)
    return figure


def _png(figure: Figure) -> bytes:
    target = io.BytesIO()
    with figures.style():
        figure.canvas.print_figure(target, format="png", dpi=80)
    return target.getvalue()


def _ipywidgets() -> Any:
    try:
        import ipywidgets
    except ImportError as error:
        raise ImportError(
            "sliders in a notebook need ipywidgets, which is not installed; "
            "`pip install 'rnnsim-toolkit[notebooks]'`, or write a page with `explore.write`"
        ) from error
    return ipywidgets
