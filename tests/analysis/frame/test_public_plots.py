"""Every plot is there from `analysis` by a name of its own, and keeps the one convention."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.axes import Axes

import analysis
from analysis.frame.looks import CONTEXTS

ROOT = Path(analysis.__file__).parent
LOADED = sorted(name for name in analysis.__all__ if name.startswith("plot_"))


def defined():
    """(module, function) of every plot function of the package."""
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("plot_"):
                yield module, node.name


def test_every_plot_is_in_the_table_once():
    assert len(set(analysis.__all__)) == len(analysis.__all__)
    listed = [analysis._TABLE[name] for name in LOADED]
    assert sorted(listed) == sorted(defined())
    named = [name for _, names in analysis._PLOTS.values() for name in names.split()]
    assert len(named) == len(LOADED), "two plots have one name"


@pytest.mark.parametrize("name", LOADED)
def test_a_plot_keeps_the_convention(name):
    """Data first, all else by keyword, the last of these `ax`, None unless given."""
    plot = getattr(analysis, name)
    parameters = [
        each
        for each in inspect.signature(plot).parameters.values()
        if each.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    assert parameters[-1].name == "ax"
    assert parameters[-1].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters[-1].default is None
    first, *rest = parameters
    assert first.default is inspect.Parameter.empty
    assert sum(each.kind is not inspect.Parameter.KEYWORD_ONLY for each in rest) <= 1
    assert inspect.signature(plot).return_annotation is Axes
    assert len(inspect.getdoc(plot)) > 40


def test_plots_are_loaded_when_they_are_asked_for():
    code = (
        "import sys, analysis\n"
        "heavy = {'numpy', 'matplotlib', 'xarray', 'numba', 'rnnsim'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "from analysis import plot_norm_against_lag\n"
        "print('matplotlib' in sys.modules, plot_norm_against_lag.__module__)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:2] == ["[]", "True analysis.gradients.norm_plots"]


def test_code_of_the_page_on_figures_runs(tmp_path, monkeypatch):
    text = (ROOT.parent / "docs" / "figures" / "index.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    exec(compile("".join(blocks), "figures.md", "exec"), {"__name__": "page"})
    assert {path.name for path in tmp_path.iterdir()} == {"lags.png", "both.pdf", "column.pdf"}


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_page_on_figures_says_what_looks_are(context):
    text = (ROOT.parent / "docs" / "figures" / "index.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith(f"| `--context {context}`")]
    points, width, dpi = CONTEXTS[context]
    assert f"{points:g} points" in row
    assert f"{dpi} dots per inch" in row
    assert f"{width:g} inches" in row or f"{width * 25.4:g} mm" in row


def test_what_is_not_there_is_named():
    assert {"plot_phase", "style", "Look"} <= set(dir(analysis))
    with pytest.raises(AttributeError, match="has no attribute 'plot_nothing'"):
        _ = analysis.plot_nothing
