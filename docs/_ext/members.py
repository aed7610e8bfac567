"""What is shown of classes, and docstrings as Sphinx reads them."""

import re

_LITERAL = re.compile(r"(``.*?``)")


def skip(app, what, name, thing, skipped, options):
    """Leave out fields of tuples, which docstrings list, and methods that came with the class."""
    if type(thing).__name__ == "_tuplegetter" or name in ("count", "index"):
        return True
    return None


def keep_bars(app, what, name, thing, options, lines):
    """The bars of |x| are bars: outside of examples and of what is set as code."""
    in_example = False
    for i, line in enumerate(lines):
        in_example = bool(line.strip()) and (in_example or line.lstrip().startswith(">>>"))
        if not in_example and not line.startswith(".. |"):
            parts = _LITERAL.split(line)
            lines[i] = "".join(p if p.startswith("``") else p.replace("|", r"\|") for p in parts)


def setup(app):
    """What Sphinx calls."""
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", keep_bars, priority=900)  # after numpydoc
    return {"parallel_read_safe": True, "parallel_write_safe": True}
