"""How the gallery is drawn and ordered; Sphinx wants names that it can import for both."""

import matplotlib as mpl

from analysis.frame.figures.house import STYLE


def in_house_style(configuration, name):
    """Each script is drawn, and its figures written, in the style that `analysis.style()` gives."""
    mpl.rc_file_defaults()
    mpl.use("agg")
    mpl.rcParams.update(mpl.rc_params_from_file(STYLE, use_default_template=False))


def in_order(name):
    """By the names of files."""
    return name
