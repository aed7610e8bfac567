"""Sweeps put together: values at their labels, and the settings of every part."""

import json

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal

import rnnsim

SIZES = {"length": 5, "n_hidden": 3, "network_seeds": 2, "batch_size": 2}


def sweep(gain, **changes):
    return rnnsim.sweep("adding", gain=gain, **SIZES | changes)


def said(dataset, name):
    return json.loads(dataset.attrs[name])


def test_values_of_every_part_stand_at_their_labels_in_ascending_order():
    parts = [sweep([2.0, 0.5]), sweep(1.0)]
    together = rnnsim.merge(parts)
    assert together.gain.values.tolist() == [0.5, 1.0, 2.0]
    whole = sweep([0.5, 1.0, 2.0])
    assert set(together.variables) == set(whole.variables)
    for name, variable in whole.variables.items():
        assert_array_equal(together[name].transpose(*variable.dims).values, variable.values)
        assert together[name].dtype == variable.dtype
        assert together[name].attrs == variable.attrs, name


def test_settings_of_all_parts_are_kept():
    parts = [sweep([2.0, 0.5]), sweep(1.0, tolerance=0.2, dtype="float32")]
    together = rnnsim.merge(parts)
    assert said(together, "configurations") == [said(part, "configuration") for part in parts]
    shared = said(together, "configuration")
    assert shared["gain"] == [2.0, 0.5, 1.0]
    assert shared["batch_size"] == 2
    assert not {"tolerance", "dtype"} & set(shared), "settings that differ are of no one part"
    assert said(together, "versions") == said(parts[0], "versions")
    assert said(together, "provenance") == said(parts[0], "provenance")


def test_what_differs_of_origin_and_versions_is_listed():
    one, other = sweep(0.5), sweep(1.0)
    other.attrs["versions"] = json.dumps(said(one, "versions") | {"numpy": "1.0"})
    other.attrs["provenance"] = json.dumps({"mine.task": "mine"})
    together = rnnsim.merge([one, other])
    assert said(together, "versions")["numpy"] == [np.__version__, "1.0"]
    assert said(together, "versions")["numba"] == said(one, "versions")["numba"]
    assert said(together, "provenance") == said(one, "provenance") | {"mine.task": "mine"}


def test_other_measures_and_lengths_are_put_together_and_merged_again():
    parts = [sweep(0.5, length=4), sweep(0.5), sweep(1.5)]
    lengths = rnnsim.merge(parts[:2])
    assert lengths.length.values.tolist() == [4, 5]
    assert_array_equal(
        lengths.log_gradient_norm.sel(length=5), parts[1].log_gradient_norm.sel(length=5)
    )
    few = [sweep(0.5, measures="gradients"), sweep(0.5, measures="lags")]
    together = rnnsim.merge(few)
    assert set(together.data_vars) == set(few[0].data_vars) | set(few[1].data_vars)
    again = rnnsim.merge([rnnsim.merge(parts[1:]), sweep(2.5)])
    assert [each["gain"] for each in said(again, "configurations")] == [[0.5], [1.5], [2.5]]
    assert said(again, "configuration")["gain"] == [0.5, 1.5, 2.5]


def test_other_studies_are_put_together_too(tmp_path):
    options = {"n_hidden": 3, "network_seeds": 1, "n_steps": 25, "burn_in": 1, "block_steps": 1}
    parts = [rnnsim.lyapunov_sweep(gain=gain, **options) for gain in (0.5, 1.5)]
    together = rnnsim.merge(parts)
    path = rnnsim.save(together, tmp_path / "both", kind="lyapunov")
    assert rnnsim.load(path, kind="lyapunov").identical(together)
    assert said(together, "configurations")[1]["gain"] == [1.5]


def test_what_was_measured_in_one_part_only_is_missing_elsewhere_and_dtypes_stay():
    parts = [sweep(0.5, scheme="gaussian"), sweep(1.0, scheme="identity")]
    together = rnnsim.merge(parts)
    for gain, scheme in ((0.5, "identity"), (1.0, "gaussian")):
        nowhere = together.sel(gain=gain, scheme=scheme)
        assert nowhere.log_gradient_norm.isnull().all()
        assert nowhere.first_nonfinite.isnull().all()
    for name, array in parts[0].data_vars.items():
        assert together[name].dtype == array.dtype, name
        there = together[name].sel(gain=0.5, scheme="gaussian") if "gain" in array.dims else None
        if there is not None:
            assert_array_equal(there, array.isel(gain=0, scheme=0).transpose(*there.dims))


def test_integers_stay_integers():
    about = {name: "{}" for name in ("configuration", "provenance", "versions")}
    parts = [
        xr.Dataset({"at": (("a", "b"), [[n]])}, {"a": [n], "b": [n]}, about) for n in (3, 2**40)
    ]
    together = rnnsim.merge(parts)
    assert together["at"].dtype == np.int64
    assert together["at"].values.tolist() == [[3, -1], [-1, 2**40]]


def test_one_dataset_is_itself():
    part = sweep([0.5, 1.0])
    assert rnnsim.merge([part]).drop_attrs().identical(part.drop_attrs())


def test_what_cannot_be_put_together_is_refused():
    part = sweep([0.5, 1.0])
    with pytest.raises(ValueError, match="`datasets` must agree where they have the same labels"):
        rnnsim.merge([part, sweep([1.0, 2.0], tolerance=0.9)])
    for none in ([], [xr.Dataset()]):
        with pytest.raises(ValueError, match="`datasets` must hold one dataset at least"):
            rnnsim.merge(none)
    for other in (part, [1], "sweep", None):
        with pytest.raises(TypeError, match="`datasets` must be a list of"):
            rnnsim.merge(other)


def test_sweeps_of_vanilla_networks_stand_beside_those_of_other_cells():
    vanilla, lstm = sweep(0.5), sweep(1.5, cell="lstm", forget_bias=[0.0, 1.0])
    for parts in ([vanilla, lstm], [lstm.sel(cell="lstm"), vanilla]):
        together = rnnsim.merge(parts)
        assert sorted(together.cell.values) == ["lstm", "vanilla"]
        assert together.loss.dims[:2] == ("cell", "forget_bias")
        at = {"cell": "vanilla", "forget_bias": 0.0, "gain": [0.5]}
        assert_array_equal(together.loss.sel(at).values, vanilla.loss.values)
        at = {"cell": "lstm", "forget_bias": [0.0, 1.0], "gain": [1.5]}
        assert_array_equal(together.loss.sel(at).values, lstm.loss.sel(cell="lstm").values)
        assert together.loss.notnull().sum() == vanilla.loss.size + lstm.loss.size
        assert set(said(together, "configuration")["cell"]) == {"vanilla", "lstm"}
        name = together.sufficient_window.attrs["long_name"]
        assert name.endswith("of gated cells of dL/d[W_hh, W_xh, b_h]")
