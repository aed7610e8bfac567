"""`make release-check`: the changelog, the project, the citation and a tag name one version."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def versions(root=ROOT):
    """The version in each place, and the newest of the changelog with its date."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = re.search(r"^## (\S+) \((.+)\)$", changelog, re.MULTILINE)
    return {
        "pyproject.toml": project["version"],
        "CITATION.cff": re.search(r"^version: (\S+)$", citation, re.MULTILINE)[1],
        "CHANGELOG.md": heading[1],
    }, heading[2]


def problems(tag=None, root=ROOT):
    """What stands in the way of a release."""
    named, date = versions(root)
    if tag:
        named["the tag"] = tag.removeprefix("v")
    found = []
    if len(set(named.values())) > 1:
        listed = ", ".join(f"{place} {version}" for place, version in named.items())
        found.append(f"versions differ: {listed}")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
        found.append(f"CHANGELOG.md has {date!r} where the date of the release belongs")
    cited = re.search(
        r'^date-released: "(.+)"$', (root / "CITATION.cff").read_text("utf-8"), re.MULTILINE
    )
    if cited[1] != date:
        found.append(f"CITATION.cff is of {cited[1]}, CHANGELOG.md of {date}")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(problems(*sys.argv[1:])) or 0)
