"""Every sentence of every command, number by number, from data at the edges; figures in silence.

A command without an entry here fails. Its sentences are recomputed by another route (the modules
`recomputed*`, plain Python) from the same data, and its figures are drawn for the same edges with
warnings as errors.
"""

import re
from dataclasses import replace

import numpy as np
import pytest
import recomputed_cells
import recomputed_gradients
import recomputed_matrices
import recomputed_training
from edges import (
    along_units,
    as_computed,
    both,
    by_seed,
    changed,
    first_of,
    in_reverse,
    level,
    nothing,
    of_all_layers,
    unknown,
    without,
)
from matplotlib.text import Text

from analysis.__main__ import ANALYSES
from analysis.dynamics import isometry
from analysis.frame import figures, runs
from analysis.gradients import gradient_norms, truncation, window
from analysis.networks import cells, depth
from analysis.spectra import nonnormal, spectra
from analysis.training import temporal_order, training

# Recomputed in the tests of their own rooms.
ELSEWHERE = {"lyapunov", "phase-diagram", "portrait", "architectures"}

SMALL = {"n_hidden": 6, "network_seeds": 3, "batch_size": 2, "n_threads": 1}
ALONE = first_of("network_seed")
ONE_GAIN = first_of("gain", "length")
REVERSED = in_reverse("gain", "length")
SOME = unknown(0)
ALL = unknown()
LN10 = np.log(10.0)


GRADIENT_LOGS = (
    "log_norm log_norm_map log_gradient_norm log_gradient_norm_per_weight log_step_norm log_change "
    "log_rms"
).split()
NO_FIT = dict.fromkeys(
    ("growth_rate", "growth_rate_error", "half_life", "cancellation"), level(np.nan)
)


