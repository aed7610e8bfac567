"""Every result as a labelled dataset: nothing is lost, all is explained, as in sweeps."""

import dataclasses
import inspect
import json

import numpy as np
import pytest
from every_result import each_of, results

import rnnsim
from rnnsim import theory

OF_KERNELS = {"Weights", "StepNorms", "Segment"}  # tuples of arrays that kernels read
NOT_RESULTS = {  # part of Sequences; words about files; what was seen; findings, tested elsewhere
    "LossGradients", "Description", "ProbeRecord", "Comparison", "Diagnosis", "Finding",
}  # fmt: skip


def records():
    """Every public class that holds data."""
    found = {}
    for namespace in (rnnsim, theory):
        for name in namespace.__all__:
            kind = getattr(namespace, name)
            if inspect.isclass(kind) and (
                dataclasses.is_dataclass(kind) or hasattr(kind, "_fields")
            ):
                found[name] = kind
    return found


RECORDS = {name: kind for name, kind in records().items() if name not in OF_KERNELS | NOT_RESULTS}


def leaves(value, path=""):
    """Every array that a result holds, by where it is; numbers of the result itself too."""
    if dataclasses.is_dataclass(value):
        names = [f.name for f in dataclasses.fields(value) if not f.name.startswith("_")]
    elif isinstance(value, tuple):
        names = getattr(value, "_fields", range(len(value)))
    elif isinstance(value, np.ndarray) or (isinstance(value, int | float) and path.count(".") == 1):
        yield path, value
        return
    else:
        return
    for name in names:
        inner = value[name] if isinstance(name, int) else getattr(value, name)
        yield from leaves(inner, f"{path}.{name}")


def scrambled(value, rng, known):
    """The same result with other numbers in every array, none of which occurs twice."""
    if isinstance(value, np.ndarray):
        if id(value) not in known:
            known[id(value)] = value, _numbers(value, rng)
        return known[id(value)][1]
    if dataclasses.is_dataclass(value):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        return type(value)(**{k: scrambled(each, rng, known) for k, each in fields.items()})
    if isinstance(value, tuple):
        parts = [scrambled(each, rng, known) for each in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(rng.integers(10**6, 10**9))
    return float(rng.random()) if isinstance(value, float) else value


def _numbers(array, rng):
    if array.dtype.kind in "iub":
        return rng.integers(1, 2 if array.dtype.kind == "b" else 10**9, array.shape).astype(
            array.dtype
        )
    values = rng.uniform(0.1, 0.9, array.shape)
    return (values * (1 + 1j) if array.dtype.kind == "c" else values).astype(array.dtype)


def places(dataset, leaf):
    """The variables that hold an array: as a whole, or as one layer of it."""
    found = []
    for name, variable in dataset.variables.items():
        arrays = [variable.values]
        for axis in {"layer", "upper_layer"} & set(variable.dims):
            arrays += list(np.moveaxis(variable.values, variable.dims.index(axis), 0))
        if any(same(array, leaf) for array in arrays):
            found.append(name)
    return found


def same(one, other):
    kinds = {np.asarray(one).dtype.kind, np.asarray(other).dtype.kind}
    if np.shape(one) != np.shape(other) or "U" in kinds:
        return False
    return np.array_equal(one, other, equal_nan=True)


def test_every_public_record_is_among_them():
    assert {type(each).__name__.removeprefix("Stack") for each in results().values()} == set(
        RECORDS
    )


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_every_result_has_a_dataset(name):
    assert callable(RECORDS[name].to_xarray)


@each_of(results)
def test_every_array_is_there_with_its_values(name):
    result = results()[name]
    dataset = result.to_xarray()
    for path, leaf in leaves(result):
        if np.size(leaf):
            assert places(dataset, leaf), f"{path} of {result!r} is not in {list(dataset)}"


@each_of(results)
def test_no_array_stands_for_another(name):
    """With random numbers in place of all, each is found in a variable of its own."""
    result = results()[name]
    if isinstance(result, rnnsim.Sequences | rnnsim.Pairs) or name.startswith("Training"):
        return  # these check what they hold
    other = scrambled(result, np.random.default_rng(3), {})
    with np.errstate(all="ignore"):
        dataset = other.to_xarray()
    everything = list(leaves(other))
    for path, leaf in everything:
        if "of_layers" in path and path.endswith(".windows"):
            continue  # those of the whole, one axis for all layers
        if np.size(leaf) > 1 and np.asarray(leaf).dtype.kind != "b":
            found = {each.removesuffix("_layers") for each in places(dataset, leaf)}
            assert 1 <= len(found) <= sum(each is leaf for _, each in everything), (path, found)


@each_of(results)
def test_everything_says_its_unit_and_what_it_is(name):
    dataset = results()[name].to_xarray()
    for each in dataset.variables:
        attributes = dataset[each].attrs
        assert attributes.get("units"), each
        assert attributes.get("long_name"), each
        assert "  " not in attributes["long_name"]
    assert set(dataset.attrs) == {"configuration", "provenance", "versions"}
    assert all(json.loads(value) is not None for value in dataset.attrs.values())


def test_all_of_them_come_back_from_a_file(tmp_path):
    for index, result in enumerate(results().values()):
        dataset = result.to_xarray()
        rnnsim.save(dataset, tmp_path / f"{index}.zarr", kind="result")
        assert rnnsim.load(tmp_path / f"{index}.zarr", kind="result").identical(dataset)


@each_of(results)
def test_a_dataset_is_a_copy(name):
    result = results()[name]
    dataset = result.to_xarray()
    for variable in dataset.data_vars.values():
        for _, leaf in leaves(result):
            assert not np.may_share_memory(variable.values, leaf)
