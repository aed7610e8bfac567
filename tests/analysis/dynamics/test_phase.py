"""The phase diagram: artists, borders where data and theory have them, words from data."""

import numpy as np
import pytest
import xarray as xr
from artists import check_axes, configured, dashed, drawn_with_captions
from matplotlib.colors import to_rgb
from matplotlib.path import Path
from numpy.testing import assert_allclose, assert_array_equal
from recomputed import facts

from analysis.dynamics import phase_diagram
from analysis.frame import figures
from rnnsim import theory

ANALYSED = phase_diagram
SEEDS, GAINS, STRENGTHS = 3, (0.5, 1.0, 2.0, 3.0), (0.0, 0.5, 1.0)
TINY = phase_diagram.Settings(
    gain=GAINS,
    strength=STRENGTHS,
    network_seeds=SEEDS,
    n_hidden=6,
    n_steps=80,
    burn_in=20,
    n_threads=1,
)


@pytest.fixture(scope="module")
def phase(datasets):
    return datasets["phase"]


@pytest.fixture(scope="module")
def made_up(phase):
    """lambda_1 = gain - 1.5 - strength + offset of the seed (median 0); gradients 0.1 less."""
    offset = phase.network_seed - 1.0
    exponent = (phase.gain - 1.5 - phase.strength + 0.2 * offset).transpose(
        "strength", "gain", "network_seed"
    )
    return phase.assign(lyapunov_exponent=exponent, growth_rate=exponent - 0.1)


def borders(ax):
    """The lines on the map: colour, width and points (gain, strength) of each."""
    return [
        (to_rgb(lines.get_color()[0]), lines.get_linewidths()[0], np.concatenate(pieces))
        for lines in ax.collections[1:]
        for pieces in [lines.get_segments()]
    ]


def test_map_has_the_medians_and_keeps_their_sign_in_grey(made_up):
    ax = phase_diagram.plot_phase_diagram(made_up)
    mesh = ax.collections[0]
    expected = np.subtract.outer(-np.array(STRENGTHS), -np.array(GAINS)) - 1.5
    assert_allclose(mesh.get_array(), np.maximum(expected, -1.5), atol=1e-12)
    assert mesh.norm.vmax == -mesh.norm.vmin == 1.5
    assert mesh.cmap.name == figures.SIGNED.name
    corners = mesh.get_coordinates()
    assert_allclose(corners[0, :, 0], [0.25, 0.75, 1.5, 2.5, 3.5])
    assert_allclose(corners[:, 0, 1], [-0.25, 0.25, 0.75, 1.25])
    (hatched,) = (each for each in ax.get_children() if each.get_gid() == "hatch")
    for (row, column), value in np.ndenumerate(expected):
        middle = (GAINS[column], STRENGTHS[row])
        inside = any(
            path.contains_point(middle, radius=1e-9) for path in _pieces(hatched.get_path())
        )
        assert inside == (value < -0.03)


def _pieces(path):
    return [Path(corners) for corners in path.to_polygons()]


def test_borders_lie_where_the_data_cross_0(made_up):
    forwards, backwards = borders(phase_diagram.plot_phase_diagram(made_up))
    assert_allclose(forwards[2][:, 0] - forwards[2][:, 1], 1.5, atol=1e-9)
    assert_allclose(backwards[2][:, 0] - backwards[2][:, 1], 1.6, atol=1e-9)
    assert forwards[1] > 2 * backwards[1], "both are seen where they coincide"
    assert forwards[0] != backwards[0]


def test_a_speck_within_one_cell_is_no_border_unless_it_is_all(made_up):
    gains, strengths = np.arange(9.0), np.arange(7.0)
    grid = xr.Dataset(coords={"gain": gains, "strength": strengths})
    wide = (grid.gain - 5.4).broadcast_like(grid.strength + grid.gain)
    speck = ((grid.gain - 2) ** 2 + (grid.strength - 3) ** 2) == 0
    for values, pieces in ((wide.where(~speck, 0.1), 1), (-1 + 1.2 * speck, 1)):
        _, ax = figures.new_figure()
        phase_diagram._border(ax, values)
        assert len(ax.collections[0].get_segments()) == pieces
    assert_allclose(np.ptp(ax.collections[0].get_segments()[0], axis=0), 1 / 3)


