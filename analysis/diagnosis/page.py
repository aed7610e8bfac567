"""The report of a diagnosis, or of two side by side: which parts it has, and its file."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from rnnsim import Comparison, Diagnosis

from ..frame import figures
from ..frame.report import Report
from ..frame.report import write as write_report
from ..frame.report.places import check_place
from .numbers import tables, tables_of_both
from .plots.pictures import pictures
from .plots.sides import Side, sides

_WORDS = ("title", "verdict", "subject", "to_try", "numbers", "pictures")
_FIXED = "\u00a0"  # a space at which no line breaks
_OPTIONS = ("window", "batch_size", "clip_norm", "clip_value")


def write(
    found: Diagnosis | Comparison,
    path: str | PathLike[str],
    *,
    overwrite: bool = False,
    command: str | None = None,
) -> Path:
    """Write the report of a diagnosis, or of two, as one HTML file that ends in .html.

    Parameters
    ----------
    found : Diagnosis or Comparison
    path : path
    overwrite : bool
        Replace a file that is there.
    command : str, optional
        The line that made it; a call in Python unless given.

    Raises
    ------
    TypeError, ValueError, OSError
        As of `frame.report.write`.
    """
    check_place(path, overwrite=overwrite)  # before figures are drawn
    with figures.style():
        return write_report(report(found, command), path, overwrite=overwrite)


def report(found: Diagnosis | Comparison, command: str | None = None) -> Report:
    """All parts of the page, figures drawn."""
    both = (found.first, found.second) if isinstance(found, Comparison) else (found,)
    seen = list(sides(both))
    names = [side.label or side.diagnosis.label for side in seen]
    made = Report(
        title=f"Diagnosis of {' and of '.join(names)}",
        verdict="\n".join(side.told(side.diagnosis.verdict) for side in seen),
        subject="\n".join(side.diagnosis.subject for side in seen),
        to_try=[side.told(each) for side in seen for each in side.diagnosis.to_try],
        numbers=(tables_of_both(found, names) if isinstance(found, Comparison) else tables(found)),
        pictures=pictures(both),
        reproduce={
            **_call(both[0], command),
            **{name: text for side in seen for name, text in _origin(side).items()},
            "versions": _listed(both[0].to_dict()["versions"]),
        },
        data=found.to_dict(),
    )
    return made._replace(**{name: in_type(getattr(made, name)) for name in _WORDS})


def in_type(value: Any) -> Any:
    """Texts, also those in tables and pictures, as they are set: 1 ± 2, and no break before %."""
    if isinstance(value, str):
        return value.replace(" +- ", f"{_FIXED}±{_FIXED}").replace(" %", f"{_FIXED}%")
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(in_type, value))
    return [in_type(each) for each in value] if isinstance(value, list | tuple) else value


def _call(found: Diagnosis, command: str | None) -> dict[str, str]:
    """The command line, or how it is done in Python."""
    if command is not None:
        return {"command": command}
    given = [("batch_size", found.about["batch_size"])] if found.about["batch_given"] else []
    others = [(name, found.about[name]) for name in _OPTIONS if name != "batch_size"]
    options = "".join(
        f", {name}={value!r}" for name, value in [*others, *given] if value is not None
    )
    return {"in Python": f"rnnsim.diagnose(network, sequences{options})"}


def _origin(side: Side) -> dict[str, str]:
    """What was diagnosed: the network, the checksum of its weights, and its data."""
    about = side.diagnosis.about
    origin = {
        "network": side.diagnosis.label,
        "sha256 of the weights": about["weights_sha256"],
        "data": _listed(about["provenance"]) or "in memory, without a name",
    }
    return {side.told(name): text for name, text in origin.items()}


def _listed(entries: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in entries.items())
