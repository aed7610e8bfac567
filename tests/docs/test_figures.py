"""The pages that say how figures are read: all of them, each with its section, names that exist."""

import re
from pathlib import Path

import pytest

import analysis
import rnnsim.theory
from analysis.__main__ import ANALYSES
from analysis.diagnosis.plots.pictures import KINDS
from rnnsim.data.datasets import AXES, Variable
from rnnsim.experiments.catalogue import networks, sweeps
from rnnsim.training import records

PAGES = Path(__file__).parents[2] / "docs" / "figures"
DRAWN = PAGES / "_drawn"
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(PAGES.glob("*.md"))}
RUN = re.compile(r"^```\{drawn\} (\S+) (\S+).*\n(?::as: (\S+)\n)?```$", re.MULTILINE)
SHOWN = re.compile(r"^```\{shown\} (\S+)/(\S+)\n```$", re.MULTILINE)
PARTS = ("**How to read it.**", "**What would surprise you.**", "**The numbers.**")
COMMANDS = {command.name for command in ANALYSES} | {"diagnosis", "explore"}


def runs(text):
    """The names of the runs of a page."""
    return {name or Path(first).stem for _, first, name in RUN.findall(text)}


def sections(text):
    """What stands between headings and shows a figure."""
    return [part for part in re.split(r"^#+ .+$", text, flags=re.MULTILINE) if SHOWN.search(part)]


def figures_of(run):
    """What a run has drawn."""
    lines = (DRAWN / run / "captions.txt").read_text(encoding="utf-8").splitlines()
    return [line.partition(": ")[0] for line in lines if line]


def needs(run):
    """Skip where the site was not built."""
    if not (DRAWN / run / "captions.txt").exists():
        pytest.skip(f"{run} is not drawn: `make docs` does it")


ALL_RUNS = sorted((page, run) for page, text in TEXTS.items() for run in runs(text))
ALL_SHOWN = sorted((page, *shown) for page, text in TEXTS.items() for shown in SHOWN.findall(text))


def test_every_command_has_its_page_and_the_index_all_of_them():
    listed = re.search(r"```\{toctree\}\n.*?\n\n(.*?)```", TEXTS["index"], re.DOTALL)[1].split()
    assert sorted(listed) == sorted(TEXTS.keys() - {"index"})
    assert {*listed} >= COMMANDS


@pytest.mark.parametrize("page", sorted(TEXTS.keys() - {"index"}))
def test_every_section_says_how_it_is_read_and_what_would_surprise(page):
    found = sections(TEXTS[page])
    assert found
    for section in found:
        places = [section.find(part) for part in PARTS]
        assert min(places) > 0, (SHOWN.search(section)[0], places)
        assert places == sorted(places)


@pytest.mark.parametrize(("page", "run", "figure"), ALL_SHOWN)
def test_what_is_shown_is_drawn(page, run, figure):
    assert run in runs(TEXTS[page])
    needs(run)
    assert figure in figures_of(run)
    assert (DRAWN / run / f"{figure}.png").stat().st_size > 5_000


@pytest.mark.parametrize(("page", "run"), ALL_RUNS)
def test_every_figure_that_is_drawn_has_its_section(page, run):
    needs(run)
    shown = [figure for _, figure in SHOWN.findall(TEXTS[page])]
    for figure in figures_of(run):
        assert figure in shown or any(figure.startswith(f"{each}-") for each in shown), figure


@pytest.mark.parametrize(("page", "run"), ALL_RUNS)
def test_files_of_numbers_are_those_that_runs_leave(page, run):
    for each in runs(TEXTS[page]):
        needs(each)
    left = {path.name for each in runs(TEXTS[page]) for path in DRAWN.glob(f"{each}/data/*.zarr")}
    assert set(re.findall(r"`data/(\S+\.zarr)`", TEXTS[page])) <= left


def test_plots_that_are_named_exist_and_all_of_them_are_named():
    named = {name for text in TEXTS.values() for name in re.findall(r"plot_\w+", text)}
    assert named - {"plot_", "plot_spectrum"} <= {*analysis.__all__}  # as the index explains
    missing = {name for name in analysis.__all__ if name.startswith("plot_")} - named
    assert not missing


def test_functions_that_are_named_exist():
    for text in TEXTS.values():
        for module, name in re.findall(r"\{py:func\}`~?(rnnsim(?:\.theory)?)\.(\w+)`", text):
            public = rnnsim.theory if module.endswith("theory") else rnnsim
            assert name in public.__all__


def catalogue():
    """Names of all variables of experiments and training, and of findings of a diagnosis."""
    known = {finding for kind in KINDS for finding in kind.findings} | {*AXES}
    tables = [table for each in (networks, sweeps) for table in vars(each).values()]
    tables += [records.variables(), records.gate_variables()]
    for table in tables:
        if isinstance(table, dict):
            known |= {name for name, each in table.items() if isinstance(each, Variable)}
            known |= {
                dim for each in table.values() if isinstance(each, Variable) for dim in each.dims
            }
    return known


def test_variables_that_are_named_are_in_the_catalogue():
    known = catalogue()
    for page, text in TEXTS.items():
        for paragraph in re.findall(r"\*\*The numbers\.\*\*(.*?)(?:\n\n|\Z)", text, re.DOTALL):
            words = re.findall(r"(?<!\})`([a-z_0-9A-Z]+)`", paragraph)
            assert not {*words} - known, page