@pytest.mark.parametrize("drive", ["input", "bias"])
def test_dashed_is_the_critical_gain_of_mean_field(phase, drive):
    ax = phase_diagram.plot_phase_diagram(configured(phase, drive=drive))
    (law,) = dashed(ax)
    x, y = law.get_data()
    assert_allclose(y[[0, -1]], [0.0, 1.0])
    assert_allclose(x[[0, -1]], [1.0, 1.8556], atol=1e-4)  # critical_gain(input_variance=1)
    assert_allclose(x, theory.critical_gain(bias_variance=y**2))
    assert drive in ax.get_ylabel()
    assert "gain" in ax.get_xlabel()


def test_theory_of_other_networks(phase, made_up):
    one = np.ones(1)
    uniform = phase_diagram.in_theory(configured(phase, scheme="uniform"), one)
    assert_allclose(uniform, np.sqrt(3) * phase_diagram.in_theory(phase, one))
    for change in ({"activation": "relu"}, {"scheme": "orthogonal"}):
        data = configured(phase, **change)
        assert phase_diagram.in_theory(data, one) is None
        assert len(phase_diagram.key(configured(made_up, **change))) == 2
        assert not phase_diagram.plot_phase_diagram(data).lines
    assert len(phase_diagram.key(made_up)) == 3


@pytest.mark.parametrize(
    ("shifted", "n_lines", "words"),
    [
        ((), 2, "gradients explode: both or neither at"),
        (("growth_rate",), 1, "Only one of them is 0 between these gains and strengths."),
        (("lyapunov_exponent", "growth_rate"), 0, "Neither is 0 anywhere"),
    ],
)
def test_legend_and_caption_name_what_is_drawn(made_up, shifted, n_lines, words):
    data = made_up.assign({name: made_up[name] + 100.0 for name in shifted})
    thick = borders(phase_diagram.plot_phase_diagram(data))
    names = [line.get_label() for line in phase_diagram.key(data)]
    said = [name for name in names if name.startswith(("forwards", "backwards"))]
    assert len(thick) == len(said) == n_lines
    with figures.style():
        drawn = phase_diagram._phase_figure(data)
    said = " ".join(drawn.get_supxlabel().split())
    assert words in said
    assert bool(drawn.legends) == bool(names)
    off = data.assign_coords(gain=data.gain + 100.0)
    assert "mean field, large $H$" not in [line.get_label() for line in phase_diagram.key(off)]


def test_the_caption_counts_the_points_at_which_both_agree(made_up):
    """Where one is above 0 and the other is not they differ; what is not known is no point."""
    data = made_up.copy(deep=True)
    forth = data.lyapunov_exponent.median("network_seed").transpose("strength", "gain").values
    back = data.growth_rate.median("network_seed").transpose("strength", "gain").values
    same = int(((forth > 0) == (back > 0)).sum())
    assert phase_diagram._agreeing(data).endswith(f" {same} of {forth.size} points of the map.")
    place = {"strength": 0, "gain": int(np.flatnonzero((forth[0] > 0) == (back[0] > 0))[0])}
    other = data.copy(deep=True)
    other.growth_rate[place] = -other.lyapunov_exponent[place]
    assert f" {same - 1} of {forth.size} points" in phase_diagram._agreeing(other)
    other.growth_rate[place] = np.nan
    assert f" {same - 1} of {forth.size - 1} points" in phase_diagram._agreeing(other)


