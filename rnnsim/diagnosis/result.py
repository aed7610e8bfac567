"""A diagnosis: all findings about one network on its data, and two of them side by side."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rnnsim import checks
from rnnsim.data.datasets import Variable, attributes, labelled
from rnnsim.diagnosis.findings import Finding, plain, short, steps, told
from rnnsim.diagnosis.saving import save

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis:
    """What `diagnose` returns.

    Attributes
    ----------
    label : str
        What the network is called: the name of its file, or its kind.
    verdict : str
        What the most important findings say together.
    findings : tuple of Finding
        In the order of the questions; also by name, ``diagnosis["gradient_rate"]``.
    to_try : tuple of str
        What the findings give a reason for; empty where they give none.
    about : mapping
        What was diagnosed: sizes, cell, window, checksum of the weights, where the data come from.
    """

    label: str
    verdict: str
    findings: tuple[Finding, ...]
    to_try: tuple[str, ...]
    about: Mapping[str, Any]

    def __getitem__(self, name: str) -> Finding:
        """The finding of this name."""
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(f"no finding {name!r}; there are {', '.join(self._names())}")

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def _names(self) -> list[str]:
        return [finding.name for finding in self.findings]

    def summary(self) -> str:
        """Lines of text: the verdict, what was measured, what to try, what is not known."""
        known = [f"{each.name}: {each.says}. {each.words}" for each in self if each.known]
        lines = [self.verdict, "", self.subject, "", *known]
        if self.to_try:
            lines += ["", "What to try:", *(f"- {each}" for each in self.to_try)]
        missing = [f"- {', '.join(names)}: {needs}." for needs, names in missing_of(self).items()]
        more = ["", "What is not known, and what it would need:", *missing]
        return "\n".join([*lines, *(more if missing else [])])

    @property
    def subject(self) -> str:
        """What was diagnosed, in a sentence."""
        about = self.about
        window = f", window {about['window']}" if about["window"] else ""
        layers = f"{about['n_layers']} layers of " if about["n_layers"] > 1 else ""
        origin = about["provenance"].get("data") or about["provenance"].get("task")
        return (
            f"{self.label}: {layers}{about['n_hidden']} units, {about['cell']}, "
            f"{about['n_sequences']} sequence{'s' if about['n_sequences'] > 1 else ''} of "
            f"{steps(about['n_steps'])}{f' of {origin}' if origin else ''}{window}. Errors cover "
            "95 %."
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON knows it: NaN is None, infinities are "inf" and "-inf"."""
        return {
            "label": self.label,
            "verdict": self.verdict,
            "about": {name: plain(value) for name, value in self.about.items()},
            "findings": [finding.to_dict() for finding in self.findings],
            "to_try": list(self.to_try),
            "versions": json.loads(attributes({}, {})["versions"]),
        }

    def to_xarray(self) -> "xr.Dataset":
        """Numbers, errors and words over ``finding``; the evidence of each over axes of its own.

        Evidence has the name of its finding in front, ``gradient_rate_log_change`` over
        ``gradient_rate_lag``, and so have numbers of parts of the data, ``gradient_rate_parts``.
        """
        axes: dict[str, Any] = {"finding": tuple(self._names())}
        variables = {name: Variable(("finding",), "1", meaning) for name, meaning in _TABLE.items()}
        values = {name: np.array([getattr(f, name) for f in self]) for name in _TABLE}
        for finding in self:
            of = finding.name
            rows = dict(finding.evidence)
            if finding.parts:
                axes[f"{of}_data_part"] = tuple(range(len(finding.parts)))
                variables[f"{of}_parts"] = Variable(
                    (f"{of}_data_part",), finding.unit, "of each part"
                )
                values[f"{of}_parts"] = np.array(finding.parts)
            if rows:
                axis, labels = next(iter(rows.items()))
                axes[f"{of}_{axis}"] = labels
                for name in list(rows)[1:]:
                    variables[f"{of}_{name}"] = Variable((f"{of}_{axis}",), "1", name)
                    values[f"{of}_{name}"] = np.array(rows[name])
        settings = {"result": "Diagnosis", "label": self.label, "verdict": self.verdict}
        about = {k: plain(v) for k, v in self.about.items() if k != "provenance"}
        configuration = {**settings, **about, "to_try": list(self.to_try)}
        return labelled(
            axes, variables, values, attributes(configuration, self.about["provenance"])
        )

    def beside(self, other: "Diagnosis") -> "Comparison":
        """Two diagnoses side by side: two networks, or one before and after.

        Parameters
        ----------
        other : Diagnosis

        Raises
        ------
        TypeError
            Anything else.
        """
        if not isinstance(other, Diagnosis):
            raise TypeError(
                f"`other` must be a Diagnosis as rnnsim.diagnose returns it, got "
                f"{checks.shown(other)}"
            )
        return Comparison(self, other)

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write a report: one HTML file with words, numbers, figures and how to make it again.

        It needs nothing from elsewhere, so that it can be sent as it is: verdict first, then what
        to try, the findings question by question with errors, thresholds and their sources,
        figures whose values show under the pointer and by the arrow keys, and all numbers as JSON.

        Parameters
        ----------
        path : path
            A file that ends in .html.
        overwrite : bool
            Replace the file if it is there.

        Returns
        -------
        pathlib.Path

        Raises
        ------
        TypeError, ValueError
            Another ending.
        FileExistsError
            The file is there, and `overwrite` is False.
        OSError
            The file cannot be written.
        ImportError
            What draws reports is not installed.

        Examples
        --------
        >>> import os, tempfile, rnnsim
        >>> rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=4, n_outputs=1, rng=0)
        >>> found = rnnsim.diagnose(rnn, rnnsim.tasks.adding(12, 4, rng=0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     place = found.save(os.path.join(folder, "report.html"))
        ...     print(place.name, place.read_text(encoding="utf-8")[:15])
        report.html <!DOCTYPE html>
        """
        return save(self, path, overwrite=overwrite)

    def _repr_html_(self) -> str:
        rows = [
            (each.name, each.says, quantity(each), threshold(each), each.words)
            for each in self.findings
            if each.known
        ]
        missing = [(", ".join(names), needs) for needs, names in missing_of(self).items()]
        parts = [f"<p><strong>{escape(self.verdict)}</strong></p>", _p(self.subject)]
        parts.append(_table(("finding", "says", "number", "threshold", "in words"), rows))
        if self.to_try:
            parts.append(_p("What to try:"))
            parts.append(f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in self.to_try)}</ul>")
        if missing:
            parts.append(_table(("not known", "what it would need"), missing))
        return f"<div>{''.join(parts)}</div>"

    def __repr__(self) -> str:
        known = sum(each.known for each in self.findings)
        shown = {"label": self.label, "gradient": self["gradient_rate"].says}
        words = [f"{name}={value!r}" for name, value in shown.items()]
        return f"Diagnosis({', '.join(words)}, n_findings={known}, n_unknown={len(self) - known})"


class Row(NamedTuple):
    """One finding of two diagnoses; `apart` says whether the numbers differ beyond their errors.

    None where that is not known: both errors are needed, and two numbers of one kind, which the
    largest eigenvalue of one network and the norm of a gate's block of the other are not.
    """

    name: str
    first: Finding
    second: Finding
    difference: float
    apart: bool | None


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What `Diagnosis.beside` returns: the two, and `rows`, one for each finding of both."""

    first: Diagnosis
    second: Diagnosis

    @property
    def rows(self) -> tuple[Row, ...]:
        """Finding by finding; differences are second minus first."""
        both = ((one, self.second[one.name]) for one in self.first)
        return tuple(_row(one, two) for one, two in both)

    def summary(self) -> str:
        """Lines of text: the verdict of each, then what both say of each finding."""
        names = f"{self.first.label} | {self.second.label}"
        lines = [f"{each.label}: {each.verdict}" for each in (self.first, self.second)]
        return "\n".join([*lines, "", names, *map(_line, self.rows)])

    def to_dict(self) -> dict[str, Any]:
        """Both, and the rows, as JSON knows them."""
        rows = [
            {"name": row.name, "difference": plain(row.difference), "apart": row.apart}
            for row in self.rows
        ]
        return {"first": self.first.to_dict(), "second": self.second.to_dict(), "rows": rows}

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write one report of both, as `Diagnosis.save` does of one.

        Parameters
        ----------
        path : path
            A file that ends in .html.
        overwrite : bool
            Replace the file if it is there.

        Returns
        -------
        pathlib.Path

        Raises
        ------
        TypeError, ValueError, OSError, ImportError
            As of `Diagnosis.save`.
        """
        return save(self, path, overwrite=overwrite)

    def _repr_html_(self) -> str:
        heads = ("finding", self.first.label, self.second.label, "apart")
        rows = [(row.name, outcome(row.first), outcome(row.second), APART[row.apart]) for row in
                self.rows]  # fmt: skip
        verdicts = [_p(f"{each.label}: {each.verdict}") for each in (self.first, self.second)]
        return f"<div>{''.join(verdicts)}{_table(heads, rows)}</div>"

    def __repr__(self) -> str:
        apart = sum(row.apart is True for row in self.rows)
        labels = f"{self.first.label!r}, {self.second.label!r}"
        return f"Comparison({labels}, n_findings={len(self.rows)}, n_apart={apart})"


_TABLE = {
    "number": "what was measured",
    "error": "number +- error holds that of many sequences 95 times in a hundred",
    "unit": "unit of number and error",
    "threshold": "the limit that the number or `says` rests on",
    "source": "where the threshold comes from",
    "says": "the outcome",
    "words": "the outcome in a sentence",
    "over": "what was averaged over",
}
APART = {True: "apart", False: "not told apart", None: "not known"}


def _row(one: Finding, two: Finding) -> Row:
    with np.errstate(invalid="ignore"):
        difference = float(np.float64(two.number) - one.number)
    if _kind(one) != _kind(two):
        difference = math.nan
    error = math.hypot(one.error, two.error)
    unclear = math.isnan(error) or math.isnan(difference)
    apart = None if unclear else abs(difference) > error
    return Row(one.name, one, two, difference, apart)


def _kind(finding: Finding) -> tuple[Any, ...]:
    """What a number is of: its unit, whether it has a limit, the block or the lag it is of."""
    block = finding.says if finding.name == "gradient_by_layer_and_gate" else ""
    lag = finding.evidence.get("lag", ()) if finding.name.endswith("_over_window") else ()
    return finding.unit, math.isnan(finding.threshold), block, lag


def _line(row: Row) -> str:
    return f"{row.name}: {outcome(row.first)} | {outcome(row.second)} | {APART[row.apart]}"


def missing_of(found: Diagnosis) -> dict[str, list[str]]:
    """What would be needed, and the names of all findings that need it."""
    names: dict[str, list[str]] = {}
    for finding in found:
        if not finding.known:
            needs = finding.words.removeprefix("Not known: ").removesuffix(".")
            names.setdefault(needs, []).append(finding.name)
    return names


def outcome(finding: Finding) -> str:
    """What a finding says, with its number."""
    number = quantity(finding)
    if not number:
        return finding.says
    limit = threshold(finding)
    return f"{finding.says}, {number}{'; threshold ' if limit else ''}{limit}"


def quantity(finding: Finding) -> str:
    """The number of a finding with its error and unit; nothing where there is none."""
    if not finding.number_known:
        return ""
    unit = "" if finding.unit == "1" else f" {finding.unit}"
    return f"{told(finding.number, finding.error)}{unit}"


def threshold(finding: Finding) -> str:
    """The limit that a finding rests on and where it comes from; nothing where there is none."""
    if math.isnan(finding.threshold):
        return ""
    return f"{short(finding.threshold)}, {finding.source}"


def _p(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(x)}</td>' for x in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
