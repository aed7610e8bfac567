"""The store: what comes back is what went in, or a clear refusal."""

import json
import threading

import numpy as np
import pytest
import xarray as xr

import rnnsim
from rnnsim.experiments.sweeps.gradients import sweep

pytestmark = pytest.mark.lane


@pytest.fixture(scope="module")
def dataset():
    return sweep(
        "adding",
        gain=[0.5, 1.0],
        length=6,
        n_hidden=3,
        network_seeds=1,
        batch_size=2,
        measures=("gradients", "spectrum"),
    )


def test_a_saved_dataset_comes_back_identical(dataset, tmp_path):
    path = rnnsim.save(dataset, tmp_path / "deep" / "data.zarr")
    assert rnnsim.load(path).identical(dataset)
    assert path.parent.joinpath("data.zarr") == path
    assert [p.name for p in path.parent.iterdir()] == ["data.zarr"]  # nothing partial left


def test_saving_again_replaces_the_older_one(dataset, tmp_path):
    path = tmp_path / "data.zarr"
    rnnsim.save(dataset, path)
    rnnsim.save(dataset.isel(gain=[0]), path)
    assert rnnsim.load(path).gain.size == 1


def test_a_failed_save_leaves_the_older_one(dataset, tmp_path, monkeypatch):
    path = rnnsim.save(dataset, tmp_path / "data.zarr")

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(xr.Dataset, "to_zarr", fail)
    with pytest.raises(OSError, match="disk full"):
        rnnsim.save(dataset.isel(gain=[0]), path)
    assert rnnsim.load(path).gain.size == 2


def test_something_else_at_the_path_is_left_alone(dataset, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    with pytest.raises(ValueError, match="exists and is not a saved dataset"):
        rnnsim.save(dataset, tmp_path / "notes")
    assert (tmp_path / "notes" / "mine.txt").read_text() == "keep"


def test_what_is_not_a_dataset_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"`dataset` must be an xarray.Dataset, got dict"):
        rnnsim.save({}, tmp_path / "x.zarr")


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        rnnsim.load(tmp_path / "x.zarr")


def test_another_kind_is_refused(dataset, tmp_path):
    path = rnnsim.save(dataset, tmp_path / "data.zarr", kind="spectra/schemes")
    with pytest.raises(ValueError, match=r"kind 'spectra/schemes', expected 'truncation/windows'"):
        rnnsim.load(path, kind="truncation/windows")


def chunks(path):
    return [p for p in sorted(path.rglob("*")) if p.is_file() and p.name != "zarr.json"]


def test_every_lost_chunk_is_noticed(dataset, tmp_path):
    for i in range(len(chunks(rnnsim.save(dataset, tmp_path / "data.zarr")))):
        path = rnnsim.save(dataset, tmp_path / "data.zarr")
        chunk = chunks(path)[i]
        chunk.unlink()  # zarr would read it as NaN
        with pytest.raises(ValueError, match="damaged"):
            rnnsim.load(path)


def test_changed_values_and_broken_metadata_are_noticed(dataset, tmp_path):
    path = rnnsim.save(dataset, tmp_path / "data.zarr")
    forged = xr.open_zarr(path, consolidated=False).load()
    forged["loss"] = forged.loss + 1e-9
    forged.to_zarr(path, mode="w", consolidated=False)
    with pytest.raises(ValueError, match="checksum differs"):
        rnnsim.load(path)
    (path / "zarr.json").write_text("{")
    with pytest.raises(ValueError, match="not a readable dataset"):
        rnnsim.load(path)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_nan_of_any_bits_and_zeros_of_either_sign_survive(dtype, shape, tmp_path):
    made = xr.Dataset()
    for name, value in {"nan": -np.nan, "zero": -0.0}.items():
        values = np.zeros(shape, dtype)
        parts = (values.real, values.imag) if np.iscomplexobj(values) else (values,)
        for part in parts:
            part[...] = value
        made[name] = (("x",)[: len(shape)], values)
    assert np.signbit(made["nan"].values.real).all()  # not the bits of np.nan
    found = rnnsim.load(rnnsim.save(made, tmp_path / "data.zarr"))
    assert found.identical(made)
    assert np.signbit(found["zero"].values.real).all()


def test_nan_and_infinity_survive(dataset, tmp_path):
    odd = dataset.copy(deep=True)
    odd["loss"].values[..., 0] = np.nan
    odd["cancellation"].values[..., 0] = -np.inf
    assert rnnsim.load(rnnsim.save(odd, tmp_path / "x.zarr")).identical(odd)


