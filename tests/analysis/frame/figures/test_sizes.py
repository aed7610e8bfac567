"""Type, lines and marks of figures are of one scale: their sizes come from the look alone."""

import ast

import pytest
from house_plan import NAMES, SOURCES, tree

SIZES = set(
    "fontsize fs lw linewidth linewidths ms markersize mew markeredgewidth capsize capthick "
    "elinewidth labelpad".split()
)
DRAWING = [path for path in SOURCES if NAMES[path].startswith("analysis/")]


def is_number(node):
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value != 0


def literal_sizes(root):
    """Lines on which a size is a number: ``lw=2``, ``{"lw": 2}``, ``scatter(..., s=20)``."""
    found = []
    for node in ast.walk(root):
        if isinstance(node, ast.Call):
            scatters = isinstance(node.func, ast.Attribute) and node.func.attr == "scatter"
            names = SIZES | {"s"} if scatters else SIZES
            found += [k.value for k in node.keywords if k.arg in names and is_number(k.value)]
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            found += [
                value
                for key, value in pairs
                if isinstance(key, ast.Constant) and key.value in SIZES and is_number(value)
            ]
    return [node.lineno for node in found]


@pytest.mark.parametrize("path", DRAWING, ids=NAMES.get)
def test_sizes_come_from_the_look(path):
    assert not literal_sizes(tree(path)), "write figures.pt(...), or a name such as 'small'"


@pytest.mark.parametrize(
    ("code", "n"),
    [
        ("ax.plot(x, lw=2)", 1),
        ("style = {'lw': 1.5, 'ms': 4}", 2),
        ("ax.scatter(x, y, s=20)", 1),
        ("ax.text(0, 0, 'a', fontsize=10)", 1),
        ("ax.plot(x, lw=pt(2), ms=0)", 0),
        ("ax.text(0, 0, 'a', fontsize='small')", 0),
        ("f(s=20)", 0),
    ],
)
def test_numbers_are_found(code, n):
    assert len(literal_sizes(ast.parse(code))) == n
