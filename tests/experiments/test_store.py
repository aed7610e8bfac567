"""The store: what comes back is what went in, or a clear refusal."""

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


def test_nan_and_infinity_survive(dataset, tmp_path):
    odd = dataset.copy(deep=True)
    odd["loss"].values[..., 0] = np.nan
    odd["cancellation"].values[..., 0] = -np.inf
    assert rnnsim.load(rnnsim.save(odd, tmp_path / "x.zarr")).identical(odd)
