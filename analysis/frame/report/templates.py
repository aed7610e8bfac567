"""Pages of templates: what they share stands here, their own parts in the package that asks."""

import math
import re
from collections.abc import Mapping
from typing import Any

import jinja2
import numpy as np

from rnnsim import checks

from .parts import Table

_NUMBER = re.compile(r"[-+−]?(\d[\d.,]*(e[-+]?\d+)?|inf|nan)(\s?%)?|", re.IGNORECASE)
_QUANTITY = re.compile(r"[-+−]?\d.{,20}")  # a number with its error or unit, on one line
_LINE = 60  # characters of a cell that need more than one


def rendered(template: str, package: str, *, data: Mapping[str, Any], **values: Any) -> str:
    """A page from a template that stands in `package`, or here; it may extend ``base.html``.

    `data` are all its numbers as JSON, NaN as null, infinities as "inf" and "-inf". All texts stay
    text, also those that no file could hold.

    Raises
    ------
    TypeError
        Something in `data` that JSON does not know.
    """
    page = _environment(package).get_template(template).render(data=plain(data), **values)
    return page.replace("\0", "\ufffd").encode("utf-8", "backslashreplace").decode("utf-8")


def _environment(package: str) -> jinja2.Environment:
    here = str(__package__)
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(each, ".") for each in dict.fromkeys((package, here))]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.globals |= {
        "kinds": _kinds,
        "quantity": _QUANTITY.fullmatch,
        "paragraphs": _paragraphs,
    }
    return environment


def plain(value: Any, name: str = "data") -> Any:
    """A value as JSON knows it."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(each, f"{name}[{key!r}]") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, f"{name}[{i}]") for i, each in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"`{name}` must be a mapping, a sequence, a number, a text or None, as JSON knows them, "
        f"got {checks.shown(value)} ({type(value).__name__})"
    )


def _kinds(table: Table) -> list[str]:
    """What each column of a table holds, by which its cells are set: numbers, prose, or names."""
    return [_kind([row[i].strip() for row in table.rows]) for i in range(len(table.heads))]


def _kind(cells: list[str]) -> str:
    if max(map(len, cells), default=0) > _LINE:
        return "prose"
    if any(cells) and all(_NUMBER.fullmatch(cell) for cell in cells):
        return "number"
    return "name"


def _paragraphs(text: str) -> list[list[str]]:
    """For each line its first sentence, and the others where there are any."""
    return [re.split(r"(?<=[.!?]) (?=[A-Z])", line, maxsplit=1) for line in text.split("\n")]
