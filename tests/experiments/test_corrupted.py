"""Files that are damaged anywhere are refused by name, and nothing in a file is ever executed."""

import json
import os
import pickle
import shutil

import family
import numpy as np
import pytest
import xarray as xr
from builders import case, draws
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rnnsim
from analysis.frame import manifest, runs
from analysis.frame.configuration import check_toml
from rnnsim.importing.read import read_network
from rnnsim.training.checkpoints import read_checkpoint
from rnnsim.training.train import train


def weights(folder):
    rng = np.random.default_rng(0)
    shapes = {"W_xh": (3, 2), "W_hh": (3, 3), "W_hy": (1, 3)}
    np.savez(folder / "mine.npz", **{name: rng.normal(size=s) for name, s in shapes.items()})
    return folder / "mine.npz", lambda path: read_network(path).W_hh.tobytes()


def checkpoint(folder):
    train(case().rnn, draws, n_updates=2, rng=1, checkpoint=folder / "run.npz", n_threads=1)

    def read(path):
        found = read_checkpoint(path)
        return json.dumps(found[:2]), {k: v.tobytes() for k, v in found.arrays.items()}

    return folder / "run.npz", read


def configuration(folder):
    (folder / "mine.toml").write_text(runs.to_toml(family.Settings(text="größte")))
    return folder / "mine.toml", check_toml


def of_run(name):
    def make(folder):
        done = folder / "run"
        if not done.exists():
            runs.run(family.ANALYSIS, family.Settings(), output=done, source=None, progress=False)

        def read(path):
            found = runs._load(family.ANALYSIS, done)
            return found.number, found.configuration, [d.to_dict() for d in found.datasets.values()]

        return done / name, read

    return make


def of_dataset(name):
    def make(folder):
        data = xr.Dataset({"x": ("k", [0.0, 1.5], {"units": "m"})}, {"k": ["a", "b"]}, {"v": [1]})
        path = rnnsim.save(data, folder / "mine.zarr")
        return path / name, lambda _: rnnsim.load(path).to_dict()

    return make


FILES = {
    "weights": weights,
    "checkpoint": checkpoint,
    "configuration": configuration,
    "manifest": of_run("manifest.json"),
    "data of a run": of_run("data/first.zarr/first/c/0"),
    "dataset": of_dataset("zarr.json"),
    "variable": of_dataset("x/zarr.json"),
    "label": of_dataset("k/zarr.json"),
    "values": of_dataset("x/c/0"),
    "labels": of_dataset("k/c/0"),
}

# What a damage does to bytes, of which `at` is a place: flips bits, cuts, repeats, puts in.
DAMAGES = {
    "flip": lambda data, at, what: data[:at] + bytes([data[at] ^ (what[0] or 1)]) + data[at + 1 :],
    "cut": lambda data, at, what: data[:at],
    "drop": lambda data, at, what: data[:at] + data[at + 1 + len(what) :],
    "repeat": lambda data, at, what: data[:at] + data[at : at + 40] + data[at:],
    "put": lambda data, at, what: data[:at] + what + data[at:],
    "write": lambda data, at, what: data[:at] + what + data[at + len(what) :],
    "replace": lambda data, at, what: what,
}
damages = st.tuples(
    st.sampled_from(sorted(DAMAGES)), st.floats(0, 1, exclude_max=True), st.binary(min_size=1)
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Each file as it was written, beside how it is read; made once."""
    return {name: make(tmp_path_factory.mktemp("f")) for name, make in FILES.items()}


@pytest.mark.parametrize("name", FILES)
@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=damages)
def test_a_damaged_file_is_refused_by_name_or_read_as_it_was(name, damage, made):
    path, read = made[name]
    content, expected = path.read_bytes(), repr(read(path))
    kind, place, what = damage
    try:
        path.write_bytes(DAMAGES[kind](content, int(place * len(content)), what))
        refusal, found = None, None
        try:
            found = read(path)
        except (ValueError, OSError) as error:
            refusal = str(error)
        # of a folder, what is named is the folder
        named = [path, *(p for p in path.parents if p.suffix == ".zarr" or p.name == "run")]
        assert refusal is None or any(str(each) in refusal for each in named)
        assert refusal is not None or repr(found) == expected
    finally:
        path.write_bytes(content)


class Trap:
    """What makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_nothing_is_unpickled(tmp_path):
    trap, sprung = np.array([[Trap(tmp_path / "sprung")]], object), tmp_path / "sprung"
    arrays = {"W_xh": trap, "W_hh": trap, "W_hy": trap, "__header__": trap}
    np.savez(tmp_path / "trap.npz", **arrays)
    for path in (tmp_path / "trap.npz", tmp_path / "plain.npz"):
        if path.name == "plain.npz":
            path.write_bytes(pickle.dumps(Trap(sprung)))
        with pytest.raises(ValueError, match=rf"{path.name}': .*(is a pickle|cannot be read)"):
            read_network(path)
        with pytest.raises(ValueError, match=rf"{path.name}' is not a readable checkpoint"):
            read_checkpoint(path)
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))  # it would have been
    assert sprung.exists()


def test_no_codec_of_an_older_format_is_obeyed(tmp_path):
    """Stores of zarr 2 may name pickle as the codec of an array."""
    store, sprung = tmp_path / "old.zarr", tmp_path / "sprung"
    (store / "x").mkdir(parents=True)
    about = {"kind": "sweep", "content_sha256": ""}
    (store / ".zgroup").write_text('{"zarr_format": 2}')
    (store / ".zattrs").write_text(json.dumps(about))
    array = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": None}
    array |= {"order": "C", "compressor": None, "filters": [{"id": "pickle", "protocol": 5}]}
    (store / "x" / ".zarray").write_text(json.dumps(array))
    (store / "x" / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["k"]}')
    trap = np.array([Trap(sprung)], object)
    (store / "x" / "0").write_bytes(pickle.dumps(trap, protocol=5))
    with pytest.raises(ValueError, match=r"old\.zarr' is not a readable dataset"):
        rnnsim.load(store)
    assert not sprung.exists()
    with pytest.raises(ValueError, match="is not a saved dataset"):
        rnnsim.save(xr.Dataset({"x": 1.0}), store)
    shutil.rmtree(store)


def test_a_manifest_names_no_file_outside(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "secret").write_text("keep")
    (tmp_path / "run" / "data").mkdir()
    (tmp_path / "run" / "data" / "x").write_text("x")
    manifest.write(tmp_path / "run", "family", "1")
    content = json.loads((tmp_path / "run" / "manifest.json").read_text())
    content["files"]["../secret"] = "0"
    del content["sha256"]
    content["sha256"] = manifest._checksum(content)
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(content))
    assert manifest.check(tmp_path / "run", "family").files.keys() == {"data/x", "../secret"}
    assert (tmp_path / "secret").read_text() == "keep"
