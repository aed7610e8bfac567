"""The training figures: artists, labels and scales; the film; and words that follow the data."""

import json

import numpy as np
import pytest
from artists import dashed, dotted, drawn_with_captions, faint, labelled, marked
from matplotlib.figure import Figure
from PIL import Image
from recomputed import facts

import rnnsim
from analysis.frame import figures, runs
from analysis.training import carry_plots, training, training_plots
from rnnsim import tasks
from rnnsim.experiments.sweeps.training import constant_loss
from rnnsim.training import schedules

LN10 = np.log(10.0)
SIZES = {"length": 12, "gain": (1.2, 0.5), "network_seeds": 2, "n_hidden": 6, "batch_size": 3}
SHORT = {"n_updates": 8, "record_every": 2, "snapshot_every": 4, "learning_rate": 0.05}
ANALYSED = training
TINY = training.Settings(**SIZES, **SHORT)


def test_the_record_is_that_of_train_network_by_network(data):
    assert data.gain.values.tolist() == [0.5, 1.2]
    one = training.Settings(**SIZES | {"gain": (1.2,), "network_seeds": 1}, **SHORT)
    alone = training.compute(one, progress=False)["training"]
    for name in ("loss", "clipped", "eigenvalues", "window_log_error", "diverged"):
        found = data[name].sel(gain=1.2, network_seed=0)
        np.testing.assert_array_equal(found, alone[name].sel(gain=1.2, network_seed=0))
        assert data[name].dtype == alone[name].dtype


def test_all_figures_are_drawn_with_captions(datasets):
    drawn_with_captions(
        training,
        datasets,
        "learning",
        "dynamics",
        "eigenvalues",
        "bias",
        "gradient-reach",
        "what-is-carried",
    )


@pytest.mark.parametrize(
    ("variable", "axis"), [("loss", "updates"), ("lyapunov_exponent", "snapshot")]
)
def test_every_network_and_the_median_against_updates(data, ax, variable, axis):
    assert training_plots.plot_against_updates(data, variable, gain=0.5, ax=ax) is ax
    values = data[variable].sel(gain=0.5).transpose("network_seed", axis).values
    np.testing.assert_array_equal([line.get_ydata() for line in ax.lines[:2]], values)
    np.testing.assert_allclose(ax.lines[2].get_ydata(), np.median(values, axis=0))
    np.testing.assert_array_equal(ax.lines[2].get_xdata(), data[axis])
    assert ax.get_xlabel() == "updates"


def test_gains_stand_side_by_side_at_most_four_of_them(data, ax):
    training_plots.plot_against_updates(data, "lyapunov_exponent", ax=ax)
    lines = labelled(ax)
    assert list(lines) == ["gain 0.5", "gain 1.2"]
    for name, line in lines.items():
        values = data.lyapunov_exponent.sel(gain=float(name.removeprefix("gain ")))
        np.testing.assert_allclose(line.get_ydata(), values.median("network_seed"))
    many = data.isel(gain=[0, 1] * 3).assign_coords(gain=[0.5, 0.6, 0.7, 0.8, 0.9, 1.2])
    other = training_plots.plot_against_updates(many, "loss")
    assert list(labelled(other)) == ["gain 0.5", "gain 0.7", "gain 0.8", "gain 1.2"]


def test_norms_are_drawn_beside_the_norm_at_which_they_are_clipped(data, ax):
    training_plots.plot_gradient_norm(data, gain=0.5, ax=ax)
    here = data.sel(gain=0.5).isel(updates=slice(1, None)).transpose("network_seed", ...)
    drawn = np.array([line.get_ydata() for line in faint(ax)])
    np.testing.assert_allclose(drawn, here.log_gradient_norm / LN10)
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), here.updates)
    (limit,) = dotted(ax)
    assert limit.get_ydata()[0] == 0.0  # clipped at norm 1
    assert limit.get_label() == "clipped\nabove 1"
    assert not dashed(ax)


def test_shares_of_clipped_updates_are_those_of_the_records(data, ax):
    shares = np.linspace(0, 1, data.clipped.size).reshape(2, 2, 5)
    clipped = data.clipped.copy(data=shares)
    training_plots.plot_against_updates(data.assign(clipped=clipped), "clipped", ax=ax)
    for gain in (0.5, 1.2):
        expected = clipped.sel(gain=gain).median("network_seed")
        np.testing.assert_allclose(labelled(ax)[f"gain {gain}"].get_ydata(), expected)
    low, high = ax.get_ylim()
    assert low < 0 < 1 < high


def test_nothing_is_marked_without_clipping(ax):
    settings = training.Settings(**SIZES | {"gain": (1.0,)}, **SHORT, clip_norm=0.0)
    datasets = training.compute(settings, progress=False)
    data = datasets["training"]
    assert float(data.clipped.max()) == 0.0
    training_plots.plot_gradient_norm(data, gain=1.0, ax=ax)
    assert not dotted(ax)
    names = [panel.get_ylabel() for panel in training.draw(datasets)["learning"].axes]
    assert len(names) == 3
    assert "share of updates clipped" not in names


