"""What moves what: results computed beforehand under sliders, as one HTML file and in notebooks."""

from .computing import Settings, compute
from .numbers import Numbers, numbers_of
from .page import html, write
from .widgets import widget

__all__ = ["Numbers", "Settings", "compute", "html", "numbers_of", "widget", "write"]
