"""Tables of numbers in text: rows are steps, columns are inputs, targets or loss weights."""

import array
import csv
import io
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_DELIMITERS = (";", "\t", ",")


def table(raw: bytes) -> dict[str, Array]:
    """Columns of a table by what they are: inputs (S, D), targets (S,) or (S, V), weights, mask.

    Columns named target..., of whatever case, are targets: class ids where one of them holds whole
    numbers without a point; those named weight, weights or mask are these. Without a first row of
    names all are inputs.
    """
    text = decoded(raw)
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = next((each for each in _DELIMITERS if each in first), ",")
    names: list[str] = []
    values, whole, n_columns = array.array("d"), [], 0
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells) and len(cells) <= 1:
                continue
            if not n_columns:
                n_columns, whole = len(cells), [True] * len(cells)
                if names := _names(cells):
                    continue
            if len(cells) != n_columns:
                raise ValueError(
                    f"row {rows.line_num} must have {n_columns} columns as the first, got "
                    f"{len(cells)}"
                )
            for column, cell in enumerate(cells):
                values.append(_number(cell, rows.line_num, column, names))
                whole[column] = whole[column] and cell.lstrip("+-").isdigit()
    except csv.Error as error:
        raise ValueError(f"row {rows.line_num} is no row of a table ({error})") from error
    if not values:
        raise ValueError("it holds no rows of numbers")
    return _by_role(np.frombuffer(values).reshape(-1, n_columns), names, whole)


def decoded(raw: bytes) -> str:
    """Text in UTF-8."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"it must be text in UTF-8, got {error.reason} at byte {error.start}; convert it, for "
            "example with iconv"
        ) from error


def _names(cells: list[str]) -> list[str]:
    """The names of columns, where the first row has them."""
    numbers = [_is_number(cell) for cell in cells]
    if all(numbers):
        return []
    if any(numbers):
        odd = numbers.index(False)
        raise ValueError(
            f"the first row must hold names or numbers, got both: {cells[odd][:40]!r} in column "
            f"{odd + 1}"
        )
    if "" in cells:
        raise ValueError(
            f"column {cells.index('') + 1} has no name, as where pandas writes an index; leave "
            "that out with to_csv(path, index=False)"
        )
    if len(set(cells)) < len(cells):
        twice = next(cell for cell in cells if cells.count(cell) > 1)
        raise ValueError(f"two columns are named {twice[:40]!r}; rename one")
    return cells


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _number(cell: str, row: int, column: int, names: list[str]) -> float:
    value = float(cell) if _is_number(cell) else np.nan
    if not np.isfinite(value):
        name = f" ({names[column][:40]!r})" if names else ""
        came = f"{cell[:40]!r}" if cell else "nothing"
        raise ValueError(
            f"row {row}, column {column + 1}{name} must be a finite number, got {came}; replace "
            "it, or leave out the row"
        )
    return value


def _by_role(values: Array, names: list[str], whole: list[bool]) -> dict[str, Array]:
    roles = [_role(name) for name in names] or ["inputs"] * values.shape[1]
    if "inputs" not in roles:
        raise ValueError("it must have a column of inputs besides targets and weights, got none")
    found: dict[str, Array] = {}
    for role in ("weights", "mask"):
        columns = [i for i, each in enumerate(roles) if each == role]
        if len(columns) > 1:
            raise ValueError(f"it must have one column of {role}, got {len(columns)}")
        if columns:
            found[role] = values[:, columns[0]]
    for role in ("inputs", "targets"):
        columns = [i for i, each in enumerate(roles) if each == role]
        if columns:
            found[role] = values[:, columns]
    targets = [i for i, each in enumerate(roles) if each == "targets"]
    if len(targets) == 1 and whole[targets[0]] and np.abs(found["targets"]).max() < 2**53:
        found["targets"] = found["targets"][:, 0].astype(np.int64)
    return found


def _role(name: str) -> str:
    lower = name.lower()
    if lower.startswith("target"):
        return "targets"
    return {"weight": "weights", "weights": "weights", "mask": "mask"}.get(lower, "inputs")