def test_eigenvalues_are_those_of_the_snapshots(data, ax):
    training_plots.plot_eigenvalues(data, gain=1.2, index=1, ax=ax)
    values = data.eigenvalues.sel(gain=1.2).transpose("snapshot", ...).values
    drawn = ax.lines[0].get_xdata() + 1j * ax.lines[0].get_ydata()
    np.testing.assert_array_equal(drawn, values[1].ravel())
    circle = ax.lines[1].get_xydata()
    np.testing.assert_allclose(np.hypot(*circle.T), 1.0)
    assert not dashed(ax)
    assert ax.get_aspect() == 1.0
    both = labelled(training_plots.plot_eigenvalues(data, gain=1.2))
    for name, expected in (("at the start", values[0]), ("at the end", values[-1])):
        found = both[name].get_xdata() + 1j * both[name].get_ydata()
        np.testing.assert_array_equal(found, expected.ravel())
    assert len({line.get_marker() for line in both.values()}) == 2


def test_bias_and_reach(data, ax):
    training_plots.plot_bias(data, gain=0.5, trained=None, ax=ax)
    labels = list(labelled(ax))
    assert labels[0] == "K = 1"
    assert len(labels) == 4
    one = Figure().subplots()
    training_plots.plot_bias(data, gain=0.5, trained=3, ax=one)
    errors = data.window_log_error.sel(gain=0.5, window=3).transpose("network_seed", "snapshot")
    np.testing.assert_allclose([line.get_ydata() for line in one.lines[:2]], errors / LN10)
    reach = Figure().subplots()
    training_plots.plot_reach(data, gain=0.5, ax=reach)
    median = (data.log_norms - data.log_norms.sel(lag=0)).sel(gain=0.5).median("network_seed")
    shown = np.ma.filled(reach.collections[0].get_array(), np.nan)
    expected = np.clip(median.transpose("lag", "snapshot").values / LN10, -8, 8)
    np.testing.assert_allclose(shown.ravel(), expected.ravel())
    assert reach.get_ylabel() == "lag $k$ (steps)"


