"""Misuse teaches: whatever stands in the place of a parameter is taken or refused by its name."""

import dataclasses
import inspect
import re

import numpy as np
import pytest
import xarray as xr
from calls import CALLS, PARAMETERS, TAKEN, TWINS, WRONG

import rnnsim
from rnnsim import tasks, theory
from rnnsim.experiments.architectures import experiment

NAMESPACES = {"": rnnsim, "tasks.": tasks, "theory.": theory}
LONGEST = 700  # characters of a message


def made_by_hand(kind):
    """Whether a class checks what it is made of; all others are records that functions return."""
    if dataclasses.is_dataclass(kind):
        return "__post_init__" in vars(kind)
    return "__init__" in vars(kind)


def public():
    """Every public function, constructor and method, by name."""
    found = {}
    for prefix, namespace in NAMESPACES.items():
        for name in namespace.__all__:
            thing = getattr(namespace, name)
            if not inspect.isclass(thing):
                found |= {prefix + name: thing} if callable(thing) else {}
                continue
            found |= {prefix + name: thing} if made_by_hand(thing) else {}
            methods = {key for key in vars(thing) if not key.startswith("_")}
            found |= {
                f"{prefix}{name}.{key}": getattr(thing, key)
                for key in methods
                if callable(getattr(thing, key))
            }
    return found


def parameters(function):
    """Those that may be given by name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(function).parameters
    return {name: p for name, p in found.items() if p.kind in kinds and name != "self"}


PUBLIC = {name: function for name, function in public().items() if parameters(function)}


def bound(name):
    """What is called: a function, or the method of something."""
    call = CALLS[name]
    return PUBLIC[name] if call.of is None else getattr(call.of, name.rpartition(".")[2])


def outcome(function, parameter, arguments):
    """What comes of a call: a result, or the message of a refusal that names the parameter."""
    try:
        return function(**arguments), ""
    except (ValueError, TypeError, MemoryError, FileNotFoundError) as error:
        message = str(error)
    except BaseException as error:
        return None, f"escapes as {type(error).__name__}: {error}"[:LONGEST]
    if not re.search(rf"`{parameter}[`\[ ]", message):
        return None, f"is not named by: {message}"
    return None, "" if len(message) <= LONGEST else f"is told at length: {message[:LONGEST]}"


def same(one, other):
    """Whether two results are the same to the bit."""
    if isinstance(one, xr.Dataset):
        return one.drop_attrs().identical(other.drop_attrs())
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, f), getattr(other, f)) for f in one.__dataclass_fields__)
    return one == other or repr(one) == repr(other)


@pytest.fixture
def little(monkeypatch, tmp_path):
    """Files go elsewhere, and what is not given asks for little work."""
    monkeypatch.chdir(tmp_path)
    few = {"n_updates": 1, "n_hidden": 3, "batch_size": 2}
    small = {name: options._replace(**few) for name, options in experiment.DEFAULTS.items()}
    monkeypatch.setattr(experiment, "DEFAULTS", small)


def test_every_public_function_has_a_sound_call():
    assert set(CALLS) == set(PUBLIC)
    unknown = {
        (name, parameter)
        for name, function in PUBLIC.items()
        for parameter in parameters(function)
        if (CALLS[name].kinds.get(parameter) or PARAMETERS.get(parameter)) not in TAKEN
    }
    assert not unknown, "say in PARAMETERS what kind of thing these are"


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_whatever_is_given_is_taken_or_refused_by_name(name, little):
    function, call, wrong = bound(name), CALLS[name], []
    function(**call.arguments())
    for parameter, signature in parameters(PUBLIC[name]).items():
        taken = set(TAKEN[call.kinds.get(parameter) or PARAMETERS[parameter]])
        taken |= {"None"} if signature.default is None else set()
        for value, make in WRONG.items():
            given = call.arguments() | {parameter: make()}
            result, trouble = outcome(function, parameter, given)
            if result is not None and value not in taken:
                trouble = f"is taken for {result!r}"[:LONGEST]
            if result is not None and value in TWINS:
                twin = function(**call.arguments() | {parameter: TWINS[value]})
                trouble = trouble or ("" if same(result, twin) else "is not what it stands for")
            wrong += [f"{parameter} = {value} {trouble}"] if trouble else []
    assert not wrong, "\n".join(wrong)
