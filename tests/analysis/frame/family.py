"""An analysis for tests: numbers that say which run they are of, in data, figure and summary."""

import json
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from analysis.frame import manifest

NAME = "family"


@dataclass(frozen=True)
class Settings:
    """`value` is what all files say; `names` those of the datasets."""

    value: float = 1.0
    names: tuple[str, ...] = ("first", "second")
    text: str = ""
    size: int = 3
    fail: str = field(default="")


def compute(settings, progress):
    _fail(settings, "compute")
    about = {"configuration": json.dumps({"value": settings.value, "fail": settings.fail})}
    values = np.full(settings.size, settings.value)
    return {name: xr.Dataset({name: ("k", values)}, attrs=about) for name in settings.names}


def draw(datasets):
    settings = SimpleNamespace(**json.loads(next(iter(datasets.values())).attrs["configuration"]))
    _fail(settings, "draw")
    figures = {}
    for name in datasets:
        figures[name] = Figure(figsize=(1, 1), dpi=20)
        figures[name].text(0, 0, f"{value_of(datasets[name])}")
    return figures


def summarise(datasets):
    return [f"{name} is {value_of(dataset)}" for name, dataset in datasets.items()]


def _fail(settings, where):
    if settings.fail == where:
        raise ValueError(f"failed to {where}")


def value_of(dataset):
    (values,) = dataset.data_vars.values()
    assert len({*values.values.tolist()}) == 1
    return float(values[0])


ANALYSIS = SimpleNamespace(
    __name__=f"tests.{NAME}",
    HELP="For tests.",
    Settings=Settings,
    compute=compute,
    draw=draw,
    summarise=summarise,
)


def assert_whole(folder):
    """All files of a folder are of one run; its value."""
    import tomllib

    import rnnsim

    found = manifest.read(folder)
    assert found.files == manifest.checksums(folder)
    value = tomllib.loads((folder / "configuration.toml").read_text())["value"]
    if (folder / "data").exists():
        manifest.check(folder, found.analysis)
        assert {value_of(each) for each in rnnsim.load(folder).values()} == {value}
    words = (folder / "summary.txt").read_text().splitlines()
    assert {line.split()[-1] for line in words} == {str(value)}
    for line in words:
        assert f">{value}</text>" in _svg(folder / f"{line.split()[0]}.svg", value)
        assert (folder / f"{line.split()[0]}.png").read_bytes().startswith(b"\x89PNG")
    return value


def _svg(path, value):
    """The text of a picture, whose letters are drawn as shapes that name them in a comment."""
    return path.read_text().replace(f"<!-- {value} -->", f">{value}</text>")