ATTRIBUTES = {
    "tuple": (1, 2.5, "a"),
    "nested": [1, (2, [3])],
    "array": np.arange(3.0),
    "matrix": np.eye(2, dtype=np.float32),
    "words": np.array(["a", "größte"]),
    "odd": np.array([np.nan, np.inf]),
    "nothing": np.zeros(0),
    "number": np.int64(3),
    "small": np.float32(0.1),
    "flag": np.True_,
    "none": None,
    "dict": {"a": 1},
    "emoji": "\U0001f600",
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_come_back_as_values(name, tmp_path):
    given = xr.Dataset(
        {"x": (("k",), np.ones(2), {name: ATTRIBUTES[name]})},
        coords={"k": ("k", [1, 2], {name: ATTRIBUTES[name]})},
        attrs={name: ATTRIBUTES[name]},
    )
    back = rnnsim.load(rnnsim.save(given, tmp_path / "x.zarr"))
    assert back.identical(given)
    assert rnnsim.load(rnnsim.save(back, tmp_path / "again.zarr")).identical(back)


VALUES = {
    "big-endian": np.array([1.5, -2.0], ">f8"),
    "big-endian integers": np.array([1, 2], ">i2"),
    "big-endian complex": np.array([1j, 2], ">c16"),
    "half": np.array([1.5, 2], "f2"),
    "truth": np.array([True, False]),
    "text": np.array(["a", "größte"]),
    "objects that are text": np.array(["a", "größte"], object),
    "bytes": np.array([b"a", b"bc"]),
    "times": np.array(["2000-01-01", "NaT"], "M8[ns]"),
    "durations": np.array([1, 2], "m8[ns]"),
    "turned": np.arange(6.0).reshape(2, 3).T[1],
}


@pytest.mark.filterwarnings("ignore:The data type")  # of zarr, about bytes
@pytest.mark.parametrize("name", VALUES)
def test_values_of_any_kind_come_back(name, tmp_path):
    given = xr.Dataset({"x": (("k",), VALUES[name])}, {"label": (("k",), VALUES[name])})
    if name != "half":  # which pandas has no index of
        given = given.assign_coords(k=VALUES[name])
    back = rnnsim.load(rnnsim.save(given, tmp_path / "x.zarr"))
    assert back.identical(given)
    if VALUES[name].dtype.kind in "bfic":
        assert back.x.dtype == VALUES[name].dtype.newbyteorder("=")


@pytest.mark.parametrize("name", ["a/b", "a\\b", "50 %", "a%2Fb", ".", "..", "zarr.json", "c", "ö"])
def test_names_that_folders_cannot_have_come_back(name, tmp_path):
    given = xr.Dataset(
        {name: (("k", f"{name} axis"), np.ones((2, 3)))},
        {f"{name} axis": [1, 2, 3], f"{name} label": ("k", ["a", "b"]), "one": 1.0, "word": "w"},
    )
    path = rnnsim.save(given, tmp_path / "x.zarr")
    assert rnnsim.load(path).identical(given)
    assert rnnsim.load(rnnsim.save(given, path)).identical(given)  # and is known as our own


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": (("k",), np.array(["a", 1], object))}, r"`dataset` cannot be saved: .*mixed"),
        ({"x": (("k",), np.array(["a\0", "b"], object))}, "saved: variable 'x' would come back"),
        ({"x": (("k",), [1, 2], {"units": "days since 2000-01-01"})}, "variable 'x' would come"),
        ({"x": (("k",), [1.0, 2.0], {"scale_factor": 2.0})}, "variable 'x' would come back change"),
    ],
)
def test_what_would_not_come_back_is_refused_before_anything_is_replaced(
    changes, message, dataset, tmp_path
):
    path = rnnsim.save(dataset, tmp_path / "x.zarr")
    with pytest.raises(ValueError, match=message):
        rnnsim.save(xr.Dataset(changes), path)
    assert rnnsim.load(path).identical(dataset)
    assert [each.name for each in tmp_path.iterdir()] == ["x.zarr"]


@pytest.mark.parametrize("name", ["kind", "content_sha256", "coordinates"])
def test_attributes_with_a_meaning_in_files_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match=f"saved: attribute '{name}' would come back changed"):
        rnnsim.save(xr.Dataset({"x": 1.0}, attrs={name: "mine"}), tmp_path / "x.zarr")


@pytest.mark.parametrize("value", [1j, b"x", {1: 2}, {"a": object}, [{1}], np.array(1j)])
def test_attributes_that_json_does_not_hold_are_refused(value, tmp_path):
    for where in ({}, {"x": ((), 1.0, {"mine": value})}):
        with pytest.raises(TypeError, match="must have attributes of numbers, text, and lists"):
            rnnsim.save(xr.Dataset(where, attrs={"mine": value}), tmp_path / "x.zarr")
    with pytest.raises(TypeError, match="`dataset` must have names that are text, got 1"):
        rnnsim.save(xr.Dataset({1: 2.0}), tmp_path / "x.zarr")


