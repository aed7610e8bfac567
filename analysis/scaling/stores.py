"""The folder of a command's stores: which command it belongs to, and how far it is."""

import json
from pathlib import Path
from typing import Any

from rnnsim import files
from rnnsim.experiments.scaling.plan import has_plan
from rnnsim.experiments.scaling.status import status

from ..frame.configuration import to_toml

SETTINGS = "settings.toml"
_COMMAND = "command.json"


def record(folder: Path, command: str, settings: Any) -> None:
    """Write which command a folder belongs to, or hold it against what is there.

    Raises
    ------
    ValueError
        Another command, or other settings.
    OSError
        It cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"`--store` {str(folder)!r} is a file; name a folder")
    wanted = to_toml(settings)
    if (folder / _COMMAND).exists():
        if (known := command_of(folder)) != command:
            raise ValueError(
                f"`--store` {str(folder)!r} belongs to rnnsim {known}, not to {command}; name "
                "another folder"
            )
        _check_same(folder, (folder / SETTINGS).read_text(encoding="utf-8"), wanted)
        return
    if folder.is_dir() and any(not each.name.startswith(".") for each in folder.iterdir()):
        raise ValueError(
            f"`--store` {str(folder)!r} is a folder of something else; name a new one, or an empty "
            "one"
        )
    files.check_writable("--store", folder / _COMMAND)
    files.write_text(folder / SETTINGS, wanted)
    files.write_text(folder / _COMMAND, json.dumps({"command": command}) + "\n")


def command_of(folder: Path) -> str:
    """Which command a folder belongs to.

    Raises
    ------
    ValueError
        None.
    """
    try:
        return str(json.loads((folder / _COMMAND).read_bytes())["command"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{str(folder)!r} is not the --store of a command ({type(error).__name__}); name the "
            "folder that --store named"
        ) from error


def told(folder: Path) -> list[str]:
    """How far the stores in a folder are, or the one that it is.

    Raises
    ------
    ValueError
        There is none.
    """
    stores = [folder] if has_plan(folder) else sorted(filter(has_plan, folder.glob("*.sweep")))
    if not stores:
        raise ValueError(
            f"{str(folder)!r} holds no store; name the folder that --store or `store` named"
        )
    lines = []
    for each in stores:
        head = [] if each == folder else [f"{each.name}:"]
        lines += [*head, *status(each).summary()]
    return lines


def _check_same(folder: Path, was: str, now: str) -> None:
    for one, other in zip(was.splitlines(), now.splitlines(), strict=False):
        if one != other:
            raise ValueError(
                f"`--store` {str(folder)!r} was begun with other settings: {one}, now {other}; use "
                "the same to go on, or another folder to begin anew"
            )
    if was != now:
        raise ValueError(
            f"`--store` {str(folder)!r} was begun with other settings; use the same to go on, or "
            "another folder to begin anew"
        )
