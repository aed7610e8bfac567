"""Portraits of one's own network: weights from a file, what they read, what is refused."""

import io

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from analysis.frame import figures, runs
from analysis.networks import portrait, portrait_plots
from rnnsim.experiments.portrait import subject_of
from rnnsim.importing.npz import load_network

T, B = 30, 3


def settings(**changes):
    return portrait.Settings(**({"length": T, "batch_size": B, "n_threads": 1} | changes))


def subject(**changes):
    """The network of a file and what it reads; what a draw would need is not looked at."""
    options = {"activation": "tanh", "dtype": "float64"} | changes
    return subject_of("characters", T, batch_size=B, networks=("", 0, 0, 0), **options)


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
    assert portrait_plots.subject_in_words(data) == "mine.npz, 4 tanh units, reading adding"
    assert "entries of this size" in portrait_plots.page(data).get_supxlabel()


def test_own_network_reads_white_noise_where_they_do_not(own):
    chosen = {"weights": own(), "activation": "relu", "dtype": "float32"}
    rnn, sequences, reads = subject(**chosen)
    assert reads == "white noise"
    assert sequences.inputs.shape == (T, B, 2)
    assert sequences.inputs.dtype == rnn.dtype == np.float32
    assert sequences.loss_steps.size == T
    assert rnn.activation == "relu"
    assert_array_equal(rnn.weights.b_h[0], own.arrays["b_h"].astype(np.float32))
    _, again, _ = subject(**chosen)
    assert_array_equal(sequences.targets, again.targets)


def test_biases_may_be_left_out(own):
    rnn = load_network(own(b_h=None, b_y=None, other=np.array("text")))
    assert not rnn.weights.b_h.any()
    assert not rnn.weights.b_y.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"W_hh": None}, r"it lacks W_hh \(it holds W_hy, W_xh, b_h, b_y\); save it with np.savez"),
        ({"W_hh": np.ones((4, 3))}, r"W_hh must be \(n_hidden, n_hidden\) with n_hidden = 4 as in"),
        ({"W_xh": np.ones((2, 4))}, r"n_hidden = 4 as in W_hh, got shape \(2, 4\).*transposed"),
        ({"b_h": np.ones(3)}, r"b_h must be \(n_hidden,\) with n_hidden = 4 as in W_hh, got"),
        ({"b_y": np.ones(2)}, r"b_y must be \(n_outputs,\) with n_outputs = 1 as in W_hy"),
        ({"W_hy": np.ones((1, 1, 4))}, r"W_hy must be \(n_outputs, n_hidden\), got shape .*axis"),
        ({"W_hh": np.full((4, 4), np.nan)}, "W_hh must be finite, got 16 entries"),
        ({"W_hy": np.full((1, 4), "a")}, "W_hy must hold real numbers, got"),
        ({"W_hy": np.full((1, 4), None)}, "is not an .npz file of arrays"),
    ],
)
def test_files_that_do_not_hold_a_network(own, changes, message):
    with pytest.raises(ValueError, match=message):
        portrait.compute(settings(weights=own(**changes)), progress=False)


def test_files_that_are_no_files_of_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"name an \.npz file"):
        load_network(str(tmp_path / "absent.npz"))
    (tmp_path / "text.npz").write_text("text")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04broken")
    np.save(tmp_path / "array.npy", np.ones(3))
    for name in ("text.npz", "broken.npz", "array.npy"):
        with pytest.raises(ValueError, match=r"not an \.npz file of arrays; save it with"):
            load_network(str(tmp_path / name))


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
