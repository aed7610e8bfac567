"""Settings as TOML, written beside figures and read back with --config."""

import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import cyclopts
import tomli_w

from rnnsim import checks


def to_toml(settings: Any) -> str:
    """Settings as a TOML file that the command reads back with --config."""
    values = {
        field.name.replace("_", "-"): getattr(settings, field.name) for field in fields(settings)
    }
    for name, value in values.items():
        for text in value if isinstance(value, (tuple, list)) else [value]:
            _check_text(name, text)
    return tomli_w.dumps({name: value for name, value in values.items() if value is not None})


def flags_from(path: Path, app: cyclopts.App) -> Callable[[Any, Any, Any], None]:
    """Flags from a TOML file; tables, and keys that no flag has, are refused."""
    check_toml(path)
    toml = _Flags(path, must_exist=True)

    def give(running: Any, commands: Any, arguments: Any) -> None:
        toml.commands = commands
        flags = {name for argument in arguments for name in argument.names}
        for key, value in toml.flags.items():
            entries = value if isinstance(value, list) else []
            is_flag = f"--{key}" in flags  # `window` is a command and a flag of another
            if (key in app and not is_flag) or isinstance(value, dict):
                raise ValueError(
                    f"`--config` {str(path)!r} has a table or key [{key}], which no command reads; "
                    "give a command a file of its own, with a line for each flag and no tables"
                )
            if any(isinstance(entry, dict | list) for entry in entries):
                raise ValueError(
                    f"`--{key}` in `--config` {str(path)!r} must be one value or a list of them, "
                    f"got {checks.shown(value)}"
                )
        toml(running, commands, arguments)

    return give


class _Flags(cyclopts.config.Toml):
    """A file of flags of one command, some of which may have the names of other commands."""

    commands: tuple[str, ...] = ()

    @property
    def flags(self) -> dict[str, Any]:
        """What is in the file."""
        return super().config

    @property
    def config(self) -> dict[str, Any]:
        """The same as a table of the command, where no key is taken for another one's table."""
        found = self.flags
        for command in reversed(self.commands):
            found = {command: found}
        return found


def check_toml(path: Path) -> None:
    """Refuse a file that is no TOML.

    Raises
    ------
    ValueError, OSError
        It names the file.
    """
    if not path.exists():
        raise FileNotFoundError(f"`--config` {str(path)!r} does not exist; name a TOML file")
    if path.is_dir():
        raise IsADirectoryError(
            f"`--config` {str(path)!r} is a folder; name a TOML file, such as the "
            "configuration.toml that a run leaves"
        )
    with path.open("rb") as file:
        try:
            tomllib.load(file)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"`--config` {str(path)!r} is not a TOML file: {error}") from error


def _check_text(name: str, value: Any) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"`--{name}` {value!r} must be text that UTF-8 holds, so that the configuration "
                "can be written; rename the file"
            ) from None
