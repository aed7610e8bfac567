"""Interrupt and resume: bit for bit, whatever is carried; damaged and foreign checkpoints."""

import numpy as np
import pytest
from builders import NOJIT, case, draws, gated
from numpy.testing import assert_allclose, assert_array_equal
from pair_builders import pair_case

import rnnsim
from rnnsim.training import checkpoints
from rnnsim.training.train import train

pytestmark = pytest.mark.nojit


def assert_same_training(a, b):
    if isinstance(a.model, rnnsim.RNN):
        arrays = [*zip(a.model.weights, b.model.weights, strict=True)]
    else:
        arrays = [*zip(a.model.encoder.weights, b.model.encoder.weights, strict=True)]
        arrays += [*zip(a.model.decoder.weights, b.model.decoder.weights, strict=True)]
    arrays += [(a.final_h, b.final_h), (a.final_c, b.final_c)]
    for first, second in arrays:
        assert_array_equal(first, second)
    assert a.record.identical(b.record)


TEST = draws(np.random.default_rng(0))
SETTINGS = {
    "adam": {"optimizer": "adam"},
    "momentum": {"optimizer": "momentum", "window": 3, "carry": "stream"},
    "rmsprop": {"optimizer": "rmsprop", "window": 4, "stride": 2, "carry": "sequence"},
    "penalty": {"penalty": [0.1, 0.2], "clip_norm": 1.0, "window": 3, "stride": 1},
    "none": {"window": 3, "carry": "none", "own_data": True},
    "adagrad": {"optimizer": "adagrad", "window": [3, 4], "stride": 2},
    "accumulate": {"optimizer": "adam", "window": 3, "carry": "stream", "accumulate": 4},
    "starts": {
        "optimizer": "momentum", "window": 3, "stride": 2, "carry": "stream", "test": TEST,
        "starts": lambda batch: batch.inputs[..., 0] > 0.4, "h0": np.ones((2, 4)),
    },
}  # fmt: skip


@pytest.mark.parametrize("cell", ["tanh", "lstm", "gru"])
@pytest.mark.parametrize("name", SETTINGS)
def test_resumed_equals_uninterrupted_bit_for_bit(name, cell, tmp_path):
    rnn, path = gated(cell, N=2, H=4, V=3).rnn, tmp_path / "run.npz"
    options = SETTINGS[name] | {"rng": 1, "record_every": 4, "learning_rate": 0.005}
    options |= {"penalty": 0.0} if cell != "tanh" else {}
    whole = train(rnn, draws, n_updates=17, **options)
    for stop in (5, 8, 17):  # within a batch, on a record, at the end
        resumed = train(rnn, draws, n_updates=stop, checkpoint=path, **options)
    assert_same_training(resumed, whole)


def test_records_may_be_coarser_after_a_checkpoint(tmp_path):
    rnn, path = case(N=2).rnn, tmp_path / "run.npz"
    options = {"rng": 1, "clip_norm": 4.5}
    whole = train(rnn, draws, n_updates=8, record_every=4, **options)
    train(rnn, draws, n_updates=6, record_every=1, checkpoint=path, **options)
    resumed = train(rnn, draws, n_updates=8, record_every=4, checkpoint=path, **options)
    for name in ("training_loss", "log_gradient_norm", "largest_log_gradient_norm", "clipped"):
        assert_allclose(resumed.record[name], whole.record[name], rtol=1e-12, err_msg=name)
    assert_array_equal(resumed.record["loss"], whole.record["loss"])


@pytest.mark.skipif(NOJIT, reason="snapshots take seconds uncompiled")
def test_a_fixed_batch_and_snapshots(tmp_path):
    made, path = case(N=2), tmp_path / "run.npz"
    options = {"window": 2, "record_every": 5, "snapshot_every": 5, "max_lag": 3}
    whole = train(made.rnn, made.sequences, n_updates=10, **options)
    train(made.rnn, made.sequences, n_updates=5, checkpoint=path, **options)
    resumed = train(made.rnn, made.sequences, n_updates=10, checkpoint=path, **options)
    assert_same_training(resumed, whole)


@pytest.mark.parametrize("cells", [("tanh", "tanh"), ("lstm", "lstm")])
def test_encoder_decoder_networks_resume_as_well(cells, tmp_path):
    made, path = pair_case(N=2, H_e=4, activations=cells), tmp_path / "run.npz"
    options = {"optimizer": "adam", "accumulate": 2}
    whole = train(made.model, made.pairs, n_updates=6, **options)
    train(made.model, made.pairs, n_updates=3, checkpoint=path, **options)
    resumed = train(made.model, made.pairs, n_updates=6, checkpoint=path, **options)
    assert_same_training(resumed, whole)


class InterruptedTaskError(Exception):
    """What stops a run in the tests."""


def interrupted_after(n_draws):
    """A task that fails at some draw, as a run that is killed there."""
    left = [n_draws]

    def draw(rng):
        left[0] -= 1
        if left[0] < 0:
            raise InterruptedTaskError
        return draws(rng)

    return draw


