"""The page of a published result: what was claimed, our figure, the table, what is not compared."""

from collections.abc import Mapping, Sequence

from ..commands.published import KINDS, Entry
from ..frame.looks import look
from .rows import HEADER, Row, cells, verdict


def page(
    entry: Entry,
    *,
    claim: str,
    missing: Sequence[str],
    rows: Sequence[Row],
    captions: Mapping[str, str],
    settings: str,
    took: str,
) -> str:
    """Markdown with one table; figures stand beside it, as PNG where they were asked for."""
    formats = look().formats()
    kind_of_figure = "png" if "png" in formats else formats[0]
    kind = f"*{entry.kind.capitalize()}*: {KINDS[entry.kind]}."
    parts = [
        f"# {entry.title}",
        f"{entry.source}. {kind}",
        _plain(claim),
        f"**{_plain(verdict(rows))}**",
        table(rows),
        *(
            f"![{name.replace('-', ' ')}]({name}.{kind_of_figure})\n\n*{_plain(caption)}*"
            for name, caption in captions.items()
        ),
        "## What could not be compared",
        "\n".join(f"- {_plain(each)}" for each in missing)
        if missing
        else "Nothing that was published.",
        "## Settings, and again",
        f"{took} Values of the settings:",
        f"```toml\n{settings.strip()}\n```",
        f"```\nrnnsim reproduce {entry.name}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def table(rows: Sequence[Row]) -> str:
    """Rows as a table of Markdown."""
    lines = [HEADER, ("---",) * len(HEADER), *map(cells, rows)]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return _plain(text).replace("|", r"\|")


def _plain(text: str) -> str:
    """Words whose asterisks are asterisks, such as that of h*, and no emphasis."""
    return text.replace("*", r"\*")