def test_forwards_backwards_has_every_network_and_the_identity(phase):
    ax = phase_diagram.plot_forwards_backwards(phase)
    (dots,) = ax.collections
    x, y = np.asarray(dots.get_offsets()).T
    assert_array_equal(x, phase.lyapunov_exponent.values.ravel())
    assert_array_equal(y, phase.growth_rate.values.ravel())
    assert_array_equal(dots.get_array(), np.repeat(STRENGTHS, len(GAINS) * SEEDS))
    (identity,) = dashed(ax)
    assert_array_equal(*identity.get_data())
    assert identity.get_xdata()[0] == min(x.min(), y.min())
    assert "nats/step" in ax.get_xlabel()
    assert "nats/step" in ax.get_ylabel()
    near = phase_diagram.plot_forwards_backwards(phase, zoom=0.2)
    assert_allclose(near.get_xlim() + near.get_ylim(), [-0.2, 0.2, -0.2, 0.2])


def test_plots_draw_on_the_given_axes_or_on_new_ones(phase):
    check_axes(lambda ax: phase_diagram.plot_phase_diagram(phase, ax=ax))
    check_axes(lambda ax: phase_diagram.plot_forwards_backwards(phase, ax=ax))


def test_draw_makes_all_figures_without_a_warning(datasets):
    drawn = drawn_with_captions(phase_diagram, datasets, "phase-diagram", "forwards-backwards")
    for figure in drawn.values():
        assert f"{SEEDS} networks of 6 units" in figure.get_supxlabel()
        assert "White Gaussian inputs" in figure.get_supxlabel()
    assert "60 steps" in drawn["phase-diagram"].get_supxlabel()


@pytest.mark.parametrize(
    "change",
    [
        {"gain": (0.7,), "strength": (0.5,), "network_seeds": 1},
        {"gain": (0.0, 1.2), "strength": (0.5, 0.0), "scheme": "identity", "activation": "relu"},
        {"gain": (1.2, -0.4), "drive": "bias", "n_hidden": 1},
    ],
)
def test_small_and_unusual_sweeps(change):
    settings = TINY.__class__(**{**vars(TINY), "n_hidden": 2} | change)
    datasets = phase_diagram.compute(settings, progress=False)
    for figure in phase_diagram.draw(datasets).values():
        figure.draw_without_rendering()
    assert facts(phase_diagram, datasets)


def test_summary_follows_the_data(made_up):
    first, middle, last, both = facts(phase_diagram, {"phase": made_up})
    assert first.startswith("At input strength 0 the median largest Lyapunov exponent is above 0 ")
    assert "from gain 1.50 on, gradients grow from gain 1.60 on; mean field" in first
    assert "large networks: 1.00." in first
    assert "strength 0.5 " in middle
    assert "from gain 2.00 on" in middle
    assert "from gain 2.50 on" in last
    assert "1.86." in last
    assert "differ by 0.1000 nats/step in the median and 0.100 at most" in both
    never = made_up.assign(lyapunov_exponent=-1 - made_up.lyapunov_exponent**2)
    words = facts(phase_diagram, {"phase": never})
    assert "above 0 from none of these gains on, gradients grow from gain 1.60 on" in words[0]


def test_summary_counts_signs_that_differ(made_up):
    exponent = made_up.lyapunov_exponent + 0.05  # none is 0
    made_up = made_up.assign(lyapunov_exponent=exponent)
    last = facts(phase_diagram, {"phase": made_up.assign(growth_rate=-exponent)})[-1]
    largest = float(np.abs(exponent).max())
    assert f"signs differ in {exponent.size} of {exponent.size} networks" in last
    assert f"within {largest:.3f} of 0" in last
    same = facts(phase_diagram, {"phase": made_up.assign(growth_rate=exponent)})[-1]
    assert same.endswith(f"signs differ in 0 of {exponent.size} networks.")
    nothing = made_up.assign(growth_rate=exponent * np.nan)
    assert facts(phase_diagram, {"phase": nothing})[-1] == "No network has both rates."