def test_the_film_has_a_frame_for_each_snapshot_and_is_the_same_again(datasets, tmp_path):
    bits = []
    for name in ("a", "b"):
        with figures.style():
            film = training.films(datasets)["eigenvalues-moving"]
            bits.append(figures.save_film(film, tmp_path, name).read_bytes())
    assert bits[0] == bits[1]
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == datasets["training"].sizes["snapshot"] == 3
        assert image.info["loop"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gif", "b.gif"]


def test_a_film_that_fails_leaves_nothing(tmp_path):
    def fail(index):
        if index:
            raise RuntimeError("torn")

    with pytest.raises(RuntimeError, match="torn"):
        figures.save_film(figures.Film(Figure(), fail, 3), tmp_path, "torn")
    assert not list(tmp_path.iterdir())


def test_a_saved_run_is_drawn_again_complex_eigenvalues_included(datasets, tmp_path):
    first, again = tmp_path / "first", tmp_path / "again"
    runs.run(training, TINY, output=first, source=None, progress=False)
    loaded = rnnsim.load(first / "data" / "training.zarr", kind="training/training")
    assert loaded.eigenvalues.dtype == np.complex128
    for name, variable in datasets["training"].variables.items():
        np.testing.assert_array_equal(loaded[name], variable)
    runs.run(training, TINY, output=again, source=first, progress=False)
    for path in [*first.glob("*.svg"), *first.glob("*.gif"), first / "summary.txt"]:
        assert (again / path.name).read_bytes() == path.read_bytes()


def test_truncated_training_of_a_task_without_classes():
    settings = training.Settings(
        **SIZES | {"gain": (0.9,)}, **SHORT, task="adding", window=4, stride=2, carry="none"
    )
    datasets = training.compute(settings, progress=False)
    assert json.loads(datasets["training"].attrs["configuration"])["stride"] == 2
    with figures.style():
        drawn = training.draw(datasets)
    names = [ax.get_ylabel() for ax in drawn["learning"].axes]
    assert names == ["loss per sequence", "norm of the gradient", "share of updates clipped"]
    assert "window 4" in drawn["bias"].get_supxlabel()
    assert list(labelled(drawn["bias"].axes[0])) == ["K = 4"]


def test_loss_of_the_best_constant_answer():
    order = tasks.temporal_order(10, 4000, rng=0)
    assert constant_loss(order) == pytest.approx(np.log(4), abs=2e-3)
    adding = tasks.adding(10, 4000, rng=0)
    assert constant_loss(adding) == pytest.approx(1 / 12, rel=0.05)


@pytest.mark.nojit
@pytest.mark.parametrize("carry", schedules.CARRIES)
def test_what_is_carried_is_drawn_from_the_schedule(carry, ax):
    carry_plots.plot_carry(carry, window=6, stride=3, length=12, ax=ax)
    plan = schedules.segments(12, 6, 3, carry, np.arange(1, 13))
    computed = sum(segment.end - segment.begin for segment in plan)
    assert len(ax.patches) == 2 * computed
    arrows = [text for text in ax.texts if getattr(text, "arrow_patch", None) is not None]
    carried = len(arrows) - 2 * len(plan)  # the others are gradients
    assert carried == {"sequence": 6, "stream": 7, "none": 0}[carry]
    zeros = marked(ax, "o")
    assert len(zeros) == {"sequence": 2, "stream": 1, "none": 8}[carry]
    assert ax.get_xlabel() == "step $t$ of each batch"


def test_words_follow_the_data(datasets, data):
    sentences = facts(training, datasets)
    assert len(sentences) == 6
    assert sentences[0].startswith("From gain 0.5, 0 of 2 networks")
    solved = data.assign(loss=data.loss * 0.0, diverged=data.diverged * 0 + 3)
    other = facts(training, {"training": solved})
    assert other[0].startswith("From gain 0.5, 2 of 2 networks")
    assert other[-1].startswith("4 networks left")
    backwards = data.assign(
        spectral_radius=data.spectral_radius.copy(data=data.spectral_radius.values[..., ::-1])
    )
    assert facts(training, {"training": backwards})[2] != sentences[2]
    error = data.window_log_error.sel(gain=0.5, window=6, snapshot=0).median()
    assert f"a window of 6 steps would lose {float(np.exp(error)):.2g} of" in sentences[4]


def test_the_peak_is_the_largest_norm_and_clipping_is_of_all_updates(data):
    """Records after 2, 4, 6 and 7 updates: the last covers one update, the others two."""
    uneven = data.assign_coords(updates=[0, 2, 4, 6, 7]).sel(gain=[0.5])
    share = np.array([np.nan, 1.0, 0.0, 0.0, 1.0])
    largest = np.log([[np.nan, 18.4, 0.5, 0.5, 0.5], [np.nan, 0.86, 0.5, 0.5, 0.5]])[None]
    changed = uneven.assign(
        clipped=uneven.clipped.copy(data=np.broadcast_to(share, uneven.clipped.shape)),
        largest_log_gradient_norm=uneven.clipped.copy(data=largest),
        log_gradient_norm=uneven.log_gradient_norm * 0.0,
    )
    words = facts(training, {"training": changed})[0]
    assert "43% of updates were clipped" in words  # 3 of 7, not a half
    assert "peaks at 18.4 (the largest of all networks and updates)" in words
    frozen = changed.assign(diverged=changed.diverged.copy(data=[[3, -1]]))
    made = training.updates_made(frozen.isel(gain=0))
    np.testing.assert_array_equal(made, [[0, 2, 0, 0, 0], [0, 2, 2, 2, 1]])
    assert "56% of updates were clipped" in facts(training, {"training": frozen})[0]  # 5 of 9


def test_losses_of_numbers_have_no_unit():
    numbers = training.Settings(**SIZES | {"gain": (0.9,)}, **SHORT, task="adding")
    data = training.compute(numbers, progress=False)["training"]
    for name in ("loss", "training_loss", "constant_loss"):
        assert data[name].attrs["units"] == "1"
    ax = training_plots.plot_against_updates(data, "loss", gain=0.9)
    assert ax.get_ylabel() == "loss per sequence"


def test_losses_of_classes_are_in_nats(data, ax):
    assert data.loss.attrs["units"] == data.constant_loss.attrs["units"] == "nats per sequence"
    assert data.training_loss.attrs["units"] == "nats per update"
    training_plots.plot_against_updates(data, "loss", gain=0.5, ax=ax)
    assert ax.get_ylabel() == "loss (nats per sequence)"


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_networks_that_left_the_range_are_drawn_and_counted(activation):
    settings = training.Settings(
        **SIZES, **SHORT | {"learning_rate": 1e30}, optimizer="sgd", activation=activation,
        clip_norm=0.0,
    )  # fmt: skip
    datasets = training.compute(settings, progress=False)
    assert (datasets["training"].diverged >= 0).any()
    with figures.style():
        for figure in training.draw(datasets).values():
            figure.draw_without_rendering()
    assert "left the floating-point range" in facts(training, datasets)[-1]


@pytest.mark.nojit
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "parity"}, "`task` must be one of 'copy_memory'"),
        ({"gain": ()}, "`gain` must hold at least one value"),
        ({"gain": (1.0, 1.0)}, "none twice"),
        ({"n_updates": 0}, "`n_updates` must be at least 1"),
        ({"network_seeds": 0}, "`network_seeds` must be at least 1"),
        ({"stride": 2}, "`stride` = 2 needs a `window`"),
        ({"carry": "batch"}, "`carry` must be one of"),
    ],
)
def test_misuse_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        training.compute(training.Settings(**SIZES | SHORT | options), progress=False)


@pytest.mark.nojit
@pytest.mark.parametrize(
    ("x", "words"),
    [
        (0.0, "$10^{0}$"),
        (-400.0, "$10^{-400}$"),
        (0.2, "1.58"),
        (-0.6, "0.251"),
        (2.9999999999, "$10^{3}$"),
        (-412.5, r"$3.2\cdot10^{-413}$"),
    ],
)
def test_ticks_of_log_axes_say_what_they_are(x, words, ax):
    figures.log_axis(ax)
    assert ax.yaxis.get_major_formatter()(x, 0) == words