def test_attributes_dtypes_and_the_kind_are_under_the_checksum(dataset, tmp_path):
    path = rnnsim.save(dataset, tmp_path / "x.zarr")
    for name, old, new in [
        ("loss/zarr.json", '"units": "', '"units": "k'),
        ("loss/zarr.json", '"float64"', '"int64"'),
        ("zarr.json", '"kind": "sweep"', '"kind": "sweet"'),
    ]:
        text = (path / name).read_text()
        assert text.count(old) == 1
        (path / name).write_text(text.replace(old, new))
        with pytest.raises(ValueError, match="damaged"):
            rnnsim.load(path)
        (path / name).write_text(text)
    assert rnnsim.load(path).identical(dataset)


def test_a_dataset_of_an_earlier_version_is_loaded(dataset, tmp_path):
    path = rnnsim.save(dataset, tmp_path / "x.zarr")
    about = json.loads((path / "zarr.json").read_text())
    del about["attributes"]["labels_sha256"]  # it kept none
    (path / "zarr.json").write_text(json.dumps(about))
    assert rnnsim.load(path).identical(dataset)


def test_foreign_stores_and_what_stands_in_a_dataset_are_left_alone(dataset, tmp_path):
    foreign = tmp_path / "foreign.zarr"
    xr.Dataset({"x": 1.0}).to_zarr(foreign, consolidated=False)
    mine = rnnsim.save(dataset, tmp_path / "mine.zarr")
    (mine / "loss" / "notes.txt").write_text("keep")
    for path in (foreign, mine):
        before = {each: each.read_bytes() for each in path.rglob("*") if each.is_file()}
        with pytest.raises(ValueError, match="is not a saved dataset, or holds files beside it"):
            rnnsim.save(dataset, path)
        assert before == {each: each.read_bytes() for each in path.rglob("*") if each.is_file()}


def test_kind_is_a_check_only_where_it_is_asked_for(dataset, tmp_path):
    path = rnnsim.save(dataset, tmp_path / "x.zarr", kind="truncation/windows")
    assert rnnsim.load(path).identical(dataset)
    assert rnnsim.load(path, kind="truncation/windows").identical(dataset)
    with pytest.raises(ValueError, match="of kind 'truncation/windows', expected 'sweep'"):
        rnnsim.load(path, kind="sweep")
    with pytest.raises(TypeError, match="`kind` must be a text"):
        rnnsim.save(dataset, path, kind=None)


def test_a_folder_gives_all_its_datasets(dataset, tmp_path):
    for name in ("last", "all"):
        rnnsim.save(dataset.assign_attrs(name=name), tmp_path / "data" / f"{name}.zarr", kind=name)
    (tmp_path / "data" / ".half.zarr").mkdir()
    for folder in (tmp_path, tmp_path / "data"):
        found = rnnsim.load(folder)
        assert {name: each.attrs["name"] for name, each in found.items()} == {
            "all": "all",
            "last": "last",
        }
        with pytest.raises(ValueError, match=r"last.zarr' holds .* kind 'last', expected 'all'"):
            rnnsim.load(folder, kind="all")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty' is not a readable dataset"):
        rnnsim.load(tmp_path / "empty")


def test_who_reads_while_others_write_gets_one_of_them_whole(dataset, tmp_path):
    path = rnnsim.save(dataset.assign_attrs(turn=-1), tmp_path / "x.zarr")
    failures, turns = [], set()

    def write(writer):
        try:
            for turn in range(10):
                rnnsim.save(dataset.assign_attrs(turn=10 * writer + turn), path)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        found = rnnsim.load(path)
        turns.add(found.attrs["turn"])
        assert found.drop_attrs().identical(dataset.drop_attrs())
    assert not failures
    assert len(turns) > 1
    assert [each.name for each in tmp_path.iterdir()] == ["x.zarr"]


def test_a_dataset_killed_between_two_moves_is_found(dataset, tmp_path):
    path = rnnsim.save(dataset, tmp_path / "x.zarr")
    stage = tmp_path / ".x.zarr.0a1b2c3d.partial"
    stage.mkdir()
    (stage / "rnnsim.lock").touch()
    path.rename(stage / "x.zarr")
    (stage / "rnnsim.aside0").mkdir()
    assert rnnsim.load(path).identical(dataset)