@pytest.mark.parametrize("cell", ["tanh", "lstm", "gru"])
def test_a_killed_run_loses_at_most_the_updates_since_the_last_save(cell, tmp_path, monkeypatch):
    monkeypatch.setattr("rnnsim.training.runs.FLOPS_PER_CALL", 1.0)  # one update a call
    rnn, path = gated(cell, N=2, V=3).rnn, tmp_path / "run.npz"
    options = {"n_updates": 20, "optimizer": "adam", "rng": 1, "learning_rate": 0.005}
    options |= {"carry": "stream"}
    whole = train(rnn, draws, **options)
    with pytest.raises(InterruptedTaskError):
        train(rnn, interrupted_after(13), checkpoint=path, checkpoint_every=5, **options)
    with pytest.raises(
        InterruptedTaskError
    ):  # one draw for where it stands, and 9 more for updates 11..
        train(rnn, interrupted_after(9), checkpoint=path, checkpoint_every=5, **options)
    resumed = train(rnn, draws, checkpoint=path, checkpoint_every=5, **options)
    assert_same_training(resumed, whole)
    assert not list(tmp_path.glob("*.partial*"))


def test_a_run_that_fails_while_saving_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    rnn, path = case(N=1).rnn, tmp_path / "run.npz"
    options = {"rng": 1, "checkpoint": path, "checkpoint_every": 2}
    train(rnn, draws, n_updates=2, **options)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("rnnsim.training.checkpoints.np.savez", full)
    with pytest.raises(OSError, match="no space left"):
        train(rnn, draws, n_updates=4, **options)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


DIFFERENT = {
    "learning_rate": {"learning_rate": 0.02},
    "window": {"window": 3},
    "carry": {"carry": "none"},
    "optimizer": {"optimizer": "adam"},
    "clip_norm": {"clip_norm": 2.0},
    "penalty": {"penalty": 0.5},
    "penalty_variant": {"penalty_variant": "code"},
    "rng": {"rng": 2},
    "mask and tie": {"mask": {"b_h": 0}},
    "own_data": {"own_data": True},
    "accumulate": {"accumulate": 2},
    "starts": {"starts": np.zeros((7, 2), bool), "test": TEST},
    "h0 and c0": {"h0": np.ones((2, 4))},
}


@pytest.fixture
def saved(tmp_path):
    rnn, path = case(N=2).rnn, tmp_path / "run.npz"
    train(rnn, draws, n_updates=2, rng=1, checkpoint=path)
    return rnn, path


@pytest.mark.parametrize("field", DIFFERENT)
def test_another_configuration_is_refused_by_name(field, saved):
    rnn, path = saved
    options = {"rng": 1} | DIFFERENT[field]
    with pytest.raises(ValueError, match=f"saved with another `{field}`"):
        train(rnn, draws, n_updates=4, checkpoint=path, **options)


def test_another_cell_is_refused_by_name(tmp_path):
    """Weights of one shape, and as many of them: a GRU's gates in the place of an LSTM's."""
    lstm, path = gated("lstm", N=2).rnn, tmp_path / "run.npz"
    train(lstm, lambda rng: draws(rng, V=2), n_updates=1, rng=1, checkpoint=path)
    found = checkpoints.read_checkpoint(path)
    assert found.configuration["cell"] == ["lstm"]
    found.configuration["cell"] = ["gru"]
    checkpoints.write_checkpoint(path, found)
    with pytest.raises(ValueError, match=r"saved with another `cell`: \['gru'\], now \['lstm'\]"):
        train(lstm, lambda rng: draws(rng, V=2), n_updates=2, rng=1, checkpoint=path)


def test_other_networks_and_tasks_are_refused(saved):
    rnn, path = saved
    other = case(N=2, seed=5).rnn
    with pytest.raises(ValueError, match="another `model`"):
        train(other, draws, n_updates=4, rng=1, checkpoint=path)
    with pytest.raises(ValueError, match="another `model`"):
        train(case(N=2, H=5).rnn, draws, n_updates=4, rng=1, checkpoint=path)
    with pytest.raises(ValueError, match="another `task`"):
        train(rnn, draws(np.random.default_rng(0)), n_updates=4, checkpoint=path, rng=1)
    with pytest.raises(ValueError, match="does not draw the batch"):
        train(rnn, lambda rng: draws(rng, silent=0.5), n_updates=4, rng=1, checkpoint=path)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_damaged_checkpoint_is_refused(place, saved):
    rnn, path = saved
    content = bytearray(path.read_bytes())
    at = int(place * len(content))
    content[at : at + 64] = bytes(byte ^ 0xFF for byte in content[at : at + 64])
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="damaged"):
        train(rnn, draws, n_updates=4, rng=1, checkpoint=path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_what_is_no_checkpoint_is_refused(content, saved):
    rnn, path = saved
    path.write_bytes(path.read_bytes()[:100] if content is None else content)
    with pytest.raises(ValueError, match=r"not a readable checkpoint|damaged"):
        train(rnn, draws, n_updates=4, rng=1, checkpoint=path)


def test_fewer_updates_than_were_made_are_refused(saved):
    rnn, path = saved
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"`n_updates` must be at least 2, .* made, got 1"):
        train(rnn, draws, n_updates=1, rng=1, checkpoint=path)
    assert path.read_bytes() == before
    again = train(rnn, draws, n_updates=2, rng=1, checkpoint=path)
    assert_array_equal(again.record.updates, [0, 2])


