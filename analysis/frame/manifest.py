"""What tells a run: one file beside its figures, data, configuration and summary."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from rnnsim import files

NAME = "manifest.json"
_KIND = "rnnsim run 1"
_WORDS = ("configuration.toml", "summary.txt", "captions.txt")


class Manifest(NamedTuple):
    """The analysis, which run of it, and the checksums of all files that stand in its folder.

    Figures that are drawn again have the `run` of their data.
    """

    analysis: str
    run: str
    files: dict[str, str]


def write(folder: Path, analysis: str, run: str) -> None:
    """Tie together all that stands in a folder; the last file of a run."""
    content = {"kind": _KIND, "analysis": analysis, "run": run, "files": checksums(folder)}
    text = json.dumps(content | {"sha256": _checksum(content)}, indent=1, sort_keys=True)
    files.write_text(folder / NAME, text + "\n")


def read(folder: Path) -> Manifest:
    """The manifest of a folder.

    Raises
    ------
    FileNotFoundError, ValueError
        A folder without one; one that is damaged.
    """
    path = folder / NAME
    text = path.read_bytes()
    try:
        content: dict[str, Any] = json.loads(text)
        intact = content.pop("sha256") == _checksum(content) and content["kind"] == _KIND
        found = Manifest(content["analysis"], content["run"], dict(content["files"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is damaged ({type(error).__name__}: {error})") from error
    if not intact:
        raise ValueError(f"{str(path)!r} is damaged: its checksum differs from the one recorded")
    return found


def check(folder: Path, analysis: str) -> Manifest:
    """The manifest of a run whose data can be drawn again.

    All data and the configuration are as the run left them, and so are the figures and the summary,
    where they are still there.

    Raises
    ------
    FileNotFoundError, ValueError
        No such run, one that was not finished, of another analysis, or damaged.
    """
    there = checksums(folder) if files.there(folder) else {}
    if not any(name.startswith("data/") for name in there):
        raise FileNotFoundError(
            f"`--from` must name the folder of an earlier run of {analysis}, with its data/; "
            f"there is no dataset in {str(folder / 'data')!r}"
        )
    try:
        found = read(folder)
    except FileNotFoundError:
        raise ValueError(
            f"`--from` {str(folder)!r} has no {NAME}: its run was not finished, or it is damaged; "
            "compute it again"
        ) from None
    except ValueError as error:
        raise ValueError(f"`--from`: {error}; compute it again") from error
    if found.analysis != analysis:
        raise ValueError(
            f"`--from` {str(folder)!r} holds a run of {found.analysis}, expected {analysis}; "
            "it was saved by another analysis"
        )
    changed = sorted(_changed(found.files, there))
    if changed:
        raise ValueError(
            f"`--from` {str(folder)!r} is damaged, or holds files of another run: "
            f"{', '.join(changed[:3])}{' and others' if len(changed) > 3 else ''} "
            f"differ from {NAME}; compute it again"
        )
    return found


def strangers(folder: Path) -> list[str]:
    """What stands in a folder and no run of rnnsim has written."""
    there = _names(folder)
    try:
        ours = {*read(folder).files, NAME}
    except (OSError, ValueError):
        ours = set(filter(_looks_like_ours, there)) if any(map(_tells_a_run, there)) else set()
    return sorted(there - ours)


def checksums(folder: Path) -> dict[str, str]:
    """sha256 of every file in a folder but the manifest, by its name in there."""
    names = sorted(_names(folder) - {NAME})
    return {name: files.checksum([(folder / name).read_bytes()]) for name in names}


def _names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}


def _changed(recorded: dict[str, str], there: dict[str, str]) -> set[str]:
    """Files that are not as recorded: of data also what is missing or too many."""
    needed = {name for name in {*recorded, *there} if name.startswith(("data/", "configuration."))}
    here = recorded.keys() & there.keys()
    return {name for name in needed | here if recorded.get(name) != there.get(name)}


def _tells_a_run(name: str) -> bool:
    """Whether a file is one that each run leaves, of whatever version."""
    return name in (NAME, "configuration.toml") or ".zarr/" in name


def _looks_like_ours(name: str) -> bool:
    """Whether a file has a name that runs give, where no manifest says more."""
    figure = "/" not in name and name.endswith((".png", ".svg", ".pdf", ".gif"))
    in_data = name.startswith("data/") and ".zarr/" in name
    return figure or in_data or name in (NAME, *_WORDS)


def _checksum(content: dict[str, Any]) -> str:
    return files.checksum([json.dumps(content, sort_keys=True)])
