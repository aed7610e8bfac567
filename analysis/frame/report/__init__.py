"""A report: one HTML file that holds words, numbers, figures and how to make it again."""

from .page import html, write
from .parts import Curve, Picture, Report, Table

__all__ = ["Curve", "Picture", "Report", "Table", "html", "write"]
