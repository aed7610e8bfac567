"""The report of a diagnosis: all that was found is on the page, and nothing else is said."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import rnnsim
from analysis.diagnosis import page
from analysis.diagnosis.numbers import QUESTIONS, by_question, tables, tables_of_both
from analysis.diagnosis.page import in_type, report, write
from rnnsim.diagnosis.result import APART

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)> & $x$ {{ 7 * 7 }}.pt"


class Read(HTMLParser):
    """The texts of a page, its tags, and the JSON in it."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts, self.inside, self.json = [], [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside.append((tag, dict(attrs).get("id")))

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop()[0] != tag:
            pass

    def handle_data(self, data):
        where = self.inside[-1] if self.inside else ("", None)
        if where == ("script", "data"):
            self.json += data
        elif where[0] not in ("script", "style"):
            self.texts.append(data)


def read(found, tmp_path, **options):
    place = found.save(tmp_path / "report.html", **options)
    assert place == tmp_path / "report.html"
    return Read(place.read_text(encoding="utf-8"))


def cells(made):
    return [cell for table in made for row in table.rows for cell in row]


def test_every_finding_is_in_a_table_once(found):
    made = tables(found)
    *known, missing = made if not all(each.known for each in found) else [*made, None]
    rows = {row[0]: row for table in known for row in table.rows}
    assert list(rows) == [each.name for _, group in by_question(found) for each in group
                          if each.known]  # fmt: skip
    for each in found:
        if each.known:
            _, says, number, limit, words, over = rows[each.name]
            assert (says, words, over) == (each.says, each.words, each.over)
            assert bool(number) == (not np.isnan(each.number))
            assert bool(limit) == (not np.isnan(each.threshold))
            assert not limit or limit.endswith(f", {each.source}")
    needs = {name: needs for names, needs in missing.rows for name in names.split(", ")}
    assert needs == {
        each.name: each.words.removeprefix("Not known: ").removesuffix(".")
        for each in found if not each.known
    }  # fmt: skip
    assert len(missing.rows) == len({*needs.values()})


def test_every_finding_has_a_question(case):
    asked = [name for names in QUESTIONS.values() for name in names]
    assert sorted(asked) == sorted(each.name for each in case("vanishes"))
    other = replace(case("vanishes")["range"], name="new")
    more = replace(case("vanishes"), findings=(*case("vanishes").findings, other))
    assert by_question(more)[-1] == ("Other findings", [other])


def test_numbers_have_errors_and_units(case):
    found = case("vanishes")
    rows = {row[0]: row for table in tables(found)[:-1] for row in table.rows}
    error = found["window_error"]
    number, half = map(float, rows["window_error"][2].split(" +- "))
    assert number == pytest.approx(error.number, abs=error.error / 10)
    assert half == pytest.approx(error.error, rel=0.06)
    assert rows["window_error"][3] == "0.1, ours"
    assert rows["lambda_1"][2].endswith(" nats/step")
    assert rows["forward_memory"][2].endswith(" steps")


def test_the_page_holds_all_of_it(found, tmp_path):
    seen = read(found, tmp_path)
    texts = "".join(seen.texts)
    for words in (found.verdict, found.subject, *found.to_try):
        assert in_type(words) in texts
    for each in found:
        assert in_type(each.words.removeprefix("Not known: ").removesuffix(".")) in texts
    assert json.loads(seen.json) == json.loads(json.dumps(found.to_dict()))
    assert found.about["weights_sha256"] in texts
    for name, version in found.to_dict()["versions"].items():
        assert f"{name} {version}" in texts
    ids = [attrs["id"] for _, attrs in seen.tags if attrs.get("id")]
    assert len({*ids}) == len(ids)
    assert (tmp_path / "report.html").stat().st_size < 2e6


def test_two_on_one_page(case, tmp_path):
    one, two = (replace(case(name), label=label)
                for name, label in (("vanishes", "before"), ("lstm", "after")))  # fmt: skip
    both = one.beside(two)
    seen = read(both, tmp_path)
    texts = "".join(seen.texts)
    for each in (one, two):
        assert in_type(f"{each.label}: {each.verdict}") in texts
        assert each.about["weights_sha256"] in texts
    assert json.loads(seen.json) == json.loads(json.dumps(both.to_dict()))
    rows = {row[0]: row for table in tables_of_both(both, ["before", "after"])[:-1]
            for row in table.rows}  # fmt: skip
    for row in both.rows:
        if not (row.first.known or row.second.known):
            assert row.name not in rows
            continue
        _, first, second, apart = rows[row.name]
        assert first.startswith(row.first.says)
        assert second.startswith(row.second.says)
        numbers = row.first.number_known or row.second.number_known
        assert apart == (APART[row.apart] if numbers else "")
    assert rows["lambda_1"][3] in ("apart", "not told apart")


def test_one_network_beside_itself(case, tmp_path):
    both = case("dead").beside(case("dead"))
    made = report(both)
    assert made.verdict.count("\n") == 1
    first, second = made.verdict.split("\n")
    assert first == in_type(f"RNN (first): {case('dead').verdict}")
    assert second == in_type(f"RNN (second): {case('dead').verdict}")
    assert not {"apart"} & {*cells(made.numbers)}


def test_hostile_names_are_text(case, tmp_path):
    found = replace(case("vanishes"), label=HOSTILE)
    for each in (found, found.beside(found)):
        seen = read(each, tmp_path, overwrite=True)
        assert "img" not in {tag for tag, _ in seen.tags}
        assert [tag for tag, _ in seen.tags].count("script") == 2
        assert any(HOSTILE in text for text in seen.texts)
        assert "49" not in "".join(seen.texts[:3])


def test_how_it_is_done_again(case, tmp_path):
    made = report(case("vanishes"))
    call = made.reproduce["in Python"]
    assert call == (
        "rnnsim.diagnose(network, sequences, window=6, clip_norm=1.0, clip_value=0.05)"
    )  # an eighth of the sequences was not given
    assert ", batch_size=2)" in report(case("lstm")).reproduce["in Python"]
    place = write(case("dead"), tmp_path / "a.html", command="rnnsim diagnose 'a b.pt'")
    assert "rnnsim diagnose 'a b.pt'" in Read(place.read_text()).texts
    data = rnnsim.tasks.adding(30, 4, rng=5)
    found = rnnsim.diagnose(rnnsim.RNN.sample(n_inputs=2, n_hidden=3, n_outputs=1, rng=0), data)
    assert "task adding" in report(found).reproduce["data"]


def test_the_same_diagnosis_is_the_same_page(case, tmp_path):
    pages = [case("lstm").save(tmp_path / f"{k}.html").read_bytes() for k in range(2)]
    assert pages[0] == pages[1]


def test_how_numbers_are_set():
    assert in_type("1 +- 2 %") == "1\u00a0±\u00a02\u00a0%"
    assert in_type(("a %", ["b +- c"])) == ["a\u00a0%", ["b\u00a0±\u00a0c"]]
    assert in_type(3) == 3


def test_nothing_of_the_words_is_lost_by_setting_them(case):
    made = report(case("lstm"))
    back = re.sub("\u00a0%", " %", made.verdict).replace("\u00a0±\u00a0", " +- ")
    assert back == case("lstm").verdict


def test_a_report_is_written_whole_or_not_at_all(case, tmp_path, monkeypatch):
    place = tmp_path / "report.html"
    place.write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        case("dead").save(place)
    monkeypatch.setattr(page, "pictures", lambda found: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        case("dead").save(place, overwrite=True)
    assert place.read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