CASES = {
    gradient_norms: (
        gradient_norms.Settings(gain=(0.5, 1.0, 2.0), length=(6, 12), map_gain=(1.0,), **SMALL),
        recomputed_gradients.gradient_norms,
        {
            "computed": as_computed,
            "all vanish": changed(log_change=level(-2 * LN10), growth_rate=level(-1.0)),
            "all explode": changed(log_change=level(2 * LN10), growth_rate=level(1.0)),
            "mean and median differ": changed(log_change=by_seed(-9.0, -0.1, 0.1)),
            "all dead": both(nothing(*GRADIENT_LOGS), changed(**NO_FIT)),
            "one dead": nothing("log_change", "log_norm", among=[1]),
            "two dead": nothing("log_change", "log_norm", among=[1, 2]),
            "one not known": SOME,
            "none known": ALL,
            "one network": ALONE,
            "one gain and length": ONE_GAIN,
            "in reverse": REVERSED,
        },
    ),
    truncation: (
        truncation.Settings(
            gain=(0.5, 1.0, 2.0), length=(8, 16), tolerance=0.005, n_batches=6, n_updates=2, **SMALL
        ),
        recomputed_gradients.truncation,
        {
            "no bias beyond noise": changed(bias2_estimate=level(-0.1)),
            "no variance": changed(variance_estimate=level(0.0), full_error=level(0.0)),
            "best of one": changed(best_window=by_seed(3.0, np.nan, np.nan)),
            "two batches": changed(shortest_window=level(np.nan), longest_window=level(np.nan)),
            "noise at every lag": changed(horizon=level(-1.0)),
            "noise at every lag in two": changed(horizon=by_seed(-1.0, 5.0, -1.0)),
            "no horizon known": changed(horizon=level(np.nan)),
            "the whole is best": changed(best_window=level(16.0), best_error=lambda v: v + 1.0),
            "one frozen": changed(diverged=by_seed(-1, 4, -1)),
            "computed": as_computed,
            "no decay": changed(log_rms=lambda v: v.lag.values * np.ones(v.shape)),
            "decay of one network": changed(
                log_rms=lambda v: (
                    v.lag.values * by_seed(-1.0, 1.0, np.nan)(v)
                )
            ),
            "exact": changed(truncation_log_error=level(-np.inf)),
            "hidden by rounding": changed(truncation_log_error=level(np.nan)),
            "hidden in two": changed(truncation_log_error=by_seed(-3.0, np.nan, np.nan)),
            "the whole sequence": changed(sufficient_window=level(16.0)),
            "almost": changed(sufficient_window=by_seed(15.0, 16.0, np.nan)),
            "all dead": nothing("log_rms", "log_norm", "log_gradient_norm"),
            "one not known": SOME,
            "none known": ALL,
            "one network": ALONE,
            "one gain and length": ONE_GAIN,
            "in reverse": REVERSED,
        },
    ),
    window: (
        window.Settings(
            length=12, delay=3, windows=(2, 4, 12), stride=2, n_batches=2, network_seeds=3,
            n_hidden=5, batch_size=2,
        ),
        recomputed_gradients.window,
        {
            "computed": as_computed,
            "all learn": changed(loss=level(0.0)),
            "all get worse": changed(loss=lambda v: v.share.values * np.ones(v.shape)),
            "one not finite": both(SOME, changed(diverged=level(1))),
            "none finite": ALL,
            "one network": ALONE,
            "all reach": changed(dependency=level(0)),
            "none reaches": changed(dependency=level(99)),
            "in reverse": in_reverse("window"),
        },
    ),
    temporal_order: (
        temporal_order.Settings(
            length=(10, 12), network_seeds=4, n_updates=4, n_hidden=5, batch_size=2, test_size=20,
            record_every=1, n_threads=1,
        ),
        recomputed_training.temporal_order,
        {
            "computed": as_computed,
            "all solved": changed(solved_at=by_seed(1, 2, 2, 4), error=level(0.0)),
            "half solved": changed(solved_at=by_seed(1, 3, np.nan, np.nan)),
            "one solved": changed(solved_at=by_seed(np.nan, 1, np.nan, np.nan), error=level(0.999)),
            "none solved": changed(solved_at=level(np.nan), error=level(1.0)),
            "all left": changed(diverged=level(2), solved_at=level(np.nan)),
            "one network": ALONE,
            "one length": ONE_GAIN,
            "runs of before": lambda datasets: {"learning": datasets["learning"]},
            "in reverse": REVERSED,
        },
    ),
    training: (
        training.Settings(
            length=10, gain=(0.5, 1.2), n_updates=5, record_every=2, snapshot_every=4,
            learning_rate=0.05, **SMALL,
        ),
        recomputed_training.training,
        {
            "computed": as_computed,
            "all learn": changed(loss=level(1e-3)),
            "uneven records": changed(clipped=lambda v: np.array([np.nan, 0.0, 0.0, 1.0])),
            "two left": changed(
                diverged=by_seed(2, 5, -1), loss=by_seed(np.nan, np.inf, 1.0), clipped=level(0.5)
            ),
            "nothing left of gradients": nothing("log_norms"),
            "nothing left in one": nothing("log_norms", among=[0]),
            "hidden by rounding": changed(
                window_log_error=lambda v: np.where(v.window.values < 10, np.nan, -np.inf)
            ),
            "gates that never close in some": changed(
                gate_time_scale=by_seed(0.0, 2.5, np.inf), gate_share=by_seed(-1e-17, 0.5, np.nan)
            ),
            "half of the gates never close": changed(
                gate_time_scale=lambda v: np.where(2 * v.unit.values < v.sizes["unit"], np.inf, 2.0)
            ),
            "shares of before": of_all_layers("gate_share"),
            "runs of before": without("gate_mean", "gate_time_scale"),
            "one record": first_of("snapshot"),
            "one not known": SOME,
            "none known": ALL,
            "one network": ALONE,
        },
    ),
    isometry: (
        isometry.Settings(
            gain=(1.4,), histogram_gain=1.4, lags=(1, 3, 6), length=8, exponent_steps=30,
            scheme=("gaussian", "identity"), activation="relu", **SMALL | {"network_seeds": 2},
        ),
        recomputed_matrices.isometry,
        {
            "computed": as_computed,
            "all exactly 0": changed(log_singular_value=level(-np.inf), rounding=level(0.0)),
            "exactly 0 and not resolved": changed(
                log_singular_value=along_units(0.5, 0.0, -1.0, -3.0, -np.inf, -np.inf),
                rounding=along_units(0.0, 0.0, 1e-9, 1e-3, 0.0, 0.0),
            ),
            "none resolved": changed(rounding=level(1.0)),
            "all resolved": changed(log_singular_value=level(0.3), rounding=level(1e-12)),
            "one not known": SOME,
            "none known": ALL,
            "one network": ALONE,
        },
    ),
    spectra: (
        spectra.Settings(
            gain=(0.0, 0.5, 1.5), spectrum_gain=1.5, length=12, scheme=("gaussian", "identity"),
            **SMALL,
        ),
        recomputed_matrices.spectra,
        {
            "computed": as_computed,
            "all vanish": changed(growth_rate=level(-1.0)),
            "all grow": changed(growth_rate=level(1.0)),
            "no rate differs from 0": changed(growth_rate=level(0.0)),
            "rest is lost": changed(rest_eigenvalue=level(3.0), eigenvalue=level(0.5j)),
            "rest is never lost": changed(rest_eigenvalue=level(-0.4), singular_value=level(0.0)),
            "nothing is known of steps": changed(
                **dict.fromkeys(("rest_eigenvalue", "eigenvalue", "singular_value"), level(np.nan))
            ),
            "defective": changed(eigenbasis_condition=by_seed(1.0, np.inf, np.inf)),
            "one not known": SOME,
            "none known": ALL,
            "one network": ALONE,
            "gain 0 alone": ONE_GAIN,
            "in reverse": REVERSED,
        },
    ),
    nonnormal: (
        nonnormal.Settings(
            scale=(0.0, 1.0, 2.0), plane_scale=(1.0,), length=12, n_points=5, tolerance=0.005,
            **SMALL,
        ),
        recomputed_matrices.nonnormal,
        {
            "computed": as_computed,
            "the whole sequence": changed(sufficient_window=level(12.0)),
            "none in two": changed(sufficient_window=by_seed(3.0, np.nan, np.nan)),
            "nothing left": nothing("log_gradient_norm"),
            "nothing left in two": nothing("log_gradient_norm", among=[0, 1]),
            "one not known": SOME,
            "none known": ALL,
            "one network": ALONE,
        },
    ),
    cells: (
        cells.Settings(forget_bias=(0.0, 2.0), chrono=9, length=24, task="adding", **SMALL),
        recomputed_cells.cells,
        {
            "computed": as_computed,
            "all fall at once": changed(log_norm=lambda v: -3.0 * v.lag.values * level(1.0)(v)),
            "none falls": changed(log_norm=level(0.0)),
            "one falls": changed(
                log_norm=lambda v: v.lag.values * by_seed(-1.0, 0.0, 1.0)(v)
            ),
            "two of four known": changed(
                log_norm=lambda v: v.lag.values * by_seed(-1.0, 0.0, np.nan)(v),
                sufficient_window=by_seed(3.0, 24.0, np.nan), reach=by_seed(np.nan, np.nan, 2.0),
            ),
            "all exactly 0": changed(
                log_norm=lambda v: np.where(v.lag.values > 0, -np.inf, 0.0),
                exponent=level(-np.inf), deviation=level(np.inf), cumulative_share=level(np.nan),
                window_log_error=level(-np.inf),
            ),
            "gates that never close": changed(
                time_scale=level(np.inf), predicted_exponent=level(0.0)
            ),
            "one not known": SOME,
            "none known": ALL,
            "one network": ALONE,
            "one cell and start": first_of("cell", "start"),
            "in reverse": in_reverse("cell", "start"),
        },
    ),
    depth: (
        depth.Settings(n_layers=(1, 2, 4), length=24, task="adding", **SMALL | {"n_hidden": 3}),
        recomputed_cells.depth,
        {
            "computed": as_computed,
            "all exactly 0": changed(
                log_norm=lambda v: np.where(v.lag.values > 0, -np.inf, 0.0),
                theory_log_norm=lambda v: np.where(v.lag.values > 0, -np.inf, 0.0),
                exponent=level(-np.inf), layer_exponent=level(-np.inf), rate=level(-np.inf),
                slope=level(np.nan), window_log_error=level(-np.inf),
                joint_window_log_error=level(-np.inf), sufficient_window=level(1.0),
            ),
            "all explode": changed(log_norm=lambda v: 3.0 * v.lag.values * level(1.0)(v)),
            "two of three known": changed(
                sufficient_window=by_seed(3.0, 24.0, np.nan),
                largest_window=by_seed(np.nan, 24.0, np.nan),
            ),
            "one not known": SOME,
            "none known": ALL,
            "one network": ALONE,
            "one depth": first_of("n_layers"),
            "in reverse": in_reverse("n_layers"),
        },
    ),
}  # fmt: skip
# The same commands of several cells: analysis, settings, sentences, edges.
GATED = {
    gradient_norms: {"cell": ("vanilla", "lstm", "gru"), "forget_bias": (0.0, 1.5)},
    truncation: {"cell": ("gru", "lstm"), "forget_bias": (2.0,)},
    isometry: {"cell": ("lstm", "vanilla"), "activation": "tanh"},
    training: {"cell": ("gru", "vanilla", "lstm"), "forget_bias": (0.0, 1.0)},
    temporal_order: {"cell": ("lstm",), "forget_bias": (0.0, 1.5)},
    spectra: {"cell": ("lstm", "gru", "vanilla"), "forget_bias": (0.0, 1.5)},
}
# Of stacks: analysis, settings; a few edges.
FEW = {"n_hidden": 3, "task": "adding"}
DEEP = {
    gradient_norms: {"cell": ("vanilla", "gru"), "n_layers": (1, 2), "gain": (0.5, 2.0), **FEW},
    truncation: {"n_layers": (2,), "gain": (0.5, 2.0), "length": (8,), **FEW},
    isometry: {"cell": ("lstm",), "n_layers": (1, 2), "activation": "tanh", **FEW},
    window: {"n_layers": (1, 2), "windows": (2, 12), "n_hidden": 3},
    cells: {"n_layers": 2, "forget_bias": (1.0,), **FEW},
    training: {"cell": ("vanilla", "lstm"), "n_layers": (2, 1)},
    temporal_order: {"n_layers": (1, 2), "cell": ("vanilla", "gru")},
    spectra: {"cell": ("gru", "vanilla"), "n_layers": (1, 2)},
}
AT = (
    "computed", "one network", "none known", "none finite", "all dead", "all exactly 0", "exact",
    "gates that never close in some", "shares of before", "runs of before", "one record",
)  # fmt: skip
PAIRS = [(analysis, edge) for analysis, (_, _, edges) in CASES.items() for edge in edges]


