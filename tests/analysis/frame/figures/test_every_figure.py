"""Every figure of every command, in each look: nothing that a reader stumbles over.

Axes are those of the commands at their defaults; networks are small, and learn for a moment.
"""

import re
from pathlib import Path

import faults
import pytest

from analysis.__main__ import ANALYSES
from analysis.dynamics import isometry, lyapunov, phase_diagram
from analysis.frame import figures, runs
from analysis.gradients import gradient_norms, truncation, window
from analysis.networks import architectures, cells, depth, portrait
from analysis.spectra import nonnormal, spectra
from analysis.training import temporal_order, training

FEW = {"n_hidden": 8, "network_seeds": 2, "batch_size": 2, "n_threads": 1}
LEARNT = {"n_hidden": 6, "network_seeds": 2, "batch_size": 2, "n_threads": 1}
GATED = {"cell": ("vanilla", "lstm"), "forget_bias": (0.0, 1.0)}
ONE = FEW | {"network_seeds": 1}
RUNS = {
    "gradient-norms": (gradient_norms, FEW),
    "gradient-norms, one": (
        gradient_norms, ONE | {"gain": (1.0,), "length": (20,), "map_gain": (1.0,)}
    ),
    "gradient-norms, gated": (
        gradient_norms, FEW | GATED | {"gain": (0.5, 1.0, 2.0), "length": (20, 40)}
    ),
    "truncation": (truncation, FEW | {"n_updates": 3, "n_batches": 4}),
    "truncation, one": (
        truncation, ONE | {"gain": (1.0,), "length": (20,), "n_updates": 3, "n_batches": 4}
    ),
    "spectra": (spectra, FEW | {"length": 30}),
    "spectra, gated": (spectra, FEW | {"length": 30, "cell": ("gru",), "scheme": ("gaussian",)}),
    "lyapunov": (
        lyapunov,
        FEW | {"batch_size": 1, "transition_n_hidden": (8, 16), "n_steps": 440, "burn_in": 20},
    ),
    "phase-diagram": (phase_diagram, FEW | {"n_steps": 120, "burn_in": 20}),
    "isometry": (isometry, FEW | {"exponent_steps": 100}),
    "nonnormal": (nonnormal, FEW | {"n_points": 21}),
    "portrait": (portrait, {"n_threads": 1}),
    "portrait, last step": (portrait, {"task": "adding", "length": 60, "n_threads": 1}),
    "portrait, gated": (portrait, {"cell": "lstm", "length": 60, "n_hidden": 12, "n_threads": 1}),
    "cells": (cells, FEW | {"length": 80, "chrono": 80.0}),
    "depth": (depth, FEW | {"length": 60}),
    "temporal-order": (
        temporal_order, LEARNT | {"n_updates": 12, "test_size": 50, "record_every": 3}
    ),
    "training": (training, LEARNT | {"n_updates": 60, "record_every": 5, "snapshot_every": 10}),
    "window": (window, LEARNT | {"n_batches": 12}),
    "architectures": (
        architectures, LEARNT | {"n_updates": 4, "n_steps": 24, "n_records": 2}
    ),
}  # fmt: skip


def test_every_command_is_here():
    drawn = {runs.name_of(analysis) for analysis, _ in RUNS.values()}
    assert drawn == {command.name for command in ANALYSES}


@pytest.fixture(scope="module")
def computed():
    made = {}

    def of(name):
        if name not in made:
            analysis, changes = RUNS[name]
            made[name] = analysis.compute(analysis.Settings(**changes), progress=False)
        return made[name]

    return of


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("look", faults.LOOKS)
def test_a_reader_stumbles_over_nothing(computed, name, look):
    with figures.style(faults.LOOKS[look]):
        drawn = RUNS[name][0].draw(computed(name))
        found = {each: faults.faults(figure) for each, figure in drawn.items()}
    assert not {each: dict.fromkeys(them) for each, them in found.items() if them}


@pytest.mark.parametrize("name", RUNS)
def test_the_page_of_the_command_says_how_every_figure_is_read(computed, name):
    pages = Path(__file__).parents[4] / "docs" / "figures"
    page = (pages / f"{name.partition(',')[0]}.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```\{shown\} \S+/(\S+)$", page, re.MULTILINE)
    with figures.style():
        drawn = RUNS[name][0].draw(computed(name))
    for each in drawn:  # of several cells each has the name of its own behind it
        assert each in shown or any(each.startswith(f"{known}-") for known in shown), each
