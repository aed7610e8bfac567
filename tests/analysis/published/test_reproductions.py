"""Every published result at reduced size: its numbers agree, its figures have no fault."""

from pathlib import Path

import faults
import pytest
import xarray as xr
from reproduced import done

from analysis.commands.published import ENTRIES, KINDS
from analysis.frame import figures
from analysis.published.reproduction import COMPUTED, took

each = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


@each
def test_its_numbers_agree(entry):
    reproduction, datasets = done(entry)
    rows = reproduction.rows(datasets)
    assert rows
    assert len({row.quantity for row in rows}) == len(rows)
    for row in rows:
        assert row.allowed is None or row.because, "say where what is allowed comes from"
        assert row.agrees is not False, f"{row} is off by {row.deviation}"
    if entry.kind == "exact":
        assert any(row.allowed is not None and row.published for row in rows)
    if entry.kind == "illustration":
        assert not any(row.allowed is not None for row in rows)


@each
@pytest.mark.parametrize("look", faults.LOOKS)
def test_its_figures_have_no_fault(entry, look):
    reproduction, datasets = done(entry)
    with figures.style(faults.LOOKS[look]):
        for name, figure in reproduction.draw(datasets).items():
            assert not faults.faults(figure), name
            assert figures.caption_of(figure)


@each
def test_its_words_say_what_it_is(entry):
    reproduction, datasets = done(entry)
    said = "\n".join(reproduction.summarise(datasets))
    assert entry.source in said
    assert KINDS[entry.kind] in said
    assert reproduction.module.CLAIM.endswith(".")
    for row in reproduction.rows(datasets):
        assert row.quantity in said


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.034, "0.034 seconds"),
        (9.4, "9.4 seconds"),
        (112.3, "112 seconds"),
        (187.0, "3.1 minutes"),
    ],
)
def test_it_says_how_long_it_took(seconds, words):
    times = xr.Dataset({"seconds": seconds})
    said = took({COMPUTED: times})
    assert said == f"Computed in {words} of processor time, all cores together."


def test_names_are_of_modules_and_modules_have_names():
    rooms = {entry.module.rpartition(".")[0].rpartition(".")[2] for entry in ENTRIES}
    package = Path(figures.__file__).parents[2] / "published"
    there = {
        path.stem
        for room in rooms
        for path in (package / room).glob("*.py")
        if path.stem != "__init__"
    }
    assert there == {entry.module.rpartition(".")[2] for entry in ENTRIES}
