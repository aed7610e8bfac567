"""What is shown of a class: what has words of its own, not what tuples and dataclasses add."""


def skip(app, what, name, thing, skipped, options):
    """Leave out fields of tuples, which docstrings list, and methods that came with the class."""
    if type(thing).__name__ == "_tuplegetter" or name in ("count", "index"):
        return True
    return None


def setup(app):
    """What Sphinx calls."""
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
