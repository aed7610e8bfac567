"""The page with sliders as a file: nothing from elsewhere, named controls, a table."""

import json
import re

import explored
import numpy as np
import pytest
from pages import Parsed

from analysis import explore
from analysis.explore import page as pages_of
from analysis.explore import words
from analysis.explore.numbers import Numbers

FOUND = [explored.numbers, explored.at_edges]
IDS = ["measured", "edges"]


@pytest.fixture(params=FOUND, ids=IDS)
def numbers(request):
    return request.param()


@pytest.fixture
def text(numbers):
    return explore.html(numbers, "rnnsim explore --output <b>.html")


@pytest.fixture
def parsed(text):
    return Parsed(text)


def test_nothing_is_from_elsewhere(text, parsed):
    policy = parsed.one("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy.attributes["content"].startswith("default-src 'none'; img-src data:;")
    before = parsed.tags[: parsed.tags.index(policy)]
    assert {tag.name for tag in before} == {"html", "head", "meta"}
    assert re.findall(r"https?://[^\"' ]+", text) == ["http://www.w3.org/2000/svg"] * 4
    for tag in parsed.tags:
        assert not {"src", "action", "style"} & set(tag.attributes)
    assert [tag.attributes["href"] for tag in parsed.all("link")] == ["data:,"]


def test_ids_are_unique_and_what_is_referred_to_is_there(parsed):
    ids = [tag.attributes["id"] for tag in parsed.tags if "id" in tag.attributes]
    assert len({*ids}) == len(ids)
    for tag in parsed.tags:
        for name in ("for", "list", "aria-labelledby"):
            for each in tag.attributes.get(name, "").split():
                assert each in ids


def test_every_control_has_a_name_and_its_values(numbers, parsed):
    labelled = {tag.attributes.get("for"): tag.text for tag in parsed.all("label")}
    sliders = parsed.all("input", type="range")
    assert [labelled[tag.attributes["id"]] for tag in sliders] == [
        "Forget bias", "Gain", "Length", "Window",
    ]  # fmt: skip
    last = [int(tag.attributes["max"]) for tag in sliders]
    biases = {kind.forget_bias for kind in numbers.kinds} - {None}
    assert last == [
        len(biases) - 1, len(numbers.gains) - 1, len(numbers.lengths) - 1, numbers.lengths[-1],
    ]  # fmt: skip
    cells = [tag.attributes["value"] for tag in parsed.all("input", type="radio")]
    assert cells == list(dict.fromkeys(kind.cell for kind in numbers.kinds))
    assert parsed.one("legend").text == "Cell"


def test_the_first_sentence_is_there_before_any_script(numbers, parsed):
    kind, gain, length, window = numbers.start
    told = words.sentences(numbers.at(kind, gain, length), window, numbers.tolerance)
    box = parsed.one("p", id="sentence")
    assert " ".join(box.text.split()) == " ".join(told)
    assert box.attributes["aria-live"] == "polite"


def test_without_a_script_there_is_a_word_and_a_table(numbers, parsed):
    assert "sliders need scripts" in parsed.one("noscript").text
    assert "hidden" in parsed.one("div", **{"class": "moving"}).attributes
    assert "open" in parsed.one("details").attributes
    rows = pages_of.table(numbers).rows
    assert len(rows) == len(numbers.kinds) * len(numbers.gains)
    shown = [tag for tag in parsed.all("tr") if tag.attributes.get("role") == "row"]
    assert len(shown) == len(rows) + 1


def test_the_table_holds_the_numbers_of_the_longest_sequence():
    data = explored.dataset().squeeze(drop=True).sel(length=30)
    found = explored.numbers()
    table = pages_of.table(found)
    assert table.caption == "Sequences of 30 steps"
    assert table.heads[3] == "missed by a window of 3 steps"
    for kind in found.kinds:
        bias = kind.forget_bias or 0.0
        for gain in found.gains:
            here = data.sel(cell=kind.cell, forget_bias=bias, gain=gain)
            (row,) = [r for r in table.rows if r[:2] == (kind.name, f"{gain:g}")]
            norms = here.log_norm.transpose("network_seed", "lag").values[:, [0, 29]]
            change = np.sort(norms[:, 1] - norms[:, 0])[1] / np.log(10)
            if np.isneginf(change):
                assert row[2] == "nothing"
            else:
                assert float(row[2].removeprefix("10^")) == pytest.approx(change, abs=0.0502)
            error = np.sort(np.exp(here.truncation_log_error.sel(window=3).values))[1]
            if np.isnan(error):
                assert row[3] == "nothing"
            elif row[3] == "more than 99%":
                assert 0.995 <= error < 1
            else:
                assert float(row[3].strip("%")) == pytest.approx(100 * error, abs=0.51)
            assert float(row[4]) == np.sort(here.sufficient_window.values)[1]


def test_what_was_measured_is_said():
    assert pages_of.networks(explored.numbers()) == (
        "Each setting: 3 random networks of 5 units read 2 sequences of characters. All numbers "
        "were computed beforehand by exact backpropagation through time; they are medians over "
        "networks."
    )


def test_one_network_has_no_median_and_no_band():
    about = explored.ABOUT | {"networks": 1, "n_hidden": 1, "batch_size": 1}
    edges = explored.at_edges()
    one = Numbers(edges.kinds, edges.gains, edges.lengths, 0.1, edges.settings, about)
    assert pages_of.networks(one) == (
        "Each setting: 1 random network of 1 unit reads 1 sequence of characters. All numbers "
        "were computed beforehand by exact backpropagation through time."
    )
    assert not any("quartiles" in each for each in pages_of.captions(one).values())
    assert all(
        ("Band: quartiles over networks." in each) == (name != "phase")
        for name, each in pages_of.captions(edges).items()
    )


def test_captions_say_where_axes_end_and_what_is_compared():
    said = pages_of.captions(explored.at_edges())
    assert "The axis ends at 10⁻⁶ and 10⁶." in said["norm"]
    assert "stays below 2.5%" in said["error"]
    assert "(of gated cells with those of inputs, and biases)" in said["error"]


def test_the_same_numbers_give_the_same_bytes(numbers, text):
    assert explore.html(numbers, "rnnsim explore --output <b>.html") == text


def test_hostile_words_stay_words():
    about = explored.ABOUT | {"task": "</script><img src=x onerror=alert(1)>"}
    edges = explored.at_edges()
    told = Numbers(edges.kinds, edges.gains, edges.lengths, 0.1, edges.settings, about)
    parsed = Parsed(explore.html(told, "rnnsim explore '</script><b>'"))
    assert not parsed.all("img")
    assert not parsed.all("b")
    assert len(parsed.all("script")) == 2
    assert json.loads(parsed.one("script", id="data").text)["about"]["task"] == about["task"]


def test_it_is_written_whole_and_replaced_when_asked(tmp_path):
    place = tmp_path / "new" / "explore.html"
    assert explore.write(explored.at_edges(), place) == place
    first = place.read_text(encoding="utf-8")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        explore.write(explored.at_edges(), place)
    explore.write(explored.numbers(), place, overwrite=True)
    assert place.read_text(encoding="utf-8") != first
    with pytest.raises(ValueError, match=r"must end in \.html"):
        explore.write(explored.at_edges(), tmp_path / "explore.txt")