@pytest.mark.skipif(NOJIT, reason="snapshots take seconds uncompiled")
@pytest.mark.parametrize(("before", "now"), [(3, 1), (1, 3), (None, 2), (2, None)])
def test_snapshots_of_other_lags_are_refused(before, now, tmp_path):
    made, path = case(N=2), tmp_path / "run.npz"
    options = {"snapshot_every": 2, "checkpoint": path}
    train(made.rnn, made.sequences, n_updates=2, max_lag=before, **options)
    with pytest.raises(ValueError, match=f"saved with another `max_lag`: {before}, now {now}; use"):
        train(made.rnn, made.sequences, n_updates=4, max_lag=now, **options)
    rest = {"n_updates": 4, "max_lag": now, "checkpoint": path}
    assert "log_norms" not in train(made.rnn, made.sequences, **rest).record  # no snapshots


def of_lengths(*lengths):
    """A task whose batches change their length, one after the other."""

    def draw(rng):
        return draws(rng, T=lengths[rng.integers(len(lengths))])

    return draw


@pytest.mark.skipif(NOJIT, reason="snapshots take seconds uncompiled")
@pytest.mark.parametrize("seed", range(3))
def test_snapshots_of_batches_of_other_lengths_end_in_nan(seed, tmp_path):
    rnn, path, task = case(N=2).rnn, tmp_path / "run.npz", of_lengths(1, 4, 6)
    options = {"rng": seed, "snapshot_every": 1}
    whole = train(rnn, task, n_updates=6, **options)
    generator, lengths = np.random.default_rng(seed), []
    for _ in range(7):
        lengths.append(task(generator).n_steps)
    assert len(set(lengths)) > 1
    norms = whole.record.log_norms.values
    assert norms.shape[2] == max(lengths)
    for index, length in enumerate(lengths):
        assert not np.isfinite(norms[:, index, length:]).any()
        assert np.isfinite(norms[:, index, :length]).all()
        assert np.isnan(whole.record.window_cosine.values[:, index, length:]).all()
    for stop in (2, 6):
        resumed = train(rnn, task, n_updates=stop, checkpoint=path, **options)
    assert_same_training(resumed, whole)


@pytest.mark.parametrize("below", ["file/run.npz", "run.npz"])
def test_a_checkpoint_that_cannot_be_written_is_refused_before_a_batch_is_drawn(below, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "run.npz").mkdir()
    drawn = []

    def task(rng):
        drawn.append(True)
        return draws(rng)

    with pytest.raises((OSError, ValueError), match=rf"`checkpoint` '.*{below}'"):
        train(case(N=1).rnn, task, n_updates=3, rng=1, checkpoint=tmp_path / below)
    assert not drawn or below == "run.npz"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "run.npz"]
    folder = tmp_path / "new" / "folder"
    with pytest.raises(ValueError, match="momentum"):
        train(case(N=1).rnn, task, n_updates=3, rng=1, checkpoint=folder / "x", momentum=2)
    assert not folder.parent.exists()


@pytest.mark.parametrize("header", ["null", "[]", "{}", '{"kind": 1}', "1", '"', "[" * 100_000])
def test_headers_that_say_nothing_are_refused(header, saved):
    rnn, path = saved
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    text = header.replace('"kind": 1', '"kind": "rnnsim training checkpoint 1"')
    arrays["__header__"] = np.array([text, checkpoints._checksum(text, {})])
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"run.npz' is not a readable checkpoint"):
        train(rnn, draws, n_updates=4, rng=1, checkpoint=path)


@pytest.mark.parametrize("name", ["values", "state", "updates_recorded", "record.loss", "tallies"])
def test_a_checkpoint_without_what_a_run_needs_is_refused(name, saved):
    rnn, path = saved
    found = checkpoints.read_checkpoint(path)
    del found.arrays[name]
    checkpoints.write_checkpoint(path, found)
    if name == "record.loss":  # not measured, then
        record = train(rnn, draws, n_updates=4, rng=1, checkpoint=path, record_every=1).record
        assert np.isnan(record.loss.sel(updates=0)).all()
        return
    with pytest.raises(ValueError, match=r"`checkpoint` '.*run.npz' (must hold|is not of this)"):
        train(rnn, draws, n_updates=4, rng=1, checkpoint=path)
