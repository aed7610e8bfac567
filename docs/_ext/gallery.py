"""How the gallery is drawn and ordered; Sphinx wants names that it can import for both."""

from pathlib import Path

import matplotlib as mpl

from analysis.frame.figures.house import STYLE


def in_house_style(configuration, name):
    """Each script begins with the style that `analysis.style()` gives it."""
    mpl.rc_file_defaults()
    mpl.use("agg")
    with mpl.rc_context():
        settings = mpl.rc_params_from_file(STYLE, use_default_template=False)
    mpl.rcParams.update(settings)


def in_order(name):
    """By the number at the beginning of its docstring's target, else by name."""
    return Path(name).name
