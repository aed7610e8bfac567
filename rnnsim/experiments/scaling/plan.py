"""The plan of a study: all that its dataset needs but the values, as one file says it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim import checks, files
from rnnsim.data.datasets import Axes, Variable, attributes
from rnnsim.experiments.scaling.parts import jobs_in_part
from rnnsim.experiments.study import Study

FORMAT = 1
_FILE = "plan.json"
_ORDER = ("format", "versions", "name", "configuration", "provenance", "axes", "variables", "jobs")


@dataclass(frozen=True)
class Plan:
    """What is to be measured, and what the dataset says of itself.

    Attributes
    ----------
    said : mapping
        What the file holds: of `_ORDER` each, as JSON knows it.
    """

    said: Mapping[str, Any]

    @cached_property
    def axes(self) -> Axes:
        """The labels along each axis, or their number."""
        found = self.said["axes"].items()
        return {name: each if isinstance(each, int) else tuple(each) for name, each in found}

    @cached_property
    def variables(self) -> dict[str, Variable]:
        """What is measured, and what is special about an axis."""
        found = self.said["variables"].items()
        return {n: Variable(tuple(v[0]), v[1], v[2], _kind(v[3])) for n, v in found}

    @property
    def about(self) -> dict[str, str]:
        """The attributes of the dataset."""
        return {name: json.dumps(self.said[name]) for name in _ABOUT}

    @property
    def name(self) -> str:
        """What the study is, in a word or two."""
        return str(self.said["name"])

    @property
    def n_jobs(self) -> int:
        """How many jobs there are."""
        return int(self.said["jobs"]["count"])

    @property
    def per_part(self) -> int:
        """How many of them are stored together."""
        return int(self.said["jobs"]["per_part"])

    @property
    def n_parts(self) -> int:
        """How many files there are when all is done."""
        return -(-self.n_jobs // self.per_part)

    def jobs_of(self, part: int) -> range:
        """The numbers of the jobs of a part."""
        return range(part * self.per_part, min((part + 1) * self.per_part, self.n_jobs))


_ABOUT = ("configuration", "provenance", "versions")


def plan_of(study: Study) -> tuple[Plan, tuple[str, ...]]:
    """The plan of a study, and the fingerprint of each part."""
    about = attributes(study.configuration, study.provenance)
    n_jobs = len(study.jobs)
    size = jobs_in_part(n_jobs)
    prints = tuple(
        fingerprint([job for _, job in _slice(study, start, size)])
        for start in range(0, n_jobs, size)
    )
    said = {
        "format": FORMAT,
        "name": study.name,
        **{name: json.loads(about[name]) for name in _ABOUT},
        "axes": {k: v if isinstance(v, int) else [_plain(x) for x in v]
                 for k, v in study.axes.items()},
        "variables": {name: [list(v.dims), v.units, v.long_name, _said(v.dtype)]
                      for name, v in study.variables.items()},
        "jobs": {"count": n_jobs, "per_part": size, "sha256": files.checksum(prints)},
    }  # fmt: skip
    return Plan(json.loads(json.dumps(said))), prints


def _slice(study: Study, start: int, size: int) -> Iterable[Any]:
    return (study.jobs[i] for i in range(start, min(start + size, len(study.jobs))))


def _said(dtype: Any) -> str:
    """A dtype as text; strings of any width are "text"."""
    found = np.dtype(dtype)
    return "text" if found.kind == "T" else found.str


def _kind(said: str) -> np.dtype[Any]:
    """A dtype from what `_said` made of it."""
    return np.dtypes.StringDType() if said == "text" else np.dtype(said)


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label


def write_plan(folder: Path, plan: Plan) -> None:
    """Write the plan of a new store."""
    text = json.dumps({**plan.said, "sha256": _checksum(plan.said)}, indent=1)
    files.write_text(folder / _FILE, text + "\n")


def has_plan(folder: Path) -> bool:
    """Whether a folder is a store."""
    return (folder / _FILE).is_file()


def read_plan(folder: Path) -> Plan:
    """The plan of a store.

    Raises
    ------
    ValueError
        A file that is damaged, or of a later version.
    """
    try:
        said = json.loads((folder / _FILE).read_bytes())
        checksum = said.pop("sha256")
        if said["format"] != FORMAT:
            raise ValueError(f"its format is {said['format']}, this version knows {FORMAT}")
        if checksum != _checksum(said):
            raise ValueError("its checksum differs")
        return Plan(said)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{str(folder / _FILE)!r} is not a readable plan of this version of rnnsim, or it is "
            f"damaged ({error}); move the folder away to begin anew"
        ) from error


def check_same(folder: Path, saved: Plan, wanted: Plan) -> None:
    """Refuse to go on with what is not the same study, and name the first difference.

    Raises
    ------
    ValueError
    """
    for part in _ORDER:
        if saved.said[part] != wanted.said[part]:
            name, was, now = _difference(part, saved.said[part], wanted.said[part])
            raise ValueError(
                f"`store` {str(folder)!r} holds something else: its {name} is {_short(was)}, now "
                f"it is {_short(now)}; use the same to go on, or another folder to begin anew"
            )


def _difference(name: str, was: Any, now: Any) -> tuple[str, Any, Any]:
    """The first part that differs, as far down as there are names."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in [*was, *(key for key in now if key not in was)]:
            if key not in was or key not in now or was[key] != now[key]:
                one, other = was.get(key, "not there"), now.get(key, "not there")
                return _difference(f"{name} {key!r}", one, other)
    return name, was, now


def _short(value: Any) -> str:
    return checks.shown(value)


def _checksum(said: Mapping[str, Any]) -> str:
    return files.checksum([json.dumps(said, sort_keys=True)])


def fingerprint(job: Any) -> str:
    """sha256, in hex, of a job as text.

    Examples
    --------
    >>> fingerprint({"gain": (0.5, 1.0)}) == fingerprint({"gain": (0.5, 1.0)})
    True
    """
    return files.checksum([_in_text(job)])


def _in_text(value: Any) -> str:
    """Plain data as text; data and networks of one's own by their identity."""
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, np.generic):
        return repr(value.item())
    kind = type(value).__qualname__
    if isinstance(identity := getattr(value, "identity", None), str):
        return f"{kind}<{identity}>"
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str}{value.shape}{files.checksum([np.ascontiguousarray(value)])}"
    if isinstance(value, Mapping):
        return f"{{{','.join(sorted(f'{_in_text(k)}:{_in_text(v)}' for k, v in value.items()))}}}"
    if isinstance(value, tuple | list):
        return f"{kind}({','.join(map(_in_text, value))})"
    if is_dataclass(value) and not isinstance(value, type):
        return f"{kind}({','.join(_in_text(getattr(value, f.name)) for f in fields(value))})"
    if type(value).__reduce__ is not object.__reduce__:  # says itself what it is made of
        return f"{kind}{_in_text(value.__reduce__())}"
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    raise TypeError(f"a job must be plain data, got {value!r:.80} ({kind}) in it")
