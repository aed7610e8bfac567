"""Portraits of one's own network: weights from a file, what they read, what is refused."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from recomputed import facts

import rnnsim
from analysis.frame import figures, runs
from analysis.networks import portrait, portrait_page, portrait_plots

T, B = 30, 3


def settings(**changes):
    return portrait.Settings(**({"length": T, "batch_size": B, "n_threads": 1} | changes))


@pytest.fixture
def own(tmp_path):
    rng = np.random.default_rng(3)
    arrays = {
        "W_xh": rng.standard_normal((4, 2)),
        "W_hh": 0.3 * rng.standard_normal((4, 4)),
        "W_hy": rng.standard_normal((1, 4)),
        "b_h": rng.standard_normal(4),
        "b_y": np.ones(1),
    }

    def save(**changes):
        kept = {k: v for k, v in (arrays | changes).items() if v is not None}
        np.savez(tmp_path / "mine.npz", **kept)
        return str(tmp_path / "mine.npz")

    save.arrays = arrays
    return save


def test_own_network_reads_the_task_where_sizes_fit(own):
    chosen = settings(weights=own(), task="adding")
    data = portrait.compute(chosen, progress=False)["portrait"]
    assert figures.configuration(data)["reads"] == "adding"
    values = np.linalg.svd(own.arrays["W_hh"], compute_uv=False)
    assert_allclose(data.singular_values, values)
    assert_allclose(data.theory_radius, 2 * own.arrays["W_hh"].std())  # sqrt(H) = 2
    assert portrait_page.subject_in_words(data) == "mine.npz, 4 tanh units, reading adding"
    assert "entries of this size" in portrait_plots.page(data).get_supxlabel()


def test_own_network_reads_white_noise_where_they_do_not(own):
    chosen = settings(weights=own(), activation="relu", dtype="float32")
    data = portrait.compute(chosen, progress=False)["portrait"]
    known = figures.configuration(data)
    assert (known["reads"], known["activation"], known["dtype"]) == (
        "white noise",
        "relu",
        "float32",
    )
    assert "reading white noise" in portrait_page.subject_in_words(data)
    assert data.sizes["column"] == T
    again = portrait.compute(chosen, progress=False)["portrait"]
    assert_array_equal(data.log_norms, again.log_norms)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"W_hh": None}, r"mine\.npz' .* holds no recurrent network .*W_xh \(4, 2\)"),
        ({"W_hh": np.ones((4, 3))}, r"W_hh must be \(H, H\), .*got \(4, 3\)"),
        ({"W_xh": np.ones((2, 4))}, r"W_xh must be \(4, n_inputs\) .*got \(2, 4\).*transposed"),
        ({"b_h": np.ones(3)}, r"b_h must be \(4,\) to fit W_hh \(4, 4\), got \(3,\)"),
        ({"b_y": np.ones(2)}, "`b_y` must be"),
        ({"W_hh": np.full((4, 4), np.nan)}, r"`W_hh` must be finite, .*\(16 such entries\)"),
        ({"W_hy": np.full((1, 4), "a")}, "W_hy must hold real numbers, got"),
        ({"W_hy": np.full((1, 4), None)}, "'W_hy' in it cannot be read .*allow_pickle=False"),
    ],
)
def test_files_that_do_not_hold_a_network(own, changes, message):
    with pytest.raises(ValueError, match=f"`weights` .*{message}"):
        portrait.compute(settings(weights=own(**changes)), progress=False)


def test_what_is_saved_is_drawn_the_same_again(own, tmp_path):
    chosen = settings(weights=own())
    assert f'weights = "{chosen.weights}"' in runs.to_toml(chosen)
    data = portrait.compute(chosen, progress=True)["portrait"]
    rnnsim.save(data, tmp_path / "portrait.zarr")
    drawn = []
    for dataset in (data, rnnsim.load(tmp_path / "portrait.zarr")):
        file = io.BytesIO()
        with figures.style():
            figure = portrait.draw({"portrait": dataset})["portrait"]
            figure.savefig(file, format="svg", metadata={"Date": None})
        drawn.append(file.getvalue())
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("name", ["a$^$b", "$\\frac{", "x_{y", "a\nb"])
def test_a_file_of_any_name_is_drawn(name, own, tmp_path):
    path = Path(own()).rename(tmp_path / f"{name}.npz")
    data = portrait.compute(settings(weights=str(path), length=22), progress=False)["portrait"]
    with figures.style():
        page = portrait_plots.page(data)
        page.savefig(io.BytesIO(), format="svg")
    assert page.get_suptitle().startswith(figures.plain(f"{name}.npz, 4 tanh units"))


def test_without_outputs_the_summary_says_what_the_loss_is(own):
    data = portrait.compute(settings(weights=own(W_hy=None, b_y=None)), progress=False)
    *others, last = facts(portrait, data)
    assert last == "It has no outputs, and its loss is a random linear functional of its states."
    full = portrait.compute(settings(weights=own()), progress=False)
    assert len(facts(portrait, full)) == len(others)


@pytest.mark.parametrize(
    ("gain", "words"),
    [(None, "4 tanh units, r"), (1.5, "units, gain 1.5, r"), (1.0, "4 tanh units, r")],
)
def test_a_gain_scales_its_recurrent_weights(gain, words, own):
    data = portrait.compute(settings(weights=own(), gain=gain, length=22), progress=False)
    data = data["portrait"]
    assert words in portrait_page.subject_in_words(data)
    values = np.linalg.svd(own.arrays["W_hh"], compute_uv=False)
    assert_allclose(data.singular_values, (gain or 1.0) * values)