@pytest.fixture(scope="module")
def computed():
    """The datasets of a small run of an analysis, of vanilla networks or others, made once."""
    made = {}

    def of(analysis, cells=()):
        key = analysis, tuple(cells)
        if key not in made:
            settings = replace(CASES[analysis][0], **dict(cells))
            made[key] = analysis.compute(settings, progress=False)
        return made[key]

    return of


def test_every_command_has_its_sentences_recomputed():
    assert {runs.name_of(a) for a in CASES} | ELSEWHERE == {a.name for a in ANALYSES}


@pytest.mark.parametrize(
    ("analysis", "edge"), PAIRS, ids=[f"{runs.name_of(a)}: {edge}" for a, edge in PAIRS]
)
def test_words_are_those_of_the_data_and_figures_are_drawn(computed, analysis, edge):
    check(analysis, edge, computed(analysis))


GATED_PAIRS = [pair for pair in PAIRS if pair[0] in GATED]


@pytest.mark.parametrize(
    ("analysis", "edge"), GATED_PAIRS, ids=[f"{runs.name_of(a)}: {edge}" for a, edge in GATED_PAIRS]
)
def test_words_and_figures_of_several_cells(computed, analysis, edge):
    check(analysis, edge, computed(analysis, GATED[analysis]), laid_out=edge == "computed")


DEEP_PAIRS = [pair for pair in PAIRS if pair[0] in DEEP and pair[1] in AT]


@pytest.mark.parametrize(
    ("analysis", "edge"), DEEP_PAIRS, ids=[f"{runs.name_of(a)}: {edge}" for a, edge in DEEP_PAIRS]
)
def test_words_and_figures_of_stacks(computed, analysis, edge):
    check(analysis, edge, computed(analysis, DEEP[analysis]), laid_out=edge == "computed")


def check(analysis, edge, data, *, laid_out=True):
    """The words of an edge of these data are recomputed, and its figures drawn in silence.

    laid_out: with all that finds room for everything, which is half of the time.
    """
    _, recomputed, edges = CASES[analysis]
    datasets = edges[edge](data)
    said = analysis.summarise(datasets)
    assert said == recomputed(datasets)
    assert not [sentence for sentence in said if re.search(r"\bnan\b", sentence)]
    with figures.style():
        for figure in analysis.draw(datasets).values():
            if not laid_out:
                figure.set_layout_engine("none")
            figure.draw_without_rendering()
            shown = [text.get_text() for text in figure.findobj(Text)]
            assert not [text for text in shown if re.search(r"\bnan\b", text)]
