"""What others find who come to the project: workflows, a citation, ways to tell of a fault."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest
import release

yaml = pytest.importorskip("yaml", reason="comes with the extra docs")

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(place):
    return yaml.safe_load((ROOT / place).read_text(encoding="utf-8"))


def commands(place):
    jobs = read(place)["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def test_versions_agree_but_for_the_date():
    named, _ = release.versions()
    assert len(set(named.values())) == 1
    assert not [each for each in release.problems() if "differ" in each]


def test_what_stands_in_the_way_of_a_release_is_told(tmp_path):
    for name in ("pyproject.toml", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path / name)
    version = PROJECT["version"]
    date = re.search(r'date-released: "(.+)"', (ROOT / "CITATION.cff").read_text("utf-8"))[1]
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(f"# Changelog\n\n## {version} ({date})\n")
    assert release.problems(root=tmp_path) == []
    assert release.problems(f"v{version}", root=tmp_path) == []
    assert "the tag 9.9.9" in release.problems("v9.9.9", root=tmp_path)[0]
    changelog.write_text(f"# Changelog\n\n## {version} (unreleased)\n")
    assert len(release.problems(root=tmp_path)) == 2
    changelog.write_text(f"# Changelog\n\n## 0.0.1 ({date})\n")
    assert "CHANGELOG.md 0.0.1" in release.problems(root=tmp_path)[0]


@pytest.mark.parametrize("name", ["test", "release"])
def test_workflows_run_targets_that_exist(name):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    made = [line for line in commands(f".github/workflows/{name}.yml") if "make " in line]
    assert made
    for line in made:
        assert re.search(r"make ([a-z-]+)", line)[1] in targets, line
    text = (ROOT / f".github/workflows/{name}.yml").read_text(encoding="utf-8")
    assert not re.search(r"https?://", text), "no address of a registry"


def test_the_workflow_tries_every_python_that_is_declared():
    tried = read(".github/workflows/test.yml")["jobs"]["latest"]["strategy"]["matrix"]["python"]
    declared = [
        kind.rpartition(" ")[2]
        for kind in PROJECT["classifiers"]
        if re.search(r"Python :: 3\.\d+$", kind)
    ]
    assert tried == declared
    assert PROJECT["requires-python"] == f">={declared[0]}"
    run = commands(".github/workflows/test.yml")
    for target in ("test", "test-oldest", "test-latest"):
        assert f"make {target}" in run
    assert "python -m build" in run


def test_the_citation_is_whole():
    found = read("CITATION.cff")
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= found.keys()
    assert found["license"] == PROJECT["license"]
    assert set(found["keywords"]) >= set(PROJECT["keywords"][:3])


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda p: p.stem
)
def test_forms_ask_for_what_is_needed(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    needed = [each for each in form["body"] if each["validations"]["required"]]
    assert needed
    assert len({each["id"] for each in form["body"]}) == len(form["body"])


def test_the_release_checklist_names_targets_that_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = (ROOT / "docs/contributing/releasing.md").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z-]+)`", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
