"""What is shown of classes, and docstrings as Sphinx reads them."""

import re

from docutils import nodes
from sphinx import addnodes

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


def name_role(role, rawtext, text, lineno, inliner, options=None, content=()):
    """`bptt` between backticks: a link where it is a public name, else set as code."""
    env = inliner.document.settings.env
    link = addnodes.pending_xref(
        rawtext, nodes.literal(text, text), refdomain="py", reftype="obj", reftarget=text
    )
    link["py:module"] = env.ref_context.get("py:module", "rnnsim")
    link["py:class"] = env.ref_context.get("py:class")
    link["may_be_missing"] = True
    link["refdoc"] = env.docname
    return [link], []


def take_as_code(app, env, node, contents):
    """Names that are not public: parameters, fields."""
    return contents if node.get("may_be_missing") else None


def setup(app):
    """What Sphinx calls."""
    app.add_role("name", name_role)
    app.connect("missing-reference", take_as_code, priority=900)  # after other projects
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", keep_bars, priority=900)  # after numpydoc
    return {"parallel_read_safe": True, "parallel_write_safe": True}
